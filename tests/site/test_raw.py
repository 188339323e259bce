"""Tables of a run that nothing installed shows: on the page of what they are about, with a note."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from saereport.run import TABLES, open_run
from saereport.run.kinds import Latent, Prompt, Real, SaeName, Text, Token
from saereport.run.table import LATENT, PROMPT, Column, Table, listed
from saereport.run.writing import RunWriter
from saereport.site import raw, render, report_of
from saereport.site.context import ReportModel
from saereport.site.panels import PANELS
from saereport.util.visible import visible_text
from tests.site.reading import soup
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts as circuits
from tests.synthetic_examples import blind_extra

MARKUP = "<script>self.stolen = 1</script>\u202e"


def table(name: str, **fields: Any) -> Table:
    columns = (
        Column("note", pa.string(), Text()),
        Column("token", pa.int32(), Token(or_none=True)),
        Column("values", listed(pa.float64()), Real()),
    )
    known = {"scope": "run", "about": "run", "key": ("note",), "plugin": "weather-lab"}
    known |= {"columns": columns, "title": f"Title of {name}", "definition": "Nobody knows."}
    return Table(name=name, **{**known, **fields})


@pytest.fixture(scope="module")
def report(single_run: Path) -> ReportModel:
    return report_of(open_run(single_run))


def test_every_table_of_our_own_is_shown_by_something() -> None:
    own = {name for name, table in TABLES.items() if not table.plugin}
    assert own - raw.shown_tables() == set()


def test_a_row_is_text_whatever_it_holds(report: ReportModel) -> None:
    known = next(iter(report.vocabulary.shown))
    rows = [
        {"note": MARKUP, "token": known, "values": [float("inf"), -0.5]},
        {"note": "", "token": -1, "values": [1.0] * 30},
    ]
    made = raw.block(table("weather"), rows, report)
    assert made["columns"] == ["note", "token", "values"]
    first, second = made["rows"]
    assert first == [visible_text(MARKUP), report.vocabulary[known], "inf, −0.5"]
    assert second[1] == "–"
    assert second[2].endswith("… 30 in all")
    assert "weather-lab" in made["summary"]
    assert "not installed" in made["summary"]


def test_long_tables_are_cut_and_say_so(report: ReportModel) -> None:
    rows = [{"note": str(i), "token": 1, "values": []} for i in range(75)]
    made = raw.block(table("weather"), rows, report, without="token")
    assert len(made["rows"]) == raw.N_ROWS
    assert made["summary"].endswith("The first 20 of 75 rows.")
    assert made["columns"] == ["note", "values"]


def test_each_is_on_the_page_of_what_it_is_about(report: ReportModel) -> None:
    latents = (LATENT, Column("note", pa.string(), Text()))
    prompts = (Column("prompt", pa.int32(), Prompt()), Column("note", pa.string(), Text()))
    found = {
        "of_latents": table(
            "of_latents", scope="sae", about="latent", key=("latent",), columns=latents
        ),
        "of_the_sae": table("of_the_sae", scope="sae", about="sae"),
        "of_prompts": table("of_prompts", about="prompt", key=("prompt",), columns=prompts),
        "of_the_run": table("of_the_run"),
    }
    held = {**report.run.tables, **found}
    own = ReportModel(
        whole=_Holding(held),  # type: ignore[arg-type]
        info=report.info,
        vocabulary=report.vocabulary,
        shards=report.shards,
        embed_neuronpedia=False,
    )
    pages = {about: raw.unshown(own, about) for about in ("latent", "sae", "prompt", "run")}
    assert {about: [t.name for t in tables] for about, tables in pages.items()} == {
        "latent": ["of_latents"],
        "sae": ["of_the_sae"],
        "prompt": ["of_prompts"],
        "run": ["of_the_run"],
    }


class _Holding:
    """As much of a run as says which tables it holds."""

    def __init__(self, tables: dict[str, Table]) -> None:
        self.tables = tables

    def has(self, name: str) -> bool:
        return name in self.tables

    def hiding(self, latents: object) -> _Holding:
        return self


def write_foreign(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
    """Prompts, and a table about each thing that has a page; all text in them is markup."""
    circuits(writer, shape, shown)
    for slug, latents in shown.items():
        chosen = np.sort(np.asarray(latents, dtype=np.int32))[:2]
        text = {"latent": chosen, "note": [MARKUP, "plain"], "token": np.array([260, 261], "i4")}
        writer.write(OF_LATENTS, text, slug=slug)
        writer.write(REVEALING, text, slug=slug)
        one = {"note": [f"about {slug}"], "token": np.array([262], "i4"), "values": [[0.5, 2.0]]}
        writer.write(table("of_the_sae", scope="sae", about="sae"), one, slug=slug)
    writer.write(OF_PROMPTS, {"prompt": np.array([0], "i4"), "note": [MARKUP]})
    writer.write(
        table("of_the_run"),
        {"note": [MARKUP], "token": np.array([-1], "i4"), "values": [[1.0] * 9]},
    )


TOKEN = Column("token", pa.int32(), Token(or_none=True))
NOTE = Column("note", pa.string(), Text())
_LATENTS: dict[str, Any] = {"scope": "sae", "about": "latent", "key": ("latent",)}
OF_LATENTS = table("of_latents", **_LATENTS, columns=(LATENT, NOTE, TOKEN))
REVEALING = table("revealing", **_LATENTS, columns=(LATENT, NOTE, TOKEN), reveals_text=True)
OF_PROMPTS = table("of_prompts", about="prompt", key=("prompt",), columns=(PROMPT, NOTE))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a run with tables of a plug-in that is not installed."""
    folder = tmp_path_factory.mktemp("foreign")
    shape = Shape(d_sae=32, n_chosen=6, n_sequences=30, n_vocabulary=700, n_saes=2)
    write_run(folder / "run", shape, write_foreign)
    assert len(open_run(folder / "run").unregistered) == 5
    render(folder / "run", folder / "report")
    return folder / "report"


