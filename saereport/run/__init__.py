"""The artifact on disk: what a run holds, written and read without torch.

Start with `open_run`, or with `opened` where it may be a single file or in git; `tables` says what
each table means and `schema` what `run.json` says.
"""

from saereport.run.opening import opened
from saereport.run.registry import register
from saereport.run.schema import RunInfo, SaeInfo
from saereport.run.store import Run, open_run
from saereport.run.table import Column, Table
from saereport.run.tables import TABLES
from saereport.run.writing import RunWriter

__all__ = [
    "TABLES",
    "Column",
    "Run",
    "RunInfo",
    "RunWriter",
    "SaeInfo",
    "Table",
    "open_run",
    "opened",
    "register",
]
