"""The methods page: what every number of this report means, in the words of the tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from saereport.run import TABLES
from saereport.site.context import ReportModel
from saereport.site.parts.registry import Entry, Page, PageKind, Part, register

PAGE = "methods.html"


@dataclass(frozen=True)
class Method:
    """One table's definition, and the SAEs that lack it with the reason."""

    name: str
    title: str
    version: int
    paragraphs: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    absent: tuple[tuple[str, str], ...]


def methods(report: ReportModel) -> list[Method]:
    """Definitions of the tables that this run holds, and of those it left out for a reason."""
    held = set(report.run.names())
    for sae in (view.info for view in report.saes):
        held |= set(report.run.names(sae.slug)) | sae.left_out.keys()
    return [
        Method(
            name=table.name,
            title=table.title,
            version=table.version,
            paragraphs=tuple(table.definition.split("\n\n")),
            columns=tuple(
                (column.name, str(column.type).replace(" not null", "")) for column in table.columns
            ),
            absent=tuple(
                (sae.label, sae.left_out[table.name])
                for sae in (view.info for view in report.saes)
                if table.name in sae.left_out
            ),
        )
        for table in TABLES.values()
        if table.name in held
    ]


def _items(report: ReportModel) -> Iterator[Page]:
    yield Page(PAGE, "methods", title=("Methods",), fields={"methods": methods(report)})


register(
    Part(
        "methods",
        _items,
        order=50,
        kinds=(PageKind("methods", "methods.html", script="text", warnings="none"),),
        navigation=lambda report, sae: (Entry("Methods", PAGE),),
    )
)
