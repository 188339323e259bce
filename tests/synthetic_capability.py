"""Synthetic capability tests, for runs of `tests.synthetic`."""

from __future__ import annotations

from typing import Any

import numpy as np

from saereport.evaluate.capability import RUNS, Predictions, Question, prompt_rows, set_rows
from saereport.run import RunWriter
from tests.synthetic import Extra, Shape

SETS = ("capitals", "agreement", "of my own")


def capability_tests(n: int = 12, *, few: int = 4, without: tuple[int, ...] = ()) -> Extra:
    """Both tables of every SAE.

    Args:
        n: Prompts of the first two sets.
        few: Prompts of the last set, which have no wrong answer and a note.
        without: SAEs, by place, that have no tests.
    """

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        rng = np.random.default_rng([shape.seed, 11])
        questions = [_question(rng, shape, name) for name in SETS[:2] for _ in range(n)]
        questions += [_question(rng, shape, SETS[2], alone=True) for _ in range(few)]
        true = _predictions(rng, shape, questions, 4.0)
        tested = [slug for place, slug in enumerate(shown) if place not in without]
        runs = {
            slug: {
                RUNS[0]: true,
                RUNS[1]: _predictions(rng, shape, questions, 3.0 - place),
                RUNS[2]: _predictions(rng, shape, questions, -1.0),
            }
            for place, slug in enumerate(tested)
        }
        sets = set_rows(questions, runs)
        for slug in tested:
            writer.write("capability_prompts", prompt_rows(questions, runs[slug]), slug=slug)
            writer.write("capability_sets", sets[slug], slug=slug)

    return write


def _question(rng: Any, shape: Shape, name: str, *, alone: bool = False) -> Question:
    tokens = (0, *rng.integers(1, shape.n_vocabulary, 7).tolist())
    answer, wrong = rng.choice(np.arange(1, shape.n_vocabulary), 2, replace=False).tolist()
    counted = tuple(token > 0 for token in tokens)
    note = "The answer 'x y' has 2 tokens; its first, 'x' (7), is followed." if alone else ""
    return Question(name, tokens, counted, answer, -1 if alone else wrong, note)


def _predictions(
    rng: Any, shape: Shape, questions: list[Question], difference: float
) -> Predictions:
    n = len(questions)
    differences = rng.normal(difference, 1.5, n)
    differences[[one.wrong < 0 for one in questions]] = np.nan
    logits = -np.sort(-rng.normal(8.0, 2.0, (n, 10)), axis=1)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) * 0.9
    tokens = np.stack([rng.choice(shape.n_vocabulary, 10, replace=False) for _ in range(n)])
    return Predictions(
        rank=rng.integers(1, 5, n),
        logit=logits[:, 3],
        probability=shares[:, 3],
        difference=differences,
        next_tokens=tokens,
        next_logits=logits,
        next_probabilities=shares,
    )
