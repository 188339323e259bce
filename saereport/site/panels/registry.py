"""The registry of panels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from saereport.run.registry import table_named
from saereport.site.blocks import Block
from saereport.site.context import Latent

Build = Callable[[Latent], list[Block]]


@dataclass(frozen=True)
class Panel:
    """One panel of a latent's page.

    Attributes:
        name: Its key in the data and its anchor.
        title: Its heading.
        tables: Tables of the run that it shows; the methods page explains them.
        wide: Whether it takes the whole width.
        build: Blocks for one latent; an empty list leaves the panel out.
    """

    name: str
    title: str
    tables: tuple[str, ...]
    wide: bool
    build: Build

    @property
    def reveals_text(self) -> bool:
        """Whether it says on which text the latent is active, as one of its tables does.

        Then it stays hidden while a reader looks at the latent blind.
        """
        return any(table_named(name).reveals_text for name in self.tables)


PANELS: dict[str, Panel] = {}
"""Every panel by name, in the order of the page."""


def panel(name: str, title: str, *tables: str, wide: bool = False) -> Callable[[Build], Build]:
    """Register the decorated function as a panel.

    Raises:
        ValueError: The name is taken.
    """
    if name in PANELS:
        raise ValueError(f"panel '{name}' is registered twice")

    def register(build: Build) -> Build:
        PANELS[name] = Panel(name, title, tables, wide, build)
        return build

    return register
