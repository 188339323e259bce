"""The logit lens of whole dictionaries on pages: kinds of latents, and token sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from saereport.run.lens import (
    EXTREMES,
    HEAVY,
    KINDS,
    SIGNIFICANT,
    SKEWED,
    kinds_of,
    lens_figures,
    moments_of,
)
from saereport.site import numbers
from saereport.site.blocks import Block, Cell
from saereport.site.clouds import Axis, cloud, groups_of
from saereport.site.context import ReportModel, SaeView
from saereport.site.mentions import latent_cell
from saereport.site.panels.registry import Panel
from saereport.util.visible import visible_text

FOLDER: Final = "lens"
INDEX: Final = f"{FOLDER}/index.html"
MOST_ROWS: Final = 60
"""Latents in the heatmap of token sets."""
MOST_LABEL: Final = 80
MOST_TOKEN: Final = 24
"""Characters of a label and of a token, beside others."""
MOST_DRAWN: Final = 60_000
"""Latents in the plots; of more, evenly spaced ones."""
MOST_NOTED: Final = 3_000
"""Shown latents up to which each has its label and tokens at its point."""
UNIT: Final = 0.01
WIDE_RANGE: Final = 30.0
"""Largest by smallest from which on an axis is logarithmic."""
TOKENS_NAMED: Final = 3
"""Tokens beside a point, and of a latent in a list."""

SET_NAMES: Final = {
    "leading_space": "Leading space",
    "white_space": "White space",
    "digits": "Digits",
    "punctuation": "Punctuation, symbols",
    "capitalised": "Capitalised",
    "upper_case": "Upper case",
    "given_names": "Given names",
    "countries": "Countries",
    "pronouns": "Pronouns",
    "function_words": "Function words",
    "number_words": "Number words",
    "days": "Days of the week",
    "months": "Months",
    "latin": "Latin",
    "cyrillic": "Cyrillic",
    "greek": "Greek",
    "arabic": "Arabic",
    "hebrew": "Hebrew",
    "devanagari": "Devanagari",
    "bengali": "Bengali",
    "tamil": "Tamil",
    "telugu": "Telugu",
    "thai": "Thai",
    "armenian": "Armenian",
    "georgian": "Georgian",
    "ethiopic": "Ethiopic",
    "han": "Han (Chinese)",
    "kana": "Hiragana, katakana",
    "hangul": "Hangul",
    "part_of_a_character": "Parts of characters",
}
"""The built-in sets, in the order of pages."""

READING: Final = (
    "The logit lens gives every token of the vocabulary a number: how much the latent, when it is "
    "active, raises or lowers it directly. The shape of these numbers tells kinds of latents "
    "apart. Prediction: a few tokens far above the rest, so a large kurtosis and a positive "
    "skewness. Suppression: the same below the rest, with a negative skewness. Partition: one "
    "part of the vocabulary is moved against the other, so a large standard deviation, and a "
    "kurtosis below that of a normal distribution.",
    "Gurnee et al. (2024), 'Universal neurons in GPT2 language models', found these kinds among "
    "neurons and gave no thresholds. Those here are ours: excess kurtosis of at least "
    f"{HEAVY:g} with skewness of at least {SKEWED:g} to either side; excess kurtosis below 0 with "
    "a standard deviation above the median. They are a heuristic for where to look, not a finding.",
)


def page_of(slug: str) -> str:
    """Path of the page of an SAE's logit lens."""
    return f"{FOLDER}/of-{slug}.html"


def is_measured(sae: SaeView) -> bool:
    """Whether the run holds the logit lens of an SAE's dictionary."""
    return "lens_moments" in sae.tables


def present(report: ReportModel) -> bool:
    """Whether the run holds that of any SAE."""
    return any(map(is_measured, report.saes))


def set_name(name: str) -> str:
    """A set's name as a heading; a user's own as it is written."""
    return SET_NAMES.get(name) or visible_text(name)


