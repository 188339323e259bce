"""An SAE's reconstruction in place of activations, and what is held where its latents are varied.

A layer of a cross-layer transcoder has no reconstruction of its own. Where its latents are varied,
the MLPs that it writes to are held at what they put out in the true run, error and all: what the
latents add to or take from that is all that changes there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from saereport.sources.forward import Edit, forward
from saereport.sources.hooks import HookPoint
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


def edits_to(hooks: Sequence[HookPoint], activation: Tensor) -> dict[str, Edit]:
    """Edits for `forward` that put activations at hook points.

    Args:
        hooks: The hook points, of one width.
        activation: What stands there, side by side: `[pos, len(hooks) * d_out]`.
    """
    parts = activation[None].chunk(len(hooks), dim=-1)
    return {hook.name: _put(part) for hook, part in zip(hooks, parts, strict=True)}


def _put(activation: Tensor) -> Edit:
    return lambda _: activation


def held(
    sae: Sae, hooks: Sequence[HookPoint], true: Mapping[str, Tensor], counted: Tensor
) -> Tensor:
    """What stands where an SAE writes while its latents are varied, `[pos, len(hooks) * d_out]`.

    Its reconstruction; for a layer of a cross-layer transcoder, what stands there in the true run.

    Args:
        sae: The SAE or transcoder.
        hooks: Those of its write points that are meant.
        true: True activations at `places(sae)`, `[pos, width]`.
        counted: Positions that are replaced, bool `[pos]`.

    Raises:
        SaereportError: It has no decoder that means anything.
    """
    sae.require_decoder()
    if sae.why_not_alone:
        return torch.cat([true[hook.name] for hook in hooks], dim=-1)
    return spliced(sae, true, counted)


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
        SaereportError: What it makes cannot stand there by itself.
    """
    sae.require_alone()
    true = acts[sae.write_point.name]
    reconstruction = sae.reconstruct(acts[sae.hook_in.name]).to(true.dtype)
    return torch.where(counted.to(true.device)[:, None], reconstruction, true)


def spliced_sequences(sae: Sae, acts: Mapping[str, Tensor], counted: Tensor) -> Tensor:
    """`spliced` for several sequences, `[n, pos, d_out]`.

    Args:
        sae: The SAE or transcoder.
        acts: True activations at `places(sae)`, `[n, pos, width]`.
        counted: Positions that are replaced, bool `[n, pos]`.

    Raises:
        SaereportError: What it makes cannot stand there by itself.
    """
    if sae.encoder.of_sequences:
        each = ({name: a[i] for name, a in acts.items()} for i in range(len(counted)))
        return torch.stack(
            [spliced(sae, one, mine) for one, mine in zip(each, counted, strict=True)]
        )
    flat = {name: acts[name].flatten(0, 1) for name in places(sae)}
    return spliced(sae, flat, counted.reshape(-1)).reshape(acts[sae.write_point.name].shape)
