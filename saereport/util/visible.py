"""Make any bytes visible: what a token, a label or a name looks like on a page.

A token is bytes, not text: it may be part of a character, a control code, or a character that
turns the reading direction of everything after it. `visible` shows each such thing by a sign or by
its code, so that two different tokens never look like nothing and nothing acts on the page around
it. Ordinary text, of any script, is left alone.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator, Sequence

SPACE, NEWLINE, TAB = "␣", "↵", "⇥"
DOTTED_CIRCLE = "◌"

_SIGNS = {" ": SPACE, "\n": NEWLINE, "\t": TAB}
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
NON_JOINER, JOINER, EMOJI = "\u200c", "\u200d", "\ufe0f"
_VIRAMA = 9
"""Unicode's combining class of the sign that joins letters of India's scripts."""
_JOINED = ("ARABIC", "SYRIAC", "MONGOLIAN", "NKO", "MANDAIC")
_SKIN = "".join(map(chr, range(0x1F3FB, 0x1F400)))
"""Colours of the skin of emoji, which stand behind them."""
LONGEST_JOINT = 16
"""Tokens that are looked at for a text that they make together."""
_HIDDEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_PLAIN = re.compile(r"[!-~]*", re.ASCII)


def visible(data: bytes) -> str:
    """A token's bytes as text in which everything can be seen.

    Bytes that are not UTF-8 and control codes become `<0xE2>`, a space `␣`, a newline `↵`, a tab
    `⇥`, and characters that show nothing or turn the reading direction their code point,
    `<U+202E>`. A combining mark at the start is put on a dotted circle.
    """
    parts: list[str] = []
    rest = data
    while rest:
        try:
            parts.append(_shown(rest.decode("utf-8"), signs=True))
            break
        except UnicodeDecodeError as error:
            parts.append(_shown(rest[: error.start].decode("utf-8"), signs=True))
            bad = rest[error.start : error.end]
            parts.extend(f"<0x{byte:02X}>" for byte in bad)
            rest = rest[error.end :]
    text = "".join(parts)
    if text and unicodedata.combining(text[0]):
        text = DOTTED_CIRCLE + text
    return text


Piece = tuple[int, int, str]
"""A piece of running text: the first of its tokens, how many there are, and what is read."""


def running(tokens: Sequence[bytes]) -> list[Piece]:
    """Tokens as text to be read: characters that are split over several tokens are whole.

    Args:
        tokens: The bytes of consecutive tokens.

    Returns:
        Pieces in order, their text as `visible` shows it. A token that is text by itself is a
        piece; of tokens that are text together, each character is one (or with those that lie in
        the same tokens), so that a token may take part in two. What is no text either way stays
        bytes.
    """
    pieces: list[Piece] = []
    at = 0
    while at < len(tokens):
        size = joint(tokens, at)
        if size == 1:
            pieces.append((at, 1, visible(tokens[at])))
        else:
            pieces += [(at + i, n, text) for i, n, text in _whole(tokens[at : at + size])]
        at += size
    return pieces


def joint(tokens: Sequence[bytes], at: int) -> int:
    """How many tokens from one on are text together, of which no shorter part is; else 1."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for i, token in enumerate(tokens[at : at + LONGEST_JOINT], 1):
        try:
            decoder.decode(token)
        except UnicodeDecodeError:
            return 1
        if not decoder.getstate()[0]:
            return i
    return 1


def _whole(tokens: Sequence[bytes]) -> Iterator[Piece]:
    """The characters of tokens that are text together, with the tokens that each lies in."""
    owner = [i for i, token in enumerate(tokens) for _ in token]
    at, first, last, held = 0, 0, 0, ""
    for char in b"".join(tokens).decode("utf-8"):
        end = at + len(char.encode("utf-8"))
        place = owner[at], owner[end - 1]
        if held == " ":
            place = first, place[1]  # a space goes with the word behind it
        elif held and place != (first, last):
            yield first, last - first + 1, visible(held.encode("utf-8"))
            held = ""
        (first, last), held, at = place, held + char, end
    if held:
        yield first, last - first + 1, visible(held.encode("utf-8"))


def visible_text(text: str) -> str:
    """A label or a name: spaces stay, line breaks become spaces, the rest is as in `visible`.

    What joins letters or emoji, or keeps them apart, stays where it changes how they look, as it
    does in Persian, in Hindi and in families of emoji. Elsewhere it would make two names of one
    look, and is shown by its code.
    """
    folded = text.replace("\r\n", " ").replace("\n", " ").replace("\t", " ")
    return _shown(folded, signs=False)


def _shown(text: str, *, signs: bool) -> str:
    if _PLAIN.fullmatch(text):
        return text
    if signs:
        return "".join([_sign(char, signs) for char in text])
    return "".join(
        [char if _joins(text, at) else _sign(char, signs) for at, char in enumerate(text)]
    )


def _joins(text: str, at: int) -> bool:
    """Whether a character that shows nothing by itself changes how its neighbours look.

    The rules are those of RFC 5892 for names of hosts: a joiner or non-joiner behind a virama, a
    non-joiner between letters that else would be joined; and what belongs to emoji.
    """
    char = text[at]
    if char not in (NON_JOINER, JOINER, EMOJI) or not at:
        return False
    before, behind = text[at - 1], text[at + 1 : at + 2]
    if char == EMOJI:
        return unicodedata.category(before) == "So"
    if unicodedata.combining(before) == _VIRAMA:
        return not behind or unicodedata.category(behind)[0] in "LM"
    if char == NON_JOINER:
        return _is_joined(_base(text, at)) and _is_joined(behind)
    return _base(text, at, _SKIN + EMOJI) != "" and unicodedata.category(behind or " ") == "So"


def _base(text: str, at: int, also: str = "") -> str:
    """The letter before a place, or with `also` the emoji: what stands on it left out."""
    wanted = "So" if also else "L"
    while at:
        at -= 1
        kind = unicodedata.category(text[at])
        if text[at] in also or (not also and kind == "Mn"):
            continue
        return text[at] if kind.startswith(wanted) else ""
    return ""


def _is_joined(char: str) -> bool:
    """Whether it is a letter of a script whose letters are joined."""
    name = unicodedata.name(char, "") if char else ""
    return name.partition(" ")[0] in _JOINED and unicodedata.category(char)[0] == "L"


def _sign(char: str, signs: bool) -> str:
    if "!" <= char <= "~":
        return char
    if char == " ":
        return SPACE if signs else char
    if char in _SIGNS:
        return _SIGNS[char]
    code = ord(char)
    if code < 0x20 or code == 0x7F:
        return f"<0x{code:02X}>"
    if signs and char in (SPACE, NEWLINE, TAB):
        return f"<U+{code:04X}>"
    hidden = (
        char in _HIDDEN
        or unicodedata.category(char) in _HIDDEN_CATEGORIES
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0000 <= code <= 0xE0FFF
    )
    return f"<U+{code:04X}>" if hidden else char
