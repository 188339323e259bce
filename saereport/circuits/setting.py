"""Latents set to other activations in the true run: ablated, clamped, and what follows from it.

What is added where the SAE writes is `(f' - f) W_dec`, so everything that the SAE does not say, and
all other latents, stay. No latent's own activation answers to that: an SAE reads before it writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.intervene.adding import adding
from saereport.intervene.splicing import last_logits
from saereport.sources.devices import float64_of
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae

LOGIT_BYTES = 256 * 2**20
"""What the logits of a batch, and what is made of them, may take."""
ADDED_BYTES = 64 * 2**20
"""What is added to a batch at one hook point may take."""
MOST_ROWS = 256


@dataclass(frozen=True, eq=False)
class Setting:
    """A latent set to other activations on a prompt.

    Attributes:
        latent: The latent.
        deltas: What is added to its activation at each position, float32 `[pos]`.
    """

    latent: int
    deltas: Tensor


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What the last position predicts, with each of some settings.

    Attributes:
        logit: The answer's logit, float64 `[n]`.
        difference: That minus the logit of the token that it is compared with, float64 `[n]`.
        probability: The answer's probability, float64 `[n]`.
        next_token: The likeliest next token, of equal ones the smaller id, int64 `[n]`.
    """

    logit: NDArray[np.float64]
    difference: NDArray[np.float64]
    probability: NDArray[np.float64]
    next_token: NDArray[np.int64]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which rows are numbers, bool `[n]`."""
        finite: NDArray[np.bool_] = np.isfinite(self.difference) & np.isfinite(self.probability)
        return finite


def ablating(f: Tensor, where: Tensor) -> Tensor:
    """What is added to activations `f` `[pos]` so that they are 0 at the positions `where`."""
    return torch.where(where, -f, torch.zeros_like(f)).float()


def clamping(f: Tensor, value: float, where: Tensor) -> Tensor:
    """What is added to activations `f` `[pos]` so that they are a value at positions `where`."""
    return torch.where(where, value - f, torch.zeros_like(f)).float()


def runner_up(logits: Tensor, answer: int) -> int:
    """The likeliest token of `[d_vocab]` other than the answer, of equal ones the smaller id."""
    others = logits.clone()
    others[answer] = -torch.inf
    return int(others.argmax())


def rows_at_a_time(model: LanguageModel, sae: Sae, n_positions: int) -> int:
    """Settings that go through the model together."""
    added = ADDED_BYTES // (4 * max(n_positions, 1) * sae.d_out)
    return max(1, min(MOST_ROWS, LOGIT_BYTES // (24 * model.d_vocab), added))


def outcomes(
    model: LanguageModel,
    sae: Sae | None,
    tokens: Tensor,
    settings: Sequence[Setting],
    *,
    answer: int,
    against: int,
) -> Outcomes:
    """What the model predicts with each setting, which is made alone.

    Args:
        model: The language model.
        sae: The SAE; None where there is one setting that changes nothing: the true run.
        tokens: Token ids, int64 `[pos]`.
        settings: The settings.
        answer: The token that is followed.
        against: The token that it is compared with.
    """
    parts: list[tuple[Tensor, ...]] = []
    step = 1 if sae is None else rows_at_a_time(model, sae, len(tokens))
    with torch.no_grad():
        for start in range(0, len(settings), step):
            some = settings[start : start + step]
            edits = {} if sae is None else adding(added(sae, some))
            logits = last_logits(model, tokens.expand(len(some), -1), edits)
            exact = float64_of(logits)
            own = exact[:, answer]
            best = (exact == exact.max(dim=1, keepdim=True).values).int().argmax(dim=1)
            parts.append((own, own - exact[:, against], exact.softmax(dim=1)[:, answer], best))
    columns = [torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True)]
    return Outcomes(*columns)


def added(sae: Sae, settings: Sequence[Setting]) -> dict[str, Tensor]:
    """What is added at each point that the SAE writes to, `[n, pos, d_out]` by hook point."""
    deltas = torch.stack([one.deltas for one in settings])
    latents = torch.tensor([one.latent for one in settings])
    found: dict[str, Tensor] = {}
    for place, hook in enumerate(sae.writes):
        rows = sae.write_rows(latents, place).detach().float()
        amount = deltas.to(rows.device)[:, :, None] * rows[:, None, :]
        found[hook.name] = found[hook.name] + amount if hook.name in found else amount
    return found
