"""The geometry of a dictionary: neighbours, norms, and a map of its latents."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.weights.context import WeightContext, WeightTable
from saereport.measure.weights.extremes import largest, listed
from saereport.util.errors import SaereportError


def unit(rows: Tensor) -> Tensor:
    """Rows divided by their norms, float32; a row without length stays zero."""
    rows = rows.detach().float()
    norm = rows.norm(dim=1, keepdim=True)
    return rows / torch.where(norm > 0, norm, torch.ones_like(norm))


def compute_neighbours(context: WeightContext) -> dict[str, Any]:
    """Table `neighbours`: largest cosines of decoder rows, itself left out, ties by index."""
    everyone = unit(context.sae.W_dec)
    chosen = context.chosen
    k = min(context.neighbours, len(everyone) - 1)
    parts = []
    for span in context.spans(len(everyone)):
        mine = chosen[span]
        cosine = everyone[mine] @ everyone.T
        cosine[torch.arange(len(mine), device=mine.device), mine] = -torch.inf
        index, values = largest(cosine, k)
        parts.append({"other": index.numpy(), "cosine": values.numpy()})
    columns = listed(parts)
    n = len(context.names)
    flat = {name: np.concatenate(rows) if rows else np.zeros(0) for name, rows in columns.items()}
    return {
        "latent": np.repeat(context.names, k),
        "rank": np.tile(np.arange(k, dtype=np.int32), n),
        "other": flat.get("other", np.zeros(0)).astype(np.int32),
        "cosine": flat.get("cosine", np.zeros(0)).clip(-1, 1).astype(np.float32),
    }


def principal_plane(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Coordinates of rows along their first two principal components, float64[n, 2].

    Components come from the eigenvectors of the covariance in float64, and point to where their
    entry of largest size is positive, so that the map does not flip from machine to machine.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    gram = np.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, len(rows), 8192):
        centred = rows[start : start + 8192] - mean
        gram += centred.T @ centred
    _, vectors = np.linalg.eigh(gram)
    axes = vectors[:, ::-1][:, :2]
    largest_entry = np.abs(axes).argmax(axis=0)
    axes = axes * np.where(axes[largest_entry, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    plane: NDArray[np.float64] = (rows - mean) @ axes
    return np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))


def umap_plane(rows: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """UMAP of the rows by cosine, float64[n, 2].

    Raises:
        SaereportError: umap-learn is not installed.
    """
    try:
        umap = importlib.import_module("umap")
    except ImportError:
        raise SaereportError(
            "A UMAP map needs the package umap-learn, which is not installed.",
            "Install saereport[umap], or make the map with PCA.",
        ) from None
    reducer = umap.UMAP(n_components=2, metric="cosine", random_state=seed, n_jobs=1)
    return np.asarray(reducer.fit_transform(rows), dtype=np.float64)


def compute_geometry(context: WeightContext) -> dict[str, Any]:
    """Table `geometry`. The map is made from all latents of the SAE; the chosen ones are shown."""
    encoder, decoder = context.encoder, context.decoder
    cosine = torch.zeros(len(decoder), device=decoder.device)
    if context.hook_out.name == context.hook_in.name:
        cosine = (unit(encoder) * unit(decoder)).sum(dim=1).clamp(-1, 1)
    rows = unit(context.sae.W_dec).cpu().numpy()
    plane = umap_plane(rows, context.seed) if context.map == "umap" else principal_plane(rows)
    plane = plane[np.asarray(context.latents, dtype=np.int64)].astype(np.float32)
    return {
        "latent": context.names,
        "encoder_norm": encoder.norm(dim=1).cpu().numpy(),
        "decoder_norm": decoder.norm(dim=1).cpu().numpy(),
        "encoder_decoder_cosine": cosine.cpu().numpy(),
        "map_x": plane[:, 0],
        "map_y": plane[:, 1],
    }


def compute_directions(context: WeightContext) -> dict[str, Any]:
    """Table `decoder_directions`; a latent whose decoder row has no length has a row of zeros."""
    rows = unit(context.decoder).cpu().numpy().astype(np.float16)
    return {"latent": context.names, "direction": rows}


def _why_not(context: WeightContext) -> str:
    return context.sae.why_no_decoder


NEIGHBOURS = WeightTable("neighbours", _why_not, compute_neighbours)
GEOMETRY = WeightTable("geometry", _why_not, compute_geometry)
DIRECTIONS = WeightTable("decoder_directions", _why_not, compute_directions)
