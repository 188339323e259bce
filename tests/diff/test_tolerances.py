"""The same run on other batch sizes, threads and number types reports no change."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from saereport import collect
from saereport.diff import Difference, compare
from saereport.run import Run, open_run

DEMO = Path(__file__).parents[2] / "saereport" / "demo" / "saes"
LATENTS = {
    "resid-l10": "47,324,331,398,641,776,873,893,1342,1390,2107,2206",
    "transcoder-l10": "213,384,594,699,839,1074,1318,1489,1590,1877,2080,2217",
}
TOKENS = 8192
WITH_CIRCUITS: dict[str, Any] = {
    "evaluate": 512,
    "prompts": [{"name": "Paris", "text": "The Eiffel tower is in the city of => Paris"}],
    "circuits": {"pairs_kept": 120, "checks": 2, "attributed": 2, "examples": 0},
}
LATENTS_ONLY: dict[str, Any] = {"evaluate": 0}

ELSEWHERE = """
import json, sys
import torch
torch.set_num_threads(int(sys.argv[3]))
import saereport
saereport.collect(json.loads(sys.argv[1]), sys.argv[2])
"""


def settings(
    *,
    dtype: str = "float32",
    batch: int = 8,
    folder: Path = DEMO,
    further: dict[str, Any] = WITH_CIRCUITS,
) -> dict[str, Any]:
    return {
        "model": "demo",
        "dataset": "demo",
        "tokens": TOKENS,
        "dtype": dtype,
        "batch_size": batch,
        "saes": [{"path": str(folder / name), "latents": found} for name, found in LATENTS.items()],
        **further,
    }


def collected(target: Path, *, threads: int | None = None, **changed: Any) -> Run:
    """A run; with a number of threads, in a process of its own, which has as many throughout."""
    config = settings(**changed)
    if threads is None:
        return open_run(collect(config, target))
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", ELSEWHERE, json.dumps(config), str(target), str(threads)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return open_run(target)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return collected(tmp_path_factory.mktemp("plain") / "run")


def beyond_noise(found: Difference) -> list[str]:
    """Everything that a comparison reports as changed, facts aside."""
    named = [value.metric for sae in found.saes for value in sae.values if value.changed]
    named += [value.metric for prompt in found.prompts for value in prompt.values if value.changed]
    return named + [f"{sae.after} {change.after}" for sae in found.saes for change in sae.changed]


def largest(found: Difference) -> dict[str, float]:
    """How much of its tolerance each metric of latents used up, in the worst latent."""
    used: dict[str, float] = {}
    for sae in found.saes:
        for name, sizes in sae.pairs.sizes.items():
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.nan_to_num(sizes / sae.pairs.tolerances[name])
            used[name] = max(used.get(name, 0.0), float(share.max(initial=0)))
    return used


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize(
    "other",
    [{"batch": 1}, {"threads": 2}, {"dtype": "bfloat16"}, {"dtype": "bfloat16", "batch": 1}],
    ids=["batch", "threads", "bfloat16", "bfloat16-batch"],
)
def test_the_same_run_elsewhere_is_no_change(
    plain: Run, tmp_path: Path, other: dict[str, Any]
) -> None:
    found = compare(plain, collected(tmp_path / "run", **other))
    assert len(found.saes) == 2
    assert all(len(sae.pairs.before) == 12 for sae in found.saes)
    assert all(sae.pairing == "index" for sae in found.saes)
    assert beyond_noise(found) == []
    # A margin: no metric comes near its tolerance.
    assert max(largest(found).values()) < 0.9
    matter = {fact.name for fact in found.facts if fact.matters}
    assert ("dtype" in matter) is ("dtype" in other)


ALTERED = {"decoder": 1342, "encoder": 873, "threshold": 2107}
"""What is altered in which latent of the residual SAE."""


def with_some_altered(target: Path) -> Path:
    """The demo's SAEs, with three latents of the residual one altered, each in another way."""
    for name in LATENTS:
        shutil.copytree(DEMO / name, target / name)
    path = target / "resid-l10" / "sae_weights.safetensors"
    weights = load_file(path)
    decoder, encoder, threshold = ALTERED["decoder"], ALTERED["encoder"], ALTERED["threshold"]
    weights["W_dec"][decoder] = np.roll(weights["W_dec"][decoder], 7)
    weights["W_enc"][:, encoder] = np.roll(weights["W_enc"][:, encoder], 7)
    weights["threshold"][threshold] *= 2
    save_file(weights, path)
    return target


@pytest.mark.model
@pytest.mark.slow
def test_altered_latents_are_named_and_no_other(plain: Run, tmp_path: Path) -> None:
    """Of each kind of weight one: only what is measured of latents is looked at here."""
    folder = with_some_altered(tmp_path / "saes")
    found = compare(plain, collected(tmp_path / "run", folder=folder, further=LATENTS_ONLY))
    (resid,) = (sae for sae in found.saes if sae.after == "resid-l10")
    assert not resid.same_weights
    assert resid.pairing == "index"
    changed = [(sae.after, c.after) for sae in found.saes for c in sae.changed]
    assert sorted(changed) == [("resid-l10", latent) for latent in sorted(ALTERED.values())]
