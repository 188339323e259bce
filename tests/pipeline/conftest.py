"""A small model, text and SAEs, and a stage that only tests know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from saereport.config.section import SECTIONS
from saereport.pipeline import loading, stage
from saereport.run import registry as tables
from saereport.sources.models import LanguageModel
from tests.factories import save_sae, tiny_model
from tests.pipeline.toys import Toy, toy_table


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and the SAEs `early` and `late`."""
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(0)
    with (folder / "text.jsonl").open("w") as stream:
        for _ in range(30):
            words = " ".join(f"w{n}" for n in (rng.zipf(1.3, 40) % 98) + 2)
            stream.write(f'{{"text": "{words}"}}\n')
    save_sae(folder / "early", "jumprelu", hook_name="blocks.0.hook_resid_post", d_sae=40)
    save_sae(folder / "late", "topk", hook_name="blocks.2.hook_resid_pre", d_sae=56)
    return folder


@pytest.fixture
def asked(small: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """A configuration of a run that takes a second, with some changes."""
    monkeypatch.setattr(loading, "load_model", lambda name, **_: tiny_model())

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "saes": [{"path": small / "early"}, {"path": small / "late"}],
            "dataset": str(small / "text.jsonl"),
            "latents": "0-3",
            "tokens": 600,
            "batch_size": 8,
            "device": "cpu",
            "evaluate": 100,
            "circuits": {"examples": 0},
            "geometry": {"coactivation_tokens": 100},
            **changes,
        }

    return make


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[stage.Stage], Any]]:
    """Registers stages until the test ends, and the toy's table."""
    stage.stages()
    monkeypatch.setattr(stage, "_REGISTERED", dict(stage._REGISTERED))
    monkeypatch.setitem(tables._REGISTERED, "toy_labels", toy_table())
    with patch.dict(SECTIONS):
        yield stage.register


@pytest.fixture
def toy(register: Callable[[stage.Stage], Any]) -> Toy:
    """A stage that is registered."""
    made = Toy()
    register(made)
    return made


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Shapes of the batches of the text that went through the model; contexts are 32 tokens."""
    found: list[tuple[int, int]] = []
    real = LanguageModel.run

    def run(self: LanguageModel, tokens: torch.Tensor, hooks: Any) -> Any:
        if len(hooks) and tokens.shape[1] == 32:
            found.append(tuple(tokens.shape))
        return real(self, tokens, hooks)

    monkeypatch.setattr(LanguageModel, "run", run)
    return found
