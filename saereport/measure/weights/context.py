"""What the tables of weights are computed from: views of an SAE and of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_TOKEN_CHUNK = 4096
"""Tokens that go through the first MLP together."""

_ALIGNED = 16
"""Pieces are multiples of so many tokens, of which matrix products take several together."""

PIECE = 2**29
"""Bytes of a vocabulary that are made float32 together; two such pieces may be held at a time."""


class HookView(Protocol):
    """A hook point, as `saereport.sources.hooks.HookPoint` describes it."""

    @property
    def name(self) -> str:
        """Its name in TransformerLens's spelling."""

    @property
    def layer(self) -> int:
        """The transformer block that it lies in."""

    @property
    def kind(self) -> str:
        """`resid`, `mlp_in_normalized`, `mlp_in`, `mlp_out`, `attn_out` or `z`."""

    @property
    def site(self) -> str:
        """The name without its block."""

    @property
    def depth(self) -> tuple[int, int]:
        """Sorts hook points in the order in which a forward pass reaches them."""


class SaeWeights(Protocol):
    """An SAE or a transcoder, as `saereport.sources.saes.sae.Sae` holds it."""

    @property
    def slug(self) -> str:
        """Its name in the report."""

    @property
    def hook_in(self) -> HookView:
        """Where it reads."""

    @property
    def writes(self) -> Sequence[HookView]:
        """Where it writes: an SAE where it reads, a transcoder elsewhere, or at several points."""

    @property
    def why_no_decoder(self) -> str:
        """Why its write directions mean nothing, a clause; empty where they do."""

    @property
    def why_no_reads(self) -> str:
        """Why its latents have no read directions, a clause; empty where they have some."""

    @property
    def W_enc(self) -> Tensor:
        """[d_in, d_sae]."""

    def read_biases(self) -> Tensor:
        """What every latent's pre-activation holds besides the product with its column, [d_sae]."""

    def write_rows(self, latents: Tensor | None = None, place: int = 0) -> Tensor:
        """Write directions of some latents, or of all, at one of `writes`, [n, d_out]."""


def summed_rows(sae: SaeWeights, latents: Tensor | None = None) -> Tensor:
    """What latents write at all points together, float32[n, d_out]; of all where none are named.

    One point's rows are in memory at a time beside the sum.
    """
    total = sae.write_rows(latents).float()
    for place in range(1, len(sae.writes)):
        total = total + sae.write_rows(latents, place).float()
    return total


class LegView(Protocol):
    """A way between a hook point and the residual stream, as `saereport.sources.legs.Leg`."""

    @property
    def problem(self) -> str:
        """Why nothing is known of it, a clause; empty where all is well."""

    def along(self, rows: Tensor) -> Tensor:
        """Vectors at its start as they arrive, up to a norm's scale."""

    def back(self, rows: Tensor) -> Tensor:
        """Read directions at its end as ones at its start."""


class WiringView(Protocol):
    """How a model is wired, as `saereport.sources.wiring.Wiring` measures it."""

    @property
    def stream(self) -> str:
        """Why what is in the residual stream does not stay there as it is; empty where it does."""

    def embedding(self, tokens: slice) -> Tensor:
        """What some tokens bring to the residual stream, [n, d_model]."""

    @property
    def embedding_problem(self) -> str:
        """Why `embedding` is not that; empty where it is."""

    @property
    def n_logits(self) -> int:
        """Columns of the unembedding."""

    def unembedding(self, tokens: slice) -> Tensor:
        """From the residual stream to the logits of some tokens, float32[d_model, n]."""

    @property
    def unembedding_problem(self) -> str:
        """Why there is no `unembedding`; empty where there is."""

    @property
    def mlp0_problem(self) -> str:
        """Why the first MLP's output on a token cannot be relied on; empty where it can."""

    def into(self, hook: Any) -> LegView:
        """From the residual stream (for heads, from their sum) to a hook point."""

    def out_of(self, hook: Any) -> LegView:
        """From a hook point (for `z`, from its heads' sum) to the residual stream."""

    def values(self, layer: int) -> LegView:
        """From the residual stream to the value matrices of a layer's heads."""

    def heads(self, layer: int) -> LegView:
        """From the sum of a layer's heads to the residual stream."""

    def hears_heads(self, hook: Any) -> bool:
        """Whether what the heads of its own layer add reaches a hook point."""


