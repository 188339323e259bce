"""Runs with something wrong in them: a good one, changed in one place, its sums set right again."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from saereport.run.store import RUN_FILE
from tests import synthetic_circuits
from tests.synthetic import HOSTILE, Shape, write_run
from tests.synthetic_examples import blind_extra, examples_extra
from tests.synthetic_graph import GraphShape, graphs

SHAPE = Shape(
    n_saes=3,
    d_sae=48,
    n_chosen=6,
    context=32,
    n_sequences=20,
    n_vocabulary=640,
    n_top=2,
    n_intervals=2,
    per_interval=1,
    n_quantiles=2,
    per_quantile=1,
    list_length=3,
)
STRINGS = [
    *("", ".", "..", "../x", "/etc/passwd", "con", "nul.x", "a/b", "a\\b", "x" * 300, "top"),
    *("interval:-1", "quantile:99999999999", "interval:x", "index", "assets", "run", "-graph"),
    *(text.decode("utf-8", "replace") for text in HOSTILE),
]
WHOLE = [0, -1, 1, 2, 7, 31, 32, 47, 48, 63, 64, 99, 640, 4096, 405_855, 405_856, 2**24, 2**31 - 1]
LARGE = [*WHOLE, -2, -(2**31), 2**53, 2**53 + 1, 2**62, -(2**63), 2**63 - 1]
REAL = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e-45, 1e30, -1e30, 1e38, 1e308, -1e308]
ABSENT = object()
ODD = [*REAL, float("nan"), float("inf"), float("-inf")]


@dataclass(frozen=True)
class Good:
    """A good run in memory.

    Attributes:
        info: Its `run.json`.
        files: The other files by path.
        tables: What they hold.
    """

    info: dict[str, Any]
    files: dict[str, bytes]
    tables: dict[str, pa.Table] = field(repr=False)

    @cached_property
    def text(self) -> str:
        """Its `run.json` as it is written."""
        return json.dumps(self.info)

    def info_again(self) -> dict[str, Any]:
        """A copy of what is in `run.json`, to be changed."""
        copy: dict[str, Any] = json.loads(self.text)
        return copy

    def put(self, folder: Path) -> None:
        """Write it."""
        for path, data in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        (folder / RUN_FILE).write_text(self.text, encoding="utf-8")


@dataclass(frozen=True)
class Change:
    """What is to be written over a good run: `run.json`, and one file or none."""

    info: bytes = field(repr=False)
    path: str = ""
    data: bytes = field(default=b"", repr=False)
    what: str = ""


def good(folder: Path, *, graph: bool) -> Good:
    """One of two good runs, with prompts and examples or with a graph, that hold every table."""
    item = GraphShape(n_latents=6, n_links=20, n_checks=3, error_layers=(1,))
    blind = blind_extra(lambda shown: [(slug, int(own[0]), True) for slug, own in shown.items()])
    circuits = graphs(item) if graph else synthetic_circuits.prompts
    extras = (circuits, blind) if graph else (circuits, examples_extra(per_latent=2, influences=2))
    write_run(folder, SHAPE, *extras)
    info = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    files = {file["path"]: (folder / file["path"]).read_bytes() for file in info["files"]}
    return Good(info, files, {path: pq.read_table(folder / path) for path in files})


def without_a_value(of: Good) -> Iterator[Change]:
    """For every value of `run.json` but the files': it is absent, then null, then zero.

    Of a list's entries the first, and of settings and versions the first two levels: what else
    they hold is only printed.
    """
    for place in _places(of.info):
        if place[0] == "files" or (place[0] in ("config", "libraries") and len(place) > 2):
            continue
        for new in (ABSENT, None, 0):
            info = of.info_again()
            holder: Any = info
            for key in place[:-1]:
                holder = holder[key]
            if new is ABSENT:
                del holder[place[-1]]
            else:
                holder[place[-1]] = new
            yield Change(json.dumps(info).encode(), what=f"{place} {new}")


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = (
        list(value) if isinstance(value, dict) else [0] if isinstance(value, list) and value else []
    )
    for key in keys:
        yield (*above, key)
        yield from _places(value[key], (*above, key))


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([*LARGE, 10**30, 10**400]),
    st.sampled_from(ODD),
    st.sampled_from(STRINGS),
    st.text(max_size=6),
)
VALUES = st.one_of(
    LEAVES,
    st.lists(LEAVES, max_size=3),
    st.dictionaries(st.one_of(st.sampled_from(STRINGS), st.text(max_size=3)), LEAVES, max_size=3),
)


@st.composite
def changes(draw: st.DrawFn, of: Good) -> Change:
    """One change of a good run."""
    kind = draw(st.sampled_from(["json", "json", "table", "table", "table", "table", "bytes"]))
    if kind == "json":
        return Change(draw(_json(of)), what="run.json")
    path = draw(st.sampled_from(sorted(of.files)))
    if kind == "bytes":
        data = draw(_bytes(of.files[path]))
        return _listed(of, path, data, of.tables[path].num_rows, "bytes")
    table, what = draw(_table(of.tables[path]))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=draw(st.sampled_from([5, 8192])))
    honest = draw(st.integers(0, 9)) > 0
    rows = table.num_rows if honest else draw(st.sampled_from(LARGE))
    return _listed(of, path, sink.getvalue(), rows, what)


def _listed(of: Good, path: str, data: bytes, rows: int, what: str) -> Change:
    fresh = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "rows": rows}
    files = [{**file, **fresh} if file["path"] == path else file for file in of.info["files"]]
    return Change(json.dumps({**of.info, "files": files}).encode(), path, data, what)


@st.composite
def _json(draw: st.DrawFn, of: Good) -> bytes:
    info = of.info_again()
    # Few of the files: there are so many that little else would be changed.
    top = draw(st.sampled_from(sorted(info) + ["saes", "model", "text"] * 4))
    if draw(st.integers(0, 9)) == 0:
        top = "files"
    holder: Any = info
    key: Any = top
    while isinstance(holder[key], dict | list) and holder[key] and draw(st.integers(0, 5)):
        holder = holder[key]
        key = draw(
            st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder)))
        )
    how = draw(st.sampled_from(["set", "set", "set", "delete", "add", "repeat", "text", "deep"]))
    if how == "delete":
        del holder[key]
    elif how == "add" and isinstance(holder, dict):
        holder[draw(st.text(max_size=5))] = draw(VALUES)
    elif how == "repeat" and isinstance(holder, list):
        holder.insert(draw(st.integers(0, len(holder))), holder[key])
    elif how == "deep":
        inner: Any = 0
        for _ in range(draw(st.sampled_from([2, 40, 300]))):
            inner = [inner] if draw(st.booleans()) else {"a": inner}
        holder[key] = inner
    elif how != "text":
        holder[key] = draw(VALUES)
    text = json.dumps(info).encode()
    return draw(_bytes(text)) if how == "text" else text


@st.composite
def _bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Some bytes changed, more often near the end, where Parquet keeps what is where."""
    result = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(result) - 1))
        if draw(st.booleans()):
            at = max(0, len(result) - 1 - at % 600)
        result[at] = draw(st.integers(0, 255))
    how = draw(st.integers(0, 9))
    at = draw(st.integers(0, len(result)))
    if how == 0:
        return bytes(result[:at])
    if how == 1:
        return bytes(result[:at]) + draw(st.binary(max_size=20)) + bytes(result[at:])
    return bytes(result)


