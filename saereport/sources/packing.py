"""Packing: how documents become sequences of tokens.

It follows SAELens's training (`concat_and_batch_sequences`), so that a report shows an SAE
on sequences of the kind that it was trained on: documents are tokenised without special tokens,
joined with a separator token (BOS unless the SAE's metadata says otherwise), and cut into
sequences of the SAE's context size, each of which begins with BOS where the SAE wants that.
Nothing is shuffled: the same text, tokeniser and settings give the same sequences.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from saereport.errors import SaereportError
from saereport.sources.text import Document

# Documents are tokenised together until this many characters have come together.
_CHARACTERS = 1 << 18


@dataclass(frozen=True, eq=False)
class Packed:
    """Some consecutive sequences.

    Attributes:
        first: Index of the first of them in the text.
        tokens: Token ids `[n, context_size]`.
        counted: Which tokens count in the statistics `[n, context_size]`.
        documents: Index of the document that each token comes from `[n, context_size]`; a
            separator or BOS belongs to the document after it.
    """

    first: int
    tokens: npt.NDArray[np.int32]
    counted: npt.NDArray[np.bool_]
    documents: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.tokens)

    def part(self, start: int, stop: int) -> Packed:
        """The sequences `start` to `stop` (exclusive), counted within this batch."""
        return Packed(
            self.first + start,
            self.tokens[start:stop],
            self.counted[start:stop],
            self.documents[start:stop],
        )


def separator_id(separator: str | int | None, tokenizer: Any) -> int | None:
    """The token that SAELens puts between documents for a setting of its metadata.

    Args:
        separator: `bos`, `eos`, `sep`, a token id, or None for none.
        tokenizer: The model's tokeniser.
    """
    if separator is None or isinstance(separator, int):
        return separator
    if separator not in ("bos", "eos", "sep"):
        raise SaereportError(f"The SAE's metadata names an unknown separator '{separator}'.")
    value: int | None = getattr(tokenizer, f"{separator}_token_id")
    return value


# Tokens, documents, and which of the tokens packing put in.
_Sequence = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]


class _Rows:
    """Sequences under construction."""

    def __init__(self, context_size: int, bos: int | None, separator: int | None) -> None:
        self.context_size = context_size
        self.bos = bos
        self.separator = separator
        self.fresh()

    def fresh(self) -> None:
        self.tokens = np.zeros(self.context_size, np.int32)
        self.documents = np.zeros(self.context_size, np.int32)
        self.inserted = np.zeros(self.context_size, np.bool_)
        self.used = 0

    def put(self, token: int, document: int) -> None:
        self.tokens[self.used] = token
        self.documents[self.used] = document
        self.inserted[self.used] = True
        self.used += 1

    def add(self, ids: npt.NDArray[np.int32], document: int) -> Iterator[_Sequence]:
        """Add a document; give back each sequence that it completes."""
        offset = 0
        while offset < len(ids):
            if self.used == 0:
                if self.bos is not None and ids[offset] != self.bos:
                    self.put(self.bos, document)
            elif self.separator is not None and offset == 0 and ids[0] != self.separator:
                self.put(self.separator, document)
            n = min(self.context_size - self.used, len(ids) - offset)
            self.tokens[self.used : self.used + n] = ids[offset : offset + n]
            self.documents[self.used : self.used + n] = document
            self.used += n
            offset += n
            if self.used == self.context_size:
                yield self.tokens, self.documents, self.inserted
                self.fresh()


def pack(
    documents: Iterable[Document],
    tokenizer: Any,
    *,
    context_size: int,
    prepend_bos: bool,
    bos_id: int | None,
    special_ids: Iterable[int],
    separator: str | int | None = "bos",
    include_special: bool = False,
    limit_tokens: int | None = None,
    batch: int = 32,
    skip: int = 0,
) -> Iterator[Packed]:
    """Tokenise documents and pack them into sequences.

    Documents that are token ids already are taken as they are, as SAELens does: each is cut to
    `context_size`, and shorter ones are left out.

    Args:
        documents: Text, or token ids.
        tokenizer: The model's Hugging Face tokeniser.
        context_size: Tokens in a sequence.
        prepend_bos: Begin each sequence with BOS.
        bos_id: The BOS token.
        special_ids: Tokens that do not count, unless `include_special`. BOS and separators that
            were put in by packing do not count either.
        separator: What stands between documents: see `separator_id`.
        include_special: Count special tokens too; padding never counts.
        limit_tokens: Stop after the whole sequences that it takes to hold this many tokens,
            special ones included (so `ceil(limit_tokens / context_size)` sequences).
        batch: Sequences in each batch; the last may be shorter.
        skip: Leave out this many sequences from the start, to continue where a run stopped.

    Yields:
        Batches of consecutive sequences. The incomplete last sequence is left out, unless it is
        the only one: then it is padded, and the padding does not count.

    Raises:
        SaereportError: No token of the text counts.
    """
    if context_size < 2:
        raise SaereportError(f"A context size of {context_size} tokens leaves nothing to read.")
    if prepend_bos and bos_id is None:
        raise SaereportError(
            "The SAE wants sequences that begin with BOS, and the model's tokeniser has no such "
            "token."
        )
    limit = None if limit_tokens is None else max(1, math.ceil(limit_tokens / context_size))
    special = np.array(sorted(set(special_ids)), np.int32)
    sequences = islice(
        _sequences(
            documents,
            tokenizer,
            _Rows(
                context_size, bos_id if prepend_bos else None, separator_id(separator, tokenizer)
            ),
        ),
        limit,
    )
    first, any_counted = 0, False
    pending: list[tuple[Any, Any, Any]] = []
    for tokens, origin, inserted in sequences:
        if first + len(pending) < skip:
            first, any_counted = first + 1, True
            continue
        pad = origin < 0
        counted = ~pad if include_special else ~(pad | inserted | np.isin(tokens, special))
        any_counted = any_counted or bool(counted.any())
        pending.append((tokens, counted, np.where(pad, np.int32(origin.max()), origin)))
        if len(pending) == batch:
            yield _batch(first, pending)
            first, pending = first + len(pending), []
    if not any_counted:
        raise SaereportError(
            "The text is too short: no token of it counts.",
            f"A sequence has {context_size} tokens.",
        )
    if pending:
        yield _batch(first, pending)


def _batch(first: int, rows: Sequence[tuple[Any, Any, Any]]) -> Packed:
    tokens, counted, documents = (np.stack(part) for part in zip(*rows, strict=True))
    return Packed(first, tokens, counted, documents.astype(np.int32))


def _sequences(documents: Iterable[Document], tokenizer: Any, rows: _Rows) -> Iterator[_Sequence]:
    """Sequences as (tokens, documents, whether packing put a token in); padding has document -1."""
    complete = False
    for number, ids, given in _tokenized(documents, tokenizer):
        if given:
            if len(ids) >= rows.context_size:
                complete = True
                size = rows.context_size
                where = np.full(size, number, np.int32)
                yield ids[:size], where, np.zeros(size, np.bool_)
            elif not complete:
                _keep_longest(rows, ids, number)
            continue
        for sequence in rows.add(ids, number):
            complete = True
            yield sequence
    if not complete and rows.used:
        rows.documents[rows.used :] = -1
        rows.tokens[rows.used :] = next((i for i in (rows.bos, rows.separator) if i is not None), 0)
        yield rows.tokens, rows.documents, rows.inserted


def _keep_longest(rows: _Rows, ids: npt.NDArray[np.int32], number: int) -> None:
    """Of rows that are all too short, keep the longest to be the only sequence."""
    if len(ids) > rows.used:
        rows.fresh()
        rows.tokens[: len(ids)] = ids
        rows.documents[: len(ids)] = number
        rows.used = len(ids)


def _tokenized(
    documents: Iterable[Document], tokenizer: Any
) -> Iterator[tuple[int, npt.NDArray[np.int32], bool]]:
    """Each document's index and token ids, and whether the ids were given."""
    group: list[tuple[int, str]] = []
    size = 0
    for number, document in chain(enumerate(documents), [(-1, "")]):
        if not isinstance(document, str):
            yield number, np.asarray(document, np.int32), True
            continue
        if number >= 0:
            group.append((number, document))
            size += len(document)
        if group and (size >= _CHARACTERS or number < 0):
            yield from _tokenize(group, tokenizer)
            group, size = [], 0


def _tokenize(
    group: Sequence[tuple[int, str]], tokenizer: Any
) -> Iterator[tuple[int, npt.NDArray[np.int32], bool]]:
    # The fast tokeniser's own batch call: no attention masks, and all cores. It is also silent
    # about documents longer than the model's context, which are cut here anyway.
    fast = getattr(tokenizer, "backend_tokenizer", None) or getattr(tokenizer, "_tokenizer", None)
    texts = [document for _, document in group]
    if fast is not None:
        fast.no_truncation()
        fast.no_padding()
        encoded = [e.ids for e in fast.encode_batch_fast(texts, add_special_tokens=False)]
    else:
        encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    for (number, _), ids in zip(group, encoded, strict=True):
        yield number, np.asarray(ids, np.int32), False
