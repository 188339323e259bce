"""Effects of ablations, against one pass at a time written out with TransformerLens's hooks."""

from __future__ import annotations

import pytest
import torch

from saereport.circuits.gradients import interventions
from saereport.circuits.gradients.interventions import ablation_effects
from saereport.circuits.gradients.maps import MapLimits, latents_to_latents, latents_to_logits
from saereport.util.errors import SaereportError
from tests.circuits import dense
from tests.factories import ARCHITECTURES, tiny_tokens

ALL = MapLimits(None, None, 1 << 28)
TOKENS = tiny_tokens(1, 9)[0]
COUNTED = torch.tensor([False] + [True] * 8)


def make_early(tiny_sae, architecture="standard", **options):
    transcodes = "transcoder" in architecture
    hook = "blocks.1.ln2.hook_normalized" if transcodes else "blocks.1.attn.hook_z"
    return tiny_sae(architecture, hook_name=hook, seed=1, **options)


def make_late(tiny_sae, architecture="standard"):
    return tiny_sae(architecture, hook_name="blocks.2.hook_resid_pre", seed=3)


def one_by_one(model, early, late, pairs):
    """The measured change for each pair: three passes each, no batches."""
    write = early.write_point.name
    read = late.hook_in.name if late else None
    a = dense.run(model, TOKENS, {}, early.hook_in.name)
    f = dense.dense_f(early, a)
    whole = dense.reconstruct(early, a, f)
    effects = []
    for early_position, early_latent, late_position, late_latent in pairs.tolist():
        less = f.clone()
        less[early_position, early_latent] = 0
        change = dense.reconstruct(early, a, less) - whole
        after = dense.run(model, TOKENS, {write: lambda true, c=change: true + c}, read)
        before = dense.run(model, TOKENS, {}, read)
        if late is not None:
            after, before = dense.dense_f(late, after), dense.dense_f(late, before)
        effects.append((after - before)[late_position, late_latent])
    return torch.stack(effects)


