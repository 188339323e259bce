"""What the panels of a prompt's page are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from saereport.site.circuits.prompts_data import PromptData, Record
from saereport.site.circuits.tables import Names


@dataclass(frozen=True)
class PromptView:
    """One prompt of a report.

    Attributes:
        names: Names latents, tokens and SAEs.
        data: The prompt, its gradient maps, and its rows in the tables of its panels.
        others: Names of the report's other prompts, by slug.
    """

    names: Names
    data: PromptData
    others: Mapping[str, str] = field(default_factory=dict)

    def rows(self, table: str) -> list[Record]:
        """The prompt's rows in a table; none where the run lacks it."""
        return self.data.rows.get(table, [])

    def token(self, position: int) -> str:
        """The token at a position."""
        return self.names.token(self.data.tokens[position])

    def labels(self) -> list[str]:
        """Each token of the prompt with its position, as names of an axis."""
        return [f"{self.token(i)} · {i}" for i in range(len(self.data.tokens))]

    def at(self, row: Record) -> str:
        """The latent of a row at its position, as text."""
        position = row["position"]
        name = f"{self.names.sae(row['sae'])}.{row['latent']}"
        return f"{name} · {self.token(position)} · {position}"
