"""What a build is going to take: for a reader as a table, for programs as JSON with a schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, computed_field

from saereport.pipeline.timing import in_columns, spoken

How = Literal["measured", "estimated", "not known"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedStage(_Record):
    """One stage of a build, or what comes before and after all of them."""

    name: str
    """What it is called."""
    what: str = ""
    """What it is going to do, in words."""
    seconds: float | None = None
    """How long it takes; null where that is not known."""
    how: How = "not known"
    """Whether it was measured whole, is told from a part of it, or is not known."""
    host_bytes: int | None = None
    """Memory of the process at the stage's peak, with all that is loaded."""
    device_bytes: int | None = None
    """Memory of the device at its peak; null where that is the host, or not known."""


class PlannedDisk(_Record):
    """What is written."""

    run_bytes: int
    """The run."""
    kept_bytes: int
    """What is kept beside the output for going on after an interruption, at most."""
    site_bytes: int
    """The report, with the run in it where that is copied; 0 where only a run is made."""

    @property
    def peak_bytes(self) -> int:
        """What is taken before what was kept is removed."""
        return self.run_bytes + self.kept_bytes + self.site_bytes


class Available(_Record):
    """What this machine has for the build."""

    host_bytes: int
    """Memory that the process has and could have now."""
    host_limit_bytes: int
    """Memory that it could ever have here: with swap, within a container's limit."""
    device_bytes: int | None = None
    """Memory of the device that the process has and could have; null where that is the host."""
    device_limit_bytes: int | None = None
    """Memory of the device in all."""
    disk_bytes: int
    """Free where the output is written."""


class Plan(_Record):
    """What a build is going to take."""

    format: Literal["saereport-plan"] = "saereport-plan"
    schema_version: int = 1
    saereport_version: str
    title: str
    """Heading of the report."""
    device: str
    """Where is computed."""
    tokens: int
    """Tokens that are read."""
    context_size: int
    """Tokens in a sequence."""
    batch_size: int
    """Sequences that go through the model at a time."""
    stages: tuple[PlannedStage, ...]
    """In the order in which they run; `load` is before them, `write` and `pages` are after."""
    disk: PlannedDisk
    available: Available
    warnings: tuple[str, ...] = ()
    """What may not suffice, in words."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total_seconds(self) -> float:
        """Seconds of all stages of which they are known."""
        return sum(stage.seconds or 0.0 for stage in self.stages)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the stages of which nobody knows how long they take."""
        return tuple(stage.name for stage in self.stages if stage.seconds is None)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def longest(self) -> str:
        """The stage that takes longest."""
        return max(self.stages, key=lambda stage: stage.seconds or 0.0).name

    @computed_field  # type: ignore[prop-decorator]
    @property
    def peak_host_bytes(self) -> int:
        """Memory of the process at the peak of all stages of which it is known."""
        return max(stage.host_bytes or 0 for stage in self.stages)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def peak_device_bytes(self) -> int | None:
        """Memory of the device at the peak; null where that is the host."""
        return max(
            (s.device_bytes for s in self.stages if s.device_bytes is not None), default=None
        )


def schema_json() -> str:
    """The JSON schema of a plan."""
    schema = Plan.model_json_schema(mode="serialization")
    return json.dumps({"title": "saereport plan", **schema}, indent=1, sort_keys=True) + "\n"


def as_json(plan: Plan) -> str:
    """A plan for programs."""
    return json.dumps(plan.model_dump(mode="json"), indent=1)


def as_lines(plan: Plan) -> Iterator[str]:
    """A plan for a reader."""
    yield plan.title
    yield ""
    on_device = plan.peak_device_bytes is not None
    head = ["stage", "time", "share", "memory", *(["device"] if on_device else []), "to do"]
    total = plan.total_seconds or 1.0
    rows = [
        [
            stage.name,
            "not known" if stage.seconds is None else spoken(stage.seconds),
            "" if stage.seconds is None else f"{stage.seconds / total:.0%}",
            *(
                _bytes_or_nothing(n)
                for n in (stage.host_bytes, stage.device_bytes)[: 1 + on_device]
            ),
            stage.what,
        ]
        for stage in plan.stages
    ]
    least = "at least " if plan.unknown else ""
    rows.append(["in all", least + spoken(plan.total_seconds)])
    yield from in_columns([head, *rows], left=(0, len(head) - 1))
    yield ""
    yield from _facts(plan)
    for warning in plan.warnings:
        yield f"Warning: {warning}"


def _facts(plan: Plan) -> Iterator[str]:
    disk, there = plan.disk, plan.available
    longest = next(stage for stage in plan.stages if stage.name == plan.longest)
    share = (longest.seconds or 0.0) / (plan.total_seconds or 1.0)
    yield f"longest  {longest.name}, {share:.0%} of the time that is known"
    batch = f"{plan.batch_size:,} sequences of {plan.context_size:,} tokens"
    yield f"batch    {batch} on {plan.device}, of {plan.tokens:,} tokens in all"
    yield f"memory   {_of(plan.peak_host_bytes, there.host_bytes)} can be had"
    if plan.peak_device_bytes is not None and there.device_bytes is not None:
        yield f"device   {_of(plan.peak_device_bytes, there.device_bytes)} can be had"
    parts = f"run {spoken_bytes(disk.run_bytes)}, until it is whole {spoken_bytes(disk.kept_bytes)}"
    if disk.site_bytes:
        parts += f", report {spoken_bytes(disk.site_bytes)}"
    yield f"disk     {_of(disk.peak_bytes, there.disk_bytes)} are free ({parts})"


def _of(needed: int, there: int) -> str:
    return f"about {spoken_bytes(needed)}, {spoken_bytes(there)}"


def _bytes_or_nothing(n: int | None) -> str:
    return "" if n is None else spoken_bytes(n)


def in_one_line(plan: Plan) -> str:
    """A plan before a build begins."""
    most = sorted(plan.stages, key=lambda stage: -(stage.seconds or 0.0))[:3]
    told = ", ".join(f"{stage.name} {spoken(stage.seconds or 0.0)}" for stage in most)
    least = "at least " if plan.unknown else "about "
    without = f" without {', '.join(plan.unknown)}" if plan.unknown else ""
    return (
        f"It will take {least}{spoken(plan.total_seconds)}{without} ({told}), "
        f"{spoken_bytes(plan.peak_host_bytes)} of memory and "
        f"{spoken_bytes(plan.disk.peak_bytes)} of disk"
    )


def spoken_bytes(n: int) -> str:
    """A size for a reader: `812 kB`, `7.4 MB`, `23 GB`."""
    size, unit = n / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.1f} {unit}" if size < 9.95 else f"{size:,.0f} {unit}"
