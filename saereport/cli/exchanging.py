"""`saereport export` and `saereport import`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import click

from saereport.cli.outputs import NamedPath
from saereport.util.errors import UsageError
from saereport.util.progress import Progress


@click.command("export")
@click.argument("report")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["saedashboard", "neuronpedia", "delphi", "circuit-tracer"]),
    required=True,
    help="saedashboard: batch-N.json; neuronpedia: the bulk export's gzipped JSON lines; "
    "delphi: the labels, one file a latent; circuit-tracer: attribution graphs for its viewer.",
)
@click.option("--out", type=NamedPath(), required=True, help="Folder to write.")
@click.option("--sae", help="The slug of one SAE (all, in a folder each).")
@click.option(
    "--model-id", help="Neuronpedia: the model's id (the SAE's own, or the model's name)."
)
@click.option("--source-set", help="Neuronpedia: name of the source set (the SAE's own, or slug).")
@click.option("--creator-id", help="Neuronpedia: id of the user that rows belong to (its bot).")
@click.option("--author-id", help="Neuronpedia: id of the user that wrote the labels (creator).")
@click.option(
    "--explanation-model",
    "labellers",
    multiple=True,
    help="Neuronpedia: a labelling model that it knows beside the usual; repeatable.",
)
@click.option(
    "--explanation-type",
    "label_kinds",
    multiple=True,
    help="Neuronpedia: a way of labelling that it knows beside the usual; repeatable.",
)
@click.pass_obj
def export(
    progress: Progress,
    /,
    report: str,
    format_: Literal["saedashboard", "neuronpedia", "delphi", "circuit-tracer"],
    out: Path,
    sae: str | None,
    model_id: str | None,
    source_set: str | None,
    creator_id: str | None,
    author_id: str | None,
    labellers: tuple[str, ...],
    label_kinds: tuple[str, ...],
) -> None:
    """Write the latents or the graphs of REPORT in another tool's format.

    REPORT is a run, a report's folder, a report in one file, or REVISION:PATH of one in git.
    """
    from saereport.exchange import export_report
    from saereport.exchange.neuronpedia import CREATOR, Ids

    ids = Ids(
        creator_id or CREATOR,
        author_id or "",
        model_id or "",
        source_set or "",
        labellers,
        label_kinds,
    )
    if format_ != "neuronpedia" and ids != Ids():
        raise UsageError(
            f"Ids are for '--format neuronpedia'; this export is for {format_}.",
            "Leave out --model-id, --source-set, --creator-id, --author-id and --explanation-….",
        )
    files = export_report(report, out, format=format_, sae=sae, ids=ids, progress=progress)
    progress.say(f"Wrote {len(files)} files to '{out}'.")


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=NamedPath())
@click.option(
    "--out",
    type=NamedPath(),
    default=Path("report"),
    show_default=True,
    help="Folder of the report, or with --run-only of the run.",
)
@click.option("--run-only", is_flag=True, help="Write a run, for 'saereport render'.")
@click.pass_obj
def import_(progress: Progress, /, paths: tuple[Path, ...], out: Path, run_only: bool) -> None:
    """Make a report of SAEDashboard's, Neuronpedia's or circuit-tracer's files, without a model.

    PATHS are batch-N.json files or the folder they are in, or the folder of one source of
    Neuronpedia's bulk export (with features/, activations/ and explanations/ in it). Or they are
    attribution graphs as JSON, of circuit-tracer or Neuronpedia, or the folder that circuit-tracer
    serves.
    """
    from saereport.exchange import import_files
    from saereport.report.rendering import render
    from saereport.site.folder import require_report_or_nothing
    from saereport.util.files import reserved, target_folder

    if run_only:
        import_files(paths, out, progress=progress)
        progress.say(f"Wrote the run '{out}'; 'saereport render {out}' makes the pages.")
        return
    target = target_folder(out)
    with (
        reserved(target, require_report_or_nothing),
        TemporaryDirectory(prefix="saereport-") as folder,
    ):
        run = Path(folder) / "run"
        import_files(paths, run, progress=progress)
        render(run, target, with_run=True, progress=progress)
    progress.say(f"Open {out / 'index.html'}")


COMMANDS: tuple[click.Command, ...] = (export, import_)
"""What this module adds to the command line."""
