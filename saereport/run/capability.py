"""Capability tests, as a run stores them in `capability_sets` and `capability_prompts`."""

from __future__ import annotations

from math import isfinite
from typing import Final

from saereport.run.figures import Figure
from saereport.run.store import Run
from saereport.util.files import json_digest

ALL: Final = "all"
"""The set that holds every prompt."""
METRICS: Final = ("accuracy", "first", "logit_difference")
RUNS: Final = ("original", "spliced", "zero")

Scores = dict[tuple[str, str, str], Figure]
"""Set, run and metric to the figure; its tokens and sequences are the prompts."""


def scores_of(run: Run, slug: str) -> Scores:
    """What the run holds of an SAE's capability tests; empty where there were none.

    Args:
        run: The run.
        slug: The SAE.

    Raises:
        SaereportError: The table is damaged.
    """
    if not run.has("capability_sets", slug):
        return {}
    found: Scores = {}
    for row in run.table("capability_sets", slug).to_pylist():
        ends, n = row["interval"], row["n_prompts"]
        interval = (ends[0], ends[1]) if len(ends) == 2 and ends[0] <= ends[1] else None
        if isfinite(row["value"]):
            key = (row["set"], row["run"], row["metric"])
            found[key] = Figure(row["value"], interval, n, n)
    return found


def sets_in_order(run: Run, slug: str) -> list[str]:
    """The sets of an SAE's prompts in the order in which they were asked for.

    Raises:
        SaereportError: The table is damaged.
    """
    if not run.has("capability_prompts", slug):
        return []
    rows = run.table("capability_prompts", slug, columns=["number", "set"])
    return list(dict.fromkeys(rows.sort_by("number").column("set").to_pylist()))


def capability_figures(run: Run, slug: str) -> dict[str, Figure]:
    """The figures that comparisons and gates know: those with the SAE spliced in.

    Returns:
        `capability.accuracy` and the like over all prompts; with `.capitals` behind, of that set.

    Raises:
        SaereportError: The table is damaged.
    """
    return {
        f"capability.{metric}" + ("" if name == ALL else f".{name}"): figure
        for (name, kind, metric), figure in scores_of(run, slug).items()
        if kind == "spliced"
    }


def prompts_by_set(run: Run) -> dict[str, str]:
    """The prompts of a run's capability tests, each set as one line: how many, and a digest.

    All SAEs are asked the same ones. Prompts are told by their texts, so that those that another
    tokeniser reads are the same.

    Returns:
        By set, and those of all sets under `ALL`. Empty where there were no tests.

    Raises:
        SaereportError: A table is damaged.
    """
    asked = next((s.slug for s in run.info.saes if run.has("capability_prompts", s.slug)), None)
    if asked is None:
        return {}
    held = run.table("vocabulary").to_pylist() if run.has("vocabulary") else []
    texts = {row["token"]: b"" if row["special"] else row["bytes"] for row in held}

    def text(tokens: list[int]) -> str:
        return b"".join(texts.get(one, b"<%d>" % one) for one in tokens).hex()

    columns = ["number", "run", "set", "tokens", "answer", "wrong"]
    sets: dict[str, list[list[str]]] = {ALL: []}
    for row in (
        run.table("capability_prompts", asked, columns=columns).sort_by("number").to_pylist()
    ):
        if row["run"] == "original":
            put = [row["set"], text(row["tokens"]), text([row["answer"]]), text([row["wrong"]])]
            sets[ALL].append(put)
            sets.setdefault(row["set"], []).append(put)
    return {name: f"{len(put):,} prompts, {json_digest(put)[:16]}" for name, put in sets.items()}
