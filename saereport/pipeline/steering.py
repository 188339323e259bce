"""Steered text for the latents of a build, and the tables that come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.circuits.prompts import text_tokens
from saereport.config.steering import SteeringConfig
from saereport.evaluate.fidelity import sequences_at_a_time
from saereport.evaluate.steering import (
    AtStrength,
    Judged,
    judged,
    occurrences,
    perplexity,
    window,
)
from saereport.intervene.generating import NotFinite, Sampling, continued, keeps_keys
from saereport.intervene.steering import (
    Direction,
    direction_of,
    overflows,
    steering,
    why_not_steered,
)
from saereport.measure import Columns
from saereport.measure.weights import WEIGHT_TABLES, WeightContext
from saereport.pipeline.context import Context
from saereport.pipeline.stage import Yielded
from saereport.pipeline.steering_prompts import prompts_of
from saereport.sources.saes.sae import Sae
from saereport.sources.text.templates import user_turn
from saereport.util.errors import SaereportError, shortened
from saereport.util.progress import Bar

DRAWING_BYTES = 256 * 2**20
"""What logits and what is made of them when tokens are drawn may take."""
MOST_ROWS = 256
"""Sequences that are continued at a time, at most."""

Key = tuple[int, int, int]
"""A text: number of its prompt, place of its strength, number of the sample."""


@dataclass(frozen=True)
class SteeringPrompt:
    """A prompt to steer on.

    Attributes:
        text: What it says.
        built_in: Whether it is one of the neutral ones.
        tokens: What the model reads.
    """

    text: str
    built_in: bool
    tokens: tuple[int, ...]


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
    return _prompts(context)


def _prompts(context: Context) -> list[SteeringPrompt]:
    model, asked = context.model, context.config.steering
    first = next(iter(context.saes.values()))
    bos = (model.bos_id,) if first.prepend_bos and model.bos_id is not None else ()
    found = []
    for text, built_in in prompts_of(context.config):
        if asked.chat:
            written = user_turn(text, model.tokenizer, model.name)
            tokens = text_tokens(model, written, ())
        else:
            tokens = text_tokens(model, text, bos)
        said = f"The prompt to steer on '{shortened(text, 60)}'"
        if not tokens:
            raise SaereportError(f"{said} has no token.", "Write another one.")
        if len(tokens) + asked.new_tokens > model.n_ctx:
            raise SaereportError(
                f"{said} has {len(tokens):,} tokens; with {asked.new_tokens:,} new ones that is "
                f"more than the {model.n_ctx:,} of the model's context.",
                "Make it shorter, or lower steering.new_tokens.",
            )
        if beyond := [token for token in tokens if not 0 <= token < model.d_vocab]:
            raise SaereportError(
                f"{said} has token {beyond[0]}, which the model's vocabulary of "
                f"{model.d_vocab:,} does not have.",
                "Write another one.",
            )
        found.append(SteeringPrompt(text, built_in, tokens))
    return found


def number_of_texts(context: Context) -> int:
    """How many continuations are written: the unsteered ones once for all latents."""
    asked = context.config.steering
    latents = sum(len(chosen.steered) for chosen in context.chosen.values())
    each = len(prompts_of(context.config)) * asked.samples
    return each * (1 + latents * (len(asked.sweep) - 1))


def steered(context: Context) -> Iterator[Yielded]:
    """The tables of steering.

    Raises:
        SaereportError: What a strength adds, or the model's numbers with it, overflow.
    """
    writer = Writer(context, _prompts(context))
    yield None, "steering_prompts", _prompt_rows(writer.prompts)
    with context.progress.bar("Steering", number_of_texts(context), "text") as bar:
        plain = writer.texts(None, [writer.sweep.index(0.0)], bar)
        for slug, chosen in context.chosen.items():
            latents = _with_a_scale(context, slug, chosen.steered)
            if latents:
                yield from _of_sae(writer, context.saes[slug], latents, plain, bar)
            elif chosen.steered:
                names = ("steering_windows", "steering_strengths", "steered_texts")
                context.leave_out_all(slug, names, "no steered latent was active on the text")


def _with_a_scale(context: Context, slug: str, latents: Sequence[int]) -> dict[int, float]:
    """Those of an SAE's latents that have a maximum on the text; of the others a reader is told."""
    activity = context.table("activity", slug)
    if activity is None:
        return {}
    pairs = zip(np.asarray(activity["latent"]), np.asarray(activity["max"]), strict=True)
    largest = {int(latent): float(most) for latent, most in pairs}
    for latent in latents:
        if not largest.get(latent, 0.0) > 0:
            context.warned.add(
                f"Latent {latent} is not steered: it was never active on this text, and strengths "
                "are multiples of its maximum.",
                about=slug,
            )
    return {latent: largest[latent] for latent in latents if largest.get(latent, 0.0) > 0}


