"""Addresses in a style sheet: `url(...)` and `@import`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from saereport.publish.page import Reference

_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_ADDRESS = re.compile(
    r"""(?:url|src)\(\s*(?:"([^"\n]*)"|'([^'\n]*)'|((?:(?!(?:url|src)\()[^)\s])*+))"""
    r"""|@import\s+(?:"([^"\n]*)"|'([^'\n]*)')""",
    re.IGNORECASE,
)
"""Whether an address is closed does not matter: what is not, browsers close at the end."""
_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|(.))", re.IGNORECASE | re.DOTALL)


def style_references(text: str, first_line: int = 1) -> Iterator[Reference]:
    """Every address in a style sheet.

    Args:
        text: The sheet.
        first_line: The line on which it begins in its file.
    """
    # Escapes can spell the words themselves; comments keep their lines.
    plain = _ESCAPE.sub(_escaped, _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text))
    line, at = first_line, 0
    for found in _ADDRESS.finditer(plain):
        line += plain.count("\n", at, found.start())
        at = found.start()
        url = next((group for group in found.groups() if group is not None), "")
        yield Reference(line, "css", "@import" if found[0][0] == "@" else "url", url)


def _escaped(found: re.Match[str]) -> str:
    if found[1] is None:
        return str(found[2])
    code = int(found[1], 16)
    return chr(code) if 0 < code < 0x110000 else "\ufffd"
