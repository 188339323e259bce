"""Panels on a latent's page, and a page of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from saereport.run import SaeInfo
from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.context import LatentView, ReportModel
from saereport.site.panels import Panel
from saereport.site.parts import Entry, Item, Page, PageKind, Part
from saereport.site.parts.registry import REPORT_DATA
from saereport.site.shown import page_data, shown_panels

LONGEST = base("streaks.longest", b="tokens", title="The longest streak", columns=[])
FACTS = base(
    "streaks.facts",
    b="facts",
    names=["streaks", "mean length", "longest"],
    notes=["", "tokens", "tokens"],
)
DIMENSION = base("outliers.facts", b="facts", names=["dimension", "of its squared norm"])
LINE = base(
    "profile.line",
    b="lines",
    y="active latents",
    summary="Mean number of active latents at each of {n} places.",
)
PAGE, DATA = "profile/index.html", "profile/index.js"


def streaks(latent: LatentView) -> list[Block]:
    """How often, how long, and the tokens of the longest."""
    rows = latent.rows("streaks")
    if not len(rows):
        return []
    row = rows.first()
    values = [
        numbers.count(row["n_streaks"]),
        numbers.value(row["mean_length"]),
        numbers.count(row["longest"]),
    ]
    tokens = [[token] for token in row["tokens"]]
    return [FACTS(values=values), *([LONGEST(rows=tokens)] if tokens else [])]


def outliers(latent: LatentView) -> list[Block]:
    """The dimension, and its share."""
    rows = latent.rows("outlier_dimension")
    if not len(rows):
        return []
    row = rows.first()
    return [DIMENSION(values=[str(row["dimension"]), numbers.percent(row["share"])])]


def present(report: ReportModel) -> bool:
    """A report has the page if an SAE has the table."""
    return any(report.run.has("position_profile", sae.slug) for sae in report.info.saes)


def profile(report: ReportModel, sae: SaeInfo) -> list[Block]:
    """The profile of one SAE, as a line; its table stands in the page."""
    if not report.run.has("position_profile", sae.slug):
        return []
    rows = report.run.table("position_profile", sae.slug)
    return [
        LINE(
            labels=[str(place) for place in rows.column("position").to_pylist()],
            series=[{"name": "L0", "key": "l0", "values": rows.column("l0").to_pylist()}],
            v={"n": rows.num_rows},
        )
    ]


def items(report: ReportModel) -> Iterator[Item]:
    """One page with a panel for each SAE."""
    made = [
        Panel(f"of-{sae.slug}", sae.label, ("position_profile",), partial(profile, sae=sae))
        for sae in report.info.saes
    ]
    panels = shown_panels(report, made, report)
    yield Page(
        PAGE,
        "profile",
        title=("Activity by position",),
        needs=(REPORT_DATA, DATA),
        fields={"heading": "Activity by position", "kicker": "Plug-in", "panels": panels},
    )
    yield from page_data(PAGE, DATA, panels, {})


STREAKS = Panel("streaks", "Streaks", ("streaks",), streaks)
OUTLIERS = Panel("outliers", "Outlier dimension", ("outlier_dimension",), outliers)
PROFILE = Part(
    "profile",
    items,
    order=35,
    kinds=(PageKind("profile"),),
    navigation=lambda report, sae: (Entry("By position", PAGE),),
    folders=frozenset({"profile"}),
    tables=("position_profile",),
    present=present,
)
