"""Texts from files and datasets, and how they are packed."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.config.build import BuildConfig
from saereport.pipeline.text import text_of
from saereport.pipeline.warned import Warned
from saereport.sources.text.documents import TokenIds
from saereport.sources.text.hub import open_dataset, training_text
from saereport.sources.text.opening import open_text
from saereport.sources.text.packing import Portion, Rules, pack, separator_id
from saereport.sources.text.tally import Tally
from saereport.util.errors import SaereportError, UsageError
from tests.factories import BOS, EOS, word_tokenizer

TOKENIZER = word_tokenizer()


def words(*ids):
    return " ".join(f"w{i}" for i in ids)


def pack_with(documents, tokenizer, **options):
    """`pack`, with the fields of `Rules` and `Portion` by name."""
    kinds = {field.name for field in fields(Portion)}
    portion = Portion(**{name: options.pop(name) for name in kinds & set(options)})
    others = {name: options.pop(name) for name in {"tally", "place"} & set(options)}
    return pack(documents, tokenizer, Rules(**options), portion, **others)


def packed(documents, **options):
    settings = {
        "context_size": 8,
        "prepend_bos": True,
        "bos_id": BOS,
        "special_ids": {BOS, EOS},
        "batch": 3,
    }
    return list(pack_with(documents, TOKENIZER, **{**settings, **options}))


def joined(batches, field="tokens"):
    return np.concatenate([getattr(batch, field) for batch in batches])


# Packing.

documents_strategy = st.lists(st.lists(st.integers(2, 99), max_size=20), min_size=1, max_size=12)


@given(
    documents_strategy,
    st.integers(2, 9),
    st.booleans(),
    st.sampled_from(["bos", "eos", None, 17]),
)
@settings(max_examples=60, deadline=None)
def test_packs_as_saelens_does(documents, context_size, prepend_bos, separator):
    from sae_lens.tokenization_and_batching import concat_and_batch_sequences

    expected = [
        row.numpy()
        for row in concat_and_batch_sequences(
            iter([torch.tensor(d, dtype=torch.long) for d in documents]),
            context_size,
            begin_batch_token_id=BOS if prepend_bos else None,
            sequence_separator_token_id={"bos": BOS, "eos": EOS}.get(separator, separator),
        )
    ]
    texts = [words(*d) for d in documents]
    options = {
        "context_size": context_size,
        "prepend_bos": prepend_bos,
        "separator": separator,
    }
    if not expected:  # only then is the incomplete sequence kept
        if any(documents):
            [only] = packed(texts, **options)
            assert len(only) == 1
        return
    got = packed(texts, **options)
    assert np.array_equal(joined(got), np.stack(expected))
    # Every token comes from the document that it says it does.
    content = {(number, token) for number, document in enumerate(documents) for token in document}
    inserted = {BOS, EOS, 17}
    for tokens, origins in zip(joined(got), joined(got, "documents"), strict=True):
        assert list(origins) == sorted(origins)
        for token, origin in zip(tokens, origins, strict=True):
            assert token in inserted or (origin, token) in content


def test_layout_of_a_small_example():
    [batch] = packed([words(2, 3, 4), "", words(5, 6, 7, 8, 9, 10, 11, 12, 13)], batch=9)
    assert batch.first == 0
    assert batch.tokens.tolist() == [[BOS, 2, 3, 4, BOS, 5, 6, 7]]
    assert batch.documents.tolist() == [[0, 0, 0, 0, 2, 2, 2, 2]]
    assert batch.counted.tolist() == [[False, True, True, True, False, True, True, True]]
    assert (batch.tokens.dtype, batch.counted.dtype, batch.documents.dtype) == (
        np.int32,
        np.bool_,
        np.int32,
    )


def test_special_tokens_in_the_text_do_not_count():
    [batch] = packed(["w2 <eos> w3 w4 w5 w6 w7"])
    assert batch.tokens.tolist() == [[BOS, 2, EOS, 3, 4, 5, 6, 7]]
    assert batch.counted.tolist() == [[False, True, False, True, True, True, True, True]]
    [batch] = packed(["w2 <eos> w3 w4 w5 w6 w7"], include_special=True)
    assert batch.counted.all()


def test_a_separator_that_is_no_special_token_does_not_count_either():
    [batch] = packed([words(2, 3), words(17, 4), words(5, 6, 7)], separator=17)
    assert batch.tokens.tolist() == [[BOS, 2, 3, 17, 4, 17, 5, 6]]
    # The 17 that the second document itself begins with is text.
    assert batch.counted.tolist() == [[False, True, True, True, True, False, True, True]]


def test_incomplete_last_sequence_is_dropped():
    text = words(*range(2, 2 + 7 + 5))
    [batch] = packed([text])
    assert len(batch) == 1


def test_only_sequence_is_padded():
    [batch] = packed([words(2, 3)])
    assert batch.tokens.tolist() == [[BOS, 2, 3, BOS, BOS, BOS, BOS, BOS]]
    assert batch.counted.tolist() == [[False, True, True] + [False] * 5]
    assert batch.documents.tolist() == [[0] * 8]
    [batch] = packed([words(2, 3)], include_special=True)
    assert batch.counted.tolist() == [[True] * 3 + [False] * 5]


@given(documents_strategy, st.integers(0, 12), st.integers(1, 5), st.integers(1, 60))
@settings(max_examples=50, deadline=None)
def test_skip_batch_and_limit_only_cut(documents, skip, batch, limit):
    texts = [words(*d) for d in documents]
    try:
        whole = packed(texts, limit_tokens=limit)
    except SaereportError:
        return
    assert sum(map(len, whole)) <= math.ceil(limit / 8)
    rest = packed(texts, limit_tokens=limit, skip=skip, batch=batch)
    assert all(len(part) <= batch for part in rest)
    numbers = [part.first + i for part in rest for i in range(len(part))]
    assert numbers == list(range(skip, sum(map(len, whole))))
    for field in ("tokens", "counted", "documents"):
        if rest:
            assert np.array_equal(joined(rest, field), joined(whole, field)[skip:])


def test_parts_of_a_batch():
    [batch] = packed([words(*range(2, 40))], batch=99)
    part = batch.part(1, 3)
    assert (part.first, len(part)) == (1, 2)
    assert np.array_equal(part.tokens, batch.tokens[1:3])


def test_grouping_of_documents_does_not_matter(monkeypatch):
    from saereport.sources.text import packing

    documents = [words(*range(2, 2 + n % 23)) for n in range(40)]
    together = joined(packed(documents))
    monkeypatch.setattr(packing, "_CHARACTERS", 1)
    assert np.array_equal(joined(packed(documents)), together)


@pytest.fixture(scope="module")
def byte_pairs():
    """Byte pairs like GPT-2's, and ones that do not stop at the ends of words, like Llama's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = []
    text = ["the lower lowest newer wide – über 東京 ééé 12345 1999 \n  \n\n new" * 3] * 20
    for regex in (True, False):
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        known = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
        backend.train_from_iterator(text if regex else text[0].split(), known)
        made.append(type("Fast", (), {"backend_tokenizer": backend, "bos_token_id": 0})())
    return made


