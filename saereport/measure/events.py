"""From a dense tensor of latent activations to the sparse events that the accumulators read."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.batch import Events
from saereport.measure.broken import LARGEST_ACTIVATION, NONE, Places
from saereport.util.errors import SaereportError

MOST_BROKEN = 10
"""Latents of a batch, or a hundredth of them, that may be broken before the whole SAE is."""


class SequencesView(Protocol):
    """Consecutive sequences of a text, as `saereport.sources.text.packing.Packed` holds them."""

    @property
    def first(self) -> int:
        """Index in the text of the first of them."""

    @property
    def tokens(self) -> NDArray[np.int32]:
        """Token ids, [n, ctx]."""

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which tokens count, [n, ctx]."""

    @property
    def documents(self) -> NDArray[np.int32]:
        """Document of each token, [n, ctx]."""


def active_entries(f: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Find the active latents on counted tokens; all on the tensors' own device.

    Args:
        f: Latent activations, [n, ctx, d], any float type.
        counted: Which tokens count, bool[n, ctx], on the same device.

    Returns:
        Indices into the flattened `f`, ascending, int64[m], and the values there, float32[m].
    """
    (where,) = torch.where(((f > 0) & counted.unsqueeze(-1)).reshape(-1))
    return where, f.reshape(-1).index_select(0, where).to(torch.float32)


def all_finite(f: Tensor) -> Tensor:
    """Whether `f` can be measured: neither NaN nor infinity, nothing above `LARGEST_ACTIVATION`.

    Returns:
        A bool tensor of no dimension on its device.
    """
    low, high = torch.aminmax(f)
    return torch.isfinite(low) & torch.isfinite(high) & (high <= LARGEST_ACTIVATION)


def _unmeasurable(f: Tensor) -> Tensor:
    return ~torch.isfinite(f) | (f > LARGEST_ACTIVATION)


def events_of(
    f: Tensor,
    text: SequencesView,
    *,
    latents: NDArray[Any] | None = None,
    name: str = "the SAE",
    hook: str = "",
    strict: bool = True,
) -> Events:
    """Make the batch of events that dense activations hold.

    Args:
        f: Latent activations on any device, [n, ctx, d], any float type.
        text: The sequences that they are of.
        latents: Which latent each column of `f` is (ascending); all of them in order by default.
        name: What to call the SAE in an error.
        hook: The hook point that the SAE reads, for an error.
        strict: Whether an activation that cannot be measured is an error; if not, it is taken out
            and named in `broken`, unless a large part of the latents gives some.

    Raises:
        SaereportError: An activation on a counted token is NaN, infinite or above
            `LARGEST_ACTIVATION`; says which SAE and hook point, and the sequence, position and
            latent of the first.
    """
    _, context, width = f.shape
    broken = NONE
    if f.numel() and not bool(all_finite(f)):
        bad = _unmeasurable(f).cpu().numpy() & text.counted[:, :, None]
        broken = np.argwhere(bad)
        few = len(np.unique(broken[:, 2])) <= max(MOST_BROKEN, width // 100)
        if len(broken) and (strict or not few):
            raise _not_numbers(f, broken, text.first, latents, name, hook)
        f = f.masked_fill(torch.from_numpy(bad).to(f.device), 0)
    on_device = torch.from_numpy(np.ascontiguousarray(text.counted)).to(f.device)
    where, values = active_entries(f, on_device)
    flat = where.cpu().numpy()
    token, column = np.divmod(flat, max(width, 1))
    local, position = np.divmod(token, context)
    latent = column if latents is None else np.asarray(latents)[column]
    return Events(
        first=text.first,
        tokens=text.tokens,
        counted=text.counted,
        documents=text.documents,
        latent=latent.astype(np.int32),
        sequence=(local + text.first).astype(np.int32),
        position=position.astype(np.int32),
        value=values.cpu().numpy(),
        broken=_placed(broken, text.first, latents),
    )


def _placed(found: Places, first: int, latents: NDArray[Any] | None) -> Places:
    """Places in a batch as places in the text, columns as latents."""
    placed: Places = found + np.array([first, 0, 0])
    if latents is not None and len(placed):
        placed[:, 2] = np.asarray(latents)[placed[:, 2]]
    return placed


def _not_numbers(
    f: Tensor,
    found: Places,
    first: int,
    latents: NDArray[Any] | None,
    name: str,
    hook: str,
) -> SaereportError:
    sequence, position, latent = _placed(found[:1], first, latents)[0].tolist()
    value = float(f[tuple(found[0].tolist())])
    kind = "NaN" if np.isnan(value) else "infinite"
    kind = kind if not np.isfinite(value) else f"absurdly large ({value:.3g})"
    place = f" at {hook}" if hook else ""
    return SaereportError(
        f"{name} gave {kind} activations{place}: first in sequence {sequence}, "
        f"position {position}, latent {latent} ({len(found):,} in this batch).",
        "Try --dtype float32, and check that the SAE belongs to this model and hook point.",
    )
