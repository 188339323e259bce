"""Records as the data scripts hold them, and their types on the browser's side."""

from __future__ import annotations

import json
import os
import types
import typing
from pathlib import Path
from typing import Any

import pytest

from saereport.site import assets, jsonwriter, records, render
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts
from tests.synthetic_examples import examples_extra
from tests.synthetic_graph import SMALL, graphs

TYPES = assets.templates() / "scripts" / "records.d.ts"
PLAIN = {int: "number", float: "number", str: "string", bool: "boolean", types.NoneType: "null"}


def kind_of(row: Any) -> str | None:
    return next((kind for kind, found in records.ROWS.items() if found is row), None)


def typed(annotation: Any) -> str:
    """An annotation as TypeScript has it; a row inside is a list whose fields have no names."""
    if annotation in PLAIN:
        return PLAIN[annotation]
    if annotation is Any:
        return "any"
    if kind_of(annotation):
        return f'Row<"{kind_of(annotation)}">'
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.NotRequired:
        return typed(inside[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(map(typed, inside)))
    if origin is list:
        item = typed(inside[0])
        return f"({item})[]" if " | " in item else f"{item}[]"
    if origin is tuple:
        return "[" + ", ".join(map(typed, inside)) + "]"
    if origin is dict:
        return f"Record<string, {typed(inside[1])}>"
    assert typing.is_typeddict(annotation), annotation
    return str(annotation.__name__)


def optional_of(record: Any) -> set[str]:
    hints = typing.get_type_hints(record, include_extras=True)
    defaults = getattr(record, "_field_defaults", {})
    return {
        name
        for name, hint in hints.items()
        if name in defaults or typing.get_origin(hint) is typing.NotRequired
    }


def interface(record: Any) -> str:
    optional = optional_of(record)
    fields = "".join(
        f"  {name}{'?' if name in optional else ''}: {typed(hint)};\n"
        for name, hint in typing.get_type_hints(record, include_extras=True).items()
    )
    about = (
        (record.__doc__ or "").strip().replace("\n\n    ", "\n *\n * ").replace("\n    ", "\n * ")
    )
    said = "" if about.startswith("dict(") or not about else f"/**\n * {about}\n */\n"
    return f"{said}export interface {record.__name__} {{\n{fields}}}\n"


def declarations() -> str:
    """The text of `records.d.ts`."""
    dicts = [
        value
        for value in vars(records).values()
        if typing.is_typeddict(value) and value.__module__ == records.__name__
    ]
    rows = "".join(f"  {kind}: {row.__name__};\n" for kind, row in records.ROWS.items())
    kinds = "".join(
        f'\n  | ({record.__name__} & {{ kind: "{kind}" }})'
        for kind, record in records.RECORDS.items()
    )
    parts = [
        "// Made from saereport/site/records.py by tests/site/test_records.py: run it with\n"
        "// SAEREPORT_GOLD=write.\n",
        "/** The values of a row's fields; `named` in core/rows.js names them. */\n"
        "export type Row<Kind extends keyof Rows> = unknown[] & { readonly of?: Kind };\n",
        f"/** Kinds of rows, with named fields. */\nexport interface Rows {{\n{rows}}}\n",
        *map(interface, records.ROWS.values()),
        *map(interface, dicts),
        f"/** What a data script pushes. */\nexport type AnyRecord ={kinds};\n",
    ]
    return "\n".join(parts)


def test_the_types_of_the_browsers_side_are_current() -> None:
    if os.environ.get("SAEREPORT_GOLD") == "write":
        TYPES.write_text(declarations(), encoding="utf-8", newline="\n")
    assert TYPES.read_text(encoding="utf-8") == declarations()


def fits(value: Any, annotation: Any, path: str) -> list[str]:
    """Where a value that was read from a script is not of its type."""
    if annotation is Any:
        return []
    if annotation is float:
        return [] if type(value) in (int, float) else [f"{path}: {value!r}"]
    if annotation in PLAIN:
        return [] if type(value) is annotation else [f"{path}: {value!r}"]
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.NotRequired:
        return fits(value, inside[0], path)
    if origin in (typing.Union, types.UnionType):
        found = [fits(value, one, path) for one in inside]
        return [] if [] in found else found[0]
    if kind_of(annotation):
        if type(value) is not list:
            return [f"{path}: {value!r}"]
        hints = typing.get_type_hints(annotation)
        n_least = len(hints) - len(annotation._field_defaults)
        if not n_least <= len(value) <= len(hints):
            return [f"{path}: {len(value)} fields"]
        pairs = zip(value, hints.items(), strict=False)
        return [p for item, (name, hint) in pairs for p in fits(item, hint, f"{path}.{name}")]
    if origin is list:
        if type(value) is not list:
            return [f"{path}: {value!r}"]
        return [p for i, item in enumerate(value) for p in fits(item, inside[0], f"{path}[{i}]")]
    if origin is tuple:
        if len(value) != len(inside):
            return [f"{path}: {len(value)} items"]
        pairs_ = zip(value, inside, strict=True)
        return [p for item, hint in pairs_ for p in fits(item, hint, path)]
    if type(value) is not dict:
        return [f"{path}: {value!r}"]
    if origin is dict:
        return [p for key, item in value.items() for p in fits(item, inside[1], f"{path}.{key}")]
    hints = typing.get_type_hints(annotation, include_extras=True)
    wrong = [f"{path}.{key}: not declared" for key in value.keys() - hints.keys()]
    wrong += [
        f"{path}.{key}: missing" for key in hints.keys() - optional_of(annotation) - value.keys()
    ]
    return wrong + [
        p for key in value.keys() & hints for p in fits(value[key], hints[key], f"{path}.{key}")
    ]


def scripts(report: Path) -> list[tuple[str, dict[str, Any]]]:
    prefix = "(self.saereport=self.saereport||[]).push("
    found = []
    for path in sorted(report.rglob("*.js")):
        text = path.read_text("utf-8")
        if text.startswith(prefix):
            found.append((path.name, json.loads(text[len(prefix) :].rstrip().removesuffix(");"))))
    return found


def wrong(report: Path) -> list[str]:
    return [
        fault
        for name, record in scripts(report)
        for fault in fits(
            {key: value for key, value in record.items() if key != "kind"},
            records.RECORDS[record["kind"]],
            name,
        )
    ]


SHAPE = Shape(d_sae=64, n_chosen=16, n_sequences=60, n_vocabulary=1500, n_saes=3, hostile=True)
EXTRAS = {"prompts": prompts, "graphs": graphs(SMALL), "examples": examples_extra()}


@pytest.mark.parametrize("extra", EXTRAS)
def test_data_scripts_hold_what_the_types_say(extra: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run", SHAPE, EXTRAS[extra])
    render(tmp_path / "run", tmp_path / "report", shard_size=8)
    kinds = {record["kind"] for _, record in scripts(tmp_path / "report")}
    assert {"report", "vocabulary", "latents", "shard", "text"} <= kinds
    assert {"prompts": "page", "graphs": "graph", "examples": "shard"}[extra] in kinds
    assert wrong(tmp_path / "report") == []


def test_a_field_that_is_missing_or_of_another_type_is_noticed(hostile_report: Path) -> None:
    (report,) = [record for _, record in scripts(hostile_report) if record["kind"] == "report"]
    del report["kind"], report["title"]
    report["saes"][0]["count"] = "3"
    found = fits(report, records.ReportRecord, "report")
    assert [fault.split(":")[0] for fault in found] == ["report.title", "report.saes[0].count"]


def test_a_row_ends_before_what_has_its_default() -> None:
    row = records.LatentRow(3, 0.5, 1.0, "", "", "", "", 0.0, 0.0)
    assert records.trimmed(row) == [3, 0.5, 1.0, "", "", "", "", 0.0, 0.0]
    assert records.trimmed(row._replace(blind=1))[-1] == 1
    assert jsonwriter.dumps(records.TokenRow(1, "a")) == '[1,"a",0]'


def test_every_kind_of_row_has_its_names_in_the_report() -> None:
    assert records.header()["example"] == list(records.ExampleRow._fields)
    assert set(records.header()) == set(records.ROWS)
