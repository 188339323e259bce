"""What tables say of themselves is so, for every registered table and for those that are not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saereport.cli import main as cli
from saereport.report.rendering import describe
from saereport.run import TABLES, Column, Run, Table, kinds, open_run, register, registry
from saereport.run.describing import info_of, schema, schema_json, table_of
from saereport.run.references import References
from saereport.run.subset import subset
from saereport.run.table import BOOL, BYTES, F32, I32, I64, LATENT, TEXT, listed
from saereport.run.validation import InvalidTable, Lengths, TablePlace, check_content
from saereport.site import render
from saereport.util.errors import SaereportError
from tests.generated import N_PROMPTS, SHAPE, Maker, Rows, as_table, whole_run
from tests.synthetic import described

PUBLISHED = Path(__file__).parents[2] / "docs" / "run.schema.json"
GRAPHS = {"graphs", "graph_nodes", "graph_links", "graph_checks"}
"""Tables whose rows are a graph only if they were made as one."""
INFO = described(SHAPE)
SLUG = INFO.saes[1].slug
CHOSEN = {sae.slug: list(range(1, SHAPE.n_chosen + 1)) for sae in INFO.saes}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return whole_run(tmp_path_factory.mktemp("tables") / "run")


@pytest.fixture(scope="module")
def without_latent_2(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return whole_run(tmp_path_factory.mktemp("hidden") / "run", hidden={SLUG: {2}})


@pytest.fixture(scope="module")
def cut(everything: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    target = tmp_path_factory.mktemp("cut") / "run"
    latents = {SLUG: [2, 3]}
    return subset(everything, target, latents=latents, prompts=["a-prompt-1"], title=None)


def slug_of(table: Table) -> str | None:
    return SLUG if table.scope == "sae" else None


def read(run: Run, table: Table) -> list[dict[str, Any]]:
    slug = slug_of(table)
    return list(run.table(table.name, slug).to_pylist()) if run.has(table.name, slug) else []


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_what_is_made_of_a_table_is_read_again(everything: Run, table: Table) -> None:
    assert everything.table(table.name, slug_of(table)).schema.equals(table.schema)
    assert read(everything, table)


def test_a_run_of_all_tables_is_whole_and_can_be_shown(tmp_path: Path) -> None:
    run = whole_run(tmp_path / "run", [t for t in TABLES.values() if t.name not in GRAPHS])
    run.verify()
    render(run.path, tmp_path / "report")
    part = subset(run, tmp_path / "cut", latents={SLUG: [1]}, prompts=["a-prompt-0"], title=None)
    part.verify()
    render(part.path, tmp_path / "part")
    assert (tmp_path / "part" / "circuits" / "a-prompt-0.html").is_file()


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_nothing_is_left_of_a_hidden_latent_that_leads_to_its_text(
    everything: Run, without_latent_2: Run, table: Table
) -> None:
    if table.about in ("sequence", "token"):
        return
    rows, seen = read(everything, table), read(without_latent_2, table)
    masked = {c.name: c.redacted for c in table.columns if c.redacted is not None}
    about = table.about == "latent" and table.scope == "sae"
    expected = [
        {**row, **masked} if about and row["latent"] == 2 else row
        for row in rows
        if not (about and table.reveals_text and row["latent"] == 2)
    ]
    assert seen == expected
    assert not masked or seen != rows
    assert not (about and table.reveals_text) or len(seen) < len(rows)


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_what_is_named_is_what_a_slow_reading_finds(everything: Run, table: Table) -> None:
    found, tokens, sequences = References(), set(), set()
    found.note(table, everything.table(table.name, slug_of(table)))
    for row in read(everything, table):
        for column in table.columns:
            values = row[column.name] if column.is_list else [row[column.name]]
            if column.holds.name == "token":
                tokens |= set(values)
            if column.holds.name == "sequence" and table.name != "sequences":
                sequences |= set(values)
        if table.name == "gradients" and not row["late"]:
            tokens.add(row["late_latent"])
        if table.name == "graph_nodes" and row["kind"] in ("embedding", "logit"):
            tokens.add(row["latent"])
    assert found.tokens.tolist() == sorted(tokens - {-1})
    assert found.sequences.tolist() == sorted(sequences - {-1})


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_a_cut_keeps_what_the_table_is_about(everything: Run, cut: Run, table: Table) -> None:
    rows, kept = read(everything, table), read(cut, table)
    if table.scope == "sae":
        expected = [r for r in rows if table.about == "sae" or r["latent"] in (2, 3)]
    elif table.about == "prompt":
        expected = [r for r in rows if r["prompt"] == 1]
        if table.name == "prompt_activations":
            expected = [r for r in expected if r["sae"] == SLUG and r["latent"] in (2, 3)]
    elif table.name == "blind_latents":
        shown = [r["sae"] == SLUG and r["latent"] in (2, 3) for r in rows]
        expected = [
            {**r, "reveal": r["reveal"] and keep} for r, keep in zip(rows, shown, strict=True)
        ]
    elif table.about == "prompts":
        expected = []
    elif table.about == "run":
        expected = rows
    else:
        named = References()
        for other in TABLES.values():
            if other.about not in ("token", *(("sequence",) if table.name == "sequences" else ())):
                for sae in cut.info.saes if other.scope == "sae" else (None,):
                    slug = sae.slug if sae else None
                    if cut.has(other.name, slug):
                        named.note(other, cut.table(other.name, slug))
        key = table.key[0]
        wanted = named.sequences if key == "sequence" else named.tokens
        expected = [r for r in rows if r[key] in wanted or r.get("special")]
    assert kept == expected
    assert kept or table.about == "prompts"


def test_the_cut_run_is_whole(cut: Run) -> None:
    cut.verify()
    assert cut.latents(SLUG) == (2, 3)


Change = Callable[[Rows], None]


def violations(table: Table) -> Iterator[tuple[str, str, Change]]:
    """For each thing that a column says: its name, what is wrong, and a change that breaks it."""
    for column in table.columns:
        yield from _values(table, column)
        if column.is_list:
            yield from _lists(table, column)


def _values(table: Table, column: Column) -> Iterator[tuple[str, str, Change]]:
    name, holds = column.name, column.holds
    if holds.form in ("whole", "real") and column.item != pa.float16():
        low, high = column.bounds
        if table.scope == "sae" and holds.name == "latent" and not holds.of:  # type: ignore[attr-defined]
            high = SHAPE.d_sae - 1
        step = 1 if holds.form == "whole" else max(1e-3, abs(high) * 1e-3)
        largest = 3e38 if holds.form == "real" else 2**31 - 1 if column.item == I32 else 2**63 - 1
        if high + step <= largest:
            yield name, "outside of", _put(column, type(step)(high + step))
        yield name, "outside of", _put(column, type(step)(low - step))
    if holds.form == "real":
        wrong = "not a number" if column.item == pa.float16() else "outside of"
        yield name, wrong, _put(column, float("nan"))
        yield name, wrong, _put(column, float("inf"))
    if kinds.pattern_of(holds) or holds.name == "file_name":
        yield name, "cannot", _put(column, "../x")
    if holds.name == "sae_name" and not holds.or_model:  # type: ignore[attr-defined]
        yield name, "cannot", _put(column, "")
    if holds.form == "text":
        yield name, "longer than", _put(column, "x" * 70_000)
    if column.unique:
        yield f"share a {name}", "two", lambda rows: rows.update({name: ["same"] * 2})
    if isinstance(holds, kinds.TextRef) and not table.home(column):
        number = 2**20 - 1
        yield f"the {holds.name} {number:,}", "does not hold", _put(column, number, last=True)
    if isinstance(holds, kinds.Position) and holds.text:
        yield name, "behind the end", _put(column, SHAPE.context, last=True)
    if isinstance(holds, kinds.Position) and holds.window:
        low_end, high_end = holds.window
        yield "window", "does not lie", _after(name, low_end)
        yield "window", "does not lie", lambda r: r.update({high_end: r[name]})


def _after(position: str, start: str) -> Change:
    """A window that begins after its position, but inside the text."""

    def change(rows: Rows) -> None:
        rows[start] = [min(place + 1, SHAPE.context - 1) for place in rows[position]]

    return change


def _lists(table: Table, column: Column) -> Iterator[tuple[str, str, Change]]:
    name = column.name

    def longer(rows: Rows) -> None:
        rows[name][0] = [*rows[name][0], *rows[name][0][:1]]

    def empty(rows: Rows) -> None:
        rows[name][0] = []
        for other in table.columns:
            if other.same_length_as == name:
                rows[other.name][0] = []

    if column.same_length_as:
        yield name, "not equally many", longer
    if column.lengths:
        yield name, "entries", longer
    if column.each and column.each != "head and source":
        yield name, "entr", longer
    if column.each == "head and source":
        yield name, "entries for each head", lambda r: r.update({name: [v[:-1] for v in r[name]]})
    if column.never_empty:
        yield name, "is empty", empty
    if column.uniform and not column.each:
        yield name, "not equally many entries in all rows", longer
    if isinstance(column.holds, kinds.Position) and column.holds.rising:
        yield name, "do not rise", lambda r: r.update({name: [v[::-1] for v in r[name]]})


def _put(column: Column, value: Any, *, last: bool = False) -> Change:
    """The value in the first row, or at the end of the last one."""

    def change(rows: Rows) -> None:
        values, row = rows[column.name], -1 if last else 0
        if not column.is_list:
            values[row] = value
        else:
            values[row] = [*values[row][:-1], value] if last else [value, *values[row][1:]]

    return change


def content(path: Path, table: Table, rows: Rows) -> None:
    """Check rows of a table as if they stood in a run."""
    pq.write_table(as_table(table, rows), path)
    sizes = {"sequences": SHAPE.n_sequences, "prompts": N_PROMPTS}

    def lengths(name: str) -> Lengths:
        return Lengths(np.arange(sizes[name]), np.full(sizes[name], SHAPE.context))

    check_content(path, table, TablePlace(INFO, slug_of(table), lengths))


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_what_columns_say_refuses_what_it_should(tmp_path: Path, table: Table) -> None:
    good = Maker(SHAPE, CHOSEN).rows(table, slug_of(table))
    content(tmp_path / "t.parquet", table, good)
    for name, wrong, change in violations(table):
        rows = deepcopy(good)
        change(rows)
        with pytest.raises(InvalidTable) as caught:
            content(tmp_path / "t.parquet", table, rows)
        assert name in str(caught.value), (name, wrong)
        assert wrong in str(caught.value), name


def test_lists_are_no_longer_than_their_column_says(tmp_path: Path) -> None:
    column = Column("counts", listed(I64), kinds.Count(), longest=2)
    table = plugin_table("counted", column)
    content(tmp_path / "t.parquet", table, {"latent": [1], "counts": [[0, 0]]})
    with pytest.raises(InvalidTable, match="more than 2 entries"):
        content(tmp_path / "t.parquet", table, {"latent": [1], "counts": [[0, 0, 0]]})


def plugin_table(name: str, *columns: Column, **facts: Any) -> Table:
    facts = {"scope": "sae", "about": "latent", "plugin": "a-plugin", **facts}
    key = facts.pop("key", ("latent",))
    return Table(
        name=name,
        key=key,
        columns=(LATENT, *columns),
        title="Counted by a plug-in",
        definition="What a plug-in counts.",
        **facts,
    )


X = Column("x", I32, kinds.Count())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plugin_table("Upper"), "cannot be a name"),
        (lambda: plugin_table("con"), "cannot be a name"),
        (lambda: plugin_table("t", replace(X, name="a b")), "cannot be a name"),
        (lambda: plugin_table("t", X, X), "two columns have one name"),
        (lambda: plugin_table("t", key=("y",)), "key is not among its columns"),
        (lambda: plugin_table("t", replace(X, type=listed(I32)), key=("x",)), "part of its key"),
        (lambda: plugin_table("t", Column("f", BOOL, kinds.Flag()), key=("f",)), "part of its key"),
        (
            lambda: plugin_table("t", replace(X, holds=kinds.Position(window=("x", "y", "z")))),
            "the window around 'x' has not two ends",
        ),
        (lambda: plugin_table("t", about="weather"), "does not say what it is about"),
        (lambda: plugin_table("t", scope="run"), "says of which a row is"),
        (lambda: plugin_table("t", about="prompt"), "about each prompt and does not say of which"),
        (lambda: plugin_table("t", about="sae", reveals_text=True), "not about latents of which"),
        (lambda: plugin_table("t", replace(X, type=pa.uint64())), "a type"),
        (lambda: plugin_table("t", replace(X, type=F32)), "'x' cannot be stored so"),
        (lambda: plugin_table("t", replace(X, same_length_as="y")), "needs a list 'y'"),
        (lambda: plugin_table("t", replace(X, never_empty=True)), "'x' is not a list"),
        (
            lambda: plugin_table("t", replace(X, type=listed(I32), redacted=-1)),
            "'x' is a list, which nothing",
        ),
        (
            lambda: plugin_table("t", Column("w", TEXT, kinds.Text(), redacted=-1)),
            "'w' holds words, which no number",
        ),
        (lambda: plugin_table("t", replace(X, holds=kinds.Position("y"))), "needs a column 'y'"),
        (lambda: plugin_table("t", replace(X, holds=kinds.Latent(of="latent"))), "needs a column"),
        (
            lambda: plugin_table("t", Column("v", listed(F32), kinds.Real(), each="source")),
            "needs a column 'position'",
        ),
    ],
)
def test_a_table_that_does_not_hang_together_is_refused_where_it_is_written(
    make: Callable[[], Table], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_no_table_is_registered_twice() -> None:
    with pytest.raises(ValueError, match="there is a table 'activity' already"):
        register(TABLES["activity"])


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_a_run_says_enough_of_a_table_to_read_it_without_its_plug_in(table: Table) -> None:
    said = json.loads(info_of(table).model_dump_json())
    read_back = table_of(table.name, type(info_of(table)).model_validate(said))
    assert read_back.schema.equals(table.schema)
    assert (read_back.key, read_back.scope, read_back.about) == (
        table.key,
        table.scope,
        table.about,
    )
    for one, other in zip(read_back.columns, table.columns, strict=True):
        assert one.bounds == other.bounds
        assert other.redacted is not None or one.holds == other.holds


COUNTED = plugin_table(
    "plugin_counts",
    Column("rank", I32, kinds.Rank()),
    Column("token", I32, kinds.Token(), redacted=-1),
    Column("words", listed(TEXT), kinds.Text()),
    Column("right", BOOL, kinds.Flag()),
    key=("latent", "rank"),
)
ON_PROMPTS = Table(
    name="plugin_prompts",
    scope="run",
    key=("prompt",),
    columns=(Column("prompt", I32, kinds.Prompt()), Column("value", F32, kinds.Real())),
    title="Of a plug-in",
    definition="What a plug-in says of prompts.",
    about="prompt",
    plugin="a-plugin",
)


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run with tables of a plug-in, opened where the plug-in is not installed."""
    with monkeypatch.context() as patch:
        for table in (COUNTED, ON_PROMPTS):
            patch.setitem(registry._REGISTERED, table.name, table)
        tables = [t for t in TABLES.values() if t.name not in GRAPHS]
        whole_run(tmp_path / "run", tables)
    return open_run(tmp_path / "run")


