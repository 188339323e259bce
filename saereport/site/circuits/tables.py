"""A prompt's numbers in words: names with links, tables, and what the checks say together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from saereport.site import numbers
from saereport.site.circuits.agreement import LESS, MORE, OPPOSITE, correlation, verdict
from saereport.site.circuits.graph_latents import Key, LatentCard
from saereport.site.circuits.prompts_data import GradientPairs, PromptData, Record
from saereport.site.context import ReportModel
from saereport.site.neuronpedia import base_url
from saereport.util.visible import visible_text

READS = ("prompt_notes",)
"""Tables about prompts that are read here."""
LOGIT = "logit"
"""How a logit is called, before its token."""
N_LISTED = 8
"""Strongest pairs of each kind in the HTML."""


@dataclass(frozen=True)
class Name:
    """A latent, a token or a logit as a reader meets it.

    Attributes:
        text: Its name.
        href: Where more is said of it: relative to the report's root, or on Neuronpedia.
        gloss: Its explanation, or tokens that it is active on.
        token: The token at its position, or empty.
        position: The position, or -1.
    """

    text: str
    href: str = ""
    gloss: str = ""
    token: str = ""
    position: int = -1

    @property
    def cell(self) -> dict[str, Any]:
        """The name as a cell of a block."""
        said = {"href": self.href, "gloss": self.gloss, "token": self.token}
        place = {"position": self.position} if self.position >= 0 else {}
        return {"text": self.text, **{k: v for k, v in said.items() if v}, **place}


@dataclass(frozen=True)
class PairRow:
    """One pair of a gradient map."""

    early: Name
    late: Name
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Names:
    """Names what a report's circuits are about."""

    report: ReportModel
    cards: Mapping[Key, LatentCard]

    def sae(self, slug: str) -> str:
        """The label of an SAE."""
        return next((i.label for i in self.report.info.saes if i.slug == slug), slug)

    def token(self, token: int) -> str:
        """A token in which everything can be seen."""
        return self.report.vocabulary[token]

    def href(self, slug: str, latent: int) -> str:
        """Where a latent is shown: its page in this report, else Neuronpedia, else nowhere."""
        if here := self.report.latent_href(slug, latent):
            return here
        known = next((i.neuronpedia_id for i in self.report.info.saes if i.slug == slug), "")
        base = base_url(known)
        return f"{base}/{latent}" if base and (slug, latent) not in self.report.blind else ""

    def gloss(self, slug: str, latent: int) -> str:
        """A latent's first explanation, or tokens that it is active on; empty where unknown."""
        card = self.cards.get((slug, latent), LatentCard())
        if card.blind:
            return "blind case study"
        return card.label or "  ".join(self.token(token) for token in card.active_on[:3])

    def splices(self, held: Collection[str]) -> list[str]:
        """SAEs that are spliced in, in the report's order; the true model, `""`, comes first."""
        return [s for s in ("", *(i.slug for i in self.report.info.saes)) if s in held]

    def latent(self, slug: str, latent: int, prompt: PromptData, position: int) -> Name:
        """A latent at a position of a prompt."""
        return Name(
            text=f"{self.sae(slug)}.{latent}",
            href=self.href(slug, latent),
            gloss=self.gloss(slug, latent),
            token=self.token(prompt.tokens[position]),
            position=position,
        )

    def early(self, prompt: PromptData, pair: Record, slug: str) -> Name:
        """The earlier end of a pair."""
        position = pair["early_position"]
        if slug:
            return self.latent(slug, pair["early_latent"], prompt, position)
        return Name("token", token=self.token(prompt.tokens[position]), position=position)

    def late(self, prompt: PromptData, pair: Record, slug: str) -> Name:
        """The later end of a pair."""
        if slug:
            return self.latent(slug, pair["late_latent"], prompt, pair["late_position"])
        return Name(LOGIT, token=self.token(pair["late_latent"]), position=pair["late_position"])


def title(names: Names, some: GradientPairs) -> str:
    """From where to where a map leads."""
    return f"{names.sae(some.early) or 'tokens'} → {names.sae(some.late) or 'logits'}"


