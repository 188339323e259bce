"""A stage of its own: activity by position over the first sequences of the text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from saereport.pipeline.stage import Cost, Needs, Stage, Yielded

if TYPE_CHECKING:
    from saereport.pipeline.context import Context


class Settings(BaseModel):
    """How much is looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sequences: int = Field(8, ge=1, le=10_000)


class Profile(Stage):
    """The mean number of active latents at each position."""

    name = "profile"
    tables = ("position_profile",)
    needs = Needs(model=True, saes=True)
    config = Settings

    def plan(self, context: Context) -> Cost:
        """One pass over a few sequences."""
        n = context.settings(self).sequences
        return Cost(tokens=n * context.text.rules.context_size, passes=1)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield `position_profile` of each SAE."""
        import torch

        n, width = context.settings(self).sequences, context.text.rules.context_size
        packed = islice(context.text.packed(batch=1), n)
        counts = {slug: np.zeros(width) for slug in context.saes}
        tokens_at = np.zeros(width, np.int64)
        for one in packed:
            counted = np.asarray(one.counted)
            tokens = torch.as_tensor(np.asarray(one.tokens), device=context.model.device).long()
            tokens_at += counted.sum(axis=0)
            for slug, sae in context.saes.items():
                hook = sae.hook_in.name
                active = sae.encode(context.model.run(tokens, [hook])[hook]) > 0
                per_token = active.sum(dim=-1).cpu().numpy()
                counts[slug] += (per_token * counted).sum(axis=0)
        held = np.flatnonzero(tokens_at)
        for slug, total in counts.items():
            yield (
                slug,
                "position_profile",
                {
                    "position": held.astype(np.int32),
                    "n_tokens": tokens_at[held],
                    "l0": total[held] / tokens_at[held],
                },
            )