def test_tables_of_a_plug_in_that_is_not_installed_are_read(foreign: Run) -> None:
    assert foreign.unregistered == ("plugin_counts", "plugin_prompts")
    foreign.verify()
    rows = foreign.table("plugin_counts", SLUG).to_pylist()
    assert foreign.names(SLUG)[-1] == "plugin_counts"
    assert foreign.latent(SLUG, 3)["plugin_counts"] == [r for r in rows if r["latent"] == 3]
    assert foreign.tables["plugin_counts"].definition == COUNTED.definition
    assert "'plugin_counts' is of the plug-in 'a-plugin', which is not" in describe(foreign)
    with pytest.raises(SaereportError, match="Did you mean 'plugin_counts'"):
        foreign.table("plugin_count", SLUG)


def test_tables_of_a_plug_in_that_is_not_installed_are_cut(foreign: Run, tmp_path: Path) -> None:
    cut = {"latents": {SLUG: [2]}, "prompts": ["a-prompt-1"], "title": None}
    made = subset(foreign, tmp_path / "cut", **cut)  # type: ignore[arg-type]
    made.verify()
    rows = foreign.table("plugin_counts", SLUG).to_pylist()
    kept = made.table("plugin_counts", SLUG).to_pylist()
    assert kept == [row for row in rows if row["latent"] == 2]
    assert made.table("plugin_prompts")["prompt"].to_pylist() == [1]
    known = made.table("vocabulary")["token"].to_pylist()
    assert {row["token"] for row in kept} <= set(known)
    assert made.info.tables["plugin_counts"] == foreign.info.tables["plugin_counts"]
    render(made.path, tmp_path / "report")


