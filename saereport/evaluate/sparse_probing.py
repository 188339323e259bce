"""Sparse probing: which few latents tell texts of a label from the rest, and how well.

Latents are ranked by the difference of class means over training texts (Gurnee et al. 2023, as in
SAEBench), and a logistic regression is fitted to the first k of them. Beside it stand a probe on
the activations that the SAE reads, the majority class, and the same choice and fit with the labels
of the training texts shuffled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from saereport.evaluate.bootstrap import RESAMPLES, SEED, percentile_interval
from saereport.evaluate.logistic import (
    FEWEST_OF_A_CLASS,
    Bools,
    Floats,
    LinearProbe,
    ProbeScores,
    Score,
    fit,
    fit_many,
    scores,
)
from saereport.evaluate.pooled import Pooled, PooledLatents, Pooling, TextTokens
from saereport.measure import Columns
from saereport.run.probing import ALL

SHUFFLES = 20
"""Times that labels are shuffled; the ends of the range are the extremes but for one."""
BEFORE, AFTER = 12, 4
"""Tokens of an example before and after its peak."""


@dataclass(frozen=True, eq=False)
class Task:
    """Texts with labels, as tokens, split into training texts and held-out ones.

    Attributes:
        name: What it is called.
        texts: The texts.
        labels: The label of each, `[n]`.
        concepts: Labels that a probe tells from the rest.
        held_out: Which texts no probe is fitted to, bool `[n]`.
        about: What else the table of concepts says of all of its concepts.
    """

    name: str
    texts: Sequence[TextTokens]
    labels: NDArray[np.str_]
    concepts: tuple[str, ...]
    held_out: Bools
    about: Mapping[str, int] = field(default_factory=dict)

    def has(self, concept: str) -> Bools:
        """Which texts have a label, bool `[n]`."""
        has: Bools = self.labels == concept
        return has


@dataclass(frozen=True, eq=False)
class Found:
    """What came of one concept with one pooling.

    Attributes:
        scores: By probe (`latents`, `activations`, `majority`, `shuffled`) and number of latents.
        right: Of each held-out text whether the probe on the most latents is right.
        right_raw: The same of the probe on activations.
        latents: The chosen latents, best first.
        probe: The probe on all of them.
        means: Their means over training texts with the concept, and without, `[2, n]`.
    """

    scores: Mapping[tuple[str, int], ProbeScores]
    right: Bools
    right_raw: Bools
    latents: NDArray[np.int64]
    probe: LinearProbe
    means: Floats


def differences(x: csr_array, y: Bools) -> Floats:
    """Class means of each latent, float64 `[2, d_sae]`: with the concept, and without.

    Args:
        x: Pooled latents `[n, d_sae]`.
        y: Whether each text has the concept, bool `[n]`; both must occur.
    """
    weights = np.stack([y / y.sum(), ~y / (~y).sum()])
    found: Floats = np.asarray(weights @ x.astype(np.float64))
    return found


def best(means: Floats, k: int) -> NDArray[np.int64]:
    """The latents with the largest difference of class means, of equal ones the smaller number."""
    size = np.abs(means[0] - means[1])
    order = np.lexsort((np.arange(len(size)), -size))[:k]
    chosen: NDArray[np.int64] = order[size[order] > 0]
    return chosen


def probe_concept(
    x: csr_array, raw: NDArray[np.float32], y: Bools, held_out: Bools, ks: Sequence[int], seed: int
) -> Found | None:
    """Probes of one concept.

    Args:
        x: Pooled latents `[n, d_sae]`.
        raw: Mean activations `[n, width]`.
        y: Whether each text has the concept, bool `[n]`.
        held_out: Which texts are held out, bool `[n]`.
        ks: Numbers of latents; those beyond what there is are left out.
        seed: Of the shuffles.

    Returns:
        None where no latent differs between the classes.
    """
    train, test = ~held_out, held_out
    x_train, x_test = x[train], x[test]
    means = differences(x_train, y[train])
    chosen = best(means, max(ks))
    if not len(chosen):
        return None
    sizes = sorted({k for k in ks if k <= len(chosen)} | {min(max(ks), len(chosen))})
    near, far = x_train[:, chosen].toarray(), x_test[:, chosen].toarray()
    found: dict[tuple[str, int], ProbeScores] = {}
    for k in sizes:
        probe = fit(near[:, :k], y[train])
        logits = probe.logits(far[:, :k])
        found["latents", k] = scores(logits, y[test])
    raw_logits = fit_many(raw[train], y[train], seed).logits(raw[test])
    found["activations", 0] = scores(raw_logits, y[test])
    found["majority", 0] = _majority(y[train], y[test])
    found["shuffled", sizes[-1]] = _shuffled(x_train, x_test, y, held_out, sizes[-1], seed)
    return Found(
        scores=found,
        right=(logits > 0) == y[test],
        right_raw=(raw_logits > 0) == y[test],
        latents=chosen,
        probe=probe,
        means=means[:, chosen],
    )


def _majority(near: Bools, far: Bools) -> ProbeScores:
    """What is right of saying the commoner class of the training texts of every text."""
    says = bool(near.mean() > 0.5)
    return ProbeScores(Score(float((far == says).mean())), Score(0.5), Score(0.5))


def _shuffled(
    near: csr_array, far: csr_array, y: Bools, held_out: Bools, k: int, seed: int
) -> ProbeScores:
    """Means over shuffles of the training labels, and the range that holds 95 % of them."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(SHUFFLES):
        labels = rng.permutation(y[~held_out])
        chosen = best(differences(near, labels), k)
        if not len(chosen):
            continue
        probe = fit(near[:, chosen].toarray(), labels)
        one = scores(probe.logits(far[:, chosen].toarray()), y[held_out], with_intervals=False)
        rows.append([one.accuracy.value, one.balanced.value, one.auc.value])
    table = np.array(rows or [[0.5] * 3])
    return ProbeScores(*(Score(float(c.mean()), percentile_interval(c) or ()) for c in table.T))


