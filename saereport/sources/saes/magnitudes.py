"""Weights that no report can be made of: told when they are loaded, not after the text."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from saereport.sources.saes.sae import Sae
from saereport.util.errors import SaereportError

LARGEST_WEIGHT = 1e12
"""Above anything that is trained, and far enough below what a run may hold that products with a
model's weights stay within it."""


def check_magnitudes(sae: Sae) -> None:
    """Check that an SAE's directions are of a size that can be computed with.

    Biases and thresholds may be huge: that is how some trainers switch a latent off.

    Raises:
        SaereportError: A number is absurdly large; says which, and where.
    """
    for name, weight in _weights(sae):
        if not weight.numel():
            continue
        low, high = torch.aminmax(weight)
        # In this order NaN, which loading refuses already, would be refused too.
        if bool(-low <= LARGEST_WEIGHT) and bool(high <= LARGEST_WEIGHT):
            continue
        bad = ~(weight.abs() <= LARGEST_WEIGHT)
        where = [int(i) for i in bad.nonzero()[0]]
        raise SaereportError(
            f"The SAE {sae.slug} holds absurdly large numbers in {name}, first "
            f"{float(weight[tuple(where)]):.3g} at {where} ({int(bad.sum()):,} in all).",
            "The file is damaged, or training diverged.",
        )


def _weights(sae: Sae) -> Iterator[tuple[str, Tensor]]:
    """The matrices, one at a time: a decoder may be a file that memory does not hold."""
    yield "W_enc", sae.W_enc
    if not sae.why_no_decoder:
        for place, hook in enumerate(sae.writes):
            of = f" to {hook.name}" if len(sae.writes) > 1 else ""
            yield f"W_dec{of}", sae.write_rows(place=place)