@pytest.mark.parametrize(
    "column",
    [
        Column("x", I32, kinds.Position(), redacted=-1),
        Column("x", I32, kinds.Layer(), redacted=-1),
        Column("x", I32, kinds.Token(), redacted=-7),
        Column("x", I64, kinds.Count(), redacted=-1),
        Column("x", F32, kinds.NonNegative(), redacted=-1),
        Column("x", F32, kinds.Share(), redacted=0),
        Column("x", BOOL, kinds.Flag(), redacted=0),
    ],
    ids=lambda column: f"{column.holds.name}{column.redacted}",
)
def test_what_stands_for_hidden_values_is_read_without_the_plug_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: Column
) -> None:
    """As seen: a run with a hidden position was called damaged where the plug-in was not."""
    with monkeypatch.context() as patch:
        table = plugin_table("plugin_x", column)
        patch.setitem(registry._REGISTERED, table.name, table)
        tables = [t for t in TABLES.values() if t.name not in GRAPHS]
        whole_run(tmp_path / "run", tables, hidden={SLUG: {2}})
    run = open_run(tmp_path / "run")
    run.verify()
    assert run.latent(SLUG, 2)["plugin_x"][0]["x"] == column.redacted
    assert run.latent(SLUG, 3)["plugin_x"][0]["x"] >= 0


