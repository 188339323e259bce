"""Feature absorption on first-letter tasks, with SAEBench's definition.

A latent that stands for words with a first letter can be silent on some of them, because another
latent, of the word itself, has taken its direction in (Chanin et al. 2024). For each letter: a
linear probe on activations at the word's token, the main latents by sparse probing, and over the
words of which the probe is right, the part of their projection on the probe's direction that other
latents write. Thresholds are those of SAEBench (Karvonen et al. 2025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from saereport.evaluate.bootstrap import RESAMPLES, SEED, percentile_interval
from saereport.evaluate.logistic import (
    FEWEST_OF_A_CLASS,
    STRENGTHS,
    Bools,
    Floats,
    LinearProbe,
    Score,
    fit,
    split,
)
from saereport.measure import Columns
from saereport.run.absorption import ALL

Integers = NDArray[np.int64]

F1_JUMP = 0.03
"""A further main latent is taken as long as it raises F1 by more than this."""
MOST_MAIN = 10
COSINE_FULL, COSINE_PART = 0.025, 0.1
"""Cosine of an absorbing latent with the probe, for full absorption, and for a part of it."""
SHARE = 0.4
"""Part of the word's projection that absorbing latents write at least."""
MOST_ABSORBING = 3
"""Latents that absorb a part together, at most."""
FEWEST_F1 = 0.6
"""F1 of a probe on other words below which its letter does not count in the means."""
HELD_OUT = 0.2
"""Part of the words of the commonest letter by which `C` is chosen."""
PARTS = 3
"""Parts of the words, of which each is judged by probes on the others."""
EXAMPLES = 12
"""Words that are listed of a latent."""


@dataclass(frozen=True, eq=False)
class Words:
    """Words in their prompts.

    Attributes:
        tokens: The token of each word, `[n]`.
        letters: Its first letter, `[n]`.
        spelled: Whether the model's most likely letter after the prompt is that one, bool `[n]`.
        activations: At the word's token, where SAEs read, float32 `[n, width]`, by hook point.
        latents: Activations there by SAE, `[n, d_sae]`.
        scales: By SAE what a write direction is multiplied with at each word, float64 `[n]`: not 1
            where it normalises what it reads. Of an SAE that is not among them it is 1.
    """

    tokens: Integers
    letters: NDArray[np.str_]
    spelled: Bools
    activations: Mapping[str, NDArray[np.float32]]
    latents: Mapping[str, csr_array]
    scales: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LetterProbe:
    """The probe of a letter.

    Attributes:
        probe: The probe.
        f1: F1 of such a probe on words that it was not fitted to.
        right: Words that begin with the letter and of which a probe says so that was not fitted to
            them, `[m]`, places.
    """

    probe: LinearProbe
    f1: float
    right: Integers

    @property
    def direction(self) -> Floats:
        """Its weights at unit length."""
        length = float(np.linalg.norm(self.probe.weights))
        found: Floats = self.probe.weights / length if length else self.probe.weights
        return found


@dataclass(frozen=True, eq=False)
class Absorbed:
    """What came of one letter of one SAE.

    Attributes:
        main: Its main latents, best first.
        f1: F1 of the probe on them.
        places: The words of which the probe is right, places among all words, `[m]`.
        fraction: Absorption fraction of each, `[m]`.
        full: The latent that absorbs each fully, -1 for none, `[m]`.
        share: The part of the projection that this one writes, or else the strongest, `[m]`.
        n_negative: Words of these whose activation projects on the wrong side of zero.
    """

    main: Integers
    f1: float
    places: Integers
    fraction: Floats
    full: Integers
    share: Floats
    n_negative: int


def f1_score(said: Bools, y: Bools) -> float:
    """F1 of what is said of a class, 0 where nothing is right."""
    hits = int((said & y).sum())
    return 2 * hits / (int(said.sum()) + int(y.sum())) if hits else 0.0


