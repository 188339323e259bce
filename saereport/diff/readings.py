"""What a condition is asked of: the numbers of every SAE, latent, prompt or edge in question.

A gate must never pass because nothing was there to look at. So a place whose numbers are absent
gives a reading too, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saereport.diff.conditions import Condition
from saereport.diff.measured import Measured
from saereport.diff.metrics import METRICS
from saereport.diff.model import Difference, Interval, PromptDifference, SaeDifference, Value

NOT_MEASURED = "not measured"

_NAMED = 5
"""Latents that are named where all are counted."""

_LABEL = 60

EDGE_COUNTS = frozenset(name for name in METRICS if name.startswith("edges."))


@dataclass(frozen=True)
class Reading:
    """The numbers of one place.

    Attributes:
        place: Slug of an SAE or a prompt; empty for the report as a whole.
        values: float64[n]; NaN where there is no number. One value for the place itself, or one
            for each latent or edge.
        latents: int64[n], for metrics of latents.
        items: What each value is about, as a reader sees it: an edge, the latents counted, or the
            interval of a figure.
        reason: Why there are no values; empty where there are.
        also: Another slug that the user may know the place by.
    """

    place: str
    values: NDArray[np.float64]
    latents: NDArray[np.int64] | None = None
    items: tuple[str, ...] | None = None
    reason: str = ""
    also: str = ""


@dataclass(frozen=True)
class Gap:
    """Numbers that are not there.

    Attributes:
        text: What has none, and why.
        partial: Whether it is only some latents of a place, and others have a number.
    """

    text: str
    partial: bool


def alone(condition: Condition, measured: Measured) -> list[Reading]:
    """What one report says on a condition on its own values, in the report's order."""
    name = condition.metric
    scope = METRICS[name].scope
    if scope == "latent":
        return [_of_latents(place, *found, name) for place, found in measured.latents.items()]
    places = measured.prompts if scope == "prompt" else measured.saes
    intervals = {} if scope == "prompt" else measured.intervals
    return [
        _single(place, metrics[name], within=intervals.get(place, {}).get(name))
        if name in metrics
        else absent(place)
        for place, metrics in places.items()
    ]


def between(condition: Condition, difference: Difference) -> list[Reading]:
    """What a comparison says on a condition, in the comparison's order."""
    name = condition.metric
    scope = METRICS[name].scope
    if scope == "report":
        return [_single("", _count_of_report(name, difference))]
    if scope == "latent":
        return [_of_pairs(sae, condition) for sae in difference.saes]
    if scope == "sae":
        found = [_of_sae(sae, condition) for sae in difference.saes]
        if name == "latents.removed":
            found += [absent(slug, "the SAE is gone") for slug in difference.saes_removed]
        return found
    if scope == "edge":
        return [_of_edges(prompt) for prompt in difference.prompts]
    found = [_of_prompt(prompt, condition) for prompt in difference.prompts]
    if name == "edges.lost":
        found += [absent(slug, "the prompt is gone") for slug in difference.prompts_removed]
    return found


def absent(place: str, reason: str = NOT_MEASURED, *, also: str = "") -> Reading:
    """A place without numbers, and why."""
    return Reading(place, np.empty(0), reason=reason, also=also)


def shortened(label: str) -> str:
    """A label that does not crowd out the rest of a line."""
    return label if len(label) <= _LABEL else label[: _LABEL - 1] + "…"


def only(reading: Reading, latents: tuple[int, ...]) -> Reading:
    """The reading of these latents; one that is not there is one without a number."""
    if reading.latents is None:
        return reading
    wanted = np.array(sorted(set(latents)), np.int64)
    here = np.isin(reading.latents, wanted)
    lost = wanted[~np.isin(wanted, reading.latents)]
    return replace(
        reading,
        latents=np.concatenate([reading.latents[here], lost]),
        values=np.concatenate([reading.values[here], np.full(len(lost), np.nan)]),
    )


def gaps_in(readings: Sequence[Reading]) -> list[Gap]:
    """Everything that has no number."""
    return [gap for reading in readings if (gap := _gap(reading)) is not None]


def in_words(gaps: Sequence[Gap]) -> str:
    """What was not measured, in one line; empty without gaps."""
    return f"{NOT_MEASURED}: {'; '.join(gap.text for gap in gaps)}" if gaps else ""


