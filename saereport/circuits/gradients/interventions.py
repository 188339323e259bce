"""What gradients predict, asked of the true model: latents set to zero, effects measured."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from saereport.circuits.gradients.derivatives import auto_memory, budget_for, in_chunks
from saereport.circuits.gradients.maps import check_order
from saereport.intervene.splicing import last_logits, true_at
from saereport.sources.forward import Edit, forward
from saereport.sources.hooks import HookPoint
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
    and at one position only. Where the SAE is a layer of a cross-layer transcoder, what its latent
    writes is taken from every MLP that it writes to, and these are held at what they put out in the
    true run: they do not answer to the change themselves.

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
    hooks = [hook for hook in early.writes if late is None or hook.depth < late.hook_in.depth]
    true = true_at(model, prompt, [early.hook_in.name, *(hook.name for hook in hooks)])
    taken = _taken(early, hooks, true[early.hook_in.name], sources)
    held = true if early.why_not_alone else {}
    watched = pairs[:, 2:]
    budget = budget_for(
        model,
        auto_memory(model.device),
        logits=model.d_vocab if late is None else 0,
        places=len(hooks),
    )

    def without(start: int, stop: int) -> Tensor:
        here = (source >= start) & (source < stop)
        edits = {
            hook.name: _take_away(sources[start:stop, 0], rows[start:stop], held.get(hook.name))
            for hook, rows in zip(hooks, taken, strict=True)
        }
        batch = prompt.expand(stop - start, -1)
        return _outcomes(model, late, batch, edits, source[here] - start, watched[here])

    effects = torch.zeros(len(pairs), dtype=model.dtype, device=model.device)
    with torch.no_grad():
        before = _outcomes(model, late, prompt[None], {}, torch.zeros_like(source), watched)
        size = budget.rows(len(prompt))
        for start, stop, after in in_chunks(len(sources), size, without, model.device):
            here = (source >= start) & (source < stop)
            effects[here] = (after - before[here]).to(effects.dtype)
    return effects


def _taken(early: Sae, hooks: Sequence[HookPoint], a: Tensor, sources: Tensor) -> list[Tensor]:
    """What each source writes in the true run at each of some hook points, `[n, d_out]`.

    Args:
        early: The SAE.
        hooks: The first of its write points.
        a: What it reads, `[pos, d_in]`.
        sources: A position and a latent each, `[n, 2]`.
    """
    positions, latents = sources.T
    f = early.encode(a)[positions, latents][:, None]
    places = range(len(hooks))
    return [f * early.write_vectors(a[positions], latents, place) for place in places]


def _take_away(positions: Tensor, amounts: Tensor, held: Tensor | None) -> Edit:
    """An edit that takes an amount `[n, d_out]` from each run `[n, pos, d_out]` at a position.

    Args:
        positions: Where, `[n]`.
        amounts: How much.
        held: What stands there instead of what the run has, `[pos, d_out]`, if anything.
    """

    def edit(whole: Tensor) -> Tensor:
        whole = whole if held is None else held.expand_as(whole)
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
