"""The pages of attribution graphs: HTML, the data for the drawing, and the graph as JSON.

The drawing is made by the page's own script as plain SVG, not by a graph library. The places of
the nodes are given (layer and position), so a library's layouts are of no use here; what decides
is that every node is an element which the keyboard reaches and a screen reader names, in the
colours of the page's style sheet and under its policy. The libraries for graphs of this size draw
on a canvas, where a node is no element (Cytoscape.js, Sigma), and are several times as large as
the own code; those that draw SVG (d3) bring what the browser has: elements, events, scrolling.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from pydantic import ValidationError

from saereport.site import jsonwriter, numbers
from saereport.site.circuits import graph_words as say
from saereport.site.circuits import neuronpedia_graph as exchange
from saereport.site.circuits.agreement import verdict
from saereport.site.circuits.graph_data import (
    KINDS,
    Check,
    DrawnNode,
    PromptGraph,
    read_graphs,
)
from saereport.site.circuits.graph_latents import Key, latent_cards
from saereport.site.circuits.graph_strength import reach
from saereport.site.circuits.graph_words import GraphWords, plain_token
from saereport.site.circuits.names import INDEX, graph_page, prompt_page
from saereport.site.context import ReportModel, place_in_model
from saereport.site.neuronpedia import base_url, split_id
from saereport.site.parts.registry import (
    REPORT_DATA,
    VOCABULARY,
    Data,
    Download,
    Item,
    Page,
)
from saereport.site.records import (
    EmbeddingNodeRow,
    ErrorNodeRow,
    GraphCheckRow,
    GraphSaeRow,
    LatentNodeRow,
    LogitNodeRow,
    trimmed,
)
from saereport.util.errors import SaereportError
from saereport.util.version import __version__
from saereport.util.visible import visible_text

_NO_SCAN = re.compile(r"[^A-Za-z0-9_.-]")


def graph_items(report: ReportModel) -> Generator[Item, None, dict[int, str]]:
    """A page for each attribution graph, its data, and the graph as JSON.

    Returns:
        Path of the page, by the number of its prompt.

    Raises:
        SaereportError: The run's tables do not make a graph.
    """
    pages = {}
    for words in graph_words(report):
        yield from _items(words)
        pages[words.graph.number] = graph_page(words.graph.slug)
    return pages


def graph_words(report: ReportModel) -> Iterator[GraphWords]:
    """The attribution graphs of a report, each with what is known of its latents.

    Raises:
        SaereportError: The run's tables do not make a graph.
    """
    graphs = read_graphs(report.run)
    wanted = {(node.sae, node.latent) for g in graphs for node in g.nodes if node.kind == "latent"}
    cards = latent_cards(report, wanted)
    for graph in graphs:
        yield GraphWords(report, graph, cards)


def _items(words: GraphWords) -> Iterator[Item]:
    graph = words.graph
    path = graph_page(graph.slug)
    stem = path.removesuffix(".html")
    exported = export(words)
    file = "\n".join(exchange.lines(exported)) + "\n"
    yield Download(f"{stem}.json", file)
    yield _data(f"{stem}.js", words, exported)
    name = visible_text(graph.name)
    yield Page(
        path,
        "graph",
        title=(f"Attribution graph of {name}",),
        fields={
            "json": f"{stem}.json",
            "json_name": f"{graph.slug}-graph.json",
            "json_size": numbers.size(len(file.encode("utf-8"))),
            "name": name,
            "prompt": say.lead(words),
            "prompt_page": prompt_page(graph.slug),
            "facts": say.facts(words),
            "sentences": say.sentences(words),
            "links": say.link_table(words),
            "n_links": len(graph.links),
            "nodes": say.node_table(words),
            "n_latents": sum(node.kind == "latent" for node in graph.nodes),
            "checks": say.check_table(words),
            "check_summary": say.check_summary(words),
        },
        needs=(REPORT_DATA, VOCABULARY, f"{stem}.js"),
        under=INDEX,
    )


def export(words: GraphWords) -> exchange.GraphFile:
    """The graph in the exchange format, checked.

    Raises:
        SaereportError: The run's tables do not make a graph.
    """
    graph = words.graph
    target = target_of(graph)
    ids = [node.id for node in graph.nodes]
    ranks = exchange.ranks_at_layers(graph.nodes)
    try:
        return exchange.GraphFile(
            metadata=_metadata(words),
            qParams=exchange.QParams(),
            nodes=tuple(
                exchange.node_of(
                    node,
                    clerp=words.clerp(node),
                    target=place == target,
                    rank=ranks[node.layer, node.sae],
                )
                for place, node in enumerate(graph.nodes)
            ),
            links=tuple(
                exchange.GraphLink(source=ids[k.source], target=ids[k.target], weight=k.weight)
                for k in graph.links
            ),
        )
    except (ValidationError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise SaereportError(
            f"The run is damaged: the attribution graph of '{graph.slug}' is not one ({reason}).",
            "Collect it again.",
        ) from error


def target_of(graph: PromptGraph) -> int:
    """Place of the logit that the reader asks about: the answer, or else the most likely."""
    logits = [place for place, node in enumerate(graph.nodes) if node.kind == "logit"]
    answers = [place for place in logits if graph.nodes[place].latent == graph.answer]
    likely = sorted(logits, key=lambda place: (-graph.nodes[place].probability, place))
    return next(iter(answers or likely), -1)


def _metadata(words: GraphWords) -> exchange.Metadata:
    graph, report = words.graph, words.report
    tokens = tuple(plain_token(words.token(token)) for token in graph.tokens)
    infos = [info for info in report.info.saes if info.slug in graph.scores.saes]
    parts = [parts for info in infos if (parts := split_id(info.neuronpedia_id))]
    models = sorted({model for model, _ in parts})
    sources = sorted({source.partition("-")[2] or source for _, source in parts})
    whole = len(models) == len(sources) == 1 and len(parts) == len(infos)
    return exchange.Metadata(
        slug=graph.slug,
        scan=_scan(models[0] if len(models) == 1 else report.info.model.name),
        transcoder_list=graph.scores.saes,
        prompt_tokens=tokens,
        prompt="".join(tokens),
        node_threshold=graph.scores.node_threshold,
        feature_details=exchange.FeatureDetails(neuronpedia_source_set=sources[0])
        if whole
        else None,
        info=exchange.Info(
            description=f"{visible_text(graph.name)}, from the report {report.info.title}",
            source_urls=tuple(filter(None, (base_url(i.neuronpedia_id) for i in infos))),
            generator=exchange.Generator(name="saereport", version=__version__),
        ),
        pruning_settings=exchange.PruningSettings(
            node_threshold=graph.scores.node_threshold,
            edge_threshold=graph.scores.edge_threshold,
        ),
    )


def _scan(model: str) -> str:
    """A model's name in the letters that readers of the format take, without its owner."""
    return _NO_SCAN.sub("-", model.rstrip("/\\").replace("\\", "/").rpartition("/")[2]) or "model"


