"""`saereport diff` and `saereport check`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from saereport.cli.outputs import STDOUT, NamedPath, checked_targets, say, schema_option, write
from saereport.util.errors import GateError, UsageError
from saereport.util.progress import Progress

if TYPE_CHECKING:
    from saereport.diff.gatefile import GateFile
    from saereport.diff.gates import Gate, Outcome

F = TypeVar("F", bound=Callable[..., Any])

_FILE = NamedPath(allow_dash=True)


def _gate_options(function: F) -> F:
    """The options that `diff` and `check` share."""
    options = [
        click.option(
            "--gates",
            type=NamedPath(),
            help="YAML file of gates, and of tolerances for diff.",
        ),
        click.option(
            "--fail-on",
            multiple=True,
            metavar="CONDITION",
            help="Exit with 3 if this holds, such as 'latents.removed > 0'; repeatable.",
        ),
        click.option(
            "--warn-on",
            multiple=True,
            metavar="CONDITION",
            help="Only say if this holds; repeatable.",
        ),
        click.option("--json", "json_file", type=_FILE, help="Write JSON there; - for stdout."),
        click.option("--junit", type=_FILE, help="Write the gates as JUnit XML there."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _schema() -> str:
    from saereport.diff.document import schema_json

    return schema_json()


@click.command()
@click.argument("before")
@click.argument("after")
@_gate_options
@click.option("--html", type=_FILE, help="Write the comparison as one page there.")
@click.option("--markdown", type=_FILE, help="Write Markdown for a comment there.")
@click.option(
    "--tolerance",
    multiple=True,
    metavar="METRIC=NUMBER",
    help="Changes up to this are noise, in place of the default; repeatable.",
)
@click.option(
    "--match",
    type=click.Choice(["auto", "index", "decoder_cosine", "coactivation"]),
    default="auto",
    show_default=True,
    help="How latents of different SAEs are paired.",
)
@click.option(
    "--sae",
    "saes",
    multiple=True,
    metavar="BEFORE=AFTER",
    help="Compare these two SAEs with each other; repeatable.",
)
@schema_option(_schema, "--json")
@click.pass_obj
def diff(
    progress: Progress,
    /,
    before: str,
    after: str,
    gates: Path | None,
    fail_on: tuple[str, ...],
    warn_on: tuple[str, ...],
    tolerance: tuple[str, ...],
    match: Any,
    saes: tuple[str, ...],
    json_file: Path | None,
    junit: Path | None,
    html: Path | None,
    markdown: Path | None,
) -> None:
    """Compare the report or run AFTER with BEFORE, and judge gates. No torch.

    Each is a folder, a report in a single file, or REVISION:PATH in git.

    Exit code: 0 all is well, 1 an error, 2 wrong usage, 3 a gate failed.

    \b
    saereport diff HEAD:site site --fail-on "latents.removed > 0" --markdown comment.md
    """  # noqa: D301 - the backspace is click's mark for lines that are kept as they are
    targets = {"--json": json_file, "--junit": junit, "--markdown": markdown, "--html": html}
    checked_targets(targets, (before, after, *([str(gates)] if gates else [])))
    asked = _asked(gates, fail_on, warn_on)
    from saereport.diff import Options, compare, measured, opened
    from saereport.diff.gates import judge
    from saereport.diff.terminal import summary

    options = Options(
        tolerances={**asked.tolerances, **_tolerances(tolerance)},
        match=match,
        saes=tuple(_pair("--sae", text, "BEFORE=AFTER") for text in saes),
    )
    with opened(before) as one, opened(after) as two:
        found = compare(one, two, names=(before, after), options=options, progress=progress)
        outcomes = judge(asked.gates, found, measured(two))
        said = summary(found, outcomes, **_terminal(targets))
        _say(said, targets, progress)
        if json_file:
            from saereport.diff.document import diff_json

            write(json_file, (piece.encode() for piece in diff_json(found, outcomes)))
        _write_junit(junit, outcomes, f"saereport diff {before} {after}")
        if markdown:
            from saereport.diff.markdown import markdown as as_markdown

            write(markdown, as_markdown(found, outcomes).encode())
        if html:
            from saereport.site.difference import difference_page

            write(html, difference_page(found, one, two, outcomes).encode())
    _leave(outcomes)


@click.command()
@click.argument("report")
@_gate_options
@click.pass_obj
def check(
    progress: Progress,
    /,
    report: str,
    gates: Path | None,
    fail_on: tuple[str, ...],
    warn_on: tuple[str, ...],
    json_file: Path | None,
    junit: Path | None,
) -> None:
    """Judge gates on one REPORT or run alone, by metrics that one report has. No torch.

    Exit code: 0 all is well, 1 an error, 2 wrong usage, 3 a gate failed.

    \b
    saereport check site --fail-on "ce_recovered < 0.95"
    """  # noqa: D301 - the backspace is click's mark for lines that are kept as they are
    targets = {"--json": json_file, "--junit": junit}
    checked_targets(targets, (report, *([str(gates)] if gates else [])))
    for text in (*fail_on, *warn_on):
        _require_one_sided(text)
    asked = _asked(gates, fail_on, warn_on)
    if not asked.gates:
        raise UsageError("There is no gate to check.", "Give --gates or --fail-on.")
    if all(gate.condition.needs_two for gate in asked.gates):
        raise UsageError(
            f"Every gate in '{gates}' needs two reports.", "Use 'saereport diff', or add others."
        )
    from saereport.diff import measured, opened
    from saereport.diff.gates import judge_alone
    from saereport.diff.terminal import gate_lines

    with opened(report) as run:
        outcomes = judge_alone(asked.gates, measured(run))
        said = gate_lines(outcomes, **_terminal(targets))
        _say("\n".join(said), targets, progress)
        if json_file:
            from saereport.diff.document import check_json

            write(json_file, check_json(report, run.info, outcomes).encode())
        _write_junit(junit, outcomes, f"saereport check {report}")
    _leave(outcomes)


COMMANDS: tuple[click.Command, ...] = (diff, check)
"""What this module adds to the command line."""


def _asked(path: Path | None, fail_on: Sequence[str], warn_on: Sequence[str]) -> GateFile:
    """The gates of the file and those of the command line after them."""
    from saereport.diff.conditions import parse
    from saereport.diff.gatefile import GateFile, read_gates
    from saereport.diff.gates import Gate

    file = read_gates(path) if path else GateFile(())
    more: list[Gate] = [Gate(parse(text), "error") for text in fail_on]
    more += [Gate(parse(text), "warn") for text in warn_on]
    return GateFile((*file.gates, *more), file.tolerances)


def _require_one_sided(text: str) -> None:
    from saereport.diff.conditions import parse

    if parse(text).needs_two:
        raise UsageError(f"The gate '{text}' needs two reports.", "Use 'saereport diff'.")


def _pair(option: str, text: str, form: str) -> tuple[str, str]:
    first, equals, second = text.partition("=")
    if not (first and equals and second):
        raise UsageError(f"{option} was given '{text}'.", f"Write {form}.")
    return first, second


def _tolerances(given: Sequence[str]) -> dict[str, float]:
    from saereport.diff.gatefile import checked_tolerance

    found = {}
    for text in given:
        name, number = _pair("--tolerance", text, "METRIC=NUMBER, such as density=0.2")
        try:
            found[name] = checked_tolerance(name, float(number))
        except ValueError as error:
            raise UsageError(
                f"--tolerance was given '{text}': '{number}' is not a number."
            ) from error
    return found


def _terminal(targets: dict[str, Path | None]) -> dict[str, Any]:
    """Width and colours of where the summary is printed (none under NO_COLOR, no-color.org)."""
    stream = sys.stderr if STDOUT in targets.values() else sys.stdout
    if not stream.isatty():
        # A file or a log of continuous integration: nothing is cut at a screen's edge.
        return {"width": 120}
    width = shutil.get_terminal_size().columns
    return {"width": width} if os.environ.get("NO_COLOR") else {"width": width, "paint": _painted}


def _say(text: str, targets: dict[str, Path | None], progress: Progress) -> None:
    """Print the summary, or tell it on stderr where standard output holds a document."""
    to_stderr = STDOUT in targets.values()
    if not (to_stderr and progress.quiet):
        say(text, to_stderr=to_stderr)


def _painted(text: str, look: str) -> str:
    return click.style(text, bold=True) if look == "bold" else click.style(text, fg=look)


def _write_junit(path: Path | None, outcomes: Sequence[Outcome], suite: str) -> None:
    if path is None:
        return
    from saereport.diff.junit import junit

    write(path, junit(outcomes, suite))


def _leave(outcomes: Sequence[Outcome]) -> None:
    """Raise if a gate stops the command.

    Raises:
        GateError: Names the gates.
    """
    stopped = [outcome.gate for outcome in outcomes if outcome.stops]
    if stopped:
        named = "; ".join(stopped[:5]) + (f" and {len(stopped) - 5} more" if stopped[5:] else "")
        raise GateError(f"{len(stopped)} of {len(outcomes)} gates failed: {named}.")
