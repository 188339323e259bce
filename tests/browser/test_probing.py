"""Pages of probing, the bias test and absorption in the browser: drawn and without a violation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from saereport.run import open_run
from saereport.site import render
from tests.browser.axe import violations
from tests.browser.conftest import Watched
from tests.browser.test_accessibility import WINDOWS, seen_whole
from tests.synthetic import Shape, write_run
from tests.synthetic_absorption import absorption
from tests.synthetic_bias import bias
from tests.synthetic_probing import probes

pytestmark = pytest.mark.browser

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=20, n_vocabulary=700, n_saes=2, hostile=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probing")
    write_run(folder / "run", SHAPE, probes(), bias(), absorption())
    render(folder / "run", folder / "report")
    return folder / "report"


@pytest.mark.parametrize(("theme", "width"), WINDOWS)
def test_their_pages_have_no_violation(
    report: Path, watched: Callable[..., Watched], theme: str, width: int
) -> None:
    slug = open_run(report).info.saes[0].slug
    names = ("probing/index", f"probing/of-{slug}", "bias/index", "absorption/index")
    for path in (f"{name}.html" for name in (*names, f"{slug}/index")):
        seen = watched(width=width, theme=theme)
        page = seen.open(report / path)
        seen_whole(page)
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        seen.check()


def test_figures_are_drawn(report: Path, watched: Callable[..., Watched]) -> None:
    for path, anchor in (("probing/index.html", "all"), ("absorption/index.html", "scores")):
        seen = watched()
        page = seen.open(report / path)
        seen_whole(page)
        page.wait_for_selector(f"#{anchor} .js-plotly-plot")
        seen.check()
