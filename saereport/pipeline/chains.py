"""Chains of latents through the SAEs of a build, and how far their links are active together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.evaluate.fidelity import first_counted
from saereport.measure.geometry.chains import Chain, Match, chains
from saereport.pipeline.context import Context
from saereport.sources.devices import float64_of
from saereport.sources.forward import forward
from saereport.sources.saes.sae import Sae

MOST_CHAINS = 1000
"""Chains of a run at most."""
TOKENS_AT_ONCE = 2048
"""Tokens that go through the model together."""
LINKS_AT_ONCE = 1024
"""Links whose activations stand side by side in float64."""
Floats = NDArray[np.float64]


@dataclass(eq=False)
class Links:
    """What comparisons say of the ends and links of chains, while they are made.

    Attributes:
        order: The SAEs in the order in which they write.
        matches: Mutual matches, by the places of two SAEs in that order.
        before: Of each latent of an SAE the largest cosine with one of an earlier SAE, by SAE;
            NaN where it was compared with none.
        behind: Likewise of later ones.
    """

    order: Sequence[str]
    matches: dict[tuple[int, int], list[Match]] = field(default_factory=dict)
    before: dict[str, Floats] = field(default_factory=dict)
    behind: dict[str, Floats] = field(default_factory=dict)

    def see(self, ends: dict[str, Floats], slug: str, width: int, latents: Any, best: Any) -> None:
        """Take note of the best matches of an SAE's latents on one side of it."""
        known = ends.setdefault(slug, np.full(width, np.nan))
        known[latents] = np.fmax(known[latents], best)


def chain_rows(
    context: Context, links: Links, shown: Mapping[str, NDArray[np.int64]]
) -> list[dict[str, Any]]:
    """Table `latent_chains`: the longest chains, and those of latents that are shown.

    Args:
        context: The build.
        links: What comparisons found.
        shown: The latents of each SAE that are shown.
    """
    asked = context.config.geometry
    found = chains(links.matches)
    sets = [set(shown.get(slug, np.zeros(0)).tolist()) for slug in links.order]
    kept = [
        chain
        for place, chain in enumerate(found)
        if place < asked.listed or any(latent in sets[sae] for sae, latent in chain.nodes)
    ][:MOST_CHAINS]
    if not kept:
        return []
    of_length = Counter(len(chain.nodes) for chain in found)
    together, n_tokens = active_together(context, links.order, kept)
    rows = []
    for number, chain in enumerate(kept):
        for step, (place, latent) in enumerate(chain.nodes):
            slug = links.order[place]
            ends = links.before if not step else links.behind
            nearest = float(ends[slug][latent]) if slug in ends else np.nan
            outer = step in (0, len(chain.nodes) - 1)
            r = together[number][step - 1] if step and n_tokens else np.nan
            rows.append(
                {
                    "chain": number,
                    "step": step,
                    "sae": slug,
                    "latent": latent,
                    "cosine": [chain.cosines[step - 1]] if step else [],
                    "nearest": [nearest] if outer and np.isfinite(nearest) else [],
                    "together": [float(r)] if np.isfinite(r) else [],
                    "threshold": asked.match,
                    "n_steps": len(chain.nodes),
                    "n_as_long": of_length[len(chain.nodes)],
                    "n_chains": len(found),
                    "n_tokens": n_tokens,
                }
            )
    return rows


