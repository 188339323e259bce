"""A whole report as one HTML file, made from the report's folder.

Every page is a section of the body, with its ids behind the page's path, so that all of it can be
read one under the other without JavaScript and every link is an anchor of the same document:

    <html data-single>
    <head>  policy by hashes, style, the early script
    <body>  <main> <section id="resid-l10/l0000.html" data-path=... data-needs=...> ... </main>
            <template id="frame-0">        header and footer of the pages that share them
            <script type="application/json" data-path="resid-l10/d0000.js">    data, inert
            <script type="text/plain" data-path="assets/plotly...">            run when first needed
            <script>                       all other scripts; `single.js` first, it finds the page
            <script type="application/x-saereport-run" id="run">               the run itself

The policy names the SHA-256 of each script and style that may act; everything else in the file is
data. The run goes along, so that the file can be rendered, cut and compared again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from markupsafe import escape

from saereport.run.inside import files_below, read_inside
from saereport.site.assets import EARLY, PLOTLY, SCRIPTS, STYLES, templates
from saereport.site.csp import EMPTY_STYLE, digest, single_policy
from saereport.site.folder import MANIFEST, RUN_FOLDER
from saereport.site.single_pages import Page, prefixed, read_page

GENERATOR = '<meta name="generator" content="saereport, one file">'
"""Says that a file was written here and may be replaced by a newer one."""
HOME = "index.html"
_PUSH = "(self.saereport=self.saereport||[]).push("
_RUN = '<script type="application/x-saereport-run" id="run">'


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


def single_file(folder: Path, *, bundled: str, embed_neuronpedia: bool = False) -> SingleFile:
    """Put a report's folder into one file.

    Args:
        folder: A report as `render` makes it, whole.
        bundled: The run as `run.bundle` writes it; empty to leave it out.
        embed_neuronpedia: Whether the report offers Neuronpedia's pages in a frame.

    Raises:
        ValueError: A page is not as the templates make them.
    """
    manifest = json.loads(_text(folder, MANIFEST))
    slugs = [str(slug) for slug in manifest["saes"]]
    paths = sorted(_paths(folder, ".html"), key=lambda path: _place(path, slugs))
    pages = [read_page(path, _text(folder, path), frozenset(paths)) for path in paths]
    files = sorted({name for page in pages for name in page.files})
    data = sorted(_paths(folder, ".js"))
    blocks = {
        **{path: _block(path, _records(path, _text(folder, path))) for path in data},
        **{path: _block(path, _inert(_text(folder, path)), name=path) for path in files},
    }
    plotly = _text(folder, f"assets/{PLOTLY}")
    frames = list(dict.fromkeys((page.before, page.after) for page in pages))
    sections = {page.path: _section(page, frames) for page in pages}
    html = "".join(
        [
            _head(pages[0].title, plotly, embed_neuronpedia),
            prefixed(pages[0].before, "frame#").replace(' id="frame#main"', ' id="main"'),
            *sections.values(),
            prefixed(pages[0].after, "frame#"),
            *(_template(number, *frame) for number, frame in enumerate(frames)),
            *blocks.values(),
            _block("assets/" + PLOTLY, plotly, kind="text/plain"),
            f"<script>{_scripts()}</script>\n",
            f"{_RUN}\n{bundled}\n</script>\n" if bundled else "",
            "</body>\n</html>\n",
        ]
    )
    parts = _parts({**sections, **blocks}, slugs)
    parts["the run itself"] = len(bundled)
    parts["scripts, styles and Plotly"] = len(plotly) + len(_scripts()) + len(_styles())
    ordered = sorted(parts.items(), key=lambda part: (-part[1], part[0]))
    return SingleFile(html, tuple(part for part in ordered if part[1]))


def _paths(folder: Path, ending: str) -> Iterator[str]:
    """Files of the report with this ending, but for assets and the run."""
    for path in files_below(folder):
        if path.endswith(ending) and path.partition("/")[0] not in ("assets", RUN_FOLDER):
            yield path


def _place(path: str, slugs: list[str]) -> tuple[int, bool, str]:
    """Order of the pages: the overview, each SAE, circuits, the rest."""
    top = path.split("/")[0]
    ranks = {HOME: 0, **{slug: 1 + number for number, slug in enumerate(slugs)}}
    ranks["circuits"] = len(ranks) + 1
    return ranks.get(top, len(ranks) + 2), not path.endswith("/" + HOME), path


def _section(page: Page, frames: list[tuple[str, str]]) -> str:
    fields = {
        "data-kind": page.kind,
        "data-sae": page.sae,
        "data-needs": " ".join(page.needs),
        "data-frame": f"frame-{frames.index((page.before, page.after))}",
    }
    said = "".join(f' {name}="{escape(value)}"' for name, value in fields.items() if value)
    path = escape(page.path)
    return (
        f'<section class="leaf" id="{path}" data-path="{path}" data-title="{page.title}"{said}>\n'
        f"{prefixed(page.main, page.path + '#')}</section>\n"
    )


def _template(number: int, before: str, after: str) -> str:
    name = f"frame-{number}"
    return f'<template id="{name}">\n{prefixed(before + after, name + "#")}</template>\n'


def _records(path: str, text: str) -> str:
    """The records of a data script, as a JSON list."""
    pieces = text.split(_PUSH)
    records = [piece.rstrip().removesuffix(");") for piece in pieces[1:]]
    if pieces[0].strip() or not records:
        raise ValueError(f"'{path}' is not a data script")
    return "[" + ",\n".join(records) + "]"


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
        f"<title>{title}</title>\n"
        '<link rel="icon" href="data:,">\n'
        f"<style>{_styles()}</style>\n<script>{early}</script>\n</head>\n<body>\n"
    )


def _scripts() -> str:
    return _joined(("single.js", *SCRIPTS))


def _styles() -> str:
    return _joined((*STYLES, "single.css"))


def _joined(names: Iterable[str]) -> str:
    """Fixed files one after the other; they are ours and hold nothing that ends their element."""
    return "\n" + "".join(_static(name) for name in names)


def _static(name: str) -> str:
    return (templates() / "static" / name).read_bytes().decode("utf-8")


def _text(folder: Path, relative: str) -> str:
    """A file of the report; what a stranger's pages name outside of it is not read."""
    return read_inside(folder, relative).decode("utf-8")


def _parts(pieces: dict[str, str], slugs: list[str]) -> dict[str, int]:
    """Bytes by what a reader could leave out; keys are paths."""
    sizes: dict[str, int] = {}
    for path, text in pieces.items():
        top = path.split("/")[0]
        name = {"circuits": "circuits", "text": "whole sequences"}.get(top, "all else")
        name = f"latents of {top}" if top in slugs else name
        sizes[name] = sizes.get(name, 0) + len(text.encode("utf-8"))
    return sizes
