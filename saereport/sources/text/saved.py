"""Folders that `datasets.save_to_disk` wrote: a dataset, or one for each split.

What is in such a folder stands in its JSON files; the rows are Arrow streams. No code of theirs is
run, and the datasets library is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saereport.util.errors import SaereportError, named_or_near, shortened
from saereport.util.untrusted import Limits, content, parse_json

SPLITS, STATE, INFO = "dataset_dict.json", "state.json", "dataset_info.json"
DESCRIPTIONS = (INFO, "dataset_infos.json", SPLITS, STATE)
"""Files of the datasets library that say what the others are."""

_LONGEST_NAME = 255
"""Characters of the name of a file; no system has longer ones."""

_LIMITS = Limits(file_bytes=64 * 2**20)


@dataclass(frozen=True)
class Saved:
    """A dataset as `save_to_disk` left it.

    Attributes:
        folder: The folder that its files lie in.
        files: These, in the order of the rows.
        split: The split that was chosen; None where the folder holds one dataset alone.
    """

    folder: Path
    files: tuple[Path, ...]
    split: str | None


def is_saved(path: Path) -> bool:
    """Whether a path is a folder that `save_to_disk` wrote, or one that looks like it."""
    return path.is_dir() and (
        (path / SPLITS).is_file()
        or (path / STATE).is_file()
        or ((path / INFO).is_file() and any(path.glob("*.arrow")))
    )


def saved_dataset(path: Path, split: str) -> Saved:
    """What such a folder holds.

    Args:
        path: The folder.
        split: Which split to read, where there are several.

    Raises:
        SaereportError: It has no such split, is of another version, or is not whole.
    """
    name, chosen = path.resolve().name, None
    if (path / SPLITS).is_file():
        listed = _read(path / SPLITS).get("splits")
        if not isinstance(listed, list) or not all(map(_is_plain, listed)):
            raise _other_version(name, f"{SPLITS} lists no splits")
        if split not in listed:
            raise SaereportError(
                f"The dataset {name} has no split '{shortened(split)}'.",
                f"{named_or_near(split, listed)} Name one with --dataset-split.",
            )
        path, chosen = path / split, split
    elif split != "train":
        own = _read(path / STATE).get("_split") if (path / STATE).is_file() else None
        if own != split:
            raise SaereportError(
                f"The folder {name} holds one dataset and no splits.", "Leave --dataset-split out."
            )
    return Saved(path, _files(path, name), chosen)


def _files(folder: Path, name: str) -> tuple[Path, ...]:
    if not (folder / STATE).is_file():
        if (folder / INFO).is_file():
            raise SaereportError(
                f"{name} holds {INFO} and no {STATE}: it is part of a cache of the datasets "
                "library, which can hold several datasets, or is not whole.",
                "Name one of its .arrow files, or write the dataset with save_to_disk.",
            )
        raise SaereportError(f"The dataset {name} is not whole: {STATE} is missing.")
    state = _read(folder / STATE)
    listed = state.get("_data_files")
    if not isinstance(listed, list) or not listed:
        raise _other_version(name, f"{STATE} lists no files")
    names = [one.get("filename") if isinstance(one, dict) else None for one in listed]
    if not all(map(_is_plain, names)):
        raise _other_version(name, f"{STATE} names files that do not lie beside it")
    if not all(str(one).endswith(".arrow") for one in names):
        raise _other_version(name, f"{STATE} names files that are not Arrow's")
    if state.get("_indices_data_files"):
        raise _other_version(name, "a file of indices says which of its rows count")
    files = tuple(folder / str(one) for one in names)
    gone = [file.name for file in files if not file.is_file()]
    if gone:
        more = f" and {len(gone) - 1:,} more" if len(gone) > 1 else ""
        raise SaereportError(f"The dataset {name} is not whole: {gone[0]}{more} is missing.")
    return files


def _other_version(name: str, why: str) -> SaereportError:
    return SaereportError(
        f"The folder {name} is not as save_to_disk of today's datasets library writes it: {why}.",
        "Load it with the version that wrote it and save it as Parquet.",
    )


def _read(file: Path) -> dict[str, Any]:
    where = f"{file.parent.name}/{file.name}"
    found = parse_json(content(file, _LIMITS), where, _LIMITS)
    if not isinstance(found, dict):
        raise SaereportError(f"{where} is not a JSON object.")
    return found


def _is_plain(name: Any) -> bool:
    """Whether a name leads to something in the same folder."""
    return (
        isinstance(name, str)
        and Path(name).name == name
        and name not in ("", ".", "..")
        and len(name) <= _LONGEST_NAME
    )
