"""Whatever a run's files hold, reading it gives a result or a `SaereportError`, and no stray file.

Every case changes a good run in one place and sets the sums in `run.json` right, so that the
change gets as far as it can. All tables are read; some cases go on to everything that takes a run.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.run.bench import FURTHER, Bench, made_bench, try_it
from tests.run.fuzzing import changes

FAST, SLOW = 150, 6_500
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> list[Bench]:
    return [made_bench(tmp_path_factory.mktemp("fuzz"), graph=graph) for graph in (False, True)]


def tried(benches: list[Bench], count: int, every: int) -> Counter[str]:
    """Try so many cases; what came of them."""

    @settings(max_examples=count, phases=(Phase.generate,), **QUIET)
    @given(data=st.data())
    def one(data: st.DataObject) -> None:
        bench = benches[data.draw(st.integers(0, 1), label="which")]
        change = data.draw(changes(bench.good), label="change")
        try_it(bench, change, every)

    for bench in benches:
        bench.seen.clear()
        bench.files.clear()
    one()
    return benches[0].seen + benches[1].seen


def test_the_good_runs_are_good(benches: list[Bench]) -> None:
    """The others would say little if what they change were refused anyway."""
    names = set()
    for bench in benches:
        run = bench.unchanged
        names |= {Path(path).stem for path in bench.good.files}
    for step in FURTHER:
        step(run, bench)
    assert len(names) > 40


def test_no_change_does_harm(benches: list[Bench]) -> None:
    seen = tried(benches, FAST, 40)
    assert seen["cases"] >= FAST
    assert seen["read"] > 20
    assert seen["refused"] > 20


@pytest.mark.slow
def test_no_change_of_many_does_harm(benches: list[Bench]) -> None:
    seen = tried(benches, SLOW, 10)
    print(f"\n{dict(sorted(seen.items()))}")
    assert seen["cases"] >= SLOW
    assert all(seen[step.__name__] > 10 for step in FURTHER)
