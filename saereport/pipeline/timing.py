"""How long the stages of a build took: told at its end, and kept in a file beside the output.

Beside it and never in it: a report holds no clock, so that equal inputs give equal bytes.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from saereport.util.files import write_atomically

FORMAT = "saereport-timing"
_LEAST = 0.01
"""Share of the whole below which a stage is not told on the terminal."""


@dataclass
class Stopwatch:
    """Seconds of each stage, in the order in which they ran.

    Attributes:
        clock: Source of the time.
        seconds: By stage; those of one that was not run again are absent.
    """

    clock: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what the block takes, whether it ends well or not."""
        start = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - start

    @property
    def words(self) -> str:
        """All of it in one line, the longest first; empty where nothing was counted."""
        total = sum(self.seconds.values())
        if not self.seconds:
            return ""
        longest = sorted(self.seconds.items(), key=lambda item: -item[1])
        told = [f"{name} {spoken(s)}" for name, s in longest if s >= _LEAST * total]
        return f"Took {spoken(total)}: {', '.join(told)}"

    def keep(self, out: Path) -> None:
        """Write `<out>.timing.json`, unless a file of another kind has that name.

        A folder that cannot be written does not make an error of a build that is whole.
        """
        path = out.with_name(f"{out.name}.timing.json")
        record = {
            "format": FORMAT,
            "seconds": {name: round(s, 3) for name, s in self.seconds.items()},
            "total_seconds": round(sum(self.seconds.values()), 3),
        }
        with contextlib.suppress(OSError):
            if not path.is_symlink() and (not path.exists() or _is_ours(path)):
                write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())


def _is_ours(path: Path) -> bool:
    try:
        record = json.loads(path.read_bytes()[:1_000_000])
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.get("format") == FORMAT


def spoken(seconds: float) -> str:
    """A time for a reader: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
