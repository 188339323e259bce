"""Prompts that both runs have: what the model says, scores of graphs, and edges of circuits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from saereport.diff.columns import Lists, numbers
from saereport.diff.gradients import (
    StoredMap,
    changed_gradients,
    gradient_maps,
    maps_left_out,
)
from saereport.diff.graphs import StoredGraph, changed_links, graphs
from saereport.diff.metrics import METRICS, Metric
from saereport.diff.metrics import register as register_metric
from saereport.diff.model import EdgeChange, PromptDifference, Value
from saereport.diff.overlap import rank_distance
from saereport.diff.vocabularies import SharedVocabulary
from saereport.run import Run
from saereport.run.interventions import Effects, effects_of
from saereport.util.visible import visible_text

KINDS = {
    "gained": "edges.gained",
    "lost": "edges.lost",
    "sign": "edges.sign",
    "weight": "edges.weight",
}
"""What happened to an edge, and the metric that counts it."""

OTHER_ANSWER = "the answers differ"

_OF_THE_ANSWER = ("answer.probability", "interventions.largest")

ValueOf = Callable[[Run, int], float | None]

VALUES: dict[str, ValueOf] = {}
"""Metrics of prompts beyond those below: name to what gives a prompt's value in a run, or None."""


def register(metric: Metric, value: ValueOf) -> None:
    """Add a metric of prompts: outputs, gates, `check` and tolerances know it from here.

    Args:
        metric: The metric; its size is the absolute change.
        value: Its value, from a run and a prompt's number; None where the run has none.

    Raises:
        ValueError: There is one of that name, or it is not one of prompts.
    """
    if metric.scope != "prompt" or not metric.one_sided:
        raise ValueError(f"'{metric.name}' is not a metric of one prompt")
    register_metric(metric)
    VALUES[metric.name] = value


