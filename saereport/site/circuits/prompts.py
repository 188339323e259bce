"""The pages of prompts: the story in HTML, the maps and figures as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from saereport.site import jsonwriter, numbers
from saereport.site.circuits import heatmaps
from saereport.site.circuits import tables as say
from saereport.site.circuits.agreement import correlation
from saereport.site.circuits.graph_latents import Key, latent_cards
from saereport.site.circuits.index import index_page
from saereport.site.circuits.names import FOLDER, INDEX, prompt_page
from saereport.site.circuits.prompts_data import GradientPairs, PromptData, read_prompts, table_rows
from saereport.site.circuits.tables import Name, Names, PairRow
from saereport.site.context import ReportModel
from saereport.site.parts.registry import REPORT_DATA, Data, Item, Page
from saereport.visible import visible_text

SPLIT_AT = 1_000_000
"""Bytes of maps above which each map is a script of its own, loaded when it is opened."""

N_LATENTS = 60
"""Latents in the HTML's table of activations."""

N_INFLUENCES = 60
"""Influences in the HTML."""


@dataclass(frozen=True)
class MapSection:
    """One gradient map as its page's HTML tells it."""

    place: int
    title: str
    counts: list[str]
    best: PairRow | None
    cross: list[PairRow]
    same: list[PairRow]
    n_pairs: int
    r: str
    check: str


def prompt_items(report: ReportModel, graphs: Mapping[int, str]) -> Iterator[Item]:
    """The index of the prompts, and a page with its data for each.

    Args:
        report: The report.
        graphs: Path of the page of a prompt's attribution graph, by the number of the prompt.
    """
    prompts = read_prompts(report)
    names = Names(report, latent_cards(report, _wanted(report, prompts)))
    for prompt in prompts:
        yield from _data(names, prompt)
        yield _page(names, prompt, prompts, graphs)
    yield index_page(names, prompts, graphs)


def _wanted(report: ReportModel, prompts: list[PromptData]) -> set[Key]:
    """The latents that the pages name and the report shows."""
    rows = [pair for prompt in prompts for some in prompt.maps for pair in some.pairs]
    rows += [row for prompt in prompts for some in prompt.rows.values() for row in some]
    rows += table_rows(report.run, "pair_means")
    ends = (("early", "early_latent"), ("late", "late_latent"), ("sae", "latent"))
    found = {(row[s], row[i]) for row in rows for s, i in ends if s in row and i in row}
    return {(s, i) for s, i in found if s in report.shards and i in report.shards[s].chosen}


def _page(
    names: Names, prompt: PromptData, prompts: list[PromptData], graphs: Mapping[int, str]
) -> Page:
    columns, ranked = say.next_tokens(names, prompt)
    checks = [(say.title(names, m), *say.check_cells(say.check_values(m))) for m in prompt.maps]
    everything = [pair for m in prompt.maps for pair in say.check_values(m)]
    best = say.strongest([prompt]).get(prompt.number)
    opened = prompt.maps.index(best[0]) if best else 0
    name = visible_text(prompt.head["name"])
    return Page(
        prompt_page(prompt.slug),
        "prompt",
        title=(name, "Circuits"),
        fields={
            "name": name,
            "slug": prompt.slug,
            "head": prompt.head,
            "period": prompt.period,
            "tokens": [
                (i, names.token(token), counted)
                for i, (token, counted) in enumerate(
                    zip(prompt.tokens, prompt.head["counted"], strict=True)
                )
            ],
            "notes": say.notes(prompt),
            "graph": graphs.get(prompt.number, ""),
            "answer": names.token(prompt.head["answer"]) if prompt.head["answer"] >= 0 else "",
            "answers": say.answers(names, prompt),
            "next_columns": columns,
            "next_rows": ranked,
            "maps": [section(names, prompt, m, i) for i, m in enumerate(prompt.maps)],
            "opened": opened,
            "checks": [row for row in checks if row[1] != "0"],
            "check_total": say.check_cells(everything),
            "activations": _activation_rows(names, prompt)[:N_LATENTS],
            "n_activations": len(prompt.rows["prompt_activations"]),
            "others": [(p.slug, visible_text(p.head["name"])) for p in prompts if p is not prompt],
            "lasting": _lasting(names, prompt),
            "blocks": len(heatmaps.induction_views(names, prompt)) if prompt.period else 0,
            "heads": _sums(names, prompt, "head_attributions"),
            "patterns": [f"L{r['layer']}.H{r['head']}" for r in prompt.rows["patterns"]],
            "components": _sums(names, prompt, "components"),
            "influences": _influences(names, prompt)[:N_INFLUENCES],
        },
        needs=(REPORT_DATA, data_path(prompt.slug)),
        under=INDEX,
    )