def _data(path: str, words: GraphWords, exported: exchange.GraphFile) -> Data:
    """What the page's script draws; `scripts/graph/data.js` reads it.

    See `records.GraphRecord`.
    """
    graph = words.graph
    infos = sorted(
        (info for info in words.report.info.saes if info.slug in graph.scores.saes),
        key=lambda info: (place_in_model(info), info.slug),
    )
    places = {info.slug: place for place, info in enumerate(infos)}
    keys: list[Key] = sorted(
        {(node.sae, node.latent) for node in graph.nodes if node.kind == "latent"}
        & set(words.cards)
    )
    cards = {key: place for place, key in enumerate(keys)}
    nodes = (
        _row(
            node,
            (
                node.id,
                KINDS.index(node.kind),
                places.get(node.sae, -1),
                node.layer,
                node.influence,
                float(influence),
                made.feature,
            ),
            card=cards.get((node.sae, node.latent), -1),
            words=made.clerp,
        )
        for node, made, influence in zip(graph.nodes, exported.nodes, reach(graph), strict=True)
    )
    into: dict[int, list[float]] = {}
    last: dict[int, int] = {}
    for link in graph.links:
        step = link.source - last.get(link.target, 0)
        last[link.target] = link.source
        into.setdefault(link.target, [link.target]).extend((step, link.weight))
    head = {
        "slug": graph.slug,
        "tokens": graph.tokens,
        "target": target_of(graph),
        "saes": [GraphSaeRow(i.slug, i.label, i.layer, base_url(i.neuronpedia_id)) for i in infos],
        "metadata": exported.metadata.model_dump(exclude_none=True),
    }
    lists = {
        "nodes": (jsonwriter.dumps(node) for node in nodes),
        "links": (jsonwriter.dumps(row) for _, row in sorted(into.items())),
        "cards": (
            jsonwriter.dumps({**words.cards[key].record(), "clerp": words.meaning(key)})
            for key in keys
        ),
        "checks": (jsonwriter.dumps(trimmed(_check_row(c))) for c in graph.checks),
    }
    return Data(path, "graph", head, lists)


def _check_row(check: Check) -> GraphCheckRow:
    fails = verdict(check.predicted, check.measured)
    return GraphCheckRow(
        check.source, check.target, check.direct, check.predicted, check.measured, fails
    )


NodeRow = ErrorNodeRow | EmbeddingNodeRow | LatentNodeRow | LogitNodeRow
_Common = tuple[str, int, int, int, float, float, int]


def _row(node: DrawnNode, common: _Common, *, card: int, words: str) -> NodeRow:
    if node.kind == "latent":
        return LatentNodeRow(*common, node.activation, card)
    if node.kind == "logit":
        return LogitNodeRow(*common, node.probability, words)
    return EmbeddingNodeRow(*common, words) if node.kind == "embedding" else ErrorNodeRow(*common)
