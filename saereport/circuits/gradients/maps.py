"""Gradients on a prompt: tokens to latents, latents to later latents, latents to logits.

Derivatives of the true model (attention, norms and MLPs all take part), with the earlier SAE's
reconstruction spliced in at the positions that count. Only active latents are inputs and outputs,
so the largest table has active times active entries, and nothing of width `d_sae` is
differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from saereport.circuits.active import Active, active_of, largest, share_of
from saereport.circuits.gradients.derivatives import (
    Advance,
    Probes,
    Through,
    auto_memory,
    budget_for,
    jacobian,
)
from saereport.intervene.splicing import (
    edits_to,
    held,
    last_logits,
    places,
    spliced,
    true_at,
)
from saereport.sources.forward import forward
from saereport.sources.hooks import HookPoint, parse_hook
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.util.errors import SaereportError

__all__ = [
    "GradientMap",
    "MapLimits",
    "auto_memory",
    "latents_to_latents",
    "latents_to_logits",
    "spliced_logits",
    "tokens_to_latents",
    "true_activations",
]

TOKENS = "blocks.0.hook_resid_pre"
"""The residual stream before the first block: token and, where there is one, position."""


@dataclass(frozen=True, eq=False)
class GradientMap:
    """Derivatives of late with respect to early, on one prompt.

    Attributes:
        early: Inputs. For tokens: latents -1, values 1, one for each counted position.
        late: Outputs, active in the run with the reconstruction. For logits: the last position,
            token ids, and logits with the reconstruction.
        values: `[n_late, n_early]`; 0 where the early position is after the late one.
        n_true: Late (position, latent)s active in the true run; 0 for logits.
        n_reconstructed: Those active in the run with the reconstruction; 0 for logits.
        n_one_only: Those active in one of the two runs but not in both.
        n_early_all: Inputs before limits.
        n_late_all: Outputs before limits.
        early_share: Share of the sum of the inputs' activations that `early` holds.
        late_share: Likewise of the outputs.
    """

    early: Active
    late: Active
    values: Tensor
    n_true: int
    n_reconstructed: int
    n_one_only: int
    n_early_all: int
    n_late_all: int
    early_share: float = 1.0
    late_share: float = 1.0


@dataclass(frozen=True)
class MapLimits:
    """How much is computed.

    Attributes:
        inputs: Active latents used as inputs, those with the largest activations; None for all.
            Tokens are always all used.
        outputs: Active latents used as outputs, likewise.
        memory: Bytes that batched derivatives may take.
    """

    inputs: int | None
    outputs: int | None
    memory: int


def latents_to_latents(
    model: LanguageModel,
    early: Sae,
    late: Sae,
    tokens: Tensor,
    counted: Tensor,
    limits: MapLimits,
    *,
    advance: Advance | None = None,
) -> GradientMap:
    """Derivatives of a later SAE's active latents with respect to an earlier one's.

    Args:
        model: The language model.
        early: The SAE whose reconstruction is spliced in; its other latents, and its error, are
            held. For one that cannot stand alone see `splicing.held`.
        late: The SAE that reads what comes of it.
        tokens: Token ids, int64 `[pos]`.
        counted: Positions that take part, bool `[pos]`.
        limits: How much is computed.
        advance: Is told how many derivatives were finished.

    Raises:
        SaereportError: The pair is in the wrong order or at one point, one of the two has no
            active latent on the prompt, or memory does not suffice.
    """
    check_order(early, late)
    true = true_at(model, tokens, (*places(early), late.hook_in.name))
    every = _active_inputs(early, true, counted)
    inputs = largest(every, limits.inputs)
    # What it writes after that has no way back.
    hooks = [hook for hook in early.writes if hook.depth < late.hook_in.depth]
    at = held(early, hooks, true, counted)

    read = late.hook_in.name
    with torch.no_grad():
        run = forward(model, tokens[None], edits=edits_to(hooks, at), reads=[read])
    f_true, f_late = late.encode(true[read]), late.encode(run.acts[read][0])
    every_late = active_of(f_late, counted)
    outputs = largest(every_late, limits.outputs)
    if len(outputs) == 0:
        raise _dead(late, f" once {early.slug}'s reconstruction is spliced in")
    values = jacobian(
        _through(model, tokens, hooks, late),
        at,
        _writes(early, hooks, true, inputs),
        _reads(late, outputs),
        budget_for(model, limits.memory, places=len(hooks)),
        advance=advance,
    )
    return GradientMap(
        early=inputs,
        late=outputs,
        values=values,
        **_changed(f_true, f_late, counted),
        n_early_all=len(every),
        n_late_all=len(every_late),
        early_share=share_of(inputs, every),
        late_share=share_of(outputs, every_late),
    )


def tokens_to_latents(
    model: LanguageModel,
    late: Sae,
    tokens: Tensor,
    counted: Tensor,
    limits: MapLimits,
    *,
    advance: Advance | None = None,
) -> GradientMap:
    """Derivatives of active latents with respect to scales on the embeddings, at scale 1.

    The embedding is what enters the first block: token and, where there is one, position. The run
    is the true one. Arguments and errors as for `latents_to_latents`; an SAE of the embedding,
    which reads before that, is refused.
    """
    if late.hook_in.name == "hook_embed":
        raise SaereportError(
            f"{late.slug} reads the embedding before it enters the first block, where gradients "
            f"from tokens begin: its latents depend on their own token alone."
        )
    late.require_reads()
    true = true_at(model, tokens, (TOKENS, late.hook_in.name))
    at = true[TOKENS]
    f_late = late.encode(true[late.hook_in.name])
    every = active_of(f_late, counted)
    outputs = largest(every, limits.outputs)
    if len(outputs) == 0:
        raise _dead(late)
    positions = counted.to(at.device).nonzero()[:, 0]
    inputs = Active(
        positions, torch.full_like(positions, -1), torch.ones_like(at[: len(positions), 0])
    )

    values = jacobian(
        _through(model, tokens, [parse_hook(TOKENS)], late),
        at,
        Probes(positions.tolist(), at[positions]),
        _reads(late, outputs),
        budget_for(model, limits.memory),
        advance=advance,
    )
    return GradientMap(
        early=inputs,
        late=outputs,
        values=values,
        n_true=len(every),
        n_reconstructed=len(every),
        n_one_only=0,
        n_early_all=len(inputs),
        n_late_all=len(every),
        late_share=share_of(outputs, every),
    )


def latents_to_logits(
    model: LanguageModel,
    early: Sae,
    tokens: Tensor,
    counted: Tensor,
    targets: Sequence[int],
    limits: MapLimits,
    *,
    advance: Advance | None = None,
) -> GradientMap:
    """Derivatives of the last position's logits with respect to an SAE's active latents.

    Args:
        model: The language model.
        early: The SAE whose reconstruction is spliced in.
        tokens: Token ids, int64 `[pos]`.
        counted: Positions that take part, bool `[pos]`.
        targets: The tokens whose logits are meant.
        limits: How much is computed; there is no limit on the logits.
        advance: Is told how many derivatives were finished.

    Raises:
        SaereportError: No latent is active on the prompt, or memory does not suffice.
    """
    true = true_at(model, tokens, places(early))
    every = _active_inputs(early, true, counted)
    inputs = largest(every, limits.inputs)
    at = held(early, early.writes, true, counted)
    wanted = torch.as_tensor(targets, device=at.device, dtype=torch.int64)

    def through(activation: Tensor) -> Tensor:
        edits = edits_to(early.writes, activation)
        return last_logits(model, tokens[None], edits)[:, wanted]

    with torch.no_grad():
        logits = through(at)[0]
    last = len(tokens) - 1
    outputs = Active(torch.full_like(wanted, last), wanted, logits)
    values = jacobian(
        through,
        at,
        _writes(early, early.writes, true, inputs),
        Probes([last] * len(wanted), torch.eye(len(wanted), device=at.device, dtype=logits.dtype)),
        budget_for(model, limits.memory, logits=model.d_vocab, places=len(early.writes)),
        advance=advance,
    )
    return GradientMap(
        early=inputs,
        late=outputs,
        values=values,
        n_true=0,
        n_reconstructed=0,
        n_one_only=0,
        n_early_all=len(every),
        n_late_all=len(outputs),
        early_share=share_of(inputs, every),
    )


def spliced_logits(
    model: LanguageModel, sae: Sae | None, tokens: Tensor, counted: Tensor
) -> Tensor:
    """Logits of the last position `[d_vocab]`, with an SAE's reconstruction spliced in.

    Args:
        model: The language model.
        sae: The SAE; None for the true model.
        tokens: Token ids, int64 `[pos]`.
        counted: Positions at which it is spliced in, bool `[pos]`.
    """
    with torch.no_grad():
        if sae is None:
            return last_logits(model, tokens[None], {})[0]
        at = spliced(sae, true_at(model, tokens, places(sae)), counted)
        return last_logits(model, tokens[None], edits_to(sae.writes, at))[0]


def true_activations(
    model: LanguageModel, saes: Sequence[Sae], tokens: Tensor
) -> dict[str, Tensor]:
    """Each SAE's latent activations `[pos, d_sae]` in the true run, by slug."""
    acts = true_at(model, tokens, [sae.hook_in.name for sae in saes])
    return {sae.slug: sae.encode(acts[sae.hook_in.name]) for sae in saes}


