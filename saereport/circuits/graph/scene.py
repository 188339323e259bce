"""The run that an attribution graph is about: frozen, with its SAEs, and the logits it explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from saereport.circuits.frozen import TOLERANCE, FrozenNorm, FrozenRun, freeze_batch
from saereport.circuits.graph.parts import GraphPart, GraphSite, explain
from saereport.intervene.splicing import places
from saereport.sources.devices import float64_of
from saereport.sources.forward import forward
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.util.errors import SaereportError


@dataclass(frozen=True)
class GraphSettings:
    """How attribution graphs are made; see `config.GraphConfig`.

    Attributes:
        max_latents: Active latents whose inputs are computed, the most influential first.
        max_logits: Logits at most.
        logit_share: Share of the probability that the logits are to hold.
        node_threshold: Cumulative influence that the kept nodes hold.
        edge_threshold: Cumulative influence that the kept links hold.
        checks: Links checked by intervention.
        memory: Bytes that batches may take.
    """

    max_latents: int
    max_logits: int
    logit_share: float
    node_threshold: float
    edge_threshold: float
    checks: int
    memory: int


@dataclass(frozen=True, eq=False)
class LogitTargets:
    """The logits that a graph explains, each less the mean of all logits; last position.

    Attributes:
        tokens: Token ids, the most likely first, `[k]`.
        probabilities: `[k]`.
        values: The logits less the mean of all, `[k]`.
        directions: What they read after the final norm, `[k, d_model]`.
        constants: What biases add, `[k]`.
    """

    tokens: Tensor
    probabilities: Tensor
    values: Tensor
    directions: Tensor
    constants: Tensor


@dataclass(frozen=True, eq=False)
class Scene:
    """The run of the true model that a graph is about.

    Attributes:
        run: The run, frozen.
        norm: The final norm.
        parts: The SAEs that take part, the shallowest first.
        sites: What they explain.
        refused: SAEs that do not, by slug, and why.
        counted: Positions that count, bool `[pos]`.
        logits: The logits.
    """

    run: FrozenRun
    norm: FrozenNorm
    parts: tuple[GraphPart, ...]
    sites: tuple[GraphSite, ...]
    refused: dict[str, str]
    counted: Tensor
    logits: LogitTargets


def make_scene(
    model: LanguageModel,
    saes: Sequence[Sae],
    tokens: Tensor,
    counted: Tensor,
    settings: GraphSettings,
) -> Scene:
    """Run the prompt and see which SAEs can take part.

    Args:
        model: The language model.
        saes: The SAEs asked for.
        tokens: Token ids, int64 `[pos]`.
        counted: Positions that count, bool `[pos]`.
        settings: How many logits there are to be.

    Raises:
        SaereportError: None can, or the logits are not linear after the final norm.
    """
    reads = dict.fromkeys(name for sae in saes for name in places(sae))
    run = freeze_batch(model, tokens[None], reads=list(reads))[0]
    counted = counted.to(run.final.device)
    found = explain(run, saes, counted)
    if not found.parts:
        reasons = "; ".join(f"{slug}: {reason}" for slug, reason in found.refused.items())
        raise SaereportError(
            f"No SAE can take part in an attribution graph ({reasons or 'none was named'}).",
            "Add transcoders of the model's MLPs, or SAEs on its residual stream or on hook_z.",
        )
    norm = run.final_norm
    assert norm is not None
    logits = _logit_targets(model, run, norm, settings)
    return Scene(run, norm, found.parts, found.sites, found.refused, counted, logits)


def _logit_targets(
    model: LanguageModel, run: FrozenRun, norm: FrozenNorm, settings: GraphSettings
) -> LogitTargets:
    last = len(run.tokens) - 1
    # A bias is what is equal at two positions; what differs between them is not linear.
    pair = torch.tensor([last // 2, last], device=run.final.device)
    with torch.no_grad():
        found = forward(model, run.tokens[None], logits=True).logits
        assert found is not None
        logits = found[0, pair]
    linear = norm.at(pair).forward(run.final[pair]) @ model.W_U
    slope = _cap_slope(model, linear)
    rest = logits - linear * slope
    if float((rest[0] - rest[1]).abs().max()) > TOLERANCE * float(logits.abs().max()):
        raise SaereportError(
            f"The logits of {model.name} are not its final norm times its unembedding, so an "
            f"attribution graph would explain something else."
        )
    ranked = float64_of(logits[1]).softmax(dim=0).sort(descending=True, stable=True)
    wanted = int((ranked.values.cumsum(dim=0) < settings.logit_share).sum()) + 1
    n = min(wanted, settings.max_logits, len(ranked.values))
    tokens = ranked.indices[:n].to(logits.device)
    mean = model.W_U @ (slope[1] / model.W_U.shape[1])
    return LogitTargets(
        tokens=tokens,
        probabilities=ranked.values[:n],
        values=logits[1, tokens] - logits[1].mean(),
        directions=(model.W_U[:, tokens] * slope[1, tokens]).T - mean,
        constants=rest[1, tokens] - rest[1].mean(),
    )


def _cap_slope(model: LanguageModel, linear: Tensor) -> Tensor:
    """What logits are multiplied with by a cap on them (Gemma 2's), held at its value here."""
    cap = float(getattr(model.model.cfg, "output_logits_soft_cap", None) or -1.0)
    if cap <= 0 or math.isinf(cap):
        return torch.ones_like(linear)
    ratio = linear / cap
    return torch.where(ratio.abs() < 1e-6, torch.ones_like(ratio), ratio.tanh() / ratio)