PIECES = ["lower", "lowest", "e\u0301", "über", "東京東京", "😀👩‍👩‍👧", "12345", "\ud83d", "a" * 40]


@given(
    st.lists(
        st.tuples(st.sampled_from(PIECES), st.sampled_from(["", " ", "\n", "  \n "])), min_size=3
    ),
    st.integers(1, 40),
    st.integers(200, 260),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_of_a_long_document_only_a_beginning_is_tokenised(byte_pairs, parts, limit, cut, use_regex):
    """Wherever the beginning is cut, the tokens are those of the whole document."""
    from saereport.sources.text import packing

    document = "".join(piece + space for piece, space in parts) + " end "
    document *= 6000 // len(document) + 1
    fast = byte_pairs[use_regex]
    options = {"context_size": 8, "prepend_bos": True, "bos_id": 0, "special_ids": {0}}
    options |= {"limit_tokens": limit * 8, "batch": 3}
    documents = ["lower wide", document, "new"]
    whole, part = Tally(), Tally()
    expected = list(pack_with(documents, fast, **options, tally=whole))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_CHARACTERS", cut)
        patch.setattr(packing, "_MARGIN", 64)
        found = list(pack_with(documents, fast, **options, tally=part))
        later = list(pack_with(documents, fast, **options, skip=limit // 2))
    for name in ("tokens", "counted", "documents"):
        assert np.array_equal(joined(found, name), joined(expected, name))
    assert np.array_equal(joined(later), joined(expected)[limit // 2 :])
    assert part.documents == whole.documents
    assert part.tokens <= whole.tokens
    assert part.partly == (part.tokens < whole.tokens)


def counting(tokenizer):
    """A tokeniser, and how many characters it was given."""
    seen = []

    class Counting:
        bos_token_id = BOS

        def __call__(self, texts, **options):
            seen.extend(map(len, texts))
            return tokenizer(texts, **options)

    return Counting(), seen


def test_no_more_is_tokenised_than_the_limit_needs():
    options = {"context_size": 8, "prepend_bos": True, "bos_id": BOS, "special_ids": {BOS}}
    long = "w5 w6 w7 " * 200_000
    for documents in ([long], ["w8 w9", long], ["w5 w6 w7 " * 50] * 4000):
        tokenizer, seen = counting(TOKENIZER)
        tally = Tally()
        [*_] = pack_with(documents, tokenizer, **options, limit_tokens=256, tally=tally)
        assert sum(seen) < 300_000
        assert tally.partly == (long in documents)
    tally = Tally()
    batches = list(
        pack_with([long, "w5"], TOKENIZER, **options, limit_tokens=16, joined=False, tally=tally)
    )
    assert joined(batches).tolist()[1][:2] == [BOS, 5]
    assert "cut, as SAELens does: at least " in tally.remarks(8, 64)[0].text
    assert "reads them further" in tally.remarks(8, 64)[0].text
    assert "of at least " in tally.summary(8)


def test_a_long_document_without_ends_of_words_is_tokenised_whole(byte_pairs):
    tally = Tally()
    options = {"context_size": 8, "prepend_bos": True, "bos_id": 0, "special_ids": {0}}
    [*_] = pack_with(["ab" * 200_000], byte_pairs[1], **options, limit_tokens=64, tally=tally)
    assert (tally.partly, tally.documents) == (0, 1)


def test_token_ids_are_taken_as_they_are():
    tally = Tally()
    rows = [[BOS, *range(2, 9)], [BOS, *range(20, 40)], [3, 4], []]
    [batch] = packed(rows, tally=tally)
    assert batch.tokens.tolist() == [
        [BOS, *range(2, 9)],
        [BOS, *range(20, 27)],
        [3, 4, *[BOS] * 6],
    ]
    assert batch.documents.tolist() == [[0] * 8, [1] * 8, [2] * 8]
    assert batch.counted[:2, 1:].all()
    assert not batch.counted[:2, 0].any()
    assert batch.counted[2].tolist() == [True] * 2 + [False] * 6
    assert (tally.documents, tally.empty, tally.tokens) == (3, 1, 31)
    assert (tally.cut, tally.cut_tokens, tally.short, tally.filled) == (1, 13, 1, 6)
    assert tally.without_bos == 1


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ([], "too short: it holds no document"),
        (["", ""], "too short: there is no token in it"),
        (["<eos> <bos>"], "No token of the text counts: the 2 that were read are special"),
        ([[]], "there is no token in it"),
        ([TokenIds([], 8)], "nothing but padding: 8 tokens"),
        ([[EOS] * 8], "nothing but padding: 8 tokens"),
    ],
)
def test_nothing_that_counts(documents, said):
    with pytest.raises(SaereportError, match=said):
        packed(documents)


PADDING = {
    "a mask on the left": TokenIds([BOS, 2, 3, 4], 4),
    "the tokeniser's own on the right": [BOS, 2, 3, 4, *[EOS] * 4],
    "the tokeniser's own on the left": [*[EOS] * 4, BOS, 2, 3, 4],
    "both sides": [*[EOS] * 2, BOS, 2, 3, 4, *[EOS] * 2],
    "none": [BOS, 2, 3, 4],
}


@pytest.mark.parametrize("row", PADDING.values(), ids=PADDING)
@pytest.mark.parametrize("include_special", [False, True])
def test_padding_of_a_row_never_counts(row, include_special):
    class Tokenizer:
        pad_token_id, bos_token_id, eos_token_id = EOS, BOS, 99

    settings = {"context_size": 8, "prepend_bos": True, "bos_id": BOS, "special_ids": {BOS}}
    [batch] = pack_with([row], Tokenizer(), include_special=include_special, **settings)
    assert batch.tokens[0, :4].tolist() == [BOS, 2, 3, 4], "from the first position on"
    assert batch.counted[0].tolist() == [include_special, True, True, True] + [False] * 4


def test_a_token_for_padding_that_also_begins_texts_is_kept_once():
    class Tokenizer:
        pad_token_id = bos_token_id = eos_token_id = BOS

    settings = {"context_size": 8, "prepend_bos": True, "bos_id": BOS, "special_ids": {BOS}}
    rows = [[BOS, BOS, BOS, 2, 3, 4], [BOS, 2, 3, BOS, 4, BOS, BOS], [2, 3, BOS]]
    tally = Tally()
    [batch] = pack_with(rows, Tokenizer(), tally=tally, **settings)
    assert batch.tokens[:, :5].tolist() == [[0, 2, 3, 4, 0], [0, 2, 3, 0, 4], [2, 3, 0, 0, 0]]
    assert tally.padding == 3


def test_documents_that_are_not_joined():
    """As SAELens does with `disable_concat_sequences`; it leaves out what is shorter."""
    from sae_lens.tokenization_and_batching import concat_and_batch_sequences

    documents = [list(range(2, 30)), [BOS, *range(40, 60)], list(range(60, 67)), [70, 71]]
    expected = concat_and_batch_sequences(
        iter([torch.tensor(document) for document in documents]),
        8,
        begin_batch_token_id=BOS,
        disable_concat_sequences=True,
    )
    texts = [words(*d).replace("w0 ", "<bos> ") for d in documents]
    got = joined(packed(texts, joined=False))
    assert got[:3].tolist() == [row.tolist() for row in expected]
    assert got[3].tolist() == [BOS, 70, 71] + [BOS] * 5
    counted = joined(packed(texts, joined=False), "counted")
    assert counted.sum(axis=1).tolist() == [7, 7, 7, 2]


def test_tokens_that_an_sae_never_saw_do_not_count():
    positions = np.array([False, True, True, True, True, True, False, False])
    rules = {"positions": positions, "excluded": frozenset({4})}
    for include_special in (False, True):
        [batch] = packed([words(2, 3, 4, 5, 6, 7, 8)], **rules, include_special=include_special)
        assert batch.counted[0].tolist() == [False, True, True, False, True, True, False, False]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("w2 w3 w9 w4", "document 2: token 3 is 9 ('w9'), and the model's vocabulary has 9 tokens"),
        ([2, 9], "document 2: token 2 is 9, and"),
        (
            [2, -100, 3],
            "token 2 is -100, and the model's vocabulary has 9 tokens, numbered from 0. "
            "It marks labels",
        ),
        ([2, 2**31], "is 2,147,483,648, and"),
        ([10**400], "is a number of 401 digits, and"),
    ],
)
def test_tokens_beyond_the_vocabulary(document, said):
    first = "w2" if isinstance(document, str) else [2]
    with pytest.raises(SaereportError) as caught:
        packed([first, document], n_vocab=9)
    assert said in str(caught.value)


def test_a_tokenizer_of_another_model():
    with pytest.raises(SaereportError, match="The BOS token is 600, which is none of the model's"):
        packed(["w2"], n_vocab=100, bos_id=600)
    with pytest.raises(SaereportError, match="The separator is 200, which is none of the model's"):
        packed(["w2"], n_vocab=100, separator=200)
    with pytest.raises(SaereportError, match="unknown separator 'True'"):
        packed(["w2"], separator=True)


def test_halves_of_surrogate_pairs_are_replaced_and_counted(tmp_path):
    lines = ['{"text": "w2 \\ud83d w3"}', '{"text": "\\ud83d\\ude00 w4"}']
    raw = b'{"text": "w5 \xed\xa0\xbd w6"}'
    (tmp_path / "a.jsonl").write_bytes("\n".join(lines).encode() + b"\n" + raw)
    tally = Tally()
    [batch] = packed(open_text(tmp_path / "a.jsonl").documents(), tally=tally, separator=None)
    assert batch.tokens[0].tolist() == [BOS, 2, 2, 3, 2, 4, 5, 2], "a word that is unknown is w2"
    assert tally.replaced == 2
    assert any("2 lone halves" in remark.text for remark in tally.remarks(8, 64))


def test_settings_that_make_no_sense():
    with pytest.raises(SaereportError, match="context size of 1"):
        packed(["w2"], context_size=1)
    with pytest.raises(SaereportError, match="begin with BOS"):
        packed(["w2"], bos_id=None)
    with pytest.raises(SaereportError, match="unknown separator 'tab'"):
        packed(["w2"], separator="tab")


def test_separators():
    assert [separator_id(s, TOKENIZER) for s in ("bos", "eos", "sep", 7, None)] == [
        BOS,
        EOS,
        None,
        7,
        None,
    ]


def test_a_slow_tokenizer_will_do():
    class Slow:
        bos_token_id = BOS

        def __call__(self, texts, **_):
            return {"input_ids": [[int(word[1:]) for word in t.split()] for t in texts]}

    options = {"context_size": 4, "prepend_bos": True, "bos_id": BOS, "special_ids": {BOS}}
    [batch] = pack_with([words(5, 6, 7)], Slow(), **options)
    assert batch.tokens.tolist() == [[BOS, 5, 6, 7]]


# Files.


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_txt_is_one_document(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffone\r\ntwo – é\n".encode())
    text = open_text(file)
    assert list(text.documents()) == ["one\ntwo – é\n"]
    assert list(text.documents()) == ["one\ntwo – é\n"], "can be read again"
    assert text.name == "a.txt"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert text.provenance == {
        "kind": "files",
        "files": [{"name": "a.txt", "sha256": digest}],
        "column": None,
    }


def test_jsonl_and_parquet_hold_one_document_a_row(tmp_path):
    rows = [{"text": "one", "n": 1}, {"text": None, "n": 2}, {"text": "two", "n": 3}]
    jsonl = write_jsonl(tmp_path / "a.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for file in (jsonl, tmp_path / "a.parquet"):
        text = open_text(str(file))
        assert list(text.documents()) == ["one", "", "two"], "nothing is no document"
        assert text.provenance["column"] == "text"
        assert text.kind == "text"


def test_directory_in_the_order_of_names(tmp_path):
    (tmp_path / "b.txt").write_text("B")
    write_jsonl(tmp_path / "c.jsonl", [{"text": "C1"}, {"text": "C2"}])
    (tmp_path / "a.txt").write_text("A")
    (tmp_path / "notes.md").write_text("not read")
    text = open_text(tmp_path)
    assert list(text.documents()) == ["A", "B", "C1", "C2"]
    assert [file["name"] for file in text.provenance["files"]] == ["a.txt", "b.txt", "c.jsonl"]
    assert str(tmp_path) not in json.dumps(text.provenance)


def test_what_a_folder_holds_besides_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "A"}')
    for name in ("b.jsonl.gz", "c.CSV", "dataset_info.json", "README.md", ".hidden.gz"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "train").mkdir()
    text = open_text(tmp_path)
    assert text.unread == ("b.jsonl.gz", "c.CSV", "train/")
    assert open_text(tmp_path / "a.jsonl").unread == ()
    warned = Warned()
    text_of(BuildConfig(dataset=str(tmp_path)), (), warned)
    [warning] = warned.result()
    assert "not read: b.jsonl.gz, c.CSV, train/ (3 in all)" in warning.text


def test_columns_that_were_passed_over_are_named(tmp_path):
    row = {"text": "A", "messages": [], "input_ids": [1]}
    write_jsonl(tmp_path / "a.jsonl", [row])
    warned = Warned()
    text_of(BuildConfig(dataset=str(tmp_path / "a.jsonl")), (), warned)
    [warning] = warned.result()
    assert (
        "Of a.jsonl the column 'text' is read; not read, though called as if it held the text "
        "too: 'input_ids', 'messages' (--text-column)."
    ) in warning.text
    warned = Warned()
    text_of(BuildConfig(dataset=str(tmp_path / "a.jsonl"), text_column="text"), (), warned)
    assert not warned.result()


def test_ids_may_be_of_something_else(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"ids": [7, 9], "body": "x"}])
    warned = Warned()
    text_of(BuildConfig(dataset=str(tmp_path / "a.jsonl")), (), warned)
    [warning] = warned.result()
    assert "'ids' of a.jsonl is read as token ids, for its name alone" in warning.text
    warned = Warned()
    text_of(BuildConfig(dataset=str(tmp_path / "a.jsonl"), text_column="ids"), (), warned)
    assert not warned.result()