# ---- tables


@dataclass(eq=False)
class Tables:
    """The tables of one SAE, row by row."""

    scores: list[dict[str, Any]] = field(default_factory=list)
    latents: list[dict[str, Any]] = field(default_factory=list)


def probed(
    tasks: Sequence[Task],
    pooled: Sequence[Pooled],
    slug: str,
    hook: str,
    asked: tuple[Sequence[Pooling], Sequence[int], int],
) -> tuple[Columns, Columns] | str:
    """Tables `probing_scores` and `probing_latents` of one SAE.

    Args:
        tasks: The tasks.
        pooled: The activations on the texts of each.
        slug: The SAE.
        hook: Where it reads.
        asked: How latents are pooled, numbers of latents, and the seed.

    Returns:
        The tables, or why there are none.
    """
    poolings, ks, seed = asked
    tables = Tables()
    for pooling in poolings:
        done: list[list[Found]] = []
        for task, acts in zip(tasks, pooled, strict=True):
            latents = acts.latents[slug]
            x = latents.of(pooling)
            if not np.isfinite(x.data).all() or not np.isfinite(acts.activations[hook]).all():
                return "its numbers are not finite"
            done.append([])
            for concept in task.concepts:
                found = probe_concept(
                    x, acts.activations[hook], task.has(concept), task.held_out, ks, seed
                )
                if found is None:
                    continue
                key = {"task": task.name, "concept": concept, "pooling": pooling}
                tables.scores += score_rows(key, found.scores)
                tables.latents += latent_rows(key, found, latents, task, pooling)
                done[-1].append(found)
        key = {"task": ALL, "concept": ALL, "pooling": pooling}
        tables.scores += score_rows(key, over_all([one for one in done if one]))
    if not tables.scores:
        return "no latent differs between the classes"
    return (
        _columns(tables.scores, ("task", "concept", "pooling", "probe", "k")),
        _columns(tables.latents, ("task", "concept", "pooling", "latent")),
    )


