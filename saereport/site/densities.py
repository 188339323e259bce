"""How the densities of an SAE's latents are distributed, on a logarithmic scale."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10

from saereport.site.context import SaeView

PER_DECADE = 5
"""Bins in each factor of ten."""


@dataclass(frozen=True)
class Densities:
    """A histogram of the densities of the latents that were active at all.

    Attributes:
        low: Number of the first bin; bin `k` begins at `10 ** (k / PER_DECADE)`.
        counts: Latents of the SAE in each bin.
        shown: Of these, the ones that the report shows.
        n_active: Number of active latents of the SAE.
        n_shown: Number of active latents that are shown.
        median: Half of the active latents of the SAE have a smaller density; 0 without any.
    """

    low: int
    counts: list[int]
    shown: list[int]
    n_active: int
    n_shown: int
    median: float


def densities(sae: SaeView) -> Densities:
    """The distribution over the whole SAE where the run has it, else over what is shown."""
    run, slug = sae.report.run, sae.info.slug
    shown = [d for d in _column(sae, "activity", "density") if d > 0]
    if run.has("sae_activity", slug):
        counted = max(1, sae.n_counted)
        every = [n / counted for n in _column(sae, "sae_activity", "n_active") if n]
    else:
        every = shown
    bins, shown_bins = ([floor(PER_DECADE * log10(d)) for d in some] for some in (every, shown))
    # The two come from different tables: neither need hold the other's densities.
    low, high = min([*bins, *shown_bins], default=0), max([*bins, *shown_bins], default=0)
    n = high - low + 1 if every or shown else 0
    counts, shown_counts = [0] * n, [0] * n
    for place in bins:
        counts[place - low] += 1
    for place in shown_bins:
        shown_counts[place - low] += 1
    median = sorted(every)[len(every) // 2] if every else 0.0
    return Densities(low, counts, shown_counts, len(every), len(shown), median)


@dataclass(frozen=True)
class Dense:
    """How many latents of an SAE are active how often.

    Attributes:
        n: Latents of the SAE.
        n_tokens: Counted tokens.
        dead: Latents that were never active.
        above_1: Latents that were active on more than 1 % of the tokens.
        above_10: Latents that were active on more than 10 %.
        median_log10: log10 of the median density of those that were active; 0 without any.
    """

    n: int
    n_tokens: int
    dead: int
    above_1: int
    above_10: int
    median_log10: float


def dense(sae: SaeView) -> Dense | None:
    """How many latents are active how often; None where not all of them were followed."""
    counts, n_tokens = _column(sae, "sae_activity", "n_active"), sae.n_counted
    if not counts or n_tokens <= 0:
        return None
    active = sorted(n for n in counts if n)
    return Dense(
        n=len(counts),
        n_tokens=n_tokens,
        dead=len(counts) - len(active),
        above_1=sum(100 * n > n_tokens for n in active),
        above_10=sum(10 * n > n_tokens for n in active),
        median_log10=log10(active[len(active) // 2] / n_tokens) if active else 0.0,
    )


def _column(sae: SaeView, table: str, column: str) -> list[float]:
    if table not in sae.tables:
        return []
    found = sae.report.run.table(table, sae.info.slug, columns=[column])
    values: list[float] = found.column(0).to_pylist()
    return values
