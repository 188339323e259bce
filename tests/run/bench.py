"""A good run on disk over which changes are laid, and everything that takes a run tried on it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from saereport.diff import compare, measured
from saereport.exchange import export_report
from saereport.report.rendering import describe, render
from saereport.run import Run, open_run
from saereport.run.bundle import bundle, unbundled
from saereport.run.store import RUN_FILE
from saereport.run.subset import subset
from saereport.site.difference import difference_page
from saereport.util.errors import SaereportError
from saereport.util.visible import EMOJI, JOINER, NON_JOINER
from tests.run.fuzzing import Change, Good, good

HARMLESS = str.maketrans(dict.fromkeys((EMOJI, JOINER, NON_JOINER)))
"""What joins letters, or an emoji's parts, and moves nothing."""

Seen = tuple[int, int]
"""A file's size and time."""


def acts_on_nothing(text: str) -> bool:
    """Whether a text of one line can be written to a terminal as it is."""
    return text.translate(HARMLESS).isprintable()


@dataclass
class Bench:
    """A good run on disk, over which changes are laid and taken away again.

    Attributes:
        good: The good run.
        folder: Where it lies, beside its changed copy and what is made of that.
        seen: How many cases there were, by what came of them.
        files: Every file below the folder as the last case left it; empty where others wrote since.
    """

    good: Good
    folder: Path
    seen: Counter[str] = field(default_factory=Counter)
    files: dict[str, Seen] = field(default_factory=dict, repr=False)

    @property
    def run(self) -> Path:
        return self.folder / "changed"

    def lay(self, change: Change) -> None:
        (self.run / RUN_FILE).write_bytes(change.info)
        if change.path:
            (self.run / change.path).write_bytes(change.data)

    def laid(self, change: Change) -> dict[str, Seen]:
        """The files that `lay` has written."""
        paths = [self.run / RUN_FILE, *([self.run / change.path] if change.path else [])]
        return {str(path): _seen(path.lstat()) for path in paths}

    def restore(self, change: Change) -> None:
        if change.path:
            (self.run / change.path).write_bytes(self.good.files[change.path])

    @cached_property
    def unchanged(self) -> Run:
        """The good run, its files checked once."""
        run = open_run(self.folder / "good")
        run.verify()
        return run


def made_bench(folder: Path, *, graph: bool) -> Bench:
    made = Bench(good(folder / "good", graph=graph), folder)
    made.good.put(made.run)
    (folder / "out").mkdir()
    return made


def tree(folder: Path | str) -> dict[str, Seen]:
    """Every file and link below a folder, with size and time."""
    found = {}
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            found.update(tree(entry.path))
        else:
            found[entry.path] = _seen(entry.stat(follow_symlinks=False))
    return found


def _seen(about: os.stat_result) -> Seen:
    return about.st_size, about.st_mtime_ns


def rendered(run: Run, bench: Bench) -> None:
    render(run.path, bench.folder / "out" / "report")


def in_one_file(run: Run, bench: Bench) -> None:
    render(run.path, bench.folder / "out" / "report.html", single_file=True)


def compared(run: Run, bench: Bench) -> None:
    found = compare(bench.unchanged, run)
    measured(run)
    difference_page(found, bench.unchanged, run, ())


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
    before = (bench.files or tree(bench.folder)) | bench.laid(change)
    bench.seen["cases"] += 1
    step: Callable[[Run, Bench], None] | None = None
    refused: str | None = None
    try:
        run = open_run(bench.run)
        if change.path and change.what != "run.json":
            run._check(change.path)
        assert acts_on_nothing(describe(run).replace("\n", ""))
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
        assert acts_on_nothing(refused)
        assert len(refused) < 1000
        bench.seen["refused"] += 1
    out = str(bench.folder / "out")
    bench.files = tree(bench.folder)
    written = {path for path, _ in bench.files.items() ^ before.items()}
    restored = str(bench.run / change.path)
    stray = sorted(path for path in written if path != restored)
    if refused is None:
        stray = [path for path in stray if not path.startswith(out)]
    assert stray == []
