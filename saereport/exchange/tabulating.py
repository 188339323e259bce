"""What is given about SAEs as the tables of a run."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from saereport.exchange.given import GivenLatent, GivenSae, Range, Words
from saereport.util import byte_alphabet

BEFORE, AFTER = 16, 8
"""Tokens of an example's window around its peak, as a collection has them unless told otherwise."""

SPACES = ("▁", "Ġ")
PLAIN_WORDS = 256
"""Words that a run lists because they were written in another way than the rest."""
Columns = dict[str, Any]


def space_mark(words: Words) -> str:
    """The character that stands for a space in these tokens; empty if it is the space itself."""
    if any(" " in text for text in words.texts):
        return ""
    counts = [(sum(text.startswith(mark) for text in words.texts), mark) for mark in SPACES]
    most, mark = max(counts, key=lambda pair: pair[0])
    return mark if most else ""


class Vocabulary:
    """The distinct strings in order; a token's id is its string's rank.

    Attributes:
        mark: What stood for a space in the files.
        alphabet: Whether their strings are written in GPT-2's alphabet.
        ids: For each number of `Words`, the token id.
    """

    def __init__(self, words: Words) -> None:
        order = sorted(range(len(words)), key=words.texts.__getitem__)
        self.mark = space_mark(words)
        self.alphabet = byte_alphabet.is_used(words.texts)
        self.ids = np.empty(len(words), np.int32)
        self.ids[order] = np.arange(len(words), dtype=np.int32)
        self._texts = [words.texts[number] for number in order]

    def columns(self) -> Columns:
        """The table `vocabulary`; no token is marked as special, since the files do not say."""
        n = len(self._texts)
        return {
            "token": np.arange(n, dtype=np.int32),
            "bytes": [self._read(text) or self._plain(text) for text in self._texts],
            "special": np.zeros(n, bool),
        }

    def _plain(self, text: str) -> bytes:
        return (text.replace(self.mark, " ") if self.mark else text).encode()

    def _read(self, text: str) -> bytes:
        """What it stands for in the alphabet; empty where it is not written in that."""
        data = byte_alphabet.read(text) if self.alphabet else None
        return data if data is not None and byte_alphabet.is_piece(data) else b""

    def plain_words(self) -> list[str]:
        """Words that were not written in the alphabet among those that were, if they are few."""
        found = [text for text in self._texts if text and self.alphabet and not self._read(text)]
        return found if len(found) <= PLAIN_WORDS else []


class Sequences:
    """The texts of all examples, each kept once."""

    def __init__(self, saes: Sequence[GivenSae]) -> None:
        self._numbers: dict[bytes, int] = {}
        self._texts: list[array[int]] = []
        for sae in saes:
            for latent in sae.latents:
                for one in latent.examples:
                    key = one.tokens.tobytes()
                    if self._numbers.setdefault(key, len(self._texts)) == len(self._texts):
                        self._texts.append(one.tokens)

    def number(self, tokens: array[int]) -> int:
        """The number of a text."""
        return self._numbers[tokens.tobytes()]

    def columns(self, ids: np.ndarray) -> Columns:
        """The table `sequences`; every text counts as a document of its own."""
        texts = [ids[np.asarray(text, np.int64)] for text in self._texts]
        return {
            "sequence": np.arange(len(texts)),
            "tokens": texts,
            "documents": [np.full(len(text), i) for i, text in enumerate(texts)],
            "counted": [np.ones(len(text), bool) for text in texts],
        }


def tables(sae: GivenSae, ids: np.ndarray, sequences: Sequences) -> Iterator[tuple[str, Columns]]:
    """The tables of one SAE, but those that would be empty.

    Args:
        sae: What is given.
        ids: Token id of each number of `Words`.
        sequences: Where the examples' texts are kept.
    """
    latents = sae.latents
    made = {
        "activity": _activity(latents),
        "given_histogram": _histograms(latents),
        "examples": _examples(latents, sequences),
        "given_groups": _groups(latents),
        "logit_lens": _logit_lens(latents, ids),
        "neighbours": _neighbours(latents),
        "head_shares": _head_shares(latents),
        "explanations": _explanations(latents),
    }
    return ((name, columns) for name, columns in made.items() if len(columns["latent"]))


