"""Whether the model that the user names is the one that the SAEs' metadata name."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from saereport.pipeline.agreement import check_named
from saereport.pipeline.warned import Warned
from saereport.sources.demo import DEMO_MODEL_NAME


def said(name: str, *models: str | None) -> list[str]:
    warned = Warned()
    saes = [SimpleNamespace(slug=f"s{n}", model_name=model) for n, model in enumerate(models)]
    check_named(name, cast("Any", saes), warned)
    return [f"{w.about}: {w.text}" for w in warned.result()]


def test_two_names_are_both_said_once() -> None:
    (line,) = said("m-llama", None, "m-gpt2", "m-gpt2")
    assert line == (
        "s1: The model is 'm-llama', as was asked for; the metadata of the SAE name 'm-gpt2'."
    )


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt2", "gpt2-small"),
        ("openai-community/gpt2", "gpt2"),
        ("google/Gemma-2-2B", "gemma-2-2b"),
        ("demo", DEMO_MODEL_NAME),
        ("tiny", "tiny"),
        ("anything", None),
    ],
)
def test_one_model_by_two_spellings_is_quiet(name: str, model: str | None) -> None:
    assert said(name, model) == []


def test_the_demo_is_a_model_like_others() -> None:
    assert len(said("demo", "gpt2")) == 1


def test_a_folder_may_be_known_by_its_place_or_its_configuration(tmp_path: Path) -> None:
    plain = tmp_path / "mine"
    plain.mkdir()
    assert len(said(str(plain), "owner/m-gpt2")) == 1
    (plain / "config.json").write_text("{")
    assert len(said(str(plain), "owner/m-gpt2")) == 1
    (plain / "config.json").write_text(json.dumps({"_name_or_path": "other/M-GPT2"}))
    assert said(str(plain), "owner/m-gpt2") == []
    cached = tmp_path / "models--owner--m-gpt2/snapshots/0123"
    cached.mkdir(parents=True)
    named = tmp_path / "M-GPT2"
    named.mkdir()
    gguf = tmp_path / "m-gpt2.Q4_1.gguf"
    gguf.touch()
    for place in (cached, named, gguf):
        assert said(str(place), "owner/m-gpt2") == [], place
