"""The index of the Circuits part: every prompt in short, blind case studies, and averages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from saereport.site import numbers
from saereport.site.circuits import tables as say
from saereport.site.circuits.names import INDEX, prompt_page
from saereport.site.circuits.prompts_data import PromptData, Record, table_rows
from saereport.site.circuits.tables import Name, Names, PairRow
from saereport.site.parts.registry import Page
from saereport.util.visible import visible_text

IN_SHORT = ("prompt_next", "prompt_answers")
"""Tables about prompts that the index reads."""
MEANS = "pair_means"
N_MEANS = 20
"""Pairs of latents in the HTML for each pair of SAEs."""


@dataclass(frozen=True)
class PromptLine:
    """One prompt on the index."""

    href: str
    name: str
    tokens: list[tuple[str, bool]]
    top: tuple[str, str] | None
    answer: str
    edge: PairRow | None
    share: str
    graph: str
    kind: str


@dataclass(frozen=True)
class MeanMap:
    """Averages over the prompts file for one pair of SAEs."""

    title: str
    facts: str
    rows: list[tuple[Name, Name, tuple[str, ...]]]


def index_page(names: Names, prompts: list[PromptData], graphs: Mapping[int, str]) -> Page:
    """The page; `graphs` are the paths of the pages of graphs, by the number of the prompt."""
    best = say.strongest(prompts)
    return Page(
        INDEX,
        "circuits",
        title=("Circuits",),
        fields={
            "prompts": [_line(names, prompt, best, graphs) for prompt in prompts],
            "blind": [
                (f"{names.sae(slug)}.{latent}", names.href(slug, latent), reveal)
                for (slug, latent), reveal in names.report.blind.items()
            ],
            "means": _means(names),
        },
    )


def _line(
    names: Names, prompt: PromptData, best: say.Strongest, graphs: Mapping[int, str]
) -> PromptLine:
    true = [r for r in prompt.rows["prompt_next"] if not r["splice"]]
    first = min(true, key=lambda r: r["rank"]) if true else None
    answer = next((r for r in prompt.rows["prompt_answers"] if not r["splice"]), None)
    found = best.get(prompt.number)
    return PromptLine(
        href=prompt_page(prompt.slug),
        name=visible_text(prompt.head["name"]),
        tokens=[
            (names.token(token), counted)
            for token, counted in zip(prompt.tokens, prompt.head["counted"], strict=True)
        ],
        top=(names.token(first["token"]), numbers.percent(first["probability"])) if first else None,
        answer=(
            f"{names.token(answer['token'])}, rank {numbers.count(answer['rank'])}, "
            f"{numbers.percent(answer['probability'])}"
            if answer
            else ""
        ),
        edge=say.pair_row(names, prompt, *found) if found else None,
        share=_share(found[1]) if found else "",
        graph=graphs.get(prompt.number, ""),
        kind={"random": "repeated random tokens", "ids": "token ids"}.get(prompt.head["kind"], ""),
    )


def _share(pair: Record) -> str:
    """Attribution as a part or a multiple of the later latent's activation."""
    share = abs(pair["early_activation"] * pair["gradient"]) / pair["late_activation"]
    return f"{numbers.percent(share)} of" if share <= 1 else f"{numbers.value(share)} times"


def _means(names: Names) -> list[MeanMap]:
    run = names.report.run
    rows = table_rows(run, MEANS)
    found = []
    for head in table_rows(run, "pair_mean_maps"):
        early, late = head["early"], head["late"]
        own = [r for r in rows if (r["early"], r["late"]) == (early, late)]
        found.append(
            MeanMap(
                title=f"{names.sae(early)} → {names.sae(late)}",
                facts=f"{numbers.plural(head['n_prompts'], 'prompt')} used, "
                f"{numbers.count(head['n_skipped'])} skipped; "
                f"{numbers.count(head['n_kept'])} of {numbers.plural(head['n_pairs'], 'pair')} "
                f"kept, {numbers.percent(head['kept_share'])} of the sum{_limited(head)}",
                rows=[
                    (
                        _name(names, early, r["early_latent"]),
                        _name(names, late, r["late_latent"]),
                        (
                            numbers.value(r["mean"]),
                            numbers.count(r["n_both"]),
                            numbers.count(r["n_prompts"]),
                        ),
                    )
                    for r in sorted(own, key=lambda r: r["rank"])[:N_MEANS]
                ],
            )
        )
    return found


def _limited(head: Record) -> str:
    """On how many prompts not everything was looked at."""
    n = head["n_limited"]
    if not n:
        return ""
    return f" over what was looked at (on {numbers.plural(n, 'prompt')} more was active than that)"


def _name(names: Names, slug: str, latent: int) -> Name:
    text = f"{names.sae(slug)}.{latent}"
    return Name(text, names.href(slug, latent), names.gloss(slug, latent))
