"""Gradient maps: how strongly each earlier latent moves each later one, here and now."""

from __future__ import annotations

from collections.abc import Callable

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.circuits import tables as say
from saereport.site.circuits.agreement import correlation
from saereport.site.circuits.prompts_data import GradientPairs, Record
from saereport.site.circuits.tables import LOGIT, Name
from saereport.site.circuits.view import PromptView
from saereport.site.panels.registry import prompt_panel

ABOUT = base(
    "prompt.maps.about",
    b="text",
    text="How strongly each earlier latent moves each later one, here and now. Open a map for its "
    "heatmap and its strongest pairs.",
)
HEATMAP = base(
    "prompt.map",
    b="heatmap",
    quantity="gradient",
    product="activation × gradient",
    missing="no pair, or not among the pairs kept",
    outline="where induction is expected",
    summary="Heatmap of gradients, {title}: {n} pairs; later in rows, earlier in columns. The "
    "strongest pairs are in the tables below.",
    told=False,
)
PAIRS = base(
    "prompt.map.pairs",
    b="table",
    columns=[
        "earlier",
        "later",
        "activation",
        "later activation",
        "gradient",
        "act. × grad.",
        "predicted",
        "measured",
    ],
)


@prompt_panel("maps", "Gradient maps", "gradients", "gradient_maps", "gradient_checks")
def maps(view: PromptView) -> list[Block]:
    """For each map a heatmap and its strongest pairs, behind a line that unfolds them."""
    found = view.data.maps
    if not found:
        return []
    best = say.strongest([view.data]).get(view.data.number)
    opened = found.index(best[0]) if best else 0
    return [ABOUT(), *(_map(view, some, place == opened) for place, some in enumerate(found))]


def _map(view: PromptView, some: GradientPairs, opened: bool) -> Block:
    cross, same = say.split(some)
    values = say.check_values(some)
    r = correlation(values)
    title = say.title(view.names, some)
    fold: Block = {"title": title, "open": opened}
    if cross:
        row = say.pair_row(view.names, view.data, some, cross[0])
        fold["lead"] = [_short(row.early), _short(row.late)]
    if r is not None:
        said = f"{r:.2f}".replace("-", numbers.MINUS)
        fold["note"] = f"r = {said} over {numbers.plural(len(values), 'check')}"
    drawn = heatmap(view, some) if some.pairs else {"b": "text", "text": "No pair has a gradient."}
    return {
        "b": "grid",
        "stacked": True,
        "fold": fold,
        "blocks": [
            {"b": "text", "lines": say.counts(some)},
            drawn,
            _pairs(view, some, cross, "Strongest across tokens"),
            _pairs(view, some, same, "Strongest on the same token"),
        ],
    }


def _short(name: Name) -> Block:
    return {"text": name.text, "token": name.token}


def _pairs(view: PromptView, some: GradientPairs, pairs: list[Record], title: str) -> Block:
    rows = [say.pair_row(view.names, view.data, some, pair) for pair in pairs]
    return PAIRS(
        title=title,
        rows=[[row.early.cell, row.late.cell, *row.cells] for row in rows],
        at=[[row.early.position, row.late.position] for row in rows],
    )


def heatmap(view: PromptView, some: GradientPairs) -> Block:
    """A map's pairs over its ends, which are in the order of their positions."""
    early = sorted({_end(p, "early") for p in some.pairs}, key=lambda end: (end[1], end[0]))
    late = sorted({_end(p, "late") for p in some.pairs}, key=lambda end: (end[1], end[0]))
    early_at = {end[:2]: i for i, end in enumerate(early)}
    late_at = {end[:2]: i for i, end in enumerate(late)}
    ranks = {p["rank"]: i for i, p in enumerate(some.pairs)}
    names, data = view.names, view.data
    expected = [
        [sooner, later]
        for later in sorted({end[1] for end in late})
        for sooner in sorted({end[1] for end in early})
        if some.kind == "latents" and data.expects(sooner, later)
    ]
    title = say.title(names, some)
    columns = _axis(early, lambda *end: names.early(data, _pair("early", end), some.early))
    rows = _axis(late, lambda *end: names.late(data, _pair("late", end), some.late))
    return HEATMAP(
        title=title,
        v={"title": title, "n": len(some.pairs)},
        words=[view.token(position) for position in range(len(data.tokens))],
        names={"columns": columns[0], "rows": rows[0]},
        columns=columns[1],
        rows=rows[1],
        x=[early_at[_end(p, "early")[:2]] for p in some.pairs],
        y=[late_at[_end(p, "late")[:2]] for p in some.pairs],
        value=[p["gradient"] for p in some.pairs],
        column_values={"name": "activation", "values": [end[2] for end in early]},
        row_values={"name": "later activation", "values": [end[2] for end in late]},
        outlined=expected,
        one_by_one=some.kind == "logits",
        across=some.kind == "latents",
        more={
            "names": ["ablated: predicted", "ablated: measured"],
            "rows": [
                [ranks[rank], check["predicted"], check["measured"]]
                for rank, check in sorted(some.checks.items())
                if rank in ranks
            ],
        },
    )


def _axis(
    ends: list[tuple[int, int, float]], name: Callable[[int, int], Name]
) -> tuple[list[Block], list[list[int]]]:
    """The names of an axis, each once, and of each place on it the name and the position."""
    latents = {latent: position for latent, position, _ in reversed(ends)}
    places = {latent: place for place, latent in enumerate(sorted(latents))}
    cells = []
    for latent in places:
        cell = name(latent, latents[latent]).cell
        # The token of a place is among the words; a logit's own is not.
        fields = ("text", "href", "gloss", *(("token",) if cell["text"] == LOGIT else ()))
        cells.append({key: cell[key] for key in fields if key in cell})
    return cells, [[places[latent], position] for latent, position, _ in ends]


def _pair(side: str, end: tuple[int, int]) -> Record:
    return {f"{side}_latent": end[0], f"{side}_position": end[1]}


def _end(pair: Record, side: str) -> tuple[int, int, float]:
    return pair[f"{side}_latent"], pair[f"{side}_position"], pair[f"{side}_activation"]