def some_pairs(found, n=25, seed=0):
    """Pairs of a gradient map: some that share a source, some whose late position is earlier."""
    generator = torch.Generator().manual_seed(seed)
    i = torch.randint(0, len(found.early), (n,), generator=generator)
    j = torch.randint(0, len(found.late), (n,), generator=generator)
    i[: n // 3] = i[0]
    return torch.stack(
        [
            found.early.positions[i],
            found.early.latents[i],
            found.late.positions[j],
            found.late.latents[j],
        ],
        dim=1,
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_effects_on_latents(tiny, tiny_sae, architecture):
    early, late = make_early(tiny_sae, architecture), make_late(tiny_sae)
    pairs = some_pairs(latents_to_latents(tiny, early, late, TOKENS, COUNTED, ALL))
    found = ablation_effects(tiny, early, late, TOKENS, COUNTED, pairs)
    expected = one_by_one(tiny, early, late, pairs)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
    assert expected.abs().max() > 1e-3


@pytest.mark.parametrize("architecture", ["topk", "gated", "jumprelu", "standard"])
def test_effects_on_latents_of_other_architectures(tiny, tiny_sae, architecture):
    early, late = make_early(tiny_sae), make_late(tiny_sae, architecture)
    pairs = some_pairs(latents_to_latents(tiny, early, late, TOKENS, COUNTED, ALL))
    found = ablation_effects(tiny, early, late, TOKENS, COUNTED, pairs)
    torch.testing.assert_close(found, one_by_one(tiny, early, late, pairs), rtol=1e-3, atol=1e-5)


def test_effects_of_a_normalising_sae(tiny, tiny_sae):
    early = make_early(tiny_sae, normalize_activations="layer_norm")
    late = make_late(tiny_sae)
    pairs = some_pairs(latents_to_latents(tiny, early, late, TOKENS, COUNTED, ALL))
    found = ablation_effects(tiny, early, late, TOKENS, COUNTED, pairs)
    torch.testing.assert_close(found, one_by_one(tiny, early, late, pairs), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("architecture", ["standard", "transcoder"])
def test_effects_on_logits(tiny, tiny_sae, architecture):
    early = make_early(tiny_sae, architecture)
    pairs = some_pairs(latents_to_logits(tiny, early, TOKENS, COUNTED, [4, 9, 71], ALL))
    found = ablation_effects(tiny, early, None, TOKENS, COUNTED, pairs)
    expected = one_by_one(tiny, early, None, pairs)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert expected.abs().max() > 1e-3


def test_batches_change_nothing(tiny, tiny_sae, monkeypatch):
    early, late = make_early(tiny_sae), make_late(tiny_sae)
    pairs = some_pairs(latents_to_latents(tiny, early, late, TOKENS, COUNTED, ALL))
    together = ablation_effects(tiny, early, late, TOKENS, COUNTED, pairs)
    monkeypatch.setattr(interventions, "auto_memory", lambda device: 1)
    singly = ablation_effects(tiny, early, late, TOKENS, COUNTED, pairs)
    torch.testing.assert_close(singly, together, rtol=1e-3, atol=1e-5)


def test_on_a_linear_path_the_prediction_is_the_measurement(tiny, tiny_sae):
    """Attention's output to the residual stream right after it: a sum, with nothing in between."""
    early = tiny_sae("standard", hook_name="blocks.1.attn.hook_z", seed=1)
    late = tiny_sae("standard", hook_name="blocks.1.hook_resid_mid", seed=3)
    nowhere = torch.zeros_like(COUNTED)
    everywhere = latents_to_latents(tiny, early, late, TOKENS, COUNTED, ALL)
    f_true = dense.true_f(tiny, late, TOKENS)
    true = f_true[everywhere.late.positions, everywhere.late.latents]
    measured, predicted = [], []
    for i in range(0, len(everywhere.early), 7):
        column = everywhere.values[:, i]
        change = -everywhere.early.values[i] * column
        # Where the latent is active in both runs; a ReLU is linear there.
        rows = ((true > 0) & (true + change > 1e-3) & (change != 0)).nonzero()[:, 0]
        source = everywhere.early.positions[i], everywhere.early.latents[i]
        pairs = torch.stack(
            [
                source[0].expand(len(rows)),
                source[1].expand(len(rows)),
                everywhere.late.positions[rows],
                everywhere.late.latents[rows],
            ],
            dim=1,
        )
        measured.append(ablation_effects(tiny, early, late, TOKENS, COUNTED, pairs))
        predicted.append(change[rows])
        assert not ablation_effects(tiny, early, late, TOKENS, nowhere, pairs).any()
    assert torch.cat(predicted).abs().max() > 1e-2
    torch.testing.assert_close(torch.cat(measured), torch.cat(predicted), rtol=1e-3, atol=1e-5)


def test_a_latent_that_turns_off_has_lost_its_activation(tiny, tiny_sae):
    early, late = make_early(tiny_sae), make_late(tiny_sae)
    found = latents_to_latents(tiny, early, late, TOKENS, COUNTED, ALL)
    f_true = dense.true_f(tiny, late, TOKENS)
    i, j = torch.meshgrid(
        torch.arange(len(found.early)), torch.arange(len(found.late)), indexing="ij"
    )
    i, j = i.flatten(), j.flatten()
    pairs = torch.stack(
        [
            found.early.positions[i],
            found.early.latents[i],
            found.late.positions[j],
            found.late.latents[j],
        ],
        dim=1,
    )
    effects = ablation_effects(tiny, early, late, TOKENS, COUNTED, pairs)
    true = f_true[pairs[:, 2], pairs[:, 3]]
    assert (effects >= -true - 1e-5).all()
    off = (effects + true).abs() < 1e-6
    assert (off & (true > 1e-3)).any()
    assert not effects[pairs[:, 0] > pairs[:, 2]].abs().max() > 1e-5


def test_no_pairs(tiny, tiny_sae):
    early, late = make_early(tiny_sae), make_late(tiny_sae)
    pairs = torch.empty(0, 4, dtype=torch.int64)
    assert ablation_effects(tiny, early, late, TOKENS, COUNTED, pairs).shape == (0,)


def test_wrong_order(tiny, tiny_sae):
    early, late = make_early(tiny_sae), make_late(tiny_sae)
    pairs = torch.tensor([[1, 1, 1, 1]])
    with pytest.raises(SaereportError, match="comes after"):
        ablation_effects(tiny, late, early, TOKENS, COUNTED, pairs)
