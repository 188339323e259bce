"""Attribution again, slowly: one term at a time, in float64, from what the true model gives."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.sources.forward import forward
from saereport.sources.hooks import HookPoint
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae

Vector = NDArray[np.float64]


def array(x: Tensor) -> Vector:
    return x.detach().double().numpy()


class Slow:
    """One prompt on one model; every head's output is the model's own `hook_z`."""

    def __init__(self, model: LanguageModel, tokens: Tensor) -> None:
        self.model = model
        sites = ("hook_resid_pre", "attn.hook_pattern", "attn.hook_z", "hook_mlp_out")
        names = [f"blocks.{la}.{site}" for la in range(model.n_layers) for site in sites]
        self.parallel = not model.has_hook("blocks.0.hook_resid_mid")
        if not self.parallel:
            names += [f"blocks.{la}.hook_resid_mid" for la in range(model.n_layers)]
        names.append(f"blocks.{model.n_layers - 1}.hook_resid_post")
        with torch.no_grad():
            acts = forward(model, tokens[None], reads=names).acts
        self.acts = {name: array(x[0]) for name, x in acts.items()}
        self.last = model.n_layers - 1

    def at(self, layer: int, site: str) -> Vector:
        return self.acts[f"blocks.{layer}.{site}"]

    def pre(self, layer: int) -> Vector:
        if layer > self.last:
            return self.at(self.last, "hook_resid_post")
        return self.at(layer, "hook_resid_pre")

    def mid(self, layer: int) -> Vector:
        return self.pre(layer) if self.parallel else self.at(layer, "hook_resid_mid")

    def scale(self, x: Vector) -> float:
        if self.model.norm == "layer":
            x = x - x.mean()
        return float(np.sqrt((x**2).mean() + self.model.model.cfg.eps))

    def normed(self, x: Vector, of: Vector, weight: Tensor | None) -> Vector:
        """`x` as the norm of the residual stream `of` passes it on, without the norm's bias."""
        if self.model.norm == "layer":
            x = x - x.mean()
        x = x / self.scale(of)
        return x if weight is None else x * array(weight)

    def z(self, layer: int, head: int, position: int) -> Vector:
        d = self.model.d_head
        return self.at(layer, "attn.hook_z")[position, head * d : (head + 1) * d]

    def moved_z(self, layer: int, head: int, to: int, source: int, x: Vector) -> Vector:
        """What of a vector in the residual stream at a source reaches a head's `z`."""
        of = self.pre(layer)[source]
        value = self.normed(x, of, self.model.attn_norm_weight(layer))
        value = value @ array(self.model.W_V(layer)[head])
        return self.at(layer, "attn.hook_pattern")[head, to, source] * value

    def out(self, layer: int, head: int, position: int, z: Vector) -> Vector:
        """What a head adds to the residual stream where its `z` is this."""
        y = z @ array(self.model.W_O(layer)[head])
        weight = self.model.attn_post_norm_weight(layer)
        if weight is None:
            return y
        heads = range(self.model.n_heads)
        total = sum(self.z(layer, h, position) @ array(self.model.W_O(layer)[h]) for h in heads)
        return y / self.scale(np.asarray(total)) * array(weight)

    def read(self, hook: HookPoint, position: int, x: Vector) -> Vector:
        """What of a vector in the residual stream is at a hook point that reads it."""
        if hook.kind == "resid":
            return x
        weight = self.model.mlp_norm_weight(hook.layer) if hook.kind == "mlp_in" else None
        return self.normed(x, self.mid(hook.layer)[position], weight)

    def head_component(
        self, hook: HookPoint, encoder: Vector, layer: int, head: int, position: int
    ) -> float:
        z = sum(
            self.moved_z(layer, head, position, s, self.pre(layer)[s]) for s in range(position + 1)
        )
        moved = self.out(layer, head, position, np.asarray(z))
        return float(self.read(hook, position, moved) @ encoder)

    def influence(
        self,
        hook: HookPoint,
        encoder: Vector,
        position: int,
        source: int,
        layer: int,
        head: int,
        x: Vector,
    ) -> float:
        """What a vector at a source does to a pre-activation, by one route (-1: directly)."""
        d = self.model.d_head
        if hook.kind == "z":
            z = self.moved_z(hook.layer, head, position, source, x)
            return float(z @ encoder[head * d : (head + 1) * d])
        if layer < 0:
            return float(self.read(hook, position, x) @ encoder) if source == position else 0.0
        z = self.moved_z(layer, head, position, source, x)
        return float(self.read(hook, position, self.out(layer, head, position, z)) @ encoder)

    def written(self, sae: Sae, position: int, latent: int, value: float) -> Vector:
        """What a latent adds to the residual stream."""
        hook = sae.write_point
        row = array(sae.W_dec[latent]) * value
        if hook.kind != "z":
            return row
        d = self.model.d_head
        return np.asarray(
            sum(
                self.out(hook.layer, h, position, row[h * d : (h + 1) * d])
                for h in range(self.model.n_heads)
            )
        )


def pre_activations(sae: Sae, a: Tensor) -> Tensor:
    """Everything that SAELens's own encoder computes before its nonlinearity, `[pos, d_sae]`."""
    seen: list[Tensor] = []
    handle = sae.loaded.hook_sae_acts_pre.register_forward_hook(
        lambda _m, _a, out: seen.append(out)
    )
    try:
        sae.loaded.encode(a)
    finally:
        handle.remove()
    found = seen[0].detach()
    if getattr(sae.loaded.cfg, "rescale_acts_by_decoder_norm", False):
        found = found * sae.loaded.W_dec.detach().norm(dim=-1)
    return found
