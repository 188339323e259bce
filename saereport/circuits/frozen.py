"""A forward pass with attention patterns and norm scales held fixed.

With these frozen a transformer is linear from the residual stream to anything that reads it, save
for the MLPs, so every pre-activation is a sum with one term for the embedding, each head and each
MLP. The pieces are taken from one pass of the true model and from its weights, not from the
wrappers' internals, and they are checked: what attention adds to the residual stream must be
patterns times values, and its biases. A model in which that fails is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from saereport.sources.devices import dtype_name
from saereport.sources.forward import forward
from saereport.sources.hooks import HookPoint
from saereport.sources.models import LanguageModel
from saereport.util.errors import SaereportError

TOLERANCE = 2e-3
"""How far what attention adds may be from patterns times values, relative to its largest entry."""


@dataclass(frozen=True, eq=False)
class FrozenNorm:
    """A norm with its scale fixed: `y = (x - mean(x) if centred else x) / scale * weight + bias`.

    Attributes:
        scale: What each position is divided by, `[pos, 1]`.
        weight: `[d_model]`, or None where it is folded into what follows.
        centred: Whether the mean over the width is taken away first.
        bias: `[d_model]`, or None.
    """

    scale: Tensor
    weight: Tensor | None
    centred: bool
    bias: Tensor | None = None

    def at(self, positions: Tensor) -> FrozenNorm:
        """The norm at some positions, in their order; `pos` is then their number."""
        return replace(self, scale=self.scale[positions])

    def forward(self, x: Tensor, *, weighted: bool = True) -> Tensor:
        """The norm without its bias, `[..., pos, d_model]`; linear in `x`."""
        if self.centred:
            x = x - x.mean(dim=-1, keepdim=True)
        x = x / self.scale
        return x * self.weight if weighted and self.weight is not None else x

    def back(self, c: Tensor, *, weighted: bool = True) -> Tensor:
        """A read direction after the norm, `[..., pos, d_model]`, as one before it (transpose)."""
        if weighted and self.weight is not None:
            c = c * self.weight
        c = c / self.scale
        return c - c.mean(dim=-1, keepdim=True) if self.centred else c


@dataclass(frozen=True, eq=False)
class FrozenLayer:
    """One block of a `FrozenRun`; `[pos, d_model]` where nothing else is said.

    Attributes:
        resid_pre: The residual stream before the block.
        resid_mid: Before the MLP; equal to `resid_pre` where the block is parallel.
        attn_add: What attention adds to the residual stream.
        mlp_add: What the MLP adds.
        pattern: Attention patterns `[n_heads, pos, pos]`, destination before source.
        attn_norm: The norm before the attention.
        mlp_norm: The norm before the MLP.
        attn_post: What the heads' sum is multiplied with before it is added (a norm after the
            attention, Gemma's), or None.
        attn_const: What attention adds whatever the residual stream holds (biases), `[d_model]`.
        z_const: What each head's `z` holds of that (biases of the norm and of the values),
            `[n_heads, d_head]`.
        W_V: `[n_heads, d_model, d_head]`.
        W_O: `[n_heads, d_head, d_model]`.
    """

    resid_pre: Tensor
    resid_mid: Tensor
    attn_add: Tensor
    mlp_add: Tensor
    pattern: Tensor
    attn_norm: FrozenNorm
    mlp_norm: FrozenNorm
    attn_post: Tensor | None
    attn_const: Tensor
    z_const: Tensor
    W_V: Tensor
    W_O: Tensor

    @property
    def values(self) -> Tensor:
        """Each head's values without bias, `[n_heads, pos, d_head]`."""
        return torch.einsum("...sd,hdk->...hsk", self.attn_norm.forward(self.resid_pre), self.W_V)

    def row(self, i: int) -> FrozenLayer:
        """One prompt's layer of a layer over a batch of prompts."""
        return replace(
            self,
            resid_pre=self.resid_pre[i],
            resid_mid=self.resid_mid[i],
            attn_add=self.attn_add[i],
            mlp_add=self.mlp_add[i],
            pattern=self.pattern[i],
            attn_norm=replace(self.attn_norm, scale=self.attn_norm.scale[i]),
            mlp_norm=replace(self.mlp_norm, scale=self.mlp_norm.scale[i]),
            attn_post=None if self.attn_post is None else self.attn_post[i],
        )

    def back_through_heads(self, c: Tensor) -> Tensor:
        """Read directions on what attention adds, as read directions on each head's `z`.

        Args:
            c: `[..., pos, d_model]`.

        Returns:
            `[..., n_heads, pos, d_head]`.
        """
        if self.attn_post is not None:
            c = c * self.attn_post
        return torch.einsum("...dm,hkm->...hdk", c, self.W_O)

    def back_through_attention(self, c_z: Tensor) -> Tensor:
        """Read directions on the heads' `z` as one on the residual stream before the block.

        Args:
            c_z: `[..., n_heads, pos, d_head]`.

        Returns:
            `[..., pos, d_model]`, at the source positions.
        """
        c_v = torch.einsum("hds,...hdk->...hsk", self.pattern, c_z)
        return self.attn_norm.back(torch.einsum("...hsk,hmk->...sm", c_v, self.W_V))


