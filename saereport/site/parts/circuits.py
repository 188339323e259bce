"""The Circuits part of a report: an index of prompts, a page for each, and attribution graphs.

circuits/index.html            the prompts, what was found on each, averages over prompts
circuits/<slug>.html, .js      one prompt
circuits/<slug>-graph.html, .js, .json   its attribution graph
"""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from saereport.site.circuits.graphs import graph_items
from saereport.site.circuits.names import FOLDER, INDEX
from saereport.site.circuits.prompts import prompt_items
from saereport.site.context import ReportModel
from saereport.site.parts.registry import Entry, Item, PageKind, Part, register


def _items(report: ReportModel) -> Iterator[Item]:
    graphs = yield from graph_items(report)
    yield from prompt_items(report, graphs)


register(
    Part(
        "circuits",
        _items,
        order=30,
        kinds=(
            PageKind("circuits", "circuits.html"),
            PageKind(
                "prompt",
                "prompt.html",
                hint=Markup("Tab reaches a heatmap; the arrow keys then walk from cell to cell."),
                stateful=True,
            ),
            PageKind(
                "graph",
                "graph.html",
                hint=Markup(
                    "Tab reaches the graph; the arrow keys then walk from node to node. What "
                    "other keys do there is said beneath it."
                ),
                stateful=True,
            ),
        ),
        navigation=lambda report, sae: (Entry("Circuits", INDEX),),
        folders=frozenset({FOLDER}),
        tables=(
            "prompts",
            "prompt_notes",
            "prompt_next",
            "prompt_answers",
            "prompt_activations",
            "gradient_maps",
            "gradients",
            "gradient_checks",
            "pair_mean_maps",
            "pair_means",
            "induction_latents",
            "head_attributions",
            "patterns",
            "components",
            "influences",
            "blind_latents",
            "graphs",
            "graph_nodes",
            "graph_links",
            "graph_checks",
            "prompt_interventions",
        ),
        present=lambda report: report.run.has("prompts"),
        called="circuits",
    )
)