def test_several_files_in_the_order_given(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(name)
    text = open_text([tmp_path / "b.txt", tmp_path / "a.txt"])
    assert list(text.documents()) == ["b", "a"]
    assert text.name == "b.txt, a.txt"


def test_chosen_column(tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", [{"body": "x", "text": "y"}])
    assert list(open_text(file, column="body").documents()) == ["x"]


@pytest.mark.parametrize("column", ["tokens", "input_ids", "token_ids", "ids"])
def test_token_ids_written_as_text_are_not_read_as_text(tmp_path, column):
    file = write_jsonl(tmp_path / "a.jsonl", [{column: "72 101 108"}])
    with pytest.raises(SaereportError, match=f"'{column}' holds text in place of token ids"):
        open_text(file)
    assert list(open_text(file, column=column).documents()) == ["72 101 108"]


@pytest.mark.parametrize("column", ["tokens", "input_ids", "token_ids", "ids"])
def test_token_columns(tmp_path, column):
    rows = [{column: [0, 5, 6]}, {column: [0, 7, 8]}]
    write_jsonl(tmp_path / "a.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        text = open_text(tmp_path / name)
        assert text.kind == "tokens"
        assert [list(d) for d in text.documents()] == [[0, 5, 6], [0, 7, 8]]


def test_an_attention_mask_takes_padding_away(tmp_path):
    rows = [
        {"input_ids": [9, 9, 5, 6], "attention_mask": [0, 0, 1, 1]},
        {"input_ids": [5, 6, 9, 9], "attention_mask": [1, 1, 0, 0]},
        {"input_ids": [9, 9, 9, 9], "attention_mask": [0, 0, 0, 0]},
        {"input_ids": [9, 5, 6, 9], "attention_mask": None},
    ]
    write_jsonl(tmp_path / "a.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        found = list(open_text(tmp_path / name).documents())
        assert found == [[5, 6], [5, 6], [], [9, 5, 6, 9]]
        assert [row.masked for row in found] == [2, 2, 4, None]


def test_where_a_document_stands(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}, {"text": None}, {"text": "y"}])
    text = open_text(tmp_path / "a.jsonl")
    assert [text.place(number) for number in (0, 2, 3)] == ["a.jsonl:1", "a.jsonl:3", "document 4"]


def test_other_columns_are_not_looked_at(tmp_path):
    """A date that Python cannot hold, beside the text, is nobody's business."""
    dates = pa.array([10**18], pa.timestamp("ms"))
    table = pa.table({"text": ["x"], "when": dates})
    pq.write_table(table, tmp_path / "a.parquet")
    assert list(open_text(tmp_path / "a.parquet").documents()) == ["x"]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.parquet"])
def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch, name):
    import io

    file = tmp_path / name
    file.write_bytes(b"{}")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(io, "open", refuse)
    with pytest.raises(SaereportError) as caught:
        open_text(file)
    assert str(caught.value) == f"{name} cannot be read: Permission denied."


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    from pathlib import Path

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SaereportError, match="cannot be read: Permission denied"):
        open_text(tmp_path)


