"""Token ids as short printable text: two characters for the first ids, three for the others.

A shard repeats thousands of sequences of token ids, so their form decides how large a report is.
The alphabet has 88 printable ASCII characters, none of which has a meaning in HTML or inside a
JavaScript string. The first character says how long the code is: below `SHORT` two characters
(3,168 ids, in byte-pair vocabularies the most frequent ones), otherwise three (402,688 more).
`scripts/core/tokens.js` reads it back.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

ALPHABET = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "\"\\<>&'")
BASE = len(ALPHABET)
SHORT = 36
N_SHORT = SHORT * BASE
LIMIT = N_SHORT + (BASE - SHORT) * BASE * BASE

_CODES = np.frombuffer(ALPHABET.encode("ascii"), dtype=np.uint8)


def pack(tokens: npt.NDArray[np.int32], lengths: npt.NDArray[np.int64]) -> list[str]:
    """Pack consecutive runs of token ids.

    Args:
        tokens: All ids, run after run.
        lengths: Number of ids in each run; they add up to `len(tokens)`.

    Returns:
        One string per run.

    Raises:
        ValueError: An id is negative or above the 405,856 that the code can write.
    """
    ids = tokens.astype(np.int64)
    if ids.size and (ids.min() < 0 or ids.max() >= LIMIT):
        raise ValueError(f"token ids must lie in [0, {LIMIT})")
    short = ids < N_SHORT
    widths = np.where(short, 2, 3)
    ends = np.cumsum(widths)
    starts = ends - widths
    long_ids = ids - N_SHORT
    first = np.where(short, ids // BASE, SHORT + long_ids // (BASE * BASE))
    second = np.where(short, ids % BASE, long_ids // BASE % BASE)
    out = np.empty(int(ends[-1]) if ids.size else 0, dtype=np.uint8)
    out[starts] = _CODES[first]
    out[starts + 1] = _CODES[second]
    third = starts[~short] + 2
    out[third] = _CODES[long_ids[~short] % BASE]
    text = out.tobytes().decode("ascii")
    run_ends = np.cumsum(lengths)
    cuts = np.concatenate([[0], ends])[np.concatenate([[0], run_ends])].tolist()
    return [text[low:high] for low, high in pairwise(cuts)]


def packed(ids: list[int]) -> str:
    """A few ids packed; the same code as `pack`, without its cost for short lists."""
    parts = []
    for i in ids:
        if not 0 <= i < LIMIT:
            raise ValueError(f"token ids must lie in [0, {LIMIT})")
        if i < N_SHORT:
            parts.append(ALPHABET[i // BASE] + ALPHABET[i % BASE])
        else:
            rest, last = divmod(i - N_SHORT, BASE)
            parts.append(ALPHABET[SHORT + rest // BASE] + ALPHABET[rest % BASE] + ALPHABET[last])
    return "".join(parts)


def unpack(text: str) -> list[int]:
    """The ids of one packed run; the inverse of `pack`, as the page's script does it."""
    digits = [ALPHABET.index(char) for char in text]
    ids, at = [], 0
    while at < len(digits):
        if digits[at] < SHORT:
            ids.append(digits[at] * BASE + digits[at + 1])
            at += 2
        else:
            high = (digits[at] - SHORT) * BASE + digits[at + 1]
            ids.append(N_SHORT + high * BASE + digits[at + 2])
            at += 3
    return ids
