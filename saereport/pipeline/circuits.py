"""Circuits on the prompts of a build.

Each finished prompt is kept beside the output, so that an interrupted build goes on after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from saereport.circuits.collecting import (
    CircuitSettings,
    PromptTask,
    Step,
    Subject,
    collect_prompt,
    in_layer_order,
    steps_on,
)
from saereport.circuits.gradients.maps import MapLimits, auto_memory
from saereport.circuits.graph.building import GraphSettings
from saereport.circuits.prompts import PromptTokens, make_prompts, require_usable, shown
from saereport.config.circuits import CircuitsConfig
from saereport.measure import Columns
from saereport.pipeline.context import Context
from saereport.pipeline.engine.bench import Bench
from saereport.pipeline.engine.job import Job
from saereport.pipeline.probe import Probe, Sample
from saereport.pipeline.stage import Cost, Stage, Yielded
from saereport.run import TABLES
from saereport.run.columns import to_arrow
from saereport.util.files import json_digest
from saereport.util.progress import Progress


def prompt_tasks(context: Context) -> list[PromptTask]:
    """What is asked for on each prompt, which becomes token ids.

    Raises:
        SaereportError: Nothing can be computed on one of them.
    """
    config, first = context.config, next(iter(context.saes.values()))
    prompts = make_prompts(
        config.prompts,
        context.model,
        prepend_bos=first.prepend_bos,
        include_bos=config.circuits.include_bos,
        longest=config.circuits.max_prompt,
    )
    require_usable(prompts)
    return [
        PromptTask(prompt, asked.saes, asked.pairs, asked.graph)
        for prompt, asked in zip(prompts, config.prompts, strict=True)
    ]


def circuit_settings(circuits: CircuitsConfig, device: torch.device) -> CircuitSettings:
    """The configuration as the circuits' own modules take it."""
    memory = auto_memory(device) if circuits.memory == "auto" else circuits.memory
    graph = circuits.graph
    return CircuitSettings(
        top_logits=circuits.top_logits,
        pairs_kept=circuits.pairs_kept,
        limits=MapLimits(circuits.max_inputs, circuits.max_outputs, memory),
        checks=circuits.checks,
        attributed=circuits.attributed,
        influences=circuits.influences,
        graph=GraphSettings(
            max_latents=graph.max_latents,
            max_logits=graph.max_logits,
            logit_share=graph.logit_share,
            node_threshold=graph.node_threshold,
            edge_threshold=graph.edge_threshold,
            checks=graph.checks,
            memory=memory,
        ),
        graph_saes=graph.saes,
    )


def subject_of(context: Context) -> Subject:
    """The model and the SAEs, with the latents about which text may be shown."""
    return Subject(context.model, in_layer_order(context.saes), told_latents(context))


def told_latents(context: Context) -> dict[str, NDArray[np.int64]]:
    """The latents of each SAE about which text may be shown.

    Where on a prompt a hidden latent is active would show the text that activates it.
    """
    return {
        slug: np.setdiff1d(latents, np.array(sorted(context.hidden(slug)), dtype=np.int64))
        for slug, latents in context.latents.items()
    }


def cost_of_circuits(context: Context, probe: Probe) -> Cost:
    """What is done on all prompts will take, from some of it.

    Of each kind of step one is done in any case, the smallest; then others while there is time. A
    kind's time is taken to grow with the size of its steps.
    """
    subject, asked = subject_of(context), context.config.circuits
    settings = circuit_settings(asked, context.model.device)
    open_: list[Timed] = []
    for task in prompt_tasks(context):
        for step in steps_on(subject, task, settings):
            timed = Timed(step)
            if step.kind == "model":
                timed.take(probe)
            open_.append(timed)
    for one in open_:
        one.size = one.step.size()
    open_.sort(key=lambda one: one.size)
    kinds = dict.fromkeys(one.step.kind for one in open_)
    smallest = [next(one for one in open_ if one.step.kind == kind) for kind in kinds]
    for one in sorted(smallest, key=lambda one: one.size):
        one.take(probe)
    rest = [one for one in open_ if one.sample is None]
    # The kinds that take longest in all are looked at again first.
    rest.sort(key=lambda one: -_seconds_of(one, open_))
    for one in rest:
        if probe.fitting(_seconds_of(one, open_), 2) > 1:
            one.take(probe)
    samples = [one.sample for one in open_ if one.sample is not None]
    on_device = [one.device_bytes for one in samples if one.device_bytes is not None]
    return Cost(
        seconds=sum(_seconds_of(one, open_) for one in open_),
        host_bytes=max((one.host_bytes for one in samples), default=None),
        device_bytes=max(on_device, default=None),
    )


