"""The one JSON writer of the site: equal values give equal bytes, and no text can leave its string.

Everything that a page reads as data goes through `dumps`. Numbers are written with a fixed number
of significant digits and never as `-0`, `NaN` or `Infinity`; in strings `<`, `>`, `&`, U+2028 and
U+2029 are escaped, so that the text is safe inside a script, whatever a token or a label holds.
Keys keep the order in which the code made them: that order is part of the format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_DOWN, Context
from functools import cache
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

import numpy as np

DIGITS = 4
"""Significant digits of a floating-point number in the data."""

_FORMAT = f"%.{DIGITS}g"
_HUGE = 1e300
_LONG = (10.0 ** (DIGITS - 1), 1e9)
"""Numbers of which all digits in the data are shown."""
_DOWN = Context(prec=DIGITS, rounding=ROUND_DOWN)
_ALMOST = 1 - 1e-9
_BELOW_ONE = "0." + DIGITS * "9"
_UNSAFE = re.compile("[<>&\u007f-\u009f\u2028\u2029\ufeff\ud800-\udfff]")


class Exact(float):
    """A number that is written in full, such as the width of a bin."""


def number(value: float, form: str = _FORMAT) -> str:
    """A finite number with `DIGITS` significant digits.

    Whoever rounds it again to fewer digits gets what rounding the value itself would give: what
    would be rounded up to a last 5 is cut off instead, where fewer digits are shown.

    Raises:
        ValueError: The value is NaN, infinite or beyond 1e300.
    """
    if not isfinite(value) or abs(value) > _HUGE:
        raise ValueError(f"{value} cannot be written as JSON")
    text = form % value
    if text == "1" and value < _ALMOST:
        # A share of nearly all is not all.
        return _BELOW_ONE
    if text[-1] == "5" or "e" in text:
        return text if form is not _FORMAT else _cut(value, text)
    return "0" if text == "-0" else text


def _cut(value: float, text: str) -> str:
    """The text of a number, cut off where it was rounded up to a last 5."""
    size = abs(value)
    if text.partition("e")[0][-1] != "5" or abs(float(text)) <= size or _LONG[0] <= size < _LONG[1]:
        return text
    return _FORMAT % float(_DOWN.create_decimal_from_float(value))


def number_in_data(value: float) -> float:
    """A float as a page reads it from the data."""
    return float(number(value))


def string(value: str) -> str:
    """A JSON string that cannot end a script element or a JavaScript string."""
    return _UNSAFE.sub(_escape, encode_basestring(value))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def dumps(value: Any) -> str:
    """Any plain value as JSON on one line.

    Args:
        value: None, bool, int, float, str, numpy scalar or array, list, tuple, or mapping with
            string keys, nested as needed.

    Raises:
        ValueError: A number is NaN or infinite.
        TypeError: A value or key of another kind.
    """
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is float:
        return number(value)
    if kind is str:
        return string(value)
    if kind is list or kind is tuple:
        return _array(value)
    if kind is dict:
        return "{" + ",".join([_key(key) + ":" + dumps(item) for key, item in value.items()]) + "}"
    if kind is Exact:
        return number(value, "%.9g")
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, tuple):
        return _array(value)
    if isinstance(value, np.ndarray | np.generic):
        return dumps(value.tolist())
    if isinstance(value, Mapping):
        return dumps(dict(value))
    if isinstance(value, str):
        return string(str(value))
    raise TypeError(f"{kind.__name__} has no form in the site's JSON")


def _array(values: Iterable[Any]) -> str:
    """A list; most of a report is lists of numbers, which are written here without a call each."""
    parts = []
    for item in values:
        kind = type(item)
        if kind is float and -_HUGE < item < _HUGE:
            text = _FORMAT % item
            # Where the number may not be what was formatted: see `number`.
            if text[-1] == "5" or "e" in text:
                text = _cut(item, text)
            elif text == "1" or text == "-0":
                text = number(item)
            parts.append(text)
        else:
            parts.append(str(item) if kind is int else dumps(item))
    return "[" + ",".join(parts) + "]"


@cache
def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key must be a string, not {key!r}")
    if key == "__proto__":
        raise TypeError("'__proto__' is not a key: in a script it would not be data")
    return string(key)


def record(kind: str, head: Mapping[str, Any], lists: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """The lines of one record. Each item of each list is on a line of its own.

    So `git diff` names the item that changed.

    Args:
        kind: What the record is; the page's code dispatches on it.
        head: Small fields, written on the first line.
        lists: Field name to items, each already written by `dumps`.
    """
    yield dumps({"kind": kind, **head})[:-1]
    for name, items in lists.items():
        yield f",{_key(name)}:["
        previous: str | None = None
        for item in items:
            if previous is not None:
                yield previous + ","
            previous = item
        if previous is not None:
            yield previous
        yield "]"
    yield "}"


def script(record: str) -> str:
    """A record as a data script: a classic script that hands it to the page.

    The record goes to the global list `saereport`, whether the page's code is there already or
    comes later.
    """
    return f"(self.saereport=self.saereport||[]).push({record});\n"
