"""What becomes of documents on their way into sequences: nothing is lost without being counted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from saereport.util.errors import SaereportError

RUN = 8
"""So many times the same token at a row's end look like padding."""


class NothingCountsError(SaereportError):
    """No token of a text counts."""


class Remark(NamedTuple):
    """What a reader has to know of a text, and whether it makes the numbers doubtful."""

    text: str
    doubtful: bool = False


@dataclass
class Tally:
    """Counts of documents and tokens, in the order in which they were read.

    Attributes:
        documents: Documents with something in them that were begun.
        empty: Documents with nothing in them, and rows without any.
        blank: Those of them that do not even hold padding.
        tokens: Tokens of the documents that were begun, padding left out; at least so many
            where one was not needed whole.
        partly: Documents of which only a beginning was tokenised.
        padding: Tokens that were padding, by an attention mask or by the tokeniser's token for it.
        alone: Whether documents are a sequence each.
        cut: Documents that are longer than a sequence.
        cut_tokens: Tokens of theirs that were not read.
        short: Documents that are shorter than a sequence, and were filled up.
        filled: Places that were filled up.
        longest: Tokens of the longest document.
        without_bos: Rows that do not begin with BOS though the SAE wants that.
        left_over: Tokens at the text's end that fill no sequence and were not read.
        replaced: Lone halves of surrogate pairs that were replaced.
        runs: By token, rows without a mask that end in `RUN` of it.
    """

    documents: int = 0
    empty: int = 0
    blank: int = 0
    tokens: int = 0
    partly: int = 0
    padding: int = 0
    alone: bool = False
    cut: int = 0
    cut_tokens: int = 0
    short: int = 0
    filled: int = 0
    longest: int = 0
    without_bos: int = 0
    left_over: int = 0
    replaced: int = 0
    runs: dict[int, int] = field(default_factory=dict)

    def take(self, found: Any, ids: npt.NDArray[np.int32], *, alone: bool) -> None:
        """Count a document: as it was tokenised, and its ids without padding."""
        blank = not len(found.ids) and not found.masked
        # A row without anything does not even say whether it is text or token ids.
        self.alone = self.alone if blank else alone
        self.documents += bool(len(ids))
        self.empty += not len(ids)
        self.blank += blank
        self.partly += not found.whole
        self.tokens += len(ids)
        self.padding += len(found.ids) - len(ids) + (found.masked or 0)
        self.replaced += found.replaced
        self.longest = max(self.longest, len(ids))
        if found.given and found.masked is None and len(ids) > RUN:
            token = int(ids[-1])
            if bool((ids[-RUN:] == token).all()):
                self.runs[token] = self.runs.get(token, 0) + 1

    def fit(self, tokens: int, kept: int, filled: int) -> None:
        """Count how a document of so many tokens fitted into a sequence of its own."""
        self.cut += kept < tokens
        self.cut_tokens += tokens - kept
        self.short += filled > 0
        self.filled += filled

    def nothing_counts(self, context_size: int) -> NothingCountsError:
        """The error that no token of the text counts, and why."""
        if self.tokens:
            return NothingCountsError(
                f"No token of the text counts: the {self.tokens:,} that were read are special "
                "tokens, or such as the SAE was not trained on.",
                "Give another --dataset.",
            )
        if self.padding:
            return NothingCountsError(
                f"The text holds nothing but padding: {self.padding:,} tokens of it.",
                "Give another --dataset.",
            )
        return NothingCountsError(
            "The text is too short: there is no token in it."
            if self.empty
            else "The text is too short: it holds no document.",
            f"A sequence has {context_size:,} tokens.",
        )

    def check(self) -> None:
        """Refuse a text of which most is lost.

        Raises:
            SaereportError: Most documents hold nothing.
        """
        padded = self.empty - self.blank
        if self.alone and padded > self.documents:
            raise SaereportError(
                f"Of the text's first {self.empty + self.documents:,} rows {padded:,} hold "
                "nothing but padding.",
                "Give another --dataset, or another column with --text-column.",
            )

    def summary(self, context_size: int) -> str:
        """What was read of rows, and how they fitted, in a line; empty for joined documents."""
        if not self.alone:
            return ""
        least = "at least " if self.partly else ""
        parts = [f"Read {self.documents:,} rows of {least}{self.tokens:,} tokens"]
        if self.blank:
            parts.append(f"{self.blank:,} empty rows left out")
        if self.padding:
            parts.append(f"{self.padding:,} tokens of padding left out")
        if self.cut:
            parts.append(f"{self.cut:,} rows cut to {context_size:,} tokens")
        if self.short:
            fits = f" (--context-size {self.longest} fits them)"
            parts.append(
                f"{self.short:,} rows shorter than {context_size:,} tokens filled up"
                + (fits if 2 <= self.longest < context_size else "")
            )
        return "; ".join(parts)

    def remarks(
        self,
        context_size: int,
        n_ctx: int,
        special: Collection[int] = (),
        shown: Callable[[int], str] = str,
    ) -> list[Remark]:
        """What a reader has to know.

        Args:
            context_size: Tokens in a sequence.
            n_ctx: Longest sequence that the model takes.
            special: Tokens that do not count anyway.
            shown: A token as text.
        """
        rows = f"{self.documents:,} {'rows' if self.alone else 'documents'}"
        found = [*self._of_lengths(rows, context_size, n_ctx), *self._padded_with(special, shown)]
        if self.without_bos * 2 > self.documents:
            found.append(
                Remark(
                    f"{self.without_bos:,} of {rows} do not begin with BOS, though the SAE's "
                    "metadata asks for it; they are read as they are.",
                    True,
                )
            )
        if self.replaced:
            found.append(
                Remark(
                    f"The text holds {self.replaced:,} lone halves of surrogate pairs, which are "
                    "no characters; U+FFFD was read in their place."
                )
            )
        return found

    def _of_lengths(self, rows: str, context_size: int, n_ctx: int) -> Iterator[Remark]:
        if self.cut:
            fit = min(self.longest, n_ctx)
            more = "whole" if fit == self.longest and not self.partly else "further"
            least = "at least " if self.partly else ""
            share = "" if self.partly else f" ({self.cut_tokens / self.tokens:.0%})"
            hint = f" --context-size {fit} reads them {more}." if fit > context_size else ""
            yield Remark(
                f"{self.cut:,} of {rows} are longer than the context of {context_size:,} tokens "
                f"and were cut, as SAELens does: {least}{self.cut_tokens:,} of {self.tokens:,} "
                f"tokens{share} were not read.{hint}"
            )
        if self.filled > self.tokens - self.cut_tokens:
            yield Remark(
                f"{self.short:,} of {rows} are shorter than the context of {context_size:,} "
                f"tokens; {self.filled:,} places, more than half, were filled up and do not "
                f"count. --context-size {max(self.longest, 2)} is enough and takes less time."
            )
        padded = self.empty - self.blank
        if self.alone and padded * 10 > self.documents:
            yield Remark(f"{padded:,} rows hold nothing but padding; {rows} were read.")
        if self.blank > self.documents + padded:
            yield Remark(
                f"{self.blank:,} of the text's first {self.documents + self.empty:,} rows are "
                f"empty; {rows} were read. Another column may hold the text (--text-column)."
            )
        if not self.alone and self.left_over * 20 > self.tokens:
            yield Remark(
                f"The last {self.left_over:,} of {self.tokens:,} tokens fill no sequence of "
                f"{context_size:,} and were not read, as SAELens does."
            )

    def _padded_with(
        self, special: Collection[int], shown: Callable[[int], str]
    ) -> Iterator[Remark]:
        for token, rows in sorted(self.runs.items()):
            if rows * 10 > self.documents and token not in special:
                yield Remark(
                    f"{rows:,} of {self.documents:,} rows end in {RUN} or more of the token "
                    f"{shown(token)} ({token}), and it is counted. If that is padding, the rows "
                    "need an attention_mask.",
                    True,
                )
