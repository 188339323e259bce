"""How much memory a benchmark's process took."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_mb() -> float:
    """The most memory that this process held since it began its program, in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux counts what the process was before it began this program into `ru_maxrss`.
        (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM:"))
        return round(int(line.split()[1]) * 1024 / 1e6, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)
