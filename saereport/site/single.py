"""A whole report as one HTML file, made from the same page models as a folder.

Every page is a section of the body, with its ids behind the page's path, so that all of it can be
read one under the other without JavaScript and every link is an anchor of the same document:

    <html data-single>
    <head>  policy by hashes, style, the early script
    <body>  <main> <section id="resid-l10/l0000.html" data-path=... data-needs=...> ... </main>
            <template id="frame-0">        header and footer of the pages that share them
            <script type="application/json" data-path="resid-l10/d0000.js">    data, inert
            <script type="text/plain" data-path="assets/plotly...">            run when first needed
            <script>                       all other scripts; first they find the page
            <script type="application/x-saereport-run" id="run">               the run itself

The policy names the SHA-256 of each script and style that may act; everything else in the file is
data. The run goes along, so that the file can be rendered, cut and compared again.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field

from markupsafe import escape

from saereport.site import jsonwriter
from saereport.site.assets import EARLY, PLOTLY, SCRIPTS, STYLES, templates
from saereport.site.context import ReportModel
from saereport.site.csp import EMPTY_STYLE, digest, single_policy
from saereport.site.layout import SingleLayout
from saereport.site.pages import Pages
from saereport.site.parts.registry import Data, Download, Item, Page, page_kinds, parts

GENERATOR = '<meta name="generator" content="saereport, one file">'
"""Says that a file was written here and may be replaced by a newer one."""
RUN_OPENING = '<script type="application/x-saereport-run" id="run">'
"""What comes before the run; text of a report can hold no `<`, so it stands for itself."""
RUN_ENDING = "\n</script>\n"
HOME = "index.html"


@dataclass(frozen=True)
class SingleFile:
    """A report in one file.

    Attributes:
        html: Its text.
        parts: What its bytes go to, in words, largest first.
    """

    html: str
    parts: tuple[tuple[str, int], ...]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.html.encode("utf-8"))


@dataclass(frozen=True)
class _Section:
    """A page in the file: its model, its content as HTML, and the number of its frame."""

    page: Page
    html: str = field(repr=False)
    frame: int


class SingleSink:
    """Takes a report in and makes one file of it.

    Attributes:
        report: The report.
    """

    def __init__(self, report: ReportModel) -> None:
        self.report = report
        self._layout = SingleLayout()
        self._pages = Pages(report, self._layout)
        self._kinds = page_kinds()
        self._sections: list[_Section] = []
        self._frames: dict[tuple[str, str], int] = {}
        self._templates: list[str] = []
        self._blocks: dict[str, str] = {}

    def add(self, item: Item) -> None:
        """See `Sink`."""
        match item:
            case Page():
                number = self._frame(item)
                self._sections.append(_Section(item, self._pages.render(item), number))
            case Data():
                lines = jsonwriter.record(item.kind, item.head, item.lists)
                self._blocks[item.path] = _block(item.path, "[" + "\n".join(lines) + "]")
            case Download():
                self._blocks[item.path] = _block(item.path, _inert(item.text), name=item.path)

    def _frame(self, page: Page) -> int:
        """The number of what is around a page; pages with the same around them share it."""
        around = self._pages.around(page, "frame")
        if around not in self._frames:
            name = f"frame-{len(self._frames)}"
            before, after = self._pages.around(page, name)
            self._templates.append(
                f'<template id="{name}">\n{before}<main id="{name}#main">\n</main>\n{after}'
                "</template>\n"
            )
            self._frames[around] = len(self._frames)
        return self._frames[around]

    def finished(self, *, bundled: str) -> SingleFile:
        """The file.

        Args:
            bundled: The run as `run.bundle` writes it; empty to leave it out.

        Raises:
            ValueError: A page links to what the report does not have.
        """
        self._check_links()
        sections = sorted(self._sections, key=self._place)
        home = sections[0].page
        before, after = self._pages.around(home, "frame")
        plotly = _vendored(PLOTLY)
        written = {section.page.path: self._written(section) for section in sections}
        blocks = dict(sorted(self._blocks.items()))
        html = "".join(
            [
                _head(self._pages.title(home), plotly, self.report.embed_neuronpedia),
                f'{before}<main id="main">\n',
                *written.values(),
                f"</main>\n{after}",
                *self._templates,
                *blocks.values(),
                _block("assets/" + PLOTLY, plotly, kind="text/plain"),
                f"<script>{_scripts()}</script>\n",
                f"{RUN_OPENING}\n{bundled}{RUN_ENDING}" if bundled else "",
                "</body>\n</html>\n",
            ]
        )
        sizes = _sizes({**written, **blocks}, self._called())
        sizes["the run itself"] = len(bundled)
        sizes["scripts, styles and Plotly"] = len(plotly) + len(_scripts()) + len(_styles())
        ordered = sorted(sizes.items(), key=lambda part: (-part[1], part[0]))
        return SingleFile(html, tuple(part for part in ordered if part[1]))

    def _check_links(self) -> None:
        known = {*self._blocks, *(section.page.path for section in self._sections)}
        for path, page in self._layout.linked.items():
            if path not in known:
                raise ValueError(f"'{page}' links to '{path}', which the report does not have")

    def _place(self, section: _Section) -> tuple[bool, int, int, bool, str]:
        """Order of the pages: the first page, then each part; each SAE's own page first."""
        page = section.page
        order = {kind.name: part.order for part in parts() for kind in part.kinds}
        slugs = list(self.report.shards)
        folder = posixpath.dirname(page.path)
        return (
            page.path != HOME,
            order[page.kind],
            slugs.index(folder) if folder in slugs else -1,
            not page.path.endswith("/" + HOME),
            page.path,
        )

    def _written(self, section: _Section) -> str:
        page = section.page
        fields = {
            "id": page.path,
            "data-path": page.path,
            "data-title": self._pages.title(page),
            "data-kind": self._kinds[page.kind].acts_as,
            "data-sae": page.sae.info.slug if page.sae else "",
            "data-needs": " ".join(page.needs),
            "data-frame": f"frame-{section.frame}",
        }
        said = "".join(f' {name}="{escape(value)}"' for name, value in fields.items() if value)
        return f'<section class="leaf"{said}>\n{section.html}</section>\n'

    def _called(self) -> dict[str, str]:
        """What a reader could leave out, by the folder that it would be in."""
        return {
            **{slug: f"latents of {slug}" for slug in self.report.shards},
            **{folder: p.called for p in parts() if p.called for folder in p.folders},
        }


