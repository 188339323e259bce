"""Labelled texts as tokens: drawn, cut, each once, and split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from saereport.circuits.prompts import text_tokens
from saereport.evaluate.labelled import FEWEST, LabelledText, LabelledTexts
from saereport.evaluate.pooled import TextTokens
from saereport.pipeline.context import Context
from saereport.util.errors import SaereportError, shortened

CHARACTERS_A_TOKEN = 64
"""Characters of a text that are tokenised for each token that is read of it."""


@dataclass(eq=False)
class Tokenised:
    """Texts as tokens, of which no two are the same, and what became of the others.

    Attributes:
        texts: As tokens.
        given: As they were given, one for each of `texts`.
        counts: How many were left out, by reason, and how many were cut.
    """

    texts: list[TextTokens] = field(default_factory=list)
    given: list[LabelledText] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def longest_of(context: Context, asked: int | None) -> int:
    """Tokens that are read of a text."""
    return min(asked or context.text.rules.context_size, context.model.n_ctx)


def tokenised(context: Context, task: LabelledTexts, most: int, longest: int) -> Tokenised:
    """The texts of a task as tokens.

    Args:
        context: The build.
        task: The texts.
        most: Texts that are used at most.
        longest: Tokens that are read of each.
    """
    drawn = drawn_texts(task.texts, most, context.config.seed)
    model, first = context.model, next(iter(context.saes.values()))
    bos = (model.bos_id,) if first.prepend_bos and model.bos_id is not None else ()
    counts = {"n_not_drawn": len(task.texts) - len(drawn), "n_cut": 0, "n_empty": 0}
    groups: dict[tuple[int, ...], list[LabelledText]] = defaultdict(list)
    for one in drawn:
        # Nobody's tokens are so long, and a book need not be tokenised for its first page.
        text = one.text[: CHARACTERS_A_TOKEN * longest]
        tokens = text_tokens(model, text, bos)
        counts["n_cut"] += len(tokens) > longest or len(text) < len(one.text)
        groups[tokens[:longest]].append(one)
    counts |= {"n_duplicates": task.n_duplicates, "n_conflicting": task.n_conflicting}
    found = Tokenised(counts=counts)
    for tokens, same in groups.items():
        counted = tuple(
            context.config.include_special or token not in model.special_ids for token in tokens
        )
        if not any(counted) or max(tokens) >= model.d_vocab:
            counts["n_empty"] += len(same)
        elif len({(one.label, one.attribute) for one in same}) > 1:
            counts["n_conflicting"] += len(same)
        else:
            counts["n_duplicates"] += len(same) - 1
            found.texts.append(TextTokens(tokens, counted))
            found.given.append(same[0])
    return found


def drawn_texts(texts: Sequence[LabelledText], most: int, seed: int) -> list[LabelledText]:
    """Some of the texts in their order, of each label and attribute the same part.

    At least `FEWEST` of each stay.
    """
    if len(texts) <= most:
        return list(texts)
    rng = np.random.default_rng([seed, 1])
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, one in enumerate(texts):
        groups[one.label, one.attribute].append(place)
    kept: list[int] = []
    for key in sorted(groups):
        places = groups[key]
        n = min(len(places), max(FEWEST, most * len(places) // len(texts)))
        kept += rng.permutation(places)[:n].tolist()
    return [texts[place] for place in sorted(kept)]


def require_enough(name: str, labels: Sequence[str], given: Sequence[LabelledText]) -> None:
    """Refuse a task of which too little is left once it is read.

    Raises:
        SaereportError: A label has fewer than `FEWEST` texts; says how many.
    """
    for label in labels:
        n = sum(one.label == label for one in given)
        if n < FEWEST:
            raise SaereportError(
                f"Of '{shortened(name, 60)}' {n:,} different texts with the label "
                f"'{shortened(label, 60)}' are left once they are cut; a probe needs {FEWEST}.",
                "Read more tokens of each text, or add texts.",
            )
