"""The site: a run becomes a folder of pages that open by double click and need no server.

`render` is the whole interface. What a page shows is made here as plain values (page models and
blocks), the HTML by Jinja in `templates/`, and the data for the interactive parts by the one JSON
writer. A report is

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
    run/                       the run itself
    report.json                every file with its SHA-256

Nothing here imports torch, and the same run always gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from saereport import __version__
from saereport.progress import Progress
from saereport.run import Run, RunInfo, SaeInfo, open_run
from saereport.site import jsonwriter
from saereport.site.assets import copy_assets
from saereport.site.blocks import BASES
from saereport.site.circuits import write_circuits
from saereport.site.compare import PAGE as COMPARE
from saereport.site.compare import compare_page
from saereport.site.context import Report, SaeView, Shards, Vocabulary, page_name
from saereport.site.folder import report_folder, write_manifest
from saereport.site.latent_pages import data_name, write_shards
from saereport.site.latent_summary import LatentSummary
from saereport.site.methods import methods
from saereport.site.overview import Card, card, place_in_model, report_facts
from saereport.site.pages import Pages
from saereport.site.panels import PANELS
from saereport.site.provenance import sections
from saereport.site.quality import quality
from saereport.site.sae_page import (
    facts,
    figures,
    index_head,
    lists_on_neuronpedia,
    table_rows,
)
from saereport.site.sequences import FOLDER as TEXT_FOLDER
from saereport.site.sequences import Sequences, latents_by_sequence
from saereport.visible import visible_text

__all__ = ["render"]


def render(
    run_dir: Path,
    out_dir: Path,
    *,
    embed_neuronpedia: bool = False,
    shard_size: int = 32,
    progress: Progress | None = None,
) -> None:
    """Make the report of a run.

    The report is built beside `out_dir` and takes its place when it is whole.

    Args:
        run_dir: A run, or a report that holds one.
        out_dir: The report's folder; an older report there is replaced.
        embed_neuronpedia: Offer Neuronpedia's page of a latent in a frame that loads on a click.
        shard_size: Latents a page.
        progress: Where to show progress.

    Raises:
        SaereportError: The run is damaged, or `out_dir` holds something that is not a report.
    """
    run = open_run(run_dir)
    report = _report(run, embed_neuronpedia, shard_size)
    with report_folder(out_dir, run) as folder:
        _write(report, folder, progress or Progress(quiet=True))


def _report(run: Run, embed_neuronpedia: bool, shard_size: int) -> Report:
    shards = {sae.slug: Shards(_latents(run, sae), shard_size) for sae in run.info.saes}
    return Report(
        run=run,
        info=_readable(run.info),
        vocabulary=Vocabulary(run),
        shards=shards,
        embed_neuronpedia=embed_neuronpedia,
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


def _latents(run: Run, sae: SaeInfo) -> tuple[int, ...]:
    """The latents that an SAE's tables are about."""
    for name in ("activity", "logit_lens", "geometry"):
        if run.has(name, sae.slug):
            return tuple(run.table(name, sae.slug, columns=["latent"]).column(0).to_pylist())
    return ()


def _write(report: Report, folder: Path, progress: Progress) -> None:
    copy_assets(folder / "assets")
    (folder / ".nojekyll").write_bytes(b"")
    pages = Pages(report)
    sequences = Sequences(report.run)
    total = sum(len(shards.latents) for shards in report.shards.values())
    cards = []
    with progress.bar("pages", total, " latents") as bar:
        for info in report.info.saes:
            sae = SaeView(report, info, frozenset(report.run.names(info.slug)))
            cards.append((info, _write_sae(sae, pages, sequences, folder, bar.advance)))
    if not report.single:
        ordered = [card for _, card in sorted(cards, key=lambda pair: place_in_model(pair[0]))]
        overview = pages.render(
            "overview.html", root="", kind="overview", facts=report_facts(report), cards=ordered
        )
        _save(folder / "index.html", overview)
    for name, fields in (
        ("methods", {"methods": methods(report)}),
        ("provenance", {"sections": sections(report)}),
    ):
        _save(folder / f"{name}.html", pages.render(f"{name}.html", root="", kind="text", **fields))
    _save(folder / COMPARE, compare_page(report, pages))
    write_circuits(report, pages, folder)
    sequences.write(folder / TEXT_FOLDER, latents_by_sequence(report))
    _save(folder / "report.js", "\n".join(_report_script(report, sequences)) + "\n")
    _save(
        folder / "vocabulary.js", "\n".join(_vocabulary_script(report.vocabulary, sequences)) + "\n"
    )
    slugs = [sae.slug for sae in report.info.saes]
    write_manifest(folder, version=__version__, title=report.info.title, slugs=slugs)


