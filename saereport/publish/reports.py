"""What a landing page knows of a report: what its manifests say, and how good its SAEs are.

Only `report.json`, `run/run.json` and the run's figures of SAEs as a whole are read. All come from
anywhere, so sizes and numbers are held to limits before anything is shown, and every word is made
visible.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from saereport.publish.manifests import Listed, listed, read_manifest
from saereport.run import SaeInfo, open_run
from saereport.run.figures import Figure, figures_of
from saereport.run.store import RUN_FILE
from saereport.site.folder import MANIFEST, RUN_FOLDER
from saereport.util.errors import SaereportError
from saereport.util.inside import check_paths, holds, plain_path
from saereport.util.visible import visible_text

MOST_REPORTS = 1000
MOST_SAES = 10_000
"""Rows beyond which a page of all SAEs would no longer be one."""
LONGEST = 200
"""Characters of a title or a name that are shown."""
_DEPTH = 6
"""Folders below a named one in which reports are looked for."""


@dataclass(frozen=True)
class SaeSummary:
    """One SAE in the comparison of all.

    Attributes:
        href: From the report's folder to the SAE's page.
        d_sae: Latents of the SAE; 0 where an imported report does not know.
        l0: Mean of active latents per token; None where it was not measured.
        never: Share of its latents that were never active; None where it was not measured.
        variance: Explained variance; None where it was not measured.
        recovered: Cross-entropy recovered against zero ablation; None where it was not measured.
    """

    label: str
    href: str
    hook: str
    layer: int
    architecture: str
    d_sae: int
    shown: int
    l0: float | None
    never: float | None
    variance: Figure | None
    recovered: Figure | None


@dataclass(frozen=True)
class Summary:
    """One report on a landing page.

    Attributes:
        folder: Where it lies.
        tokens: Counted tokens of its text; 0 where an imported report does not know.
        fingerprint: First characters of the run's identity.
        files: What its manifest lists, and it.
    """

    folder: Path
    title: str
    model: str
    n_layers: int
    text: str
    tokens: int
    context: int
    fingerprint: str
    version: str
    rows: tuple[SaeSummary, ...]
    files: tuple[Listed, ...]


def find_reports(folders: Iterable[Path]) -> list[Path]:
    """The reports that are meant: the folders themselves, or those below them, each once.

    Raises:
        SaereportError: A folder is not there, or holds no report; or there are too many.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise SaereportError(f"There is no folder '{folder}'.", "Name folders of reports.")
        below = list(_below(folder.resolve(), _DEPTH))
        if not below:
            raise SaereportError(
                f"'{folder}' holds no report: no {MANIFEST} in it or below it.",
                "Name folders that 'saereport build' or 'saereport render' made.",
            )
        found.update(dict.fromkeys(below))
        if len(found) > MOST_REPORTS:
            raise SaereportError(f"There are more than {MOST_REPORTS:,} reports.", "Name fewer.")
    return list(found)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    if holds(folder, MANIFEST):
        yield folder
    elif depth:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        for name in names:
            if not name.startswith("."):
                yield from _below(folder / name, depth - 1)


def summarize(folder: Path) -> Summary:
    """Read a report's manifests.

    Raises:
        SaereportError: They are missing, too large, malformed, or hold numbers that cannot be.
    """
    try:
        manifest = read_manifest(folder, MANIFEST)
        files = (manifest["itself"], *listed(manifest))
        paths = frozenset(check_paths((file.path for file in files), f"'{folder / MANIFEST}'"))
        if f"{RUN_FOLDER}/{RUN_FILE}" not in paths:
            raise SaereportError(
                f"The report '{folder}' does not hold its run, which a landing page reads.",
                "Make it again with 'saereport render RUN --with-run'.",
            )
        run = open_run(plain_path(folder, f"{RUN_FOLDER}/{RUN_FILE}").parent)
        info = run.info
        # An SAE without a table is only named by circuits and has no page.
        rows = tuple(
            _row(sae, paths, figures_of(run, sae.slug)) for sae in info.saes if run.names(sae.slug)
        )
    except OSError as error:
        raise SaereportError(
            f"The report '{folder}' is damaged: '{error.filename}': {error.strerror}.",
            "Make it again with 'saereport render'.",
        ) from error
    return Summary(
        folder=folder,
        title=_words(info.title) or folder.name,
        model=_words(info.model.name),
        n_layers=info.model.n_layers,
        text=_words(info.text.name),
        tokens=info.text.n_counted,
        context=info.text.context_size,
        fingerprint=info.fingerprint[:12],
        version=_words(info.saereport_version),
        rows=rows,
        files=files,
    )


def _row(sae: SaeInfo, files: frozenset[str], figures: Mapping[str, Figure]) -> SaeSummary:
    own = f"{sae.slug}/index.html"
    hook = f"{sae.hook_in} → {sae.hook_out}" if sae.is_transcoder else sae.hook_in
    return SaeSummary(
        label=_words(sae.label) or sae.slug,
        href=own if own in files else "index.html",
        hook=_words(hook),
        layer=sae.layer,
        architecture=_words(sae.architecture.replace("_", " ")),
        d_sae=sae.d_sae,
        shown=sae.n_chosen,
        l0=sae.l0.mean if sae.l0 else None,
        never=sae.dead_share,
        variance=figures.get("explained_variance"),
        recovered=figures.get("ce_recovered"),
    )


def _words(text: str) -> str:
    cut = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return visible_text(cut)
