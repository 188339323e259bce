"""Parts of a report: what it consists of, as a registry that others walk over.

A part declares once what is its own: pages and their kinds, its entry in the navigation, the names
that it takes in the report's folder, the tables that it shows, its place in a report of one file.
Writing, navigation, help, reserved names, the checks before publishing and the tests of
accessibility ask the registry, so that a new part is one new module and no change elsewhere.
Another package adds a part through the entry-point group `saereport.parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from saereport.run import SaeInfo
from saereport.site.context import ReportModel, SaeView
from saereport.util import slugs as names

GENERIC = "part.html"
"""The template of pages that are a list of panels."""
REPORT_DATA, VOCABULARY = "report.js", "vocabulary.js"
"""Data scripts of the whole report: what every page needs, and how tokens look."""


@dataclass(frozen=True)
class Key:
    """Keys of the keyboard, and what they do, as the help says it."""

    keys: tuple[str, ...]
    does: str


@dataclass(frozen=True)
class PageKind:
    """A kind of page.

    Attributes:
        name: Its key.
        template: Its template; by default the one that shows panels.
        script: What its scripts act by (`data-page`); its name by default.
        keys: Keys that it has besides those of every page.
        hint: What the help says besides its keys.
        copied: What the key `m` copies as Markdown.
        stateful: Whether its scripts keep what the reader chose in the address, `#q=city`.
        warnings: Whether warnings are `open`, `folded` or not shown (`none`).
    """

    name: str
    template: str = GENERIC
    script: str = ""
    keys: tuple[Key, ...] = ()
    hint: Markup | None = None
    copied: str = "the page"
    stateful: bool = False
    warnings: str = "folded"

    @property
    def acts_as(self) -> str:
        """What the page says of itself to its scripts."""
        return self.script or self.name


@dataclass(frozen=True)
class Page:
    """A page before it is HTML; every address in it is from the report's root.

    Attributes:
        path: Where it lies in a report's folder, such as `circuits/index.html`.
        kind: Name of its `PageKind`.
        title: Its title, from the special to the general; the report's own is added.
        fields: What its template shows; of the generic one `heading`, `kicker` and `panels`.
        needs: Data scripts that it loads at once, in order.
        sae: The SAE that it is about.
        under: Path of the entry in the navigation that it counts for; its own by default.
        latents: Number of latents that it shows, for the progress.
    """

    path: str
    kind: str
    title: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    needs: tuple[str, ...] = (REPORT_DATA,)
    sae: SaeView | None = None
    under: str = ""
    latents: int = 0


@dataclass(frozen=True)
class Data:
    """A data script: one record for the scripts of the pages.

    Attributes:
        path: Where it lies, ending in `.js`.
        kind: What the record is; the page's code dispatches on it.
        head: Small fields.
        lists: Field name to items, each already written by `jsonwriter.dumps`.
    """

    path: str
    kind: str
    head: Mapping[str, Any]
    lists: Mapping[str, Iterable[str]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Download:
    """A JSON file that a page offers for download."""

    path: str
    text: str = field(repr=False)


Item = Page | Data | Download


@dataclass(frozen=True)
class SpreadCall:
    """What one call of a `Spread` makes.

    Attributes:
        arguments: Of the call, after the report; plain values, as JSON has them.
        paths: The files that it makes.
        latents: Number of latents in them, for the progress.
    """

    arguments: tuple[Any, ...]
    paths: tuple[str, ...]
    latents: int


@dataclass(frozen=True)
class Spread:
    """Items that are made in batches, none of which needs another: by several processes.

    Attributes:
        make: `module:function`, which is called with the report and a batch's arguments; it
            yields items and returns what is plain, as JSON has it, and not None.
        batches: The batches.
        take: Takes what each returned, in their order.
    """

    make: str
    batches: tuple[SpreadCall, ...]
    take: Callable[[Any], None]


@dataclass(frozen=True)
class Entry:
    """A link of the navigation.

    Attributes:
        label: What it says.
        path: That of a page.
        style: A class of the style sheet.
        group: Entries of one group are a single one in the navigation, which leads to the first of
            them; the pages of a group have a second line of navigation with all of its entries.
    """

    label: str
    path: str
    style: str = ""
    group: str = ""


def always(report: ReportModel) -> bool:
    """The part is in every report."""
    return True


def nowhere(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    """The part has no entry in the navigation."""
    return ()


@dataclass(frozen=True)
class Part:
    """A part of a report.

    Attributes:
        name: Its key; no other part has it.
        items: Its pages, data and downloads, in any order; many of them as a `Spread`.
        order: Its place in the navigation and in a report of one file; the built-in ones have
            multiples of 10.
        kinds: Kinds of its pages.
        navigation: Its entries, for pages about one SAE also those of that SAE.
        folders: Names in the report's folder that it takes, so that no SAE may have them.
        tables: Tables of the run that it shows, as a whole and not latent by latent.
        present: Whether a report has it.
        called: What its bytes are called where a file is too large; empty: with all else.
    """

    name: str
    items: Callable[[ReportModel], Iterable[Item | Spread]]
    order: int
    kinds: tuple[PageKind, ...] = ()
    navigation: Callable[[ReportModel, SaeInfo | None], Sequence[Entry]] = nowhere
    folders: frozenset[str] = frozenset()
    tables: tuple[str, ...] = ()
    present: Callable[[ReportModel], bool] = always
    called: str = ""


_PARTS: dict[str, Part] = {}


def register(part: Part) -> Part:
    """Add a part to every report that is rendered from now on.

    Raises:
        ValueError: Its name, a folder or a kind of page of it is another part's, or its folder's
            name is none.
    """
    if part.name in _PARTS:
        raise ValueError(f"part '{part.name}' is registered twice")
    kinds = page_kinds()
    if taken := [kind.name for kind in part.kinds if kind.name in kinds]:
        raise ValueError(f"two parts have pages of the kind '{taken[0]}'")
    folders = {name for other in _PARTS.values() for name in other.folders}
    if taken := sorted(part.folders & folders):
        raise ValueError(f"two parts have the folder '{taken[0]}'")
    names.reserve(part.folders)
    _PARTS[part.name] = part
    return part


def parts() -> tuple[Part, ...]:
    """Every part, in the order of the report."""
    return tuple(sorted(_PARTS.values(), key=lambda part: (part.order, part.name)))


def parts_of(report: ReportModel) -> Iterator[Part]:
    """The parts that a report has, in its order."""
    return (part for part in parts() if part.present(report))


def page_kinds() -> dict[str, PageKind]:
    """Every kind of page by name."""
    return {kind.name: kind for part in parts() for kind in part.kinds}


def page_folders() -> frozenset[str]:
    """Folders of a report, besides those of SAEs, that hold pages."""
    return frozenset(name for part in parts() if part.kinds for name in part.folders)