@st.composite
def _table(draw: st.DrawFn, table: pa.Table) -> tuple[pa.Table, str]:
    how = draw(st.sampled_from(["value"] * 6 + ["list"] * 3 + ["rows"] * 3 + ["schema"]))
    if how == "schema":
        return draw(_schema(table)), how
    if how == "rows" or not table.num_rows:
        return draw(_rows(table)), "rows"
    name = draw(st.sampled_from(table.column_names))
    values = table.column(name).to_pylist()
    kind = table.schema.field(name).type
    rows = draw(st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=2))
    for row in rows if draw(st.integers(0, 5)) else range(len(values)):
        if not pa.types.is_list(kind):
            values[row] = draw(_value(kind))
        elif how == "list" or not values[row]:
            values[row] = draw(_list(values[row], kind.value_type))
        else:
            at = draw(st.integers(0, len(values[row]) - 1))
            values[row] = [*values[row][:at], draw(_value(kind.value_type)), *values[row][at + 1 :]]
    place = table.schema.get_field_index(name)
    column = pa.array([_fitting(value, kind) for value in values], kind)
    return table.set_column(place, table.schema.field(place), column), f"{how} of {name}"


def _fitting(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return [_fitting(item, kind.value_type) for item in value]
    with np.errstate(over="ignore"):
        return np.float16(value) if pa.types.is_float16(kind) else value


def _value(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_integer(kind):
        return st.sampled_from(LARGE if kind.bit_width == 64 else WHOLE)
    if pa.types.is_floating(kind):
        return st.sampled_from(ODD)
    if pa.types.is_binary(kind):
        return st.one_of(st.sampled_from(HOSTILE), st.binary(max_size=5), st.just(b"x" * 70_000))
    return st.one_of(st.sampled_from(STRINGS), st.text(max_size=6), st.just("x" * 70_000))


@st.composite
def _list(draw: st.DrawFn, items: list[Any], kind: pa.DataType) -> list[Any]:
    how = draw(st.sampled_from(["empty", "shorter", "longer", "other", "reversed"]))
    some = draw(st.lists(_value(kind), max_size=4))
    return {
        "empty": [],
        "shorter": items[:-1],
        "longer": items + (items[-1:] or some),
        "other": some,
        "reversed": items[::-1],
    }[how]


@st.composite
def _rows(draw: st.DrawFn, table: pa.Table) -> pa.Table:
    n = table.num_rows
    low, high = sorted((draw(st.integers(0, n)), draw(st.integers(0, n))))
    changed: dict[str, Callable[[], pa.Table]] = {
        "none": lambda: table.slice(0, 0),
        "without": lambda: pa.concat_tables([table.slice(0, low), table.slice(high)]),
        "only": lambda: table.slice(low, high - low),
        "twice": lambda: pa.concat_tables([table.slice(0, high), table.slice(low)]),
        "turned": lambda: table.take(pa.array(range(n - 1, -1, -1), pa.int64())),
        "all twice": lambda: pa.concat_tables([table, table]),
    }
    return changed[draw(st.sampled_from(sorted(changed)))]()


@st.composite
def _schema(draw: st.DrawFn, table: pa.Table) -> pa.Table:
    name = draw(st.sampled_from(table.column_names))
    place = table.schema.get_field_index(name)
    how = draw(st.sampled_from(["drop", "rename", "retype", "nulls", "more", "move"]))
    if how == "drop":
        return table.drop_columns([name])
    if how == "rename":
        names = [draw(st.text(max_size=4)) if n == name else n for n in table.column_names]
        return table.rename_columns(names)
    if how == "more":
        return table.append_column("more", pa.nulls(table.num_rows, pa.int8()))
    if how == "move":
        return table.select(table.column_names[::-1])
    kind = draw(st.sampled_from([pa.int8(), pa.string(), pa.float64(), pa.list_(pa.int32())]))
    kind = table.schema.field(place).type if how == "nulls" else kind
    return table.set_column(place, name, pa.nulls(table.num_rows, kind))
