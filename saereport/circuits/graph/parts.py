"""The SAEs of an attribution graph: which can take part, and what each explains of a run.

An SAE takes part where what it reads is linear in the residual stream of the frozen run, and where
what it writes is a term of that stream: a transcoder of an MLP, an SAE on the residual stream, on
`hook_z`, or on what attention adds. Its latents then share out what stands at its write point, and
what they leave is its error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from saereport.circuits.active import Active, active_of
from saereport.circuits.frozen import TOLERANCE, FrozenRun
from saereport.sources.hooks import HookPoint
from saereport.sources.saes.sae import Sae

Place = Literal["stream", "z", "attention", "mlp"]
"""What an SAE's latents are terms of."""

_STREAM_SITES = (
    "hook_embed",
    "hook_resid_pre",
    "hook_in",
    "hook_resid_mid",
    "hook_resid_post",
    "hook_out",
)


@dataclass(frozen=True, eq=False)
class GraphPart:
    """An SAE of the graph, on the prompt.

    Attributes:
        sae: The SAE or transcoder.
        place: What its latents are terms of.
        inputs: What it reads, `[pos, d_in]`.
        active: Its latents that are active at counted positions.
        writes: What each of them adds at each of its write points, `[n, d_out]`.
    """

    sae: Sae
    place: Place
    inputs: Tensor
    active: Active
    writes: tuple[Tensor, ...]

    def until(self, length: int) -> GraphPart:
        """The same on the first `length` positions."""
        active = self.active
        n = int((active.positions < length).sum())
        return replace(
            self,
            inputs=self.inputs[:length],
            active=Active(active.positions[:n], active.latents[:n], active.values[:n]),
            writes=tuple(rows[:n] for rows in self.writes),
        )


@dataclass(frozen=True, eq=False)
class GraphSite:
    """A place of the run that latents of the graph explain, and what they leave of it.

    Attributes:
        hook: The hook point.
        place: What the latents are terms of.
        point: Where that is: a depth of the residual stream (see `stream_point`) for `stream`,
            a layer for the others.
        terms: The parts whose latents write here, by number, each with the place of this hook
            point among its write points. One part, unless several layers of a cross-layer
            transcoder write here.
        owner: The number of the part to which the error belongs: the one of this layer.
        bias: What decoders add at each position whatever is active, `[pos, d_out]`.
        error: The rest of what stands here, `[pos, d_out]`; all of it where a position does not
            count.
        skip: What the owner multiplies its input with past its latents, `[d_out, d_in]`, or None.
        counted: Positions that count, bool `[pos]`.
    """

    hook: HookPoint
    place: Place
    point: int
    terms: tuple[tuple[int, int], ...]
    owner: int
    bias: Tensor
    error: Tensor
    skip: Tensor | None
    counted: Tensor

    def until(self, length: int) -> GraphSite:
        """The same on the first `length` positions."""
        return replace(
            self,
            bias=self.bias[:length],
            error=self.error[:length],
            counted=self.counted[:length],
        )


@dataclass(frozen=True, eq=False)
class Explained:
    """What SAEs explain of a run.

    Attributes:
        parts: The SAEs that take part, the shallowest first.
        sites: The places that they explain.
        refused: SAEs that do not take part, by slug, and why.
    """

    parts: tuple[GraphPart, ...]
    sites: tuple[GraphSite, ...]
    refused: dict[str, str]


def stream_point(parallel: bool, hook: HookPoint) -> int:
    """The depth in the residual stream at which a hook point lies, or from which it is read.

    `2 * layer` before a block, `2 * layer + 1` between its attention and its MLP. Where a block's
    parts are parallel there is no between.
    """
    if hook.site in ("hook_resid_post", "hook_out"):
        return 2 * hook.layer + 2
    early = hook.site in ("hook_embed", "hook_resid_pre", "hook_in")
    return 2 * hook.layer + (0 if early or parallel or hook.kind in ("z", "attn_out") else 1)


