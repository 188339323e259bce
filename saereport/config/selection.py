"""Which latents a report shows: the small language of `--latents`.

A selection is parsed without knowing the SAE, and resolved when the SAE's width (and, for `live`
and `top:N`, its activity on the text) is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from saereport.config.quantities import plain, read_count, refuse_zeros, split_list
from saereport.util.errors import SaereportError, UsageError, shortened

_LONGEST = 9
"""Digits of the largest latent that can be named."""

FORMS = "a list such as '0-9,14057', 'all', 'live', 'live:1e-4:200', 'random:50' or 'top:50'"

LIVE = 1e-4
"""Density above which a latent is live, unless another is asked for."""


@dataclass(frozen=True)
class Selection:
    """Parsed words of `--latents`.

    Attributes:
        words: What the user asked for, in the one way that this program writes it.
        kind: `listed` and `all` and `random` need the SAE's width alone; `live` and `top` need
            its activity.
        ranges: Inclusive ranges, for `listed`.
        count: How many, for `random` and `top`; for `live` how many of them at random, 0 for all.
        density: The share of counted tokens on which a latent is active more often than that, for
            `live`.
    """

    words: str
    kind: Literal["listed", "all", "random", "live", "top"]
    ranges: tuple[tuple[int, int], ...] = ()
    count: int = 0
    density: float = 0.0


def parse_selection(words: str) -> Selection:
    """Parse the value of `--latents`.

    Entries are parted by commas or spaces, and a range is written with a dash of any length or
    with dots: `0-9 14057`, `5 - 9`, `5..9`. Digits that stand apart are never joined.

    Raises:
        UsageError: It is none of the known forms, could be read in two ways, or a range runs
            backwards.
    """
    text = plain(words)
    if text.casefold() == "all":
        return Selection("all", "all")
    if text.casefold() == "live":
        return Selection("live", "live", density=LIVE)
    if match := re.fullmatch(r"live\s*[:=\s]\s*(\S+?)\s*(?::\s*(\S.*))?", text, re.I | re.S):
        return _live(match[1], match[2], words)
    if match := re.fullmatch(r"(random|top)\s*[:=\s]\s*(\S.*)", text, re.IGNORECASE | re.DOTALL):
        kind: Literal["random", "top"] = "random" if match[1].casefold() == "random" else "top"
        count = read_count(match[2])
        if count == 0:
            raise UsageError(f"'{shortened(words)}' chooses no latents.", "Ask for at least one.")
        return Selection(f"{kind}:{count}", kind, count=count)
    # Ranges first, so that the spaces around a dash part nothing.
    text = re.sub(r"(?<=\d)\s*(?:-|\.{2,3}|…|\bto\b)\s*(?=\d)", "-", text)
    ranges = [_range(part, words) for part in split_list(text)]
    canonical = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
    return Selection(canonical, "listed", ranges=tuple(ranges))


def _live(above: str, most: str | None, words: str) -> Selection:
    """`live` with the density from which on a latent is, and perhaps how many are wanted."""
    match = re.fullmatch(r"(\d{0,4}\.?\d{1,12}(?:e-?\d{1,2})?)(%?)", above.casefold())
    density = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= density < 1:
        raise UsageError(
            f"'{shortened(words)}' says no density from 0 to 1.", "Write it as 'live:1e-4'."
        )
    count = read_count(most) if most else 0
    if most and count == 0:
        raise UsageError(f"'{shortened(words)}' chooses no latents.", "Ask for at least one.")
    named = f"live:{density:g}" + (f":{count}" if count else "")
    return Selection(named, "live", count=count, density=float(f"{density:g}"))


def _range(part: str, words: str) -> tuple[int, int]:
    """One entry of a list: a latent, or the first and the last of a range."""
    if match := re.fullmatch(r"([0-9]+):([0-9]+)", part):
        raise UsageError(
            f"The range '{part}' can be read with its end or without it.",
            f"Write '{match[1]}-{match[2]}', which holds both ends.",
        )
    if match := re.fullmatch(r"([0-9]{1,6})[kKmM]", part):
        raise UsageError(
            f"'{part}' can mean one latent or that many.",
            f"Write its number in full, or 'random:{part}'.",
        )
    grouped = r"[0-9]{1,9}|[1-9][0-9]{0,2}(?:_[0-9]{3})+"
    match = re.fullmatch(rf"({grouped})(?:-({grouped}))?", part)
    if match is None:
        raise UsageError(f"'{shortened(words)}' does not choose latents.", f"Write {FORMS}.")
    low, high = (number.replace("_", "") for number in (match[1], match[2] or match[1]))
    for number in (low, high):
        refuse_zeros(number, shortened(words))
        if len(number) > _LONGEST:
            raise UsageError(f"'{number}' is too large for a latent.", f"Write {FORMS}.")
    if int(high) < int(low):
        raise UsageError(f"The range '{part}' runs backwards.", f"Write '{high}-{low}'.")
    return int(low), int(high)


def highest_latent(selection: Selection) -> int | None:
    """The highest latent that is named; None where none is."""
    return max((high for _, high in selection.ranges), default=None)


def check_width(selection: Selection, d_sae: int, name: str = "the SAE") -> None:
    """Check that the latents that are named are in an SAE.

    Args:
        selection: What the user asked for.
        d_sae: The SAE's width.
        name: What to call the SAE.

    Raises:
        SaereportError: One is not.
    """
    highest = highest_latent(selection)
    if highest is not None and highest >= d_sae:
        raise SaereportError(
            f"Latent {highest} is out of range: {name} has {d_sae:,} latents, 0 to {d_sae - 1}."
        )


def tracked_latents(selection: Selection, d_sae: int, seed: int) -> np.ndarray:
    """The latents to collect, sorted: the chosen ones, or all where activity decides later.

    Args:
        selection: What the user asked for.
        d_sae: The SAE's width.
        seed: Seed of `random:N`.

    Raises:
        SaereportError: A latent is not in the SAE.
    """
    if selection.kind == "listed":
        check_width(selection, d_sae)
        parts = [np.arange(low, high + 1) for low, high in selection.ranges]
        return np.unique(np.concatenate(parts)).astype(np.int64)
    if selection.kind == "random" and selection.count < d_sae:
        chosen = np.random.default_rng(seed).choice(d_sae, size=selection.count, replace=False)
        return np.sort(chosen).astype(np.int64)
    return np.arange(d_sae, dtype=np.int64)


def shown_latents(
    selection: Selection, tracked: np.ndarray, n_active: np.ndarray, n_tokens: int, seed: int
) -> np.ndarray:
    """The latents to show, sorted, once their activity is known.

    Args:
        selection: What the user asked for.
        tracked: Latents that were collected, sorted.
        n_active: For each of them, on how many tokens it was active.
        n_tokens: Tokens that were counted.
        seed: Seed of `live` with a number.
    """
    if selection.kind == "live":
        live = tracked[n_active > selection.density * n_tokens]
        if 0 < selection.count < len(live):
            chosen = np.random.default_rng(seed).choice(live, selection.count, replace=False)
            return np.sort(chosen)
        return live
    if selection.kind == "top":
        order = np.lexsort((tracked, -n_active))[: selection.count]
        return np.sort(tracked[order[n_active[order] > 0]])
    return tracked
