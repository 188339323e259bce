"""How many workers pytest gets: `make test` asks.

A worker that has loaded torch and the demo's model takes 2 to 3 GiB at its peak, and Chromium
beside it half of one. More than four workers wait for the longest file.
"""

from __future__ import annotations

import os

NEEDED = 4 * 2**30
MOST = 4


def workers(cores: int, memory: int) -> int:
    """Workers for so many cores and bytes of free memory; 0 for none beside pytest itself."""
    found = min(cores, memory // NEEDED, MOST)
    return found if found > 1 else 0


def free_memory() -> int:
    """Bytes that can be had without swapping; where the system does not say, enough for two."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(1024 * int(x.split()[1]) for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 2 * NEEDED


if __name__ == "__main__":
    affinity = getattr(os, "sched_getaffinity", None)
    print(workers(len(affinity(0)) if affinity else os.cpu_count() or 1, free_memory()))