def letter_probes(
    activations: NDArray[np.float32], letters: NDArray[np.str_], seed: int
) -> dict[str, LetterProbe]:
    """Linear probes, each letter against the others, fitted to all words.

    Which words a probe is right of is said by others like it: each part of the words by a probe on
    the other parts, all with the threshold of the best F1. `C` is chosen once, by the loss on a
    part of the words of the commonest letter.

    Args:
        activations: At the words, `[n, width]`.
        letters: The first letter of each, `[n]`.
        seed: Of the parts.
    """
    parts = folds(letters, PARTS, seed)
    names, counts = np.unique(letters, return_counts=True)
    c = _strength(activations, letters == names[np.argmax(counts)], seed)
    found = {}
    for letter in names.tolist():
        y = letters == letter
        logits = np.zeros(len(y))
        for part in range(PARTS):
            near, far = parts != part, parts == part
            logits[far] = fit(activations[near], y[near], c).logits(activations[far])
        said = logits > _threshold(logits, y)
        found[letter] = LetterProbe(
            fit(activations, y, c), f1_score(said, y), np.flatnonzero(said & y)
        )
    return found


def folds(y: NDArray[np.generic], n: int, seed: int) -> Integers:
    """A part from 0 to `n - 1` for each of some words, of each class as many in every part.

    Args:
        y: The class of each, `[n]`.
        n: Parts.
        seed: Of the draw.
    """
    rng = np.random.default_rng(seed)
    parts = np.zeros(len(y), np.int64)
    for one in np.unique(y):
        places = rng.permutation(np.flatnonzero(y == one))
        parts[places] = np.arange(len(places)) % n
    return parts


def _strength(x: NDArray[np.float32], y: Bools, seed: int) -> float:
    apart = split(y, HELD_OUT, seed + 1)
    losses = []
    for c in STRENGTHS:
        margin = fit(x[~apart], y[~apart], c).logits(x[apart])
        losses.append(float(np.logaddexp(0.0, np.where(y[apart], -margin, margin)).sum()))
    return STRENGTHS[int(np.argmin(losses))]


def main_latents(x: csr_array, y: Bools, seed: int) -> tuple[Integers, float]:
    """The latents that stand for a letter, by sparse probing.

    Latents are ranked by the difference of their means over words with the letter and without, in
    units of their standard deviation; the first is a main latent, and each further one as long as
    F1 rises by more than `F1_JUMP`. F1 is that of words that the probe was not fitted to: each
    half of the words by a probe on the other, with the threshold that is best on its own half.

    Args:
        x: Latents on the words, `[n, d_sae]`.
        y: Which words begin with the letter, bool `[n]`.
        seed: Of the halves.

    Returns:
        The latents, best first, none where none is more active on the letter; and the F1.
    """
    mean = np.asarray(x.mean(axis=0), np.float64).reshape(-1)
    square = np.asarray(x.multiply(x).mean(axis=0), np.float64).reshape(-1)
    deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    of = np.asarray(x[y].mean(axis=0), np.float64).reshape(-1)
    against = np.asarray(x[~y].mean(axis=0), np.float64).reshape(-1)
    size = np.divide(of - against, deviation, out=np.zeros_like(of), where=deviation > 0)
    order = np.lexsort((np.arange(len(size)), -size))[:MOST_MAIN]
    order = order[size[order] > 0]
    if not len(order):
        return order, 0.0
    columns = x[:, order].toarray()
    half = split(y, 0.5, seed)
    k, best = 1, _crossed_f1(columns[:, :1], y, half)
    while k < len(order):
        more = _crossed_f1(columns[:, : k + 1], y, half)
        if more - best <= F1_JUMP:
            break
        k, best = k + 1, more
    return order[:k], best


def _crossed_f1(x: NDArray[np.floating], y: Bools, half: Bools) -> float:
    said = np.zeros(len(y), bool)
    for near in (half, ~half):
        if not y[near].any() or y[near].all():
            continue
        probe = fit(x[near], y[near])
        said[~near] = probe.logits(x[~near]) > _threshold(probe.logits(x[near]), y[near])
    return f1_score(said, y)


def _threshold(logits: Floats, y: Bools) -> float:
    """The number above which logits have to be for the best F1."""
    order = np.argsort(-logits, kind="stable")
    hits = np.cumsum(y[order])
    f1 = 2 * hits / (np.arange(1, len(y) + 1) + y.sum())
    # Equal logits fall on one side.
    last = np.append(logits[order][1:] < logits[order][:-1], True)
    place = int(np.argmax(np.where(last, f1, -1.0)))
    after = logits[order[place + 1]] if place + 1 < len(y) else -np.inf
    return float(max((logits[order[place]] + after) / 2, -1e300))