def check_order(early: Sae, late: Sae) -> None:
    """Check that what one SAE writes can reach what another reads.

    Raises:
        SaereportError: It cannot, or both are at one point.
    """
    writes, reads = early.writes[0], late.hook_in
    if writes.depth < reads.depth:
        return
    if writes.depth == reads.depth:
        raise SaereportError(
            f"The SAEs {early.slug} and {late.slug} are at the same point, '{writes.name}': no "
            f"gradient leads from one to the other.",
            "Choose an SAE of another layer.",
        )
    raise SaereportError(
        f"The SAE {early.slug} writes at '{writes.name}', which comes after '{reads.name}', where "
        f"{late.slug} reads.",
        "Name the earlier SAE first.",
    )


def _changed(f_true: Tensor, f_late: Tensor, counted: Tensor) -> dict[str, int]:
    """How many latents are active in the true run, in that with a reconstruction, in one only."""
    here = counted.to(f_late.device)
    is_true, is_late = (f_true > 0)[here], (f_late > 0)[here]
    return {
        "n_true": int(is_true.sum()),
        "n_reconstructed": int(is_late.sum()),
        "n_one_only": int((is_true ^ is_late).sum()),
    }


def _through(
    model: LanguageModel, tokens: Tensor, hooks: Sequence[HookPoint], late: Sae
) -> Through:
    read = late.hook_in.name

    def through(activation: Tensor) -> Tensor:
        edits = edits_to(hooks, activation)
        run = forward(model, tokens[None, : len(activation)], edits=edits, reads=[read])
        return late.encoder_input(run.acts[read][0])

    return through


def _active_inputs(early: Sae, true: dict[str, Tensor], counted: Tensor) -> Active:
    every = active_of(early.encode(true[early.hook_in.name]), counted)
    if len(every) == 0:
        raise _dead(early)
    return every


def _writes(
    early: Sae, hooks: Sequence[HookPoint], true: dict[str, Tensor], inputs: Active
) -> Probes:
    """What each input adds at the first of an SAE's write points, side by side."""
    a = true[early.hook_in.name][inputs.positions]
    vectors = [early.write_vectors(a, inputs.latents, place) for place in range(len(hooks))]
    return Probes(inputs.positions.tolist(), torch.cat(vectors, dim=-1))


def _reads(late: Sae, outputs: Active) -> Probes:
    return Probes(outputs.positions.tolist(), late.read_vectors(outputs.latents))


def _dead(sae: Sae, when: str = "") -> SaereportError:
    return SaereportError(
        f"The SAE {sae.slug} is dead on this prompt: none of its latents is active{when}.",
        "Choose another prompt or another SAE.",
    )
