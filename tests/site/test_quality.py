"""The facts about an SAE as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from saereport.run import Run, open_run
from saereport.site import render
from saereport.site.quality import quality_facts
from tests.synthetic import Shape, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    target = tmp_path_factory.mktemp("quality") / "run"
    write_run(target, Shape(n_saes=2, d_sae=32, n_chosen=4, n_sequences=20))
    return open_run(target)


def test_facts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    slug = run.info.saes[0].slug
    variance, recovered = quality_facts(run, slug)
    assert (variance.name, variance.value) == ("Explained variance", "0.830")
    assert variance.note == "over 1,260 tokens"
    assert (recovered.name, recovered.value) == ("CE recovered", "0.985")
    assert recovered.note == "model 4.01, with the SAE 4.14, zero 12.68"
    table = run.table("sae_metrics", slug)
    monkeypatch.setattr(run, "table", lambda *_: table.slice(0, 2))
    assert quality_facts(run, slug) == []
    monkeypatch.setattr(run, "has", lambda *_: False)
    assert quality_facts(run, slug) == []


def test_pages_show_them(run: Run, tmp_path: Path) -> None:
    render(run.path, tmp_path / "report")
    for page in ("index.html", f"{run.info.saes[0].slug}/index.html"):
        html = BeautifulSoup((tmp_path / "report" / page).read_text("utf-8"), "html.parser")
        names = [dt.get_text() for dt in html.find_all("dt")]
        assert {"Explained variance", "CE recovered"} <= set(names)
    methods = (tmp_path / "report" / "methods.html").read_text("utf-8")
    for title in ("The SAE as a whole", "Decoder directions", "Sketch of the active tokens"):
        assert title in methods
    provenance = (tmp_path / "report" / "provenance.html").read_text("utf-8")
    for name in ("sae_metrics", "decoder_directions", "active_sketch"):
        assert f"{name}.parquet" in provenance
