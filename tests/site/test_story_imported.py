"""What the pages say about latents whose files say little."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag

from saereport.exchange import import_files
from saereport.site import render
from tests.exchange.samples import write_batch
from tests.exchange.test_sparse_files import rounded_away, rows_that_say_little


def articles(source: Path, folder: Path) -> dict[int, Tag]:
    """The article of each latent in the report of imported files."""
    import_files([source], folder / "run")
    render(folder / "run", folder / "report")
    found = {}
    for path in sorted((folder / "report").glob("*/l0*.html")):
        soup = BeautifulSoup(path.read_text("utf-8"), "html.parser")
        for article in soup.select("article.latent"):
            found[int(str(article["id"]).removeprefix("latent-"))] = article
    return found


def facts(article: Tag) -> dict[str, str]:
    return {
        item.select_one("dt").get_text(): item.select_one("dd").get_text(" ", strip=True)
        for item in article.select(".often dl > div")
    }


def classes(article: Tag) -> list[str]:
    """Colours of the active tokens in its examples."""
    return [name for mark in article.select(".snips q i") for name in mark["class"]]


def test_a_density_that_was_rounded_to_0_is_a_small_one(tmp_path: Path) -> None:
    dead: dict[str, Any] = {"feature_index": 3, "frac_nonzero": 0.0}
    batch = {"model_id": "m", "features": [rounded_away(2), dead]}
    found = articles(write_batch(tmp_path / "in", batch).parent, tmp_path)
    assert facts(found[2]) == {"Density": "< 0.001 %", "Active": "6 tokens", "Maximum": "2.5"}
    assert not found[2].select(".dead")
    assert "never" not in found[2].get_text().lower()
    assert classes(found[2]) == ["a9"]
    assert facts(found[3]) == {"Active": "never"}
    assert found[3].select(".dead")


def test_a_latent_with_a_maximum_is_not_dead(tmp_path: Path) -> None:
    """Its density is not given, so none is claimed."""
    found = articles(rows_that_say_little(tmp_path / "in"), tmp_path)
    assert [facts(found[i]) for i in (0, 1)] == [{"Maximum": "3"}, {"Maximum": "2.5"}]
    assert facts(found[2]) == {"Density": "1 % 1 in 100 tokens", "Maximum": "2.5"}
    for latent in (0, 1, 2):
        assert not found[latent].select(".dead")
        assert "never" not in found[latent].get_text().lower()
    assert classes(found[0]) == ["a8", "a3"]
    assert classes(found[1]) == ["a9", "a4"]
    assert found[3].select(".dead")


@pytest.mark.parametrize("heights", [[3, 2, 1], [0, 0, 0]])
def test_a_histogram_alone_tells_whether_a_latent_is_active(
    heights: list[int], tmp_path: Path
) -> None:
    feature = {**rounded_away(0), "activations": [], "freq_hist_data_bar_heights": heights}
    batch = {"model_id": "m", "features": [feature]}
    found = articles(write_batch(tmp_path / "in", batch).parent, tmp_path)
    assert bool(found[0].select(".dead")) == (not any(heights))
    if any(heights):
        assert facts(found[0]) == {"Density": "< 0.001 %", "Active": "6 tokens"}
        label = str(found[0].select_one(".spark")["aria-label"])
        assert label == "histogram of activations, 0.5 to 2.5, log counts"