class ModelView(Protocol):
    """A language model's weights, as `saereport.sources.models.LanguageModel` gives them."""

    @property
    def n_layers(self) -> int:
        """Number of transformer blocks."""

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""

    @property
    def d_vocab(self) -> int:
        """Rows of the embedding."""

    @property
    def n_heads(self) -> int:
        """Query heads a layer."""

    @property
    def n_kv_heads(self) -> int:
        """Value heads a layer."""

    @property
    def norm(self) -> Literal["layer", "rms"]:
        """Whether the norms centre (`layer`) or not (`rms`)."""

    @property
    def wiring(self) -> WiringView:
        """What stands between hook points and the residual stream."""

    def W_V(self, layer: int) -> Tensor:
        """[n_heads, d_model, d_head]; shared value heads repeated."""

    def W_O(self, layer: int) -> Tensor:
        """[n_heads, d_head, d_model]."""

    def mlp0_of(self, x: Tensor) -> Tensor:
        """What the first MLP adds for residual vectors, [n, d_model] -> [n, d_model]."""


class TokenRows:
    """The vocabulary as an SAE's latents see it, float32 on the model's device, in pieces.

    A large vocabulary takes gigabytes in float32, and there are three of them: what tokens bring
    to the residual stream, that with what the first MLP makes of it, and the unembedding. Where one
    is larger than a piece, pieces are made anew each time they are asked for; smaller ones are
    made once for a report and shared by its SAEs.

    Args:
        model: Where the weights come from.
        piece: Bytes that a piece may take.
    """

    def __init__(self, model: ModelView, piece: int = PIECE) -> None:
        self.model = model
        self._most = max(1, piece // (4 * model.d_model))
        self._kept: dict[str, Tensor] = {}

    def embedding(self) -> Iterator[Tensor]:
        """What each token brings to the residual stream, [n, d_model] a piece."""
        wiring = self.model.wiring
        return self._pieces("raw", self.model.d_vocab, lambda span: wiring.embedding(span).float())

    def extended(self) -> Iterator[Tensor]:
        """`E' = W_E + MLP0(norm2_0(W_E))`, rows normalised, [n, d_model] a piece."""
        return self._pieces("extended", self.model.d_vocab, self._extended)

    def unembedding(self) -> Iterator[Tensor]:
        """`W_U` with the final norm folded in, [d_model, n] a piece."""
        return self._pieces("logits", self.n_logits, self.model.wiring.unembedding)

    @property
    def n_logits(self) -> int:
        """How many tokens have a logit."""
        return self.model.wiring.n_logits

    @property
    def logits_are_kept(self) -> bool:
        """Whether the unembedding is one piece."""
        return self.n_logits <= self._most

    def _extended(self, tokens: slice) -> Tensor:
        rows = self.model.wiring.embedding(tokens)
        found = torch.empty(rows.shape, dtype=torch.float32, device=rows.device)
        with torch.no_grad():
            for start in range(0, len(rows), _TOKEN_CHUNK):
                chunk = rows[start : start + _TOKEN_CHUNK]
                moved = chunk.float() + self.model.mlp0_of(chunk).float()
                found[start : start + _TOKEN_CHUNK] = normalized(moved, self.model.norm)
        return found

    def _pieces(
        self, name: str, n_tokens: int, make: Callable[[slice], Tensor]
    ) -> Iterator[Tensor]:
        if n_tokens <= self._most:
            if name not in self._kept:
                self._kept[name] = make(slice(0, n_tokens))
            yield self._kept[name]
            return
        # Pieces of about one size, none of which is so narrow that it is multiplied otherwise
        # than a wide one: tokens with equal embeddings keep equal scores, and their order.
        n_pieces = -(-n_tokens // self._most)
        step = -(-n_tokens // n_pieces)
        step += -step % _ALIGNED
        for start in range(0, n_tokens, step):
            yield make(slice(start, min(start + step, n_tokens)))


def normalized(rows: Tensor, norm: Literal["layer", "rms"]) -> Tensor:
    """Normalise rows as the model's norms do, without weight and bias.

    Args:
        rows: [n, d_model], float32.
        norm: `layer`: centred, divided by the unbiased standard deviation; `rms`: divided by the
            root mean square. A row without length stays zero.
    """
    if norm == "layer":
        rows = rows - rows.mean(dim=1, keepdim=True)
        scale = (rows.square().sum(dim=1, keepdim=True) / (rows.shape[1] - 1)).sqrt()
    else:
        scale = rows.square().mean(dim=1, keepdim=True).sqrt()
    return rows / torch.where(scale > 0, scale, torch.ones_like(scale))


@dataclass(frozen=True, eq=False)
class WeightContext:
    """What to compute tables of weights for.

    Attributes:
        sae: The SAE or transcoder.
        latents: The latents to report, sorted indices into the dictionary.
        tokens: The model's vocabulary; `tokens.model` is the model.
        others: The report's other SAEs and transcoders; those that write before this one reads
            are pulled back onto.
        listed: Tokens or latents listed at each end.
        heads: Heads shown for each latent.
        neighbours: Neighbours listed.
        map: How the map is made, `pca` or `umap`.
        seed: Seed of UMAP.
        memory: Bytes that one temporary table may take.
    """

    sae: SaeWeights
    latents: NDArray[Any]
    tokens: TokenRows
    others: Sequence[SaeWeights] = ()
    listed: int = 20
    heads: int = 3
    neighbours: int = 10
    map: str = "pca"
    seed: int = 0
    memory: int = 256 * 2**20

    @property
    def model(self) -> ModelView:
        """The language model."""
        return self.tokens.model

    @property
    def hook_in(self) -> HookView:
        """Where the SAE reads."""
        return self.sae.hook_in

    @property
    def hook_out(self) -> HookView:
        """Where it writes; of several points the first."""
        return self.sae.writes[0]

    @cached_property
    def chosen(self) -> Tensor:
        """The latents as an index on the weights' device."""
        index = np.asarray(self.latents, dtype=np.int64)
        return torch.from_numpy(index).to(self.sae.W_enc.device)

    @cached_property
    def encoder(self) -> Tensor:
        """Encoder columns of the chosen latents as rows, float32[n, d_in]."""
        return self.sae.W_enc.detach()[:, self.chosen].T.float()

    @cached_property
    def decoder(self) -> Tensor:
        """Decoder rows of the chosen latents, float32[n, d_out]; of several points their sum."""
        return summed_rows(self.sae, self.chosen)

    @property
    def names(self) -> NDArray[np.int32]:
        """The column `latent` of a table with one row a latent."""
        return np.asarray(self.latents, dtype=np.int32)

    def rows_at_once(self, width: int) -> int:
        """How many rows of a float32 table of this width fit into memory thrice."""
        return max(1, self.memory // (12 * max(width, 1)))

    def spans(self, width: int) -> Iterator[slice]:
        """Slices of the latents, of `rows_at_once` each."""
        step = self.rows_at_once(width)
        for start in range(0, len(self.latents), step):
            yield slice(start, min(start + step, len(self.latents)))


@dataclass(frozen=True)
class WeightTable:
    """A table that is computed from weights alone.

    Attributes:
        name: The table's name, which is its key in the registry and its plug-in's too, so that
            what it fills is known before it is imported.
        why_not: The reason for which an SAE does not have it, a clause such as "it does not write
            into the residual stream"; empty where it has.
        compute: Its columns; only called where there is no reason not to.
    """

    name: str
    why_not: Callable[[WeightContext], str]
    compute: Callable[[WeightContext], dict[str, Any]]