def set_rows(report: ReportModel) -> list[dict[str, Any]]:
    """The rows of `token_sets`, the user's own first, then in the order of pages."""
    if not report.run.has("token_sets"):
        return []
    order = {name: place for place, name in enumerate(SET_NAMES)}
    rows: list[dict[str, Any]] = report.run.table("token_sets").to_pylist()
    return sorted(
        rows, key=lambda row: (not row["own"], order.get(row["set"], len(order)), row["set"])
    )


def token_words(report: ReportModel, tokens: Sequence[int]) -> str:
    """A few tokens in a row; a vocabulary can have some that are very long."""
    texts = (report.vocabulary[token] for token in tokens)
    return "  ".join(
        text if len(text) <= MOST_TOKEN else f"{text[: MOST_TOKEN - 1]}…" for text in texts
    )


# ---- one SAE


def panels_of(sae: SaeView) -> list[Panel]:
    """The panels of the page of an SAE."""
    return [
        Panel("shape", "The shape of every latent's lens", ("lens_moments",), shape, wide=True),
        *(
            Panel(kind, f"Towards {kind}", ("lens_extremes",), _extremes_of(kind), wide=True)
            for kind in KINDS
        ),
        Panel("latents", "Token sets by latent", ("token_set_scores",), heatmap, wide=True),
        Panel("sets", "Latents by token set", ("token_set_strongest",), strongest, wide=True),
    ]


def shape(sae: SaeView) -> list[Block]:
    """What the kinds are, and the linked plots."""
    columns = moments_of(sae.report.run, sae.info.slug)
    measured = columns["latent"].astype(np.int64)
    kinds = kinds_of(*(columns[name] for name in ("std", "skewness", "kurtosis")))
    summary = _summary(sae, measured, kinds)
    drawn = _drawn(sae, measured)
    if len(drawn) < len(measured):
        summary += f" {numbers.count(len(drawn))} of them are drawn, evenly spaced."
    latents = measured[drawn]
    kinds = {name: rows[drawn] for name, rows in kinds.items()}
    std, skewness, kurtosis = (columns[name][drawn] for name in ("std", "skewness", "kurtosis"))
    heavy = bool(len(kurtosis)) and float(kurtosis.max()) + 3 > WIDE_RANGE
    axes = [
        Axis("skewness", skewness),
        Axis("excess kurtosis + 3", kurtosis + 3, log=True)
        if heavy
        else Axis("excess kurtosis", kurtosis),
        Axis("standard deviation", std, log=_is_wide(std)),
    ]
    plots = [(0, 1), (2, 1)]
    density = _densities(sae, latents)
    if density is not None:
        axes.append(Axis("density", density, log=True))
        plots.append((3, 1))
    rows = np.flatnonzero(np.isin(latents, sae.shards.latents))
    labels = _labels(sae)
    return [
        *({"b": "text", "text": words} for words in READING),
        cloud(
            sae.info.slug,
            latents,
            axes,
            plots,
            summary=summary,
            groups=groups_of(kinds, ("up", "down", "act")),
            shown=[[row, labels.get(int(latents[row]), "")] for row in rows.tolist()],
            notes=_notes(sae, latents),
        ),
    ]


