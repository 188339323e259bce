"""SAEs that were trained on scaled or whitened activations, brought back to the model's own.

SAELens trains some SAEs on `s * a` (`expected_average_only_in`, a factor that makes the mean norm
`sqrt(d_in)`) or on `(a - mean) @ M` (`covariance_whitening`), and folds that into the weights when
training ends. A checkpoint from before the end has the weights as they are trained, with the
factor or the matrices beside them; read as it lies, it would be fed activations of another scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from saereport.sources.saes.architectures import stored_as
from saereport.util.errors import SaereportError
from saereport.util.untrusted import Limits, content, parse_json

SCALER, WHITENING = "activation_scaler.json", "activation_whitening.safetensors"
FOLDED_BEFORE_USE = ("expected_average_only_in", "covariance_whitening")
"""SAELens's names for what is folded into the weights; it does nothing about them at run time."""
LIMITS = Limits(file_bytes=2**20, text_bytes=2**20, depth=8, values=1000)


@dataclass(frozen=True)
class Scaling:
    """What lies beside an SAE's weights.

    Attributes:
        factor: What activations were multiplied with, if they were.
        whitening: `mean` `[d_in]`, `matrix` and `inverse_matrix` `[d_in, d_in]`, if there are any.
    """

    factor: float | None = None
    whitening: dict[str, Tensor] | None = None


def read_scaling(folder: Path, name: str) -> Scaling:
    """What `SAETrainer.save_checkpoint` left in a folder; nothing where there is nothing.

    Args:
        folder: Where the weights lie.
        name: The SAE, for messages.

    Raises:
        SaereportError: A file is damaged, or holds what is no factor or no whitening.
    """
    factor, has_whitening = None, True
    if (folder / SCALER).is_file():
        found = parse_json(content(folder / SCALER, LIMITS), f"{name}/{SCALER}", LIMITS)
        if not isinstance(found, dict):
            raise SaereportError(f"{name}/{SCALER} is not a JSON object.")
        factor, has_whitening = found.get("scaling_factor"), found.get("has_whitening", True)
        number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
        if factor is not None and not (number and math.isfinite(factor) and factor > 0):
            raise SaereportError(
                f"The scaling_factor in {name}/{SCALER} is not a number above zero."
            )
    whitening = None
    if has_whitening and (folder / WHITENING).is_file():
        try:
            whitening = load_file(folder / WHITENING)
        except Exception as error:  # safetensors has an exception of its own for each damage
            raise SaereportError(f"{name}/{WHITENING} is damaged.") from error
        if not {"mean", "matrix", "inverse_matrix"} <= set(whitening):
            raise SaereportError(f"{name}/{WHITENING} lacks the mean, the matrix or its inverse.")
    return Scaling(None if factor is None else float(factor), whitening)


def fold(sae: Any, scaling: Scaling, label: str) -> str:
    """Fold what an SAE was trained with into its weights, as SAELens does when training ends.

    Afterwards `W_enc`, `W_dec` and the biases act on the model's own activations, and the metadata
    say what was folded. SAEs that need nothing of the kind are left as they are.

    Args:
        sae: SAELens's object, for use or for training, at least float32; changed in place.
        scaling: What lies beside its weights.
        label: Its name, for messages.

    Returns:
        A warning where the files beside it and its configuration say different things, else "".

    Raises:
        SaereportError: What it needs is not there, or is of another width.
    """
    wanted = sae.cfg.normalize_activations
    if wanted not in FOLDED_BEFORE_USE:
        if scaling.factor is None and scaling.whitening is None:
            return ""
        beside = SCALER if scaling.whitening is None else WHITENING
        return (
            f"{beside} lies beside the weights, but cfg.json says normalize_activations "
            f"'{wanted}': the weights are taken as they are."
        )
    stored = stored_as(sae.cfg.architecture())
    if stored is not None and stored.elsewhere:
        raise SaereportError(
            f"The transcoder {label} was trained with normalize_activations '{wanted}', and it is "
            f"not known what that means for its outputs.",
            "Fold the scaling into its weights, and save it with normalize_activations 'none'.",
        )
    if wanted == "expected_average_only_in":
        if scaling.whitening is not None:
            raise SaereportError(
                f"cfg.json of the SAE {label} says '{wanted}', but {WHITENING} lies beside it.",
                "Remove whichever does not belong to it.",
            )
        if scaling.factor is None:
            raise missing(label, wanted)
        sae.fold_activation_norm_scaling_factor(scaling.factor)
        sae.cfg.metadata["folded_on_loading"] = f"{wanted}, factor {scaling.factor:g}"
        return ""
    if scaling.factor is not None:
        raise SaereportError(
            f"cfg.json of the SAE {label} says '{wanted}', but {SCALER} has a scaling_factor.",
            "Remove whichever does not belong to it.",
        )
    if scaling.whitening is None:
        raise missing(label, wanted)
    mean, matrix, inverse = _whitening(scaling.whitening, int(sae.cfg.d_in), label)
    sae.fold_activation_whitening(mean, matrix, inverse)
    sae.cfg.metadata["folded_on_loading"] = wanted
    return ""


def _whitening(found: dict[str, Tensor], d_in: int, label: str) -> tuple[Tensor, Tensor, Tensor]:
    mean, matrix, inverse = found["mean"], found["matrix"], found["inverse_matrix"]
    shapes = [tuple(part.shape) for part in (mean, matrix, inverse)]
    if shapes != [(d_in,), (d_in, d_in), (d_in, d_in)]:
        raise SaereportError(f"{WHITENING} of the SAE {label} is not for {d_in:,} numbers.")
    if not all(bool(part.isfinite().all()) for part in (mean, matrix, inverse)):
        raise SaereportError(f"{WHITENING} of the SAE {label} holds NaN or infinite numbers.")
    probe = torch.linspace(-1, 1, d_in, dtype=torch.float64)
    there_and_back = probe @ matrix.double() @ inverse.double()
    if not torch.allclose(there_and_back, probe, atol=1e-3, rtol=1e-3):
        raise SaereportError(
            f"In {WHITENING} of the SAE {label} inverse_matrix is not the inverse of matrix."
        )
    return mean, matrix, inverse


def missing(label: str, wanted: str) -> SaereportError:
    """The error that says that an SAE's weights are in units that nothing here gives."""
    if wanted == "expected_average_only_in":
        what, file, method = (
            "activations scaled by a factor",
            SCALER,
            "fold_activation_norm_scaling_factor(factor)",
        )
    else:
        what, file, method = ("whitened activations", WHITENING, "fold_activation_whitening(…)")
    return SaereportError(
        f"The SAE {label} was trained on {what} (normalize_activations '{wanted}'), and neither "
        f"the release nor {file} beside the weights says by what.",
        f"Put SAELens's {file} of the same training beside the weights (--sae-path), or save the "
        f"SAE anew after sae.{method}.",
    )
