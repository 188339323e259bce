"""What a graph's page says about the latents in it: explanation, tokens and examples.

Of latents that the report does not show it has at most a label. A blind case study keeps its secret
here too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from saereport.site.columns import LatentChunk
from saereport.site.context import LatentView, ReportModel
from saereport.site.latent_summary import label
from saereport.site.packing import packed
from saereport.site.records import CardExampleRow, CardRecord
from saereport.site.sequences import KeptSequences
from saereport.util.visible import visible_text

BAND = 512
"""Chosen latents read from the run at once."""

N_TOKENS = 6
N_EXAMPLES = 2
BEFORE, AFTER = 10, 5

Key = tuple[str, int]
_TABLES = ("activity", "explanations", "logit_lens", "token_statistics", "examples")


@dataclass(frozen=True)
class LatentCard:
    """What is known of a latent.

    Attributes:
        label: Its first explanation, or empty.
        active_on: Tokens with the largest share of its activation.
        raises: Tokens that its write direction raises most.
        maximum: Its largest activation on the text.
        examples: Its strongest examples.
        href: Address of its page, relative to the report's root; empty where it has none.
        blind: Whether it is a blind case study, of which nothing else is said.
    """

    label: str = ""
    active_on: tuple[int, ...] = ()
    raises: tuple[int, ...] = ()
    maximum: float = 0.0
    examples: tuple[CardExampleRow, ...] = ()
    href: str = ""
    blind: bool = False

    def record(self) -> CardRecord:
        """The card as it is written in the data."""
        return {
            "label": self.label,
            "on": packed(list(self.active_on)),
            "raises": packed(list(self.raises)),
            "max": self.maximum,
            "href": self.href,
            "blind": self.blind,
            "examples": list(self.examples),
        }


def latent_cards(report: ReportModel, wanted: Iterable[Key]) -> dict[Key, LatentCard]:
    """Cards of those of the wanted latents that the report shows, or has a label of.

    Args:
        report: The report.
        wanted: Pairs of an SAE's slug and a latent.
    """
    keys = set(wanted)
    cards: dict[Key, LatentCard] = {}
    for sae in report.saes:
        info, shards = sae.info, sae.shards
        names = [name for name in _TABLES if name in sae.tables]
        for start in range(0, len(shards.latents), BAND):
            chosen = shards.latents[start : start + BAND]
            found = [latent for latent in chosen if (info.slug, latent) in keys]
            if not found:
                continue
            band = LatentChunk(report.run, info.slug, names, found[0], found[-1] + 1)
            for latent in found:
                key = (info.slug, latent)
                href = f"{info.slug}/{shards.address(latent)}"
                if key in report.blind:
                    cards[key] = LatentCard(href=href, blind=True)
                else:
                    cards[key] = _card(LatentView(sae, latent, band), href, report.sequences)
    for sae in report.named_saes:
        cards.update(_labelled(report, sae.info.slug, keys - cards.keys() - set(report.blind)))
    return cards


def _labelled(report: ReportModel, slug: str, wanted: set[Key]) -> dict[Key, LatentCard]:
    """The labels of latents of one SAE that the report does not show."""
    own = {latent for name, latent in wanted if name == slug}
    if not own or not report.run.has("explanations", slug):
        return {}
    columns = ["latent", "rank", "text"]
    table = report.run.table(
        "explanations", slug, columns=columns, latents=(min(own), max(own) + 1)
    )
    table = table.filter(pc.is_in(table.column("latent"), pa.array(sorted(own), pa.int32())))
    found: dict[Key, LatentCard] = {}
    for row in table.to_pylist():
        found.setdefault((slug, row["latent"]), LatentCard(label=visible_text(row["text"])))
    return found


def _card(latent: LatentView, href: str, sequences: KeptSequences) -> LatentCard:
    statistics = latent.rows("token_statistics").each("order", "token")
    raised = latent.rows("logit_lens")["top_tokens"]
    activity = latent.rows("activity")["max"]
    return LatentCard(
        label=label(latent)[0],
        active_on=tuple([token for order, token in statistics if order == "share"][:N_TOKENS]),
        raises=tuple(raised[0][:N_TOKENS]) if raised else (),
        maximum=activity[0] if activity else 0.0,
        examples=tuple(_examples(latent, sequences)),
        href=href,
    )


def _examples(latent: LatentView, sequences: KeptSequences) -> Iterable[CardExampleRow]:
    names = ("group", "sequence", "position", "activation", "start", "stop")
    values = ("active_positions", "active_values")
    done = 0
    for group, sequence, position, activation, start, stop, places, active in latent.rows(
        "examples"
    ).each(*names, *values):
        if group != "top" or done == N_EXAMPLES:
            continue
        low, high = max(start, position - BEFORE), min(stop, position + AFTER + 1)
        tokens = sequences.tokens(sequence, low, high)
        inside = [(p, v) for p, v in zip(places, active, strict=True) if low <= p < high]
        done += 1
        yield CardExampleRow(
            activation, low, packed(tokens), [p for p, _ in inside], [v for _, v in inside]
        )
