"""The registry of architectures, and one that this package does not have, from folder to graph."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from saereport.run import Run, open_run
from saereport.sources.folders import look_at_sae
from saereport.sources.saes.architectures import (
    Architecture,
    Relu,
    TopK,
    architecture_of,
    register,
    stored_as,
    supported,
)
from saereport.sources.saes.architectures.registry import require
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.factories import ARCHITECTURES, TRAINING_ONLY, make_sae, tiny_model
from tests.sources.saes.gain import save_pair

SLUGS = ("resid", "mlp")
ALL = {
    "latents": "0-9",
    "tokens": 1024,
    "batch_size": 8,
    "device": "cpu",
    "evaluate": 512,
    "examples": {"top": 3, "before": 4, "after": 2, "intervals": 2, "per_group": 1},
    "circuits": {"checks": 3, "examples": 2, "graph": {"saes": ["resid", "mlp"]}},
    "prompts": [
        {
            "text": "w5 w9 w13 w5 => w9",
            "graph": True,
            "saes": ["resid", "mlp"],
            "pairs": [["resid", "mlp"]],
        }
    ],
}


def test_what_a_folder_holds_is_what_saelens_saves(tmp_path: Path) -> None:
    for name in ARCHITECTURES:
        make_sae(name).save_model(tmp_path / name)
        saved = load_file(tmp_path / name / "sae_weights.safetensors")
        sizes = {"d_in": 32, "d_sae": 48, "d_out": 32}
        stored = stored_as(name)
        assert stored is not None
        expected = {key: [sizes[dim] for dim in dims] for key, dims in stored.tensors.items()}
        assert {key: list(tensor.shape) for key, tensor in saved.items()} == expected


def test_every_architecture_is_one_way_to_encode_with_one_way_to_decode() -> None:
    unusual = {"abstopk", "matching_pursuit", "temporal"}
    assert set(supported()) == (set(ARCHITECTURES) - set(TRAINING_ONLY)) | unusual
    ways = {(one.encoder, one.decoder) for name in supported() if (one := architecture_of(name))}
    assert len(ways) == len(supported())
    assert len({encoder for encoder, _ in ways}) == 7
    assert len({decoder for _, decoder in ways}) == 5


def test_two_of_one_name_are_refused() -> None:
    for name in ("standard", "batchtopk"):
        with pytest.raises(ValueError, match=f"two architectures of the name '{name}'"):
            register(Architecture(name, Relu))


@pytest.fixture(scope="module")
def inputs(gain_architecture: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gains")
    rng = np.random.default_rng(0)
    with (folder / "text.jsonl").open("w") as stream:
        for _ in range(40):
            words = " ".join(f"w{n}" for n in (rng.zipf(1.3, 40) % 98) + 2)
            stream.write(f'{{"text": "{words}"}}\n')
    save_pair(folder, "resid", "standard", hook_name="blocks.1.hook_resid_pre", d_sae=40)
    save_pair(folder, "mlp", "transcoder", hook_name="blocks.2.ln2.hook_normalized", d_sae=24)
    return folder


@pytest.fixture(scope="module")
def runs(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of the SAEs with gains, and one of the ReLU SAEs that they are."""
    from saereport.pipeline import build, loading

    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_model", lambda name, **_: tiny_model())
        for kind in ("gains", "plain"):
            saes = [{"path": inputs / kind / slug} for slug in SLUGS]
            config: dict[str, Any] = {"saes": saes, "dataset": str(inputs / "text.jsonl"), **ALL}
            found[kind] = open_run(build.collect(config, tmp_path_factory.mktemp("runs") / kind))
    return found


def test_an_added_architecture_is_loaded_as_what_it_is(inputs: Path) -> None:
    sae = load_sae(SaeSource(path=str(inputs / "gains" / "resid")))
    assert (sae.architecture, sae.is_transcoder) == ("gain", False)
    weights = load_file(inputs / "gains" / "resid" / "sae_weights.safetensors")
    a = torch.randn(50, 32, generator=torch.Generator().manual_seed(0)) * 2
    x = (a - weights["b_dec"]).double().numpy()
    before = x @ weights["W_enc"].double().numpy() + weights["b_enc"].double().numpy()
    expected = weights["gain"].double().numpy() * before.clip(min=0)
    np.testing.assert_allclose(sae.encode(a).numpy(), expected, atol=1e-5)
    chosen = torch.tensor([7, 3])
    np.testing.assert_allclose(sae.encode_chosen(a, chosen).numpy(), expected[:, [7, 3]], atol=1e-5)
    made = expected @ weights["W_dec"].double().numpy() + weights["b_dec"].double().numpy()
    np.testing.assert_allclose(sae.reconstruct(a).numpy(), made, atol=1e-4)
    mlp = load_sae(SaeSource(path=str(inputs / "gains" / "mlp")))
    assert (mlp.architecture, mlp.is_transcoder) == ("gain_transcoder", True)


