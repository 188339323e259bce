"""Pages of many latents, made by several processes at once.

What a part `Spread`s is made in batches, each from the report and its own arguments alone, so it
does not matter who makes one. `Workers` are processes that open the same run and write into the
same folder; whatever one of them does not do, because it cannot be started, ends or fails, is done
here, where an error can be told. The bytes of a report are the same with any number of them.

A process is a fresh interpreter and no copy of this one, which may hold a GPU and other threads. It
is given the files that were checked, and refuses to work where it knows other panels, parts or
tables than this one: some may have been registered by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from itertools import repeat
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, Self

from saereport import plugins
from saereport.run.registry import TABLES
from saereport.site.context import ReportModel
from saereport.site.layout import Sink
from saereport.site.panels.registry import PANELS, PROMPT_PANELS
from saereport.site.parts.registry import Spread, SpreadCall, parts
from saereport.util.errors import UsageError
from saereport.util.files import json_digest

MOST = 64
"""Processes at most."""
USUAL = 6
"""Processes at most where nobody says how many: each takes some 0.3 GB."""
EACH = 1024
"""Latents for which another process is worth its start."""
_START = (
    "import sys, json; setup = json.loads(sys.stdin.readline()); sys.path[:] = setup['path']; "
    "from saereport.site import working; working.work(setup)"
)


def how_many(asked: int | None, latents: int) -> int:
    """How many processes make the pages; 1 is this one alone.

    Args:
        asked: What the user wants; None for what cores and latents suggest.
        latents: Latents of the whole report.

    Raises:
        UsageError: It is no number of processes.
    """
    if asked is None:
        return max(1, min(_cores(), USUAL, latents // EACH))
    if not 1 <= asked <= MOST:
        raise UsageError(f"Pages cannot be made by {asked:,} processes.", f"Give 1 to {MOST}.")
    return asked


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def registered() -> str:
    """A digest of what pages depend on beside the run: where each panel, part and table is from."""
    makers = [
        *((panel.name, panel.build) for panel in (*PANELS.values(), *PROMPT_PANELS.values())),
        *((part.name, part.items) for part in parts()),
    ]
    tables = {name: [table.version, table.plugin] for name, table in TABLES.items()}
    places = [[n, f.__module__, getattr(f, "__qualname__", "")] for n, f in makers]
    return json_digest({"makers": places, "tables": tables})


class Workers:
    """Processes that write pages of a report into a folder; a context manager.

    Args:
        report: The report.
        folder: Where its pages go.
        n: Number of processes; 1 starts none.
    """

    def __init__(self, report: ReportModel, folder: Path, n: int) -> None:
        self._report, self._folder, self._n = report, folder, n
        self._workers: list[_Worker] = []
        self._idle: SimpleQueue[_Worker | None] = SimpleQueue()
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.end()

    def results(self, spread: Spread) -> Iterator[Any | None]:
        """What each batch gave, in order; None for one that is still to be made."""
        if self._n < 2 or len(spread.batches) < 2:
            yield from [None] * len(spread.batches)
            return
        if not self._workers:
            setup = self._setup()
            self._workers = [_Worker(setup) for _ in range(self._n)]
            for worker in self._workers:
                self._idle.put(worker)
        with ThreadPoolExecutor(self._n) as pool:
            yield from pool.map(lambda batch: self._made(spread.make, batch), spread.batches)

    def _made(self, make: str, batch: SpreadCall) -> Any | None:
        worker = self._idle.get()
        if worker is not None:
            answer = worker.ask([make, batch.arguments])
            if answer is not None:
                self._idle.put(worker)
                return answer
            with self._lock:
                worker.end()
                if any(other.alive for other in self._workers):
                    return None
        self._idle.put(None)  # no process is left: nobody waits for one
        return None

    def _setup(self) -> dict[str, Any]:
        """What a process is to know."""
        report, run = self._report, self._report.whole
        return {
            "path": sys.path,
            "plugins": not plugins.are_off(),
            "registered": registered(),
            "run": str(run.path.resolve()),
            "checked": sorted(run.checked),
            "folder": str(self._folder.resolve()),
            "embed": report.embed_neuronpedia,
            "size": max((shards.size for shards in report.shards.values()), default=1),
        }


class _Worker:
    """One process, and the lines that are exchanged with it."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._process: subprocess.Popen[str] | None = None
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
            )
            self._say(setup)
        except OSError:
            self.end()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process is not None

    def ask(self, question: Any) -> Any | None:
        """What it makes of a batch; None where it does not."""
        try:
            self._say(question)
            assert self._process is not None
            out = self._process.stdout
            answer = json.loads(out.readline() or "null") if out else None
        except (OSError, ValueError):
            answer = None
        return answer

    def _say(self, value: Any) -> None:
        if self._process is None or self._process.stdin is None:
            raise BrokenPipeError
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        process.wait()


def carry_out(
    spread: Spread,
    report: ReportModel,
    sink: Sink,
    workers: Workers | None,
    advance: Callable[[int], None],
) -> None:
    """Make everything that is spread, and hand on what each batch gave, in their order.

    Args:
        spread: What is made.
        report: The report.
        sink: Where it goes that is made here.
        workers: Processes that make the same; None for none.
        advance: Told the number of latents that were done.
    """
    found = workers.results(spread) if workers else repeat(None, len(spread.batches))
    for batch, result in zip(spread.batches, found, strict=True):
        given = result
        if given is None:
            given = made_here(spread.make, batch.arguments, report, sink)
        spread.take(given)
        advance(batch.latents)


def made_here(make: str, arguments: Sequence[Any], report: ReportModel, sink: Sink) -> Any:
    """Make one batch in this process; what it gives is plain, as JSON has it, and not None."""
    module, _, function = make.partition(":")
    items = getattr(import_module(module), function)(report, *arguments)
    while True:
        try:
            item = next(items)
        except StopIteration as end:
            return end.value
        sink.add(item)
