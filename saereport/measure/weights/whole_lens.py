"""The logit lens of a whole dictionary: its moments, block by block.

25,000 latents by 262,144 tokens are six thousand million logits. They are made for some latents at
a time, as the table `logit_lens` makes them, and of each only a few numbers stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.weights.context import WeightContext
from saereport.measure.weights.directions import writes_of
from saereport.measure.weights.logit_lens import rows_in_cache, scores_of

MOMENTS = ("mean", "std", "skewness", "kurtosis")
_DIRECTIONS = 8192
"""Latents whose write directions are made together."""


def lens_blocks(context: WeightContext) -> Iterator[tuple[slice, Tensor]]:
    """The logit lens of a context's latents, some at a time.

    Args:
        context: The SAE, the latents and the vocabulary; there is no reason against a logit lens.

    Yields:
        Which of the latents, and their logits, float32[n, n_logits] on the weights' device.
    """
    for start in range(0, len(context.latents), _DIRECTIONS):
        part = replace(context, latents=context.latents[start : start + _DIRECTIONS])
        directions = writes_of(part.sae, part.model, part.chosen)
        first = start
        for scores in scores_of(part, directions):
            yield slice(first, first + len(scores)), scores
            first += len(scores)


def central_moments(scores: Tensor) -> NDArray[np.float64]:
    """Mean, standard deviation, skewness and excess kurtosis of each row.

    Population moments (divided by the number of entries), of the deviations from the mean and
    summed in float64; the last two are zero where all entries are equal.

    Args:
        scores: float32[n, width].

    Returns:
        float64[4, n], in the order of `MOMENTS`.
    """
    found = [np.zeros((len(MOMENTS), 0))]
    for few in torch.split(scores, rows_in_cache(scores)):
        low, high = torch.aminmax(few, dim=1)
        # An MPS device has no float64.
        exact = (few.cpu() if few.device.type == "mps" else few).to(torch.float64)
        mean = exact.mean(dim=1, keepdim=True)
        centred = exact - mean
        squared = centred.square()
        variance = squared.mean(dim=1)
        third, fourth = (squared * centred).mean(dim=1), squared.square().mean(dim=1)
        spread = (high > low).to(variance.device) & (variance > 0)
        divisor = torch.where(spread, variance, torch.ones_like(variance))
        rows = [
            mean.squeeze(1),
            torch.where(spread, variance.sqrt(), 0.0),
            torch.where(spread, third / divisor.pow(1.5), 0.0),
            torch.where(spread, fourth / divisor.square() - 3, 0.0),
        ]
        found.append(torch.stack(rows).cpu().numpy())
    return np.concatenate(found, axis=1)
