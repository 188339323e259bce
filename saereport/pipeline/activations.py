"""Where the pass over the text takes activations from: the model, or what stands in for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Activations(Protocol):
    """Gives activations as `LanguageModel.run` does, which is one."""

    def run(self, tokens: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        """Activations of a batch: see `LanguageModel.run`."""
