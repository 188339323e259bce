"""The logit lens of whole dictionaries in a build: off unless asked for, exact, refused early."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.config.build import make_config
from saereport.measure.weights.enrichment import benjamini_hochberg, permutation_null
from saereport.pipeline import build
from saereport.pipeline.lens import measured_latents
from saereport.pipeline.preflight import check_everything
from saereport.pipeline.stages.lens import LensStage
from saereport.run import Run, open_run
from saereport.run.lens import farthest, kinds_of, lens_figures, moments_of
from saereport.site import render
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress
from tests.factories import save_sae

Asked = Callable[..., dict[str, Any]]
QUIET = Progress(quiet=True)
N = 199
OWN = {"words": ["w50", "w51", "w52", "w53", "w54", "stranger"], "low": [*range(2, 12)]}


def own(folder: Path) -> str:
    (folder / "own.json").write_text(json.dumps(OWN))
    return str(folder / "own.json")


@pytest.fixture
def collected(asked: Asked, tmp_path: Path) -> Callable[..., Run]:
    def collect(**changes: Any) -> Run:
        settings = {"lens": "all", "enrichment_permutations": N, **changes}
        return open_run(build.collect(asked(**settings), tmp_path / "run", progress=QUIET))

    return collect


def test_it_is_off_unless_asked_for(asked: Asked, tmp_path: Path) -> None:
    run = open_run(build.collect(asked(), tmp_path / "run", progress=QUIET))
    for sae in run.info.saes:
        assert not set(LensStage.tables) & ({*run.names(sae.slug)} | set(sae.left_out))
    render(run.path, tmp_path / "report")
    assert not (tmp_path / "report" / "lens").exists()


def test_tables_and_pages_of_every_sae(collected: Callable[..., Run], tmp_path: Path) -> None:
    run = collected(token_sets=own(tmp_path), enrichment="all")
    run.verify()
    sets = {row["set"]: row for row in run.table("token_sets").to_pylist()}
    # Two special tokens of a hundred stand for no text.
    assert {(row["n_ranked"], row["n_left_out"]) for row in sets.values()} == {(98, 2)}
    assert (sets["words"]["n_tokens"], sets["words"]["missing"]) == (5, ["stranger"])
    assert sets["low"]["own"]
    assert (sets["low"]["n_permutations"], sets["low"]["smallest_p"]) == (N, 1 / (N + 1))
    # Every token is a word of small letters and digits: all others have too few tokens.
    tested = {name for name, row in sets.items() if row["n_permutations"]}
    assert tested == {"low", "words"}
    assert any("'stranger'" in warning.text for warning in run.info.warnings)
    for slug, d_sae in (("early", 40), ("late", 56)):
        columns = moments_of(run, slug)
        assert columns["latent"].tolist() == list(range(d_sae))
        table = run.table("logit_lens", slug)
        for name in ("mean", "std", "skewness", "kurtosis"):
            np.testing.assert_allclose(
                columns[name][:4], table.column(name).to_numpy(), rtol=1e-4, atol=1e-5
            )
        scores = run.table("token_set_scores", slug).to_pylist()
        assert {row["latent"] for row in scores} == {0, 1, 2, 3}
        counts = run.table("token_set_counts", slug).to_pylist()
        assert [row["n_tested"] for row in counts] == [d_sae, d_sae]
        best = run.table("token_set_strongest", slug).to_pylist()
        for end, sign in (("raised", 1), ("lowered", -1)):
            found = [sign * r["score"] for r in best if r["set"] == "low" and r["end"] == end]
            assert found == sorted(found, reverse=True)
            shown = [sign * row["score"] for row in scores if row["set"] == "low"]
            assert found[0] >= max(shown)
        figures = lens_figures(run, slug)
        assert figures["lens.std"].value == pytest.approx(np.median(columns["std"]))
    render(run.path, tmp_path / "report")
    assert (tmp_path / "report" / "lens" / "of-late.html").is_file()


def test_scores_and_p_values_are_those_of_the_lens(
    collected: Callable[..., Run], tmp_path: Path
) -> None:
    """Against the whole lens of shown latents, which the tables of all its tokens tell."""
    run = collected(token_sets=own(tmp_path), examples={"top": 2, "listed": 200, "intervals": 0})
    lens = {row["latent"]: row for row in run.table("logit_lens", "early").to_pylist()}
    rows = run.table("token_set_scores", "early").to_pylist()
    sets = {"low": set(range(2, 12)), "words": set(range(50, 55))}
    p = []
    for row in rows:
        members, best, total, k = sets[row["set"]], 0.0, 0.0, len(sets[row["set"]])
        order = [token for token in lens[row["latent"]]["top_tokens"] if token > 1]
        assert len(order) == 98
        for token in order:
            total += 1 / k if token in members else -1 / (98 - k)
            best = total if abs(total) > abs(best) + 1e-12 else best
        assert row["score"] == pytest.approx(best, abs=1e-6)
        null = permutation_null(k, 98, N, 0) / (k * (98 - k))
        p.append((1 + int((null >= abs(best) - 1e-9).sum())) / (N + 1))
        assert row["p"] == pytest.approx(p[-1])
    corrected = benjamini_hochberg(np.array(p))
    assert [row["corrected"] for row in rows] == pytest.approx(corrected.tolist())


def test_a_number_of_latents_holds_the_shown_ones(collected: Callable[..., Run]) -> None:
    run = collected(lens=9, latents="5,6,31", enrichment="none")
    latents = moments_of(run, "early")["latent"].tolist()
    assert len(latents) == 9
    assert {5, 6, 31} <= set(latents)
    assert not run.has("token_sets")
    assert not run.has("token_set_scores", "early")


@pytest.mark.parametrize("asked_for", [0, 1, 3, 10, 40, 99, "all"])
def test_others_are_evenly_spaced(asked_for: int | str) -> None:
    shown = np.array([7, 8, 30])
    found = measured_latents(asked_for, 40, shown).tolist()
    n = 40 if asked_for == "all" else min(40, max(3, int(asked_for)))
    assert found == sorted(set(found))
    assert len(found) == n
    assert set(shown) <= set(found) <= set(range(40))


def test_no_logit_lens_no_moments_and_the_same_reason(
    collected: Callable[..., Run], small: Path, tmp_path: Path
) -> None:
    save_sae(tmp_path / "odd", "standard", hook_name="blocks.1.mlp.hook_in", d_sae=24)
    run = collected(saes=[{"path": tmp_path / "odd"}, {"path": small / "late"}])
    left_out = run.info.sae("odd").left_out
    assert left_out["lens_moments"] == left_out["logit_lens"]
    assert "lens_moments" not in run.names("odd")
    assert run.has("lens_moments", "late")
    render(run.path, tmp_path / "report")
    page = (tmp_path / "report" / "lens" / "index.html").read_text("utf-8")
    assert "not measured: " in page


def test_the_file_is_part_of_the_identity(asked: Asked, tmp_path: Path) -> None:
    config, stage = make_config(asked(lens="all", token_sets=own(tmp_path))), LensStage()
    before = stage.inputs(config)
    (tmp_path / "own.json").write_text(json.dumps({"other": OWN["low"]}))
    assert stage.inputs(config) != before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lens": "all", "token_sets": "none.json"}, "no file of token sets"),
        ({"enrichment": "all"}, "no logit lens is asked for"),
        ({"token_sets": "none.json"}, "no latent is tested for them"),
        ({"lens": 5, "enrichment": "none", "token_sets": "x"}, "no latent is tested for them"),
    ],
)
def test_what_means_nothing_is_refused_before_torch_is_loaded(
    asked: Asked, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SaereportError) as caught:
        check_everything(make_config(asked(**changes)))
    assert said in str(caught.value)


@pytest.mark.parametrize("given", ["some", -1, 1.5, "", None, [3]])
def test_how_many_latents_is_a_number_or_all(asked: Asked, given: Any) -> None:
    with pytest.raises(SaereportError, match="'lens' in the configuration cannot be"):
        make_config(asked(lens=given))


def test_a_set_with_too_few_tokens_is_refused_before_the_text_is_read(
    asked: Asked, tmp_path: Path, passes: list[tuple[int, int]]
) -> None:
    (tmp_path / "own.json").write_text('{"mine": ["w5", "w6", "w999"]}')
    settings = asked(lens="all", token_sets=str(tmp_path / "own.json"))
    with pytest.raises(SaereportError, match="set 'mine': only 2 tokens"):
        build.collect(settings, tmp_path / "run", progress=QUIET)
    assert passes == []


def test_kinds_are_those_of_the_definition() -> None:
    std = np.array([1.0, 1.0, 1.0, 3.0, 0.5, 1.0])
    skewness = np.array([0.5, -0.5, 0.1, 0.0, 0.0, 0.5])
    kurtosis = np.array([2.0, 3.0, 4.0, -0.5, -0.5, 0.2])
    kinds = kinds_of(std, skewness, kurtosis)
    assert np.flatnonzero(kinds["prediction"]).tolist() == [0]
    assert np.flatnonzero(kinds["suppression"]).tolist() == [1]
    assert np.flatnonzero(kinds["partition"]).tolist() == [3]
    found = farthest(std, skewness, kurtosis, 2)
    assert found == {"prediction": [2, 0], "suppression": [1], "partition": [3, 5]}
    empty = np.zeros(0)
    assert farthest(empty, empty, empty, 2) == {kind: [] for kind in found}
