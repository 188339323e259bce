"""The geometry of dictionaries, as a run stores it."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from saereport.run.store import Run

N_BINS: Final = 22
"""Bins of cosines of best matches."""
LOWEST: Final = -0.1
WIDTH: Final = 0.05
"""Where the first bin begins, and how wide each is; what lies below is in the first."""

Rows = list[dict[str, Any]]


def binned(cosines: NDArray[np.float32]) -> NDArray[np.int64]:
    """Counts of cosines in the bins, int64 `[N_BINS]`."""
    # Rounded, so that what lies on an edge is not moved by the edge's own rounding.
    at = np.floor(np.round((cosines.astype(np.float64) - LOWEST) / WIDTH, 4)).astype(np.int64)
    return np.bincount(at.clip(0, N_BINS - 1), minlength=N_BINS)


class Dictionaries:
    """What a run says of the geometry of its dictionaries; each table is read once.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.rows = cache(self._rows)
        self.words = cache(self._words)
        self.cluster_of = cache(self._cluster_of)
        self.labels = cache(self._labels)
        self.meta_latents = cache(self._meta_latents)
        self.strongest = cache(self._strongest)

    def _rows(self, table: str, slug: str | None = None) -> Rows:
        """The rows of a table, in its order; none where the run lacks it.

        Raises:
            SaereportError: The table is damaged.
        """
        if not self._run.has(table, slug):
            return []
        found: Rows = self._run.table(table, slug).to_pylist()
        return found

    def _words(self, slug: str) -> dict[int, list[int]]:
        """The tokens of latents that these tables, and those of meta-SAEs, name, by latent."""
        tables = ("meta_words", "latent_words")
        return {row["latent"]: row["tokens"] for name in tables for row in self._rows(name, slug)}

    def _labels(self, slug: str) -> dict[int, str]:
        """The label of each latent that has one, the first where there are several."""
        found: dict[int, str] = {}
        for row in self._rows("explanations", slug):
            found.setdefault(row["latent"], row["text"])
        return found

    def _strongest(self, slug: str) -> dict[int, tuple[int, int]]:
        """Where each latent of which there are examples is strongest: sequence and position."""
        if not self._run.has("examples", slug):
            return {}
        columns = ["latent", "group", "rank", "sequence", "position"]
        table = self._run.table("examples", slug, columns=columns)
        first = pc.and_(pc.equal(table["group"], "top"), pc.equal(table["rank"], 0))
        rows = table.filter(first).to_pylist()
        return {row["latent"]: (row["sequence"], row["position"]) for row in rows}

    def _meta_latents(self, slug: str) -> dict[str, dict[int, dict[str, Any]]]:
        """The rows of `meta_latents` of an SAE, by meta-SAE and number."""
        found: dict[str, dict[int, dict[str, Any]]] = {}
        for row in self._rows("meta_latents", slug):
            found.setdefault(row["meta"], {})[row["number"]] = row
        return found

    def _cluster_of(self, slug: str) -> dict[int, int]:
        """The listed clusters of an SAE's latents, of those whose place on the map is known."""
        listed = {row["cluster"] for row in self._rows("dictionary_clusters", slug)}
        places = self._rows("cluster_places", slug)
        return {row["latent"]: row["cluster"] for row in places if row["cluster"] in listed}

    @cached_property
    def chains(self) -> list[Rows]:
        """The chains of latents through the layers, each its steps in order.

        Of a chain that went through an SAE that was cut out, the longest part that is left, of
        two steps at least: what stands alone follows nothing.
        """
        parts: dict[tuple[int, int], Rows] = {}
        for place, row in enumerate(self._rows("latent_chains")):
            # Steps that follow each other have the same difference to the place of their rows.
            parts.setdefault((row["chain"], row["step"] - place), []).append(row)
        found: dict[int, Rows] = {}
        for (chain, _), rows in parts.items():
            if len(rows) > max(1, len(found.get(chain, []))):
                found[chain] = rows
        return list(found.values())

    @cached_property
    def chain_of(self) -> dict[tuple[str, int], tuple[int, Rows]]:
        """By SAE and latent the chain that it is in, with its number."""
        return {
            (step["sae"], step["latent"]): (number, chain)
            for number, chain in enumerate(self.chains)
            for step in chain
        }

    def matched(self, slug: str, other: str) -> dict[str, Any]:
        """The row of `dictionary_matches` of an SAE and another; empty where there is none."""
        rows = self.rows("dictionary_matches", slug)
        return next((row for row in rows if row["other"] == other), {})


def geometry_figures(run: Run, slug: str) -> dict[str, float]:
    """The metrics of an SAE that comparisons and gates know.

    Returns:
        `geometry.match`, the mean cosine of best matches, `geometry.unmatched`, the share of
        latents without a match, and `geometry.split`, that of latents that are split, each the
        mean over the SAEs that it is compared with;
        `geometry.clustered`, the share of latents in clusters. Those that there are.

    Raises:
        SaereportError: A table is damaged.
    """
    found = {}
    if run.has("dictionary_matches", slug):
        columns = ["mean", "matched", "n_split", "n_latents"]
        rows = run.table("dictionary_matches", slug, columns=columns).to_pylist()
        if rows:
            split = [min(row["n_split"] / max(row["n_latents"], 1), 1.0) for row in rows]
            found["geometry.split"] = float(np.mean(split))
            found["geometry.match"] = float(np.mean([row["mean"] for row in rows]))
            found["geometry.unmatched"] = float(np.mean([1 - row["matched"] for row in rows]))
    if run.has("dictionary_clusters", slug):
        rows = run.table(
            "dictionary_clusters", slug, columns=["n_clustered", "n_latents"]
        ).to_pylist()
        if rows and rows[0]["n_latents"]:
            share = rows[0]["n_clustered"] / rows[0]["n_latents"]
            found["geometry.clustered"] = min(float(share), 1.0)
    return found
