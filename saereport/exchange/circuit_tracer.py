"""A folder that circuit-tracer's viewer serves: graphs, their list, and what is known of latents.

    graph-metadata.json          the list from which a reader chooses
    {slug}.json                  a graph, as Neuronpedia's viewer opens it
    features/{layer}/{n}.json    examples of the latent that has the number n at that layer

The viewer looks for the examples of a node at the address that `transcoder_list` has for its layer,
where `scan` begins with `custom-`; an address below `./data/` is one in this folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from saereport.exchange.given import Example, GivenLatent, Words
from saereport.exchange.reading_runs import Exporter
from saereport.exchange.rounding import decimals, shortest
from saereport.run import Run
from saereport.site import report_of
from saereport.site.circuits.graph_data import DrawnNode
from saereport.site.circuits.graphs import export, graph_words
from saereport.site.circuits.neuronpedia_graph import GraphFile, lines
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress

LIST_FILE = "graph-metadata.json"
_STRONGEST = "Top activations"
Key = tuple[str, int, str, int]
"""Layer and number of a latent in a graph, its SAE and its index."""


def graph_folder(run: Run, bars: Progress) -> Iterator[tuple[str, bytes]]:
    """The files of the folder.

    Raises:
        SaereportError: The run has no attribution graph.
    """
    report = report_of(run)
    found = []
    keys: set[Key] = set()
    with bars.bar("graphs", None, " graphs") as bar:
        for words in graph_words(report):
            graph = _served(export(words))
            if f"{graph.metadata.slug}.json" in (LIST_FILE, "saereport-export.json"):
                raise SaereportError(
                    f"No graph of an export can be called '{graph.metadata.slug}'.",
                    "Give the prompt another name.",
                )
            found.append(graph.metadata.model_dump(exclude_none=True))
            yield f"{graph.metadata.slug}.json", ("\n".join(lines(graph)) + "\n").encode("utf-8")
            keys |= set(_keys(graph, words.graph.nodes))
            bar.advance(1)
    if not found:
        raise SaereportError(
            "The report has no attribution graph.",
            "'saereport build --prompt … --graph' makes one.",
        )
    yield LIST_FILE, _json({"graphs": found})
    shown = {
        sae.info.slug: set(sae.shards.latents)
        for sae in report.saes
        if run.has("activity", sae.info.slug)
    }
    wanted = [
        key
        for key in sorted(keys)
        if key[3] in shown.get(key[2], ()) and (key[2], key[3]) not in report.blind
    ]
    words_of_tokens = Words()
    reader = Exporter(run, words_of_tokens)
    with bars.bar("latents", len(wanted), " latents") as bar:
        for layer, number, slug, latent in wanted:
            (given,) = reader.latents(slug, [latent])
            yield (
                f"features/{layer}/{number}.json",
                _json(feature_record(slug, given, words_of_tokens)),
            )
            bar.advance(1)


def _served(graph: GraphFile) -> GraphFile:
    """A graph whose latents are looked for in the folder."""
    layers = [int(node.layer) for node in graph.nodes if node.layer.isdigit()]
    places = tuple(f"./data/features/{layer}" for layer in range(max(layers, default=0) + 1))
    own = {"scan": f"custom-{graph.metadata.scan}", "transcoder_list": places}
    return graph.model_copy(update={"metadata": graph.metadata.model_copy(update=own)})


def _keys(graph: GraphFile, nodes: tuple[DrawnNode, ...]) -> Iterator[Key]:
    for made, node in zip(graph.nodes, nodes, strict=True):
        if node.kind == "latent":
            yield made.layer, made.feature, node.sae, node.latent


def feature_record(slug: str, latent: GivenLatent, words: Words) -> dict[str, Any]:
    """What the viewer shows of a latent, with the fields of circuit-tracer's model of it."""
    groups: dict[str, list[Example]] = {}
    for one in latent.examples:
        found = one.range
        name = _STRONGEST if found is None else f"Interval {found.lower:.3g} to {found.upper:.3g}"
        groups.setdefault(name, []).append(one)
    bins = latent.activations
    return {
        "transcoder_id": slug,
        "index": latent.index,
        "examples_quantiles": [
            {"quantile_name": name, "examples": [_example(one, words) for one in own]}
            for name, own in groups.items()
        ],
        "top_logits": [words.texts[token] for token, _ in latent.top],
        "bottom_logits": [words.texts[token] for token, _ in latent.bottom],
        "act_min": 0.0,
        "act_max": shortest(latent.maximum),
        "quantile_values": [],
        "histogram": list(map(float, bins.counts)) if bins else [],
        "activation_frequency": latent.density,
    }


def _example(one: Example, words: Words) -> dict[str, Any]:
    return {
        "tokens": [words.texts[token] for token in one.tokens],
        "tokens_acts_list": decimals(one.values),
        "train_token_ind": one.position,
        "is_repeated_datapoint": False,
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, allow_nan=False, separators=(",", ":")) + "\n").encode("ascii")
