"""How norms, biases and cosines are distributed over all latents of an SAE."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.weights.context import WeightContext, WeightTable
from saereport.measure.weights.decoder import cosines, unit, whole_norms
from saereport.util.ragged import Ragged

Values = NDArray[np.float64]

BINS: Final = 20
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)

MOST_PRODUCTS: Final = 2**36
"""Multiplications for the cosines between latents; where all would take more, a sample is taken."""

FEWEST_SAMPLED: Final = 1024
"""Latents in such a sample, at least."""

ELSEWHERE: Final = "it writes elsewhere than it reads, so its two sides live in different spaces"
ALONE: Final = "it has one latent, and so no other"


@dataclass(frozen=True)
class Quantity:
    """One number of each latent.

    Attributes:
        name: As the table has it.
        why_not: Why an SAE has none, a clause; empty where it has.
        values: Of the latents that are looked at, float `[n]`.
    """

    name: str
    why_not: Callable[[WeightContext], str]
    values: Callable[[WeightContext], Tensor]


def _encoder_blocks(context: WeightContext) -> Iterator[tuple[slice, Tensor]]:
    """Encoder columns as float32 rows `[n, d_in]`, so many at a time as memory allows."""
    weight = context.sae.W_enc.detach()
    step = context.rows_at_once(weight.shape[0])
    for start in range(0, weight.shape[1], step):
        span = slice(start, min(start + step, weight.shape[1]))
        yield span, weight[:, span].T.float()


def encoder_norms(context: WeightContext) -> Tensor:
    """The length of every encoder column, float32 `[d_sae]`."""
    return torch.cat([rows.norm(dim=1) for _, rows in _encoder_blocks(context)])


def encoder_decoder_cosines(context: WeightContext) -> Tensor:
    """Cosines of encoder column and decoder row of every latent, float32 `[d_sae]`."""
    parts = []
    for span, rows in _encoder_blocks(context):
        latents = torch.arange(span.start, span.stop, device=rows.device)
        written = context.sae.write_rows(latents)
        parts.append((unit(rows) * unit(written)).sum(dim=1).clamp(-1, 1))
    return torch.cat(parts)


def sampled_latents(context: WeightContext) -> NDArray[np.int64]:
    """The latents whose cosines with all others are computed, ascending.

    All of them where that takes `MOST_PRODUCTS` multiplications or fewer, else a sample without
    replacement by the seed of the report, of `FEWEST_SAMPLED` or more.
    """
    d_sae = context.sae.W_enc.shape[1]
    width = sum(int(context.sae.write_rows(_FIRST, place).shape[1]) for place in _places(context))
    n = max(FEWEST_SAMPLED, MOST_PRODUCTS // (d_sae * max(width, 1)))
    if n >= d_sae:
        return np.arange(d_sae)
    chosen = np.random.default_rng(context.seed).choice(d_sae, size=n, replace=False)
    return np.sort(chosen)


_FIRST = torch.zeros(1, dtype=torch.int64)


def _places(context: WeightContext) -> range:
    return range(len(context.sae.writes))


def largest_decoder_cosines(context: WeightContext) -> Tensor:
    """Each sampled latent's largest cosine of decoder rows with another latent's, float32 `[n]`."""
    chosen = torch.from_numpy(sampled_latents(context)).to(context.sae.W_enc.device)
    step = context.rows_at_once(context.sae.W_enc.shape[1])
    spans = [slice(k, min(k + step, len(chosen))) for k in range(0, len(chosen), step)]
    parts = []
    for span, cosine in cosines(context.sae, chosen, spans):
        mine = chosen[span]
        cosine[torch.arange(len(mine), device=mine.device), mine] = -torch.inf
        parts.append(cosine.max(dim=1).values.clamp(-1, 1))
    return torch.cat(parts)


def _no_reads(context: WeightContext) -> str:
    return context.sae.why_no_reads


def _no_decoder(context: WeightContext) -> str:
    return context.sae.why_no_decoder


def _no_common_space(context: WeightContext) -> str:
    apart = len(context.sae.writes) > 1 or context.hook_out.name != context.hook_in.name
    return _no_reads(context) or _no_decoder(context) or (ELSEWHERE if apart else "")


def _no_others(context: WeightContext) -> str:
    return _no_decoder(context) or (ALONE if context.sae.W_enc.shape[1] < 2 else "")


QUANTITIES: Final = (
    Quantity("decoder_norm", _no_decoder, lambda context: whole_norms(context.sae)),
    Quantity("encoder_bias", _no_reads, lambda context: context.sae.read_biases()),
    Quantity("encoder_decoder_cosine", _no_common_space, encoder_decoder_cosines),
    Quantity("encoder_norm", _no_reads, encoder_norms),
    Quantity("largest_decoder_cosine", _no_others, largest_decoder_cosines),
)


def histogram_of(values: Values) -> tuple[float, float, NDArray[np.int64]]:
    """Counts in `BINS` bins of one width from the smallest to the largest value.

    Returns:
        Where the first bin begins, the width of one, and the counts; equal values are one bin
        around themselves.
    """
    low, high = float(values.min()), float(values.max())
    width = (high - low) / BINS
    # Less than a thousandth is the rounding of stored weights, and no spread.
    if high - low <= 1e-3 * max(abs(low), abs(high)):
        size = abs(low) or 1.0
        return low - size / 2, size, np.array([len(values)])
    places = np.minimum(((values - low) / width).astype(np.int64), BINS - 1)
    return low, width, np.bincount(places, minlength=BINS)


def compute(context: WeightContext) -> dict[str, Any]:
    """Table `weight_distributions`, a row for each of `QUANTITIES`."""
    rows = [_row(context, quantity) for quantity in QUANTITIES]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    for name, kind in (("quantiles", np.float64), ("counts", np.int64)):
        columns[name] = Ragged.of([np.asarray(row[name], dtype=kind) for row in rows], kind)
    return columns


def _row(context: WeightContext, quantity: Quantity) -> dict[str, Any]:
    reason = quantity.why_not(context)
    row: dict[str, Any] = {
        "quantity": quantity.name,
        "n_latents": 0,
        "reason": reason,
        **dict.fromkeys(("mean", "std", "min", "max"), 0.0),
        "quantiles": [],
        "lower": 0.0,
        "width": 0.0,
        "counts": [],
    }
    if reason:
        return row
    values = quantity.values(context).detach().cpu().to(torch.float64).numpy()
    lower, width, counts = histogram_of(values)
    return row | {
        "n_latents": len(values),
        "mean": values.mean(),
        "std": values.std(),
        "min": values.min(),
        "max": values.max(),
        "quantiles": np.quantile(values, QUANTILES),
        "lower": lower,
        "width": width,
        "counts": counts,
    }


def _always(context: WeightContext) -> str:
    return ""


TABLE = WeightTable("weight_distributions", _always, compute)
