"""Which earlier latents a latent reads from, directly and through each attention head.

An earlier latent writes a vector into the residual stream at its position. With patterns and norm
scales fixed, a later latent reads of it, at the same position, the dot product with its read
direction; and through a head, what the head moves of it. Paths through two heads or through an
MLP are left to attribution graphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.circuits.active import Active, active_of
from saereport.circuits.attribution.reads import (
    Targets,
    layers_before,
    on_heads,
    on_residual,
    through_output,
    through_values,
)
from saereport.circuits.frozen import FrozenLayer, FrozenRun
from saereport.sources.hooks import HookPoint
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae

_CHUNK = 2**22
"""Numbers in one table of influences, about: 16 MB."""

# Places of kind `resid` that are a copy for the MLP alone: what is written there goes no further.
_COPIES = ("hook_mlp_in", "ln2.hook_in")


@dataclass(frozen=True, eq=False)
class Routes:
    """The ways in which targets read the residual stream: directly and through heads.

    Attributes:
        directions: What is read of the residual stream at the source, `[n, routes, d_model]`,
            before the division by the norm's scale there.
        layers: Layer of each route, -1 for the direct one, `[routes]`.
        heads: Head of each route, -1 for the direct one, `[routes]`.
        paid: Weight of each source position: attention paid, over the norm's scale there;
            `[n, routes, pos]`. For the direct route 1 at the target's position, else 0.
    """

    directions: Tensor
    layers: Tensor
    heads: Tensor
    paid: Tensor


@dataclass(frozen=True, eq=False)
class Influences:
    """Influences on one target, those of one early SAE or of several, as columns `[k]`.

    Sorted by absolute value, largest first; of equal ones by early SAE (in the order in which they
    were given), layer, head, source position and latent.
    """

    early: NDArray[np.int64]
    layer: NDArray[np.int64]
    head: NDArray[np.int64]
    latent: NDArray[np.int64]
    source: NDArray[np.int64]
    value: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.value)


def earlier_saes(saes: Sequence[Sae], hook: HookPoint, *, parallel: bool) -> list[Sae]:
    """Those that write into the residual stream before latents at a hook point read it.

    What has no decoder that means anything is not among them.

    Args:
        saes: Any SAEs and transcoders of the model.
        hook: Where the latents read.
        parallel: Whether attention and MLP of a block read the same residual stream.
    """
    read = stage_read(hook, parallel=parallel)
    found = []
    for sae in saes:
        if sae.why_no_decoder:
            continue
        if _places_before(sae, hook, read, parallel=parallel):
            found.append(sae)
    return found


def _places_before(
    sae: Sae, hook: HookPoint, read: int, *, parallel: bool
) -> list[tuple[int, int]]:
    """Which of an SAE's writes come before latents read: place, and stage of the stream."""
    found = []
    for place, written in enumerate(sae.writes):
        stage = stage_written(written, parallel=parallel)
        if stage is not None and stage <= read and written.depth < hook.depth:
            found.append((place, stage))
    return found


def followed(model: LanguageModel, saes: Sequence[Sae]) -> list[Sae]:
    """Those that are known to write into the residual stream as `write_vectors` says.

    Measured on the model, see `saereport.sources.wiring`.
    """
    return [sae for sae in saes if all(_is_followed(model, hook) for hook in sae.writes)]


def _is_followed(model: LanguageModel, hook: HookPoint) -> bool:
    leg = model.wiring.out_of(hook)
    through_norm = hook.kind in ("z", "attn_out") and not leg.problem and leg.scale == 1.0
    return leg.plain or through_norm or stage_written(hook, parallel=False) is None


def stage_written(hook: HookPoint, *, parallel: bool) -> int | None:
    """From where on the residual stream holds what is written at a hook point.

    Twice the layer for the stream before a block, one more for that between attention and MLP;
    None where what is written does not enter the stream.
    """
    if hook.kind in ("mlp_in", "mlp_in_normalized") or hook.site in _COPIES:
        return None
    if hook.kind == "mlp_out" or hook.site in ("hook_resid_post", "hook_out"):
        return 2 * hook.layer + 2
    if hook.kind in ("attn_out", "z"):
        return 2 * hook.layer + (2 if parallel else 1)
    return 2 * hook.layer + (1 if hook.site == "hook_resid_mid" else 0)


def stage_read(hook: HookPoint, *, parallel: bool) -> int:
    """Which stage of the residual stream a hook point holds, or reads; for `z`, its sources."""
    if hook.kind == "z":
        return 2 * hook.layer
    n_attention, n_mlps = layers_before(hook, parallel=parallel)
    return n_attention + n_mlps


def write_vectors(run: FrozenRun, sae: Sae, active: Active, place: int = 0) -> Tensor | None:
    """What active latents add to the residual stream, `[events, d_model]`, float32.

    What the SAE reads must be among the run's `acts`. None where a norm stands between what they
    write and the stream, other than the one after the attention, whose scale is known.

    Args:
        run: The frozen pass.
        sae: The SAE.
        active: The latents.
        place: At which of the points that it writes to.
    """
    hook = sae.writes[place]
    a = run.acts[sae.hook_in.name][active.positions]
    rows = sae.write_vectors(a, active.latents, place).float()
    post = run.layers[hook.layer].attn_post
    if hook.kind == "z":
        rows = torch.einsum("em,md->ed", rows, run.layers[hook.layer].W_O.flatten(0, 1).float())
    if post is not None:
        if hook.site == "mlp.hook_out":
            return None
        if hook.kind == "z" or hook.site == "attn.hook_out":
            rows = rows * post[active.positions].float()
    return rows * active.values.float()[:, None]


