"""The texts of steering: prompts as the model reads them, and continuations of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from saereport.circuits.prompts import text_tokens
from saereport.config.steering import Positions, SteeringConfig
from saereport.intervene.generating import (
    EditsAt,
    NotFinite,
    Sampling,
    Step,
    continued,
    fastest,
    keeps_keys,
)
from saereport.intervene.steering import Direction, overflows, steering
from saereport.pipeline.context import Context
from saereport.pipeline.steering_prompts import prompts_of
from saereport.sources.text.templates import ends_of_turn, user_turn
from saereport.util.errors import SaereportError, shortened

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


def prompts_as_read(context: Context) -> list[SteeringPrompt]:
    """The prompts as the model reads them.

    Raises:
        SaereportError: One does not fit, or what is asked for has no place in it.
    """
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
    _require_positions(asked, found)
    return found


def _require_positions(asked: SteeringConfig, prompts: Sequence[SteeringPrompt]) -> None:
    """Refuse a range of positions that does not lie in the texts."""
    if asked.positions == "generated" and asked.new_tokens < 2:
        raise SaereportError(
            "With one new token there is none to steer at: it is drawn from the prompt alone.",
            "Give more steering.new_tokens, or steering.positions 'all'.",
        )
    if isinstance(asked.positions, str):
        return
    start, stop = asked.positions
    shortest = min(prompts, key=lambda prompt: len(prompt.tokens))
    # The last token that is drawn is run no more.
    ends = [len(prompt.tokens) + asked.new_tokens - 1 for prompt in prompts]
    if start >= min(ends):
        raise SaereportError(
            f"The positions to steer at, {start} to {stop}, begin behind the text of "
            f"'{shortened(shortest.text, 60)}': its {len(shortest.tokens):,} tokens and those that "
            f"follow are run at the positions 0 to {min(ends) - 1}.",
            "Give smaller steering.positions, or more steering.new_tokens.",
        )
    if stop > max(ends) + 1:
        raise SaereportError(
            f"The positions to steer at, {start} to {stop}, end behind every text: the longest has "
            f"{max(ends) + 1:,} tokens.",
            "Give smaller steering.positions, or 'all'.",
        )


def span_of(positions: Positions, prompt_tokens: int) -> tuple[int, int | None]:
    """The first position that is steered, and that before which it ends.

    Args:
        positions: What is asked for.
        prompt_tokens: Tokens of the prompt.
    """
    if isinstance(positions, tuple):
        return positions
    return (prompt_tokens if positions == "generated" else 0), None


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
        if self.asked.chat:
            stop |= ends_of_turn(context.model.tokenizer)
        self.sampling = Sampling(
            self.asked.temperature, self.asked.top_p, stop, self.asked.frequency_penalty
        )
        self.rows = max(1, min(MOST_ROWS, DRAWING_BYTES // (24 * context.model.d_vocab)))
        self._keeps: bool | None = None
        self._steps: dict[frozenset[str], Step | None] = {}

    @property
    def keeps(self) -> bool:
        """Whether keys and values are kept from token to token."""
        return self._keeps_keys(torch.tensor([self.prompts[0].tokens]))

    def texts(
        self,
        direction: Direction | None,
        steps: Sequence[int],
        told: Callable[[int], None],
        called: str = "",
    ) -> dict[Key, list[int]]:
        """Continuations of every prompt at some of the strengths.

        Args:
            direction: What strength 1 adds; None for nothing.
            steps: Places of the strengths in the sweep.
            told: Hears how many tokens are done.
            called: What is steered, for messages.

        Raises:
            SaereportError: The model's numbers overflow.
        """
        found: dict[Key, list[int]] = {}
        step = self._fastest(direction)
        for batch in self._batches(steps):
            found |= zip(batch, self._batch(direction, batch, (told, step), called), strict=True)
        return found

    def _fastest(self, direction: Direction | None) -> Step | None:
        """How passes are run fastest with a direction; tried on a prompt written twice.

        It is tried once for the places at which something is done, whatever is done there.
        """
        if not self.keeps:
            return None
        places = frozenset() if direction is None else frozenset(direction.vectors)
        if places not in self._steps:
            tokens = self._twice(torch.tensor([self.prompts[0].tokens]))
            ones = torch.ones(2)
            edits = {} if direction is None else steering(direction, ones, self.asked.form)
            self._steps[places] = fastest(self.context.model, tokens, edits)
        return self._steps[places]

    def n_batches(self, steps: Sequence[int]) -> int:
        """How often some texts are written together, for some of the strengths."""
        return len(self._batches(steps))

    def _batches(self, steps: Sequence[int]) -> list[list[Key]]:
        """Texts that are written together."""
        keys = [
            (number, step, sample)
            for number in range(len(self.prompts))
            for step in steps
            for sample in range(self.asked.samples)
        ]
        # Without padding nothing depends on how a model treats it: a batch has one length.
        lengths = sorted({len(prompt.tokens) for prompt in self.prompts})
        found = []
        for length in lengths:
            same = [key for key in keys if len(self.prompts[key[0]].tokens) == length]
            found += [same[first : first + self.rows] for first in range(0, len(same), self.rows)]
        return found

    def _batch(
        self,
        direction: Direction | None,
        keys: Sequence[Key],
        how: tuple[Callable[[int], None], Step | None],
        called: str,
    ) -> list[list[int]]:
        told, step = how
        tokens = torch.tensor([self.prompts[number].tokens for number, _, _ in keys])
        strengths = torch.tensor([self.sweep[step] for _, step, _ in keys], dtype=torch.float32)
        span = span_of(self.asked.positions, tokens.shape[1])
        edits: EditsAt = lambda first: (  # noqa: E731 - a name for what is asked at every step
            {}
            if direction is None
            else steering(direction, strengths, self.asked.form, span, first)
        )
        model, keep = self.context.model, self._keeps_keys(tokens[:1])
        try:
            return continued(
                model,
                tokens,
                edits,
                self._numbers(keys),
                self.sampling,
                keep_keys=step or keep,
                told=told,
            )
        except NotFinite as error:
            least = min((self.sweep[keys[row][1]] for row in error.rows), key=abs)
            raise too_strong(called or "the model without steering", least) from error

    def sample(self, direction: Direction, rows: int, new: int) -> list[list[int]]:
        """The beginnings of a few texts of the first prompt, to see how long they take."""
        tokens = torch.tensor([self.prompts[0].tokens]).repeat(rows, 1)
        strengths = torch.zeros(rows)
        edits = lambda first: steering(  # noqa: E731 - a name for what is asked at every step
            direction, strengths, self.asked.form, (0, None), first
        )
        at = torch.linspace(0, 0.9, rows)[:, None].repeat(1, new)
        never = replace(self.sampling, stop=frozenset())
        step = self._fastest(direction)
        return continued(self.context.model, tokens, edits, at, never, keep_keys=step or self.keeps)

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
            self._keeps = keeps_keys(self.context.model, self._twice(tokens), {})
            if not self._keeps:
                self.context.progress.say(
                    "The model's keys and values cannot be kept: every token is a whole pass"
                )
        return self._keeps

    def _twice(self, tokens: Tensor) -> Tensor:
        """Two rows of a prompt written twice, as far as the model's context holds that."""
        return tokens.repeat(2, 2)[:, : self.context.model.n_ctx]


def too_strong(called: str, strength: float) -> SaereportError:
    """The error for numbers that overflow."""
    return SaereportError(
        f"The model's numbers overflow when {called} is steered with strength {strength:g}.",
        "Give smaller steering.strengths, or another --dtype.",
    )


def require_finite(
    direction: Direction, sweep: Sequence[float], dtype: torch.dtype, called: str
) -> None:
    """Refuse a direction that overflows at a strength.

    Raises:
        SaereportError: It does; names the strength.
    """
    for strength in sorted(sweep, key=abs):
        if overflows(direction, strength, dtype):
            raise too_strong(called, strength)
