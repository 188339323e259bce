"""What a run does not know is neither a change nor the absence of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.diff import Options, compare
from saereport.diff.columns import Lists
from saereport.diff.overlap import rank_distance
from saereport.exchange import export_report, import_files
from saereport.run import Run, open_run
from saereport.site.difference import difference_page
from tests.diff.rewriting import rewritten, with_rows
from tests.synthetic import Shape, write_run
from tests.synthetic_examples import blind_extra, without_spoilers

SLUG = "synthetic-l3-residual"
SHAPE = Shape(d_sae=40, n_chosen=10, n_sequences=60, n_vocabulary=900)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("unknown") / "run"
    write_run(folder, SHAPE)
    return open_run(folder)


def imported(run: Run, folder: Path) -> Run:
    export_report(run.path, folder / "files", format="neuronpedia")
    import_files([folder / "files"], folder / "run")
    return open_run(folder / "run")


def test_a_latent_less_in_the_files_changes_no_other(run: Run, tmp_path: Path) -> None:
    """Imported sequences are numbered as they come, so numbers say nothing about places."""
    first = imported(run, tmp_path / "first")
    slug = first.info.saes[0].slug
    gone = first.table("activity", slug)["latent"][0].as_py()

    def rest(row: dict[str, Any]) -> dict[str, Any] | None:
        return None if row["latent"] == gone else row

    tables = {(name, SLUG): with_rows(rest) for name in run.names(SLUG) if name != "sae_metrics"}
    tables = {key: edit for key, edit in tables.items() if "latent" in run.table(*key).column_names}
    second = imported(rewritten(run, tmp_path / "less", tables), tmp_path / "second")
    (sae,) = compare(first, second).saes
    assert sae.removed == (gone,)
    assert sae.changed == ()
    assert "imported files" in sae.not_compared["examples"]
    page = difference_page(compare(first, first), first, first)
    assert "imported files do not say whether what they name does" in page
    assert "Nothing differs" not in page


def test_a_threefold_density_is_a_change_though_no_count_is_known(run: Run, tmp_path: Path) -> None:
    def unknown(factor: float) -> Any:
        def edit(row: dict[str, Any]) -> dict[str, Any]:
            return {**row, "n_active": 0, "density": factor * row["density"]}

        return {("activity", SLUG): with_rows(edit)}

    one = rewritten(run, tmp_path / "one", unknown(0.1))
    two = rewritten(run, tmp_path / "two", unknown(0.3))
    (sae,) = compare(one, two).saes
    active = one.table("activity", SLUG)["density"].to_numpy() > 1e-3
    assert active.any()
    changed = {change.after for change in sae.changed}
    assert changed >= set(one.table("activity", SLUG)["latent"].to_numpy()[active].tolist())


def test_texts_that_a_blind_study_keeps_back_are_no_change(tmp_path: Path) -> None:
    def redacted(shown: dict[str, Any]) -> list[tuple[str, int, bool]]:
        return [(SLUG, int(shown[SLUG][5]), False)]

    write_run(tmp_path / "open", SHAPE)
    write_run(tmp_path / "told", SHAPE, blind_extra(redacted))
    without_spoilers(tmp_path / "told", tmp_path / "kept")
    before, after = open_run(tmp_path / "open"), open_run(tmp_path / "kept")
    (sae,) = compare(before, after).saes
    (latent,) = (row["latent"] for row in after.table("blind_latents").to_pylist())
    place = sae.pairs.after.tolist().index(latent)
    for metric in ("top_tokens.rbo", "examples", "explanations"):
        if metric in sae.pairs.sizes:
            assert np.isnan(sae.pairs.sizes[metric][place]), metric
    assert latent not in {change.after for change in sae.changed}
    assert sae.removed == sae.added == ()


def test_no_top_examples_are_not_equal_ones(run: Run, tmp_path: Path) -> None:
    def others(row: dict[str, Any]) -> dict[str, Any] | None:
        return None if row["group"] == "top" else row

    two = rewritten(run, tmp_path / "two", {("examples", SLUG): with_rows(others)})
    for one, other, side in ((run, two, "after"), (two, run, "before")):
        (sae,) = compare(one, other).saes
        assert sae.not_compared["examples"] == f"the run {side} has no top examples"
        assert "examples" not in sae.pairs.sizes


def test_saes_of_one_opened_run_differ_in_their_facts(tmp_path: Path) -> None:
    write_run(tmp_path / "run", Shape(d_sae=40, n_chosen=6, n_sequences=20, n_saes=2))
    run = open_run(tmp_path / "run")
    one, two = (sae.slug for sae in run.info.saes)
    options = Options(saes=((one, two), (two, one)))
    once = compare(run, run, options=options).facts
    assert once == compare(run, open_run(tmp_path / "run"), options=options).facts
    assert any(fact.name.endswith("hook_in") for fact in once)


def test_one_list_of_very_many_does_not_cost_memory_for_all() -> None:
    many = np.arange(60_000)
    lengths = np.array([len(many), *[1] * 30_000])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    lists = Lists(np.concatenate([many, np.zeros(30_000, np.int64)]), offsets)
    turned = Lists(np.concatenate([many[::-1], np.zeros(30_000, np.int64)]), offsets)
    found = rank_distance(lists, turned)
    assert found[0] > 0.99
    assert not found[1:].any()
