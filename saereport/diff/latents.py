"""Every metric of single latents, over all compared pairs at once.

A comparer takes two `Half`s that are lined up pair by pair and returns a `MetricColumn`, or in
words why the metric cannot be compared. To add one, describe it as a `Metric` and hand both to
`register`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from saereport.diff.columns import (
    Lists,
    listed,
    numbers,
    positions_of,
    ranked,
    values_of,
)
from saereport.diff.metrics import METRICS, Metric
from saereport.diff.metrics import register as register_metric
from saereport.diff.overlap import (
    histogram_distance,
    place_distance,
    rank_distance,
    set_distance,
)
from saereport.diff.vocabularies import SharedVocabulary
from saereport.run import TABLES, Run
from saereport.util.visible import visible_text

UNKNOWN_TOKENS = 1_000_000
"""Tokens that densities count as measured on where neither run says how many."""


@dataclass(frozen=True)
class Half:
    """One side of the pairs.

    Attributes:
        run: The run.
        slug: The SAE in it.
        latents: int64[n], the latents of the pairs.
        vocabulary: The run's tokens.
    """

    run: Run
    slug: str
    latents: NDArray[np.int64]
    vocabulary: SharedVocabulary

    def table(self, name: str, *columns: str) -> pa.Table:
        """Columns of a table of this SAE."""
        return self.run.table(name, self.slug, columns=["latent", *columns])


@dataclass(frozen=True)
class Ranked:
    """The lists that a metric compared, and how an entry looks to a reader."""

    before: Lists
    after: Lists
    shown: Callable[[int], str]


@dataclass(frozen=True)
class MetricColumn:
    """One metric of every pair.

    Attributes:
        sizes: float64[n], `Value.size`; NaN where the pair has no such thing.
        befores: float64[n], values before, where the metric has values of one side.
        afters: float64[n], likewise.
        lists: The compared lists, where they are to be shown.
    """

    sizes: NDArray[np.float64]
    befores: NDArray[np.float64] | None = None
    afters: NDArray[np.float64] | None = None
    lists: Ranked | None = None


@dataclass(frozen=True)
class Comparability:
    """What decides which metrics make sense.

    Attributes:
        no_places: Why a place in one run's text is not the same place in the other's; empty where
            it is.
        same_latents: Whether a latent's number means the same latent on both sides.
        why_not: Metrics whose two values are not of the same thing, and why.
    """

    no_places: str
    same_latents: bool
    why_not: Mapping[str, str] = field(default_factory=dict)


def compared_latents(
    before: Half, after: Half, setting: Comparability
) -> tuple[Mapping[str, MetricColumn], Mapping[str, str]]:
    """Every metric that can be compared, and for those of one side only the reason.

    Returns:
        Metric name to column, and metric name to reason; in the order of `METRICS`.
    """
    columns: dict[str, MetricColumn] = {}
    reasons: dict[str, str] = {}
    unread, redacted = _unread(before, after), _redacted(before) | _redacted(after)
    for name in METRICS:
        if name not in COMPARISONS:
            continue
        table, compare = COMPARISONS[name].table, COMPARISONS[name].compare
        if not any(half.run.has(table, half.slug) for half in (before, after)):
            continue
        missing = _missing(before, after, table)
        found = missing or setting.why_not.get(name) or compare(before, after, setting)
        if isinstance(found, str):
            reasons[name] = found
        else:
            about = TABLES[table]
            hidden = (unread & about.of_text) | (redacted & about.reveals_text)
            columns[name] = replace(found, sizes=np.where(hidden, np.nan, found.sizes))
    return columns, reasons


def _unread(before: Half, after: Half) -> NDArray[np.bool_]:
    """bool[n]: latents without statistics of the text on one side, as those that are blinded."""
    unread = np.zeros(len(before.latents), bool)
    for half in (before, after):
        if half.run.has("activity", half.slug):
            unread |= positions_of(half.latents, numbers(half.table("activity"), "latent")) < 0
    return unread


def _redacted(half: Half) -> NDArray[np.bool_]:
    """bool[n]: latents that are blinded, and whose texts the run does not hold."""
    if not half.run.has("blind_latents"):
        return np.zeros(len(half.latents), bool)
    rows = half.run.table("blind_latents").to_pylist()
    redacted = [row["latent"] for row in rows if row["sae"] == half.slug and not row["reveal"]]
    return np.isin(half.latents, redacted)


def active_tokens(before: Half, after: Half) -> NDArray[np.float64]:
    """float64[n]: on how many tokens each is active, on the side where more; NaN where unknown."""
    if _missing(before, after, "activity"):
        return np.full(len(before.latents), np.nan)
    counts = []
    for half in (before, after):
        table = half.table("activity", "n_active", "density")
        n_active = values_of(table, "n_active", half.latents)
        # An imported run may know how often, and not on how many tokens.
        unknown = (n_active == 0) & (values_of(table, "density", half.latents) > 0)
        counts.append(np.where(unknown, np.nan, n_active))
    return np.fmax(*counts)


def _missing(before: Half, after: Half, table: str) -> str:
    sides = [
        side
        for side, half in (("before", before), ("after", after))
        if not half.run.has(table, half.slug)
    ]
    if not sides:
        return ""
    return f"the run {sides[0]} does not have the table '{table}'"


def relative(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Absolute change divided by the larger absolute value; 0 where both are 0."""
    larger = np.maximum(np.abs(before), np.abs(after))
    return np.abs(after - before) / np.where(larger == 0, 1, larger)


