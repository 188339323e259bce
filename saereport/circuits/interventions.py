"""What gradients predict, asked of the true model: latents set to zero, effects measured."""

from __future__ import annotations

import torch
from torch import Tensor

from saereport.circuits.derivatives import auto_memory, budget_for, in_chunks
from saereport.circuits.gradients import check_order
from saereport.circuits.splicing import last_logits, true_at, write_point, write_vectors
from saereport.sources.forward import Edit, forward
from saereport.sources.models import LanguageModel
from saereport.sources.saes import Dictionary


def ablation_effects(
    model: LanguageModel,
    early: Dictionary,
    late: Dictionary | None,
    tokens: Tensor,
    counted: Tensor,
    pairs: Tensor,
) -> Tensor:
    """What setting an early latent to zero in the true run does to a later latent or logit.

    The latent's write vector times its activation is taken away from the true activation, so the
    SAE's error stays in; the model is run; nothing is linearised. Each latent is ablated by itself
    and at one position only.

    Args:
        model: The language model.
        early: The SAE whose latents are set to zero.
        late: The SAE whose latents are watched; None for the last position's logits.
        tokens: Token ids, int64 `[pos]`.
        counted: Positions that take part, bool `[pos]`. Early latents elsewhere are left alone:
            nothing of theirs is ever an input, so their effect is 0.
        pairs: int64 `[n, 4]`: early position, early latent, late position, late latent (or token).

    Returns:
        The measured change `[n]` of the late activation (to 0 where it turns off) or logit.

    Raises:
        SaereportError: The pair of SAEs is in the wrong order, or memory does not suffice.
    """
    if late is not None:
        check_order(early, late)
    pairs = pairs.to(model.device)
    effects = torch.zeros(len(pairs), dtype=model.dtype, device=model.device)
    if len(pairs) == 0:
        return effects
    length = len(tokens) if late is None else int(pairs[:, 2].max()) + 1
    prompt = tokens[:length]
    a = true_at(model, prompt, [early.hook_in.name])[early.hook_in.name]
    sources, of_pair = torch.unique(pairs[:, :2], dim=0, return_inverse=True)
    reached = sources[:, 0] < length
    within = torch.where(reached, sources[:, 0], 0)
    f = early.encode(a)[within, sources[:, 1]] * (reached & counted.to(a.device)[within])
    taken = f[:, None] * write_vectors(early, a, within, sources[:, 1])

    def outcome(amounts: Tensor, rows: Tensor, watched: Tensor) -> Tensor:
        """Activations or logits `[len(watched)]`, of runs with something taken away.

        One run for each of `amounts` `[n, d_out]`, taken away at positions `rows` `[n]`; `watched`
        `[m, 3]` are the number of a run, a position and a latent or token.
        """

        def take(whole: Tensor) -> Tensor:
            less = whole.clone()
            less[torch.arange(len(rows), device=rows.device), rows] -= amounts.to(whole.dtype)
            return less

        batch = prompt.to(model.device).expand(len(amounts), -1)
        edits: dict[str, Edit] = {write_point(early).name: take}
        if late is None:
            return last_logits(model, batch, edits)[watched[:, 0], watched[:, 2]]
        read = late.hook_in.name
        acts = forward(model, batch, edits=edits, reads=[read]).acts[read]
        # A run's positions are encoded once, however many of its latents are watched.
        places, row = torch.unique(watched[:, :2], dim=0, return_inverse=True)
        f_late = late.encode(acts[places[:, 0], places[:, 1]])
        return f_late[row, watched[:, 2]]

    def measured(start: int, stop: int) -> Tensor:
        chosen = (of_pair >= start) & (of_pair < stop)
        watched = torch.cat([of_pair[chosen, None] - start, pairs[chosen, 2:]], dim=1)
        return outcome(taken[start:stop], within[start:stop], watched)

    with torch.no_grad():
        nothing = torch.zeros_like(pairs[:, :1])
        before = outcome(
            torch.zeros_like(taken[:1]), within[:1], torch.cat([nothing, pairs[:, 2:]], 1)
        )
        size = budget_for(
            model, auto_memory(model.device), logits=model.d_vocab if late is None else 0
        ).rows(length)
        for start, stop, after in in_chunks(len(sources), size, measured, model.device):
            chosen = (of_pair >= start) & (of_pair < stop)
            effects[chosen] = (after - before[chosen]).to(effects.dtype)
    return effects
