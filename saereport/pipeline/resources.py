"""What there is of memory and disk, and what is said where a build needs more than that."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from saereport.config.build import BuildConfig
from saereport.pipeline.plan import Available, PlannedStage, spoken_bytes
from saereport.sources.folders import WEIGHTS
from saereport.sources.saes.headers import tensor_shapes
from saereport.util.errors import SaereportError

SURELY = 0.5
"""Part of an estimate that is needed in any case: what does not hold that is refused."""

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
LESS = (
    "Choose fewer latents or SAEs, leave out with --skip what is not needed, or give a smaller "
    "--batch-size."
)


def available(device: torch.device, out: Path) -> Available:
    """What this machine has for a build.

    Args:
        device: Where is computed.
        out: Where the output will be.
    """
    memory = psutil.virtual_memory()
    limit = min([memory.total, *_container_limits()])
    own = psutil.Process().memory_info().rss
    on_device = at_most = None
    if device.type == "cuda":
        free, at_most = torch.cuda.mem_get_info(device)
        on_device = free + torch.cuda.memory_reserved(device)
    above = next(path for path in out.absolute().parents if os.path.lexists(path))
    return Available(
        host_bytes=min(memory.available + own, limit),
        host_limit_bytes=limit + psutil.swap_memory().total,
        device_bytes=on_device,
        device_limit_bytes=at_most,
        disk_bytes=shutil.disk_usage(above).free,
    )


def _container_limits() -> Iterator[int]:
    """What the container that we may be in is allowed."""
    for name in _LIMITS:
        try:
            words = Path(name).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if words.isdigit():
            yield int(words)


@dataclass(frozen=True)
class _Need:
    """One thing that a build needs.

    Attributes:
        what: What it is: `memory while statistics run`.
        bytes: How much, about.
        there: How much there is now.
        limit: How much there could ever be.
        hint: What helps.
    """

    what: str
    bytes: int
    there: int
    limit: int
    hint: str

    @property
    def words(self) -> str:
        return (
            f"The build needs about {spoken_bytes(self.bytes)} of {self.what}, and there are "
            f"{spoken_bytes(self.there)}."
        )


def require_room(stages: Sequence[PlannedStage], disk: int, there: Available) -> tuple[str, ...]:
    """Refuse a build that this machine surely cannot hold.

    Args:
        stages: What each stage needs.
        disk: Bytes that are written.
        there: What there is.

    Returns:
        A warning for whatever may not suffice.

    Raises:
        SaereportError: There is not even the part of an estimate that is needed in any case.
    """
    warnings = []
    for need in _needs(stages, disk, there):
        if need.bytes * SURELY > need.limit:
            raise SaereportError(need.words, need.hint)
        if need.bytes > need.there:
            warnings.append(f"{need.words} {need.hint}")
    return tuple(warnings)


def _needs(stages: Sequence[PlannedStage], disk: int, there: Available) -> Iterator[_Need]:
    host = max(stages, key=lambda stage: stage.host_bytes or 0)
    yield _Need(
        f"memory (most of it for the stage '{host.name}')",
        host.host_bytes or 0,
        there.host_bytes,
        there.host_limit_bytes,
        LESS,
    )
    if there.device_bytes is not None and there.device_limit_bytes is not None:
        most = max(stages, key=lambda stage: stage.device_bytes or 0)
        yield _Need(
            f"the device's memory (most of it for the stage '{most.name}')",
            most.device_bytes or 0,
            there.device_bytes,
            there.device_limit_bytes,
            LESS,
        )
    yield _Need(
        "disk", disk, there.disk_bytes, there.disk_bytes, "Make room, or give --out another place."
    )


def weights_at_least(config: BuildConfig) -> int:
    """Bytes of the weights of the model and the SAEs once they are loaded, of those on a disk.

    What is on the hub, and what is stored in other formats, is not known and not counted; nor is a
    model that is spread over devices or packed into fewer bits.
    """
    saes = [sae.path / WEIGHTS for sae in config.saes if sae.path is not None]
    model = Path(config.model or "").expanduser()
    whole = config.model and not config.device_map and not config.quantize
    files = sorted(model.glob("*.safetensors")) if whole and model.is_dir() else []
    each = _BYTES[config.sae_dtype or config.dtype]
    return each * _elements(saes) + _BYTES[config.dtype] * _elements(files)


def _elements(files: Iterable[Path]) -> int:
    """Numbers in weights files; none in one that cannot be read: what loads it says why."""
    total = 0
    for path in files:
        with contextlib.suppress(SaereportError):
            shapes = tensor_shapes(path.expanduser())
            total += sum(math.prod(shape) for shape in shapes.values())
    return total


def require_room_for_weights(config: BuildConfig, there: Available) -> None:
    """Refuse a model and SAEs that are larger than the memory they are to be loaded into.

    Args:
        config: What is asked for.
        there: What there is.

    Raises:
        SaereportError: They are.
    """
    weights = weights_at_least(config)
    limit, whose = there.device_limit_bytes, "the device"
    if limit is None:
        limit, whose = there.host_limit_bytes, "this machine"
    if weights > limit:
        raise SaereportError(
            f"The weights of the model and the SAEs take {spoken_bytes(weights)}, and "
            f"{whose} has {spoken_bytes(limit)} of memory.",
            "Use fewer SAEs at a time, --dtype bfloat16, or a smaller model.",
        )
