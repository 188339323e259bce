"""A worker: a process that holds the model and the SAEs, and does one item after the other.

What goes wrong in it is told as plain values, which the build's own process can read whatever is
installed where.
"""

from __future__ import annotations

import errno
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from saereport.pipeline.engine.job import task_named
from saereport.util.errors import SaereportError, causes_of, shortened

Kind = Literal["done", "lost", "user", "full", "fault"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of an item, or of starting a worker.

    Attributes:
        kind: `done`; `lost` with its worker; `user`, an error that a user can mend; `full`, a disk
            of the worker's; `fault`, any other error.
        value: What was asked for.
        message: What is wrong.
        hint: What to do about it.
        host: Where it was.
    """

    kind: Kind
    value: Any = None
    message: str = ""
    hint: str = ""
    host: str = ""


class Worker:
    """See the module.

    Args:
        setup: From which its bench is made, see `bench.setup_of`.
    """

    def __init__(self, setup: Any) -> None:
        self._setup = setup
        self._bench: Any = None
        self._done = 0
        self._host = socket.gethostname()

    def begin(self) -> tuple[Any, ...]:
        """Make its bench."""
        return self._told(self._made)

    def _made(self) -> None:
        self._bench = task_named(self._setup["bench"])(self._setup)

    def do(self, task: str, item: Any) -> tuple[Any, ...]:
        """Do one item."""
        self._done = 0
        return self._told(lambda: self._did(task, item))

    def _did(self, task: str, item: Any) -> Any:
        return task_named(task)(self._bench, item, self._advance)

    def _advance(self, n: int) -> None:
        self._done += n

    def done(self) -> int:
        """How much of the present item is done."""
        return self._done

    def _told(self, work: Callable[[], Any]) -> tuple[Any, ...]:
        try:
            return ("done", work(), "", "", self._host)
        except Exception as error:
            full = any(isinstance(one, OSError) and one.errno in _FULL for one in causes_of(error))
            if full:
                return ("full", None, str(error), "", self._host)
            if isinstance(error, SaereportError):
                return ("user", None, error.message, error.hint, self._host)
            frames = traceback.extract_tb(error.__traceback__)
            where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
            said = f"{type(error).__name__}: {shortened(str(error), 300)} ({where})"
            return ("fault", None, said, "", self._host)