def explain(run: FrozenRun, saes: Sequence[Sae], counted: Tensor) -> Explained:
    """The SAEs that can take part, and why others cannot.

    The layers of a cross-layer transcoder take part together or not at all.

    Args:
        run: The frozen run, with what the SAEs read and write among its `acts`.
        saes: The SAEs asked for.
        counted: Positions that count, bool `[pos]`.
    """
    counted = counted.to(run.final.device)
    chosen: list[Sae] = []
    taken: dict[tuple[Place, int], str] = {}
    refused: dict[str, str] = {}
    for group in _groups(saes):
        reasons = {sae.slug: _why_not(run, sae, counted) for sae in group}
        spots = {_spot(run, hook): sae.slug for sae in group for hook in sae.writes}
        if not any(reasons.values()):
            rival = next((taken[spot] for spot in spots if spot in taken), "")
            reason = _why_not_whole(group) or (
                f"{rival} already explains what is there" if rival else ""
            )
            reasons = dict.fromkeys(reasons, reason)
        if any(reasons.values()):
            together = next(
                f"{slug}, which it takes part with, cannot: {reason}"
                for slug, reason in reasons.items()
                if reason
            )
            refused |= {slug: reason or together for slug, reason in reasons.items()}
            continue
        chosen += group
        taken = spots | taken
    parts = tuple(_part(run, sae, counted) for sae in sorted(chosen, key=_depth))
    return Explained(parts, _sites(run, parts, counted), refused)


def _depth(sae: Sae) -> tuple[tuple[int, int], str]:
    return sae.writes[0].depth, sae.slug


def _groups(saes: Sequence[Sae]) -> list[list[Sae]]:
    """SAEs that take part together, the shallowest first."""
    groups: dict[str, list[Sae]] = {}
    for sae in sorted(saes, key=_depth):
        key = f"whole {sae.part_of.place}" if sae.part_of else f"alone {sae.slug}"
        groups.setdefault(key, []).append(sae)
    return list(groups.values())


def _why_not_whole(group: Sequence[Sae]) -> str:
    """Why layers of a cross-layer transcoder do not explain what MLPs put out; empty if they do."""
    whole = group[0].part_of
    if whole is None:
        return ""
    if len({sae.part_of for sae in group}) > 1:
        return "the layers of its cross-layer transcoder do not write as far as one another"
    layers = [sae.hook_in.layer for sae in group]
    if twice := sorted({layer for layer in layers if layers.count(layer) > 1}):
        return f"layer {twice[0]} of its cross-layer transcoder is in the report twice"
    missing = sorted(set(range(whole.n_layers)) - set(layers))
    if not missing:
        return ""
    named = ", ".join(map(str, missing[:6])) + (", …" if len(missing) > 6 else "")
    return (
        f"its cross-layer transcoder has {whole.n_layers} layers, all of which are needed to "
        f"explain what the MLPs put out, and the report lacks {named}"
    )


def _place(hook: HookPoint) -> Place:
    places: dict[str, Place] = {"z": "z", "attn_out": "attention", "mlp_out": "mlp"}
    return places.get(hook.kind, "stream")


def _spot(run: FrozenRun, hook: HookPoint) -> tuple[Place, int]:
    """What is explained at a hook point, and where it is; see `GraphSite`."""
    place = _place(hook)
    return place, stream_point(run.parallel, hook) if place == "stream" else hook.layer


def _why_not(run: FrozenRun, sae: Sae, counted: Tensor) -> str:
    reads, writes = sae.hook_in, sae.writes[0]
    if reason := sae.why_no_decoder or sae.why_no_reads:
        return reason
    if sae.is_transcoder:
        if odd := [hook.name for hook in sae.writes if hook.kind != "mlp_out"]:
            return f"it writes at '{odd[0]}', which is not an MLP's output"
        if reads.kind not in ("resid", "mlp_in", "mlp_in_normalized"):
            return f"what it reads at '{reads.name}' is not linear in the residual stream"
        if reads.layer != writes.layer or stream_point(run.parallel, reads) > 2 * reads.layer + 1:
            return "it does not read and write in one layer"
        early = stream_point(run.parallel, reads) == 2 * reads.layer
        if sae.skip is not None and early and not run.parallel:
            return "its skip connection begins before the attention of its layer"
    elif reads.kind == "mlp_out":
        return "what it reads, an MLP's output, is not linear in the residual stream"
    elif reads.kind != "z" and reads.kind != "attn_out" and reads.site not in _STREAM_SITES:
        return f"what it writes at '{reads.name}' does not go on in the residual stream"
    for hook in (reads, *sae.writes):
        found, expected = run.acts[hook.name], _linear(run, hook)
        if _differs(found[counted], expected[counted]):
            return f"what stands at '{hook.name}' is not what the frozen model has there"
    return ""


