"""Dictionaries of a build against each other: which pairs, and their tables."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from saereport.config.geometry import parse_pairs
from saereport.measure.geometry.clusters import MOST_MEANS, Cluster, TooClose, clusters
from saereport.measure.geometry.directions import (
    Directions,
    Space,
    dictionary,
    one_hook,
    shared_space,
)
from saereport.measure.geometry.matching import (
    CHANCE_ROWS,
    Best,
    best_matches,
    by_chance,
    is_mutual,
    matched_by,
    pairs_by_chance,
    splits,
)
from saereport.measure.weights.context import WeightContext
from saereport.measure.weights.decoder import principal_plane, umap_plane
from saereport.measure.weights.directions import why_no_write, writes_of
from saereport.measure.weights.extremes import extremes_in_chunks
from saereport.pipeline.chains import TOKENS_AT_ONCE, Links, chain_rows
from saereport.pipeline.context import Context
from saereport.pipeline.pass_time import pass_time
from saereport.pipeline.probe import PassTime, Probe
from saereport.pipeline.stage import Cost, Yielded
from saereport.run import TABLES
from saereport.run.geometry import binned
from saereport.sources.saes.sae import Sae
from saereport.util.errors import UsageError

WORDS = 6
"""Tokens of a latent that is named."""
PARTS = 10
"""Parts of a latent that are listed."""
MEMBERS, LOOKED, COMMON = 12, 32, 10
"""Members of a cluster that are listed, whose tokens are looked at, and tokens of each."""
CUT_SHARE = 0.999
"""Share of pairs of random directions that stay below the cosine at which clusters are cut."""
DRAWN_CLUSTERS, DRAWN_MEMBERS, SOME = 6, 60, 150
"""Clusters that are drawn, members of each, and other latents beside them."""
PROBED = 2048
"""Latents by which it is told what all of them take."""
TOO_CLOSE = (
    "so many of its latents lie close together that joining them would take more than "
    f"{MOST_MEANS:,} mean cosines (a larger geometry.cluster joins fewer)"
)
ALONE = "the report has no other SAE"


@dataclass(frozen=True)
class Pair:
    """Two SAEs that are compared, the one that writes first before the other."""

    first: str
    second: str
    space: Space
    hook: str


# ---- which


def planned_pairs(context: Context, *, warn: bool = False) -> list[Pair]:
    """The pairs of SAEs that are compared, in the order in which the SAEs write.

    Args:
        context: The build.
        warn: Whether to tell the reader of what is left out.

    Raises:
        UsageError: Two that are named cannot be compared; says why.
    """
    config, saes = context.config, context.saes
    usable = {slug: sae for slug, sae in saes.items() if not why_left_out(context, sae)}
    named = (_named(context, *names) for names in parse_pairs(config.compare_saes, saes))
    # A pair that is named both ways round is one pair.
    asked = list(dict.fromkeys(named))
    known = {(pair.first, pair.second) for pair in asked}
    usual = [pair for pair in _usual(context, usable) if (pair.first, pair.second) not in known]
    kept = usual[: config.geometry.most_pairs]
    if warn and len(kept) < len(usual):
        context.warned.add(
            f"Of {len(usual):,} pairs of SAEs whose directions could be compared "
            f"{len(kept):,} are: geometry.most_pairs says so. Others can be named with "
            "--compare-saes."
        )
    place = {slug: k for k, slug in enumerate(in_depth(saes))}
    return sorted([*asked, *kept], key=lambda pair: (place[pair.first], place[pair.second]))


def in_depth(saes: Mapping[str, Sae]) -> list[str]:
    """The SAEs in the order in which they write; of those at one place, that of the report."""
    return sorted(saes, key=lambda slug: saes[slug].writes[0].depth)


def why_left_out(context: Context, sae: Sae) -> str:
    """Why nothing is said of a dictionary, a clause; empty where something is."""
    most = context.config.geometry.most_latents
    if sae.d_sae > most:
        return (
            f"it has {sae.d_sae:,} latents, and dictionaries of more than {most:,} are not "
            "compared (geometry.most_latents)"
        )
    return sae.why_no_decoder or ("" if sae.d_sae > 1 else "it has one latent")


def why_not_clustered(context: Context, sae: Sae) -> str:
    """Why no clusters are made of a dictionary, a clause; empty where they are."""
    most = context.config.geometry.most_clustered
    if reason := why_left_out(context, sae):
        return reason
    if sae.d_sae > most:
        return (
            f"it has {sae.d_sae:,} latents, and clusters are made of {most:,} at most "
            "(geometry.most_clustered)"
        )
    return ""


def _named(context: Context, one: str, other: str) -> Pair:
    saes = context.saes
    for slug in (one, other):
        if reason := why_left_out(context, saes[slug]):
            raise UsageError(f"The SAE '{slug}' cannot be compared with others: {reason}.")
    pair = _pair(context, one, other)
    if isinstance(pair, str):
        raise UsageError(
            f"The SAEs '{one}' and '{other}' cannot be compared: they write at different hook "
            f"points, and {pair}."
        )
    return pair


def _pair(context: Context, one: str, other: str) -> Pair | str:
    saes = context.saes
    first, second = sorted((one, other), key=in_depth(saes).index)
    space, reason = shared_space(saes[first], saes[second], context.model)
    if reason:
        return reason
    hook = one_hook(saes[first], saes[second])
    return Pair(first, second, space, hook.name if space == "hook" and hook else "")


def _usual(context: Context, saes: Mapping[str, Sae]) -> list[Pair]:
    """Pairs at one hook point, then those next to each other in depth, and so of one site."""
    order = in_depth(saes)
    sites: dict[str, list[str]] = {}
    for slug in order:
        sites.setdefault(saes[slug].writes[0].kind, []).append(slug)
    alike = [(a, b) for a, b in combinations(order, 2) if one_hook(saes[a], saes[b])]
    of_site = [pair for mine in sites.values() for pair in pairwise(mine)]
    names = dict.fromkeys([*alike, *pairwise(order), *of_site])
    found = (_pair(context, *pair) for pair in names)
    return [pair for pair in found if isinstance(pair, Pair)]


def said_of(pairs: Sequence[Pair]) -> str:
    """How many pairs there are, for the plan."""
    n = len(pairs)
    return f"{n:,} pair{'' if n == 1 else 's'} of SAEs" if n else "each SAE by itself"


def cost_of_directions(context: Context, probe: Probe) -> Cost:
    """What all pairs will take, from a part of one dictionary against itself.

    Besides, some text goes through the model for the chains, if there may be any.
    """
    usable = [sae for sae in context.saes.values() if not why_left_out(context, sae)]
    if not usable:
        return Cost(seconds=0.0)
    sae = usable[0]
    index = torch.arange(min(PROBED, sae.d_sae), device=sae.W_enc.device)
    with probe.sample() as one:
        rows = sae.write_rows(index).detach().float()
        best_matches(rows, rows)
    width = rows.shape[1]
    pairs, products = planned_pairs(context), 0
    for pair in pairs:
        n, m = context.saes[pair.first].d_sae, context.saes[pair.second].d_sae
        products += n * m * width + (n + m) * width * (CHANCE_ROWS + width)
    clustered = [sae for sae in usable if not why_not_clustered(context, sae)]
    products += sum(sae.d_sae**2 * sae.d_out for sae in clustered)
    each = one.seconds / (len(rows) ** 2 * width)
    followed = 0.0
    if pairs:
        deepest = max(sae.hook_in.layer for sae in context.saes.values())
        tokens = min(context.config.geometry.coactivation_tokens, context.text.to_read)
        part = (deepest + 1) / context.model.n_layers
        followed = seconds_followed(pass_time(context, probe), tokens, part)
    return Cost(
        seconds=each * products + followed,
        host_bytes=one.host_bytes,
        device_bytes=one.device_bytes,
    )


def seconds_followed(passes: PassTime, tokens: int, part: float) -> float:
    """What it takes to see how far latents are active together.

    Args:
        passes: What a whole pass takes.
        tokens: Tokens of the text.
        part: The part of the model up to the deepest SAE.
    """
    return part * passes.seconds(-(-tokens // TOKENS_AT_ONCE), tokens, 0)


# ---- what


@dataclass(eq=False)
class Found:
    """What is found of the dictionaries of a build, while it is being found.

    Attributes:
        context: The build.
        links: What chains are made of.
        matches: Rows of `dictionary_matches`, by SAE.
        latents: Rows of `latent_matches`, by SAE.
        splits: Rows of `feature_splits`, by SAE.
        named: Latents that tables name, by SAE.
    """

    context: Context
    links: Links
    matches: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    latents: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    splits: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    named: dict[str, set[int]] = field(default_factory=dict)
    _kept: OrderedDict[tuple[str, Space], Directions] = field(default_factory=OrderedDict)

    def directions(self, slug: str, space: Space) -> Directions:
        """Those of an SAE; of the last two that were asked for they are at hand."""
        found = self._kept.pop((slug, space), None)
        if found is None:
            while len(self._kept) > 1:
                self._kept.popitem(last=False)
            found = dictionary(self.context.saes[slug], space, self.context.model)
        self._kept[slug, space] = found
        return found

    def name(self, slug: str, latents: Iterable[int]) -> None:
        """Note that a table names some latents."""
        self.named.setdefault(slug, set()).update(int(latent) for latent in latents)


def geometry_tables(context: Context) -> Iterator[Yielded]:
    """The tables of every SAE, and the reasons for those that are missing."""
    found = Found(context, Links(in_depth(context.saes)))
    pairs = planned_pairs(context)
    with torch.no_grad():
        with context.progress.bar("Comparing SAEs", len(pairs), "pair") as bar:
            for pair in pairs:
                compare(found, pair)
                bar.advance(1)
        with context.progress.bar("Clustering latents", len(context.saes), "SAE") as bar:
            for slug in context.saes:
                yield from clusters_of(found, slug)
                bar.advance(1)
        yield from _chains(found)
        for slug, sae in context.saes.items():
            yield from _of_one(found, slug, sae)


def _chains(found: Found) -> Iterator[Yielded]:
    """The table of chains, or why there is none."""
    context = found.context
    rows = chain_rows(context, found.links, context.latents)
    for row in rows:
        found.name(row["sae"], [row["latent"]])
    if rows:
        yield None, "latent_chains", {name: [row[name] for row in rows] for name in rows[0]}
    else:
        reason = "no latent has a match in an SAE that writes later"
        context.leave_out(None, "latent_chains", reason if found.links.matches else ALONE)


def _of_one(found: Found, slug: str, sae: Sae) -> Iterator[Yielded]:
    context = found.context
    for name, rows in (
        ("dictionary_matches", found.matches),
        ("latent_matches", found.latents),
        ("feature_splits", found.splits),
    ):
        if mine := rows.get(slug):
            mine = sorted(mine, key=lambda row: [row[column] for column in TABLES[name].key])
            yield slug, name, {column: [row[column] for row in mine] for column in mine[0]}
        else:
            context.leave_out(slug, name, _why_missing(found, slug, name))
    if words := words_of(context, sae, found.named.get(slug, set())):
        yield slug, "latent_words", words
    else:
        context.leave_out(slug, "latent_words", "no latent is named, or there is no logit lens")


def _why_missing(found: Found, slug: str, name: str) -> str:
    context = found.context
    if reason := why_left_out(context, context.saes[slug]):
        return reason
    if len(context.saes) == 1:
        return ALONE
    if slug not in found.matches:
        return "no SAE next to it in the report writes to the same space"
    if name == "feature_splits":
        return "no other SAE has several latents for one of its own"
    return "none of the latents that are shown has a direction"


def compare(found: Found, pair: Pair) -> None:
    """Compare two dictionaries both ways."""
    one = found.directions(pair.first, pair.space)
    other = found.directions(pair.second, pair.space)
    if not len(one) or not len(other):
        return
    best, back = best_matches(one.rows, other.rows)
    for slug, name, here, there, ways in (
        (pair.first, pair.second, one, other, (best, back)),
        (pair.second, pair.first, other, one, (back, best)),
    ):
        side = Side(slug, name, here, there, *ways)
        found.matches.setdefault(slug, []).append(_match_row(found, pair, side))
        found.latents.setdefault(slug, []).extend(_latent_rows(found, side))
        if len(here) <= len(there):
            found.splits.setdefault(slug, []).extend(_split_rows(found, side))
    _link(found, pair, Side(pair.first, pair.second, one, other, best, back))


def _link(found: Found, pair: Pair, side: Side) -> None:
    """Take note of what chains are made of; SAEs at one place do not follow each other."""
    saes, links = found.context.saes, found.links
    first, second = saes[pair.first], saes[pair.second]
    if first.writes[0].depth >= second.writes[0].depth:
        return
    here, there, best, back = side.here.latents, side.there.latents, side.best, side.back
    links.see(links.behind, pair.first, first.d_sae, here, best.cosine)
    links.see(links.before, pair.second, second.d_sae, there, back.cosine)
    fit = is_mutual(best, back) & (best.cosine >= found.context.config.geometry.match)
    places = links.order.index(pair.first), links.order.index(pair.second)
    links.matches[places] = [
        (int(here[row]), int(there[best.row[row]]), float(best.cosine[row]))
        for row in np.flatnonzero(fit)
    ]


@dataclass(frozen=True, eq=False)
class Side:
    """One dictionary of a pair.

    Attributes:
        slug: Its SAE.
        other: The other SAE.
        here: Its directions.
        there: Those of the other.
        best: The best match of each of its rows in the other.
        back: That of each of the other's rows.
    """

    slug: str
    other: str
    here: Directions
    there: Directions
    best: Best
    back: Best


def _match_row(found: Found, pair: Pair, side: Side) -> dict[str, Any]:
    """A row of `dictionary_matches`."""
    asked, best = found.context.config.geometry, side.best
    chance = by_chance(side.here.rows, side.there.rows, found.context.config.seed)
    matched = best.cosine >= asked.match
    far = np.flatnonzero(~matched)
    far = far[np.argsort(best.cosine[far], kind="stable")][: asked.listed]
    unmatched = side.here.latents[far]
    found.name(side.slug, unmatched)
    groups = [len(g) for g in matched_by(side.back, asked.split).values() if len(g) > 1]
    return {
        "other": side.other,
        "space": pair.space,
        "hook": pair.hook,
        "n_latents": len(side.here),
        "n_others": len(side.there),
        "n_without": side.here.n_without,
        "threshold": asked.match,
        "mean": float(best.cosine.mean(dtype=np.float64)),
        "median": float(np.median(best.cosine)),
        "n_matched": int(matched.sum()),
        "matched": float(matched.mean()),
        "n_mutual": int((matched & is_mutual(best, side.back)).sum()),
        "counts": binned(best.cosine),
        "chance_mean": float(chance.mean(dtype=np.float64)),
        "chance_median": float(np.median(chance)),
        "chance_high": float(np.quantile(chance, 0.99)),
        "chance_counts": binned(chance),
        "split_from": asked.split,
        "n_split": len(groups),
        "n_parts": sum(groups),
        "unmatched": unmatched,
        "unmatched_cosines": best.cosine[far],
    }


def _latent_rows(found: Found, side: Side) -> Iterator[dict[str, Any]]:
    """Rows of `latent_matches`, of the latents that are shown."""
    shown = np.asarray(found.context.latents[side.slug], np.int64)
    rows = np.searchsorted(side.here.latents, shown)
    mutual = is_mutual(side.best, side.back)
    parts = matched_by(side.back, found.context.config.geometry.split)
    for latent, row in zip(shown.tolist(), rows.tolist(), strict=True):
        if row >= len(side.here) or side.here.latents[row] != latent:
            continue  # it has no direction
        members = parts.get(row, np.zeros(0, np.int64))[:PARTS]
        best = int(side.there.latents[side.best.row[row]])
        own = side.there.latents[members]
        found.name(side.other, [best, *own])
        yield {
            "latent": latent,
            "other": side.other,
            "best": best,
            "cosine": float(side.best.cosine[row]),
            "mutual": bool(mutual[row]),
            "parts": own,
            "part_cosines": side.back.cosine[members],
        }


def _split_rows(found: Found, side: Side) -> Iterator[dict[str, Any]]:
    """Rows of `feature_splits`: latents of this side for which the other has several."""
    asked = found.context.config.geometry
    for split in splits(side.here, side.there, side.back, asked.split)[: asked.listed]:
        found.name(side.slug, [split.whole])
        found.name(side.other, split.parts[:PARTS])
        yield {
            "latent": split.whole,
            "other": side.other,
            "n_parts": len(split.parts),
            "parts": split.parts[:PARTS],
            "cosines": split.cosines[:PARTS],
            "within": split.within,
        }


# ---- one dictionary by itself


def clusters_of(found: Found, slug: str) -> Iterator[Yielded]:
    """The tables about the clusters of an SAE's latents, or why there are none."""
    context, names = found.context, ("dictionary_clusters", "cluster_places")
    asked, sae = context.config.geometry, context.saes[slug]
    if reason := why_not_clustered(context, sae):
        context.leave_out_all(slug, names, reason)
        return
    here = found.directions(slug, "hook")
    made: list[Cluster] = []
    cut = asked.cluster
    if len(here) > 1:
        if cut is None:
            cut = pairs_by_chance(here.rows, CUT_SHARE, context.config.seed)
        # Below any cosine that counts everything would be one cluster.
        try:
            made = clusters(here.rows, max(cut, 1e-3), asked.smallest_cluster)
        except TooClose:
            context.leave_out_all(slug, names, TOO_CLOSE)
            return
    if cut is None or not made:
        context.leave_out_all(slug, names, "no latents of it lie closer together than by chance")
        return
    yield slug, "dictionary_clusters", _cluster_columns(found, slug, here, made, cut)
    yield slug, "cluster_places", _place_columns(context, slug, here, made)