@pytest.mark.parametrize(
    ("scope", "about", "column", "kept"),
    [
        ("sae", "latent", kinds.Prompt(), [1]),
        ("sae", "prompt", kinds.Prompt(), [1]),
        ("sae", "prompts", kinds.Prompt(), None),
        ("run", "run", kinds.Prompt(or_none=True), [1]),
    ],
)
def test_rows_about_anything_that_name_a_prompt_go_with_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scope: Any,
    about: Any,
    column: kinds.Kind,
    kept: list[int] | None,
) -> None:
    """As seen: of such a table of a plug-in, a cut run named prompts that it does not hold."""
    latent = (LATENT,) if about == "latent" else ()
    columns = (*latent, Column("prompt", I32, column))
    key = tuple(one.name for one in columns)
    table = Table("plugin_x", scope, key, columns, "x", "x", about=about, plugin="x")
    monkeypatch.setitem(registry._REGISTERED, table.name, table)
    run = whole_run(tmp_path / "run", [t for t in TABLES.values() if t.name not in GRAPHS])
    assert set(read(run, table)[0]) == set(key)
    made = subset(run, tmp_path / "cut", latents={SLUG: [2]}, prompts=["a-prompt-1"], title=None)
    made.verify()
    slug = slug_of(table)
    assert made.has(table.name, slug) == (kept is not None)
    if kept:
        assert set(made.table(table.name, slug)["prompt"].to_pylist()) == set(kept)


