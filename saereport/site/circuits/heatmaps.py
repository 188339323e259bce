"""Figures of a prompt as plain data: gradient maps as compact arrays, the rest as Plotly figures.

A figure has `views`, each with a label, Plotly `data` and `layout`; the page's script colours it.
Traces carry in `meta` the role of their colour, `diverging` for a heatmap about zero.
"""

from __future__ import annotations

from typing import Any

from saereport.site.blocks import plotly_text
from saereport.site.circuits.prompts_data import GradientPairs, PromptData, Record
from saereport.site.circuits.tables import Names, check_values, title
from saereport.site.records import ActivationRow, EndRow, MapCheckRow, MapRecord, NameRow

Figure = dict[str, Any]


def map_record(names: Names, prompt: PromptData, some: GradientPairs) -> MapRecord:
    """A gradient map: its ends, and its cells by their places.

    `e` and `l` hold the place of each cell's ends in `early` and `late`, `g` its gradient, the
    largest in absolute value first.
    """
    early = sorted({_end(p, "early") for p in some.pairs}, key=lambda end: (end[1], end[0]))
    late = sorted({_end(p, "late") for p in some.pairs}, key=lambda end: (end[1], end[0]))
    early_at = {end[:2]: i for i, end in enumerate(early)}
    late_at = {end[:2]: i for i, end in enumerate(late)}
    ranks = {p["rank"]: i for i, p in enumerate(some.pairs)}
    return {
        "title": title(names, some),
        "kind": some.kind,
        "from": some.early,
        "to": some.late,
        "early": early,
        "late": late,
        "e": [early_at[_end(p, "early")[:2]] for p in some.pairs],
        "l": [late_at[_end(p, "late")[:2]] for p in some.pairs],
        "g": [p["gradient"] for p in some.pairs],
        "checks": [
            MapCheckRow(ranks[rank], check["predicted"], check["measured"])
            for rank, check in sorted(some.checks.items())
            if rank in ranks
        ],
    }


def _end(pair: Record, side: str) -> EndRow:
    return EndRow(*(pair[f"{side}_{name}"] for name in EndRow._fields))


def latent_names(names: Names, prompt: PromptData) -> dict[str, NameRow]:
    """Address and meaning of every latent of the prompt's maps, by `slug.latent`."""
    found: set[tuple[str, int]] = set()
    for some in prompt.maps:
        if some.early:
            found |= {(some.early, p["early_latent"]) for p in some.pairs}
        if some.late:
            found |= {(some.late, p["late_latent"]) for p in some.pairs}
    shown = {}
    for slug, latent in sorted(found):
        href, gloss = names.href(slug, latent), names.gloss(slug, latent)
        if href or gloss:
            shown[f"{slug}.{latent}"] = NameRow(href, gloss)
    return shown


def logit_names(names: Names, prompt: PromptData) -> list[tuple[int, str]]:
    """The tokens of the prompt's logits, each with how it looks."""
    tokens = {p["late_latent"] for m in prompt.maps if not m.late for p in m.pairs}
    return [(token, names.token(token)) for token in sorted(tokens)]


def activations(names: Names, prompt: PromptData) -> list[ActivationRow]:
    """Activations of the chosen latents, the largest first."""
    rows = sorted(
        prompt.rows["prompt_activations"],
        key=lambda row: (-max(row["values"], default=0.0), row["sae"], row["latent"]),
    )
    return [
        ActivationRow(r["sae"], r["latent"], f"{names.sae(r['sae'])}.{r['latent']}", r["values"])
        for r in rows
    ]


def token_labels(names: Names, prompt: PromptData) -> list[str]:
    """Each token of the prompt as an axis label."""
    return [f"{names.token(token)} · {i}" for i, token in enumerate(prompt.tokens)]


def _heatmap(label: str, z: list[list[float | None]], x: list[str], y: list[str]) -> Figure:
    """A view with one heatmap about zero; categories are numbered, their names are tick texts."""
    return {
        "label": label,
        "data": [{"type": "heatmap", "meta": "diverging", "z": z, "hoverinfo": "none"}],
        "layout": {
            "xaxis": _names_axis(x),
            "yaxis": {**_names_axis(y), "autorange": "reversed"},
        },
    }


def _names_axis(texts: list[str]) -> Figure:
    return {
        "tickmode": "array",
        "tickvals": list(range(len(texts))),
        "ticktext": [plotly_text(text) for text in texts],
        "type": "linear",
    }


def head_views(names: Names, prompt: PromptData) -> list[Figure]:
    """Direct latent attribution: for each latent and position, heads by source tokens."""
    labels = token_labels(names, prompt)
    views = []
    for row in prompt.rows["head_attributions"]:
        n = row["position"] + 1
        values = row["values"]
        z = [list(values[i : i + n]) for i in range(0, len(values), n)]
        heads = [f"head {h}" for h in range(len(z))]
        view = _heatmap(_at(names, prompt, row), z, labels[:n], heads)
        views.append({**view, "sources": [sum(column) for column in zip(*z, strict=True)]})
    return views


