"""Capability tests on pages: figures with intervals, and prompts with what follows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from saereport.run.capability import ALL, RUNS, Scores, scores_of, sets_in_order
from saereport.run.figures import FEWEST_SEQUENCES, Figure
from saereport.site import numbers
from saereport.site.blocks import Block, Cell
from saereport.site.context import ReportModel, SaeView
from saereport.site.panels.registry import Panel
from saereport.util.visible import SPACE, visible_text

FOLDER: Final = "capability"
INDEX: Final = f"{FOLDER}/index.html"
MOST_PROMPTS: Final = 100
"""Prompts of a set on a page."""

RUN_NAMES: Final = {"original": "model", "spliced": "with the SAE", "zero": "zero ablation"}
SET_NAMES: Final = {
    ALL: "All prompts",
    "indirect_objects": "Indirect objects",
    "capitals": "Capitals",
    "induction": "Induction",
    "agreement": "Subject-verb agreement",
    "greater_than": "Greater-than",
}
METRIC_NAMES: Final = {
    "accuracy": "Accuracy: share of prompts on which the answer is preferred",
    "first": "Share of prompts on which the answer is the most likely next token",
    "logit_difference": "Logit difference: answer minus wrong answer, mean over prompts",
}


def page_of(slug: str) -> str:
    """Path of the page with the prompts of an SAE's tests."""
    return f"{FOLDER}/of-{slug}.html"


def is_tested(sae: SaeView) -> bool:
    """Whether the run holds capability tests of an SAE."""
    return {"capability_sets", "capability_prompts"} <= sae.tables


def present(report: ReportModel) -> bool:
    """Whether the run holds some of any SAE."""
    return any(map(is_tested, report.saes))


def set_name(name: str) -> str:
    """A set's name as a heading; a user's own as it is written."""
    return SET_NAMES.get(name) or visible_text(name)


def shown_sets(report: ReportModel, slug: str) -> list[str]:
    """The sets in their order, with that of all prompts behind several."""
    found = sets_in_order(report.run, slug)
    return [*found, ALL] if len(found) > 1 else found


def figure_cell(figure: Figure | None) -> Cell:
    """A figure with its interval, both with two decimals."""
    if figure is None:
        return "–"
    if figure.interval is None:
        return {"text": _fixed(figure.value)}
    return {"text": _fixed(figure.value), "gloss": " to ".join(map(_fixed, figure.interval))}


def _fixed(number: float) -> str:
    text = f"{number:,.2f}"
    return ("0.00" if text == "-0.00" else text).replace("-", numbers.MINUS)


# ---- one SAE as a whole


def panel_of(sae: SaeView) -> list[Panel]:
    """The panel of an SAE's page; none where the report has no capability tests."""
    if not present(sae.report):
        return []
    return [Panel("capability", "Capability tests", ("capability_sets",), summary, wide=True)]


def summary(sae: SaeView) -> list[Block]:
    """Accuracy and logit difference by set, for the model, with the SAE, and zero ablation."""
    if not is_tested(sae):
        reason = sae.info.left_out.get("capability_sets", "the run does not hold it")
        return [{"b": "text", "text": f"Not measured: {visible_text(reason)}."}]
    scores, sets = scores_of(sae.report.run, sae.info.slug), shown_sets(sae.report, sae.info.slug)
    tables = [
        {
            "b": "table",
            "title": METRIC_NAMES[metric],
            "columns": ["set", "prompts", *RUN_NAMES.values()],
            "rows": [
                [
                    {"text": set_name(name), "href": page_of(sae.info.slug)},
                    numbers.count(scores[name, "original", metric].n_sequences),
                    *(figure_cell(scores.get((name, run, metric))) for run in RUNS),
                ]
                for name in sets
                if (name, "original", metric) in scores
            ],
        }
        for metric in ("accuracy", "logit_difference")
    ]
    return [{"b": "text", "text": how(scores)}, *(table for table in tables if table["rows"])]


def how(scores: Scores) -> str:
    """What stands below the figures, in a sentence."""
    few = [figure.n_sequences for figure in scores.values() if figure.interval is None]
    said = "Beside each figure stands its 95 % interval, by drawing the prompts anew."
    if few and min(few) < FEWEST_SEQUENCES:
        said += f" Fewer than {FEWEST_SEQUENCES} prompts are too few for one."
    return said


# ---- the prompts of one SAE


def prompt_panels(sae: SaeView) -> Iterable[Panel]:
    """A panel for each set of prompts."""
    rows = sae.report.run.table("capability_prompts", sae.info.slug).to_pylist()
    by_set: dict[str, dict[int, dict[str, Mapping[str, Any]]]] = {}
    for row in sorted(rows, key=lambda row: row["number"]):
        by_set.setdefault(row["set"], {}).setdefault(row["number"], {})[row["run"]] = row
    for place, (name, prompts) in enumerate(by_set.items()):
        build = partial(_prompt_blocks, prompts=[*prompts.values()])
        yield Panel(f"set-{place}", set_name(name), ("capability_prompts",), build, wide=True)


