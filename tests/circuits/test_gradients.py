"""Gradients on tiny models, for every architecture of SAE, against the dense definition."""

from __future__ import annotations

import pytest
import torch

from saereport.circuits.active import Active, active_of
from saereport.circuits.gradients.maps import (
    MapLimits,
    latents_to_latents,
    latents_to_logits,
    spliced_logits,
    tokens_to_latents,
    true_activations,
)
from saereport.util.errors import SaereportError
from tests.circuits import dense
from tests.factories import ARCHITECTURES, tiny_tokens

ALL = MapLimits(inputs=None, outputs=None, memory=1 << 28)
HOOKS = {"early": "blocks.0.hook_resid_post", "late": "blocks.2.hook_resid_pre"}
NORMALIZED = ("blocks.1.ln2.hook_normalized", "blocks.2.ln2.hook_normalized")


def make(tiny_sae, architecture, end, **options):
    if "transcoder" in architecture:
        hook = NORMALIZED[0] if end == "early" else NORMALIZED[1]
        return tiny_sae(architecture, hook_name=hook, seed=1, **options)
    return tiny_sae(architecture, hook_name=HOOKS[end], seed=2 + (end == "late"), **options)


def prompt(length=9, seed=0):
    tokens = tiny_tokens(1, length, seed=seed)[0]
    counted = torch.ones(length, dtype=torch.bool)
    counted[0] = False
    return tokens, counted


def same(active: Active, where: dense.Where) -> bool:
    return torch.equal(active.positions, where[0]) and torch.equal(active.latents, where[1])