def absorbed(
    x: csr_array, projection: Floats, along: Floats, cosine: Floats, main: Integers
) -> tuple[Floats, Integers, Floats]:
    """Absorption on each of some words.

    Args:
        x: Latents on the words, `[m, d_sae]`.
        projection: The activation's projection on the probe's direction, `[m]`.
        along: What one unit of each latent adds to that, `[d_sae]`.
        cosine: Of each latent's write direction with the probe's, `[d_sae]`.
        main: The main latents.

    Returns:
        The absorption fraction, the latent that absorbs the word fully (-1 for none), and the part
        of the projection that the strongest latent writes, each `[m]`.
    """
    m = x.shape[0]
    fraction, full, share = np.zeros(m), np.full(m, -1, np.int64), np.zeros(m)
    for i in range(m):
        latents = x.indices[x.indptr[i] : x.indptr[i + 1]].astype(np.int64)
        f = x.data[x.indptr[i] : x.indptr[i + 1]].astype(np.float64)
        total = float(projection[i])
        if total <= 0 or not len(latents):
            continue
        written = f * along[latents]
        is_main = np.isin(latents, main)
        mine = float(written[is_main].sum())
        able = ~is_main & (cosine[latents] >= COSINE_PART) & (written > 0)
        others = float(np.sort(written[able])[::-1][:MOST_ABSORBING].sum())
        fraction[i] = _fraction(total, mine, others)
        top = int(np.argmax(written))
        share[i] = written[top] / total
        silent = not bool((f[is_main] != 0).any())
        if silent and cosine[latents[top]] >= COSINE_FULL and share[i] >= SHARE:
            full[i] = latents[top]
    return fraction, full, share


