"""Compare two runs: pair their SAEs and latents, and put together what each module finds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saereport.diff.asked import asked_otherwise, other_saes
from saereport.diff.changes import latent_changes
from saereport.diff.columns import ranked, shown_latents
from saereport.diff.facts import changed_facts
from saereport.diff.latents import Comparability, Half, active_tokens, compared_latents
from saereport.diff.matching import Matching, matched_latents
from saereport.diff.metrics import METRICS
from saereport.diff.model import ChangedFact, Difference, Pairs, SaeDifference, Side, Value
from saereport.diff.pairing import paired_saes
from saereport.diff.prompts import compared_prompts
from saereport.diff.saes import (
    Sampled,
    compared_saes,
    density_distance,
    sae_figures,
    sae_values,
)
from saereport.diff.vocabularies import SharedVocabulary, vocabularies
from saereport.plugins import load_plugins
from saereport.run import Run, RunInfo
from saereport.run.meta import meta_saes_named
from saereport.util.errors import UsageError, did_you_mean
from saereport.util.progress import Progress
from saereport.util.visible import visible_text


@dataclass(frozen=True)
class Options:
    """How two runs are compared.

    Attributes:
        tolerances: Metric name to tolerance, in place of the defaults in `METRICS`.
        match: How latents are paired. `auto`: by number where the SAEs are the same or one came
            from the other, else by decoder direction where both runs have these, else by
            co-activation where both read the same text, else by number.
        saes: (slug before, slug after) of SAEs to compare with each other.
    """

    tolerances: Mapping[str, float] = field(default_factory=dict)
    match: Literal["auto", "index", "decoder_cosine", "coactivation"] = "auto"
    saes: tuple[tuple[str, str], ...] = ()


def compare(
    before: Run,
    after: Run,
    *,
    names: tuple[str, str] = ("before", "after"),
    options: Options = Options(),
    progress: Progress | None = None,
) -> Difference:
    """Compare two runs.

    Every file that is read is checked against its SHA-256. What only one run has, or what makes no
    sense between the two, is said in `not_compared`.

    Args:
        before: The run that was there.
        after: The new run.
        names: What to call them.
        options: How to compare.
        progress: Where to say what is being done; nowhere by default.

    Raises:
        SaereportError: A run is damaged.
        UsageError: The options name an unknown metric or SAE, or a tolerance that is none.
    """
    progress = progress or Progress(quiet=True)
    load_plugins(progress.warn)
    tolerances = _tolerances(options.tolerances)
    infos = (before.info, after.info)
    paired = paired_saes(*infos, options.saes)
    words = vocabularies(before, after)
    asked = asked_otherwise(before, after)
    saes: list[SaeDifference] = []
    same_latents: list[tuple[str, str]] = []
    for one, two in paired.pairs:
        progress.say(f"Comparing {two}" if one == two else f"Comparing {one} with {two}")
        why_not = {**asked.reasons, **other_saes((before, one), (after, two), dict(paired.pairs))}
        sae, same = _compared_sae((before, one), (after, two), words, tolerances, options, why_not)
        saes.append(sae)
        if same:
            same_latents.append((one, two))
    prompts = compared_prompts(before, after, same_latents, words, tolerances)
    return Difference(
        before=_side(names[0], before.info),
        after=_side(names[1], after.info),
        identical=_same_bytes(*infos),
        facts=(
            *asked.facts,
            *_other_meta_saes(before, after, paired.pairs),
            *changed_facts(*infos, paired.pairs),
        ),
        saes=tuple(saes),
        saes_added=paired.added,
        saes_removed=paired.removed,
        prompts=prompts.compared,
        prompts_added=prompts.added,
        prompts_removed=prompts.removed,
    )


def _other_meta_saes(
    before: Run, after: Run, pairs: Iterable[tuple[str, str]]
) -> Iterator[ChangedFact]:
    """That SAEs have other meta-SAEs, or these were given the decoder rows in another way."""
    for one, two in pairs:
        was, now = (meta_saes_named(*side) for side in ((before, one), (after, two)))
        if was and now and was != now:
            yield ChangedFact("sae", f"{two}.meta-SAEs", was, now, matters=True)


def _tolerances(given: Mapping[str, float]) -> dict[str, float]:
    for name, tolerance in given.items():
        if name not in METRICS:
            raise UsageError(f"There is no metric '{name}'.", did_you_mean(name, METRICS))
        if not 0 <= tolerance < np.inf:
            raise UsageError(
                f"The tolerance of '{name}' is {tolerance}.", "Give a number that is not negative."
            )
    return {name: given.get(name, metric.tolerance) for name, metric in METRICS.items()}


def _side(name: str, info: RunInfo) -> Side:
    return Side(
        visible_text(name), visible_text(info.title), info.fingerprint, info.saereport_version
    )


def _same_bytes(before: RunInfo, after: RunInfo) -> bool:
    """`run.json` lists the SHA-256 of every other file, so it stands for all."""
    return before == after


def _compared_sae(
    before: tuple[Run, str],
    after: tuple[Run, str],
    words: tuple[SharedVocabulary, SharedVocabulary],
    tolerances: Mapping[str, float],
    options: Options,
    why_not: Mapping[str, str],
) -> tuple[SaeDifference, bool]:
    """Two SAEs compared, and whether a latent's number means the same in both.

    `why_not` says of metrics why the two runs' values are not of the same thing.
    """
    sides = (before, after)
    infos = [run.info.sae(slug) for run, slug in sides]
    shown = [shown_latents(run, slug) for run, slug in sides]
    matching = matched_latents(before, after, (shown[0], shown[1]), options.match)
    halves = (
        Half(*before, matching.before, words[0]),
        Half(*after, matching.after, words[1]),
    )
    setting = Comparability(
        no_places=_no_places(before[0].info, after[0].info),
        same_latents=matching.same_latents,
        why_not=why_not,
    )
    columns, reasons = compared_latents(*halves, setting)
    n_active = active_tokens(*halves)
    pairs = Pairs(
        before=matching.before,
        after=matching.after,
        similarity=matching.similarity,
        sizes={name: column.sizes for name, column in columns.items()},
        befores={n: c.befores for n, c in columns.items() if c.befores is not None},
        afters={n: c.afters for n, c in columns.items() if c.afters is not None},
        tolerances={name: METRICS[name].tolerances(tolerances[name], n_active) for name in columns},
    )
    blind = _blind(*before, matching.before) | _blind(*after, matching.after)
    changed = latent_changes(pairs, columns, (_labels(halves[0]), _labels(halves[1])), blind)
    found, missing = _as_wholes(sides, shown, tolerances, options.tolerances, why_not)
    counted, without = _counted(sides, matching, len(changed), tolerances)
    values = sorted([*found, *counted], key=lambda value: list(METRICS).index(value.metric))
    difference = SaeDifference(
        before=before[1],
        after=after[1],
        label=visible_text(infos[1].label),
        same_weights=infos[0].weights == infos[1].weights,
        pairing=matching.pairing,
        values=tuple(values),
        pairs=pairs,
        changed=changed,
        added=tuple(matching.added.tolist()),
        removed=tuple(matching.removed.tolist()),
        clusters=matching.clusters,
        not_compared={**missing, **without, **reasons},
        pairing_note=matching.note,
    )
    return difference, matching.same_latents


def _no_places(before: RunInfo, after: RunInfo) -> str:
    """Why an example's place in one text says nothing about the other; empty where it does."""
    if before.fingerprint != after.fingerprint and (before.is_imported or after.is_imported):
        # Their digest is that of a name, and their sequences are numbered as the files come.
        return "imported files do not say where in the text their examples lie"
    same = before.text.digest == after.text.digest
    return "" if same else "the two runs read different text"


