"""What a report says about an SAE as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from saereport.run import Run, open_run
from saereport.run.figures import figures_of
from saereport.site import render
from saereport.site.quality import quality_facts
from tests.diff.edited import edited
from tests.synthetic import Shape, write_run

ATTENTION: dict[str, tuple[float, list[float]]] = {
    "ce_added_mean": (-0.0031, [-0.02, 0.01]),
    "ce_added_spliced": (-0.0057, [-0.0137, 0.0023]),
    "ce_added_zero": (0.0471, [0.031, 0.061]),
    "ce_original": (4.5043, [4.35, 4.65]),
    "ce_recovered": (1.122, [1.01, 1.35]),
    "ce_spliced": (4.4986, [4.35, 4.65]),
    "ce_zero": (4.5514, [4.4, 4.7]),
    "explained_variance": (0.994, [0.71, 0.997]),
    "explained_variance_usual": (0.41, [0.39, 0.43]),
    "kl_recovered": (0.85, [0.83, 0.87]),
}
"""Two known cases in one: a small gap, and a variance that hangs on few tokens."""

Edited = dict[str, list[Any]]


def planted(columns: Edited) -> Edited:
    rows = [
        (metric, *ATTENTION.get(metric, (value, interval)), n, sequences)
        for metric, value, interval, n, sequences in zip(*columns.values(), strict=True)
        if metric != "ce_recovered_mean"
    ]
    return dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))


def few(columns: Edited) -> Edited:
    return {
        **columns,
        "interval": [[] for _ in columns["interval"]],
        "n_sequences": [4 for _ in columns["n_sequences"]],
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The first SAE is well, the second one as in `ATTENTION`, the third on few sequences."""
    folder = tmp_path_factory.mktemp("quality")
    write_run(folder / "plain", Shape(n_saes=4, d_sae=32, n_chosen=4, n_sequences=20))
    slugs = [sae.slug for sae in open_run(folder / "plain").info.saes]
    changes = {("sae_metrics", slugs[1]): planted, ("sae_metrics", slugs[2]): few}
    edited(folder / "plain", folder / "run", changes)
    return open_run(folder / "run")


