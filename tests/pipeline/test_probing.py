"""Sparse probing in a build: off unless asked for, refused before the long work, kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.config.build import make_config
from saereport.pipeline import build
from saereport.pipeline.fingerprint import config_record
from saereport.pipeline.parts import portable
from saereport.pipeline.preflight import check_everything
from saereport.pipeline.stages.probing import ProbingStage
from saereport.run import Run, open_run
from saereport.run.probing import probing_figures
from saereport.site import render
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress
from tests.pipeline.test_build import Told

Asked = Callable[..., dict[str, Any]]
QUIET = Progress(quiet=True)
TABLES = ("probing_scores", "probing_latents")


def written(folder: Path, n: int = 40, name: str = "texts.jsonl", **changes: Any) -> Path:
    """Texts of which those of the second label hold a word that the others never do."""
    rng = np.random.default_rng(0)
    path = folder / name
    with path.open("w") as stream:
        for i in range(n):
            words = rng.integers(3, 60, 8).tolist() + ([90] if i % 2 else [])
            text = " ".join(f"w{word}" for word in rng.permutation(words))
            stream.write(json.dumps({"text": text, "label": ["plain", "with"][i % 2]}) + "\n")
        for line in changes.get("more", ()):
            stream.write(json.dumps(line) + "\n")
    return path


def probing(**changes: Any) -> dict[str, Any]:
    return {"k": [1, 4], **changes}


def test_it_is_off_unless_asked_for(asked: Asked, tmp_path: Path) -> None:
    run = open_run(build.collect(asked(), tmp_path / "run", progress=QUIET))
    assert not run.has("probing_tasks")
    for sae in run.info.saes:
        assert not set(TABLES) & (set(sae.left_out) | set(run.names(sae.slug)))
    render(run.path, tmp_path / "report")
    assert not (tmp_path / "report" / "probing").exists()


def test_tables_and_pages_of_every_sae(asked: Asked, tmp_path: Path) -> None:
    more = [{"text": "w5 w6", "label": "with"}, {"text": "w5 w6", "label": "plain"}]
    more += [{"text": "w7 w8", "label": "with"}] * 3 + [{"text": "w9 " * 40, "label": "plain"}]
    path = written(tmp_path, 100, more=more)
    config = asked(probe=str(path), probing=probing(longest=12))
    run = open_run(build.collect(config, tmp_path / "run", progress=QUIET))
    run.verify()
    (task,) = run.table("probing_tasks").to_pylist()
    assert (task["task"], task["concept"], task["against"]) == ("texts", "with", "plain")
    assert (task["n_with"], task["n_without"]) == (51, 51)
    assert (task["n_duplicates"], task["n_conflicting"], task["n_cut"]) == (2, 2, 1)
    assert (task["n_held_out"], task["n_held_out_with"], task["longest"]) == (30, 15, 12)
    for slug in ("early", "late"):
        rows = run.table("probing_scores", slug).to_pylist()
        one = {(r["pooling"], r["probe"], r["k"]): r for r in rows if r["task"] == "texts"}
        assert {(p, k) for p, probe, k in one if probe == "latents"} == {
            (p, k) for p in ("mean", "max") for k in (1, 4)
        }
        # A word's embedding is there to be read: the activations tell it.
        assert one["mean", "activations", 0]["auc"] > 0.7
        figures = probing_figures(run, slug)
        assert figures["probing.accuracy"].value == one["mean", "latents", 4]["accuracy"]
        assert figures["probing.accuracy"].n_sequences == 30
        latents = run.table("probing_latents", slug).to_pylist()
        assert [r["rank"] for r in sorted(latents, key=lambda r: (r["pooling"], r["rank"]))] == [
            *range(1, 5),
            *range(1, 5),
        ]
        assert all(0 <= r["peak"] < len(r["example"]) for r in latents)
    render(run.path, tmp_path / "report")
    assert (tmp_path / "report" / "probing" / "of-late.html").is_file()


def test_a_text_is_cut_to_a_sequence_and_equal_texts_stay_one(asked: Asked, tmp_path: Path) -> None:
    long = [{"text": "w9 " * 40 + f"w{i}", "label": "plain"} for i in range(10, 15)]
    config = asked(probe=[written(tmp_path, more=long)], probing=probing())
    run = open_run(build.collect(config, tmp_path / "run", progress=QUIET))
    (task,) = run.table("probing_tasks").to_pylist()
    assert (task["longest"], task["n_cut"], task["n_duplicates"]) == (32, 5, 4)


def test_it_costs_no_other_stage_its_work_and_is_used_again(asked: Asked, tmp_path: Path) -> None:
    def collected(**changes: Any) -> tuple[Run, str]:
        told = Told()
        made = build.collect(asked(**changes), tmp_path / "run", progress=told)
        used = [line for line in told.lines if line.startswith("Taken from what was kept")]
        return open_run(made), "".join(used)

    path = str(written(tmp_path))
    collected()
    first, used = collected(probe=path, probing=probing())
    assert "evaluation" in used
    assert "probing" not in used
    # Which latents are shown is nothing to the probes.
    second, used = collected(probe=path, probing=probing(), latents="0-5")
    assert "probing" in used
    for slug in ("early", "late"):
        tables = [run.table("probing_latents", slug) for run in (first, second)]
        assert tables[0].equals(tables[1])


def test_what_is_in_the_file_is_part_of_the_identity(asked: Asked, tmp_path: Path) -> None:
    config, stage = make_config(asked(probe=str(written(tmp_path)))), ProbingStage()
    before = stage.inputs(config)
    assert stage.inputs(config) == before
    written(tmp_path, 41)
    assert stage.inputs(config) != before
    assert stage.inputs(make_config(asked())) == {}


def test_blinded_latents_show_no_text(asked: Asked, tmp_path: Path) -> None:
    config = asked(probe=str(written(tmp_path)), probing=probing(), saes=asked()["saes"][:1])
    run = open_run(build.collect(config, tmp_path / "run", progress=QUIET))
    latent = run.table("probing_latents", "early").to_pylist()[0]["latent"]
    blind = {**config, "latents": f"0-3,{latent}", "blind": [str(latent)]}
    run = open_run(build.collect(blind, tmp_path / "blind", progress=QUIET))
    rows = run.table("probing_latents", "early").to_pylist()
    assert rows
    assert latent not in {row["latent"] for row in rows}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"probe": "none.jsonl"}, "no file of labelled texts"),
        ({"probe": [["a.txt", "b.txt"]]}, "no file of labelled texts 'a.txt'"),
        ({"probe": ""}, "it names nothing"),
        ({"probe": [[]]}, "it names nothing"),
        ({"probing": {"k": [0]}}, "numbers of latents, from 1"),
        ({"probing": {"k": []}}, "numbers of latents, from 1"),
        ({"probing": {"pooling": "median"}}, "median"),
        ({"probing": {"held_out": 1}}, "less than 1"),
        ({"probing": {"lable": "x"}}, "Did you mean 'label'"),
    ],
)
def test_what_means_nothing_is_refused_before_torch_is_loaded(
    asked: Asked, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SaereportError) as caught:
        check_everything(make_config(asked(**changes)))
    assert said in str(caught.value)


def test_texts_that_are_too_few_once_cut_are_refused_before_the_text_is_read(
    asked: Asked, tmp_path: Path, passes: list[tuple[int, int]]
) -> None:
    path = written(tmp_path)
    config = asked(probe=str(path), probing=probing(longest=1))
    with pytest.raises(SaereportError) as caught:
        build.collect(config, tmp_path / "run", progress=QUIET)
    assert "0 different texts with the label 'with' are left once they are cut" in str(caught.value)
    assert passes == []


def test_two_tasks_of_one_name_are_refused(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = [str(written(tmp_path)), str(written(tmp_path / "other"))]
    with pytest.raises(SaereportError, match="Two files of labelled texts are called 'texts'"):
        check_everything(make_config(asked(probe=files)))


def test_of_many_texts_some_are_drawn_of_each_label(asked: Asked, tmp_path: Path) -> None:
    config = asked(probe=str(written(tmp_path, 60)), probing=probing(texts=40))
    run = open_run(build.collect(config, tmp_path / "run", progress=QUIET))
    (task,) = run.table("probing_tasks").to_pylist()
    assert (task["n_with"], task["n_without"], task["n_not_drawn"]) == (20, 20, 20)


def test_the_command_line_takes_files() -> None:
    from saereport.cli.settings import setting_options

    (option,) = [one for one in setting_options() if "--probe" in one.opts]
    assert option.multiple
    assert make_config({"probe": ["a.jsonl", "b.txt,c.txt"]}).probe == (
        Path("a.jsonl"),
        (Path("b.txt"), Path("c.txt")),
    )


def test_each_file_of_a_list_with_commas_is_a_path(asked: Asked, tmp_path: Path) -> None:
    """A renamed file is another label; and what is handed to workers is found from anywhere."""
    records = []
    for name in ("pos.txt", "good.txt"):
        given = f"{tmp_path / name},{tmp_path / 'neg.txt'}"
        config = make_config(asked(probe=given))
        records.append(config_record(config)["probe"])
        assert portable(config)["probe"] == [[str(tmp_path / name), str(tmp_path / "neg.txt")]]
    assert records == [[["pos.txt", "neg.txt"]], [["good.txt", "neg.txt"]]]
    (tmp_path / "a,b.jsonl").touch()
    assert make_config(asked(probe=str(tmp_path / "a,b.jsonl"))).probe == (tmp_path / "a,b.jsonl",)
