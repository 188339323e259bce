"""Gradients of two runs on one prompt, compared map by map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from saereport.diff.columns import numbers
from saereport.diff.edges import EdgeMap, joined
from saereport.diff.model import EdgeChange
from saereport.diff.vocabularies import SharedVocabulary
from saereport.run import Run

COLUMNS = ("early_latent", "early_position", "late_latent", "late_position", "gradient")

Place = Callable[[int], str]
"""A position of the prompt as a reader sees it."""


@dataclass(frozen=True)
class StoredMap:
    """One map of one run.

    Attributes:
        edges: Keys are latent and position of the earlier and of the later end; a logit's token
            in the numbering that both runs share.
        floor: The weight that a pair which is not stored may have.
        unsure: Whether an active latent may be missing: only some of the active ones were used, or
            the numbers are so coarse that one near its threshold may be on or off.
    """

    edges: EdgeMap
    floor: float
    unsure: bool

    def hidden(self, other: NDArray[np.int64]) -> NDArray[np.float64]:
        """float64[m]: the weight that each of another map's edges may have here, unseen.

        Args:
            other: int64[m, 4], keys.
        """
        result = np.full(len(other), self.floor)
        if self.unsure:
            # An end that was not used has no gradients here; one that was shows in others.
            own = self.edges.keys
            for ends in (slice(0, 2), slice(2, 4)):
                result[~_among(other[:, ends], own[:, ends])] = np.inf
        return result


def _among(wanted: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[m]: which rows of `wanted` are rows of `known`."""
    seen = set(map(tuple, known.tolist()))
    return np.array([tuple(row) in seen for row in wanted.tolist()], bool)


def gradient_maps(
    run: Run, vocabulary: SharedVocabulary, names: Mapping[str, str]
) -> dict[int, dict[tuple[str, str], StoredMap]]:
    """Every map of a run: by prompt, then by earlier and later SAE.

    Args:
        run: The run.
        vocabulary: Its tokens.
        names: What both runs call an SAE of this run, for those whose latents mean the same; maps
            of other SAEs are left out.
    """
    if not (run.has("gradients") and run.has("gradient_maps")):
        return {}
    known = {"": "", **names}
    rows = run.table("gradient_maps").to_pylist()
    about = {(row["prompt"], row["early"], row["late"]): row for row in rows}
    kept = _pairs_kept(run)
    coarse = is_coarse(run)
    found: dict[int, dict[tuple[str, str], StoredMap]] = {}
    for key, part in _groups(run.table("gradients", columns=["prompt", "early", "late", *COLUMNS])):
        prompt, early, late = key
        if key in about and early in known and late in known:
            made = _map(part, about[key], None if late else vocabulary, kept, coarse)
            found.setdefault(prompt, {})[known[early], known[late]] = made
    for (prompt, early, late), row in about.items():
        # A map without a single gradient has no rows of its own.
        if not row["n_kept"] and early in known and late in known:
            none = EdgeMap(np.empty((0, 4), np.int64), np.empty(0))
            maps = found.setdefault(prompt, {})
            maps.setdefault(
                (known[early], known[late]), StoredMap(none, 0.0, coarse or _is_chosen(row))
            )
    return found


def maps_left_out(run: Run, names: Mapping[str, str]) -> Counter[int]:
    """How many maps of each prompt are of SAEs that `names` does not hold."""
    if not run.has("gradient_maps"):
        return Counter()
    known = {"": "", **names}
    rows = run.table("gradient_maps", columns=["prompt", "early", "late"]).to_pylist()
    return Counter(
        row["prompt"] for row in rows if not (row["early"] in known and row["late"] in known)
    )


def is_coarse(run: Run) -> bool:
    """Whether the model ran in a half-precision number type."""
    return run.info.model.dtype != "float32"


def _pairs_kept(run: Run) -> int | None:
    circuits = run.info.config.get("circuits")
    kept = circuits.get("pairs_kept") if isinstance(circuits, dict) else None
    return kept if isinstance(kept, int) and kept > 0 else None


def _groups(table: pa.Table) -> Iterator[tuple[tuple[int, str, str], pa.Table]]:
    """Runs of rows of one prompt, earlier and later SAE; a map is stored as one run."""
    if not table.num_rows:
        return
    keys = []
    for name in ("prompt", "early", "late"):
        column = table.column(name).combine_chunks().dictionary_encode()
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        keys.append(column)
    codes = np.stack([key.indices.to_numpy(zero_copy_only=False) for key in keys])
    starts = np.flatnonzero(np.any(np.diff(codes, axis=1, prepend=-1) != 0, axis=0))
    for start, stop in zip(starts, [*starts[1:], table.num_rows], strict=True):
        prompt, early, late = (key[int(start)].as_py() for key in keys)
        yield (prompt, early, late), table.slice(start, stop - start)


def _map(
    table: pa.Table,
    about: Mapping[str, Any],
    logits: SharedVocabulary | None,
    kept: int | None,
    coarse: bool,
) -> StoredMap:
    keys = np.stack([numbers(table, name) for name in COLUMNS[:4]], axis=1)
    if logits is not None:
        keys[:, 2] = logits.to_common(keys[:, 2])
    weights = np.nan_to_num(numbers(table, "gradient"))
    _, first = np.unique(keys, axis=0, return_index=True)
    first.sort()
    edges = EdgeMap(keys[first], weights[first])
    floor = 0.0
    if about["n_kept"] < about["n_pairs"]:
        # On repeated random tokens a block is stored besides: what is stored holds the largest
        # `kept` of all pairs, and then some that are smaller.
        strongest = np.sort(np.abs(edges.weights))[::-1]
        floor = float(strongest[min(kept or len(strongest), len(strongest)) - 1])
    return StoredMap(edges, floor, coarse or _is_chosen(about))


def _is_chosen(about: Mapping[str, Any]) -> bool:
    return bool(about["n_early"] < about["n_early_all"] or about["n_late"] < about["n_late_all"])


def changed_gradients(
    before: StoredMap,
    after: StoredMap,
    names: tuple[str, str],
    place: Place,
    token: Callable[[int], str],
    tolerance: float,
) -> list[EdgeChange]:
    """The gradients of one map that changed.

    Args:
        before: The map before.
        after: The map after.
        names: Earlier and later SAE, as both runs call them; empty for tokens and for logits.
        place: Shows a position.
        token: Shows a token, in the numbering that both runs share.
        tolerance: Sizes up to this are noise.
    """
    unsure = before.unsure or after.unsure
    hidden = (
        replace(after, unsure=unsure).hidden(before.edges.keys),
        replace(before, unsure=unsure).hidden(after.edges.keys),
    )
    found = joined(before.edges, after.edges, hidden, tolerance)
    changes = []
    for i, change in enumerate(found.changes):
        one, two = int(found.before[i]), int(found.after[i])
        key = (before.edges.keys[one] if one >= 0 else after.edges.keys[two]).tolist()
        early = f"{names[0]} {key[0]} {place(key[1])}" if names[0] else f"token {place(key[1])}"
        late = f"{names[1]} {key[2]} {place(key[3])}" if names[1] else f'logit "{token(key[2])}"'
        changes.append(
            EdgeChange(
                kind="gradient",
                early=early,
                late=late,
                before=float(before.edges.weights[one]) if one >= 0 else None,
                after=float(after.edges.weights[two]) if two >= 0 else None,
                change=change,
                size=float(found.sizes[i]),
            )
        )
    return changes
