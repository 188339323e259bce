"""Figures of whole SAEs beside those of `sae_lens.evals` on the same tokens.

Where the two define a figure alike they agree; where not, the difference is what the methods page
says that it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sae_lens import evals
from sae_lens.training.activation_scaler import ActivationScaler

from saereport.evaluate.fidelity import evaluate
from saereport.util.progress import Progress
from tests.factories import BOS, tiny_tokens

QUIET = Progress(quiet=True)
BATCHES, SIZE, LENGTH = 4, 5, 24
KINDS = {
    "jumprelu": ("jumprelu", "blocks.1.hook_resid_post"),
    "z": ("standard", "blocks.1.attn.hook_z"),
    "topk": ("topk", "blocks.2.hook_resid_pre"),
}
ALIKE = {
    "explained_variance": ("reconstruction_quality", "explained_variance"),
    "mse": ("reconstruction_quality", "mse"),
    "cosine": ("reconstruction_quality", "cossim"),
    "l2_ratio": ("shrinkage", "l2_ratio"),
    "l0": ("sparsity", "l0"),
    "l1": ("sparsity", "l1"),
}
PREDICTIONS = {
    "ce_original": "ce_loss_without_sae",
    "ce_spliced": "ce_loss_with_sae",
    "ce_zero": "ce_loss_with_ablation",
    "ce_recovered": "ce_loss_score",
}


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    return tiny_tokens(BATCHES * SIZE, LENGTH)


class Store:
    """As much of SAELens's store of activations as its evaluations ask for: batches of tokens."""

    store_batch_size_prompts, context_size = SIZE, LENGTH

    def __init__(self, tokens: torch.Tensor) -> None:
        self._tokens, self._next = tokens, 0

    def get_batch_tokens(self, n: int) -> torch.Tensor:
        found = self._tokens[self._next : self._next + n]
        self._next += n
        return found

    def reset_input_dataset(self) -> None:
        self._next = 0


def theirs(model: Any, sae: Any, tokens: torch.Tensor, exclude: Any = False) -> dict[str, Any]:
    store: Any = Store(tokens)
    config = evals.get_eval_everything_config(SIZE, BATCHES, BATCHES)
    scaler = ActivationScaler()
    return evals.run_evals(
        sae.loaded, store, model.model, scaler, config, exclude_special_tokens=exclude
    )[0]


def ours(model: Any, sae: Any, tokens: torch.Tensor, counted: np.ndarray) -> dict[str, float]:
    found = evaluate(model, [sae], tokens.numpy().astype(np.int32), counted, QUIET)
    assert not found.left_out
    table = found.tables[sae.slug]
    return dict(zip(table["metric"], map(float, table["value"]), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_defined_alike_agrees(
    tiny: Any, tiny_sae: Callable[..., Any], tokens: torch.Tensor, kind: str
) -> None:
    """With every position counted, as there where no token is ignored."""
    sae = tiny_sae(KINDS[kind][0], hook_name=KINDS[kind][1])
    there = theirs(tiny, sae, tokens)
    here = ours(tiny, sae, tokens, np.ones(tokens.shape, dtype=bool))
    for name, (group, other) in ALIKE.items():
        assert here[name] == pytest.approx(there[group][other], rel=1e-3, abs=1e-4), name
    for name, other in PREDICTIONS.items():
        if name in here:  # a random model may lose nothing by ablation
            found = there["model_performance_preservation"][other]
            # A share of a small gap is as unsure as float32 makes it.
            gap = abs(here["ce_added_zero"])
            near = 1e-3 if "recovered" not in name else 1e-3 + 1e-5 / gap
            assert found == pytest.approx(here[name], rel=1e-3, abs=near), name


def test_the_older_explained_variance_depends_on_batches_and_ours_does_not(
    tiny: Any, tiny_sae: Callable[..., Any], tokens: torch.Tensor
) -> None:
    sae = tiny_sae("jumprelu", hook_name="blocks.1.hook_resid_post")
    legacy = theirs(tiny, sae, tokens)["reconstruction_quality"]["explained_variance_legacy"]
    acts = tiny.run(tokens, ["blocks.1.hook_resid_post"])["blocks.1.hook_resid_post"]
    made = sae.reconstruct(acts.flatten(0, 1)).reshape(acts.shape)

    def averaged(rows: int) -> float:
        parts = []
        for a, r in zip(acts.split(rows), made.split(rows), strict=True):
            a, r = a.flatten(0, 1).double(), r.flatten(0, 1).double()
            distance = (a - a.mean(dim=0)).square().sum(dim=1)
            parts.append(1 - (a - r).square().sum(dim=1) / distance)
        return float(torch.cat(parts).mean())

    assert legacy == pytest.approx(averaged(SIZE), rel=1e-3)
    assert abs(averaged(1) - averaged(SIZE)) > 1e-3
    here = ours(tiny, sae, tokens, np.ones(tokens.shape, dtype=bool))["explained_variance"]
    assert abs(here - legacy) > 1e-3


def test_what_is_judged_otherwise_explains_the_rest(
    tiny: Any, tiny_sae: Callable[..., Any], tokens: torch.Tensor
) -> None:
    """With BOS left out: which predictions are judged, and that zero ablation spares BOS here."""
    sae = tiny_sae("jumprelu", hook_name="blocks.1.hook_resid_post")
    counted = (tokens != BOS).numpy()
    there, here = theirs(tiny, sae, tokens, [BOS]), ours(tiny, sae, tokens, counted)
    for name, (group, other) in ALIKE.items():
        assert here[name] == pytest.approx(there[group][other], rel=1e-3, abs=1e-4), name
    # Predictions from a counted token to the next are the same here, as no special token follows.
    performance = there["model_performance_preservation"]
    for name in ("ce_original", "ce_spliced"):
        assert here[name] == pytest.approx(performance[PREDICTIONS[name]], rel=1e-3), name
    # Divergence is judged at the last position too, where nothing follows.
    loss = evals.get_recons_loss(
        sae.loaded, tiny.model, ActivationScaler(), tokens, True, True, [BOS]
    )
    mask = torch.from_numpy(counted)
    kl: Any = loss["kl_div_with_sae"]
    behaviour = there["model_behavior_preservation"]
    assert behaviour["kl_div_with_sae"] == pytest.approx(float(kl[mask].mean()), rel=1e-3)
    assert here["kl_spliced"] == pytest.approx(float(kl[:, :-1][mask[:, :-1]].mean()), rel=1e-3)
    # Zero ablation there replaces BOS as well: with that put back, it is ours.
    assert abs(here["ce_zero"] - performance["ce_loss_with_ablation"]) > 1e-5
    spared = _zero_but_bos(tiny, tokens, mask)
    assert here["ce_zero"] == pytest.approx(spared, rel=1e-3)


def _zero_but_bos(model: Any, tokens: torch.Tensor, mask: torch.Tensor) -> float:
    def hook(acts: torch.Tensor, hook: Any) -> torch.Tensor:
        return torch.where(mask[..., None], torch.zeros_like(acts), acts)

    with torch.no_grad():
        loss = model.model.run_with_hooks(
            tokens,
            return_type="loss",
            loss_per_token=True,
            fwd_hooks=[("blocks.1.hook_resid_post", hook)],
        )
    return float(loss[mask[:, :-1]].mean())
