"""Directions and token tables in many families of models, against measurements on plain models.

Nothing is derived a second time: vectors are written into Transformers' own modules and what
arrives is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from saereport.measure.weights import WEIGHT_TABLES, TokenRows, WeightContext
from saereport.measure.weights.context import normalized
from saereport.measure.weights.directions import reads_at, writes_of
from saereport.measure.weights.heads import layers_read
from saereport.sources.hooks import parse_hook
from saereport.sources.locating import locate
from tests.families import TAKEN, Families
from tests.measure.fakes import FakeSae
from tests.plain import Plain

LAYER = 1
CORE = (
    "bloom",
    "falcon-7b",
    "falcon-rw",
    "gemma",
    "gemma2",
    "gemma3",
    "glm4",
    "gpt2",
    "gpt_neox",
    "gpt_oss",
    "gptj",
    "granite",
    "llama-biased",
    "mixtral",
    "mpt",
    "nemotron",
    "olmo",
    "olmo2",
    "opt",
    "opt-350m",
    "phi",
    "qwen3",
    "stablelm-parallel",
    "xglm",
)
"""One of each way to be wired; the others are tested with the slow ones."""

POST_NORM = ("opt-350m",)
"""The residual stream itself is normalised in every block: there are no directions in it."""

SINKS = ("gpt_oss",)
"""How much attention one token pays to itself depends on it: nothing is said of its heads."""


def whole(pieces: Iterable[Tensor], dim: int = 0) -> Tensor:
    """A vocabulary in one tensor."""
    return torch.cat(list(pieces), dim=dim)


class Case:
    """A family's model, as the project loads it and as it is."""

    def __init__(self, name: str, folder: Path) -> None:
        from saereport.sources.model_loading import load_model

        self.name = name
        self.model = load_model(folder)
        self.plain = Plain(folder)
        self.tokens = TokenRows(self.model)

    def context(self, hook_in: str, hook_out: str | None = None, seed: int = 0) -> WeightContext:
        """Six latents with random vectors."""
        generator = torch.Generator().manual_seed(seed)
        hooks = [parse_hook(f"blocks.{LAYER}.{name}") for name in (hook_in, hook_out or hook_in)]
        d_in, d_out = (self.model.width(hook) for hook in hooks)
        sae = FakeSae(
            slug=hook_in,
            why_no_decoder="",
            why_no_reads="",
            hook_in=hooks[0],
            writes=(hooks[1],),
            W_enc=torch.randn(d_in, 6, generator=generator),
            W_dec=torch.randn(6, d_out, generator=generator) + 0.3,
        )
        return WeightContext(sae, np.arange(6), self.tokens, listed=10)


@pytest.fixture(
    scope="module",
    params=[name if name in CORE else pytest.param(name, marks=pytest.mark.slow) for name in TAKEN],
)
def case(request: pytest.FixtureRequest, families: Families) -> Case:
    return Case(request.param, families(request.param))


def assert_parallel(found: Tensor, measured: Tensor) -> None:
    """Rows point the same way: as far as single precision tells."""
    cosine = torch.cosine_similarity(found.double(), measured.double(), dim=-1)
    assert float(cosine.min()) > 1 - 1e-5


WRITES = {
    "z": ("attn.hook_z", "attention_out", "input"),
    "attention": ("attn.hook_out", "attention_out", "output"),
    "MLP": ("mlp.hook_out", "mlp_out", "output"),
}


@pytest.mark.parametrize("where", WRITES)
def test_logit_lens_is_what_a_write_does_to_the_logits(case: Case, where: str) -> None:
    site, module, end = WRITES[where]
    if where == "MLP" and case.name in ("opt", "opt-350m", "xglm"):
        site = "hook_mlp_out"  # the MLP is no module of its own
    context = case.context(site)
    table = WEIGHT_TABLES["logit_lens"]
    if case.name in POST_NORM:
        assert "does not pass block" in table.why_not(context) or "measured on this model" in (
            table.why_not(context)
        )
        return
    assert table.why_not(context) == ""
    at = getattr(case.plain, module)(LAYER)
    logits = case.plain.moved(
        context.sae.W_dec,
        (at, end),
        (case.plain.head, "output"),
        case.plain.sublayers(),
        empty=case.plain.layers[LAYER],
    )
    scores = writes_of(context.sae, case.model, None) @ whole(case.tokens.unembedding(), dim=1)
    assert_parallel(scores, logits)
    columns = table.compute(context)
    for row, listed in enumerate(columns["top_tokens"]):
        assert set(listed.tolist()) == set(logits[row].topk(10).indices.tolist())