def split(some: GradientPairs) -> tuple[list[Record], list[Record]]:
    """The strongest cross-token pairs and the strongest pairs on one token."""
    cross = [p for p in some.pairs if p["early_position"] != p["late_position"]]
    same = [p for p in some.pairs if p["early_position"] == p["late_position"]]
    return cross[:N_LISTED], same[:N_LISTED]


def pair_row(names: Names, prompt: PromptData, some: GradientPairs, pair: Record) -> PairRow:
    """One pair: activation, gradient, attribution, and the check where there is one."""
    check = some.checks.get(pair["rank"])
    return PairRow(
        early=names.early(prompt, pair, some.early),
        late=names.late(prompt, pair, some.late),
        cells=(
            numbers.value(pair["early_activation"]),
            numbers.value(pair["late_activation"]),
            numbers.value(pair["gradient"]),
            numbers.value(pair["early_activation"] * pair["gradient"]),
            numbers.value(check["predicted"]) if check else "",
            numbers.value(check["measured"]) if check else "",
        ),
    )


def counts(some: GradientPairs) -> list[str]:
    """How far a map is to be trusted, as short sentences."""
    row, count = some.counts, numbers.count
    said = []
    if some.kind == "latents":
        said.append(
            f"{count(row['n_true'])} later latents active in the true run, "
            f"{count(row['n_reconstructed'])} with the earlier SAE's reconstruction, "
            f"{count(row['n_one_only'])} in one but not both"
        )
    elif some.kind == "tokens":
        said.append(f"{numbers.plural(row['n_true'], 'latent')} active in the true run")
    looked_at = []
    for side, used, found, share in (
        ("inputs", row["n_early"], row["n_early_all"], row["early_share"]),
        ("outputs", row["n_late"], row["n_late_all"], row["late_share"]),
    ):
        if used < found:
            looked_at.append(f"the {count(used)} {side}")
            said.append(
                f"the {count(used)} strongest of {count(found)} {side} looked at; the others hold "
                f"{numbers.percent(max(0.0, 1 - share))} of their activation"
            )
    of = f" of {' and '.join(looked_at)} looked at" if looked_at else ""
    said.append(
        f"{count(row['n_kept'])} of {numbers.plural(row['n_pairs'], 'pair')} kept, "
        f"{numbers.percent(row['kept_share'])} of the absolute gradient{of}"
    )
    return said


Strongest = dict[int, tuple[GradientPairs, Record]]
"""A map and one of its pairs, by the number of a prompt."""


def strongest(prompts: Iterable[PromptData]) -> Strongest:
    """Each prompt's strongest cross-token pair of latents, by attribution.

    Attribution is activation times gradient, here as a share of the later latent's activation, so
    that SAEs with large activations do not always win.
    """
    found: Strongest = {}
    for prompt in prompts:
        candidates = [
            (
                abs(p["early_activation"] * p["gradient"]) / p["late_activation"],
                -i,
                -p["rank"],
                m,
                p,
            )
            for i, m in enumerate(prompt.maps)
            if m.kind == "latents"
            for p in split(m)[0]
            if p["late_activation"] > 0
        ]
        if candidates:
            best = max(candidates, key=lambda item: item[:3])
            found[prompt.number] = (best[3], best[4])
    return found


def check_values(some: GradientPairs) -> list[tuple[float, float]]:
    """Predicted and measured, by rank."""
    return [(c["predicted"], c["measured"]) for _, c in sorted(some.checks.items())]


def check_cells(pairs: list[tuple[float, float]]) -> tuple[str, str, str, str]:
    """Number of checks, correlation, opposite signs, and those off by more than a factor of two."""
    r = correlation(pairs)
    found = [verdict(x, y) for x, y in pairs]
    return (
        numbers.count(len(pairs)),
        "–" if r is None else f"{r:.3f}".replace("-", numbers.MINUS),
        numbers.count(found.count(OPPOSITE)),
        numbers.count(found.count(MORE) + found.count(LESS)),
    )


def notes(prompt: PromptData) -> list[str]:
    """What is to be said before anything else."""
    said = [visible_text(f"{r['topic']}: {r['text']}") for r in prompt.rows["prompt_notes"]]
    answer = prompt.head["answer_note"]
    return [visible_text(answer), *said] if answer else said
