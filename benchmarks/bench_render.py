"""How long, how large, how much memory: rendering a synthetic run, and opening its front page.

    python benchmarks/bench_render.py --latents 25000

Prints one JSON object. The run has 30 examples of 64 tokens a latent (10 top, 10 by interval, 10 by
quantile) and every table that a residual-stream SAE can have. The time to a usable table is
measured in Chromium from `file://`, from navigation to the moment when the table sorts and filters.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.memory import peak_mb  # noqa: E402

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


def make_run(folder: Path, n_latents: int) -> None:
    from tests.synthetic import Shape, write_run

    shape = Shape(
        d_sae=n_latents,
        n_chosen=n_latents,
        context=64,
        n_sequences=20_000,
        n_vocabulary=49_152,
        n_top=10,
        n_intervals=5,
        per_interval=2,
        n_quantiles=5,
        per_quantile=2,
    )
    write_run(folder, shape)


def render_run(run: Path, out: Path) -> dict[str, float]:
    from saereport.site import render

    start = time.perf_counter()
    render(run, out)
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 2), "peak_mb": peak_mb()}


def size_of(folder: Path) -> float:
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
        result["sort_ms"] = round(tab.evaluate(timed, "sort"))
        result["filter_ms"] = round(tab.evaluate(timed, "filter"))
        browser.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latents", type=int, default=25_000)
    parser.add_argument("--folder", type=Path, help="Keep run and report here.")
    parser.add_argument("--only-render", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only_render:
        print(json.dumps(render_run(*given.only_render)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        run, out = folder / "run", folder / "report"
        if not run.exists():
            make_run(run, given.latents)
        # A process of its own, so that making the run does not count towards the peak.
        command = [sys.executable, __file__, "--only-render", str(run), str(out)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        result = {"latents": given.latents, **json.loads(done.stdout)}
        total, inside = size_of(out), size_of(out / "run")
        result |= {"pages_mb": round(total - inside, 1), "run_mb": inside, "all_mb": total}
        result |= open_in_chromium(out / "index.html")
        print(json.dumps(result))


if __name__ == "__main__":
    main()
