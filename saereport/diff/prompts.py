"""Prompts that both runs have: what the model says, scores of graphs, and edges of circuits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saereport.diff.model import PromptDifference
from saereport.diff.vocabularies import Vocabulary
from saereport.run import Run


@dataclass(frozen=True)
class ComparedPrompts:
    """Prompts of both runs, and slugs of those that only one has."""

    compared: tuple[PromptDifference, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def compared_prompts(
    before: Run,
    after: Run,
    saes: Sequence[tuple[str, str]],
    words: tuple[Vocabulary, Vocabulary],
    tolerances: Mapping[str, float],
) -> ComparedPrompts:
    """Compare the prompts of two runs."""
    return ComparedPrompts((), (), ())
