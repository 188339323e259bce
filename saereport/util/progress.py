"""What long work says while it runs: lines and bars on stderr, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType

from tqdm import tqdm


class Bar:
    """A progress bar; also a context manager that closes it."""

    def __init__(self, bar: tqdm | None) -> None:  # type: ignore[type-arg]
        self._bar = bar

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, n: int) -> None:
        """Count `n` more units as done; fewer, where some must be done again."""
        if self._bar is not None:
            self._bar.update(n)


class Relay(Bar):
    """Hands on what is done to someone who counts for several.

    Args:
        told: Takes each number.
    """

    def __init__(self, told: Callable[[int], None]) -> None:
        super().__init__(None)
        self._told = told

    def advance(self, n: int) -> None:
        """See `Bar`."""
        self._told(n)


class Progress:
    """Where messages and bars go.

    Args:
        quiet: Say nothing at all; errors still reach the user as exceptions.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    @property
    def quiet(self) -> bool:
        """Whether only errors are told."""
        return self._quiet

    def say(self, message: str) -> None:
        """Print one line on stderr, above any running bar."""
        if not self._quiet:
            tqdm.write(message, file=sys.stderr)

    def warn(self, message: str) -> None:
        """Print a warning as one line."""
        self.say(f"Warning: {message}")

    def bar(self, what: str, total: int | None, unit: str, *, done: int = 0) -> Bar:
        """A bar that counts `unit` up to `total`, of which `done` were done before."""
        if self._quiet:
            return Bar(None)
        shown = tqdm(
            total=total,
            initial=done,
            desc=what,
            unit=unit,
            unit_scale=True,
            file=sys.stderr,
            dynamic_ncols=True,
            mininterval=0.5,
        )
        return Bar(shown)
