"""A landing page over many reports: `saereport index`.

The page compares all SAEs in one table and lists the reports. It links to them by relative
addresses, so that everything can be moved together. The reports lie below the folder of the page,
or beside it; or they are copied into it, which makes one folder with everything. All files that are
the page's own are listed in `landing.json`; no other file is ever replaced.
"""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from saereport.publish.manifests import (
    LANDING_FORMAT,
    LANDING_MANIFEST,
    LANDING_VERSION,
    listed,
    read_manifest,
)
from saereport.publish.reports import MOST_SAES, SaeSummary, Summary, find_reports, summarize
from saereport.run.figures import Figure
from saereport.site import assets, jsonwriter, numbers
from saereport.site.csp import policy
from saereport.site.folder import MANIFEST, NOJEKYLL
from saereport.site.latent_summary import Fact
from saereport.site.quality import share
from saereport.site.templating import environment
from saereport.util.errors import SaereportError
from saereport.util.files import (
    folder_in_place_of,
    real_path,
    reserved,
    sha256_of,
    strangers,
    target_folder,
)
from saereport.util.inside import copy_inside, holds
from saereport.util.locks import temporary
from saereport.util.progress import Progress
from saereport.util.replacing import recover, swap, told_when_full
from saereport.util.version import __version__
from saereport.util.visible import visible_text

ASSETS = "landing"
STYLES = ("tokens.css", "layout.css", "parts.css", "landing.css")
SCRIPTS = ("landing.js",)
MISSING = "–"


@dataclass(frozen=True)
class SortedCell:
    """A value of the table: as people read it, and as it sorts."""

    text: str
    order: str


@dataclass(frozen=True)
class SaeLine:
    """One SAE of one report in the table."""

    report: str
    report_href: str
    label: str
    href: str
    model: str
    hook: str
    architecture: str
    text: str
    layer: SortedCell
    width: SortedCell
    shown: SortedCell
    l0: SortedCell
    never: SortedCell
    variance: SortedCell
    recovered: SortedCell
    tokens: SortedCell

    @property
    def measured(self) -> tuple[str, ...]:
        """What is lined up with the other rows, behind the name of the row."""
        cells = (self.l0, self.never, self.variance, self.recovered)
        return (self.label, *(cell.text for cell in cells))


@dataclass(frozen=True)
class ListedReport:
    """One report in the list of reports."""

    title: str
    href: str
    model: str
    text: str
    saes: str
    fingerprint: str
    version: str


