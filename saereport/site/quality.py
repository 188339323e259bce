"""How well an SAE as a whole does its work: in a few facts, and in tables with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import floor, log, log10

from saereport.run import Run
from saereport.run.figures import FEWEST_SEQUENCES, SMALL_GAP, Figure, figures_of
from saereport.site import numbers
from saereport.site.context import SaeView
from saereport.site.latent_summary import Fact

DECIMALS = 3
"""Of shares, cosines and nats, unless more are needed to tell what matters."""

MOST_DECIMALS = 6

REPLACED = (
    ("nothing: the model itself", "original"),
    ("the reconstruction", "spliced"),
    ("the mean", "mean"),
    ("zero", "zero"),
)
"""What stands in the place of the activations, and the ending of the names of its figures."""

SIZES = ("mse", "mse_usual", "l0", "l1")
"""Figures of any size, which have significant digits."""

Figures = Mapping[str, Figure]


@dataclass(frozen=True)
class QualityCell:
    """A number as it is shown, and its interval; both empty where there can be none."""

    value: str = ""
    interval: str = ""


NOT_MEASURED = QualityCell("–")


@dataclass(frozen=True)
class QualityRow:
    """One row of a table."""

    name: str
    cells: tuple[QualityCell, ...]


@dataclass(frozen=True)
class FiguresTable:
    """A table of figures; `columns` has a name for each cell of a row."""

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[QualityRow, ...]


@dataclass(frozen=True)
class Quality:
    """What an SAE's page says about the SAE as a whole.

    Attributes:
        summary: What the figures are over; or why there are none.
        tables: The figures; empty where there are none.
        notes: What a reader should know to read them.
    """

    summary: str
    tables: tuple[FiguresTable, ...] = ()
    notes: tuple[str, ...] = ()


def quality_facts(run: Run, slug: str) -> list[Fact]:
    """Explained variance and recovered cross-entropy, each with how much it is to be trusted.

    Args:
        run: The run.
        slug: The SAE.

    Returns:
        Up to two facts; none where the run holds no such figures.
    """
    figures = figures_of(run, slug)
    facts = []
    variance, usual = (figures.get(f"explained_variance{end}") for end in ("", "_usual"))
    if variance:
        without = f"{_share(usual).value} without {_largest(variance, usual)}" if usual else ""
        note = _joined([_share(variance).interval, without])
        facts.append(Fact("Explained variance", _share(variance).value, note))
    recovered, gap = figures.get("ce_recovered"), figures.get("ce_added_zero")
    if recovered:
        of = f"of {_fixed(gap.value, _decimals_of_nats(figures))} nats" if gap else ""
        note = _joined([_share(recovered).interval, of])
        facts.append(Fact("CE recovered", _share(recovered).value, note))
    return facts


def cell_of(figures: Figures, name: str) -> QualityCell:
    """One figure as every page shows it: a size as it is, nats and shares by their decimals."""
    if name in SIZES:
        return _plain(figures.get(name))
    if name.startswith(("ce_", "kl_")) and "recovered" not in name:
        return _cell(figures.get(name), _decimals_of_nats(figures))
    return _share(figures.get(name))


def share(figure: Figure | None) -> str:
    """A share as every page shows it, without its interval."""
    return _share(figure).value


def quality(sae: SaeView) -> Quality:
    """The tables of an SAE's page, or the reason why there are none."""
    figures = figures_of(sae.report.run, sae.info.slug)
    variance, original = figures.get("explained_variance"), figures.get("ce_original")
    if variance is None or original is None:
        reason = sae.info.left_out.get("sae_metrics", "the run does not hold it")
        return Quality(f"Not measured: {reason}.")
    tokens = numbers.plural(variance.n_tokens, "counted token")
    sequences = numbers.plural(variance.n_sequences, "sequence")
    summary = f"Over the first {tokens} of the text, in {sequences}."
    if variance.n_sequences >= FEWEST_SEQUENCES:
        summary += " Below each figure stands its 95 % interval, by drawing the sequences anew."
    else:
        summary += f" That is too few for intervals, which need {FEWEST_SEQUENCES} sequences."
    tables = (_activations(figures), _predictions(figures), _recovered(figures))
    return Quality(summary, tables, tuple(_notes(sae, figures)))


def _activations(figures: Figures) -> FiguresTable:
    variance, usual = figures["explained_variance"], figures.get("explained_variance_usual")
    rows = [
        QualityRow(name, tuple(show(figures.get(key)) if key else QualityCell() for key in keys))
        for name, show, keys in (
            (
                "Explained variance",
                _share,
                ("explained_variance", "explained_variance_usual"),
            ),
            ("Squared error", _plain, ("mse", "mse_usual")),
            ("Cosine", _share, ("cosine", "")),
            ("L2 ratio", _share, ("l2_ratio", "")),
            ("L0 on these tokens", _plain, ("l0", "")),
            ("L1 on these tokens", _plain, ("l1", "")),
        )
    ]
    columns = ("all tokens", f"without {_largest(variance, usual)}" if usual else "")
    return FiguresTable("Activations", "figure", columns, tuple(rows))


