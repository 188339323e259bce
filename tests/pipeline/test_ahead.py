"""What is read ahead is what would be read: sequences, tallies, errors, runs; no thread is left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from saereport.pipeline import tokens as on_device
from saereport.pipeline.build import collect
from saereport.pipeline.text_pass import TextPass
from saereport.pipeline.tokens import tokens_on
from saereport.run import open_run
from saereport.sources.text.packing import Packed, Portion, Rules, pack
from saereport.sources.text.tally import Tally
from saereport.util.errors import SaereportError
from tests.factories import word_tokenizer

RULES = Rules(context_size=16, prepend_bos=True, bos_id=0, special_ids=(0, 1), n_vocab=100)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not [t.name for t in threading.enumerate() if t.name == "reading ahead"]


def documents() -> Iterator[Any]:
    rng = np.random.default_rng(0)
    for n in range(400):
        words = (rng.zipf(1.3, 30 + n % 50) % 98) + 2
        # Text, and now and then a row of token ids.
        yield words.tolist() if n % 7 == 0 else " ".join(f"w{word}" for word in words)


def packed(portion: Portion, **how: Any) -> tuple[list[Packed], Tally]:
    tally = Tally()
    return list(pack(documents(), word_tokenizer(), RULES, portion, tally=tally, **how)), tally


@pytest.mark.parametrize(
    "portion", [Portion(), Portion(700, batch=3), Portion(4000, skip=17, batch=5), Portion(1)]
)
def test_sequences_and_tally_are_the_same(portion: Portion) -> None:
    (plain, before), (found, after) = packed(portion), packed(portion, in_thread=True)
    assert before == after
    assert len(plain) == len(found)
    for one, two in zip(plain, found, strict=True):
        assert one.first == two.first
        for name in ("tokens", "counted", "documents"):
            assert np.array_equal(getattr(one, name), getattr(two, name))


def test_an_error_of_a_document_stands_where_it_stood() -> None:
    def broken() -> Iterator[Any]:
        yield [5] * 200
        yield [5, 100]

    seen: dict[bool, list[int]] = {False: [], True: []}
    said = []
    for in_thread, firsts in seen.items():
        with pytest.raises(SaereportError) as caught:
            firsts.extend(
                batch.first
                for batch in pack(
                    broken(), word_tokenizer(), RULES, Portion(batch=1), in_thread=in_thread
                )
            )
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert seen[False] == seen[True]
    assert seen[True]
    # What nobody reads has no error.
    assert len(list(pack(broken(), word_tokenizer(), RULES, Portion(16), in_thread=True))) == 1


def test_who_stops_in_the_middle_leaves_no_thread() -> None:
    batches = pack(documents(), word_tokenizer(), RULES, Portion(batch=1), in_thread=True)
    next(batches)
    assert [t for t in threading.enumerate() if t.name == "reading ahead"]
    batches.close()  # type: ignore[attr-defined]


def test_an_interrupted_pass_counts_what_it_took_alone(
    asked: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = open_run(collect(asked(batch_size=2), tmp_path / "whole")).info
    encoded, calls = TextPass._encoded, list[int]()
    threads: list[list[str]] = []

    def stopping(self: TextPass, part: Packed) -> Any:
        calls.append(part.first)
        # At the beginning more is to be read than may wait.
        threads.append([t.name for t in threading.enumerate()])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return encoded(self, part)

    monkeypatch.setattr(TextPass, "_encoded", stopping)
    with pytest.raises(KeyboardInterrupt):
        collect(asked(batch_size=2), tmp_path / "run")
    assert "reading ahead" in threads[0]
    assert not [t for t in threading.enumerate() if t.name == "reading ahead"]
    found = open_run(collect(asked(batch_size=2), tmp_path / "run")).info
    assert found.text == expected.text
    assert [one.sha256 for one in found.files] == [one.sha256 for one in expected.files]


def test_tokens_go_to_a_cuda_device_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.arange(12, dtype=np.int32).reshape(3, 4)[:, ::2]
    assert torch.equal(tokens_on(ids, torch.device("cpu")), torch.from_numpy(ids.astype(np.int64)))
    done: list[Any] = []

    class Tensor:
        def pin_memory(self) -> Tensor:
            done.append("pinned")
            return self

        def to(self, *where: Any, **how: Any) -> Tensor:
            done.append((*where, how))
            return self

    fake = SimpleNamespace(from_numpy=lambda _: Tensor(), int64=torch.int64)
    monkeypatch.setattr(on_device, "torch", fake)
    device = torch.device("cuda:0")
    tokens_on(ids, device)
    # As 32 bits, pinned, not waited for; widened there.
    assert done == ["pinned", (device, {"non_blocking": True}), (torch.int64, {})]
