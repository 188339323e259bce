"""Steered text for the latents of a build, and the tables that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from saereport.config.steering import Positions, parse_concepts
from saereport.evaluate.fidelity import sequences_at_a_time
from saereport.evaluate.proportions import difference, wilson
from saereport.evaluate.steering import (
    AtStrength,
    Gauge,
    Judged,
    best,
    judged,
    latent_gauge,
    occurrences,
    perplexity,
    window,
    word_finder,
)
from saereport.intervene.steering import Direction, direction_of, why_not_steered
from saereport.measure import Columns
from saereport.measure.weights import WEIGHT_TABLES, WeightContext
from saereport.pipeline.checkpoint import FinishedParts
from saereport.pipeline.context import Context
from saereport.pipeline.pass_time import pass_time
from saereport.pipeline.stage import Cost, Yielded
from saereport.pipeline.steering_directions import (
    Built,
    built,
    lens_of,
    nearest_latents,
    projected,
    require_directions,
)
from saereport.pipeline.steering_files import asked_directions
from saereport.pipeline.steering_prompts import prompts_of
from saereport.pipeline.steering_texts import (
    Key,
    SteeringPrompt,
    Writer,
    prompts_as_read,
    require_finite,
)
from saereport.run import TABLES
from saereport.run.columns import to_arrow
from saereport.sources.saes.sae import Sae
from saereport.sources.tokens import token_bytes
from saereport.util.errors import SaereportError

if TYPE_CHECKING:
    from saereport.pipeline.probe import Probe
    from saereport.pipeline.stage import Stage

LATENT_TABLES = ("steering_windows", "steering_strengths", "steered_texts")
DIRECTION_TABLES = (
    *("steering_directions", "direction_strengths", "directed_texts"),
    *("direction_latents", "direction_projections", "direction_examples"),
)
UNSTEERED = "unsteered"
"""What the unsteered texts are kept under."""
FEW, STEPS = 16, 3
"""Texts, and tokens of each, that are written to see what all will take."""


@dataclass(frozen=True, eq=False)
class Target:
    """Something that is steered.

    Attributes:
        name: What it is called.
        direction: What strength 1 adds.
        gauge: What is measured on the texts.
        top: The top tokens of its logit lens, int32[k]; none where there is no lens.
        words: Words of its concept; none where the top tokens are looked for.
    """

    name: str
    direction: Direction
    gauge: Gauge
    top: NDArray[np.int32]
    words: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Written:
    """The texts of a target.

    Attributes:
        target: What was steered.
        texts: Its continuations, the unsteered ones among them.
        judged: What is said of each.
        n_top: How many top tokens each holds.
        n_concept: How often its concept stands in each.
    """

    target: Target
    texts: Mapping[Key, list[int]]
    judged: Mapping[Key, Judged]
    n_top: Mapping[Key, int]
    n_concept: Mapping[Key, int]


def require_steerable(context: Context) -> list[SteeringPrompt]:
    """The prompts as the model reads them; refuses what cannot be done.

    Raises:
        SaereportError: Latents of an SAE cannot be turned up, or a prompt does not fit.
    """
    for slug, chosen in context.chosen.items():
        reason = why_not_steered(context.saes[slug]) if chosen.steered else ""
        if reason:
            raise SaereportError(
                f"The latents of {slug} cannot be steered: {reason}.",
                "Steer latents of another SAE, or leave these out of 'steer'.",
            )
    require_directions(context)
    return prompts_as_read(context)


def number_of_texts(context: Context) -> int:
    """How many continuations are written: the unsteered ones once for all that is steered."""
    asked = context.config.steering
    targets = sum(
        len(set(chosen.steered) - context.hidden(slug)) for slug, chosen in context.chosen.items()
    )
    targets += len(asked_directions(asked.directions))
    each = len(prompts_of(context.config)) * asked.samples
    return each * (1 + targets * (len(asked.sweep) - 1))


def steered(context: Context, stage: Stage) -> Iterator[Yielded]:
    """The tables of steering; what was finished before is not written anew.

    Raises:
        SaereportError: What a strength adds, or the model's numbers with it, overflow.
        OSError: The disk is full.
    """
    writer, kept = Writer(context, prompts_as_read(context)), context.finished(stage)
    yield None, "steering_prompts", _prompt_rows(writer.prompts)
    n_tokens = number_of_texts(context) * writer.asked.new_tokens
    with context.progress.bar("Steering", n_tokens, "token") as bar:
        told = bar.advance
        plain = _unsteered(writer, kept.load(UNSTEERED), told)
        kept.save(UNSTEERED, {"texts": _as_rows(plain)})
        each = len(plain) * (len(writer.sweep) - 1) * writer.asked.new_tokens
        for slug, chosen in context.chosen.items():
            maxima = _with_a_scale(context, slug, chosen.steered)
            top = _top_tokens(context, context.saes[slug], list(maxima)) if maxima else {}
            found = []
            for latent, largest in maxima.items():
                part = f"{slug}.{latent}"
                tables = kept.load(part)
                if tables is None:
                    target = _of_latent(context, context.saes[slug], latent, largest, top[latent])
                    written = write(writer, target, plain, told)
                    tables = _latent_tables(writer, written, latent, largest)
                    kept.save(part, tables)
                else:
                    context.progress.say(f"Steering with {part} was finished before; using it")
                    told(each)
                found.append(tables)
            if found:
                yield from _concatenated(slug, found)
            elif chosen.steered:
                reason = "none of the latents to steer was active on the text and is not blinded"
                context.leave_out_all(slug, LATENT_TABLES, reason)
        yield from _directions(writer, kept, plain, told)


def _directions(
    writer: Writer,
    kept: FinishedParts,
    plain: Mapping[Key, list[int]],
    told: Callable[[int], None],
) -> Iterator[Yielded]:
    """The tables of directions that are steered beside latents."""
    context, found = writer.context, []
    for number, one in enumerate(asked_directions(context.config.steering.directions)):
        part = f"direction.{number}"
        tables = kept.load(part)
        if tables is None:
            made = built(context, one)
            if made is None:
                context.warned.add(
                    f"The direction '{one.name}' is not steered: none of its latents was active."
                )
                continue
            tables = _direction_tables(writer, made, number, plain, told)
            kept.save(part, tables)
        else:
            context.progress.say(f"Steering with '{one.name}' was finished before; using it")
            told(len(plain) * (len(writer.sweep) - 1) * writer.asked.new_tokens)
        found.append(tables)
    for name in DIRECTION_TABLES:
        if own := [tables[name] for tables in found if name in tables]:
            whole = pa.concat_tables(own)
            yield None, name, {column: whole.column(column) for column in whole.column_names}


def _direction_tables(
    writer: Writer,
    made: Built,
    number: int,
    plain: Mapping[Key, list[int]],
    told: Callable[[int], None],
) -> dict[str, pa.Table]:
    """What is known of a direction, and its texts."""
    context, name = writer.context, made.asked.name
    lens = lens_of(context, made, writer.asked.top_tokens)
    top = np.asarray(lens["top_tokens"], dtype=np.int32)
    target = Target(name, made.direction, made.gauge, top, concept_of(context, name))
    written = write(writer, target, plain, told)
    # That a projection is not zero says nothing, so there is one sign of an effect.
    rows = [
        {key: value for key, value in row.items() if key not in ("n_active", "share_active")}
        for row in strength_rows(writer, written)
    ]
    about = {
        "name": name,
        "kind": made.asked.config.kind,
        "hooks": made.hooks,
        "unit": made.unit,
        "saes": [slug for slug, *_ in made.terms],
        "latents": [latent for _, latent, *_ in made.terms],
        "weights": [weight for _, _, weight, _ in made.terms],
        **{key: lens[key] for key in ("top_values", "bottom_tokens", "bottom_values")},
        **window_row(writer, target, rows),
    }
    found = {
        "steering_directions": [about],
        "direction_strengths": rows,
        "directed_texts": text_rows(writer, written),
        "direction_latents": nearest_latents(context, made),
    }
    if (seen := projected(context, made)) is not None:
        found |= {"direction_projections": [seen.numbers], "direction_examples": seen.examples}
    return {name: as_table(name, rows, direction=number) for name, rows in found.items() if rows}


def _concatenated(slug: str | None, found: Sequence[Mapping[str, pa.Table]]) -> Iterator[Yielded]:
    for name in found[0]:
        whole = pa.concat_tables([tables[name] for tables in found])
        yield slug, name, {column: whole.column(column) for column in whole.column_names}


def _unsteered(
    writer: Writer, kept: Mapping[str, pa.Table] | None, told: Callable[[int], None]
) -> dict[Key, list[int]]:
    """The texts without steering, which all that is steered is compared with."""
    if kept is None or "texts" not in kept:
        return writer.texts(None, [writer.sweep.index(0.0)], told)
    rows = kept["texts"].to_pylist()
    told(len(rows) * writer.asked.new_tokens)
    return {(row["prompt"], row["step"], row["sample"]): row["tokens"] for row in rows}


def _as_rows(texts: Mapping[Key, list[int]]) -> pa.Table:
    names = ("prompt", "step", "sample")
    keys = {name: [key[place] for key in texts] for place, name in enumerate(names)}
    return pa.table({**keys, "tokens": list(texts.values())})


def _with_a_scale(context: Context, slug: str, latents: Sequence[int]) -> dict[int, float]:
    """Those of an SAE's latents that have a maximum on the text; of the others a reader is told."""
    activity = context.table("activity", slug)
    if activity is None:
        return {}
    pairs = zip(np.asarray(activity["latent"]), np.asarray(activity["max"]), strict=True)
    largest = {int(latent): float(most) for latent, most in pairs}
    hidden = context.hidden(slug)
    for latent in latents:
        if latent in hidden:
            context.warned.add(
                f"Latent {latent} is not steered: it is blinded, and the report would hold nothing "
                "of what it makes the model write.",
                about=slug,
            )
        elif not largest.get(latent, 0.0) > 0:
            context.warned.add(
                f"Latent {latent} is not steered: it was never active on this text, and strengths "
                "are multiples of its maximum.",
                about=slug,
            )
    steered = [latent for latent in latents if latent not in hidden]
    return {latent: largest[latent] for latent in steered if largest.get(latent, 0.0) > 0}


