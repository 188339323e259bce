"""Numbers as people read them, the same everywhere; `core/format.js` does it in the browser.

The browser has a float as the JSON writer wrote it, with fewer digits. So that one number reads
the same in the HTML and in what scripts draw, a float is rounded as in the data first. A half is
rounded away from zero, as browsers do. `tests/site/number_cases.py` is one table for both.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from math import floor, log10

from saereport.site.jsonwriter import DIGITS, Exact, number_in_data

MINUS = "−"
SCORE_DIGITS = 4
"""Decimals of an output score, which lies between -1 and 1."""
WHOLE = 1e15
"""Numbers from here on are not written out."""
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def count(value: int) -> str:
    """A count with commas: `1,234,567`."""
    return f"{value:,}".replace("-", MINUS)


def value(number: float, digits: int = 3) -> str:
    """A number with three significant digits: `14.2`, `0.0123`, `1.2×10⁻⁵`; `12,350` as stored.

    A `jsonwriter.Exact`, such as the edge of a bin, is not rounded as in the data.
    """
    if digits < DIGITS:
        number = _in_data(number)
    if number == 0:
        return "0"
    power = floor(log10(abs(number)))
    rounded = Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal_from_float(number)
    if power < -4 or power > 8:
        mantissa, exponent = f"{rounded:.{digits - 1}e}".split("e")
        return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", MINUS)
    if power >= digits or abs(rounded) >= 10**digits:
        return count(int(Decimal(number).to_integral_value(ROUND_HALF_UP)))
    return f"{float(rounded):.{digits}g}".replace("-", MINUS)


def shown(value_or_text: float | str) -> str:
    """A text as it is, a whole number as a count, another as a `value`."""
    if isinstance(value_or_text, str):
        return value_or_text
    number = _in_data(value_or_text)
    whole = abs(number) < WHOLE and number == floor(number)
    return count(int(number)) if whole else value(number)


def _in_data(number: float) -> float:
    """A number as the browser has it."""
    return number if isinstance(number, int | Exact) else number_in_data(number)


def percent(share: float) -> str:
    """A share of one as a percentage: `0.12 %`, `< 0.001 %`, `100 %`."""
    share = _in_data(share)
    if share == 0:
        return "0 %"
    if share < 1e-5:
        return "< 0.001 %"
    if share > 0.9995:
        return "100 %" if share >= 1 else "> 99.9 %"
    hundred = share * 100
    digits = 3 if hundred >= 10 else 2
    rounded = Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal_from_float(hundred)
    text = f"{rounded:.1f}".removesuffix(".0") if hundred >= 10 else f"{float(rounded):.2g}"
    return f"{text} %"


def one_in(share: float) -> str:
    """A density as `1 in 106 tokens`, with three significant digits as in `value`."""
    if share <= 0:
        return "never"
    every = float(f"{1 / share:.3g}")
    return f"1 in {f'{every:g}' if every < 1000 else count(round(every))} tokens"


def size(n_bytes: int) -> str:
    """Bytes in decimal units: `1.2 MB`."""
    amount = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{value(amount)} {unit}"
        amount /= 1000
    return f"{value(amount)} TB"


def plural(n: int, one: str, many: str = "") -> str:
    """A count with its noun: `1 token`, `2,304 latents`."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"
