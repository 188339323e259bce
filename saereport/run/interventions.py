"""What setting latents does to the answers of prompts, as a run stores it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite

from saereport.run.store import Run

EVERYWHERE = -1
"""Stands where a position would, for all of them."""

Key = tuple[str, int, float]
"""SAE, latent, and the multiple that it is set to; 0 where it is ablated."""


@dataclass(frozen=True)
class Effects:
    """Changes of the logit of one prompt's answer, each of one latent set at all positions.

    Attributes:
        ablated: By SAE, latent and 0.
        clamped: By SAE, latent and multiple.
    """

    ablated: dict[Key, float] = field(default_factory=dict)
    clamped: dict[Key, float] = field(default_factory=dict)

    @property
    def largest(self) -> float | None:
        """The largest change by one ablated latent, either way; None where none was ablated."""
        return max(map(abs, self.ablated.values()), default=None)


def effects_of(run: Run) -> dict[int, Effects]:
    """The effects by the prompt's number; empty where the run holds none.

    Raises:
        SaereportError: The table is damaged.
    """
    if not run.has("prompt_interventions"):
        return {}
    columns = ["prompt", "sae", "latent", "multiple", "position", "logit_change"]
    found: dict[int, Effects] = {}
    for row in run.table("prompt_interventions", columns=columns).to_pylist():
        if row["position"] != EVERYWHERE or not isfinite(row["logit_change"]):
            continue
        effects = found.setdefault(row["prompt"], Effects())
        into = effects.clamped if row["multiple"] else effects.ablated
        into[row["sae"], row["latent"], row["multiple"]] = row["logit_change"]
    return found
