"""The stages of a build, planned and run one after the other.

A stage that fails because of what a user asked or gave does not cost the others: those that do not
build on it run, what is finished is kept beside the output, and the same build goes on from there.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa

from saereport.pipeline.checkpoint import FinishedStage
from saereport.pipeline.context import Context, found_before
from saereport.pipeline.fingerprint import part_of
from saereport.pipeline.stage import SKIPPED, Cost, Stage, Yielded, built_on, is_skipped, stages
from saereport.pipeline.write import TableSink
from saereport.run import TABLES
from saereport.run.schema import RunWarning
from saereport.util.errors import GateError, SaereportError
from saereport.util.files import json_digest

Watch = Callable[[str], AbstractContextManager[None]]
"""Counts the time and the memory of a stage."""


def plan_stages(context: Context) -> dict[Stage, Cost]:
    """The stages that have something to do, checked, in the order in which they are to run.

    What they are going to do is said. For the others, the reason goes to the context.

    Raises:
        SaereportError: One of them cannot be done.
    """
    planned: list[Stage] = []
    for stage in stages().values():
        if _has_work(context, stage, {one.name for one in planned}):
            planned.append(stage)
    costs: dict[str, Cost] = {}
    # What looks longest comes first and checks last: the pass over the text tries the model.
    for stage in reversed(planned):
        context.begin(stage, [])
        costs[stage.name] = stage.plan(context)
    context.begin(None, planned)
    told = [
        f"{stage.name} ({words})" if (words := costs[stage.name].words) else stage.name
        for stage in planned
    ]
    context.progress.say(f"To do: {', '.join(told)}")
    return {stage: costs[stage.name] for stage in planned}


def _has_work(context: Context, stage: Stage, before: Collection[str]) -> bool:
    """Whether a stage is to run; if not, the reason goes to the context.

    Args:
        context: The build.
        stage: The stage.
        before: Names of the stages that run before it.
    """
    unknown = [name for name in stage.yields if name not in TABLES]
    if unknown:
        context.warned.add(
            f"The stage '{stage.name}' is left out: no run can hold its table '{unknown[0]}'."
        )
        return False
    reason = stage.why_not(context)
    if is_skipped(context.config.skip, stage.name, stage.yields):
        reason = SKIPPED if reason != "" else ""
    absent = [name for name in stage.needs.stages if name not in before]
    if reason is None and absent:
        reason = f"it builds on the stage '{absent[0]}', which is left out"
    if reason:
        for name in stage.yields:
            for slug in context.chosen if TABLES[name].scope == "sae" else (None,):
                context.leave_out(slug, name, reason)
    return reason is None


def run_stages(context: Context, planned: Sequence[Stage], sink: TableSink, watch: Watch) -> None:
    """Run what is planned, and hand on what it yields.

    Args:
        context: The build.
        planned: The stages, in order.
        sink: Takes the tables.
        watch: Counts what each stage takes.

    Raises:
        SaereportError: A stage failed; the others are done and kept.
    """
    failed: dict[str, SaereportError] = {}
    done: list[tuple[Stage, dict[str, Any]]] = []
    used: list[str] = []
    try:
        for number, stage in enumerate(planned):
            later = [one for one in planned[number + 1 :] if not failed.keys() & built_on(one)]
            context.begin(stage, later)
            if failed.keys() & built_on(stage):
                continue
            with watch(stage.name):
                try:
                    notes = _run(context, stage, sink, later)
                    if notes is None:
                        used.append(stage.name)
                    else:
                        done.append((stage, notes))
                except GateError:
                    raise
                except SaereportError as error:
                    # What the failed attempt held is not held while the others run.
                    traceback.clear_frames(error.__traceback__)
                    failed[stage.name] = error
            context.release()
        if failed:
            raise next(iter(failed.values()))
    finally:
        for stage, notes in done:
            _keep(context, stage, notes, sink)
    if used:
        context.progress.say(f"Taken from what was kept: {', '.join(used)}")


def _run(
    context: Context, stage: Stage, sink: TableSink, later: Sequence[Stage]
) -> dict[str, Any] | None:
    """Run one stage, or use what is kept of it; returns what else it leaves, None for the latter.

    Raises:
        SaereportError: It cannot be done.
    """
    warned = len(context.warned.kept)
    before = {slug: dict(reasons) for slug, reasons in context.left_out.items()}
    kept = None if _is_read(stage, later) else _finished(context, stage).load()
    if kept is not None:
        context.progress.say(f"The stage {stage.name} was finished before; using it")
        tables, notes = kept
        _recall(context, notes)
        yielded: Iterator[Yielded] = ((slug, name, _columns(rows)) for slug, name, rows in tables)
    else:
        yielded = stage.run(context)
    for slug, name, columns in yielded:
        sink.put(stage, slug, name, columns)
    if kept is not None:
        return None
    said = context.warned.kept[warned:]
    left_out = [
        [slug, name, reason]
        for slug, reasons in context.left_out.items()
        for name, reason in reasons.items()
        if before.get(slug, {}).get(name) != reason
    ]
    return {"warnings": [one.model_dump(mode="json") for one in said], "left_out": left_out}


def _is_read(stage: Stage, later: Sequence[Stage]) -> bool:
    """Whether a later stage reads its tables as they were measured, which is not what is kept."""
    return any(set(stage.yields) & set(one.needs.tables) for one in later)


def _recall(context: Context, notes: dict[str, Any]) -> None:
    for one in notes["warnings"]:
        warning = RunWarning.model_validate(one)
        context.warned.add(
            warning.text, about=warning.about, source=warning.source, sanity=warning.sanity
        )
    for slug, name, reason in notes["left_out"]:
        context.leave_out(slug, name, reason)


def _columns(rows: pa.Table) -> dict[str, Any]:
    return {name: rows.column(name) for name in rows.column_names}


def _finished(context: Context, stage: Stage) -> FinishedStage:
    # What is kept of a stage is without what would show the text of blinded latents.
    identity = part_of(context.identity, stage, redacted=True) | found_before(context, stage)
    return FinishedStage(context.folder_of(stage), json_digest(identity))


def _keep(context: Context, stage: Stage, notes: dict[str, Any], sink: TableSink) -> None:
    """Keep a finished stage, unless it keeps itself; a full disk is told by what came first."""
    if stage.keeps:
        with contextlib.suppress(OSError, SaereportError):
            _finished(context, stage).keep(sink.written(stage), notes)
