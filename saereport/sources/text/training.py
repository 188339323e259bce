"""On which tokens an SAE was trained, as its metadata says it, and what follows for a report.

A token that an SAE never saw says nothing about it: its activation there is what a function does
outside the range that it was fitted to. Such tokens do not count, in any statistic.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from saereport.util.errors import SaereportError

_STATED = "as the SAE's metadata says"
_ASSUMED = "not stated; SAELens's default"


@dataclass(frozen=True)
class TrainingTokens:
    """What an SAE's metadata says of its training tokens; None where it does not say it.

    Attributes:
        context_size: Length of its sequences.
        positions: Slice of each sequence that it saw (SAELens's `seqpos_slice`).
        excluded: Tokens that it did not see: True for special ones, False for none, or ids.
        joined: Whether documents were joined to fill sequences.
        prepend_bos: Whether sequences began with BOS.
        separator: What stood between documents, in words.
    """

    context_size: int | None = None
    positions: slice | None = None
    excluded: bool | tuple[int, ...] | None = None
    joined: bool | None = None
    prepend_bos: bool | None = None
    separator: str | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, Any], slug: str) -> TrainingTokens:
        """Read an SAE's metadata.

        Args:
            metadata: As SAELens has it.
            slug: The SAE, for messages.

        Raises:
            SaereportError: A value is none that SAELens writes.
        """

        def refuse(name: str) -> SaereportError:
            return SaereportError(
                f"The metadata of the SAE {slug} says {name}: {str(metadata.get(name))[:60]}, "
                "which cannot be understood.",
                "Correct it in the SAE's cfg.json.",
            )

        context = metadata.get("context_size")
        if context is not None and not _is_whole(context):
            raise refuse("context_size")
        excluded = metadata.get("exclude_special_tokens")
        if isinstance(excluded, (list, tuple)) and all(map(_is_whole, excluded)):
            excluded = tuple(sorted(set(excluded)))
        elif not (excluded is None or isinstance(excluded, bool)):
            raise refuse("exclude_special_tokens")
        for name in ("disable_concat_sequences", "prepend_bos"):
            if not (metadata.get(name) is None or isinstance(metadata.get(name), bool)):
                raise refuse(name)
        apart = metadata.get("disable_concat_sequences")
        separator = metadata.get("sequence_separator_token")
        stated = "sequence_separator_token" in metadata
        positions = _slice(metadata.get("seqpos_slice"))
        if positions is _NO_SLICE or (
            positions is not None and not range(context or 2**20)[positions]
        ):
            raise refuse("seqpos_slice")
        return cls(
            context_size=context if context is not None and context > 1 else None,
            positions=positions,
            excluded=excluded,
            joined=None if apart is None else not apart,
            prepend_bos=metadata.get("prepend_bos"),
            separator=("none" if separator is None else str(separator)[:40]) if stated else None,
        )

    def seen(self, context_size: int) -> npt.NDArray[np.bool_] | None:
        """Positions of a sequence that the SAE saw, bool `[context_size]`; None for all.

        A slice is of the sequences that the SAE was trained on: one that leaves out their last 5
        tokens leaves out the same places in a shorter sequence, and what lies beyond in a longer.
        """
        if self.positions is None:
            return None
        of = self.context_size or context_size
        start, stop, step = self.positions.indices(of)
        if self.positions.stop is None or (self.positions.stop > of):
            stop = max(stop, context_size)
        mask = np.zeros(max(stop, context_size), np.bool_)
        mask[start:stop:step] = True
        return None if mask[:context_size].all() else mask[:context_size]

    def excluded_ids(self, special: Collection[int]) -> frozenset[int]:
        """Tokens that the SAE did not see, beyond the special ones, which never count."""
        listed = self.excluded if isinstance(self.excluded, tuple) else ()
        return frozenset(listed) - frozenset(special)

    def words(self) -> dict[str, str]:
        """What is known of it and what is not, for the provenance page."""
        positions, excluded = self.positions, self.excluded
        where = None
        if positions is not None:
            ends = ("" if end is None else str(end) for end in (positions.start, positions.stop))
            where = f"[{':'.join(ends)}] of a sequence"
            where += f", every {positions.step}th" if positions.step not in (None, 1) else ""
        names = {True: "special tokens were left out", False: "no token was left out", None: ""}
        tokens = (
            f"token ids {', '.join(map(str, excluded[:20]))} were left out"
            + (f" ({len(excluded)} in all)" if len(excluded) > 20 else "")
            if isinstance(excluded, tuple)
            else names[excluded]
        )
        joined = "joined" if self.joined in (True, None) else "each a sequence of its own"
        return {
            "context": _known(self.context_size and f"{self.context_size:,} tokens", "not stated"),
            "bos": _known(
                None if self.prepend_bos is None else "yes" if self.prepend_bos else "no",
                f"yes ({_ASSUMED})",
            ),
            "positions": _known(where, f"all ({_ASSUMED})"),
            "tokens left out": _known(tokens, f"none ({_ASSUMED})"),
            "documents": _known(None if self.joined is None else joined, f"joined ({_ASSUMED})"),
            "separator": _known(self.separator, f"bos ({_ASSUMED})"),
        }


def agree(
    trained: Mapping[str, TrainingTokens], context_size: int, special: Collection[int]
) -> None:
    """Check that SAEs count the same tokens, as one pass over the text needs.

    Args:
        trained: By slug, what each says.
        context_size: Tokens in a sequence.
        special: Special tokens.

    Raises:
        SaereportError: Two of them do not.
    """
    (first, one), *others = trained.items()
    for slug, other in others:
        for name, same in (
            ("positions of a sequence (seqpos_slice)", _same_positions(one, other, context_size)),
            (
                "tokens (exclude_special_tokens)",
                one.excluded_ids(special) == other.excluded_ids(special),
            ),
            (
                "kinds of sequences (disable_concat_sequences)",
                (one.joined is not False) == (other.joined is not False),
            ),
        ):
            if not same:
                raise SaereportError(
                    f"The SAEs {first} and {slug} were trained on different {name}; the "
                    "statistics of one report are over the same tokens.",
                    "Make two reports.",
                )


def _same_positions(one: TrainingTokens, other: TrainingTokens, context_size: int) -> bool:
    masks = [trained.seen(context_size) for trained in (one, other)]
    whole = np.ones(context_size, np.bool_)
    a, b = (whole if mask is None else mask for mask in masks)
    return bool(np.array_equal(a, b))


def _known(words: Any, otherwise: str) -> str:
    return f"{words} ({_STATED})" if words else otherwise


_NO_SLICE = slice("none")
"""Stands for a value that is no slice."""


def _slice(value: Any) -> slice | None:
    """A slice as SAELens stores it, a list of one to three numbers or None; `_NO_SLICE` if none."""
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 3:
        return _NO_SLICE
    if not all(item is None or _is_whole(item) for item in value):
        return _NO_SLICE
    found = slice(*value)
    return _NO_SLICE if found.step is not None and found.step < 1 else found


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31