def _differs(found: Tensor, expected: Tensor) -> bool:
    # Position by position: some positions are a thousand times larger than others.
    worst = (found - expected).abs().amax(dim=-1)
    return bool((worst > TOLERANCE * found.abs().amax(dim=-1).clamp(min=1e-12)).any())


def _linear(run: FrozenRun, hook: HookPoint) -> Tensor:
    """What a hook point holds, made from the residual stream of the frozen run, `[pos, width]`."""
    layer = run.layers[hook.layer]
    if hook.kind == "mlp_out":
        return layer.mlp_add
    if hook.kind == "attn_out":
        return layer.attn_add
    if hook.kind == "z":
        z = torch.einsum("hds,hsk->hdk", layer.pattern, layer.values) + layer.z_const[:, None]
        return z.transpose(0, 1).flatten(1)
    x = run.residual_at(hook)
    if hook.kind == "resid":
        return x
    weighted = hook.kind == "mlp_in"
    x = layer.mlp_norm.forward(x, weighted=weighted)
    bias = layer.mlp_norm.bias
    return x + bias if weighted and bias is not None else x


def _part(run: FrozenRun, sae: Sae, counted: Tensor) -> GraphPart:
    inputs, dtype = run.acts[sae.hook_in.name], run.final.dtype
    active = active_of(sae.encode(inputs).to(dtype), counted)
    writes = []
    for place in range(len(sae.writes)):
        rows = sae.write_vectors(inputs[active.positions], active.latents, place)
        writes.append(rows.to(dtype) * active.values[:, None])
    return GraphPart(sae, _place(sae.writes[0]), inputs, active, tuple(writes))


def _sites(run: FrozenRun, parts: Sequence[GraphPart], counted: Tensor) -> tuple[GraphSite, ...]:
    """The places that parts explain, in the order of a pass."""
    terms: dict[HookPoint, list[tuple[int, int]]] = {}
    for number, part in enumerate(parts):
        for place, hook in enumerate(part.sae.writes):
            terms.setdefault(hook, []).append((number, place))
    ordered = sorted(terms.items(), key=lambda item: item[0].depth)
    return tuple(_site(run, hook, found, parts, counted) for hook, found in ordered)


def _site(
    run: FrozenRun,
    hook: HookPoint,
    terms: Sequence[tuple[int, int]],
    parts: Sequence[GraphPart],
    counted: Tensor,
) -> GraphSite:
    true = run.acts[hook.name]
    (owner,) = (number for number, place in terms if place == 0)
    bias = torch.zeros_like(true)
    for number, place in terms:
        part = parts[number]
        # What the decoder makes of no latent at all.
        none = part.inputs.new_zeros((len(true), part.sae.d_sae), dtype=part.sae.dtype)
        bias = bias + counted[:, None] * part.sae.decode(none, part.inputs, place).to(true.dtype)
    error = true - bias
    for number, place in terms:
        part = parts[number]
        error = error.index_add(0, part.active.positions, part.writes[place], alpha=-1)
    skip = parts[owner].sae.skip
    if skip is not None:
        skip = skip.to(true.dtype)
        error = error - counted[:, None] * (parts[owner].inputs @ skip.T)
    place_, point = _spot(run, hook)
    return GraphSite(hook, place_, point, tuple(terms), owner, bias, error, skip, counted)
