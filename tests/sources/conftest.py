"""Fixtures for the tests of the outside world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def hf_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Saves a small Hugging Face model of a kind (`gpt2`, `llama`, `neox`, `gemma2`)."""
    from tests.factories import save_hf_model

    saved: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in saved:
            saved[kind] = save_hf_model(tmp_path_factory.mktemp("models") / f"tiny-{kind}", kind)
        return saved[kind]

    return folder


@pytest.fixture(scope="session")
def bridge(hf_folder: Callable[[str], Path]) -> Callable[[str], Any]:
    """A small model of a kind, loaded from disk as a `TransformerBridge`."""
    from saereport.sources.model_loading import load_model

    loaded: dict[str, Any] = {}

    def model(kind: str) -> Any:
        if kind not in loaded:
            loaded[kind] = load_model(hf_folder(kind))
        return loaded[kind]

    return model
