"""What tables are, as JSON: in `run.json` for those that a run holds, and published for all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast, get_args

from saereport.run import kinds
from saereport.run.registry import TABLES
from saereport.run.schema import ColumnInfo, RunInfo, TableInfo
from saereport.run.table import GROUP_VALUES, TYPES, About, Column, Table
from saereport.util.files import canonical_json

_OR_NONE = kinds.Token | kinds.Latent | kinds.TextRef | kinds.Document | kinds.Layer | kinds.Head


def info_of(table: Table) -> TableInfo:
    """What `run.json` says of a table."""
    words = {"title": table.title, "definition": table.definition} if table.plugin else {}
    return TableInfo(
        scope=table.scope,
        about=table.about,
        key=table.key,
        columns=tuple(_column_info(column) for column in table.columns),
        version=table.version,
        reveals_text=table.reveals_text,
        plugin=table.plugin,
        **words,
    )


def _column_info(column: Column) -> ColumnInfo:
    holds = column.holds
    low, high = column.bounds
    # What stands in place of hidden values has to be allowed where the column is not known.
    if column.redacted is not None and low < holds.bounds[0]:
        if column.redacted == -1 and isinstance(holds, _OR_NONE):
            holds = replace(holds, or_none=True)
        else:
            holds = kinds.Whole(int(low), int(high)) if holds.form == "whole" else kinds.Real()
    return ColumnInfo(name=column.name, type=column.type_name, holds=kinds.as_data(holds))


def table_of(name: str, info: TableInfo) -> Table:
    """The table that `run.json` describes, where nobody has registered it here.

    Lists may be of any length that is read, and of what columns have to do with each other only
    what their kinds say is known.

    Raises:
        ValueError: It does not hang together, or is not understood.
    """
    if info.about not in get_args(About):
        raise ValueError("it is about what this saereport does not know")
    for column in info.columns:
        if column.type not in TYPES:
            raise ValueError("a column has a type that is not stored")
    return Table(
        name=name,
        scope=info.scope,
        key=info.key,
        columns=tuple(
            Column(c.name, TYPES[c.type], kinds.from_data(c.holds), longest=GROUP_VALUES)
            for c in info.columns
        ),
        title=info.title or name,
        definition=info.definition,
        version=info.version,
        about=cast(About, info.about),
        reveals_text=info.reveals_text,
        on_pages=False,
        plugin=info.plugin or "unknown",
    )


def schema() -> dict[str, Any]:
    """The JSON schema of `run.json`, with every table that a run can hold.

    Under `kinds` stands what columns can hold, under `tables` what saereport's own tables say of
    themselves: their definitions, and of every column its type, its kind and what else holds.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What a saereport run says in run.json, and the tables beside it",
        **RunInfo.model_json_schema(mode="serialization"),
        "kinds": {name: kinds.meaning(kind) for name, kind in kinds.KINDS.items()},
        "tables": {table.name: _published(table) for table in TABLES.values() if not table.plugin},
    }


def schema_json() -> str:
    """The JSON schema as text that ends with an end of line."""
    return canonical_json(schema()) + "\n"


def _published(table: Table) -> dict[str, Any]:
    flags = ("reveals_text", "of_text", "every_latent", "on_pages")
    return {
        "title": table.title,
        "definition": table.definition,
        "version": table.version,
        "scope": table.scope,
        "about": table.about,
        "key": list(table.key),
        **{flag: getattr(table, flag) for flag in flags},
        "columns": [_published_column(column) for column in table.columns],
    }


def _published_column(column: Column) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": column.name,
        "type": column.type_name,
        "holds": kinds.as_data(column.holds),
    }
    if column.holds.form in ("whole", "real"):
        data["bounds"] = list(column.bounds)
    usual = Column("x", column.type, column.holds)
    for name in _FACTS:
        value = getattr(column, name)
        if value != getattr(usual, name):
            data[name] = list(value) if isinstance(value, tuple) else value
    return data


_FACTS = (
    *("same_length_as", "lengths", "each", "never_empty", "uniform", "longest", "unique"),
    *("redacted", "left_out"),
)
