"""How long the stages of a build took: told at its end, and kept in a file beside the output.

Beside it and never in it: a report holds no clock, so that equal inputs give equal bytes.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from saereport.util.files import write_atomically

FORMAT = "saereport-timing"


@dataclass
class Stopwatch:
    """Seconds of each stage, in the order in which they ran.

    Attributes:
        clock: Source of the time.
        seconds: By stage; those of one that was not run again are absent.
        estimated: What was expected of stages before they began, where that was told.
    """

    clock: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=dict)
    estimated: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what the block takes, whether it ends well or not."""
        start = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - start

    @property
    def lines(self) -> list[str]:
        """All of it for a reader, a stage a line; nothing where nothing was counted."""
        if not self.seconds:
            return []
        total = sum(self.seconds.values())
        rows = [
            [f"  {name}", spoken(s), f"{s / total:.0%}" if total else "", self._expected(name)]
            for name, s in self.seconds.items()
        ]
        whole = sum(self.estimated.get(name, s) for name, s in self.seconds.items())
        expected = f", and {spoken(whole)} were expected" if self.estimated else ""
        return [f"Took {spoken(total)}{expected}:", *in_columns(rows, left=(0, 3))]

    def _expected(self, name: str) -> str:
        return f"expected {spoken(self.estimated[name])}" if name in self.estimated else ""

    def keep(self, out: Path) -> None:
        """Write `<out>.timing.json`, unless a file of another kind has that name.

        A folder that cannot be written does not make an error of a build that is whole.
        """
        path = out.with_name(f"{out.name}.timing.json")
        record: dict[str, Any] = {
            "format": FORMAT,
            "seconds": {name: round(s, 3) for name, s in self.seconds.items()},
            "total_seconds": round(sum(self.seconds.values()), 3),
        }
        if self.estimated:
            record["estimated_seconds"] = {n: round(s, 3) for n, s in self.estimated.items()}
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


def in_columns(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> Iterator[str]:
    """Rows of a table as lines; a column that is empty everywhere is left out.

    Args:
        rows: The cells of each row; cells that are missing at its end are empty.
        left: Columns that are set to the left; the others are numbers and set to the right.
    """
    columns = list(zip_longest(*rows, fillvalue=""))
    kept = [number for number, column in enumerate(columns) if any(column)]
    widths = {number: max(map(len, columns[number])) for number in kept}
    for row in zip(*columns, strict=True):
        cells = (row[n].ljust(widths[n]) if n in left else row[n].rjust(widths[n]) for n in kept)
        yield "  ".join(cells).rstrip()