def _of_latent(
    context: Context, sae: Sae, latent: int, largest: float, top: NDArray[np.int32]
) -> Target:
    name = f"{sae.slug}.{latent}"
    words = concept_of(context, name)
    return Target(name, direction_of(sae, latent, largest), latent_gauge(sae, latent), top, words)


def concept_of(context: Context, name: str) -> tuple[str, ...]:
    """The words that are looked for where something is steered; none where nothing says so."""
    steered = {slug: chosen.steered for slug, chosen in context.chosen.items()}
    asked = context.config.steering
    others = [one.name for one in asked_directions(asked.directions)]
    found = parse_concepts(asked.concept, steered, dict(context.widths), others)
    return found.get(name, ())


def write(
    writer: Writer, target: Target, plain: Mapping[Key, list[int]], told: Callable[[int], None]
) -> Written:
    """The texts of a target at every strength, and what is said of them.

    Args:
        writer: Writes them.
        target: What is steered.
        plain: The texts without steering.
        told: Hears how many tokens are done.

    Raises:
        SaereportError: What a strength adds, or the model's numbers with it, overflow.
    """
    dtype = writer.context.model.dtype
    require_finite(target.direction, writer.sweep, dtype, target.name)
    steps = [step for step, strength in enumerate(writer.sweep) if strength]
    texts = {**plain, **writer.texts(target.direction, steps, told, target.name)}
    tokenizer = writer.context.model.tokenizer
    n_top = {key: occurrences(tokens, target.top) for key, tokens in texts.items()}
    n_concept = n_top
    if target.words:
        find = word_finder(target.words)
        n_concept = {key: find(_as_text(tokenizer, tokens)) for key, tokens in texts.items()}
    return Written(target, texts, _judged(writer, target.gauge, texts), n_top, n_concept)


