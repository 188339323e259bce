"""The page of one SAE: its facts, the table of its latents, their densities, and their map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from saereport.run import SaeInfo
from saereport.site import numbers
from saereport.site.blocks import Block, base, merged
from saereport.site.context import SaeView
from saereport.site.densities import PER_DECADE, densities
from saereport.site.jsonwriter import Exact
from saereport.site.latent_pages import IndexRow
from saereport.site.latent_summary import Fact
from saereport.site.neuronpedia import quick_lists
from saereport.site.quality import quality_facts

DENSITY = base(
    "sae.density",
    b="bars",
    title="Density of the latents",
    summary="Histogram of log10 density: {n} latents of the SAE were active at least once, "
    "{chosen} of them shown here; half of the active ones have a density below {median}.",
    log="y",
    views=[
        {
            "label": "",
            "columns": ["density from", "to", "latents", "shown here"],
            "data": [
                {"type": "bar", "meta": "quiet", "name": "all latents", "hoverinfo": "none"},
                {"type": "bar", "meta": "accent", "name": "shown here", "hoverinfo": "none"},
            ],
            "layout": {
                "barmode": "overlay",
                "bargap": 0.06,
                "xaxis": {"title": {"text": "density"}, "tickmode": "array"},
                "yaxis": {"title": {"text": "latents"}, "rangemode": "tozero"},
            },
        }
    ],
)
L0 = base(
    "sae.l0",
    b="bars",
    title="Active latents per token (L0)",
    summary="Histogram of the number of active latents per counted token; the mean is {mean}.",
    log="y",
    views=[
        {
            "label": "",
            "columns": ["from", "to", "tokens"],
            "data": [{"type": "bar", "meta": "accent", "hoverinfo": "none"}],
            "layout": {
                "bargap": 0.06,
                "xaxis": {"title": {"text": "active latents"}, "rangemode": "tozero"},
                "yaxis": {"title": {"text": "tokens"}, "rangemode": "tozero"},
            },
        }
    ],
)


@dataclass(frozen=True)
class ServerFigure:
    """A figure of the page with the text and the table that are in the HTML."""

    name: str
    title: str
    summary: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    block: Block


def later_writes(info: SaeInfo) -> str:
    """To how many further layers a layer of a cross-layer transcoder writes, in words."""
    n = len(info.also_writes)
    return f"and to {numbers.plural(n, 'later MLP')}" if n else ""


def facts(sae: SaeView) -> list[Fact]:
    """What this SAE is, in one strip."""
    info, text = sae.info, sae.report.info.text
    noun, dimensions = "transcoder" if info.is_transcoder else "SAE", f"from {info.d_in} dimensions"
    # What an imported run does not know is 0 or empty, and is not shown as if it were measured.
    counted = "tokens counted: not given"
    if text.n_counted:
        counted = f"{numbers.count(text.n_counted)} tokens counted"
    if text.chat_template is not None:
        counted += " in conversations by the chat template"
    rows = [
        Fact("Model", sae.report.info.model.name or "not given"),
        *([Fact("Reads", info.hook_in)] if info.hook_in else []),
        *([Fact("Writes", info.hook_out, later_writes(info))] if info.is_transcoder else []),
        *([Fact("Architecture", info.architecture, noun)] if info.architecture else []),
        *([Fact("Width", numbers.count(info.d_sae), dimensions)] if info.d_sae else []),
        Fact("Text", text.name or "not given", counted),
    ]
    if info.l0 is not None:
        rows.append(Fact("L0", numbers.value(info.l0.mean), "active per token"))
    if info.n_dead is not None and info.dead_share is not None:
        share = numbers.percent(info.dead_share)
        rows.append(Fact("Dead on this text", share, numbers.plural(info.n_dead, "latent")))
    rows += quality_facts(sae.report.run, info.slug)
    rows.append(Fact("Shown", numbers.count(info.n_chosen), info.selection.replace(",", ", ")))
    return rows


def figures(sae: SaeView) -> list[ServerFigure]:
    """The distributions over the whole SAE."""
    result = [_server_figure("density", density_block(sae), _density_rows(sae))]
    block = l0_block(sae)
    if block is not None and sae.info.l0 is not None:
        width = sae.info.l0.width
        table = tuple(
            (str(i * width), str((i + 1) * width - 1), numbers.count(n))
            for i, n in enumerate(sae.info.l0.histogram)
            if n
        )
        result.append(_server_figure("l0", block, table))
    return [figure for figure in result if figure.rows]


def l0_block(sae: SaeView) -> Block | None:
    """The histogram of active latents a token; None where it was not measured."""
    l0 = sae.info.l0
    if l0 is None or not l0.histogram:
        return None
    counts = list(l0.histogram)
    return L0(
        v={"mean": numbers.value(l0.mean)},
        views=[{"data": [{"x0": Exact((l0.width - 1) / 2), "dx": l0.width, "y": counts}]}],
    )


def density_block(sae: SaeView) -> Block:
    """The histogram of log10 density."""
    spread = densities(sae)
    n, low, high = len(spread.counts), spread.low, spread.low + len(spread.counts) - 1
    decades = list(range(-(-low // PER_DECADE), high // PER_DECADE + 2)) if n else []
    return DENSITY(
        v={
            "n": numbers.count(spread.n_active),
            "chosen": numbers.count(spread.n_shown),
            "median": numbers.percent(spread.median) if spread.n_active else "0 %",
        },
        views=[
            {
                "data": [
                    {"x0": low, "dx": 1, "y": spread.counts},
                    {"x0": low, "dx": 1, "y": spread.shown},
                ],
                "decades": PER_DECADE,
                "layout": {
                    "xaxis": {
                        "tickvals": [PER_DECADE * d - 0.5 for d in decades],
                        "ticktext": [_decade(d) for d in decades],
                    }
                },
            }
        ],
    )


def _density_rows(sae: SaeView) -> tuple[tuple[str, ...], ...]:
    spread = densities(sae)
    return tuple(
        (
            numbers.value(10 ** ((spread.low + i) / PER_DECADE)),
            numbers.value(10 ** ((spread.low + i + 1) / PER_DECADE)),
            numbers.count(spread.counts[i]),
            numbers.count(spread.shown[i]),
        )
        for i in range(len(spread.counts))
        if spread.counts[i]
    )


def _decade(power: int) -> str:
    return f"{100 * 10.0**power:g} %"


def _server_figure(name: str, block: Block, rows: tuple[tuple[str, ...], ...]) -> ServerFigure:
    whole = merged(block)
    return ServerFigure(
        name=name,
        title=whole["title"],
        summary=whole["summary"].format(**whole["v"]),
        columns=tuple(whole["views"][0]["columns"]),
        rows=rows,
        block=block,
    )


@dataclass(frozen=True)
class TableRow:
    """One latent's row in the HTML of the table."""

    latent: int
    href: str
    density: str
    maximum: str
    score: str
    tokens: tuple[str, ...]
    logits: tuple[str, ...]
    label: str
    blind: bool

    @property
    def numbers(self) -> tuple[str, str, str, str]:
        """What is lined up with the other rows, behind the name of the row."""
        return str(self.latent), self.density, self.maximum, self.score


