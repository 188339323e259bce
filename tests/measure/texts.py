"""Small made-up texts with dense activations, and their events in any batches."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from saereport.measure import Events, Measurement, Setting


@dataclass(frozen=True, eq=False)
class Dense:
    """Dense activations f[n, ctx, d] over packed sequences; `f` is zero on tokens not counted."""

    f: np.ndarray
    tokens: np.ndarray
    counted: np.ndarray
    documents: np.ndarray
    d_vocab: int

    @property
    def d_sae(self) -> int:
        return self.f.shape[2]

    def batch(self, start: int, stop: int) -> Events:
        sequence, position, latent = np.nonzero(self.f[start:stop])
        flat = sequence * self.f.shape[1] + position
        value = self.f[start:stop][sequence, position, latent]
        return Events.of(
            start,
            self.tokens[start:stop],
            self.counted[start:stop],
            self.documents[start:stop],
            (latent, flat, value),
        )

    def measure(self, setting: Setting, edges: list[int]) -> Measurement:
        """One measurement over the batches between consecutive edges."""
        measurement = Measurement(setting)
        for start, stop in itertools.pairwise(edges):
            measurement.update(self.batch(start, stop))
        return measurement


def random_dense(seed: int, n: int = 12, context: int = 24, d: int = 9, d_vocab: int = 13) -> Dense:
    """A text with ties, a dead latent (0), an always active one (1) and a rare one (2)."""
    rng = np.random.default_rng(seed)
    counted = np.ones((n, context), dtype=bool)
    counted[:, 0] = False
    counted &= rng.random((n, context)) > 0.05
    f = rng.exponential(2.0, (n, context, d)).astype(np.float32)
    f = np.where(rng.random(f.shape) < 0.3, np.ceil(f * 2) / 2, f).astype(np.float32)
    rate = rng.uniform(0.02, 0.5, d)
    if d > 2:
        rate[:3] = 0.0, 1.0, 0.01
    active = (rng.random(f.shape) < rate) & counted[:, :, None]
    f = np.where(active, f, 0).astype(np.float32)
    tokens = np.minimum(rng.zipf(1.5, (n, context)) - 1, d_vocab - 1).astype(np.int32)
    documents = np.sort(rng.integers(0, 5, n * context)).reshape(n, context).astype(np.int32)
    return Dense(f, tokens, counted, documents, d_vocab)


@st.composite
def texts(draw: st.DrawFn) -> Dense:
    """Any small text; activations from a few magnitudes, so that ties and extremes are common."""
    n, context, d = draw(st.integers(1, 6)), draw(st.integers(1, 9)), draw(st.integers(1, 5))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    levels = draw(
        st.lists(
            st.one_of(
                st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0]),
                st.floats(width=32, min_value=2.0**-149, max_value=2.0**100, exclude_min=False),
            ),
            min_size=1,
            max_size=5,
        )
    )
    counted = rng.random((n, context)) < draw(st.sampled_from([0.0, 0.7, 1.0]))
    f = rng.choice(np.array(levels, dtype=np.float32), (n, context, d))
    rate = draw(st.sampled_from([0.05, 0.4, 1.0]))
    f = np.where((rng.random(f.shape) < rate) & counted[:, :, None], f, 0).astype(np.float32)
    tokens = rng.integers(0, 4, (n, context)).astype(np.int32)
    documents = np.sort(rng.integers(0, 3, n * context)).reshape(n, context).astype(np.int32)
    return Dense(f, tokens, counted, documents, 4)


def same(a: dict, b: dict, rtol: float = 0.0) -> None:
    """Assert that two results hold the same tables; floats within `rtol` (0: to the bit)."""
    assert a.keys() == b.keys()
    for table in a:
        assert a[table].keys() == b[table].keys()
        for name, left in a[table].items():
            right = b[table][name]
            assert len(left) == len(right), (table, name)
            if len(left) and isinstance(left[0], np.ndarray):
                assert [len(x) for x in left] == [len(x) for x in right], (table, name)
                left, right = np.concatenate(left), np.concatenate(right)
            if np.asarray(left).dtype.kind == "f" and rtol:
                np.testing.assert_allclose(left, right, rtol=rtol, atol=rtol, err_msg=name)
            else:
                np.testing.assert_array_equal(left, right, err_msg=f"{table}.{name}")
