"""Comparisons and gates know the logit lens of dictionaries: shares of kinds, medians, tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from saereport.diff import compare
from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, judge, judge_alone
from saereport.diff.measured import measured
from saereport.run import Run, open_run
from saereport.run.lens import kinds_of, moments_of
from tests.diff.edited import edited
from tests.synthetic import Shape, write_run
from tests.synthetic_lens import lenses

SHAPE = Shape(d_sae=60, n_chosen=4, n_sequences=20, n_vocabulary=700)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """In the second run no latent is skewed, and all are twice as wide."""
    folder = tmp_path_factory.mktemp("lens")
    write_run(folder / "one", SHAPE, lenses())
    slug = open_run(folder / "one").info.saes[0].slug

    def flat(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        wide = [2 * value for value in columns["std"]]
        return {**columns, "skewness": [0.0] * len(wide), "std": wide}

    edited(folder / "one", folder / "two", {("lens_moments", slug): flat})
    return open_run(folder / "one"), open_run(folder / "two")


def test_one_report_has_values(sides: tuple[Run, Run]) -> None:
    run = sides[0]
    slug = run.info.saes[0].slug
    values, columns = measured(run).saes[slug], moments_of(run, slug)
    kinds = kinds_of(columns["std"], columns["skewness"], columns["kurtosis"])
    assert values["lens.prediction"] == kinds["prediction"].mean() > 0
    assert values["lens.kurtosis"] == np.median(columns["kurtosis"])
    rows = run.table("token_set_counts", slug).to_pylist()
    hits = sum(row["n_raised"] + row["n_lowered"] for row in rows)
    assert values["lens.enriched"] == hits / sum(row["n_tested"] for row in rows)


def test_another_shape_is_a_change_and_fails_a_gate(sides: tuple[Run, Run]) -> None:
    found = compare(*sides)
    changed = {value.metric: value for value in found.saes[0].values if value.changed}
    assert set(changed) == {"lens.std", "lens.prediction", "lens.suppression"}
    assert changed["lens.std"].size == pytest.approx(0.5)
    gates = [Gate(parse(f"lens.prediction.change < -{least}")) for least in (0.01, 0.9)]
    assert [outcome.failed for outcome in judge(gates, found, measured(sides[1]))] == [True, False]
    (outcome,) = judge_alone([Gate(parse("lens.prediction < 0.01"))], measured(sides[1]))
    assert outcome.failed
