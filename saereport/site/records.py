"""Records as the data scripts hold them: rows without names, and one header that names them.

What a report has many of is written as a row, the list of its fields' values; `report.js` says once
how the fields of each kind of row are called, in `rows`, and `templates/scripts/core/rows.js` makes
objects of them. A row may end early: the fields that it leaves out are those with a default.

The types of the browser's side, `templates/scripts/records.d.ts`, are made from this module by
`tests/site/test_records.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NotRequired, TypedDict

Packed = str
"""Token ids or other whole numbers as `packing.packed` writes them."""


class TokenRow(NamedTuple):
    """A token of the vocabulary: its id, how it looks, and whether it is special."""

    token: int
    text: str
    special: int = 0


class PieceRow(NamedTuple):
    """Part of running text: its first token counted within its run, how many, and its text."""

    first: int
    length: int
    text: str


class JointRow(NamedTuple):
    """Tokens that are text only together: their ids, and the pieces that they make."""

    run: list[int]
    pieces: list[PieceRow]


class SequenceRow(NamedTuple):
    """A whole sequence: its number, its tokens, and which latents have an example in it."""

    sequence: int
    tokens: Packed
    readers: Packed = ""


class LatentRow(NamedTuple):
    """A latent in the table of its SAE.

    `density` is a share of the counted tokens, `max` the largest activation, `tokens` those with
    the largest share of its activation, `raises` those whose logits it raises most, `spark` one
    letter a bar of the little histogram from `A` for none, `x` and `y` its place on the map,
    `score` its output score, null where it has none.
    """

    latent: int
    density: float
    max: float
    tokens: Packed
    raises: Packed
    label: str
    spark: str
    x: float
    y: float
    blind: int = 0
    score: float | None = None


class ExampleRow(NamedTuple):
    """A stored example: where it peaks, its window from `start` on, and all activations there.

    `places` and `values` are the active positions of the whole sequence and the activations there.
    """

    sequence: int
    peak: int
    activation: float
    start: int
    window: Packed
    document: int
    places: list[int]
    values: list[float]


class RangeRow(NamedTuple):
    """The activations of a group of examples: from, to, tokens in it, share of the active ones.

    Of an imported group the count is not known, and the share is of all tokens.
    """

    low: float
    high: float
    n_active: int | None
    share: float


class PeakRow(NamedTuple):
    """Where a top example peaks, and its window from `start` on."""

    sequence: int
    peak: int
    start: int
    window: Packed


class AttributionRow(NamedTuple):
    """An example decomposed: pre-activation = bias + heads = bias + sources.

    `first` is the offset of the first source from the peak; `where` is null where the run holds no
    text of the latent.
    """

    activation: float
    pre_activation: float
    bias: float
    heads: list[float]
    first: int
    sources: list[float]
    where: PeakRow | None


class InfluenceRow(NamedTuple):
    """What an earlier latent gives: `sae` is its place in the block's list.

    `shown` says whether the report shows it, `layer` and `head` are -1 for the direct path,
    `source` is its offset from the peak, `token` the token there, -1 where the run does not tell.
    """

    sae: int
    latent: int
    shown: int
    layer: int
    head: int
    source: int
    token: int
    value: float


class InfluencesRow(NamedTuple):
    """An example with what drove it; activation and place are null where the run does not tell."""

    activation: float | None
    where: PeakRow | None
    rows: list[InfluenceRow]


class GraphSaeRow(NamedTuple):
    """An SAE of an attribution graph, with the URL to which `/{latent}` is added, or empty."""

    slug: str
    label: str
    layer: int
    neuronpedia: str


class ErrorNodeRow(NamedTuple):
    """A node of an attribution graph: what every kind has.

    `kind` and `sae` are places in their lists, -1 for none; the id ends with the latent and the
    position; `influence` is the cumulative influence, `reach` as `graph_strength.reach` has it,
    `feature` the node's number in the exchange format.
    """

    id: str
    kind: int
    sae: int
    layer: int
    influence: float
    reach: float
    feature: int


class EmbeddingNodeRow(NamedTuple):
    """A token of the prompt, with its words."""

    id: str
    kind: int
    sae: int
    layer: int
    influence: float
    reach: float
    feature: int
    words: str


class LatentNodeRow(NamedTuple):
    """An active latent, with its activation and the place of its card, -1 for none."""

    id: str
    kind: int
    sae: int
    layer: int
    influence: float
    reach: float
    feature: int
    activation: float
    card: int


class LogitNodeRow(NamedTuple):
    """An output, with its probability and its words."""

    id: str
    kind: int
    sae: int
    layer: int
    influence: float
    reach: float
    feature: int
    probability: float
    words: str


class CardExampleRow(NamedTuple):
    """An example on a card: activation, the window from `start` on, activations in it."""

    activation: float
    start: int
    window: Packed
    places: list[int]
    values: list[float]


class GraphCheckRow(NamedTuple):
    """A link that was ablated: ends as places of nodes, its weight, predicted and true change.

    `fails` says in words where the prediction fails; empty where it holds.
    """

    source: int
    target: int
    direct: float
    predicted: float
    measured: float
    fails: str = ""


ROWS: dict[str, type[tuple[Any, ...]]] = {
    "token": TokenRow,
    "piece": PieceRow,
    "joint": JointRow,
    "sequence": SequenceRow,
    "latent": LatentRow,
    "example": ExampleRow,
    "range": RangeRow,
    "peak": PeakRow,
    "attribution": AttributionRow,
    "influence": InfluenceRow,
    "influences": InfluencesRow,
    "graph_sae": GraphSaeRow,
    "error_node": ErrorNodeRow,
    "embedding_node": EmbeddingNodeRow,
    "latent_node": LatentNodeRow,
    "logit_node": LogitNodeRow,
    "card_example": CardExampleRow,
    "graph_check": GraphCheckRow,
}
"""Every kind of row."""


def trimmed(row: tuple[Any, ...]) -> list[Any]:
    """A row without the fields at its end that have their defaults."""
    defaults = row._field_defaults  # type: ignore[attr-defined]
    values = list(row)
    for name in reversed(row._fields):  # type: ignore[attr-defined]
        if name not in defaults or values[-1] != defaults[name]:
            break
        values.pop()
    return values


def header() -> dict[str, list[str]]:
    """The names of the fields of every kind of row, as `report.js` says them."""
    return {kind: list(row._fields) for kind, row in ROWS.items()}  # type: ignore[attr-defined]


class SaeRecord(TypedDict):
    """An SAE of the report; `firsts` are the first latents of its pages."""

    slug: str
    label: str
    neuronpedia: str
    count: int
    last: int
    firsts: list[int]


class PanelRecord(TypedDict):
    """A panel of a latent's page; see `panels.registry.Panel`."""

    name: str
    title: str
    tables: list[str]
    wide: bool
    reveals_text: NotRequired[bool]


