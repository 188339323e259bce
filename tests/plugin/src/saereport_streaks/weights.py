"""The dimension in which a decoder row is largest."""

from __future__ import annotations

from typing import Any

import numpy as np

from saereport.measure.weights import WeightContext, WeightTable


def why_not(context: WeightContext) -> str:
    """A decoder is needed."""
    return str(getattr(context.sae, "why_no_decoder", ""))


def compute(context: WeightContext) -> dict[str, Any]:
    """Table `outlier_dimension`."""
    squares = context.decoder.square()
    largest, dimension = squares.max(dim=1)
    total = squares.sum(dim=1).clamp(min=1e-30)
    return {
        "latent": context.names,
        "dimension": dimension.cpu().numpy().astype(np.int32),
        "share": (largest / total).cpu().double().numpy(),
    }


TABLE = WeightTable("outlier_dimension", why_not, compute)
