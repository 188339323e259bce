"""The geometry of a dictionary: neighbours, norms, and a map of its latents."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.measure.weights.context import SaeWeights, WeightContext, WeightTable, summed_rows
from saereport.measure.weights.extremes import largest, listed
from saereport.util.errors import SaereportError


def unit(rows: Tensor) -> Tensor:
    """Rows divided by their norms, float32; a row without length stays zero."""
    rows = rows.detach().float()
    norm = rows.norm(dim=1, keepdim=True)
    return rows / torch.where(norm > 0, norm, torch.ones_like(norm))


def cosines(
    sae: SaeWeights, chosen: Tensor, spans: Iterable[slice]
) -> Iterator[tuple[slice, Tensor]]:
    """Cosines of some latents' write directions with all latents', [n, d_sae] for each span.

    What is written at several hook points counts as one long vector, of which one point's part is
    in memory at a time.
    """
    if len(sae.writes) == 1:
        everyone = unit(sae.write_rows())
        for span in spans:
            yield span, everyone[chosen[span]] @ everyone.T
        return
    norms = whole_norms(sae)
    some = torch.where(norms > 0, norms, torch.ones_like(norms))
    for span in spans:
        total: Tensor | None = None
        for place in range(len(sae.writes)):
            rows = sae.write_rows(place=place).detach().float() / some[:, None]
            part = rows[chosen[span]] @ rows.T
            total = part if total is None else total + part
        if total is not None:
            yield span, total


def whole_norms(sae: SaeWeights, latents: Tensor | None = None) -> Tensor:
    """The length of all that latents write, over all hook points, float32[n]."""
    places = range(len(sae.writes))
    norms = [sae.write_rows(latents, place).detach().float().norm(dim=1) for place in places]
    whole: Tensor = norms[0] if len(norms) == 1 else torch.stack(norms).norm(dim=0)
    return whole


def compute_neighbours(context: WeightContext) -> dict[str, Any]:
    """Table `neighbours`: largest cosines of decoder rows, itself left out, ties by index."""
    chosen, d_sae = context.chosen, context.sae.W_enc.shape[1]
    k = min(context.neighbours, d_sae - 1)
    parts = []
    for span, cosine in cosines(context.sae, chosen, context.spans(d_sae)):
        mine = chosen[span]
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
    # In blocks too: in float64 a wide dictionary would be there twice more.
    blocks = range(0, max(len(rows), 1), 8192)
    plane = np.concatenate([(rows[start : start + 8192] - mean) @ axes for start in blocks])
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
    rows = unit(summed_rows(context.sae)).cpu().numpy()
    plane = umap_plane(rows, context.seed) if context.map == "umap" else principal_plane(rows)
    plane = plane[np.asarray(context.latents, dtype=np.int64)].astype(np.float32)
    return {
        "latent": context.names,
        "encoder_norm": encoder.norm(dim=1).cpu().numpy(),
        "decoder_norm": whole_norms(context.sae, context.chosen).cpu().numpy(),
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
