"""What a token is, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.sources.tokens import special_ids, token_bytes, unwritten_ids
from saereport.util.byte_alphabet import byte_alphabet
from tests.factories import byte_tokenizer

HOSTILE = [
    "",
    " ",
    "\n\r\t\0\x1b[31m",
    "</script><script>alert(1)</script>",
    "a\u202eb\u2066c",
    "naïve – “quotes” …",
    "👩‍👩‍👧‍👦 🇩🇪 \U0001f9d1\U0001f3fd",
    "مرحبا שלום 日本語",
    "<0x0A> ▁ Ġ ## <|endoftext",
]


# Bytes that have no token of their own in SmolLM2's vocabulary.
MISSING_BYTES = {0x04, 0x06, 0x13, 0x14, 0x16, 0x1D, 0xC0, 0xC1, 0xF1, 0xF2, *range(0xF5, 0x100)}


def test_alphabet_is_gpt2s():
    from tokenizers import pre_tokenizers

    assert set(byte_alphabet()) == set(pre_tokenizers.ByteLevel.alphabet())
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str
    for character in map(chr, range(0x250)):
        [(shown, _)] = split(character)
        assert bytes(byte_alphabet()[c] for c in shown) == character.encode()


def test_alphabet_covers_every_byte():
    assert sorted(byte_alphabet().values()) == list(range(256))


@pytest.mark.parametrize("text", HOSTILE)
def test_bytes_of_a_byte_tokenizer(text):
    tokenizer = byte_tokenizer()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert b"".join(token_bytes(tokenizer, ids)) == text.encode()


def test_special_and_unused_ids():
    assert token_bytes(byte_tokenizer(), [256, 257, 99999, -1]) == [
        b"<|endoftext|>",
        b"<unused 257>",
        b"<unused 99999>",
        b"<unused -1>",
    ]


@pytest.mark.model
@given(st.text())
@settings(max_examples=200, deadline=None)
def test_tokens_join_to_the_text(demo_model, text):
    tokenizer = demo_model.tokenizer
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    # The tokeniser itself drops the few bytes that its vocabulary has no token for.
    kept = bytes(byte for byte in text.encode("utf-8") if byte not in MISSING_BYTES)
    assert b"".join(token_bytes(tokenizer, ids)) == kept


@pytest.mark.model
def test_whole_vocabulary(demo_model):
    tokenizer = demo_model.tokenizer
    everything = token_bytes(tokenizer, range(demo_model.d_vocab))
    assert len(everything) == 49152
    assert all(everything)
    for i in (100, 5000, 48000, 49151):
        text = tokenizer.decode([i])
        if "\ufffd" not in text:
            assert everything[i] == text.encode()
    single = {token[0] for token in everything if len(token) == 1}
    assert set(range(256)) - single == MISSING_BYTES


def sentencepiece_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = ["▁", "a", "b", "▁a", "▁b", "ab", "▁ab"]
    words = ["<unk>", "<s>", *(f"<0x{b:02X}>" for b in range(256)), *characters]
    merges = [("▁", "a"), ("▁", "b"), ("a", "b"), ("▁a", "b")]
    model = models.BPE(
        {w: i for i, w in enumerate(words)}, merges, byte_fallback=True, unk_token="<unk>"
    )
    backend = Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="<unk>")


@pytest.mark.parametrize("text", ["ab ab", " a\nb", "ü🙂 a", "a  b"])
def test_sentencepiece(text):
    tokenizer = sentencepiece_tokenizer()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert b"".join(token_bytes(tokenizer, ids)) == text.encode()


def test_sentencepiece_pieces():
    tokenizer = sentencepiece_tokenizer()
    newline = tokenizer.convert_tokens_to_ids("<0x0A>")
    lead = tokenizer.convert_tokens_to_ids("<0xE2>")
    assert token_bytes(tokenizer, [newline, lead, 1]) == [b"\n", b"\xe2", b"<s>"]


def test_wordpiece():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["[UNK]", "play", "##ing", "##s"]
    backend = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.decoder = decoders.WordPiece()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    ids = tokenizer("playing plays", add_special_tokens=False)["input_ids"]
    assert b"".join(token_bytes(tokenizer, ids)) == b" playing plays"


def added(content, *, special=False):
    from tokenizers import AddedToken

    return AddedToken(content, normalized=False, special=special)


def test_runs_of_spaces_that_were_added_to_a_vocabulary():
    """Gemma's: added tokens of SentencePiece's sign for a space, which are text."""
    tokenizer = sentencepiece_tokenizer()
    texts = ["▁▁", "▁▁▁▁", "\n\n", "<0x09>", "<table>"]
    tokenizer.add_tokens([added(content) for content in texts])
    marker = "<｜begin▁of▁sentence｜>"
    tokenizer.add_tokens([added(marker, special=True)], special_tokens=True)
    ids = tokenizer.convert_tokens_to_ids([*texts, marker])
    expected = [b"  ", b"    ", b"\n\n", b"\t", b"<table>", marker.encode()]
    assert token_bytes(tokenizer, ids) == expected
    assert special_ids(tokenizer) & set(ids) == {ids[-1]}, "the others are text"


def test_what_a_vocabulary_keeps_free_is_written_nowhere():
    tokenizer = sentencepiece_tokenizer()
    free = ["<unused7>", "<unused98>", "[unused1]", "<|reserved_special_token_12|>", "<extra_id_3>"]
    text = ["<table>", "<unused>", "unused7", "[1]", "<0x09>", "\t", "<|im_start|>"]
    tokenizer.add_tokens([added(content) for content in [*free, *text, "<0x0B>"]])
    ids = [*range(2, len(tokenizer)), 5000]
    texts = dict(zip(ids, token_bytes(tokenizer, ids), strict=True))
    # Of `a` and `b` there are pieces; the other bytes are how other characters are written.
    bytes_ = ["<0x61>", "<0x62>", "<0x20>", "<0x09>"]
    expected = {*tokenizer.convert_tokens_to_ids([*free, *bytes_]), 5000}
    assert unwritten_ids(tokenizer, texts) == expected
    assert unwritten_ids(byte_tokenizer(), {5: b"\x05", 257: b"<unused 257>"}) == {257}


CHAT = ["<|start_header_id|>", "<|eot_id|>", "<start_of_turn>", "[INST]", "<|reserved_7|>"]


@pytest.mark.parametrize("make", [byte_tokenizer, sentencepiece_tokenizer], ids=["bytes", "pieces"])
def test_tokens_that_are_special_in_the_vocabulary_alone(make, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = make()
    tokenizer.backend_tokenizer.add_special_tokens([added(c, special=True) for c in CHAT])
    tokenizer.add_tokens([added("<tool_call>"), added("[/INST]")])
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|extra|>"]})
    tokenizer.save_pretrained(tmp_path)
    for one in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        chat = set(one.convert_tokens_to_ids([*CHAT, "<|extra|>"]))
        text = set(one.convert_tokens_to_ids(["<tool_call>", "[/INST]"]))
        assert chat <= special_ids(one)
        assert not text & special_ids(one)
        ids = one("a <|start_header_id|>b<tool_call>", add_special_tokens=False)["input_ids"]
        kept = one.decode(ids, skip_special_tokens=True)
        counted = [i for i in ids if i not in special_ids(one)]
        assert one.decode(counted) == kept, "as the tokeniser itself tells them apart"
    assert special_ids(None) == frozenset()
