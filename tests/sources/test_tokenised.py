"""Sequences on disk: those of the text, found by nobody who reads another."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.sources.text import tokenised
from saereport.sources.text.packing import Packed
from saereport.sources.text.tally import Tally
from saereport.sources.text.tokenised import TokenStore
from saereport.util.errors import SaereportError

CONTEXT = 6


def batches(sizes: list[int], seed: int = 0) -> Iterator[Packed]:
    rng = np.random.default_rng(seed)
    first = 0
    for n in sizes:
        shape = (n, CONTEXT)
        yield Packed(
            first,
            rng.integers(0, 100, shape, dtype=np.int32),
            rng.random(shape) < 0.7,
            np.sort(rng.integers(0, 30, shape, dtype=np.int32), axis=1),
        )
        first += n


def joined(packed: Iterator[Packed]) -> dict[str, Any]:
    parts = list(packed)
    for one, after in itertools.pairwise(parts):
        assert after.first == one.first + len(one)
    found: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("tokens", "counted", "documents")
    }
    return {**found, "first": parts[0].first}


@pytest.fixture
def _small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenised, "FILE_TOKENS", 5 * CONTEXT)


@pytest.mark.parametrize(
    ("first", "stop", "batch"), [(0, None, 4), (3, 17, 7), (5, 10, 5), (0, 99, 30)]
)
@pytest.mark.usefixtures("_small_files")
def test_any_part_of_it_comes_back_bit_for_bit(
    tmp_path: Path, first: int, stop: int | None, batch: int
) -> None:
    tally = Tally(documents=3, runs={7: 2})
    TokenStore(tmp_path, {"text": "a"}).write(batches([4, 4, 4, 4, 2]), CONTEXT, tally)
    found = TokenStore(tmp_path, {"text": "a"}).load()
    assert found is not None
    assert (found.sequences, found.tokens, found.tally) == (18, 18 * CONTEXT, tally)
    assert len(list(found.path.glob("tokens-*"))) == 4
    whole = joined(batches([4, 4, 4, 4, 2]))
    part = joined(found.packed(first, stop, batch=batch))
    assert part["first"] == first
    for name in ("tokens", "counted", "documents"):
        assert part[name].dtype == whole[name].dtype
        np.testing.assert_array_equal(part[name], whole[name][first:stop])
    assert list(found.packed(18, batch=3)) == []


def test_of_another_text_or_damaged_nothing_is_found(tmp_path: Path) -> None:
    store = TokenStore(tmp_path, {"text": "a", "limit": 10})
    assert store.load() is None
    made = store.write(batches([4]), CONTEXT, Tally())
    assert TokenStore(tmp_path, {"text": "a", "limit": 11}).load() is None
    about = json.loads((made.path / "text.json").read_text())
    # A folder that is called as if it were of this text, and is not.
    (made.path / "text.json").write_text(json.dumps({**about, "identity": {"text": "b"}}))
    assert TokenStore(tmp_path, store.identity).load() is None
    (made.path / "text.json").write_text(json.dumps(about))
    file = next(made.path.glob("counted-*"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert TokenStore(tmp_path, store.identity).load() is None
    file.unlink()
    assert TokenStore(tmp_path, store.identity).load() is None


def test_what_was_not_written_to_its_end_is_not_there(tmp_path: Path) -> None:
    store = TokenStore(tmp_path, {"text": "a"})

    def broken() -> Iterator[Packed]:
        yield from batches([4])
        raise SaereportError("The text cannot be read.")

    with pytest.raises(SaereportError):
        store.write(broken(), CONTEXT, Tally())
    assert store.load() is None
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".npy"] == []


def test_those_of_other_texts_are_removed_when_that_is_asked(tmp_path: Path) -> None:
    old, new = TokenStore(tmp_path, {"text": "a"}), TokenStore(tmp_path, {"text": "b"})
    old.write(batches([4]), CONTEXT, Tally())
    new.write(batches([4]), CONTEXT, Tally())
    new.forget_others()
    assert not old.path.exists()
    assert TokenStore(tmp_path, {"text": "b"}).load() is not None
