"""A Bridge's model without the Bridge: the same activations in every family, or the Bridge's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from saereport.sources import bare
from saereport.sources.model_loading import load_model
from saereport.util.errors import SaereportError
from tests.factories import byte_tokenizer
from tests.families import TAKEN, Families, family_model

CORE = ("falcon-7b", "gemma2", "gpt2", "granite", "llama", "mistral", "mpt")
SITES = (
    *("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_mlp_out", "hook_attn_out"),
    *("attn.hook_z", "mlp.hook_in", "mlp.hook_out", "ln2.hook_normalized"),
)
ROUNDED = {
    *("bloom", "falcon-7b", "falcon-rw", "glm", "glm4", "gpt2", "gpt_bigcode", "gpt_neo", "gptj"),
    *("mpt", "olmo", "phi3", "starcoder2"),
}
"""Families in which a component of the Bridge computes in another order than what it replaces."""

SCALED = {"granite", "granitemoe"}
"""Families in which no module puts out what a sublayer adds to the residual stream."""

LENGTH = 48
"""More than the sliding windows of the families that have them."""


def rows(n: int = 3, length: int = LENGTH) -> Tensor:
    return torch.randint(3, 250, (n, length), generator=torch.Generator().manual_seed(5))


def furthest(found: Tensor, expected: Tensor) -> float:
    """The largest difference of a token's activations, relative to their norm."""
    off = (found.double() - expected.double()).norm(dim=-1) / expected.double().norm(dim=-1)
    return float(off.max())


@pytest.fixture(
    scope="module",
    params=[name if name in CORE else pytest.param(name, marks=pytest.mark.slow) for name in TAKEN],
)
def family(request: pytest.FixtureRequest, families: Families) -> tuple[str, Any]:
    return request.param, load_model(families(request.param))


@pytest.fixture
def llama(families: Families) -> Any:
    return load_model(families("llama"))


@pytest.mark.parametrize("site", SITES)
def test_every_family_gives_what_its_bridge_gives(family: tuple[str, Any], site: str) -> None:
    name, model = family
    hook = f"blocks.1.{site}"
    try:
        expected = model.run(rows(), [hook])[hook]
    except SaereportError:
        with pytest.raises(SaereportError):
            model.reader.run(rows(), [hook])
        return
    found = model.reader.run(rows(), [hook])[hook]
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    way = model.reader.ways([hook], LENGTH)[hook]
    if way is None:
        assert name in SCALED
        assert site in ("hook_mlp_out", "hook_attn_out")
        assert torch.equal(found, expected)
    assert furthest(found, expected) < 1e-5
    if way is not None and name not in ROUNDED:
        with model.reader._alone():
            plain = model.reader._read(rows(), {hook: way.place})[hook]
        assert torch.equal(plain, expected)


def test_several_hook_points_in_one_pass(llama: Any) -> None:
    hooks = ["blocks.2.hook_resid_post", "blocks.0.attn.hook_z", "model.layers.1.mlp"]
    expected = llama.run(rows(), hooks)
    found = llama.reader.run(rows(), hooks)
    ways = llama.reader.ways(hooks, LENGTH).values()
    assert [way.attention for way in ways] == [bare.FUSED] * 3
    assert found.keys() == expected.keys()
    for hook in hooks:
        assert furthest(found[hook], expected[hook]) < 1e-5
    assert llama.reader.run(rows(), []) == {}


def test_the_pass_ends_at_the_deepest_place(llama: Any) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError

    hook = "blocks.1.hook_resid_post"
    llama.reader.ways([hook], LENGTH)[hook]
    [last] = [m for n, m in llama.model.original_model.named_modules() if n == "model.layers.2"]
    attached = last.original_component.register_forward_pre_hook(fail)
    assert llama.reader.run(rows(), [hook])[hook].shape == (3, LENGTH, 48)
    attached.remove()


