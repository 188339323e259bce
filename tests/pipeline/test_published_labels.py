"""A build that asks for the labels that Neuronpedia has published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from saereport.pipeline import build
from saereport.run import open_run
from saereport.sources import published_labels as published
from saereport.util.errors import SaereportError
from tests.bucket import Bucket, batch, label, serving


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv(published.CACHE, str(tmp_path / "cache"))
    with serving(Bucket()) as made:
        monkeypatch.setenv(published.ADDRESS, made.address)
        yield made


@pytest.fixture
def saes(small: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """The small SAEs, with names on Neuronpedia."""
    found = []
    for slug, source in (("early", "tiny/0-res"), ("late", "tiny/2-res")):
        folder = shutil.copytree(small / slug, tmp_path / slug)
        described = json.loads((folder / "cfg.json").read_text())
        described["metadata"] = {**described.get("metadata", {}), "neuronpedia_id": source}
        (folder / "cfg.json").write_text(json.dumps(described))
        found.append({"path": folder})
    return found


def test_each_sae_gets_its_own(
    asked: Callable[..., dict[str, Any]], bucket: Bucket, saes: list[Any], tmp_path: Path
) -> None:
    for source in ("tiny/0-res", "tiny/2-res"):
        rows = [label(index, f"{source} {index}", source) for index in range(40)]
        bucket.files[f"v1/{source}/explanations/batch-0.jsonl.gz"] = batch(rows)
    config = asked(saes=saes, explanations="neuronpedia", skip=["circuits"])
    run = open_run(build.collect(config, tmp_path / "run"))
    for slug, source in (("early", "tiny/0-res"), ("late", "tiny/2-res")):
        rows = run.table("explanations", slug).to_pylist()
        assert [row["text"] for row in rows] == [f"{source} {index}" for index in range(4)]
        (file,) = run.table("label_files", slug).to_pylist()
        assert file["address"].startswith(bucket.address)
    assert run.info.config["explanations"] == "neuronpedia"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "has published no labels of 'tiny/0-res'"),
        (batch([label(40, "beyond", "tiny/0-res")]), "label latent 40, but it has 40 latents"),
    ],
)
def test_it_fails_before_the_long_work(
    asked: Callable[..., dict[str, Any]],
    bucket: Bucket,
    saes: list[Any],
    tmp_path: Path,
    text: bytes | None,
    message: str,
) -> None:
    if text is not None:
        bucket.files["v1/tiny/0-res/explanations/batch-0.jsonl.gz"] = text
    config = asked(saes=saes[:1], explanations="neuronpedia")
    with pytest.raises(SaereportError, match=message):
        build.collect(config, tmp_path / "run")
    assert not list(tmp_path.rglob("*.parquet"))


def test_an_sae_without_a_name_there_is_one_line(
    asked: Callable[..., dict[str, Any]], bucket: Bucket, small: Path, tmp_path: Path
) -> None:
    config = asked(saes=[{"path": small / "early"}], explanations="neuronpedia")
    with pytest.raises(SaereportError, match="Nothing says what Neuronpedia calls early"):
        build.collect(config, tmp_path / "run")
    assert bucket.asked == []
