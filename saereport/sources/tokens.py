"""What a vocabulary token is, byte for byte.

A byte-level token need not be text: a character can be split over two tokens. Reports therefore
keep bytes, and decide when they show them what can be shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from saereport.util.byte_alphabet import byte_alphabet

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_RESERVED = re.compile(
    r"[<\[]\|?(unused|reserved|reserved_special_token|reserved_token|special|control|extra"
    r"|extra_id|extra_token|dummy|dummy_token|placeholder)[ _-]?\d+\|?[>\]]",
    re.IGNORECASE,
)
"""Places of a vocabulary that were kept free: Gemma's `<unused7>`, BERT's `[unused7]`, Llama's
`<|reserved_special_token_7|>`; and what `token_bytes` says of an id that there is none of.
"""
_META_SPACE = "\u2581"


def without_padding_side(tokenizer: Any) -> Any:
    """A tokeniser that does not pad on the left; the same object, or None.

    TransformerLens takes the tokens at the left of a row for padding where the tokeniser pads
    there: a row that begins with the token for padding, which often is BOS too, would be run with
    its first tokens hidden and all positions moved.
    """
    if tokenizer is not None:
        tokenizer.padding_side = "right"
    return tokenizer


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Ids of the tokens that stand for no text: begin, end, padding, turns of a chat.

    Those that the tokeniser lists as its special tokens, and those that are special in its
    vocabulary alone (Llama-3's `<|start_header_id|>`): what `decode(skip_special_tokens=True)`
    leaves out. Tokens that were added to a vocabulary without being special (runs of spaces,
    `<tool_call>`) are text.

    Args:
        tokenizer: A Hugging Face tokeniser, or None.
    """
    if tokenizer is None:
        return frozenset()
    named = [getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "eos", "sep", "pad")]
    added = getattr(tokenizer, "added_tokens_decoder", {})
    marked = [number for number, token in added.items() if getattr(token, "special", False)]
    listed = getattr(tokenizer, "all_special_ids", ())
    return frozenset(int(i) for i in (*named, *listed, *marked) if i is not None)


def token_bytes(tokenizer: Any, ids: Iterable[int]) -> list[bytes]:
    """The bytes that each token stands for.

    Byte-level BPE tokens are exact: the tokens of an encoded text, joined, are the text. For
    SentencePiece, `▁` is a space and `<0x0A>` the byte that it names. For WordPiece a token that
    begins a word gets a space before it, and one that continues a word (`##`) does not; the
    original spacing is lost in such tokenisers. Special and added tokens are their own text, but
    that in SentencePiece an added one that is not special is a piece like others (Gemma's runs of
    spaces). An id that the tokeniser does not use, as in a padded vocabulary, is shown as
    `<unused 50300>`.

    Args:
        tokenizer: A Hugging Face tokeniser.
        ids: Token ids.
    """
    wanted = [int(i) for i in ids]
    kind = _kind(tokenizer)
    convert = _CONVERTERS[kind]
    pieces_too = kind == "sentencepiece"
    added = {
        int(i): _from_sentencepiece(token.content)
        if pieces_too and not token.special
        else token.content.encode(errors="replace")
        for i, token in tokenizer.added_tokens_decoder.items()
    }
    size = len(tokenizer)
    # A vocabulary can have holes and padding: ask only for what is there.
    known = [i for i in wanted if 0 <= i < size and i not in added]
    pieces = dict(zip(known, tokenizer.convert_ids_to_tokens(known), strict=True))
    result = []
    for i in wanted:
        if i in added:
            result.append(added[i])
        elif pieces.get(i) is None:
            result.append(f"<unused {i}>".encode())
        else:
            result.append(convert(pieces[i]))
    return result


def unwritten_ids(tokenizer: Any, texts: Mapping[int, bytes]) -> frozenset[int]:
    """Ids of tokens that are not special and yet no text is made of.

    Those that stand for nothing, places that a vocabulary keeps free, and bytes (`<0x41>`) of
    which another token is the text (`A`): a text that is encoded has that one.

    Args:
        tokenizer: A Hugging Face tokeniser.
        texts: What tokens stand for, by their ids: all that are not special.
    """
    free = {
        i
        for i, text in texts.items()
        if not text or _RESERVED.fullmatch(text.decode("utf-8", "replace").strip())
    }
    if _kind(tokenizer) != "sentencepiece":
        return frozenset(free)
    single = [i for i, text in texts.items() if len(text) == 1]
    pieces = tokenizer.convert_ids_to_tokens(single)
    bytes_ = {
        i for i, piece in zip(single, pieces, strict=True) if piece and _BYTE_TOKEN.fullmatch(piece)
    }
    spelled = {texts[i] for i in single if i not in bytes_}
    return frozenset(free | {i for i in bytes_ if texts[i] in spelled})


def _kind(tokenizer: Any) -> str:
    """Which family of vocabularies a tokeniser is of, by how it decodes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        name = type(tokenizer).__name__
        if hasattr(tokenizer, "byte_decoder"):
            return "bytes"
        return "sentencepiece" if hasattr(tokenizer, "sp_model") else _by_name(name)
    decoder = _description(backend.decoder)
    before = _description(backend.pre_tokenizer)
    if "ByteLevel" in _types(decoder) or "ByteLevel" in _types(before):
        return "bytes"
    everything = json.dumps([decoder, before, _description(backend.normalizer)], ensure_ascii=False)
    if {"Metaspace", "ByteFallback"} & _types(decoder) or _META_SPACE in everything:
        return "sentencepiece"
    if "WordPiece" in _types(decoder) or type(backend.model).__name__ == "WordPiece":
        return "wordpiece"
    return "plain"


def _description(part: Any) -> Any:
    """A tokeniser's component as JSON; not the whole tokeniser, whose vocabulary is megabytes."""
    return None if part is None else json.loads(part.__getstate__())


def _by_name(name: str) -> str:
    return "wordpiece" if "Bert" in name else "plain"


def _types(part: Any) -> set[str]:
    """The types named anywhere in a component of a tokeniser's description."""
    if isinstance(part, dict):
        own = {part["type"]} if isinstance(part.get("type"), str) else set()
        return own.union(*(_types(value) for value in part.values()))
    if isinstance(part, list):
        return set().union(*(_types(value) for value in part))
    return set()


def _from_byte_level(token: str) -> bytes:
    alphabet = byte_alphabet()
    try:
        return bytes(alphabet[character] for character in token)
    except KeyError:
        return token.encode()  # outside the alphabet: text that was added to the vocabulary


def _from_sentencepiece(token: str) -> bytes:
    if match := _BYTE_TOKEN.fullmatch(token):
        return bytes([int(match[1], 16)])
    return token.replace(_META_SPACE, " ").encode()


def _from_wordpiece(token: str) -> bytes:
    return token[2:].encode() if token.startswith("##") else b" " + token.encode()


_CONVERTERS: dict[str, Callable[[str], bytes]] = {
    "bytes": _from_byte_level,
    "sentencepiece": _from_sentencepiece,
    "wordpiece": _from_wordpiece,
    "plain": str.encode,
}