@dataclass(frozen=True, eq=False)
class FrozenRun:
    """One prompt's pass, frozen.

    Attributes:
        tokens: Token ids `[pos]`.
        layers: The blocks that were asked for, from 0 on.
        final: The residual stream after the last of them, `[pos, d_model]`.
        final_norm: The norm before the unembedding; None unless all blocks were asked for.
        logits: Logits of the last position `[d_vocab]`; None unless all blocks were asked for.
        acts: Activations that were read in the same pass, by hook point, `[pos, width]`.
        parallel: Whether attention and MLP of a block read the same residual stream.
    """

    tokens: Tensor
    layers: tuple[FrozenLayer, ...]
    final: Tensor
    final_norm: FrozenNorm | None
    logits: Tensor | None
    acts: Mapping[str, Tensor] = field(default_factory=dict)
    parallel: bool = False

    @property
    def embedded(self) -> Tensor:
        """What enters the first block, token and position together, `[pos, d_model]`."""
        return self.layers[0].resid_pre

    def residual_at(self, hook: HookPoint) -> Tensor:
        """The residual stream that a hook point lies on or reads, `[pos, d_model]`.

        For `z` it is what the layer's attention reads, before its norm.

        Raises:
            ValueError: The hook point is on a sublayer's output.
        """
        layer = self.layers[hook.layer] if hook.layer < len(self.layers) else None
        if hook.site in ("hook_resid_post", "hook_out"):
            after = hook.layer + 1
            return self.layers[after].resid_pre if after < len(self.layers) else self.final
        if layer is None:
            raise ValueError(f"'{hook.name}' lies beyond the layers that were run")
        if hook.site in ("hook_resid_pre", "hook_in", "hook_embed") or hook.kind == "z":
            return layer.resid_pre
        if hook.kind in ("resid", "mlp_in_normalized", "mlp_in"):
            return layer.resid_mid
        raise ValueError(f"'{hook.name}' is what a sublayer adds, not the residual stream")


def is_parallel(model: LanguageModel) -> bool:
    """Whether attention and MLP of a block read the same residual stream."""
    return model.find_module("blocks.0.hook_resid_mid") is None


def freeze(model: LanguageModel, tokens: Tensor, *, n_layers: int | None = None) -> FrozenRun:
    """Run a prompt and keep what makes the model linear around it.

    Args:
        model: The language model.
        tokens: Token ids `[pos]`.
        n_layers: Blocks to run; all, with the logits, where absent.

    Raises:
        SaereportError: The model's attention is not patterns times values, or its sublayers do not
            add to the residual stream, so that nothing here would be exact.
    """
    return freeze_batch(model, tokens[None], n_layers=n_layers)[0]


def freeze_batch(
    model: LanguageModel,
    tokens: Tensor,
    *,
    n_layers: int | None = None,
    reads: Sequence[str] = (),
) -> list[FrozenRun]:
    """`freeze` for prompts of one length, `[batch, pos]`, in one pass.

    Shorter ones may be padded on the right: no position sees a later one.

    Args:
        model: The language model.
        tokens: Token ids `[batch, pos]`.
        n_layers: As for `freeze`.
        reads: Hook points to read in the same pass, within these layers.

    Raises:
        SaereportError: As for `freeze`.
    """
    whole = n_layers is None
    count = model.n_layers if n_layers is None else n_layers
    parallel = is_parallel(model)
    names = []
    for layer in range(count):
        names += [f"blocks.{layer}.hook_resid_pre", f"blocks.{layer}.attn.hook_pattern"]
        names.append(f"blocks.{layer}.{'hook_mlp_out' if parallel else 'hook_resid_mid'}")
    names.append(f"blocks.{count - 1}.hook_resid_post")
    with torch.no_grad():
        wanted: bool | Literal["last"] = "last" if whole else False
        run = forward(model, tokens, reads=[*dict.fromkeys([*names, *reads])], logits=wanted)
        layers = _layers(model, run.acts, count)
        final = run.acts[f"blocks.{count - 1}.hook_resid_post"]
        return [
            FrozenRun(
                tokens=tokens[row],
                layers=tuple(layer.row(row) for layer in layers),
                final=final[row],
                final_norm=_norm(model, final[row], model.final_norm_weight) if whole else None,
                logits=None if run.logits is None else run.logits[row, -1],
                acts={name: run.acts[name][row] for name in reads},
                parallel=parallel,
            )
            for row in range(len(tokens))
        ]