def test_a_wrong_value_is_refused_without_the_plug_in_too(tmp_path: Path) -> None:
    table = table_of("plugin_counts", info_of(COUNTED))
    rows = Maker(SHAPE, CHOSEN).rows(COUNTED, SLUG)
    rows["token"][0] = -1
    content(tmp_path / "t.parquet", table, rows)
    rows["token"][0] = -2
    with pytest.raises(InvalidTable, match="'token' holds -2, outside of -1 to"):
        content(tmp_path / "t.parquet", table, rows)


@pytest.mark.parametrize("kind", [TEXT, BYTES])
def test_a_small_file_that_is_gigabytes_of_lists_of_text_is_not_read(
    tmp_path: Path, kind: pa.DataType
) -> None:
    """As seen: two kilobytes became two gigabytes, and were found right."""
    holds = kinds.Text() if kind == TEXT else kinds.Bytes()
    table = plugin_table("t", *(Column(c, listed(kind), holds) for c in "abcd"))
    word = "x" * 65_000 if kind == TEXT else b"x" * 65_000
    columns = {"latent": [1], **{c: [[word] * 4_500] for c in "abcd"}}
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns, schema=table.schema), file)
    assert file.stat().st_size < 2**15
    with pytest.raises(InvalidTable, match="more text than is read"):
        check_content(file, table, TablePlace(INFO, SLUG, lambda _: None))


@pytest.mark.parametrize("dictionary", [True, False])
def test_lists_of_many_words_are_read(tmp_path: Path, dictionary: bool) -> None:
    """More than one dictionary page, an empty list, and an empty word."""
    table = plugin_table("t", Column("words", listed(TEXT), kinds.Text()))
    rows = [[f"{i} {j} {'x' * 40}" for j in range(40)] for i in range(1000)] + [[], [""]]
    columns = {"latent": range(len(rows)), "words": rows}
    arrow = pa.table({k: pa.array(v, table.schema.field(k).type) for k, v in columns.items()})
    pq.write_table(arrow.cast(table.schema), tmp_path / "t.parquet", use_dictionary=dictionary)
    info = INFO.model_copy(
        update={"saes": tuple(sae.model_copy(update={"d_sae": 2000}) for sae in INFO.saes)}
    )
    check_content(tmp_path / "t.parquet", table, TablePlace(info, SLUG, lambda _: None))


