"""What the tables of a wide dictionary cost: to write, to check, to cut, and with latents hidden.

    python benchmarks/bench_tables.py --latents 24576 131072

Prints one JSON object a size. Tables are made as accumulators hand them on, whole and as arrays, of
a residual-stream SAE with all its latents: 20 examples a latent, ten tokens and ten partners in two
orders, logit lens, de-embedding, neighbours, geometry, directions and sketches. `held_mb` is what
the process holds when they are made; each figure after it is the CPU time of a step and how much
higher the peak of its memory is. Steps run in a process of their own for each size.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.memory import peak_mb, reset_peak, resident_mb  # noqa: E402

HIDDEN_EVERY = 97
KEPT_EVERY = 24


@contextmanager
def step(name: str, found: dict[str, float]) -> Iterator[None]:
    """CPU seconds of a step, and how far its peak lies above what was held before."""
    reset_peak()
    before, start = resident_mb(), time.process_time()
    yield
    found[f"{name}_cpu_s"] = round(time.process_time() - start, 2)
    found[f"{name}_peak_mb"] = round(peak_mb() - before, 1)


def measured(n_latents: int, folder: Path) -> dict[str, float]:
    from benchmarks.bench_render import shape_of
    from saereport.run import RunWriter, open_run
    from saereport.run.subset import subset
    from tests.synthetic import described, sae_tables

    shape = shape_of(n_latents)
    info = described(shape)
    slug = info.saes[0].slug
    found: dict[str, float] = {"latents": n_latents}
    made = sae_tables(shape)
    found["held_mb"] = resident_mb()
    latents = made["activity"]["latent"]
    run = folder / "run"
    with step("write", found), RunWriter(run) as writer:
        for name, columns in made.items():
            writer.write(name, columns, slug=slug)
        writer.finish(info)
    hidden = {slug: latents[::HIDDEN_EVERY].tolist()}
    with step("write_hiding", found), RunWriter(folder / "blind", hidden=hidden) as writer:
        for name, columns in made.items():
            writer.write(name, columns, slug=slug)
        writer.finish(info)
    del made
    found["mb"] = round(sum(p.stat().st_size for p in run.rglob("*") if p.is_file()) / 1e6, 1)
    with step("verify", found):
        opened = open_run(run)
        opened.verify()
    kept = latents[::KEPT_EVERY].tolist()
    with step("cut", found):
        subset(opened, folder / "cut", latents={slug: kept}, prompts=None, title=None)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latents", type=int, nargs="+", default=[24_576, 131_072])
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measured(int(given.only[0]), Path(given.only[1]))))
        return
    for n in given.latents:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--only", str(n), folder]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
