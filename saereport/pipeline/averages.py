"""Mean absolute gradients between SAEs over the prompts of a file.

The sums are kept beside the output; what was added before an interruption is not added again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from saereport.circuits.collecting import CircuitSettings, Subject, pairs_in_order
from saereport.circuits.gradients.averages import BOUND, PairSums
from saereport.circuits.gradients.maps import GradientMap, latents_to_latents
from saereport.circuits.gradients.rows import limit_note
from saereport.circuits.prompts import split_answer, text_tokens
from saereport.pipeline.circuits import circuit_settings, subject_of
from saereport.pipeline.context import Context
from saereport.pipeline.probe import Probe, Sample
from saereport.pipeline.stage import Cost, Stage, Yielded
from saereport.run import TABLES
from saereport.run.columns import to_arrow
from saereport.sources.devices import is_out_of_memory
from saereport.util.errors import SaereportError

BOUND_OF_ALL = 16_000_000
"""Pairs of latents that are kept for all pairs of SAEs together: about a gigabyte."""

Pair = tuple[str, str]


@dataclass
class FileSums:
    """What was added of the lines so far.

    Attributes:
        pairs: The sums of each pair of SAEs.
        done: Lines that were gone through.
        skipped: Those of them that are no prompt that can be used.
        cut: Those on which limits left latents out.
    """

    pairs: dict[Pair, PairSums]
    done: int = 0
    skipped: int = 0
    cut: int = 0

    def add(self, found: Mapping[Pair, GradientMap] | None) -> None:
        """Add the gradients on one line; None for one that cannot be used."""
        for pair, gradients in (found or {}).items():
            self.pairs[pair].add(gradients)
        self.done += 1
        self.skipped += found is None
        self.cut += any(limit_note(gradients) for gradients in (found or {}).values())

    def state(self) -> dict[str, np.ndarray]:
        """Everything as arrays."""
        counts = (self.done, self.skipped, self.cut)
        arrays = {"done": np.array(counts, dtype=np.int64)}
        for number, one in enumerate(self.pairs.values()):
            arrays |= {f"{number}/{key}": array for key, array in one.state().items()}
        return arrays

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Become what `state` was made from."""
        self.done, self.skipped, self.cut = state["done"].tolist()
        for number, one in enumerate(self.pairs.values()):
            prefix = f"{number}/"
            one.restore({k[len(prefix) :]: a for k, a in state.items() if k.startswith(prefix)})


@dataclass(frozen=True, eq=False)
class Lines:
    """How gradients on a line are computed.

    Attributes:
        subject: Model and SAEs.
        pairs: The pairs of SAEs.
        settings: The limits of memory and latents.
        include_bos: Whether BOS takes part.
        bos: BOS where text begins with it, else nothing.
    """

    subject: Subject
    pairs: Sequence[Pair]
    settings: CircuitSettings
    include_bos: bool
    bos: tuple[int, ...]


def mean_gradients(
    context: Context, stage: Stage, lines: Sequence[str | None]
) -> Iterator[Yielded]:
    """The tables of all pairs of SAEs.

    Args:
        context: The build.
        stage: The stage, under whose name the sums are kept.
        lines: The file's lines; None for one that holds no text.
    """
    how = _how(context)
    if not how.pairs:
        context.warned.add(
            "The prompts file is left out: gradients are averaged between two SAEs of which one "
            "writes before the other reads, and the report has no such pair."
        )
        context.leave_out_all(None, stage.yields, "no SAE writes before another one reads")
        return
    sums = _added(context, stage, lines, how)
    if sums.skipped:
        context.warned.add(
            f"{sums.skipped:,} of the prompts file's {sums.done:,} prompts were left out: no text, "
            "fewer than two tokens that count, longer than the model's "
            f"{context.model.n_ctx:,}, or too long for the memory."
        )
    if sums.cut:
        context.warned.add(
            f"On {sums.cut:,} of the prompts file's prompts too many latents are active: those "
            "with the largest activations were used (circuits.max_inputs, circuits.max_outputs)."
        )
    limit = how.settings.pairs_kept
    maps = [one.map_row(*pair, limit, sums.skipped) for pair, one in sums.pairs.items()]
    rows = [one.rows(*pair, limit) for pair, one in sums.pairs.items()]
    for name, parts in (("pair_mean_maps", maps), ("pair_means", rows)):
        whole = pa.concat_tables([to_arrow(TABLES[name], part) for part in parts])
        yield None, name, {column: whole.column(column) for column in whole.column_names}


def cost_of_averages(context: Context, lines: Sequence[str | None], probe: Probe) -> Cost:
    """What the gradients on all lines will take, from those on the first ones."""
    how = _how(context)
    if not how.pairs:
        return Cost(seconds=0.0)
    samples: list[Sample] = []
    for line in lines:
        with probe.sample() as sample:
            gradients_on(how, line)
        samples.append(sample)
        if probe.over:
            break
    # What is made ready by the first line is there for the others.
    steady = [one.seconds for one in samples[1:]] or [samples[0].seconds]
    on_device = [one.device_bytes for one in samples if one.device_bytes is not None]
    return Cost(
        seconds=samples[0].seconds + sum(steady) / len(steady) * (len(lines) - 1),
        host_bytes=max(one.host_bytes for one in samples),
        device_bytes=max(on_device, default=None),
    )


def _how(context: Context) -> Lines:
    subject, model = subject_of(context), context.model
    first = next(iter(context.saes.values()))
    return Lines(
        subject=subject,
        pairs=pairs_in_order(subject.saes),
        settings=circuit_settings(context.config.circuits, model.device),
        include_bos=context.config.circuits.include_bos,
        bos=(model.bos_id,) if first.prepend_bos and model.bos_id is not None else (),
    )


def _added(context: Context, stage: Stage, lines: Sequence[str | None], how: Lines) -> FileSums:
    """The sums over all lines, from where an earlier build left them."""
    bound = min(BOUND, BOUND_OF_ALL // len(how.pairs))
    widths = {pair: how.subject.saes[pair[1]].d_sae for pair in how.pairs}
    sums = FileSums({pair: PairSums(width, bound) for pair, width in widths.items()})
    checkpoint = context.checkpoint(stage)
    saved = checkpoint.load()
    if saved is not None:
        sums.restore(saved)
        context.progress.say(f"Going on with the prompts file after {sums.done:,} prompts")
    title = "Averaging over prompts"
    with context.progress.bar(title, len(lines), "prompt", done=sums.done) as bar:
        for line in lines[sums.done :]:
            sums.add(gradients_on(how, line))
            bar.advance(1)
            if checkpoint.due:
                checkpoint.save(sums.state())
    checkpoint.save(sums.state())
    return sums


def gradients_on(how: Lines, line: str | None) -> dict[Pair, GradientMap] | None:
    """Gradients on one line of the prompts file; None where it is no prompt that can be used."""
    model = how.subject.model
    ids = () if line is None else text_tokens(model, split_answer(line, None)[0], how.bos)
    counts = [how.include_bos or token not in model.special_ids for token in ids]
    if sum(counts) < 2 or len(ids) > model.n_ctx:
        return None
    tokens = torch.tensor(ids, dtype=torch.int64, device=model.device)
    counted = torch.tensor(counts, dtype=torch.bool, device=model.device)
    maps: dict[Any, GradientMap] = {}
    for pair in how.pairs:
        early, late = (how.subject.saes[slug] for slug in pair)
        try:
            maps[pair] = latents_to_latents(
                model, early, late, tokens, counted, how.settings.limits
            )
        except SaereportError:
            # Dead on this prompt: it has no pair that is active together.
            continue
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None
    return maps
