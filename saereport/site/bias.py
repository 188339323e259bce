"""The bias test on a page: a biased probe before and after, and the latents on which it leans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from saereport.run.bias import VARIANTS
from saereport.site import numbers
from saereport.site.blocks import Block, Cell
from saereport.site.context import ReportModel, SaeView
from saereport.site.mentions import example_cell, latent_cell
from saereport.site.panels.registry import Panel
from saereport.site.probing import share_cell
from saereport.util.visible import visible_text

FOLDER: Final = "bias"
INDEX: Final = f"{FOLDER}/index.html"
MOST_LATENTS: Final = 40
"""Latents of an SAE on the page."""
LABEL_LENGTH: Final = 80
"""Characters of a latent's label."""
DONE: Final = {
    "original": "nothing taken out",
    "judged": "judged latents taken out",
    "judged_mean": "judged latents held at their means",
    "retrained": "judged latents taken out, probe fitted again",
    "skyline": "latents of the attribute's probe taken out",
    "skyline_mean": "these held at their means",
    "random": "random latents taken out",
    "random_mean": "these held at their means",
    "balanced": "nothing taken out, probe fitted to balanced texts",
}
JUDGED: Final = {"": "", "list": "by the list", "label": "by its label"}

Row = Mapping[str, Any]


def is_tested(sae: SaeView) -> bool:
    """Whether the run holds the bias test of an SAE."""
    return "bias_scores" in sae.tables


def present(report: ReportModel) -> bool:
    """Whether the run holds that of any SAE."""
    return report.run.has("bias_groups") and any(map(is_tested, report.saes))


def panels(report: ReportModel) -> list[Panel]:
    """The panels of the page."""
    found = [
        Panel("texts", "Texts", ("bias_groups",), groups, wide=True),
        Panel("scores", "Before and after", ("bias_scores",), scores, wide=True),
    ]
    for place, sae in enumerate(report.saes):
        if "bias_latents" in sae.tables:
            build = partial(_latents, sae=sae)
            label = sae.info.label
            found.append(Panel(f"latents-{place}", label, ("bias_latents",), build, wide=True))
    return found


def _groups(report: ReportModel) -> list[Row]:
    rows: list[Row] = report.run.table("bias_groups").to_pylist()
    return rows


def groups(report: ReportModel) -> list[Block]:
    """The four groups, and what each is for."""
    held = _groups(report)
    rows: list[list[Cell]] = [
        [
            visible_text(row["label"]),
            visible_text(row["attribute"]),
            *(numbers.count(row[n]) for n in ("n_texts", "n_train", "n_balanced", "n_held_out")),
        ]
        for row in sorted(held, key=lambda row: (not row["concept"], not row["goes_along"]))
    ]
    label = next((visible_text(row["label"]) for row in held if row["concept"]), "the label")
    cut = held[0]["n_cut"]
    said = (
        f"A probe of '{label}' is fitted to texts in which an attribute goes along with the label, "
        "and tried on held-out texts of which each group has as many."
    )
    if cut:
        said += f" {numbers.plural(cut, 'text')} were cut after "
        said += f"{numbers.plural(held[0]['longest'], 'token')}."
    columns = ["label", "attribute", "texts", "the probe's", "balanced", "held out"]
    return [{"b": "table", "summary": said, "columns": columns, "rows": rows}]


def scores(report: ReportModel) -> list[Block]:
    """Accuracy and that of the worst group, for each SAE and what is taken out."""
    names = _group_names(_groups(report))
    rows: list[list[Cell]] = []
    for sae in filter(is_tested, report.saes):
        held = {r["variant"]: r for r in report.run.table("bias_scores", sae.info.slug).to_pylist()}
        for variant in VARIANTS:
            if variant in held:
                row = held[variant]
                first: Cell = {"text": sae.info.label, "href": report.home(sae.info.slug)}
                rows.append(
                    [
                        first,
                        DONE[variant],
                        numbers.count(row["n_latents"]),
                        share_cell(row, "accuracy"),
                        share_cell(row, "worst"),
                        *(f"{100 * one:.1f} %" for one in row["groups"]),
                    ]
                )
    columns = ["SAE", "what is done", "latents", "accuracy", "worst group", *names]
    said = (
        "On balanced held-out texts. Beside the figures stands their 95 % interval, by drawing "
        "texts anew within each group; with fewer than 10 of a group there is none."
    )
    return [{"b": "table", "summary": said, "columns": columns, "rows": rows}, *_left_out(report)]


def _left_out(report: ReportModel) -> list[Block]:
    lines = [
        f"{sae.info.label} is not tested: {visible_text(sae.info.left_out['bias_scores'])}."
        for sae in report.saes
        if "bias_scores" in sae.info.left_out
    ]
    return [{"b": "text", "lines": lines}] if lines else []


def _group_names(held: Sequence[Row]) -> list[str]:
    """The groups in the order in which scores have them."""
    names = {}
    for row in held:
        # The attribute that goes along with the label is also that of `goes_along` elsewhere.
        attribute = row["goes_along"] == row["concept"]
        pair = f"{visible_text(row['label'])}, {visible_text(row['attribute'])}"
        names[2 * row["concept"] + attribute] = pair
    return [names.get(place, f"group {place + 1}") for place in range(4)]


def _latents(report: ReportModel, sae: SaeView) -> list[Block]:
    rows: list[Row] = report.run.table("bias_latents", sae.info.slug).to_pylist()
    # Those that are judged come first: they are what the reader has to agree with.
    ordered = sorted(rows, key=lambda row: (not row["judged"], row["rank"] or len(rows) ** 9))
    labels = _labels(report, sae)
    shown = ordered[:MOST_LATENTS]
    has_labels = any(row["latent"] in labels for row in shown)
    table: Block = {
        "b": "table",
        "columns": [
            *("latent", "rank", "share of the gap", "effect", "on the attribute's probe"),
            *("judged irrelevant", *(["label"] if has_labels else []), "where it is strongest"),
        ],
        "rows": [
            [
                latent_cell(report, sae.info.slug, row["latent"]),
                numbers.count(row["rank"]) if row["rank"] else "–",
                numbers.percent(row["share"]) if row["share"] >= 0 else _negative(row["share"]),
                numbers.value(row["effect"]),
                numbers.value(row["attribute_effect"]),
                JUDGED[row["judged"]],
                *([labels.get(row["latent"], "")] if has_labels else []),
                example_cell(report, row["example"], row["peak"]),
            ]
            for row in shown
        ],
    }
    said = (
        "The gap is between the mean logits of the biased probe's two classes; a latent's effect "
        "is what taking it out takes from the gap."
    )
    if len(rows) > len(shown):
        said += f" The first {len(shown)} of {len(rows)} latents."
    return [{**table, "summary": said}]


def _negative(share: float) -> str:
    return f"{numbers.MINUS}{numbers.percent(-share)}"


def _labels(report: ReportModel, sae: SaeView) -> dict[int, str]:
    if "explanations" not in sae.tables:
        return {}
    found: dict[int, str] = {}
    for row in report.run.table("explanations", sae.info.slug).to_pylist():
        found.setdefault(row["latent"], visible_text(row["text"])[:LABEL_LENGTH])
    return found
