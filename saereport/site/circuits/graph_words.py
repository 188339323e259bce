"""An attribution graph in words and tables: what the page says without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from saereport.site import numbers
from saereport.site.blocks import Cell
from saereport.site.circuits.agreement import correlation, verdict
from saereport.site.circuits.graph_data import DrawnNode, PromptGraph
from saereport.site.circuits.graph_latents import Key, LatentCard
from saereport.site.circuits.graph_strength import scores as link_scores
from saereport.site.circuits.names import graph_page
from saereport.site.context import ReportModel
from saereport.site.latent_summary import Fact, prose
from saereport.site.neuronpedia import base_url
from saereport.site.telling import ToldRow, ToldTable
from saereport.util.visible import SPACE, visible_text

N_LINKS = 40
N_NODES = 80
N_CLERP = 4


@dataclass(frozen=True)
class GraphWords:
    """Names the nodes of one graph.

    Attributes:
        report: The report.
        graph: The graph.
        cards: What is known of its latents.
    """

    report: ReportModel
    graph: PromptGraph
    cards: Mapping[Key, LatentCard]

    def sae(self, slug: str) -> str:
        """The label of an SAE."""
        return next((i.label for i in self.report.info.saes if i.slug == slug), slug)

    def token(self, token: int) -> str:
        """A token in which everything can be seen."""
        return self.report.vocabulary[token]

    def at(self, position: int) -> str:
        """A place in the prompt: its token and its position."""
        return f"{self.token(self.graph.tokens[position])} ({position})"

    def name(self, node: DrawnNode) -> str:
        """A node in a few words."""
        if node.kind == "embedding":
            return f"token {self.at(node.position)}"
        if node.kind == "logit":
            return f"output {self.token(node.latent)}, {numbers.percent(node.probability)}"
        place = f"at {self.at(node.position)}"
        if node.kind == "error":
            return f"{self.error(node)} {place}"
        return f"{self.sae(node.sae)}, latent {node.latent} {place}"

    def cell(self, node: DrawnNode) -> Cell:
        """A node in a table: where more is said of it, and where it is drawn."""
        drawn = f"{graph_page(self.graph.slug)}#pin={quote(node.id, safe=':')}"
        if node.kind == "logit":
            return {"text": self.name(node), "drawn": drawn}
        names = {"embedding": "token", "latent": f"{self.sae(node.sae)}, latent {node.latent}"}
        href = self.href(node)
        return {
            "text": names.get(node.kind) or self.error(node),
            **({"href": href} if href else {}),
            "token": self.token(self.graph.tokens[node.position]),
            "position": node.position,
            "drawn": drawn,
        }

    def href(self, node: DrawnNode) -> str:
        """The page of a latent, in the report or else on Neuronpedia; empty without one."""
        if node.kind != "latent":
            return ""
        if card := self.cards.get((node.sae, node.latent)):
            return card.href
        known = (i.neuronpedia_id for i in self.report.info.saes if i.slug == node.sae)
        outside = base_url(next(known, ""))
        return f"{outside}/{node.latent}" if outside else ""

    def error(self, node: DrawnNode) -> str:
        """What an error node stands for."""
        if node.sae:
            return f"error of {self.sae(node.sae)}"
        return f"layer {node.layer}, not covered"

    def clerp(self, node: DrawnNode) -> str:
        """What a node stands for in the exported graph: plain tokens, spaces as spaces."""
        if node.kind == "embedding":
            return f'Emb: "{plain_token(self.token(node.latent))}"'
        if node.kind == "logit":
            token = plain_token(self.token(node.latent))
            return f'Output "{token}" (p={node.probability:.3f})'
        if node.kind == "error":
            return f"Err: {self.error(node)}"
        return self.meaning((node.sae, node.latent))

    def meaning(self, key: Key) -> str:
        """A latent's explanation, or else its top tokens; empty where nothing is known."""
        card = self.cards.get(key, LatentCard())
        tokens = (plain_token(self.token(token)) for token in card.active_on[:N_CLERP])
        return card.label or ", ".join(f'"{token}"' for token in tokens)


def plain_token(shown: str) -> str:
    """A token for other programs: its spaces are spaces again, hidden characters stay codes."""
    return shown.replace(SPACE, " ")


def lead(words: GraphWords) -> str:
    """The prompt as running text."""
    return "".join(
        prose(text) for _, _, text in words.report.vocabulary.running(words.graph.tokens)
    )


def sentences(words: GraphWords) -> list[str]:
    """What the scores say, for a reader who meets them for the first time."""
    scores = words.graph.scores
    if words.report.info.is_imported:
        return [
            "The graph shows how latents carry the prompt's tokens to the next token. It was read "
            "from another tool's file, which says nothing of what was pruned away and holds no "
            "intervention."
        ]
    said = [
        f"The graph shows how {_listed([words.sae(s) for s in scores.saes])} carry the prompt's "
        f"tokens to the next token. {numbers.percent(scores.replacement)} of the influence on the "
        "output comes from the tokens through latents all the way; the rest passes through error "
        "nodes, which stand for what no latent explains.",
    ]
    nodes = words.graph.nodes
    if not any(nodes[link.source].kind == "embedding" for link in words.graph.links):
        said[0] += (
            " No link straight from a token was strong enough to be kept: what the tokens do here "
            "passes through error nodes."
        )
    metric = visible_text(scores.metric)
    if scores.faithfulness is None or scores.without is None:
        said.append(
            "By intervention there is no answer: switching off every latent of these SAEs leaves "
            f"the {metric} as it is."
        )
        return said
    said.append(
        f"By intervention in the true model: the {metric} is {numbers.value(scores.metric_model)}, "
        f"and {numbers.value(scores.metric_none)} with every latent of these SAEs switched off. "
        f"With the graph's latents alone it is {numbers.value(scores.metric_inside)}: they explain "
        f"{_percent(scores.faithfulness)} of the difference. With only the graph's latents "
        f"switched off it is {numbers.value(scores.metric_outside)}: " + _left(scores.without)
    )
    return said


