"""Direct linear effects: what each source adds to what a latent or a logit reads.

A read direction on the residual stream goes down the frozen model, block by block, and is dotted
on the way with everything that writes into the stream there. Where an SAE of the graph explains
the stream or an attention's `z` whole, nothing goes further down. What was met, and the biases on
the way, sum to the pre-activation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from saereport.circuits.attribution.reads import targets_of
from saereport.circuits.frozen import FrozenLayer, FrozenNorm
from saereport.circuits.graph.parts import GraphPart, GraphSite, stream_point


@dataclass(frozen=True, eq=False)
class EffectColumns:
    """Which column of a row of effects belongs to which source.

    Latents of the parts first, in the order of the parts and of their `active`; then errors by
    position, of each layer's MLP and of each site that is not an MLP's; then embeddings by
    position.

    Attributes:
        latents: First column of each part's latents.
        errors: First column of each site's errors.
        mlps: First column of the errors of each layer's MLP; a transcoder's are among them.
        embeddings: First column of the embeddings.
        n: Number of columns.
    """

    latents: tuple[int, ...]
    errors: tuple[int, ...]
    mlps: tuple[int, ...]
    embeddings: int
    n: int


def make_columns(
    n_layers: int, n_positions: int, parts: Sequence[GraphPart], sites: Sequence[GraphSite]
) -> EffectColumns:
    """The columns of a graph."""
    latents, at = [], 0
    for part in parts:
        latents.append(at)
        at += len(part.active)
    mlps = tuple(at + layer * n_positions for layer in range(n_layers))
    at += n_layers * n_positions
    errors = []
    for site in sites:
        if site.place == "mlp":
            errors.append(mlps[site.point])
        else:
            errors.append(at)
            at += n_positions
    return EffectColumns(tuple(latents), tuple(errors), mlps, at, at + n_positions)


@dataclass(eq=False)
class _Met:
    """What read directions have met so far: effects `[n, columns]` and biases `[n]`."""

    effects: Tensor
    constants: Tensor

    def dot(self, c: Tensor, vectors: Tensor, first: int) -> None:
        """Add a source for each position: `c` and `vectors` are `[n, pos, d]` and `[pos, d]`."""
        self.effects[:, first : first + len(vectors)] += torch.einsum("npd,pd->np", c, vectors)

    def add(self, c: Tensor, bias: Tensor) -> None:
        """Add a bias, `[pos, d]` or `[d]`."""
        self.constants += torch.einsum("npd,pd->n", c, bias.expand(c.shape[1:]))


@dataclass(frozen=True, eq=False)
class Network:
    """The frozen model with the SAEs of a graph in it, on the first positions of the prompt.

    Attributes:
        layers: The blocks.
        embedded: What enters the first, `[pos, d_model]`.
        parallel: Whether a block's attention and MLP read the same.
        parts: The SAEs.
        sites: What they explain.
        columns: Where effects go.
    """

    layers: tuple[FrozenLayer, ...]
    embedded: Tensor
    parallel: bool
    parts: tuple[GraphPart, ...]
    sites: tuple[GraphSite, ...]
    columns: EffectColumns

    @cached_property
    def where(self) -> dict[tuple[str, int], int]:
        """The site at a place, by its number."""
        return {(site.place, site.point): k for k, site in enumerate(self.sites)}

    def until(self, length: int) -> Network:
        """The same for targets that see the first `length` positions only."""
        if length == len(self.embedded):
            return self
        return replace(
            self,
            layers=tuple(_layer_until(layer, length) for layer in self.layers),
            embedded=self.embedded[:length],
            parts=tuple(part.until(length) for part in self.parts),
            sites=tuple(site.until(length) for site in self.sites),
        )

    def latents(self, number: int, index: Tensor) -> tuple[Tensor, Tensor]:
        """Direct effects on latents of a part.

        Args:
            number: The part.
            index: Which of its active latents, `[n]`; none beyond the last position.

        Returns:
            Effects `[n, columns]` and biases `[n]`: together, each latent's pre-activation.
        """
        part = self.parts[number]
        positions = part.active.positions[index]
        targets = targets_of(part.sae, part.inputs, positions, part.active.latents[index])
        dtype = self.embedded.dtype
        met = self._nothing(len(index))
        met.constants += targets.bias.to(dtype)
        c = self.embedded.new_zeros((len(index), len(self.embedded), part.sae.d_in))
        c[torch.arange(len(index), device=c.device), positions] = targets.read.to(dtype)
        entered = self._read(part, c, met)
        if entered is not None:
            # An SAE's latents read what it explains, so they do not meet themselves there.
            point = stream_point(self.parallel, part.sae.hook_in)
            self._down(entered, point, met, meets_first=part.place != "stream")
        return met.effects, met.constants

    def logits(self, norm: FrozenNorm, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Direct effects on directions that are read after the final norm, at the last position.

        Args:
            norm: The final norm, over all positions.
            directions: `[n, d_model]`.

        Returns:
            As for `latents`; the biases are those of what lies before the norm.
        """
        met = self._nothing(len(directions))
        c = self.embedded.new_zeros((len(directions), *self.embedded.shape))
        c[:, -1] = directions
        self._down(norm.back(c), 2 * len(self.layers), met, meets_first=True)
        return met.effects, met.constants

    def _read(self, part: GraphPart, c: Tensor, met: _Met) -> Tensor | None:
        """Where an SAE reads, as read directions on the residual stream; None if not from there."""
        hook = part.sae.hook_in
        layer = self.layers[hook.layer]
        if hook.kind == "resid":
            return c
        if hook.kind == "attn_out":
            return self._heads(hook.layer, c, met)
        if hook.kind == "z":
            met.add(c, layer.z_const.flatten())
            return layer.back_through_attention(_by_head(layer, c))
        return self._before_mlp(layer, hook.kind == "mlp_in", c, met)

    def _nothing(self, n: int) -> _Met:
        new = self.embedded.new_zeros
        return _Met(new((n, self.columns.n)), new(n))

    def _down(self, c: Tensor, point: int, met: _Met, *, meets_first: bool) -> None:
        """From a depth of the residual stream down to the embedding."""
        while True:
            if meets_first and ("stream", point) in self.where:
                self._meet(self.where["stream", point], c, met)
                return
            meets_first = True
            if point == 0:
                met.dot(c, self.embedded, self.columns.embeddings)
                return
            # Points count sublayers: behind an attention they are odd, behind an MLP even.
            layer, between = divmod(point - 1, 2)
            # Both parts of a parallel block read from where both are dotted with the same `c`.
            found = [self._mlp(layer, c, met)] if between or self.parallel else []
            if self.parallel or not between:
                found.append(self._attention(layer, c, met))
            point -= 2 if self.parallel else 1
            c = sum((more for more in found if more is not None), c)

    def _mlp(self, layer: int, c: Tensor, met: _Met) -> Tensor | None:
        """Past an MLP; gives what goes through a skip connection."""
        number = self.where.get(("mlp", layer))
        if number is None:
            met.dot(c, self.layers[layer].mlp_add, self.columns.mlps[layer])
            return None
        self._meet(number, c, met)
        site = self.sites[number]
        if site.skip is None:
            return None
        c = (c * site.counted[:, None]) @ site.skip
        return self._read(self.parts[site.owner], c, met)

    def _before_mlp(self, layer: FrozenLayer, weighted: bool, c: Tensor, met: _Met) -> Tensor:
        if weighted and layer.mlp_norm.bias is not None:
            met.add(c, layer.mlp_norm.bias)
        return layer.mlp_norm.back(c, weighted=weighted)

    def _attention(self, number: int, c: Tensor, met: _Met) -> Tensor | None:
        """Through what attention adds; None where SAEs explain it whole."""
        explained = self.where.get(("attention", number))
        if explained is None:
            return self._heads(number, c, met)
        self._meet(explained, c, met)
        return None

    def _heads(self, number: int, c: Tensor, met: _Met) -> Tensor | None:
        layer = self.layers[number]
        c_z = layer.back_through_heads(c)
        explained = self.where.get(("z", number))
        if explained is None:
            met.add(c, layer.attn_const)
            return layer.back_through_attention(c_z)
        # The values' biases are in `z`, so only the output's is left.
        met.add(c, layer.attn_const - torch.einsum("hk,hkm->m", layer.z_const, layer.W_O))
        self._meet(explained, c_z.transpose(-3, -2).flatten(-2), met)
        return None

    def _meet(self, number: int, c: Tensor, met: _Met) -> None:
        """Meet latents, errors and bias at a site."""
        site = self.sites[number]
        met.dot(c, site.error, self.columns.errors[number])
        met.add(c, site.bias)
        for term, place in site.terms:
            self._meet_latents(term, place, c, met)

    def _meet_latents(self, number: int, place: int, c: Tensor, met: _Met) -> None:
        """Meet a part's latents at one of its write points."""
        part, first = self.parts[number], self.columns.latents[number]
        # Active latents are sorted by position: those of one are consecutive rows and columns.
        counts = torch.bincount(part.active.positions, minlength=c.shape[1]).tolist()
        rows, at = part.writes[place], 0
        for position, count in enumerate(counts):
            if count:
                columns = slice(first + at, first + at + count)
                met.effects[:, columns] += c[:, position] @ rows[at : at + count].T
            at += count


def _by_head(layer: FrozenLayer, c: Tensor) -> Tensor:
    """`[n, pos, n_heads * d_head]` as `[n, n_heads, pos, d_head]`."""
    n_heads, d_head = layer.W_O.shape[:2]
    return c.reshape(*c.shape[:-1], n_heads, d_head).transpose(-3, -2)


def _layer_until(layer: FrozenLayer, length: int) -> FrozenLayer:
    def cut(norm: FrozenNorm) -> FrozenNorm:
        return replace(norm, scale=norm.scale[:length])

    return replace(
        layer,
        resid_pre=layer.resid_pre[:length],
        resid_mid=layer.resid_mid[:length],
        attn_add=layer.attn_add[:length],
        mlp_add=layer.mlp_add[:length],
        pattern=layer.pattern[:, :length, :length],
        attn_norm=cut(layer.attn_norm),
        mlp_norm=cut(layer.mlp_norm),
        attn_post=None if layer.attn_post is None else layer.attn_post[:length],
    )
