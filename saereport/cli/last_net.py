"""The last net: an error that nobody foresaw becomes one line, and its traceback a file.

Nothing here may fail: it is called when something has failed already.
"""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import traceback

from saereport.util.errors import shortened
from saereport.util.version import __version__
from saereport.util.visible import visible_text

LONGEST = 1_000_000
"""Characters of a traceback that are kept; a message can hold a whole model."""


def fault(error: BaseException, command: str) -> str:
    """The line about an error that is none of ours; its traceback is written to a file.

    Args:
        error: What was raised.
        command: The command that was running, without its options: they may be private.
    """
    kind, said = type(error).__name__, ""
    with contextlib.suppress(Exception):
        said = shortened(" ".join(visible_text(str(error)).split()), 120).rstrip(".")
    what = f"saereport failed in a way that it does not know ({kind}{': ' if said else ''}{said})."
    where = _written(error, command)
    if where is None:
        return f"{what} Please report it to its maintainers; with --debug the traceback is shown."
    return f"{what} Please report it to its maintainers with the file '{where}'."


def _written(error: BaseException, command: str) -> str | None:
    """Where the traceback was written; None where nothing can be written."""
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__, limit=-60)
        text = "".join(lines)
    except Exception:
        text = f"{type(error).__name__} (its traceback cannot be shown)\n"
    head = (
        f"saereport {__version__}, Python {platform.python_version()}, {platform.system()}, "
        f"command '{command}'\n\n"
    )
    whole = head + (text if len(text) <= LONGEST else f"{text[:LONGEST]}\n…\n")
    try:
        handle, path = tempfile.mkstemp(prefix="saereport-error-", suffix=".txt")
        with os.fdopen(handle, "wb") as stream:
            stream.write(whole.encode("utf-8", "backslashreplace"))
    except Exception:
        return None
    return path


def not_importable(error: ImportError) -> str:
    """The line about a package that is missing, or that is there and does not fit."""
    name = error.name or ""
    if isinstance(error, ModuleNotFoundError) and name and "." not in name:
        return (
            f"'{name}' is not installed. Collecting needs more than rendering: "
            "pip install 'saereport[collect]'."
        )
    said = shortened(" ".join(visible_text(str(error)).split()), 160).rstrip(".")
    return (
        f"A package that is installed does not fit{f' ({name})' if name else ''}: {said}. Install "
        "those that go together: pip install --upgrade 'saereport[collect]'."
    )
