"""Sparse probing in a build: the tasks, their activations, and what they will take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from saereport.evaluate.logistic import split
from saereport.evaluate.pooled import Pooled, pooled
from saereport.evaluate.sparse_probing import Task, probed
from saereport.measure import Columns
from saereport.pipeline.context import Context
from saereport.pipeline.labelled_texts import longest_of, require_enough, tokenised
from saereport.pipeline.probe import Probe
from saereport.pipeline.probing_tasks import read_tasks
from saereport.pipeline.stage import Cost, Yielded

FEW, FEWER = 24, 8
"""Texts that are pooled to see what all will take; and where a build waits for that."""


def tasks_of(context: Context) -> list[Task]:
    """The tasks as tokens, split.

    Raises:
        SaereportError: Too few texts are left once they are cut.
    """
    settings, seed = context.config.probing, context.config.seed
    longest = longest_of(context, settings.longest)
    tasks = []
    for read in read_tasks(context.config):
        made = tokenised(context, read, settings.texts, longest)
        require_enough(read.name, read.labels, made.given)
        labels = np.array([one.label for one in made.given])
        held_out = split(labels, settings.held_out, seed)
        about = {**made.counts, "longest": longest}
        tasks.append(Task(read.name, made.texts, labels, read.concepts, held_out, about))
    return tasks


def task_rows(tasks: Sequence[Task]) -> Columns:
    """Table `probing_tasks`."""
    rows = []
    for task in tasks:
        every = sorted(set(task.labels.tolist()))
        for concept in task.concepts:
            with_it = task.has(concept)
            rest = [label for label in every if label != concept]
            rows.append(
                {
                    "task": task.name,
                    "concept": concept,
                    "against": rest[0] if len(rest) == 1 else f"{len(rest)} others",
                    "n_with": int(with_it.sum()),
                    "n_without": int((~with_it).sum()),
                    "n_held_out": int(task.held_out.sum()),
                    "n_held_out_with": int((task.held_out & with_it).sum()),
                    **task.about,
                }
            )
    rows.sort(key=lambda row: (row["task"], row["concept"]))
    return {name: [row[name] for row in rows] for name in rows[0]}


def probe_all(context: Context) -> Iterator[Yielded]:
    """The tables of the stage."""
    tasks, settings = tasks_of(context), context.config.probing
    saes = list(context.saes.values())
    acts: list[Pooled] = [
        pooled(context.model, saes, task.texts, context.progress) for task in tasks
    ]
    yield None, "probing_tasks", task_rows(tasks)
    asked = (settings.pooling, settings.k, context.config.seed)
    for sae in saes:
        found = probed(tasks, acts, sae.slug, sae.hook_in.name, asked)
        if isinstance(found, str):
            context.leave_out_all(sae.slug, ("probing_scores", "probing_latents"), found)
            continue
        yield sae.slug, "probing_scores", found[0]
        yield sae.slug, "probing_latents", found[1]


def cost_of_probing(context: Context, probe: Probe) -> Cost:
    """What it takes, from some texts of the first task; fitting is added by their number.

    Fitting is tried with one SAE: it chooses few latents, whatever the dictionary.
    """
    tasks, saes = tasks_of(context), list(context.saes.values())
    first, few = tasks[0], FEWER if probe.brief else FEW
    some = [first.texts[i] for i in np.linspace(0, len(first.texts) - 1, few).astype(int)]
    with probe.sample() as warm:
        pooled(context.model, saes, some[:1], context.progress)
    with probe.sample() as one:
        acts = pooled(context.model, saes, some, context.progress)
    per_token = one.seconds / sum(len(text.tokens) for text in some)
    n_tokens = sum(len(text.tokens) for task in tasks for text in task.texts)
    y = np.arange(few) % 2 == 0
    small = Task("sample", some, np.where(y, "a", "b"), ("a",), split(y, 0.3, 0))
    settings = context.config.probing
    asked = (settings.pooling, settings.k, context.config.seed)
    with probe.sample() as fitting:
        probed([small], [acts], saes[0].slug, saes[0].hook_in.name, asked)
    n_fits = len(saes) * sum(fits_of(len(task.concepts), len(task.texts)) for task in tasks)
    entries = sum(latents.mean.nnz for latents in acts.latents.values())
    # Two numbers and two places for each latent of a text.
    kept = 16 * entries * sum(len(task.texts) for task in tasks) / few
    return Cost(
        seconds=warm.seconds + per_token * n_tokens + fitting.seconds * n_fits,
        host_bytes=max(one.host_bytes, fitting.host_bytes) + round(kept),
        device_bytes=one.device_bytes,
    )


def fits_of(concepts: int, texts: int) -> float:
    """How many times as long as with few texts fitting one task takes, for one SAE.

    Args:
        concepts: Its concepts.
        texts: Its texts; as long as they are few, they do not count.
    """
    return concepts * max(1.0, texts / (8 * FEW))
