"""Which files an import reads: those that are named, and in a folder those with a known name.

A folder that holds none may hold the folders of several SAEs, as an export writes them. Nothing
else is opened, and no link is followed out of a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from saereport.exchange import dashboard, neuronpedia
from saereport.exchange.limits import FILES
from saereport.util.errors import SaereportError, did_you_mean

KNOWN = (
    "SAEDashboard's batch-0.json, or the folders features/ and activations/ of Neuronpedia's export"
)


@dataclass(frozen=True)
class Found:
    """A file to read.

    Attributes:
        path: Where it is.
        group: The folder that it belongs to with others.
        kind: `batch`, `settings`, `skipped`, `source`, or rows: `features`, `activations`,
            `explanations`, or `rows` where the name does not tell which.
    """

    path: Path
    group: Path
    kind: str


def find(paths: Iterable[Path]) -> list[Found]:
    """The files that these paths mean, in an order that depends on their names alone.

    Raises:
        SaereportError: There is nothing there, or nothing of a known name, or a link leads out.
    """
    found: dict[Path, Found] = {}
    for path in paths:
        if path.is_dir():
            inside = _in_folder(path) or _in_folders_of(path)
            if not inside:
                raise SaereportError(f"'{path}' holds none of the files that are read.", _HINT)
        elif path.exists():
            inside = [Found(path, path.parent, _kind(path))]
        else:
            raise SaereportError(f"There is nothing at '{path}'.", _near(path))
        for one in inside:
            found.setdefault(one.path.resolve(), one)
    if len(found) > FILES:
        raise SaereportError(f"There are more than {FILES:,} files; that is the limit.")
    return sorted(found.values(), key=lambda one: (_ORDER[one.kind], *_natural(one.path)))


_HINT = f"Give {KNOWN}."
_ORDER = {
    "settings": 0,
    "source": 0,
    "skipped": 0,
    "batch": 1,
    "rows": 1,
    "features": 1,
    "activations": 2,
    "explanations": 3,
}


def _in_folders_of(folder: Path) -> list[Found]:
    """What is in the folders of a folder: an export of several SAEs has one for each."""
    return [
        found
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.is_symlink()
        for found in _in_folder(entry)
    ]


def _in_folder(folder: Path) -> list[Found]:
    result = []
    for entry in sorted(folder.iterdir()):
        name = entry.name
        if entry.is_dir():
            if neuronpedia.FOLDER.fullmatch(name):
                _require_plain(entry)
                result += [
                    Found(_require_plain(row), folder, name.partition("-")[0])
                    for row in sorted(entry.iterdir())
                    if neuronpedia.ROWS_FILE.fullmatch(row.name)
                ]
        elif (kind := _known(name)) is not None:
            own, here = folder, folder.resolve()
            if kind == "rows" and neuronpedia.FOLDER.fullmatch(here.name):
                own, kind = here.parent, here.name.partition("-")[0]
            result.append(Found(_require_plain(entry), own, kind))
    return result


def _known(name: str) -> str | None:
    if dashboard.BATCH_FILE.fullmatch(name):
        return "batch"
    if neuronpedia.ROWS_FILE.fullmatch(name):
        return "rows"
    exact = {
        dashboard.SETTINGS_FILE: "settings",
        dashboard.SKIPPED_FILE: "skipped",
        neuronpedia.SOURCE_FILE: "source",
    }
    return exact.get(name)


def _kind(path: Path) -> str:
    """The kind of a file that was named: its name may be any, its ending tells the format."""
    known = _known(path.name)
    if known is not None:
        return known
    name = path.name.lower()
    if name.endswith((".jsonl", ".jsonl.gz")):
        return "rows"
    if name.endswith(".json"):
        return "batch"
    raise SaereportError(f"'{path}' is neither JSON nor JSON lines by its name.", _HINT)


def _require_plain(path: Path) -> Path:
    if path.is_symlink():
        raise SaereportError(
            f"'{path}' is a link, which is not followed out of a folder.",
            "Name the file itself if it is to be read.",
        )
    return path


def _natural(path: Path) -> tuple[str, int, str]:
    digits = re.search(r"(\d{1,9})\D*$", path.name)
    return path.parent.as_posix(), int(digits[1]) if digits else 0, path.name


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