def facts(words: GraphWords) -> list[Fact]:
    """The scores in one strip."""
    scores = words.graph.scores
    faithful, without = scores.faithfulness, scores.without
    if words.report.info.is_imported:
        return [
            Fact("SAEs in the graph", numbers.count(len(scores.saes))),
            Fact("Nodes", numbers.count(scores.n_nodes), "as given"),
            Fact(
                "Links",
                numbers.count(scores.n_links),
                f"pruned to {numbers.percent(scores.edge_threshold)} of the influence"
                if scores.edge_threshold < 1
                else "as given",
            ),
        ]
    return [
        Fact("SAEs in the graph", ", ".join(words.sae(slug) for slug in scores.saes)),
        Fact("Replacement score", _score(scores.replacement), "influence from tokens, not errors"),
        Fact("Completeness score", _score(scores.completeness), "input of the nodes, not errors"),
        Fact("Faithfulness", _percent(faithful), "by intervention, the graph alone"),
        Fact(
            "Left without it",
            _percent(without),
            "by intervention, "
            + ("below the state with no latent" if (without or 0) < 0 else "small is complete"),
        ),
        Fact(
            "Nodes",
            numbers.count(scores.n_nodes),
            f"of {numbers.count(scores.n_nodes_all)} before pruning",
        ),
        Fact(
            "Links",
            numbers.count(scores.n_links),
            f"pruned to {numbers.percent(scores.edge_threshold)} of the influence",
        ),
        Fact(
            "Latents traced",
            numbers.count(scores.n_expanded),
            f"of {numbers.count(scores.n_active)} active; "
            f"{numbers.percent(scores.left_out)} of the influence on the others",
        ),
    ]


def link_table(words: GraphWords) -> ToldTable:
    """The links with the largest scores."""
    nodes = words.graph.nodes
    scored = zip(link_scores(words.graph).tolist(), words.graph.links, strict=True)
    strongest = sorted(scored, key=lambda item: (-item[0], item[1].target, item[1].source))
    return _table(
        ("source", "target", "effect", "score"),
        (
            (
                words.cell(nodes[link.source]),
                words.cell(nodes[link.target]),
                numbers.value(link.weight),
                numbers.value(score),
            )
            for score, link in strongest[:N_LINKS]
        ),
    )


def node_table(words: GraphWords) -> ToldTable:
    """The latents with the most influence."""
    latents = sorted(
        (node for node in words.graph.nodes if node.kind == "latent"),
        key=lambda node: (node.influence, node.node),
    )
    return _table(
        ("latent", "stands for", "activation", "cumulative influence"),
        (
            (
                words.cell(node),
                words.meaning((node.sae, node.latent)),
                numbers.value(node.activation),
                numbers.percent(node.influence),
            )
            for node in latents[:N_NODES]
        ),
    )


def check_table(words: GraphWords) -> ToldTable:
    """Links checked by intervention."""
    nodes = words.graph.nodes
    return _table(
        (
            *("source set to zero", "target", "link"),
            *("predicted change", "measured change", "where it fails"),
        ),
        (
            (
                words.cell(nodes[check.source]),
                words.cell(nodes[check.target]),
                *(numbers.value(v) for v in (check.direct, check.predicted, check.measured)),
                verdict(check.predicted, check.measured),
            )
            for check in words.graph.checks
        ),
    )


def _table(columns: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> ToldTable:
    return ToldTable(columns, tuple(map(ToldRow, rows)))


def check_summary(words: GraphWords) -> str:
    """What the checks say together."""
    checks = words.graph.checks
    failed = sum(bool(verdict(check.predicted, check.measured)) for check in checks)
    # Activations and logits have scales of their own, over which a correlation means nothing.
    parts = []
    for to_logits, one, many in (
        (False, "link to a latent", "links to latents"),
        (True, "link to an output", "links to outputs"),
    ):
        pairs = [
            (check.predicted, check.measured)
            for check in checks
            if (words.graph.nodes[check.target].kind == "logit") is to_logits
        ]
        r = correlation(pairs)
        if r is not None:
            parts.append(f"{numbers.value(r)} over {numbers.plural(len(pairs), one, many)}")
    together = f" The correlation with the prediction is {' and '.join(parts)}." if parts else ""
    return (
        f"For the {numbers.plural(len(checks), 'strongest link')} from latents, the source was set "
        "to zero in the true model, errors kept, and the change of the target measured."
        f"{together} For {failed} of {len(checks)} the prediction has the wrong sign or is off by "
        "more than a factor of two."
    )


def _listed(items: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def _left(share: float) -> str:
    """What is left of the difference, and what it means where that is less than nothing."""
    if share >= 0:
        return f"{_percent(share)} is left."
    return (
        f"{_percent(share)} is left. Negative means below the state with no latent at all: nothing "
        "is left of what the graph explains, and the latents outside it, left to themselves, work "
        "against the output."
    )


def _score(value: float) -> str:
    return f"{value:.3f}".replace("-", numbers.MINUS)


def _percent(share: float | None) -> str:
    if share is None:
        return "not defined"
    if share > 1:
        return f"{100 * share:.0f} %"
    return numbers.percent(share) if share >= 0 else numbers.MINUS + _percent(-share)