def _predictions(figures: Figures) -> FiguresTable:
    decimals = _decimals_of_nats(figures)
    rows = [
        QualityRow(
            name,
            tuple(
                _cell(figures.get(f"{part}_{kind}"), decimals)
                if part == "ce" or kind != "original"
                else QualityCell()
                for part in ("ce", "ce_added", "kl")
            ),
        )
        for name, kind in REPLACED
    ]
    columns = ("cross-entropy", "added", "KL")
    return FiguresTable("Next-token predictions, in nats", "in its place", columns, tuple(rows))


def _recovered(figures: Figures) -> FiguresTable:
    rows = [
        QualityRow(
            name, tuple(_share(figures.get(f"{part}_recovered{end}")) for part in ("ce", "kl"))
        )
        for name, end in (("zero ablation", ""), ("mean ablation", "_mean"))
    ]
    columns = ("cross-entropy", "KL divergence")
    return FiguresTable("Share recovered", "against", columns, tuple(rows))


def _notes(sae: SaeView, figures: Figures) -> Iterable[str]:
    text, n_vocabulary = sae.report.info.text, sae.report.info.model.d_vocab
    kept = "" if text.include_special else "; BOS and other special tokens keep their own"
    yield f"Activations are replaced at every counted token{kept}."
    guessing = log(n_vocabulary) if n_vocabulary else 0.0
    worse = [
        f"{name} ablation ({_fixed(figures[key].value, 2)} nats)"
        for name, key in (("zero", "ce_zero"), ("mean", "ce_mean"))
        if guessing and key in figures and figures[key].value > guessing
    ]
    if worse:
        said = " and ".join(worse)
        leave = "leaves" if len(worse) == 1 else "leave"
        stricter = (
            "the share against mean ablation is the stricter one"
            if len(worse) == 1 and "zero" in said
            else "what the reconstruction adds in nats says more"
        )
        yield (
            f"{said[0].upper()}{said[1:]} {leave} the model worse than guessing among all "
            f"{numbers.count(n_vocabulary)} tokens (ln V = {_fixed(guessing, 2)}), so nearly any "
            f"reconstruction recovers nearly all of that: {stricter}."
        )
    small = [
        name
        for name, key in (("zero", "ce_added_zero"), ("mean", "ce_added_mean"))
        if key in figures and figures[key].value < SMALL_GAP
    ]
    if small:
        adds = "add" if len(small) > 1 else "adds"
        yield (
            f"{' and '.join(small).capitalize()} ablation {adds} less than {SMALL_GAP} nats, and a "
            "share of so little means little: read what the reconstruction adds, and KL divergence."
        )


def _largest(every: Figure, usual: Figure | None) -> str:
    n = every.n_tokens - usual.n_tokens if usual else 0
    return f"the {n:,} of largest norm" if n > 1 else "the one of largest norm"


def _share(figure: Figure | None) -> QualityCell:
    """A share, a cosine or a ratio: with three decimals, more where its interval is narrow."""
    if figure is None:
        return NOT_MEASURED
    width = figure.half_width
    more = -floor(log10(width)) if 0 < width < 10**-DECIMALS else DECIMALS
    return _cell(figure, min(more, MOST_DECIMALS))


def _plain(figure: Figure | None) -> QualityCell:
    """A number of any size, with four significant digits."""
    if figure is None:
        return NOT_MEASURED
    return QualityCell(
        numbers.value(figure.value, 4), _span(figure, lambda end: numbers.value(end, 4))
    )


def _cell(figure: Figure | None, decimals: int) -> QualityCell:
    if figure is None:
        return NOT_MEASURED
    return QualityCell(
        _fixed(figure.value, decimals), _span(figure, lambda end: _fixed(end, decimals))
    )


def _span(figure: Figure, shown: Callable[[float], str]) -> str:
    """The interval; where others of so many sequences have one, that it has none."""
    if figure.interval is None:
        return "no interval" if figure.n_sequences >= FEWEST_SEQUENCES else ""
    return " to ".join(shown(end) for end in figure.interval)


def _decimals_of_nats(figures: Figures) -> int:
    """So many that two digits are left of the smallest difference between cross-entropies."""
    names = ("ce_added_spliced", "ce_added_mean", "ce_added_zero")
    added = [abs(figures[name].value) for name in names if name in figures]
    least = min((value for value in added if value), default=1.0)
    return min(max(DECIMALS, 1 - floor(log10(least))), MOST_DECIMALS)


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(part for part in parts if part)


def _fixed(number: float, decimals: int) -> str:
    """With so many decimals, so that figures side by side can be compared at a glance."""
    return f"{number:,.{decimals}f}".replace("-", numbers.MINUS)
