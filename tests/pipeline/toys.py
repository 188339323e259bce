"""A stage and its table that only tests know, as a plug-in brings them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from saereport.pipeline.context import Context
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded
from saereport.run import TABLES, Table
from saereport.util.progress import Progress


class Told(Progress):
    """Remembers what was said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def toy_table() -> Table:
    """A table that no run of saereport's own holds."""
    return replace(
        TABLES["explanations"], name="toy_labels", title="Toy labels", plugin="toy-package"
    )


class ToySettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = 2
    file: Path | None = None


class Toy(Stage):
    """Labels the latents of each SAE with how many there are."""

    name = "toy"
    tables = ("toy_labels",)
    needs = Needs(stages=("statistics",))
    config = ToySettings

    def __init__(self, act: Callable[[], None] = lambda: None) -> None:
        self.act = act
        self.ran = 0
        self.discarded: list[Path] = []

    def plan(self, context: Context) -> Cost:
        return Cost(passes=context.settings(self).size, what="a toy")

    def run(self, context: Context) -> Iterator[Yielded]:
        self.ran += 1
        self.act()
        for slug, latents in context.latents.items():
            size = context.settings(self).size
            yield (
                slug,
                "toy_labels",
                {
                    "latent": latents,
                    "rank": np.zeros(len(latents), dtype=np.int64),
                    "text": [f"one of {len(latents)}, {size}"] * len(latents),
                    "source": ["toy"] * len(latents),
                },
            )

    def discard(self, folder: Path) -> None:
        self.discarded.append(folder)
        super().discard(folder)
