"""Meta-SAEs on pages: decoder rows as sums of the meta-latents of another SAE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from saereport.run.geometry import LOWEST, WIDTH
from saereport.run.meta import CLEARLY
from saereport.site import numbers
from saereport.site.blocks import Block, Cell, base
from saereport.site.context import LatentView, ReportModel, SaeView
from saereport.site.geometry import worded_cell
from saereport.site.jsonwriter import Exact
from saereport.site.panels.registry import Panel
from saereport.util.visible import visible_text

FOLDER: Final = "meta-saes"
INDEX: Final = f"{FOLDER}/index.html"
TABLES: Final = ("meta_saes", "meta_latents", "meta_extremes", "meta_words")
MOST_LATENTS: Final = 30
"""Meta-latents on a page, and latents that are explained best and least."""
MOST_SHOWN: Final = 200
"""Meta-latents of shown latents on a page."""
LISTED: Final = 4
"""Base latents of a meta-latent on a page."""
PARTS: Final = 6
"""Meta-latents of a latent on its page."""
BESIDE: Final = 3
"""Other latents of each."""
TOKENS: Final = 5
MOST_LABEL: Final = 80
MOSTLY: Final = 0.8
"""Part of what is explained from which the largest meta-latent is nearly all of it."""
GROUPED_FROM: Final = 1.5
"""Active meta-latents a row; with fewer there are no others."""
MOST_TOKEN: Final = 16
"""Characters of a token in a list: some are a line of spaces."""

Row = dict[str, Any]

_LAYOUT: Final = {"bargap": 0.06, "yaxis": {"title": {"text": "latents"}, "rangemode": "tozero"}}
ACTIVE = base(
    "meta.active",
    b="bars",
    title="Active meta-latents a latent",
    summary="How many meta-latents are active on a decoder row: {mean} on average.",
    views=[
        {
            "label": "",
            "columns": ["from", "to", "latents"],
            "data": [{"type": "bar", "meta": "accent", "hoverinfo": "none"}],
            "layout": {**_LAYOUT, "xaxis": {"title": {"text": "active meta-latents"}}},
        }
    ],
)
COSINES = base(
    "meta.cosines",
    b="bars",
    title="Cosine of decoder rows with their reconstructions",
    summary="The median is {median}; beside it random rows with the same second moments.",
    views=[
        {
            "label": "",
            "columns": ["cosine from", "to", "latents", "by chance"],
            "data": [
                {"type": "bar", "meta": "accent", "name": "latents", "hoverinfo": "none"},
                {"type": "bar", "meta": "quiet", "name": "random rows", "hoverinfo": "none"},
            ],
            "layout": {**_LAYOUT, "barmode": "group", "xaxis": {"title": {"text": "cosine"}}},
        }
    ],
)
SUMS = base(
    "meta.sums",
    b="table",
    title="The decoder row as a sum",
    columns=["meta-SAE", "of the row explained", "cosine", "meta-latents", "left over"],
)
MADE_OF = base(
    "meta.parts",
    b="table",
    title="Its meta-latents, and the other latents that have them",
    summary="Beside each meta-latent stands what its direction raises by the logit lens.",
    columns=["meta-latent", "share of the row", "activation", "also in", "activation there"],
)


def page_of(slug: str, meta: str) -> str:
    """Path of the page about a meta-SAE of an SAE."""
    return f"{FOLDER}/of-{slug}--{meta}.html"


def summaries(report: ReportModel) -> list[tuple[SaeView, Row]]:
    """The rows of `meta_saes`, each with its base, in the order of the report."""
    return [
        (sae, row)
        for sae in report.saes
        for row in report.dictionaries.rows("meta_saes", sae.info.slug)
    ]


def present(report: ReportModel) -> bool:
    """Whether the run holds a meta-SAE."""
    return bool(summaries(report))


def front(report: ReportModel) -> str:
    """Path of the page of all meta-SAEs; of the only one its own."""
    found = summaries(report)
    if len(found) == 1:
        ((sae, row),) = found
        return page_of(sae.info.slug, row["meta"])
    return INDEX


def name_of(row: Row) -> str:
    """What a meta-SAE is called."""
    return visible_text(row["label"])[:MOST_LABEL] or row["meta"]


# ---- all meta-SAEs


def comparing_panels(report: ReportModel) -> list[Panel]:
    """The panel of the page of all."""
    return [Panel("all", "Meta-SAEs", TABLES[:1], compared, wide=True)]


def compared(report: ReportModel) -> list[Block]:
    """A row for each meta-SAE."""
    columns = [
        *("meta-SAE", "of", "meta-latents", "explained variance", "by chance"),
        *("active a latent", "median cosine", "never active"),
    ]
    rows: list[list[Cell]] = [
        [
            {"text": name_of(row), "href": page_of(sae.info.slug, row["meta"])},
            {"text": sae.info.label, "href": report.home(sae.info.slug)},
            numbers.count(row["n_meta"]),
            {"text": numbers.value(row["explained"]), "gloss": _ends(row["explained_interval"])},
            numbers.value(row["explained_chance"]),
            numbers.value(row["active"]),
            numbers.value(row["cosine_median"]),
            numbers.percent(row["n_dead"] / max(row["n_meta"], 1)),
        ]
        for sae, row in summaries(report)
    ]
    said = "SAEs that were trained on the decoder rows of an SAE of the report."
    return [{"b": "table", "summary": said, "columns": columns, "rows": rows}]


def _ends(interval: Sequence[float]) -> str:
    return f"{numbers.value(interval[0])} to {numbers.value(interval[1])}" if interval else ""


# ---- one meta-SAE


def meta_panels(sae: SaeView, row: Row) -> list[Panel]:
    """The panels of the page of one meta-SAE."""

    def panel(name: str, title: str, table: str, build: Any) -> Panel:
        return Panel(name, title, (table,), partial(build, row=row), wide=True)

    return [
        panel("summary", "What it makes of the decoder rows", "meta_saes", _summary),
        panel("used", "Meta-latents that most latents have", "meta_latents", _used),
        panel("least", "Latents that it explains least", "meta_extremes", _least),
        panel("best", "Latents that it explains best", "meta_extremes", _best),
    ]


def _summary(sae: SaeView, row: Row) -> list[Block]:
    return [
        {"b": "text", "lines": list(_said(sae, row))},
        _facts(row),
        {"b": "grid", "blocks": [_cosines(row), _active(row)]},
        _uses(row),
    ]


def _said(sae: SaeView, row: Row) -> Iterator[str]:
    how = "at length one" if row["rows"] == "unit" else "at the lengths that they have"
    yield (
        f"{name_of(row)} ({visible_text(row['architecture'])}) has "
        f"{numbers.plural(row['n_meta'], 'meta-latent')} for "
        f"{numbers.plural(row['n_latents'], 'latent')} of {sae.info.label}, whose decoder rows "
        f"it was given {how}. It writes each as a sum of {numbers.value(row['active'])} of them "
        "on average."
    )
    if row["n_without"]:
        yield f"{numbers.plural(row['n_without'], 'latent')} have no decoder row and are left out."
    if row["explained_other"] > row["explained"] + CLEARLY:
        other = "at the lengths that they have" if row["rows"] == "unit" else "at length one"
        yield (
            f"Given {other}, it explains more of them: {numbers.value(row['explained_other'])} of "
            f"their variance, not {numbers.value(row['explained'])}. It may have been trained so."
        )
    if row["explained"] <= row["explained_chance"]:
        yield (
            "It explains no more of the decoder rows than of random ones with the same second "
            "moments: it was trained on others, or found nothing in them."
        )
    whole = row["largest"] + row["others"]
    if row["active"] > GROUPED_FROM and row["largest"] > MOSTLY * whole > 0:
        yield (
            "Nearly all that it explains of a row is the row's largest meta-latent "
            f"({_signed(row['largest'])} of the row on average, the others together "
            f"{_signed(row['others'])}): it puts rows into groups, or has found what most of them "
            "share, rather than taking them apart."
        )
    if row["of_batches"]:
        yield (
            "How many meta-latents are active on a row depends on the rows that are put in beside "
            "it, so its numbers are of the batches of this run."
        )
    if row["no_lens"]:
        yield f"Meta-latents have no logit lens: {visible_text(row['no_lens'])}."


def _facts(row: Row) -> Block:
    ends = _ends(row["explained_interval"])
    share = row["n_well"] / max(row["n_latents"], 1)
    per = row["n_latents"] / max(row["n_meta"], 1)
    chance = f"random rows {numbers.value(row['explained_chance'])}"
    return {
        "b": "facts",
        "names": [
            *("explained variance", "active a latent", "median cosine", "well explained"),
            *("largest meta-latent", "never active", "on one latent only"),
        ],
        "values": [
            numbers.value(row["explained"]),
            numbers.value(row["active"]),
            numbers.value(row["cosine_median"]),
            numbers.percent(share),
            _signed(row["largest"]),
            numbers.percent(row["n_dead"] / max(row["n_meta"], 1)),
            numbers.percent(row["n_single"] / max(row["n_meta"], 1)),
        ],
        "notes": [
            f"95 %: {ends}; {chance}" if ends else chance,
            f"random rows {numbers.value(row['active_chance'])}",
            "of a row with its reconstruction",
            f"{numbers.percent(row['well'])} of their variance or more; random rows "
            f"{numbers.percent(row['well_chance'])}",
            f"of a row; the others together {_signed(row['others'])}",
            f"{numbers.count(row['n_dead'])} of {numbers.plural(row['n_meta'], 'meta-latent')}",
            f"{numbers.count(row['n_single'])}; there are {numbers.value(per)} latents for each",
        ],
    }


def _cosines(row: Row) -> Block:
    drawn = max(row["n_chance"], 1)
    scaled = [round(n * row["n_latents"] / drawn) for n in row["cosine_chance_counts"]]
    first = Exact(LOWEST + WIDTH / 2)
    data = [{"x0": first, "dx": WIDTH, "y": counts} for counts in (row["cosine_counts"], scaled)]
    return COSINES(v={"median": row["cosine_median"]}, views=[{"data": data}])


def _active(row: Row) -> Block:
    width = max(row["active_width"], 1)
    data = [{"x0": Exact((width - 1) / 2), "dx": width, "y": row["active_counts"]}]
    return ACTIVE(v={"mean": row["active"]}, views=[{"data": data}])


def _uses(row: Row) -> Block:
    rows: list[list[Cell]] = []
    for place, n in enumerate(row["use_counts"]):
        low, high = 2**place // 2, 2**place - 1
        name = f"{low:,}" if low >= high else f"{low:,} to {high:,}"
        rows.append([name, numbers.count(n), numbers.percent(n / max(row["n_meta"], 1))])
    return {
        "b": "table",
        "columns": ["active on so many latents", "meta-latents", "of all"],
        "rows": rows,
        "fold": {"title": "How many latents have a meta-latent", "note": "meta-latents by that"},
    }


def meta_latents(report: ReportModel, slug: str, meta: str) -> dict[int, Row]:
    """What the run holds of the meta-latents of a meta-SAE, by number."""
    return report.dictionaries.meta_latents(slug).get(meta, {})


def named_latent(report: ReportModel, slug: str, latent: int) -> Cell:
    """A base latent, linked where it is shown, with its label or else its tokens."""
    cell = worded_cell(report, slug, latent)
    label = report.dictionaries.labels(slug).get(latent)
    if label is None or isinstance(cell, str):
        return cell
    text = visible_text(label)
    return {**cell, "gloss": text if len(text) <= MOST_LABEL else f"{text[: MOST_LABEL - 1]}…"}


def tokens_of(report: ReportModel, row: Row | None, end: str = "top") -> str:
    """The tokens that a meta-latent raises, or lowers, most."""
    tokens = row[f"{end}_tokens"][:TOKENS] if row else []
    words = (report.vocabulary[token] for token in tokens)
    return " ".join(w if len(w) <= MOST_TOKEN else f"{w[: MOST_TOKEN - 1]}…" for w in words) or "–"


def _used(sae: SaeView, row: Row) -> list[Block]:
    slug = sae.info.slug
    found = meta_latents(sae.report, slug, row["meta"])
    order = sorted(found.values(), key=lambda one: (-one["n_active"], one["number"]))
    if not order:
        return [{"b": "text", "text": "No meta-latent is active on any latent."}]
    parts = {
        part
        for one in sae.report.dictionaries.rows("meta_parts", slug)
        if one["meta"] == row["meta"]
        for part in one["parts"]
    }
    others = [one for one in order[MOST_LATENTS:] if one["number"] in parts]
    said = (
        "Each with the latents on which it is most active; what it raises and lowers is the logit "
        "lens of its direction."
    )
    blocks = [_listing(sae, order[:MOST_LATENTS], said)]
    if others:
        note = numbers.plural(len(others), "further one")
        if len(others) > MOST_SHOWN:
            note = f"the first {MOST_SHOWN} of {note}"
        fold = {"title": "Meta-latents of the latents that the report shows", "note": note}
        blocks.append({**_listing(sae, others[:MOST_SHOWN], ""), "fold": fold})
    return blocks


def _listing(sae: SaeView, found: Sequence[Row], said: str) -> Block:
    report, slug = sae.report, sae.info.slug
    rows: list[list[Cell]] = []
    for one in found:
        pairs = list(zip(one["latents"], one["activations"], strict=True))[:LISTED]
        first: list[Cell] = [f"{one['number']}", numbers.count(one["n_active"])]
        words: list[Cell] = [
            {"text": tokens_of(report, one, end), "long": True} for end in ("top", "bottom")
        ]
        for place, (latent, activation) in enumerate(pairs):
            cells = [named_latent(report, slug, latent), numbers.value(activation)]
            rows.append([*(["", ""] if place else first), *cells, *(["", ""] if place else words)])
    columns = ["meta-latent", "latents", "most active on", "activation", "raises", "lowers"]
    return {"b": "table", "summary": said, "columns": columns, "rows": rows}


def _least(sae: SaeView, row: Row) -> list[Block]:
    said = (
        "For this meta-SAE these are atomic: no few meta-latents make them up. A latent that it "
        "had no room for looks the same."
    )
    return _extremes(sae, row, "least", said)


def _best(sae: SaeView, row: Row) -> list[Block]:
    said = (
        "Their decoder rows come closest to sums of the meta-latents beside them, each with its "
        "share of the row. One that has a meta-latent for itself is no sum, but remembered."
    )
    return _extremes(sae, row, "best", said)


def _extremes(sae: SaeView, row: Row, end: str, said: str) -> list[Block]:
    report, slug, meta = sae.report, sae.info.slug, row["meta"]
    known = meta_latents(report, slug, meta)
    rows: list[list[Cell]] = []
    for one in report.dictionaries.rows("meta_extremes", slug):
        if (one["meta"], one["end"]) != (meta, end) or one["rank"] >= MOST_LATENTS:
            continue
        parts = ", ".join(
            f"{part} ({numbers.percent(max(share, 0.0))}: {tokens_of(report, known.get(part))})"
            for part, share in zip(one["parts"], one["shares"], strict=True)
        )
        rows.append(
            [
                named_latent(report, slug, one["latent"]),
                _signed(one["explained"]),
                numbers.value(one["cosine"]),
                numbers.count(one["n_active"]),
                {"text": parts or "none", "long": True},
            ]
        )
    columns = [
        *("latent", "of the row explained", "cosine", "active", "largest meta-latents"),
    ]
    return [{"b": "table", "summary": said, "columns": columns, "rows": rows}] if rows else []


def _signed(share: float) -> str:
    """A share that may be below zero, in percent."""
    return numbers.percent(share) if share >= 0 else f"{numbers.MINUS}{numbers.percent(-share)}"


# ---- on the page of a latent


def made_of(latent: LatentView) -> list[Block]:
    """What each meta-SAE makes of a latent's decoder row, and who else has its meta-latents."""
    report, slug = latent.sae.report, latent.sae.info.slug
    sums: list[list[Cell]] = []
    blocks: list[Block] = []
    names = ("meta", "parts", "activations", "shares", "left", "n_active", "explained", "cosine")
    titles = {row["meta"]: row for row in report.dictionaries.rows("meta_saes", slug)}
    found = [dict(zip(names, one, strict=True)) for one in latent.rows("meta_parts").each(*names)]
    for one in found:
        meta = one["meta"]
        title = name_of(titles[meta]) if meta in titles else meta
        name: Cell = {"text": title, "href": page_of(slug, meta)} if meta in titles else title
        left, n = _signed(one["left"]), one["n_active"]
        sums.append(
            [
                name,
                _signed(one["explained"]),
                numbers.value(one["cosine"]),
                numbers.count(n),
                left,
            ]
        )
        if rows := list(_part_rows(latent, one)):
            more = {"title": f"Meta-latents of {title}"} if len(found) > 1 else {}
            blocks.append(MADE_OF(rows=rows, **more))
    return [SUMS(rows=sums), *blocks] if sums else []


def _part_rows(latent: LatentView, one: Row) -> Iterator[list[Cell]]:
    report, slug = latent.sae.report, latent.sae.info.slug
    known = meta_latents(report, slug, one["meta"])
    parts = zip(one["parts"], one["activations"], one["shares"], strict=True)
    for part, activation, share in list(parts)[:PARTS]:
        row = known.get(part)
        pairs = zip(row["latents"], row["activations"], strict=True) if row else ()
        others = [pair for pair in pairs if pair[0] != latent.index][:BESIDE]
        name: Cell = {"text": f"{part}", "gloss": tokens_of(report, row)}
        first: list[Cell] = [name, _signed(share), numbers.value(activation)]
        for place, (other, there) in enumerate(others or [(-1, 0.0)]):
            lead = ["", "", ""] if place else first
            cells = (
                (named_latent(report, slug, other), numbers.value(there))
                if other >= 0
                else ("no other latent", "–")
            )
            yield [*lead, *cells]
