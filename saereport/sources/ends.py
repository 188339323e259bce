"""The two ends of a model: what tokens bring to the residual stream, and what logits read of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from saereport.sources.forward import forward
from saereport.sources.legs import Leg
from saereport.sources.probing import (
    FAILURES,
    Probing,
    difference,
    first_line,
    gains_in,
    in_place_of,
    sample_of,
    unless_full,
)
from saereport.util.errors import SaereportError

_CHUNK = 4096
"""Tokens at a time."""

ALL = slice(None)
"""The whole vocabulary."""


class Ends(Probing):
    """Embedding and unembedding of a model, as they act on the residual stream."""

    @cached_property
    def _embedded(self) -> tuple[float | Tensor, str]:
        """Token rows as they enter the residual stream, or their scale, and why there are none."""
        try:
            return self._rows_of(self.model.raw_W_E), ""
        except FAILURES as error:
            unless_full(error)
            what = "what a token brings to this model's residual stream is not known"
            return 1.0, f"{what}: {first_line(error)}"

    def embedding(self, tokens: slice = ALL) -> Tensor:
        """Token rows as they enter the residual stream, without positions, [n, d_model].

        Scale, norm or projection of the embedding are applied. Where that could not be found, the
        embedding as it is; `embedding_problem` says so.

        Args:
            tokens: Some consecutive tokens.
        """
        found = self._embedded[0]
        if isinstance(found, Tensor):
            return found[tokens]
        raw = self.model.raw_W_E[tokens]
        # Exactly the matrix where nothing is multiplied; a scaled one is not kept beside it.
        return raw if found == 1.0 else raw * found

    @property
    def embedding_problem(self) -> str:
        """Why `embedding` is not what enters the residual stream; empty where it is."""
        return self._embedded[1]

    @cached_property
    def _unembedded(self) -> Leg:
        """The way from the residual stream through the final norm; its scale is the logits'."""
        try:
            return self._to_logits()
        except FAILURES as error:
            unless_full(error)
            says = "this model's logits are not what its unembedding says"
            return Leg(problem=f"{says}: {first_line(error)}")

    @property
    def n_logits(self) -> int:
        """Columns of the unembedding."""
        return int(self._matrices[0].shape[1])

    def unembedding(self, tokens: slice = ALL) -> Tensor:
        """From the residual stream to the logits, up to the final norm's scale.

        The final norm's weight and centring, a projection and a constant on the logits are folded
        in; float32[d_model, n]. A cap on the logits is not.

        Args:
            tokens: Some consecutive tokens.

        Raises:
            SaereportError: There is an `unembedding_problem`.
        """
        leg = self._unembedded
        if leg.problem:
            raise SaereportError(f"There is no logit lens: {leg.problem}.")
        matrix, narrower = self._matrices
        matrix = matrix[:, tokens]
        if narrower is not None:
            matrix = narrower.T @ matrix.float()
        if leg.gain is None and not leg.centred and leg.scale == 1.0:
            return matrix.float()
        # In place in one copy: of a large vocabulary it takes gigabytes.
        matrix = matrix.to(torch.float32, copy=True)
        if leg.gain is not None:
            matrix *= leg.gain[:, None]
        if leg.centred:
            matrix -= matrix.mean(dim=0, keepdim=True)
        return matrix.mul_(leg.scale)

    @property
    def unembedding_problem(self) -> str:
        """Why there is no `unembedding`; empty where there is one."""
        return self._unembedded.problem

    def _entered(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What enters the first block, and what positions bring of it, [batch, pos, d_model]."""
        before, positions = "blocks.0.hook_resid_pre", self.there(["hook_pos_embed"])
        with torch.no_grad():
            try:
                acts = forward(self.model, tokens, reads=[before, *positions]).acts
            except SaereportError:
                acts = forward(self.model, tokens, reads=[before]).acts
        entered = acts[before]
        added = acts.get("hook_pos_embed", torch.zeros_like(entered[:1]))
        return entered, added.expand_as(entered) if added.ndim == 3 else torch.zeros_like(entered)

    def _rows_of(self, raw: Tensor) -> float | Tensor:
        """What `raw` is multiplied with on its way, or the rows where it is more than that."""
        sample = sample_of(len(raw))
        entered, added = self._entered(sample[:, None].expand(-1, 2))
        here, there = entered[:, 0].float(), entered[:, 1].float()
        if raw.shape[1] == here.shape[1]:
            rows = raw[sample.to(raw.device)].float()
            spread, moved = rows - rows.mean(dim=0), here - here.mean(dim=0)
            scale = float((spread * moved).sum() / spread.square().sum())
            if _close(moved, spread * scale, self.tolerance):
                return 1.0 if abs(scale - 1) < 2 * self.tolerance else scale
        alone, again = here - added[:, 0].float(), there - added[:, 1].float()
        if not _close(alone, again, self.tolerance):
            raise SaereportError("it cannot be told from what its position brings")
        found = []
        for chunk in torch.split(torch.arange(len(raw)), _CHUNK):
            entered, added = self._entered(chunk[:, None])
            found.append(entered[:, 0] - added[:, 0])
        return torch.cat(found)

    @property
    def _matrices(self) -> tuple[Tensor, Tensor | None]:
        """`W_U` as it is loaded, and the projection before it, float32, where there is one."""
        matrix = self.model.raw_W_U
        if len(matrix) == self.model.d_model:
            return matrix, None
        narrower: Tensor = self.model.model.project_out.weight.detach()
        return matrix, narrower.to(matrix.device).float()

    def _unembed(self, rows: Tensor) -> Tensor:
        """Rows times the unembedding, some tokens at a time: it is not made float32 as a whole."""
        matrix, narrower = self._matrices
        rows = rows if narrower is None else rows @ narrower.T
        return torch.cat(
            [rows @ part.float() for part in torch.split(matrix, _CHUNK, dim=1)], dim=1
        )

    def _to_logits(self) -> Leg:
        probes = self.probes(self.model.d_model)
        last = f"blocks.{self.model.n_layers - 1}.hook_resid_post"
        found: list[Tensor] = []
        handle = self.model.model.unembed.register_forward_hook(
            lambda _module, _args, out: found.append(out.detach().to(probes.device).float())
        )
        try:
            with torch.no_grad():
                run = forward(
                    self.model,
                    self.tokens(2 * len(probes)),
                    edits={last: in_place_of(probes)},
                    logits=True,
                )
        finally:
            handle.remove()
        arrived = difference(found[0], len(probes))[:, : self._matrices[0].shape[1]]
        everywhere = _outside_blocks(self.model.model.named_parameters())
        gains = gains_in(everywhere, self.model.d_model)
        leg = self.fit(arrived, probes, gains, self._unembed)
        if leg.problem:
            raise SaereportError(leg.problem)
        assert run.logits is not None
        factor = _ratio(run.logits.float(), found[0], self.tolerance)
        return replace(leg, scale=leg.scale * factor)


def _outside_blocks(parameters: Iterable[tuple[str, Any]]) -> list[tuple[str, nn.Parameter]]:
    return [(name, weight) for name, weight in parameters if not re.search(r"\.\d+\.", name)]


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return bool((a - b).norm() <= tolerance * b.norm())


def _ratio(a: Tensor, b: Tensor, tolerance: float) -> float:
    """What b is multiplied with to give a; one where that is no single number (a cap)."""
    scale = float((a * b).sum() / b.square().sum())
    # A cap leaves small logits nearly as they are, which is no factor.
    if abs(scale - 1) < 0.02 or not _close(a, b * scale, tolerance):
        return 1.0
    return float(f"{scale:.4g}")
