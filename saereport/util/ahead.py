"""Reading ahead: what is read next is made in a thread while what was read is worked on.

It pays where making it waits (for a disk, for a network) or runs outside of Python, as fast
tokenisers do. What is read is the same, in the same order, and so are its errors: one is raised
where the item that could not be made would have stood.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

DEPTH: Final = 4
"""Items that wait at most."""


class _Waiting(Generic[T]):
    """Items that were made and not taken yet.

    Args:
        most: How much may wait.
        weigh: How much an item counts for.
    """

    def __init__(self, most: int, weigh: Callable[[T], int]) -> None:
        self._most, self._weigh = most, weigh
        self._items: deque[tuple[T, int]] = deque()
        self._held = 0
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._ended = False
        self.stopped = False

    def give(self, item: T) -> None:
        """Add an item when there is room; for one that is too large there is when none waits."""
        weight = self._weigh(item)
        with self._changed:
            self._changed.wait_for(
                lambda: self.stopped or not self._items or self._held + weight <= self._most
            )
            self._items.append((item, weight))
            self._held += weight
            self._changed.notify_all()

    def end(self, error: BaseException | None) -> None:
        """There is no further item, for this reason where there is one."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Nobody takes anything any more."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def taken(self) -> Iterator[T]:
        """Each item, as soon as there is one."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    break
                item, weight = self._items.popleft()
                self._held -= weight
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error


@contextlib.contextmanager
def ahead(
    source: Iterable[T], *, depth: int = DEPTH, weigh: Callable[[T], int] = lambda _: 1
) -> Iterator[Iterator[T]]:
    """Give the items of `source`, made ahead in a thread of their own.

    At the end of the block, however it is left, the thread ends too: it stops behind the item that
    it is at, and closes what it read from. What it had read and nobody took is forgotten, so
    whatever counts what is read must count what is taken.

    Args:
        source: Iterated in the thread, and by nobody else.
        depth: How much waits at most.
        weigh: How much an item counts for.
    """
    waiting = _Waiting(depth, weigh)

    def work() -> None:
        failed: BaseException | None = None
        items = iter(source)
        try:
            for item in items:
                waiting.give(item)
                if waiting.stopped:
                    break
        except BaseException as error:
            failed = error
        finally:
            if (close := getattr(items, "close", None)) is not None:
                close()
            waiting.end(failed)

    thread = threading.Thread(target=work, name="reading ahead", daemon=True)
    thread.start()
    try:
        yield waiting.taken()
    finally:
        waiting.stop()
        thread.join()
