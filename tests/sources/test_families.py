"""Every family of SAELens's directory: loaded, collected, rendered, a prompt drawn.

`make families` (SAEREPORT_FAMILIES=write) writes what came of it into `families.json` and
`docs/families.md`.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from saereport.sources.saes import families as package
from saereport.sources.saes.families import STEPS, families, family_of, outcomes
from saereport.util.errors import SaereportError
from tests.sources.families_page import page
from tests.sources.stand_in import serving
from tests.sources.trials import Trials, layer_of

WRITE = os.environ.get("SAEREPORT_FAMILIES") == "write"
ROWS = Path(package.__file__).with_name("families.json")
PAGE = Path(__file__).parents[2] / "docs" / "families.md"
FOUND: dict[str, Any] = {}
"""What came of the families so far, where it is to be written."""

SHALLOW = 5
"""Layers above this take longer than a second."""

QUICK = {"saebench-pythia-gated", "saebench-pythia-topk", "gpt2-small-mlp-tm"}
"""Formats of their own at a place where another family of their loader reads too."""


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    folder = tmp_path_factory.mktemp("families")
    with serving(folder / "cache") as hub:
        yield Trials(hub, folder)


def _each() -> list[Any]:
    """All families; quick are the first of each loader at each kind of place."""
    cases, seen = [], set()
    for slug, family in families().items():
        kind = (family.loader, re.sub(r"\d+", "", family.place or family.sae_id))
        quick = layer_of(family) < SHALLOW and (kind not in seen or slug in QUICK)
        seen |= {kind} if quick else set()
        cases.append(slug if quick else pytest.param(slug, marks=pytest.mark.slow))
    return cases


@pytest.mark.parametrize("slug", _each())
def test_family(slug: str, trials: Trials) -> None:
    """What its row says is what comes of it, and what is missing has a reason."""
    row = trials.attempt(families()[slug])
    for step in STEPS:
        assert (row["had"][step] == "yes") == (not row["why"].get(step)), step
    if WRITE:
        FOUND[slug] = row
        return
    known = json.loads(ROWS.read_text(encoding="utf-8")).get(slug)
    assert row == known, "run `make families`, and look at what it changes"


def test_the_table_is_what_the_families_say() -> None:
    if WRITE:
        assert FOUND.keys() == families().keys(), "all families are written at once"
        rows = {slug: FOUND[slug] for slug in families()}
        ROWS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        outcomes.cache_clear()
        PAGE.write_text(page(families(), outcomes()), encoding="utf-8")
    assert outcomes().keys() == families().keys()
    assert PAGE.read_text(encoding="utf-8") == page(families(), outcomes()), "run `make families`"
    assert len(families()) >= 40


def test_every_sae_of_the_directory_is_of_a_family() -> None:
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    for release, entry in get_pretrained_saes_directory().items():
        for sae_id in entry.saes_map:
            family = family_of(release, sae_id)
            assert family is not None, (release, sae_id)
            assert family.loader == (entry.conversion_func or "sae_lens"), (release, sae_id)
    for slug, family in families().items():
        assert family_of(family.release, family.sae_id) == family, slug


@pytest.mark.parametrize("slug", ["saebench-pythia-topk", "gemma-scope-res", "llama-scope-res"])
def test_a_stand_in_is_the_sae_that_its_files_say(slug: str, trials: Trials) -> None:
    """Its latents are those of the trainer's own formula, computed from the files' tensors."""
    from saereport.sources.saes.loading import load_sae
    from saereport.sources.saes.source import SaeSource

    family = families()[slug]
    with trials.served(family) as site:
        sae = load_sae(SaeSource(family.release, family.sae_id))
    w = site.weights()
    a = torch.randn(7, site.width)
    if slug == "saebench-pythia-topk":
        z = ((a - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu()
        kept = z.topk(6, dim=-1)
        expected = torch.zeros_like(z).scatter(-1, kept.indices, kept.values)
    elif slug == "gemma-scope-res":
        z = a @ w["W_enc"] + w["b_enc"]
        expected = z.relu() * (z > w["threshold"])
    else:
        # Activations are scaled by the factor of the directory, which is folded into the weights.
        z = a @ w["W_enc"] + w["b_enc"]
        expected = z.relu() * (z > 0.2)
    torch.testing.assert_close(sae.encode(a), expected, atol=2e-2, rtol=2e-2)


def test_a_hostile_pickle_on_the_hub(
    trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused in one line, even where the environment allows pickles to run code."""
    from saereport.sources.saes.loading import load_sae
    from saereport.sources.saes.source import SaeSource

    class Call:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    family = families()["qwen-scope-3"]
    stream = io.BytesIO()
    torch.save({"W_enc": Call()}, stream)
    with trials.served(family) as site:
        trials.hub.repos[site.entry.repo_id] = {"layer1.sae.pt": stream.getvalue()}
        with pytest.raises(SaereportError) as caught:
            load_sae(SaeSource(family.release, "layer1"))
    assert "asks for" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
