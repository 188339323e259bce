"""How a model is wired, measured on the model at hand.

Where norms stand, with or without weights that are stored as a distance from one, whether blocks
are parallel, what multiplies the embedding, a sublayer's output or the logits: families differ in
all of it, and no list of families is complete. So nothing is concluded from names. Vectors are
written at hook points in passes over single tokens, with what other sublayers add held at zero,
and what arrives is compared with what the weights say. What they do not explain has a `problem`, a
clause for readers, and nothing is computed that would need it.

Vectors are written with both signs and half the difference is looked at: biases drop out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from saereport.sources.ends import Ends
from saereport.sources.forward import Edit, forward
from saereport.sources.hooks import HookPoint, parse_hook
from saereport.sources.legs import Leg
from saereport.sources.probing import (
    FAILURES,
    SIZE,
    first_line,
    sample_of,
    through,
    unless_full,
)

if TYPE_CHECKING:
    from saereport.sources.models import LanguageModel


class Wiring(Ends):
    """What stands between hook points and the residual stream of a model; measured when asked.

    Args:
        model: The model.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__(model)
        self._known: dict[tuple[str, str], Leg] = {}

    def into(self, hook: HookPoint) -> Leg:
        """From the residual stream to a hook point on it or before an MLP.

        For `z` it is the way to the heads' value matrices, for `attn_out` the way from the heads'
        sum `z @ W_O` to the hook point.
        """
        if hook.kind == "z":
            return self.values(hook.layer)
        if hook.name == "hook_embed":
            return self._leg("into", hook.name, self._stream_to_embedding)
        measure = self._heads_to_hook if hook.kind == "attn_out" else self._stream_to_hook
        return self._leg("into", hook.name, lambda: measure(hook))

    def out_of(self, hook: HookPoint) -> Leg:
        """From a hook point to the residual stream behind its block; for `z`, from `z @ W_O`.

        A hook point on the residual stream, or on a copy of it, is in the stream's own terms.
        """
        if hook.kind == "z":
            return self.heads(hook.layer)
        if hook.name != "hook_embed" and hook.kind not in ("mlp_out", "attn_out"):
            return self.into(hook)
        return self._leg("out of", hook.name, lambda: self._hook_to_stream(hook))

    def values(self, layer: int) -> Leg:
        """From the residual stream before a block to its heads' value matrices."""
        return self._all_values[layer]

    def heads(self, layer: int) -> Leg:
        """From the sum over a block's heads, `z @ W_O`, to the residual stream."""
        return self._all_heads[layer]

    def hears_heads(self, hook: HookPoint) -> bool:
        """Whether what the heads of its own layer add reaches a reader of the residual stream.

        In a parallel block it does not reach the MLP beside them.
        """
        z, pre = f"blocks.{hook.layer}.attn.hook_z", f"blocks.{hook.layer}.hook_resid_pre"
        if hook.name == "hook_embed" or self.model.find_module(z) is None:
            return False
        probes = self.probes(self.model.n_heads * self.model.d_head)
        try:
            arrived = self.moved({z: probes}, [hook.name], held=[pre])[hook.name]
        except FAILURES as error:
            unless_full(error)
            return True
        return bool(arrived.abs().max() > 1e-5 * SIZE)

    @cached_property
    def stream(self) -> str:
        """Why what is in the residual stream does not stay as it is; empty where it does."""
        layers = range(self.model.n_layers)
        after = {layer: f"blocks.{layer}.hook_resid_post" for layer in layers}
        probes = self.probes(self.model.d_model)
        before = {f"blocks.{layer}.hook_resid_pre": probes for layer in layers}
        held = [*self.attention(layers), *self.mlps(layers)]

        def measure() -> dict[int, Leg]:
            arrived = self.moved(before, list(after.values()), held=held)
            return {
                layer: self.fit(arrived[name], probes, self.gains(layer))
                for layer, name in after.items()
            }

        for layer, leg in self._legs(measure, layers).items():
            if not leg.plain:
                how = leg.problem or "a norm or a multiplier stands in its way"
                return f"what is in this model's residual stream does not pass block {layer}: {how}"
        return ""

    def mlp0_of(self, x: Tensor) -> Tensor:
        """What the first MLP adds to the residual stream for rows of it, [n, d_model].

        Computed by the model's own first block, its attention held at zero.

        Args:
            x: Rows [n, d_model].
        """
        return self._mlp0(x[:, None])[:, 0]

    @cached_property
    def mlp0_problem(self) -> str:
        """Why `mlp0_of` cannot be relied on; empty where it can."""
        clause = "what this model's first MLP makes of a token alone cannot be computed"
        rows = self.probes(self.model.d_model) / SIZE
        try:
            # A second token beside a row changes nothing where attention is out of the way.
            beside = torch.stack([rows.flip(0), rows], dim=1)
            alone, together = self._mlp0(rows[:, None])[:, 0], self._mlp0(beside)[:, 1]
        except FAILURES as error:
            unless_full(error)
            return f"{clause}: {first_line(error)}"
        worst = (alone - together).abs().max() / alone.abs().max().clamp(min=1e-12)
        if not bool(worst <= 4 * self.tolerance):
            return f"{clause}: attention takes part in it"
        return ""

    # How it is measured.

    def _leg(self, which: str, name: str, measure: Callable[[], Leg]) -> Leg:
        if (which, name) not in self._known:
            leg = self._legs(lambda: {0: measure()}, [0])[0]
            if leg.problem:
                leg = replace(leg, problem=_clause(which, name, leg.problem))
            self._known[which, name] = leg
        return self._known[which, name]

    def _legs(self, measure: Callable[[], dict[int, Leg]], layers: Iterable[int]) -> dict[int, Leg]:
        try:
            return measure()
        except FAILURES as error:
            unless_full(error)
            return dict.fromkeys(layers, Leg(problem=first_line(error)))

    # Legs.

    @cached_property
    def _all_values(self) -> dict[int, Leg]:
        layers = range(self.model.n_layers)
        heads = {f"blocks.{layer}.attn.hook_z": layer for layer in layers}
        reads = {heads[name]: name for name in self.there(heads)}
        probes = self.probes(self.model.d_model)
        written = {f"blocks.{layer}.hook_resid_pre": probes for layer in reads}

        def measure() -> dict[int, Leg]:
            arrived = self.moved(written, list(reads.values()))
            return {
                layer: self.fit(
                    arrived[name].reshape(len(probes), self.model.n_heads, -1),
                    probes,
                    self.gains(layer),
                    through(self.model.W_V(layer), "nd,hdk->nhk"),
                )
                for layer, name in reads.items()
            }

        return self._by_layer(measure, "what the heads of layer {} read")

    @cached_property
    def _all_heads(self) -> dict[int, Leg]:
        layers = range(self.model.n_layers)
        probes = self.probes(self.model.n_heads * self.model.d_head)
        written = dict.fromkeys(self.there(f"blocks.{la}.attn.hook_z" for la in layers), probes)
        held = [*(f"blocks.{layer}.hook_resid_pre" for layer in layers), *self.mlps(layers)]
        reads = [f"blocks.{layer}.hook_resid_post" for layer in layers]

        def measure() -> dict[int, Leg]:
            arrived = self.moved(written, reads, held=held)
            return {
                layer: self.fit(
                    arrived[f"blocks.{layer}.hook_resid_post"],
                    probes,
                    self.gains(layer),
                    through(self.model.W_O(layer).flatten(0, 1), "nm,md->nd"),
                    before=False,
                )
                for layer in layers
                if f"blocks.{layer}.attn.hook_z" in written
            }

        return self._by_layer(measure, "what the heads of layer {} add")

    def _by_layer(self, measure: Callable[[], dict[int, Leg]], what: str) -> dict[int, Leg]:
        layers = range(self.model.n_layers)
        absent = dict.fromkeys(layers, Leg(problem="there are no heads"))
        legs = absent | self._legs(measure, layers)
        return {
            layer: replace(leg, problem=_unexplained(what.format(layer), leg.problem))
            if leg.problem
            else leg
            for layer, leg in legs.items()
        }

    def _stream_to_hook(self, hook: HookPoint) -> Leg:
        pre = f"blocks.{hook.layer}.hook_resid_pre"
        if hook.name == pre:
            return Leg()
        probes = self.probes(self.model.d_model)
        here = [hook.layer]
        held = [*self.attention(here), *self.mlps(here)]
        arrived = self.moved({pre: probes}, [hook.name], held=held)[hook.name]
        leg = self.fit(arrived, probes, self.gains(hook.layer))
        if hook.kind == "resid" and not leg.problem and not leg.plain:
            return Leg(problem="it does not hold the residual stream itself")
        return leg

    def _stream_to_embedding(self) -> Leg:
        if self.embedding_problem:
            return Leg(problem=self.embedding_problem)
        sample = sample_of(self.model.d_vocab)
        with torch.no_grad():
            read = forward(self.model, sample[:, None], reads=["hook_embed"]).acts["hook_embed"]
        embedding = self.embedding()
        rows = embedding[sample.to(embedding.device)].float()
        leg = self.fit(read[:, 0].float(), rows, [])
        return Leg(problem=leg.problem) if leg.problem or leg.centred else leg

    def _heads_to_hook(self, hook: HookPoint) -> Leg:
        z = f"blocks.{hook.layer}.attn.hook_z"
        probes = self.probes(self.model.n_heads * self.model.d_head)
        pre = f"blocks.{hook.layer}.hook_resid_pre"
        arrived = self.moved({z: probes}, [hook.name], held=[pre])[hook.name]
        onward = through(self.model.W_O(hook.layer).flatten(0, 1), "nm,md->nd")
        return self.fit(arrived, probes, self.gains(hook.layer), onward, before=False)

    def _hook_to_stream(self, hook: HookPoint) -> Leg:
        probes = self.probes(self.model.d_model)
        if hook.name == "hook_embed":
            after = "blocks.0.hook_resid_pre"
            leg = self.fit(self.moved({hook.name: probes}, [after])[after], probes, [])
            return Leg(problem="a norm stands behind it") if leg.centred or leg.normed else leg
        after = f"blocks.{hook.layer}.hook_resid_post"
        held = [f"blocks.{hook.layer}.hook_resid_pre"]
        held += self.mlps([hook.layer]) if hook.kind == "attn_out" else []
        arrived = self.moved({hook.name: probes}, [after], held=held)[after]
        return self.fit(arrived, probes, self.gains(hook.layer))

    def _mlp0(self, rows: Tensor) -> Tensor:
        """What the first MLP adds at `[batch, pos, d_model]`."""
        pre, after = "blocks.0.hook_resid_pre", "blocks.0.hook_resid_post"
        rows = rows.to(self.model.device, self.model.dtype)
        edits: dict[str, Edit] = {pre: lambda a: rows.to(a.dtype)}
        edits |= dict.fromkeys(self.attention([0]), torch.zeros_like)
        tokens = self.tokens(len(rows)).expand(-1, rows.shape[1])
        direct = self._mlp0_hook
        with torch.no_grad():
            acts = forward(self.model, tokens, edits=edits, reads=[direct or after]).acts
        return acts[direct].reshape(rows.shape) if direct else acts[after] - rows

    @cached_property
    def _mlp0_hook(self) -> str:
        """Where what the first MLP adds can be read as it is added, if anywhere."""
        name = "blocks.0.hook_mlp_out"
        if name not in self.firing:
            return ""
        return name if self.out_of(parse_hook(name)).plain else ""


def _clause(which: str, name: str, problem: str) -> str:
    if which == "into":
        return _unexplained(f"what this model has at {name}", problem)
    return _unexplained(f"what is written at {name} and reaches the residual stream", problem)


def _unexplained(what: str, problem: str) -> str:
    return f"{what}, measured on this model, is not what its weights say ({problem})"
