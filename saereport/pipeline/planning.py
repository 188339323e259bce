"""What a build is going to take, told from a little of each stage that is run and timed.

Nothing is written. What the samples leave (latents, sequences, examples of the beginning of the
text) is in a copy of the context, which is thrown away.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from saereport.measure import SequenceStore
from saereport.pipeline.activations import CachedActivations
from saereport.pipeline.context import Context
from saereport.pipeline.pass_cost import seconds_a_token
from saereport.pipeline.plan import Plan, PlannedDisk, PlannedStage
from saereport.pipeline.probe import Probe
from saereport.pipeline.resources import available, require_room
from saereport.pipeline.seen import Seen
from saereport.pipeline.sizes import Extent
from saereport.pipeline.stage import Cost, Stage
from saereport.pipeline.warned import Warned
from saereport.report.rendering import RUN_ABOVE
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress
from saereport.util.version import __version__

THOROUGH = 8.0
"""Seconds for which a stage goes on with samples where a plan is asked for."""

BRIEF = 1.0
"""The same where a build waits for its plan."""

WORTH = 60.0
"""Seconds of a build from which on it is told beforehand what it will take."""

ONE_PROCESS = "Times are of one process that does it all: several workers share the work."
"""What is said where another engine is asked for."""

SHARE = 0.03
"""Part of a build after which no stage goes on with samples for that."""

A_PROMPT = 10_000
"""Tokens through the model that circuits on a prompt come to, in the order of magnitude."""

_WRITE, _PAGES = (0.05, 2e-4), (0.5, 3e-3, 0.2)
"""Seconds of writing a run (fixed, a latent) and of its pages (fixed, a latent, a prompt)."""


@dataclass(frozen=True)
class Asked:
    """What a plan is of.

    Attributes:
        title: Heading of the report.
        out: Where the output will be.
        pages: Whether a report is made, not only a run.
        spent: Seconds of what was done already, by the name that a build gives it.
    """

    title: str
    out: Path
    pages: bool
    spent: Mapping[str, float]


def plan_of(context: Context, costs: Mapping[Stage, Cost], asked: Asked, probe: Probe) -> Plan:
    """Try a little of every stage, and say what all of it will take.

    Args:
        context: The build, before its first stage.
        costs: The stages that will run, and what they say they are going to do.
        asked: What it is a plan of.
        probe: Runs and times.

    Raises:
        SaereportError: This machine surely cannot hold it.
    """
    # What is made of the vocabulary for the samples is not made again for the stages.
    _ = context.token_rows
    tried = _scratch(context)
    rows = [_known(name, seconds) for name, seconds in asked.spent.items()]
    found: list[Cost] = []
    problems = [] if context.config.engine == "local" else [ONE_PROCESS]
    with _what_is_there_stays():
        for stage, cost in costs.items():
            tried.begin(stage, list(costs))
            probe.begin()
            told = Cost()
            try:
                told = stage.cost(tried, probe)
            except SaereportError as error:
                problems.append(f"A sample of the stage '{stage.name}' failed: {error}")
            found.append(told)
            rows.append(_estimated(stage.name, cost.updated(told), cost.words))
    extent = _extent(context, {slug: len(own) for slug, own in tried.latents.items()})
    batch = context.batches.size
    del tried
    gc.collect()
    rows += _afterwards(extent, asked.pages)
    disk = _disk(extent, found, asked.pages)
    there = available(probe.device, asked.out)
    warnings = require_room(rows, disk.peak_bytes, there)
    return Plan(
        saereport_version=__version__,
        title=asked.title,
        device=str(probe.device),
        tokens=context.text.to_read,
        context_size=context.text.rules.context_size,
        batch_size=batch,
        stages=tuple(rows),
        disk=disk,
        available=there,
        warnings=(*problems, *warnings),
    )


def before_start(context: Context, costs: Mapping[Stage, Cost], asked: Asked) -> Plan | None:
    """A plan of a build that is about to begin, from smaller samples.

    Returns:
        The plan; None where the build takes no longer than a minute.

    Raises:
        SaereportError: This machine surely cannot hold it.
    """
    device = context.model.device
    # The first pass loads what the second finds loaded: a short build would seem a long one.
    rough = _roughly(costs) * min(seconds_a_token(context, Probe(device, 0.0), 1) for _ in range(2))
    if rough < WORTH:
        return None
    seconds = min(BRIEF, SHARE * rough / len(costs))
    plan = plan_of(context, costs, asked, Probe(device, seconds, share=SHARE))
    return plan if plan.total_seconds >= WORTH else None


@contextmanager
def _what_is_there_stays() -> Iterator[None]:
    """Have the collector of garbage look only at what samples leave.

    It looks before each stage, and going through all that libraries hold takes longer than many a
    sample.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _roughly(costs: Mapping[Stage, Cost]) -> int:
    """Tokens that go through the model, or whatever takes as long, in the order of magnitude."""
    return sum((cost.tokens or 0) + A_PROMPT * (cost.prompts or 0) for cost in costs.values())


