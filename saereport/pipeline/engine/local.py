"""The engine that everyone has: this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from saereport.pipeline.engine.job import Job, task_named
from saereport.util.progress import Bar


class LocalEngine:
    """Does one item after the other with the model and the SAEs of the build.

    Args:
        bench: Gives what tasks work with.
    """

    workers = 1
    elsewhere = False

    def __init__(self, bench: Callable[[], Any]) -> None:
        self._bench = bench

    def each(self, job: Job, bar: Bar) -> Iterator[tuple[int, Any]]:
        """See `Engine`."""
        task = task_named(job.task)
        for number in range(job.n):
            yield number, task(self._bench(), job.item(number), bar.advance)

    def close(self) -> None:
        """There is nothing to let go of."""