def _gap(reading: Reading) -> Gap | None:
    where = reading.place or "the report"
    if reading.reason:
        why = "" if reading.reason == NOT_MEASURED else f" ({reading.reason})"
        return Gap(f"{where}{why}", partial=False)
    without = np.flatnonzero(np.isnan(reading.values))
    if not len(without):
        return None
    if reading.latents is None:
        return Gap(where, partial=False)
    few = ", ".join(str(reading.latents[i]) for i in without[:_NAMED])
    more = ", …" if len(without) > _NAMED else ""
    return Gap(
        f"{len(without)} of {len(reading.values)} latents of {where} ({few}{more})",
        partial=len(without) < len(reading.values),
    )


def _single(place: str, value: float, *, also: str = "", within: Interval = None) -> Reading:
    items = (f"95 % interval {within[0]:.4g} to {within[1]:.4g}",) if within else None
    return Reading(place, np.array([value], np.float64), items=items, also=also)


def _count_of_report(name: str, difference: Difference) -> float:
    return float(
        {
            "saes.added": len(difference.saes_added),
            "saes.removed": len(difference.saes_removed),
            "prompts.added": len(difference.prompts_added),
            "prompts.removed": len(difference.prompts_removed),
            "facts.changed": sum(fact.matters for fact in difference.facts),
        }[name]
    )


def _of_latents(
    place: str,
    latents: NDArray[np.int64],
    metrics: Mapping[str, NDArray[np.float64]],
    name: str,
) -> Reading:
    if name not in metrics:
        return absent(place)
    if not len(latents):
        return absent(place, "there are no latents")
    return Reading(place, metrics[name], latents)


def _of_pairs(sae: SaeDifference, condition: Condition) -> Reading:
    name, pairs = condition.metric, sae.pairs
    if name in sae.not_compared:
        return absent(sae.after, sae.not_compared[name], also=sae.before)
    if not len(pairs.after):
        return absent(sae.after, "no latent is on both sides", also=sae.before)
    if condition.part == "size":
        values = pairs.sizes.get(name)
    elif name not in pairs.befores or name not in pairs.afters:
        values = None
    elif condition.part == "before":
        values = pairs.befores[name]
    else:
        values = pairs.afters[name] - pairs.befores[name]
        if name in pairs.sizes:
            # What is not of the same thing on both sides has no size, and no change either.
            values = np.where(np.isnan(pairs.sizes[name]), np.nan, values)
    if values is None:
        return absent(sae.after, also=sae.before)
    return Reading(sae.after, values, pairs.after, also=sae.before)


def _of_sae(sae: SaeDifference, condition: Condition) -> Reading:
    counted = {
        "latents.added": [str(latent) for latent in sae.added],
        "latents.removed": [str(latent) for latent in sae.removed],
        "latents.changed": [
            f"{change.after} ({shortened(change.label)})" if change.label else str(change.after)
            for change in sae.changed[: _NAMED + 1]
        ],
    }
    if condition.metric in counted:
        names = counted[condition.metric]
        few = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        size = len(sae.changed) if condition.metric == "latents.changed" else len(names)
        return Reading(sae.after, np.array([size], np.float64), items=(few,), also=sae.before)
    return _of_values(sae.after, sae.before, sae.values, sae.not_compared, condition)


def _of_prompt(prompt: PromptDifference, condition: Condition) -> Reading:
    reasons = dict(prompt.not_compared)
    if "edge" in reasons:
        # Edges that were not compared may be among those that were gained, lost or changed.
        reasons |= dict.fromkeys(EDGE_COUNTS, reasons["edge"])
    return _of_values(prompt.slug, "", prompt.values, reasons, condition)


def _of_values(
    place: str,
    also: str,
    values: tuple[Value, ...],
    not_compared: Mapping[str, str],
    condition: Condition,
) -> Reading:
    name = condition.metric
    if name in not_compared:
        return absent(place, not_compared[name], also=also)
    for value in values:
        if value.metric == name:
            return _single(place, _part_of(value, condition), also=also)
    return absent(place, also=also)


def _part_of(value: Value, condition: Condition) -> float:
    if condition.part == "size":
        return value.size
    before = np.nan if value.before is None else value.before
    if condition.part == "before":
        return before
    return (np.nan if value.after is None else value.after) - before


def _of_edges(prompt: PromptDifference) -> Reading:
    if "edge" in prompt.not_compared:
        return absent(prompt.slug, prompt.not_compared["edge"])
    if not any(value.metric in EDGE_COUNTS for value in prompt.values):
        return absent(prompt.slug)
    return Reading(
        prompt.slug,
        np.array([edge.size for edge in prompt.edges], np.float64),
        items=tuple(f"{edge.early} -> {edge.late}" for edge in prompt.edges),
    )
