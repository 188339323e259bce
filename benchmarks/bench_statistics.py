"""What the statistics of a text cost without a model: speed, memory, and where the time goes.

Synthetic events (see `synthetic_events`) are made batch by batch and handed to
`Measurement.update`; only that is timed, with the store of the examples' sequences. The text is
never held as a whole. Each case runs in a process of its own.

    python benchmarks/bench_statistics.py --shape 24k --latents all --tokens 100k --tokens 1M
    python benchmarks/bench_statistics.py                # three shapes, 64 latents and all, 1 M
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.memory import peak_mb  # noqa: E402
from benchmarks.synthetic_events import SHAPES, Drawn, Shape, draws  # noqa: E402
from saereport.config.quantities import read_count  # noqa: E402
from saereport.measure import Events, Measurement, SequenceStore, Setting  # noqa: E402
from saereport.measure.batch import Chooser  # noqa: E402
from saereport.pipeline.collector import ROUND  # noqa: E402
from saereport.pipeline.text_pass import TOKENS_PER_BATCH  # noqa: E402

WARM_UP = 100_000
"""Tokens after which the rate is called steady."""


def batch_of(drawn: Drawn, device: torch.device) -> Events:
    """The events of some sequences, as the pass over a text makes them."""
    return Events.of(
        drawn.first,
        drawn.tokens,
        drawn.counted,
        drawn.documents,
        (drawn.latent, drawn.flat, drawn.value),
        device,
    )


@dataclass
class Clock:
    """Wall and CPU seconds, in all and by part."""

    device: torch.device
    wall: float = 0.0
    cpu: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what happens inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._wait()
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """A function that does the same and has its wall time kept under a name."""

        def do(*args: Any) -> Any:
            start = time.perf_counter()
            found = work(*args)
            self._wait()
            self.parts[name] = self.parts.get(name, 0.0) + time.perf_counter() - start
            return found

        return do

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def measure(shape: Shape, n_latents: int | None, tokens: int, device: str) -> dict[str, Any]:
    """One case, in this process: a flat record."""
    where = torch.device(device)
    rng = np.random.default_rng(1)
    latents = np.arange(shape.d_sae)
    if n_latents is not None and n_latents < shape.d_sae:
        latents = np.sort(rng.choice(shape.d_sae, n_latents, replace=False))
    setting = Setting(shape.d_sae, shape.d_vocab, latents, device=device)
    measurement = Measurement(setting)
    store, clock = SequenceStore(), Clock(where)
    for name, accumulator in measurement.accumulators.items():
        accumulator.update = clock.timed(name, accumulator.update)
        if isinstance(accumulator, Chooser):
            accumulator.choose = clock.timed(name, accumulator.choose)
    before = peak_mb()
    # [tokens, events, wall seconds] so far, at the beginning of what is steady and at the end.
    marks = [(0, 0, 0.0)]
    read = events = 0
    # As the pass does it: events are taken into the statistics in rounds of batches.
    batch = TOKENS_PER_BATCH.get(where.type, TOKENS_PER_BATCH["cpu"]) * ROUND.get(where.type, 16)
    for drawn in draws(shape, tokens, batch):
        taken = batch_of(drawn, where)
        with clock.running():
            measurement.update(taken)
            store.add(drawn.first, drawn.tokens, drawn.counted, drawn.documents)
            if store.full:
                store.keep(measurement.sequences())
        read, events = read + drawn.tokens.size, events + len(drawn.flat)
        if read >= 10 ** (len(marks) - 1) * WARM_UP:
            marks.append((read, events, clock.wall))
    if marks[-1][0] < read:
        marks.append((read, events, clock.wall))
    known = sum(clock.parts.values())
    steps = [
        {"tokens": b[0], "events_per_s": round((b[1] - a[1]) / (b[2] - a[2]))}
        for a, b in pairwise(marks)
    ]
    return {
        "d_sae": shape.d_sae,
        "l0": round(events / read, 1),
        "context": shape.context,
        "latents": len(latents),
        "tokens": read,
        "events": events,
        "wall_s": round(clock.wall, 2),
        "cpu_s": round(clock.cpu, 2),
        "tokens_per_s": round(read / clock.wall),
        "events_per_s": round(events / clock.wall),
        "events_per_cpu_s": round(events / max(clock.cpu, 1e-9)),
        "steady_events_per_s": steps[-1]["events_per_s"],
        "steps": steps,
        "peak_mb": peak_mb(),
        "peak_mb_before": before,
        "by_statistic": {
            **{name: round(clock.parts[name], 2) for name in sorted(clock.parts)},
            "shared": round(clock.wall - known, 2),
        },
        "threads": torch.get_num_threads(),
        "device": device,
    }


def in_its_own_process(shape: str, latents: str, tokens: int, device: str) -> dict[str, Any]:
    """One case in a process of its own, so that the peak of memory is of it alone."""
    options = ["--shape", shape, "--latents", latents, "--tokens", str(tokens)]
    command = [sys.executable, __file__, *options, "--device", device, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def row(record: dict[str, Any]) -> str:
    """One line of the table."""
    parts = sorted(record["by_statistic"].items(), key=lambda item: -item[1])
    where = ", ".join(f"{name} {seconds:.1f}" for name, seconds in parts if seconds >= 0.05)
    cells = (
        f"{record['d_sae']:,}, L0 {record['l0']:.0f}, {record['context']:,}",
        f"{record['latents']:,}",
        f"{record['tokens']:,}",
        f"{record['wall_s']:.1f}",
        f"{record['cpu_s']:.1f}",
        f"{record['tokens_per_s']:,}",
        f"{record['events_per_s'] / 1e6:.2f}",
        f"{record['steady_events_per_s'] / 1e6:.2f}",
        f"{record['peak_mb'] / 1000:.2f}",
        where,
    )
    return "| " + " | ".join(cells) + " |"


HEADER = (
    "| d_sae, L0, context | latents | tokens | wall s | CPU s | tokens/s | M events/s "
    "| steady | peak GB | seconds by statistic |\n" + "|---" * 10 + "|"
)


@click.command()
@click.option("--shape", "shapes", type=click.Choice(list(SHAPES)), multiple=True)
@click.option("--latents", "wanted", multiple=True, help="A number, or `all`.")
@click.option("--tokens", "sizes", multiple=True, help="100k, 1M, 10M; 1M by default.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One record a line.")
def main(
    shapes: tuple[str, ...],
    wanted: tuple[str, ...],
    sizes: tuple[str, ...],
    device: str,
    as_json: bool,
) -> None:
    """Print a table: speed, memory and the time of each statistic."""
    cases = list(
        product(
            shapes or ("24k", "16k", "131k"),
            wanted or ("64", "all"),
            [read_count(size) for size in sizes or ("1M",)],
        )
    )
    if not as_json:
        click.echo(HEADER)
    for shape, latents, tokens in cases:
        if len(cases) == 1:
            n = None if latents == "all" else int(latents)
            record = measure(SHAPES[shape], n, tokens, device)
        else:
            record = in_its_own_process(shape, latents, tokens, device)
        click.echo(json.dumps(record) if as_json else row(record))


if __name__ == "__main__":
    main()