def _drawn(sae: SaeView, latents: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the latents that are in the plots: all, or the shown and evenly spaced ones."""
    n = len(latents)
    if n <= MOST_DRAWN:
        return np.arange(n)
    spaced = np.arange(MOST_DRAWN, dtype=np.int64) * n // MOST_DRAWN
    shown = np.flatnonzero(np.isin(latents, sae.shards.latents))
    return np.union1d(spaced, shown[:MOST_DRAWN])


def _is_wide(values: NDArray[np.float64]) -> bool:
    positive = values[values > 0]
    return len(positive) > 0 and float(positive.max() / positive.min()) > WIDE_RANGE


def _summary(
    sae: SaeView, latents: NDArray[np.int64], kinds: Mapping[str, NDArray[np.bool_]]
) -> str:
    n, all_ = len(latents), max(sae.info.d_sae, len(latents))
    which = f"All {numbers.count(n)} latents" if n == all_ else f"{numbers.count(n)} of the SAE's "
    which += "" if n == all_ else f"{numbers.count(all_)} latents, evenly spaced,"
    found = ", ".join(
        f"{numbers.count(int(rows.sum()))} {kind} ({numbers.percent(float(rows.mean()))})"
        for kind, rows in kinds.items()
        if n
    )
    return (
        f"{which} by the shape of their logit lens: {found}. A latent that is pointed at or "
        "chosen is marked in every plot."
    )


def _densities(sae: SaeView, latents: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Density of each latent, NaN where it is not known; None where no density is."""
    run, slug, counted = sae.report.run, sae.info.slug, sae.n_counted
    found = np.full(max(sae.info.d_sae, int(latents.max(initial=-1)) + 1), np.nan)
    if run.has("sae_activity", slug) and counted:
        rows = run.table("sae_activity", slug)
        values = rows.column("n_active").to_numpy() / counted
    elif run.has("activity", slug):
        rows = run.table("activity", slug, columns=["latent", "density"])
        values = rows.column("density").to_numpy()
    else:
        return None
    places = rows.column("latent").to_numpy()
    inside = places < len(found)
    found[places[inside]] = values[inside]
    densities = found[latents]
    return densities if (densities > 0).any() else None


def _labels(sae: SaeView) -> dict[int, str]:
    """Labels of latents, of no blinded one."""
    if not sae.report.run.has("explanations", sae.info.slug) or _are_many(sae):
        return {}
    found: dict[int, str] = {}
    for row in sae.report.run.table("explanations", sae.info.slug).to_pylist():
        text = visible_text(row["text"])
        short = text if len(text) <= MOST_LABEL else f"{text[: MOST_LABEL - 1]}…"
        found.setdefault(row["latent"], short)
    return found


def _are_many(sae: SaeView) -> bool:
    return len(sae.shards.latents) > MOST_NOTED


def _notes(sae: SaeView, latents: NDArray[np.int64]) -> dict[str, str]:
    """What latents raise and lower most, by their row, for those that a small table names."""
    run, slug = sae.report.run, sae.info.slug
    found: dict[int, str] = {}
    for table in ("lens_extremes", *(() if _are_many(sae) else ("logit_lens",))):
        if not run.has(table, slug):
            continue
        names = ["latent", "top_tokens", "bottom_tokens"]
        for row in run.table(table, slug, columns=names).to_pylist():
            top, bottom = (token_words(sae.report, row[name][:TOKENS_NAMED]) for name in names[1:])
            found.setdefault(row["latent"], f"raises {top} · lowers {bottom}")
    places = {int(latent): str(row) for row, latent in enumerate(latents.tolist())}
    return {places[latent]: text for latent, text in sorted(found.items()) if latent in places}


def _extremes_of(kind: str) -> Any:
    def build(sae: SaeView) -> list[Block]:
        run, slug = sae.report.run, sae.info.slug
        if not run.has("lens_extremes", slug):
            return []
        columns = moments_of(run, slug)
        place = {int(latent): i for i, latent in enumerate(columns["latent"].tolist())}
        rows: list[list[Cell]] = []
        for row in run.table("lens_extremes", slug).to_pylist():
            if row["kind"] != kind or row["latent"] not in place:
                continue
            i = place[row["latent"]]
            shape = [float(columns[name][i]) for name in ("kurtosis", "skewness", "std")]
            tokens = [
                token_words(sae.report, row[name][:TOKENS_NAMED])
                for name in ("top_tokens", "bottom_tokens")
            ]
            rows.append(
                [
                    latent_cell(sae.report, sae.info.slug, row["latent"]),
                    *map(numbers.value, shape),
                    *tokens,
                ]
            )
        names = ["latent", "excess kurtosis", "skewness", "std", "raises most", "lowers most"]
        return [{"b": "table", "columns": names, "rows": rows}] if rows else []

    return build


# ---- token sets


def heatmap(sae: SaeView) -> list[Block]:
    """Signed scores of the shown latents; significant ones are outlined."""
    run, slug = sae.report.run, sae.info.slug
    if not run.has("token_set_scores", slug):
        return []
    table = run.table("token_set_scores", slug)
    of, corrected = (table.column(name).to_numpy() for name in ("latent", "corrected"))
    latents, places = np.unique(of, return_inverse=True)
    hits = np.bincount(places, weights=corrected <= SIGNIFICANT, minlength=len(latents))
    shown = np.sort(latents[np.argsort(-hits, kind="stable")[:MOST_ROWS]]).tolist()
    # Every latent of a wide SAE can be shown: only rows of the heatmap become values.
    rows = table.filter(pa.array(np.isin(of, shown))).to_pylist()
    cells = {(row["latent"], row["set"]): row for row in rows}
    known = {row["set"] for row in rows}
    sets = [row["set"] for row in set_rows(sae.report) if row["set"] in known] or sorted(known)
    if not sets:
        return []
    grid = [[cells.get((latent, name)) for name in sets] for latent in shown]
    outlined = [
        [x, y]
        for y, line in enumerate(grid)
        for x, row in enumerate(line)
        if row and row["corrected"] <= SIGNIFICANT
    ]
    said = (
        "Score of each set in the logit lens of each shown latent: near 1 it is raised as a "
        "whole, near -1 lowered. Outlined are those with a corrected p-value of at most "
        f"{SIGNIFICANT:g}."
    )
    if len(shown) < len(latents):
        said += (
            f" The {len(shown)} of {numbers.count(len(latents))} latents with the most of these."
        )
    view = {
        "label": "",
        "unit": UNIT,
        "rows": [str(latent) for latent in shown],
        "columns": [set_name(name) for name in sets],
        "z": [[round(row["score"] / UNIT) if row else None for row in line] for line in grid],
        "outlined": outlined,
    }
    return [{"b": "heatmap", "summary": said, "outline": "significant", "views": [view]}]


def strongest(sae: SaeView) -> list[Block]:
    """For each set how many latents raise and lower it, and those that do most."""
    run, slug = sae.report.run, sae.info.slug
    if not (run.has("token_set_strongest", slug) and run.has("token_set_counts", slug)):
        return []
    counts = {row["set"]: row for row in run.table("token_set_counts", slug).to_pylist()}
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in run.table("token_set_strongest", slug).to_pylist():
        best.setdefault((row["set"], row["end"]), row)
    sets = {row["set"]: row for row in set_rows(sae.report)}
    rows: list[list[Cell]] = []
    for name in [*(name for name in sets if name in counts), *sorted(counts.keys() - sets.keys())]:
        ends = [best.get((name, end)) for end in ("raised", "lowered")]
        found = counts[name]
        rows.append(
            [
                set_name(name),
                numbers.count(sets[name]["n_tokens"]) if name in sets else "–",
                numbers.count(found["n_raised"]),
                numbers.count(found["n_lowered"]),
                *(_strong_cell(sae, row) for row in ends),
            ]
        )
    n = max((row["n_tested"] for row in counts.values()), default=0)
    tests = sum(row["n_tested"] for row in counts.values())
    permutations = max((row["n_permutations"] for row in sets.values()), default=0)
    said = (
        f"{numbers.count(n)} latents were tested: how many raise and lower each set with a "
        f"corrected p-value of at most {SIGNIFICANT:g}, and the strongest of all with its "
        f"score. p-values are from {numbers.count(permutations)} random sets of each size, so "
        f"that the smallest is {numbers.value(1 / (permutations + 1))}, and corrected for "
        f"{numbers.count(tests)} tests (Benjamini-Hochberg)."
    )
    names = ["set", "tokens", "raised by", "lowered by", "raised most by", "lowered most by"]
    return [{"b": "table", "summary": said, "columns": names, "rows": rows}]


def _strong_cell(sae: SaeView, row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return "–"
    said = f"{row['latent']} ({numbers.value(row['score'])})"
    if row["corrected"] > SIGNIFICANT:
        said = f"{said}, not significant"
    return latent_cell(sae.report, sae.info.slug, row["latent"], said)


# ---- all SAEs


def comparing_panels(report: ReportModel) -> list[Panel]:
    """The panels of the page that compares the SAEs."""
    return [
        Panel("saes", "SAEs", ("lens_moments",), compared, wide=True),
        Panel("sets", "Token sets", ("token_sets",), set_table, wide=True),
    ]


def compared(report: ReportModel) -> list[Block]:
    """A row for each SAE: medians, and shares of the kinds."""
    rows: list[list[Cell]] = []
    for sae in report.saes:
        if not is_measured(sae):
            reason = sae.info.left_out.get("lens_moments", "the run does not hold it")
            rows.append([sae.info.label, "not measured: " + visible_text(reason), *["–"] * 6])
            continue
        figures = lens_figures(report.run, sae.info.slug)
        n = len(moments_of(report.run, sae.info.slug)["latent"])
        values = [figures.get(f"lens.{name}") for name in ("std", "kurtosis")]
        shares = [figures.get(f"lens.{name}") for name in (*KINDS, "enriched")]
        rows.append(
            [
                {"text": sae.info.label, "href": page_of(sae.info.slug)},
                numbers.count(n),
                *(numbers.value(one.value) if one else "–" for one in values),
                *(numbers.percent(one.value) if one else "–" for one in shares),
            ]
        )
    names = ["SAE", "latents", "median std", "median kurtosis", *KINDS, "sets significant"]
    said = (
        "Shares of the latents that are of each kind (see the page of an SAE for what these are "
        "worth), and share of the tests of token sets that are significant."
    )
    return [{"b": "table", "summary": said, "columns": names, "rows": rows}]


def set_table(report: ReportModel) -> list[Block]:
    """The token sets: how many tokens, some of them, and what is missing."""
    rows: list[list[Cell]] = []
    some_missing = False
    if not (found := set_rows(report)):
        return []
    for row in found:
        missing = ", ".join(visible_text(word) for word in row["missing"][:EXTREMES])
        if row["n_missing"]:
            some_missing = True
            more = row["n_missing"] - len(row["missing"][:EXTREMES])
            missing = f"{missing} and {numbers.count(more)} more" if more else missing
        tested = "yes" if row["n_permutations"] else "no, too few"
        words = token_words(report, row["examples"])
        rows.append(
            [
                {"text": set_name(row["set"]), **({"gloss": "your own"} if row["own"] else {})},
                numbers.count(row["n_tokens"]),
                tested,
                words or "–",
                missing or "–",
            ]
        )
    if not rows:
        return []
    names = ["set", "tokens", "tested", "some of them", "words that are no single token"]
    if not some_missing:
        names, rows = names[:-1], [row[:-1] for row in rows]
    (n_ranked, n_left_out) = {(row["n_ranked"], row["n_left_out"]) for row in found}.pop()
    said = f"Of {numbers.plural(n_ranked, 'token')} that stand for text"
    if n_left_out:
        said += f"; {n_left_out:,} of the vocabulary are special, or places that it keeps free"
    return [{"b": "table", "summary": f"{said}.", "columns": names, "rows": rows}]


def panel_of(sae: SaeView) -> list[Panel]:
    """The panel of an SAE's page; none where the report has no logit lens of dictionaries."""
    if not present(sae.report):
        return []
    return [Panel("lens", "Logit lens of all latents", ("lens_moments",), summary, wide=True)]


def summary(sae: SaeView) -> list[Block]:
    """How many latents are of each kind, with the way to the plots."""
    if not is_measured(sae):
        reason = sae.info.left_out.get("lens_moments", "the run does not hold it")
        return [{"b": "text", "text": f"Not measured: {visible_text(reason)}."}]
    figures = lens_figures(sae.report.run, sae.info.slug)
    shares = [(kind, figures[f"lens.{kind}"]) for kind in KINDS if f"lens.{kind}" in figures]
    said = "Shares by the shape of the logit lens, a heuristic."
    where: Cell = {"text": "plots and lists", "href": page_of(sae.info.slug)}
    rows: list[list[Cell]] = [[where, *(numbers.percent(share.value) for _, share in shares)]]
    names = ["where", *(kind for kind, _ in shares)]
    return [{"b": "table", "summary": said, "columns": names, "rows": rows}]
