"""Copy a run's files: those that `run.json` lists, each checked while it is read.

A run may be replaced while it is copied, by another process or by someone who means harm; what
comes out is the run that was opened, or an error.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from saereport.run.store import RUN_FILE, RUN_FILE_LIMIT, Run, open_run
from saereport.util.errors import SaereportError
from saereport.util.inside import copy_inside, read_inside


def copy_run(run: Run, target: Path) -> None:
    """Copy a run into a new folder; nothing else that may lie beside its files goes along.

    Raises:
        SaereportError: A file is not the one that was listed when the run was opened.
    """
    target.mkdir()
    (target / RUN_FILE).write_bytes(read_inside(run.path, RUN_FILE, limit=RUN_FILE_LIMIT))
    if open_run(target).info != run.info:
        raise _changed(run, RUN_FILE)
    for file in run.info.files:
        path = target / file.path
        if not copy_inside(run.path, file.path, path, size=file.bytes, sha256=file.sha256):
            raise _changed(run, file.path)


def content_of(run: Run, relative: str) -> bytes:
    """The bytes of one of the files that a run lists.

    Raises:
        SaereportError: It is not the one that was listed when the run was opened.
    """
    listed = next(file for file in run.info.files if file.path == relative)
    data = read_inside(run.path, relative, limit=listed.bytes)
    if hashlib.sha256(data).hexdigest() != listed.sha256:
        raise _changed(run, relative)
    return data


def _changed(run: Run, relative: str) -> SaereportError:
    return SaereportError(
        f"'{run.path / relative}' is not what it was when the run was opened, or is damaged.",
        "Is something else writing there? Try again.",
    )
