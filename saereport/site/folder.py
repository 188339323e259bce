"""Where a report may be written, and how it takes the place of an older one in one step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saereport.errors import SaereportError
from saereport.run import Run
from saereport.run.files import folder_in_place_of, sha256_of
from saereport.run.store import RUN_FILE
from saereport.site import jsonwriter

MANIFEST = "report.json"
FORMAT = "saereport-report"
VERSION = 1
RUN_FOLDER = "run"
RESERVED = frozenset({"assets", "text", RUN_FOLDER})


def require_report_or_nothing(out_dir: Path) -> None:
    """Refuse a target that holds anything but a report, so that nothing of the user's is lost.

    Raises:
        SaereportError: `out_dir` is a file, or a folder that is not a report.
    """
    if not out_dir.exists():
        return
    hint = "Name a new folder, or remove this one."
    if not out_dir.is_dir():
        raise SaereportError(f"'{out_dir}' is a file.", hint)
    names = {path.name for path in out_dir.iterdir()}
    if names <= {RUN_FOLDER} or _is_report(out_dir / MANIFEST):
        return
    raise SaereportError(f"'{out_dir}' exists and is not a report.", hint)


def _is_report(manifest: Path) -> bool:
    try:
        value = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and value.get("format") == FORMAT


@contextmanager
def report_folder(out_dir: Path, run: Run) -> Iterator[Path]:
    """A fresh folder that becomes `out_dir`, with the run in it, if the block ends well.

    Raises:
        SaereportError: `out_dir` holds something else.
    """
    require_report_or_nothing(out_dir)
    with folder_in_place_of(out_dir) as folder:
        _copy_run(run, folder / RUN_FOLDER)
        yield folder


def _copy_run(run: Run, target: Path) -> None:
    """The files that `run.json` lists, and it; nothing else that may lie beside them."""
    for relative in (RUN_FILE, *(file.path for file in run.info.files)):
        path = target / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run.path / relative, path)


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
