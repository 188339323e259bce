"""Stand-ins for SAEs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch


class FakeSae(SimpleNamespace):
    """What the tables ask of an SAE, with one hook point to write to."""

    @property
    def write_point(self) -> Any:
        return self.writes[0]

    def write_rows(self, rows: Any = None, place: int = 0) -> torch.Tensor:
        found: torch.Tensor = self.W_dec if rows is None else self.W_dec[rows]
        return found

    def read_biases(self) -> torch.Tensor:
        found: torch.Tensor = self.b_enc if "b_enc" in vars(self) else self.W_enc[0] - 1
        return found