def _activity(latents: Sequence[GivenLatent]) -> Columns:
    n = len(latents)
    return {
        "latent": [latent.index for latent in latents],
        "n_active": [latent.n_active or 0 for latent in latents],
        "density": [latent.density for latent in latents],
        "max": np.asarray([latent.maximum for latent in latents], np.float32),
        "mean_active": np.zeros(n),
        "std_active": np.zeros(n),
        "quantile_values": np.empty((n, 0), np.float32),
    }


def _histograms(latents: Sequence[GivenLatent]) -> Columns:
    given = [(latent.index, latent.activations) for latent in latents if latent.activations]
    return {
        "latent": [index for index, _ in given],
        "centres": [bins.centres for _, bins in given],
        "counts": [bins.counts for _, bins in given],
    }


def ranges_of(latent: GivenLatent) -> dict[Range, str]:
    """The groups that a latent's examples are drawn from, the lowest first, with their names."""
    found = {one.range for one in latent.examples if one.range is not None}
    ordered = sorted(found, key=lambda one: (one.lower, one.upper, one.contains))
    return {one: f"interval:{place}" for place, one in enumerate(ordered)}


def _groups(latents: Sequence[GivenLatent]) -> Columns:
    rows = [
        (latent.index, name, one)
        for latent in latents
        for name, one in sorted((name, one) for one, name in ranges_of(latent).items())
    ]
    return {
        "latent": [index for index, _, _ in rows],
        "group": [name for _, name, _ in rows],
        "lower": [one.lower for _, _, one in rows],
        "upper": [one.upper for _, _, one in rows],
        "contains": [one.contains for _, _, one in rows],
    }


def _examples(latents: Sequence[GivenLatent], sequences: Sequences) -> Columns:
    columns: dict[str, list[Any]] = {
        name: []
        for name in (
            "latent",
            "group",
            "rank",
            "sequence",
            "position",
            "document",
            "activation",
            "start",
            "stop",
            "active_positions",
            "active_values",
        )
    }
    for latent in latents:
        names = ranges_of(latent)
        grouped: dict[str, list[Any]] = {}
        for one in latent.examples:
            grouped.setdefault(names[one.range] if one.range else "top", []).append(one)
        for group in sorted(grouped):
            for rank, one in enumerate(grouped[group]):
                values = np.asarray(one.values, np.float32)
                active = np.flatnonzero(values > 0)
                number = sequences.number(one.tokens)
                row = (
                    latent.index,
                    group,
                    rank,
                    number,
                    one.position,
                    number,
                    one.activation,
                    max(0, one.position - BEFORE),
                    min(len(values), one.position + AFTER + 1),
                    active.astype(np.int32),
                    values[active],
                )
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
    return columns


def _logit_lens(latents: Sequence[GivenLatent], ids: np.ndarray) -> Columns:
    given = [latent for latent in latents if latent.top or latent.bottom or latent.logits]
    zeros = np.zeros(len(given), np.float32)
    bins = [latent.logits for latent in given]
    return {
        "latent": [latent.index for latent in given],
        **dict.fromkeys(("mean", "std", "skewness", "kurtosis"), zeros),
        "lower": np.asarray(
            [one.centres[0] - one.width / 2 if one else 0.0 for one in bins], np.float32
        ),
        "width": np.asarray([one.width if one else 0.0 for one in bins], np.float32),
        "counts": [one.counts if one else () for one in bins],
        "top_tokens": [[ids[token] for token, _ in latent.top] for latent in given],
        "top_values": [[value for _, value in latent.top] for latent in given],
        "bottom_tokens": [[ids[token] for token, _ in latent.bottom] for latent in given],
        "bottom_values": [[value for _, value in latent.bottom] for latent in given],
    }


def _neighbours(latents: Sequence[GivenLatent]) -> Columns:
    rows = [
        (latent.index, rank, other, cosine)
        for latent in latents
        for rank, (other, cosine) in enumerate(latent.neighbours)
    ]
    names = ("latent", "rank", "other", "cosine")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _head_shares(latents: Sequence[GivenLatent]) -> Columns:
    given = [latent for latent in latents if latent.head_shares]
    return {
        "latent": [latent.index for latent in given],
        "shares": [latent.head_shares for latent in given],
    }


def _explanations(latents: Sequence[GivenLatent]) -> Columns:
    rows = [
        (latent.index, rank, text, source)
        for latent in latents
        for rank, (text, source) in enumerate(latent.explanations)
    ]
    names = ("latent", "rank", "text", "source")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}
