"""`saereport merge`: a report of what several commands collected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from saereport.cli.outputs import NamedPath
from saereport.cli.sharing import page_options
from saereport.util.progress import Progress


@click.command()
@click.argument("out", type=NamedPath())
@click.argument("parts", nargs=-1, required=True, type=NamedPath())
@page_options
@click.option("--device", help="Where the rest is computed; as the parts say where absent.")
@click.pass_obj
def merge(
    progress: Progress,
    /,
    out: Path,
    parts: tuple[Path, ...],
    device: str | None,
    **pages: Any,
) -> None:
    """Make the report OUT of PARTS: folders of 'collect --shard', or folders that hold them.

    Nothing is read of the text again, and the parts stay as they are.

    \b
    saereport collect report.yaml --shard 1/2 --out parts
    saereport collect report.yaml --shard 2/2 --out parts
    saereport merge report parts
    """  # noqa: D301 - the backspace is click's mark for lines that are kept as they are
    from saereport.pipeline.parts import find_parts, require_whole

    # What is missing is told before torch is loaded.
    require_whole(find_parts(parts))
    from saereport.pipeline.build import merge_parts

    merge_parts(parts, out, device=device, progress=progress, **pages)
    progress.say(f"Open {out if pages['single_file'] else out / 'index.html'}")


COMMANDS: tuple[click.Command, ...] = (merge,)
"""What this module adds to the command line."""
