from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.site.packing import ALPHABET, BASE, LIMIT, N_SHORT, pack, packed, unpack
from saereport.util.untrusted import TOKEN_IDS

IDS = st.integers(0, LIMIT - 1) | st.integers(0, N_SHORT + 2)


def test_the_alphabet_is_harmless() -> None:
    assert BASE == 88
    assert len(set(ALPHABET)) == BASE
    assert not set(ALPHABET) & set("\"\\<>&' \n")
    assert ALPHABET.isascii()
    assert ALPHABET.isprintable()


@given(st.lists(st.lists(IDS, max_size=12), max_size=6))
def test_packed_ids_read_back(runs: list[list[int]]) -> None:
    flat = np.array([token for run in runs for token in run], np.int32)
    texts = pack(flat, np.array([len(run) for run in runs], np.int64))
    assert [unpack(text) for text in texts] == runs
    assert texts == [packed(run) for run in runs]


@pytest.mark.parametrize("token", [-1, LIMIT])
def test_ids_out_of_range_are_refused(token: int) -> None:
    with pytest.raises(ValueError, match="token ids"):
        pack(np.array([token], np.int32), np.array([1]))
    with pytest.raises(ValueError, match="token ids"):
        packed([token])


def test_every_token_id_of_a_run_can_be_written() -> None:
    assert TOKEN_IDS <= LIMIT
    assert unpack(packed([TOKEN_IDS - 1])) == [TOKEN_IDS - 1]
