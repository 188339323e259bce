"""Write labels into a finished run: nothing is measured again, and no torch is needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from saereport.report.rendering import render
from saereport.run import Run, RunWriter, open_run
from saereport.run.labels import Labels, label_rows, require_within
from saereport.run.store import RUN_FILE
from saereport.site.folder import require_run_of_its_own
from saereport.util.errors import UsageError
from saereport.util.files import reserved, target_folder
from saereport.util.progress import Progress

LABELS, FILES = "explanations", "label_files"


@dataclass(frozen=True)
class NewLabels:
    """Labels of an SAE.

    Attributes:
        labels: Latent to labels, each with its source.
        files: Where they are from: columns of `label_files`.
    """

    labels: Labels
    files: Mapping[str, list[Any]]


def add_labels(
    report: str,
    run: Run,
    new: Mapping[str, NewLabels],
    *,
    out: Path | None = None,
    every: bool = False,
    neuronpedia_embed: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the labels into a report, or into a run: what is made is what was given.

    Args:
        report: A run, a report's folder, a report in one file, or `REVISION:PATH` of one in git.
        run: The run that it means, opened.
        new: The labels of each SAE, by slug.
        out: What to write; in place of `report` where absent. A name that ends in `.html` makes a
            single file.
        every: Whether latents that the report does not show get theirs too.
        neuronpedia_embed: Offer Neuronpedia's page of a latent in a frame that loads on a click.
        progress: Where to say what is going on.

    Returns:
        What was written.

    Raises:
        SaereportError: A label is of a latent that the SAE does not have, or `out` cannot be
            written.
    """
    if out is None and not Path(report).exists():
        raise UsageError(f"'{report}' cannot be replaced: it is in git.", "Say --out where to.")
    target = out or Path(report)
    single = target.suffix.lower() in (".html", ".htm")
    if (Path(report) / RUN_FILE).is_file() and not single:
        with reserved(target_folder(target), require_run_of_its_own):
            with_labels(run, target_folder(target), new, every=every)
        return target
    with TemporaryDirectory(prefix="saereport-") as folder:
        made = with_labels(run, Path(folder) / "run", new, every=every)
        render(
            made.path,
            target,
            neuronpedia_embed=neuronpedia_embed,
            single_file=single,
            force=True,
            with_run=True,
            progress=progress,
        )
    return target


def with_labels(run: Run, target: Path, new: Mapping[str, NewLabels], *, every: bool) -> Run:
    """Write a run with more labels than another has.

    A label that a latent has already is not added again, and those that it has stay first. A
    latent that is met blind and may not be revealed gets none.

    Args:
        run: The other run.
        target: Folder of the new run.
        new: The labels of each SAE, by slug.
        every: Whether latents that the report does not show get theirs too.

    Raises:
        SaereportError: A label is of a latent that the SAE does not have.
    """
    for slug, given in new.items():
        require_within(given.labels, slug, run.info.sae(slug).d_sae)
    hidden = _hidden(run)
    with RunWriter(target, hidden=hidden) as writer:
        for name in run.names():
            writer.copy(run, name, None)
        for sae in run.info.saes:
            slug, own = sae.slug, new.get(sae.slug)
            for name in run.names(slug):
                if own is None or name not in (LABELS, FILES):
                    writer.copy(run, name, slug)
            if own is None:
                continue
            known = _known(run, slug)
            latents = set(own.labels) | set(known) if every else set(run.latents(slug))
            columns = label_rows(own.labels, sorted(latents | set(known)), known)
            if columns["latent"]:
                writer.write(LABELS, columns, slug=slug)
            writer.write(FILES, _files(run, slug, own.files), slug=slug)
        saes = tuple(
            sae.model_copy(update={"left_out": _without(sae.left_out, (LABELS, FILES))})
            if sae.slug in new
            else sae
            for sae in run.info.saes
        )
        writer.finish(run.info.model_copy(update={"saes": saes}))
    return open_run(target)


def _without(reasons: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: why for name, why in reasons.items() if name not in names}


def _hidden(run: Run) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in run.table("blind_latents").to_pylist() if run.has("blind_latents") else ():
        if not row["reveal"]:
            found.setdefault(row["sae"], []).append(row["latent"])
    return found


def _known(run: Run, slug: str) -> dict[int, list[tuple[str, str]]]:
    found: dict[int, list[tuple[str, str]]] = {}
    for row in run.table(LABELS, slug).to_pylist() if run.has(LABELS, slug) else ():
        found.setdefault(row["latent"], []).append((row["text"], row["source"]))
    return found


def _files(run: Run, slug: str, new: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The files that labels are from: those of before, but for those that were fetched anew."""
    names = list(new)
    rows = {
        row["file"]: row
        for row in (run.table(FILES, slug).to_pylist() if run.has(FILES, slug) else ())
    }
    for values in zip(*new.values(), strict=True):
        row = dict(zip(names, values, strict=True))
        rows[row["file"]] = row
    return {name: [rows[file][name] for file in sorted(rows)] for name in names}