def _layers(model: LanguageModel, acts: Mapping[str, Tensor], count: int) -> list[FrozenLayer]:
    """The layers of a whole batch, every tensor with the batch in front."""
    final = acts[f"blocks.{count - 1}.hook_resid_post"]
    layers = []
    for number in range(count):
        pre = acts[f"blocks.{number}.hook_resid_pre"]
        after = acts[f"blocks.{number + 1}.hook_resid_pre"] if number + 1 < count else final
        mid = acts.get(f"blocks.{number}.hook_resid_mid")
        if mid is None:
            # A parallel block has no place between its sublayers: attention adds what is left.
            mlp_add = acts[f"blocks.{number}.hook_mlp_out"]
            attn_add, mid = after - pre - mlp_add, pre
        else:
            attn_add, mlp_add = mid - pre, after - mid
        pattern = acts[f"blocks.{number}.attn.hook_pattern"]
        layers.append(_layer(model, number, pre, mid, attn_add, mlp_add, pattern))
    return layers


def _norm(
    model: LanguageModel, x: Tensor, weight: Tensor | None, bias: Tensor | None = None
) -> FrozenNorm:
    centred = model.norm == "layer"
    rows = x - x.mean(dim=-1, keepdim=True) if centred else x
    scale = (rows.square().mean(dim=-1, keepdim=True) + float(model.model.cfg.eps)).sqrt()
    return FrozenNorm(scale, weight, centred, bias)


def _layer(
    model: LanguageModel,
    number: int,
    pre: Tensor,
    mid: Tensor,
    attn_add: Tensor,
    mlp_add: Tensor,
    pattern: Tensor,
) -> FrozenLayer:
    attn_norm = _norm(model, pre, model.attn_norm_weight(number), model.attn_norm_bias(number))
    W_V, W_O = model.W_V(number), model.W_O(number)
    b_V, b_O = model.b_V(number), model.b_O(number)
    # A row of a pattern sums to one, so what is the same at every source reaches `z` as it is.
    z_const = torch.zeros_like(W_O[:, :, 0]) if b_V is None else b_V
    if attn_norm.bias is not None:
        z_const = z_const + torch.einsum("d,hdk->hk", attn_norm.bias, W_V)
    const = torch.einsum("hk,hkm->m", z_const, W_O)
    plain = FrozenLayer(
        resid_pre=pre,
        resid_mid=mid,
        attn_add=attn_add,
        mlp_add=mlp_add,
        pattern=pattern,
        attn_norm=attn_norm,
        mlp_norm=_norm(model, mid, model.mlp_norm_weight(number), model.mlp_norm_bias(number)),
        attn_post=None,
        attn_const=const if b_O is None else const + b_O,
        z_const=z_const,
        W_V=W_V,
        W_O=W_O,
    )
    heads = torch.einsum("bhdk,hkm->bdm", pattern @ plain.values, W_O)
    post = model.attn_post_norm_weight(number)
    if post is not None:
        # A norm after the attention comes with no biases in any model that has one.
        norm = _norm(model, heads, post)
        factor = norm.weight / norm.scale if norm.weight is not None else 1 / norm.scale
        plain = replace(plain, attn_post=factor.expand_as(heads))
        heads = heads * factor
    # Whatever else an architecture does (sinks, gates, other values) is left over here.
    rest = attn_add - heads - plain.attn_const
    worst = float(rest.abs().max()) / max(float(attn_add.abs().max()), 1e-12)
    if worst > TOLERANCE:
        exact = torch.finfo(model.dtype).bits >= 32
        raise SaereportError(
            f"What attention adds in layer {number} of {model.name} is not its patterns times its "
            f"values (off by {worst:.1%}), so nothing can be attributed through it.",
            "This architecture's attention is not one that circuits are computed for."
            if exact
            else f"{dtype_name(model.dtype)} is too coarse for this; try --dtype float32.",
        )
    return plain
