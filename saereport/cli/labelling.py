"""`saereport labels`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from saereport.cli.outputs import NamedPath
from saereport.config.paths import PUBLISHED_LABELS
from saereport.util.errors import SaereportError, UsageError
from saereport.util.progress import Progress

if TYPE_CHECKING:
    from saereport.report.labelling import NewLabels
    from saereport.run import Run, SaeInfo


@click.command()
@click.argument("report")
@click.option(
    "--explanations",
    type=NamedPath(),
    default=PUBLISHED_LABELS,
    show_default=True,
    help="'neuronpedia' fetches what it has published; else a file or folder, as for build.",
)
@click.option("--sae", help="The slug of one SAE (all that Neuronpedia is known to have).")
@click.option("--id", "published_id", help="What Neuronpedia calls that SAE: MODEL/SOURCE.")
@click.option("--all", "every", is_flag=True, help="Also of latents that the report does not show.")
@click.option("--refresh", is_flag=True, help="Fetch again what was fetched before and kept.")
@click.option(
    "--out",
    type=NamedPath(),
    help="The new report (in place of REPORT); a folder, or a file that ends in .html.",
)
@click.option(
    "--neuronpedia-embed",
    is_flag=True,
    help="Offer Neuronpedia's page of a latent in a frame that loads on a click.",
)
@click.pass_obj
def labels(
    progress: Progress,
    /,
    report: str,
    explanations: Path,
    sae: str | None,
    published_id: str | None,
    every: bool,
    refresh: bool,
    out: Path | None,
    neuronpedia_embed: bool,
) -> None:
    """Write labels into the finished REPORT: those that Neuronpedia has published. No torch.

    REPORT is a run, a report's folder, a report in one file, or REVISION:PATH of one in git. The
    labels that it has stay, and come first. What is fetched is kept, so that the next time needs
    no network.
    """
    from saereport.report.labelling import add_labels
    from saereport.run import opened

    with opened(report) as run:
        new = {
            info.slug: _new(info, explanations, published_id, refresh=refresh, progress=progress)
            for info in _saes(run, sae, published_id, explanations)
        }
        said = [_said(run, slug, own) for slug, own in new.items()]
        target = add_labels(
            report,
            run,
            new,
            out=out,
            every=every,
            neuronpedia_embed=neuronpedia_embed,
            progress=progress,
        )
    for line in said:
        progress.say(line)
    progress.say(f"Wrote '{target}'.")


def _saes(
    run: Run, slug: str | None, published_id: str | None, explanations: Path
) -> list[SaeInfo]:
    """The SAEs that are to get labels.

    Raises:
        UsageError: One source of labels is given for several SAEs.
        SaereportError: The report has no such SAE, or nothing says what Neuronpedia calls it.
    """
    saes = [run.info.sae(slug)] if slug else list(run.info.saes)
    published = explanations == PUBLISHED_LABELS
    if published_id and not published:
        raise UsageError("--id is for labels that are fetched.", "Leave out --explanations.")
    if published and not published_id:
        known = [sae for sae in saes if sae.neuronpedia_id]
        if not known:
            raise SaereportError(
                "Nothing says what Neuronpedia calls these SAEs, so no labels can be found.",
                "Say it with --sae SLUG --id MODEL/SOURCE, such as gpt2-small/8-res-jb.",
            )
        return known
    if len(saes) > 1:
        raise UsageError(
            f"Labels of one SAE were named, and the report has {len(saes)}.",
            "Say which one it is with --sae.",
        )
    return saes


def _new(
    info: SaeInfo,
    explanations: Path,
    published_id: str | None,
    *,
    refresh: bool,
    progress: Progress,
) -> NewLabels:
    from saereport.report.labelling import NewLabels
    from saereport.sources.explanations import read_explanations
    from saereport.sources.published_labels import given_files, published_labels

    if explanations == PUBLISHED_LABELS:
        name = published_id or info.neuronpedia_id
        found = published_labels(name, refresh=refresh, progress=progress)
        return NewLabels(found.labels, found.columns())
    labels = read_explanations(explanations, sae=info.slug)
    return NewLabels(labels, given_files(explanations).columns())


def _said(run: Run, slug: str, own: NewLabels) -> str:
    shown = run.latents(slug)
    n = sum(latent in own.labels for latent in shown)
    return f"{slug}: labels for {n:,} of the {len(shown):,} latents shown."


COMMANDS: tuple[click.Command, ...] = (labels,)
"""What this module adds to the command line."""
