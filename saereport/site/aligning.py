"""Columns of numbers by their decimal points; `core/align.js` does it in the browser.

Numbers are written with three digits and no more, so `60` and `66.1` stand in one column. At the
right edge of a cell their points meet if what the shorter one lacks is there as well, unseen: a
class of the style sheet puts it behind the number, where nobody copies or hears it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from saereport.site.blocks import Cell

_NUMBER = re.compile(r"[<>≥×]? ?[+−]?[\d,]+(\.\d+)?(?: %|(×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?")
_NOTHING = frozenset({"", "–", "dead"})
"""What a column of numbers may say where there is none."""
MOST = 6
"""Digits that a number can lack."""


def aligned(column: Sequence[Cell]) -> list[str] | None:
    """What the numbers of a column lack, or None if it is not one of numbers.

    Returns:
        For each cell `d` and the number of digits, `e` where the point lacks as well, or nothing.
    """
    texts = [cell if isinstance(cell, str) else None for cell in column]
    found = [_NUMBER.fullmatch(text) if text is not None else None for text in texts]
    words = (text for text, match in zip(texts, found, strict=True) if not match)
    if not any(found) or any(text is None or text not in _NOTHING for text in words):
        return None
    most = max(_decimals(match) for match in found if match)
    return [_lacks(match, most) if match else "" for match in found]


def _decimals(match: re.Match[str]) -> int:
    return len(match[1]) - 1 if match[1] else 0


def _lacks(match: re.Match[str], most: int) -> str:
    missing = min(MOST, most - _decimals(match))
    # Powers of ten are of a width of their own.
    return "" if not missing or match[2] else f"{'d' if match[1] else 'e'}{missing}"


def lined_up(rows: Sequence[Sequence[Cell]]) -> list[list[str] | None]:
    """The columns of a table of rows of equal length; its first column names the rows."""
    columns = list(zip(*rows, strict=True))
    return [None, *(aligned(column) for column in columns[1:])] if columns else []
