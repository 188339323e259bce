"""The pages of prompts: their panels, with the data of what is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from saereport.site.circuits import tables as say
from saereport.site.circuits.graph_latents import Key, latent_cards
from saereport.site.circuits.index import IN_SHORT, MEANS, index_page
from saereport.site.circuits.names import INDEX, data_path, prompt_page
from saereport.site.circuits.prompts_data import (
    PromptData,
    named_latents,
    read_prompts,
    table_rows,
)
from saereport.site.circuits.tables import Names
from saereport.site.circuits.view import PromptView
from saereport.site.context import ReportModel
from saereport.site.panels import PROMPT_PANELS
from saereport.site.parts.registry import REPORT_DATA, Item, Page
from saereport.site.shown import ShownPanel, page_data, shown_panels
from saereport.util.visible import visible_text


def prompt_items(report: ReportModel, graphs: Mapping[int, str]) -> Iterator[Item]:
    """The index of the prompts, and a page with its data for each.

    Args:
        report: The report.
        graphs: Path of the page of a prompt's attribution graph, by the number of the prompt.
    """
    shown = {name for panel in PROMPT_PANELS.values() for name in panel.tables}
    prompts = read_prompts(report, {*shown, *say.READS, *IN_SHORT})
    names = Names(report, latent_cards(report, _wanted(report, prompts)))
    called = {prompt.slug: visible_text(prompt.head["name"]) for prompt in prompts}
    for prompt in prompts:
        others = {slug: name for slug, name in called.items() if slug != prompt.slug}
        view = PromptView(names, prompt, others)
        panels = shown_panels(report, PROMPT_PANELS.values(), view)
        page = _page(view, panels, called[prompt.slug], graphs.get(prompt.number, ""))
        yield page
        head = {"text": [names.token(token) for token in prompt.tokens]}
        yield from page_data(page.path, data_path(prompt.slug), panels, head)
    yield index_page(names, prompts, graphs)


def _wanted(report: ReportModel, prompts: list[PromptData]) -> set[Key]:
    """The latents that the pages name and the report shows."""
    tables, shards = report.run.tables, report.shards
    rows = [item for prompt in prompts for item in prompt.rows.items()]
    rows.append((MEANS, table_rows(report.run, MEANS)))
    return {
        (slug, latent)
        for name, own in rows
        if own
        for slug, latent in named_latents(tables[name], own)
        if slug in shards and latent in shards[slug].chosen
    }


def _page(view: PromptView, panels: list[ShownPanel], name: str, graph: str) -> Page:
    prompt = view.data
    return Page(
        prompt_page(prompt.slug),
        "prompt",
        title=(name, "Circuits"),
        fields={
            "name": name,
            "slug": prompt.slug,
            "period": prompt.period,
            "tokens": [
                (i, view.token(i), counted) for i, counted in enumerate(prompt.head["counted"])
            ],
            "notes": say.notes(prompt),
            "graph": graph,
            "panels": panels,
        },
        needs=(REPORT_DATA, data_path(prompt.slug)),
        under=INDEX,
    )
