"""Prompts with answers: what is built in, and what a file may hold."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from saereport.evaluate import prompt_sets
from saereport.evaluate.prompt_sets import (
    BUILT_IN,
    AnsweredPrompt,
    asked_prompts,
    file_prompts,
)
from saereport.util.errors import SaereportError


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_prompts_are_a_few_dozen_each_once(name: str) -> None:
    prompts = list(BUILT_IN[name]())
    assert 30 <= len(prompts) <= 48
    assert len({prompt.text for prompt in prompts}) == len(prompts)
    assert {prompt.set for prompt in prompts} == {name}
    for prompt in prompts:
        assert prompt.answer != prompt.wrong
        assert prompt.answer.strip()
        assert prompt.wrong.strip()
        assert not prompt.text.endswith(" ")
    assert prompts == list(BUILT_IN[name]())


def test_indirect_objects_name_who_is_not_named_twice() -> None:
    for prompt in BUILT_IN["indirect_objects"]():
        said = Counter(prompt.text.replace(",", "").split())
        assert (said[prompt.answer.strip()], said[prompt.wrong.strip()]) == (1, 2)
    # Who comes first says nothing.
    firsts = [p.text.split()[1] == p.answer.strip() for p in BUILT_IN["indirect_objects"]()]
    assert sum(firsts) == len(firsts) / 2


def test_induction_goes_on_as_before() -> None:
    for prompt in BUILT_IN["induction"]():
        words = prompt.text.split()
        period = words.index(words[0], 1)
        assert period == len(set(words))
        assert all(words[i] == words[i - period] for i in range(period, len(words)))
        assert prompt.answer == f" {words[len(words) - period]}"
        assert prompt.wrong.strip() in words
        # Not so soon that the beginning alone could tell.
        assert len(words) >= 2 * period + 2


def test_verbs_agree_with_the_subject_and_not_with_the_noun_before_them() -> None:
    for prompt in BUILT_IN["agreement"]():
        _, subject, _, _, other = prompt.text.split()
        assert prompt.answer == (" are" if subject.endswith("s") else " is")
        assert other.endswith("s") != subject.endswith("s")


def test_what_ended_ended_after_it_began() -> None:
    for prompt in BUILT_IN["greater_than"]():
        begun = int(prompt.text.split("the year ")[1].split()[0])
        century = prompt.text[-2:]
        wrong, right = (int(century + year) for year in (prompt.wrong, prompt.answer))
        assert wrong < begun < right
        # Where digits are tokens, the first of them tells.
        assert prompt.wrong[0] != prompt.answer[0]
        assert prompt.text.split("the year ")[1][:2] == century


def test_sets_come_in_their_order_each_once(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"prompt": "2 + 2 =", "answer": "4"}\n')
    names = [p.set for p in asked_prompts(["induction", "capitals", "induction"], path)]
    assert list(dict.fromkeys(names)) == ["capitals", "induction", "own"]
    assert Counter(names) == {"capitals": 32, "induction": 36, "own": 1}
    assert {p.set for p in asked_prompts(["all"], None)} == BUILT_IN.keys()
    assert asked_prompts([], None) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("capitols", "Did you mean 'capitals'?"), ("zzzz", "There are indirect_objects, capitals")],
)
def test_an_unknown_set_is_refused(name: str, said: str) -> None:
    with pytest.raises(SaereportError, match=f"no set of prompts '{name}'") as caught:
        asked_prompts(["capitals", name], None)
    assert said in str(caught.value)


# ---- a user's file


def test_a_file_is_read_as_it_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    lines = [
        {"prompt": "2 + 2 =", "answer": "4", "wrong": "5", "set": "sums"},
        {"prompt": "In the city of ", "answer": "Paris"},
        {"prompt": "3 + 4 =", "answer": " 7 ", "set": "sums"},
    ]
    path.write_bytes(b"\xef\xbb\xbf" + "\n\n".join(map(json.dumps, lines)).encode())
    expected = [
        AnsweredPrompt("sums", "2 + 2 =", " 4", " 5", "own.jsonl, line 1"),
        AnsweredPrompt("sums", "3 + 4 =", " 7", "", "own.jsonl, line 5"),
        AnsweredPrompt("own", "In the city of ", "Paris", "", "own.jsonl, line 3"),
    ]
    assert file_prompts(path) == expected


GOOD = '{"prompt": "a", "answer": "b"}\n'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "a"}', "no 'answer'"),
        ('{"answer": "a"}', "no 'prompt'"),
        ('{"prompt": "a", "answer": "  "}', "'answer' is empty"),
        ('{"prompt": "", "answer": "b"}', "'prompt' is empty"),
        ('{"prompt": "a", "answer": "b", "wrong": ""}', "'wrong' is empty"),
        ('{"prompt": "a", "answer": 4}', "'answer' is 4, which is no text"),
        ('{"prompt": "a", "answer": null}', "'answer' is None, which is no text"),
        ('{"prompt": "a", "answr": "b"}', "'answr' is nothing that a prompt has. Did you mean"),
        ('{"prompt": "a", "answer": "b", "set": "capitals"}', "the name of what is built in"),
        ('{"prompt": "a", "answer": "b", "set": "all"}', "the name of what is built in"),
        ('{"prompt": "a", "answer": "b", "set": "<b>"}', "a set cannot be called '<b>'"),
        ('{"prompt": "a", "answer": "b", "set": "x\\u202e"}', "a set cannot be called"),
        ('{"prompt": "a", "answer": "\\ud800"}', "'answer' holds half a character"),
        ('["a", "b"]', "not an object with a prompt and an answer"),
        ("a => b", "not JSON"),
        ("[" * 50, "nested more than 4 deep"),
        ('{"prompt": "%s", "answer": "b"}' % ("x" * 40_000), "'prompt' has 40,000 characters"),
    ],
)
def test_each_mistake_is_one_line_that_names_where_it_is(
    tmp_path: Path, line: str, said: str
) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(GOOD + line + "\n")
    with pytest.raises(SaereportError) as caught:
        file_prompts(path)
    assert str(caught.value).startswith("own.jsonl, line 2: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\u202e" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n \n")
    for path, said in (
        (tmp_path / "none.jsonl", "There is no file of prompts"),
        (empty, "is empty"),
        (tmp_path, "cannot be read: Is a directory"),
    ):
        with pytest.raises(SaereportError, match=said):
            file_prompts(path)
    binary = tmp_path / "binary.jsonl"
    binary.write_bytes(b'{"prompt": "\xff", "answer": "b"}\n')
    with pytest.raises(SaereportError, match="line 1: not UTF-8"):
        file_prompts(binary)
    bomb = tmp_path / "bomb.jsonl"
    bomb.write_bytes(gzip.compress(b" " * 100_000_000))
    with pytest.raises(SaereportError):
        file_prompts(bomb)
    monkeypatch.setattr(prompt_sets, "PROMPTS_OF_A_FILE", 2)
    many = tmp_path / "many.jsonl"
    many.write_text(GOOD * 3)
    with pytest.raises(SaereportError, match="more than 2 prompts"):
        file_prompts(many)