def _cluster_columns(
    found: Found, slug: str, here: Directions, made: Sequence[Cluster], cut: float
) -> dict[str, Any]:
    """Table `dictionary_clusters`."""
    asked = found.context.config.geometry
    shown = made[: asked.listed]
    members = [here.latents[one.rows[:MEMBERS]] for one in shown]
    for one in members:
        found.name(slug, one)
    looked = [here.latents[one.rows[:LOOKED]] for one in shown]
    words = words_of(found.context, found.context.saes[slug], np.concatenate(looked), COMMON)
    common = [common_tokens(words, latents) for latents in looked]
    n = len(shown)
    return {
        "cluster": np.arange(n, dtype=np.int32),
        "size": [len(one.rows) for one in shown],
        "cohesion": [one.cohesion for one in shown],
        "members": members,
        "member_cosines": [one.cosines[:MEMBERS] for one in shown],
        "tokens": [[token for token, _ in one] for one in common],
        "token_counts": [[count for _, count in one] for one in common],
        "n_looked": [len(latents) for latents in looked],
        "cut": [cut] * n,
        "cut_asked": [asked.cluster is not None] * n,
        "n_clusters": [len(made)] * n,
        "n_clustered": [sum(len(one.rows) for one in made)] * n,
        "n_latents": [len(here)] * n,
    }


