"""What a reader must know before leaning on the figures of an SAE as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, isfinite, log10

from saereport.evaluate.figures import Figures
from saereport.run.figures import SMALL_GAP, Figure

VARIANCE_MOVES = 0.05
"""Explained variance hangs on few tokens where it moves by more than this without them."""

ERROR_MOVES = 0.25
"""Likewise the squared error, as a share of the larger value."""


def doubts(figures: Figures) -> tuple[str, ...]:
    """Sentences about an SAE, such as warnings are; empty where there is nothing to warn of."""
    return (*_few_tokens(figures), *_shares(figures))


def _few_tokens(figures: Figures) -> Iterator[str]:
    every, usual = figures["explained_variance"], figures["explained_variance_usual"]
    if abs(every.value - usual.value) > VARIANCE_MOVES:
        yield (
            f"Explained variance hangs on few tokens: {every.value:.3f} over all "
            f"{every.n_tokens:,}, {usual.value:.3f} without {_those(every, usual)}."
        )
    every, usual = figures["mse"], figures["mse_usual"]
    larger = max(every.value, usual.value)
    if isfinite(usual.value) and abs(every.value - usual.value) > ERROR_MOVES * larger:
        yield (
            f"The squared error hangs on few tokens: {every.value:.4g} over all "
            f"{every.n_tokens:,}, {usual.value:.4g} without {_those(every, usual)}."
        )


def _those(every: Figure, usual: Figure) -> str:
    n = every.n_tokens - usual.n_tokens
    return f"the {n:,} of largest norm" if n > 1 else "the one of largest norm"


def _shares(figures: Figures) -> Iterator[str]:
    added = figures["ce_added_spliced"].value
    original, own = figures["ce_original"].value, figures["ce_spliced"].value
    for kind in ("zero", "mean"):
        gap = figures[f"ce_added_{kind}"]
        digits = max(3, 1 - floor(log10(abs(gap.value)))) if gap.value else 3
        if gap.value <= 0:
            yield (
                f"{kind.capitalize()} ablation costs the model nothing ({gap.value:.{digits}f} "
                "nats of cross-entropy), so there is no share of it that the SAE recovers."
            )
        elif gap.value < SMALL_GAP:
            share = figures["ce_recovered" if kind == "zero" else "ce_recovered_mean"]
            yield (
                f"{kind.capitalize()} ablation costs the model only {gap.value:.{digits}f} nats "
                "of cross-entropy, so the share recovered of it means little: "
                f"{share.value:.3f}{_span(share)}."
            )
    gap = figures["ce_added_zero"]
    if gap.value <= 0:
        return
    digits = max(3, 1 - floor(log10(abs(added)))) if added else 3
    pair = f"({own:.{digits}f} nats against {original:.{digits}f})"
    share = figures["ce_recovered"]
    if share.value > 1:
        chance = share.interval is not None and share.interval[0] <= 1
        yield (
            "The share of cross-entropy recovered is above 1: with the SAE the model predicts "
            f"this text better than without {pair}"
            + (", which may be chance: the interval begins below 1." if chance else ".")
        )
    elif share.value < 0:
        zero = figures["ce_zero"].value
        yield (
            "The share of cross-entropy recovered is below 0: with the SAE the model predicts "
            f"worse than with zero in its place ({own:.3f} nats against {zero:.3f})."
        )


def _span(figure: Figure) -> str:
    if figure.interval is None:
        return " (no interval)"
    low, high = figure.interval
    return f" (95 % interval {low:.3f} to {high:.3f})"
