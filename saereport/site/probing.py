"""Sparse probing on pages: how well a few latents carry a concept, and which these are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from saereport.run.probing import ALL
from saereport.site import numbers
from saereport.site.blocks import Block, Cell
from saereport.site.context import ReportModel, SaeView
from saereport.site.mentions import example_cell, latent_cell
from saereport.site.panels.registry import Panel
from saereport.util.visible import visible_text

FOLDER: Final = "probing"
INDEX: Final = f"{FOLDER}/index.html"
MOST_LATENTS: Final = 20
"""Latents of a concept on a page."""
POOLED: Final = {"mean": "mean over the text", "max": "maximum over the text"}
PROBES: Final = {
    "activations": "all activations",
    "majority": "commoner class",
    "shuffled": "labels shuffled",
}
METRIC_NAMES: Final = {"accuracy": "accuracy", "balanced": "balanced accuracy", "auc": "AUC"}

Row = Mapping[str, Any]


def page_of(slug: str) -> str:
    """Path of the page with the latents of an SAE's probes."""
    return f"{FOLDER}/of-{slug}.html"


def is_probed(sae: SaeView) -> bool:
    """Whether the run holds probes of an SAE."""
    return {"probing_scores", "probing_latents"} <= sae.tables


def present(report: ReportModel) -> bool:
    """Whether the run holds some of any SAE."""
    return report.run.has("probing_tasks") and any(map(is_probed, report.saes))


def tasks_of(report: ReportModel) -> list[Row]:
    """The rows of `probing_tasks`."""
    rows: list[Row] = report.run.table("probing_tasks").to_pylist()
    return rows


def concept_name(row: Row) -> str:
    """A concept as a heading: `demo: speech`, or `pos` where its file is called so."""
    task, concept = visible_text(row["task"]), visible_text(row["concept"])
    return concept if task == concept else f"{task}: {concept}"


