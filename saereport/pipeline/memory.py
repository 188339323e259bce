"""What a build needed of memory: the peak of each stage and its largest tensors and modules.

Only used with `--profile-memory`; looking through all live objects takes a moment at the end of
each stage, and peaks differ from run to run, so a profiled run is not byte-identical to another.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import torch

from saereport.run.schema import MemoryProfile, MemoryRow, StagePeak

ROWS_PER_STAGE = 12
SAMPLE_SECONDS = 0.02


class PeakSampler:
    """Samples the process's resident memory on a thread; the system keeps no peak per stage."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peak = self._process.memory_info().rss

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def __enter__(self) -> PeakSampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.peak = max(self.peak, self._process.memory_info().rss)


@dataclass
class MemoryProfiler:
    """Collects a `MemoryProfile` over stages.

    Attributes:
        enabled: Whether stages are looked at; otherwise `stage` does nothing.
        device: The device whose own peak is recorded, where it keeps one.
    """

    enabled: bool
    device: torch.device
    _peaks: list[StagePeak] = field(default_factory=list)
    _rows: list[MemoryRow] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Record the peak during the block and the largest objects alive at its end."""
        if not self.enabled:
            yield
            return
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        with PeakSampler() as sampler:
            yield
        peak = torch.cuda.max_memory_allocated(self.device) if on_gpu else None
        self._peaks.append(StagePeak(stage=name, process_bytes=sampler.peak, device_bytes=peak))
        self._rows.extend(largest_objects(name))

    def profile(self) -> MemoryProfile | None:
        """What was seen, or None if nothing was looked at."""
        if not self.enabled:
            return None
        return MemoryProfile(peaks=tuple(self._peaks), rows=tuple(self._rows))


def largest_objects(stage: str, limit: int = ROWS_PER_STAGE) -> list[MemoryRow]:
    """The largest live modules and tensors, each storage counted once, largest first.

    Outermost modules are given whole (kind "(whole)"); the modules inside them with the
    parameters and buffers that they own themselves, under the path by which the outermost reaches
    them; tensors that no module owns are named by shape.
    """
    modules, tensors = _live_objects()
    inner = {id(child) for module in modules for child in module.children()}
    rows: list[MemoryRow] = []
    owned: set[int] = set()
    for root in modules:
        if id(root) in inner:
            continue
        whole: list[torch.Tensor] = []
        for path, module in root.named_modules():
            own = [*module._parameters.values(), *module._buffers.values()]
            held = [t for t in own if t is not None and _storage(t) not in owned]
            if not held:
                continue
            owned.update(_storage(t) for t in held)
            name = f"{type(root).__name__}.{path}" if path else type(root).__name__
            size = sum(t.untyped_storage().nbytes() for t in held)
            whole += held
            rows.append(_row(stage, name, type(module).__name__, held[0], size))
        if len(whole) > 1:
            size = sum({_storage(t): t.untyped_storage().nbytes() for t in whole}.values())
            rows.append(_row(stage, type(root).__name__, "(whole)", whole[0], size))
    for tensor in tensors:
        if _storage(tensor) in owned:
            continue
        owned.add(_storage(tensor))
        name = "x".join(str(n) for n in tensor.shape) or "scalar"
        size = tensor.untyped_storage().nbytes()
        rows.append(_row(stage, f"tensor {name}", str(tensor.dtype), tensor, size))
    rows.sort(key=lambda row: (-row.bytes, row.name))
    return rows[:limit]


def _live_objects() -> tuple[list[torch.nn.Module], list[torch.Tensor]]:
    modules: list[torch.nn.Module] = []
    tensors: list[torch.Tensor] = []
    for thing in gc.get_objects():
        # By its type, not by isinstance: some libraries' lazy proxies warn or raise when asked.
        kind = type(thing)
        is_module, is_tensor = issubclass(kind, torch.nn.Module), issubclass(kind, torch.Tensor)
        if is_module:
            modules.append(thing)
        elif is_tensor and thing.layout == torch.strided and _has_storage(thing):
            tensors.append(thing)
    return modules, tensors


def _has_storage(tensor: torch.Tensor) -> bool:
    """Whether it takes memory itself; tensors on `meta` and wrappers of derivatives do not."""
    if tensor.device.type == "meta":
        return False
    try:
        _storage(tensor)
    except (NotImplementedError, RuntimeError):
        return False
    return True


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _row(stage: str, name: str, kind: str, tensor: torch.Tensor, size: int) -> MemoryRow:
    return MemoryRow(stage=stage, name=name, kind=kind, device=str(tensor.device), bytes=size)


def as_lines(profile: MemoryProfile) -> list[str]:
    """The profile as lines for the terminal."""
    lines = [f"{'stage':<22}{'peak of process':>16}{'peak of device':>16}"]
    for peak in profile.peaks:
        on_device = "" if peak.device_bytes is None else f"{peak.device_bytes / 2**20:,.0f} MiB"
        lines.append(f"{peak.stage:<22}{peak.process_bytes / 2**20:>12,.0f} MiB{on_device:>16}")
    lines.append(f"{'stage':<22}{'object':<52}{'kind':<20}{'device':<10}{'size':>12}")
    for row in profile.rows:
        size = f"{row.bytes / 2**20:,.1f} MiB"
        lines.append(f"{row.stage:<22}{row.name[-50:]:<52}{row.kind:<20}{row.device:<10}{size:>12}")
    return lines
