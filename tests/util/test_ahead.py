"""Reading ahead in a thread: the same items and errors, and no thread left over."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from saereport.util.ahead import DEPTH, ahead

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_items_come_in_their_order_and_once() -> None:
    with ahead(iter(range(1000))) as items:
        assert list(items) == list(range(1000))
        assert list(items) == []
    with ahead([]) as items:
        assert list(items) == []


def test_it_reads_while_the_reader_works_and_no_further_than_it_may() -> None:
    made: list[int] = []
    enough = threading.Event()

    def source() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            # One that was taken, those that wait, and one for which there is no room.
            if len(made) == 1 + DEPTH + 1:
                enough.set()
            yield number

    with ahead(source()) as items:
        assert next(items) == 0
        assert enough.wait(PATIENCE), "nothing is read ahead"
        assert len(made) == DEPTH + 2
        assert next(items) == 1
    assert len(made) <= DEPTH + 3


def test_an_error_stands_where_its_item_would_have() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the third is broken")

    taken: list[int] = []
    with ahead(source()) as items, pytest.raises(ValueError, match="third is broken") as caught:
        taken.extend(items)
    assert taken == [1, 2]
    # Where it was made is in its traceback.
    assert caught.traceback[-1].name == "source"


def test_an_error_behind_what_is_taken_is_none() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError

    with ahead(source()) as items:
        assert next(items) == 1


@pytest.mark.parametrize("leave", [None, RuntimeError, KeyboardInterrupt])
def test_who_leaves_early_ends_the_thread_and_closes_the_source(
    leave: type[BaseException] | None,
) -> None:
    closed = []

    def source() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.append(threading.current_thread().name)

    def read() -> None:
        with ahead(source()) as items:
            for item in items:
                if item == 5 and leave is not None:
                    raise leave
                if item == 5:
                    return

    if leave is None:
        read()
    else:
        with pytest.raises(leave):
            read()
    # In the thread itself: a generator cannot be closed while another thread runs it.
    assert closed == ["reading ahead"]