def _as_text(tokenizer: Any, tokens: Sequence[int]) -> str:
    return b"".join(token_bytes(tokenizer, tokens)).decode("utf-8", "replace")


def _top_tokens(context: Context, sae: Sae, latents: Sequence[int]) -> dict[int, NDArray[np.int32]]:
    """The top tokens of each latent's logit lens; none where there is no lens."""
    lens = WEIGHT_TABLES["logit_lens"]
    subject = WeightContext(
        sae=sae,
        latents=np.array(latents, dtype=np.int64),
        tokens=context.token_rows,
        listed=context.config.steering.top_tokens,
    )
    if lens.why_not(subject):
        return {latent: np.zeros(0, dtype=np.int32) for latent in latents}
    found = lens.compute(subject)["top_tokens"]
    return {
        latent: np.asarray(row, dtype=np.int32) for latent, row in zip(latents, found, strict=True)
    }


def _judged(writer: Writer, gauge: Gauge, texts: Mapping[Key, list[int]]) -> dict[Key, Judged]:
    """What is said of texts."""
    model = writer.context.model
    found: dict[Key, Judged] = {}
    for number, prompt in enumerate(writer.prompts):
        keys = sorted(key for key in texts if key[0] == number)
        size = sequences_at_a_time(len(prompt.tokens) + writer.asked.new_tokens, model.d_vocab)
        for first in range(0, len(keys), size):
            here = keys[first : first + size]
            said = judged(model, gauge, prompt.tokens, [texts[key] for key in here])
            found |= zip(here, said, strict=True)
    return found


