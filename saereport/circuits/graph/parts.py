"""The SAEs of an attribution graph: which can take part, and what each explains of a run.

An SAE takes part where what it reads is linear in the residual stream of the frozen run, and where
what it writes is a term of that stream: a transcoder of an MLP, an SAE on the residual stream, on
`hook_z`, or on what attention adds. Its latents then share out what stands at its write point, and
what they leave is its error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
        point: Where that is: a depth of the residual stream (see `stream_point`) for `stream`,
            a layer for the others.
        inputs: What it reads, `[pos, d_in]`.
        active: Its latents that are active at counted positions.
        writes: What each of them adds, `[n, d_out]`.
        bias: What its decoder adds at each position whatever is active, `[pos, d_out]`.
        error: The rest of what stands at its write point, `[pos, d_out]`; all of it where a
            position does not count.
        skip: What a skip transcoder multiplies its input with, `[d_out, d_in]`, or None.
        counted: Positions that count, bool `[pos]`.
    """

    sae: Sae
    place: Place
    point: int
    inputs: Tensor
    active: Active
    writes: Tensor
    bias: Tensor
    error: Tensor
    skip: Tensor | None
    counted: Tensor

    def until(self, length: int) -> GraphPart:
        """The same on the first `length` positions."""
        n = int((self.active.positions < length).sum())
        return GraphPart(
            sae=self.sae,
            place=self.place,
            point=self.point,
            inputs=self.inputs[:length],
            active=Active(
                self.active.positions[:n], self.active.latents[:n], self.active.values[:n]
            ),
            writes=self.writes[:n],
            bias=self.bias[:length],
            error=self.error[:length],
            skip=self.skip,
            counted=self.counted[:length],
        )


def stream_point(parallel: bool, hook: HookPoint) -> int:
    """The depth in the residual stream at which a hook point lies, or from which it is read.

    `2 * layer` before a block, `2 * layer + 1` between its attention and its MLP. Where a block's
    parts are parallel there is no between.
    """
    if hook.site in ("hook_resid_post", "hook_out"):
        return 2 * hook.layer + 2
    early = hook.site in ("hook_embed", "hook_resid_pre", "hook_in")
    return 2 * hook.layer + (0 if early or parallel or hook.kind in ("z", "attn_out") else 1)


def make_parts(
    run: FrozenRun, saes: Sequence[Sae], counted: Tensor
) -> tuple[tuple[GraphPart, ...], dict[str, str]]:
    """The SAEs that can take part, from the shallowest to the deepest, and why others cannot.

    Args:
        run: The frozen run, with what the SAEs read and write among its `acts`.
        saes: The SAEs asked for.
        counted: Positions that count, bool `[pos]`.

    Returns:
        The parts, and for each SAE left out its slug and the reason.
    """
    counted = counted.to(run.final.device)
    parts: list[GraphPart] = []
    refused: dict[str, str] = {}
    for sae in sorted(saes, key=lambda s: (s.write_point.depth, s.slug)):
        reason = _why_not(run, sae, counted)
        if not reason:
            part = _part(run, sae, counted)
            rival = next((p for p in parts if (p.place, p.point) == (part.place, part.point)), None)
            if rival is None:
                parts.append(part)
                continue
            reason = f"{rival.sae.slug} already explains what is there"
        refused[sae.slug] = reason
    return tuple(parts), refused


def _why_not(run: FrozenRun, sae: Sae, counted: Tensor) -> str:
    reads, writes = sae.hook_in, sae.write_point
    if sae.why_no_decoder:
        return sae.why_no_decoder
    if sae.is_transcoder:
        if writes.kind != "mlp_out":
            return f"it writes at '{writes.name}', which is not an MLP's output"
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
    for hook in (reads, writes):
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
    writes = sae.write_point
    inputs, true = run.acts[sae.hook_in.name], run.acts[writes.name]
    active = active_of(sae.encode(inputs).to(true.dtype), counted)
    rows = sae.write_vectors(inputs[active.positions], active.latents).to(true.dtype)
    rows = rows * active.values[:, None]
    # What the decoder makes of no latent at all.
    none = inputs.new_zeros((len(inputs), sae.d_sae), dtype=sae.dtype)
    bias = counted[:, None] * sae.decode(none, inputs).to(true.dtype)
    error = (true - bias).index_add(0, active.positions, rows, alpha=-1)
    skip = sae.skip
    if skip is not None:
        skip = skip.to(true.dtype)
        error = error - counted[:, None] * (inputs @ skip.T)
    places: dict[str, Place] = {"z": "z", "attn_out": "attention", "mlp_out": "mlp"}
    place = places.get(writes.kind, "stream")
    return GraphPart(
        sae=sae,
        place=place,
        point=stream_point(run.parallel, writes) if place == "stream" else writes.layer,
        inputs=inputs,
        active=active,
        writes=rows,
        bias=bias,
        error=error,
        skip=skip,
        counted=counted,
    )
