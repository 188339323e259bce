"""The registry of panels: of a latent's page, and of a prompt's.

A panel makes blocks (see `saereport.site.blocks`) from a latent or a prompt; its page, its data,
the links to the methods page and what is drawn follow. Another package adds one through the
entry-point group `saereport.panels`, which names a `Panel`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from saereport.run.registry import table_named
from saereport.site.blocks import Block
from saereport.site.context import LatentView

if TYPE_CHECKING:
    from saereport.site.circuits.view import PromptView

About = Literal["latent", "prompt"]


@dataclass(frozen=True)
class Panel:
    """One panel of a page.

    Attributes:
        name: Its key in the data and its anchor.
        title: Its heading.
        tables: Tables of the run that it shows; the first is explained behind its link.
        build: Blocks for one latent, or for one prompt; an empty list leaves the panel out.
        about: What its page is about.
        wide: Whether it takes the whole width.
        text: Whether it says on which text the latent is active although none of its tables does.
        hides: Tables that reveal text and that it reads besides its own, because what draws its
            blocks keeps the text of a blinded latent hidden itself.
    """

    name: str
    title: str
    tables: tuple[str, ...]
    build: Callable[[Any], list[Block]]
    about: About = "latent"
    wide: bool = False
    text: bool = False
    hides: frozenset[str] = frozenset()

    @property
    def reveals_text(self) -> bool:
        """Whether it says on which text the latent is active, as one of its tables does.

        Then it stays hidden while a reader looks at the latent blind.
        """
        return self.text or any(table_named(name).reveals_text for name in self.tables)

    def blocks(self, subject: object) -> list[Block]:
        """Its blocks of a subject on a page that hides what reveals the text of a blinded latent.

        A panel that is not hidden then gets nothing to reveal.
        """
        if isinstance(subject, LatentView):
            subject = subject.with_opened(None if self.reveals_text else self.hides)
        return self.build(subject)


PANELS: dict[str, Panel] = {}
"""The panels of a latent's page by name, in its order."""
PROMPT_PANELS: dict[str, Panel] = {}
"""The panels of a prompt's page by name, in its order."""


def register(panel: Panel) -> Panel:
    """Add a panel, below those that are there.

    Raises:
        ValueError: There is one of its name.
    """
    panels = PANELS if panel.about == "latent" else PROMPT_PANELS
    if panel.name in panels:
        raise ValueError(f"panel '{panel.name}' is registered twice")
    panels[panel.name] = panel
    return panel


def panel(
    name: str,
    title: str,
    *tables: str,
    wide: bool = False,
    hides: frozenset[str] = frozenset(),
) -> Callable[[Callable[[LatentView], list[Block]]], Callable[[LatentView], list[Block]]]:
    """Register the decorated function as a panel of a latent's page; see `Panel`."""

    def add(build: Callable[[LatentView], list[Block]]) -> Callable[[LatentView], list[Block]]:
        register(Panel(name, title, tables, build, wide=wide, hides=hides))
        return build

    return add


def prompt_panel(
    name: str, title: str, *tables: str, wide: bool = True
) -> Callable[[Callable[[PromptView], list[Block]]], Callable[[PromptView], list[Block]]]:
    """Register the decorated function as a panel of a prompt's page; see `Panel`."""

    def add(build: Callable[[PromptView], list[Block]]) -> Callable[[PromptView], list[Block]]:
        register(Panel(name, title, tables, build, about="prompt", wide=wide))
        return build

    return add
