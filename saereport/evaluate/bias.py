"""The bias test of Sparse Feature Circuits (SHIFT; Marks et al. 2024) on pooled activations.

A probe is fitted where a spurious attribute goes along with the label. What a latent contributes to
the probe's logit is then exact: the probe is linear in the mean over a text's tokens, and so is
what the latent writes. Latents that are judged to be irrelevant are taken out, the rest of the
activation with the SAE's error left as it is, and the probe is tried on texts in which every label
comes with every attribute equally often.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
    Score,
    fit_many,
)
from saereport.evaluate.pooled import PooledLatents, TextTokens
from saereport.evaluate.sparse_probing import example_of
from saereport.measure import Columns

Integers = NDArray[np.int64]

DRAWS = 10
"""Draws of random latents over which the control is a mean."""


@dataclass(frozen=True, eq=False)
class BiasTask:
    """Texts with a label and an attribute, as tokens.

    Attributes:
        texts: The texts.
        y: Whether each has the label that is probed, bool `[n]`.
        attribute: Whether each has the attribute that goes along with it in training, bool `[n]`.
        train: Texts that the biased probe is fitted to, bool `[n]`: in all of them the attribute
            goes along with the label.
        balanced: Texts that the probes of the attribute, and of the label without bias, are fitted
            to, bool `[n]`: equally many of each group.
        test: Texts that no probe is fitted to, bool `[n]`: equally many of each group.
    """

    texts: Sequence[TextTokens]
    y: Bools
    attribute: Bools
    train: Bools
    balanced: Bools
    test: Bools

    @property
    def group(self) -> Integers:
        """The group of each text, `[n]`: 2 for the label plus 1 for the attribute."""
        return 2 * self.y.astype(np.int64) + self.attribute


def divided(y: Bools, attribute: Bools, share: float, seed: int) -> tuple[Bools, Bools, Bools]:
    """Which texts are for what: `train`, `balanced` and `test` of a `BiasTask`.

    Args:
        y: Whether each text has the label.
        attribute: Whether each has the attribute.
        share: Part of the smallest group that is tested on, of each group as many.
        seed: Of the draw.
    """
    rng = np.random.default_rng([seed, 2])
    groups = [np.flatnonzero((y == a) & (attribute == b)) for a in (0, 1) for b in (0, 1)]
    smallest = min(map(len, groups))
    n = min(max(1, round(share * smallest)), smallest - 1)
    test, balanced = np.zeros(len(y), bool), np.zeros(len(y), bool)
    for places in groups:
        order = rng.permutation(places)
        test[order[:n]] = True
        balanced[order[n:smallest]] = True
    return (y == attribute) & ~test, balanced, test


@dataclass(frozen=True, eq=False)
class Written:
    """What an SAE's latents add where a probe reads.

    Attributes:
        latents: Mean over a text's tokens of each latent's activation, in units of what a decoder
            row adds, `[n, d_sae]`.
        rows: Write directions of some latents, float64 `[len(latents), d_out]`.
        along: What one unit of each latent adds along a direction, float64 `[d_sae]`.
    """

    latents: csr_array
    rows: Any
    along: Any


def effects(written: Written, direction: Floats, y: Bools, among: Bools) -> Floats:
    """How much of the gap between the classes' mean logits is each latent's, float64 `[d_sae]`.

    Args:
        written: The latents.
        direction: A probe's weights, `[d_out]`.
        y: Whether each text is of the probe's class.
        among: The texts whose means are meant; both classes occur.
    """
    of, against = y & among, ~y & among
    weights = of / of.sum() - against / against.sum()
    gap: Floats = np.asarray(weights @ written.latents.astype(np.float64))
    found: Floats = gap * np.asarray(written.along(direction), np.float64)
    return found


def strongest(size: Floats, n: int) -> Integers:
    """The `n` latents of largest magnitude, of equal ones the smaller number; none of zero."""
    order = np.lexsort((np.arange(len(size)), -np.abs(size)))[:n]
    chosen: Integers = order[size[order] != 0]
    return chosen


@dataclass(frozen=True)
class Judgement:
    """How a probe does on balanced texts.

    Attributes:
        accuracy: Share that it tells right.
        worst: The same of the group of which it tells the least right.
        groups: The same of each group, in their order.
    """

    accuracy: Score
    worst: Score
    groups: tuple[float, ...]


def judged(right: Bools | Floats, group: Integers) -> Judgement:
    """What is right of the texts of four groups, with intervals.

    Args:
        right: Whether each text is told right, or how often, `[n]`.
        group: Its group, from 0 to 3, each equally often.
    """
    table = np.stack([np.asarray(right, np.float64)[group == g] for g in range(4)])
    means = table.mean(axis=1)
    n = table.shape[1]
    ends: list[tuple[float, ...]] = [(), ()]
    if n >= FEWEST_OF_A_CLASS:
        rng = np.random.default_rng(SEED)
        picked = rng.integers(0, n, (4, RESAMPLES, n))
        drawn = np.stack([table[g][picked[g]].mean(axis=1) for g in range(4)])
        ends = [percentile_interval(one) or () for one in (drawn.mean(axis=0), drawn.min(axis=0))]
    return Judgement(
        Score(float(means.mean()), ends[0]),
        Score(float(means.min()), ends[1]),
        tuple(means.tolist()),
    )


@dataclass(frozen=True, eq=False)
class Biased:
    """The probes on activations at one place, which all SAEs that write there share.

    Attributes:
        probe: Of the label, fitted where the attribute goes along with it.
        of_attribute: Of the attribute, fitted to balanced texts.
        fair: Of the label, fitted to balanced texts.
    """

    probe: LinearProbe
    of_attribute: LinearProbe
    fair: LinearProbe

    @staticmethod
    def fitted(task: BiasTask, raw: NDArray[np.float32], seed: int) -> Biased:
        """All three on mean activations `[n, width]`."""
        return Biased(
            fit_many(raw[task.train], task.y[task.train], seed),
            fit_many(raw[task.balanced], task.attribute[task.balanced], seed),
            fit_many(raw[task.balanced], task.y[task.balanced], seed),
        )


@dataclass(frozen=True, eq=False)
class BiasFound:
    """What came of one SAE.

    Attributes:
        variants: By what was done, the latents that were taken out and how the probe did.
        effect: Of each latent on the probe's gap between classes, `[d_sae]`.
        on_attribute: Of each on the gap of the attribute's probe, `[d_sae]`.
        gap: The probe's gap between its classes' mean logits on the training texts.
    """

    variants: Mapping[str, tuple[int, Judgement]]
    effect: Floats
    on_attribute: Floats
    gap: float


def shifted(
    task: BiasTask,
    raw: NDArray[np.float32],
    written: Written,
    probes: Biased,
    dropped: Integers,
    asked: tuple[int, int],
) -> BiasFound:
    """The bias test of one SAE.

    Args:
        task: The texts.
        raw: Mean activations where the SAE writes, `[n, d_out]`.
        written: Its latents.
        probes: The probes on these activations.
        dropped: Latents that are judged to be irrelevant.
        asked: How many latents the references take out where none is, and the seed.
    """
    test, y = task.test, task.y[task.test]
    group = task.group[test]
    effect = effects(written, probes.probe.weights, task.y, task.train)
    on_attribute = effects(written, probes.of_attribute.weights, task.attribute, task.balanced)
    along = np.asarray(written.along(probes.probe.weights))
    plain = probes.probe.logits(raw[test])
    inside = written.latents[test]

    def without(latents: Integers, *, keep_mean: bool) -> Bools:
        """Whether each tested text is told right once these are taken out."""
        taken = np.asarray(inside[:, latents].astype(np.float64) @ along[latents])
        if keep_mean:
            near = written.latents[task.train][:, latents].astype(np.float64)
            taken = taken - float(np.asarray(near @ along[latents]).mean())
        right: Bools = (plain - taken > 0) == y
        return right

    def add(name: str, sets: Sequence[Integers]) -> None:
        for end, keep_mean in (("", False), ("_mean", True)):
            often = np.mean([without(one, keep_mean=keep_mean) for one in sets], axis=0)
            found[f"{name}{end}"] = (len(sets[0]), judged(often, group))

    found: dict[str, tuple[int, Judgement]] = {}
    found["original"] = (0, judged((plain > 0) == y, group))
    found["balanced"] = (0, judged((probes.fair.logits(raw[test]) > 0) == y, group))
    n = len(dropped) or asked[0]
    if len(dropped):
        add("judged", [dropped])
        found["retrained"] = (n, judged(_again(task, raw, written, dropped, asked[1]), group))
    add("skyline", [strongest(on_attribute, n)])
    active = np.flatnonzero(np.diff(written.latents[task.train].tocsc().indptr))
    rng = np.random.default_rng([asked[1], 3])
    size = min(n, len(active))
    add("random", [rng.choice(active, size, replace=False) for _ in range(DRAWS)])
    logits = probes.probe.logits(raw[task.train])
    of = task.y[task.train]
    return BiasFound(found, effect, on_attribute, float(logits[of].mean() - logits[~of].mean()))


def _again(
    task: BiasTask, raw: NDArray[np.float32], written: Written, dropped: Integers, seed: int
) -> Bools:
    """Whether a probe that never saw the dropped latents tells each tested text right."""
    taken = written.latents[:, dropped].astype(np.float64) @ np.asarray(written.rows(dropped))
    rest = raw.astype(np.float64) - taken
    probe = fit_many(rest[task.train], task.y[task.train], seed)
    right: Bools = (probe.logits(rest[task.test]) > 0) == task.y[task.test]
    return right


# ---- tables


def score_columns(found: BiasFound) -> Columns:
    """Table `bias_scores` of one SAE."""
    rows = sorted(found.variants.items())
    return {
        "variant": [name for name, _ in rows],
        "n_latents": [n for _, (n, _) in rows],
        "accuracy": [one.accuracy.value for _, (_, one) in rows],
        "accuracy_interval": [list(one.accuracy.interval) for _, (_, one) in rows],
        "worst": [one.worst.value for _, (_, one) in rows],
        "worst_interval": [list(one.worst.interval) for _, (_, one) in rows],
        "groups": [list(one.groups) for _, (_, one) in rows],
    }


@dataclass(frozen=True)
class ListedLatents:
    """Which latents the table of an SAE has.

    Attributes:
        n: Of the largest effect on the probe, and on the attribute's, how many each.
        reasons: Latents that are judged irrelevant, with why.
    """

    n: int
    reasons: Mapping[int, str] = field(default_factory=dict)


def latent_columns(
    found: BiasFound, task: BiasTask, latents: PooledLatents, listed: ListedLatents
) -> Columns:
    """Table `bias_latents` of one SAE: those of largest effect, and those judged irrelevant."""
    top, of_attribute = (strongest(e, listed.n) for e in (found.effect, found.on_attribute))
    order = strongest(found.effect, len(found.effect))
    rank = {latent: place + 1 for place, latent in enumerate(order.tolist())}
    chosen = sorted({*top.tolist(), *of_attribute.tolist(), *listed.reasons})
    examples = [_example(task, latents, latent) for latent in chosen]
    return {
        "latent": chosen,
        "rank": [rank.get(latent, 0) for latent in chosen],
        "effect": found.effect[chosen].tolist(),
        "share": (found.effect[chosen] / found.gap if found.gap else 0 * found.effect[chosen]),
        "attribute_effect": found.on_attribute[chosen].tolist(),
        "judged": [listed.reasons.get(latent, "") for latent in chosen],
        "example": [list(tokens) for tokens, _ in examples],
        "peak": [peak for _, peak in examples],
    }


def _example(task: BiasTask, latents: PooledLatents, latent: int) -> tuple[tuple[int, ...], int]:
    """Where a latent is strongest, in all texts."""
    values = latents.max[:, [latent]].toarray()[:, 0]
    return example_of(task.texts, latents, latent, np.abs(values))


def finite(parts: Collection[NDArray[Any]]) -> bool:
    """Whether all of it are numbers."""
    return all(bool(np.isfinite(one).all()) for one in parts)


def in_blocks(n: int, size: int) -> Iterator[slice]:
    """Slices of `size` that go through `n`."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