@pytest.fixture(scope="module")
def report(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality") / "report"
    render(run.path, folder)
    return folder


def section(report: Path, run: Run, k: int) -> Any:
    page = report / run.info.saes[k].slug / "index.html"
    return BeautifulSoup(page.read_text("utf-8"), "html.parser").find(id="quality")


def tables(found: Any) -> dict[str, dict[str, list[str]]]:
    """Title of a table to the cells of each row, value and interval with a bar between."""
    return {
        table.caption.get_text(): {
            row.th.get_text(): [cell.get_text("|") for cell in row("td")]
            for row in table.tbody("tr")
        }
        for table in found("table")
    }


def test_facts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    variance, recovered = quality_facts(run, run.info.saes[0].slug)
    assert (variance.name, variance.value) == ("Explained variance", "0.830")
    assert variance.note == "0.820 to 0.840; 0.810 without the 2 of largest norm"
    assert (recovered.name, recovered.value) == ("CE recovered", "0.985")
    assert recovered.note == "0.984 to 0.986; of 8.670 nats"
    slug = run.info.saes[1].slug
    variance, recovered = quality_facts(run, slug)
    assert variance.note == "0.710 to 0.997; 0.410 without the 2 of largest norm"
    assert recovered.note == "1.010 to 1.350; of 0.0471 nats"
    table = run.table("sae_metrics", slug)
    monkeypatch.setattr(run, "table", lambda *_: table.slice(0, 2))
    assert quality_facts(run, slug) == []
    monkeypatch.setattr(run, "has", lambda *_: False)
    assert quality_facts(run, slug) == []


def test_the_section_of_an_sae(report: Path, run: Run) -> None:
    found = section(report, run, 0)
    assert "Over the first 1,260 counted tokens of the text, in 20 sequences." in found.get_text()
    shown = tables(found)
    assert shown["Activations"]["Explained variance"] == [
        "0.830|0.820 to 0.840",
        "0.810|0.800 to 0.820",
    ]
    assert shown["Activations"]["Cosine"] == ["0.930|0.926 to 0.934", ""]
    assert shown["Activations"]["L2 ratio"] == ["0.940|0.937 to 0.943", ""]
    predictions = shown["Next-token predictions, in nats"]
    assert predictions["nothing: the model itself"] == ["4.010|3.860 to 4.160", "", ""]
    assert predictions["the reconstruction"][1] == "0.130|0.120 to 0.140"
    assert shown["Share recovered"]["mean ablation"] == [
        "0.983|0.982 to 0.984",
        "0.978|0.977 to 0.979",
    ]
    said = found.get_text(" ")
    assert "BOS and other special tokens keep their own" in said
    assert "Zero ablation (12.68 nats) and mean ablation (11.90 nats) leave the model worse than "
    assert "worse than guessing among all 2,000 tokens (ln V = 7.60)" in said


def test_a_small_gap_is_seen(report: Path, run: Run) -> None:
    found = section(report, run, 1)
    shown = tables(found)
    predictions = shown["Next-token predictions, in nats"]
    assert [predictions[name][0].split("|")[0] for name in predictions][:2] == ["4.5043", "4.4986"]
    assert predictions["the reconstruction"][1] == "−0.0057|−0.0137 to 0.0023"
    assert shown["Share recovered"] == {
        "zero ablation": ["1.122|1.010 to 1.350", "0.850|0.830 to 0.870"],
        "mean ablation": ["–", "0.976|0.975 to 0.977"],
    }
    said = found.get_text(" ")
    assert "Zero and mean ablation add less than 0.05 nats" in said
    assert "guessing" in said  # the mean ablation of the synthetic run is as bad as that


def test_without_intervals_and_without_figures(report: Path, run: Run) -> None:
    found = section(report, run, 2)
    assert "in 4 sequences. That is too few for intervals" in found.get_text()
    assert tables(found)["Activations"]["L2 ratio"] == ["0.936", ""]
    assert figures_of(run, run.info.saes[3].slug)
    assert figures_of(run, "none") == {}


def test_not_measured(run: Run, tmp_path: Path) -> None:
    """A run without the figures says why, as one of imported files does."""
    from saereport.run import RunWriter

    slug = run.info.saes[0].slug
    with RunWriter(tmp_path / "run") as writer:
        for place in (None, *(sae.slug for sae in run.info.saes)):
            for name in run.names(place):
                if (name, place) != ("sae_metrics", slug):
                    writer.write(name, run.table(name, place).to_pydict(), slug=place)
        saes = [
            sae.model_copy(update={"left_out": {"sae_metrics": "it was skipped"}})
            if sae.slug == slug
            else sae
            for sae in run.info.saes
        ]
        writer.finish(run.info.model_copy(update={"saes": tuple(saes)}))
    render(tmp_path / "run", tmp_path / "report")
    found = section(tmp_path / "report", run, 0)
    assert "Not measured: it was skipped." in found.get_text()
    assert not found("table")


def test_other_pages_show_them(report: Path, run: Run) -> None:
    for page in ("index.html", f"{run.info.saes[0].slug}/index.html"):
        html = BeautifulSoup((report / page).read_text("utf-8"), "html.parser")
        names = [dt.get_text() for dt in html.find_all("dt")]
        assert {"Explained variance", "CE recovered"} <= set(names)
    methods = (report / "methods.html").read_text("utf-8")
    for title in ("The SAE as a whole", "Decoder directions", "Sketch of the active tokens"):
        assert title in methods
    provenance = (report / "provenance.html").read_text("utf-8").replace("<wbr>", "")
    for name in ("sae_metrics", "decoder_directions", "active_sketch"):
        assert f"{name}.parquet" in provenance
