"""Meta-SAEs of a build: loading them, putting decoder rows through them, and the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.config.meta import MetaSaeConfig
from saereport.evaluate.bootstrap import intervals
from saereport.measure.geometry.directions import Directions, dictionary
from saereport.measure.geometry.matching import DRAWN
from saereport.measure.geometry.meta import (
    Sum,
    Survey,
    by_chance,
    decompose,
    is_of_batches,
    survey,
)
from saereport.pipeline.context import Context
from saereport.pipeline.directions import lens_of, words_of
from saereport.pipeline.meta_files import is_a_transcoder, require_width
from saereport.pipeline.probe import Probe
from saereport.pipeline.stage import Cost, Yielded
from saereport.run import TABLES
from saereport.run.figures import FEWEST_SEQUENCES
from saereport.run.geometry import binned
from saereport.run.meta import binned_counts, binned_uses
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.magnitudes import check_magnitudes
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError

TOKENS = 6
"""Tokens at each end of a meta-latent."""
PARTS, FIRST = 6, 3
"""Meta-latents that are listed of a shown latent, and of one that is explained best or least."""
WORDED = 4
"""Base latents of a meta-latent whose tokens are kept."""
TAKEN = 2048
"""Rows that are taken apart to see how much the largest meta-latent of each is."""
PROBED = 1024
"""Rows by which it is told what all take."""
WORDS_PROBED = 32
"""Latents by which it is told what the tokens of all take."""


# ---- loading and refusing


def planned(context: Context) -> str:
    """What is going to be done, in words; warns of what was found while loading.

    Raises:
        SaereportError: A meta-SAE cannot be loaded, or cannot read its base's decoder rows.
    """
    rows = 0
    for asked in context.config.meta_saes:
        meta = loaded(context, asked)
        for said in meta.said:
            context.warned.add(
                f"Of its meta-SAE '{asked.slug}': {said.text}",
                about=asked.of,
                source=said.source,
                sanity=said.sanity,
            )
        rows += context.saes[asked.of].d_sae
    n = len(context.config.meta_saes)
    return f"{n} meta-SAE{'' if n == 1 else 's'}, {rows:,} decoder rows"


def loaded(context: Context, asked: MetaSaeConfig) -> Sae:
    """A meta-SAE in float32 on the base's device, its directions taken to lie where that writes.

    Raises:
        SaereportError: It cannot be loaded, or cannot read its base's decoder rows.
    """
    base = context.saes[asked.of]
    if base.why_no_decoder:
        raise SaereportError(f"There can be no meta-SAE of '{asked.of}': {base.why_no_decoder}.")
    if len(base.writes) > 1:
        raise SaereportError(
            f"There can be no meta-SAE of '{asked.of}': its latents write at {len(base.writes)} "
            "hook points, and have a decoder row for each."
        )
    path = str(asked.path) if asked.path is not None else None
    source = SaeSource(release=asked.release, sae_id=asked.sae_id, path=path)
    meta = load_sae(source, device=base.device, slug=asked.slug, at=base.write_point)
    if meta.is_transcoder:
        raise is_a_transcoder(asked)
    require_width(asked, meta.d_in, base.d_out)
    if meta.encoder.of_sequences:
        raise SaereportError(
            f"The meta-SAE {asked.label} encodes whole sequences, and decoder rows are none."
        )
    if meta.why_no_decoder:
        raise SaereportError(f"{asked.label} cannot be a meta-SAE: {meta.why_no_decoder}.")
    check_magnitudes(meta)
    return meta


def cost_of_meta(context: Context, probe: Probe) -> Cost:
    """What all will take, from a few rows of each base."""
    seconds, host, device = 0.0, 0, None
    for asked in context.config.meta_saes:
        base = context.saes[asked.of]
        with probe.sample() as loading:
            meta = loaded(context, asked)
        index = torch.arange(min(PROBED, base.d_sae), device=base.device)
        with probe.sample() as one, torch.no_grad():
            survey(meta, base.write_rows(index).detach().float())
        # The rows both ways, and up to 8,192 random ones.
        times = (2 * base.d_sae + min(base.d_sae, DRAWN)) / len(index)
        with probe.sample() as words:
            words_of(context, base, range(min(WORDS_PROBED, base.d_sae)))
        seconds += loading.seconds + one.seconds * times
        seconds += words.seconds * _number_named(context, asked, meta.d_sae) / WORDS_PROBED
        host = max(host, one.host_bytes)
        device = one.device_bytes if device is None else max(device, one.device_bytes or 0)
    return Cost(seconds=seconds, host_bytes=host or None, device_bytes=device)


def _number_named(context: Context, asked: MetaSaeConfig, n_meta: int) -> int:
    """Base latents and meta-latents whose tokens are looked for, at most about so many."""
    shown, listed = len(context.latents[asked.of]), context.config.meta.listed
    n = min(n_meta, listed * (1 + 2 * FIRST) + shown * PARTS)
    return n + min(context.saes[asked.of].d_sae, WORDED * n + 2 * listed)


# ---- measuring


@dataclass(frozen=True, eq=False)
class Found:
    """What a meta-SAE makes of the decoder rows of its base.

    Attributes:
        asked: What was asked for.
        meta: The meta-SAE.
        base: The base's directions.
        all: Of all rows.
        chance: Of random rows in their place.
        explained_other: The explained variance of the rows at their other lengths.
        of_batches: Whether activations depend on the other rows of a batch.
        shown: Which rows are those of shown latents.
        sums: Theirs.
        some: Of some rows, spread evenly.
        ends: Which rows are explained best, and which least.
        end_sums: Theirs.
    """

    asked: MetaSaeConfig
    meta: Sae
    base: Directions
    all: Survey
    chance: Survey
    explained_other: float
    of_batches: bool
    shown: NDArray[np.int64]
    sums: Sequence[Sum]
    some: Sequence[Sum]
    ends: dict[str, NDArray[np.int64]]
    end_sums: dict[str, Sequence[Sum]]


def found_of(context: Context, asked: MetaSaeConfig) -> Found | None:
    """Put the rows of a base through a meta-SAE; None where no row has a length."""
    sae, meta = context.saes[asked.of], loaded(context, asked)
    base = dictionary(sae, "hook", context.model)
    if not len(base):
        return None
    lengths = lengths_of(sae, base)
    rows = base.rows if asked.rows == "unit" else base.rows * lengths[:, None]
    every = survey(meta, rows)
    other = survey(meta, base.rows * lengths[:, None] if asked.rows == "unit" else base.rows)
    chance = by_chance(base.rows, None if asked.rows == "unit" else lengths, context.config.seed)
    order = np.argsort(-every.explained, kind="stable")
    listed = context.config.meta.listed
    ends = {"best": order[:listed], "least": order[::-1][:listed]}
    shown = np.flatnonzero(np.isin(base.latents, context.latents[asked.of]))

    def sums(places: NDArray[np.int64]) -> list[Sum]:
        return decompose(meta, rows[torch.from_numpy(places.copy()).to(rows.device)])

    return Found(
        asked=asked,
        meta=meta,
        base=base,
        all=every,
        chance=survey(meta, chance),
        explained_other=other.explained_variance,
        of_batches=is_of_batches(meta, rows),
        shown=shown,
        sums=sums(shown),
        some=sums(np.linspace(0, len(rows) - 1, min(len(rows), TAKEN)).astype(np.int64)),
        ends=ends,
        end_sums={end: sums(places) for end, places in ends.items()},
    )


def lengths_of(sae: Sae, base: Directions) -> Tensor:
    """The lengths of the decoder rows that have a direction, float32 `[n]`."""
    index = torch.from_numpy(base.latents)
    blocks = torch.split(index, DRAWN)
    parts = [sae.write_rows(some).detach().float().norm(dim=1) for some in blocks]
    return torch.cat(parts).to(base.rows.device)


def figure_intervals(found: Survey) -> dict[str, tuple[float, float] | None]:
    """The intervals of `explained` and `active` by drawing latents anew."""
    residual, spread, n_active = found.residual, found.spread, found.n_active.astype(np.float64)

    def estimates(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        of = weights @ spread
        return {
            "explained": 1 - (weights @ residual) / np.where(of > 0, of, 1.0),
            "active": weights @ n_active / weights.sum(axis=1),
        }

    return intervals(estimates, len(residual), FEWEST_SEQUENCES)


# ---- tables


def meta_tables(context: Context) -> Iterator[Yielded]:
    """The tables of every base, from the deepest to the shallowest; for others, none is missed."""
    asked = context.config.meta_saes
    with context.progress.bar("Meta-SAEs", len(asked), "meta-SAE") as bar, torch.no_grad():
        for slug in context.deepest_first():
            mine = [one for one in asked if one.of == slug]
            if not mine:
                continue
            rows: dict[str, list[dict[str, Any]]] = {}
            named: set[int] = set()
            for one in sorted(mine, key=lambda one: one.slug):
                found = found_of(context, one)
                bar.advance(1)
                if found is not None:
                    _add(context, rows, named, found)
            yield from _of_base(context, slug, rows, named)


def _add(
    context: Context, rows: dict[str, list[dict[str, Any]]], named: set[int], found: Found
) -> None:
    """Add the rows of one meta-SAE, and note the base latents that they name."""
    problem = lens_problem(context, found.meta)
    made = {
        "meta_saes": [summary_row(context, found, problem)],
        "meta_latents": latent_rows(context, found),
        "meta_parts": part_rows(found),
        "meta_extremes": extreme_rows(found),
    }
    for name, mine in made.items():
        rows.setdefault(name, []).extend(mine)
    for row in made["meta_latents"]:
        named.update(int(latent) for latent in row["latents"][:WORDED])
    named.update(row["latent"] for row in made["meta_extremes"])


def _of_base(
    context: Context, slug: str, rows: dict[str, list[dict[str, Any]]], named: Iterable[int]
) -> Iterator[Yielded]:
    reasons = {
        "meta_parts": "none of the latents that are shown has a direction",
        "meta_latents": "no meta-latent is active on any of its decoder rows",
    }
    for name in ("meta_saes", "meta_latents", "meta_parts", "meta_extremes"):
        mine = rows.get(name)
        if mine:
            mine.sort(key=lambda row: [row[column] for column in TABLES[name].key])
            yield slug, name, {column: [row[column] for row in mine] for column in mine[0]}
        else:
            reason = reasons.get(name, "") if rows else "none of its latents has a direction"
            context.leave_out(slug, name, reason)
    if words := words_of(context, context.saes[slug], named):
        yield slug, "meta_words", words
    else:
        context.leave_out(slug, "meta_words", "no latent is named, or there is no logit lens")


def lens_problem(context: Context, meta: Sae) -> str:
    """Why meta-latents have no logit lens, a clause; empty where they have."""
    from saereport.measure.weights.directions import why_no_write

    return why_no_write(meta.writes, context.model) or context.model.wiring.unembedding_problem


def summary_row(context: Context, found: Found, problem: str) -> dict[str, Any]:
    """A row of `meta_saes`."""
    every, chance, well = found.all, found.chance, context.config.meta.well
    ends = figure_intervals(every)
    width, counts = binned_counts(every.n_active)
    return {
        "meta": found.asked.slug,
        "label": found.asked.name or _named(found.asked),
        "architecture": found.meta.architecture,
        "weights": found.meta.weights_sha256,
        "rows": found.asked.rows,
        "n_latents": len(found.base),
        "n_without": found.base.n_without,
        "d": found.meta.d_in,
        "n_meta": found.meta.d_sae,
        "explained": every.explained_variance,
        "explained_interval": list(ends["explained"] or ()),
        "explained_other": found.explained_other,
        "explained_chance": chance.explained_variance,
        "n_chance": len(chance.residual),
        "active": float(every.n_active.mean()),
        "active_interval": list(ends["active"] or ()),
        "active_chance": float(chance.n_active.mean()),
        "active_width": width,
        "active_counts": counts,
        "of_batches": found.of_batches,
        "cosine": float(every.cosine.mean(dtype=np.float64)),
        "cosine_median": float(np.median(every.cosine)),
        "cosine_counts": binned(every.cosine),
        "cosine_chance_counts": binned(chance.cosine),
        "n_dead": int((every.uses == 0).sum()),
        "n_single": int((every.uses == 1).sum()),
        "use_counts": binned_uses(every.uses),
        "well": well,
        "n_well": int((every.explained >= well).sum()),
        "well_chance": float((chance.explained >= well).mean()),
        "largest": float(np.mean([one.shares[:1].sum() for one in found.some])),
        "others": float(np.mean([one.shares[1:].sum() for one in found.some])),
        "n_taken": len(found.some),
        "no_lens": problem,
    }


def _named(asked: MetaSaeConfig) -> str:
    """What a meta-SAE is called where the user gave it no name; a path's last part."""
    path = asked.path
    return path.expanduser().resolve().name if path else f"{asked.release} / {asked.sae_id}"