def test_text_that_is_no_utf8_inside_parquet(tmp_path):
    table = pa.table({"text": pa.array([b"b\xe9d"], pa.binary())})
    cast = pa.Array.from_buffers(pa.string(), 1, table["text"].chunk(0).buffers())
    pq.write_table(pa.table({"text": cast}), tmp_path / "a.parquet")
    with pytest.raises(SaereportError, match=r"holds text that is not UTF-8 \(byte 0xe9\)"):
        open_text(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("a.txt", b"", {}, "The text a.txt is empty."),
        ("a.txt", b"ok\nb\xe9d", {}, "a.txt:2: not UTF-8 (byte 0xe9)"),
        ("a.jsonl", b"", {}, "The text a.jsonl is empty."),
        ("a.jsonl", b'{"text": ""}\n{"text": null}\n', {}, "The text a.jsonl is empty."),
        ("a.jsonl", b'{"text": "x"}\n{"text"\n', {}, "a.jsonl:2: not JSON"),
        ("a.jsonl", b'{"text": "x"}\n\n["x"]\n', {}, "a.jsonl:3: not a JSON object"),
        ("a.jsonl", b'{"text": "x"}\n{"txt": "x"}\n', {}, "no column 'text'. Did you mean 'txt'"),
        ("a.jsonl", b'{"text": "\xe9"}\n', {}, "a.jsonl:1: not UTF-8"),
        ("a.jsonl", b'{"body": "x"}\n', {}, "a.jsonl has no column 'text'; it has body."),
        ("a.jsonl", b'{"text": "x"}\n', {"column": "txet"}, "Did you mean 'text'?"),
        ("a.jsonl", b'{"text": 3}\n', {}, "neither text nor token ids, but int"),
        (
            "a.jsonl",
            b'{"tokens": [1, 0.5]}\n',
            {},
            "neither text nor token ids, but a list of float",
        ),
        ("a.parquet", b"PAR1 no", {}, "a.parquet cannot be read as Parquet"),
        ("a.md", b"x", {}, "a.md is not a file that can be read as text"),
        (
            "a.jsonl",
            b'{"text": "x", "m": ' + b"[" * 9000 + b"]" * 9000 + b"}",
            {},
            "a.jsonl:1: nest",
        ),
        ("a.jsonl", b'{"text": "x", "n": ' + b"9" * 5000 + b"}", {}, "a.jsonl:1: a number of more"),
        (
            "a.jsonl",
            b'{"text": "x"}\n{"text": [1]}',
            {},
            "a.jsonl:2: the column 'text' holds token",
        ),
        (
            "a.jsonl",
            b'{"tokens": [1]}\n{"tokens": "x"}',
            {},
            "a.jsonl:2: the column 'tokens' holds",
        ),
        ("a.jsonl", b'{"tokens": [1], "attention_mask": [1, 1]}', {}, "2 values for 1 tokens"),
        ("a.jsonl", b'{"tokens": [1], "attention_mask": 1}', {}, "0 values for 1 tokens"),
        ("a.jsonl", b'{"tokens": [1], "attention_mask": [2]}', {}, "other values than 0 and 1"),
        ("a.jsonl", b'{"tokens": [1], "attention_mask": [[1]]}', {}, "other values than 0 and 1"),
        (
            "a.jsonl",
            b'{"tokens": [1, 2, 3], "attention_mask": [1, 0, 1]}',
            {},
            "a.jsonl:1: the column 'attention_mask' leaves out token 2 between",
        ),
    ],
)
def test_bad_files(tmp_path, name, content, options, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SaereportError) as caught:
        list(open_text(tmp_path / name, **options).documents())
    assert said in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_damaged_parquet_in_the_middle(tmp_path):
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["word " * 50] * 5000}), file, compression="snappy")
    content = bytearray(file.read_bytes())
    content[40:900] = b"\xff" * 860
    file.write_bytes(content)
    with pytest.raises(SaereportError, match=r"a\.parquet cannot be read as Parquet"):
        list(open_text(file).documents())


