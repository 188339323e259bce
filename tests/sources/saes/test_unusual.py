"""Architectures whose latents have signs, are taken one by one, or need the tokens before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.circuits.attribution.reads import targets_of
from saereport.circuits.frozen import freeze_batch
from saereport.pipeline import loading
from saereport.pipeline.build import collect
from saereport.report.rendering import render
from saereport.run import Run, open_run
from saereport.sources.folders import look_at_sae
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.factories import make_sae, tiny_model, tiny_tokens

D, N, K = 32, 48, 6
HOOK = "blocks.1.hook_resid_post"

SETTINGS: dict[str, dict[str, Any]] = {
    "abstopk": {"k": K},
    "matching_pursuit": {"residual_threshold": 0.5, "max_iterations": 8},
    "temporal": {
        "n_heads": 2,
        "bottleneck_factor": 4,
        "kval_topk": K,
        "normalize_activations": "constant_scalar_rescale",
        "activation_normalization_factor": 0.25,
    },
}


def theirs(architecture: str, **changes: Any) -> Any:
    """SAELens's object; rows of matching pursuit's decoder have unit length, as in training."""
    settings = {**SETTINGS[architecture], **changes}
    if architecture == "abstopk":
        return make_sae("abstopk", hook_name=HOOK, **settings)
    made = _made(architecture, settings)
    if architecture == "matching_pursuit":
        with torch.no_grad():
            made.W_dec /= made.W_dec.norm(dim=1, keepdim=True)
    return made


def _made(architecture: str, settings: dict[str, Any]) -> Any:
    from sae_lens.registry import SAE_CLASS_REGISTRY
    from sae_lens.saes.sae import SAEMetadata

    sae_class, config_class = SAE_CLASS_REGISTRY[architecture]
    metadata = {"model_name": "tiny", "hook_name": HOOK, "context_size": 32, "prepend_bos": True}
    cfg = config_class(d_in=D, d_sae=N, metadata=SAEMetadata(**metadata), **settings)
    made = sae_class(cfg)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _, weight in sorted(made.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(noise / weight.shape[0] ** 0.5 if weight.ndim > 1 else 0.2 * noise)
    return made.eval()


def ours(folder: Path, architecture: str, **changes: Any) -> Sae:
    theirs(architecture, **changes).save_model(folder)
    look_at_sae(folder, "slug")
    return load_sae(SaeSource(path=str(folder)))


def reported(folder: Path, architecture: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, str]:
    """A run over a little text with a prompt and its graph, and the SAE's slug; pages are made."""
    monkeypatch.setattr(loading, "load_model", lambda name, **_: tiny_model())
    path = folder / "sae"
    theirs(architecture).save_model(path)
    rng = np.random.default_rng(0)
    text = "\n\n".join(" ".join(f"w{n}" for n in rng.integers(2, 100, 40)) for _ in range(20))
    (folder / "text.txt").write_text(text)
    config = {
        "saes": [{"path": path}],
        "model": "tiny",
        "dataset": str(folder / "text.txt"),
        "latents": f"0-3,{N - 1}" + (f",{N}-{N + 3}" if architecture == "abstopk" else ""),
        "tokens": 320,
        "batch_size": 4,
        "device": "cpu",
        "evaluate": 100,
        "prompts": [{"text": "w5 w9 w33 w7", "graph": True}],
        "circuits": {"examples": 2, "graph": {"saes": ["sae"]}},
    }
    run = open_run(collect(config, folder / "run"))
    render(folder / "run", folder / "report")
    return run, "sae"


def of_text(run: Run, lens: Any) -> Any:
    """SAELens's activations on the counted tokens of a run's text, `[n, d_sae]`."""
    rows = run.table("sequences").to_pylist()
    tokens = torch.tensor([row["tokens"] for row in rows])
    counted = torch.tensor([row["counted"] for row in rows])
    assert int(counted.sum()) == run.info.text.n_counted, "the run refers to all sequences"
    with torch.no_grad():
        f = lens.encode(tiny_model().run(tokens, [HOOK])[HOOK])
    return (f.to_dense() if f.is_sparse else f)[counted]


