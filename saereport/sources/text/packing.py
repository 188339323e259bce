"""Packing: how documents become sequences of tokens.

It follows SAELens's training (`concat_and_batch_sequences`), so that a report shows an SAE
on sequences of the kind that it was trained on: documents are tokenised without special tokens,
joined with a separator token (BOS unless the SAE's metadata says otherwise), and cut into
sequences of the SAE's context size, each of which begins with BOS where the SAE wants that.
Nothing is shuffled: the same text, tokeniser and settings give the same sequences.

Rows of token ids, and documents where the SAE was trained without joining them, are a sequence
each: what is longer than the context is cut, as SAELens does. What is shorter, which SAELens
leaves out, is filled up on the right and the filling does not count: in a causal model no token
sees what stands behind it, so the row's own activations are those that it has alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice, takewhile
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from saereport.sources.text.conversations import Chat
from saereport.sources.text.documents import Document
from saereport.sources.text.tally import Tally
from saereport.util.ahead import ahead
from saereport.util.errors import SaereportError
from saereport.util.visible import visible_text

# Documents are tokenised together until this many characters have come together; of a longer one
# only as long a beginning as is needed, for a token takes a kilobyte of memory on its way.
_CHARACTERS = 1 << 18

# So many tokens before a cut are not used: what stands behind it could have changed them.
_MARGIN = 1024

# A word's end, then space, then another word's beginning: no tokeniser's words reach across it.
_BETWEEN_WORDS = re.compile(r"\S\s+\S")

_AHEAD = 1 << 17
"""Tokens that may wait for being packed."""

_HALVES = re.compile("[\ud800-\udfff]")

Place = Callable[[int], str]
"""Says of a document's number, from 0, where it stands."""


# Tokens, documents (-1 for padding), and which of the tokens packing put in.
_Sequence = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]


def _numbered(number: int) -> str:
    return f"document {number + 1:,}"


@dataclass(frozen=True, eq=False)
class Rules:
    """How documents become sequences, and which of their tokens count.

    Attributes:
        context_size: Tokens in a sequence.
        prepend_bos: Begin each sequence of text with BOS; rows of token ids stay as they are.
        bos_id: The BOS token.
        special_ids: Tokens that do not count, unless `include_special`. BOS and separators that
            were put in by packing do not count either.
        separator: What stands between documents: see `separator_id`.
        include_special: Count special tokens too; padding never counts.
        joined: Whether documents are joined; otherwise each is a sequence of its own.
        positions: Positions of a sequence that the SAE saw `[context_size]`; None for all.
        excluded: Tokens that it never saw, special ones aside.
        n_vocab: Rows of the model's embedding; None where ids need not be checked.
    """

    context_size: int
    prepend_bos: bool
    bos_id: int | None
    special_ids: Collection[int]
    separator: str | int | None = "bos"
    include_special: bool = False
    joined: bool = True
    positions: npt.NDArray[np.bool_] | None = None
    excluded: frozenset[int] = field(default_factory=frozenset)
    n_vocab: int | None = None

    def counted(self, sequence: _Sequence) -> npt.NDArray[np.bool_]:
        """Which tokens of a sequence count, `[context_size]`."""
        tokens, documents, inserted = sequence
        counted: npt.NDArray[np.bool_] = (documents >= 0) & ~np.isin(tokens, self._never_seen)
        if not self.include_special:
            counted &= ~(inserted | np.isin(tokens, self._special))
        if self.positions is not None:
            counted &= self.positions
        return counted

    def record(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "context_size": self.context_size,
            "prepend_bos": self.prepend_bos,
            "bos_id": self.bos_id,
            "special_ids": sorted(self.special_ids),
            "separator": self.separator,
            "include_special": self.include_special,
            "joined": self.joined,
            "positions": None if self.positions is None else np.packbits(self.positions).tolist(),
            "excluded": sorted(self.excluded),
            "n_vocab": self.n_vocab,
        }

    @cached_property
    def _special(self) -> npt.NDArray[np.int32]:
        return np.array(sorted(set(self.special_ids)), np.int32)

    @cached_property
    def _never_seen(self) -> npt.NDArray[np.int32]:
        return np.array(sorted(self.excluded), np.int32)


