"""Vectors that are written into a model to see what arrives.

They take the place of activations in a pass over single tokens, each with both signs; half the
difference is what they make, without biases. What other sublayers add can be held at zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from saereport.sources.devices import is_out_of_memory
from saereport.sources.forward import Edit, forward
from saereport.sources.legs import Leg, fit
from saereport.util.errors import SaereportError

if TYPE_CHECKING:
    from saereport.sources.models import LanguageModel

_PROBES = 3
SIZE = 30.0
"""Root mean square of the smallest probe: far above what norms add for stability."""

FAILURES = (
    SaereportError,
    RuntimeError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    NotImplementedError,
)
"""What a model that is wired in an unforeseen way may answer with."""


class Probing:
    """Writes vectors into a model.

    Args:
        model: The model.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        # Packed weights multiply in half precision, and in int8 activations are rounded too.
        exact = torch.finfo(model.dtype).bits >= 32 and not model.quantization
        self.tolerance = 2e-3 if exact else 4e-2

    def moved(
        self, written: Mapping[str, Tensor], reads: Sequence[str], *, held: Iterable[str] = ()
    ) -> dict[str, Tensor]:
        """Half the difference that vectors make, written with both signs in a pass of one token.

        Args:
            written: Hook point to vectors, [n, width], in place of what is there.
            reads: Hook points to look at.
            held: Hook points that are held at zero.

        Returns:
            float32[n, width] for each hook point read.

        Raises:
            SaereportError: A hook point does not exist or never fires.
        """
        edits: dict[str, Edit] = {name: torch.zeros_like for name in held if name not in written}
        edits |= {name: in_place_of(rows) for name, rows in written.items()}
        n = len(next(iter(written.values())))
        with torch.no_grad():
            acts = forward(self.model, self.tokens(2 * n), edits=edits, reads=reads).acts
        return {name: difference(acts[name], n) for name in reads}

    def tokens(self, n: int) -> Tensor:
        """Sequences of one token, int64[n, 1]."""
        token = self.model.bos_id or 0
        rows = int(self.model.model.W_E.shape[0])
        return torch.full((n, 1), token if token < rows else 0, dtype=torch.int64)

    def probes(self, width: int) -> Tensor:
        """Random vectors with a mean, each longer than the one before, float32[n, width]."""
        generator = torch.Generator().manual_seed(width)
        rows = torch.randn((_PROBES, width), generator=generator) + 0.7
        sizes = SIZE * torch.arange(1.0, _PROBES + 1)[:, None]
        return (rows / rows.square().mean(dim=1, keepdim=True).sqrt() * sizes).to(self.model.device)

    def fit(
        self,
        arrived: Tensor,
        starts: Tensor,
        gains: Sequence[Tensor],
        onward: Callable[[Tensor], Tensor] = lambda rows: rows,
        *,
        before: bool = True,
    ) -> Leg:
        """`legs.fit` with the tolerance of the model's number format."""
        return fit(arrived, starts, onward, gains, self.tolerance, before=before)

    def attention(self, layers: Iterable[int]) -> list[str]:
        """Where what attention adds can be held at zero."""
        return self._first_firing(layers, ("hook_attn_out", "attn.hook_out"))

    def mlps(self, layers: Iterable[int]) -> list[str]:
        """Where what MLPs add can be held at zero."""
        return self._first_firing(layers, ("hook_mlp_out", "mlp.hook_out"))

    def _first_firing(self, layers: Iterable[int], sites: Sequence[str]) -> list[str]:
        found = []
        for layer in layers:
            names = [f"blocks.{layer}.{site}" for site in sites]
            found += [name for name in names if name in self.firing][:1]
        return found

    @cached_property
    def firing(self) -> set[str]:
        """The sublayers' outputs that a pass really comes by; some hooks only stand there."""
        sites = ("hook_attn_out", "attn.hook_out", "hook_mlp_out", "mlp.hook_out")
        layers = range(self.model.n_layers)
        found: set[str] = set()
        with contextlib.ExitStack() as hooks, torch.no_grad():
            for name in self.there(f"blocks.{la}.{site}" for la in layers for site in sites):
                module, _ = self.model.find_module(name) or (nn.Identity(), False)
                handle = module.register_forward_hook(lambda _m, _a, _o, n=name: found.add(n))
                hooks.callback(handle.remove)
            with contextlib.suppress(
                *FAILURES
            ):  # what uses this fails in the same way, and says so
                self.model.forward_pass(self.tokens(1).to(self.model.device))
        return found

    def there(self, names: Iterable[str]) -> list[str]:
        """Those of some hook points that the model has."""
        return [name for name in names if self.model.find_module(name) is not None]

    def gains(self, layer: int) -> list[Tensor]:
        """Weights that a norm in a block may multiply with, see `gains_in`."""
        found = gains_in(self.model.model.blocks[layer].named_parameters(), self.model.d_model)
        return [gain.to(self.model.device) for gain in found]


def first_line(error: BaseException) -> str:
    """What an error says, short and without advice."""
    text = error.message if isinstance(error, SaereportError) else str(error)
    lines = text.strip().splitlines()
    return lines[0][:160].rstrip(".") if lines else type(error).__name__


def unless_full(error: Exception) -> None:
    """Raise an error again that says nothing of the model: memory ran out."""
    if is_out_of_memory(error):
        raise error


def in_place_of(rows: Tensor) -> Edit:
    """An edit that puts vectors, and then the same with the other sign, in place of a batch."""
    both = torch.cat([rows, -rows])
    return lambda a: both.reshape(a.shape).to(a.device, a.dtype)


def difference(values: Tensor, n: int) -> Tensor:
    """Half the difference of a batch's two halves, float32[n, width]."""
    rows = values.float().reshape(2 * n, -1)
    return (rows[:n] - rows[n:]) / 2


def through(matrix: Tensor, how: str) -> Callable[[Tensor], Tensor]:
    """Multiplication with a matrix, as `einsum` spells it."""
    weights = matrix.detach().float()
    return lambda rows: torch.einsum(how, rows, weights)


def gains_in(parameters: Iterable[tuple[str, Tensor]], width: int) -> list[Tensor]:
    """Weights that a norm may multiply with: as they are stored, and as a distance from one."""
    gains: dict[int, Tensor] = {}
    for name, weight in parameters:
        if weight.ndim == 1 and len(weight) == width and name.split(".")[-1] in ("weight", "w"):
            gains[id(weight)] = weight.detach().float()
    return [gain + offset for gain in gains.values() for offset in (0.0, 1.0)]


def sample_of(n: int) -> Tensor:
    """Up to 16 tokens, spread over a vocabulary."""
    return torch.linspace(0, n - 1, min(n, 16)).round().to(torch.int64)
