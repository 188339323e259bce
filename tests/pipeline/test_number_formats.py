"""Reports of a model and SAEs in half precision, and in two formats at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.pipeline import loading
from saereport.pipeline.build import collect
from saereport.pipeline.sanity import Look, near_the_end
from saereport.run import Run, open_run
from tests.factories import save_sae, tiny_model

Asked = Callable[..., dict[str, Any]]


def in_format(name: str, *, dtype: torch.dtype, **_: Any) -> Any:
    """The tiny model in a number format."""
    model = tiny_model()
    model.model.to(dtype)
    model.dtype = dtype
    return model


@pytest.fixture
def run_of(
    asked: Asked, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Run]:
    """Collects a run of an SAE and a skip transcoder, with circuits on a prompt."""
    monkeypatch.setattr(loading, "load_model", in_format)
    if not (small / "skip").exists():
        hook = "blocks.1.ln2.hook_normalized"
        save_sae(small / "skip", "skip_transcoder", hook_name=hook, d_sae=48)
    saes = [{"path": small / name} for name in ("early", "skip")]

    def make(dtype: str, sae_dtype: str | None) -> Run:
        asking = asked(
            saes=saes,
            dtype=dtype,
            sae_dtype=sae_dtype,
            latents="all",
            prompts=[{"text": "w3 w4 w5 w6 w7"}],
        )
        return open_run(collect(asking, tmp_path / f"{dtype}-{sae_dtype}"))

    return make


@pytest.mark.parametrize(
    ("dtype", "sae_dtype"),
    [("bfloat16", "float32"), ("float32", "bfloat16"), ("float16", "bfloat16"), ("float16", None)],
)
def test_a_report_of_two_formats(
    dtype: str, sae_dtype: str | None, run_of: Callable[..., Run]
) -> None:
    run, exact = run_of(dtype, sae_dtype), run_of("float32", None)
    assert run.info.model.dtype == dtype
    assert run.info.config["sae_dtype"] == sae_dtype
    for slug in ("early", "skip"):
        found, true = (
            one.table("activity", slug).column("density").to_numpy() for one in (run, exact)
        )
        assert np.isfinite(found).all()
        assert np.abs(found - true).max() < 0.02
        figures = run.table("sae_metrics", slug)
        assert np.isfinite(figures.column("value").to_numpy()).all()
    found, true = gradients(run), gradients(exact)
    shared = sorted(found.keys() & true.keys())
    assert len(shared) > 20
    off = [abs(found[key] - true[key]) for key in shared]
    assert np.median(off) < 0.05 * np.median([abs(true[key]) for key in shared])


def gradients(run: Run) -> dict[tuple[Any, ...], float]:
    """By latents and positions, the gradient."""
    rows = run.table("gradients").to_pylist()
    names = ("early", "late", "early_latent", "early_position", "late_latent", "late_position")
    return {tuple(row[name] for name in names): row["gradient"] for row in rows}


def test_activations_near_the_end_of_float16_are_told() -> None:
    look = Look(alive=torch.ones(3, dtype=torch.bool), total=torch.zeros(2), n=5, largest=30_000.0)
    said = near_the_end(look, torch.float16, torch.float32)
    assert "reaches 30,000" in said
    assert "65,504" in said
    assert near_the_end(look, torch.float32, torch.float16)
    assert not near_the_end(look, torch.bfloat16, torch.float32)
    assert not near_the_end(Look(alive=look.alive, total=look.total, largest=800.0), torch.float16)
