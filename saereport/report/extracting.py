"""Take a few latents or one circuit out of a report: a report of its own, small enough to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Unpack

from saereport.config.selection import parse_selection
from saereport.report.rendering import PageOptions, render
from saereport.report.report import Report
from saereport.run import Run, opened
from saereport.run.subset import subset, taking_part
from saereport.site.folder import require_report_or_nothing
from saereport.site.single_write import require_single_or_nothing
from saereport.util.errors import SaereportError, UsageError, did_you_mean, first_few
from saereport.util.files import real_path, reserved, target_folder

_NAMED = 12
_FEW = 3


def extract(
    report: Path | str,
    out: Path | str,
    *,
    latents: Sequence[str] = (),
    prompts: Sequence[str] = (),
    title: str | None = None,
    **pages: Unpack[PageOptions],
) -> Report:
    """Cut a report and make the pages of what is left.

    Args:
        report: A run, a report's folder, a report in one file, or `REVISION:PATH` of one in git.
        out: Folder or file of the new report.
        latents: `SAE:47,324`, `SAE:0-99` or `SAE:all`; the SAE by its folder's name, which can be
            left out where there is only one.
        prompts: Names of prompts in addresses, such as `the-eiffel-tower`. Without `latents` the
            shown latents that take part in them are kept.
        title: The new report's title; by default what is in it, and the old report's title.
        pages: How the pages are made, as for `render`; the run that is cut out goes into them
            unless `with_run` is False.

    Raises:
        UsageError: Nothing is asked for, `latents` cannot be read, or `out` is, holds or lies in
            what is cut, of which the rest would be lost.
        SaereportError: The report does not show one of these, or cannot be opened.
    """
    if not latents and not prompts:
        raise UsageError("Nothing is named.", "Give --latents SAE:47,324 or --prompt NAME.")
    _require_apart(Path(report), Path(out))
    single = pages.get("single_file", False)
    target = real_path(out) if single else target_folder(out)
    check = require_single_or_nothing if single else require_report_or_nothing
    with (
        reserved(target, check),
        opened(str(report)) as run,
        TemporaryDirectory(prefix="saereport-") as folder,
    ):
        for slug in prompts:
            _require_prompt(run, slug)
        wanted = _wanted(run, latents) if latents else taking_part(run, prompts)
        named = _title(run, wanted, prompts) if title is None else title
        part = subset(run, Path(folder) / "run", latents=wanted, prompts=prompts, title=named)
        if pages.get("with_run") is None:
            pages["with_run"] = True  # it is nowhere else
        return render(part.path, target, **pages)


def _title(run: Run, latents: Mapping[str, Sequence[int]], prompts: Sequence[str]) -> str:
    """What is cut out, in few words, and of which report."""
    names = {}
    if prompts:
        rows = run.table("prompts", columns=["slug", "name"]).to_pylist()
        names = {row["slug"]: row["name"] for row in rows}
    parts = [names[slug] for slug in prompts]
    for sae in run.info.saes if not prompts else ():
        own = latents.get(sae.slug, ())
        if own:
            few = ", ".join(map(str, own)) if len(own) <= _FEW else f"{len(own):,} latents"
            parts.append(f"{sae.label} {few}")
    more = f" and {len(parts) - _FEW:,} more" if len(parts) > _FEW else ""
    return f"{', '.join(parts[:_FEW])}{more}, from {run.info.title}"


def _require_apart(report: Path, out: Path) -> None:
    source, target = real_path(report), real_path(out)
    if source == target or source in target.parents or target in source.parents:
        raise UsageError(
            f"'{out}' is not apart from '{report}', which is cut.", "Give --out another name."
        )


def _wanted(run: Run, latents: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, set[int]] = {}
    slugs = [sae.slug for sae in run.info.saes]
    for asked in latents:
        slug, colon, words = asked.partition(":")
        if not colon:
            if asked in slugs:
                raise UsageError(f"'{asked}' names no latents.", f"Write '{asked}:all'.")
            if len(slugs) != 1:
                raise UsageError(f"'{asked}' names no SAE.", _which(run, slugs, asked))
            slug, words = slugs[0], asked
        if slug not in slugs:
            hint = did_you_mean(slug, slugs) or f"It has {first_few(slugs)}."
            raise SaereportError(f"The report has no SAE '{slug}'.", hint)
        found.setdefault(slug, set()).update(_indices(run, slug, words))
    return {slug: sorted(own) for slug, own in found.items()}


def _which(run: Run, slugs: Sequence[str], words: str) -> str:
    """A hint that names the SAEs that show what is asked for."""
    showing = []
    for slug in slugs:
        try:
            _indices(run, slug, words)
        except SaereportError:
            continue
        showing.append(f"'{slug}:{words}'")
    if not showing:
        return f"Write SAE:{words}; but none of {first_few(slugs)} shows all of it."
    return f"Write {' or '.join(showing[:_NAMED])}."


def _indices(run: Run, slug: str, words: str) -> set[int]:
    selection = parse_selection(words)
    shown = set(run.latents(slug))
    if selection.kind == "all":
        return shown
    if selection.kind != "listed":
        raise UsageError(f"'{words}' is not a choice here.", "Name latents, or write 'all'.")
    found: set[int] = set()
    for low, high in selection.ranges:
        inside = {latent for latent in shown if low <= latent <= high}
        if not inside:
            named = f"latent {low}" if low == high else f"latent of {low}-{high}"
            raise SaereportError(
                f"The report shows no {named} of '{slug}'.", f"It shows {first_few(sorted(shown))}."
            )
        found |= inside
    return found


def _require_prompt(run: Run, slug: str) -> None:
    known = (
        run.table("prompts", columns=["slug"]).column(0).to_pylist() if run.has("prompts") else []
    )
    if slug not in known:
        hint = did_you_mean(slug, known) or (
            f"It has {first_few(known)}." if known else "It has none."
        )
        raise SaereportError(f"The report has no prompt '{slug}'.", hint)
