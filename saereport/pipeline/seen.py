"""What was read of a text: counts, and a digest that parts of the text have together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from saereport.pipeline.checkpoint import Arrays
from saereport.sources.text.packing import Packed

_MODULUS = 2**256


@dataclass
class Seen:
    """What was read: counts, and a digest of the tokens that depends on no cut of the text.

    The digest is the sum modulo 2^256 of the SHA-256 of every sequence, with its number in the
    text: parts can be read in any order and anywhere, and their digests add up to that of all.
    """

    sequences: int = 0
    tokens: int = 0
    counted: int = 0
    documents: int = 0
    digest: bytes = bytes(32)

    def take(self, packed: Packed) -> None:
        """Count one batch."""
        self.sequences += len(packed)
        self.tokens += packed.tokens.size
        self.counted += int(packed.counted.sum())
        self.documents = max(self.documents, int(packed.documents.max()) + 1)
        rows = zip(packed.tokens, packed.counted, strict=True)
        for number, (tokens, counted) in enumerate(rows, packed.first):
            row = tokens.astype("<i4").tobytes() + counted.tobytes()
            self._add(hashlib.sha256(number.to_bytes(8, "little") + row).digest())

    def merge(self, other: Seen) -> None:
        """Count what was read of another part of the text, with none of the same sequences."""
        self.sequences += other.sequences
        self.tokens += other.tokens
        self.counted += other.counted
        self.documents = max(self.documents, other.documents)
        self._add(other.digest)

    def _add(self, digest: bytes) -> None:
        total = int.from_bytes(self.digest, "big") + int.from_bytes(digest, "big")
        self.digest = (total % _MODULUS).to_bytes(32, "big")

    def state(self) -> Arrays:
        """Everything as arrays."""
        counts = [self.sequences, self.tokens, self.counted, self.documents]
        return {
            "counts": np.array(counts, dtype=np.int64),
            "digest": np.frombuffer(self.digest, dtype=np.uint8),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Become what `state` was made from."""
        self.sequences, self.tokens, self.counted, self.documents = state["counts"].tolist()
        self.digest = state["digest"].tobytes()
