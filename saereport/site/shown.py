"""Panels as a page's HTML shows them, and the data of what the browser draws in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from saereport.site import jsonwriter
from saereport.site.blocks import Block, Cell, merged
from saereport.site.context import ReportModel, SaeView
from saereport.site.panels.registry import Panel
from saereport.site.parts.registry import REPORT_DATA, Data, Item, Page
from saereport.site.telling import DRAWN, Told, tell

SPLIT_AT = 1_000_000
"""Bytes of a page's blocks above which the largest are scripts of their own, loaded when seen."""


@dataclass(frozen=True)
class Fold:
    """A line that unfolds a block: a title, what leads, and a note."""

    title: str
    lead: tuple[Cell, ...] = ()
    note: str = ""
    open: bool = False


@dataclass(frozen=True)
class ShownBlock:
    """A block as the HTML has it.

    Attributes:
        id: Its key in the page's data.
        kind: Its kind.
        title: Its heading, or nothing.
        told: What it says without scripts.
        fold: What it is folded behind, if anything.
        inside: The blocks of a grid.
        stacked: Whether these lie one under the other.
        raw: The block itself, for the browser.
    """

    id: str
    kind: str
    title: Cell
    told: Told
    fold: Fold | None
    inside: tuple[ShownBlock, ...]
    stacked: bool
    raw: Block

    @property
    def drawn(self) -> bool:
        """Whether the browser draws it."""
        return self.kind in DRAWN


@dataclass(frozen=True)
class ShownPanel:
    """A panel as the HTML has it; `method` is the table that its link explains."""

    name: str
    title: str
    method: str
    wide: bool
    blocks: tuple[ShownBlock, ...]

    def drawn(self) -> Iterator[ShownBlock]:
        """The blocks that the browser draws, those in grids too."""
        waiting = list(reversed(self.blocks))
        while waiting:
            block = waiting.pop()
            if block.drawn:
                yield block
            waiting += reversed(block.inside)


def shown_panels(report: ReportModel, panels: Iterable[Panel], subject: object) -> list[ShownPanel]:
    """The panels that have something to show of a subject, in their order.

    A narrow panel without a neighbour takes the whole row.
    """
    found = []
    for panel in panels:
        blocks = panel.build(subject)
        if blocks:
            made = tuple(
                shown_block(report, block, f"{panel.name}.{place}")
                for place, block in enumerate(blocks)
            )
            method = panel.tables[0] if panel.tables else ""
            found.append(ShownPanel(panel.name, panel.title, method, panel.wide, made))
    narrow = [place for place, panel in enumerate(found) if not panel.wide]
    if len(narrow) % 2:
        found[narrow[-1]] = replace(found[narrow[-1]], wide=True)
    return found


def shown_block(report: ReportModel, block: Block, key: str) -> ShownBlock:
    """A block with what it says; `key` tells it from the others of its page."""
    whole = merged(block)
    fold = whole.get("fold")
    return ShownBlock(
        id=key,
        kind=whole["b"],
        title=whole.get("title", ""),
        told=tell(whole, report),
        fold=Fold(**{**fold, "lead": tuple(fold.get("lead", ()))}) if fold else None,
        inside=tuple(
            shown_block(report, inner, f"{key}.{place}")
            for place, inner in enumerate(block.get("blocks", ()))
        ),
        stacked=bool(whole.get("stacked")),
        raw=block,
    )


def page_data(
    page: str, path: str, panels: Iterable[ShownPanel], head: Mapping[str, Any]
) -> Iterator[Data]:
    """The data scripts of what is drawn on a page.

    Args:
        page: Path of the page.
        path: Path of its data script.
        panels: Its panels.
        head: What its scripts need besides.
    """
    written = {b.id: jsonwriter.dumps(b.raw) for panel in panels for b in panel.drawn()}
    apart: dict[str, str] = {}
    while written and sum(map(len, written.values())) - sum(map(len, apart.values())) > SPLIT_AT:
        largest = max(written.keys() - apart.keys(), key=lambda key: (len(written[key]), key))
        apart[largest] = written[largest]
    stem = path.removesuffix(".js")
    records = []
    for key, text in written.items():
        if key in apart:
            text = jsonwriter.dumps({"load": f"{stem}/{key}.js"})
        records.append(f"[{jsonwriter.dumps(key)},{text}]")
    yield Data(path, "page", {"page": page, **head}, {"blocks": records})
    for key, text in apart.items():
        yield Data(f"{stem}/{key}.js", "block", {"page": page, "id": key}, {"block": [text]})


@dataclass(frozen=True)
class PanelsPage:
    """A page that is a list of panels, about one SAE or about the report.

    Attributes:
        path: Where it lies, such as `geometry/index.html`; its data script lies beside it.
        kind: Name of its `PageKind`.
        kicker: The line above its heading; of a page about an SAE also the first of its title.
        heading: Its heading.
        sae: The SAE that it is about.
        under: Path of the entry in the navigation that it counts for; its own by default.
    """

    path: str
    kind: str
    kicker: str
    heading: str
    sae: SaeView | None = None
    under: str = ""

    def items(self, report: ReportModel, panels: Iterable[Panel]) -> Iterator[Item]:
        """The page, and the data of what is drawn on it, if anything is."""
        shown = shown_panels(report, panels, self.sae or report)
        is_drawn = any(True for panel in shown for _ in panel.drawn())
        data = self.path.removesuffix(".html") + ".js"
        yield Page(
            self.path,
            self.kind,
            title=(self.kicker, self.heading) if self.sae else (self.heading,),
            needs=(REPORT_DATA, data) if is_drawn else (REPORT_DATA,),
            fields={"kicker": self.kicker, "heading": self.heading, "panels": shown},
            sae=self.sae,
            under=self.under,
        )
        if is_drawn:
            yield from page_data(self.path, data, shown, {})
