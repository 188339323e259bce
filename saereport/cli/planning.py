"""`saereport plan`, and `--dry-run`: what a build is going to take, before it is paid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from saereport.cli.outputs import NamedPath, say, schema_option
from saereport.cli.settings import SettingsCommand, configured, list_options
from saereport.config.build import BuildConfig
from saereport.pipeline.plan import as_json, as_lines, schema_json
from saereport.util.progress import Progress

F = TypeVar("F", bound=Callable[..., Any])


def dry_run_option(function: F) -> F:
    """The option `--dry-run` of a command that builds."""
    return click.option(
        "--dry-run",
        is_flag=True,
        help="Only say what it will take, as 'saereport plan' does; nothing is written.",
    )(function)


def tell_plan(
    asked: BuildConfig,
    out: Path,
    progress: Progress,
    *,
    single_file: bool = False,
    run: bool = False,
    json: bool = False,
) -> None:
    """Plan a build and print what it is going to take."""
    from saereport.pipeline.preflight import check_everything, check_replaceable

    check_replaceable(asked, out, single_file=single_file, run=run)
    check_everything(asked)
    from saereport.pipeline.build import plan as plan_build

    found = plan_build(asked, out, single_file=single_file, run=run, progress=progress)
    say(as_json(found) if json else "\n".join(as_lines(found)), to_stderr=False)


@click.command(cls=SettingsCommand)
@click.argument("config", required=False, type=NamedPath())
@click.option(
    "--out",
    type=NamedPath(),
    default=Path("report"),
    show_default=True,
    help="Where the report would be: whose disk is looked at.",
)
@click.option("--json", "as_json_", is_flag=True, help="As JSON, for programs.")
@schema_option(schema_json, "--json")
@list_options
@click.pass_obj
def plan(
    progress: Progress, /, config: Path | None, out: Path, as_json_: bool, **given: Any
) -> None:
    """Say what 'build' with these options will take: time, memory, disk. Nothing is written.

    The model and the SAEs are loaded, everything is checked, and a little of each stage is run.

    \b
    saereport plan report.yaml
    saereport plan report.yaml --tokens 10M --json
    """  # noqa: D301 - the backspace is click's mark for lines that are kept as they are
    tell_plan(configured(config, given), out, progress, json=as_json_)


COMMANDS: tuple[click.Command, ...] = (plan,)
"""What this module adds to the command line."""