def over_all(done: Sequence[Sequence[Found]]) -> dict[tuple[str, int], ProbeScores]:
    """Means over all concepts of the probes on most latents, and of those on activations.

    The accuracy's interval is by the bootstrap over the texts of each task, which its concepts
    share; the others have none.

    Args:
        done: What came of the concepts of each task that has some.
    """
    if not done:
        return {}
    total = sum(map(len, done))
    few = min(len(one[0].right) for one in done) < 2 * FEWEST_OF_A_CLASS
    rng = np.random.default_rng(SEED)
    drawn = np.zeros((2, RESAMPLES))
    for one in done:
        # Of each text for how many of the concepts either probe is right.
        per_text = np.array([[c.right for c in one], [c.right_raw for c in one]]).sum(axis=1)
        n = per_text.shape[1]
        for first in range(0, RESAMPLES, 100):
            picked = rng.integers(0, n, (100, n))
            drawn[:, first : first + 100] += per_text[:, picked].mean(axis=2) / total
    result = {}
    for place, probe in enumerate(("latents", "activations")):
        each = [_last(c.scores, probe) for one in done for c in one]
        ends = () if few else percentile_interval(drawn[place]) or ()
        means = [
            float(np.mean([getattr(s, name).value for s in each]))
            for name in ("accuracy", "balanced", "auc")
        ]
        result[probe, 0] = ProbeScores(Score(means[0], ends), Score(means[1]), Score(means[2]))
    return result


def _last(found: Mapping[tuple[str, int], ProbeScores], probe: str) -> ProbeScores:
    """The scores of a kind of probe on as many latents as it was fitted to."""
    return found[max(key for key in found if key[0] == probe)]


def score_rows(
    key: Mapping[str, Any], found: Mapping[tuple[str, int], ProbeScores]
) -> list[dict[str, Any]]:
    """Rows of `probing_scores` of one concept."""
    rows = []
    for (probe, k), one in found.items():
        row = {**key, "probe": probe, "k": k}
        for name in ("accuracy", "balanced", "auc"):
            score: Score = getattr(one, name)
            row |= {name: score.value, f"{name}_interval": list(score.interval)}
        rows.append(row)
    return rows


def latent_rows(
    key: Mapping[str, Any], found: Found, latents: PooledLatents, task: Task, pooling: Pooling
) -> list[dict[str, Any]]:
    """Rows of `probing_latents` of one concept."""
    rows = []
    y = task.has(key["concept"])
    train = ~task.held_out
    largest = latents.max[:, found.latents].toarray()
    for place, latent in enumerate(found.latents.tolist()):
        more = bool(found.means[0, place] > found.means[1, place])
        # The strongest text of the class on which the latent is stronger.
        strongest = np.where(y == more, np.abs(largest[:, place]), -1.0)
        example, peak = example_of(task.texts, latents, latent, strongest)
        active = largest[:, place] != 0
        rows.append(
            {
                **key,
                "latent": latent,
                "rank": place + 1,
                "weight": float(found.probe.standardised[place]),
                "with_concept": float(found.means[0, place]),
                "without_concept": float(found.means[1, place]),
                "share_with": float(active[y & train].mean()),
                "share_without": float(active[~y & train].mean()),
                "example": list(example),
                "peak": peak,
            }
        )
    return rows


def example_of(
    texts: Sequence[TextTokens], latents: PooledLatents, latent: int, strength: NDArray[np.floating]
) -> tuple[tuple[int, ...], int]:
    """Tokens around a latent's strongest place, and which of them that is; none where it has none.

    Args:
        texts: The texts.
        latents: What is active on them.
        latent: The latent.
        strength: How strong it is on each text that is meant, else not above zero, `[n]`.
    """
    text = int(np.argmax(strength))
    if not strength[text] > 0:
        return (), 0
    at = latents.peak(text, latent)
    first = max(0, at - BEFORE)
    return texts[text].tokens[first : at + AFTER + 1], at - first


def _columns(rows: list[dict[str, Any]], key: Sequence[str]) -> Columns:
    """Rows as columns, in the order of the key."""
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in key))
    for one, other in pairwise(ordered):
        if all(one[name] == other[name] for name in key):
            raise RuntimeError("two rows of a table of probes have one key")
    return {name: [row[name] for row in ordered] for name in ordered[0]}