# Signs.


@pytest.mark.parametrize("rescaled", [False, True])
def test_signed_latents_are_the_same_sae_in_two_sides(rescaled: bool, tmp_path: Path) -> None:
    sae = ours(tmp_path / "sae", "abstopk", rescale_acts_by_decoder_norm=rescaled)
    lens = theirs("abstopk", rescale_acts_by_decoder_norm=rescaled)
    a = torch.randn(5, 7, D)
    f = lens.encode(a)
    f = f.to_dense() if f.is_sparse else f
    assert bool((f < 0).any())
    assert (sae.d_sae, sae.d_in) == (2 * N, D)
    mine = sae.encode(a)
    assert bool((mine >= 0).all())
    torch.testing.assert_close(mine[..., :N] - mine[..., N:], f)
    assert not bool(((mine[..., :N] > 0) & (mine[..., N:] > 0)).any())
    some = torch.tensor([3, N + 3, N])
    assert torch.equal(sae.encode_chosen(a, some), mine[..., some])
    torch.testing.assert_close(sae.reconstruct(a), lens(a))
    torch.testing.assert_close(sae.decode(mine, a), lens(a))
    torch.testing.assert_close(mine @ sae.W_dec + lens.b_dec, lens(a))


def test_active_signed_latents_are_linear(tmp_path: Path) -> None:
    """Pre-activations, read and write directions of the negative sides too."""
    sae = ours(tmp_path / "sae", "abstopk")
    a = torch.randn(40, D)
    f = sae.encode(a)
    at, latents = f.nonzero(as_tuple=True)
    assert bool((latents >= N).any())
    torch.testing.assert_close(sae.pre_activations(a[at], latents), f[at, latents])
    read, bias = sae.linear(a[at], latents)
    torch.testing.assert_close((a[at] * read).sum(1) + bias, f[at, latents])
    torch.testing.assert_close(read, sae.W_enc[:, latents].T)
    torch.testing.assert_close(sae.write_vectors(a[at], latents), sae.W_dec[latents])


def test_a_report_of_signed_latents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of both sides are those of SAELens's own activations; circuits and graphs are made."""
    run, slug = reported(tmp_path, "abstopk", monkeypatch)
    activity = {row["latent"]: row for row in run.table("activity", slug).to_pylist()}
    f = of_text(run, theirs("abstopk"))
    assert set(activity) == {*range(4), N - 1, *range(N, N + 4)}
    for latent, row in activity.items():
        side = f[:, latent % N] * (1 if latent < N else -1)
        assert row["n_active"] == int((side > 0).sum())
        assert row["max"] == pytest.approx(float(side.clamp(min=0).max()), rel=1e-5)
    lens = {row["latent"]: row for row in run.table("logit_lens", slug).to_pylist()}
    assert lens[0]["top_tokens"] == lens[N]["bottom_tokens"]
    assert run.info.sae(slug).d_sae == 2 * N
    assert any("have signs" in warning.text for warning in run.info.warnings)
    assert run.has("graphs")
    assert not run.has("prompt_notes")


# Matching pursuit, temporal.


@pytest.mark.parametrize("architecture", ["matching_pursuit", "temporal"])
def test_activations_and_reconstruction_are_saelens(architecture: str, tmp_path: Path) -> None:
    sae, lens = ours(tmp_path / "sae", architecture), theirs(architecture)
    a = torch.randn(3, 9, D)
    torch.testing.assert_close(sae.encode(a), lens.encode(a))
    torch.testing.assert_close(sae.reconstruct(a), lens(a))
    # One sequence alone is the same.
    torch.testing.assert_close(sae.encode(a[1]), lens.encode(a)[1])
    torch.testing.assert_close(sae.reconstruct(a[1]), lens(a)[1])
    some = torch.tensor([1, N - 1])
    torch.testing.assert_close(sae.encode_chosen(a, some), lens.encode(a)[..., some])


