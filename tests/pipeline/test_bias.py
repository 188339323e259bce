"""The bias test in a build: off unless asked for, refused before the long work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import saereport
from saereport.config.build import make_config
from saereport.pipeline import build
from saereport.pipeline.preflight import check_everything
from saereport.pipeline.stages.bias import BiasStage
from saereport.run import open_run
from saereport.run.bias import bias_figures
from saereport.site import render
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress
from tests.pipeline.test_probing import written as labelled

Asked = Callable[..., dict[str, Any]]
QUIET = Progress(quiet=True)
TABLES = ("bias_scores", "bias_latents")


def written(folder: Path, each: int = 30, name: str = "biased.jsonl", **columns: str) -> Path:
    """Texts in which a word stands for the label and three of another for the attribute."""
    rng = np.random.default_rng(0)
    path = folder / name
    names = {"text": "text", "label": "label", "attribute": "attribute", **columns}
    with path.open("w") as stream:
        for i in range(4 * each):
            label, attribute = i % 2, i // 2 % 2
            words = rng.integers(3, 60, 6).tolist() + [90] * label + [80, 80, 80] * attribute
            text = " ".join(f"w{word}" for word in rng.permutation(words))
            row = {"text": text, "label": label, "attribute": ["f", "m"][attribute]}
            stream.write(json.dumps({names[key]: value for key, value in row.items()}) + "\n")
    return path


def test_tables_pages_and_what_is_judged(asked: Asked, tmp_path: Path) -> None:
    drop = tmp_path / "drop.txt"
    drop.write_text("early.3\r\n# a comment\nlate.5  # another\nlate:7\n", "utf-8-sig")
    config = asked(bias=str(written(tmp_path)), bias_drop=str(drop), bias_test={"latents": 4})
    run = open_run(build.collect(config, tmp_path / "run", progress=QUIET))
    run.verify()
    groups = run.table("bias_groups").to_pylist()
    assert [(g["label"], g["attribute"], g["concept"], g["goes_along"]) for g in groups] == [
        ("0", "f", False, True),
        ("0", "m", False, False),
        ("1", "f", True, False),
        ("1", "m", True, True),
    ]
    assert [g["n_train"] for g in groups] == [21, 0, 0, 21]
    assert {g["n_held_out"] for g in groups} == {9}
    for slug, listed in (("early", {3}), ("late", {5, 7})):
        scores = {r["variant"]: r for r in run.table("bias_scores", slug).to_pylist()}
        assert scores["judged"]["n_latents"] == scores["skyline"]["n_latents"] == len(listed)
        assert scores["original"]["accuracy"] < scores["balanced"]["accuracy"]
        rows = run.table("bias_latents", slug).to_pylist()
        assert {r["latent"] for r in rows if r["judged"] == "list"} == listed
        figures = bias_figures(run, slug)
        assert figures["bias.worst_before"].value == scores["original"]["worst"]
        assert figures["bias.worst_after"].value == scores["judged_mean"]["worst"]
        # Nine texts of a group are too few for an interval.
        assert figures["bias.worst_after"].interval is None
    render(run.path, tmp_path / "report")
    page = (tmp_path / "report" / "bias" / "index.html").read_text("utf-8")
    assert "by the list" in page


def test_words_in_labels_judge(asked: Asked, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("index,description\n2,Names of WOMEN\n5,verbs\n")
    config = asked(
        bias=str(written(tmp_path)),
        bias_test={"latents": 3, "words": "women"},
        saes=[{**asked()["saes"][0], "explanations": labels}],
    )
    run = open_run(build.collect(config, tmp_path / "run", progress=QUIET))
    rows = run.table("bias_latents", "early").to_pylist()
    assert {r["latent"] for r in rows if r["judged"] == "label"} == {2}
    stage = BiasStage()
    before = stage.inputs(make_config(config))
    labels.write_text("index,description\n5,women\n")
    assert stage.inputs(make_config(config)) != before


def test_words_that_no_label_holds_are_refused(asked: Asked, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("index,description\n2,Names of women\n5,verbs\n")
    config = asked(
        bias=str(written(tmp_path)),
        bias_test={"words": ["womenn", "men's"]},
        saes=[{**asked()["saes"][0], "explanations": labels}],
    )
    with pytest.raises(SaereportError, match=r"such as 'womenn'.*2 latents have labels"):
        check_everything(make_config(config))


def test_it_is_off_unless_asked_for(asked: Asked, tmp_path: Path) -> None:
    run = open_run(build.collect(asked(), tmp_path / "run", progress=QUIET))
    assert not run.has("bias_groups")
    for sae in run.info.saes:
        assert not set(TABLES) & (set(sae.left_out) | set(run.names(sae.slug)))


@pytest.mark.parametrize(
    ("changes", "lines", "said"),
    [
        ({"bias_drop": "drop.txt"}, "", "no texts for the bias test"),
        ({"bias_test": {"words": ["a"]}}, "", "no texts for the bias test"),
        ({"bias": "none.jsonl"}, "", "no file of labelled texts"),
        ({"bias": "few.jsonl"}, "", "9 texts with the label '1' and the attribute 'm'"),
        ({"bias": "three.jsonl"}, "", "two attributes, and 'three' has 3: z, m, f"),
        ({"bias": "ok.jsonl", "bias_drop": "none.txt"}, "", "no file of latents 'none.txt'"),
        ({"bias": "ok.jsonl", "bias_drop": "drop.txt"}, "\n", "file of latents 'drop.txt' is em"),
        ({"bias": "ok.jsonl", "bias_drop": "drop.txt"}, "early.x", "'early.x' is not a latent"),
        ({"bias": "ok.jsonl", "bias_drop": "drop.txt"}, "earl.3", "Did you mean 'early'?"),
        ({"bias": "ok.jsonl", "bias_drop": "drop.txt"}, "early.40", "and no 40"),
        ({"bias": "ok.jsonl", "bias_drop": "drop.txt"}, "early.3\n\udcff", "line 2: not UTF-8"),
        ({"bias": "ok.jsonl", "bias_test": {"goes_with": ["1", "n"]}}, "", "'n' of bias_test.goes"),
        ({"bias": "ok.jsonl", "bias_test": {"words": ["a"]}}, "", "no SAE has some from a file"),
        ({"bias": "ok.jsonl", "bias_test": {"words": ["a", ""]}}, "", "which every label holds"),
        ({"bias": "ok.jsonl", "bias_test": {"attribute": "sex"}}, "", "line 1: no 'sex'"),
    ],
)
def test_what_means_nothing_is_refused_before_torch_is_loaded(
    asked: Asked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    lines: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, name="ok.jsonl")
    rows = written(tmp_path, 10, name="few.jsonl").read_text().splitlines()
    Path("few.jsonl").write_text("\n".join(rows[:-1]))
    third = [row.replace('"m"', '"z"') for row in rows]
    Path("three.jsonl").write_text("\n".join([*rows, *(row.replace("w", " w") for row in third)]))
    Path("drop.txt").write_text(lines, errors="surrogateescape")
    with pytest.raises(SaereportError) as caught:
        check_everything(make_config(asked(**changes)))
    assert said in str(caught.value)


def test_which_goes_along_can_be_said(asked: Asked, tmp_path: Path) -> None:
    config = asked(
        bias=str(written(tmp_path, label="job", attribute="sex")),
        bias_test={"label": "job", "attribute": "sex", "goes_with": ["0", "m"], "latents": 3},
    )
    run = open_run(build.collect(config, tmp_path / "run", progress=QUIET))
    groups = run.table("bias_groups").to_pylist()
    assert [(g["label"], g["attribute"]) for g in groups if g["goes_along"]] == [
        ("0", "m"),
        ("1", "f"),
    ]
    assert [g["concept"] for g in groups] == [True, True, False, False]


def test_what_it_takes_is_told_beforehand(asked: Asked, tmp_path: Path) -> None:
    """Together with sparse probing on other texts."""
    config = asked(probe=str(labelled(tmp_path)), bias=str(written(tmp_path)), probing={"k": [1]})
    plan = saereport.plan(config, tmp_path / "report")
    stages = {stage.name: stage for stage in plan.stages}
    for name in ("probing", "bias"):
        assert (stages[name].seconds or 0) > 0
        assert (stages[name].host_bytes or 0) > 2**20
    assert plan.unknown == ()
