"""Files that name tokens like their own keys, and files that say little about an active latent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from saereport.exchange import export_report, import_files
from saereport.run import Run, open_run
from tests.exchange.samples import write_batch

HEAD = {"modelId": "m", "layer": "0-res"}
LIKE_KEYS = [
    "description",
    "tokens",
    'description":',
    '"description":',
    '"tokens" :',
    '\\"description":',
    "\\",
    '": "',
]


def write_lines(path: Path, rows: list[dict[str, Any]], separators: tuple[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, separators=separators) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def texts_of(run: Run, slug: str) -> dict[int, list[str]]:
    """The tokens of each latent's example."""
    words = {row["token"]: row["bytes"].decode() for row in run.table("vocabulary").to_pylist()}
    sequences = {row["sequence"]: row["tokens"] for row in run.table("sequences").to_pylist()}
    return {
        row["latent"]: [words[token] for token in sequences[row["sequence"]]]
        for row in run.table("examples", slug).to_pylist()
    }


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
def test_tokens_called_like_keys_are_tokens(separators: tuple[str, str], tmp_path: Path) -> None:
    features = [
        {**HEAD, "index": str(i), "maxActApprox": 2.0, "pos_str": [word], "pos_values": [1.0]}
        for i, word in enumerate(LIKE_KEYS)
    ]
    examples = [
        {**HEAD, "index": str(i), "tokens": ["a", word, "b"], "values": [0.0, 2.0, 0.0]}
        for i, word in enumerate(LIKE_KEYS)
    ]
    labels = [{**HEAD, "index": "1", "description": 'the word "tokens":'}]
    named = [
        write_lines(tmp_path / "features" / "batch-0.jsonl", features, separators),
        write_lines(tmp_path / "activations" / "batch-0.jsonl", examples, separators),
        write_lines(tmp_path / "labels.jsonl", labels, separators),
    ]
    import_files(named, tmp_path / "run")
    run = open_run(tmp_path / "run")
    (info,) = run.info.saes
    raised = run.table("logit_lens", info.slug).to_pylist()
    words = {row["token"]: row["bytes"].decode() for row in run.table("vocabulary").to_pylist()}
    assert [words[row["top_tokens"][0]] for row in raised] == LIKE_KEYS
    wanted = {i: ["a", word, "b"] for i, word in enumerate(LIKE_KEYS)}
    assert texts_of(run, info.slug) == wanted
    (label,) = run.table("explanations", info.slug).to_pylist()
    assert (label["latent"], label["text"]) == (1, 'the word "tokens":')


def rows_that_say_little(folder: Path) -> Path:
    """Latents without density, count or maximum, as some of Neuronpedia's rows come."""
    features = [
        {**HEAD, "index": "0", "maxActApprox": 3.0},
        {**HEAD, "index": "1"},
        {**HEAD, "index": "2", "maxActApprox": 0, "frac_nonzero": 0.01},
        {**HEAD, "index": "3"},
    ]
    example = {**HEAD, "tokens": ["a", "b", "c"], "values": [0.0, 2.5, 1.0]}
    examples = [{**example, "index": str(i)} for i in (0, 1, 2)]
    examples[2].update(binMin=0.5, binMax=1.5, binContains=0.1, qualifyingTokenIndex=2)
    write_lines(folder / "features" / "batch-0.jsonl", features, (",", ":"))
    write_lines(folder / "activations" / "batch-0.jsonl", examples, (",", ":"))
    return folder


def activity(run: Run) -> list[tuple[int, int, float, float]]:
    names = ("latent", "n_active", "density", "max")
    rows = run.table("activity", run.info.saes[0].slug).to_pylist()
    return [tuple(row[name] for name in names) for row in rows]


def test_a_maximum_that_is_not_given_is_that_of_the_examples(tmp_path: Path) -> None:
    """The largest value in them, even where it is not the one that an example was chosen for."""
    import_files([rows_that_say_little(tmp_path / "in")], tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert activity(run) == [(0, 0, 0.0, 3.0), (1, 0, 0.0, 2.5), (2, 0, 0.01, 2.5), (3, 0, 0, 0)]
    assert "activity.n_active" in run.info.saes[0].left_out


def test_a_count_that_is_given_is_not_said_to_be_left_out(tmp_path: Path) -> None:
    dead = {"feature_index": 0, "frac_nonzero": 0.0}
    write_batch(tmp_path / "in", {"model_id": "m", "features": [dead, rounded_away(1)]})
    import_files([tmp_path / "in"], tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert activity(run) == [(0, 0, 0.0, 0.0), (1, 6, 0.0, 2.5)]
    assert "activity.n_active" not in run.info.saes[0].left_out


def rounded_away(index: int) -> dict[str, Any]:
    """A latent so rare that SAEDashboard writes its density as 0."""
    one = {"bin_min": -1.0, "bin_max": 2.5, "bin_contains": -1.0, "tokens": ["a"], "values": [2.5]}
    return {
        "feature_index": index,
        "frac_nonzero": 0.0,
        "freq_hist_data_bar_values": [0.5, 1.5, 2.5],
        "freq_hist_data_bar_heights": [3, 2, 1],
        "activations": [{**one, "qualifying_token_index": 0}],
    }


@pytest.mark.parametrize("kind", ["saedashboard", "neuronpedia"])
def test_what_little_is_said_comes_back(kind: Any, tmp_path: Path) -> None:
    import_files([rows_that_say_little(tmp_path / "in")], tmp_path / "run")
    export_report(tmp_path / "run", tmp_path / "out", format=kind)
    import_files([tmp_path / "out"], tmp_path / "again")
    was, now = open_run(tmp_path / "run"), open_run(tmp_path / "again")
    assert activity(now) == activity(was)
    (slug,) = {run.info.saes[0].slug for run in (was, now)}
    assert now.table("examples", slug).equals(was.table("examples", slug))
