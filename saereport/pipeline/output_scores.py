"""Output scores of the shown latents of a build: what is turned up, on which prompts, how far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from saereport.circuits.prompts import text_tokens
from saereport.evaluate.output_scores import (
    Change,
    Prompt,
    Traits,
    Turned,
    changes,
    compared,
    compared_with,
    draw_controls,
    rank_weighted,
    rows_at_a_time,
)
from saereport.evaluate.sums import Floats
from saereport.intervene.steering import Direction, direction_of, overflows, why_not_steered
from saereport.measure import Columns
from saereport.measure.weights import WEIGHT_TABLES, WeightContext
from saereport.pipeline.context import Context
from saereport.pipeline.pass_time import pass_time
from saereport.pipeline.probe import PassTime, Probe
from saereport.pipeline.stage import Cost, Yielded
from saereport.pipeline.steering_prompts import NEUTRAL
from saereport.sources.saes.sae import Sae
from saereport.util.errors import SaereportError, first_few, shortened
from saereport.util.progress import Bar

TABLE = "output_scores"
MORE = (
    "From my experience,",
    "It is",
    "The other day",
    "We have been",
    "In the end",
)
"""Beginnings beside those that are steered on, so that there are enough for an interval."""
EACH = 4
"""Controls that are drawn for each latent, at least."""
FEWEST_CONTROLS = 5
"""With fewer there is nothing to compare with."""
FEW = 4
"""Rows whose logits are looked at to see what that takes."""
NORMS_AT_ONCE = 4096
"""Latents whose write norms are computed together."""


def score_prompts(context: Context) -> list[Prompt]:
    """The prompts on which latents are turned up, as the model reads them.

    Raises:
        SaereportError: One has no token, or more than the model takes.
    """
    model = context.model
    first = next(iter(context.saes.values()))
    bos = (model.bos_id,) if first.prepend_bos and model.bos_id is not None else ()
    found = []
    for text in context.config.output_scores.prompts or (*NEUTRAL, *MORE):
        tokens = text_tokens(model, text, bos)
        problem = ""
        if not tokens:
            problem = "has no token"
        elif len(tokens) > model.n_ctx:
            problem = f"has {len(tokens):,} tokens, and the model's context holds {model.n_ctx:,}"
        elif any(not 0 <= token < model.d_vocab for token in tokens):
            problem = "has a token that the model's vocabulary does not have"
        if problem:
            raise SaereportError(
                f"The neutral prompt '{shortened(text, 60)}' {problem}.",
                "Give others as output_scores.prompts, or --skip output_scores.",
            )
        found.append(tokens)
    return found


def scored(context: Context) -> Iterator[Yielded]:
    """The table of each SAE that can have one; for the others, the reason."""
    prompts = score_prompts(context)
    planned = {slug: _planned(context, slug) for slug in context.saes}
    n = sum(one.n_rows for one in planned.values() if isinstance(one, Planned)) * len(prompts)
    with context.progress.bar("Output scores", n, "row") as bar:
        for slug, one in planned.items():
            if isinstance(one, str):
                context.leave_out(slug, TABLE, one)
                continue
            columns = _columns(context, one, prompts, bar)
            if isinstance(columns, str):
                context.leave_out(slug, TABLE, columns)
            else:
                yield slug, TABLE, columns


@dataclass(frozen=True, eq=False)
class Planned:
    """What is turned up in one SAE.

    Attributes:
        sae: The SAE.
        maxima: Each shown latent that was active, and its largest activation on the text.
        controls: For each of them its own controls.
        traits: By what they were matched.
    """

    sae: Sae
    maxima: Mapping[int, float]
    controls: Sequence[NDArray[np.int64]]
    traits: Traits

    @property
    def n_rows(self) -> int:
        """How many latents are turned up."""
        return len(self.maxima) + sum(map(len, self.controls))


def _planned(context: Context, slug: str) -> Planned | str:
    """What is to be turned up, or why nothing is."""
    sae, asked = context.saes[slug], context.config.output_scores
    if reason := why_not_steered(sae):
        return reason
    if reason := WEIGHT_TABLES["logit_lens"].why_not(_subject(context, sae, [])):
        return f"it has no logit lens: {reason}"
    activity, every = context.table("activity", slug), context.table("sae_activity", slug)
    if activity is None or every is None:
        return "the activity of its latents was not measured"
    if len(context.latents[slug]) > asked.most_latents:
        return (
            f"more than {asked.most_latents:,} of its latents are shown "
            "(output_scores.most_latents)"
        )
    pairs = zip(np.asarray(activity["latent"]), np.asarray(activity["max"]), strict=True)
    traits = Traits(np.asarray(every["n_active"], dtype=np.int64), write_norms(sae))
    maxima = {
        int(latent): float(most) for latent, most in pairs if most > 0 and traits.norms[latent] > 0
    }
    if not maxima:
        return "none of the latents that are shown was active on the text"
    shown = np.array(sorted(maxima), dtype=np.int64)
    each = max(EACH, ceil(asked.controls / len(shown)))
    controls = draw_controls(traits, shown, each, context.config.seed)
    if sum(map(len, controls)) < FEWEST_CONTROLS:
        return f"fewer than {FEWEST_CONTROLS} live latents of it are not shown, to compare with"
    return Planned(sae, {latent: maxima[latent] for latent in shown.tolist()}, controls, traits)


def write_norms(sae: Sae) -> Floats:
    """The length of what one unit of each latent writes, over all its points, `[d_sae]`."""
    squares = np.zeros(sae.d_sae)
    for start in range(0, sae.d_sae, NORMS_AT_ONCE):
        index = torch.arange(start, min(start + NORMS_AT_ONCE, sae.d_sae))
        for place in range(len(sae.writes)):
            rows = sae.write_rows(index, place).detach().float()
            squares[start : start + len(index)] += rows.norm(dim=1).cpu().numpy().astype(float) ** 2
    return np.sqrt(squares)


def _subject(context: Context, sae: Sae, latents: Sequence[int]) -> WeightContext:
    return WeightContext(
        sae=sae,
        latents=np.array(latents, dtype=np.int64),
        tokens=context.token_rows,
        listed=context.config.output_scores.top_tokens,
    )


def _columns(
    context: Context, planned: Planned, prompts: Sequence[Prompt], bar: Bar
) -> Columns | str:
    """Table `output_scores` of one SAE, or why it has none."""
    sae, asked = planned.sae, context.config.output_scores
    shown = list(planned.maxima)
    length = {
        latent: asked.strength * most * planned.traits.norms[latent]
        for latent, most in planned.maxima.items()
    }
    lengths = dict(length)
    for latent, own in zip(shown, planned.controls, strict=True):
        lengths |= dict.fromkeys(own.tolist(), length[latent])
    turned = _turned(context, sae, {i: lengths[i] / planned.traits.norms[i] for i in lengths})
    found = changes(context.model, list(turned.values()), prompts, bar)
    usable = {latent: one for latent, one in zip(turned, found, strict=True) if one.usable}
    kept = [latent for latent in shown if latent in usable]
    if lost := [latent for latent in shown if latent not in usable]:
        context.warned.add(
            f"Latents without an output score: {first_few(lost)}. Turned up to {asked.strength:g} "
            "times their maximum, the model's numbers overflow.",
            about=sae.slug,
        )
    controls = sorted(usable.keys() - set(shown))
    if not kept or len(controls) < FEWEST_CONTROLS:
        return "the model's numbers overflow when its latents are turned up"
    near = compared_with(
        _places(planned.traits, kept, lengths),
        _places(planned.traits, controls, lengths),
        asked.controls,
    )
    rows = [
        _row(latent, usable, [controls[i] for i in places.tolist()])
        for latent, places in zip(kept, near, strict=True)
    ]
    return {
        "latent": kept,
        "strength": [asked.strength] * len(kept),
        "length": [lengths[latent] for latent in kept],
        "n_prompts": [len(prompts)] * len(kept),
        "top_tokens": [turned[latent].top for latent in kept],
        **{name: [row[name] for row in rows] for name in rows[0]},
    }


def _turned(context: Context, sae: Sae, activations: Mapping[int, float]) -> dict[int, Turned]:
    """Latents at an activation each, without those whose vectors overflow."""
    directions: dict[int, Direction] = {}
    for latent in sorted(activations):
        direction = direction_of(sae, latent, activations[latent])
        if not overflows(direction, 1.0, context.model.dtype):
            directions[latent] = direction
    lens = WEIGHT_TABLES["logit_lens"].compute(_subject(context, sae, list(directions)))
    tops = zip(directions.items(), lens["top_tokens"], strict=True)
    return {
        latent: Turned(direction, np.asarray(top, dtype=np.int64))
        for (latent, direction), top in tops
    }


def _places(traits: Traits, latents: Sequence[int], lengths: Mapping[int, float]) -> Floats:
    """Log density and log length of some latents, `[n, 2]`."""
    n_active = traits.n_active[list(latents)].astype(np.float64)
    places: Floats = np.log(np.stack([n_active, [lengths[latent] for latent in latents]], axis=1))
    return places


def _row(latent: int, found: Mapping[int, Change], controls: Sequence[int]) -> dict[str, Any]:
    own, others = found[latent], np.stack([found[one].score for one in controls])
    figures = compared(own.score, others)
    return {
        "score": figures.score,
        "interval": list(figures.interval or ()),
        "control": figures.control,
        "difference": figures.difference,
        "difference_interval": list(figures.difference_interval or ()),
        "percentile": figures.percentile,
        "log_ratio": own.log_ratio,
        "control_log_ratio": float(np.mean([found[one].log_ratio for one in controls])),
        "before": own.before.mean(axis=0).astype(np.float32),
        "after": own.after.mean(axis=0).astype(np.float32),
        "controls": np.array(controls, dtype=np.int32),
        "control_scores": others.mean(axis=1).astype(np.float32),
    }


def cost_of_scores(context: Context, probe: Probe) -> Cost:
    """What all rows will take, from a few of the first SAE's."""
    asked, prompts = context.config.output_scores, score_prompts(context)
    able = {
        slug: sae
        for slug, sae in context.saes.items()
        if not why_not_steered(sae) and len(context.latents[slug]) <= asked.most_latents
    }
    if not able:
        return Cost(seconds=0.0)
    rows = {slug: scored_rows(len(context.latents[slug]), asked.controls) for slug in able}
    model, passes = context.model, pass_time(context, probe)
    at_once = rows_at_a_time(model.d_vocab)
    logits = torch.zeros((min(FEW, at_once), model.d_vocab), dtype=model.dtype)
    top = torch.arange(min(asked.top_tokens, model.d_vocab)).repeat(len(logits), 1)
    with probe.sample() as sample:
        rank_weighted(logits.to(model.device), top)
    ranking = sample.seconds / len(logits)
    seconds = sum(
        seconds_of_scores(passes, n, [len(one) for one in prompts], at_once) for n in rows.values()
    )
    # Of each row the logits are looked at with it turned up and without.
    seconds += 2 * ranking * sum(rows.values()) * len(prompts)
    return Cost(
        seconds=seconds,
        host_bytes=max(sample.at_scale(at_once / len(logits)), passes.host_bytes),
        device_bytes=sample.device_bytes,
    )


def scored_rows(n_shown: int, controls: int) -> int:
    """Latents of an SAE that are turned up: those that are shown, and theirs to compare with.

    Args:
        n_shown: How many are shown.
        controls: With how many each is compared.
    """
    return n_shown + max(EACH * n_shown, controls)


def seconds_of_scores(passes: PassTime, rows: int, lengths: Sequence[int], at_once: int) -> float:
    """What the passes for one SAE take.

    Args:
        passes: What a pass takes.
        rows: Latents that are turned up, each on every prompt.
        lengths: Tokens of each prompt.
        at_once: Rows that go through the model together.
    """
    batches = sum(-(-lengths.count(length) * rows // at_once) for length in set(lengths))
    plain = passes.seconds(len(lengths), sum(lengths), len(lengths))
    turned = passes.seconds(batches, sum(lengths) * rows, len(lengths) * rows)
    return plain + turned
