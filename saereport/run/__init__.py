"""The artifact on disk: what a run holds, written and read without torch.

Start with `open_run`, or with `opened` where it may be a single file or in git; `tables` says what
each table means and `schema` what `run.json` says.
"""

from saereport.run.opening import opened
from saereport.run.schema import RunInfo, SaeInfo
from saereport.run.store import Run, RunWriter, open_run
from saereport.run.table import Table
from saereport.run.tables import TABLES

__all__ = ["TABLES", "Run", "RunInfo", "RunWriter", "SaeInfo", "Table", "open_run", "opened"]
