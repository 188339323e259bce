"""The registry of the parts of a report, and a part that no file of the package knows of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from saereport.publish import check
from saereport.publish.links import Site, check_reference
from saereport.publish.page import ReadPage, Reference
from saereport.report.rendering import render as render_as
from saereport.run import open_run
from saereport.site import render, report_of
from saereport.site.assets import templates
from saereport.site.context import ReportModel
from saereport.site.folder import RUN_FOLDER
from saereport.site.pages import grouped, siblings
from saereport.site.parts import (
    Data,
    Entry,
    Item,
    Key,
    Page,
    PageKind,
    Part,
    page_folders,
    page_kinds,
    parts,
    parts_of,
    register,
    registry,
)
from saereport.site.parts.registry import nowhere
from saereport.util import slugs as names
from saereport.util.errors import SaereportError
from saereport.util.slugs import RESERVED, is_slug


def _items(report: ReportModel) -> Iterator[Item]:
    yield Data("weather/index.js", "weather", {"sun": True})
    yield Page("weather/index.html", "weather", title=("Weather",), fields={"methods": []})


WEATHER = Part(
    "weather",
    _items,
    order=35,
    kinds=(
        PageKind("weather", "methods.html", keys=(Key(("w",), "look outside"),), stateful=True),
    ),
    navigation=lambda report, sae: (Entry("Weather", "weather/index.html"),),
    folders=frozenset({"weather"}),
)


@pytest.fixture
def weather(monkeypatch: pytest.MonkeyPatch) -> Part:
    """A part that is registered for as long as a test lasts."""
    monkeypatch.setattr(registry, "_PARTS", dict(registry._PARTS))
    monkeypatch.setattr(names, "_reserved", set(names._reserved))
    return register(WEATHER)


def test_the_built_in_folders_are_reserved_without_the_pages_being_loaded() -> None:
    own = {folder for part in parts() for folder in part.folders}
    assert own | {"assets", RUN_FOLDER} == RESERVED
    assert not [name for name in RESERVED if is_slug(name)]


def test_every_kind_of_page_has_a_template_and_no_template_is_left_over() -> None:
    used = {kind.template for kind in page_kinds().values()}
    around = {"base.html", "leaf.html", "header.html", "footer.html", "warnings.html"}
    others = {
        "landing.html",
        "difference.html",
        "macros.html",
        "block_macros.html",
    }
    found = {path.name for path in templates().glob("*.html")}
    assert found - {registry.GENERIC} == (used | around | others) - {registry.GENERIC}


def test_a_part_is_in_the_order_the_navigation_and_the_help_of_every_page(
    weather: Part, single_run: Path, tmp_path: Path
) -> None:
    render(single_run, tmp_path / "out")
    for path in ("index.html", "weather/index.html", "compare.html"):
        page = BeautifulSoup((tmp_path / "out" / path).read_text("utf-8"), "html.parser")
        labels = [a.text for a in page.select("nav.nav a")]
        assert labels == ["Latents", "Whole SAEs", "Weather", "Compare", "Methods", "Provenance"]
        keys = [kbd.text for kbd in page.select("dialog dt kbd")]
        assert ("w" in keys) == path.startswith("weather")
        assert keys[-4:] == ["y", "m", "t", "?"]
    own = BeautifulSoup((tmp_path / "out/weather/index.html").read_text("utf-8"), "html.parser")
    assert own.select_one("nav.nav [aria-current=page]").text == "Weather"  # type: ignore[union-attr]
    assert own.title is not None
    assert own.title.text.startswith("Weather · ")
    text = (tmp_path / "out/weather/index.js").read_text("utf-8")
    assert text.endswith('.push({"kind":"weather","sun":true\n});\n')


def test_a_part_is_in_the_single_file_in_its_place(
    weather: Part, single_run: Path, tmp_path: Path
) -> None:
    made = render_as(single_run, tmp_path / "x.html", single_file=True)
    soup = BeautifulSoup(made.path.read_text("utf-8"), "html.parser")
    paths = [section["data-path"] for section in soup.select("section[data-path]")]
    tops = list(dict.fromkeys(str(path).split("/")[0] for path in paths))
    slug = open_run(single_run).info.saes[0].slug
    first, last = ["index.html", slug, "evaluation"], ["methods.html", "provenance.html"]
    expected = [*first, "weather", "compare.html", *last]
    assert tops == expected
    assert soup.find("script", {"data-path": "weather/index.js"})


def test_a_group_is_one_entry_and_its_pages_name_each_other() -> None:
    entries = [
        Entry("Overview", "index.html"),
        Entry("Reconstruction", "evaluation/index.html", group="Evaluation"),
        Entry("Circuits", "circuits/index.html"),
        Entry("Probing", "probing/index.html", group="Evaluation"),
        Entry("Steering", "steering/index.html", group="Turning up"),
    ]
    shown = [(entry.label, entry.path) for entry in grouped(entries, "index.html")]
    assert shown == [
        ("Overview", "index.html"),
        ("Evaluation", "evaluation/index.html"),
        ("Circuits", "circuits/index.html"),
        ("Steering", "steering/index.html"),
    ]
    there = grouped(entries, "probing/index.html")
    assert [entry.path for entry in there] == [
        "index.html",
        "probing/index.html",
        "circuits/index.html",
        "steering/index.html",
    ]
    beside = siblings(entries, "probing/index.html")
    assert [entry.label for entry in beside] == ["Reconstruction", "Probing"]
    for alone in ("index.html", "steering/index.html", "methods.html"):
        assert siblings(entries, alone) == []


def test_publishing_knows_its_pages(weather: Part) -> None:
    page = ReadPage(kind="weather")
    site = Site(frozenset({"weather/index.html"}), {"weather/index.html": page})
    chosen = Reference(1, "a", "href", "weather/index.html#q=rain")
    assert list(check_reference("index.html", chosen, site)) == []
    missing = Reference(1, "a", "href", "weather/index.html#rain")
    assert [f.rule for f in check_reference("index.html", missing, site)] == ["anchor"]


@pytest.mark.parametrize(
    ("kind", "rules"), [("sae", []), ("weather", []), ("text", ["anchor"]), ("", ["anchor"])]
)
def test_publishing_takes_a_plug_ins_page_where_it_is_not_installed(
    kind: str, rules: list[str]
) -> None:
    site = Site(frozenset({"x.html"}), {"x.html": ReadPage(kind=kind)})
    chosen = Reference(1, "a", "href", "x.html#q=rain")
    assert [found.rule for found in check_reference("index.html", chosen, site)] == rules


def test_publishing_asks_for_plug_ins(
    tmp_path: Path, single_run: Path, weather: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from Python: whether a plug-in's page keeps a choice in its address, its kind says."""
    render(single_run, tmp_path / "out")
    page = tmp_path / "out/weather/index.html"
    page.write_text(page.read_text().replace("</main>", '<a href="#rain=1">x</a></main>'))
    monkeypatch.setattr(registry, "_PARTS", dict(registry._PARTS))
    registry._PARTS.pop("weather")
    quiet = replace(WEATHER, kinds=(PageKind("weather", "methods.html"),))
    monkeypatch.setattr("saereport.publish.checking.load_plugins", lambda: register(quiet))
    monkeypatch.setattr(names, "_reserved", names._reserved - {"weather"})
    found = [one.rule for one in check(tmp_path / "out") if one.path == "weather/index.html"]
    assert "anchor" in found


