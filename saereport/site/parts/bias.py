"""The bias test: one page with a biased probe before and after, and the latents of each SAE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saereport.run import SaeInfo
from saereport.site.bias import FOLDER, INDEX, panels, present
from saereport.site.context import ReportModel
from saereport.site.parts.registry import (
    Entry,
    Item,
    PageKind,
    Part,
    register,
)
from saereport.site.shown import PanelsPage

HEADING = "Bias test"


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    return (Entry(HEADING, INDEX, group="Evaluation"),)


def _items(report: ReportModel) -> Iterator[Item]:
    page = PanelsPage(INDEX, "bias", "What a biased probe leans on", HEADING)
    yield from page.items(report, panels(report))


register(
    Part(
        "bias",
        _items,
        order=27,
        kinds=(PageKind("bias"),),
        navigation=_navigation,
        folders=frozenset({FOLDER}),
        tables=("bias_groups", "bias_scores", "bias_latents"),
        present=present,
    )
)
