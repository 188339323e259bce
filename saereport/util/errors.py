"""Errors that a user can cause or mend.

Everything that goes wrong because of what the user asked, or because of what a file or the
network holds, is raised as a [`SaereportError`][saereport.util.errors.SaereportError]: one sentence
that says what is wrong and, where there is something to do, one that says what. The command line
prints it as a single line on stderr and leaves with `exit_code`; only `--debug` shows a traceback.
"""

from __future__ import annotations

import difflib
import errno
import reprlib
from collections.abc import Iterable, Sequence

from saereport.util.visible import visible_text

_BRIEF = reprlib.Repr()
_BRIEF.maxother = _BRIEF.maxstring = _BRIEF.maxlong = 60
_BRIEF.maxlevel = 3


class SaereportError(Exception):
    """Something is wrong that the user can understand and usually mend.

    Args:
        message: What is wrong, one sentence, naming the offending value.
        hint: What to do about it, one sentence; empty where nothing can be done.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.message} {self.hint}" if self.hint else self.message
        # What a file or a path holds may be quoted; on a terminal it must be only text.
        return visible_text(" ".join(text.split()))


class UsageError(SaereportError):
    """The command line or the configuration asks for something that has no meaning."""

    exit_code = 2


class GateError(SaereportError):
    """Everything ran, and a threshold that the user set was not met."""

    exit_code = 3


_NO_MEMORY = (
    *("out of memory", "can't allocate memory", "not enough memory"),
    *("cublas_status_alloc_failed", "unable to allocate", "cannot allocate memory"),
)


def says_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device; torch need not be loaded."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    # What a library says that could not even be loaded is an ImportError or an OSError.
    text = str(error).lower() if isinstance(error, (RuntimeError, ImportError, OSError)) else ""
    return any(words in text for words in _NO_MEMORY)


def came_of_memory(error: BaseException) -> bool:
    """Whether memory running out is what an error came of, though it may say something else.

    An error that speaks of memory itself knows better what to do.
    """
    if isinstance(error, SaereportError) and "memory" in str(error).lower():
        return False
    return any(map(says_out_of_memory, causes_of(error)))


def causes_of(error: BaseException) -> list[BaseException]:
    """An error and those that it came of, the nearest first; at most 16, and none twice."""
    found = [error]
    while (link := found[-1].__cause__ or found[-1].__context__) is not None:
        if len(found) == 16 or any(link is one for one in found):
            break
        found.append(link)
    return found


def shortened(value: object, limit: int = 120) -> str:
    """A value as text for a message: what a file holds may be of any length."""
    text = value if isinstance(value, str) else _BRIEF.repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def first_few(values: Sequence[object], limit: int = 12) -> str:
    """The first of some values, in words, and how many more there are."""
    more = len(values) - limit
    listed = ", ".join(map(str, values[:limit])) or "none"
    return f"{listed} and {more:,} more" if more > 0 else listed


def did_you_mean(name: str, known: Iterable[str], *, limit: int = 3) -> str:
    """A hint that names the known spellings closest to `name`, or an empty string.

    Args:
        name: What the user wrote.
        known: The names that exist.
        limit: At most how many of them to offer.
    """
    candidates = sorted(set(known))
    name = name[:200]  # what a stranger's file holds may be of any length, and this is quadratic
    folded = {candidate.casefold(): candidate for candidate in reversed(candidates)}
    close = difflib.get_close_matches(name.casefold(), list(folded), n=limit, cutoff=0.5)
    if not close:
        return ""
    names = [f"'{folded[match]}'" for match in close]
    return f"Did you mean {' or '.join(names)}?"


def named_or_near(name: str, known: Iterable[str], *, limit: int = 8) -> str:
    """A hint for a name that is not known: the spellings closest to it, or else what there is.

    Args:
        name: What the user wrote.
        known: The names that exist, in the order in which to list them.
        limit: At most how many of them to list.
    """
    names = list(known)
    if not names:
        return "There is none."
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return did_you_mean(name, names) or f"There is {', '.join(names[:limit])}{more}."
