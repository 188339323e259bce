"""Evaluation of whole SAEs: on how many tokens, block by block, by this process or by workers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saereport.config.quantities import seconds_of
from saereport.evaluate.block_sums import MEAN_TOKENS, Arrays, Block, Sums, block_sums, runs_of
from saereport.evaluate.fidelity import Evaluation, evaluate, first_counted, sequences_at_a_time
from saereport.pipeline.checkpoint import Checkpoint
from saereport.pipeline.context import Context, StageView
from saereport.pipeline.engine.bench import Bench
from saereport.pipeline.engine.job import Engine, Job
from saereport.pipeline.engine.local import LocalEngine
from saereport.pipeline.pass_time import pass_time
from saereport.pipeline.probe import PassTime, Probe, Sample, line_through
from saereport.sources.devices import is_out_of_memory
from saereport.util.files import json_digest, write_atomically
from saereport.util.progress import Bar

KEPT = "blocks"
"""What the folder of finished blocks is called."""

SETTLED = "budget.json"
"""Where it is kept how many tokens the seconds of a budget are, so that a build goes on with these.
"""

TRIED_TOKENS = 32
"""Tokens of the sample from which it is told what is made of a pass."""

TRIED = 0.1
"""Share of a budget in seconds that is spent on finding out how many tokens that is."""

Text = tuple[NDArray[np.int32], NDArray[np.bool_]]


# ---- how much


def n_evaluated(context: Context) -> int:
    """Counted tokens that are asked for; of a budget in seconds those that it was settled to be."""
    budget = context.config.evaluate
    return budget if isinstance(budget, int) else context.settled["evaluate"]


def settle(context: Context, stage: StageView) -> None:
    """Make a number of tokens of a budget in seconds: as before, or by a little that is timed."""
    seconds = seconds_of(context.config.evaluate)
    if seconds is None or "evaluate" in context.settled:
        return
    found = _settled_before(context, stage)
    if found is None:
        probe = Probe(context.model.device, seconds * TRIED)
        probe.begin()
        context.progress.say("Trying how much can be evaluated in that time")
        found = tokens_within(context, probe, seconds)
    context.settled["evaluate"] = found


def _settled_before(context: Context, stage: StageView) -> int | None:
    try:
        record = json.loads((context.folder_of(stage) / SETTLED).read_bytes())
        tokens = record["tokens"] if record["of"] == _asked(context, stage) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing that can be read was kept
    return tokens if isinstance(tokens, int) and tokens > 0 else None


def _asked(context: Context, stage: StageView) -> str:
    return json_digest(dict(context.parts[stage.name]))


def _keep_settled(context: Context, stage: StageView) -> None:
    if "evaluate" in context.settled:
        folder = context.folder_of(stage)
        folder.mkdir(parents=True, exist_ok=True)
        record = {"of": _asked(context, stage), "tokens": context.settled["evaluate"]}
        write_atomically(folder / SETTLED, json.dumps(record).encode())


def tokens_within(context: Context, probe: Probe, seconds: float) -> int:
    """How many counted tokens can be evaluated in a time; as many as a batch has at least.

    Args:
        context: The build.
        probe: Runs and times.
        seconds: The time.
    """
    context_size, model = context.text.rules.context_size, context.model
    batch = sequences_at_a_time(context_size, model.d_vocab)
    tokens, counted = _text(context, batch * context_size)
    timed = _timed(context, probe, (tokens, counted))
    n, spent = timed.more
    fixed = max(0.0, line_through(timed.few, timed.more, 0.0))
    # Noise must not make a sequence seem to take less than half of what it did.
    each = max(spent - fixed, spent / 2) / n
    fitting = max((seconds - fixed) / each, float(timed.batch))
    return max(1, min(int(fitting * counted.sum() / len(counted)), context.config.tokens))


class _Timed:
    """Two samples of the work, in sequences and seconds."""

    def __init__(self, few: tuple[float, Sample], more: tuple[float, Sample], batch: int) -> None:
        self.few = (few[0], few[1].seconds)
        self.more = (more[0], more[1].seconds)
        self.batch = batch


def _text(context: Context, n: int) -> Text:
    packed = context.text.packed(batch=context.batches.block)
    return first_counted(packed, n)


def _timed(context: Context, probe: Probe, text: Text) -> _Timed:
    """Evaluate on a part of a sequence, and on a few whole ones, all like the text as a whole."""
    tokens, counted = _like_the_whole(text)
    model, saes = context.model, list(context.saes.values())
    batch = min(sequences_at_a_time(tokens.shape[1], model.d_vocab), len(tokens))
    few = max(2, tokens.shape[1] // 8)
    part = _part_like_the_whole(counted[0], few)
    with probe.sample() as one:
        evaluate(model, saes, tokens[:1, part], counted[:1, part], context.progress)
    n = probe.fitting(one.seconds * tokens.shape[1] / few, batch)
    with probe.sample() as more:
        evaluate(model, saes, tokens[:n], counted[:n], context.progress)
    return _Timed((few / tokens.shape[1], one), (float(n), more), batch)


def _like_the_whole(text: Text) -> Text:
    """Sequences in another order: those first of whose tokens as many count as on the average.

    One that is mostly padding, as a short document is, says little of what the others take.
    """
    tokens, counted = text
    n = counted.sum(axis=1)
    # Those of which nothing counts come last: of them nothing is measured.
    order = np.lexsort((np.abs(n * len(n) - n.sum()), n == 0))
    return tokens[order], counted[order]


def _part_like_the_whole(counted: NDArray[np.bool_], n: int) -> slice:
    """So many tokens of a sequence, of which as large a part counts as of all, and one at least.

    Args:
        counted: Whether each token of the sequence counts, one at least.
        n: How many tokens, of the sequence's length at most.
    """
    within = np.convolve(counted, np.ones(n, np.int64), mode="valid")
    far = np.abs(within / n - counted.mean()) + (within == 0)
    # The last of several that are equally good: what begins a sequence may not count.
    start = len(far) - 1 - int(far[::-1].argmin())
    return slice(start, start + n)


def cost_of_evaluation(context: Context, probe: Probe) -> tuple[float, int, int | None]:
    """What the evaluation will take: seconds, and bytes of the host and of the device.

    It is passes of the model, and what is made of each; that is timed on a part of a sequence,
    with one SAE alone.
    """
    tokens, counted = _like_the_whole(_text(context, n_evaluated(context)))
    model, saes = context.model, [sae for sae in context.saes.values() if not sae.why_not_alone]
    passes = pass_time(context, probe)
    if not saes or not len(tokens):
        return 0.0, 0, None
    length = tokens.shape[1]
    some = min(TRIED_TOKENS, length)
    part = _part_like_the_whole(counted[0], some)
    with probe.sample() as sample:
        evaluate(model, saes[:1], tokens[:1, part], counted[:1, part], context.progress)
    runs, batch = runs_of(saes[:1]), sequences_at_a_time(length, model.d_vocab)
    expected = seconds_of_passes(passes, Work(1, some, batch, runs, 1))
    beyond = max(sample.seconds - expected, 0.0) / (some * runs)
    work = Work(len(tokens), length, batch, runs_of(saes), len(saes))
    seconds = seconds_of_passes(passes, work) + beyond * work.n * length * work.runs
    at_once = min(batch, len(tokens)) * length / some
    return seconds, sample.at_scale(at_once), sample.device_bytes


@dataclass(frozen=True)
class Work:
    """How much is evaluated.

    Attributes:
        n: Sequences.
        length: Tokens of each.
        batch: Sequences that go through the model together.
        runs: How often each token goes through the whole model.
        n_saes: SAEs, of which each is tried on two tokens.
    """

    n: int
    length: int
    batch: int
    runs: int
    n_saes: int


def seconds_of_passes(passes: PassTime, work: Work) -> float:
    """What the passes of an evaluation take, with that for the means and the trials."""
    tokens, batches = work.n * work.length, -(-work.n // work.batch)
    means = min(tokens, MEAN_TOKENS)
    return (
        passes.seconds(batches * work.runs, tokens * work.runs, tokens * work.runs)
        + passes.seconds(-(-means // (work.batch * work.length)), means, 0)
        + passes.seconds(2 * work.n_saes, 4 * work.n_saes, 0)
    )


# ---- doing it


def evaluated(context: Context, stage: StageView) -> Evaluation:
    """What the evaluation of all SAEs finds, on the first tokens of the text.

    Blocks that an interrupted build finished are used again.

    Raises:
        SaereportError: A worker could not do its part.
    """
    _keep_settled(context, stage)
    tokens, counted = _text(context, n_evaluated(context))
    saes = list(context.saes.values())
    blocks = Blocks(context, stage)
    found = evaluate(context.model, saes, tokens, counted, context.progress, blocks.measure)
    shutil.rmtree(blocks.folder, ignore_errors=True)
    return found


class Blocks:
    """Blocks of the text, each measured by who works and kept when it is finished.

    Args:
        context: The build.
        stage: Whose folder they are kept in.
    """

    def __init__(self, context: Context, stage: StageView) -> None:
        self._context, self._stage = context, stage
        self.folder: Path = context.folder_of(stage) / KEPT

    def measure(self, blocks: Sequence[Block], bar: Bar) -> Iterator[tuple[int, Sums | None]]:
        """See `fidelity.Measure`."""
        slugs = blocks[0].slugs
        written = {slug: self._context.saes[slug].write_point.name for slug in slugs}
        passes = 1 + len(slugs) + 2 * len(set(written.values()))
        wanted, done = [], 0
        for number, block in enumerate(blocks):
            state = self._place(block).load()
            sums = None if state is None else _restored(state, written)
            if sums is None:
                wanted.append(number)
            else:
                done += block.n_counted
                bar.advance(block.n_counted * passes)
                yield number, sums
        if done:
            self._context.progress.say(f"Going on from finished blocks, after {done:,} tokens")
        job = Job(
            f"{__name__}:measure_block",
            len(wanted),
            lambda i: blocks[wanted[i]],
            lambda i: blocks[wanted[i]].n_counted * passes,
            lambda i: f"the evaluation of sequences {blocks[wanted[i]].first:,} and on",
        )
        for place, arrays in self._engine().each(job, bar):
            if arrays is None:
                yield wanted[place], None
                return
            self._place(blocks[wanted[place]]).save(arrays)
            yield wanted[place], Sums.of_arrays(arrays, written)

    def _engine(self) -> Engine:
        engine, context = self._context.engine, self._context
        if engine is not None and engine.elsewhere:
            return engine
        return LocalEngine(
            lambda: Bench(
                context.config, context.model, context.saes, context.chosen, context.batches
            )
        )

    def _place(self, block: Block) -> Checkpoint:
        name = f"{KEPT}/{block.first}-{block.first + len(block.tokens)}"
        return self._context.checkpoint(self._stage, name)


def _restored(state: Arrays, written: Mapping[str, str]) -> Sums | None:
    """The sums of a kept block; None where it is of other SAEs."""
    try:
        return Sums.of_arrays(state, written)
    except KeyError:
        return None


def measure_block(bench: Bench, block: Block, told: Callable[[int], None]) -> Arrays | None:
    """A worker's task: the sums of a block as arrays; None where memory ran out."""
    saes = [bench.saes[slug] for slug in block.slugs]
    try:
        return block_sums(bench.model, saes, block, told).arrays()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None