def section(names: Names, prompt: PromptData, some: GradientPairs, place: int) -> MapSection:
    """What the HTML says of one map."""
    cross, same = say.split(some)
    made = [say.pair_row(names, prompt, some, pair) for pair in cross]
    values = say.check_values(some)
    r = correlation(values)
    return MapSection(
        place=place,
        title=say.title(names, some),
        counts=say.counts(some),
        best=made[0] if made else None,
        cross=made,
        same=[say.pair_row(names, prompt, some, pair) for pair in same],
        n_pairs=len(some.pairs),
        r="" if r is None else f"{r:.2f}".replace("-", numbers.MINUS),
        check=numbers.plural(len(values), "check"),
    )


def _activation_rows(names: Names, prompt: PromptData) -> list[tuple[Name, str, str]]:
    rows = []
    for slug, latent, _, values in heatmaps.activations(names, prompt):
        peak = max(range(len(values)), key=lambda p, v=values: (v[p], -p))  # type: ignore[misc]
        active = ", ".join(f"{p}: {numbers.value(v)}" for p, v in enumerate(values) if v > 0)
        rows.append((names.latent(slug, latent, prompt, peak), numbers.value(values[peak]), active))
    return rows


def _lasting(names: Names, prompt: PromptData) -> list[tuple[Name, str]]:
    rows = sorted(prompt.rows["induction_latents"], key=lambda r: (r["sae"], -r["mean"]))
    return [
        (
            Name(
                f"{names.sae(r['sae'])}.{r['latent']}",
                names.href(r["sae"], r["latent"]),
                names.gloss(r["sae"], r["latent"]),
            ),
            numbers.value(r["mean"]),
        )
        for r in rows
    ]


def _sums(names: Names, prompt: PromptData, table: str) -> list[tuple[Name, tuple[str, ...]]]:
    """Each latent decomposed: activation, pre-activation, bias, and the sum of the parts."""
    rows = []
    for r in prompt.rows[table]:
        parts = [*r.get("values", []), *r.get("heads", []), *r.get("mlps", [])]
        total = sum(parts) + r.get("embedding", 0.0) + r["bias"]
        cells = (r["activation"], r["pre_activation"], r["bias"], total)
        name = names.latent(r["sae"], r["latent"], prompt, r["position"])
        rows.append((name, tuple(numbers.value(v) for v in cells)))
    return rows


def _influences(names: Names, prompt: PromptData) -> list[tuple[Name, Name, str, str]]:
    rows = sorted(
        prompt.rows["influences"],
        key=lambda r: (-abs(r["value"]), r["sae"], r["latent"], r["position"], r["rank"]),
    )
    return [
        (
            names.latent(r["early"], r["early_latent"], prompt, r["source"]),
            names.latent(r["sae"], r["latent"], prompt, r["position"]),
            say.route(r),
            numbers.value(r["value"]),
        )
        for r in rows
    ]


def data_path(slug: str) -> str:
    """Path of the data of a prompt's page."""
    return f"{FOLDER}/{slug}.js"


def _data(names: Names, prompt: PromptData) -> Iterator[Data]:
    maps = [jsonwriter.dumps(heatmaps.map_record(names, prompt, m)) for m in prompt.maps]
    apart = sum(map(len, maps)) > SPLIT_AT
    figures: dict[str, list[dict[str, Any]]] = {
        "checks": [heatmaps.check_view(names, prompt)],
        "induction": heatmaps.induction_views(names, prompt) if prompt.period else [],
        "heads": heatmaps.head_views(names, prompt),
        "patterns": heatmaps.pattern_views(names, prompt),
        "components": heatmaps.component_views(names, prompt),
    }
    head = {
        "slug": prompt.slug,
        "text": [names.token(token) for token in prompt.tokens],
        "expected": list(prompt.expected.items()),
        "apart": apart,
        "names": heatmaps.latent_names(names, prompt),
        "logits": heatmaps.logit_names(names, prompt),
    }
    lists = {
        "activations": map(jsonwriter.dumps, heatmaps.activations(names, prompt)),
        "maps": [] if apart else maps,
        "figures": (jsonwriter.dumps([name, views]) for name, views in figures.items()),
    }
    yield Data(data_path(prompt.slug), "prompt", head, lists)
    for place, text in enumerate(maps if apart else []):
        path = f"{FOLDER}/{prompt.slug}-map{place}.js"
        yield Data(path, "map", {"slug": prompt.slug, "place": place}, {"map": [text]})
