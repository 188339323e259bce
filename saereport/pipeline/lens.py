"""The logit lens of whole dictionaries: which latents and token sets, and the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from saereport.measure.weights import WEIGHT_TABLES, WeightContext
from saereport.measure.weights.enrichment import (
    benjamini_hochberg,
    p_values,
    permutation_null,
    running_sums,
)
from saereport.measure.weights.extremes import extremes, listed
from saereport.measure.weights.whole_lens import MOMENTS, central_moments, lens_blocks
from saereport.pipeline.context import Context
from saereport.pipeline.probe import Probe, line_through
from saereport.pipeline.stage import SKIPPED, Cost, Yielded
from saereport.run.lens import EXTREMES, KINDS, SIGNIFICANT, STRONGEST, farthest
from saereport.sources.token_sets import TokenSet, built_in_sets, own_sets, read_token_sets
from saereport.sources.tokens import token_bytes, unwritten_ids
from saereport.util.errors import shortened

TOKENS = 5
"""Tokens listed at each end for the extremes of a kind."""
EXAMPLES = 8
"""Tokens of a set that are named."""
MISSING = 50
"""Words of a set that are no token and are named."""
FEW, MOST = 2, 64
"""Latents that are taken to see what all will take."""
OF_SAE = ("lens_moments", "lens_extremes")
OF_SETS = ("token_set_scores", "token_set_strongest", "token_set_counts")


@dataclass(frozen=True, eq=False)
class Sets:
    """The token sets of a build.

    Attributes:
        every: All of them, also those that are not tested.
        tested: Those that are.
        ranked: Ids of the tokens that are ranked, rising.
        n_left_out: Tokens of the vocabulary that are not.
    """

    every: tuple[TokenSet, ...]
    tested: tuple[TokenSet, ...]
    ranked: NDArray[np.int64]
    n_left_out: int = 0

    @property
    def sizes(self) -> list[int]:
        """The sizes for which a null is needed: of a set or of its complement, the smaller."""
        n = len(self.ranked)
        return sorted({min(len(one.tokens), n - len(one.tokens)) for one in self.tested})

    def members(self, device: torch.device) -> list[torch.Tensor]:
        """Of each tested set the places of its tokens among those that are ranked."""
        return [
            torch.from_numpy(np.searchsorted(self.ranked, one.tokens)).to(device)
            for one in self.tested
        ]


def sets_of(context: Context) -> Sets:
    """The token sets that latents are tested for; none where none are asked for.

    Raises:
        SaereportError: A set of the user's file cannot be used.
    """
    config, model = context.config, context.model
    if config.enrichment == "none" or all(context.skips(table) for table in OF_SETS):
        return Sets((), (), np.zeros(0, dtype=np.int64))
    ids = [i for i in range(context.token_rows.n_logits) if i not in model.special_ids]
    texts = dict(zip(ids, token_bytes(model.tokenizer, ids), strict=True))
    unwritten = unwritten_ids(model.tokenizer, texts)
    texts = {i: text for i, text in texts.items() if i not in unwritten}
    every = built_in_sets(texts)
    if config.token_sets is not None:
        every += own_sets(texts, read_token_sets(config.token_sets), config.token_sets.name)
    tested = tuple(one for one in every if one.is_tested(len(texts)))
    n_left_out = context.token_rows.n_logits - len(texts)
    return Sets(tuple(every), tested, np.array(sorted(texts), dtype=np.int64), n_left_out)


def measured_latents(asked: int | str, d_sae: int, shown: NDArray[np.int64]) -> NDArray[np.int64]:
    """The latents of an SAE that are measured, ascending.

    Args:
        asked: `all`, or how many at most.
        d_sae: How many there are.
        shown: Those that are shown, which always are among them.
    """
    if asked == "all" or int(asked) >= d_sae:
        return np.arange(d_sae, dtype=np.int64)
    others = np.setdiff1d(np.arange(d_sae, dtype=np.int64), shown)
    n = min(max(int(asked) - len(shown), 0), len(others))
    spaced = others[np.arange(n) * len(others) // max(n, 1)]
    return np.union1d(shown, spaced).astype(np.int64)


def planned(context: Context) -> str:
    """What is going to be done, in words; warns of words that are no token.

    Raises:
        SaereportError: A set of the user's file cannot be used.
    """
    sets, config = sets_of(context), context.config
    for one in sets.every:
        if one.missing:
            words = ", ".join(f"'{shortened(word, 30)}'" for word in one.missing[:3])
            context.warned.add(
                f"Of the token set '{shortened(one.name, 60)}' {len(one.missing):,} words are no "
                f"single token of this model and are left out, such as {words}."
            )
    n = sum(
        d_sae if config.lens == "all" else min(int(config.lens), d_sae)
        for d_sae in context.widths.values()
    )
    words = f"{n:,} latents x {context.token_rows.n_logits:,} tokens"
    if sets.tested:
        which = "these" if config.enrichment == "all" else "the shown"
        words += f", {len(sets.tested)} token sets of {which} latents"
        if sets.n_left_out:
            words += f" over {len(sets.ranked):,} tokens that stand for text"
    return words


@dataclass(frozen=True, eq=False)
class Found:
    """What was measured of an SAE.

    Attributes:
        latents: Which latents, ascending, int64[n].
        moments: float64[4, n], in the order of `MOMENTS`.
        tested: Latents that were tested for token sets, ascending, int64[m].
        sums: Numerators of their scores, int64[m, n_sets].
    """

    latents: NDArray[np.int64]
    moments: NDArray[np.float64]
    tested: NDArray[np.int64]
    sums: NDArray[np.int64]


def measure(
    subject: WeightContext, tested: NDArray[np.int64], sets: Sets, context: Context
) -> Found:
    """Moments of a subject's latents, and the enrichment of some of them.

    Args:
        subject: The SAE and all latents to be measured.
        tested: Those of them that are tested for token sets.
        sets: The sets.
        context: The build.
    """
    moments = [np.zeros((len(MOMENTS), 0))]
    sums = [np.zeros((0, len(sets.tested)), dtype=np.int64)]
    together = len(tested) == len(subject.latents)

    def add_sums(scores: torch.Tensor) -> None:
        if len(sets.ranked) < scores.shape[1]:
            scores = scores[:, torch.from_numpy(sets.ranked).to(scores.device)]
        sums.append(running_sums(scores, sets.members(scores.device), subject.memory))

    with context.progress.bar("Logit lens", len(subject.latents), "latent") as bar:
        for span, scores in lens_blocks(subject):
            moments.append(central_moments(scores))
            if together and sets.tested:
                add_sums(scores)
            bar.advance(span.stop - span.start)
    if not together and sets.tested:
        for _, scores in lens_blocks(replace(subject, latents=tested)):
            add_sums(scores)
    if not sets.tested:
        tested = tested[:0]
    joined = np.concatenate(moments, axis=1)
    return Found(np.asarray(subject.latents), joined, tested, np.concatenate(sums))


# ---- tables


def lens_tables(context: Context) -> Iterator[Yielded]:
    """The tables of each SAE that has a logit lens; for the others, the reason."""
    sets = sets_of(context)
    nulls: dict[int, NDArray[np.int64]] = {}
    for slug in context.deepest_first():
        for name, columns in _tables_of(context, slug, sets, nulls).items():
            if context.skips(name):
                context.leave_out(slug, name, SKIPPED)
            else:
                yield slug, name, columns
    if nulls and not context.skips("token_sets"):
        yield None, "token_sets", set_rows(sets, context.config.enrichment_permutations)


def _tables_of(
    context: Context, slug: str, sets: Sets, nulls: dict[int, NDArray[np.int64]]
) -> dict[str, dict[str, Any]]:
    """The tables of one SAE; the nulls are drawn for the first that needs them."""
    sae, shown = context.saes[slug], context.latents[slug]
    latents = measured_latents(context.config.lens, sae.d_sae, shown)
    subject = WeightContext(sae, latents, context.token_rows)
    reason = WEIGHT_TABLES["logit_lens"].why_not(subject)
    if reason:
        context.leave_out_all(slug, (*OF_SAE, *OF_SETS), reason)
        return {}
    if sets.tested and not nulls:
        nulls |= drawn_nulls(context, sets)
    tested = latents if context.config.enrichment == "all" else shown
    found = measure(subject, tested, sets, context)
    made = {**moment_rows(found), "lens_extremes": extreme_rows(subject, found)}
    return {**made, **score_rows(found, sets, nulls, shown)} if sets.tested else made


def drawn_nulls(context: Context, sets: Sets) -> dict[int, NDArray[np.int64]]:
    """The null of every size of a set, by the size."""
    config, found = context.config, {}
    with context.progress.bar("Random token sets", len(sets.sizes), "size") as bar:
        for size in sets.sizes:
            found[size] = permutation_null(
                size, len(sets.ranked), config.enrichment_permutations, config.seed
            )
            bar.advance(1)
    return found


def moment_rows(found: Found) -> dict[str, dict[str, Any]]:
    """Table `lens_moments`."""
    columns = {name: found.moments[i].astype(np.float32) for i, name in enumerate(MOMENTS)}
    return {"lens_moments": {"latent": found.latents.astype(np.int32), **columns}}


def extreme_rows(subject: WeightContext, found: Found) -> dict[str, Any]:
    """Table `lens_extremes`."""
    _, std, skewness, kurtosis = found.moments.astype(np.float32).astype(np.float64)
    rows = farthest(std, skewness, kurtosis, EXTREMES)
    order = [(kind, rank, row) for kind in sorted(KINDS) for rank, row in enumerate(rows[kind])]
    latents = found.latents[[row for *_, row in order]]
    few, back = np.unique(latents, return_inverse=True)
    parts = [extremes(scores, TOKENS) for _, scores in lens_blocks(replace(subject, latents=few))]
    empty = extremes(torch.zeros((0, subject.tokens.n_logits)), TOKENS)
    return {
        "kind": [kind for kind, *_ in order],
        "rank": np.array([rank for _, rank, _ in order], dtype=np.int32),
        "latent": latents.astype(np.int32),
        **listed(parts or [empty], back),
    }


def score_rows(
    found: Found, sets: Sets, nulls: Mapping[int, NDArray[np.int64]], shown: NDArray[np.int64]
) -> dict[str, dict[str, Any]]:
    """Tables `token_set_scores`, `token_set_strongest` and `token_set_counts`."""
    # Rows are sorted by the names of the sets.
    order = sorted(range(len(sets.tested)), key=lambda i: sets.tested[i].name)
    names = [sets.tested[i].name for i in order]
    sums, n = found.sums[:, order], len(sets.ranked)
    sizes = [len(sets.tested[i].tokens) for i in order]
    scores = sums / np.array([k * (n - k) for k in sizes], dtype=np.float64)
    columns = [p_values(sums[:, i], nulls[min(k, n - k)]) for i, k in enumerate(sizes)]
    p = np.stack(columns, axis=1)
    corrected = benjamini_hochberg(p)
    rows = np.flatnonzero(np.isin(found.tested, shown))
    of_shown = {
        "latent": np.repeat(found.tested[rows], len(names)).astype(np.int32),
        "set": names * len(rows),
        "score": scores[rows].ravel(),
        "p": p[rows].ravel(),
        "corrected": corrected[rows].ravel(),
    }
    significant = corrected <= SIGNIFICANT
    counts = {
        "set": names,
        "n_tested": [len(found.tested)] * len(names),
        "n_raised": (significant & (scores > 0)).sum(axis=0),
        "n_lowered": (significant & (scores < 0)).sum(axis=0),
    }
    picked = list(_strongest(scores))
    at = ([row for *_, row in picked], [i for i, *_ in picked])
    strongest = {
        "set": [names[i] for i, *_ in picked],
        "end": [end for _, end, *_ in picked],
        "rank": np.array([rank for _, _, rank, _ in picked], dtype=np.int32),
        "latent": found.tested[at[0]].astype(np.int32),
        "score": scores[at],
        "p": p[at],
        "corrected": corrected[at],
    }
    return {
        "token_set_scores": of_shown,
        "token_set_strongest": strongest,
        "token_set_counts": counts,
    }


def _strongest(scores: NDArray[np.float64]) -> Iterator[tuple[int, str, int, int]]:
    """Set, end, rank and row of the strongest latents of each set, in the order of the table."""
    for i, column in enumerate(scores.T):
        for end, sign in (("lowered", -1), ("raised", 1)):
            rows = np.argsort(-sign * column, kind="stable")[:STRONGEST]
            rows = rows[sign * column[rows] > 0]
            yield from ((i, end, rank, row) for rank, row in enumerate(rows.tolist()))


def set_rows(sets: Sets, n: int) -> dict[str, Any]:
    """Table `token_sets`."""
    every = sorted(sets.every, key=lambda one: one.name)
    used = [n if one in sets.tested else 0 for one in every]
    return {
        "set": [one.name for one in every],
        "own": [one.own for one in every],
        "n_tokens": [len(one.tokens) for one in every],
        "n_ranked": [len(sets.ranked)] * len(every),
        "n_left_out": [sets.n_left_out] * len(every),
        "n_permutations": used,
        "smallest_p": [1 / (k + 1) if k else 0.0 for k in used],
        "examples": [_spread(one.tokens) for one in every],
        "missing": [list(one.missing[:MISSING]) for one in every],
        "n_missing": [len(one.missing) for one in every],
    }


def _spread(tokens: Sequence[int]) -> list[int]:
    """Some tokens of a set, evenly spaced over it."""
    n = min(len(tokens), EXAMPLES)
    return [tokens[i * len(tokens) // n] for i in range(n)]


# ---- cost


def cost_of_lens(context: Context, probe: Probe) -> Cost:
    """What the tables of all SAEs will take, from those of few latents of some of them."""
    config, seconds, peaks = context.config, [], []
    with probe.sample() as shared:
        sets = sets_of(context)
        _ = context.token_rows
    for slug, shown in context.latents.items():
        sae = context.saes[slug]
        latents = measured_latents(config.lens, sae.d_sae, shown)
        subject = WeightContext(sae, latents, context.token_rows)
        if WEIGHT_TABLES["logit_lens"].why_not(subject):
            seconds.append(0.0)
            continue
        # What all latents take, and what testing some of them for token sets takes more.
        alone = _line(context, probe, subject, Sets((), (), sets.ranked), len(latents))
        n_tested = len(latents) if config.enrichment == "all" else len(shown)
        more = _line(context, probe, subject, sets, n_tested) if sets.tested else (0.0, alone[1])
        share = n_tested / max(len(latents), 1)
        seconds.append(alone[0] + max(0.0, more[0] - alone[0] * share))
        peaks.append(more[1])
        if probe.over:
            break
    missing = len(context.latents) / max(len(seconds), 1)
    on_device = [one.device_bytes for one in peaks if one.device_bytes is not None]
    drawing = _seconds_of_nulls(context, probe, sets) if peaks else 0.0
    return Cost(
        seconds=shared.seconds + drawing + sum(seconds) * missing,
        host_bytes=max((one.host_bytes for one in peaks), default=shared.host_bytes),
        device_bytes=max(on_device, default=None),
        run_bytes=sum(24 * width for width in context.widths.values()),
    )


def _line(
    context: Context, probe: Probe, subject: WeightContext, sets: Sets, n: int
) -> tuple[float, Any]:
    """Seconds of so many latents, from two samples, and the larger sample."""

    def sampled(count: int) -> Any:
        few = subject.latents[:count]
        with probe.sample() as sample:
            measure(replace(subject, latents=few), few, sets, context)
        return sample

    small = sampled(FEW)
    count = min(FEW * probe.fitting(small.seconds, MOST // FEW), len(subject.latents))
    large = sampled(count)
    first = (min(FEW, count), min(small.seconds, large.seconds))
    return line_through(first, (count, large.seconds), n), large


def _seconds_of_nulls(context: Context, probe: Probe, sets: Sets) -> float:
    """What drawing the random sets takes, from a few of each size."""
    n = context.config.enrichment_permutations
    few = min(20, n)
    with probe.sample() as sample:
        for size in sets.sizes:
            permutation_null(size, len(sets.ranked), few, 0)
    return sample.seconds * n / few
