"""What the top examples of a latent have in common: its influences and its heads."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from saereport.circuits.attribution.rows import Row, as_columns
from saereport.measure import Columns
from saereport.measure.weights import TokenRows, WeightContext
from saereport.measure.weights.heads import deembedding_through, why_no_heads
from saereport.sources.saes.sae import Sae

HEADS = 3
"""Heads of each latent that it is de-embedded through."""


def influence_counts(examples: Sequence[Row], influences: Sequence[Row], most: int) -> Columns:
    """Table `influence_counts`: earlier latents that are among the listed influences most often.

    An example's influence of an early latent is the sum over the routes and sources that are
    listed; the mean is over all examples of the latent, with 0 where none is listed. Ties by the
    mean's absolute value, then by early SAE and latent.

    Args:
        examples: One row for each example, with `latent`.
        influences: Rows of `example_influences`, at least one.
        most: Early latents for each latent.
    """
    n_examples = Counter(row["latent"] for row in examples)
    sums: dict[int, dict[tuple[str, int], dict[int, float]]] = defaultdict(dict)
    for row in influences:
        by_rank = sums[row["latent"]].setdefault((row["early"], row["early_latent"]), {})
        by_rank[row["rank"]] = by_rank.get(row["rank"], 0.0) + row["value"]
    rows = []
    for latent in sorted(sums):
        found = [
            (-len(by_rank), -abs(mean), early, early_latent, mean)
            for (early, early_latent), by_rank in sums[latent].items()
            for mean in (sum(by_rank.values()) / n_examples[latent],)
        ]
        for number, (count, _, early, early_latent, mean) in enumerate(sorted(found)[:most]):
            rows.append(
                {
                    "latent": latent,
                    "number": number,
                    "early": early,
                    "early_latent": early_latent,
                    "n_among": -count,
                    "n_examples": n_examples[latent],
                    "mean": mean,
                }
            )
    return as_columns(rows)


def head_deembedding(
    sae: Sae, examples: Sequence[Row], token_rows: TokenRows, listed: int
) -> Columns | None:
    """Table `example_head_deembedding`: the heads that matter on the examples, de-embedded.

    The heads with the largest mean absolute contribution over a latent's examples; ties to the
    earlier head. `mean` is the mean with its sign.

    Args:
        sae: The SAE.
        examples: Rows of `example_heads` or `example_components`, by latent.
        token_rows: The model's vocabulary.
        listed: Tokens listed at each end.

    Returns:
        None where no head lies before the place that the SAE reads, or where it is not known what
        the model's heads move.
    """
    n_heads = token_rows.model.n_heads
    hook = sae.hook_in
    first = hook.layer if hook.kind == "z" else 0
    by_latent: dict[int, list[np.ndarray]] = defaultdict(list)
    for row in examples:
        by_latent[row["latent"]].append(row["heads"])
    latents = np.array(sorted(by_latent))
    rows, layers, heads, means = [], [], [], []
    for place, latent in enumerate(latents):
        values = np.stack(by_latent[latent]).astype(np.float64)
        order = np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:HEADS]
        for head in order:
            rows.append(place)
            layers.append(first + head // n_heads)
            heads.append(head % n_heads)
            means.append(values[:, head].mean())
    if not rows:
        return None
    context = WeightContext(sae=sae, latents=latents, tokens=token_rows, listed=listed)
    if why_no_heads(context):
        return None
    places = np.array(rows)
    lists = deembedding_through(context, places, np.array(layers), np.array(heads))
    return {
        "latent": latents[places],
        "number": np.concatenate([np.arange(n) for n in np.unique(places, return_counts=True)[1]]),
        "layer": np.array(layers),
        "head": np.array(heads),
        "mean": np.array(means),
        **lists,
    }