# ---- what all of it will take


def cost_of_steering(context: Context, probe: Probe) -> Cost:
    """What all texts will take, from a few tokens of one text and of several."""
    writer = Writer(context, prompts_as_read(context))
    prompt, new = writer.prompts[0], writer.asked.new_tokens
    work = work_of(writer, number_of_texts(context))
    steps, few = min(STEPS, new), min(FEW, work.texts)
    target, passes = _any_target(context), pass_time(context, probe)
    # What is loaded and found out at the first pass is no part of each.
    writer.sample(target.direction, 1, 1)
    with probe.sample() as one:
        writer.sample(target.direction, 1, steps)
    with probe.sample() as more:
        writer.sample(target.direction, few, steps)
    each = run_tokens(len(prompt.tokens), steps, keeps=writer.keeps)
    seconds = (one.seconds, more.seconds)
    pass_, token = passes_and_tokens(steps, (each, few * each), seconds)
    return Cost(
        seconds=work.batches * new * pass_
        + work.tokens * token
        + passes.seconds(work.read_batches, work.read_tokens, work.read_tokens),
        host_bytes=max(more.host_bytes, passes.host_bytes),
        device_bytes=more.device_bytes,
    )


@dataclass(frozen=True)
class Work:
    """How much is written and read.

    Attributes:
        texts: Texts that are written.
        batches: How often some of them are written together.
        tokens: Tokens that go through the model for that.
        read_batches: How often the unsteered model reads some of them: all strengths of a target,
            with the unsteered texts each time.
        read_tokens: Tokens of these.
    """

    texts: int
    batches: int
    tokens: int
    read_batches: int
    read_tokens: int