def _density(before: Half, after: Half, setting: Comparability) -> MetricColumn | str:
    counted = [half.run.info.text.n_counted for half in (before, after)]
    shares: list[NDArray[np.float64]] = []
    smoothed: list[NDArray[np.float64]] = []
    for half, own in zip((before, after), counted, strict=True):
        # An imported run may not know its tokens: half a token is then that of the other side.
        n_counted = own or max(counted) or UNKNOWN_TOKENS
        share = values_of(half.table("activity", "density"), "density", half.latents)
        shares.append(share)
        smoothed.append(share + 0.5 / n_counted)
    return MetricColumn(np.abs(np.log2(smoothed[1]) - np.log2(smoothed[0])), shares[0], shares[1])


def _histogram(before: Half, after: Half, setting: Comparability) -> MetricColumn | str:
    bins, counts, absent = [], [], np.zeros(len(before.latents), bool)
    for half in (before, after):
        table = half.table("activation_histogram", "log_first", "log_counts")
        held = listed(table, "log_counts", half.latents)
        first = values_of(table, "log_first", half.latents)
        absent |= np.isnan(first)
        bins.append(held.with_items(np.nan_to_num(first).astype(np.int64)[held.rows] + held.places))
        counts.append(held.items)
    sizes = histogram_distance(bins[0], counts[0], bins[1], counts[1])
    return MetricColumn(np.where(absent, np.nan, sizes))


def _top_tokens(before: Half, after: Half, setting: Comparability) -> MetricColumn | str:
    lists = [
        _tokens(
            half,
            ranked(_of(half, "token_statistics", "order", "share", "token"), "token", half.latents),
        )
        for half in (before, after)
    ]
    return _ranked_tokens(lists, before)


def _of(half: Half, name: str, column: str, value: str, *columns: str) -> pa.Table:
    """The rows of a ranked table in which `column` is `value`."""
    table = half.table(name, column, "rank", *columns)
    return table.filter(pc.equal(table.column(column), value)).drop_columns([column])


def _tokens(half: Half, lists: Lists) -> Lists:
    return lists.with_items(half.vocabulary.to_common(lists.items))


def _ranked_tokens(lists: list[Lists], half: Half) -> MetricColumn:
    sizes = rank_distance(lists[0], lists[1])
    return MetricColumn(sizes, lists=Ranked(lists[0], lists[1], half.vocabulary.shown))


def _examples(before: Half, after: Half, setting: Comparability) -> MetricColumn | str:
    if setting.no_places:
        return setting.no_places
    places = []
    for half in (before, after):
        table = _of(half, "examples", "group", "top", "sequence", "position")
        # One number for a place. The bounds are beyond any text, and keep damaged files in range.
        sequence = numbers(table, "sequence") % 2**40
        place = pa.array(sequence * 2**22 + numbers(table, "position") % 2**22)
        table = table.append_column("place", place)
        places.append(ranked(table, "place", half.latents))
    length = min(int(one.lengths.max(initial=0)) for one in places)
    if not length:
        side = "after" if len(places[0].items) else "before"
        return f"the run {side} has no top examples"
    return MetricColumn(place_distance(places[0].first(length), places[1].first(length)))


def _logit_lens(before: Half, after: Half, setting: Comparability) -> MetricColumn | str:
    tables = [half.table("logit_lens", "top_tokens") for half in (before, after)]
    return _weights_tokens(before, after, tables[0], tables[1])


def _weights_tokens(before: Half, after: Half, one: pa.Table, two: pa.Table) -> MetricColumn:
    """Compare `top_tokens` of tables that have a row for each latent that has such a list."""
    lists, absent = [], np.zeros(len(before.latents), bool)
    for half, table in ((before, one), (after, two)):
        absent |= positions_of(half.latents, numbers(table, "latent")) < 0
        lists.append(_tokens(half, listed(table, "top_tokens", half.latents)))
    column = _ranked_tokens(lists, before)
    return MetricColumn(np.where(absent, np.nan, column.sizes), lists=column.lists)


def _deembedding(before: Half, after: Half, setting: Comparability) -> MetricColumn | str:
    tables = [half.table("deembedding", "kind", "top_tokens") for half in (before, after)]
    for kind in ("extended", "raw"):
        rows = [table.filter(pc.equal(table.column("kind"), kind)) for table in tables]
        if all(table.num_rows for table in rows):
            return _weights_tokens(before, after, rows[0], rows[1])
    return "the two runs have no kind of de-embedding in common"