def _as_wholes(
    sides: tuple[tuple[Run, str], tuple[Run, str]],
    shown: list[np.ndarray],
    tolerances: Mapping[str, float],
    fixed: Collection[str],
    why_not: Mapping[str, str],
) -> tuple[list[Value], dict[str, str]]:
    """Metrics that each side has by itself, and for those that are not compared the reason."""
    given = [sae_values(*side, len(found)) for side, found in zip(sides, shown, strict=True)]
    figures = [sae_figures(*side) for side in sides]
    digests = {run.info.text.digest for run, _ in sides}
    sampled = Sampled(figures[0], figures[1], len(digests) == 1, fixed, why_not)
    return compared_saes(given[0], given[1], tolerances, sampled)


def _counted(
    sides: tuple[tuple[Run, str], tuple[Run, str]],
    matching: Matching,
    n_changed: int,
    tolerances: Mapping[str, float],
) -> tuple[list[Value], dict[str, str]]:
    """Metrics of an SAE that only two runs have, and for those that they have not the reason."""
    reasons: dict[str, str] = {}
    between: dict[str, float] = {
        "latents.added": float(len(matching.added)),
        "latents.removed": float(len(matching.removed)),
        "latents.changed": float(n_changed),
    }
    distance = density_distance(*sides)
    if isinstance(distance, str):
        # What neither run has is no difference between them.
        if any(run.has("sae_activity", slug) for run, slug in sides):
            reasons["density.jsd"] = distance
    else:
        between["density.jsd"] = distance
    values = [Value(name, None, None, size, tolerances[name]) for name, size in between.items()]
    return values, reasons


def _blind(run: Run, slug: str, latents: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[n]: which latents a reader of the report is to meet blind."""
    rows = run.table("blind_latents").to_pylist() if run.has("blind_latents") else []
    return np.isin(latents, [row["latent"] for row in rows if row["sae"] == slug])


def _labels(half: Half) -> list[str]:
    """The first explanation of each latent as visible text; empty where there is none."""
    if not half.run.has("explanations", half.slug):
        return [""] * len(half.latents)
    table = half.table("explanations", "rank", "text")
    texts = table.column("text").to_pylist()
    number = np.arange(len(texts))
    lists = ranked(table.append_column("row", [number]), "row", half.latents)
    return [
        visible_text(texts[lists.of(row)[0]]) if length else ""
        for row, length in enumerate(lists.lengths)
    ]