def _prompt_blocks(sae: SaeView, prompts: Sequence[dict[str, Mapping[str, Any]]]) -> list[Block]:
    shown = prompts[:MOST_PROMPTS]
    report, some = sae.report, [next(iter(runs.values())) for runs in shown]
    against = any(row["wrong"] >= 0 for row in some)
    columns = ["prompt", "answer", *(["wrong"] if against else []), *RUN_NAMES.values()]
    rows: list[list[Cell]] = []
    for row, runs in zip(some, shown, strict=True):
        gloss = {"gloss": visible_text(row["note"])} if row["note"] else {}
        cells: list[Cell] = [{"text": _text(report, row), **gloss}, _token(report, row["answer"])]
        cells += [_token(report, row["wrong"])] if against else []
        cells += [_found(runs[run]) if run in runs else "–" for run in RUNS]
        rows.append(cells)
    said = "The rank of the answer among the next tokens; beside it its probability"
    said += ", and its logit minus that of the wrong answer." if against else "."
    if len(prompts) > len(shown):
        said += f" The first {len(shown)} of {numbers.plural(len(prompts), 'prompt')}."
    table = {"b": "table", "summary": said, "columns": columns, "rows": rows}
    return [table, _next_tokens(report, shown)]


def _next_tokens(report: ReportModel, prompts: Sequence[dict[str, Mapping[str, Any]]]) -> Block:
    """The most likely next tokens in every run, behind a line that unfolds them."""
    rows = [
        [_text(report, row) if place == 0 else "", RUN_NAMES[run], _listed(report, row)]
        for runs in prompts
        for place, (run, row) in enumerate((run, runs[run]) for run in RUNS if run in runs)
    ]
    return {
        "b": "table",
        "fold": {"title": "Most likely next tokens", "note": "each with its logit and probability"},
        "columns": ["prompt", "run", "next tokens"],
        "rows": rows,
    }


def _listed(report: ReportModel, row: Mapping[str, Any]) -> str:
    names = ("next_tokens", "next_logits", "next_probabilities")
    return " · ".join(
        f"{report.vocabulary[token]} {numbers.value(logit)} ({numbers.percent(share)})"
        for token, logit, share in zip(*(row[name] for name in names), strict=True)
    )


def _text(report: ReportModel, row: Mapping[str, Any]) -> str:
    """A prompt as text to be read, without BOS and the like; its spaces are plain ones."""
    tokens = [token for token in row["tokens"] if token not in report.vocabulary.special]
    shown = "".join(text for _, _, text in report.vocabulary.running(tokens))
    return shown.replace(SPACE, " ").strip()


def _token(report: ReportModel, token: int) -> Cell:
    return {"text": "", "token": report.vocabulary[token]} if token >= 0 else "–"


def _found(row: Mapping[str, Any]) -> Cell:
    """The answer's rank, with its probability and, where there is one, the logit difference."""
    beside = [numbers.percent(row["probability"]), *map(_fixed, row["difference"])]
    return {"text": numbers.count(row["rank"]), "gloss": "; ".join(beside)}


# ---- all SAEs


def comparing_panels(report: ReportModel) -> list[Panel]:
    """The panels of the page that compares the SAEs of a report."""
    return [
        Panel(name, title, ("capability_sets",), build, wide=True)
        for name, title, build in (
            ("change", "What the SAEs change", change),
            ("accuracy", "Accuracy", partial(compared, metric="accuracy")),
            ("first", "Answer first", partial(compared, metric="first")),
            ("difference", "Logit difference", partial(compared, metric="logit_difference")),
        )
    ]


def _tested(report: ReportModel) -> list[tuple[SaeView, Scores]]:
    return [(sae, scores_of(report.run, sae.info.slug)) for sae in report.saes if is_tested(sae)]


def compared(report: ReportModel, metric: str) -> list[Block]:
    """One metric: a row for the model and for each SAE spliced in, a column for each set."""
    tested = _tested(report)
    sets = shown_sets(report, tested[0][0].info.slug)
    sets = [name for name in sets if (name, "original", metric) in tested[0][1]]
    if not sets:
        return []

    def row(scores: Scores, run: str, first: Cell) -> list[Cell]:
        return [first, *(figure_cell(scores.get((name, run, metric))) for name in sets)]

    rows = [row(tested[0][1], "original", "the model itself")]
    for sae, scores in tested:
        name = {"text": sae.info.label, "href": page_of(sae.info.slug)}
        rows.append(row(scores, "spliced", name))
        rows.append(row(scores, "zero", f"{sae.info.label}: zero ablation"))
    said = f"{METRIC_NAMES[metric]}. {how(tested[0][1])}"
    columns = ["SAE", *map(set_name, sets)]
    return [{"b": "table", "summary": said, "columns": columns, "rows": rows}]


def change(report: ReportModel) -> list[Block]:
    """Accuracy and logit difference with each SAE, less those of the model, as a heatmap."""
    tested = _tested(report)
    views = []
    for label, metric in (("accuracy", "accuracy"), ("logit difference", "logit_difference")):
        sets = shown_sets(report, tested[0][0].info.slug)
        sets = [name for name in sets if (name, "original", metric) in tested[0][1]]
        z = [[_change(scores, name, metric) for name in sets] for _, scores in tested]
        if sets:
            rows = [sae.info.label for sae, _ in tested]
            columns = [set_name(name) for name in sets]
            views.append({"label": label, "rows": rows, "columns": columns, "z": z})
    return [
        {
            "b": "heatmap",
            "choice": "of which figure",
            "summary": "With the SAE's reconstruction spliced in, minus the model itself: what is "
            "below 0 the reconstruction loses.",
            "views": views,
        }
    ]


def _change(scores: Scores, name: str, metric: str) -> float | None:
    pair = [scores.get((name, run, metric)) for run in ("spliced", "original")]
    return None if None in pair else pair[0].value - pair[1].value  # type: ignore[union-attr]