def _neighbours(before: Half, after: Half, setting: Comparability) -> MetricColumn | str:
    if not setting.same_latents:
        return "the numbers of the SAEs' latents do not mean the same"
    lists = [
        ranked(half.table("neighbours", "rank", "other"), "other", half.latents)
        for half in (before, after)
    ]
    return _ranked_latents(lists)


def _coactivation(before: Half, after: Half, setting: Comparability) -> MetricColumn | str:
    if not setting.same_latents:
        return "the numbers of the SAEs' latents do not mean the same"
    lists = [
        ranked(_of(half, "coactivation", "order", "pearson", "other"), "other", half.latents)
        for half in (before, after)
    ]
    return _ranked_latents(lists)


def _ranked_latents(lists: list[Lists]) -> MetricColumn:
    one, two = (found.with_items(np.abs(found.items)) for found in lists)
    return MetricColumn(rank_distance(one, two), lists=Ranked(one, two, str))


def _explanations(before: Half, after: Half, setting: Comparability) -> MetricColumn | str:
    texts: dict[str, int] = {}
    lists = []
    for half in (before, after):
        table = half.table("explanations", "rank", "text")
        ids = [texts.setdefault(text, len(texts)) for text in table.column("text").to_pylist()]
        at = table.column_names.index("text")
        table = table.set_column(at, "text", pa.array(ids, pa.int64()))
        lists.append(ranked(table, "text", half.latents))
    known = tuple(texts)
    shown = Ranked(lists[0], lists[1], lambda text: visible_text(known[text]))
    return MetricColumn(set_distance(lists[0], lists[1]), lists=shown)


Comparer = Callable[[Half, Half, Comparability], MetricColumn | str]


@dataclass(frozen=True)
class Comparison:
    """How a metric of latents comes about.

    Attributes:
        table: The table of one SAE that it needs on both sides.
        compare: What compares two sides.
        column: The column of that table that is the metric's value on one side; empty where it is
            a metric of two sides alone.
    """

    table: str
    compare: Comparer
    column: str = ""


def numeric(table: str, column: str, *, is_relative: bool = False) -> Comparison:
    """The comparison of a column that has one number for each latent.

    Args:
        table: A table of one SAE with one row for each latent.
        column: The column.
        is_relative: Whether sizes are relative changes, not absolute ones.
    """

    def compare(before: Half, after: Half, setting: Comparability) -> MetricColumn:
        one, two = (values_of(h.table(table, column), column, h.latents) for h in (before, after))
        return MetricColumn(relative(one, two) if is_relative else np.abs(two - one), one, two)

    return Comparison(table, compare, column)


def _of_concept(column: str, *, is_relative: bool = False) -> Comparison:
    """The comparison of what steering does to a concept: only where both looked for one."""
    plain = numeric("steering_windows", column, is_relative=is_relative)

    def compare(before: Half, after: Half, setting: Comparability) -> MetricColumn | str:
        found = plain.compare(before, after, setting)
        if isinstance(found, str):
            return found
        sides = []
        for half in (before, after):
            rows = half.table("steering_windows", "words").to_pylist()
            words = {row["latent"]: sorted(row["words"]) for row in rows}
            sides.append([words.get(latent, []) for latent in half.latents.tolist()])
        same = [one == two for one, two in zip(*sides, strict=True)]
        return replace(found, sizes=np.where(same, found.sizes, np.nan))

    return replace(plain, compare=compare)


COMPARISONS: dict[str, Comparison] = {
    "density": Comparison("activity", _density, "density"),
    "max": numeric("activity", "max", is_relative=True),
    "histogram.jsd": Comparison("activation_histogram", _histogram),
    "top_tokens.rbo": Comparison("token_statistics", _top_tokens),
    "examples": Comparison("examples", _examples),
    "logit_lens.rbo": Comparison("logit_lens", _logit_lens),
    "deembedding.rbo": Comparison("deembedding", _deembedding),
    "neighbours.rbo": Comparison("neighbours", _neighbours),
    "coactivation.rbo": Comparison("coactivation", _coactivation),
    "output_score": numeric("output_scores", "score"),
    "output_score.percentile": numeric("output_scores", "percentile"),
    "explanations": Comparison("explanations", _explanations),
    "steering.visible_from": _of_concept("visible_from", is_relative=True),
    "steering.broken_from": numeric("steering_windows", "broken_from", is_relative=True),
    "steering.effect": _of_concept("effect"),
    "steering.perplexity_ratio": _of_concept("perplexity_ratio", is_relative=True),
}
"""Metric name to how it comes about."""


def register(metric: Metric, comparison: Comparison) -> None:
    """Add a metric of latents: outputs, gates, `check` and tolerances know it from here.

    Raises:
        ValueError: There is one of that name, or it is not one of latents.
    """
    if metric.scope != "latent" or metric.one_sided != bool(comparison.column):
        raise ValueError(f"'{metric.name}' is not a metric of latents with these sides")
    register_metric(metric)
    COMPARISONS[metric.name] = comparison


def reveals_text(metric: str) -> bool:
    """Whether the lists that a metric compares say what activates a latent, or what it means."""
    return metric in COMPARISONS and TABLES[COMPARISONS[metric].table].reveals_text