def _write_sae(
    sae: SaeView, pages: Pages, sequences: Sequences, folder: Path, advance: Callable[[int], None]
) -> Card:
    own = folder / sae.info.slug
    own.mkdir()
    count = sae.shards.count

    def page(shard: int, latents: tuple[int, ...], stories: list[LatentSummary]) -> str:
        return pages.render(
            "latents.html",
            root="../",
            kind="latents",
            sae=sae,
            stories=stories,
            data=data_name(shard),
            previous=sae.shards.of(shard - 1)[-1] if shard else None,
            next=sae.shards.of(shard + 1)[0] if shard + 1 < count else None,
            previous_page=page_name(shard - 1),
            next_page=page_name(shard + 1),
            home="../index.html" if sae.report.single else "index.html",
            embed=sae.report.embed_neuronpedia,
            counted=sae.n_counted,
        )

    rows = write_shards(sae.report.run, sae, sequences, own, page, advance)
    drawn = figures(sae.report.run, sae, rows)
    lines = jsonwriter.script(
        "latents",
        index_head(sae, drawn),
        {"rows": (jsonwriter.dumps(row.record()) for row in rows)},
    )
    _save(own / "latents.js", "\n".join(lines) + "\n")
    root, here = ("", f"{sae.info.slug}/") if sae.report.single else ("../", "")
    html = pages.render(
        "sae.html",
        root=root,
        kind="sae",
        sae=sae,
        here=here,
        facts=facts(sae),
        quality=quality(sae),
        figures=drawn,
        rows=table_rows(sae, rows),
        total=len(rows),
        has_labels=any(row.label for row in rows),
        has_map="geometry" in sae.tables and len(rows) > 0,
        lists=lists_on_neuronpedia(sae),
        linked=bool(sae.neuronpedia),
    )
    _save((folder if sae.report.single else own) / "index.html", html)
    density = drawn[0].block["views"][0]["data"][0]["y"] if drawn else []
    return card(sae.report, sae.info, density)


def _save(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8"))


def _report_script(report: Report, sequences: Sequences) -> list[str]:
    saes = [
        {
            "slug": info.slug,
            "label": info.label,
            "neuronpedia": SaeView(report, info, frozenset()).neuronpedia,
            "count": len(report.shards[info.slug].latents),
            "last": (report.shards[info.slug].latents or (-1,))[-1],
            "firsts": report.shards[info.slug].firsts,
        }
        for info in report.info.saes
    ]
    panels = [
        {
            "name": p.name,
            "title": p.title,
            "tables": list(p.tables),
            "wide": p.wide,
            **({"reveals_text": True} if p.reveals_text else {}),
        }
        for p in PANELS.values()
    ]
    head = {
        "title": report.info.title,
        "fingerprint": report.info.fingerprint[:12],
        "single": report.single,
        "texts": sequences.firsts,
    }
    lists = {
        "saes": (jsonwriter.dumps(sae) for sae in saes),
        "panels": (jsonwriter.dumps(panel) for panel in panels),
        "bases": (jsonwriter.dumps([name, fields]) for name, fields in BASES.items()),
    }
    return list(jsonwriter.script("report", head, lists))


def _vocabulary_script(vocabulary: Vocabulary, sequences: Sequences) -> list[str]:
    tokens = (
        jsonwriter.dumps([token, shown, 1] if token in vocabulary.special else [token, shown])
        for token, shown in sorted(vocabulary.shown.items())
    )
    joints = (
        jsonwriter.dumps([list(tokens), [list(piece) for piece in pieces]])
        for tokens, pieces in sorted(vocabulary.joints(sequences.flat).items())
    )
    return list(jsonwriter.script("vocabulary", {}, {"tokens": tokens, "joints": joints}))