def component_views(names: Names, prompt: PromptData) -> list[Figure]:
    """Components of a pre-activation: heads by layer, then MLPs; the embedding in front."""
    views = []
    n_heads = names.report.info.model.n_heads
    for row in prompt.rows["components"]:
        heads, mlps = row["heads"], row["mlps"]
        layers = max(len(mlps), -(-len(heads) // n_heads))
        z: list[list[float | None]] = [
            [None, *(_get(heads, layer * n_heads + h) for layer in range(layers))]
            for h in range(n_heads)
        ]
        z.append([None, *(_get(mlps, layer) for layer in range(layers))])
        z.append([row["embedding"], *[None] * layers])
        columns = ["embedding", *(f"L{layer}" for layer in range(layers))]
        rows = [*(f"head {h}" for h in range(n_heads)), "MLP", "embedding"]
        views.append(_heatmap(_at(names, prompt, row), z, columns, rows))
    return views


def _get(values: list[float], i: int) -> float | None:
    return values[i] if i < len(values) else None


def _at(names: Names, prompt: PromptData, row: Record) -> str:
    token = names.token(prompt.tokens[row["position"]])
    return f"{names.sae(row['sae'])}.{row['latent']} · {token} · {row['position']}"


def pattern_views(names: Names, prompt: PromptData) -> list[Figure]:
    """Attention patterns, destination by source."""
    labels = token_labels(names, prompt)
    n = len(labels)
    views = []
    for row in prompt.rows["patterns"]:
        starts = [p * (p + 1) // 2 for p in range(n + 1)]
        z: list[list[float | None]] = [
            [*row["values"][starts[p] : starts[p + 1]], *[None] * (n - p - 1)] for p in range(n)
        ]
        views.append(_heatmap(f"L{row['layer']}.H{row['head']}", z, labels, labels))
    return views


def induction_views(names: Names, prompt: PromptData) -> list[Figure]:
    """The block of each map from the first half to latents active throughout the second."""
    lasting = {(r["sae"], r["latent"]) for r in prompt.rows["induction_latents"]}
    half = int(prompt.head["first"]) + prompt.period
    views = []
    for some in prompt.maps:
        block = [
            p
            for p in some.pairs
            if some.kind == "latents"
            and (some.late, p["late_latent"]) in lasting
            and p["early_position"] < half <= p["late_position"]
        ]
        if not block:
            continue
        early = sorted({(p["early_position"], p["early_latent"]) for p in block})
        late = sorted({(p["late_position"], p["late_latent"]) for p in block})
        z: list[list[float | None]] = [[None] * len(early) for _ in late]
        for p in block:
            column = early.index((p["early_position"], p["early_latent"]))
            z[late.index((p["late_position"], p["late_latent"]))][column] = p["gradient"]
        view = _heatmap(
            title(names, some),
            z,
            [_place(names, prompt, some.early, i, p) for p, i in early],
            [_place(names, prompt, some.late, i, p) for p, i in late],
        )
        view["layout"]["shapes"] = [
            _outline(x, y)
            for y, (later, _) in enumerate(late)
            for x, (sooner, _) in enumerate(early)
            if prompt.expects(sooner, later)
        ]
        views.append(view)
    return views


def _outline(x: int, y: int) -> Figure:
    return {"type": "rect", "x0": x - 0.5, "x1": x + 0.5, "y0": y - 0.5, "y1": y + 0.5}


def _place(names: Names, prompt: PromptData, slug: str, latent: int, position: int) -> str:
    token = names.token(prompt.tokens[position])
    return f"{names.sae(slug)}.{latent} · {token} · {position}"


def check_view(names: Names, prompt: PromptData) -> Figure:
    """Predicted and measured changes of every map's checks, with the diagonal."""
    roles = {"tokens": "quiet", "latents": "accent", "logits": "act"}
    pairs = [pair for some in prompt.maps for pair in check_values(some)]
    low = min((min(pair) for pair in pairs), default=0.0)
    high = max((max(pair) for pair in pairs), default=0.0)
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "as predicted",
            "meta": "line-2",
            "x": [low, high],
            "y": [low, high],
            "hoverinfo": "none",
        }
    ]
    for some in prompt.maps:
        values = check_values(some)
        if values:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": plotly_text(title(names, some)),
                    "meta": roles[some.kind],
                    "x": [x for x, _ in values],
                    "y": [y for _, y in values],
                    "hoverinfo": "none",
                }
            )
    layout = {
        "xaxis": {"title": {"text": "predicted change"}},
        "yaxis": {"title": {"text": "measured change"}},
    }
    return {"label": "", "data": traces, "layout": layout}
