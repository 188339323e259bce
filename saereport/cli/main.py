"""The command line: `saereport build`, `collect`, `render`, `info`, `init`, `demo`, and others.

Thin on purpose: options become a `BuildConfig`, the work is done by the functions that Python
users call too, and every error ends here as one line on stderr and an exit code. Modules that
need torch are imported by the commands that need them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from saereport import plugins
from saereport.cli import (
    caching,
    comparing,
    exchanging,
    labelling,
    listing,
    merging,
    planning,
    publishing,
    sharing,
)
from saereport.cli.last_net import fault, not_importable
from saereport.cli.outputs import NamedPath, say, schema_option, write
from saereport.cli.planning import dry_run_option, tell_plan
from saereport.cli.settings import SettingsCommand, configured, list_options, merged
from saereport.cli.sharing import named_out, report_options
from saereport.config.build import BuildConfig
from saereport.util.errors import (
    SaereportError,
    UsageError,
    came_of_memory,
    did_you_mean,
    shortened,
)
from saereport.util.progress import Progress
from saereport.util.version import __version__
from saereport.util.visible import visible_text

if TYPE_CHECKING:
    from saereport.report.rendering import PageOptions

F = TypeVar("F", bound=Callable[..., Any])

LONGEST_LINE = 800
"""Characters of a line about an error, whatever was typed or read."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it."""


