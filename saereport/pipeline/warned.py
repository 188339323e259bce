"""Warnings: what a reader must know of a run that could be collected all the same.

A warning is said once on the terminal, when it arises, and stored in the run, so that it stands on
the report's pages wherever the numbers that it is about stand. What libraries say while they load
comes in by the same door.
"""

from __future__ import annotations

from collections.abc import Iterable

from saereport.run.schema import RunWarning
from saereport.util.errors import GateError
from saereport.util.progress import Progress
from saereport.util.visible import visible_text

LONGEST = 600
"""Characters of a warning: a few sentences, not a library's manual."""

MOST = 200
"""Warnings of a run; what comes after is counted, not kept."""


class Warned:
    """The warnings of one run, in the order in which they arose; each is said and kept once.

    Args:
        progress: Where they are said.
        strict: Whether a warning of the sanity checks is an error.
    """

    def __init__(self, progress: Progress | None = None, *, strict: bool = False) -> None:
        self._progress = progress or Progress(quiet=True)
        self._strict = strict
        self._kept: dict[RunWarning, None] = {}
        self._beyond = 0

    def add(
        self, text: str, *, about: str = "", source: str = "saereport", sanity: bool = False
    ) -> None:
        """Say and keep a warning.

        Args:
            text: Whole sentences: what is the matter, and what may be the cause. Folded into one
                line, made visible, and cut to `LONGEST` characters.
            about: Slug of the SAE that it is about; empty for the model, the text, or all.
            source: Who says so: `saereport` or a library's name.
            sanity: Whether it says that the numbers are probably about something else than the
                reader believes; with `strict` that is an error.

        Raises:
            GateError: It is such a warning, and `strict`.
        """
        shown = " ".join(visible_text(text).split())
        if len(shown) > LONGEST:
            shown = f"{shown[: LONGEST - 1]}…"
        warning = RunWarning(about=about, source=source, sanity=sanity, text=shown)
        if warning in self._kept:
            return
        if len(self._kept) >= MOST and not sanity:
            self._beyond += 1
            return
        self._kept[warning] = None
        self._progress.say(f"Warning: {warning.words}")
        if self._strict:
            refuse([warning])

    @property
    def kept(self) -> tuple[RunWarning, ...]:
        """All that was kept so far."""
        return tuple(self._kept)

    def result(self) -> tuple[RunWarning, ...]:
        """All that was kept, and how many more there were."""
        if not self._beyond:
            return self.kept
        return (*self.kept, RunWarning(text=f"There were {self._beyond:,} more warnings."))


def refuse(warnings: Iterable[RunWarning]) -> None:
    """Make an error of the first warning of the sanity checks.

    Raises:
        GateError: There is one.
    """
    for warning in warnings:
        if warning.sanity:
            raise GateError(warning.words, "Without --strict this is a warning.")
