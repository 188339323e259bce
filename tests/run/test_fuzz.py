"""Whatever a run's files hold, reading it gives a result or a `SaereportError`, and no stray file.

Every case changes a good run in one place and sets the sums in `run.json` right, so that the
change gets as far as it can. All tables are read; some cases go on to everything that takes a run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from saereport.diff import compare, measured
from saereport.errors import SaereportError
from saereport.exchange import export_report
from saereport.reports import describe, render
from saereport.run import Run, open_run
from saereport.run.bundle import bundle, unbundled
from saereport.run.store import RUN_FILE
from saereport.run.subset import subset
from saereport.site.difference import difference_page
from tests.run.fuzzing import Change, Good, changes, good, without_a_value

FAST, SLOW, NEVER = 150, 6_500, 10**9
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@dataclass
class Bench:
    """A good run on disk, over which changes are laid and taken away again."""

    good: Good
    folder: Path
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def run(self) -> Path:
        return self.folder / "changed"

    def lay(self, change: Change) -> None:
        (self.run / RUN_FILE).write_bytes(change.info)
        if change.path:
            (self.run / change.path).write_bytes(change.data)

    def restore(self, change: Change) -> None:
        if change.path:
            (self.run / change.path).write_bytes(self.good.files[change.path])


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> list[Bench]:
    made = []
    for graph in (False, True):
        folder = tmp_path_factory.mktemp("fuzz")
        bench = Bench(good(folder / "good", graph=graph), folder)
        bench.good.put(bench.run)
        (folder / "out").mkdir()
        made.append(bench)
    return made


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and link below a folder, with size and time."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            about = os.lstat(os.path.join(place, name))
            found[os.path.join(place, name)] = (about.st_size, about.st_mtime_ns)
    return found


def rendered(run: Run, bench: Bench) -> None:
    render(run.path, bench.folder / "out" / "report")


def in_one_file(run: Run, bench: Bench) -> None:
    render(run.path, bench.folder / "out" / "report.html", single_file=True)


def compared(run: Run, bench: Bench) -> None:
    before = open_run(bench.folder / "good")
    found = compare(before, run)
    measured(run)
    difference_page(found, before, run, ())


def cut_down(run: Run, bench: Bench) -> None:
    slug = run.info.saes[0].slug
    wanted = {slug: run.latents(slug)[:2]}
    subset(run, bench.folder / "out" / "cut", latents=wanted, prompts=None, title=None).verify()


def bundled(run: Run, bench: Bench) -> None:
    page = bench.folder / "out" / "bundle.html"
    page.write_text(f"anything at all\n{bundle(run)}\n", encoding="utf-8")
    with unbundled(page) as inside:
        assert inside.info == run.info


def exported(run: Run, bench: Bench) -> None:
    export_report(run.path, bench.folder / "out" / "batches", format="saedashboard")
    export_report(run.path, bench.folder / "out" / "lines", format="neuronpedia")


FURTHER: tuple[Callable[[Run, Bench], None], ...] = (
    rendered,
    in_one_file,
    compared,
    cut_down,
    bundled,
    exported,
)


def try_it(bench: Bench, change: Change, every: int) -> None:
    """Read a changed run; one of `every` that can be read goes on to one of `FURTHER`.

    Nothing but a `SaereportError` may come of it.
    """
    bench.lay(change)
    before = tree(bench.folder)
    bench.seen["cases"] += 1
    step: Callable[[Run, Bench], None] | None = None
    refused: str | None = None
    try:
        run = open_run(bench.run)
        if change.path and change.what != "run.json":
            run._check(change.path)
        assert describe(run).replace("\n", "").isprintable()
        bench.seen["read"] += 1
        times, rest = divmod(bench.seen["read"], every)
        if not rest:
            run.verify()
            step = FURTHER[times % len(FURTHER)]
            step(run, bench)
            bench.seen[step.__name__] += 1
    except SaereportError as error:
        refused = str(error)
    finally:
        bench.restore(change)
    if refused is not None:
        assert refused.isprintable()
        assert len(refused) < 1000
        bench.seen["refused"] += 1
    out = str(bench.folder / "out")
    written = {path for path, _ in tree(bench.folder).items() ^ before.items()}
    restored = str(bench.run / change.path)
    stray = sorted(path for path in written if path != restored)
    if refused is None:
        stray = [path for path in stray if not path.startswith(out)]
    assert stray == []


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
    one()
    return benches[0].seen + benches[1].seen


def test_the_good_runs_are_good(benches: list[Bench]) -> None:
    """The others would say little if what they change were refused anyway."""
    names = set()
    for bench in benches:
        run = open_run(bench.folder / "good")
        run.verify()
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


@pytest.mark.slow
def test_no_value_that_is_missing_does_harm(benches: list[Bench]) -> None:
    bench = benches[0]
    bench.seen.clear()
    for change in without_a_value(bench.good):
        refused = bench.seen["refused"]
        try_it(bench, change, every=NEVER)
        if bench.seen["refused"] > refused:
            continue
        bench.lay(change)
        for step in (rendered, compared):
            try:
                step(open_run(bench.run), bench)
            except SaereportError:
                bench.seen["refused later"] += 1
    print(f"\n{dict(sorted(bench.seen.items()))}")
    assert bench.seen["read"] > 50
    assert bench.seen["refused"] > 50
