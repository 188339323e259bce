"""How often an SAE's latents are active as its authors say it: the file beside its weights.

SAELens writes `sparsity.safetensors` when it trains, with the tensor `sparsity`: log10 of the share
of tokens on which each latent was active lately, -10 for never. Files from anywhere are read with
limits, and one that cannot be that is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from saereport.sources.saes.headers import tensor_shapes
from saereport.util.errors import SaereportError, shortened

FILES: Final = ("sparsity.safetensors", "log_feature_sparsity.safetensors")
TENSORS: Final = ("sparsity", "log_feature_sparsity", "log_sparsity")
"""What SAELens calls the file and the tensor, the present names first."""

NEVER: Final = -10.0
"""What SAELens writes for a latent that was never active; nothing is below it."""

ROUNDING: Final = 1e-3
"""So much above 0 a log10 of a share may be rounded."""


def sparsity_file(
    path: Path | None, release: str | None = None, sae_id: str | None = None
) -> Path | None:
    """The file of an SAE in a folder, or of one of the hub as SAELens fetched it; None without one.

    Nothing is downloaded.
    """
    if path is not None:
        folder = path.expanduser()
        return next((folder / name for name in FILES if (folder / name).is_file()), None)
    if not release or not sae_id:
        return None
    from huggingface_hub import try_to_load_from_cache
    from sae_lens.loading.pretrained_saes_directory import get_repo_id_and_folder_name

    try:
        repo, place = get_repo_id_and_folder_name(release, sae_id)
        found = try_to_load_from_cache(repo, f"{place}/{FILES[0]}")
    except (ValueError, KeyError, OSError):
        return None  # it is no repository in the cache's terms: such an SAE ships no such file
    return Path(found) if isinstance(found, str) else None


def read_sparsity(file: Path, d_sae: int) -> NDArray[np.float32]:
    """log10 of the density of every latent, float32 `[d_sae]`, from `NEVER` to 0.

    Args:
        file: The file.
        d_sae: Latents of the SAE.

    Raises:
        SaereportError: It is damaged, holds no such tensor, is of another number of latents, or
            holds what is no log10 of a share.
    """
    name = f"{file.parent.name}/{file.name}"
    shapes = tensor_shapes(file)
    found = next((tensor for tensor in TENSORS if tensor in shapes), None)
    if found is None:
        held = shortened(", ".join(sorted(shapes)) or "nothing", 60)
        raise SaereportError(f"{name} holds no tensor '{TENSORS[0]}' but {held}.")
    if shapes[found] != [d_sae]:
        shape = "x".join(map(str, shapes[found])) or "1 number"
        raise SaereportError(f"{name} is of {shape} latents, and the SAE has {d_sae:,}.")
    values = _values(file, found, name)
    if np.isnan(values).any() or (values > ROUNDING).any():
        worst = values[np.isnan(values) | (values > ROUNDING)][0]
        raise SaereportError(f"{name} holds {worst:g}, which is no log10 of a share of tokens.")
    return np.clip(values, NEVER, 0.0).astype(np.float32)


def _values(file: Path, tensor: str, name: str) -> NDArray[np.float64]:
    from safetensors import SafetensorError, safe_open

    from saereport.sources.devices import float64_of

    try:
        # By torch, which has bfloat16.
        with safe_open(file, framework="pt", device="cpu") as opened:
            read = opened.get_tensor(tensor)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise SaereportError(f"{name} is damaged or cut short.") from error
    if not read.dtype.is_floating_point:
        raise SaereportError(f"{name} holds whole numbers, which are no log10 of shares.")
    values: NDArray[np.float64] = float64_of(read).numpy()
    return values
