"""Matching latents of different SAEs, against slow readings and known answers."""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.diff import Options, compare, opened
from saereport.diff import assignment as assignment_module
from saereport.diff.assignment import clusters, one_to_one
from saereport.diff.columns import Lists
from saereport.diff.similarity import (
    COMMON,
    FLOOR,
    SimilarPairs,
    alike_by_activity,
    alike_by_direction,
)
from saereport.run import Run, open_run
from saereport.util.errors import SaereportError
from saereport.util.priority import SKETCHED, token_priorities
from tests.diff.rewriting import rewritten
from tests.synthetic import Shape, write_run

SHAPE = Shape(n_chosen=12, d_sae=12, n_sequences=40, context=16, n_vocabulary=400)
matrices = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).uniform(
        0, 1, np.random.default_rng(seed).integers(1, 6, 2)
    )
)


def from_matrix(matrix: np.ndarray) -> SimilarPairs:
    rows, columns = np.nonzero(matrix >= FLOOR)
    return SimilarPairs(*matrix.shape, rows, columns, matrix[rows, columns])


def best_total(matrix: np.ndarray) -> float:
    """The largest sum of similarity minus floor, over every way to pair."""
    gains = np.maximum(matrix - FLOOR, 0)
    if gains.shape[0] > gains.shape[1]:
        gains = gains.T
    n, m = gains.shape
    return max(sum(gains[i, p[i]] for i in range(n)) for p in permutations(range(m), n))


@settings(deadline=None)
@given(matrices, st.booleans())
def test_no_assignment_is_better(matrix: np.ndarray, sparse: bool) -> None:
    candidates = from_matrix(matrix)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignment_module, "DENSE", 0 if sparse else 100)
        chosen = one_to_one(candidates)
    assert len(set(candidates.before[chosen])) == len(set(candidates.after[chosen])) == len(chosen)
    total = (candidates.similarity[chosen] - FLOOR).sum()
    assert total == pytest.approx(best_total(matrix))


def test_directions_are_compared_by_cosine() -> None:
    rng = np.random.default_rng(3)
    one, two = (rng.normal(size=(n, 6)).astype(np.float32) for n in (700, 30))
    one, two = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, two))
    found = alike_by_direction(one, two)
    cosines = one.astype(np.float64) @ two.T.astype(np.float64)
    assert len(found.before) == (cosines >= FLOOR).sum() > 100
    np.testing.assert_allclose(found.similarity, cosines[found.before, found.after], atol=1e-6)


def test_overlap_of_sketches_estimates_the_jaccard_overlap() -> None:
    """Rare latents exactly, frequent ones to the error of 64 samples."""
    rng = np.random.default_rng(0)
    context, n_tokens = 32, 20_000
    order = np.argsort(token_priorities(np.arange(n_tokens), context), kind="stable")
    rank = np.argsort(order)

    def sketch(active: np.ndarray) -> np.ndarray:
        return active[np.argsort(rank[active])][:SKETCHED]

    sides: list[list[np.ndarray]] = [[], []]
    sizes = [4, 12, 30, 60, 300, 3000]
    for size in sizes:
        shared = rng.choice(n_tokens, size, replace=False)
        for side in sides:
            extra = rng.choice(n_tokens, size // 4, replace=False)
            side.append(np.union1d(shared, extra))
    lists = []
    for side in sides:
        held = [sketch(active) for active in side]
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in held])])
        lists.append(Lists(np.concatenate(held), offsets.astype(np.int64)))
    found = alike_by_activity(lists[0], lists[1], context)
    overlap = {
        (a, b): s for a, b, s in zip(found.before, found.after, found.similarity, strict=True)
    }
    for i, size in enumerate(sizes):
        one, two = (set(side[i].tolist()) for side in sides)
        exact = len(one & two) / len(one | two)
        near = 1e-12 if size <= 30 else 0.2
        assert overlap[i, i] == pytest.approx(exact, abs=near)


def test_few_common_tokens_are_chance() -> None:
    tokens = np.arange(COMMON - 1)
    lists = Lists(tokens, np.array([0, len(tokens)]))
    assert len(alike_by_activity(lists, lists, 8).before) == 0


