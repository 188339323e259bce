"""What was attributed, as rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saereport.circuits.active import Active, active_of
from saereport.circuits.attribution.components import Components
from saereport.circuits.attribution.influences import Influences
from saereport.circuits.attribution.reads import Targets, reads_residual
from saereport.circuits.frozen import FrozenRun
from saereport.measure import Columns
from saereport.sources.hooks import HookPoint

Row = dict[str, Any]


def can_be_attributed(hook: HookPoint) -> bool:
    """Whether what latents at a hook point read is a sum here: not what a sublayer adds."""
    return hook.kind == "z" or reads_residual(hook)


def strongest_latents(f: Tensor, counted: Tensor, n: int) -> Active:
    """The latents with the largest activations on a prompt, each where it is most active.

    Args:
        f: Activations `[pos, d_sae]`.
        counted: Positions that count, bool `[pos]`.
        n: How many; of equal ones those that come first by (position, latent).

    Returns:
        At most n, no latent twice, sorted by latent.
    """
    active = active_of(f, counted)
    order = torch.sort(active.values, descending=True, stable=True).indices
    _, first = np.unique(active.latents[order].cpu().numpy(), return_index=True)
    chosen = order[torch.from_numpy(np.sort(first)[:n]).to(order.device)]
    return active.at(chosen[torch.argsort(active.latents[chosen])])


def as_columns(rows: Sequence[Row]) -> Columns:
    """Rows, at least one, as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def component_columns(found: Components, i: int) -> Row:
    """The columns of one pre-activation's components; heads by layer, then head."""
    return {
        "embedding": float(found.embedding[i]),
        "heads": found.heads[i].flatten().cpu().numpy(),
        "mlps": found.mlps[i].cpu().numpy(),
        "bias": float(found.bias[i]),
    }


def head_rows(known: Sequence[Row], by_head: Tensor, bias: Tensor, targets: Targets) -> list[Row]:
    """Rows of `head_attributions`: heads times positions up to each target's.

    Args:
        known: What is known of each target.
        by_head: `[n, n_heads, pos]`.
        bias: `[n]`.
        targets: The latents and where.
    """
    ends = (targets.positions + 1).tolist()
    return [
        {**row, "bias": float(bias[i]), "values": by_head[i, :, :end].flatten().cpu().numpy()}
        for i, (row, end) in enumerate(zip(known, ends, strict=True))
    ]


def pattern_rows(run: FrozenRun, layer: int, by_head: Tensor, n: int) -> dict[tuple[int, int], Row]:
    """Rows of `patterns` by layer and head, for the heads that matter most to some latents.

    Args:
        run: The frozen pass.
        layer: The layer that the latents read.
        by_head: Their attributions, `[latents, n_heads, pos]`.
        n: Heads, those with the largest sum of absolute attributions; ties to the earlier.
    """
    weight = by_head.abs().sum(dim=(0, 2))
    heads = torch.sort(weight, descending=True, stable=True).indices[:n].tolist()
    size = len(run.tokens)
    below = torch.tril_indices(size, size, device=weight.device)
    pattern = run.layers[layer].pattern
    return {
        (layer, head): {
            "layer": layer,
            "head": head,
            "values": pattern[head, below[0], below[1]].float().cpu().numpy(),
        }
        for head in heads
    }


def influence_rows(known: Row, found: Influences, names: Mapping[int, str]) -> list[Row]:
    """Rows of influences on one target, strongest first.

    Args:
        known: What is known of the target, in every row.
        found: The influences.
        names: Names of the early SAEs by number.
    """
    return [
        {
            **known,
            "early": names[int(found.early[i])],
            "layer": int(found.layer[i]),
            "head": int(found.head[i]),
            "early_latent": int(found.latent[i]),
            "source": int(found.source[i]),
            "value": float(found.value[i]),
        }
        for i in range(len(found))
    ]