def test_what_the_mlp_reads(case: Case) -> None:
    hooks = ("mlp.hook_in", "ln2.hook_out") if case.name in ("opt", "xglm") else ("mlp.hook_in",)
    context = case.context(hooks[-1])
    hook = context.hook_in
    if case.name in POST_NORM:
        assert WEIGHT_TABLES["deembedding"].why_not(context)
        return
    assert WEIGHT_TABLES["deembedding"].why_not(context) == ""
    rows = torch.randn((4, case.model.d_model), generator=torch.Generator().manual_seed(3)) + 0.5
    arrived = case.plain.moved(
        rows,
        (case.plain.layers[LAYER], "input"),
        (case.plain.mlp(LAYER), "input"),
        [case.plain.attention_out(LAYER)],
    )
    reads = reads_at(torch.eye(case.model.d_model), hook, case.model)
    assert_parallel(rows @ reads.T, arrived)


def test_what_the_heads_read(case: Case) -> None:
    context = case.context("attn.hook_z")
    reason = WEIGHT_TABLES["head_deembedding"].why_not(context)
    if case.name in POST_NORM + SINKS:
        assert "this model" in reason
        return
    assert reason == ""
    rows = torch.randn((4, case.model.d_model), generator=torch.Generator().manual_seed(4)) + 0.5
    arrived = case.plain.moved(
        rows,
        (case.plain.layers[LAYER], "input"),
        (case.plain.attention_out(LAYER), "input"),
        [],
        length=1,
    )
    width = case.model.n_heads * case.model.d_head
    assert_parallel(rows @ reads_at(torch.eye(width), context.hook_in, case.model).T, arrived)


def test_token_rows_and_what_the_first_mlp_makes_of_them(case: Case) -> None:
    if case.name in POST_NORM:
        return
    some = torch.arange(5, 250, 30)
    first = case.plain.layers[0]
    entered = case.plain.run(some[:, None], read=(first, "input"))[:, 0]
    rows = whole(case.tokens.embedding())
    # Positions add the same to each token, so only differences between tokens are the embedding's.
    torch.testing.assert_close(
        rows[some] - rows[some[0]], entered - entered[0], atol=1e-4, rtol=1e-4
    )
    out = case.plain.run(
        some[:, None],
        inputs={first: rows[some][:, None]},
        zero=[case.plain.attention_out(0)],
        read=(first, "output"),
    )[:, 0]
    expected = normalized(out.float(), case.model.norm)
    torch.testing.assert_close(whole(case.tokens.extended())[some], expected, atol=1e-3, rtol=1e-3)


def test_through_a_head_of_the_layer_before(case: Case) -> None:
    """What a head moves, up to the norm's scale, is what the table says that it moves."""
    context = case.context("hook_resid_pre")
    table = WEIGHT_TABLES["head_deembedding"]
    if case.name in POST_NORM + SINKS:
        assert "this model" in table.why_not(context)
        return
    assert table.why_not(context) == ""
    columns = table.compute(context)
    rows = whole(case.tokens.extended())
    plain, width = case.plain, case.model.d_head
    assert len(columns["latent"]) == 18
    for i in range(0, 18, 6):
        layer, head = int(columns["layer"][i]), int(columns["head"][i])
        assert layer == 0
        z = plain.moved(
            rows, (plain.layers[0], "input"), (plain.attention_out(0), "input"), [], length=1
        )
        alone = torch.zeros_like(z)  # what one head puts out
        alone[:, width * head : width * (head + 1)] = z[:, width * head : width * (head + 1)]
        moved = plain.moved(
            alone, (plain.attention_out(0), "input"), (plain.layers[0], "output"), plain.sublayers()
        )
        scores = (
            normalized(moved.float(), case.model.norm) @ context.encoder[int(columns["latent"][i])]
        )
        assert columns["top_tokens"][i].tolist() == scores.topk(10).indices.tolist()