def test_an_added_architecture_is_known_at_the_door(inputs: Path) -> None:
    facts = {slug: look_at_sae(inputs / "gains" / slug, slug) for slug in SLUGS}
    assert {slug: fact.is_transcoder for slug, fact in facts.items()} == {
        "resid": False,
        "mlp": True,
    }


def test_an_added_architecture_is_counted_as_by_a_dense_computation(
    runs: dict[str, Run], inputs: Path
) -> None:
    """Statistics of a residual SAE, from TransformerLens's pass and plain numpy."""
    run, model = runs["gains"], tiny_model()
    weights = load_file(inputs / "gains" / "resid" / "sae_weights.safetensors")
    w = {name: tensor.double().numpy() for name, tensor in weights.items()}
    sequences = run.table("examples", "resid").to_pylist()
    known = {row["sequence"]: row["tokens"] for row in run.table("sequences").to_pylist()}
    assert len(sequences) > 20
    for row in sequences:
        tokens = torch.tensor([known[row["sequence"]]])
        _, cache = model.model.run_with_cache(tokens)
        a = cache["blocks.1.hook_resid_pre"][0, row["position"]].double().numpy()
        before = (a - w["b_dec"]) @ w["W_enc"][:, row["latent"]] + w["b_enc"][row["latent"]]
        expected = w["gain"][row["latent"]] * max(before, 0)
        assert row["activation"] == pytest.approx(expected, rel=1e-4)


def tables_of(run: Run) -> dict[Path, bytes]:
    return {p.relative_to(run.path): p.read_bytes() for p in run.path.rglob("*.parquet")}


def test_an_added_architecture_has_every_number_that_its_twin_has(runs: dict[str, Run]) -> None:
    """Statistics, weights, evaluation, attribution, gradients and the graph, to the last bit."""
    gains, plain = runs["gains"], runs["plain"]
    assert gains.info.sae("resid").architecture == "gain"
    assert gains.names() == plain.names()
    for name in ("gradients", "components", "influences", "graph_nodes", "graph_links"):
        assert gains.rows(name) > 0, name
    assert gains.table("graphs")["prompt"].to_pylist() == [0]
    for name in ("activity", "examples", "logit_lens", "deembedding", "geometry", "sae_metrics"):
        assert gains.has(name, "resid") or gains.has(name, "mlp"), name
    files = [
        {p.relative_to(run.path): p for p in run.path.rglob("*.parquet")} for run in (gains, plain)
    ]
    assert len(files[0]) > 20
    assert files[0].keys() == files[1].keys()
    for name, path in files[0].items():
        assert path.read_bytes() == files[1][name].read_bytes(), name


# Bad input.


def test_shapes_of_an_added_architecture_are_checked(inputs: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    shutil.copytree(inputs / "gains" / "resid", tmp_path / "sae")
    file = tmp_path / "sae" / "sae_weights.safetensors"
    weights = load_file(file)
    save_file({**weights, "gain": torch.ones(7)}, file)
    with pytest.raises(
        SaereportError, match=r"gain has shape \[7\], and \[40\] goes with cfg.json"
    ):
        load_sae(SaeSource(path=str(tmp_path / "sae")))
    save_file({name: tensor for name, tensor in weights.items() if name != "gain"}, file)
    with pytest.raises(SaereportError, match="lacks the tensor gain"):
        load_sae(SaeSource(path=str(tmp_path / "sae")))


def test_a_name_that_is_near_an_added_one(inputs: Path, tmp_path: Path) -> None:
    shutil.copytree(inputs / "gains" / "resid", tmp_path / "sae")
    file = tmp_path / "sae" / "cfg.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "architecture": "gian"}))
    with pytest.raises(
        SaereportError, match="architecture that SAELens does not know: 'gian'"
    ) as e:
        load_sae(SaeSource(path=str(tmp_path / "sae")))
    assert "Did you mean 'gain'?" in str(e.value)


def test_an_added_architecture_that_fails_is_named(
    gain_architecture: None, inputs: Path, tmp_path: Path
) -> None:
    def fails() -> tuple[type[Any], type[Any]]:
        raise ImportError("no module named lab")

    register(Architecture("broken", Relu, saelens=fails))
    shutil.copytree(inputs / "plain" / "resid", tmp_path / "sae")
    file = tmp_path / "sae" / "cfg.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "architecture": "broken"}))
    with pytest.raises(SaereportError, match="'broken' cannot be used: ImportError: no module"):
        load_sae(SaeSource(path=str(tmp_path / "sae")))


def test_negative_latents_are_refused(gain_architecture: None) -> None:
    class Signed(TopK):
        signed = True

    register(Architecture("negative", Signed))
    assert "negative" not in supported()
    with pytest.raises(SaereportError, match="cannot be reported on: its latents can be negative"):
        require("negative", "sae")
