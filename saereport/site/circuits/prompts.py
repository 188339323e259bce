"""The pages of prompts: their panels, with the data of what is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from saereport.site.circuits import tables as say
from saereport.site.circuits.graph_latents import Key, latent_cards
from saereport.site.circuits.index import index_page
from saereport.site.circuits.names import INDEX, data_path, prompt_page
from saereport.site.circuits.prompts_data import PromptData, read_prompts, table_rows
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
    prompts = read_prompts(report, (t for panel in PROMPT_PANELS.values() for t in panel.tables))
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
    rows = [pair for prompt in prompts for some in prompt.maps for pair in some.pairs]
    rows += [row for prompt in prompts for some in prompt.rows.values() for row in some]
    rows += table_rows(report.run, "pair_means")
    ends = (("early", "early_latent"), ("late", "late_latent"), ("sae", "latent"))
    found = {(row[s], row[i]) for row in rows for s, i in ends if s in row and i in row}
    return {(s, i) for s, i in found if s in report.shards and i in report.shards[s].chosen}


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
