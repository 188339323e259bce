"""Which earlier latents drove the latent on its top examples, directly and through heads."""

from __future__ import annotations

from collections.abc import Iterable

from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.panels.peaks import PEAKS, peaks
from saereport.site.panels.registry import panel
from saereport.site.panels.related import linked
from saereport.site.records import InfluenceRow, InfluencesRow

OFTEN = base(
    "influences.often",
    b="latents",
    columns=["among", "of", "mean"],
    formats=["count", "count", "value"],
    bar=2,
)
GRID = base("influences.grid", b="grid")
NOTE = base(
    "influences.note",
    b="text",
    text="Earlier latents most often among the strongest influences: on how many of the top "
    "examples, and the mean influence over all examples (0 where not among the strongest), every "
    "path together.",
)
EXAMPLES = base("influences", b="influences", title="The strongest influences on an example")


@panel("influences", "What drove it on its examples", "influence_counts", "example_influences",
       wide=True, hides=PEAKS)  # fmt: skip
def influences(latent: LatentView) -> list[Block]:
    """How often each earlier latent is among the strongest, then example by example."""
    report = latent.sae.report
    labels = {sae.slug: sae.label for sae in report.info.saes}
    order = {slug: place for place, slug in enumerate(labels)}
    often: dict[str, list[list[float]]] = {}
    counts = latent.rows("influence_counts")
    for early, *row in counts.each("early", "early_latent", "n_among", "n_examples", "mean"):
        often.setdefault(early, []).append(row)
    blocks: list[Block] = []
    if often:
        lists = [
            OFTEN(sae=early, title=labels.get(early, early), rows=linked(latent.sae, early, rows))
            for early, rows in _sorted(often.items(), order)
        ]
        blocks += [NOTE(), GRID(blocks=lists)]
    examples = _examples(latent, order)
    return [*blocks, *([EXAMPLES(**examples)] if examples else [])]


def _sorted(
    items: Iterable[tuple[str, list[list[float]]]], order: dict[str, int]
) -> list[tuple[str, list[list[float]]]]:
    return sorted(items, key=lambda item: (order.get(item[0], len(order)), item[0]))


def _examples(latent: LatentView, order: dict[str, int]) -> Block:
    rows = latent.rows("example_influences")
    slugs = sorted(set(rows["early"]), key=lambda slug: (order.get(slug, len(order)), slug))
    places = {slug: place for place, slug in enumerate(slugs)}
    found: dict[int, list[InfluenceRow]] = {}
    names = ("early_latent", "layer", "head", "source", "token", "value")
    for rank, early, index, *row in rows.each("rank", "early", *names):
        ((_, shown),) = linked(latent.sae, early, [[index]])
        found.setdefault(rank, []).append(InfluenceRow(places[early], index, int(shown), *row))
    where = peaks(latent)
    activations = _activations(latent)
    examples = [
        InfluencesRow(activations.get(rank), where.get(rank), found[rank]) for rank in sorted(found)
    ]
    return {"saes": slugs, "examples": examples} if examples else {}


def _activations(latent: LatentView) -> dict[int, float]:
    """The activation at each example's peak, which the run tells even of a redacted latent."""
    found: dict[int, float] = {}
    for table in ("example_heads", "example_components"):
        found |= dict(latent.rows(table).each("rank", "activation"))
    return found