class ReportRecord(TypedDict):
    """What all pages of a report share; `texts` are the first sequences of the files of text."""

    title: str
    fingerprint: str
    single: bool
    texts: list[int]
    rows: dict[str, list[str]]
    saes: list[SaeRecord]
    panels: list[PanelRecord]
    bases: list[tuple[str, dict[str, Any]]]


class VocabularyRecord(TypedDict):
    """The tokens that the run uses."""

    tokens: list[TokenRow]
    joints: list[JointRow]


class TextRecord(TypedDict):
    """A file of whole sequences."""

    file: int
    sequences: list[SequenceRow]


class IndexRecord(TypedDict):
    """The table of an SAE."""

    sae: str
    figures: dict[str, dict[str, Any]]
    has_map: bool
    rows: list[LatentRow]


class LatentRecord(TypedDict):
    """A latent with its panels: the name of each, and its blocks."""

    latent: int
    max: float
    panels: list[tuple[str, list[dict[str, Any]]]]


class ShardRecord(TypedDict):
    """A page of latents."""

    sae: str
    shard: int
    latents: list[LatentRecord]


class PageRecord(TypedDict):
    """What is drawn on a page: its blocks by their key, and the words of its prompt."""

    page: str
    text: NotRequired[list[str]]
    blocks: list[tuple[str, dict[str, Any]]]


class BlockRecord(TypedDict):
    """A block in a file of its own: the page, and the block's key there."""

    page: str
    id: str
    block: list[dict[str, Any]]


class CardRecord(TypedDict):
    """What an attribution graph's page says of a latent; `clerp` is its name in the export."""

    label: str
    on: Packed
    raises: Packed
    max: float
    href: str
    blind: bool
    examples: list[CardExampleRow]
    clerp: NotRequired[str]


class GraphRecord(TypedDict):
    """An attribution graph; see `circuits.graphs.script`.

    `target` is the place of the node that the reader asks about. A row of `links` is a target's
    place, then a source's place and the weight, then for each further source the step from the one
    before it and the weight.
    """

    slug: str
    tokens: list[int]
    target: int
    saes: list[GraphSaeRow]
    metadata: dict[str, Any]
    nodes: list[ErrorNodeRow | EmbeddingNodeRow | LatentNodeRow | LogitNodeRow]
    links: list[list[float]]
    cards: list[CardRecord]
    checks: list[GraphCheckRow]


RECORDS: dict[str, Any] = {
    "report": ReportRecord,
    "vocabulary": VocabularyRecord,
    "text": TextRecord,
    "latents": IndexRecord,
    "shard": ShardRecord,
    "page": PageRecord,
    "block": BlockRecord,
    "graph": GraphRecord,
}
"""What a data script pushes, by its `kind`."""
