"""Where a report may be written, and how it takes the place of an older one in one step."""

from __future__ import annotations

import contextlib
import filecmp
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saereport.run import Run
from saereport.run.copying import copy_run
from saereport.run.store import REPORT_FILE, require_run_or_nothing
from saereport.site import jsonwriter
from saereport.site.assets import copy_assets
from saereport.site.context import ReportModel
from saereport.site.layout import FolderLayout
from saereport.site.pages import Pages
from saereport.site.parts.registry import Data, Download, Item, Page
from saereport.util.errors import SaereportError
from saereport.util.files import folder_in_place_of, link_or_copy, sha256_of, strangers
from saereport.util.inside import read_inside

MANIFEST = REPORT_FILE
FORMAT = "saereport-report"
VERSION = 1
RUN_FOLDER = "run"
ASSETS = "assets"
NOJEKYLL = ".nojekyll"


def require_report_or_nothing(out_dir: Path) -> None:
    """Refuse a target that holds anything but a report, so that nothing of the user's is lost.

    Raises:
        SaereportError: `out_dir` is a file, or a folder that is not a report.
    """
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return
    hint = "Name a new folder, or remove this one."
    if not out_dir.is_dir():
        raise SaereportError(f"'{out_dir}' is a file.", hint)
    names = {path.name for path in out_dir.iterdir()}
    if names <= {RUN_FOLDER}:
        require_run_or_nothing(out_dir / RUN_FOLDER)
        return
    own = _listed_files(out_dir)
    if own is None:
        raise SaereportError(f"'{out_dir}' exists and is not a report.", hint)
    others = strangers(out_dir, [MANIFEST, *own])
    if others:
        raise SaereportError(
            f"'{out_dir}' also holds what is not the report's, such as '{others[0]}'.",
            "Move it elsewhere, or name a new folder.",
        )


def require_run_of_its_own(out_dir: Path) -> None:
    """Refuse a target that is no run, or the run inside a report, whose pages it would belie.

    Raises:
        SaereportError: `out_dir` is one of them.
    """
    require_run_or_nothing(out_dir)
    if out_dir.name == RUN_FOLDER and (out_dir.parent / MANIFEST).is_file():
        raise SaereportError(
            f"'{out_dir}' is the run inside a report, whose pages would be of another one.",
            f"Name the report, '{out_dir.parent}', or another folder.",
        )


def _listed_files(folder: Path) -> list[str] | None:
    """The files that a report's manifest lists; None if it is not a report's manifest."""
    try:
        value = json.loads(read_inside(folder, MANIFEST))
    except (SaereportError, OSError, ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        return None
    files = value.get("files")
    entries = files if isinstance(files, list) else []
    return [str(entry["path"]) for entry in entries if isinstance(entry, dict) and "path" in entry]


@contextmanager
def report_folder(out_dir: Path, run: Run, *, with_run: bool = True) -> Iterator[Path]:
    """A fresh folder that becomes `out_dir`, with the run in it, if the block ends well.

    Args:
        out_dir: The report's folder.
        run: Its run.
        with_run: Whether the run is to be in it.

    Raises:
        SaereportError: `out_dir` holds something else.
    """
    room = run.size if with_run else 0
    with folder_in_place_of(out_dir, require_report_or_nothing, room=room) as folder:
        if with_run:
            copy_run(run, folder / RUN_FOLDER)
        yield folder
        _leave_as_they_are(folder, out_dir)


def _leave_as_they_are(fresh: Path, old: Path) -> None:
    """Let files that are the same as before be the files of before, with their times.

    So whoever copies a report to a server copies only what another run or version changed.
    """
    for path in sorted(fresh.rglob("*")):
        before = old / path.relative_to(fresh)
        if path.is_dir() or not before.is_file() or before.is_symlink():
            continue
        with contextlib.suppress(OSError):
            if filecmp.cmp(path, before, shallow=False):
                aside = path.with_name(f".{path.name}.same")
                link_or_copy(before, aside)
                aside.replace(path)


def write_manifest(folder: Path, *, version: str, title: str, slugs: list[str]) -> None:
    """List every file of the report with its size and SHA-256, in `report.json`."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    lines = [
        jsonwriter.dumps(
            {
                "path": path.relative_to(folder).as_posix(),
                "bytes": path.stat().st_size,
                "sha256": sha256_of(path),
            }
        )
        for path in paths
    ]
    head = jsonwriter.dumps(
        {"format": FORMAT, "version": VERSION, "saereport": version, "title": title, "saes": slugs}
    )
    text = f'{head[:-1]},"files":[\n' + ",\n".join(lines) + "\n]}\n"
    (folder / MANIFEST).write_bytes(text.encode("utf-8"))


class FolderSink:
    """Writes a report as a folder of pages that open from a disk.

    Args:
        report: The report.
        folder: Where to write.
        bare: Whether what all pages share is to be put there at once.
    """

    def __init__(self, report: ReportModel, folder: Path, *, bare: bool = True) -> None:
        self._folder = folder
        self._pages = Pages(report, FolderLayout())
        if bare:
            copy_assets(folder / ASSETS)
            (folder / NOJEKYLL).write_bytes(b"")

    def add(self, item: Item) -> None:
        """See `Sink`."""
        target = self._folder / item.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self._text(item).encode("utf-8"))

    def _text(self, item: Item) -> str:
        match item:
            case Page():
                return self._pages.render(item)
            case Data():
                lines = jsonwriter.record(item.kind, item.head, item.lists)
                return jsonwriter.script("\n".join(lines))
            case Download():
                return item.text
