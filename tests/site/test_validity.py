"""Every page that we make is valid HTML, by html5lib's reading of the standard.

The kinds of pages come from the registry of parts. `publish-check` does not ask this: it looks at
files of whoever made them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import html5lib
import pytest
from bs4 import BeautifulSoup
from html5lib.constants import E as MESSAGES

from saereport.publish import index
from saereport.report.rendering import render as render_as
from saereport.run import open_run
from saereport.site import render, report_of
from saereport.site.blocks import Block
from saereport.site.context import ReportModel
from saereport.site.panels import Panel
from saereport.site.parts import Item, Page, PageKind, Part, page_kinds, registry
from saereport.site.shown import shown_panels
from tests.sinks import items_of
from tests.synthetic import Shape, write_run
from tests.synthetic_absorption import absorption
from tests.synthetic_bias import bias
from tests.synthetic_capability import capability_tests
from tests.synthetic_circuits import prompts
from tests.synthetic_examples import blind_extra, examples_extra
from tests.synthetic_geometry import geometry
from tests.synthetic_graph import SMALL, graphs
from tests.synthetic_interventions import interventions
from tests.synthetic_lens import lenses
from tests.synthetic_meta import meta_saes
from tests.synthetic_probing import probes
from tests.synthetic_scores import output_scores
from tests.synthetic_steering import steering

EVIL = "<img src=x> \" & </p> '"
_NAMED = (
    "aria-activedescendant", "aria-controls", "aria-describedby", "aria-details",
    "aria-errormessage", "aria-flowto", "aria-labelledby", "aria-owns", "for", "headers", "list",
    "popovertarget",
)  # fmt: skip
"""Attributes that name ids of the same page."""
_KNOWN = {"invalid-codepoint"}
"""A control code inside of a script, such as Plotly has in a string, is kept by every browser."""


def problems(html: str) -> list[str]:
    """What is wrong with a page."""
    parser = html5lib.HTMLParser()
    parser.parse(html)
    found = [
        f"{line}: {MESSAGES.get(code, code) % values}"
        for (line, _), code, values in parser.errors
        if code not in _KNOWN
    ]
    soup = BeautifulSoup(html, "html.parser")
    ids = Counter(node["id"] for node in soup.select("[id]"))
    found += [f"the id {name!r} is there {n} times" for name, n in ids.items() if n > 1]
    found += [f"{name!r} is no id" for name in ids if str(name).split() != [name]]
    for attribute in _NAMED:
        for node in soup.select(f"[{attribute}]"):
            names = str(node[attribute]).split()
            found += [f"{attribute} names {name!r}" for name in names if name not in ids]
    if soup.html is None or not soup.html.get("lang"):
        found.append("no language")
    if len(soup.select("head > title")) != 1 or not soup.select("head > title")[0].text.strip():
        found.append("no title")
    found += [f"no alt: {node}" for node in soup.select("img:not([alt])")]
    return found


def _every_block(report: ReportModel) -> list[Block]:
    token = next(iter(report.vocabulary.shown))
    table: Block = {"b": "table", "columns": [EVIL], "rows": [[{"text": EVIL, "token": EVIL}]]}
    return [
        {"b": "facts", "names": [EVIL], "values": [EVIL], "notes": [EVIL], "title": EVIL},
        {**table, "fold": {"title": EVIL, "lead": [EVIL], "note": EVIL}},
        {"b": "tokens", "columns": [EVIL], "rows": [[token, 1.0]]},
        {"b": "grid", "blocks": [table, {"b": "text", "lines": [EVIL, EVIL]}]},
        {"b": "lines", "y": EVIL, "labels": [EVIL], "series": [{"name": EVIL, "values": [1.0]}]},
        {"b": "heatmap", "views": [{"rows": [EVIL], "columns": [EVIL], "z": [[1.0]]}]},
    ]


def _items(report: ReportModel) -> Iterator[Item]:
    panels = shown_panels(report, [Panel("own", EVIL, (), _every_block)], report)
    fields = {"kicker": EVIL, "heading": EVIL, "panels": panels}
    yield Page("panels/index.html", "panels", title=(EVIL,), fields=fields)


PART = Part("panels", _items, order=35, kinds=(PageKind("panels"),))
SHAPE = Shape(d_sae=64, n_chosen=12, n_sequences=60, n_vocabulary=900, hostile=True, n_saes=3)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Reports that together have every kind of page, a part that is a list of panels included."""
    folder = tmp_path_factory.mktemp("validity")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._PARTS, "panels", PART)
        blind = blind_extra(
            lambda shown: [
                (slug, int(of[at]), bool(at)) for slug, of in shown.items() for at in (0, 1)
            ]
        )
        write_run(folder / "one/run", SHAPE, prompts, examples_extra(), blind, interventions)
        write_run(
            folder / "two/run",
            SHAPE,
            graphs(SMALL),
            output_scores,
            capability_tests(),
            steering,
            lenses(),
            geometry,
            meta_saes(),
            probes(),
            bias(),
            absorption(),
        )
        for name in ("one", "two"):
            render(folder / name / "run", folder / name / "report", embed_neuronpedia=name == "one")
        yield [folder / "one/report", folder / "two/report"]


def test_every_kind_of_page_is_valid(reports: list[Path]) -> None:
    seen = set()
    for report in reports:
        model = report_of(open_run(report))
        items = items_of(model)
        for page in (item for item in items if isinstance(item, Page)):
            seen.add(page.kind)
            assert problems((report / page.path).read_text("utf-8")) == [], page.path
        assert len(list(report.rglob("*.html"))) == sum(isinstance(item, Page) for item in items)
    assert seen == page_kinds().keys()


def test_a_report_in_one_file_is_valid(reports: list[Path], tmp_path: Path) -> None:
    for report in reports:
        made = render_as(report, tmp_path / f"{report.parent.name}.html", single_file=True)
        assert problems(made.path.read_text("utf-8")) == []


def test_the_page_over_many_reports_is_valid(reports: list[Path], tmp_path: Path) -> None:
    made = index([report.parent for report in reports], tmp_path / "out", title=EVIL, copy=True)
    assert problems(made.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<main", "<b></i></b><main"),
        ("</main>", '<p id="main"></p></main>'),
        ("</main>", '<p aria-labelledby="gone"></p></main>'),
        ("</main>", '<label for="gone">x</label></main>'),
        ("</main>", '<img src="data:,"></main>'),
        (' lang="en"', ""),
        ("<title>", "<title></title><title>"),
    ],
)
def test_what_is_not_valid_is_found(old: str, new: str, reports: list[Path]) -> None:
    html = (reports[0] / "methods.html").read_text("utf-8")
    assert old in html
    assert problems(html.replace(old, new, 1)) != []
