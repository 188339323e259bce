"""`saereport publish-check` and `saereport index`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from saereport.cli.outputs import STDOUT, NamedPath, checked_targets, say, write
from saereport.util.errors import GateError
from saereport.util.progress import Progress


@click.command("publish-check")
@click.argument("site", type=NamedPath())
@click.option(
    "--json",
    "json_file",
    type=NamedPath(allow_dash=True),
    help="Write the findings as JSON there; - for stdout.",
)
@click.pass_obj
def publish_check(progress: Progress, /, site: Path, json_file: Path | None) -> None:
    """Check SITE (a report, a landing page, or a single file) before it is published.

    Sizes against the limits of GitHub Pages, names that every system can hold, no reference to the
    outside, links and anchors that resolve, checksums, and valid HTML. Leaves with 3 if there is
    an error; warnings do not fail.
    """
    from saereport.publish import check
    from saereport.publish.findings import document, errors
    from saereport.util.files import canonical_json

    checked_targets({"--json": json_file}, (str(site),))
    findings = check(site, processes=os.cpu_count() or 1, progress=progress)
    if json_file is not None:
        text = canonical_json(document(findings)) + "\n"
        write(json_file, text.encode("utf-8", "backslashreplace"))
    for finding in findings:
        say(str(finding), to_stderr=json_file == STDOUT)
    wrong = errors(findings)
    said = f"{_plural(wrong, 'error')}, {_plural(len(findings) - wrong, 'warning')} in '{site}'"
    if wrong:
        raise GateError(f"{said}.", "Mend what is listed above before publishing.")
    progress.say(f"{said}: fit to be published.")


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


@click.command("index")
@click.argument("folders", nargs=-1, required=True, type=NamedPath(), metavar="DIR...")
@click.option(
    "--out",
    type=NamedPath(),
    required=True,
    help="Folder of the page; the reports lie below it, or beside it.",
)
@click.option("--title", default="Reports", show_default=True, help="Heading of the page.")
@click.option("--copy", is_flag=True, help="Copy the reports into the page's folder.")
@click.pass_obj
def index_command(
    progress: Progress, /, folders: tuple[Path, ...], out: Path, title: str, copy: bool
) -> None:
    """Make a landing page over many reports, with a table that compares their SAEs.

    Each DIR is a report, or a folder that holds reports. Only their manifests are read.
    """
    from saereport.publish import index

    page = index(folders, out, title=title, copy=copy, progress=progress)
    progress.say(f"Open {page}")


COMMANDS: tuple[click.Command, ...] = (publish_check, index_command)
"""What this module adds to the command line."""