def test_paths_that_lead_nowhere(tmp_path):
    (tmp_path / "text.txt").write_text("x")
    with pytest.raises(SaereportError, match=r"Did you mean 'text.txt'"):
        open_text(tmp_path / "txt.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SaereportError, match="The directory empty holds no text"):
        open_text(tmp_path / "empty")
    with pytest.raises(SaereportError, match="There is no text at"):
        open_text("corpus.jsonl")
    with pytest.raises(SaereportError, match="No text was named"):
        open_text([])
    for link, target in (("loop", "loop"), ("gone", "nowhere.txt")):
        (tmp_path / link).symlink_to(target)
        with pytest.raises(SaereportError, match=f"{link}' is a link that leads nowhere"):
            open_text(tmp_path / link)


def test_text_and_tokens_do_not_mix(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}])
    write_jsonl(tmp_path / "b.jsonl", [{"tokens": [1]}])
    with pytest.raises(SaereportError, match="Some of the files hold text and others token ids"):
        open_text(tmp_path)


# Hugging Face datasets.


class FakeStream:
    def __init__(self, rows):
        self.rows = rows
        self.column_names = list(rows[0]) if rows else None

    def __iter__(self):
        return iter(self.rows)

    def select_columns(self, names):
        return FakeStream([{name: row[name] for name in names} for row in self.rows])


