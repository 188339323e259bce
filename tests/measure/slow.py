"""The statistics again, computed slowly from dense activations, in plain Python."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from scipy.stats import binomtest

from saereport.measure.statistics.floats import priorities
from tests.measure.texts import Dense


def events(text: Dense, latent: int) -> list[tuple[float, int, int]]:
    """(activation, sequence, position) in the order of the text."""
    n, context, _ = text.f.shape
    return [
        (float(text.f[s, p, latent]), s, p)
        for s in range(n)
        for p in range(context)
        if text.counted[s, p] and text.f[s, p, latent] > 0
    ]


def moments(text: Dense, latent: int) -> tuple[int, float, float, float]:
    """Count, maximum, mean and standard deviation of the non-zero activations, exactly."""
    values = [Fraction(v) for v, _, _ in events(text, latent)]
    if not values:
        return 0, 0.0, 0.0, 0.0
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / len(values)
    return len(values), float(max(values)), float(mean), math.sqrt(variance)


def order_statistic(text: Dense, latent: int, q: float) -> float:
    """The activation of rank ceil(q n), ascending."""
    values = sorted(v for v, _, _ in events(text, latent))
    return values[max(math.ceil(Fraction(str(q)) * len(values)), 1) - 1]


def groups(text: Dense, latent: int, inner: tuple[float, ...]) -> list[list[float]]:
    """Activations by quantile group: equal ones stay together, in the lower group."""
    values = sorted(v for v, _, _ in events(text, latent))
    parts, done = [], 0
    for q in (*inner, 1.0):
        end = math.floor(Fraction(str(q)) * len(values))
        while 0 < end < len(values) and values[end] == values[end - 1]:
            end += 1
        end = max(end, done)
        parts.append(values[done:end])
        done = end
    return parts


def linear_histogram(text: Dense, latent: int, bins: int) -> tuple[int, list[int]]:
    """log2 of the width, and counts of (b w, (b + 1) w]."""
    values = [Fraction(v) for v, _, _ in events(text, latent)]
    exponent = -400
    while bins * Fraction(2) ** exponent < max(values):
        exponent += 1
    width = Fraction(2) ** exponent
    counts = [0] * bins
    for v in values:
        counts[math.ceil(v / width) - 1] += 1
    return exponent, counts


def log_histogram(text: Dense, latent: int) -> dict[int, int]:
    """Counts by 4 e + quarter of the octave (2^e, 2^(e+1)]; normal numbers only."""
    counts: dict[int, int] = {}
    for v, _, _ in events(text, latent):
        e = math.floor(math.log2(v))
        while Fraction(2) ** e >= Fraction(v):
            e -= 1
        while Fraction(2) ** (e + 1) < Fraction(v):
            e += 1
        quarter = math.ceil((Fraction(v) / Fraction(2) ** e - 1) * 4) - 1
        counts[4 * e + quarter] = counts.get(4 * e + quarter, 0) + 1
    return counts


def window(position: int, before: int, after: int, context: int) -> set[int]:
    """The positions of an example's window."""
    return set(range(max(position - before, 0), min(position + after + 1, context)))


def without_overlap(
    ordered: list[tuple[float, int, int]], n: int, before: int, after: int, context: int
) -> list[tuple[float, int, int]]:
    """The first n of a list that do not overlap an earlier one."""
    taken: list[tuple[float, int, int]] = []
    for v, s, p in ordered:
        mine = window(p, before, after, context)
        if all(s != s2 or not mine & window(p2, before, after, context) for _, s2, p2 in taken):
            taken.append((v, s, p))
        if len(taken) == n:
            break
    return taken


def top(text: Dense, latent: int, k: int, before: int, after: int) -> list[tuple[float, int, int]]:
    """The k largest without overlap: greedy over the whole text."""
    ordered = sorted(events(text, latent), key=lambda e: (-e[0], e[1], e[2]))
    return without_overlap(ordered, k, before, after, text.f.shape[1])


def drawn(
    text: Dense, latent: int, lower: float, upper: float, seed: int
) -> list[tuple[float, int, int]]:
    """The events in (lower, upper] in the order of their priorities."""
    inside = [e for e in events(text, latent) if lower < e[0] <= upper]
    if not inside:
        return []
    sequence, position = (np.array([e[i] for e in inside]) for i in (1, 2))
    priority = priorities(seed, np.full(len(inside), latent), sequence, position)
    return [inside[i] for i in np.argsort(priority)]


def token_table(text: Dense, latent: int) -> dict[int, tuple[int, int, float, float, float, float]]:
    """token -> (n_token, n_active, mean_active, share, lift, lower end of the lift)."""
    mine = events(text, latent)
    total = sum(Fraction(v) for v, _, _ in mine)
    counted = int(text.counted.sum())
    table = {}
    for token in range(text.d_vocab):
        n_token = int(((text.tokens == token) & text.counted).sum())
        values = [Fraction(v) for v, s, p in mine if text.tokens[s, p] == token]
        if values:
            lift = Fraction(len(values), n_token) / Fraction(len(mine), counted)
            mean, share = sum(values) / len(values), sum(values) / total
            interval = binomtest(len(values), n_token).proportion_ci(0.95, method="wilson")
            low = interval.low / (len(mine) / counted)
            table[token] = (n_token, len(values), float(mean), float(share), float(lift), low)
    return table


def coactive(text: Dense, a: int, b: int) -> tuple[int, float, float]:
    """Tokens with both, Pearson's correlation (0 where undefined), Jaccard overlap."""
    x, y = (text.f[text.counted][:, i].astype(np.float64) for i in (a, b))
    both = int(((x > 0) & (y > 0)).sum())
    either = int(((x > 0) | (y > 0)).sum())
    if x.std() == 0 or y.std() == 0:
        return both, 0.0, both / max(either, 1)
    return both, float(np.corrcoef(x, y)[0, 1]), both / max(either, 1)
