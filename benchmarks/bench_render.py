"""How long, how large, how much memory: rendering a synthetic run, and opening its front page.

    python benchmarks/bench_render.py --latents 25000 100000

Prints one JSON object a size. The run has 30 examples of 64 tokens a latent (10 top, 10 by
interval, 10 by quantile) and every table that a residual-stream SAE can have; it is not copied into
the report. `peak_mb` is of all processes together. The time to a usable table is measured in
Chromium from `file://`, from navigation to the moment when the table sorts and filters;
`index_cpu_ms` is the CPU time that the page takes until then, for a machine that others use too.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.memory import tree_peak  # noqa: E402

if TYPE_CHECKING:
    from tests.synthetic import Shape

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def shape_of(n_latents: int) -> Shape:
    """A dictionary of which every latent is shown."""
    from tests.synthetic import Shape

    return Shape(
        d_sae=n_latents,
        n_chosen=n_latents,
        context=64,
        n_sequences=max(20_000, n_latents // 2),
        n_vocabulary=49_152,
        n_top=10,
        n_intervals=5,
        per_interval=2,
        n_quantiles=5,
        per_quantile=2,
        part=16_384,
        quick=True,
    )


def make_run(folder: Path, n_latents: int) -> None:
    """Write the run in a process of its own, so that its memory goes back."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; "
        "from tests.synthetic import write_run; from benchmarks.bench_render import shape_of; "
        "write_run(Path(sys.argv[2]), shape_of(int(sys.argv[3])))"
    )
    arguments = [str(ROOT), str(folder), str(n_latents)]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)


def rendered(run: Path, out: Path, processes: int | None) -> dict[str, float]:
    """Make the report in a process of its own; seconds are of the wall and of all CPUs."""
    command = [sys.executable, __file__, "--only-render", str(run), str(out)]
    if processes:
        command += ["--processes", str(processes)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen(command) as process, tree_peak(process.pid) as peak:
        if process.wait():
            raise SystemExit(process.returncode)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(wall, 1), "cpu_seconds": round(cpu, 1), "peak_mb": peak.mb}


def size_of(folder: Path) -> float:
    """Megabytes."""
    return round(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6, 1)


def open_in_chromium(page: Path) -> dict[str, float]:
    """Milliseconds from navigation to a table that can be used, and for a sort and a filter."""
    import shutil

    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=CHROMIUM_FLAGS)
        result = {}
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        for key in ("index_cold_ms", "index_ms"):
            tab.goto("about:blank")
            tab.goto(page.as_uri(), wait_until="commit")
            tab.wait_for_selector("th[aria-sort]")
            mark = "performance.getEntriesByName('saereport-table')[0].startTime"
            result[key] = round(tab.evaluate(mark))
        timed = """(action) => new Promise((done) => {
            const start = performance.now();
            action === "sort" ? document.querySelector("th[data-sort=density] button").click()
              : (document.getElementById("filter").value = "water",
                 document.getElementById("filter").dispatchEvent(new Event("input")));
            const wait = action === "sort" ? 0 : 90;
            const end = () => done(performance.now() - start - wait);
            setTimeout(() => requestAnimationFrame(end), wait);
        })"""
        result["index_cpu_ms"] = _cpu_of_opening(tab, page)
        result["sort_ms"] = round(tab.evaluate(timed, "sort"))
        result["filter_ms"] = round(tab.evaluate(timed, "filter"))
        browser.close()
    return result


def _cpu_of_opening(tab: Any, page: Path) -> int:
    """Milliseconds of CPU until the table can be used, however busy others are."""
    tab.goto("about:blank")
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        found = session.send("Performance.getMetrics")["metrics"]
        return next(float(one["value"]) for one in found if one["name"] == "TaskDuration")

    before = spent()
    tab.goto(page.as_uri(), wait_until="commit")
    tab.wait_for_selector("th[aria-sort]")
    after = spent()
    session.detach()
    return round(1000 * (after - before if after > before else after))


def measured(folder: Path, n_latents: int, processes: int | None) -> dict[str, float]:
    run, out = folder / f"run-{n_latents}", folder / f"report-{n_latents}"
    if not run.exists():
        make_run(run, n_latents)
    result = {"latents": n_latents, **rendered(run, out, processes)}
    result |= {"pages_mb": size_of(out), "run_mb": size_of(run)}
    return result | open_in_chromium(out / "index.html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latents", type=int, nargs="+", default=[25_000, 100_000])
    parser.add_argument("--processes", type=int, help="By default as many as a user gets.")
    parser.add_argument("--folder", type=Path, help="Keep runs and reports here.")
    parser.add_argument("--only-render", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only_render:
        from saereport.report.rendering import render

        render(*given.only_render, with_run=False, processes=given.processes)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        for n in given.latents:
            print(json.dumps(measured(folder, n, given.processes)), flush=True)


if __name__ == "__main__":
    main()
