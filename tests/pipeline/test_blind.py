"""A blind latent's text is in no file of a run or a report, unless it may be revealed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from saereport.pipeline import build, circuits, loading
from saereport.run import Run, open_run
from saereport.run.tables import TABLES
from saereport.site.packing import pack
from tests.factories import save_sae, tiny_model, word_tokenizer

BLIND, PLAIN = 3, 20


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(1)
    with (folder / "text.jsonl").open("w") as stream:
        for _ in range(60):
            words = " ".join(f"w{n}" for n in rng.integers(2, 100, 40))
            stream.write(f'{{"text": "{words}"}}\n')
    save_sae(folder / "mlp", "transcoder", hook_name="blocks.2.ln2.hook_normalized", d_sae=24)
    save_sae(folder / "early", "jumprelu", hook_name="blocks.0.hook_resid_post", d_sae=40)
    (folder / "labels.csv").write_text(f"index,description\n{BLIND},secret label\n{PLAIN},open\n")
    return folder


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_model", lambda name, **_: tiny_model())


def built(inputs: Path, out: Path, **changes: Any) -> Path:
    config = {
        "saes": [
            {"path": inputs / "mlp", "explanations": inputs / "labels.csv"},
            {"path": inputs / "early", "latents": "0"},
        ],
        "dataset": str(inputs / "text.jsonl"),
        "latents": f"{BLIND},{PLAIN}",
        "tokens": 2048,
        "batch_size": 8,
        "device": "cpu",
        "examples": {"top": 4, "before": 4, "after": 2, "intervals": 2, "per_group": 2},
        "circuits": {"examples": 2},
        **changes,
    }
    return Path(build.build(config, out))


def windows(run: Run, latent: int) -> list[list[int]]:
    """Token ids of the windows that a latent's examples show.

    Not those in sequences that another latent's example shows, which has every right to be there,
    nor those of three tokens at the edge of a sequence, which come up anywhere by chance.
    """
    stored = run.table("sequences").to_pydict()
    tokens = dict(zip(stored["sequence"], stored["tokens"], strict=True))
    rows = run.table("examples", "mlp").to_pylist()
    others = {row["sequence"] for row in rows if row["latent"] != latent}
    others |= set(run.table("examples", "early")["sequence"].to_pylist())
    return [
        tokens[row["sequence"]][row["start"] : row["stop"]]
        for row in rows
        if row["latent"] == latent
        and row["sequence"] not in others
        and row["stop"] - row["start"] > 3
    ]


def token_lists(run: Run) -> list[list[int]]:
    """Every list of numbers in any table of a run."""
    found: list[list[int]] = []
    for slug in [None, *(sae.slug for sae in run.info.saes)]:
        for name in run.names(slug):
            table = run.table(name, slug)
            for column in TABLES[name].columns:
                if column.is_list and pa.types.is_integer(column.item):
                    found += table[column.name].to_pylist()
    return found


def holds(lists: list[list[int]], window: list[int]) -> bool:
    n = len(window)
    return any(
        row[start : start + n] == window for row in lists for start in range(len(row) - n + 1)
    )


def files_with(folder: Path, needles: list[str]) -> set[str]:
    return {
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(needle.encode() in path.read_bytes() for needle in needles)
    }


@pytest.fixture(scope="module")
def known(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[list[int]]]:
    """Each latent's windows, of a report that hides nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_model", lambda name, **_: tiny_model())
        run = open_run(built(inputs, tmp_path_factory.mktemp("open") / "report"))
    return {latent: windows(run, latent) for latent in (BLIND, PLAIN)}


def forms(windows: list[list[int]]) -> list[str]:
    """The ways in which a window could be written into a page or its data."""
    tokenizer = word_tokenizer()
    ways = []
    for window in windows:
        words = tokenizer.convert_ids_to_tokens(window)
        ways += [" ".join(words), ",".join(map(str, window)), ", ".join(map(str, window))]
        ways += pack(np.array(window, dtype=np.int32), np.array([len(window)]))
    return ways


def test_without_reveal_the_text_is_in_no_file(
    inputs: Path, tmp_path: Path, known: dict[int, list[list[int]]]
) -> None:
    assert min(len(known[BLIND]), len(known[PLAIN])) >= 2
    report = built(inputs, tmp_path / "report", blind=[f"mlp:{BLIND}"])
    run = open_run(report)
    lists = token_lists(run)
    # What can be found of a latent that is not blind shows that the search finds things.
    assert all(holds(lists, window) for window in known[PLAIN])
    assert files_with(report, forms(known[PLAIN]))
    assert not any(holds(lists, window) for window in known[BLIND])
    assert files_with(report, forms(known[BLIND])) == set()
    assert files_with(report, ["secret label"]) == set()
    assert files_with(report, ["open"])