def work_of(writer: Writer, texts: int) -> Work:
    """How much there is to write and to read.

    Args:
        writer: Writes them.
        texts: How many there are, the unsteered ones among them.
    """
    asked, d_vocab = writer.asked, writer.context.model.d_vocab
    lengths, new = [len(prompt.tokens) for prompt in writer.prompts], writer.asked.new_tokens
    steered = [step for step, strength in enumerate(writer.sweep) if strength]
    of_a_prompt = texts // len(lengths)
    targets = (of_a_prompt // asked.samples - 1) // len(steered)
    read = len(writer.sweep) * asked.samples
    written = sum(run_tokens(length, new, keeps=writer.keeps) for length in lengths)
    batches = sum(-(-read // sequences_at_a_time(length + new, d_vocab)) for length in lengths)
    return Work(
        texts=texts,
        batches=writer.n_batches([0]) + targets * writer.n_batches(steered),
        tokens=of_a_prompt * written,
        read_batches=targets * batches,
        read_tokens=targets * read * sum(length + new for length in lengths),
    )


def run_tokens(prompt: int, new: int, *, keeps: bool) -> int:
    """Tokens that go through the model while a text is written; the last one drawn does not.

    Args:
        prompt: Tokens of its prompt.
        new: Tokens that are drawn.
        keeps: Whether keys and values are kept; else each token is a pass over all before it.
    """
    return prompt + new - 1 if keeps else new * prompt + new * (new - 1) // 2


def passes_and_tokens(
    n_passes: int, tokens: Sequence[int], seconds: tuple[float, float]
) -> tuple[float, float]:
    """Seconds of a pass whatever it is over, and of each token, of two samples.

    Args:
        n_passes: Passes of each of them.
        tokens: Tokens of the smaller and of the larger one.
        seconds: What they took.
    """
    (few, many), (one, more) = tokens, seconds
    token = max(more - one, 0.0) / (many - few) if many > few else 0.0
    # Noise must not make a pass take less than nothing.
    return max(one - token * few, 0.0) / n_passes, token


def _any_target(context: Context) -> Target:
    """A latent that is to be steered, at an activation of one."""
    top = np.zeros(0, np.int32)
    for slug, chosen in context.chosen.items():
        if chosen.steered:
            return _of_latent(context, context.saes[slug], chosen.steered[0], 1.0, top)
    sae = next(iter(context.saes.values()))
    return Target("", Direction({}), latent_gauge(sae, 0), top)


# ---- tables


def _prompt_rows(prompts: Sequence[SteeringPrompt]) -> Columns:
    return {
        "prompt": np.arange(len(prompts), dtype=np.int32),
        "text": [prompt.text for prompt in prompts],
        "built_in": np.array([prompt.built_in for prompt in prompts], dtype=np.bool_),
        "tokens": [np.array(prompt.tokens, dtype=np.int32) for prompt in prompts],
    }


def strength_rows(writer: Writer, written: Written) -> list[dict[str, Any]]:
    """What is said of all texts of a target at each strength."""
    rows = [_strength_row(writer, written, step) for step in range(len(writer.sweep))]
    plain = next(row for row in rows if row["strength"] == 0)
    for row in rows:
        counts = row["n_with_concept"], row["n_texts"]
        found, low, high = difference(*counts, plain["n_with_concept"], plain["n_texts"])
        if row is plain:
            found = low = high = 0.0
        row |= {"difference": found, "difference_interval": [low, high]}
    return rows


def _strength_row(writer: Writer, written: Written, step: int) -> dict[str, Any]:
    keys = sorted(key for key in written.texts if key[1] == step)
    here, n = [written.judged[key] for key in keys], len(keys)
    n_tokens = sum(one.n_tokens for one in here)
    n_with_top, n_with_concept = (
        sum(found[key] > 0 for key in keys) for found in (written.n_top, written.n_concept)
    )
    n_active = sum(one.peak != 0 for one in here)
    return {
        "step": step,
        "strength": writer.sweep[step],
        "n_texts": n,
        "n_tokens": n_tokens,
        "perplexity": perplexity(sum(one.nats for one in here), n_tokens),
        "n_with_top": n_with_top,
        "share_with_top": n_with_top / n,
        "n_with_concept": n_with_concept,
        "share_with_concept": n_with_concept / n,
        "concept_interval": list(wilson(n_with_concept, n)),
        "activation": float(np.mean([one.mean for one in here])),
        "n_active": n_active,
        "share_active": n_active / n,
    }


def window_row(writer: Writer, target: Target, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where steering works, and how well at its best.

    Args:
        writer: Who wrote the texts.
        target: What was steered.
        rows: Its `strength_rows`.
    """
    found = [
        AtStrength(
            row["strength"],
            row["n_texts"],
            row["n_with_concept"],
            row.get("n_active", 0),
            row["perplexity"],
        )
        for row in rows
    ]
    visible, broken = window(found)
    most = best(found)
    return {
        "form": writer.asked.form,
        "positions": positions_in_words(writer.asked.positions),
        "norm": target.direction.norm,
        "top_tokens": target.top,
        "words": list(target.words),
        "visible_from": visible,
        "broken_from": broken,
        "best": most.strength,
        "effect": most.effect,
        "effect_interval": list(most.interval),
        "perplexity_ratio": most.perplexity_ratio,
    }


def positions_in_words(positions: Positions) -> str:
    """`all`, `generated`, or the first and the last of a range: `5 to 19`."""
    return positions if isinstance(positions, str) else f"{positions[0]} to {positions[1] - 1}"


def text_rows(writer: Writer, written: Written) -> list[dict[str, Any]]:
    """Each text with what is said of it."""
    return [
        {
            "prompt": key[0],
            "step": key[1],
            "sample": key[2],
            "strength": writer.sweep[key[1]],
            "tokens": np.array(written.texts[key], dtype=np.int32),
            "perplexity": written.judged[key].perplexity,
            "mean_activation": written.judged[key].mean,
            "max_activation": written.judged[key].peak,
            "n_top_tokens": written.n_top[key],
            "n_concept": written.n_concept[key],
        }
        for key in sorted(written.texts)
    ]


def _latent_tables(
    writer: Writer, written: Written, latent: int, largest: float
) -> dict[str, pa.Table]:
    rows = strength_rows(writer, written)
    window_ = {"max": largest, **window_row(writer, written.target, rows)}
    found = dict(zip(LATENT_TABLES, ([window_], rows, text_rows(writer, written)), strict=True))
    return {name: as_table(name, rows, latent=latent) for name, rows in found.items()}


def as_table(name: str, rows: Sequence[Mapping[str, Any]], **key: int) -> pa.Table:
    """Rows of a table of the run, each with what they are about in front."""
    whole = [{**key, **row} for row in rows]
    return to_arrow(TABLES[name], {column: [row[column] for row in whole] for column in whole[0]})