class SuggestingGroup(click.Group):
    """A group of commands that offers the nearest name for a mistyped one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            hint = did_you_mean(name, self.list_commands(ctx)) or "See 'saereport --help'."
            raise click.UsageError(f"There is no command '{name}'. {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=SuggestingGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="saereport")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--quiet", is_flag=True, help="No progress, only errors.")
@click.option("--no-plugins", is_flag=True, help="Leave out what other packages add.")
@click.pass_context
def cli(ctx: click.Context, debug: bool, quiet: bool, no_plugins: bool) -> None:
    """Static, self-contained HTML reports of sparse autoencoders of language models."""
    ctx.obj = Progress(quiet=quiet)
    plugins.switch(off=no_plugins)
    plugins.load_plugins(ctx.obj.warn)


@cli.command(cls=SettingsCommand)
@click.argument("config", required=False, type=NamedPath())
@report_options("report")
@dry_run_option
@list_options
@click.pass_obj
def build(
    progress: Progress,
    /,
    config: Path | None,
    out: Path | None,
    dry_run: bool,
    **given: Any,
) -> None:
    """Collect and render a report, from options or from the YAML file CONFIG.

    \b
    saereport build --release gpt2-small-res-jb --sae-id blocks.8.hook_resid_pre \\
        --latents 0-9,14057 --dataset NeelNanda/pile-10k --out report
    """  # noqa: D301 - the backspace is click's mark for lines that are kept as they are
    pages = _page_options(given)
    out = named_out(out, "report", pages["single_file"])
    _build_or_plan(configured(config, given), out, pages, progress, dry_run)


@cli.command(cls=SettingsCommand)
@click.argument("config", required=False, type=NamedPath())
@click.option(
    "--out",
    type=NamedPath(),
    default=Path("run"),
    show_default=True,
    help="Folder of the run.",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Collect only this part of the text, such as 3/16, into the folder --out; 'merge' makes "
    "the report of all.",
)
@dry_run_option
@list_options
@click.pass_obj
def collect(
    progress: Progress,
    /,
    config: Path | None,
    out: Path,
    shard: str | None,
    dry_run: bool,
    **given: Any,
) -> None:
    """Only the first half of build: measure, and write a run. Needs torch."""
    asked = configured(config, given)
    if dry_run:
        if shard is not None:
            raise UsageError("--dry-run plans the whole text, not a shard.", "Leave one out.")
        tell_plan(asked, out, progress, run=True)
        return
    if shard is not None:
        _collect_shard(asked, out, shard, progress)
        return
    check_output(out, run=True)
    check_everything(asked)
    from saereport.pipeline.build import collect as run_collect

    run_collect(asked, out, progress=progress)
    progress.say(f"Wrote the run '{out}'; 'saereport render {out} --out report' makes the pages.")


def _collect_shard(asked: BuildConfig, out: Path, shard: str, progress: Progress) -> None:
    from saereport.pipeline.parts import read_shard

    number, of = read_shard(shard)
    check_everything(asked)
    from saereport.pipeline.build import collect_part

    place = collect_part(asked, out, (number, of), progress=progress)
    progress.say(f"Wrote '{place}'; 'saereport merge report {out}' makes the report of all {of}.")


@cli.command()
@click.argument("run")
@report_options("report")
@click.option(
    "--neuronpedia-embed",
    is_flag=True,
    help="Offer Neuronpedia's page of a latent in a frame that loads on a click.",
)
@click.pass_obj
def render(
    progress: Progress, /, run: str, out: Path | None, single_file: bool, **asked: Any
) -> None:
    """Only the second half of build: make the pages of RUN. No torch.

    RUN is a run, a report's folder, a report in one file, or REVISION:PATH of one in git.
    """
    from saereport.report.rendering import render as run_render

    out = named_out(out, "report", single_file)
    made = run_render(run, out, single_file=single_file, progress=progress, **asked)
    progress.say(f"Open {made.page}")


def _run_schema() -> str:
    from saereport.run.describing import schema_json

    return schema_json()


@cli.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@schema_option(_run_schema, "--json, with every table that a run can hold,")
@click.option("--verify/--no-verify", default=True, help="Check every file's SHA-256 (yes).")
def info(run: str, as_json: bool, verify: bool) -> None:
    """Say what RUN (a run, a report's folder, a report in one file, REVISION:PATH) holds."""
    from saereport.report.rendering import describe
    from saereport.run import opened

    with opened(run) as found:
        if verify:
            found.verify()
        if as_json:
            click.echo(json.dumps(found.info.model_dump(mode="json"), indent=1, sort_keys=True))
        else:
            say(describe(found), to_stderr=False)


@cli.command()
@click.argument("path", type=NamedPath(), default=Path("report.yaml"))
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.pass_obj
def init(progress: Progress, /, path: Path, force: bool) -> None:
    """Write a commented configuration to PATH (report.yaml)."""
    from saereport.report.rendering import starting_config

    if path.exists() and not force:
        raise SaereportError(f"'{path}' exists.", "Give another name, or --force.")
    write(path, starting_config().encode("utf-8"))
    progress.say(f"Wrote '{path}'; edit it, then 'saereport build {path}'.")


@cli.command(cls=SettingsCommand)
@report_options("demo-report")
@dry_run_option
@list_options
@click.pass_obj
def demo(progress: Progress, /, out: Path | None, dry_run: bool, **given: Any) -> None:
    """Build a report of the model, SAEs and text that come with saereport; no network."""
    from saereport.report.rendering import demo_settings

    pages = _page_options(given)
    out = named_out(out, "demo-report", pages["single_file"])
    _build_or_plan(merged(demo_settings(), given), out, pages, progress, dry_run)


for module in (
    *(planning, comparing, publishing, sharing, labelling, exchanging, listing, caching, merging),
):
    for command in module.COMMANDS:
        cli.add_command(command)


def _page_options(given: dict[str, Any]) -> PageOptions:
    """Take what `report_options` added besides `--out` out of what was given."""
    return {
        "single_file": given.pop("single_file"),
        "force": given.pop("force"),
        "with_run": given.pop("with_run"),
        "processes": given.pop("processes"),
    }


def _build_or_plan(
    asked: BuildConfig, out: Path, pages: PageOptions, progress: Progress, dry_run: bool
) -> None:
    single = pages["single_file"]
    if dry_run:
        tell_plan(asked, out, progress, single_file=single)
        return
    check_output(out, single_file=single)
    check_everything(asked)
    from saereport.pipeline.build import build as run_build

    pages["progress"] = progress
    run_build(asked, out, **pages)
    progress.say(f"Open {out if single else out / 'index.html'}")


def check_everything(asked: BuildConfig) -> None:
    """Check at the door what needs no torch, before it is loaded."""
    from saereport.pipeline.preflight import check_everything as check

    check(asked)


def check_output(out: Path, **kind: bool) -> None:
    """Check at the door that an output can be written."""
    from saereport.pipeline.preflight import check_output as check

    check(out, **kind)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Codes: 0 all is well, 1 an error, 2 wrong usage, 3 a gate was not met, 130 interrupted.
    """
    try:
        code = run(sys.argv[1:] if arguments is None else arguments)
    except SaereportError as error:
        # Only with --debug, which shows more and changes no code.
        traceback.print_exc()
        code = error.exit_code
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; `main` without leaving the process."""
    debug = "--debug" in arguments
    # These are taken wherever they stand, so that they can be added to the end of a command.
    anywhere = [part for part in ("--quiet", "--no-plugins") if part in arguments]
    others = (part for part in arguments if part not in ("--debug", "--quiet", "--no-plugins"))
    arguments = [*anywhere, *others]
    try:
        cli.main(args=arguments, prog_name="saereport", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        if debug:
            raise
        _complain("Interrupted. Older outputs are as they were; a collection goes on where it was.")
        return INTERRUPTED
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        if debug:
            raise
        _complain(error.format_message())
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        _complain(_in_words(error, arguments))
        return error.exit_code if isinstance(error, SaereportError) else 1
    return 0


def _in_words(error: Exception, arguments: list[str]) -> str:
    """Any error as one line."""
    command = next((part for part in arguments if part in cli.commands), "")
    if came_of_memory(error):
        if command in ("build", "collect", "demo", "plan"):
            return (
                "Memory ran out. Give fewer SAEs or latents, a smaller --context-size or "
                "--batch-size, or --dtype bfloat16; the same command goes on from the last "
                "checkpoint where only the batch differs."
            )
        return (
            "Memory ran out. Close other programs, or cut the report with 'saereport extract' "
            "where there is more memory."
        )
    if isinstance(error, SaereportError):
        return str(error)
    if isinstance(error, ImportError):
        return not_importable(error)
    if isinstance(error, OSError):
        return _of_system(error)
    return fault(error, command)


def _of_system(error: OSError) -> str:
    where = f" '{shortened(str(error.filename), 160)}'" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk is full{' at' + where if where else ''}. Make room and give the same "
            "command again; it goes on from the last checkpoint that could be saved."
        )
    said = shortened(str(error.strerror or error), 200).rstrip(".")
    return f"{said}{':' + where if where else ''}."


def _complain(message: str) -> None:
    # A message may quote what was typed or read; on a terminal it must be only text.
    with contextlib.suppress(OSError):
        line = shortened(visible_text(" ".join(message.split())), LONGEST_LINE)
        click.echo(f"saereport: {line}", err=True)
