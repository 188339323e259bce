"""Matching pursuit SAEs: latents are taken one after another, each from what the others left.

"From Flat to Hierarchical: Extracting Sparse Representations with Matching Pursuit",
https://arxiv.org/abs/2506.03093.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from saereport.sources.saes.architectures.encoders import Dims, WithoutReads
from saereport.sources.saes.architectures.registry import Architecture


class MatchingPursuit(WithoutReads):
    """The decoder's rows are all there is: the row that fits best is taken off, and again."""

    tensors: ClassVar[Mapping[str, Dims]] = {}
    settings = ("residual_threshold",)
    why_no_reads = (
        "matching pursuit takes latents one after another, each from what those before it left, so "
        "a latent has no read direction of its own"
    )


ARCHITECTURES = (Architecture("matching_pursuit", MatchingPursuit),)
