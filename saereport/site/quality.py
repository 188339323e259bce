"""How well an SAE as a whole does its work, in a few facts."""

from __future__ import annotations

from math import isfinite

from saereport.run import Run
from saereport.site import numbers
from saereport.site.story import Fact


def quality_facts(run: Run, slug: str) -> list[Fact]:
    """Explained variance and recovered cross-entropy, with what they are made of.

    Args:
        run: The run.
        slug: The SAE.

    Returns:
        Up to two facts; none where the run holds no such figures.
    """
    if not run.has("sae_metrics", slug):
        return []
    rows = run.table("sae_metrics", slug).to_pylist()
    figures = {row["metric"]: row["value"] for row in rows if isfinite(row["value"])}
    over = {row["metric"]: row["n_tokens"] for row in rows}
    facts = []
    if "explained_variance" in figures:
        note = f"over {numbers.plural(over['explained_variance'], 'token')}"
        facts.append(Fact("Explained variance", _fixed(figures["explained_variance"], 3), note))
    if "ce_recovered" in figures:
        parts = (("model", "ce_original"), ("with the SAE", "ce_spliced"), ("zero", "ce_zero"))
        note = ", ".join(
            f"{words} {_fixed(figures[name], 2)}" for words, name in parts if name in figures
        )
        facts.append(Fact("CE recovered", _fixed(figures["ce_recovered"], 3), note))
    return facts


def _fixed(number: float, decimals: int) -> str:
    """With so many decimals, so that figures side by side can be compared at a glance."""
    return f"{number:,.{decimals}f}".replace("-", numbers.MINUS)
