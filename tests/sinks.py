"""What a report consists of, as page models instead of files."""

from __future__ import annotations

from dataclasses import dataclass, field

from saereport.site import write
from saereport.site.context import ReportModel
from saereport.site.parts import Item
from saereport.util.progress import Progress


@dataclass
class Kept:
    """A sink that keeps what it is given."""

    items: list[Item] = field(default_factory=list)

    def add(self, item: Item) -> None:
        self.items.append(item)


def items_of(report: ReportModel) -> list[Item]:
    """Every page, data script and download of a report."""
    kept = Kept()
    write(report, kept, Progress(quiet=True))
    return kept.items
