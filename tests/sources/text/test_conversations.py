"""Conversations: how they are read, and how a chat template writes them out."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.config.steering import SteeringConfig
from saereport.pipeline.steering_texts import Writer
from saereport.sources.text.opening import open_text
from saereport.sources.text.packing import Portion, Rules, pack
from saereport.sources.text.templates import DATE, ends_of_turn, written_out
from saereport.sources.text.text import Text
from saereport.sources.tokens import special_ids
from saereport.util.errors import SaereportError
from tests.factories import BOS, CHAT_TEMPLATE, END, EOS, TURN, chat_tokenizer, word_tokenizer

TOKENIZER = chat_tokenizer()

TALKS = [
    [{"role": "user", "content": "w9 w10"}, {"role": "assistant", "content": "w11"}],
    [{"role": "system", "content": "w20"}, {"role": "user", "content": "w21 <|end|> w22"}],
]
SHAREGPT = [
    [{"from": "human", "value": "w9 w10"}, {"from": "gpt", "value": "w11"}],
    [{"from": "system", "value": "w20"}, {"from": "human", "value": "w21 <|end|> w22"}],
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def by_columns(talk: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """As older versions of the datasets library store a list of messages."""
    return {key: [message[key] for message in talk] for key in talk[0]}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("messages", TALKS),
        ("conversation", TALKS),
        ("conversations", SHAREGPT),
        ("conversations", [by_columns(talk) for talk in SHAREGPT]),
        ("messages", [[{**m, "name": None, "tool_calls": None} for m in talk] for talk in TALKS]),
    ],
)
def test_both_spellings_are_the_same(
    tmp_path: Path, suffix: str, column: str, values: list[Any]
) -> None:
    rows = [{"id": "x", column: value} for value in [*values, None, []]]
    if isinstance(values[0], dict):
        rows.pop()
    text = open_text(write(tmp_path / f"a{suffix}", rows))
    assert text.kind == "chat"
    assert list(text.documents())[:3] == [*TALKS, []]
    assert text.provenance["column"] == column


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([{"role": "user"}], "a.jsonl:2: the column 'messages': message 1 holds as its content no"),
        ([{"role": "user", "content": None}], "message 1 holds as its content nothing"),
        ([{"role": "user", "content": [{"type": "image"}]}], "as its content list, and only text"),
        ([{"content": "x"}], "message 1 has neither a 'role' nor a 'from'; it has content."),
        ([{"role": "user", "content": "x"}, "y"], "message 2 is no message, but str"),
        ([{"role": None, "content": "x"}], "message 1 has no role"),
        ([{"from": "alien", "value": "x"}], "message 1 is from 'alien', which is no role that"),
        (["a", "b"], "the column 'messages' holds no list of messages, but a list of str"),
        ({"role": "user"}, "the column 'messages' holds no list of messages, but dict"),
        ({"role": ["user"], "content": []}, "has lists of 0 and 1 values, which make no messages"),
        ("hello", "the column 'messages' holds text here and conversations elsewhere"),
        ([1, 2], "the column 'messages' holds token ids here and conversations elsewhere"),
    ],
)
def test_what_is_no_list_of_messages(tmp_path: Path, value: Any, said: str) -> None:
    path = write(tmp_path / "a.jsonl", [{"messages": TALKS[0]}, {"messages": value}])
    with pytest.raises(SaereportError) as caught:
        open_text(path).read_ahead(1000)
    assert said in str(caught.value)


def test_a_call_of_a_tool_has_no_content(tmp_path: Path) -> None:
    calls = [{"type": "function", "function": {"name": "f", "arguments": {}}}]
    talk = [{"role": "assistant", "content": None, "tool_calls": calls}]
    [found] = open_text(write(tmp_path / "a.jsonl", [{"messages": talk}])).documents()
    assert found == [{"role": "assistant", "tool_calls": calls}]


def test_text_beside_conversations_is_not_taken_for_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"messages": "a text"}])
    with pytest.raises(SaereportError, match="holds text in place of conversations"):
        open_text(path)
    assert list(open_text(path, column="messages").documents()) == ["a text"]


# Templates.


def opened(path: Path, talks: list[Any]) -> Text:
    return open_text(write(path / "a.jsonl", [{"messages": talk} for talk in talks]))


WORDS = st.lists(st.sampled_from([f"w{n}" for n in range(9, 60)] + ["<|turn|>", "<eos>"]))
SPEECH = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "content": WORDS.map(" ".join)}
)


@given(st.lists(st.lists(SPEECH, min_size=1, max_size=4), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_tokens_are_those_of_the_library(
    tmp_path_factory: pytest.TempPathFactory, talks: list[Any]
) -> None:
    """And sequences those that SAELens makes of them in training (`use_chat_formatting`)."""
    from sae_lens.tokenization_and_batching import (
        concat_and_batch_sequences,
        tokenize_with_chat_template,
    )

    text = written_out(opened(tmp_path_factory.mktemp("chat"), talks), TOKENIZER, "tiny")
    plain = TOKENIZER(list(text.documents()), add_special_tokens=False)["input_ids"]
    expected = [
        TOKENIZER.apply_chat_template(talk, tokenize=True, return_dict=False) for talk in talks
    ]
    assert plain == expected
    theirs = concat_and_batch_sequences(
        iter([tokenize_with_chat_template(talk, TOKENIZER) for talk in talks]),
        8,
        begin_batch_token_id=BOS,
        sequence_separator_token_id=BOS,
    )
    special = special_ids(TOKENIZER)
    assert special == {BOS, EOS, TURN, 3}
    rules = Rules(8, prepend_bos=True, bos_id=BOS, special_ids=special)
    packed = list(pack(text.documents(), TOKENIZER, rules, Portion()))
    tokens = np.concatenate([batch.tokens for batch in packed])
    rows = [row.tolist() for row in theirs]
    if rows:  # only then is the incomplete sequence left out
        assert tokens.tolist() == rows
        counted = np.concatenate([batch.counted for batch in packed])
        assert (counted == ~np.isin(tokens, list(special))).all()


def test_which_template_was_applied_is_known(tmp_path: Path) -> None:
    text = written_out(opened(tmp_path, [*TALKS, None]), TOKENIZER, "tiny")
    assert list(text.documents()) == [
        "<bos><|turn|> user w9 w10 <|end|>\n<|turn|> assistant w11 <|end|>\n",
        "<bos><|turn|> system w20 <|end|>\n<|turn|> user w21 <|end|> w22 <|end|>\n",
        "",
    ]
    digest = hashlib.sha256(CHAT_TEMPLATE.encode()).hexdigest()
    assert text.provenance["chat_template"] == {"sha256": digest}
    assert (text.kind, text.place(1)) == ("text", "a.jsonl:2")


def test_templates_that_write_the_date_always_write_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.utils import chat_template_utils

    dated = (
        "  {%- if strftime_now is defined %}{% set d = strftime_now('%d %b %Y') %}{% endif %}"
        "\n{{ d }} {% for m in messages %}{% if loop.first %}{{ strftime_now('%Y-%m-%d %A') }}"
        "{% endif %} {{ m.content }}\n{% endfor %}"
    )
    tokenizer = chat_tokenizer(dated)
    text = written_out(opened(tmp_path, TALKS), tokenizer, "tiny")

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.fromisoformat(DATE)

    found = list(text.documents())
    monkeypatch.setattr(chat_template_utils, "datetime", Then)
    assert found == [tokenizer.apply_chat_template(talk, tokenize=False) for talk in TALKS]
    assert "26 Jul 2024" in found[0]
    digest = hashlib.sha256(dated.encode()).hexdigest()
    assert text.provenance["chat_template"] == {"sha256": digest, "date": DATE}


def test_tokenisers_without_a_template(tmp_path: Path) -> None:
    text = opened(tmp_path, TALKS)
    for tokenizer in (word_tokenizer(), chat_tokenizer(None), object(), None):
        with pytest.raises(SaereportError, match=r"a.jsonl holds conversations, and the tokeniser"):
            written_out(text, tokenizer, "tiny")
    several = chat_tokenizer()
    several.chat_template = {"rag": CHAT_TEMPLATE, "tools": CHAT_TEMPLATE}
    with pytest.raises(SaereportError, match="none of which is the default"):
        written_out(text, several, "tiny")
    several.chat_template["default"] = CHAT_TEMPLATE
    assert "chat_template" in written_out(text, several, "tiny").provenance


def test_a_conversation_that_the_template_refuses(tmp_path: Path) -> None:
    wrong = [*TALKS[0], {"role": "system", "content": "w9"}]
    text = written_out(opened(tmp_path, [TALKS[0], wrong]), TOKENIZER, "tiny")
    with pytest.raises(SaereportError) as caught:
        list(text.documents())
    assert "a.jsonl:2: the model's chat template cannot write" in str(caught.value)
    assert "The system speaks first" in str(caught.value)
    broken = written_out(opened(tmp_path, TALKS), chat_tokenizer("{% for %}"), "tiny")
    with pytest.raises(SaereportError, match=r"a.jsonl:1: the model's chat template cannot write"):
        list(broken.documents())


def test_templates_run_no_code(tmp_path: Path) -> None:
    """Of the sandbox that the library renders in: a template reaches no file."""
    for expression in ("''.__class__.__mro__", "cycler.__init__.__globals__.os.getcwd()"):
        hostile = chat_tokenizer("{{ " + expression + " }}")
        with pytest.raises(
            SaereportError, match=r"cannot write this conversation out: .*[^.]\. Take"
        ):
            list(written_out(opened(tmp_path, TALKS), hostile, "tiny").documents())


def test_an_empty_conversation_stored_by_columns_is_an_empty_row(tmp_path: Path) -> None:
    rows = [{"messages": by_columns(TALKS[0])}, {"messages": {"role": [], "content": []}}]
    text = open_text(write(tmp_path / "a.jsonl", rows))
    assert [list(one) for one in text.documents()] == [TALKS[0], []]


def test_a_turn_ends_at_its_own_token() -> None:
    tokenizer = chat_tokenizer()
    assert tokenizer.eos_token_id == EOS
    assert ends_of_turn(tokenizer) == {END}
    # A word is no mark of anything, and nor is nothing.
    for behind in ("w9", ""):
        template = CHAT_TEMPLATE.replace("<|end|>", behind)
        assert ends_of_turn(chat_tokenizer(template)) == frozenset()
    refused = "{{ raise_exception('No') }}"
    assert ends_of_turn(chat_tokenizer(refused)) == frozenset()


def test_steered_turns_end_where_a_turn_does() -> None:
    def writer(*, chat: bool) -> Writer:
        config = SimpleNamespace(steering=SteeringConfig(chat=chat), seed=0)
        model = SimpleNamespace(tokenizer=chat_tokenizer(), d_vocab=100)
        return Writer(SimpleNamespace(config=config, model=model), [])  # type: ignore[arg-type]

    assert writer(chat=True).sampling.stop == {EOS, END}
    assert writer(chat=False).sampling.stop == {EOS}