def routes_of(run: FrozenRun, hook: HookPoint, targets: Targets, since: int) -> Routes:
    """How latents read what is in the residual stream from some stage on.

    Args:
        run: The frozen pass.
        hook: Where the latents read: the residual stream, an MLP's input, or `hook_z`.
        targets: The latents and where.
        since: As `stage_written`; heads that read the stream before it are left out.
    """
    if hook.kind == "z":
        return _through(run.layers[hook.layer], hook.layer, on_heads(run, hook, targets), targets)
    c, _ = on_residual(run, hook, targets)
    here = c.new_zeros((len(targets), 1, len(run.tokens)))
    here[torch.arange(len(targets), device=c.device), 0, targets.positions] = 1.0
    direct = torch.full((1,), -1, device=c.device)
    parts = [Routes(c[:, None], direct, direct, here)]
    for number in range((since + 1) // 2, layers_before(hook, parallel=run.parallel)[0]):
        layer = run.layers[number]
        c_z = through_output(layer, c, targets.positions)
        parts.append(_through(layer, number, c_z, targets))
    return Routes(
        directions=torch.cat([part.directions for part in parts], dim=1),
        layers=torch.cat([part.layers for part in parts]),
        heads=torch.cat([part.heads for part in parts]),
        paid=torch.cat([part.paid for part in parts], dim=1),
    )


def _through(layer: FrozenLayer, number: int, c_z: Tensor, targets: Targets) -> Routes:
    heads = torch.arange(c_z.shape[1], device=c_z.device)
    attention = layer.pattern[:, targets.positions].transpose(0, 1).float()
    return Routes(
        directions=through_values(layer, c_z),
        layers=torch.full_like(heads, number),
        heads=heads,
        paid=attention / layer.attn_norm.scale.float().T,
    )


def influence_table(routes: Routes, positions: Tensor, vectors: Tensor) -> Tensor:
    """The influence of each event on each target by each route, `[n, routes, events]`.

    Args:
        routes: The routes.
        positions: Where each event is, `[events]`.
        vectors: What it adds to the residual stream, `[events, d_model]`.
    """
    return (routes.directions @ vectors.T) * routes.paid[:, :, positions]


def strongest_influences(
    run: FrozenRun,
    hook: HookPoint,
    targets: Targets,
    early: Mapping[int, tuple[Sae, Tensor]],
    counted: Tensor,
    k: int,
) -> list[Influences]:
    """The largest influences on each target in absolute value.

    Args:
        run: The frozen pass.
        hook: Where the targets read.
        targets: The latents and where.
        early: By a number that goes into the result: one of `earlier_saes` and its activations in
            the true run, `[pos, d_sae]`.
        counted: Source positions that take part, bool `[pos]`.
        k: How many to keep for each target.

    Returns:
        One for each target. Influences of exactly zero are left out.
    """
    found: list[list[Influences]] = [[] for _ in range(len(targets))]
    read = stage_read(hook, parallel=run.parallel)
    for number, (sae, f) in sorted(early.items()):
        places = _places_before(sae, hook, read, parallel=run.parallel)
        active = active_of(f, counted)
        if not places or not len(active):
            continue
        routes = routes_of(run, hook, targets, min(stage for _, stage in places))
        for part in _spans(active, len(targets) * len(routes.layers)):
            table = _table(run, sae, part, routes, places)
            if table is None:
                break
            for row, kept in enumerate(found):
                kept.append(_largest(table[row], routes, part, number, k))
    return [_merge(parts, k) for parts in found]


def _table(
    run: FrozenRun, sae: Sae, events: Active, routes: Routes, places: Sequence[tuple[int, int]]
) -> Tensor | None:
    """`influence_table` of all that an SAE's latents write before the targets read, summed.

    None where what is written does not enter the stream as it is.
    """
    table: Tensor | None = None
    for place, stage in places:
        vectors = write_vectors(run, sae, events, place)
        if vectors is None:
            return None
        part = influence_table(routes, events.positions, vectors)
        # Heads that read the stream before this write carry nothing of it.
        sees = (routes.layers < 0) | (2 * routes.layers >= stage)
        part = part if bool(sees.all()) else part * sees[None, :, None]
        table = part if table is None else table + part
    return table


def _spans(active: Active, width: int) -> Iterator[Active]:
    step = max(1, _CHUNK // max(width, 1))
    for start in range(0, len(active), step):
        index = torch.arange(start, min(start + step, len(active)), device=active.values.device)
        yield active.at(index)


def _largest(table: Tensor, routes: Routes, events: Active, number: int, k: int) -> Influences:
    """The k largest of one target's `[routes, events]`, ties at the end of the list included."""
    flat = table.flatten()
    size = flat.abs()
    least = torch.topk(size, min(k, len(size))).values[-1]
    index = ((size >= least) & (size > 0)).nonzero().squeeze(-1)
    route, event = index // table.shape[1], index % table.shape[1]
    return _merge(
        [
            Influences(
                early=np.full(len(index), number),
                layer=routes.layers[route].cpu().numpy(),
                head=routes.heads[route].cpu().numpy(),
                latent=events.latents[event].cpu().numpy(),
                source=events.positions[event].cpu().numpy(),
                value=flat[index].cpu().numpy(),
            )
        ],
        k,
    )


def _merge(parts: Sequence[Influences], k: int) -> Influences:
    def column(name: str) -> NDArray[Any]:
        kind = np.float32 if name == "value" else np.int64
        return np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0, kind)])

    early, layer, head = column("early"), column("layer"), column("head")
    latent, source, value = column("latent"), column("source"), column("value")
    order = np.lexsort((latent, source, head, layer, early, -np.abs(value)))[:k]
    return Influences(
        early[order], layer[order], head[order], latent[order], source[order], value[order]
    )
