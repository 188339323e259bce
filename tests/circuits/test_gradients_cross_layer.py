"""Gradients, interventions and influences of a cross-layer transcoder, from all that it writes.

Against TransformerLens's own hooks and `jacrev`: the MLPs from the latents' layer on are held at
what they put out in the true run, and what the latents write is added to them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from saereport.circuits.attribution.influences import strongest_influences
from saereport.circuits.attribution.reads import targets_of
from saereport.circuits.frozen import freeze_batch
from saereport.circuits.gradients.interventions import ablation_effects
from saereport.circuits.gradients.maps import (
    GradientMap,
    MapLimits,
    latents_to_latents,
    latents_to_logits,
    tokens_to_latents,
)
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from tests.circuits.test_graph_linear import double_model
from tests.factories import save_clt, tiny_tokens

TOKENS = tiny_tokens(1, 6)[0]
COUNTED = torch.arange(6) > 0
LIMITS = MapLimits(None, None, 2**26)
LOGITS = [5, 17]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clt(tmp_path_factory.mktemp("clt") / "clt", dtype=torch.float64)


@pytest.fixture(scope="module")
def saes(folder: Path) -> list[Sae]:
    sources = [SaeSource(path=str(folder), sae_id=f"layer_{layer}") for layer in range(3)]
    return [load_sae(source, dtype=torch.float64) for source in sources]


@pytest.fixture(scope="module")
def model() -> Any:
    return double_model()


def clean(model: Any) -> dict[str, Tensor]:
    _, found = model.model.run_with_cache(TOKENS[None])
    return {name: found[name][0] for name in found}


def changed(
    model: Any, folder: Path, layer: int, change: Tensor
) -> tuple[Tensor, dict[int, Tensor]]:
    """The last logits, and what each layer's MLP reads after a change of its latents."""
    true, decoder = clean(model), load_file(folder / f"W_dec_{layer}.safetensors")[f"W_dec_{layer}"]
    seen: dict[int, Tensor] = {}
    hooks: list[tuple[str, Any]] = []
    for place in range(3 - layer):
        name = f"blocks.{layer + place}.hook_mlp_out"
        put = true[name] + change @ decoder[:, place]
        hooks.append((name, lambda value, hook, put=put: put[None]))
    for number in range(3):

        def see(value: Tensor, hook: Any, number: int = number) -> None:
            seen[number] = value[0]

        hooks.append((f"blocks.{number}.hook_resid_mid", see))
    logits = model.model.run_with_hooks(TOKENS[None], fwd_hooks=hooks)[0, -1]
    return logits, seen


def activations(model: Any, sae: Sae) -> Tensor:
    return sae.loaded.encode(clean(model)[sae.hook_in.name])


def columns(found: GradientMap) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return (found.late.positions, found.late.latents), (found.early.positions, found.early.latents)


@pytest.mark.parametrize(("early", "late"), [(0, 1), (0, 2), (1, 2)])
def test_latents_to_latents(
    early: int, late: int, model: Any, folder: Path, saes: list[Sae]
) -> None:
    found = latents_to_latents(model, saes[early], saes[late], TOKENS, COUNTED, LIMITS)

    def pre(change: Tensor) -> Tensor:
        x = changed(model, folder, early, change)[1][late]
        return x @ saes[late].loaded.W_enc + saes[late].loaded.b_enc

    jacobian = torch.func.jacrev(pre)(torch.zeros(6, 24, dtype=torch.float64))
    (lp, ll), (ep, el) = columns(found)
    expected = jacobian[lp[:, None], ll[:, None], ep[None], el[None]]
    torch.testing.assert_close(found.values, expected, rtol=1e-9, atol=1e-12)
    # Nothing is spliced in, so the later latents are those of the true run.
    active = (activations(model, saes[late]) > 0) & COUNTED[:, None]
    assert (found.n_true, found.n_reconstructed, found.n_one_only) == (int(active.sum()),) * 2 + (
        0,
    )


@pytest.mark.parametrize("early", [0, 1, 2])
def test_latents_to_logits(early: int, model: Any, folder: Path, saes: list[Sae]) -> None:
    found = latents_to_logits(model, saes[early], TOKENS, COUNTED, LOGITS, LIMITS)
    zero = torch.zeros(6, 24, dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda c: changed(model, folder, early, c)[0][LOGITS])(zero)
    _, (ep, el) = columns(found)
    torch.testing.assert_close(found.values, jacobian[:, ep, el], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.late.values, changed(model, folder, early, zero)[0][LOGITS])