def active_together(
    context: Context, order: Sequence[str], kept: Sequence[Chain]
) -> tuple[list[Floats], int]:
    """Correlations of the activations of the latents that follow each other in chains.

    Args:
        context: The build.
        order: The SAEs by their places.
        kept: The chains.

    Returns:
        Of each chain the correlation of each link, NaN where one of both is always the same; and
        over how many tokens, the first that count, of the text.
    """
    n = min(context.config.geometry.coactivation_tokens, context.seen.counted)
    if not n:
        return [], 0
    tokens, counted = first_counted(context.text.packed(batch=context.batches.block), n)
    latents = {
        place: np.unique([x for chain in kept for p, x in chain.nodes if p == place])
        for place in {p for chain in kept for p, _ in chain.nodes}
    }
    ends = [pair for chain in kept for pair in zip(chain.nodes, chain.nodes[1:], strict=False)]
    at = [
        [(place, int(np.searchsorted(latents[place], latent))) for place, latent in pair]
        for pair in ends
    ]
    sums, home = Sums(len(ends)), context.model.device
    step = max(1, TOKENS_AT_ONCE // tokens.shape[1])
    with context.progress.bar("Following chains", len(tokens), "seq") as bar, torch.no_grad():
        for start in range(0, len(tokens), step):
            some = slice(start, start + step)
            batch = torch.from_numpy(tokens[some].astype(np.int64))
            mask = torch.from_numpy(counted[some])
            acts = _activations(context, batch, mask, {order[p]: x for p, x in latents.items()})
            for first in range(0, len(at), LINKS_AT_ONCE):
                links = at[first : first + LINKS_AT_ONCE]
                ends_of = (
                    float64_of(torch.stack([acts[order[p]][:, k].to(home) for p, k in side], dim=1))
                    for side in zip(*links, strict=True)
                )
                sums.add(first, *ends_of)
            bar.advance(len(batch))
    flat = sums.correlations()
    cuts = np.cumsum([len(chain.cosines) for chain in kept])[:-1]
    return np.split(flat, cuts), int(counted.sum())


def _activations(
    context: Context, tokens: Tensor, counted: Tensor, latents: Mapping[str, NDArray[np.int64]]
) -> dict[str, Tensor]:
    """Activations of some latents of each SAE on the tokens that count, `[n, k]`."""
    saes = {slug: context.saes[slug] for slug in latents}
    names = sorted({sae.hook_in.name for sae in saes.values()})
    acts = forward(context.model, tokens, reads=names).acts
    return {
        slug: _encoded(sae, acts[sae.hook_in.name], counted, latents[slug])
        for slug, sae in saes.items()
    }


def _encoded(sae: Sae, acts: Tensor, counted: Tensor, latents: NDArray[np.int64]) -> Tensor:
    index = torch.from_numpy(latents)
    acts = acts.to(sae.dtype)
    if sae.encoder.of_sequences:
        f = torch.stack([sae.encode_chosen(one, index) for one in acts])
    else:
        f = sae.encode_chosen(acts.flatten(0, 1), index).reshape(*acts.shape[:2], -1)
    return f[counted.to(f.device)]


class Sums:
    """Sums from which the correlations of pairs follow, float64.

    Args:
        n: Number of pairs.
    """

    def __init__(self, n: int) -> None:
        self._n = np.zeros(n, np.int64)
        self._sums = np.zeros((5, n))

    def add(self, first: int, x: Tensor, y: Tensor) -> None:
        """More values of the first and second of some pairs, float64 `[tokens, k]`.

        Args:
            first: Which is the first of these pairs.
            x: Values of the first of each.
            y: Values of the second, on the same tokens.
        """
        y = y.to(x.device)
        sums = torch.stack([part.sum(dim=0) for part in (x, y, x * x, y * y, x * y)])
        here = slice(first, first + x.shape[1])
        self._sums[:, here] += sums.cpu().numpy()
        self._n[here] += len(x)

    def correlations(self) -> Floats:
        """Pearson's correlation of each pair, NaN where one of both is always the same."""
        x, y, xx, yy, xy = self._sums / np.maximum(self._n, 1)
        spread = np.sqrt(np.clip(xx - x * x, 0, None) * np.clip(yy - y * y, 0, None))
        with np.errstate(invalid="ignore", divide="ignore"):
            r: Floats = np.where(spread > 1e-300, (xy - x * y) / spread, np.nan)
        return np.clip(r, -1, 1)
