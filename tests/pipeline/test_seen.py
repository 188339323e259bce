"""What was read, in parts and as a whole."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

from saereport.measure.broken import Broken
from saereport.pipeline.seen import Seen
from saereport.sources.text.packing import Packed

N, CONTEXT = 12, 5


def text() -> Packed:
    rng = np.random.default_rng(3)
    return Packed(
        0,
        rng.integers(0, 50, (N, CONTEXT), dtype=np.int32),
        rng.random((N, CONTEXT)) < 0.5,
        np.sort(rng.integers(0, 9, (N, CONTEXT), dtype=np.int32), axis=None).reshape(N, CONTEXT),
    )


def seen(*parts: Packed) -> Seen:
    made = Seen()
    for part in parts:
        made.take(part)
    return made


def test_the_digest_is_the_sum_over_sequences() -> None:
    whole = text()
    total = 0
    for i in range(N):
        row = whole.tokens[i].tobytes() + whole.counted[i].tobytes()
        total += int.from_bytes(hashlib.sha256(i.to_bytes(8, "little") + row).digest(), "big")
    assert seen(whole).digest == (total % 2**256).to_bytes(32, "big")


@pytest.mark.parametrize("edges", [(0, 12), (0, 5, 12), (0, 1, 2, 9, 12)])
def test_parts_add_up_in_any_order(edges: tuple[int, ...]) -> None:
    whole = text()
    pairs = itertools.pairwise(edges)
    parts = [seen(whole.part(a, b)) for a, b in pairs]
    made = Seen()
    for part in reversed(parts):
        back = Seen()
        back.restore(part.state())
        made.merge(back)
    assert made == seen(whole)


def test_other_tokens_and_other_places_have_another_digest() -> None:
    whole = text()
    changed = Packed(0, whole.tokens.copy(), whole.counted, whole.documents)
    changed.tokens[4, 2] += 1
    uncounted = Packed(0, whole.tokens, ~whole.counted, whole.documents)
    moved = Packed(1, whole.tokens, whole.counted, whole.documents)
    digests = {seen(one).digest for one in (whole, changed, uncounted, moved)}
    assert len(digests) == 4


def test_what_broke_in_parts_is_what_broke() -> None:
    rng = np.random.default_rng(0)
    places = np.stack([np.sort(rng.integers(0, 20, 60)), *rng.integers(0, 6, (2, 60))], axis=1)
    places = places[np.lexsort((places[:, 1], places[:, 0]))]
    whole, late, early = Broken(), Broken(), Broken()
    whole.take(places)
    early.take(places[:25])
    late.take(places[25:])
    late.merge(early)
    late.merge(Broken())
    assert late.reason() == whole.reason()
    np.testing.assert_array_equal(late.state()["rows"], whole.state()["rows"])