def common_tokens(words: Mapping[str, Any], latents: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Tokens that several latents raise, with how many do, most first; of equal ones by number.

    Args:
        words: As `words_of` gives them; may be empty.
        latents: The latents.
    """
    if not words:
        return []
    rows = np.isin(words["latent"], latents)
    tokens = np.concatenate([t for t, inside in zip(words["tokens"], rows, strict=True) if inside])
    found, counts = np.unique(tokens, return_counts=True)
    order = np.lexsort((found, -counts))[:COMMON]
    return [(int(found[k]), int(counts[k])) for k in order if counts[k] > 1]


def _place_columns(
    context: Context, slug: str, here: Directions, made: Sequence[Cluster]
) -> dict[str, Any]:
    """Table `cluster_places`."""
    of = np.full(len(here), -1, np.int32)
    for number, one in enumerate(made):
        of[one.rows] = number
    rows = here.rows.cpu().numpy()
    asked = context.config
    plane = umap_plane(rows, asked.seed) if asked.map == "umap" else principal_plane(rows)
    drawn = [one.rows[:DRAWN_MEMBERS] for one in made[:DRAWN_CLUSTERS]]
    shown = np.flatnonzero(np.isin(here.latents, context.latents[slug]))
    some = np.linspace(0, len(here) - 1, min(len(here), SOME)).astype(np.int64)
    kept = np.unique(np.concatenate([*drawn, shown, some]))
    return {
        "latent": here.latents[kept],
        "cluster": of[kept],
        "x": plane[kept, 0].astype(np.float32),
        "y": plane[kept, 1].astype(np.float32),
    }


# ---- tokens


def words_of(
    context: Context, sae: Sae, latents: Iterable[int], listed: int = WORDS
) -> dict[str, Any]:
    """Table `latent_words`: what some latents raise most; empty where there is no logit lens."""
    chosen: NDArray[np.int64] = np.unique(np.array(list(latents), np.int64))
    lens = lens_of(context, sae, chosen, listed)
    return {"latent": chosen, "tokens": lens["top_tokens"]} if lens else {}


def lens_of(context: Context, sae: Sae, chosen: NDArray[np.int64], listed: int) -> dict[str, Any]:
    """What some latents raise and lower most; empty where there is none or no logit lens.

    Args:
        context: The build.
        sae: The SAE.
        chosen: Its latents, rising.
        listed: Tokens at each end.

    Returns:
        The columns of `TOKEN_LISTS`, a row for each latent.
    """
    if not len(chosen) or sae.why_no_decoder:
        return {}
    if why_no_write(sae.writes, context.model) or context.model.wiring.unembedding_problem:
        return {}
    few = WeightContext(sae, chosen, context.token_rows, listed=listed)
    directions = writes_of(sae, context.model, few.chosen)
    pieces = (piece.T for piece in context.token_rows.unembedding())
    return extremes_in_chunks(few, directions, pieces)
