"""`saereport extract`, and the options about single files that other commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from saereport.cli.outputs import NamedPath
from saereport.util.progress import Progress

F = TypeVar("F", bound=Callable[..., Any])


def report_options(folder: str) -> Callable[[F], F]:
    """`--out` and how pages are made, for a command that writes a report.

    Args:
        folder: What `--out` is where it is not given; a single file adds `.html`.
    """

    def add(function: F) -> F:
        out = click.option(
            "--out",
            type=NamedPath(),
            help=f"Folder of the report ({folder}), or its single file ({folder}.html).",
        )
        return out(page_options(function))

    return add


def page_options(function: F) -> F:
    """How pages are made, for a command that writes a report."""
    options = [
        click.option(
            "--single-file",
            is_flag=True,
            help="Write one HTML file that opens by double click.",
        ),
        click.option("--force", is_flag=True, help="Write the file however large it is."),
        click.option(
            "--with-run/--without-run",
            default=None,
            help="Whether the run goes into the report (up to 50 MB).",
        ),
        click.option(
            "--processes",
            type=int,
            help="Processes that make the pages (one a core from 2,048 latents on).",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def named_out(out: Path | None, folder: str, single_file: bool) -> Path:
    """What `--out` means."""
    return out or Path(f"{folder}.html" if single_file else folder)


@click.command()
@click.argument("report")
@click.option("--latents", multiple=True, help="'SAE:47,324', 'SAE:0-99' or 'SAE:all'; repeatable.")
@click.option("--prompt", "prompts", multiple=True, help="A prompt's circuit; repeatable.")
@click.option("--title", help="Heading of the new report.")
@report_options("extract")
@click.pass_obj
def extract(
    progress: Progress,
    /,
    report: str,
    out: Path | None,
    single_file: bool,
    **asked: Any,
) -> None:
    """Cut a few latents or a circuit out of REPORT (a run, report, single file, or REVISION:PATH).

    An --out that ends in .html is a single file. With --prompt alone the latents that take part in
    the circuit are kept.

    \b
    saereport extract report --latents resid-l10:47,324 --out for-you.html
    """  # noqa: D301 - the backspace is click's mark for lines that are kept as they are
    from saereport.report.extracting import extract as run_extract

    single_file = single_file or (out is not None and out.suffix.lower() == ".html")
    made = run_extract(
        report,
        named_out(out, "extract", single_file),
        single_file=single_file,
        progress=progress,
        **asked,
    )
    progress.say(f"Open {made.page}")


COMMANDS: tuple[click.Command, ...] = (extract,)
"""What this module adds to the command line."""