@pytest.fixture
def dataset(monkeypatch):
    import datasets
    from huggingface_hub import HfApi

    asked = []

    def serve(result):
        def load(name, config=None, **options):
            asked.append((name, config, options))
            if isinstance(result, Exception):
                raise result
            return FakeStream(result)

        class Info:
            sha = "c0ffee"

        def resolve(_, name, revision, **__):
            serve.revisions.append(revision)
            return Info()

        monkeypatch.setattr(datasets, "load_dataset", load)
        monkeypatch.setattr(HfApi, "dataset_info", resolve)
        return asked

    serve.revisions = []
    return serve


def test_dataset_is_streamed(dataset):
    asked = dataset([{"text": "one", "meta": 1}, {"text": None, "meta": 2}, {"text": "two"}])
    text = open_text("owner/corpus", split="validation", config="en", revision="v1")
    assert list(text.documents()) == ["one", "", "two"]
    assert asked[0] == (
        "owner/corpus",
        "en",
        {"split": "validation", "streaming": True, "revision": "c0ffee"},
    )
    assert text.name == "owner/corpus"
    assert text.provenance == {
        "kind": "dataset",
        "dataset": "owner/corpus",
        "config": "en",
        "split": "validation",
        "column": "text",
        "revision": "c0ffee",
    }