def table_rows(sae: SaeView, rows: list[IndexRow]) -> list[TableRow]:
    """Rows of the table that are in the HTML itself; the script makes the others."""
    words = sae.report.vocabulary
    return [
        TableRow(
            latent=row.latent,
            href=f"{sae.info.slug}/{sae.shards.address(row.latent)}",
            density="–" if row.density == 0 < row.maximum else numbers.percent(row.density),
            maximum=numbers.value(row.maximum),
            score="–" if row.score is None else numbers.value(row.score),
            tokens=tuple(words[t] for t in row.tokens),
            logits=tuple(words[t] for t in row.logits),
            label=row.label,
            blind=row.blind,
        )
        for row in rows
    ]


MOST_LISTED = 3000
"""Latents in quick lists: a list's address names each, so those of 25,000 have 2.4 MB."""


def lists_on_neuronpedia(sae: SaeView) -> tuple[list[tuple[str, str]], int]:
    """Quick lists of the latents that are shown, without those that are blinded.

    Returns:
        Captions with addresses, and how many more latents are in no list.
    """
    name = f"{sae.info.label}, {sae.report.info.title}"
    blind = sae.report.blind
    open_ = [i for i in sae.shards.latents if (sae.info.slug, i) not in blind]
    lists = quick_lists(name, sae.info.neuronpedia_id, open_[:MOST_LISTED])
    return lists, max(0, len(open_) - MOST_LISTED)


def index_head(sae: SaeView, figures: list[ServerFigure]) -> dict[str, Any]:
    """What the data script of the table says before its rows."""
    return {
        "sae": sae.info.slug,
        "figures": {figure.name: figure.block for figure in figures},
        "has_map": "geometry" in sae.tables,
    }