def test_its_folder_is_no_name_for_an_sae(
    weather: Part, single_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_slug("weather")
    slug = open_run(single_run).info.saes[0].slug
    monkeypatch.setitem(
        registry._PARTS, "weather", Part("weather", _items, order=35, folders=frozenset({slug}))
    )
    with pytest.raises(SaereportError, match=f"'{slug}'.*part 'weather'"):
        render(single_run, tmp_path / "out")


@pytest.mark.parametrize("path", ["methods.html", "Report.js"])
def test_two_parts_have_no_file_of_one_name(
    path: str, weather: Part, single_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second would take the place of the first, without a word."""
    again = Part("weather", lambda report: [Data(path, "weather", {})], order=999)
    monkeypatch.setitem(registry._PARTS, "weather", again)
    with pytest.raises(SaereportError, match=f"and 'weather' of a report both have .*'{path}'"):
        render(single_run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("single_file", [False, True])
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("report.json", "every report has itself"),
        ("assets/pages.js", "every report has itself"),
        ("Assets/weather.js", "every report has itself"),
        ("run/run.json", "every report has itself"),
        (".nojekyll", "every report has itself"),
        ("../outside.js", "outside of it"),
        ("/outside.js", "outside of it"),
        ("weather\\..\\outside.js", "outside of it"),
        ("methods.html/weather.js", "'methods' and 'weather'"),
        ("text", "'text' and 'weather'"),
    ],
)
def test_a_part_writes_nothing_that_is_not_its_own(
    path: str,
    said: str,
    single_file: bool,
    weather: Part,
    single_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = Part("weather", lambda report: [Data(path, "weather", {})], order=999)
    monkeypatch.setitem(registry._PARTS, "weather", again)
    with pytest.raises(SaereportError, match=re.escape(said)) as refused:
        render_as(single_run, tmp_path / "out/x.html", single_file=single_file)
    assert "'weather'" in refused.value.message
    assert "\n" not in str(refused.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Part("overview", _items, order=1), "registered twice"),
        (Part("x", _items, order=1, kinds=(PageKind("sae"),)), "pages of the kind 'sae'"),
        (Part("x", _items, order=1, folders=frozenset({"circuits"})), "the folder 'circuits'"),
        (Part("x", _items, order=1, folders=frozenset({"a/b"})), "'a/b' cannot be"),
    ],
)
def test_two_parts_share_nothing(part: Part, said: str) -> None:
    before = parts()
    with pytest.raises(ValueError, match=said):
        register(part)
    assert parts() == before


def test_a_report_has_the_parts_that_its_run_allows(single_run: Path, hostile_run: Path) -> None:
    one, three = (report_of(open_run(run)) for run in (single_run, hostile_run))
    assert [part.name for part in parts_of(one)][:3] == ["saes", "evaluation", "compare"]
    assert [part.name for part in parts_of(three)][:4] == [
        "overview",
        "saes",
        "evaluation",
        "compare",
    ]
    assert page_folders() == {
        "absorption",
        "bias",
        "capability",
        "circuits",
        "evaluation",
        "geometry",
        "lens",
        "meta-saes",
        "output-scores",
        "probing",
        "steering",
    }
    assert nowhere(one, None) == ()
