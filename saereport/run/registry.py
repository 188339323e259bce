"""Every table that a run can hold, by name: saereport's own, and those that plug-ins add.

The registry is open: `register` takes a `Table` from anywhere, once. What is registered can be
written; a run may also hold tables that nobody has registered here, which it describes itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from saereport.run.table import Table
from saereport.util.errors import SaereportError, named_or_near

_REGISTERED: dict[str, Table] = {}

TABLES: Mapping[str, Table] = MappingProxyType(_REGISTERED)
"""Every registered table by name, in the order in which the methods page explains them."""


def register(table: Table) -> Table:
    """Add a table to those that runs can hold.

    Raises:
        ValueError: There is one of this name.
    """
    if table.name in _REGISTERED:
        raise ValueError(f"there is a table '{table.name}' already")
    _REGISTERED[table.name] = table
    return table


def table_named(name: str, tables: Mapping[str, Table] = TABLES) -> Table:
    """The table of this name.

    Args:
        name: What it is called.
        tables: The tables that there are.

    Raises:
        SaereportError: There is none; names those that are alike.
    """
    if name not in tables:
        raise SaereportError(f"There is no table '{name}'.", named_or_near(name, tables))
    return tables[name]