def share_cell(row: Row | None, metric: str) -> Cell:
    """A score with its interval, both in percent with one decimal."""
    if row is None:
        return "–"
    ends = row[f"{metric}_interval"]
    text = f"{100 * row[metric]:.1f} %"
    if len(ends) != 2:
        return {"text": text}
    return {"text": text, "gloss": f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"}


def _scores(report: ReportModel, slug: str) -> list[Row]:
    rows: list[Row] = report.run.table("probing_scores", slug).to_pylist()
    return rows


def _of(rows: Iterable[Row], task: Row) -> list[Row]:
    """The rows about a concept."""
    return [r for r in rows if (r["task"], r["concept"]) == (task["task"], task["concept"])]


# ---- all SAEs


def comparing_panels(report: ReportModel) -> list[Panel]:
    """The panels of the page that compares the SAEs of a report."""
    panels = [
        Panel("all", "All concepts", ("probing_scores", "probing_tasks"), over_all, wide=True)
    ]
    for place, task in enumerate(tasks_of(report)):
        build = partial(_concept_blocks, task=task)
        name = concept_name(task)
        panels.append(Panel(f"concept-{place}", name, ("probing_scores",), build, wide=True))
    return panels


def over_all(report: ReportModel) -> list[Block]:
    """What the texts are, accuracy as a heatmap, and the means over all concepts."""
    tasks = tasks_of(report)
    probed = [(sae, _scores(report, sae.info.slug)) for sae in report.saes if is_probed(sae)]
    views = [
        {
            "label": POOLED[pooling],
            "rows": [sae.info.label for sae, _ in probed],
            "columns": [concept_name(task) for task in tasks],
            "z": [[_lost(_of(rows, task), pooling) for task in tasks] for _, rows in probed],
        }
        for pooling in _poolings(rows for _, rows in probed)
    ]
    drawn: Block = {
        "b": "heatmap",
        "choice": "how latents are pooled",
        "summary": "Held-out accuracy of the probe on the most latents, minus that of a probe on "
        "all activations at the same place: what is near 0, a few latents carry.",
        "views": views,
    }
    return [_about(tasks), drawn, _means(probed)]


def _poolings(tables: Iterable[Sequence[Row]]) -> list[str]:
    held = {row["pooling"] for rows in tables for row in rows}
    return [name for name in POOLED if name in held]


def _last(rows: Iterable[Row], probe: str, pooling: str) -> Row | None:
    """The row of a kind of probe on the most latents."""
    mine = [r for r in rows if (r["probe"], r["pooling"]) == (probe, pooling)]
    return max(mine, key=lambda row: row["k"], default=None)


def _lost(rows: Sequence[Row], pooling: str) -> float | None:
    mine, raw = (_last(rows, probe, pooling) for probe in ("latents", "activations"))
    return None if mine is None or raw is None else mine["accuracy"] - raw["accuracy"]


def _about(tasks: Sequence[Row]) -> Block:
    rows: list[list[Cell]] = [
        [
            concept_name(task),
            visible_text(task["against"]),
            numbers.count(task["n_with"]),
            numbers.count(task["n_without"]),
            numbers.count(task["n_held_out"]),
            _aside(task),
        ]
        for task in tasks
    ]
    return {
        "b": "table",
        "summary": "A probe is fitted to some latents on the training texts, and tried on the "
        "texts that were held out.",
        "columns": ["concept", "against", "texts with", "without", "held out", "cut or left out"],
        "rows": rows,
    }


def _aside(task: Row) -> str:
    """What became of the texts that were not used as they are."""
    words = {
        "n_cut": f"cut after {numbers.plural(task['longest'], 'token')}",
        "n_duplicates": "there twice",
        "n_conflicting": "left out: two labels",
        "n_empty": "left out: no token that counts",
        "n_not_drawn": "not drawn",
    }
    return "; ".join(
        f"{numbers.count(task[key])} {said}" for key, said in words.items() if task[key]
    )


def _means(probed: Sequence[tuple[SaeView, Sequence[Row]]]) -> Block:
    rows: list[list[Cell]] = []
    for sae, held in probed:
        mine = [row for row in held if row["task"] == ALL]
        for pooling in _poolings([mine]):
            cells = [
                share_cell(_last(mine, probe, pooling), metric)
                for metric in ("accuracy", "auc")
                for probe in ("latents", "activations")
            ]
            name: Cell = {"text": sae.info.label, "href": page_of(sae.info.slug)}
            rows.append([name, POOLED[pooling], *cells])
    return {
        "b": "table",
        "title": "Mean over all concepts",
        "columns": [
            *("SAE", "latents' activations", "accuracy, most latents", "all activations"),
            *("AUC, most latents", "all activations"),
        ],
        "rows": rows,
    }


def _concept_blocks(report: ReportModel, task: Row) -> list[Block]:
    tables: list[tuple[SaeView, list[Row]]] = [
        (sae, _of(_scores(report, sae.info.slug), task)) for sae in report.saes if is_probed(sae)
    ]
    ks = sorted({r["k"] for _, rows in tables for r in rows if r["probe"] == "latents"})
    found: list[Block] = []
    for metric in ("accuracy", "balanced", "auc"):
        rows = [
            _concept_row(sae, held, pooling, ks, metric)
            for sae, held in tables
            for pooling in _poolings([held])
        ]
        block: Block = {
            "b": "table",
            "columns": [
                *("SAE", "pooled"),
                *(numbers.plural(k, "latent") for k in ks),
                *PROBES.values(),
            ],
            "rows": rows,
        }
        title = METRIC_NAMES[metric]
        if metric == "accuracy":
            block["summary"] = _how(task)
        else:
            block["fold"] = {"title": title[0].upper() + title[1:], "note": "of the same probes"}
        found.append(block)
    return found if any(rows for _, rows in tables) else []


def _how(task: Row) -> str:
    n, m = task["n_held_out_with"], task["n_held_out"]
    said = (
        f"Accuracy on {numbers.plural(m, 'held-out text')}, of which {numbers.count(n)} have the "
        "label. Beside each figure stands its 95 % interval, by drawing held-out texts anew; of "
        "shuffled labels, the range of 20 shuffles."
    )
    if min(n, m - n) < 10:
        said += " Fewer than 10 texts of a class are too few for an interval."
    return said


def _concept_row(
    sae: SaeView, held: Sequence[Row], pooling: str, ks: Sequence[int], metric: str
) -> list[Cell]:
    by = {(r["probe"], r["k"]): r for r in held if r["pooling"] == pooling}
    name: Cell = {"text": sae.info.label, "href": page_of(sae.info.slug)}
    return [
        name,
        pooling,
        *(share_cell(by.get(("latents", k)), metric) for k in ks),
        *(share_cell(_last(held, probe, pooling), metric) for probe in PROBES),
    ]


# ---- the latents of one SAE


def latent_panels(sae: SaeView) -> Iterable[Panel]:
    """A panel for each concept."""
    rows: list[Row] = sae.report.run.table("probing_latents", sae.info.slug).to_pylist()
    for place, task in enumerate(tasks_of(sae.report)):
        mine = sorted(_of(rows, task), key=lambda row: row["rank"])
        if mine:
            build = partial(_latent_blocks, rows=mine)
            name = concept_name(task)
            yield Panel(f"concept-{place}", name, ("probing_latents",), build, wide=True)


def _latent_blocks(sae: SaeView, rows: Sequence[Row]) -> list[Block]:
    blocks: list[Block] = []
    for pooling in _poolings([rows]):
        mine = [row for row in rows if row["pooling"] == pooling]
        shown = mine[:MOST_LATENTS]
        said = f"The first {len(shown)} of {len(mine)}." if len(mine) > len(shown) else ""
        block: Block = {
            "b": "table",
            "columns": [
                *("latent", "weight", "mean with", "without"),
                *("active on, with", "without", "where it is strongest"),
            ],
            "rows": [_latent_row(sae, row) for row in shown],
        }
        if said:
            block["summary"] = said
        if blocks:
            block["fold"] = {"title": f"By the {POOLED[pooling]}", "note": "of the activation"}
        else:
            block["title"] = f"By the {POOLED[pooling]} of the activation"
        blocks.append(block)
    return blocks


def _latent_row(sae: SaeView, row: Row) -> list[Cell]:
    return [
        latent_cell(sae.report, sae.info.slug, row["latent"]),
        numbers.value(row["weight"]),
        numbers.value(row["with_concept"]),
        numbers.value(row["without_concept"]),
        numbers.percent(row["share_with"]),
        numbers.percent(row["share_without"]),
        example_cell(sae.report, row["example"], row["peak"]),
    ]


# ---- one SAE as a whole


def panel_of(sae: SaeView) -> list[Panel]:
    """The panel of an SAE's page; none where the report has no probes."""
    if not present(sae.report):
        return []
    return [Panel("probing", "Sparse probing", ("probing_scores",), summary, wide=True)]


def summary(sae: SaeView) -> list[Block]:
    """Accuracy by concept, on the most latents and on all activations."""
    if not is_probed(sae):
        reason = sae.info.left_out.get("probing_scores", "the run does not hold it")
        return [{"b": "text", "text": f"Not measured: {visible_text(reason)}."}]
    held, rows = _scores(sae.report, sae.info.slug), []
    for task in tasks_of(sae.report):
        mine = _of(held, task)
        for pooling in _poolings([mine])[:1]:
            own = [r for r in mine if (r["probe"], r["pooling"]) == ("latents", pooling)]
            single = min(own, key=lambda row: row["k"], default=None)
            most = _last(mine, "latents", pooling)
            name: Cell = {"text": concept_name(task), "href": page_of(sae.info.slug)}
            cells = [share_cell(row, "accuracy") for row in (single, most)]
            others = [share_cell(_last(mine, probe, pooling), "accuracy") for probe in PROBES]
            rows.append([name, pooling, *cells, *others])
    columns = ["concept", "pooled", "fewest latents", "most latents", *PROBES.values()]
    said = "Held-out accuracy of probes on labelled texts."
    return [{"b": "table", "summary": said, "columns": columns, "rows": rows}]