def test_tokens_to_latents_are_of_the_true_model(model: Any, saes: list[Sae]) -> None:
    found = tokens_to_latents(model, saes[1], TOKENS, COUNTED, LIMITS)
    embedded = clean(model)["blocks.0.hook_resid_pre"]

    def pre(scale: Tensor) -> Tensor:
        seen: list[Tensor] = []
        hooks = [
            ("blocks.0.hook_resid_pre", lambda v, hook: (embedded * scale[:, None])[None]),
            ("blocks.1.hook_resid_mid", lambda v, hook: seen.append(v[0])),
        ]
        model.model.run_with_hooks(TOKENS[None], fwd_hooks=hooks)
        return seen[0] @ saes[1].loaded.W_enc + saes[1].loaded.b_enc

    jacobian = torch.func.jacrev(pre)(torch.ones(6, dtype=torch.float64))
    (lp, ll), (ep, _) = columns(found)
    torch.testing.assert_close(found.values, jacobian[lp[:, None], ll[:, None], ep[None]])


def test_interventions_take_every_write_away(model: Any, folder: Path, saes: list[Sae]) -> None:
    f, late = activations(model, saes[0]), activations(model, saes[2])
    position, latent = map(int, ((f > 0) & COUNTED[:, None]).nonzero()[3])
    change = torch.zeros(6, 24, dtype=torch.float64)
    change[position, latent] = -f[position, latent]
    logits, seen = changed(model, folder, 0, change)
    pairs = torch.tensor([[position, latent, 5, token] for token in LOGITS])
    found = ablation_effects(model, saes[0], None, TOKENS, COUNTED, pairs)
    zero = torch.zeros(6, 24, dtype=torch.float64)
    torch.testing.assert_close(found, (logits - changed(model, folder, 0, zero)[0])[LOGITS])
    where = [(p, i) for p, i in (late > 0).nonzero().tolist() if p >= position][:5]
    pairs = torch.tensor([[position, latent, p, i] for p, i in where])
    found = ablation_effects(model, saes[0], saes[2], TOKENS, COUNTED, pairs)
    after = saes[2].loaded.encode(seen[2])
    torch.testing.assert_close(found, torch.stack([after[p, i] - late[p, i] for p, i in where]))


def test_influences_are_of_all_that_is_written_before(
    model: Any, folder: Path, saes: list[Sae]
) -> None:
    """Directly: the writes to the MLPs of layers 0 and 1, read in layer 2; its own is not heard."""
    reads = ["blocks.0.hook_resid_mid", "blocks.2.hook_resid_mid"]
    run = freeze_batch(model, TOKENS[None], reads=reads)[0]
    f = activations(model, saes[2]) * COUNTED[:, None]
    position, latent = (int(n) for n in divmod(int(f.argmax()), 24))
    targets = targets_of(
        saes[2], run.acts[reads[1]], torch.tensor([position]), torch.tensor([latent])
    )
    early = activations(model, saes[0])
    (found,) = strongest_influences(
        run, saes[2].hook_in, targets, {0: (saes[0], early)}, COUNTED, 10**5
    )
    decoder = load_file(folder / "W_dec_0.safetensors")["W_dec_0"]
    read = saes[2].loaded.W_enc[:, latent]
    direct = {
        int(i): v for i, v, h in zip(found.latent, found.value, found.head, strict=True) if h < 0
    }
    active = early[position].nonzero()[:, 0].tolist()
    assert sorted(direct) == active
    for i in active:
        expected = float(early[position, i] * (decoder[i, :2].sum(dim=0) @ read))
        assert direct[i] == pytest.approx(expected, rel=1e-4)
    # Through a head of layer 1 only what is written to layer 0's MLP goes, of layer 2 both.
    for layer, places in ((1, 1), (2, 2)):
        here = [
            (h, s, i, v)
            for la, h, s, i, v in zip(
                found.layer, found.head, found.source, found.latent, found.value, strict=True
            )
            if la == layer
        ]
        assert here
        head, source, i, value = here[0]
        block = model.model.blocks[layer]
        pattern = clean(model)[f"blocks.{layer}.attn.hook_pattern"][head, position, source]
        written = decoder[i, :places].sum(dim=0) * early[source, i]
        scale = clean(model)[f"blocks.{layer}.ln1.hook_scale"][source]
        normed = (written - written.mean()) / scale * block.ln1.w
        moved = normed @ block.attn.W_V[head] @ block.attn.W_O[head]
        assert value == pytest.approx(float(pattern * (moved @ read)), rel=1e-4)