def test_the_bridge_is_back_afterwards(llama: Any) -> None:
    model = llama.model.original_model

    def hooked() -> list[str]:
        both = ((name, {**m._forward_hooks, **m._forward_pre_hooks}) for name, m in before.items())
        return [name for name, attached in both for _ in attached]

    before = dict(model.named_modules())
    hooks = hooked()
    hook = "blocks.1.hook_mlp_out"
    expected = llama.run(rows(), [hook])[hook]
    llama.reader.run(rows(), [hook])
    with llama.reader._alone(bare.FUSED):
        assert model.config._attn_implementation == bare.FUSED
        assert not any("Bridge" in type(m).__name__ for m in model.modules())
        with pytest.raises(TypeError):
            model(input_ids="no tokens")
    assert dict(model.named_modules()) == before
    assert model.config._attn_implementation == "eager"
    assert hooked() == hooks
    assert torch.equal(llama.run(rows(), [hook])[hook], expected)


def test_what_the_model_alone_does_not_have_is_taken_from_the_bridge(families: Families) -> None:
    model = load_model(families("granite"))
    hook = "blocks.1.hook_mlp_out"
    assert model.reader.ways([hook], LENGTH)[hook] is None
    assert torch.equal(model.reader.run(rows(), [hook])[hook], model.run(rows(), [hook])[hook])


def test_what_is_read_besides_changes_no_number(families: Families) -> None:
    """With one that the Bridge has to give, and with one that the model gives alone."""
    hooks = ["blocks.1.hook_mlp_out", "blocks.1.hook_resid_post", "blocks.2.hook_resid_pre"]
    model = load_model(families("granite"))
    together = bare.BareModel(model).run(rows(), hooks)
    assert list(together) == hooks
    for hook in hooks:
        alone = bare.BareModel(model).run(rows(), [hook])[hook]
        assert torch.equal(together[hook], alone)
    two = bare.BareModel(model).run(rows(), hooks[1:])
    assert all(torch.equal(two[hook], together[hook]) for hook in hooks[1:])


@pytest.mark.parametrize("error", [RuntimeError("not alone"), torch.OutOfMemoryError()])
def test_a_model_that_does_not_run_alone_keeps_its_bridge(llama: Any, error: Exception) -> None:
    layers = llama.model.original_model.model.layers

    def refuse(*_: Any) -> None:
        if not hasattr(layers[1], "original_component"):
            raise error

    hook = "blocks.1.hook_resid_post"
    expected = llama.run(rows(), [hook])[hook]
    llama.model.blocks[1].mlp.original_component.register_forward_pre_hook(refuse)
    if isinstance(error, torch.OutOfMemoryError):
        with pytest.raises(torch.OutOfMemoryError):
            llama.reader.run(rows(), [hook])
        assert hasattr(layers[1], "original_component")
        assert llama.model.original_model.config._attn_implementation == "eager"
        return
    assert torch.equal(llama.reader.run(rows(), [hook])[hook], expected)
    assert llama.reader.ways([hook], LENGTH)[hook] is None


@pytest.mark.parametrize("cap", [0.05, 50.0])
def test_capped_attention_is_never_fused(tmp_path: Any, monkeypatch: Any, cap: float) -> None:
    model = family_model("gemma2", attn_logit_softcapping=cap)
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    hook = "blocks.1.hook_resid_post"
    assert loaded.reader.ways([hook], LENGTH)[hook].attention is None
    # Nor where nothing says that there is a cap: it shows.
    monkeypatch.setattr(bare, "_can_fuse", lambda _model: True)
    again = bare.BareModel(loaded)
    if cap < 1:
        assert again.ways([hook], LENGTH)[hook].attention is None
    expected = loaded.run(rows(), [hook])[hook]
    assert torch.equal(loaded.reader.run(rows(), [hook])[hook], expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_few_bits_the_place_is_where_the_same_numbers_are(
    families: Families, dtype: torch.dtype
) -> None:
    model = load_model(families("llama"), dtype=dtype)
    hook = "blocks.1.hook_resid_post"
    way = model.reader.ways([hook], LENGTH)[hook]
    assert way is not None
    with model.reader._alone():
        plain = model.reader._read(rows(), {hook: way.place})[hook]
    expected = model.run(rows(), [hook])[hook]
    assert torch.equal(plain, expected)
    found = model.reader.run(rows(), [hook])[hook]
    assert furthest(found, expected) < bare.SAME_ATTENTION[dtype]


def test_a_hooked_transformer_reads_as_it_does(tiny: Any) -> None:
    assert tiny.reader is tiny