@pytest.mark.parametrize("architecture", ["matching_pursuit", "temporal"])
def test_a_row_of_the_decoder_is_what_a_latent_adds(architecture: str, tmp_path: Path) -> None:
    sae = ours(tmp_path / "sae", architecture)
    a = torch.randn(6, D)
    f = sae.encode(a)
    at, latents = f.nonzero(as_tuple=True)
    more = f.clone()
    more[at[0], latents[0]] += 1
    change = (sae.decode(more, a) - sae.decode(f, a))[at[0]]
    torch.testing.assert_close(change, sae.W_dec[latents[0]], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(sae.write_vectors(a[at[:1]], latents[:1])[0], sae.W_dec[latents[0]])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("taken_off", [False, True])
def test_the_bias_of_a_temporal_decoder_is_saelens(
    tied: bool, taken_off: bool, tmp_path: Path
) -> None:
    changes = {"tied_weights": tied, "apply_b_dec_to_input": taken_off}
    sae, lens = ours(tmp_path / "sae", "temporal", **changes), theirs("temporal", **changes)
    a = torch.randn(6, D)
    torch.testing.assert_close(sae.decode(sae.encode(a), a), lens.decode(lens.encode(a[None]))[0])


@pytest.mark.parametrize("architecture", ["matching_pursuit", "temporal"])
def test_what_cannot_be_had_says_why(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics, quality, lens and effects on logits are there; what needs reads is not."""
    run, slug = reported(tmp_path, architecture, monkeypatch)
    activity = run.table("activity", slug)
    f = of_text(run, theirs(architecture))
    assert (
        activity["n_active"].to_pylist() == (f > 0).sum(0)[activity["latent"].to_numpy()].tolist()
    )
    assert run.table("logit_lens", slug).num_rows
    metrics = {row["metric"]: row["value"] for row in run.table("sae_metrics", slug).to_pylist()}
    assert "explained_variance" in metrics
    missing = run.info.sae(slug).left_out
    for table in ("deembedding", "head_deembedding"):
        assert "no read direction" in str(missing[table])
    notes = {note["topic"]: note["text"] for note in run.table("prompt_notes").to_pylist()}
    assert "no read direction" in notes[f"tokens to {slug}"]
    assert "no read direction" in notes["graph"]
    maps = run.table("gradient_maps").to_pylist()
    assert [(row["early"], row["late"]) for row in maps] == [(slug, "")]


def test_quality_of_a_temporal_sae_is_of_whole_sequences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L0 and error are those of SAELens's pass over the sequences, not over rows of them."""
    from saereport.evaluate.sums import stand_of
    from saereport.intervene.splicing import spliced_sequences

    sae, lens, model = ours(tmp_path / "sae", "temporal"), theirs("temporal"), tiny_model()
    tokens = tiny_tokens(4, 16)
    acts = model.run(tokens, [HOOK])
    counted = torch.ones_like(tokens, dtype=torch.bool)
    counted[:, 0] = False
    stand = stand_of(sae, acts, counted, [15] * 4)
    found = stand.fit
    a = acts[HOOK]
    with torch.no_grad():
        f, made = lens.encode(a), lens(a)
    assert found.l0.tolist() == (f > 0).sum(-1)[:, 1:].sum(1).tolist()
    error = (a - made)[:, 1:].square().sum((1, 2)).double()
    np.testing.assert_allclose(found.error, error, rtol=1e-4)
    stand_in = spliced_sequences(sae, acts, counted)
    torch.testing.assert_close(stand.value, stand_in)
    torch.testing.assert_close(stand_in, torch.where(counted[..., None], made, a))
    # Rows without the tokens before them give another SAE's numbers.
    rows = lens.encode(a[counted][None])[0]
    assert not torch.equal(rows, f[counted])


def test_what_a_latent_reads_is_refused(tmp_path: Path) -> None:
    sae, model = ours(tmp_path / "sae", "matching_pursuit"), tiny_model()
    run = freeze_batch(model, torch.arange(2, 8)[None], n_layers=2, reads=[HOOK])[0]
    with pytest.raises(SaereportError, match="one after another"):
        targets_of(sae, run.acts[HOOK], torch.arange(6), torch.arange(6))