def _fraction(total: float, mine: float, others: float) -> float:
    """SAEBench's absorption fraction of a word, from projections on the probe's direction.

    Args:
        total: The activation's.
        mine: What the main latents write.
        others: What those write that may absorb.
    """
    if mine >= total or others / total < SHARE:
        return 0.0
    if mine <= 0:
        return 1.0
    taken = min(others, total - mine)
    return float(np.clip(taken / (taken + mine), 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class Directions:
    """Write directions of an SAE against those of probes.

    Attributes:
        along: What one unit of each latent adds along each letter's direction, `[d_sae, letters]`.
        norms: Lengths of the write directions, `[d_sae]`.
    """

    along: Floats
    norms: Floats

    def cosines(self, place: int) -> Floats:
        """Cosines of all latents with the direction of a letter, by its place."""
        found: Floats = np.divide(
            self.along[:, place], self.norms, out=np.zeros_like(self.norms), where=self.norms > 0
        )
        return found


def letters_of(
    words: Words, slug: str, hook: str, probes: Mapping[str, LetterProbe], of: Directions, seed: int
) -> dict[str, Absorbed]:
    """Absorption of one SAE, by letter.

    Args:
        words: The words.
        slug: The SAE.
        hook: Where it reads.
        probes: The letters' probes there.
        of: Its write directions, the letters in the order of `probes`.
        seed: Of the halves of sparse probing.
    """
    x, found = words.latents[slug], {}
    for place, (letter, probe) in enumerate(probes.items()):
        main, f1 = main_latents(x, words.letters == letter, seed)
        here = probe.right
        projection = words.activations[hook][here].astype(np.float64) @ probe.direction
        if slug in words.scales:
            # In the units in which the SAE writes: only ratios matter.
            projection = _divided(projection, words.scales[slug][here])
        fraction, full, share = absorbed(
            x[here], projection, of.along[:, place], of.cosines(place), main
        )
        found[letter] = Absorbed(
            main, f1, here, fraction, full, share, int((projection <= 0).sum())
        )
    return found


def _divided(projection: Floats, scale: Floats) -> Floats:
    found: Floats = np.divide(projection, scale, out=np.zeros_like(projection), where=scale > 0)
    return found


# ---- tables


def letter_columns(found: Mapping[str, Absorbed], probes: Mapping[str, LetterProbe]) -> Columns:
    """Table `absorption_letters` of one SAE: each letter, and the means over those that count."""
    rows = [_letter_row(letter, one, probes[letter]) for letter, one in found.items()]
    counted = [
        found[row["letter"]] for row in rows if row["counts"] and len(found[row["letter"]].places)
    ]
    rows.append(_mean_row(rows, counted))
    rows.sort(key=lambda row: row["letter"])
    return {name: [row[name] for row in rows] for name in rows[0]}


def _letter_row(letter: str, one: Absorbed, probe: LetterProbe) -> dict[str, Any]:
    n = len(one.places)
    full = one.full >= 0
    part, whole = (_mean([values]) for values in (one.fraction, full.astype(np.float64)))
    return {
        "letter": letter,
        "counts": bool(probe.f1 >= FEWEST_F1),
        "probe_f1": probe.f1,
        "main_f1": one.f1,
        "n_words": n,
        "n_main": len(one.main),
        "n_full": int(full.sum()),
        "n_negative": one.n_negative,
        "fraction": part.value,
        "fraction_interval": list(part.interval),
        "full": whole.value,
        "full_interval": list(whole.interval),
    }


def _mean_row(rows: Sequence[Mapping[str, Any]], counted: Sequence[Absorbed]) -> dict[str, Any]:
    mine = [row for row in rows if row["counts"]]
    part = _mean([one.fraction for one in counted])
    whole = _mean([(one.full >= 0).astype(np.float64) for one in counted])
    return {
        "letter": ALL,
        "counts": bool(mine),
        "probe_f1": float(np.mean([row["probe_f1"] for row in mine])) if mine else 0.0,
        "main_f1": float(np.mean([row["main_f1"] for row in mine])) if mine else 0.0,
        **{
            name: sum(row[name] for row in mine)
            for name in ("n_words", "n_main", "n_full", "n_negative")
        },
        "fraction": part.value,
        "fraction_interval": list(part.interval),
        "full": whole.value,
        "full_interval": list(whole.interval),
    }


def _mean(letters: Sequence[Floats]) -> Score:
    """The mean over letters of means over words, with an interval by drawing words anew."""
    some = [one for one in letters if len(one)]
    if not some:
        return Score(0.0)
    value = float(np.mean([one.mean() for one in some]))
    if min(map(len, some)) < FEWEST_OF_A_CLASS:
        return Score(value)
    rng = np.random.default_rng(SEED)
    drawn = np.zeros(RESAMPLES)
    for one in some:
        drawn += one[rng.integers(0, len(one), (RESAMPLES, len(one)))].mean(axis=1) / len(some)
    return Score(value, percentile_interval(drawn) or ())


@dataclass(eq=False)
class _Latent:
    """A latent of a letter, and the words that speak of it."""

    words: list[int] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)


def absorbing_rows(
    words: Words, slug: str, found: Mapping[str, Absorbed], of: Directions
) -> Columns:
    """Table `absorption_latents` of one SAE: main latents, and those that absorb words fully."""
    x, rows = words.latents[slug].tocsc(), []
    for place, (letter, one) in enumerate(found.items()):
        cosines = of.cosines(place)
        for rank, latent in enumerate(one.main.tolist()):
            active = x.indices[x.indptr[latent] : x.indptr[latent + 1]]
            of_letter = np.intersect1d(active, one.places)
            share = len(of_letter) / len(one.places) if len(one.places) else 0.0
            silent = np.setdiff1d(one.places, active)
            rows.append(
                _latent_row((letter, "main", rank, latent), cosines, share, words.tokens[of_letter])
                | {"silent": words.tokens[silent][:EXAMPLES].tolist()}
            )
        absorbing: dict[int, _Latent] = {}
        for i, latent in enumerate(one.full.tolist()):
            if latent >= 0:
                held = absorbing.setdefault(latent, _Latent())
                held.words.append(int(words.tokens[one.places[i]]))
                held.shares.append(float(one.share[i]))
        order = sorted(absorbing, key=lambda latent: (-len(absorbing[latent].words), latent))
        for rank, latent in enumerate(order):
            held = absorbing[latent]
            share, tokens = float(np.mean(held.shares)), np.array(held.words)
            rows.append(
                _latent_row((letter, "absorbing", rank, latent), cosines, share, tokens)
                | {"silent": []}
            )
    rows.sort(key=lambda row: (row["letter"], row["role"], row["latent"]))
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _latent_row(
    key: tuple[str, str, int, int], cosines: Floats, share: float, tokens: Integers
) -> dict[str, Any]:
    letter, role, rank, latent = key
    return {
        "letter": letter,
        "role": role,
        "latent": latent,
        "rank": rank + 1,
        "cosine": float(cosines[latent]),
        "n_words": len(tokens),
        "share": share,
        "words": tokens[:EXAMPLES].tolist(),
    }
