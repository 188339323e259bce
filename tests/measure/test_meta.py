"""What meta-SAEs make of rows, against slow computations, and a planted structure that is found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saereport.measure.geometry.meta import (
    STRONGEST,
    by_chance,
    decompose,
    is_of_batches,
    survey,
)
from saereport.run.meta import N_ACTIVE, binned_counts, binned_uses
from saereport.sources.hooks import parse_hook
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from tests.factories import make_sae, save_sae

AT = parse_hook("blocks.1.hook_resid_pre")
KINDS: dict[str, dict[str, Any]] = {
    "topk": {"k": 4},
    "jumprelu": {"apply_b_dec_to_input": True},
    "standard": {"normalize_activations": "layer_norm"},
    "gated": {"normalize_activations": "constant_norm_rescale"},
    "batchtopk": {"k": 4},
    "matching_pursuit": {},
}


def loaded(folder: Path, kind: str, **settings: Any) -> Any:
    options: dict[str, Any] = {"hook_name": "decoder_rows", "d_sae": 24, **settings}
    if kind == "matching_pursuit":
        options = {"hook_name": "decoder_rows", "d_sae": 24, "max_iterations": 3}
    save_sae(folder / kind, kind, **options)
    return load_sae(SaeSource(path=str(folder / kind)), at=AT)


def rows_of(n: int, seed: int = 0, d: int = 32) -> torch.Tensor:
    rows = torch.randn((n, d), generator=torch.Generator().manual_seed(seed))
    return rows / rows.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_survey_is_what_one_row_after_the_other_gives(kind: str, tmp_path: Path) -> None:
    meta, rows = loaded(tmp_path, kind, **KINDS[kind]), 4 * rows_of(37)
    mean = rows.double().mean(dim=0)
    residual, spread, active, cosine, f = [], [], [], [], []
    for row in rows:
        one = meta.encode(row[None])
        made = meta.decode(one, row[None])[0].double()
        residual.append(float((row - made).square().sum()))
        spread.append(float((row - mean).square().sum()))
        active.append(int((one > 0).sum()))
        lengths = float(row.norm() * made.norm())
        cosine.append(float(row.double() @ made) / lengths if lengths else 0.0)
        f.append(one[0].numpy())
    assert sum(active) > 0
    every = np.stack(f)
    # Whole, and a few rows at a time.
    for memory in (2**30, 4 * 6 * 32 * 5):
        found = survey(meta, rows, memory)
        np.testing.assert_allclose(found.residual, residual, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.spread, spread, rtol=1e-5)
        np.testing.assert_allclose(found.cosine, cosine, atol=1e-5)
        assert found.n_active.tolist() == active
        assert found.uses.tolist() == (every > 0).sum(axis=0).tolist()
        value = 1 - sum(residual) / sum(spread)
        assert found.explained_variance == pytest.approx(value, abs=1e-5)
        np.testing.assert_allclose(
            found.explained, 1 - np.array(residual) / np.array(spread), atol=1e-4
        )
        for number, column in enumerate(every.T):
            order = np.argsort(-column, kind="stable")[:STRONGEST]
            np.testing.assert_allclose(found.activations[number], column[order], atol=1e-5)
            n = int((column[order] > 0).sum())
            mine = found.strongest[number, :n]
            np.testing.assert_allclose(column[mine], column[order[:n]], atol=1e-5)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_terms_of_a_row_add_up_to_it(kind: str, tmp_path: Path) -> None:
    meta, rows = loaded(tmp_path, kind, **KINDS[kind]), 4 * rows_of(19, seed=3)
    nothing = meta.decode(torch.zeros((19, meta.d_sae)), rows)
    f = meta.encode(rows)
    left = rows - meta.decode(f, rows)
    for memory in (2**30, 4 * 6 * 32 * 2):
        for place, one in enumerate(decompose(meta, rows, memory)):
            goal = (rows[place] - nothing[place]).double()
            parts = torch.from_numpy(one.parts)
            assert sorted(one.parts) == np.flatnonzero(f[place].numpy() > 0).tolist()
            np.testing.assert_allclose(one.activations, f[place, parts].numpy(), atol=1e-5)
            # What a meta-latent adds is what is missing where it is held at zero.
            terms = torch.zeros(32, dtype=torch.float64)
            for part, share in zip(one.parts.tolist(), one.shares.tolist(), strict=True):
                without = f[place].clone()
                without[part] = 0
                own = rows[place : place + 1]
                term = meta.decode(f[place : place + 1], own) - meta.decode(without[None], own)
                assert share == pytest.approx(
                    float(term[0].double() @ goal / goal.square().sum()), abs=1e-4
                )
                terms += term[0].double()
            torch.testing.assert_close(terms + left[place], goal, atol=1e-4, rtol=1e-4)
            assert one.shares.sum() + one.left == pytest.approx(1, abs=1e-4)
            assert list(one.shares) == sorted(one.shares, reverse=True)


def planted(folder: Path, n: int, parts: int = 3, d: int = 32, m: int = 12) -> Any:
    """Rows that are sums of few of some directions, and a meta-SAE that has just these."""
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0][:m]
    chosen = np.stack([rng.choice(m, parts, replace=False) for _ in range(n)])
    weights = rng.uniform(0.4, 1, (n, parts))
    rows = np.einsum("np,npd->nd", weights, axes[chosen])
    lengths = np.linalg.norm(rows, axis=1)
    sae = make_sae("topk", hook_name="x", d_sae=m, k=parts, d_in=d)
    with torch.no_grad():
        sae.W_dec.copy_(torch.from_numpy(axes).float())
        sae.W_enc.copy_(sae.W_dec.T)
        sae.b_enc.zero_()
        sae.b_dec.zero_()
    sae.save_model(folder)
    meta = load_sae(SaeSource(path=str(folder)), at=AT)
    return (
        meta,
        torch.from_numpy(rows / lengths[:, None]).float(),
        chosen,
        weights / lengths[:, None],
    )


def test_a_planted_structure_is_found(tmp_path: Path) -> None:
    meta, rows, chosen, weights = planted(tmp_path / "meta", 60)
    found = survey(meta, rows)
    assert found.explained_variance == pytest.approx(1, abs=1e-5)
    assert set(found.n_active) == {3}
    assert found.uses.tolist() == np.bincount(chosen.reshape(-1), minlength=12).tolist()
    for one, parts, own in zip(decompose(meta, rows), chosen, weights, strict=True):
        order = np.argsort(-own)
        assert one.parts.tolist() == parts[order].tolist()
        np.testing.assert_allclose(one.activations, own[order], atol=1e-5)
        np.testing.assert_allclose(one.shares, own[order] ** 2, atol=1e-5)
        assert one.left == pytest.approx(0, abs=1e-5)
    # Random rows in the same dimensions are no sums of three of twelve directions.
    chance = survey(meta, by_chance(rows, None, 0))
    assert chance.explained_variance < 0.8
    assert chance.cosine.mean() < 0.95


def test_rows_of_chance_have_the_second_moments_and_the_lengths() -> None:
    scales = torch.linspace(0.1, 1, 8)
    rows = torch.randn((4000, 8), generator=torch.Generator().manual_seed(0)) * scales
    unit = rows / rows.norm(dim=1, keepdim=True)
    drawn = by_chance(unit, None, 5)
    assert drawn.shape == rows.shape
    assert torch.equal(drawn, by_chance(unit, None, 5))
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(4000), atol=1e-5, rtol=0)
    lengths = torch.rand(4000) + 1
    torch.testing.assert_close(by_chance(unit, lengths, 5), drawn * lengths[:, None])
    moments = [(one.T @ one / len(one)).diagonal() for one in (unit, drawn)]
    torch.testing.assert_close(moments[1], moments[0], atol=0.06, rtol=0.25)


@dataclass
class OfBatches:
    """As many active latents as a batch has rows: what no SAE may be."""

    d_sae: int = 8

    def encode(self, a: torch.Tensor) -> torch.Tensor:
        f = torch.zeros((len(a), self.d_sae))
        f[:, : min(len(a), self.d_sae)] = 1
        return f

    def decode(self, f: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(a)

    def write_vectors(self, a: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(a)


def test_what_depends_on_the_batch_is_told(tmp_path: Path) -> None:
    assert is_of_batches(OfBatches(), rows_of(40))
    for kind in ("topk", "batchtopk"):
        assert not is_of_batches(loaded(tmp_path, kind, k=4), 4 * rows_of(40))


def test_rows_without_any_active_meta_latent_are_no_sums() -> None:
    class Nothing(OfBatches):
        def encode(self, a: torch.Tensor) -> torch.Tensor:
            return torch.zeros((len(a), self.d_sae))

    rows = rows_of(5)
    found = survey(Nothing(), rows)
    assert found.n_active.tolist() == [0] * 5
    assert found.cosine.tolist() == [0.0] * 5
    assert [len(one.parts) for one in decompose(Nothing(), rows)] == [0] * 5
    same = survey(Nothing(), rows[:1].repeat(3, 1))
    assert same.explained.tolist() == [0.0] * 3 or np.isfinite(same.explained).all()


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=60))
def test_bins_hold_what_they_say(values: list[int]) -> None:
    numbers = np.array(values, np.int64)
    width, counts = binned_counts(numbers)
    assert len(counts) <= N_ACTIVE
    assert counts[-1] > 0
    for place, n in enumerate(counts.tolist()):
        assert n == sum(place * width <= value < (place + 1) * width for value in values)
    for place, n in enumerate(binned_uses(numbers).tolist()):
        assert n == sum(2**place // 2 <= value < 2**place for value in values)