def latent_rows(context: Context, found: Found) -> list[dict[str, Any]]:
    """Rows of `meta_latents`."""
    every = found.all
    used = np.argsort(-every.uses, kind="stable")[: context.config.meta.listed]
    parts = [one.parts[:PARTS] for one in found.sums]
    parts += [one.parts[:FIRST] for of in found.end_sums.values() for one in of]
    numbers = np.unique(np.concatenate([used[every.uses[used] > 0], *parts])).astype(np.int64)
    lens = lens_of(context, found.meta, numbers, TOKENS)
    empty: list[list[float]] = [[]] * len(numbers)
    columns = {
        name: lens.get(name, empty)
        for name in ("top_tokens", "top_values", "bottom_tokens", "bottom_values")
    }
    rows = []
    for place, number in enumerate(numbers.tolist()):
        n = int((every.activations[number] > 0).sum())
        rows.append(
            {
                "meta": found.asked.slug,
                "number": number,
                "n_active": int(every.uses[number]),
                "latents": found.base.latents[every.strongest[number, :n]],
                "activations": every.activations[number, :n],
                **{name: column[place] for name, column in columns.items()},
            }
        )
    return rows


def part_rows(found: Found) -> list[dict[str, Any]]:
    """Rows of `meta_parts`."""
    return [
        {
            "latent": int(found.base.latents[row]),
            "meta": found.asked.slug,
            "parts": one.parts[:PARTS],
            "activations": one.activations[:PARTS],
            "shares": one.shares[:PARTS],
            "left": one.left,
            "n_active": len(one.parts),
            "explained": float(found.all.explained[row]),
            "cosine": float(found.all.cosine[row]),
        }
        for row, one in zip(found.shown.tolist(), found.sums, strict=True)
    ]


def extreme_rows(found: Found) -> list[dict[str, Any]]:
    """Rows of `meta_extremes`."""
    return [
        {
            "meta": found.asked.slug,
            "end": end,
            "rank": rank,
            "latent": int(found.base.latents[row]),
            "explained": float(found.all.explained[row]),
            "cosine": float(found.all.cosine[row]),
            "n_active": len(one.parts),
            "parts": one.parts[:FIRST],
            "shares": one.shares[:FIRST],
        }
        for end in sorted(found.ends)
        for rank, (row, one) in enumerate(
            zip(found.ends[end].tolist(), found.end_sums[end], strict=True)
        )
    ]
