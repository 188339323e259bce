"""Circuits on the prompts of a build.

Each finished prompt is kept beside the output, so that an interrupted build goes on after it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import torch

from saereport.circuits.collecting import (
    CircuitSettings,
    PromptTask,
    Subject,
    collect_prompt,
    in_layer_order,
)
from saereport.circuits.gradients.maps import MapLimits, auto_memory
from saereport.circuits.graph.building import GraphSettings
from saereport.circuits.prompts import make_prompts, require_usable, shown
from saereport.config.circuits import CircuitsConfig
from saereport.pipeline.context import Context
from saereport.pipeline.stage import Stage, Yielded
from saereport.run import TABLES
from saereport.run.columns import to_arrow


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
    """The model and the SAEs, with the latents about which text may be shown.

    Where on a prompt a hidden latent is active would show the text that activates it.
    """
    chosen = {
        slug: np.setdiff1d(latents, np.array(sorted(context.hidden(slug)), dtype=np.int64))
        for slug, latents in context.latents.items()
    }
    return Subject(context.model, in_layer_order(context.saes), chosen)


def circuits_on_prompts(context: Context, stage: Stage) -> Iterator[Yielded]:
    """The tables of all prompts, in their order; those that were finished before are not run anew.

    Raises:
        OSError: The disk is full.
    """
    subject = subject_of(context)
    settings = circuit_settings(context.config.circuits, context.model.device)
    kept = context.finished(stage)
    found: list[dict[str, pa.Table]] = []
    for task in prompt_tasks(context):
        part = f"prompt-{task.prompt.number}"
        tables = kept.load(part)
        name = f"'{shown(task.prompt.name)}'"
        if tables is None:
            columns = collect_prompt(subject, task, settings, context.progress)
            tables = {table: to_arrow(TABLES[table], rows) for table, rows in columns.items()}
            kept.save(part, tables)
        else:
            context.progress.say(f"The prompt {name} was finished before; using it")
        for note in tables["prompt_notes"].to_pylist() if "prompt_notes" in tables else ():
            topic, text = shown(note["topic"]), shown(note["text"], 400)
            context.progress.say(f"Prompt {name}, {topic}: {text}")
        found.append(tables)
    for name in sorted({name for tables in found for name in tables}):
        whole = pa.concat_tables([tables[name] for tables in found if name in tables])
        yield None, name, {column: whole.column(column) for column in whole.column_names}
