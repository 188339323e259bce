"""What stages hand to an engine, and what an engine is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from saereport.util.progress import Bar


@dataclass(frozen=True, eq=False)
class Job:
    """Some pieces of work that do not depend on each other.

    Attributes:
        task: `module:function` of what is done with each: it takes the worker's `Bench`, the
            item, and a function that is told how much of it is done.
        n: How many pieces there are.
        item: Makes what a worker is handed, by number; what can be pickled.
        size: How much each counts for in the progress.
        name: What each is called in messages.
    """

    task: str
    n: int
    item: Callable[[int], Any]
    size: Callable[[int], int]
    name: Callable[[int], str]


class Engine(Protocol):
    """Does jobs."""

    @property
    def workers(self) -> int:
        """How many work at the same time."""

    @property
    def elsewhere(self) -> bool:
        """Whether they are other processes, so that it pays to cut work into pieces."""

    def each(self, job: Job, bar: Bar) -> Iterator[tuple[int, Any]]:
        """The number of each item and what came of it, as they are finished; each once.

        Raises:
            SaereportError: One cannot be done, or no worker is left.
        """

    def close(self) -> None:
        """Let go of the workers."""


def task_named(place: str) -> Callable[..., Any]:
    """The function that a job names."""
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found