@dataclass(frozen=True)
class Portion:
    """Which sequences of a text are wanted, and how many at a time.

    Attributes:
        limit_tokens: Stop after the whole sequences that it takes to hold this many tokens,
            special ones included (so `ceil(limit_tokens / context_size)` sequences).
        skip: Leave out this many sequences from the start, to continue where a run stopped.
        batch: Sequences in each batch; the last may be shorter.
    """

    limit_tokens: int | None = None
    skip: int = 0
    batch: int = 32

    def last(self, context_size: int) -> int | None:
        """How many sequences are made, skipped ones included; None for all."""
        if self.limit_tokens is None:
            return None
        return max(1, math.ceil(self.limit_tokens / context_size))


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

    Raises:
        SaereportError: It is none of these.
    """
    if separator is None or (isinstance(separator, int) and not isinstance(separator, bool)):
        return separator
    if separator not in ("bos", "eos", "sep"):
        raise SaereportError(
            f"The SAE's metadata names an unknown separator '{str(separator)[:40]}'.",
            "Known are bos, eos, sep and token ids.",
        )
    value: int | None = getattr(tokenizer, f"{separator}_token_id")
    return value


class _Rows:
    """Sequences under construction."""

    def __init__(self, context_size: int, bos: int | None, separator: int | None) -> None:
        self.context_size = context_size
        self.bos = bos
        self.separator = separator
        self.filling = next((i for i in (bos, separator) if i is not None), 0)
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
    rules: Rules,
    portion: Portion | None = None,
    *,
    tally: Tally | None = None,
    place: Place = _numbered,
    in_thread: bool = False,
) -> Iterator[Packed]:
    """Tokenise documents and pack them into sequences.

    Args:
        documents: Text, or token ids.
        tokenizer: The model's Hugging Face tokeniser.
        rules: How sequences are made.
        portion: Which of them are wanted; all by default.
        tally: Counts what becomes of the documents.
        place: Says where a document stands, for messages.
        in_thread: Read documents and tokenise them in a thread of their own, ahead of packing.

    Yields:
        Batches of consecutive sequences. The incomplete last sequence of joined documents is left
        out, unless it is the only one: then it is filled up, and the filling does not count.

    Raises:
        SaereportError: No token of the text counts, or one is none of the model's.
    """
    portion, tally = portion or Portion(), Tally() if tally is None else tally
    rows = _rows(rules, tokenizer)
    limit = portion.last(rules.context_size)
    most = None if limit is None else limit * rules.context_size
    found = _tokenized(documents, tokenizer, rules, place, _Need(most, rules.context_size))
    padding = _padding_of(tokenizer)
    with _read_ahead(found) if in_thread else nullcontext(found) as tokenized:
        sequences = islice(_sequences(tokenized, rows, padding, rules, tally), limit)
        yield from _batches(sequences, rules, portion, tally)


def _read_ahead(found: Iterator[_Tokenized]) -> AbstractContextManager[Iterator[_Tokenized]]:
    return ahead(found, depth=_AHEAD, weigh=lambda one: len(one.ids))


def _batches(
    sequences: Iterable[_Sequence], rules: Rules, portion: Portion, tally: Tally
) -> Iterator[Packed]:
    """Sequences in batches, without those that are skipped."""
    first, any_counted = 0, False
    pending: list[tuple[Any, Any, Any]] = []
    for sequence in sequences:
        if first + len(pending) < portion.skip:
            first, any_counted = first + 1, True
            continue
        tokens, origin, _ = sequence
        counted = rules.counted(sequence)
        any_counted = any_counted or bool(counted.any())
        pending.append((tokens, counted, np.where(origin < 0, np.int32(origin.max()), origin)))
        if len(pending) == portion.batch:
            yield _batch(first, pending)
            first, pending = first + len(pending), []
    if not any_counted:
        raise tally.nothing_counts(rules.context_size)
    if pending:
        yield _batch(first, pending)


def _rows(rules: Rules, tokenizer: Any) -> _Rows:
    """Sequences to be filled by these rules.

    Raises:
        SaereportError: The rules make no sense, or not with this tokeniser.
    """
    if rules.prepend_bos and rules.bos_id is None:
        raise SaereportError(
            "The SAE wants sequences that begin with BOS, and the model's tokeniser has no such "
            "token."
        )
    bos = rules.bos_id if rules.prepend_bos else None
    between = separator_id(rules.separator, tokenizer)
    if rules.context_size < 2:
        raise SaereportError(
            f"A context size of {rules.context_size} tokens leaves nothing to read.",
            "Give a larger --context-size.",
        )
    for name, token in {"BOS token": bos, "separator": between}.items():
        if token is not None and not 0 <= token < (rules.n_vocab or 2**31):
            raise SaereportError(
                f"The {name} is {token}, which is none of the model's {rules.n_vocab or 2**31:,} "
                "tokens.",
                "The tokeniser and the model do not belong together.",
            )
    return _Rows(rules.context_size, bos, between)


def _batch(first: int, rows: Sequence[tuple[Any, Any, Any]]) -> Packed:
    tokens, counted, documents = (np.stack(part) for part in zip(*rows, strict=True))
    return Packed(first, tokens, counted, documents.astype(np.int32))


class _Tokenized(NamedTuple):
    """A document's number and token ids, and what is known of how they came about.

    `whole` is false where only the beginning of a long document was tokenised.
    """

    number: int
    ids: npt.NDArray[np.int32]
    given: bool
    masked: int | None = None
    replaced: int = 0
    whole: bool = True


@dataclass
class _Need:
    """How many tokens are still needed, at most: `total` of all documents, None for no limit."""

    total: int | None
    context_size: int

    def characters(self) -> int:
        """How many characters are worth tokenising together."""
        return _CHARACTERS if self.total is None else min(_CHARACTERS, 8 * self.total + 4096)


class _Padding(NamedTuple):
    """A token that rows may be padded with, what else it is, and the token that begins texts."""

    token: int
    is_pad: bool
    is_end: bool
    bos: int | None


def _padding_of(tokenizer: Any) -> list[_Padding]:
    """What rows may be padded with: the tokeniser's token for it, or the end of text.

    Where a tokeniser has no token for padding, the end of text usually stands in for it.
    """
    pad, bos, eos, sep = (
        getattr(tokenizer, f"{name}_token_id", None) for name in ("pad", "bos", "eos", "sep")
    )
    tokens = dict.fromkeys(token for token in (pad, eos) if token is not None)
    return [_Padding(t, t == pad, t in (eos, sep), bos) for t in tokens]


def _without_padding(
    ids: npt.NDArray[np.int32], paddings: Iterable[_Padding]
) -> npt.NDArray[np.int32]:
    """A row that has no mask, without the padding on either side of it.

    Where the same token also ends texts, one is left on the right: that is what it means there,
    and it counts as little as padding does. On the left the one that is BOS is left, and an end of
    text that stands there alone.
    """
    for padding in paddings:
        if not len(ids) or padding.token not in (ids[0], ids[-1]):
            continue
        kept = np.flatnonzero(ids != padding.token)
        if not len(kept):
            return ids[:0]
        start, stop = int(kept[0]), int(kept[-1]) + 1
        alone = start == 1 and padding.is_end and not (padding.is_pad and ids[1] == padding.bos)
        if start and (padding.token == padding.bos or alone):
            start -= 1
        stop += padding.is_end and stop < len(ids)
        ids = ids[start:stop]
    return ids


def _sequences(
    documents: Iterable[_Tokenized],
    rows: _Rows,
    paddings: Sequence[_Padding],
    rules: Rules,
    tally: Tally,
) -> Iterator[_Sequence]:
    """Sequences as (tokens, documents, whether packing put a token in); padding has document -1."""
    complete = False
    for found in documents:
        ids = found.ids
        if found.given and found.masked is None:
            ids = _without_padding(ids, paddings)
        tally.take(found, ids, alone=found.given or not rules.joined)
        if not len(ids):
            continue
        if found.given or not rules.joined:
            complete = True
            yield _alone(rows, found, ids, tally)
            continue
        for sequence in rows.add(ids, found.number):
            complete = True
            yield sequence
    left = int(rows.used - rows.inserted[: rows.used].sum())
    if not complete and left:
        rows.documents[rows.used :] = -1
        rows.tokens[rows.used :] = rows.filling
        yield rows.tokens, rows.documents, rows.inserted
    else:
        tally.left_over = left


def _alone(rows: _Rows, found: _Tokenized, ids: npt.NDArray[np.int32], tally: Tally) -> _Sequence:
    """A document that is a sequence of its own, cut or filled up."""
    size = rows.context_size
    tokens = np.full(size, rows.filling, np.int32)
    documents = np.full(size, -1, np.int32)
    inserted = np.zeros(size, np.bool_)
    begins = int(not found.given and rows.bos is not None and ids[0] != rows.bos)
    if begins:
        tokens[0], inserted[0] = rows.filling, True
    elif found.given and rows.bos is not None:
        tally.without_bos += int(ids[0] != rows.bos)
    kept = ids[: size - begins]
    stop = begins + len(kept)
    tokens[begins:stop] = kept
    documents[:stop] = found.number
    tally.fit(len(ids), len(kept), size - stop)
    return tokens, documents, inserted


def _tokenized(
    documents: Iterable[Document], tokenizer: Any, rules: Rules, place: Place, need: _Need
) -> Iterator[_Tokenized]:
    """Documents as token ids, those of text in groups; no further than is needed."""

    def used(some: Iterable[_Tokenized]) -> Iterator[_Tokenized]:
        for found in some:
            _check_ids(found.ids, found.number, tokenizer, rules, place)
            if rules.joined and need.total is not None:
                need.total = max(0, need.total - len(found.ids))
            yield found

    group: list[tuple[int, str]] = []
    size = 0
    for number, document in chain(enumerate(documents), [(-1, "")]):
        if isinstance(document, Chat):
            raise TypeError("conversations are written out before they are packed")
        if not isinstance(document, str):
            _check_ids(document, number, tokenizer, rules, place)
            masked = getattr(document, "masked", None)
            yield _Tokenized(number, np.asarray(document, np.int32), True, masked)
            continue
        long = len(document) > _CHARACTERS
        if number >= 0 and not long:
            group.append((number, document))
            size += len(document)
        if group and (size >= need.characters() or long or number < 0):
            yield from used(_tokenize(group, tokenizer))
            group, size = [], 0
        if long:
            needed = need.total if rules.joined or need.total is None else need.context_size
            yield from used([_beginning(number, document, tokenizer, needed)])


def _beginning(number: int, document: str, tokenizer: Any, needed: int | None) -> _Tokenized:
    """A long document, or as much of its beginning as has the tokens that are needed.

    The first `needed` are those of the whole document: behind them stand so many more that words
    end between them and the cut, and over the ends of words a tokeniser does not look.
    """
    size = len(document) if needed is None else max(_CHARACTERS, 8 * needed)
    while size < len(document):
        [found] = _tokenize([(number, document[:size])], tokenizer)
        unused = len(found.ids) - (needed or 0)
        # No character is more than 32 tokens: these stand behind the tokens that are used.
        behind = document[max(0, size - unused // 32) : size]
        if unused >= 2 * _MARGIN and _BETWEEN_WORDS.search(behind):
            return found._replace(ids=found.ids[:-_MARGIN], whole=False)
        size *= 4
    [found] = _tokenize([(number, document)], tokenizer)
    return found


def _check_ids(
    ids: Sequence[int] | npt.NDArray[np.int32],
    number: int,
    tokenizer: Any,
    rules: Rules,
    place: Place,
) -> None:
    """Refuse a token that has no row in the model's embedding, and say where it stands."""
    size = rules.n_vocab or 2**31
    if not len(ids):
        return
    low, high = (ids.min(), ids.max()) if isinstance(ids, np.ndarray) else (min(ids), max(ids))
    if low >= 0 and high < size:
        return
    position = sum(1 for _ in takewhile(lambda token: 0 <= token < size, ids))
    token = int(ids[position])
    name, hint = "", "The rows may be of another tokeniser: name another --dataset or --model."
    if token == -100:
        hint = "It marks labels that are not learnt; name the column of tokens with --text-column."
    elif isinstance(ids, np.ndarray):
        word = (
            tokenizer.convert_ids_to_tokens(token)
            if hasattr(tokenizer, "convert_ids_to_tokens")
            else None
        )
        name = f" ('{visible_text(str(word))[:40]}')" if word else ""
        hint = "It was added to the tokeniser and not to the model: take it out of the text."
    shown = f"{token:,}" if abs(token) < 2**63 else f"a number of {len(str(abs(token)))} digits"
    raise SaereportError(
        f"{place(number)}: token {position + 1:,} is {shown}{name}, and the model's vocabulary has "
        f"{size:,} tokens, numbered from 0.",
        hint,
    )


def _tokenize(group: Sequence[tuple[int, str]], tokenizer: Any) -> Iterator[_Tokenized]:
    # The fast tokeniser's own batch call: no attention masks, and all cores. It is also silent
    # about documents longer than the model's context, which are cut here anyway.
    fast = getattr(tokenizer, "backend_tokenizer", None) or getattr(tokenizer, "_tokenizer", None)
    cleaned = [_without_halves(document) for _, document in group]
    texts = [text for text, _ in cleaned]
    if fast is not None:
        fast.no_truncation()
        fast.no_padding()
        encoded = [e.ids for e in fast.encode_batch_fast(texts, add_special_tokens=False)]
    else:
        encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    for (number, _), (_, replaced), ids in zip(group, cleaned, encoded, strict=True):
        yield _Tokenized(number, np.asarray(ids, np.int32), False, None, replaced)


def _without_halves(text: str) -> tuple[str, int]:
    """Text without lone halves of surrogate pairs, which no encoding can hold, and their number.

    Scraped JSON has them where a program cut a text inside an emoji.
    """
    if text.isascii():
        return text, 0
    return _HALVES.subn("\ufffd", text)
