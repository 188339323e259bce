"""From page models to HTML: the one Jinja environment, strict and escaping everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from saereport.run.tables import TABLES
from saereport.site import assets
from saereport.site.context import ReportModel
from saereport.site.csp import policy
from saereport.site.layout import Layout, leads_out
from saereport.site.parts.registry import Entry, Key, Page, page_kinds, parts_of
from saereport.site.templating import environment


class Pages:
    """Renders pages with what all pages of a report share.

    Args:
        report: The report.
        layout: How its pages are linked.
    """

    def __init__(self, report: ReportModel, layout: Layout) -> None:
        self._report = report
        self._layout = layout
        self._kinds = page_kinds()
        self._environment = environment()
        self._environment.globals.update(
            csp=policy(embed_neuronpedia=report.embed_neuronpedia),
            styles=assets.STYLES,
            scripts=assets.SCRIPTS,
            early=assets.EARLY,
            title=report.info.title,
            titles={name: table.title for name, table in TABLES.items()},
            leads_out=leads_out,
            layout=layout.template,
        )

    def title(self, page: Page) -> str:
        """The title of a page."""
        return " · ".join([*page.title, self._report.info.title])

    def render(self, page: Page) -> str:
        """A page, or as much of it as the layout takes."""
        template = self._kinds[page.kind].template
        return self._fill(template, page, page.path, page.fields)

    def around(self, page: Page, name: str) -> tuple[str, str]:
        """What the header and the footer of a page are in a single file.

        Args:
            page: The page.
            name: What its ids lie behind.
        """
        return (
            self._fill("header.html", page, name, {}),
            self._fill("footer.html", page, name, {}),
        )

    def _fill(self, template: str, page: Page, ids: str, fields: Mapping[str, Any]) -> str:
        made = self._environment.get_template(template)
        kind, info = self._kinds[page.kind], page.sae.info if page.sae else None
        about, current = self._report.info, page.under or page.path
        entries = [
            entry
            for part in parts_of(self._report)
            for entry in part.navigation(self._report, info)
        ]
        warnings = about.warnings if info is None else about.warnings_of(info.slug)
        return made.render(
            root="../" * page.path.count("/"),
            path=page.path,
            kind=kind.acts_as,
            sae=info,
            warnings=() if kind.warnings == "none" else warnings,
            warnings_open=kind.warnings == "open",
            page_title=self.title(page),
            needs=page.needs,
            navigation=grouped(entries, current),
            siblings=siblings(entries, current),
            current=current,
            keys=[*kind.keys, *keys_of_every_page(kind.copied)],
            hint=kind.hint,
            href=partial(self._layout.href, page.path),
            at=partial(self._layout.at, ids),
            **fields,
        )


def grouped(entries: Sequence[Entry], current: str) -> list[Entry]:
    """The entries of the navigation: for each group one, at the place of its first entry.

    Args:
        entries: All of them; one that is alone in its group stays as it is.
        current: Path of the entry that a page counts for; that of its group leads there too.
    """
    sizes = Counter(entry.group for entry in entries)
    found: dict[str, Entry] = {}
    for entry in entries:
        if not entry.group or sizes[entry.group] == 1:
            found[entry.path] = entry
        elif (key := f"group {entry.group}") not in found or entry.path == current:
            found[key] = replace(entry, label=entry.group)
    return list(found.values())


def siblings(entries: Sequence[Entry], current: str) -> list[Entry]:
    """The entries of the group of a page's entry; none where it is alone or in no group."""
    group = next((entry.group for entry in entries if entry.path == current), "")
    found = [entry for entry in entries if group and entry.group == group]
    return found if len(found) > 1 else []


def keys_of_every_page(copied: str) -> list[Key]:
    """The keys that every page has; `copied` is what `m` copies."""
    return [
        Key(("y",), "copy a link to what is shown"),
        Key(("m",), f"copy {copied} as Markdown"),
        Key(("t",), "light, dark, or as the system"),
        Key(("?",), "this help"),
    ]
