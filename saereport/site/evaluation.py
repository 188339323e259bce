"""Evaluation on pages: what each SAE is as a whole, and all SAEs of a report side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from saereport.run import TABLES
from saereport.run.figures import SMALL_GAP, Figure, figures_of
from saereport.site import numbers, sparsity, weights
from saereport.site.blocks import Block, Cell
from saereport.site.context import ReportModel, SaeView
from saereport.site.densities import Dense, dense
from saereport.site.panels.registry import Panel
from saereport.site.quality import FiguresTable, QualityCell, cell_of, quality
from saereport.site.sae_page import density_block, l0_block

FOLDER: Final = "evaluation"
INDEX: Final = f"{FOLDER}/index.html"

TABLE_NAMES: Final = ("sae_metrics", "sae_activity", weights.TABLE)
"""Tables of which one is enough for a page."""

RECONSTRUCTION: Final = (
    ("explained variance", "explained_variance"),
    ("without the largest norms", "explained_variance_usual"),
    ("squared error", "mse"),
    ("cosine", "cosine"),
    ("L2 ratio", "l2_ratio"),
    ("L0", "l0"),
    ("L1", "l1"),
)
PREDICTION: Final = (
    ("share recovered", "ce_recovered"),
    ("of mean ablation", "ce_recovered_mean"),
    ("added by the SAE", "ce_added_spliced"),
    ("by zero ablation", "ce_added_zero"),
    ("by mean ablation", "ce_added_mean"),
    ("KL with the SAE", "kl_spliced"),
    ("KL recovered", "kl_recovered"),
)
"""Columns of the tables over all SAEs, and the figures in them."""


def page_of(slug: str) -> str:
    """Path of the page with the evaluation of an SAE."""
    return f"{FOLDER}/of-{slug}.html"


def is_evaluated(sae: SaeView) -> bool:
    """Whether there is something to say of an SAE as a whole."""
    return any(name in sae.tables for name in TABLE_NAMES)


def present(report: ReportModel) -> bool:
    """Whether that is so for any SAE."""
    return any(map(is_evaluated, report.saes))


def version_note(*tables: str) -> str:
    """Which definitions figures follow: `sae_metrics, version 2`."""
    return ", ".join(f"{name}, version {TABLES[name].version}" for name in tables)


# ---- one SAE


def sae_panels(sae: SaeView) -> list[Panel]:
    """The panels of the page of one SAE."""
    return [
        Panel("figures", "How well it reconstructs", ("sae_metrics",), figures_blocks, wide=True),
        Panel("densities", "How often its latents are active", ("sae_activity",), density_blocks),
        Panel("active", "How many are active on a token", ("sae_activity",), l0_blocks),
        Panel("sparsity", "As often as it says itself", (sparsity.TABLE,), sparsity.blocks),
        Panel("weights", "How their weights differ", (weights.TABLE,), weights.blocks, wide=True),
    ]


def figures_blocks(sae: SaeView) -> list[Block]:
    """The figures with their intervals, and what a reader should know to read them."""
    found = quality(sae)
    said = found.summary
    if not found.tables:
        return [{"b": "text", "text": said}]
    activations, predictions, recovered = found.tables
    said = said.replace("Below each", "Beside each")
    said += f" Defined as on the methods page ({version_note('sae_metrics')})."
    return [
        {"b": "text", "text": said},
        {"b": "grid", "blocks": [_table(activations), _table(recovered)]},
        _table(predictions),
        *({"b": "text", "text": note} for note in found.notes),
    ]


def _table(table: FiguresTable) -> Block:
    return {
        "b": "table",
        "title": table.title,
        "columns": [table.corner, *table.columns],
        "rows": [[row.name, *map(_cell, row.cells)] for row in table.rows],
    }


def _cell(cell: QualityCell) -> Cell:
    return {"text": cell.value, "gloss": cell.interval} if cell.interval else cell.value


def density_blocks(sae: SaeView) -> list[Block]:
    """Shares of latents by how often they are active, and the distribution of log10 density."""
    found = dense(sae)
    if found is None:
        return []
    return [_shares(found), density_block(sae)]


def _shares(found: Dense) -> Block:
    rows = (
        ("never active", found.dead, f"on {numbers.plural(found.n_tokens, 'counted token')}"),
        ("on more than 1 % of tokens", found.above_1, ""),
        ("on more than 10 %", found.above_10, ""),
    )
    return {
        "b": "facts",
        "names": [name for name, _, _ in rows],
        "values": [numbers.percent(n / found.n) for _, n, _ in rows],
        "notes": [
            "; ".join(filter(None, (f"{numbers.count(n)} of {numbers.count(found.n)}", note)))
            for _, n, note in rows
        ],
    }


def l0_blocks(sae: SaeView) -> list[Block]:
    """The histogram of the number of active latents, where it was measured."""
    block = l0_block(sae)
    return [block] if block else []


# ---- all SAEs


def comparing_panels(report: ReportModel) -> list[Panel]:
    """The panels of the page that compares the SAEs of a report."""
    return [
        Panel("trade", "Sparse, and how good", ("sae_metrics",), trade, wide=True),
        *(
            Panel(name, title, ("sae_metrics",), partial(compared, columns=columns), wide=True)
            for name, title, columns in (
                ("reconstruction", "Reconstruction", RECONSTRUCTION),
                ("prediction", "Next-token predictions, in nats", PREDICTION),
            )
        ),
        Panel("densities", "Densities", ("sae_activity",), densities_compared, wide=True),
        Panel("weights", "Weights", (weights.TABLE,), weights_compared, wide=True),
    ]


def _measured(report: ReportModel) -> list[tuple[SaeView, dict[str, Figure]]]:
    found = [(sae, figures_of(report.run, sae.info.slug)) for sae in report.saes]
    return [(sae, figures) for sae, figures in found if figures]


def _named(sae: SaeView) -> Cell:
    return {"text": sae.info.label, "href": page_of(sae.info.slug)}


def trade(report: ReportModel) -> list[Block]:
    """Explained variance and recovered cross-entropy over L0, a point for each SAE."""
    measured = _measured(report)
    blocks = []
    for name, title, key in (
        ("explained variance", "Explained variance over L0", "explained_variance"),
        ("cross-entropy recovered", "Cross-entropy recovered over L0", "ce_recovered"),
    ):
        points = [
            (sae.info.label, figures["l0"].value, figures[key].value)
            for sae, figures in measured
            if "l0" in figures and key in figures
        ]
        if points:
            blocks.append(_scatter(title, name, points))
    return [{"b": "grid", "blocks": blocks}] if blocks else []


def _scatter(title: str, name: str, points: Sequence[tuple[str, float, float]]) -> Block:
    best = max(points, key=lambda point: point[2])
    return {
        "b": "scatter",
        "title": title,
        "x": "L0",
        "y": name,
        "named": True,
        "summary": "A point for each SAE: active latents a token, and {name}. The largest is "
        "{value}, of {sae}.",
        "v": {"name": name, "value": best[2], "sae": best[0]},
        "series": [{"name": label, "role": "accent", "points": [[x, y]]} for label, x, y in points],
    }


def compared(report: ReportModel, columns: Sequence[tuple[str, str]]) -> list[Block]:
    """Figures of all SAEs: a row for each of these, a column for each of those."""
    measured = _measured(report)
    if not measured:
        return []
    cells = [_cells(figures, columns) for _, figures in measured]
    rows = [[_named(sae), *found] for (sae, _), found in zip(measured, cells, strict=True)]
    blocks: list[Block] = [
        {
            "b": "table",
            "summary": _over([figures for _, figures in measured]),
            "columns": ["SAE", *(name for name, _ in columns)],
            "rows": rows,
        }
    ]
    if columns is PREDICTION and (note := _small_gaps(measured)):
        blocks.append({"b": "text", "text": note})
    return blocks


def _cells(figures: dict[str, Figure], columns: Sequence[tuple[str, str]]) -> list[Cell]:
    return [_cell(cell_of(figures, key)) for _, key in columns]


def _over(measured: Sequence[dict[str, Figure]]) -> str:
    found = [
        figures["explained_variance"] for figures in measured if "explained_variance" in figures
    ]
    if not found:
        return f"{version_note('sae_metrics')}."
    first = found[0]
    said = (
        f"Over the first {numbers.plural(first.n_tokens, 'counted token')} of the text, in "
        f"{numbers.plural(first.n_sequences, 'sequence')}"
    )
    if any(one.interval for one in found):
        said += "; beside each figure its 95 % interval, by drawing the sequences anew"
    return f"{said} ({version_note('sae_metrics')})."


def _small_gaps(measured: Sequence[tuple[SaeView, dict[str, Figure]]]) -> str:
    """Of which SAEs the share recovered means little, in a sentence; empty where of none."""
    names = [
        sae.info.label
        for sae, figures in measured
        if any(
            name in figures and figures[name].value < SMALL_GAP
            for name in ("ce_added_zero", "ce_added_mean")
        )
    ]
    if not names:
        return ""
    return (
        f"Where ablation adds less than {SMALL_GAP} nats, a share recovered of so little means "
        f"little: {', '.join(names)}. Read what the SAE adds in nats, and KL divergence."
    )


def densities_compared(report: ReportModel) -> list[Block]:
    """Shares of latents of every SAE by how often they are active."""
    rows: list[list[Cell]] = []
    for sae in report.saes:
        found = dense(sae)
        if found is not None:
            shares = (found.dead, found.above_1, found.above_10)
            mean = numbers.value(sae.info.l0.mean) if sae.info.l0 else "–"
            rows.append(
                [
                    _named(sae),
                    numbers.count(found.n),
                    mean,
                    *(numbers.percent(n / found.n) for n in shares),
                    numbers.value(found.median_log10),
                ]
            )
    if not rows:
        return []
    return [
        {
            "b": "table",
            "summary": f"Over the whole text ({version_note('sae_activity')}).",
            "columns": [
                *("SAE", "latents", "L0", "never active", "> 1 % of tokens", "> 10 %"),
                "median log10 density",
            ],
            "rows": rows,
        }
    ]


def weights_compared(report: ReportModel) -> list[Block]:
    """How the weights of every SAE's latents are distributed."""
    return weights.compared([(sae, _named(sae)) for sae in report.saes])
