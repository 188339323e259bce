"""Against the real SAEDashboard, in its own environment: its files here, our files there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from saereport.exchange import export_report, import_files
from saereport.run import Run, open_run
from saereport.site import render
from tests.exchange.conftest import Side
from tests.synthetic import Shape, write_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(dashboard_side: Side, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Batches that SAEDashboard made of a tiny model and SAE."""
    folder = tmp_path_factory.mktemp("written")
    dashboard_side("write", folder)
    return folder


@pytest.fixture(scope="module")
def imported(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    target = tmp_path_factory.mktemp("imported") / "run"
    import_files([written], target)
    return open_run(target)


def features(folder: Path) -> dict[int, dict[str, Any]]:
    batches = [json.loads(path.read_text()) for path in sorted(folder.glob("batch-*.json"))]
    return {f["feature_index"]: f for batch in batches for f in batch["features"]}


def active(feature: dict[str, Any]) -> list[Any]:
    """The examples that a run keeps: those on whose token the latent is active."""
    names = ("bin_min", "bin_max", "bin_contains", "tokens", "values", "qualifying_token_index")
    shown = [[one[name] for name in names] for one in feature["activations"]]
    for one in shown:
        # It was chosen for the first token of the prompt, which is not in the file.
        one[5] = one[5] if one[5] >= 0 else one[4].index(max(one[4]))
    return sorted(one for one in shown if one[4][one[5]] > 0)


def test_what_it_writes_is_read(written: Path, imported: Run) -> None:
    given = features(written)
    (info,) = imported.info.saes
    assert info.label == "0-res-tiny__l0-5"
    assert imported.info.model.name == "tiny"
    text = imported.info.text
    assert (text.name, text.n_sequences, text.context_size) == ("made/up", 40, 24)
    activity = imported.table("activity", info.slug).to_pylist()
    assert [row["latent"] for row in activity] == sorted(given)
    tokens = 40 * 24
    for row in activity:
        feature = given[row["latent"]]
        assert row["density"] == feature["frac_nonzero"]
        assert row["n_active"] == sum(feature["freq_hist_data_bar_heights"])
        # The density is over all tokens of the prompts, ignored ones among them.
        assert row["n_active"] / tokens == pytest.approx(row["density"], abs=1e-5)
    assert sum(row["n_active"] == 0 for row in activity) == 1
    shown = imported.table("examples", info.slug).to_pylist()
    assert len(shown) == sum(len(active(feature)) for feature in given.values()) > 100


def test_the_report_of_its_files_can_be_made(imported: Run, tmp_path: Path) -> None:
    render(imported.path, tmp_path / "report")
    slug = imported.info.saes[0].slug
    page = (tmp_path / "report" / slug / "l0000.html").read_text("utf-8")
    assert "</script><b>" not in page
    assert page.count("<article") == 12
    words = (tmp_path / "report" / "vocabulary.js").read_text("utf-8")
    assert r"\u003c/script\u003e\u003cb\u003ex" in words


def test_its_files_come_back_the_same(written: Path, imported: Run, tmp_path: Path) -> None:
    export_report(imported.path, tmp_path / "out", format="saedashboard")
    given, back = features(written), features(tmp_path / "out")
    assert sorted(back) == sorted(given)
    same = ("pos_str", "pos_values", "neg_str", "neg_values", "frac_nonzero", "dataset")
    same += ("freq_hist_data_bar_values", "freq_hist_data_bar_heights", "n_prompts_total")
    same += ("logits_hist_data_bar_heights", "n_tokens_in_prompt", "decoder_weights_dist")
    for index, feature in given.items():
        for name in same:
            assert back[index][name] == feature[name], name
        assert active(back[index]) == active(feature)
        centres = feature["logits_hist_data_bar_values"]
        assert back[index]["logits_hist_data_bar_values"] == pytest.approx(centres, abs=0.0011)


def test_what_is_written_loads_in_its_classes(dashboard_side: Side, tmp_path: Path) -> None:
    write_run(tmp_path / "run", Shape(d_sae=300, n_chosen=150, n_sequences=60, hostile=True))
    export_report(tmp_path / "run", tmp_path / "out", format="saedashboard")
    dashboard_side("read", tmp_path / "out", tmp_path / "held.json")
    held = json.loads((tmp_path / "held.json").read_text())
    assert sorted(held) == ["batch-0.json", "batch-1.json"]
    for name, batch in held.items():
        assert batch == json.loads((tmp_path / "out" / name).read_text())
