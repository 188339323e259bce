"""An SAE's reconstruction in place of activations, and what its latents read and write there.

Where an SAE normalises activations at run time, its decoder undoes that by a factor that depends
on the position; the factor is held at its value in the true run, as SAELens holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from saereport.errors import SaereportError
from saereport.sources.forward import Edit, forward
from saereport.sources.hooks import HookPoint
from saereport.sources.models import LanguageModel
from saereport.sources.saes import Sae


def write_point(sae: Sae) -> HookPoint:
    """Where an SAE or transcoder writes."""
    return sae.hook_out or sae.hook_in


def places(sae: Sae) -> tuple[str, ...]:
    """The hook points whose activations `spliced` wants."""
    return tuple(dict.fromkeys((sae.hook_in.name, write_point(sae).name)))


def true_at(model: LanguageModel, tokens: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """Activations of a prompt `[pos]` in the true run, each `[pos, width]`, without gradients."""
    with torch.no_grad():
        run = forward(model, tokens[None], reads=names)
    return {name: acts[0] for name, acts in run.acts.items()}


def edits_to(sae: Sae, activation: Tensor) -> dict[str, Edit]:
    """Edits for `forward` that put an activation `[pos, d_out]` at an SAE's write point."""
    return {write_point(sae).name: lambda _: activation[None]}


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
    true = acts[write_point(sae).name]
    with torch.no_grad():
        reconstruction = sae.sae(acts[sae.hook_in.name]).to(true.dtype)
    return torch.where(counted.to(true.device)[:, None], reconstruction, true)


def write_vectors(sae: Sae, a: Tensor, positions: Tensor, latents: Tensor) -> Tensor:
    """What one unit of a latent adds at the write point, `[n, d_out]`.

    Args:
        sae: The SAE or transcoder.
        a: True activations where it reads, `[pos, d_in]`.
        positions: `[n]`.
        latents: `[n]`.
    """
    rows = sae.W_dec[latents.to(sae.device)]
    # Transcoders write elsewhere than they read, so SAELens does not undo their normalisation.
    if sae.normalizes is None or sae.is_transcoder:
        return rows
    with torch.no_grad():
        sae.sae.process_sae_in(a[positions])
    if sae.normalizes == "constant_norm_rescale":
        norms: Tensor = sae.sae.x_norm_coeff
        return rows / norms
    if sae.normalizes == "layer_norm":
        deviations: Tensor = sae.sae.ln_std
        return rows * deviations
    raise SaereportError(
        f"The SAE {sae.slug} normalises activations in a way ('{sae.normalizes}') through which "
        f"its latents cannot be followed."
    )


def read_vectors(sae: Sae, latents: Tensor) -> Tensor:
    """The derivative of active latents with respect to `process_sae_in(a)`, `[n, d_in]`.

    For gated SAEs it is the magnitude's direction: the gate is a step.
    """
    index = latents.to(sae.device)
    rows = sae.W_enc[:, index].T
    if sae.architecture == "gated":
        magnitude: Tensor = sae.sae.r_mag.detach()[index]
        return rows * magnitude.exp()[:, None]
    return rows
