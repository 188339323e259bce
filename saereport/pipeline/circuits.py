"""Circuits as a stage of a build: what is computed on prompts after the text.

What is plainly a slip (an SAE that the report does not have, a file that is not there) is refused
at the door, and a prompt that cannot be used as soon as there is a tokeniser. What shows only when
a prompt is run is noted on that prompt, and the rest of the report is made.
Each finished prompt is kept beside the output, so that an interrupted build goes on after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from saereport.circuits.averages import BOUND, PairSums
from saereport.circuits.blind import parse_blind
from saereport.circuits.collecting import (
    CircuitSettings,
    PromptTask,
    Subject,
    collect_prompt,
    in_layer_order,
    pairs_in_order,
)
from saereport.circuits.collecting_maps import limit_note
from saereport.circuits.gradients import GradientMap, Limits, auto_memory, latents_to_latents
from saereport.circuits.graph import GraphSettings
from saereport.circuits.prompts import (
    Prompt,
    make_prompts,
    require_usable,
    shown,
    split_answer,
    text_tokens,
)
from saereport.config import BuildConfig, CircuitsConfig
from saereport.errors import SaereportError
from saereport.pipeline.checkpoint import Checkpoint, FinishedParts
from saereport.progress import Progress
from saereport.run import TABLES
from saereport.run.columns import to_arrow
from saereport.sources.devices import is_out_of_memory
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.warned import Warned

AVERAGES = "averages"
BOUND_OF_ALL = 16_000_000
"""Pairs of latents that are kept for all pairs of SAEs together: about a gigabyte."""

MEAN_TABLES = ("pair_mean_maps", "pair_means")


@dataclass(frozen=True)
class CircuitPlan:
    """What is to be computed on prompts and examples, and what is hidden.

    Attributes:
        tasks: The prompts.
        lines: Lines of the prompts file, each None where it holds no text; empty without a file.
        settings: How circuits are computed.
        include_bos: Whether BOS takes part.
        prepend_bos: Whether text begins with BOS.
        blind: Latents that are blinded, by SAE.
        with_reveal: Whether what activates them is in the run all the same.
        examples: Top examples of each chosen latent that are decomposed.
        example_latents: Chosen latents of an SAE up to which that is done.
        work: Folder where finished parts are kept.
        fingerprint: Identity of the work.
    """

    tasks: tuple[PromptTask, ...]
    lines: tuple[str | None, ...]
    settings: CircuitSettings
    include_bos: bool
    prepend_bos: bool
    blind: Mapping[str, Sequence[int]]
    with_reveal: bool
    examples: int
    example_latents: int
    work: Path
    fingerprint: str

    @property
    def asked(self) -> bool:
        """Whether there is anything to compute on prompts."""
        return bool(self.tasks or self.lines)

    def hidden(self, slug: str) -> frozenset[int]:
        """The latents of an SAE about which the run may reveal nothing."""
        return frozenset() if self.with_reveal else frozenset(self.blind.get(slug, ()))


def blind_latents(config: BuildConfig, saes: Sequence[Sae]) -> dict[str, list[int]]:
    """The latents that are blinded, by SAE.

    Raises:
        UsageError: One is not a latent of an SAE of the report.
    """
    widths = {sae.slug: sae.d_sae for sae in saes}
    transcoders = [sae.slug for sae in saes if sae.is_transcoder]
    return parse_blind(config.blind, widths, transcoders)


def prompts_of(config: BuildConfig, saes: Sequence[Sae], model: LanguageModel) -> list[Prompt]:
    """The prompts that were asked for, as token ids.

    Raises:
        SaereportError: Nothing can be computed on one of them; told before any text is read.
    """
    prompts = make_prompts(
        config.prompts,
        model,
        prepend_bos=saes[0].prepend_bos,
        include_bos=config.circuits.include_bos,
        longest=config.circuits.max_prompt,
    )
    require_usable(prompts)
    return prompts


def plan_circuits(
    config: BuildConfig,
    lines: tuple[str | None, ...],
    blind: Mapping[str, Sequence[int]],
    saes: Sequence[Sae],
    model: LanguageModel,
    work: Path,
    fingerprint: str,
) -> CircuitPlan:
    """What is to be computed; prompts become token ids.

    Args:
        config: What was asked for; its prompts can be used.
        lines: The prompts file's.
        blind: Latents that are blinded, by SAE.
        saes: The SAEs.
        model: The language model.
        work: Folder where finished parts are kept.
        fingerprint: Identity of the work.
    """
    circuits = config.circuits
    prompts = prompts_of(config, saes, model)
    tasks = tuple(
        PromptTask(prompt, asked.saes, asked.pairs, asked.graph)
        for prompt, asked in zip(prompts, config.prompts, strict=True)
    )
    return CircuitPlan(
        tasks=tasks,
        lines=lines,
        settings=circuit_settings(circuits, model.device),
        include_bos=circuits.include_bos,
        prepend_bos=saes[0].prepend_bos,
        blind=blind,
        with_reveal=config.with_reveal,
        examples=circuits.examples,
        example_latents=circuits.example_latents,
        work=work,
        fingerprint=fingerprint,
    )


def circuit_settings(circuits: CircuitsConfig, device: torch.device) -> CircuitSettings:
    """The configuration as the circuits' own modules take it."""
    memory = auto_memory(device) if circuits.memory == "auto" else circuits.memory
    graph = circuits.graph
    return CircuitSettings(
        top_logits=circuits.top_logits,
        pairs_kept=circuits.pairs_kept,
        limits=Limits(circuits.max_inputs, circuits.max_outputs, memory),
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


def collect_circuits(
    plan: CircuitPlan,
    model: LanguageModel,
    saes: Iterable[Sae],
    chosen: Mapping[str, np.ndarray],
    progress: Progress,
    warned: Warned,
) -> dict[str, pa.Table]:
    """Compute circuits on all prompts, going on after those that were finished before.

    Args:
        plan: What is to be computed.
        model: The language model.
        saes: All SAEs of the report.
        chosen: The latents of each that the report shows, ascending.
        progress: Where to say what is going on, and what could not be done on a prompt.
        warned: Takes what of the prompts file could not be done.

    Returns:
        Tables of the run by name, in the order of the prompts.

    Raises:
        OSError: The disk is full.
    """
    subject = Subject(model, in_layer_order({one.slug: one for one in saes}), chosen)
    kept = FinishedParts(plan.work, plan.fingerprint)
    found: list[dict[str, pa.Table]] = []
    for task in plan.tasks:
        part = f"prompt-{task.prompt.number}"
        tables = kept.load(part)
        name = f"'{shown(task.prompt.name)}'"
        if tables is None:
            columns = collect_prompt(subject, task, plan.settings, progress)
            tables = {table: to_arrow(TABLES[table], rows) for table, rows in columns.items()}
            kept.save(part, tables)
        else:
            progress.say(f"The prompt {name} was finished before; using it")
        for note in tables["prompt_notes"].to_pylist() if "prompt_notes" in tables else ():
            progress.say(f"Prompt {name}, {shown(note['topic'])}: {shown(note['text'], 400)}")
        found.append(tables)
    if plan.lines:
        found.append(_averages(plan, subject, progress, warned))
    names = sorted({name for tables in found for name in tables})
    return {
        name: pa.concat_tables([tables[name] for tables in found if name in tables])
        for name in names
    }


def _averages(
    plan: CircuitPlan, subject: Subject, progress: Progress, warned: Warned
) -> dict[str, pa.Table]:
    """Mean absolute gradients over the prompts file; what was added before is not added again."""
    saes = subject.saes
    pairs = pairs_in_order(saes)
    if not pairs:
        warned.add(
            "The prompts file is left out: gradients are averaged between two SAEs of which one "
            "writes before the other reads, and the report has no such pair."
        )
        return {}
    bound = min(BOUND, BOUND_OF_ALL // len(pairs))
    sums = {pair: PairSums(saes[pair[1]].d_sae, bound) for pair in pairs}
    checkpoint = Checkpoint(plan.work / AVERAGES, plan.fingerprint)
    done = skipped = cut = 0
    saved = checkpoint.load()
    if saved is not None:
        done, skipped, cut = saved["done"].tolist()
        for number, one in enumerate(sums.values()):
            prefix = f"{number}/"
            one.restore({k[len(prefix) :]: a for k, a in saved.items() if k.startswith(prefix)})
        progress.say(f"Going on with the prompts file after {done:,} prompts")
    with progress.bar("Averaging over prompts", len(plan.lines), "prompt", done=done) as bar:
        for line in plan.lines[done:]:
            found = _maps(plan, subject, pairs, line)
            for pair, gradients in (found or {}).items():
                sums[pair].add(gradients)
            done += 1
            skipped += found is None
            cut += any(limit_note(gradients) for gradients in (found or {}).values())
            bar.advance(1)
            if checkpoint.due:
                checkpoint.save(_state(sums, (done, skipped, cut)))
    checkpoint.save(_state(sums, (done, skipped, cut)))
    if skipped:
        warned.add(
            f"{skipped:,} of the prompts file's {done:,} prompts were left out: no text, fewer "
            f"than two tokens that count, longer than the model's {subject.model.n_ctx:,}, or too "
            "long for the memory."
        )
    if cut:
        warned.add(
            f"On {cut:,} of the prompts file's prompts too many latents are active: those with the "
            "largest activations were used (circuits.max_inputs, circuits.max_outputs)."
        )
    limit = plan.settings.pairs_kept
    maps = [one.map_row(*pair, limit, skipped) for pair, one in sums.items()]
    rows = [one.rows(*pair, limit) for pair, one in sums.items()]
    return {
        name: pa.concat_tables([to_arrow(TABLES[name], part) for part in parts])
        for name, parts in zip(MEAN_TABLES, (maps, rows), strict=True)
        if parts
    }


def _state(sums: Mapping[Any, PairSums], counts: tuple[int, ...]) -> dict[str, np.ndarray]:
    arrays = {"done": np.array(counts, dtype=np.int64)}
    for number, one in enumerate(sums.values()):
        arrays |= {f"{number}/{key}": array for key, array in one.state().items()}
    return arrays


def _maps(
    plan: CircuitPlan, subject: Subject, pairs: Sequence[tuple[str, str]], line: str | None
) -> dict[tuple[str, str], GradientMap] | None:
    """Gradients on one line of the prompts file; None where it is no prompt that can be used."""
    model = subject.model
    bos = (model.bos_id,) if plan.prepend_bos and model.bos_id is not None else ()
    ids = () if line is None else text_tokens(model, split_answer(line, None)[0], bos)
    counts = [plan.include_bos or token not in model.special_ids for token in ids]
    if sum(counts) < 2 or len(ids) > model.n_ctx:
        return None
    tokens = torch.tensor(ids, dtype=torch.int64, device=model.device)
    counted = torch.tensor(counts, dtype=torch.bool, device=model.device)
    maps = {}
    for pair in pairs:
        early, late = (subject.saes[slug] for slug in pair)
        try:
            maps[pair] = latents_to_latents(
                model, early, late, tokens, counted, plan.settings.limits
            )
        except SaereportError:
            # Dead on this prompt: it has no pair that is active together.
            continue
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None
    return maps


def discard(work: Path) -> None:
    """Remove the finished parts that were kept beside an output."""
    FinishedParts(work, "").discard()
    Checkpoint(work / AVERAGES, "").discard()
