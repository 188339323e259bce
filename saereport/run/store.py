"""Read a run: a folder with `run.json` and one Parquet file per table.

Layout::

    run.json
    tables/<table>.parquet               tables of the whole run
    saes/<slug>/<table>.parquet          tables of one SAE

A run is written by `writing.RunWriter` and read lazily by `Run`: the first time a table is opened
its file is checked against its SHA-256 and its content against what the table promises (see
`validation`), and tables can be read by a range of latents so that memory does not grow with the
number of latents. Nothing here imports torch, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from saereport.run.bands import Bands
from saereport.run.describing import info_of, table_of
from saereport.run.redaction import needed_for_redaction, redacted
from saereport.run.registry import TABLES, table_named
from saereport.run.schema import SCHEMA_VERSION, RunInfo, TableInfo
from saereport.run.table import Table
from saereport.run.validation import (
    InvalidTable,
    Lengths,
    TablePlace,
    check_content,
    check_file,
    check_names,
    opened_table,
)
from saereport.util.errors import SaereportError, first_few, named_or_near
from saereport.util.files import (
    canonical_json,
    require_folder,
    sha256_of,
    strangers,
)
from saereport.util.inside import holds, plain_path, read_inside
from saereport.util.untrusted import UNREADABLE, Limits, check_shape
from saereport.util.visible import visible_text

RUN_FILE = "run.json"
REPORT_FILE = "report.json"
"""What the folder of a report holds, whether its run lies in it or not."""
RUN_FILE_LIMIT = 64 * 2**20
_SHAPE = Limits(depth=48, values=4_000_000)


def table_path(table: Table, slug: str | None) -> str:
    """Where a table lies, relative to `run.json`.

    Raises:
        ValueError: A table of one SAE without a slug, or the reverse.
    """
    if (table.scope == "sae") != (slug is not None):
        raise ValueError(f"table '{table.name}' has scope '{table.scope}', slug was {slug!r}")
    return f"saes/{slug}/{table.name}.parquet" if slug else f"tables/{table.name}.parquet"


class Run:
    """A run on disk, read lazily. Make one with `open_run`.

    Attributes:
        path: Its folder.
        info: What `run.json` says.
        tables: What each table is that the run holds, by name: as it is registered here, or else
            as the run describes it.
    """

    def __init__(self, path: Path, info: RunInfo) -> None:
        self.path = path
        self.info = info
        self.tables = _tables(info)
        self._files = {file.path: file for file in info.files}
        self._checked: set[str] = set()
        self._latents: dict[str, tuple[int, ...]] = {}
        self._lengths: dict[str, Lengths | None] = {}
        self._hidden: Mapping[str, Collection[int]] = {}
        self._bands: dict[Path, Bands] = {}

    def hiding(self, latents: Mapping[str, Collection[int]]) -> Run:
        """The same run, of whose tables nothing reveals the text that activates some latents.

        Args:
            latents: For each SAE, the latents of which nothing is revealed.
        """
        other = copy(self)
        other._hidden = latents
        return other

    @property
    def size(self) -> int:
        """Bytes of its tables."""
        return sum(file.bytes for file in self.info.files)

    @property
    def unregistered(self) -> tuple[str, ...]:
        """The tables that are not registered here: of plug-ins that are not installed."""
        return tuple(name for name in self.tables if name not in TABLES)

    def has(self, name: str, slug: str | None = None) -> bool:
        """Whether the run holds this table (of this SAE).

        Raises:
            SaereportError: There is no table of this name in any run.
        """
        return table_path(self._known(name), slug) in self._files

    def names(self, slug: str | None = None) -> list[str]:
        """Names of the tables that the run holds, for the run itself or for one SAE."""
        scope = "run" if slug is None else "sae"
        return [
            name
            for name, table in self.tables.items()
            if table.scope == scope and self.has(name, slug)
        ]

    def latents(self, slug: str) -> tuple[int, ...]:
        """The latents of an SAE that the run shows, ascending.

        Raises:
            SaereportError: The run has no such SAE, or a table is damaged.
        """
        self.info.sae(slug)
        if slug not in self._latents:
            own = [self.tables[name] for name in self.names(slug)]
            about = [table for table in own if table.about == "latent" and not table.also_others]
            # Each table that has every latent says which these are; those that are only there to
            # compare reports are large, and asked last.
            whole = sorted((t for t in about if t.every_latent), key=lambda t: not t.on_pages)
            asked = [t for t in whole if t.on_pages] or whole[:1] or about
            found = [self._read(t.name, slug, columns=["latent"]).column(0) for t in asked]
            latents = set().union(*(pc.unique(column).to_pylist() for column in found))
            self._latents[slug] = tuple(sorted(latents))
        return self._latents[slug]

    def latent(self, slug: str, latent: int) -> dict[str, list[dict[str, Any]]]:
        """Everything that the run holds about one latent.

        Args:
            slug: Its SAE.
            latent: Its number.

        Returns:
            For each table that has rows about it, these rows, in the order of the table's key; a
            row is a mapping from column to value, lists as Python lists. What the columns mean,
            `run.tables` says.

        Raises:
            SaereportError: The run has no such SAE, does not show the latent, or is damaged.
        """
        if latent not in self.latents(slug):
            raise SaereportError(
                f"The run does not show latent {latent} of '{slug}'.",
                f"It shows {first_few(self.latents(slug))}.",
            )
        found = {}
        for name in self.names(slug):
            if self.tables[name].about == "latent":
                rows = self.table(name, slug, latents=(latent, latent + 1)).to_pylist()
                if rows:
                    found[name] = rows
        return found

    def rows(self, name: str, slug: str | None = None) -> int:
        """Number of rows of a table, without opening it.

        Raises:
            SaereportError: The run does not hold the table.
        """
        return self._files[self._held(name, slug)].rows

    def table(
        self,
        name: str,
        slug: str | None = None,
        *,
        latents: tuple[int, int] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Read a table.

        Args:
            name: The table's name.
            slug: The SAE, for a table of one SAE.
            latents: Only rows with `low <= latent < high`; reads no more of the file than needed.
            columns: Only these columns.

        Raises:
            SaereportError: The run does not hold the table, the table has no such column, or its
                file is missing, damaged or not to be read.
        """
        self._held(name, slug)
        table = self.tables[name]
        needed = needed_for_redaction(table) if any(self._hidden.values()) else ()
        read = columns if columns is None else list(dict.fromkeys([*columns, *needed]))
        rows = self._read(name, slug, latents=latents, columns=read)
        if needed:
            rows = redacted(table, rows, self._hidden, slug)
        return rows if columns is None else rows.select(list(columns))

    def band(self, name: str, slug: str, low: int, high: int) -> pa.Table:
        """The rows of an SAE's table about the latents from `low` up to, not including, `high`.

        What `table` gives for them; whoever reads one range after the other reads the file once.

        Raises:
            SaereportError: As for `table`.
        """
        path = self._check(self._held(name, slug))
        table = self.tables[name]
        if table.key[0] != "latent":
            return self.table(name, slug, latents=(low, high))
        try:
            if path not in self._bands:
                self._bands[path] = Bands(path)
            rows = self._bands[path].rows(low, high)
        except UNREADABLE as error:
            raise _unreadable(path, error) from error
        return redacted(table, rows, self._hidden, slug)

    def _read(
        self,
        name: str,
        slug: str | None,
        *,
        latents: tuple[int, int] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Read a table as it is stored."""
        path = self._check(self._held(name, slug))
        known = self.tables[name].by_name
        for column in columns or ():
            if column not in known:
                hint = named_or_near(column, known)
                raise SaereportError(f"The table '{name}' has no column '{column}'.", hint)
        filters = None
        if latents is not None:
            low, high = latents
            filters = [("latent", ">=", low), ("latent", "<", high)]
        try:
            with opened_table(path) as source:
                return pq.read_table(
                    source, columns=list(columns) if columns is not None else None, filters=filters
                )
        except UNREADABLE as error:
            raise _unreadable(path, error) from error

    def verify(self) -> None:
        """Check every file against its SHA-256, and that what it holds can be.

        Raises:
            SaereportError: A file is missing or damaged; says which.
        """
        for relative in sorted(self._files):
            self._check(relative)

    @property
    def checked(self) -> frozenset[str]:
        """The files that were checked so far."""
        return frozenset(self._checked)

    def trust(self, files: Iterable[str]) -> None:
        """Read these files without checking them: another process has `checked` them just now."""
        self._checked.update(files)

    def _known(self, name: str) -> Table:
        """A table that the run holds, or that runs can hold."""
        return self.tables.get(name) or table_named(name, {**TABLES, **self.tables})

    def _held(self, name: str, slug: str | None) -> str:
        """The path of a table that the run holds."""
        table = self._known(name)
        if table.scope == "sae" and slug is None:
            slugs = ", ".join(f"'{sae.slug}'" for sae in self.info.saes[:8])
            raise SaereportError(
                f"The table '{name}' is about one SAE.", f"Say which: {slugs or 'there is none'}."
            )
        if table.scope == "run" and slug is not None:
            raise SaereportError(
                f"The table '{name}' is about the whole run, not about '{slug}'.",
                "Leave the SAE out.",
            )
        if slug is not None:
            self.info.sae(slug)
        relative = table_path(table, slug)
        if relative not in self._files:
            of = f" for '{slug}'" if slug else ""
            held = ", ".join(self.names(slug)) or "nothing"
            raise SaereportError(f"The run holds no table '{name}'{of}.", f"It holds {held}.")
        return relative

    def _check(self, relative: str) -> Path:
        path = self.path / relative
        if relative in self._checked:
            return path
        listed = self._files[relative]
        try:
            plain_path(self.path, relative)
            if path.stat().st_size != listed.bytes or sha256_of(path) != listed.sha256:
                raise InvalidTable("its SHA-256 is not the one in run.json")
            table = self.tables[path.stem]
            slug = path.parent.name if table.scope == "sae" else None
            check_file(path, table, listed.rows)
            check_content(path, table, TablePlace(self.info, slug, self._lengths_of))
        except (InvalidTable, *UNREADABLE) as error:
            raise _unreadable(path, error) from error
        self._checked.add(relative)
        return path

    def _lengths_of(self, name: str) -> Lengths | None:
        """How long each sequence or prompt is, if the run holds them."""
        if name not in self._lengths:
            found = None
            if self.has(name):
                table = self.table(name, columns=[self.tables[name].key[0], "tokens"])
                lengths = pc.list_value_length(table.column("tokens")).to_numpy()
                found = Lengths(table.column(0).to_numpy(), lengths)
            self._lengths[name] = found
        return self._lengths[name]


def open_run(path: str | PathLike[str]) -> Run:
    """Open a run, or the run inside a report's folder.

    Args:
        path: Folder that holds `run.json`, or a report with such a folder `run/` in it.

    Raises:
        SaereportError: There is no run, it has another schema version, or `run.json` is damaged.
    """
    path = require_folder(Path(path), "run")
    for relative in (RUN_FILE, f"run/{RUN_FILE}"):
        try:
            file = plain_path(path, relative)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unreadable(path / relative, error) from error
        return Run(file.parent, _read_info(file))
    if holds(path, REPORT_FILE):
        raise SaereportError(
            f"The report '{path}' does not hold its run.",
            "Give the run itself, or put it in: 'saereport render RUN --with-run'.",
        )
    raise SaereportError(
        f"'{path}' is not a run or a report: it holds no {RUN_FILE}.",
        "Give the folder that 'saereport collect' or 'saereport build' wrote.",
    )


def require_run_or_nothing(path: Path) -> None:
    """Refuse a target that holds anything but a run, so that nothing of the user's is lost.

    Raises:
        SaereportError: There is a file, or a folder that is not a run or holds more than a run.
    """
    hint = "Name a new folder, or remove this one."
    if path.is_symlink():
        raise SaereportError(f"'{path}' is a link.", hint)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir():
        raise SaereportError(f"'{path}' is a file.", hint)
    if not holds(path, RUN_FILE):
        raise SaereportError(f"'{path}' exists and is not a run.", hint)
    info = _read_info(path / RUN_FILE)
    others = strangers(path, [RUN_FILE, *(file.path for file in info.files)])
    if others:
        raise SaereportError(
            f"'{path}' also holds what is not the run's, such as '{others[0]}'.",
            "Move it elsewhere, or name a new folder.",
        )


def _read_info(path: Path) -> RunInfo:
    if path.stat().st_size > RUN_FILE_LIMIT:
        raise _damaged(path, f"it is larger than {RUN_FILE_LIMIT // 2**20} MiB")
    raw = _plain_json(path)
    if not isinstance(raw, dict) or raw.get("format") != "saereport-run":
        raise _damaged(path, "it does not say that it is a saereport run")
    version = raw.get("schema_version")
    if version != SCHEMA_VERSION:
        raise SaereportError(
            f"'{path}' has schema version {version!r}; this saereport reads version "
            f"{SCHEMA_VERSION}.",
            "Install the saereport that made it, or collect the run again.",
        )
    try:
        info = RunInfo.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = visible_text(".".join(str(part) for part in first["loc"]))[:200]
        raise _damaged(path, f"{where}: {first['msg']}") from error
    _check_layout(path, info)
    return info


def _plain_json(path: Path) -> Any:
    """JSON that says one thing: no key twice, no number that is none, nothing bottomless."""
    try:
        text = read_inside(path.parent, path.name, limit=RUN_FILE_LIMIT)
        check_shape(text, "as JSON", _SHAPE)
        raw = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
        # Numbers beyond a float become infinite, and half a character can be escaped: neither
        # could be written again.
        canonical_json(raw, indent=None).encode()
    except SaereportError as error:
        raise _damaged(path, error.message.rstrip(".")) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is not JSON ({_first_line(error)})") from error
    return raw


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _first_line(error: Exception) -> str:
    """The first line of a message as visible text: it may quote what a file holds."""
    lines = str(error).splitlines()
    return visible_text(lines[0])[:300] if lines else type(error).__name__


def _check_layout(path: Path, info: RunInfo) -> None:
    """Only paths that the layout itself makes are ever opened, whatever `run.json` claims."""
    for name, described in info.tables.items():
        _check_table(path, name, described)
    try:
        tables = _tables(info).values()
        check_names(info)
    except (InvalidTable, ValueError) as error:
        raise _damaged(path, _first_line(error)) from error
    allowed = {table_path(table, None) for table in tables if table.scope == "run"}
    for sae in info.saes:
        allowed |= {table_path(table, sae.slug) for table in tables if table.scope == "sae"}
    for file in info.files:
        if file.path not in allowed:
            raise _damaged(path, f"it lists an unknown file {ascii(file.path)[:200]}")


def _check_table(path: Path, name: str, described: TableInfo) -> None:
    """What `run.json` says of a table is what is registered here, if it is."""
    if name not in TABLES:
        return
    if described.version != TABLES[name].version:
        raise SaereportError(
            f"'{path}' holds another version of the table '{name}'.",
            "Install the saereport that made it, or collect the run again.",
        )
    known = info_of(TABLES[name])
    same = (described.scope, described.key) == (known.scope, known.key)
    if not same or described.columns != known.columns:
        raise _damaged(path, f"what it says of the table '{name}' is not so")


def _tables(info: RunInfo) -> dict[str, Table]:
    """The tables of a run by name: those that are registered in their order, then the others.

    Raises:
        ValueError: One that is not registered does not hang together.
    """
    known = {name: table for name, table in TABLES.items() if name in info.tables}
    others = sorted(info.tables.keys() - known.keys())
    return known | {name: table_of(name, info.tables[name]) for name in others}


def _unreadable(path: Path, error: Exception) -> SaereportError:
    """A file that the system does not give is not damaged."""
    if isinstance(error, FileNotFoundError):
        return _damaged(path, "the file is missing")
    if isinstance(error, OSError) and error.errno:
        reason = os.strerror(error.errno)
        return SaereportError(
            f"'{path}' cannot be read: {reason}.", "Check its permissions, and the disk."
        )
    return _damaged(path, _first_line(error))


def _damaged(path: Path, why: str) -> SaereportError:
    return SaereportError(
        f"The run is damaged: '{path}': {why}.", "Collect it again, or restore the file."
    )