@dataclass
class Timed:
    """A step on a prompt, and what it took where it was tried.

    Attributes:
        step: The step.
        size: How much there is to do.
        sample: What it took.
    """

    step: Step
    size: float = 1.0
    sample: Sample | None = None

    def take(self, probe: Probe) -> None:
        """Try it, unless it was."""
        if self.sample is None:
            with probe.sample() as self.sample:
                self.step.run()


def _seconds_of(one: Timed, all_: Sequence[Timed]) -> float:
    """What a step took or will take: as those of its kind that were tried, by their size."""
    if one.sample is not None:
        return one.sample.seconds
    tried = [t for t in all_ if t.step.kind == one.step.kind and t.sample is not None]
    seconds = sum(t.sample.seconds for t in tried if t.sample is not None)
    size = sum(t.size for t in tried)
    return seconds * (one.size / size if size else 1.0)


def circuits_on_prompts(context: Context, stage: Stage) -> Iterator[Yielded]:
    """The tables of all prompts, in their order; those that were finished before are not run anew.

    Raises:
        OSError: The disk is full.
    """
    kept = context.finished(stage)
    tasks = prompt_tasks(context)
    found: dict[int, dict[str, pa.Table]] = {}
    for number, task in enumerate(tasks):
        tables = kept.load(_part(task))
        if tables is not None:
            called = shown(task.prompt.name)
            context.progress.say(f"The prompt '{called}' was finished before; using it")
            _say_notes(context, task, tables)
            found[number] = {name: _renumbered(rows, task.prompt) for name, rows in tables.items()}
    open_ = [number for number in range(len(tasks)) if number not in found]
    for place, columns in _collected(context, [tasks[number] for number in open_]):
        task = tasks[open_[place]]
        tables = {table: to_arrow(TABLES[table], rows) for table, rows in columns.items()}
        kept.save(_part(task), tables)
        _say_notes(context, task, tables)
        found[open_[place]] = tables
    kept.keep_only([_part(task) for task in tasks])
    in_order = [found[number] for number in range(len(tasks))]
    for name in sorted({name for tables in in_order for name in tables}):
        whole = pa.concat_tables([tables[name] for tables in in_order if name in tables])
        yield None, name, {column: whole.column(column) for column in whole.column_names}


def _say_notes(context: Context, task: PromptTask, tables: Mapping[str, pa.Table]) -> None:
    for note in tables["prompt_notes"].to_pylist() if "prompt_notes" in tables else ():
        topic, text = shown(note["topic"]), shown(note["text"], 400)
        context.progress.say(f"Prompt '{shown(task.prompt.name)}', {topic}: {text}")


def _part(task: PromptTask) -> str:
    """What a prompt is kept under: all that is asked for on it, and not its place among others."""
    record = asdict(task)
    del record["prompt"]["number"]
    return f"prompt-{json_digest(record)[:32]}"


def _renumbered(rows: pa.Table, prompt: PromptTokens) -> pa.Table:
    """Rows of a prompt with its number among those of this build."""
    field = rows.schema.field("prompt")
    numbers = pa.array([prompt.number] * rows.num_rows, field.type)
    return rows.set_column(rows.schema.get_field_index("prompt"), field, numbers)


def _collected(
    context: Context, tasks: Sequence[PromptTask]
) -> Iterator[tuple[int, Mapping[str, Columns]]]:
    """The place of each prompt among these and its tables, as they are finished."""
    engine = context.engine
    if engine is None or not engine.elsewhere:
        subject = subject_of(context)
        settings = circuit_settings(context.config.circuits, context.model.device)
        for place, task in enumerate(tasks):
            yield place, collect_prompt(subject, task, settings, context.progress)
        return
    latents = told_latents(context)
    job = Job(
        f"{__name__}:collect_one",
        len(tasks),
        lambda i: (tasks[i], latents),
        lambda _: 1,
        lambda i: f"the prompt '{shown(tasks[i].prompt.name)}'",
    )
    with context.progress.bar("Prompts", len(tasks), "prompt") as bar:
        yield from engine.each(job, bar)


def collect_one(
    bench: Bench,
    item: tuple[PromptTask, Mapping[str, NDArray[np.int64]]],
    told: Callable[[int], None],
) -> Mapping[str, Columns]:
    """A worker's task: the tables of one prompt."""
    task, latents = item
    subject = Subject(bench.model, in_layer_order(bench.saes), dict(latents))
    settings = circuit_settings(bench.config.circuits, bench.model.device)
    return collect_prompt(subject, task, settings, Progress(quiet=True))
