"""How much memory a benchmark's process took."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def peak_mb() -> float:
    """The most memory that this process held since it began its program, in megabytes."""
    if _STATUS.exists():
        # Linux counts what the process was before it began this program into `ru_maxrss`.
        return _status("VmHWM")
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)


def resident_mb() -> float:
    """What this process holds now, in megabytes; Linux only."""
    return _status("VmRSS")


def reset_peak() -> None:
    """Let `peak_mb` begin anew; Linux only."""
    Path("/proc/self/clear_refs").write_text("5")


_STATUS = Path("/proc/self/status")


def _status(name: str) -> float:
    (line,) = (one for one in _STATUS.read_text().splitlines() if one.startswith(f"{name}:"))
    return round(int(line.split()[1]) * 1024 / 1e6, 1)


class TreePeak:
    """The most memory that a process and those that it started held at once, in megabytes."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.mb = 0.0

    def look(self) -> None:
        """Add up what they hold now."""
        pids, held = [self.root], 0
        while pids:
            pid = pids.pop()
            try:
                held += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                for task in os.listdir(f"/proc/{pid}/task"):
                    children = Path(f"/proc/{pid}/task/{task}/children").read_text()
                    pids += map(int, children.split())
            except (OSError, IndexError):
                continue
        self.mb = max(self.mb, round(held * os.sysconf("SC_PAGE_SIZE") / 1e6, 1))


@contextmanager
def tree_peak(root: int, every: float = 0.05) -> Iterator[TreePeak]:
    """Watch a process and those that it starts for as long as the block lasts; Linux only."""
    peak, done = TreePeak(root), threading.Event()

    def watch() -> None:
        while not done.is_set():
            peak.look()
            time.sleep(every)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
