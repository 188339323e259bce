"""Tables of one prompt that need no derivative: next tokens, the answer, activations, induction.

Pure functions: tensors in, columns out, without the column `prompt`, which is added where the
tables of several prompts are put together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.circuits.prompts import PromptTokens
from saereport.measure import Columns
from saereport.sources.devices import float64_of

NEXT_TOKENS = 10
"""Most likely next tokens that are listed."""

TRUE = ""
"""What the true run is called where a splice is named."""


def top_tokens(logits: Tensor, k: int) -> Tensor:
    """The `k` most likely tokens, best first; of equal ones the smaller id.

    Args:
        logits: `[d_vocab]`.
        k: How many; all where there are fewer.

    Returns:
        Token ids `[k]`, int64, on the device of `logits`.
    """
    return torch.sort(logits, descending=True, stable=True).indices[:k]


def next_tokens(logits: Mapping[str, Tensor]) -> dict[str, Any]:
    """Table `prompt_next`: for each splice, the most likely next tokens; rank 1 is the likeliest.

    Args:
        logits: Splice to last logits `[d_vocab]`.
    """
    rows = []
    for splice, values in logits.items():
        probabilities = torch.softmax(float64_of(values), dim=0)
        for place, token in enumerate(top_tokens(values, NEXT_TOKENS).tolist()):
            rows.append(
                (splice, place + 1, token, float(values[token]), float(probabilities[token]))
            )
    return columns_of(("splice", "rank", "token", "logit", "probability"), rows)


def answers(logits: Mapping[str, Tensor], answer: int) -> dict[str, Any]:
    """Table `prompt_answers`: the answer's rank, logit and probability for each splice.

    Args:
        logits: Splice to last logits `[d_vocab]`.
        answer: The token, or -1 for none.
    """
    rows = []
    for splice, values in logits.items() if answer >= 0 else ():
        rank = int((values > values[answer]).sum()) + int((values[:answer] == values[answer]).sum())
        probability = float(torch.softmax(float64_of(values), dim=0)[answer])
        rows.append((splice, answer, rank + 1, float(values[answer]), probability))
    return columns_of(("splice", "token", "rank", "logit", "probability"), rows)


def activations(
    acts: Mapping[str, Tensor], chosen: Mapping[str, NDArray[np.int64]], counted: Tensor
) -> dict[str, Any]:
    """Table `prompt_activations`: the chosen latents that are active somewhere that counts.

    Args:
        acts: SAE to activations `[pos, d_sae]` in the true run.
        chosen: SAE to its chosen latents, ascending.
        counted: Positions that count, bool `[pos]`.
    """
    rows: list[tuple[Any, ...]] = []
    for slug, f in acts.items():
        latents = torch.as_tensor(chosen[slug], device=f.device)
        values = (f.index_select(1, latents) * counted.to(f.device)[:, None]).T
        for latent, row in zip(chosen[slug].tolist(), values.float().cpu().numpy(), strict=True):
            if (row > 0).any():
                rows.append((slug, latent, row))
    return columns_of(("sae", "latent", "values"), rows)


def second_half(prompt: PromptTokens, counted: Tensor) -> Tensor:
    """Counted positions of the repetition, bool `[pos]`; none where nothing is repeated."""
    mask = torch.zeros_like(counted)
    if prompt.period:
        start = prompt.first + prompt.period
        mask[start : start + prompt.period] = True
    return mask & counted


def active_throughout(f: Tensor, positions: Tensor) -> Tensor:
    """Latents that are active at every one of some positions, ascending.

    Args:
        f: Activations `[pos, d_sae]`.
        positions: Bool `[pos]`.

    Returns:
        int64 `[n]`; none where there is no position.
    """
    if not bool(positions.any()):
        return torch.zeros(0, dtype=torch.int64, device=f.device)
    return (f[positions.to(f.device)] > 0).all(dim=0).nonzero().squeeze(1)


def induction_latents(acts: Mapping[str, Tensor], positions: Tensor) -> dict[str, Any]:
    """Table `induction_latents`: latents active on every counted position of the second half.

    Args:
        acts: SAE to activations `[pos, d_sae]` in the true run.
        positions: Counted positions of the second half, bool `[pos]`.
    """
    rows = []
    for slug, f in acts.items():
        latents = active_throughout(f, positions)
        means = float64_of(f[positions.to(f.device)].index_select(1, latents)).mean(dim=0)
        rows += [
            (slug, latent, mean)
            for latent, mean in zip(latents.tolist(), means.tolist(), strict=True)
        ]
    return columns_of(("sae", "latent", "mean"), rows)


def columns_of(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Rows as columns."""
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def joined(parts: Sequence[Columns]) -> dict[str, list[Any]]:
    """Columns of one table, one part after the other; nothing where there is no part."""
    names = list(parts[0]) if parts else []
    return {name: [value for part in parts for value in part[name]] for name in names}
