"""A little of a stage's work, run and timed, from which it is told what all of it will take."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import torch

from saereport.pipeline.memory import PeakSampler
from saereport.run import TABLES
from saereport.run.columns import to_arrow

if TYPE_CHECKING:
    from saereport.pipeline.context import Context


BRIEF_TOKENS = 512
"""Tokens that are read at a time where a build waits for its plan, at most."""


@dataclass
class Sample:
    """What some work took.

    Attributes:
        seconds: How long.
        host_bytes: Memory of the process at the peak.
        held_bytes: Memory of the process before it began.
        device_bytes: Memory of the device at the peak; None where the device is the host.
    """

    seconds: float = 0.0
    host_bytes: int = 0
    held_bytes: int = 0
    device_bytes: int | None = None

    def at_scale(self, factor: float) -> int:
        """Memory of the process at the peak if what the work added were so many times more."""
        return self.held_bytes + round((self.host_bytes - self.held_bytes) * factor)


@dataclass(frozen=True)
class PassTime:
    """What passes take that may be read and changed on the way.

    Attributes:
        fixed: Seconds of a pass, over whatever it is.
        token: Seconds that each of its tokens adds.
        logits: Seconds of each position whose logits are made.
        host_bytes: Memory of the process at the peak, in a pass that was timed.
        device_bytes: That of the device; None where that is the host, or nothing was timed.
    """

    fixed: float
    token: float
    logits: float
    host_bytes: int = 0
    device_bytes: int | None = None

    def seconds(self, passes: float, tokens: float, logits: float) -> float:
        """What some passes take.

        Args:
            passes: How many they are.
            tokens: Tokens of all of them.
            logits: Positions of all of them at which logits are made.
        """
        return passes * self.fixed + tokens * self.token + logits * self.logits


@dataclass
class Probe:
    """Runs and times parts of stages.

    Attributes:
        device: Where the model runs.
        seconds: How long a stage may go on with samples after its first ones.
        share: Part of the text up to which the first sample of the pass over it is made smaller.
        clock: Source of the time.
        pass_time: What a pass of the model takes, once a stage has asked for it.
    """

    device: torch.device
    seconds: float
    share: float = 1.0
    clock: Callable[[], float] = time.perf_counter
    pass_time: PassTime | None = None
    _until: float = field(default=0.0, init=False)

    @property
    def brief(self) -> bool:
        """Whether samples are to be as small as can be: a build waits for them."""
        return self.share < 1.0

    def begin(self) -> None:
        """A stage begins to take samples; of the one before nothing is left."""
        gc.collect()
        self._until = self.clock() + self.seconds

    @property
    def over(self) -> bool:
        """Whether the stage's time for samples is over."""
        return self.clock() >= self._until

    def batch(self, context: Context) -> int:
        """Sequences that are read at a time: as many as the pass will, or fewer of a short text."""
        width = context.text.rules.context_size
        most = int(self.share * context.text.to_read / width)
        if self.brief:
            most = min(most, -(-BRIEF_TOKENS // width))
        return max(1, min(context.batches.block, most))

    def fitting(self, seconds: float, most: int) -> int:
        """How many units fit into what is left of the time, at least one.

        Args:
            seconds: What one takes.
            most: How many there are.
        """
        left = max(self._until - self.clock(), 0.0)
        return max(1, min(most, int(left / seconds) if seconds > 0 else most))

    def settle(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @contextmanager
    def sample(self) -> Iterator[Sample]:
        """Time the block and watch the memory; the sample is complete when the block has ended."""
        _give_back()
        found = Sample(held_bytes=psutil.Process().memory_info().rss)
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            self.settle()
            torch.cuda.reset_peak_memory_stats(self.device)
        start = self.clock()
        with PeakSampler() as sampler:
            yield found
            self.settle()
            found.seconds = self.clock() - start
        found.host_bytes = sampler.peak
        if on_gpu:
            found.device_bytes = torch.cuda.max_memory_allocated(self.device)


def _give_back() -> None:
    """Let the system have what was freed, which else hides what is needed next."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def table_bytes(name: str, columns: Mapping[str, Any]) -> int:
    """What a table takes in a run."""
    if name not in TABLES:
        return 0
    stream = io.BytesIO()
    pq.write_table(to_arrow(TABLES[name], columns), stream, compression="zstd")
    return stream.tell()


def line_through(small: tuple[float, float], large: tuple[float, float], n: float) -> float:
    """What `n` units take, where one number of them took one time and another another.

    Args:
        small: Units and seconds of the smaller sample.
        large: The same of the larger one.
        n: Units in all.
    """
    (n1, s1), (n2, s2) = small, large
    slope = (s2 - s1) / (n2 - n1) if n2 > n1 else s2 / n2
    # Noise must not make more work take less time, nor each unit more than all that was seen.
    slope = float(np.clip(slope, 0.0, s2 / n2))
    return s2 + slope * (n - n2)
