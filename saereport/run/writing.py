"""Write a run: its tables one after the other, whatever would reveal a hidden latent left out.

`RunWriter` builds the folder aside and moves it into place when everything is written. See `store`
for the layout.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from saereport.run.columns import ROWS_PER_GROUP, Columns, in_parts, row_groups, to_arrow
from saereport.run.describing import info_of
from saereport.run.redaction import redacted
from saereport.run.references import References
from saereport.run.registry import table_named
from saereport.run.schema import FileInfo, RunInfo
from saereport.run.store import RUN_FILE, Run, require_run_or_nothing, table_path
from saereport.run.table import Table
from saereport.util.errors import SaereportError
from saereport.util.files import canonical_json, folder_in_place_of, sha256_of, write_atomically
from saereport.util.inside import copy_inside


class RunWriter:
    """Writes a run aside and moves it into place on a clean exit.

    Use as a context manager: `write` tables in any order, then `finish` with everything that
    `run.json` says besides the files. Leaving without `finish`, or by an exception, leaves the
    target as it was.

    Args:
        target: The run's folder; an older run there is replaced.
        hidden: For each SAE, the latents of which nothing may be revealed: whoever writes, what
            would show the text that activates them goes into no file.

    Attributes:
        references: The tokens and the sequences that what was written so far names.
    """

    def __init__(
        self, target: Path, *, hidden: Mapping[str, Collection[int]] | None = None
    ) -> None:
        self.references = References()
        self._target = target
        self._hidden = hidden or {}
        self._tables: dict[str, Table] = {}
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._files: dict[str, FileInfo] = {}
        self._info: RunInfo | None = None

    def __enter__(self) -> RunWriter:
        self._folder = self._stack.enter_context(
            folder_in_place_of(self._target, require_run_or_nothing)
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._info is None:
            error = RuntimeError("the run was never finished")
            self._stack.__exit__(RuntimeError, error, None)
            raise error
        self._stack.__exit__(kind, error, trace)

    def write(
        self, name: str | Table, columns: Columns | Iterable[Columns], *, slug: str | None = None
    ) -> None:
        """Write one table, whole or in parts that follow each other.

        Args:
            name: The table's name in `TABLES`, or the table.
            columns: Its columns, or an iterable of parts; rows in the order of the table's key.
            slug: The SAE, for a table of one SAE.

        Raises:
            ValueError: The columns do not fit the table, or it was written before.
            OSError: The disk is full.
        """
        if self._folder is None:
            raise RuntimeError("RunWriter is used as a context manager")
        table = table_named(name) if isinstance(name, str) else name
        relative = table_path(table, slug)
        if relative in self._files:
            raise ValueError(f"'{relative}' was written before")
        path = self._folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        parts = [columns] if isinstance(columns, Mapping) else columns
        rows = 0
        # Dictionaries of numbers that hardly repeat only add to a file: a fifth of a run.
        words = [field.name for field in table.schema if pa.types.is_string(field.type)]
        with pq.ParquetWriter(
            path,
            table.schema,
            compression="zstd",
            compression_level=6,
            use_dictionary=words or False,
        ) as writer:
            for part in (cut for whole in parts for cut in in_parts(table, whole)):
                arrow = redacted(table, to_arrow(table, part), self._hidden, slug)
                self.references.note(table, arrow)
                rows += arrow.num_rows
                for group in row_groups(arrow):
                    writer.write_table(group, row_group_size=ROWS_PER_GROUP)
        self._tables[table.name] = table
        self._files[relative] = FileInfo(
            path=relative, bytes=path.stat().st_size, sha256=sha256_of(path), rows=rows
        )

    def copy(self, run: Run, name: str, slug: str | None) -> None:
        """Take over a table of another run as it is; what it refers to is not noted.

        Raises:
            SaereportError: It is not what it was when the run was opened.
        """
        if self._folder is None:
            raise RuntimeError("RunWriter is used as a context manager")
        relative = table_path(run.tables[name], slug)
        listed = next(file for file in run.info.files if file.path == relative)
        path = self._folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if not copy_inside(run.path, relative, path, size=listed.bytes, sha256=listed.sha256):
            raise SaereportError(
                f"'{run.path / relative}' is not what it was when the run was opened.",
                "Is something else writing there? Try again.",
            )
        self._tables[name] = run.tables[name]
        self._files[relative] = listed

    def path(self, name: str, slug: str | None) -> Path:
        """The file of a table that was written, until the folder moves into place."""
        if self._folder is None:
            raise RuntimeError("RunWriter is used as a context manager")
        return self._folder / table_path(self._tables[name], slug)

    def finish(self, info: RunInfo) -> RunInfo:
        """Write `run.json` with the list of files; the folder moves into place on exit."""
        if self._folder is None:
            raise RuntimeError("RunWriter is used as a context manager")
        files = tuple(self._files[path] for path in sorted(self._files))
        tables = {name: info_of(table) for name, table in sorted(self._tables.items())}
        self._info = info.model_copy(update={"files": files, "tables": tables})
        text = canonical_json(self._info.model_dump(mode="json")) + "\n"
        write_atomically(self._folder / RUN_FILE, text.encode())
        return self._info


def retitle(run: Run, title: str) -> None:
    """Give a run another title, in place."""
    info = run.info.model_copy(update={"title": title})
    text = canonical_json(info.model_dump(mode="json")) + "\n"
    write_atomically(run.path / RUN_FILE, text.encode())
