"""What gradients predict, asked of the true model: latents set to zero, effects measured."""

from __future__ import annotations

import torch
from torch import Tensor

from saereport.circuits.gradients.derivatives import auto_memory, budget_for, in_chunks
from saereport.circuits.gradients.maps import check_order
from saereport.intervene.splicing import last_logits, true_at
from saereport.sources.forward import Edit, forward
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae


def ablation_effects(
    model: LanguageModel,
    early: Sae,
    late: Sae | None,
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
    prompt = tokens.to(model.device)
    if late is not None and len(pairs) > 0:
        prompt = prompt[: int(pairs[:, 2].max()) + 1]
    # A later position has no say in an earlier one, so its latents need no run.
    runs = counted.to(model.device)[pairs[:, 0]] & (pairs[:, 0] < len(prompt))
    if bool(runs.any()):
        effects[runs] = _measured(model, early, late, prompt, pairs[runs])
    return effects


def _measured(
    model: LanguageModel, early: Sae, late: Sae | None, prompt: Tensor, pairs: Tensor
) -> Tensor:
    """The effects of `ablation_effects`, `[n]`, of pairs that all need a run of the prompt."""
    sources, source = torch.unique(pairs[:, :2], dim=0, return_inverse=True)
    taken = _taken(model, early, prompt, sources)
    place, watched = early.write_point.name, pairs[:, 2:]
    budget = budget_for(
        model, auto_memory(model.device), logits=model.d_vocab if late is None else 0
    )

    def without(start: int, stop: int) -> Tensor:
        here = (source >= start) & (source < stop)
        edit = _take_away(sources[start:stop, 0], taken[start:stop])
        batch = prompt.expand(stop - start, -1)
        return _outcomes(model, late, batch, {place: edit}, source[here] - start, watched[here])

    effects = torch.zeros(len(pairs), dtype=model.dtype, device=model.device)
    with torch.no_grad():
        before = _outcomes(model, late, prompt[None], {}, torch.zeros_like(source), watched)
        size = budget.rows(len(prompt))
        for start, stop, after in in_chunks(len(sources), size, without, model.device):
            here = (source >= start) & (source < stop)
            effects[here] = (after - before[here]).to(effects.dtype)
    return effects


def _taken(model: LanguageModel, early: Sae, prompt: Tensor, sources: Tensor) -> Tensor:
    """What each source `[n, 2]`, a position and a latent, writes in the true run: `[n, d_out]`."""
    a = true_at(model, prompt, [early.hook_in.name])[early.hook_in.name]
    positions, latents = sources.T
    f = early.encode(a)[positions, latents]
    return f[:, None] * early.write_vectors(a[positions], latents)


def _take_away(positions: Tensor, amounts: Tensor) -> Edit:
    """An edit that takes an amount `[n, d_out]` from each run `[n, pos, d_out]` at a position."""

    def edit(whole: Tensor) -> Tensor:
        runs = torch.arange(len(positions), device=whole.device)
        return whole.index_put((runs, positions), -amounts.to(whole.dtype), accumulate=True)

    return edit


def _outcomes(
    model: LanguageModel,
    late: Sae | None,
    batch: Tensor,
    edits: dict[str, Edit],
    runs: Tensor,
    watched: Tensor,
) -> Tensor:
    """Activations or logits `[n]` in edited runs.

    Args:
        model: The language model.
        late: The SAE whose latents are watched; None for the last position's logits.
        batch: Token ids `[batch, pos]`.
        edits: What is done to the runs.
        runs: Which run of the batch to look at, `[n]`.
        watched: Position, and latent or token, `[n, 2]`.
    """
    if late is None:
        return last_logits(model, batch, edits)[runs, watched[:, 1]]
    read = late.hook_in.name
    acts = forward(model, batch, edits=edits, reads=[read]).acts[read]
    # A position of a run is encoded once, however many of its latents are watched.
    places, row = torch.unique(
        torch.stack([runs, watched[:, 0]], dim=1), dim=0, return_inverse=True
    )
    return late.encode(acts[places[:, 0], places[:, 1]])[row, watched[:, 1]]
