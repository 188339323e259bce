"""The SAEs of a report: the page of each, the data of its table, and the pages of its latents."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from markupsafe import Markup

from saereport.run import SaeInfo
from saereport.site import capability, evaluation, lens, probing, raw
from saereport.site.context import LatentView, ReportModel, SaeView, page_name
from saereport.site.latent_pages import (
    Index,
    bands,
    data_name,
    index_row,
    latent_record,
    shards,
)
from saereport.site.latent_summary import story
from saereport.site.panels.registry import Panel
from saereport.site.parts.registry import (
    REPORT_DATA,
    VOCABULARY,
    Data,
    Entry,
    Item,
    Key,
    Page,
    PageKind,
    Part,
    Spread,
    SpreadCall,
    register,
)
from saereport.site.quality import quality
from saereport.site.sae_page import facts, figures, index_head, lists_on_neuronpedia, table_rows
from saereport.site.shown import ShownPanel, shown_block, shown_panels

_MARKING = (
    Key(("s",), "star the latent, or take the star away"),
    Key(("p",), "pin the latent for comparing, or unpin it"),
)
SAE = PageKind(
    "sae",
    "sae.html",
    keys=(Key(("/",), "filter the table"), *_MARKING),
    hint=Markup(
        "<kbd>s</kbd> and <kbd>p</kbd> are about the row that has the focus; Shift and Enter on a "
        "column's head sorts further by it."
    ),
    stateful=True,
    warnings="open",
)
LATENTS = PageKind(
    "latents",
    "latents.html",
    keys=(
        Key(("j", "→"), "next latent"),
        Key(("k", "←"), "previous latent"),
        Key(("u",), "up to the table of latents"),
        Key(("/",), "go to a latent"),
        *_MARKING,
        Key(("n",), "write a note about the latent"),
        Key(("e",), "unfold or fold every example"),
        Key(("r",), "cut the examples another way"),
        Key(("b",), "look at the latent blind, and back"),
    ),
    hint=Markup(
        "In an example, Tab reaches its strongest token; the arrow keys then walk from token to "
        "token."
    ),
    copied="the latent",
    stateful=True,
)


def _navigation(report: ReportModel, sae: SaeInfo | None) -> Sequence[Entry]:
    if report.single:
        return (Entry("Latents", "index.html"),)
    return (Entry(sae.label, report.home(sae.slug), style="of-sae"),) if sae else ()


def _items(report: ReportModel) -> Iterator[Item | Spread]:
    for sae in report.saes:
        index = Index()
        yield Spread(f"{__name__}:latents_of", tuple(_batches(sae)), index.take)
        yield from _sae_page(sae, index)


def _batches(sae: SaeView) -> Iterator[SpreadCall]:
    """The pages of an SAE's latents, as many at a time as are read from the run at once."""
    slug, spread = sae.info.slug, sae.shards
    for pages in bands(spread):
        names = (name(page) for page in pages for name in (page_name, data_name))
        yield SpreadCall(
            (slug, pages.start, pages.stop),
            tuple(f"{slug}/{name}" for name in names),
            sum(len(spread.of(page)) for page in pages),
        )


def latents_of(
    report: ReportModel, slug: str, start: int, stop: int
) -> Generator[Item, None, list[Any]]:
    """Some pages of an SAE's latents with their data; returns their part of the `Index`."""
    sae = next(sae for sae in report.saes if sae.info.slug == slug)
    index = Index()
    for shard, latents in shards(sae, range(start, stop)):
        yield _latents_page(sae, shard, latents)
        yield Data(
            f"{slug}/{data_name(shard)}",
            "shard",
            {"sae": slug, "shard": shard},
            {"latents": map(latent_record, latents)},
        )
        index.add(map(index_row, latents))
    return index.part()


def _latents_page(sae: SaeView, shard: int, latents: list[LatentView]) -> Page:
    """A page of latents; it leads to the last latent of the page before and the first after."""
    folder, spread, report = sae.info.slug, sae.shards, sae.report
    before = spread.of(shard - 1)[-1] if shard else None
    after = spread.of(shard + 1)[0] if shard + 1 < spread.count else None
    return Page(
        f"{folder}/{page_name(shard)}",
        "latents",
        title=(f"{latents[0].index} to {latents[-1].index}", sae.info.label),
        fields={
            "stories": [story(latent.with_opened(None), report.sequences) for latent in latents],
            "previous": before,
            "next": after,
            "previous_page": f"{folder}/{page_name(shard - 1)}#latent-{before}",
            "next_page": f"{folder}/{page_name(shard + 1)}#latent-{after}",
            "home": report.home(folder),
            "embed": report.embed_neuronpedia,
            "counted": sae.n_counted,
        },
        needs=(REPORT_DATA, VOCABULARY, f"{folder}/{data_name(shard)}"),
        sae=sae,
        latents=len(latents),
    )


def _sae_page(sae: SaeView, index: Index) -> Iterator[Item]:
    table = f"{sae.info.slug}/latents.js"
    drawn = figures(sae)
    lists, unlisted = lists_on_neuronpedia(sae)
    yield Data(table, "latents", index_head(sae, drawn), {"rows": index.records})
    yield Page(
        sae.report.home(sae.info.slug),
        "sae",
        title=(sae.info.label,),
        fields={
            "facts": facts(sae),
            "quality": quality(sae),
            "evaluation": evaluation.page_of(sae.info.slug) if evaluation.is_evaluated(sae) else "",
            "figures": drawn,
            "rows": table_rows(sae, index.first),
            "total": len(index.records),
            "has_labels": index.has_labels,
            "has_scores": index.has_scores,
            "has_map": "geometry" in sae.tables and len(index.records) > 0,
            "lists": lists,
            "unlisted": unlisted,
            "linked": bool(sae.neuronpedia),
            "panels": [*shown_panels(sae.report, _panels(sae), sae), *_raw(sae)],
        },
        needs=(REPORT_DATA, VOCABULARY, table),
        sae=sae,
    )


def _panels(sae: SaeView) -> list[Panel]:
    """The panels that other parts have on the page of an SAE."""
    return [*capability.panel_of(sae), *lens.panel_of(sae), *probing.panel_of(sae)]


def _raw(sae: SaeView) -> list[ShownPanel]:
    """Tables about the SAE as a whole that nothing else shows."""
    report, slug = sae.report, sae.info.slug
    blocks = [
        raw.stored(table, report.run.table(table.name, slug), report)
        for table in raw.unshown(report, "sae")
        if table.name in sae.tables
    ]
    made = tuple(shown_block(report, b, f"raw.{place}") for place, b in enumerate(blocks))
    return [ShownPanel("raw", "Other tables", "", True, made)] if made else []


register(
    Part(
        "saes",
        _items,
        order=20,
        kinds=(SAE, LATENTS),
        navigation=_navigation,
        tables=(
            *("explanations", "sae_activity", "sae_metrics"),
            # These are there to compare reports by.
            *("decoder_directions", "active_sketch"),
        ),
    )
)
