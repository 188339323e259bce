"""`saereport export` and `saereport import`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import click

from saereport.util.progress import Progress


@click.command("export")
@click.argument("report")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["saedashboard", "neuronpedia"]),
    required=True,
    help="saedashboard: batch-N.json; neuronpedia: the bulk export's gzipped JSON lines.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--sae", help="The slug of one SAE (all, in a folder each).")
@click.pass_obj
def export(
    progress: Progress,
    /,
    report: str,
    format_: Literal["saedashboard", "neuronpedia"],
    out: Path,
    sae: str | None,
) -> None:
    """Write the latents of REPORT in another tool's format.

    REPORT is a run, a report's folder, a report in one file, or REVISION:PATH of one in git.
    """
    from saereport.exchange import export_report

    files = export_report(report, out, format=format_, sae=sae, progress=progress)
    progress.say(f"Wrote {len(files)} files to '{out}'.")


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Folder of the report, or with --run-only of the run.",
)
@click.option("--run-only", is_flag=True, help="Write a run, for 'saereport render'.")
@click.pass_obj
def import_(progress: Progress, /, paths: tuple[Path, ...], out: Path, run_only: bool) -> None:
    """Make a report of SAEDashboard's or Neuronpedia's files, without a model.

    PATHS are batch-N.json files or the folder they are in, or the folder of one source of
    Neuronpedia's bulk export (with features/, activations/ and explanations/ in it).
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
        render(run, target, progress=progress)
    progress.say(f"Open {out / 'index.html'}")


COMMANDS: tuple[click.Command, ...] = (export, import_)
"""What this module adds to the command line."""