@pytest.mark.parametrize(
    ("spec", "revision", "asked_for"),
    [
        ("owner/corpus", None, None),
        ("owner/corpus", "v1", "v1"),
        ("owner/corpus@v1", None, "v1"),
        ("owner/corpus@refs/convert/parquet", None, "refs/convert/parquet"),
        ("owner/corpus@v1", "v1", "v1"),
        ("https://huggingface.co/datasets/owner/corpus/tree/v1", None, "v1"),
        ("https://huggingface.co/datasets/owner/corpus", "refs/pr/3", "refs/pr/3"),
    ],
)
def test_a_dataset_is_pinned_to_the_commit_that_its_revision_is(dataset, spec, revision, asked_for):
    """What is recorded is what is read, though someone pushes to the dataset meanwhile."""
    asked = dataset([{"text": "one"}])
    text = open_text(spec, revision=revision)
    assert list(text.documents()) == ["one"]
    assert dataset.revisions == [asked_for]
    assert {(name, options["revision"]) for name, _, options in asked} == {
        ("owner/corpus", "c0ffee")
    }
    assert (text.name, text.provenance["revision"]) == ("owner/corpus", "c0ffee")


@pytest.mark.parametrize(
    ("spec", "revision", "said"),
    [
        ("owner/corpus@v1", "v2", "Two revisions of the dataset 'owner/corpus' are asked for"),
        ("owner/corpus@", None, "No revision of a dataset can be called ''"),
        ("owner/corpus", "a b", "No revision of a dataset can be called 'a b'"),
        ("owner/corpus", "../x", "can be called '../x'"),
    ],
)
def test_revisions_that_mean_nothing(dataset, spec, revision, said):
    dataset([{"text": "one"}])
    with pytest.raises(UsageError, match=said):
        open_text(spec, revision=revision)


def test_a_revision_that_is_not_there(dataset, monkeypatch):
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    def refuse(*_, **__):
        error = RevisionNotFoundError.__new__(RevisionNotFoundError)
        raise error

    dataset([{"text": "one"}])
    monkeypatch.setattr(HfApi, "dataset_info", refuse)
    with pytest.raises(SaereportError, match=r"'owner/corpus' has no revision 'v9'. Name a"):
        open_text("owner/corpus", revision="v9")
    dataset(FileNotFoundError("Revision 'v9' doesn't exist for dataset 'owner/corpus' on the Hub."))
    monkeypatch.setattr(HfApi, "dataset_info", lambda *_, **__: 1 / 0)
    with pytest.raises(SaereportError, match="'owner/corpus' has no revision 'v9'"):
        open_text("owner/corpus", revision="v9")


def test_what_the_hub_does_not_resolve_is_recorded_as_it_was_asked_for(dataset, monkeypatch):
    from huggingface_hub import HfApi

    asked = dataset([{"text": "one"}])
    monkeypatch.setattr(HfApi, "dataset_info", lambda *_, **__: 1 / 0)
    assert open_text("owner/corpus@v1").provenance["revision"] == "v1"
    assert asked[0][2]["revision"] == "v1"


def test_dataset_of_conversations(dataset):
    talk = {"from": ["human", "gpt"], "value": ["hello", "good day"]}
    dataset([{"text": None, "conversations": None}, {"text": None, "conversations": talk}])
    text = open_text("owner/corpus", column="conversations")
    assert text.kind == "chat"
    assert list(text.documents()) == [
        [],
        [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}],
    ]
    dataset([{"text": "one", "conversations": talk, "n": 1}])
    text = open_text("owner/corpus")
    assert (text.provenance["column"], text.passed_over) == ("text", ("conversations",))
    dataset([{"text": "one"}, {"text": talk}])
    with pytest.raises(SaereportError, match=r"row 2: the column 'text' holds conversations here"):
        list(open_text("owner/corpus").documents())


def test_dataset_of_tokens(dataset):
    dataset([{"tokens": [0, 3, 4], "attention_mask": [1, 1, 0], "other": 1}])
    text = open_text("owner/corpus")
    assert text.kind == "tokens"
    assert list(text.documents()) == [[0, 3]]
    assert text.place(0) == "owner/corpus: row 1"


