"""`saereport cache`: what a cache of activations holds, and how it is emptied."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from saereport.cli.outputs import NamedPath, say
from saereport.pipeline.activation_store import CachedText, clear, listed, spoken_bytes
from saereport.util.visible import visible_text


@click.command("cache")
@click.argument("folder", metavar="DIR", type=NamedPath())
@click.option("--clear", "empty", is_flag=True, help="Remove everything in it.")
def cache(folder: Path, empty: bool) -> None:
    """List the activations that DIR keeps, or remove them.

    DIR is what 'saereport build --activations-cache DIR' filled: activations by model, hook point
    and text, those that were used last first.
    """
    if empty:
        freed = clear(folder)
        say(f"Removed {spoken_bytes(freed)} of activations from '{folder}'.", to_stderr=False)
        return
    found = listed(folder)
    if not found:
        say(f"'{folder}' keeps no activations.", to_stderr=False)
        return
    for one in found:
        for line in _lines(one):
            say(visible_text(line), to_stderr=False)
    total = sum(one.bytes for one in found)
    say(f"{spoken_bytes(total)} in all; --clear removes them.", to_stderr=False)


def _lines(one: CachedText) -> list[str]:
    used = datetime.fromtimestamp(one.used).strftime("%Y-%m-%d %H:%M")
    return [
        f"{one.hook} of {one.model}",
        f"  on {one.text}: {one.sequences:,} sequences of {one.context:,} tokens, "
        f"{spoken_bytes(one.bytes)}, used {used}",
    ]


COMMANDS: tuple[click.Command, ...] = (cache,)
"""What this module adds to the command line."""
