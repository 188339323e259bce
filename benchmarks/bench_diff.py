"""How long and how much memory: comparing two synthetic runs of many latents.

    python benchmarks/bench_diff.py --latents 25000
    python benchmarks/bench_diff.py --latents 25000 --match

Prints one JSON object. Both runs have every table that a residual-stream SAE can have, 30 examples
a latent, and other numbers throughout, so that every latent counts as changed. With `--match` the
runs are of different SAEs of 768 dimensions, and latents are matched by decoder direction: three
quarters of them have a partner, at another number and 5 degrees off. Checking the files' SHA-256
counts in the time. `command_seconds` are those of the whole command with the comparison as JSON,
HTML and Markdown. `reading` is the time of only reading the same files, to compare with.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.memory import peak_mb  # noqa: E402

WIDTH = 768


def make_run(folder: Path, n_latents: int, seed: int, *, match: bool) -> None:
    import hashlib

    import numpy as np

    from saereport.run import open_run
    from tests.diff.rewriting import rewritten
    from tests.synthetic import Shape, write_run

    shape = Shape(
        d_sae=n_latents,
        n_chosen=n_latents,
        context=64,
        n_sequences=20_000,
        n_vocabulary=49_152,
        n_top=10,
        seed=seed,
    )
    plain = folder.with_name(f"{folder.name}-plain") if match else folder
    write_run(plain, shape)
    if not match:
        return
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n_latents, WIDTH)).astype(np.float32)
    if seed:
        rng = np.random.default_rng(seed)
        rows = rng.permutation(rows + 0.09 * rng.normal(size=rows.shape).astype(np.float32))
        rows[: n_latents // 4] = rng.normal(size=(n_latents // 4, WIDTH))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    run = open_run(plain)
    slug = run.info.saes[0].slug

    def other(info: Any) -> Any:
        weights = hashlib.sha256(str(seed).encode()).hexdigest()
        sae = info.saes[0].model_copy(update={"weights": weights, "d_out": WIDTH})
        return info.model_copy(update={"saes": (sae,)})

    columns = {"latent": np.arange(n_latents), "direction": rows.astype(np.float16)}
    rewritten(run, folder, {("decoder_directions", slug): lambda _: columns}, other)


def compare_runs(before: Path, after: Path) -> dict[str, Any]:
    from saereport.diff import compare, opened

    idle = peak_mb()
    start, worked = time.perf_counter(), time.process_time()
    with opened(str(before)) as one, opened(str(after)) as two:
        difference = compare(one, two)
    seconds = time.perf_counter() - start
    worked = time.process_time() - worked
    (sae,) = difference.saes
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(worked, 2),
        "peak_mb": peak_mb(),
        "imports_mb": idle,
        "pairing": sae.pairing,
        "pairs": len(sae.pairs.before),
        "changed": len(sae.changed),
        "added": len(sae.added),
        "removed": len(sae.removed),
    }


def write_outputs(before: Path, after: Path) -> dict[str, float]:
    """The whole command with every document that it writes."""
    from saereport.cli.main import run

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"--{kind}={folder}/{kind}" for kind in ("json", "html", "markdown")]
        with contextlib.redirect_stdout(io.StringIO()):
            code = run(["--quiet", "diff", str(before), str(after), *outputs])
        if code:
            raise SystemExit(code)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    seconds = time.perf_counter() - start
    return {
        "command_seconds": round(seconds, 2),
        "command_peak_mb": peak_mb(),
        "documents_mb": round(size / 1e6, 1),
    }


def read_runs(before: Path, after: Path) -> dict[str, float]:
    """Seconds for reading every table of both runs, checked, and nothing else."""
    from saereport.diff import opened

    start = time.perf_counter()
    for path in (before, after):
        with opened(str(path)) as run:
            for slug in (None, *(sae.slug for sae in run.info.saes)):
                for name in run.names(slug):
                    run.table(name, slug)
    return {"reading": round(time.perf_counter() - start, 2)}


WHAT = {"read": read_runs, "compare": compare_runs, "write": write_outputs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latents", type=int, default=25_000)
    parser.add_argument("--match", action="store_true", help="Match latents by direction.")
    parser.add_argument("--folder", type=Path, help="Keep the runs here.")
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        what = WHAT[given.only[0]]
        print(json.dumps(what(Path(given.only[1]), Path(given.only[2]))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        runs = [folder / f"{'match' if given.match else 'index'}-{side}" for side in ("a", "b")]
        for seed, run in enumerate(runs):
            if not run.exists():
                make_run(run, given.latents, seed, match=given.match)
        result: dict[str, Any] = {"latents": given.latents}
        for what in WHAT:
            # Processes of their own, so that nothing else counts towards the peak.
            command = [sys.executable, __file__, "--only", what, *map(str, runs)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            result |= json.loads(done.stdout)
        result["times_reading"] = round(result["seconds"] / result["reading"], 1)
        size = sum(f.stat().st_size for run in runs for f in run.rglob("*") if f.is_file())
        result["files_mb"] = round(size / 1e6, 1)
        print(json.dumps(result))


if __name__ == "__main__":
    main()
