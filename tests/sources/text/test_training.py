"""What an SAE's metadata says of its training tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sae_lens.saes.sae import SAEMetadata

from saereport.sources.text.training import TrainingTokens, agree
from saereport.util.errors import SaereportError


def of(**metadata):
    return TrainingTokens.of(SAEMetadata(**metadata), "mine")


ends = st.none() | st.integers(-12, 20)


@given(ends, ends, st.none() | st.integers(1, 5), st.integers(2, 12))
@settings(max_examples=150, deadline=None)
def test_positions_are_those_that_saelens_trains_on(start, stop, step, context_size):
    # What SAELens's activation store does with the activations of a sequence.
    kept = torch.arange(context_size)[slice(start, stop, step)].tolist()
    if not kept:
        with pytest.raises(SaereportError, match="says seqpos_slice"):
            of(seqpos_slice=[start, stop, step], context_size=context_size)
        return
    trained = of(seqpos_slice=[start, stop, step], context_size=context_size)
    seen = trained.seen(context_size)
    mask = np.ones(context_size, bool) if seen is None else seen
    assert np.flatnonzero(mask).tolist() == kept
    shorter = max(context_size // 2, 1)
    seen = trained.seen(shorter)
    mask = np.ones(shorter, bool) if seen is None else seen
    assert np.flatnonzero(mask).tolist() == [place for place in kept if place < shorter]


def test_positions_of_a_longer_sequence():
    assert np.flatnonzero(of(seqpos_slice=[5, -5], context_size=16).seen(32)).tolist() == [
        *range(5, 11)
    ]
    assert np.flatnonzero(of(seqpos_slice=[1, None], context_size=16).seen(32)).tolist() == [
        *range(1, 32)
    ]
    for whole in ([None], [0, None], [None, None, 1], None):
        assert of(seqpos_slice=whole, context_size=16).seen(16) is None
    assert of().seen(16) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seqpos_slice", "5:-5"),
        ("seqpos_slice", []),
        ("seqpos_slice", [1, 2, 3, 4]),
        ("seqpos_slice", [1.5]),
        ("seqpos_slice", [True, 5]),
        ("seqpos_slice", [None, None, 0]),
        ("seqpos_slice", [5, 5]),
        ("seqpos_slice", [0, 10**30]),
        ("seqpos_slice", {"start": 5}),
        ("exclude_special_tokens", "yes"),
        ("exclude_special_tokens", [1, "2"]),
        ("exclude_special_tokens", 3),
        ("disable_concat_sequences", "no"),
        ("prepend_bos", "false"),
        ("context_size", "128"),
        ("context_size", 10**30),
        ("context_size", [128]),
    ],
)
def test_what_cannot_be_understood_is_refused(name, value):
    with pytest.raises(SaereportError) as caught:
        of(**{name: value})
    assert f"The metadata of the SAE mine says {name}: " in str(caught.value)
    assert len(str(caught.value)) < 220


def test_a_context_that_means_nothing_is_not_known():
    assert [of(context_size=n).context_size for n in (-1, 0, 1, 2, None)] == [None] * 3 + [2, None]


def test_tokens_that_were_left_out():
    special = {0, 1}
    assert of(exclude_special_tokens=[5, 0, 7, 5]).excluded_ids(special) == {5, 7}
    for value in (True, False, None):
        assert of(exclude_special_tokens=value).excluded_ids(special) == frozenset()


def test_saes_that_disagree():
    a = of(seqpos_slice=[5, -5], context_size=64)
    same = of(seqpos_slice=[5, 59], context_size=128)
    agree({"a": a, "b": same}, 64, {0})
    agree({"a": of(exclude_special_tokens=[0]), "b": of(exclude_special_tokens=True)}, 64, {0})
    agree({"a": of(disable_concat_sequences=False), "b": of()}, 64, {0})
    for other, said in (
        (of(), "positions of a sequence"),
        (of(seqpos_slice=[5, -5], context_size=64, exclude_special_tokens=[9]), "different tokens"),
        (of(seqpos_slice=[5, -5], context_size=64, disable_concat_sequences=True), "kinds of"),
    ):
        with pytest.raises(SaereportError, match=f"a and b were trained on.*{said}.*two reports"):
            agree({"a": a, "b": other}, 64, {0})


def test_words_for_what_is_known_and_what_is_not():
    unknown = of().words()
    assert unknown["context"] == "not stated"
    assert all("not stated" in words for words in unknown.values())
    known = of(
        context_size=128,
        prepend_bos=False,
        seqpos_slice=[5, -5],
        exclude_special_tokens=[3, 4],
        disable_concat_sequences=True,
        sequence_separator_token=None,
    ).words()
    assert known == {
        "context": "128 tokens (as the SAE's metadata says)",
        "bos": "no (as the SAE's metadata says)",
        "positions": "[5:-5] of a sequence (as the SAE's metadata says)",
        "tokens left out": "token ids 3, 4 were left out (as the SAE's metadata says)",
        "documents": "each a sequence of its own (as the SAE's metadata says)",
        "separator": "none (as the SAE's metadata says)",
    }