class Writer:
    """Writes continuations of the prompts of a build.

    Args:
        context: The build.
        prompts: Its prompts to steer on.
    """

    def __init__(self, context: Context, prompts: Sequence[SteeringPrompt]) -> None:
        self.context = context
        self.asked: SteeringConfig = context.config.steering
        self.prompts = prompts
        self.sweep = self.asked.sweep
        ends = getattr(context.model.tokenizer, "eos_token_id", None)
        stop = frozenset() if ends is None else frozenset([int(ends)])
        self.sampling = Sampling(self.asked.temperature, self.asked.top_p, stop)
        self._keeps: bool | None = None

    def texts(
        self, direction: Direction | None, steps: Sequence[int], bar: Bar, called: str = ""
    ) -> dict[Key, list[int]]:
        """Continuations of every prompt at some of the strengths.

        Args:
            direction: What strength 1 adds; None for nothing.
            steps: Places of the strengths in the sweep.
            bar: Counts the texts.
            called: What is steered, for messages.

        Raises:
            SaereportError: The model's numbers overflow.
        """
        keys = [
            (number, step, sample)
            for number in range(len(self.prompts))
            for step in steps
            for sample in range(self.asked.samples)
        ]
        # Without padding nothing depends on how a model treats it: a batch has one length.
        lengths = sorted({len(prompt.tokens) for prompt in self.prompts})
        rows = max(1, min(MOST_ROWS, DRAWING_BYTES // (24 * self.context.model.d_vocab)))
        found: dict[Key, list[int]] = {}
        for length in lengths:
            same = [key for key in keys if len(self.prompts[key[0]].tokens) == length]
            for first in range(0, len(same), rows):
                batch = same[first : first + rows]
                found |= zip(batch, self._batch(direction, batch, called), strict=True)
                bar.advance(len(batch))
        return found

    def _batch(
        self, direction: Direction | None, keys: Sequence[Key], called: str
    ) -> list[list[int]]:
        tokens = torch.tensor([self.prompts[number].tokens for number, _, _ in keys])
        strengths = torch.tensor([self.sweep[step] for _, step, _ in keys], dtype=torch.float32)
        edits = {} if direction is None else steering(direction, strengths, self.asked.form)
        model, keep = self.context.model, self._keeps_keys(tokens[:1])
        try:
            return continued(
                model, tokens, edits, self._numbers(keys), self.sampling, keep_keys=keep
            )
        except NotFinite as error:
            least = min((self.sweep[keys[row][1]] for row in error.rows), key=abs)
            raise _too_strong(called or "the model without steering", least) from error

    def _numbers(self, keys: Sequence[Key]) -> Tensor:
        """The random numbers of each text: of its prompt and its sample, whatever the strength."""
        seed, n = self.context.config.seed, self.asked.new_tokens
        drawn = [
            np.random.default_rng([seed, number, sample]).random(n, dtype=np.float32)
            for number, _, sample in keys
        ]
        return torch.from_numpy(np.stack(drawn))

    def _keeps_keys(self, tokens: Tensor) -> bool:
        """Whether keys and values are kept; tried once, on a prompt written twice."""
        if self._keeps is None:
            self._keeps = keeps_keys(self.context.model, tokens.repeat(2, 2), {})
            if not self._keeps:
                self.context.progress.say(
                    "The model's keys and values cannot be kept: every token is a whole pass"
                )
        return self._keeps


def _too_strong(called: str, strength: float) -> SaereportError:
    return SaereportError(
        f"The model's numbers overflow when {called} is steered with strength {strength:g}.",
        "Give smaller steering.strengths, or another --dtype.",
    )


def _of_sae(
    writer: Writer,
    sae: Sae,
    maxima: Mapping[int, float],
    plain: Mapping[Key, list[int]],
    bar: Bar,
) -> Iterator[Yielded]:
    """The tables of one SAE's steered latents."""
    steps = [step for step, strength in enumerate(writer.sweep) if strength]
    top = _top_tokens(writer.context, sae, list(maxima))
    latents: list[Latent] = []
    for latent, largest in maxima.items():
        called = f"{sae.slug}.{latent}"
        direction = direction_of(sae, latent, largest)
        for strength in writer.sweep:
            if overflows(direction, strength, writer.context.model.dtype):
                raise _too_strong(called, strength)
        texts = {**plain, **writer.texts(direction, steps, bar, called)}
        latents.append(Latent(latent, largest, direction.norm, top[latent], texts))
    unsteered = _judged(writer, sae, list(maxima), plain)
    for place, one in enumerate(latents):
        own = {key: tokens for key, tokens in one.texts.items() if key not in plain}
        (found,) = _judged(writer, sae, [one.latent], own)
        one.judged = {**unsteered[place], **found}
    yield sae.slug, "steering_windows", _windows(writer, latents)
    yield sae.slug, "steering_strengths", _strengths(writer, latents)
    yield sae.slug, "steered_texts", _texts(writer, latents)


@dataclass(eq=False)
class Latent:
    """A steered latent.

    Attributes:
        latent: Its number.
        max: Its largest activation on the text.
        norm: The length of what strength 1 adds.
        top: The top tokens of its logit lens, int32[k]; none where there is no lens.
        texts: Its continuations, the unsteered ones among them.
        judged: What is said of each.
    """

    latent: int
    max: float
    norm: float
    top: NDArray[np.int32]
    texts: Mapping[Key, list[int]]
    judged: Mapping[Key, Judged] | None = None

    def said(self) -> Iterator[tuple[Key, list[int], Judged, int]]:
        """Each text by its key, in order, with what is said of it and its top tokens."""
        found = self.judged or {}
        for key in sorted(self.texts):
            tokens = self.texts[key]
            yield key, tokens, found[key], occurrences(tokens, self.top)


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


def _judged(
    writer: Writer, sae: Sae, latents: Sequence[int], texts: Mapping[Key, list[int]]
) -> list[dict[Key, Judged]]:
    """What is said of texts, for each latent."""
    model = writer.context.model
    found: list[dict[Key, Judged]] = [{} for _ in latents]
    for number, prompt in enumerate(writer.prompts):
        keys = sorted(key for key in texts if key[0] == number)
        size = sequences_at_a_time(len(prompt.tokens) + writer.asked.new_tokens, model.d_vocab)
        for first in range(0, len(keys), size):
            some = keys[first : first + size]
            said = judged(model, sae, latents, prompt.tokens, [texts[key] for key in some])
            for place, of_latent in enumerate(said):
                found[place] |= zip(some, of_latent, strict=True)
    return found


def _prompt_rows(prompts: Sequence[SteeringPrompt]) -> Columns:
    return {
        "prompt": np.arange(len(prompts), dtype=np.int32),
        "text": [prompt.text for prompt in prompts],
        "built_in": np.array([prompt.built_in for prompt in prompts], dtype=np.bool_),
        "tokens": [np.array(prompt.tokens, dtype=np.int32) for prompt in prompts],
    }


def _at_strengths(writer: Writer, one: Latent) -> list[dict[str, Any]]:
    """Rows of `steering_strengths` of one latent."""
    rows = []
    said = list(one.said())
    for step, strength in enumerate(writer.sweep):
        here = [(verdict, n_top) for key, _, verdict, n_top in said if key[1] == step]
        n_with_top = sum(n_top > 0 for _, n_top in here)
        n_active = sum(verdict.peak != 0 for verdict, _ in here)
        n_tokens = sum(verdict.n_tokens for verdict, _ in here)
        rows.append(
            {
                "latent": one.latent,
                "step": step,
                "strength": strength,
                "n_texts": len(here),
                "n_tokens": n_tokens,
                "perplexity": perplexity(sum(v.nats for v, _ in here), n_tokens),
                "n_with_top": n_with_top,
                "share_with_top": n_with_top / len(here),
                "activation": float(np.mean([v.mean for v, _ in here])),
                "n_active": n_active,
                "share_active": n_active / len(here),
            }
        )
    return rows


def _strengths(writer: Writer, latents: Sequence[Latent]) -> Columns:
    return _columns([row for one in latents for row in _at_strengths(writer, one)])


def _windows(writer: Writer, latents: Sequence[Latent]) -> Columns:
    rows = []
    for one in latents:
        found = [
            AtStrength(**{field.name: row[field.name] for field in fields(AtStrength)})
            for row in _at_strengths(writer, one)
        ]
        visible, broken = window(found)
        rows.append(
            {
                "latent": one.latent,
                "form": writer.asked.form,
                "max": one.max,
                "norm": one.norm,
                "top_tokens": one.top,
                "visible_from": visible,
                "broken_from": broken,
            }
        )
    return _columns(rows)


def _texts(writer: Writer, latents: Sequence[Latent]) -> Columns:
    rows = []
    for one in latents:
        for (number, step, sample), tokens, verdict, n_top in one.said():
            rows.append(
                {
                    "latent": one.latent,
                    "prompt": number,
                    "step": step,
                    "sample": sample,
                    "strength": writer.sweep[step],
                    "tokens": np.array(tokens, dtype=np.int32),
                    "perplexity": verdict.perplexity,
                    "mean_activation": verdict.mean,
                    "max_activation": verdict.peak,
                    "n_top_tokens": n_top,
                }
            )
    return _columns(rows)


def _columns(rows: Sequence[Mapping[str, Any]]) -> Columns:
    return {name: [row[name] for row in rows] for name in rows[0]}
