"""The geometry of dictionaries on pages: SAEs against each other, and one by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from saereport.run.geometry import LOWEST, WIDTH
from saereport.site import numbers
from saereport.site.blocks import Block, Cell, base
from saereport.site.context import LatentView, ReportModel, SaeView, place_in_model
from saereport.site.jsonwriter import Exact
from saereport.site.mentions import example_cell
from saereport.site.panels.registry import Panel
from saereport.util.visible import visible_text

FOLDER: Final = "geometry"
INDEX: Final = f"{FOLDER}/index.html"
CHAINS: Final = f"{FOLDER}/chains.html"
TABLES: Final = (
    *("dictionary_matches", "feature_splits", "latent_words"),
    *("dictionary_clusters", "cluster_places", "latent_chains"),
)
SYMBOLS: Final = (
    *(("circle", "●"), ("square", "■"), ("diamond", "◆")),
    *(("triangle-up", "▲"), ("cross", "✚"), ("x", "✖")),
)
"""Shapes of the points of clusters, and what they look like in words; colours are `k0` to `k5`."""
LEAST_SHOWN: Final = 3
"""Members of a cluster with statistics of the text from which these say what they have in common.
"""
COMMON: Final = 6
"""Common tokens of a cluster on a page."""
SHOWN_WORDS: Final = 4
"""Tokens beside a latent's number."""
BEFORE, AFTER = 10, 4
"""Tokens around the place where a latent is strongest."""

MOST_CHAINS: Final = 100
"""Chains on their page."""
MOST_MEMBERS: Final = 200
"""Latents of clusters that are listed with links."""
COMMON_OF: Final = 5
"""Tokens of a latent, by share of its activation, among which common ones are looked for."""

STEP_COLUMNS: Final = ("SAE", "latent", "cosine with the one before", "active together", "note")
"""Columns of the steps of a chain."""

CHAIN = base(
    "geometry.chain",
    b="table",
    title="The chain that it is in",
    summary="Chain {chain} of {of}: one latent for each SAE that it goes through.",
    columns=list(STEP_COLUMNS),
)
CLUSTER = base(
    "geometry.cluster",
    b="table",
    columns=["in the cluster", "of latents", "which raise in common"],
)
COSINES = base(
    "geometry.cosines",
    b="bars",
    summary="Cosine of each latent's best match in {other}: the median is {median}, that among as "
    "many random directions {chance}, of which 1 in 100 is above {high}.",
    views=[
        {
            "label": "",
            "columns": ["cosine from", "to", "latents", "by chance"],
            "data": [
                {"type": "bar", "meta": "accent", "name": "latents", "hoverinfo": "none"},
                {"type": "bar", "meta": "quiet", "name": "random directions", "hoverinfo": "none"},
            ],
            "layout": {
                "barmode": "group",
                "bargap": 0.06,
                "xaxis": {"title": {"text": "cosine of the best match"}},
                "yaxis": {"title": {"text": "latents"}, "rangemode": "tozero"},
            },
        }
    ],
)


def page_of(slug: str) -> str:
    """Path of the page about an SAE's dictionary."""
    return f"{FOLDER}/of-{slug}.html"


def described(report: ReportModel) -> list[SaeView]:
    """The SAEs that have a page, in the order of the report."""
    return [sae for sae in report.saes if set(TABLES) & sae.tables]


def present(report: ReportModel) -> bool:
    """Whether the run holds something of it."""
    return bool(described(report))


def label_of(report: ReportModel, slug: str) -> str:
    """What an SAE is called; one that the run does not name by its slug."""
    return next((sae.label for sae in report.info.saes if sae.slug == slug), slug)


def worded_cell(report: ReportModel, slug: str, latent: int) -> Cell:
    """A latent's number with a few of its tokens, linked where the report shows it."""
    words = report.dictionaries.words(slug).get(latent, [])[:SHOWN_WORDS]
    cell: dict[str, Any] = {"text": str(latent)}
    if href := report.latent_href(slug, latent):
        cell["href"] = href
    if words:
        cell["gloss"] = " ".join(report.vocabulary[token] for token in words)
    return cell


