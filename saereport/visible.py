"""Make any bytes visible: what a token, a label or a name looks like on a page.

A token is bytes, not text: it may be part of a character, a control code, or a character that
turns the reading direction of everything after it. `visible` shows each such thing by a sign or by
its code, so that two different tokens never look like nothing and nothing acts on the page around
it. Ordinary text, of any script, is left alone.
"""

from __future__ import annotations

import re
import unicodedata

SPACE, NEWLINE, TAB = "␣", "↵", "⇥"
DOTTED_CIRCLE = "◌"

_SIGNS = {" ": SPACE, "\n": NEWLINE, "\t": TAB}
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
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


def visible_text(text: str) -> str:
    """A label or a name: spaces stay, line breaks become spaces, the rest is as in `visible`."""
    folded = text.replace("\r\n", " ").replace("\n", " ").replace("\t", " ")
    return _shown(folded, signs=False)


def _shown(text: str, *, signs: bool) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return "".join([_sign(char, signs) for char in text])


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
