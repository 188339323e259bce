"""What a run says about each prompt, read from its tables and put in the order of the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from saereport.run import Run
from saereport.run.kinds import Latent, Prompt
from saereport.run.table import Table
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


_MAPS = ("gradient_maps", "gradients", "gradient_checks")


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
    named = sorted({*_MAPS, *tables})
    for name in named:
        column = _prompt_column(run.tables.get(name))
        for row in table_rows(run, name) if column else ():
            by_prompt[row[column]].setdefault(name, []).append(row)
    maps = {number: _maps(rows, places) for number, rows in by_prompt.items()}
    return [
        PromptData(
            number=row["prompt"],
            head=row,
            maps=tuple(maps.get(row["prompt"], ())),
            rows={name: by_prompt[row["prompt"]].get(name, []) for name in named},
        )
        for row in table_rows(run, "prompts")
    ]


def _prompt_column(table: Table | None) -> str:
    """The column that says of which prompt a row is; empty where none does."""
    columns = table.that_hold(Prompt) if table else ()
    return next((column.name for column in columns if not column.is_list), "")


def _maps(
    rows: Mapping[str, list[Record]], places: Mapping[str, tuple[int, int]]
) -> list[GradientPairs]:
    """The gradient maps of one prompt, from its rows in every table."""
    heads, pair_rows, check_rows = (rows.get(name, []) for name in _MAPS)
    pairs: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for row in pair_rows:
        pairs[row["early"], row["late"]].append(row)
    checks: dict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
    for row in check_rows:
        checks[row["early"], row["late"]][row["rank"]] = row
    found = []
    for head in heads:
        key = (head["early"], head["late"])
        ranked = sorted(pairs[key], key=lambda pair: pair["rank"])
        found.append(GradientPairs(head, tuple(ranked), checks[key]))
    order = {"tokens": 0, "latents": 1, "logits": 2}
    nowhere = (-1, -1)
    return sorted(
        found,
        key=lambda m: (
            order[m.kind],
            places.get(m.early, nowhere),
            m.early,
            places.get(m.late, nowhere),
            m.late,
        ),
    )


def named_latents(table: Table, rows: Iterable[Record]) -> Iterator[tuple[str, int]]:
    """SAE and number of every latent that rows name, as the table's columns say."""
    columns = [
        (column, column.holds.of)
        for column in table.that_hold(Latent)
        if isinstance(column.holds, Latent) and column.holds.of
    ]
    for row in rows:
        for column, of in columns:
            value = row[column.name]
            yield from ((row[of], latent) for latent in (value if column.is_list else [value]))
