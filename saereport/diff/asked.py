"""What two runs were asked beside their settings: the texts, prompts and words of their stages.

Where these are other ones, their numbers are not of the same thing, however alike they look: facts
say so, and what is taken from them is not compared, so that no gate passes or fails by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from saereport.diff.metrics import METRICS
from saereport.diff.model import ChangedFact
from saereport.run import Run
from saereport.run.capability import ALL, prompts_by_set
from saereport.util.files import json_digest
from saereport.util.visible import visible_text

_TASKS: Final = {
    "labelled texts": ("probing", "probing_tasks", ()),
    "texts of the bias test": ("bias", "bias_groups", ()),
    # How well the model spells the words is no fact of theirs.
    "words of absorption": ("absorption", "absorption_words", ("spelled",)),
}
"""What stages' tables say of texts and words, and which of their columns are measurements."""

_CALLED: Final = ("task",)
"""Columns that only say what a file is called."""

_WITHOUT_DROPPED: Final = frozenset({"bias.worst_before"})
"""Metrics of the bias test that do not depend on which latents are taken out."""

_OVER_SAES: Final = ("geometry.match", "geometry.unmatched", "geometry.split")
"""Metrics that are means over the other SAEs of a report."""

_DIGITS: Final = 16
"""Of a digest that is shown."""


def _of_stage(*stages: str) -> Callable[[str], bool]:
    return lambda name: METRICS[name].stage in stages


def _with_dropped(name: str) -> bool:
    return METRICS[name].stage == "bias" and name not in _WITHOUT_DROPPED


_TAKEN_FROM: Final[Mapping[str, Callable[[str], bool]]] = {
    "labelled texts": _of_stage("probing"),
    "texts of the bias test": _of_stage("bias"),
    **dict.fromkeys(("latents to take out", "labels that are judged by words"), _with_dropped),
    "words of absorption": _of_stage("absorption"),
    "token sets": lambda name: name == "lens.enriched",
    "prompts to steer on": _of_stage("steering"),
    "prompts of output scores": _of_stage("output_scores"),
}
"""By what was asked, which metrics are taken from it alone."""


@dataclass(frozen=True)
class Asked:
    """What two runs were asked otherwise.

    Attributes:
        facts: That they were.
        reasons: Metric name to why its values are not compared.
    """

    facts: tuple[ChangedFact, ...]
    reasons: Mapping[str, str]


def asked_otherwise(before: Run, after: Run) -> Asked:
    """What two runs were asked otherwise, as far as both say.

    Raises:
        SaereportError: A table is damaged.
    """
    found = dict(_other_files(before, after))
    found |= {name: sides for name, sides in _other_tasks(before, after) if name not in found}
    one, two = prompts_by_set(before), prompts_by_set(after)
    found |= dict(_other_prompts(before, after, (one.get(ALL, ""), two.get(ALL, ""))))
    reasons = {
        metric: f"the two runs have other {name}"
        for name in found
        for metric in METRICS
        if name in _TAKEN_FROM and _TAKEN_FROM[name](metric)
    }
    for name in one.keys() & two.keys():
        if one[name] != two[name]:
            end = "" if name == ALL else f".{name}"
            for metric in ("accuracy", "logit_difference"):
                reasons[f"capability.{metric}{end}"] = "the two runs asked other prompts"
    facts = (
        ChangedFact("configuration", visible_text(name), *sides, matters=True)
        for name, sides in found.items()
    )
    return Asked(tuple(facts), {name: why for name, why in reasons.items() if name in METRICS})


def other_saes(
    before: tuple[Run, str], after: tuple[Run, str], same: Mapping[str, str]
) -> dict[str, str]:
    """Metrics that are means over the SAEs that one is compared with, where these are others.

    Args:
        before: Run and slug.
        after: Run and slug.
        same: Slug before to slug after, of SAEs that belong together.

    Returns:
        Metric name to why its values are not compared.
    """
    sides: list[set[str]] = []
    names = [same, {}]
    for (run, slug), known in zip((before, after), names, strict=True):
        if not run.has("dictionary_matches", slug):
            return {}
        others = run.table("dictionary_matches", slug, columns=["other"]).column("other")
        sides.append({known.get(other, other) for other in others.to_pylist()})
    if sides[0] == sides[1]:
        return {}
    return dict.fromkeys(_OVER_SAES, "the two runs compare it with other SAEs")


Sides = tuple[str, str]
"""What stood before, and after, as text."""


def _other_files(before: Run, after: Run) -> Iterator[tuple[str, Sides]]:
    """Files that a stage read in both runs, and that differ; a run may be older than the record."""
    one, two = before.info.inputs, after.info.inputs
    if one is None or two is None:
        return
    # What only one of them did is missing in the other, and said to be.
    for stage in one.keys() & two.keys():
        for words in sorted({**one[stage], **two[stage]}):
            sides = tuple(held[stage].get(words, "")[:_DIGITS] for held in (one, two))
            if sides[0] != sides[1]:
                yield words.removeprefix("the "), (sides[0], sides[1])


def _other_tasks(before: Run, after: Run) -> Iterator[tuple[str, Sides]]:
    """Texts and words that differ as far as their counts and labels tell.

    Where both runs say what is in their files, it is no matter what these are called.
    """
    inputs = [run.info.inputs or {} for run in (before, after)]
    for name, (stage, table, measured) in _TASKS.items():
        if not before.has(table) or not after.has(table):
            continue
        known = all(stage in held for held in inputs)
        left_out = (*measured, *_CALLED) if known else measured
        names = [one for one in before.table(table).column_names if one not in left_out]
        one, two = (run.table(table, columns=names).to_pylist() for run in (before, after))
        if known:
            # Names of files order them.
            one, two = (sorted(rows, key=lambda row: [*row.values()]) for rows in (one, two))
        if one != two:
            yield name, (_told(one, "rows"), _told(two, "rows"))


def _other_prompts(before: Run, after: Run, answered: Sides) -> Iterator[tuple[str, Sides]]:
    """Prompts that differ, whatever the file that they are in is called.

    `answered` are those of capability tests, which take a whole vocabulary to be told.
    """
    one, two = answered
    if one and two and one != two:
        yield "prompts of capability tests", (one, two)
    for name, of in (("prompts to steer on", _steered), ("prompts of output scores", _scored)):
        sides = [of(run) for run in (before, after)]
        if None not in sides and sides[0] != sides[1]:
            yield name, (_told(sides[0] or [], "prompts"), _told(sides[1] or [], "prompts"))


def _steered(run: Run) -> list[Any] | None:
    if not run.has("steering_prompts"):
        return None
    return [row["text"] for row in run.table("steering_prompts").sort_by("prompt").to_pylist()]


def _scored(run: Run) -> list[Any] | None:
    """The prompts of output scores that were given; those that are built in where there are none.

    What a run says of its settings is as any file may have it.
    """
    settings = run.info.config.get("output_scores")
    prompts = settings.get("prompts") if isinstance(settings, Mapping) else None
    return list(prompts) if isinstance(prompts, (list, tuple)) else None


def _told(held: list[Any], what: str) -> str:
    return f"{len(held):,} {what}, {json_digest(held)[:_DIGITS]}"
