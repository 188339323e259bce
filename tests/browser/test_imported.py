"""Imported latents of which the files say little, in the table and side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.exchange import import_files
from saereport.run import open_run
from saereport.site import render
from tests.browser.conftest import Watched
from tests.exchange.samples import write_batch
from tests.exchange.test_sparse_files import rounded_away, rows_that_say_little

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
Cells = dict[int, tuple[str, str]]


def report(source: Path, folder: Path) -> Path:
    import_files([source], folder / "run")
    render(folder / "run", folder / "report")
    return folder / "report"


def in_table(page: Any) -> Cells:
    """Density and maximum of each row."""
    return {
        int(row.get_attribute("data-latent")): (
            row.locator(".c-density").inner_text().strip(),
            row.locator(".c-max").inner_text().strip(),
        )
        for row in page.locator("#rows tr[data-latent]").all()
    }


def side_by_side(seen: Watched, folder: Path, latents: list[int]) -> Cells:
    slug = open_run(folder).info.saes[0].slug
    names = ",".join(f"{slug}.{latent}" for latent in latents)
    page = seen.open(folder / "compare.html", f"#pins={names}")
    page.wait_for_selector(".compared .cell")
    heads = page.locator(".aspect").first.locator(".cell").all()
    return {
        latent: tuple(text.strip() for text in head.locator("dd").all_inner_texts())
        for latent, head in zip(latents, heads, strict=True)
    }


def test_a_rare_latent_is_not_called_dead(tmp_path: Path, watched: Make) -> None:
    common = {**rounded_away(1), "frac_nonzero": 0.02}
    features = [rounded_away(0), common, {"feature_index": 2}]
    features.append({**rounded_away(3), "freq_hist_data_bar_heights": [0, 0, 0], "activations": []})
    batch = write_batch(tmp_path / "in", {"model_id": "m", "features": features})
    folder = report(batch.parent, tmp_path)
    seen = watched()
    wanted = {0: ("< 0.001 %", "2.5"), 1: ("2 %", "2.5"), 2: ("dead", "–"), 3: ("dead", "–")}
    page = seen.open(folder / "index.html")
    assert in_table(page) == wanted
    assert (
        page.locator("#rows tr[data-latent='0'] .meter i").evaluate("(i) => i.style.width") == "0%"
    )
    assert side_by_side(seen, folder, [0, 1, 2, 3]) == wanted
    seen.check()


def test_a_latent_without_a_density_is_not_called_dead(tmp_path: Path, watched: Make) -> None:
    folder = report(rows_that_say_little(tmp_path / "in"), tmp_path)
    seen = watched()
    wanted = {0: ("–", "3"), 1: ("–", "2.5"), 2: ("1 %", "2.5"), 3: ("dead", "–")}
    assert in_table(seen.open(folder / "index.html")) == wanted
    assert side_by_side(seen, folder, [0, 1, 2, 3]) == wanted
    seen.check()
