"""From a dense tensor of latent activations to the sparse events that the accumulators read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.errors import SaereportError
from saereport.measure.batch import Batch


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
    """Whether `f` holds neither NaN nor infinity, a bool tensor of no dimension on its device."""
    low, high = torch.aminmax(f)
    return torch.isfinite(low) & torch.isfinite(high)


def events_of(
    f: Tensor,
    *,
    first: int,
    tokens: NDArray[np.int32],
    counted: NDArray[np.bool_],
    documents: NDArray[np.int32],
    latents: NDArray[Any] | None = None,
    name: str = "the SAE",
    hook: str = "",
) -> Batch:
    """Make the batch of events that dense activations hold.

    Args:
        f: Latent activations on any device, [n, ctx, d], any float type.
        first: Index in the text of the first sequence.
        tokens: Token ids, [n, ctx].
        counted: Which tokens count, [n, ctx].
        documents: Document of each token, [n, ctx].
        latents: Which latent each column of `f` is (ascending); all of them in order by default.
        name: What to call the SAE in an error.
        hook: The hook point that the SAE reads, for an error.

    Raises:
        SaereportError: An activation on a counted token is NaN or infinite; says which SAE and
            hook point, and the sequence, position and latent of the first.
    """
    _, context, width = f.shape
    if f.numel() and not bool(all_finite(f)):
        _check_counted(f, counted, first, latents, name, hook)
    on_device = torch.from_numpy(np.ascontiguousarray(counted)).to(f.device)
    where, values = active_entries(f, on_device)
    flat = where.cpu().numpy()
    token, column = np.divmod(flat, max(width, 1))
    local, position = np.divmod(token, context)
    latent = column if latents is None else np.asarray(latents)[column]
    return Batch(
        first=first,
        tokens=tokens,
        counted=counted,
        documents=documents,
        latent=latent.astype(np.int32),
        sequence=(local + first).astype(np.int32),
        position=position.astype(np.int32),
        value=values.cpu().numpy(),
    )


def _check_counted(
    f: Tensor,
    counted: NDArray[np.bool_],
    first: int,
    latents: NDArray[Any] | None,
    name: str,
    hook: str,
) -> None:
    bad = ~torch.isfinite(f).cpu().numpy() & counted[:, :, None]
    found = np.argwhere(bad)
    if not len(found):
        return
    sequence, position, column = (int(v) for v in found[0])
    latent = column if latents is None else int(latents[column])
    value = float(f[sequence, position, column])
    kind = "NaN" if np.isnan(value) else "infinite"
    place = f" at {hook}" if hook else ""
    raise SaereportError(
        f"{name} gave {kind} activations{place}: first in sequence {first + sequence}, "
        f"position {position}, latent {latent} ({len(found):,} in this batch).",
        "Try --dtype float32, and check that the SAE belongs to this model and hook point.",
    )