def test_a_latent_that_was_split_is_a_cluster() -> None:
    matrix = np.array([[0.9, 0.8, 0.0], [0.0, 0.0, 0.95]])
    found = clusters(from_matrix(matrix), np.array([10, 11]), np.array([20, 21, 22]))
    (cluster,) = found
    assert (cluster.side, cluster.latent, cluster.others) == ("before", 10, (20, 21))
    assert cluster.similarities == pytest.approx((0.9, 0.8))
    mirrored = clusters(from_matrix(matrix.T), np.array([20, 21, 22]), np.array([10, 11]))
    assert [(c.side, c.latent, c.others) for c in mirrored] == [("after", 10, (20, 21))]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "one"
    write_run(folder, SHAPE)
    return open_run(folder)


def other_weights(info: Any) -> Any:
    sae = info.saes[0].model_copy(update={"weights": "f" * 64})
    return info.model_copy(update={"saes": (sae,)})


def shuffled(run: Run, target: Path, *without: str) -> tuple[Run, np.ndarray]:
    """The same latents at other numbers; partner[i] is where latent i went."""
    slug = run.info.saes[0].slug
    order = np.random.default_rng(1).permutation(12)

    def moved(table: Any) -> Any:
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
        for name in ("direction", "tokens", "values"):
            if name in columns:
                columns[name] = [columns[name][i] for i in order]
        return columns

    alter: dict[tuple[str, str | None], Any] = {
        (name, slug): moved for name in ("decoder_directions", "active_sketch")
    }
    alter |= {(name, slug): lambda _: None for name in without}
    return rewritten(run, target, alter, other_weights), np.argsort(order)


def test_directions_find_the_partners(one: Run, tmp_path: Path) -> None:
    two, partner = shuffled(one, tmp_path / "two")
    (sae,) = compare(one, two).saes
    assert sae.pairing == "decoder_cosine"
    assert not sae.same_weights
    np.testing.assert_array_equal(sae.pairs.after, partner[sae.pairs.before])
    np.testing.assert_allclose(sae.pairs.similarity, 1, atol=2e-3)
    assert sae.added == sae.removed == ()
    assert "neighbours.rbo" in sae.not_compared
    assert "neighbours.rbo" not in sae.pairs.sizes
    (back,) = compare(two, one).saes
    assert set(zip(back.pairs.after, back.pairs.before, strict=True)) == set(
        zip(sae.pairs.before, sae.pairs.after, strict=True)
    )


def test_activity_finds_them_without_directions(one: Run, tmp_path: Path) -> None:
    two, partner = shuffled(one, tmp_path / "two", "decoder_directions")
    (sae,) = compare(one, two).saes
    assert sae.pairing == "coactivation"
    np.testing.assert_array_equal(sae.pairs.after, partner[sae.pairs.before])
    # Latents that were never, or hardly ever, active are like no other.
    assert set(sae.removed) == set(range(12)) - set(sae.pairs.before.tolist())
    assert 0 < len(sae.pairs.before) < 12


def test_without_either_it_is_by_number_and_says_why(one: Run, tmp_path: Path) -> None:
    two, _ = shuffled(one, tmp_path / "two", "decoder_directions", "active_sketch")
    (sae,) = compare(one, two).saes
    assert sae.pairing == "index"
    assert "decoder_directions" in sae.pairing_note
    for match in ("decoder_cosine", "coactivation"):
        with pytest.raises(SaereportError, match=f"cannot be matched by {match}"):
            compare(one, two, options=Options(match=match))  # type: ignore[arg-type]


def test_an_sae_made_from_another_keeps_its_numbers(one: Run, tmp_path: Path) -> None:
    """Rounded or trained on: the weights differ, the directions at equal numbers hardly do."""
    slug = one.info.saes[0].slug

    def turned(table: Any) -> Any:
        rows = [np.asarray(row) for row in table.column("direction").to_pylist()]
        rows[4] = -rows[4]
        return {"latent": table.column("latent").to_pylist(), "direction": rows}

    two = rewritten(one, tmp_path / "two", {("decoder_directions", slug): turned}, other_weights)
    (sae,) = compare(one, two).saes
    assert sae.pairing == "index"
    assert "median cosine 1.000" in sae.pairing_note
    assert not sae.changed
    assert not sae.added


def test_the_user_says_how(one: Run) -> None:
    (sae,) = compare(one, one, options=Options(match="decoder_cosine")).saes
    assert sae.pairing == "decoder_cosine"
    assert not sae.changed
    with opened(str(one.path)) as again:
        assert compare(one, again).saes[0].pairing == "index"
