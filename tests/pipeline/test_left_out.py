"""Tables of weights that a model's wiring does not allow: said before the text is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saereport import collect, open_run
from saereport.pipeline import statistics
from saereport.util.progress import Progress
from tests.factories import save_sae
from tests.families import Families

WEIGHTS = {"logit_lens", "deembedding", "head_deembedding"}


class Heard(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    ("family", "site", "d_in", "missing", "why"),
    [
        ("gpt_oss", "attn.hook_z", 48, WEIGHTS - {"logit_lens"}, "heads of layer 1 read"),
        ("opt-350m", "hook_resid_pre", 48, WEIGHTS, "does not pass block 0"),
        ("gemma2", "attn.hook_z", 96, set(), ""),
    ],
)
def test_a_table_that_cannot_be_right_is_left_out_with_its_reason(
    family: str,
    site: str,
    d_in: int,
    missing: set[str],
    why: str,
    families: Families,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sae = save_sae(tmp_path / "sae", hook_name=f"blocks.1.{site}", d_in=d_in, d_sae=24)
    text = tmp_path / "text.jsonl"
    text.write_text('{"text": "%s"}\n' % ("What a table says must be true. " * 40))
    heard, before_reading = Heard(), list[str]()
    read = statistics.read_text

    def reads(*args: Any) -> Any:
        before_reading.extend(heard.lines)
        return read(*args)

    monkeypatch.setattr(statistics, "read_text", reads)
    config = {
        "saes": [{"path": str(sae)}],
        "model": str(families(family)),
        "dataset": str(text),
        "tokens": 256,
        "context_size": 32,
        "latents": "all",
        "evaluate": 0,
        "device": "cpu",
    }
    run = open_run(collect(config, tmp_path / "run", progress=heard))
    left_out = run.info.saes[0].left_out
    assert {name for name in WEIGHTS if name in left_out} == missing
    assert all(why in left_out[name] for name in missing)
    stored = [w.text for w in run.info.warnings if w.text.startswith("Left out")]
    said = [line for line in before_reading if "Left out" in line]
    assert len(stored) == len(said) == bool(missing)
    assert all(why in line for line in stored)