def check_latents(model, early, late, tokens, counted, **tolerance):
    found = latents_to_latents(model, early, late, tokens, counted, ALL)
    inputs, outputs, f_late, expected = dense.latents_jacobian(model, early, late, tokens, counted)
    assert same(found.early, inputs)
    assert same(found.late, outputs)
    torch.testing.assert_close(found.late.values, f_late, **tolerance)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found.values, expected, **tolerance)
    true = {
        (p, i)
        for p, i in zip(
            *map(torch.Tensor.tolist, dense.active(dense.true_f(model, late, tokens), counted)),
            strict=True,
        )
    }
    spliced = set(zip(outputs[0].tolist(), outputs[1].tolist(), strict=True))
    assert (found.n_true, found.n_reconstructed) == (len(true), len(spliced))
    assert found.n_one_only == len(true ^ spliced)
    assert (found.n_early_all, found.n_late_all) == (len(inputs[0]), len(spliced))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_early_of_every_architecture(tiny, tiny_sae, architecture):
    early = make(tiny_sae, architecture, "early")
    late = make(tiny_sae, "standard", "late")
    check_latents(tiny, early, late, *prompt(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_late_of_every_architecture(tiny, tiny_sae, architecture):
    early = make(tiny_sae, "standard", "early")
    late = make(tiny_sae, architecture, "late")
    check_latents(tiny, early, late, *prompt(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalization", ["layer_norm", "constant_norm_rescale"])
def test_saes_that_normalise_at_run_time(tiny, tiny_sae, normalization):
    early = make(tiny_sae, "standard", "early", normalize_activations=normalization)
    late = make(tiny_sae, "jumprelu", "late", normalize_activations=normalization)
    assert (early.normalizes, late.normalizes) == (normalization, normalization)
    check_latents(tiny, early, late, *prompt(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalization", ["layer_norm", "constant_norm_rescale"])
def test_transcoders_that_normalise_at_run_time(tiny, tiny_sae, normalization):
    early = make(tiny_sae, "transcoder", "early", normalize_activations=normalization)
    late = make(tiny_sae, "transcoder", "late", normalize_activations=normalization)
    check_latents(tiny, early, late, *prompt(), rtol=1e-4, atol=1e-5)


def test_topk_that_rescales_by_decoder_norms(tiny, tiny_sae):
    early = make(tiny_sae, "topk", "early", rescale_acts_by_decoder_norm=True)
    late = make(tiny_sae, "topk", "late", rescale_acts_by_decoder_norm=True)
    check_latents(tiny, early, late, *prompt(), rtol=1e-4, atol=1e-5)


def test_between_attention_saes(tiny, tiny_sae):
    early = tiny_sae("standard", hook_name="blocks.0.attn.hook_z", seed=7)
    late = tiny_sae("standard", hook_name="blocks.2.attn.hook_z", seed=8)
    check_latents(tiny, early, late, *prompt(), rtol=1e-4, atol=1e-5)


def test_within_one_layer(tiny, tiny_sae):
    early = tiny_sae("standard", hook_name="blocks.1.attn.hook_z", seed=7)
    late = make(tiny_sae, "transcoder", "early")
    check_latents(tiny, early, late, *prompt(), rtol=1e-4, atol=1e-5)


def test_bos_takes_part_if_it_counts(tiny, tiny_sae):
    early, late = make(tiny_sae, "standard", "early"), make(tiny_sae, "standard", "late")
    tokens, counted = prompt()
    without = latents_to_latents(tiny, early, late, tokens, counted, ALL)
    assert without.early.positions.min() == without.late.positions.min() == 1
    everywhere = torch.ones_like(counted)
    check_latents(tiny, early, late, tokens, everywhere, rtol=1e-4, atol=1e-5)
    found = latents_to_latents(tiny, early, late, tokens, everywhere, ALL)
    assert found.early.positions.min() == found.late.positions.min() == 0


@pytest.mark.parametrize("architecture", ["standard", "gated", "topk", "transcoder"])
def test_tokens_to_latents(tiny, tiny_sae, architecture):
    late = make(tiny_sae, architecture, "late")
    tokens, counted = prompt()
    found = tokens_to_latents(tiny, late, tokens, counted, ALL)
    outputs, expected = dense.tokens_jacobian(tiny, late, tokens, counted)
    assert same(found.late, outputs)
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-5)
    assert expected.abs().max() > 1e-3
    assert found.early.positions.tolist() == list(range(1, 9))
    assert found.early.latents.unique().tolist() == [-1]
    assert found.early.values.unique().tolist() == [1.0]
    assert found.n_true == found.n_reconstructed == found.n_late_all == len(outputs[0])
    assert (found.n_one_only, found.n_early_all) == (0, 8)


def test_tokens_to_latents_of_the_first_residual_stream(tiny, tiny_sae):
    late = tiny_sae("standard", hook_name="blocks.0.hook_resid_pre", seed=5)
    tokens, counted = prompt()
    found = tokens_to_latents(tiny, late, tokens, counted, ALL)
    _, expected = dense.tokens_jacobian(tiny, late, tokens, counted)
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "hook"),
    [
        ("standard", "blocks.0.hook_resid_post"),
        ("gated", "blocks.2.hook_resid_post"),
        ("transcoder", "blocks.2.ln2.hook_normalized"),
        ("jumprelu", "blocks.1.attn.hook_z"),
    ],
)
def test_latents_to_logits(tiny, tiny_sae, architecture, hook):
    early = tiny_sae(architecture, hook_name=hook, seed=4)
    tokens, counted = prompt()
    found = latents_to_logits(tiny, early, tokens, counted, [5, 3, 90], ALL)
    expected = dense.logits_jacobian(tiny, early, tokens, counted, [5, 3, 90])
    assert same(found.early, dense.active(dense.true_f(tiny, early, tokens), counted))
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-5)
    assert expected.abs().max() > 1e-3
    assert found.late.latents.tolist() == [5, 3, 90]
    assert found.late.positions.tolist() == [8, 8, 8]
    assert torch.equal(found.late.values, spliced_logits(tiny, early, tokens, counted)[[5, 3, 90]])
    assert (found.n_true, found.n_reconstructed, found.n_one_only) == (0, 0, 0)


@pytest.mark.parametrize("architecture", ["standard", "skip_transcoder"])
def test_spliced_logits(tiny, tiny_sae, architecture):
    sae = make(tiny_sae, architecture, "early")
    tokens, counted = prompt()
    f = dense.true_f(tiny, sae, tokens)
    inputs = dense.active(f, counted)
    function = dense.from_latents(tiny, sae, None, tokens, counted, inputs)
    found = spliced_logits(tiny, sae, tokens, counted)
    torch.testing.assert_close(found, function(f[inputs])[-1], rtol=1e-4, atol=1e-4)
    true = spliced_logits(tiny, None, tokens, counted)
    torch.testing.assert_close(true, tiny.model(tokens[None])[0, -1], rtol=1e-4, atol=1e-4)
    assert (found - true).abs().max() > 0.1


def test_true_activations(tiny, tiny_sae):
    saes = [make(tiny_sae, "standard", "early"), make(tiny_sae, "topk", "late")]
    tokens, _ = prompt()
    found = true_activations(tiny, saes, tokens)
    assert list(found) == [sae.slug for sae in saes]
    for sae in saes:
        expected = dense.true_f(tiny, sae, tokens)
        torch.testing.assert_close(found[sae.slug], expected, rtol=1e-4, atol=1e-5)


def test_limits_keep_the_largest_activations(tiny, tiny_sae):
    early, late = make(tiny_sae, "standard", "early"), make(tiny_sae, "standard", "late")
    tokens, counted = prompt()
    whole = latents_to_latents(tiny, early, late, tokens, counted, ALL)
    few = latents_to_latents(tiny, early, late, tokens, counted, MapLimits(7, 5, 1 << 28))
    assert (len(few.early), len(few.late)) == (7, 5)
    for name in ("n_true", "n_reconstructed", "n_one_only", "n_early_all", "n_late_all"):
        assert getattr(few, name) == getattr(whole, name)
    columns = whole.early.values.argsort(descending=True)[:7].sort().values
    rows = whole.late.values.argsort(descending=True)[:5].sort().values
    assert torch.equal(few.early.values, whole.early.values[columns])
    assert torch.equal(few.late.latents, whole.late.latents[rows])
    expected = whole.values[rows][:, columns]
    torch.testing.assert_close(few.values, expected, rtol=1e-4, atol=1e-6)


def test_little_memory_gives_the_same(tiny, tiny_sae):
    early, late = make(tiny_sae, "standard", "early"), make(tiny_sae, "standard", "late")
    tokens, counted = prompt()
    little = MapLimits(None, None, 1)
    for function, places in (
        (latents_to_latents, (early, late)),
        (tokens_to_latents, (late,)),
    ):
        much = function(tiny, *places, tokens, counted, ALL)
        some = function(tiny, *places, tokens, counted, little)
        torch.testing.assert_close(some.values, much.values, rtol=1e-4, atol=1e-6)


def test_progress_counts_every_derivative_once(tiny, tiny_sae):
    early, late = make(tiny_sae, "standard", "early"), make(tiny_sae, "standard", "late")
    tokens, counted = prompt()
    for function, places in ((latents_to_latents, (early, late)), (tokens_to_latents, (late,))):
        done: list[int] = []
        found = function(tiny, *places, tokens, counted, ALL, advance=done.append)
        assert sum(done) == found.values.numel()


def test_equal_inputs_give_equal_numbers(tiny, tiny_sae):
    early, late = make(tiny_sae, "standard", "early"), make(tiny_sae, "standard", "late")
    first, again = (latents_to_latents(tiny, early, late, *prompt(), ALL) for _ in range(2))
    assert torch.equal(first.values, again.values)


@pytest.mark.parametrize(
    ("early", "late", "said"),
    [
        ("blocks.2.hook_resid_pre", "blocks.0.hook_resid_post", "comes after"),
        ("blocks.1.hook_resid_pre", "blocks.1.hook_resid_pre", "at the same point"),
        ("blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "comes after"),
    ],
)
def test_wrong_order(tiny, tiny_sae, early, late, said):
    pair = [tiny_sae("standard", hook_name=name, seed=n) for n, name in enumerate((early, late))]
    with pytest.raises(SaereportError, match=said):
        latents_to_latents(tiny, *pair, *prompt(), ALL)


def test_a_transcoder_reaches_only_what_comes_after_its_output(tiny, tiny_sae):
    transcoder = make(tiny_sae, "transcoder", "early")
    same_layer = tiny_sae("standard", hook_name="blocks.1.hook_mlp_out", seed=3)
    with pytest.raises(SaereportError, match="at the same point"):
        latents_to_latents(tiny, transcoder, same_layer, *prompt(), ALL)


def test_dead_on_the_prompt(tiny, tiny_sae):
    tokens, counted = prompt()
    dead = make(tiny_sae, "jumprelu", "early", d_sae=20)
    dead.loaded.threshold.data.fill_(1e9)
    alive = make(tiny_sae, "standard", "late")
    with pytest.raises(SaereportError, match="dead on this prompt"):
        latents_to_latents(tiny, dead, alive, tokens, counted, ALL)
    with pytest.raises(SaereportError, match="dead on this prompt"):
        latents_to_logits(tiny, dead, tokens, counted, [3], ALL)
    with pytest.raises(SaereportError, match="dead on this prompt"):
        tokens_to_latents(tiny, dead, tokens, counted, ALL)
    with pytest.raises(SaereportError, match="dead on this prompt"):
        tokens_to_latents(tiny, alive, tokens, torch.zeros_like(counted), ALL)


def test_active_latents_are_sorted_and_limited_by_activation():
    f = torch.tensor([[9.0, 0, 1], [2, 3, 0], [-1, 2, 5]])
    counted = torch.tensor([False, True, True])
    every = active_of(f, counted)
    assert every.positions.tolist() == [1, 1, 2, 2]
    assert every.latents.tolist() == [0, 1, 1, 2]
    assert every.values.tolist() == [2, 3, 2, 5]
    assert active_of(f, counted, 3).values.tolist() == [2, 3, 5]
    assert active_of(f, counted, 3).positions.tolist() == [1, 1, 2]
    assert len(active_of(f, counted, 0)) == 0
