"""What a build that is whole leaves beside its output, for the next one of that name.

While a build is unfinished, what it has done lies in `<out>.partial`. When it is whole, that moves
to `<out>.kept`, and the next build of the same output takes it up again: what its numbers depend on
stands beside each part, so that only what is the same is used. It has a size; nothing in it is
part of the output, and the folder may be removed at any time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from saereport.pipeline.activation_store import spoken_bytes
from saereport.util.files import write_atomically
from saereport.util.replacing import remove_tree

FORMAT = "saereport-kept"
MARKER = "kept.json"
STAGES = "stages"


def kept_folder(work: Path) -> Path:
    """Where a build that is whole leaves what was in its folder `<out>.partial`."""
    return work.with_name(f"{work.name.removesuffix('.partial')}.kept")


def take_up(work: Path) -> None:
    """Take up what the last build of an output left, unless an unfinished one did so already."""
    kept = kept_folder(work)
    if _is_ours(kept) and not os.path.lexists(work):
        kept.rename(work)
        (work / MARKER).unlink()


def put_away(work: Path, limit: int, say: Callable[[str], None]) -> None:
    """Leave what a build did for the next one, the text and the largest parts first to go.

    Args:
        work: The folder in which it lies.
        limit: Bytes that it may have; with 0 nothing is left.
        say: Takes what the user must know.
    """
    kept = kept_folder(work)
    if not limit or not work.is_dir():
        remove_tree(work)
        if _is_ours(kept):
            remove_tree(kept)
        return
    if os.path.lexists(kept) and not _is_ours(kept):
        say(f"'{kept}' is in the way: nothing is kept for the next build of this name.")
        remove_tree(work)
        return
    dropped = list(_dropped(work, limit))
    if dropped:
        size = spoken_bytes(limit)
        say(
            f"Not kept for the next build, since all of it has more than {size} (--keep): "
            f"{', '.join(dropped)}"
        )
    for folder in (work / STAGES, work):
        _remove_empty(folder)
    if work.is_dir():
        write_atomically(work / MARKER, json.dumps({"format": FORMAT}).encode())
        remove_tree(kept)
        work.rename(kept)


def _dropped(work: Path, limit: int) -> Iterator[str]:
    """Remove parts until the rest fits; tells which."""
    stages = work / STAGES
    parts = {path: size_of(path) for path in work.iterdir() if path != stages}
    made_again_soon = list(parts)
    if stages.is_dir():
        parts |= {path: size_of(path) for path in stages.iterdir()}
    order = sorted(parts, key=lambda path: (path not in made_again_soon, -parts[path], path.name))
    for path in order:
        if sum(parts.values()) <= limit:
            return
        remove_tree(path)
        yield f"{path.name} ({spoken_bytes(parts.pop(path))})"


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(one.lstat().st_size for one in path.rglob("*") if one.is_file())


def _remove_empty(folder: Path) -> None:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    if not any(folder.iterdir()):
        folder.rmdir()


def _is_ours(folder: Path) -> bool:
    try:
        record = json.loads((folder / MARKER).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.get("format") == FORMAT