def depth_of(report: ReportModel, slug: str) -> tuple[int, int]:
    """Where in the model an SAE reads; behind all of them where the run does not say."""
    found = (place_in_model(sae) for sae in report.info.saes if sae.slug == slug)
    return next(found, (10**6, 0))


def ordered(report: ReportModel, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that name another SAE, by where that lies in the model."""
    return sorted(rows, key=lambda row: (depth_of(report, row["other"]), row["other"]))


def where(report: ReportModel, slug: str, other: str, row: dict[str, Any]) -> str:
    """How another SAE lies to this one, in a few words."""
    if row["space"] == "hook":
        return f"both at {visible_text(row['hook'])}"
    earlier = depth_of(report, other) < depth_of(report, slug)
    return f"residual stream; {'earlier' if earlier else 'later'}"


# ---- all SAEs


def comparing_panels(report: ReportModel) -> list[Panel]:
    """The panels of the page of the whole report."""
    return [
        Panel("matches", "SAEs against each other", TABLES[:1], compared, wide=True),
        Panel("chains", "Latents through the layers", ("latent_chains",), chained, wide=True),
        Panel("clusters", "Clusters of latents", ("dictionary_clusters",), clustered, wide=True),
    ]


def compared(report: ReportModel) -> list[Block]:
    """A row for each SAE and each that it is compared with."""
    rows: list[list[Cell]] = []
    threshold = 0.0
    for sae in described(report):
        slug = sae.info.slug
        for row in ordered(report, report.dictionaries.rows("dictionary_matches", slug)):
            threshold = row["threshold"]
            rows.append(
                [
                    {"text": sae.info.label, "href": f"{page_of(slug)}#to-{row['other']}"},
                    label_of(report, row["other"]),
                    {"text": where(report, slug, row["other"], row)},
                    numbers.count(row["n_latents"]),
                    numbers.value(row["median"]),
                    numbers.value(row["chance_median"]),
                    numbers.value(row["chance_high"]),
                    numbers.percent(row["matched"]),
                    numbers.count(row["n_mutual"]),
                    numbers.count(row["n_split"]),
                ]
            )
    if not rows:
        return [{"b": "text", "text": "No two SAEs of the report write to the same space."}]
    said = (
        "Of each latent of an SAE the latent of another whose direction is nearest, from the "
        f"weights alone. From a cosine of {numbers.value(threshold)} on it counts as a match; "
        "chance is what as many random directions in the same dimensions reach."
    )
    columns = [
        *("latents of", "matched with", "compared in", "latents", "median cosine"),
        *("by chance", "chance, 99 %", "with a match", "mutual", "split"),
    ]
    return [{"b": "table", "summary": said, "columns": columns, "rows": rows}]


# ---- one SAE


def sae_panels(sae: SaeView) -> list[Panel]:
    """The panels of the page of one SAE."""
    report = sae.report
    rows = ordered(report, report.dictionaries.rows("dictionary_matches", sae.info.slug))
    clusters = Panel(
        "clusters", "Clusters of latents", ("dictionary_clusters",), _clusters, wide=True
    )
    return [
        clusters,
        *(
            Panel(
                f"to-{row['other']}",
                f"In {label_of(report, row['other'])}",
                TABLES[:1],
                partial(_against, row=row),
                wide=True,
            )
            for row in rows
        ),
    ]


def _against(sae: SaeView, row: dict[str, Any]) -> list[Block]:
    """What an SAE has of another's dictionary."""
    return [
        _facts(sae, row),
        _cosines(sae, row),
        *_splits(sae, row),
        *_unmatched(sae, row),
    ]


def _facts(sae: SaeView, row: dict[str, Any]) -> Block:
    threshold = numbers.value(row["threshold"])
    without = numbers.plural(row["n_without"], "latent")
    earlier = depth_of(sae.report, row["other"]) < depth_of(sae.report, sae.info.slug)
    return {
        "b": "facts",
        "names": ["with a match", "mutual", "mean cosine", "split", "the other is"],
        "values": [
            numbers.percent(row["matched"]),
            numbers.count(row["n_mutual"]),
            numbers.value(row["mean"]),
            numbers.count(row["n_split"]),
            "beside it" if row["space"] == "hook" else "earlier" if earlier else "later",
        ],
        "notes": [
            f"{numbers.count(row['n_matched'])} of {numbers.plural(row['n_latents'], 'latent')}, "
            f"from a cosine of {threshold} on"
            + (f"; {without} without a direction" if row["n_without"] else ""),
            "matches that are each other's best",
            f"by chance {numbers.value(row['chance_mean'])}",
            f"into {row['n_parts']:,} of the other" if row["n_split"] else "",
            f"{numbers.plural(row['n_others'], 'latent')}; compared "
            + ("at the hook point" if row["space"] == "hook" else "in the residual stream"),
        ],
    }


def _cosines(sae: SaeView, row: dict[str, Any]) -> Block:
    drawn = sum(row["chance_counts"]) or 1
    scaled = [round(n * row["n_latents"] / drawn) for n in row["chance_counts"]]
    first = Exact(LOWEST + WIDTH / 2)
    return COSINES(
        title="Cosines of best matches",
        v={
            "other": label_of(sae.report, row["other"]),
            "median": row["median"],
            "chance": row["chance_median"],
            "high": row["chance_high"],
        },
        views=[
            {
                "data": [
                    {"x0": first, "dx": WIDTH, "y": row["counts"]},
                    {"x0": first, "dx": WIDTH, "y": scaled},
                ]
            }
        ],
    )


def _splits(sae: SaeView, row: dict[str, Any]) -> list[Block]:
    """Latents of this SAE for which the other has several, with these side by side."""
    report, slug, other = sae.report, sae.info.slug, row["other"]
    found = [r for r in report.dictionaries.rows("feature_splits", slug) if r["other"] == other]
    found.sort(key=lambda r: (-r["n_parts"], -sum(r["cosines"]) / len(r["cosines"]), r["latent"]))
    if not found:
        return []
    said = (
        "Latents of this SAE that are the best match of several of the other, from a cosine of "
        f"{numbers.value(row['split_from'])} on, with the cosine of each part."
    )
    if len(found) < row["n_split"]:
        said += f" The first {len(found)} of {numbers.count(row['n_split'])}."
    rows = [row for split in found for row in _split_rows(report, slug, split)]
    columns = ["latent", "parts", "cosine between parts", "part", "cosine", "strongest at"]
    if not any(row[-1] for row in rows):
        said += " Text of theirs stands here where the report shows them."
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return [
        {
            "b": "table",
            "summary": said,
            "columns": columns,
            "rows": rows,
            "fold": {
                "title": "Feature splitting",
                "note": f"{numbers.plural(row['n_split'], 'latent')} into several",
            },
        }
    ]


def _split_rows(report: ReportModel, slug: str, split: dict[str, Any]) -> Iterator[list[Cell]]:
    """A latent, then each of its parts, with the text on which they are strongest below each other.

    Those that the report does not show have no text in it.
    """
    yield [
        worded_cell(report, slug, split["latent"]),
        numbers.count(split["n_parts"]),
        numbers.value(split["within"]),
        *("", "", strongest_cell(report, slug, split["latent"])),
    ]
    for part, cosine in zip(split["parts"], split["cosines"], strict=True):
        there = worded_cell(report, split["other"], part)
        text = strongest_cell(report, split["other"], part)
        yield ["", "", "", there, numbers.value(cosine), text]


def strongest_cell(report: ReportModel, slug: str, latent: int) -> Cell:
    """The text around the place where a latent is strongest; empty where there is no example."""
    place = report.dictionaries.strongest(slug).get(latent)
    if place is None:
        return ""
    sequence, position = place
    first = max(position - BEFORE, 0)
    tokens = report.sequences.tokens(sequence, first, position + AFTER + 1)
    return example_cell(report, tokens, position - first)


def _unmatched(sae: SaeView, row: dict[str, Any]) -> list[Block]:
    if not row["unmatched"]:
        return []
    missing = row["n_latents"] - row["n_matched"]
    said = "Latents of this SAE without a match, the farthest from the other's dictionary first."
    if missing > len(row["unmatched"]):
        said += f" The first {len(row['unmatched'])} of {numbers.count(missing)}."
    return [
        {
            "b": "table",
            "summary": said,
            "columns": ["latent", "cosine of the best match"],
            "rows": [
                [worded_cell(sae.report, sae.info.slug, latent), numbers.value(cosine)]
                for latent, cosine in zip(row["unmatched"], row["unmatched_cosines"], strict=True)
            ],
            "fold": {
                "title": "Latents without a match",
                "note": numbers.plural(missing, "latent"),
            },
        }
    ]


# ---- clusters


def clustered(report: ReportModel) -> list[Block]:
    """How many clusters each SAE has, and the largest of each."""
    rows: list[list[Cell]] = []
    for sae in described(report):
        found = report.dictionaries.rows("dictionary_clusters", sae.info.slug)
        if not found:
            continue
        first = found[0]
        rows.append(
            [
                {"text": sae.info.label, "href": f"{page_of(sae.info.slug)}#clusters"},
                numbers.count(first["n_latents"]),
                numbers.count(first["n_clusters"]),
                numbers.percent(first["n_clustered"] / max(first["n_latents"], 1)),
                numbers.value(first["cut"]),
                numbers.count(first["size"]),
                numbers.value(first["cohesion"]),
                {"text": _common(sae, first)[1] or "–"},
            ]
        )
    if not rows:
        return []
    said = (
        "Latents whose directions belong together, by average linkage on the cosines of the whole "
        "dictionary down to a cut; those in no cluster lie no closer to others than by chance."
    )
    columns = [
        *("SAE", "latents", "clusters", "in a cluster", "cut at a cosine of", "largest"),
        *("its mean cosine", "its common tokens"),
    ]
    return [{"b": "table", "summary": said, "columns": columns, "rows": rows}]


def _clusters(sae: SaeView) -> list[Block]:
    """The clusters of an SAE: on the map, and as a table."""
    found = sae.report.dictionaries.rows("dictionary_clusters", sae.info.slug)
    if not found:
        reason = sae.info.left_out.get("dictionary_clusters", "")
        return [{"b": "text", "text": f"None: {visible_text(reason)}."}] if reason else []
    first = found[0]
    share = numbers.percent(first["n_clustered"] / max(first["n_latents"], 1))
    how = "as asked for" if first["cut_asked"] else "99.9 % of random pairs are below"
    said = (
        f"{numbers.count(first['n_clusters'])} clusters hold {share} of "
        f"{numbers.plural(first['n_latents'], 'latent')}, cut at a mean cosine of "
        f"{numbers.value(first['cut'])} ({how})."
    )
    if len(found) < first["n_clusters"]:
        said += f" The {len(found)} largest are listed."
    table = {
        "b": "table",
        "title": "The largest clusters",
        "columns": ["cluster", "latents", "mean cosine", "common tokens", "nearest the centre"],
        "rows": [_cluster_row(sae, row) for row in found],
    }
    return [{"b": "text", "text": said}, *_map(sae, found), table, *_shown_members(sae)]


def _shown_members(sae: SaeView) -> list[Block]:
    """The latents of the listed clusters that have a page."""
    shards, slug = sae.report.shards.get(sae.info.slug), sae.info.slug
    of = sae.report.dictionaries.cluster_of(slug)
    shown = sorted((c, m) for m, c in of.items() if shards is not None and m in shards.chosen)
    if not shown:
        return []
    rows = [[latent, 1, number + 1] for number, latent in shown[:MOST_MEMBERS]]
    note = numbers.plural(len(shown), "latent")
    if len(shown) > len(rows):
        note = f"the first {len(rows)} of {note}"
    return [
        {
            "b": "latents",
            "columns": ["cluster"],
            "formats": ["count"],
            "sae": slug,
            "rows": rows,
            "fold": {"title": "Latents of these clusters that the report shows", "note": note},
        }
    ]


def cluster_of(latent: LatentView) -> list[Block]:
    """In which listed cluster a latent is, in a sentence; nothing where it is in none."""
    report, slug = latent.sae.report, latent.sae.info.slug
    number = report.dictionaries.cluster_of(slug).get(latent.index)
    if number is None:
        return []
    rows = report.dictionaries.rows("dictionary_clusters", slug)
    (row,) = (row for row in rows if row["cluster"] == number)
    name: Cell = {"text": f"{number + 1}", "href": f"{page_of(slug)}#clusters"}
    tokens = " ".join(report.vocabulary[token] for token in row["tokens"][:COMMON])
    return [CLUSTER(rows=[[name, numbers.count(row["size"]), {"text": tokens or "–"}]])]


def _cluster_row(sae: SaeView, row: dict[str, Any]) -> list[Cell]:
    number = row["cluster"]
    name = f"{number + 1}"
    if number < len(SYMBOLS):
        name = f"{SYMBOLS[number][1]} {name}"
    source, tokens = _common(sae, row)
    members: list[Any] = [_plain(worded_cell(sae.report, sae.info.slug, m)) for m in row["members"]]
    return [
        name,
        numbers.count(row["size"]),
        numbers.value(row["cohesion"]),
        {"text": tokens or "–", **({"gloss": source} if tokens else {})},
        {"text": ", ".join(members)},
    ]


def _plain(cell: Cell) -> str:
    return cell if isinstance(cell, str) else str(cell["text"])


def _common(sae: SaeView, row: dict[str, Any]) -> tuple[str, str]:
    """Where a cluster's common tokens come from, and what they are, as text."""
    words = sae.report.vocabulary
    n, on_text = _common_on_text(sae, row["members"])
    if n >= LEAST_SHOWN and on_text:
        source = f"active on them: {n} latents that are shown"
        return source, " ".join(words[token] for token in on_text[:COMMON])
    tokens = " ".join(words[token] for token in row["tokens"][:COMMON])
    return f"raised by {numbers.plural(row['n_looked'], 'latent')}", tokens


def _common_on_text(sae: SaeView, members: Sequence[int]) -> tuple[int, list[int]]:
    """Of how many members there are statistics of the text, and tokens that two of them share."""
    run, slug, counts, n = sae.report.run, sae.info.slug, Counter[int](), 0
    shards = sae.report.shards.get(slug)
    if shards is None or not run.has("token_statistics", slug):
        return 0, []
    for latent in members:
        if latent not in shards.chosen:
            continue
        columns = ["latent", "order", "rank", "token"]
        rows = run.table(
            "token_statistics", slug, columns=columns, latents=(latent, latent + 1)
        ).to_pylist()
        own = {r["token"] for r in rows if r["order"] == "share" and r["rank"] < COMMON_OF}
        counts.update(own)
        n += bool(own)
    shared = [token for token, count in counts.items() if count > 1]
    return n, sorted(shared, key=lambda token: (-counts[token], token))


def _map(sae: SaeView, found: list[dict[str, Any]]) -> list[Block]:
    """The map, with the largest clusters in colours and shapes."""
    places = sae.report.dictionaries.rows("cluster_places", sae.info.slug)
    if not places:
        return []
    drawn = found[: len(SYMBOLS)]
    series: list[dict[str, Any]] = [
        {
            "name": "other latents",
            "role": "quiet",
            "small": True,
            "points": [_point(row) for row in places if not 0 <= row["cluster"] < len(drawn)],
        }
    ]
    roles = {"quiet": "other latents, some of them"}
    for number, row in enumerate(drawn):
        shape, glyph = SYMBOLS[number]
        points = [_point(one) for one in places if one["cluster"] == number]
        name = f"cluster {number + 1}"
        series.append({"name": name, "role": f"k{number}", "symbol": shape, "points": points})
        roles[f"k{number}"] = f"{glyph} {name}: {numbers.plural(row['size'], 'latent')}"
    return [
        {
            "b": "scatter",
            "title": "Map of the clusters",
            "x": "first axis of the map",
            "y": "second axis of the map",
            "summary": "Each point is a latent, placed by its direction as on the map of the SAE. "
            "Clusters are made of all dimensions, so one may lie scattered here.",
            "series": series,
            "roles": roles,
            "named": True,
            "told": False,
        }
    ]


def _point(row: dict[str, Any]) -> list[float]:
    return [float(f"{row['x']:.3g}"), float(f"{row['y']:.3g}")]


# ---- chains


def has_chains(report: ReportModel) -> bool:
    """Whether latents are followed through the layers."""
    return bool(report.dictionaries.chains)


def chained(report: ReportModel) -> list[Block]:
    """How many chains there are, how long, and where they are listed."""
    chains = report.dictionaries.chains
    if not chains:
        return []
    longest = max(chains, key=len)
    first = longest[0]
    name: Cell = {"text": numbers.plural(first["n_chains"], "chain"), "href": CHAINS}
    alike = numbers.count(first["n_as_long"])
    if any(len(chain) < chain[0]["n_steps"] for chain in chains):
        # Of an SAE that is left out, how long the chains are that are not listed is not known.
        alike = f"{sum(len(chain) == len(longest) for chain in chains):,} of those listed"
    row = [
        name,
        numbers.count(len(longest)),
        alike,
        {"text": " → ".join(label_of(report, step["sae"]) for step in longest)},
    ]
    columns = ["chains", "longest", "of that length", "the first of these goes through"]
    said = (
        "Latents of different SAEs that follow each other, each the other's best match at a cosine "
        f"of {numbers.value(first['threshold'])} or more."
    )
    return [{"b": "table", "summary": said, "columns": columns, "rows": [row]}]


def chain_panels(report: ReportModel) -> list[Panel]:
    """The panel of the page of chains."""
    return [Panel("listed", "Chains", ("latent_chains",), _chains, wide=True)]


def _chains(report: ReportModel) -> list[Block]:
    chains = report.dictionaries.chains
    shown = chains[:MOST_CHAINS]
    first = shown[0][0]
    said = (
        "Each chain is one latent for every SAE that it goes through, in the order in which they "
        "write: those of the most steps first, of equally many the one whose weakest link is "
        f"strongest. A link needs a cosine of {numbers.value(first['threshold'])}"
    )
    said += (
        f"; how far both ends are active together is the correlation over {first['n_tokens']:,} "
        "tokens."
        if first["n_tokens"]
        else "."
    )
    if len(shown) < first["n_chains"]:
        said += f" {len(shown)} of {first['n_chains']:,} chains are listed."
    rows = [
        [f"{number + 1}" if not place else "", *_step(report, chain, place)]
        for number, chain in enumerate(shown)
        for place in range(len(chain))
    ]
    columns = ["chain", *STEP_COLUMNS]
    return [{"b": "table", "summary": said, "columns": columns, "rows": rows}]


def _step(report: ReportModel, chain: Sequence[dict[str, Any]], place: int) -> list[Cell]:
    """One step of a chain."""
    step = chain[place]
    return [
        label_of(report, step["sae"]),
        worded_cell(report, step["sae"], step["latent"]),
        numbers.value(step["cosine"][0]) if step["cosine"] and place else "–",
        numbers.value(step["together"][0]) if step["together"] and place else "–",
        {"text": _end(step, first=not place, last=place == len(chain) - 1)},
    ]


def _end(step: dict[str, Any], *, first: bool, last: bool) -> str:
    """Where a chain appears, and where it goes."""
    if not (first or last):
        return ""
    side = "earlier" if first else "later"
    if first and step["step"]:
        return "follows one of an SAE that this report leaves out"
    if last and step["step"] < step["n_steps"] - 1:
        return "goes on in an SAE that this report leaves out"
    if not step["nearest"]:
        return f"compared with no {side} SAE"
    nearest = step["nearest"][0]
    words = "appears here" if first else "goes no further"
    if nearest >= step["threshold"]:
        words = f"its {side} match has a nearer one"
    return f"{words} (nearest {side}: {numbers.value(nearest)})"


def chain_of(latent: LatentView) -> list[Block]:
    """The chain that a latent is in; nothing where it is in none."""
    report, slug = latent.sae.report, latent.sae.info.slug
    found = report.dictionaries.chain_of.get((slug, latent.index))
    if found is None:
        return []
    number, chain = found
    rows = [_step(report, chain, place) for place in range(len(chain))]
    return [CHAIN(v={"chain": number + 1, "of": chain[0]["n_chains"]}, rows=rows)]
