"""What a stage works with: said by the stage, heeded by the context, and all that they share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What a stage works with; it is not there for a stage that does not say so.

    Attributes:
        model: The language model.
        saes: The SAEs.
        stages: Stages whose results it builds on. They run before it, and where one of them does
            not, it does not run either.
        tables: Tables of theirs that it reads, as they were measured: blinded latents too.
    """

    model: bool = False
    saes: bool = False
    stages: tuple[str, ...] = ("statistics",)
    tables: tuple[str, ...] = ()
