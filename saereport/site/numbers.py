"""Numbers as people read them, the same everywhere; `core/format.js` does it in the browser."""

from __future__ import annotations

from math import floor, log10

MINUS = "−"
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def count(value: int) -> str:
    """A count with commas: `1,234,567`."""
    return f"{value:,}".replace("-", MINUS)


def value(number: float, digits: int = 3) -> str:
    """A number with three significant digits: `14.2`, `0.0123`, `1.2×10⁻⁵`, `12,300`."""
    if number == 0:
        return "0"
    power = floor(log10(abs(number)))
    if power < -4 or power > 8:
        mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
        return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", MINUS)
    if power >= digits:
        return f"{number:,.0f}".replace("-", MINUS)
    text = f"{number:.{digits}g}"
    return (text if "e" not in text else f"{number:,.0f}").replace("-", MINUS)


def percent(share: float) -> str:
    """A share of one as a percentage: `0.12 %`, `< 0.001 %`, `100 %`."""
    if share == 0:
        return "0 %"
    if share < 1e-5:
        return "< 0.001 %"
    if share > 0.9995:
        return "100 %" if share >= 1 else "> 99.9 %"
    hundred = share * 100
    text = f"{hundred:.1f}".removesuffix(".0") if hundred >= 10 else f"{hundred:.2g}"
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
