"""Files that a command writes beside what it prints: checked first, written at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from saereport.errors import SaereportError, UsageError
from saereport.run.files import write_atomically

STDOUT = Path("-")


def checked_targets(targets: Mapping[str, Path | None], inputs: Iterable[str]) -> None:
    """Raise if one of the files cannot be meant, before anything is computed.

    Args:
        targets: Option to file; None where it was not given, `-` for standard output.
        inputs: What the command reads: none of it may be written into.

    Raises:
        UsageError: Two options name one file, or it lies in what is read.
        SaereportError: It is a folder, or lies in a file.
    """
    taken: dict[Path, str] = {}
    sources = [Path(name).resolve() for name in inputs if Path(name).exists()]
    for option, path in targets.items():
        if path is None:
            continue
        place = path if path == STDOUT else path.resolve()
        if place in taken:
            raise UsageError(f"{taken[place]} and {option} are both written to '{path}'.")
        taken[place] = option
        if path == STDOUT:
            continue
        if path.is_dir():
            raise SaereportError(f"'{path}' is a folder.", f"Give {option} the name of a file.")
        above = next(parent for parent in place.parents if parent.exists())
        if not above.is_dir():
            raise SaereportError(f"'{path}' cannot be written: '{above}' is a file.")
        for source in sources:
            if place == source or source in place.parents:
                raise UsageError(
                    f"{option} '{path}' lies in '{source.name}', which is read.",
                    "Write it somewhere else.",
                )


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, making its folder; `-` is standard output."""
    if path == STDOUT:
        click.echo(data, nl=False)
        return
    if path.exists() and not path.is_file():
        # A pipe or a device, such as /dev/stdout: what is there is written to, never replaced.
        with path.open("wb") as stream:
            stream.write(data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)


def say(text: str, *, to_stderr: bool) -> None:
    """Print lines for a reader; what the terminal's encoding lacks is written as its code."""
    stream = sys.stderr if to_stderr else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=to_stderr)