def test_dataset_by_its_address(dataset):
    asked = dataset([{"text": "one"}])
    text = open_text("https://huggingface.co/datasets/owner/corpus")
    assert (text.name, asked[0][0]) == ("owner/corpus", "owner/corpus")


def test_a_dataset_is_never_a_folder_of_the_same_name(dataset, tmp_path, monkeypatch):
    asked = dataset([{"text": "of the hub"}])
    (tmp_path / "owner" / "corpus").mkdir(parents=True)
    (tmp_path / "owner" / "corpus" / "a.txt").write_text("of this folder")
    monkeypatch.chdir(tmp_path)
    assert list(open_text("owner/corpus").documents()) == ["of this folder"], "a user's own word"
    text = open_dataset("owner/corpus")
    assert list(text.documents()) == ["of the hub"]
    assert {name for name, *_ in asked} == {"hf://datasets/owner/corpus"}


def test_the_libraries_own_reader_takes_that_address_for_the_hub_alone(tmp_path, monkeypatch):
    """What the test above relies on, of the real library: it does not read the folder."""
    import datasets

    (tmp_path / "owner" / "corpus").mkdir(parents=True)
    (tmp_path / "owner" / "corpus" / "a.txt").write_text("of this folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SaereportError, match="hub cannot be reached"):
        open_dataset("owner/corpus")


HOSTILE_NAMES = {
    "~/secret.txt": "secret.txt",
    "../x": "x",
    "/data/private/wikitext": "wikitext",
    "C:\\Users\\me\\pile": "pile",
    "file:///etc/passwd": "passwd",
    "https://example.org/a/b": "b",
    "hf://datasets/owner/name": "name",
    "demo": "demo",
    "json": "json",
    "parquet": "parquet",
    "text": "text",
    "imagefolder": "imagefolder",
    "wikitext": "wikitext",
    "owner/name/more": "more",
    "owner/..": "..",
    "owner/na--me": "na--me",
    "./corpus": "corpus",
    "owner/name.git": "name.git",
    "ow ner/name": "name",
    "ownr/name\n": "name",
    "ownr/name\0": "name",
    "buckets/a/b/c": "c",
    "…/name": "name",
}


@pytest.mark.parametrize("value", HOSTILE_NAMES, ids=repr)
def test_what_metadata_names_is_followed_only_to_the_hub(value):
    with pytest.raises(SaereportError) as caught:
        training_text(value, "mine")
    said = str(caught.value)
    assert "not looked for on this machine. Give the text with --dataset" in said
    assert HOSTILE_NAMES[value] in said
    assert value == HOSTILE_NAMES[value] or value.strip() not in said, "not where things lay"


@pytest.mark.parametrize("value", [None, "", 3, ["owner/name"], {"a": 1}, True])
def test_metadata_that_names_no_text(value):
    with pytest.raises(SaereportError, match=r"of the SAE mine (names no text|holds no name)"):
        training_text(value, "mine")


@pytest.mark.parametrize("value", ["Skylion007/openwebtext", "monology/pile-uncopyrighted", "a/b"])
def test_metadata_that_names_a_dataset(value):
    assert training_text(value, "mine") == value


@pytest.mark.parametrize("name", ["json", "parquet", "text", "imagefolder", "csv"])
def test_a_file_format_is_no_dataset(name):
    with pytest.raises(SaereportError, match=f"'{name}' is a file format, not a dataset"):
        open_text(name)


def test_a_name_that_no_dataset_can_have():
    with pytest.raises(SaereportError, match="Datasets on the hub are called owner/name"):
        open_text("my corpus")


@pytest.mark.parametrize(
    ("result", "options", "said"),
    [
        ([], {}, "has nothing in its split 'train'"),
        ([{"body": "x"}], {}, "has no column 'text'; it has body"),
        ([{"body": "x"}], {"column": "bdy"}, "Did you mean 'body'?"),
        (ConnectionError("Couldn't reach"), {}, "the Hugging Face hub cannot be reached"),
        (ValueError("Bad split: train. Available splits: ['test']"), {}, "no split 'train'"),
        (ValueError("Config name is missing."), {}, "needs another configuration"),
        (FileNotFoundError("nope"), {}, "neither a file nor a Hugging Face dataset"),
        (RuntimeError("odd"), {}, "cannot be read: RuntimeError: odd"),
        (
            RuntimeError("Dataset scripts are no longer supported, but found corpus.py"),
            {},
            "is made by a script of its own, which is not run",
        ),
        (FileNotFoundError("Dataset 'owner/corpus' is a gated dataset"), {}, "is gated"),
        (FileNotFoundError("private or gated repo"), {}, "neither a file nor"),
    ],
)
def test_bad_datasets(dataset, result, options, said):
    dataset(result)
    with pytest.raises(SaereportError) as caught:
        open_text("owner/corpus", **options)
    assert said in str(caught.value)


def test_dataset_without_a_network(hub, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(SaereportError, match="hub cannot be reached"):
        open_text("owner/corpus")


def test_demo_text():
    text = open_text("demo")
    first = next(iter(text.documents()))
    assert isinstance(first, str)
    assert len(first) > 100
    assert text.name == "demo text"
