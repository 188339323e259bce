"""Who does what: items to workers, so that each is done and counted once, whoever is lost.

An item whose worker is lost is done again, by another worker in its place. When nothing else is
left to do, what takes much longer than the others is begun a second time elsewhere, and what is
finished first counts.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

from saereport.pipeline.engine.job import Job
from saereport.pipeline.engine.worker import Outcome
from saereport.util.errors import SaereportError, shortened
from saereport.util.progress import Bar

MOST_LOSSES = 3
"""So many workers may be lost over one item, or while they start, one after the other."""

SLOW = 2.0
"""How many times longer than the median an item may take before it is begun elsewhere too."""

LEAST_SLOW = 5.0
"""Seconds that it must have taken for that."""

PAUSE = 0.5
"""Seconds between looks at how far the workers are."""


class Pool(Protocol):
    """Workers, each of which does one thing at a time."""

    def start(self) -> int:
        """Start one; its number. `poll` gives an outcome when it can be used."""

    def submit(self, worker: int, task: str, item: Any) -> None:
        """Let one begin with an item."""

    def poll(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Wait for outcomes, at most so long."""

    def told(self, worker: int) -> int:
        """How much of its item one is known to have done."""

    def stop(self, worker: int) -> None:
        """End one, whatever it does."""


@dataclass
class _Round:
    """One job in the doing."""

    job: Job
    queue: deque[int]
    since: dict[int, tuple[int, float]] = field(default_factory=dict)  # by worker: item, when
    done: set[int] = field(default_factory=set)
    losses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    counted: int = 0
    shown: int = 0

    @property
    def open(self) -> bool:
        return len(self.done) < self.job.n

    def attempts(self, item: int) -> int:
        return sum(1 for other, _ in self.since.values() if other == item)

    def again(self, item: int) -> None:
        """Put an item back, unless it is done or someone else is at it."""
        if item not in self.done and not self.attempts(item):
            self.queue.appendleft(item)


class Dispatcher:
    """Keeps workers from job to job.

    Args:
        pool: Where they are started.
        n: How many there are to be.
        say: Takes lines for the user.
        clock: Source of the time, replaceable in tests.
    """

    def __init__(
        self,
        pool: Pool,
        n: int,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool, self._n, self._say, self._clock = pool, n, say, clock
        self._starting: set[int] = set()
        self._idle: set[int] = set()
        self._aside = 0
        self._failed_starts = 0
        self._last = Outcome("lost")

    def each(self, job: Job, bar: Bar) -> Iterator[tuple[int, Any]]:
        """See `Engine.each`."""
        now = _Round(job, deque(range(job.n)))
        try:
            while now.open:
                self._fill(now)
                self._assign(now)
                finished = []
                for worker, outcome in self._pool.poll(PAUSE):
                    finished += self._take(now, worker, outcome)
                self._assign(now)
                self._show(now, bar)
                yield from finished
        finally:
            for worker in now.since:
                # What it does is done elsewhere, or not wanted any more.
                self._pool.stop(worker)

    def _fill(self, now: _Round) -> None:
        wanted = min(self._n - self._aside, now.job.n - len(now.done))
        if self._n == self._aside:
            raise SaereportError(
                f"No worker is left: {self._last.message}", "Make room, and give the command again."
            )
        while len(self._starting) + len(self._idle) + len(now.since) < wanted:
            self._starting.add(self._pool.start())

    def _assign(self, now: _Round) -> None:
        for worker in sorted(self._idle):
            item = now.queue.popleft() if now.queue else self._straggler(now)
            if item is None:
                return
            self._idle.remove(worker)
            now.since[worker] = (item, self._clock())
            self._pool.submit(worker, now.job.task, now.job.item(item))

    def _straggler(self, now: _Round) -> int | None:
        """An item that takes much longer than the others did, and that one worker is at."""
        if not now.times:
            return None
        limit = max(LEAST_SLOW, SLOW * median(now.times))
        slow = [
            (since, item)
            for item, since in now.since.values()
            if item not in now.done and now.attempts(item) == 1 and self._clock() - since > limit
        ]
        if not slow:
            return None
        _, item = min(slow)
        self._say(f"{now.job.name(item)} takes long; it is begun on another worker as well")
        return item

    def _take(self, now: _Round, worker: int, outcome: Outcome) -> list[tuple[int, Any]]:
        """Note an outcome; what is finished by it."""
        self._last = outcome
        if worker in self._starting:
            self._started(worker, outcome)
            return []
        if worker not in now.since:
            return []  # it was stopped in the meantime
        item, since = now.since.pop(worker)
        if outcome.kind == "done":
            self._idle.add(worker)
            if item in now.done:
                return []
            now.done.add(item)
            now.times.append(self._clock() - since)
            now.counted += now.job.size(item)
            return [(item, outcome.value)]
        if item in now.done:
            self._pool.stop(worker)
            return []
        self._failed(now, worker, item, outcome)
        return []

    def _started(self, worker: int, outcome: Outcome) -> None:
        self._starting.remove(worker)
        if outcome.kind == "done":
            self._idle.add(worker)
            self._failed_starts = 0
            return
        self._pool.stop(worker)
        if outcome.kind == "full":
            self._set_aside(outcome, "")
            return
        self._failed_starts += 1
        if outcome.kind != "lost" or self._failed_starts >= MOST_LOSSES:
            raise _told("cannot be used", outcome)

    def _failed(self, now: _Round, worker: int, item: int, outcome: Outcome) -> None:
        name = now.job.name(item)
        self._pool.stop(worker)
        if outcome.kind == "full":
            self._set_aside(outcome, f"; {name} is done by another")
        elif outcome.kind == "lost":
            now.losses[item] += 1
            if now.losses[item] >= MOST_LOSSES:
                raise SaereportError(
                    f"{now.losses[item]} workers were lost over {name}, the last because: "
                    f"{shortened(outcome.message, 300)}",
                    "Give fewer --workers or a smaller --batch-size if memory ran out; what is "
                    "finished is kept, and the same command goes on from there.",
                )
            self._say(f"A worker was lost; {name} is done again")
        else:
            raise _told(f"could not do {name}", outcome)
        now.again(item)

    def _set_aside(self, outcome: Outcome, then: str) -> None:
        self._aside += 1
        self._say(
            f"The disk of the worker on {outcome.host} is full, and it is used no more{then} "
            f"({shortened(outcome.message, 200)})"
        )

    def _show(self, now: _Round, bar: Bar) -> None:
        """Bring the bar to what all workers together have done."""
        running: dict[int, int] = {}
        for worker, (item, _) in now.since.items():
            if item not in now.done:
                told = min(self._pool.told(worker), now.job.size(item))
                running[item] = max(running.get(item, 0), told)
        total = now.counted + sum(running.values())
        if total != now.shown:
            bar.advance(total - now.shown)
            now.shown = total


def _told(what: str, outcome: Outcome) -> SaereportError:
    where = f" on {outcome.host}" if outcome.host else ""
    return SaereportError(
        f"A worker{where} {what}: {shortened(outcome.message, 400)}", outcome.hint
    )
