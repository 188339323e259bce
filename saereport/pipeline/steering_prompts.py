"""The prompts that are steered on: neutral ones that are built in, and the user's own."""

from __future__ import annotations

from saereport.config.build import BuildConfig
from saereport.config.steering import MOST_PROMPTS
from saereport.pipeline.stages.mean_gradients import read_lines
from saereport.util.errors import SaereportError, UsageError, first_few

NEUTRAL = (
    "I think that",
    "Once upon a time",
    "Yesterday I went to",
    "The most important thing is",
    "My friend told me",
)
"""Beginnings that ask for nothing in particular."""
NEUTRAL_TURNS = (
    "Tell me a short story.",
    "How are you today?",
    "What should I do this weekend?",
    "Describe a place that you like.",
    "Give me some advice.",
)
"""What a user may say who asks for nothing in particular."""


def prompts_of(config: BuildConfig) -> list[tuple[str, bool]]:
    """The prompts that are steered on, in order, each with whether it is built in.

    Raises:
        SaereportError: The file of prompts cannot be read or holds none.
        UsageError: There is no prompt, one is empty, or there are too many.
    """
    asked = config.steering
    built_in = (NEUTRAL_TURNS if asked.chat else NEUTRAL) if asked.neutral else ()
    from_file = read_lines(config.steer_prompts)
    without = [place for place, text in enumerate(from_file, 1) if text is None]
    if without:
        raise SaereportError(
            f"Prompts of '{config.steer_prompts}' hold no text: number {first_few(without)}.",
            "Write a prompt on each line, or JSON with 'text'.",
        )
    own = [*asked.prompts, *(text or "" for text in from_file)]
    empty = [place for place, text in enumerate(own, 1) if not text.strip()]
    if empty:
        raise UsageError(
            f"Prompts to steer on are empty: number {first_few(empty)}.", "Write some text."
        )
    found = dict.fromkeys(built_in, True) | dict.fromkeys(own, False)
    if not found:
        raise UsageError(
            "There is no prompt to steer on.", "Give some with --steer-prompts or steering.prompts."
        )
    if len(found) > MOST_PROMPTS:
        raise UsageError(
            f"There are {len(found):,} prompts to steer on, and {MOST_PROMPTS} at most can be.",
            "Give fewer.",
        )
    return list(found.items())
