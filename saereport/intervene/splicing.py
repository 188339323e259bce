"""An SAE's reconstruction in place of activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from saereport.sources.forward import Edit, forward
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae


def places(sae: Sae) -> tuple[str, ...]:
    """The hook points whose activations `spliced` wants."""
    return tuple(dict.fromkeys(hook.name for hook in (sae.hook_in, *sae.writes)))


def true_at(model: LanguageModel, tokens: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """Activations of a prompt `[pos]` in the true run, each `[pos, width]`, without gradients."""
    with torch.no_grad():
        run = forward(model, tokens[None], reads=names)
    return {name: acts[0] for name, acts in run.acts.items()}


def edits_to(sae: Sae, activation: Tensor) -> dict[str, Edit]:
    """Edits for `forward` that put an activation `[pos, d_out]` at an SAE's write point."""
    return {sae.write_point.name: lambda _: activation[None]}


def last_logits(model: LanguageModel, tokens: Tensor, edits: Mapping[str, Edit]) -> Tensor:
    """Logits of the last position alone, `[batch, d_vocab]`, of tokens `[batch, pos]`."""
    logits = forward(model, tokens, edits=edits, logits="last").logits
    if logits is None:
        raise RuntimeError("a pass for logits gave none")
    return logits[:, -1]


def spliced(sae: Sae, acts: Mapping[str, Tensor], counted: Tensor) -> Tensor:
    """What stands at an SAE's write point once its reconstruction is spliced in.

    Args:
        sae: The SAE or transcoder (a skip transcoder's skip is part of its reconstruction).
        acts: True activations at `places(sae)`, `[..., pos, width]`.
        counted: Positions that are replaced, bool `[pos]`; the others keep what they have.

    Returns:
        `[..., pos, d_out]`.

    Raises:
        SaereportError: It has no decoder that means anything.
    """
    sae.require_decoder()
    true = acts[sae.write_point.name]
    reconstruction = sae.reconstruct(acts[sae.hook_in.name]).to(true.dtype)
    return torch.where(counted.to(true.device)[:, None], reconstruction, true)
