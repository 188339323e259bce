"""What a run says about each prompt, read from its tables and put in the order of the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from saereport.run import Run
from saereport.site.context import ReportModel, place_in_model

Record = Mapping[str, Any]


@dataclass(frozen=True)
class GradientPairs:
    """One gradient map: its counts, its pairs with the largest first, and their checks by rank."""

    counts: Record
    pairs: tuple[Record, ...]
    checks: Mapping[int, Record]

    @property
    def early(self) -> str:
        """The earlier SAE; empty for tokens."""
        return str(self.counts["early"])

    @property
    def late(self) -> str:
        """The later SAE; empty for logits."""
        return str(self.counts["late"])

    @property
    def kind(self) -> str:
        """`tokens`, `latents` or `logits`."""
        if not self.early:
            return "tokens"
        return "latents" if self.late else "logits"


@dataclass(frozen=True)
class PromptData:
    """One prompt with its rows in every table; `rows` maps a table's name to them."""

    number: int
    head: Record
    maps: tuple[GradientPairs, ...]
    rows: Mapping[str, list[Record]] = field(repr=False)

    @property
    def slug(self) -> str:
        """Its name in addresses."""
        return str(self.head["slug"])

    @property
    def tokens(self) -> list[int]:
        """Its token ids."""
        return list(self.head["tokens"])

    @property
    def period(self) -> int:
        """Number of random tokens that are repeated; 0 for other prompts."""
        return int(self.head["period"]) if self.head["kind"] == "random" else 0

    @cached_property
    def expected(self) -> dict[int, int]:
        """Where induction leads: by later position, the earlier one.

        The later is in the second half; the earlier is the token after the later one's first
        occurrence, so that copying it predicts what comes next. Empty for prompts that repeat
        nothing.
        """
        second = int(self.head["first"]) + self.period
        return {late: late - self.period + 1 for late in range(second, second + self.period)}

    def expects(self, early: int, late: int) -> bool:
        """Whether induction leads from one position to another."""
        return self.expected.get(late) == early


def table_rows(run: Run, name: str) -> list[Record]:
    """The rows of a table of the run; none where the run lacks it."""
    return list(run.table(name).to_pylist()) if run.has(name) else []


_OF_MAPS = frozenset({"gradients", "gradient_maps", "gradient_checks"})


def read_prompts(report: ReportModel, tables: Iterable[str]) -> list[PromptData]:
    """Every prompt of a run, in the order in which they were asked for.

    Args:
        report: The report.
        tables: Tables of the run whose rows are wanted by prompt; those of maps are always read,
            and those that say nothing of single prompts have no rows here.
    """
    run = report.run
    places = {sae.slug: place_in_model(sae) for sae in report.info.saes}
    by_prompt: dict[int, dict[str, list[Record]]] = defaultdict(dict)
    named = sorted({"prompt_notes", "prompt_next", "prompt_answers", *tables} - _OF_MAPS)
    for name in named:
        table = run.tables.get(name)
        column = table.prompt.name if table and table.about == "prompt" else "prompt"
        if not table or column not in table.by_name:
            continue
        for row in table_rows(run, name):
            by_prompt[row[column]].setdefault(name, []).append(row)
    maps = _maps(run, places)
    return [
        PromptData(
            number=row["prompt"],
            head=row,
            maps=tuple(maps.get(row["prompt"], [])),
            rows={name: by_prompt[row["prompt"]].get(name, []) for name in named},
        )
        for row in table_rows(run, "prompts")
    ]


def _maps(run: Run, places: Mapping[str, tuple[int, int]]) -> dict[int, list[GradientPairs]]:
    pairs: dict[tuple[int, str, str], list[Record]] = defaultdict(list)
    for row in table_rows(run, "gradients"):
        pairs[row["prompt"], row["early"], row["late"]].append(row)
    checks: dict[tuple[int, str, str], dict[int, Record]] = defaultdict(dict)
    for row in table_rows(run, "gradient_checks"):
        checks[row["prompt"], row["early"], row["late"]][row["rank"]] = row
    found: dict[int, list[GradientPairs]] = defaultdict(list)
    for row in table_rows(run, "gradient_maps"):
        key = (row["prompt"], row["early"], row["late"])
        ranked = sorted(pairs[key], key=lambda pair: pair["rank"])
        found[row["prompt"]].append(GradientPairs(row, tuple(ranked), checks[key]))
    order = {"tokens": 0, "latents": 1, "logits": 2}
    nowhere = (-1, -1)
    for some in found.values():
        some.sort(
            key=lambda m: (
                order[m.kind],
                places.get(m.early, nowhere),
                m.early,
                places.get(m.late, nowhere),
                m.late,
            )
        )
    return found
