"""Paths that commands are given, and files that they write: checked first, written at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from saereport.util.errors import SaereportError, UsageError
from saereport.util.files import real_path, write_atomically
from saereport.util.locks import all_locked
from saereport.util.replacing import require_replaceable

STDOUT = Path("-")

F = TypeVar("F", bound=Callable[..., Any])


class NamedPath(click.Path):
    """A path that was named: an empty one would mean the working directory."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(path_type=Path, allow_dash=allow_dash)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; refused where it is empty, as a shell variable is that is not set."""
        if value == "":
            self.fail("it names nothing; give a name, or leave it out.", param, ctx)
        return super().convert(value, param, ctx)


def checked_targets(targets: Mapping[str, Path | None], inputs: Iterable[str]) -> None:
    """Hold the files until the command ends; raise if one cannot be meant or is held already.

    Args:
        targets: Option to file; None where it was not given, `-` for standard output.
        inputs: What the command reads: none of it may be written into.

    Raises:
        UsageError: Two options name one file, or it lies in what is read.
        SaereportError: It is a folder, lies in a file, cannot be written, or another process
            writes it.
    """
    taken: dict[Path, str] = {}
    held: list[Path] = []
    sources = [real_path(name) for name in inputs if Path(name).exists()]
    for option, path in targets.items():
        if path is None:
            continue
        place = path if path == STDOUT else real_path(path)
        if place in taken:
            raise UsageError(f"{taken[place]} and {option} are both written to '{path}'.")
        taken[place] = option
        if path == STDOUT:
            continue
        if path.is_dir():
            raise SaereportError(f"'{path}' is a folder.", f"Give {option} the name of a file.")
        if not place.exists() or place.is_file():
            require_replaceable(place)
            held.append(place)
        for source in sources:
            if place == source or source in place.parents:
                raise UsageError(
                    f"{option} '{path}' lies in '{source.name}', which is read.",
                    "Write it somewhere else.",
                )
    context = click.get_current_context(silent=True)
    if context is not None:
        # Two commands with the same outputs must not leave one file each.
        context.with_resource(all_locked(held))


def schema_option(make: Callable[[], str], what: str) -> Callable[[F], F]:
    """The option `--schema`, which prints the JSON schema of what a command writes and leaves.

    Args:
        make: Gives the schema as text.
        what: What it is of.
    """

    def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            write(STDOUT, make().encode())
            ctx.exit()

    return click.option(
        "--schema",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help=f"Print the JSON schema of {what} and leave.",
    )


def write(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file whole or not at all, making its folder; `-` is standard output.

    Args:
        path: The file.
        data: What it is to hold, in one piece or in several.
    """
    pieces = [data] if isinstance(data, bytes) else data
    if path == STDOUT:
        for piece in pieces:
            click.echo(piece, nl=False)
        return
    if path.exists() and not path.is_file():
        # A pipe or a device, such as /dev/stdout: what is there is written to, never replaced.
        with path.open("wb") as stream:
            stream.writelines(pieces)
        return
    write_atomically(real_path(path), pieces)


def say(text: str, *, to_stderr: bool) -> None:
    """Print lines for a reader; what the terminal's encoding lacks is written as its code."""
    stream = sys.stderr if to_stderr else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=to_stderr)