@dataclass(frozen=True)
class ComparedPrompts:
    """Prompts of both runs, and slugs of those that only one has."""

    compared: tuple[PromptDifference, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class _Side:
    """What one run holds about its prompts; everything by the prompt's number.

    `same` are the SAEs in which a number means the same latent in both runs: their slugs here, and
    what they are called in both.
    """

    prompts: Mapping[str, Mapping[str, Any]]
    answers: Mapping[int, tuple[int, float]]
    next: Mapping[int, Lists]
    maps: Mapping[int, Mapping[tuple[str, str], StoredMap]]
    other_maps: Mapping[int, int]
    graphs: Mapping[int, StoredGraph]
    effects: Mapping[int, Effects]
    same: Mapping[str, str]
    vocabulary: SharedVocabulary
    run: Run


def compared_prompts(
    before: Run,
    after: Run,
    same_latents: Sequence[tuple[str, str]],
    words: tuple[SharedVocabulary, SharedVocabulary],
    tolerances: Mapping[str, float],
) -> ComparedPrompts:
    """Compare the prompts of two runs that have one slug and the same tokens.

    Args:
        before: The run that was there.
        after: The new run.
        same_latents: (slug before, slug after) of the SAEs in which a number means the same latent.
        words: The runs' vocabularies.
        tolerances: Metric name to tolerance.
    """
    one = _side(before, words[0], dict(same_latents))
    two = _side(after, words[1], {slug: slug for _, slug in same_latents})
    both = [
        slug
        for slug in two.prompts
        if slug in one.prompts and _tokens(one, slug) == _tokens(two, slug)
    ]
    return ComparedPrompts(
        tuple(_compared(one, two, slug, tolerances) for slug in both),
        tuple(slug for slug in two.prompts if slug not in both),
        tuple(slug for slug in one.prompts if slug not in both),
    )


def prompt_values(run: Run) -> dict[str, dict[str, float]]:
    """The prompt-level metrics of one report, by the prompt's slug."""
    own = _side(run, SharedVocabulary(np.empty(0, np.int64), np.empty(0, np.int64), ()), {})
    return {slug: _values(own, row["prompt"]) for slug, row in own.prompts.items()}


def _side(run: Run, vocabulary: SharedVocabulary, names: Mapping[str, str]) -> _Side:
    prompts, answers, nexts = {}, {}, {}
    if run.has("prompts"):
        prompts = {row["slug"]: row for row in run.table("prompts").to_pylist()}
    if run.has("prompt_answers"):
        table = run.table("prompt_answers", columns=["prompt", "splice", "token", "probability"])
        table = table.filter(pc.equal(table.column("splice"), ""))
        tokens = vocabulary.to_common(numbers(table, "token")).tolist()
        rows = zip(
            numbers(table, "prompt").tolist(),
            tokens,
            numbers(table, "probability").tolist(),
            strict=True,
        )
        answers = {prompt: (token, probability) for prompt, token, probability in rows}
    if run.has("prompt_next"):
        table = run.table("prompt_next", columns=["prompt", "splice", "rank", "token"])
        table = table.filter(pc.equal(table.column("splice"), ""))
        tokens = vocabulary.to_common(numbers(table, "token"))
        order = np.lexsort((numbers(table, "rank"), numbers(table, "prompt")))
        number = numbers(table, "prompt")[order]
        for prompt in np.unique(number).tolist():
            listed = tokens[order][number == prompt]
            nexts[prompt] = Lists(listed, np.array([0, len(listed)]))
    return _Side(
        prompts,
        answers,
        nexts,
        gradient_maps(run, vocabulary, names),
        maps_left_out(run, names),
        graphs(run, vocabulary, names),
        effects_of(run),
        names,
        vocabulary,
        run,
    )


def _tokens(side: _Side, slug: str) -> list[int]:
    """A prompt's tokens, in the numbering that both runs share."""
    common = side.vocabulary.to_common(np.array(side.prompts[slug]["tokens"], np.int64))
    return [int(token) for token in common]


def _values(side: _Side, prompt: int) -> dict[str, float]:
    values = {}
    if prompt in side.answers:
        values["answer.probability"] = side.answers[prompt][1]
    if prompt in side.graphs:
        values["graph.replacement"] = side.graphs[prompt].replacement
        values["graph.completeness"] = side.graphs[prompt].completeness
    largest = side.effects.get(prompt, Effects()).largest
    if largest is not None:
        values["interventions.largest"] = largest
    for name, value in VALUES.items():
        found = value(side.run, prompt)
        if found is not None:
            values[name] = found
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _compared(
    before: _Side, after: _Side, slug: str, tolerances: Mapping[str, float]
) -> PromptDifference:
    one, two = before.prompts[slug]["prompt"], after.prompts[slug]["prompt"]
    reasons: dict[str, str] = {}
    sizes: dict[str, tuple[float | None, float | None, float]] = {}
    sides = (_values(before, one), _values(after, two))
    answers = [side.answers.get(n, (None, 0.0))[0] for side, n in ((before, one), (after, two))]
    for name in (*sides[0], *(name for name in sides[1] if name not in sides[0])):
        if name not in sides[0] or name not in sides[1]:
            missing = "after" if name in sides[0] else "before"
            reasons[name] = f"the run {missing} does not have it"
        elif name in _OF_THE_ANSWER and answers[0] != answers[1]:
            reasons[name] = OTHER_ANSWER
        else:
            values = (sides[0][name], sides[1][name])
            sizes[name] = (*values, abs(values[1] - values[0]))
    if one in before.next and two in after.next:
        sizes["next.rbo"] = (None, None, float(rank_distance(before.next[one], after.next[two])[0]))
    for name, found in _effects(before, after, one, two).items():
        if answers[0] != answers[1]:
            reasons[name] = OTHER_ANSWER
        elif isinstance(found, str):
            reasons[name] = found
        else:
            sizes[name] = (None, None, found)
    edges, why = _edges(before, after, slug, tolerances["edge"])
    if why:
        reasons["edge"] = why
    if edges is not None:
        for change, name in KINDS.items():
            sizes[name] = (None, None, float(sum(edge.change == change for edge in edges)))
    return PromptDifference(
        slug=slug,
        name=visible_text(after.prompts[slug]["name"]),
        values=tuple(
            Value(name, *sizes[name], tolerances[name]) for name in METRICS if name in sizes
        ),
        edges=tuple(edges or ()),
        not_compared=reasons,
    )


def _effects(before: _Side, after: _Side, one: int, two: int) -> dict[str, float | str]:
    """How far apart effects of latents that both runs set are, at most; or why that is not said."""
    sides = [
        {
            name: {(side.same[k[0]], *k[1:]): v for k, v in held.items() if k[0] in side.same}
            for name, held in (
                ("interventions.ablated", effects.ablated),
                ("interventions.clamped", effects.clamped),
            )
        }
        for side, effects in (
            (before, before.effects.get(one, Effects())),
            (after, after.effects.get(two, Effects())),
        )
    ]
    found: dict[str, float | str] = {}
    if one not in before.effects or two not in after.effects:
        return found
    texts = {side.run.info.text.digest for side in (before, after)}
    for name, held in sides[0].items():
        both = held.keys() & sides[1][name].keys()
        if name == "interventions.clamped" and len(texts) > 1:
            # Multiples are of the largest activation on the text.
            found[name] = "the two runs read different text"
        elif both:
            found[name] = max(abs(sides[1][name][key] - held[key]) for key in both)
        elif held or sides[1][name]:
            found[name] = "no latent was set in both runs"
    return found


def _maps(n: int) -> str:
    return f"{n:,} {'map' if n == 1 else 'maps'} of gradients"


def _edges(
    before: _Side, after: _Side, slug: str, tolerance: float
) -> tuple[list[EdgeChange] | None, str]:
    """Edges that changed, strongest first (None where none can be compared), and what is left."""
    one, two = before.prompts[slug]["prompt"], after.prompts[slug]["prompt"]
    tokens = _tokens(after, slug)

    def place(position: int) -> str:
        inside = 0 <= position < len(tokens)
        return (
            f'@{position} "{after.vocabulary.shown(tokens[position])}"'
            if inside
            else f"@{position}"
        )

    maps = (before.maps.get(one, {}), after.maps.get(two, {}))
    both = [names for names in maps[1] if names in maps[0]]
    changes: list[EdgeChange] = []
    for names in both:
        changes += changed_gradients(
            maps[0][names], maps[1][names], names, place, after.vocabulary.shown, tolerance
        )
    reasons = []
    only = len(maps[0]) + len(maps[1]) - 2 * len(both)
    if only:
        reasons.append(f"{_maps(only)} in one run only")
    other_saes = max(before.other_maps.get(one, 0), after.other_maps.get(two, 0))
    if other_saes:
        reasons.append(f"{_maps(other_saes)} of SAEs that are not the same")
    graph, other = before.graphs.get(one), after.graphs.get(two)
    compared_graph = graph is not None and other is not None and graph.saes == other.saes
    if graph is not None and other is not None:
        if compared_graph:
            changes += changed_links(graph, other, place, after.vocabulary.shown, tolerance)
        else:
            reasons.append("the graphs are over different SAEs")
    elif graph is not None or other is not None:
        reasons.append(f"the run {'after' if graph else 'before'} has no graph")
    changes.sort(key=lambda edge: (-edge.size, edge.kind, edge.early, edge.late))
    return (changes if both or compared_graph else None), "; ".join(reasons)