@pytest.mark.parametrize("name", ["gemma2", "llama", "bloom"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_finds_the_same_ways(
    name: str, dtype: torch.dtype, families: Families
) -> None:
    from saereport.sources.model_loading import load_model

    exact, half = (load_model(families(name), dtype=d).wiring for d in (torch.float32, dtype))
    for hook in map(parse_hook, ("blocks.1.attn.hook_z", "blocks.1.mlp.hook_in")):
        ways = [(w.into(hook), w.values(1), w.heads(1), w.out_of(hook)) for w in (exact, half)]
        for a, b in zip(*ways, strict=True):
            assert (a.problem, a.centred, a.scale) == (b.problem, b.centred, b.scale)
            assert (a.gain is None) == (b.gain is None)
            if a.gain is not None:
                torch.testing.assert_close(a.gain, b.gain, atol=2e-2, rtol=0)
    for wiring in (exact, half):
        assert wiring.stream == wiring.mlp0_problem == ""
        assert wiring.embedding_problem == wiring.unembedding_problem == ""


@pytest.mark.parametrize("name", ["gemma2", "llama"])
def test_no_table_of_the_vocabulary_is_kept_while_the_text_is_read(
    name: str, families: Families
) -> None:
    """Of Gemma's vocabulary one takes gigabytes on the device."""
    from saereport.sources.model_loading import load_model

    wiring = load_model(families(name), dtype=torch.bfloat16).wiring
    assert wiring.embedding_problem == wiring.unembedding_problem == ""
    rows, columns = wiring.embedding(), wiring.unembedding()
    kept = [part for value in vars(wiring).values() for part in _parts(value)]
    assert max((part.numel() for part in kept), default=0) < min(rows.numel(), columns.numel())
    weights = [w for _, w in wiring.model.model.named_parameters()]
    assert columns.data_ptr() not in [w.data_ptr() for w in weights], "weights are not written to"


def _parts(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [part for item in value for part in _parts(item)]
    gain = getattr(value, "gain", None)
    return [gain] if isinstance(gain, Tensor) else []


def test_a_model_that_was_changed_behind_its_weights_loses_its_tables(families: Families) -> None:
    """Nobody knows of this family: its attention's output is turned around on the way."""
    from saereport.sources.model_loading import load_model

    model = load_model(families("llama"))
    hook = parse_hook("blocks.1.attn.hook_z")
    out = model.find_module("blocks.1.attn.hook_out")
    assert out is not None

    def turned(_module: Any, _args: Any, found: Any) -> Any:
        first = found[0] if isinstance(found, tuple) else found
        return (first.roll(1, dims=-1), *found[1:]) if isinstance(found, tuple) else first.roll(1)

    handle = out[0].register_forward_hook(turned)
    try:
        assert "is not what its weights say (off by" in model.wiring.out_of(hook).problem
    finally:
        handle.remove()


MODULES = {
    ("gemma2", "model.layers.1.mlp"): "mlp_out",
    ("gemma3", "model.layers.1.self_attn"): "attention_out",
    ("olmo2", "model.layers.1.mlp"): "mlp_out",
    ("granite", "model.layers.1.mlp"): "mlp_out",
    ("gpt_neox", "gpt_neox.layers.1.attention"): "attention_out",
}


@pytest.mark.parametrize(("name", "module"), MODULES)
def test_what_a_named_module_writes(name: str, module: str, families: Families) -> None:
    """An SAE of a Hugging Face module writes before a norm that stands behind it."""
    case = Case(name, families(name))
    hook = locate(case.model, parse_hook(module))
    rows = torch.randn((5, 48), generator=torch.Generator().manual_seed(1)) + 0.3
    sae: Any = FakeSae(hook_in=hook, writes=(hook,), W_dec=rows)
    at = getattr(case.plain, MODULES[name, module])(1)
    last = case.plain.layers[-1]
    arrived = case.plain.moved(
        rows, (at, "output"), (last, "output"), case.plain.sublayers(), empty=case.plain.layers[1]
    )
    assert_parallel(writes_of(sae, case.model, None), arrived)


def test_an_mlp_reads_the_heads_beside_it_unless_the_block_is_parallel(families: Families) -> None:
    expected = {"gptj": False, "gpt_neox": False, "gpt_neox-sequential": True, "gemma2": True}
    for name, sequential in expected.items():
        case = Case(name, families(name))
        context = case.context("mlp.hook_in", "hook_mlp_out")
        assert layers_read(context) == ([0, 1] if sequential else [0]), name
        heads = FakeSae(**vars(case.context("attn.hook_z").sae))
        heads.slug = "heads"
        beside = WeightContext(context.sae, context.latents, case.tokens, [heads])
        assert bool(WEIGHT_TABLES["pullbacks"].why_not(beside)) != sequential