def index(
    folders: Iterable[Path | str],
    out: Path | str,
    *,
    title: str = "Reports",
    copy: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Make a landing page over reports.

    Args:
        folders: Reports, or folders that hold reports.
        out: The folder of the page; the reports lie below it or below the folder that holds it.
        title: Heading of the page.
        copy: Copy the reports into `out`, which then holds everything.
        progress: Where to show progress.

    Returns:
        The page.

    Raises:
        SaereportError: A report cannot be read or lies elsewhere, or `out` holds other files in
            the places of the page's own.
    """
    target = target_folder(out) if copy else real_path(out)
    with reserved(target, _require_index_or_nothing if copy else _require_free):
        _index(list(map(Path, folders)), target, title, copy, progress or Progress(quiet=True))
    return target / "index.html"


def _index(folders: Sequence[Path], target: Path, title: str, copy: bool, said: Progress) -> None:
    found = find_reports(folders)
    summaries = []
    with said.bar("reports", len(found), " reports") as bar:
        for folder in found:
            summaries.append(summarize(folder))
            bar.advance(1)
    if sum(len(summary.rows) for summary in summaries) > MOST_SAES:
        raise SaereportError(f"The reports hold more than {MOST_SAES:,} SAEs.", "Name fewer.")
    if copy:
        places = _new_names(summaries, target)
        room = sum(file.bytes for summary in summaries for file in summary.files)
        with folder_in_place_of(target, _require_index_or_nothing, room=room) as fresh:
            for summary, name in zip(summaries, places, strict=True):
                _copy_report(summary, fresh / name)
            _write(fresh, title, summaries, places)
    else:
        places = [_relative(summary.folder, target) for summary in summaries]
        with _added_to(target) as fresh:
            _write(fresh, title, summaries, places)


def _relative(folder: Path, target: Path) -> str:
    """From the page to a report, with `/`; the same wherever both are moved together."""
    for base, prefix in ((target, ""), (target.parent, "../")):
        if folder.is_relative_to(base):
            return prefix + folder.relative_to(base).as_posix()
    raise SaereportError(
        f"The report '{folder}' lies neither below '{target}' nor beside it.",
        "Put them under one folder, or give --copy.",
    )


def _new_names(summaries: Sequence[Summary], target: Path) -> list[str]:
    """Names for copies: those of the folders, numbered where two are the same."""
    taken = {ASSETS}
    names = []
    for summary in summaries:
        if target.is_relative_to(summary.folder):
            raise SaereportError(
                f"'{target}' lies inside the report '{summary.folder}'.", "Name another folder."
            )
        base = summary.folder.name
        # Spellings that differ in case alone are one name on some file systems.
        choices = [base, *(f"{base}-{n}" for n in range(2, len(summaries) + 3))]
        name = next(choice for choice in choices if choice.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def _copy_report(summary: Summary, target: Path) -> None:
    """The files that the manifest lists, and it; nothing else that may lie beside them."""
    hint = "Make it again with 'saereport render'."
    for file in summary.files:
        said = f"The report '{summary.folder}' is damaged: '{visible_text(file.path[:80])}'"
        path = target / file.path
        try:
            same = copy_inside(summary.folder, file.path, path, size=file.bytes, sha256=file.sha256)
        except FileNotFoundError as error:
            raise SaereportError(f"{said} is missing.", hint) from error
        if not same:
            raise SaereportError(f"{said} is not the file that its manifest lists.", hint)


def _write(folder: Path, title: str, summaries: Sequence[Summary], places: Sequence[str]) -> None:
    own = folder / ASSETS
    own.mkdir()
    source = assets.templates() / "static"
    for name in (*STYLES, assets.EARLY, *SCRIPTS):
        shutil.copyfile(source / name, own / name)
    (folder / NOJEKYLL).write_bytes(b"")
    (folder / "index.html").write_bytes(_page(title, summaries, places).encode("utf-8"))
    files = [NOJEKYLL, "index.html", *(f"{ASSETS}/{path.name}" for path in own.iterdir())]
    entries = [
        jsonwriter.dumps(
            {
                "path": path,
                "bytes": (folder / path).stat().st_size,
                "sha256": sha256_of(folder / path),
            }
        )
        for path in sorted(files)
    ]
    head = {
        "format": LANDING_FORMAT,
        "version": LANDING_VERSION,
        "saereport": __version__,
        "title": title,
        "reports": list(places),
    }
    text = f'{jsonwriter.dumps(head)[:-1]},"files":[\n' + ",\n".join(entries) + "\n]}\n"
    (folder / LANDING_MANIFEST).write_bytes(text.encode("utf-8"))


def _page(title: str, summaries: Sequence[Summary], places: Sequence[str]) -> str:
    made = environment()
    lines = [
        line(summary, row, place)
        for summary, place in zip(summaries, places, strict=True)
        for row in summary.rows
    ]
    return made.get_template("landing.html").render(
        csp=policy(embed_neuronpedia=False),
        folder=ASSETS,
        styles=STYLES,
        scripts=SCRIPTS,
        early=assets.EARLY,
        title=visible_text(title),
        facts=_facts(summaries),
        lines=lines,
        entries=[entry(*pair) for pair in zip(summaries, places, strict=True)],
        models=_choices(lines, lambda one: one.model),
        architectures=_choices(lines, lambda one: one.architecture),
        layers=sorted({int(one.layer.order) for one in lines}),
    )


def _facts(summaries: Sequence[Summary]) -> list[Fact]:
    rows = [row for summary in summaries for row in summary.rows]
    models = {summary.model for summary in summaries}
    return [
        Fact("Reports", numbers.count(len(summaries))),
        Fact("Models", numbers.count(len(models))),
        Fact("SAEs", numbers.count(len(rows))),
        Fact("Latents", numbers.count(sum(row.d_sae for row in rows))),
        Fact("Latents shown", numbers.count(sum(row.shown for row in rows))),
    ]


def _choices(lines: Sequence[SaeLine], key: Callable[[SaeLine], str]) -> list[str]:
    return sorted({key(one) for one in lines})


def line(summary: Summary, row: SaeSummary, place: str) -> SaeLine:
    """One row of the table; `place` is the report's folder as seen from the page."""
    return SaeLine(
        report=summary.title,
        report_href=_href(place, "index.html"),
        label=row.label,
        href=_href(place, row.href),
        model=summary.model,
        hook=row.hook,
        architecture=row.architecture,
        text=summary.text,
        layer=SortedCell(numbers.count(row.layer), str(row.layer)),
        width=_known(row.d_sae),
        shown=SortedCell(numbers.count(row.shown), str(row.shown)),
        l0=_cell(row.l0, numbers.value),
        never=_cell(row.never, numbers.percent),
        variance=_figure(row.variance),
        recovered=_figure(row.recovered),
        tokens=_known(summary.tokens),
    )


def entry(summary: Summary, place: str) -> ListedReport:
    """One report in the list."""
    return ListedReport(
        title=summary.title,
        href=_href(place, "index.html"),
        model=summary.model,
        text=f"{summary.text}, {numbers.plural(summary.tokens, 'token')}"
        if summary.tokens
        else summary.text,
        saes=numbers.plural(len(summary.rows), "SAE"),
        fingerprint=summary.fingerprint,
        version=summary.version,
    )


def _known(count: int) -> SortedCell:
    """A count; an imported report has 0 for what it does not know, which sorts as nothing."""
    return SortedCell(numbers.count(count), str(count)) if count else SortedCell(MISSING, "")


def _cell(value: float | None, shown: Callable[[float], str]) -> SortedCell:
    """A measured number; what was not measured sorts as nothing."""
    return SortedCell(MISSING, "") if value is None else SortedCell(shown(value), f"{value:.9g}")


def _figure(figure: Figure | None) -> SortedCell:
    """A share of a whole SAE, as on the pages of its report."""
    return SortedCell(share(figure), "" if figure is None else f"{figure.value:.9g}")


def _href(place: str, path: str) -> str:
    # By its bytes: a folder's name need not be UTF-8.
    return quote(os.fsencode(posixpath.join(place, path)))


def _own_files(target: Path) -> list[str]:
    if not holds(target, LANDING_MANIFEST):
        return []
    return [LANDING_MANIFEST, *(file.path for file in listed(_landing(target)))]


def _landing(target: Path) -> dict[str, Any]:
    return read_manifest(target, LANDING_MANIFEST)


def _require_index_or_nothing(target: Path) -> None:
    """Refuse to replace a folder that holds anything but a landing page and its copied reports."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    hint = "Name a new folder, or remove this one."
    own = _own_files(target) if target.is_dir() else []
    if not own:
        raise SaereportError(f"'{target}' exists and is not a landing page.", hint)
    places = _landing(target).get("reports")
    for place in places if isinstance(places, list) else []:
        manifest = f"{place}/{MANIFEST}"
        if holds(target, manifest):
            files = [file.path for file in listed(read_manifest(target, manifest))]
            own += [posixpath.join(str(place), path) for path in (MANIFEST, *files)]
    others = strangers(target, own)
    if others:
        raise SaereportError(f"'{target}' also holds other files, such as '{others[0]}'.", hint)


def _require_free(target: Path) -> None:
    """Refuse a folder in which one of the page's own names is something else."""
    if target.exists() and not target.is_dir():
        raise SaereportError(f"'{target}' is a file.", "Name a folder.")
    own = set(_own_files(target))
    for name in (LANDING_MANIFEST, "index.html"):
        if (target / name).exists() and name not in own:
            raise SaereportError(
                f"'{target / name}' exists and is not a landing page of saereport.",
                "Name another folder.",
            )
    folder = target / ASSETS
    if folder.exists() and strangers(target / ASSETS, _below(own)):
        raise SaereportError(f"'{folder}' exists and is not the page's.", "Name another folder.")


def _below(own: Iterable[str]) -> list[str]:
    return [path.removeprefix(f"{ASSETS}/") for path in own if path.startswith(f"{ASSETS}/")]


@contextmanager
def _added_to(target: Path) -> Iterator[Path]:
    """A fresh folder whose files go into `target` if the block ends well, the page itself last."""
    made = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    recover(target / ASSETS)
    fresh = temporary(target / ASSETS, "new")
    fresh.mkdir()
    try:
        with told_when_full(target):
            yield fresh
            swap(fresh / ASSETS, target / ASSETS)
            for name in (NOJEKYLL, LANDING_MANIFEST, "index.html"):
                (fresh / name).replace(target / name)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        if made:
            target.rmdir()
        raise
    fresh.rmdir()
