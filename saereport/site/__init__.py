"""The site: a run becomes a folder of pages that open by double click and need no server.

`render` is the whole interface. What a report consists of is told by its parts (`parts/`), as page
models: plain values and blocks. A sink writes them, `folder.FolderSink` as a folder of pages and
`single.SingleSink` as one file: the HTML is made by Jinja in `templates/`, the data for the
interactive parts by the one JSON writer. A report is

    index.html                 the overview, or with one SAE its page
    compare.html               pinned latents side by side
    methods.html, provenance.html
    assets/                    style, scripts, Plotly
    report.js, vocabulary.js   what all pages share: SAEs, panels, tokens
    circuits/                  prompts and attribution graphs
    text/t0000.js              whole sequences, for examples that are unfolded
    <slug>/index.html          one SAE: facts, table, densities, map
    <slug>/latents.js          the rows of that table
    <slug>/l0000.html, d0000.js   a shard of its latents: the story in HTML, the panels as data
    run/                       the run itself, if it is to be in it
    report.json                every file with its SHA-256

Nothing here imports torch, and the same run always gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from saereport.run import Run, RunInfo, open_run
from saereport.site.claims import Claims
from saereport.site.context import DisplayTokens, ReportModel, Shards
from saereport.site.folder import FolderSink, report_folder, write_manifest
from saereport.site.layout import Sink
from saereport.site.parts import Page, Part, parts_of
from saereport.site.parts.registry import Spread
from saereport.site.spreading import Workers, carry_out, how_many
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress
from saereport.util.version import __version__
from saereport.util.visible import visible_text

SHARD = 32
"""Latents a page."""

__all__ = ["render"]


def render(
    run_dir: Path,
    out_dir: Path,
    *,
    embed_neuronpedia: bool = False,
    shard_size: int = SHARD,
    with_run: bool = True,
    processes: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Make the report of a run.

    The report is built beside `out_dir` and takes its place when it is whole.

    Args:
        run_dir: A run, or a report that holds one.
        out_dir: The report's folder; an older report there is replaced.
        embed_neuronpedia: Offer Neuronpedia's page of a latent in a frame that loads on a click.
        shard_size: Latents a page.
        with_run: Whether the run goes into the report.
        processes: How many make the pages of latents; by default what cores and latents suggest.
        progress: Where to show progress.

    Raises:
        SaereportError: The run is damaged, or `out_dir` holds something that is not a report.
    """
    run = open_run(run_dir)
    report = report_of(
        run, embed_neuronpedia=embed_neuronpedia, shard_size=shard_size, with_run=with_run
    )
    with report_folder(out_dir, run, with_run=with_run) as folder:
        n = how_many(processes, sum(len(shards.latents) for shards in report.shards.values()))
        with Workers(report, folder, n) as workers:
            write(report, FolderSink(report, folder), progress or Progress(quiet=True), workers)
        slugs = [sae.info.slug for sae in report.saes]
        write_manifest(folder, version=__version__, title=report.info.title, slugs=slugs)


def report_of(
    run: Run,
    *,
    embed_neuronpedia: bool = False,
    shard_size: int = SHARD,
    with_run: bool = True,
) -> ReportModel:
    """What the pages of a run are made from."""
    shards = {sae.slug: Shards(run.latents(sae.slug), shard_size) for sae in run.info.saes}
    return ReportModel(
        whole=run,
        info=_readable(run.info),
        vocabulary=DisplayTokens(run),
        shards=shards,
        embed_neuronpedia=embed_neuronpedia,
        with_run=with_run,
    )


def _readable(info: RunInfo) -> RunInfo:
    """The run's own names with nothing in them that cannot be seen or that turns the text."""
    shown = visible_text
    return info.model_copy(
        update={
            "title": shown(info.title),
            "model": info.model.model_copy(update={"name": shown(info.model.name)}),
            "text": info.text.model_copy(update={"name": shown(info.text.name)}),
            "saes": tuple(
                sae.model_copy(
                    update={"label": shown(sae.label), "selection": shown(sae.selection)}
                )
                for sae in info.saes
            ),
            "warnings": tuple(
                warning.model_copy(
                    update={
                        name: shown(getattr(warning, name)) for name in ("about", "source", "text")
                    }
                )
                for warning in info.warnings
            ),
        }
    )


def write(
    report: ReportModel, sink: Sink, progress: Progress, workers: Workers | None = None
) -> None:
    """Hand everything that a report consists of to a sink.

    Args:
        report: The report.
        sink: Where it goes.
        progress: Where to show progress.
        workers: Processes that write to the same place as the sink; None for none.

    Raises:
        SaereportError: The run is damaged, an SAE is called as a folder of a part, or a part has
            a file that is not its own.
    """
    claims = Claims()
    total = sum(len(shards.latents) for shards in report.shards.values())
    with progress.bar("pages", total, " latents") as bar:
        for part in parts_of(report):
            _refuse_taken(report, part)
            for item in part.items(report):
                if isinstance(item, Spread):
                    for path in (path for batch in item.batches for path in batch.paths):
                        claims.take(part.name, path)
                    carry_out(item, report, sink, workers, bar.advance)
                    continue
                claims.take(part.name, item.path)
                sink.add(item)
                if isinstance(item, Page):
                    bar.advance(item.latents)


def _refuse_taken(report: ReportModel, part: Part) -> None:
    taken = sorted(part.folders & report.shards.keys())
    if taken:
        raise SaereportError(
            f"The SAE '{taken[0]}' has the name of a folder that the part '{part.name}' of a "
            "report has.",
            "Give the SAE another slug, or render without that part.",
        )