def _words(n: int) -> dict[str, Any]:
    return {"kind": "one_of", "words": [f"w{i}" for i in range(n)]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update(about="weather"), "about what this saereport does not know"),
        (lambda t: t.update(key=["nowhere"]), "key is not among its columns"),
        (lambda t: t["columns"][1].update(type="uint128"), "a type that is not stored"),
        (lambda t: t["columns"][1].update(holds={"kind": "smell"}), "does not know"),
        (lambda t: t["columns"][1].update(holds={"kind": "token", "x": 1}), "cannot have"),
        (lambda t: t["columns"][1].update(holds={"kind": "whole", "low": "a"}), "what it can be"),
        (lambda t: t["columns"][1].update(holds={"kind": "text"}), "cannot be stored so"),
        (lambda t: t["columns"][1].update(holds=_words(1025)), "more than 1,024 words"),
        (
            lambda t: t["columns"][1].update(holds={"kind": "position", "window": ["a", "b", "c"]}),
            "has not two ends",
        ),
        (lambda t: t["columns"][1].update(name="../x"), "cannot be a name"),
        (lambda t: t["columns"].clear(), "key is not among its columns"),
        (lambda t: t["columns"].extend(t["columns"] * 300), "256 items"),
        (lambda t: t.update(scope="planet"), "scope"),
    ],
)
def test_a_run_that_tells_nonsense_of_a_table_is_refused_in_one_line(
    foreign: Run, change: Callable[[Any], None], message: str
) -> None:
    path = foreign.path / "run.json"
    info = json.loads(path.read_text())
    change(info["tables"]["plugin_counts"])
    path.write_text(json.dumps(info))
    with pytest.raises(SaereportError, match=message) as caught:
        open_run(foreign.path)
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_a_run_that_says_of_a_known_table_what_is_not_so(foreign: Run) -> None:
    path = foreign.path / "run.json"
    info = json.loads(path.read_text())
    info["tables"]["activity"]["columns"].pop()
    path.write_text(json.dumps(info))
    with pytest.raises(SaereportError, match="what it says of the table 'activity' is not so"):
        open_run(foreign.path)
    del info["tables"]["activity"]
    path.write_text(json.dumps(info))
    with pytest.raises(SaereportError, match=r"unknown file 'saes/.*/activity\.parquet'"):
        open_run(foreign.path)


def test_one_latent_as_python_values(everything: Run) -> None:
    found = everything.latent(SLUG, 2)
    own = [n for n in everything.names(SLUG) if TABLES[n].about == "latent"]
    assert list(found) == own
    for name, rows in found.items():
        assert rows == [r for r in read(everything, TABLES[name]) if r["latent"] == 2]
    assert "sae_activity" not in found


def test_a_latent_or_an_sae_that_is_not_there(everything: Run) -> None:
    with pytest.raises(SaereportError, match=r"not show latent 9 of .* It shows 1, 2, 3, 4, 5"):
        everything.latent(SLUG, 9)
    with pytest.raises(SaereportError, match=f"no SAE 'x{SLUG}'. Did you mean '{SLUG}'"):
        everything.latent(f"x{SLUG}", 2)


def test_the_shown_latents_are_those_of_whatever_tables_there_are(tmp_path: Path) -> None:
    few = [TABLES["head_deembedding"], TABLES["sae_activity"]]
    assert whole_run(tmp_path / "few", few).latents(SLUG) == (1, 2, 3, 4, 5)
    assert whole_run(tmp_path / "none", [TABLES["sae_activity"]]).latents(SLUG) == ()


def test_the_published_schema_is_that_of_the_code_and_of_runs(everything: Run) -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == schema_json(), "run 'make schema'"
    jsonschema.Draft202012Validator.check_schema(schema())
    said = json.loads((everything.path / "run.json").read_text())
    jsonschema.validate(said, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**said, "schema_version": 1}, schema())


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["info", "--schema"]) == 0
    assert capsys.readouterr().out == schema_json()
