"""Tables of top examples taken apart, and of blind latents, for a synthetic run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from saereport.run import RunInfo, RunWriter, open_run
from tests.synthetic import Extra, Shape

N_HEADS = 9
KINDS = ("residual", "attention", "transcoder")


def examples_extra(
    slugs: Mapping[str, Any] | None = None, *, per_latent: int = 4, influences: int = 6
) -> Extra:
    """Every table of top examples, each for the kinds of SAE that it applies to.

    Args:
        slugs: Only these SAEs; all where absent.
        per_latent: Top examples of a latent that are taken apart.
        influences: Influences listed for each of them.
    """

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        for k, (slug, chosen) in enumerate(shown.items()):
            if slugs is not None and slug not in slugs:
                continue
            rng = np.random.default_rng([shape.seed, 77, k])
            early = list(shown)[:k]
            draw = _Draw(shape, shown, chosen, early, 3 + 3 * k, per_latent, influences, rng)
            if KINDS[k % 3] == "attention":
                writer.write("example_heads", draw.heads(), slug=slug)
            else:
                writer.write("example_components", draw.components(), slug=slug)
                writer.write("example_head_deembedding", draw.through_heads(), slug=slug)
            if early and KINDS[k % 3] != "attention":
                writer.write("example_influences", draw.influences(), slug=slug)
                writer.write("influence_counts", draw.counts(), slug=slug)

    return write


def blind_extra(choose: Callable[[dict[str, Any]], list[tuple[str, int, bool]]]) -> Extra:
    """The table of blind latents; `choose` makes its rows (SAE, latent, reveal)."""

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        rows = sorted(choose(shown))
        columns = dict(zip(("sae", "latent", "reveal"), zip(*rows, strict=True), strict=True))
        writer.write("blind_latents", {name: list(values) for name, values in columns.items()})

    return write


def without_spoilers(source: Path, target: Path) -> RunInfo:
    """The run as it is collected when some of its blind latents cannot be revealed."""
    run = open_run(source)
    blind = run.table("blind_latents").to_pylist()
    hidden: dict[str, set[int]] = {}
    for row in blind:
        if not row["reveal"]:
            hidden.setdefault(row["sae"], set()).add(row["latent"])
    with RunWriter(target, hidden=hidden) as writer:
        for name in run.names():
            writer.write(name, _columns(run.table(name)))
        for sae in run.info.saes:
            for name in run.names(sae.slug):
                writer.write(name, _columns(run.table(name, sae.slug)), slug=sae.slug)
        return writer.finish(run.info)


def _columns(table: Any) -> dict[str, Any]:
    return {name: table.column(name).to_pylist() for name in table.column_names}


class _Draw:
    """Draws the tables of one SAE; sums hang together exactly as the real ones do."""

    def __init__(
        self,
        shape: Shape,
        shown: dict[str, Any],
        chosen: Any,
        early: list[str],
        layer: int,
        per_latent: int,
        influences: int,
        rng: Any,
    ) -> None:
        self.shape, self.shown, self.early, self.layer, self.rng = shape, shown, early, layer, rng
        self.chosen, self.per, self.k = chosen, per_latent, influences
        self.n = len(chosen) * per_latent

    def _keys(self) -> dict[str, Any]:
        position = self.rng.integers(8, self.shape.context - 2, self.n)
        return {
            "latent": np.repeat(self.chosen, self.per),
            "rank": np.tile(np.arange(self.per), len(self.chosen)),
            "sequence": self.rng.integers(0, self.shape.n_sequences, self.n),
            "position": position,
        }

    def heads(self) -> dict[str, Any]:
        keys = self._keys()
        keys["start"] = np.maximum(0, keys["position"] - 12)
        shares = [self.rng.dirichlet(np.full(p - s + 1, 0.3)) for p, s in
                  zip(keys["position"], keys["start"], strict=True)]  # fmt: skip
        total = self.rng.gamma(6, 1.0, self.n)
        bias = self.rng.normal(-0.4, 0.1, self.n)
        signs = [np.where(self.rng.random(len(s)) < 0.25, -1.0, 1.0) for s in shares]
        sources = [t * s * g for t, s, g in zip(total, shares, signs, strict=True)]
        by_head = self.rng.dirichlet(np.full(N_HEADS, 0.4), self.n)
        sums = np.array([s.sum() for s in sources])
        wobble = self.rng.normal(0, 0.15, (self.n, N_HEADS))
        wobble -= wobble.mean(axis=1, keepdims=True)
        return {
            **keys,
            "activation": sums + bias,
            "pre_activation": sums + bias,
            "bias": bias,
            "heads": by_head * sums[:, None] + wobble,
            "sources": sources,
        }

    def components(self) -> dict[str, Any]:
        heads = self.rng.normal(0, 0.1, (self.n, (self.layer + 1) * N_HEADS))
        heads[:, -3] += 2.0
        mlps = self.rng.normal(0.1, 0.4, (self.n, self.layer))
        embedding, bias = self.rng.normal(0.5, 0.2, self.n), self.rng.normal(-1, 0.1, self.n)
        total = embedding + bias + heads.sum(axis=1) + mlps.sum(axis=1)
        return {
            **self._keys(),
            "activation": np.maximum(total, 0),
            "pre_activation": total,
            "embedding": embedding,
            "heads": heads,
            "mlps": mlps,
            "bias": bias,
        }

    def _early(self, n: int) -> tuple[list[str], Any]:
        names = [self.early[i] for i in self.rng.integers(0, len(self.early), n)]
        return names, np.array([self.rng.choice(self.shown[name]) for name in names])

    def influences(self) -> dict[str, Any]:
        n = self.n * self.k
        early, latents = self._early(n)
        direct = self.rng.random(n) < 0.4
        source = np.where(direct, 0, -self.rng.integers(0, 8, n))
        return {
            "latent": np.repeat(self.chosen, self.per * self.k),
            "rank": np.tile(np.repeat(np.arange(self.per), self.k), len(self.chosen)),
            "number": np.tile(np.arange(self.k), self.n),
            "early": early,
            "layer": np.where(direct, -1, self.layer - 1),
            "head": np.where(direct, -1, self.rng.integers(0, N_HEADS, n)),
            "early_latent": latents,
            "source": source,
            "token": self.rng.integers(1, self.shape.n_vocabulary, n),
            "value": self.rng.normal(0.3, 0.6, n),
        }

    def counts(self) -> dict[str, Any]:
        n = len(self.chosen) * self.k
        early, latents = self._early(n)
        among = np.sort(self.rng.integers(1, self.per + 1, (len(self.chosen), self.k)), axis=1)
        return {
            "latent": np.repeat(self.chosen, self.k),
            "number": np.tile(np.arange(self.k), len(self.chosen)),
            "early": early,
            "early_latent": latents,
            "n_among": among[:, ::-1].reshape(-1),
            "n_examples": np.full(n, self.per),
            "mean": self.rng.normal(0.3, 0.4, n),
        }

    def through_heads(self) -> dict[str, Any]:
        n, k = 2 * len(self.chosen), self.shape.list_length
        down = np.sort(self.rng.gamma(3, 0.5, (n, k)), axis=1)[:, ::-1]
        return {
            "latent": np.repeat(self.chosen, 2),
            "number": np.tile([0, 1], len(self.chosen)),
            "layer": np.full(n, self.layer),
            "head": np.tile([6, 2], len(self.chosen)),
            "mean": np.tile([2.0, 0.3], len(self.chosen)),
            "top_tokens": self.rng.integers(1, self.shape.n_vocabulary, (n, k)),
            "top_values": down,
            "bottom_tokens": self.rng.integers(1, self.shape.n_vocabulary, (n, k)),
            "bottom_values": -down,
        }
