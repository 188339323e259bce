"""Capability tests in a build: off unless asked for, refused before the long work, kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.config.build import make_config
from saereport.evaluate.capability import Question
from saereport.evaluate.prompt_sets import AnsweredPrompt
from saereport.pipeline import build
from saereport.pipeline.capability import question
from saereport.pipeline.preflight import check_everything
from saereport.pipeline.stages.capability import CapabilityStage
from saereport.run import Run, open_run
from saereport.run.capability import capability_figures, scores_of, sets_in_order
from saereport.site import render
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress
from tests.factories import BOS, byte_tokenizer, tiny_model
from tests.pipeline.test_build import Told

Asked = Callable[..., dict[str, Any]]
QUIET = Progress(quiet=True)
TABLES = ("capability_prompts", "capability_sets")


def written(folder: Path, *lines: dict[str, str]) -> Path:
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def own(folder: Path) -> Path:
    """Twelve prompts with a wrong answer, and two of another set with none."""
    lines = [
        {"prompt": f"w{i} w{i + 1} w{i}", "answer": f"w{i + 1}", "wrong": f"w{i + 2}"}
        for i in range(10, 22)
    ]
    lines += [{"prompt": f"w{i} w9", "answer": "w30 w31", "set": "two words"} for i in (5, 6)]
    return written(folder, *lines)


def test_it_is_off_unless_asked_for(asked: Asked, tmp_path: Path) -> None:
    run = open_run(build.collect(asked(), tmp_path / "run", progress=QUIET))
    for sae in run.info.saes:
        assert not any(run.has(table, sae.slug) for table in TABLES)
        assert not set(TABLES) & set(sae.left_out)
    render(run.path, tmp_path / "report")
    assert not (tmp_path / "report" / "capability").exists()
    assert "Capability" not in (tmp_path / "report" / "index.html").read_text("utf-8")


def test_tables_and_pages_of_every_sae(asked: Asked, tmp_path: Path) -> None:
    config = asked(capability_file=str(own(tmp_path)))
    run = open_run(build.collect(config, tmp_path / "run", progress=QUIET))
    run.verify()
    for slug in ("early", "late"):
        rows = run.table("capability_prompts", slug).to_pylist()
        assert len(rows) == 14 * 3
        assert sets_in_order(run, slug) == ["own", "two words"]
        assert rows[0]["tokens"] == [BOS, 10, 11, 10]
        assert (rows[0]["answer"], rows[0]["wrong"], rows[0]["note"]) == (11, 12, "")
        assert (rows[-1]["answer"], rows[-1]["wrong"], rows[-1]["difference"]) == (30, -1, [])
        assert rows[-1]["note"].startswith("The answer ' w30 w31' has 2 tokens; its first, 'w30'")
        scores = scores_of(run, slug)
        mean = np.mean(
            [r["difference"][0] for r in rows if r["run"] == "spliced" and r["difference"]]
        )
        found = scores["own", "spliced", "logit_difference"]
        assert found.value == pytest.approx(mean, rel=1e-5)
        assert found.interval is not None
        assert found.interval[0] < found.value < found.interval[1]
        assert scores["two words", "zero", "accuracy"].interval is None
        assert capability_figures(run, slug)["capability.logit_difference"] == found
    early, late = (run.table("capability_prompts", slug).to_pylist() for slug in ("early", "late"))
    true = [[r for r in rows if r["run"] == "original"] for rows in (early, late)]
    assert true[0] == true[1]
    render(run.path, tmp_path / "report")
    assert (tmp_path / "report" / "capability" / "of-late.html").is_file()


def test_it_costs_no_other_stage_its_work_and_is_used_again(asked: Asked, tmp_path: Path) -> None:
    def collected(**changes: Any) -> tuple[Run, str]:
        told = Told()
        made = build.collect(asked(**changes), tmp_path / "run", progress=told)
        used = [line for line in told.lines if line.startswith("Taken from what was kept")]
        return open_run(made), "".join(used)

    file = str(own(tmp_path))
    collected()
    with_tests, used = collected(capability_file=file)
    assert "evaluation" in used
    assert "weights" in used
    assert "capability" not in used
    # Which latents are shown is nothing to the tests.
    other, used = collected(capability_file=file, latents="0-5")
    assert "capability" in used
    for slug in ("early", "late"):
        tables = [run.table("capability_sets", slug) for run in (with_tests, other)]
        assert tables[0].equals(tables[1])


def test_what_is_in_the_file_is_part_of_the_identity(asked: Asked, tmp_path: Path) -> None:
    config, stage = make_config(asked(capability_file=str(own(tmp_path)))), CapabilityStage()
    before = stage.inputs(config)
    assert stage.inputs(config) == before
    written(tmp_path, {"prompt": "w5", "answer": "w6"})
    assert stage.inputs(config) != before


def test_built_in_prompts_that_the_tokeniser_cannot_put_are_left_out_with_a_warning(
    asked: Asked, tmp_path: Path
) -> None:
    config = asked(capability=["capitals"])
    run = open_run(build.collect(config, tmp_path / "run", progress=QUIET))
    (said,) = [w.text for w in run.info.warnings if "capability" in w.text]
    assert said.startswith("Of the capability test 'capitals' 32 of 32 prompts are left out")
    assert "no token for the answer 'Paris'" in said
    for sae in run.info.saes:
        assert sae.left_out["capability_sets"] == "the model cannot be asked these prompts"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"capability": ["capitols"]}, "Did you mean 'capitals'?"),
        ({"capability": "induction, capitols"}, "no set of prompts 'capitols'"),
        ({"capability_file": "none.jsonl"}, "no file of prompts"),
    ],
)
def test_what_means_nothing_is_refused_before_torch_is_loaded(
    asked: Asked, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SaereportError) as caught:
        check_everything(make_config(asked(**changes)))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"prompt": "w5 " * 80, "answer": "w6"}, "81 tokens, and the model's context holds 64"),
        ({"prompt": "w5", "answer": "stranger"}, "no token for the answer 'stranger'"),
        ({"prompt": "w5", "answer": "w6", "wrong": "other"}, "no token for the answer 'other'"),
        ({"prompt": "<eos>", "answer": "w6"}, "no token that counts"),
        ({"prompt": "w5", "answer": "<eos>"}, "no token for the answer '<eos>'"),
    ],
)
def test_a_prompt_that_cannot_be_put_is_refused_before_the_text_is_read(
    asked: Asked,
    tmp_path: Path,
    passes: list[tuple[int, int]],
    line: dict[str, str],
    said: str,
) -> None:
    path = written(tmp_path, {"prompt": "w5", "answer": "w6"}, line)
    with pytest.raises(SaereportError) as caught:
        build.collect(asked(capability_file=str(path)), tmp_path / "run", progress=QUIET)
    assert str(caught.value).startswith("own.jsonl, line 2: ")
    assert said in str(caught.value)
    assert passes == []


@pytest.mark.parametrize(("include", "counted"), [(False, (False, True)), (True, (True, True))])
def test_bos_keeps_its_activation_unless_it_counts(
    include: bool, counted: tuple[bool, ...]
) -> None:
    prompt = AnsweredPrompt("own", "w5", " w6 w7", " w6")
    made = question(prompt, tiny_model(), (BOS,), include_special=include)
    assert isinstance(made, Question)
    assert (made.tokens, made.counted, made.answer, made.wrong) == ((BOS, 5), counted, 6, -1)
    assert "has 2 tokens; its first, 'w6' (6), is followed." in made.note
    assert made.note.endswith("answer ' w6' begins with the same token, so it is left out.")


def test_a_space_that_is_a_token_is_not_the_answer() -> None:
    model, tokenizer = tiny_model(d_vocab=300), byte_tokenizer()
    model.tokenizer = tokenizer
    ids = tokenizer("a: 45", add_special_tokens=False)["input_ids"]
    made = question(AnsweredPrompt("own", "a:", " 4", " 5"), model, (), include_special=False)
    assert isinstance(made, Question)
    assert (made.tokens, made.answer, made.wrong) == (tuple(ids[:3]), ids[3], ids[4])
    assert made.note == "The space before the answer is a token here, and belongs to the prompt."
    same = question(AnsweredPrompt("own", "a: ", "4", "5"), model, (), include_special=False)
    assert isinstance(same, Question)
    assert (same.tokens, same.answer, same.note) == (made.tokens, made.answer, "")


@pytest.mark.parametrize("given", ["", [""], ","])
def test_a_set_without_a_name_is_refused(asked: Asked, given: Any) -> None:
    with pytest.raises(SaereportError, match="'capability' in the configuration cannot be"):
        make_config(asked(capability=given))


def test_sets_are_a_list_or_words() -> None:
    for given in ("capitals, induction", ["capitals", "induction"], ["capitals induction"]):
        assert make_config({"capability": given}).capability == ("capitals", "induction")
    assert make_config({"capability": []}).capability == ()
