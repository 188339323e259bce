"""Numbers as people write them: `1M`, `10k`, `1,000,000`, `1_000_000`, `２５`.

What can be read in one way only is read; everything else is refused, with both readings named.
Digits that stand apart are never joined: `1 2 3` is not 123.
"""

from __future__ import annotations

import re
import unicodedata

from saereport.util.errors import UsageError

_SCALES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}
_BYTES: dict[str, int] = {
    **{f"{name}b": 10 ** (3 * power) for power, name in enumerate("kmgt", 1)},
    **{f"{name}ib": 2 ** (10 * power) for power, name in enumerate("kmgt", 1)},
}
_LONGEST_TIME = 30 * 24 * 3600
"""Seconds of a budget at most: a month."""
_DIGITS = 15
"""Digits of the largest number that is read: more tokens than there is text."""


def plain(words: str) -> str:
    """Words with digits, spaces, commas and dashes of any script as the ordinary ones.

    Superscripts and fractions stay what they are: `10²` is not 102.
    """
    return "".join(_ordinary(char) for char in words).strip()


def _ordinary(char: str) -> str:
    if char.isascii():
        return char
    if (digit := unicodedata.decimal(char, None)) is not None:
        return str(digit)
    if unicodedata.category(char) == "Pd" or char == "\u2212":
        return "-"
    if char in "\u3001\u060c":  # commas of Chinese, Japanese and Arabic
        return ","
    kind = unicodedata.category(char)[0]
    folded = unicodedata.normalize("NFKC", char)
    return folded if kind in "PZ" or "\uff01" <= char <= "\uff5e" else char


def read_count(words: str) -> int:
    """A number of things.

    Args:
        words: Digits, with groups of three parted by commas, spaces, underscores or apostrophes,
            or a short form (`10k`, `1.5M`, `2e6`, `3 million`).

    Raises:
        UsageError: It is no whole number, or can be read in two ways; says what to write.
    """
    text = plain(words)
    folded = text.casefold().replace("thousand", "k").replace("million", "m")
    folded = folded.replace("billion", "b")
    match = re.fullmatch(r"(.*?)\s*([kmbg]?)", folded, re.DOTALL)
    number, scale = (match[1], _SCALES[match[2]]) if match else (folded, 1)
    if grouped := re.fullmatch(r"[1-9]\d{0,2}(?:([, _'’])\d{3}(?:\1\d{3})*)", number):
        return _within(int(number.replace(grouped[1], "")) * scale, words)
    if re.fullmatch(r"\d+", number):
        digits = number.lstrip("0") or "0"
        return _within(int(digits[: _DIGITS + 5]) * scale, words)
    if re.fullmatch(r"\d+\.\d{3}", number) and scale == 1:
        whole, _, rest = number.partition(".")
        raise UsageError(
            f"'{words}' can mean {whole} or {whole}{rest}.",
            f"Write '{whole}{rest}' for the latter.",
        )
    if match := re.fullmatch(r"(\d{1,15})(?:\.(\d{1,15}))?(?:e\+?(\d{1,2}))?", number):
        power = int(match[3] or 0)
        decimals = match[2] or ""
        top, bottom = int(match[1] + decimals) * scale * 10**power, 10 ** len(decimals)
        if top % bottom == 0:
            return _within(top // bottom, words)
    raise UsageError(f"'{words}' is not a whole number.", "Write it as 5000, 10k or 1M.")


def read_budget(words: str) -> int | str:
    """How much may be spent: a number of tokens, or of seconds.

    Args:
        words: A count (`200k`), `none`, or a time with its unit (`60s`, `2 min`, `1h`).

    Returns:
        Tokens, 0 for none; or seconds as this program writes them: `60s`.

    Raises:
        UsageError: It is neither.
    """
    text = plain(words).casefold()
    if text in ("none", "no", "off"):
        return 0
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*(s|sec|seconds?|min|minutes?|h|hours?)", text)
    if match is None:
        return read_count(words)
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2][0]]
    if not 1 <= seconds <= _LONGEST_TIME:
        raise UsageError(f"'{words}' is no time to work in.", "Give a second or more: '60s'.")
    return f"{seconds:g}s"


def seconds_of(budget: int | str) -> float | None:
    """The seconds of what `read_budget` gives; None for tokens."""
    return float(budget.removesuffix("s")) if isinstance(budget, str) else None


def read_bytes(words: str) -> int:
    """A number of bytes: a plain number, or one with a unit (`8 GB`, `8GiB`).

    Raises:
        UsageError: It is neither.
    """
    match = re.fullmatch(r"(\d{1,6})\s*([kmgt]i?b)", plain(words).casefold())
    if match:
        return int(match[1]) * _BYTES[match[2]]
    if re.fullmatch(r"\d{1,18}", plain(words)):
        return int(plain(words))
    raise UsageError(f"'{words}' is not a number of bytes.", "Write it as 8GB or 8GiB.")


def read_length(words: str) -> int:
    """A number of tokens in a sequence, of which `4k` could be 4,000 or 4,096.

    Raises:
        UsageError: It is no whole number, or a short form.
    """
    count = read_count(words)
    if match := re.fullmatch(r"(\d{1,6})\s*k", plain(words).casefold()):
        n = int(match[1])
        raise UsageError(
            f"'{words}' can mean {n * 1000:,} or {n * 1024:,}.", f"Write '{n * 1024}' or '{n}000'."
        )
    return count


def read_ids(words: str) -> list[int]:
    """A list of numbers, parted by commas or spaces.

    Raises:
        UsageError: One of them is none, or begins with zeros as the rest of `1,000` does.
    """
    parts = split_list(words)
    for part in parts:
        if not re.fullmatch(r"-?[0-9]{1,18}", part):
            raise UsageError(
                f"'{words}' is not a list of token ids.", "Write numbers with commas: '1,504,414'."
            )
        refuse_zeros(part, words)
    return [int(part) for part in parts]


def split_list(words: str) -> list[str]:
    """The entries of a list whose separators are commas, semicolons or spaces.

    An entry between two commas may be empty; that is for the caller to refuse.
    """
    return re.split(r"\s*[,;]\s*|\s+", plain(words))


def refuse_zeros(number: str, words: str) -> None:
    """Refuse `000` in a list: `1,000` can be one number or two.

    Raises:
        UsageError: `number` begins with a zero that says nothing.
    """
    if re.match(r"-?0\d", number):
        raise UsageError(
            f"'{words}' can be read in two ways: '{number}' begins with a zero.",
            "Write numbers of a list without zeros in front and without separators of thousands.",
        )


def _within(count: int, words: str) -> int:
    if count >= 10**_DIGITS:
        raise UsageError(f"'{words[:40]}' is too large a number.", "Write it as 5000, 10k or 1M.")
    return count