def test_a_run_with_tables_of_an_absent_plug_in_is_rendered(foreign: Path) -> None:
    slug = open_run(foreign).info.saes[0].slug
    shown = visible_text(MARKUP)
    for path, place, said in (
        (f"{slug}/index.html", "#raw", f"about {slug}"),
        ("circuits/prompt-0.html", "#raw", shown),
        ("provenance.html", "#table-of_the_run", shown),
    ):
        part = soup(foreign / path).select_one(place)
        assert part is not None, path
        assert said in part.text
        assert "plug-in weather-lab, which is not installed" in part.text
        assert not part.find_all("script")
    assert soup(foreign / "circuits/prompt-1.html").select_one("#raw") is None


def test_a_latent_has_its_rows_and_what_reveals_text_is_apart(foreign: Path) -> None:
    slug = open_run(foreign).info.saes[0].slug
    text = (foreign / slug / "d0000.js").read_text("utf-8")
    record = json.loads(text.split("push(", 1)[1].rstrip().removesuffix(");"))
    panels = dict(record["latents"][0]["panels"])
    (block,), (revealing,) = panels["raw"], panels["raw-text"]
    assert block["columns"] == revealing["columns"] == ["note", "token"]
    assert block["rows"][0][0] == visible_text(MARKUP)
    assert {block["title"], revealing["title"]} == {"Title of of_latents", "Title of revealing"}
    assert PANELS["raw-text"].reveals_text
    assert not PANELS["raw"].reveals_text
    assert "raw" not in dict(record["latents"][5]["panels"])


def test_a_plug_in_may_be_called_anything(tmp_path: Path) -> None:
    """Its name stands in a sentence in which other braces are places for numbers."""
    name = "lab {n} {0.__class__} {"

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        of_the_sae = table("of_the_sae", scope="sae", about="sae", plugin=name)
        for slug in shown:
            row = {"note": ["x"], "token": np.array([262], "i4"), "values": [[0.5]]}
            writer.write(of_the_sae, row, slug=slug)

    write_run(tmp_path / "run", Shape(d_sae=16, n_chosen=4, n_vocabulary=300), write)
    render(tmp_path / "run", tmp_path / "report")
    part = soup(tmp_path / "report/index.html").select_one("#raw")
    assert part is not None
    assert f"the plug-in {name}, which is not installed" in part.text


@pytest.mark.parametrize(
    "column",
    [Column("prompt", pa.string(), Text()), Column("prompt", listed(pa.int32()), Prompt())],
    ids=["words", "list"],
)
def test_a_column_that_is_called_prompt_need_not_be_one(tmp_path: Path, column: Column) -> None:
    """As seen: pages were looked for by words, which ended in a traceback."""
    columns = (replace(PROMPT, name="number"), column, NOTE)

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        circuits(writer, shape, shown)
        value = "words" if column.type == pa.string() else np.array([0], "i4")
        rows = {"number": np.array([0], "i4"), "prompt": [value], "note": ["told"]}
        writer.write(table("odd", about="prompt", key=("number",), columns=columns), rows)

    write_run(tmp_path / "run", Shape(d_sae=16, n_chosen=4, n_vocabulary=700), write)
    render(tmp_path / "run", tmp_path / "report")
    assert "told" in soup(tmp_path / "report/circuits/prompt-0.html").select_one("#raw").text  # type: ignore[union-attr]


def test_the_provenance_page_does_not_say_what_a_blinded_latent_reads(tmp_path: Path) -> None:
    """Nor does one that may be revealed: there is nothing on that page that would hide it."""
    columns = (
        Column("sae", pa.string(), SaeName()),
        Column("latent", pa.int32(), Latent(of="sae")),
        NOTE,
    )
    known: dict[str, Any] = {"about": "latent", "key": ("sae", "latent"), "columns": columns}

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        ((slug, latents),) = shown.items()
        rows = {"sae": [slug] * 2, "latent": latents[:2], "note": ["secret", "open"]}
        writer.write(table("of_their_text", **known, reveals_text=True), rows)
        writer.write(table("of_their_weights", **known), rows)

    blind = blind_extra(lambda shown: [(slug, int(of[0]), True) for slug, of in shown.items()])
    write_run(tmp_path / "run", Shape(d_sae=16, n_chosen=4, n_vocabulary=300), write, blind)
    render(tmp_path / "run", tmp_path / "report")
    page = soup(tmp_path / "report/provenance.html")
    for name, notes in (("of_their_text", ["open"]), ("of_their_weights", ["secret", "open"])):
        rows = page.select(f"#table-{name} tbody tr")
        assert [row.select("td")[-1].text for row in rows] == notes