def without_run(html: str) -> str:
    """The text of a report in one file without the run in it."""
    before, _, after = html.partition(RUN_OPENING)
    return before + after.partition(RUN_ENDING)[2]


def _block(path: str, text: str, *, kind: str = "application/json", name: str = "") -> str:
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError(f"'{path}' would end its element")
    anchor = f' id="{escape(name)}"' if name else ""
    return f'<script type="{kind}"{anchor} data-path="{escape(path)}">{text}</script>\n'


def _inert(text: str) -> str:
    """JSON without the one character that means something to HTML."""
    return text.replace("<", "\\u003c")


def _head(title: str, plotly: str, embed_neuronpedia: bool) -> str:
    early = _static(EARLY)
    policy = single_policy(
        scripts=[digest(text) for text in (early, _scripts(), plotly)],
        styles=[digest(_styles()), EMPTY_STYLE],
        embed_neuronpedia=embed_neuronpedia,
    )
    return (
        '<!doctype html>\n<html lang="en" data-single data-root="">\n<head>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{GENERATOR}\n"
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n"
        '<link rel="icon" href="data:,">\n'
        f"<style>{_styles()}</style>\n<script>{early}</script>\n</head>\n<body>\n"
    )


def _scripts() -> str:
    return _joined(SCRIPTS)


def _styles() -> str:
    return _joined((*STYLES, "single.css"))


def _joined(names: Iterable[str]) -> str:
    """Fixed files one after the other; they are ours and hold nothing that ends their element."""
    return "\n" + "".join(_static(name) for name in names)


def _static(name: str) -> str:
    return (templates() / "static" / name).read_bytes().decode("utf-8")


def _vendored(name: str) -> str:
    return (templates() / "vendor" / name).read_bytes().decode("utf-8")


def _sizes(pieces: dict[str, str], called: dict[str, str]) -> dict[str, int]:
    """Bytes by what a reader could leave out; keys are paths."""
    sizes: dict[str, int] = {}
    for path, text in pieces.items():
        name = called.get(path.split("/")[0], "all else")
        sizes[name] = sizes.get(name, 0) + len(text.encode("utf-8"))
    return sizes