def _scratch(context: Context) -> Context:
    """A copy that samples may fill, and that says nothing."""
    return replace(
        context,
        progress=Progress(quiet=True),
        warned=Warned(),
        cache=_unwritten(context.cache),
        latents={},
        activity={},
        seen=Seen(),
        sequences=SequenceStore(),
        left_out={},
        _held={},
    )


def _unwritten(cache: CachedActivations | None) -> CachedActivations | None:
    """A cache that is read and gets nothing."""
    if cache is None:
        return None
    return replace(cache, store=replace(cache.store, stopped=True), _places={})


def _known(name: str, seconds: float) -> PlannedStage:
    held = psutil.Process().memory_info().rss
    return PlannedStage(name=name, seconds=seconds, how="measured", host_bytes=held)


def _estimated(name: str, cost: Cost, what: str) -> PlannedStage:
    return PlannedStage(
        name=name,
        what=what,
        seconds=cost.seconds,
        how="not known" if cost.seconds is None else "estimated",
        host_bytes=cost.host_bytes,
        device_bytes=cost.device_bytes,
    )


def _extent(context: Context, shown: Mapping[str, int]) -> Extent:
    config, rules = context.config, context.text.rules
    examples = config.examples
    groups = examples.intervals + (len(examples.quantiles) + 1 if examples.quantiles else 0)
    return Extent(
        n_saes=len(context.widths),
        n_latents=sum(shown.values()) or sum(len(one.tracked) for one in context.chosen.values()),
        n_examples=examples.top + groups * examples.per_group,
        window=examples.before + 1 + examples.after,
        n_sequences=max(1, context.text.to_read // rules.context_size),
        context_size=rules.context_size,
        d_vocab=rules.n_vocab or 1,
        n_prompts=len(config.prompts),
        n_graphs=sum(prompt.graph for prompt in config.prompts),
    )


def _afterwards(extent: Extent, pages: bool) -> Iterator[PlannedStage]:
    """What comes after the stages, by what it took on other reports."""
    fixed, latent = _WRITE
    yield _estimated("write", Cost(seconds=fixed + latent * extent.n_latents), "the run")
    if pages:
        fixed, latent, prompt = _PAGES
        seconds = fixed + latent * extent.n_latents + prompt * extent.n_prompts
        yield _estimated("pages", Cost(seconds=seconds), f"{extent.n_latents:,} latents")


def _disk(extent: Extent, found: list[Cost], pages: bool) -> PlannedDisk:
    sizes = [cost.run_bytes for cost in found if cost.run_bytes is not None]
    run = extent.run_bytes(sum(sizes) if sizes else None)
    return PlannedDisk(
        run_bytes=run,
        kept_bytes=sum(cost.kept_bytes or 0 for cost in found),
        # A large run lies beside its report.
        site_bytes=extent.site_bytes(run if run <= RUN_ABOVE else 0) if pages else 0,
    )