def test_only_the_rows_about_the_text_are_gone(inputs: Path, tmp_path: Path) -> None:
    run = open_run(built(inputs, tmp_path / "report", blind=[str(BLIND)]))
    for name in ("examples", "example_groups", "token_statistics", "explanations"):
        assert set(run.table(name, "mlp")["latent"].to_pylist()) == {PLAIN}, name
    for name in ("activity", "logit_lens", "deembedding", "pullbacks", "geometry"):
        assert set(run.table(name, "mlp")["latent"].to_pylist()) == {BLIND, PLAIN}, name
    blind, plain = [], []
    for row in run.table("example_components", "mlp").to_pylist():
        (blind if row["latent"] == BLIND else plain).append(row["sequence"])
    assert set(blind) == {-1}
    assert min(plain) >= 0
    rows = run.table("example_influences", "mlp").to_pylist()
    assert {row["token"] for row in rows if row["latent"] == BLIND} == {-1}
    assert all(row["token"] >= 0 for row in rows if row["latent"] == PLAIN)
    shown = set(run.table("examples", "mlp")["sequence"].to_pylist())
    shown |= set(run.table("examples", "early")["sequence"].to_pylist())
    assert set(run.table("sequences")["sequence"].to_pylist()) == shown
    assert run.table("blind_latents").to_pylist() == [
        {"sae": "mlp", "latent": BLIND, "reveal": False}
    ]


def test_with_reveal_everything_is_there(
    inputs: Path, tmp_path: Path, known: dict[int, list[list[int]]]
) -> None:
    run = open_run(built(inputs, tmp_path / "report", blind=[f"mlp:{BLIND}"], with_reveal=True))
    assert windows(run, BLIND) == known[BLIND]
    assert run.table("blind_latents").to_pylist() == [
        {"sae": "mlp", "latent": BLIND, "reveal": True}
    ]


def test_a_blind_latent_that_was_not_chosen_is_shown_too(inputs: Path, tmp_path: Path) -> None:
    for latents in ("20", "top:1", "random:1"):
        run = open_run(built(inputs, tmp_path / "report", latents=latents, blind=["mlp:3"]))
        chosen = run.table("activity", "mlp")["latent"].to_pylist()
        assert 3 in chosen
        assert chosen == sorted(set(chosen))
        assert len(chosen) <= 2


def test_a_report_of_blind_latents_alone_can_be_made(inputs: Path, tmp_path: Path) -> None:
    config = {"saes": [{"path": inputs / "mlp"}], "latents": str(BLIND), "blind": [str(BLIND)]}
    report = built(inputs, tmp_path / "report", **config)
    run = open_run(report)
    assert run.rows("sequences") == 0
    assert run.rows("examples", "mlp") == 0
    assert (report / "index.html").is_file()


def test_a_hidden_latents_activations_on_prompts_are_not_stored(
    inputs: Path, tmp_path: Path
) -> None:
    lines = (inputs / "text.jsonl").read_text().splitlines()
    prompts = [{"text": json.loads(line)["text"], "saes": ["mlp"]} for line in lines[:6]]
    found = {}
    for reveal in (False, True):
        asked = {"prompts": prompts, "blind": [f"mlp:{BLIND}"], "with_reveal": reveal}
        run = open_run(built(inputs, tmp_path / str(reveal), **asked))
        found[reveal] = set(run.table("prompt_activations")["latent"].to_pylist())
    assert found == {False: {PLAIN}, True: {BLIND, PLAIN}}


def test_prompts_that_were_finished_are_not_used_where_others_are_blinded(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As seen: what was finished before a latent was blinded told where it is active."""
    lines = (inputs / "text.jsonl").read_text().splitlines()
    prompts = [{"text": json.loads(line)["text"], "saes": ["mlp"]} for line in lines[:3]]
    asked: dict[str, Any] = {"prompts": prompts, "skip": ["weights", "evaluation"]}
    collect_prompt = circuits.collect_prompt

    def last_fails(subject: Any, task: Any, *rest: Any) -> Any:
        if task.prompt.number == 2:
            raise KeyboardInterrupt
        return collect_prompt(subject, task, *rest)

    blinded = {"blind": [f"mlp:{BLIND}"]}
    for before, after, found in (
        ({}, blinded, {PLAIN}),
        (blinded, {}, {BLIND, PLAIN}),
        (blinded, {**blinded, "with_reveal": True}, {BLIND, PLAIN}),
    ):
        out = tmp_path / f"report-{len(list(tmp_path.iterdir()))}"
        with monkeypatch.context() as patch:
            patch.setattr(circuits, "collect_prompt", last_fails)
            with pytest.raises(KeyboardInterrupt):
                built(inputs, out, **asked, **before)
        rows = open_run(built(inputs, out, **asked, **after)).table("prompt_activations")
        first = rows.filter(pc.equal(rows["prompt"], 0))
        assert set(first["latent"].to_pylist()) == found
