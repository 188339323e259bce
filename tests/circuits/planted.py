"""A transformer with a circuit in it that is known because it was put there by hand.

It continues `A B ... A` with `B`. The residual stream is made of blocks of one number for each
token (or position), and every active number on the way is 1 before a norm divides it:

- `T` and `Q`: the token and the position, from the embeddings.
- `P`: the token before, moved there by the only head of layer 0 that does anything.
- `C`: the token here, if a bigram latent is active: the MLP of layer 0 has one latent for each
  pair (before, here), which is active where `P` and `T` agree with it.
- `M`: `C` of the position whose token before is the token here, moved by a head of layer 1.
- `O`: what the MLP of layer 1 makes of `M`: one latent for each token. The unembedding reads this.

The transcoders are the MLPs themselves, so that there is no error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saereport.sources.models import HookedModel
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from tests.factories import make_sae, word_tokenizer

V = 8
"""Tokens and positions. Token 0 is BOS."""

T, Q, P, C, M, O = (slice(V * k, V * k + V) for k in range(6))  # noqa: E741
D = 6 * V
D_MLP = V * V
SHARP = 200.0


def bigram(before: int, here: int) -> int:
    """The latent of layer 0 that is active where `here` follows `before`."""
    return before * V + here


def planted_model() -> HookedModel:
    """The model, in float64; its prompts are at most `V` tokens and begin with BOS."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    model = HookedTransformer(
        HookedTransformerConfig(
            n_layers=2,
            d_model=D,
            n_ctx=V,
            d_head=V,
            n_heads=2,
            d_mlp=D_MLP,
            d_vocab=V,
            act_fn="relu",
            normalization_type="RMS",
            eps=1e-12,
            device="cpu",
            dtype=torch.float64,
        ),
        move_to_device=False,
    )
    weights = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    for name, value in model.state_dict().items():
        if name.endswith((".w", "mask", "IGNORE")):
            weights[name] = value
    _fill(weights)
    model.load_state_dict(weights)
    model.tokenizer = word_tokenizer(V)
    return HookedModel(
        model.eval(), name="planted", device=torch.device("cpu"), dtype=torch.float64
    )


def _fill(weights: dict[str, Tensor]) -> None:
    one = torch.eye(V, dtype=torch.float64)
    scale = [(n / D) ** 0.5 for n in range(7)]  # of a norm over n ones
    weights["embed.W_E"][:, T] = one
    weights["pos_embed.W_pos"][:, Q] = one
    attention = "blocks.0.attn."
    weights[attention + "W_Q"][0, Q] = SHARP * one
    weights[attention + "W_K"][0, Q] = torch.diag(torch.ones(V - 1, dtype=torch.float64), 1)
    weights[attention + "W_V"][0, T] = scale[2] * one
    weights[attention + "W_O"][0][:, P] = one
    mlp = "blocks.0.mlp."
    for before in range(1, V):
        for here in range(1, V):
            latent = bigram(before, here)
            # Of three ones, two that are 4 each after the norm: 2 above the bias.
            weights[mlp + "W_in"][P.start + before, latent] = 1
            weights[mlp + "W_in"][T.start + here, latent] = 1
            weights[mlp + "W_out"][latent, C.start + here] = 0.5
    weights[mlp + "b_in"][:] = -6
    attention = "blocks.1.attn."
    weights[attention + "W_Q"][1, T] = SHARP * one
    weights[attention + "W_K"][1, P] = one
    weights[attention + "W_V"][1, C] = scale[4] * one
    weights[attention + "W_O"][1][:, M] = one
    mlp = "blocks.1.mlp."
    weights[mlp + "W_in"][M, :V] = one
    weights[mlp + "b_in"][:] = -1.5
    weights[mlp + "W_out"][:V, O] = one
    weights["unembed.W_U"][O] = 4 * one


def planted_transcoders(model: HookedModel, folder: Path) -> list[Sae]:
    """Both MLPs as transcoders, called `bigrams` and `induction`."""
    found = []
    for layer, name in enumerate(("bigrams", "induction")):
        sae: Any = make_sae(
            "transcoder", d_in=D, d_sae=D_MLP, hook_name=f"blocks.{layer}.ln2.hook_normalized"
        )
        mlp = model.model.blocks[layer].mlp
        with torch.no_grad():
            sae.W_enc.copy_(mlp.W_in)
            sae.b_enc.copy_(mlp.b_in)
            sae.W_dec.copy_(mlp.W_out)
            sae.b_dec.copy_(mlp.b_out)
        sae.save_model(folder / name)
        found.append(load_sae(SaeSource(path=str(folder / name)), dtype=torch.float64))
    return found
