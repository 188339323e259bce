"""GPT-2's alphabet: a printable character for each byte, in which its vocabulary is written.

    the apostrophe ’   UTF-8 e2 80 99   written `âĢĻ`

Files of other tools hold tokens so, or partly so. That a file does is told by the words themselves:
in it every word is a piece of UTF-8 once its characters are taken for bytes, and some are whole
characters that way; in text that is written plainly this hardly ever happens by chance.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from functools import lru_cache

SPACES = "Ġ", "Ċ", "ĉ"
"""What stands for a space, a line's end and a tabulator."""
_PLAIN = {" ": 0x20, "\n": 0x0A, "\t": 0x09}
"""Bytes that some tools have written plainly already."""


@lru_cache(maxsize=1)
def byte_alphabet() -> dict[str, int]:
    """The printable character that stands for each byte, to the byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {
        **{chr(byte): byte for byte in printable},
        **{chr(256 + place): byte for place, byte in enumerate(others)},
    }


@lru_cache(maxsize=1)
def _characters() -> dict[int, str]:
    return {byte: character for character, byte in byte_alphabet().items()}


def read(text: str) -> bytes | None:
    """The bytes of a word that is written so; None where a character is none of the alphabet's."""
    alphabet = byte_alphabet()
    try:
        return bytes(alphabet[c] if c in alphabet else _PLAIN[c] for c in text)
    except KeyError:
        return None


def written(data: bytes, *, spaces: bool) -> str:
    """Bytes in the alphabet.

    Args:
        data: The bytes.
        spaces: Whether spaces and ends of lines are written in it too, or plainly.
    """
    plain = {} if spaces else {byte: character for character, byte in _PLAIN.items()}
    characters = _characters()
    return "".join(plain.get(byte) or characters[byte] for byte in data)


def is_piece(data: bytes) -> bool:
    """Whether bytes can stand in UTF-8, at its edges perhaps with parts of characters."""
    start = 0
    while start < min(3, len(data)) and 0x80 <= data[start] < 0xC0:
        start += 1
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data[start:])
    except UnicodeDecodeError:
        return False
    return True


def is_used(words: Iterable[str]) -> bool:
    """Whether words are written in the alphabet.

    They are where some are whole characters beyond ASCII once they are read so, and at most a
    tenth as many cannot be.
    """
    whole = never = 0
    for text in words:
        if text.isascii():
            continue
        data = read(text)
        if data is None:
            continue  # some tools have written quotation marks and dashes plainly
        if not is_piece(data):
            never += 1
        elif _is_text(data):
            whole += 1
    return whole > 0 and never * 10 <= whole


def _is_text(data: bytes) -> bool:
    try:
        return not data.decode("utf-8").isascii()
    except UnicodeDecodeError:
        return False
