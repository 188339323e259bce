"""The geometry of dictionaries in a build: pairs, tables against slow computations, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.config.build import make_config
from saereport.config.geometry import parse_pairs
from saereport.diff.measured import measured
from saereport.measure.geometry import clusters as joining
from saereport.pipeline import build
from saereport.pipeline import chains as chaining
from saereport.pipeline.preflight import check_everything, check_settings
from saereport.run import Run, open_run
from saereport.run.geometry import N_BINS
from saereport.site import render
from saereport.sources.forward import forward
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError, UsageError
from saereport.util.progress import Progress
from tests.factories import make_sae, save_sae, tiny_model

Asked = Callable[..., dict[str, Any]]
QUIET = Progress(quiet=True)
TABLES = (
    *("dictionary_matches", "latent_matches", "dictionary_clusters"),
    *("cluster_places", "latent_words"),
)
LEFT = ["examples", "blind", "evaluation", "neighbours", "pullbacks"]


def collected(asked: Asked, out: Path, **changes: Any) -> Run:
    return open_run(build.collect(asked(**changes), out, progress=QUIET))


def rows_of(folder: Path) -> np.ndarray[Any, Any]:
    rows = load_sae(SaeSource(path=folder)).write_rows().double().numpy()
    found: np.ndarray[Any, Any] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def test_both_ways_against_the_whole_matrix(asked: Asked, small: Path, tmp_path: Path) -> None:
    asked_for = {"match": 0.4, "split": 0.3, "cluster": 0.3, "smallest_cluster": 2}
    run = collected(asked, tmp_path / "run", geometry=asked_for)
    run.verify()
    one, other = rows_of(small / "early"), rows_of(small / "late")
    cosines = one @ other.T
    for slug, name, matrix in (("early", "late", cosines), ("late", "early", cosines.T)):
        (row,) = run.table("dictionary_matches", slug).to_pylist()
        best = matrix.max(axis=1)
        assert (row["other"], row["space"], row["hook"]) == (name, "residual", "")
        assert (row["n_latents"], row["n_others"], row["n_without"]) == (*matrix.shape, 0)
        assert row["mean"] == pytest.approx(best.mean(), abs=1e-6)
        assert row["median"] == pytest.approx(np.median(best), abs=1e-6)
        assert row["n_matched"] == (best >= 0.4).sum()
        at = matrix.argmax(axis=1)
        mutual = matrix.argmax(axis=0)[at] == np.arange(len(at))
        assert row["n_mutual"] == (mutual & (best >= 0.4)).sum()
        edges = -0.1 + 0.05 * np.arange(N_BINS + 1)
        assert row["counts"] == np.histogram(best.clip(-0.1, 1), edges)[0].tolist()
        assert sum(row["chance_counts"]) == len(best)
        assert row["chance_median"] < row["chance_high"] < 1
        far = [x for x in np.argsort(best) if best[x] < 0.4][:20]
        assert row["unmatched"] == far
        parts = np.bincount(matrix.argmax(axis=0)[matrix.max(axis=0) >= 0.3], minlength=len(best))
        assert row["n_split"] == (parts > 1).sum()
        assert row["n_parts"] == parts[parts > 1].sum()
        for mine in run.table("latent_matches", slug).to_pylist():
            latent = mine["latent"]
            assert mine["best"] == at[latent]
            assert mine["cosine"] == pytest.approx(best[latent], abs=1e-6)
            assert mine["mutual"] == mutual[latent]
            assert len(mine["parts"]) == min(parts[latent], 10)
        values = measured(run).saes[slug]
        assert values["geometry.match"] == row["mean"]
        assert values["geometry.unmatched"] == pytest.approx(1 - row["matched"])
        clusters = run.table("dictionary_clusters", slug).to_pylist()
        assert values["geometry.clustered"] == clusters[0]["n_clustered"] / len(best)
        directions = one if slug == "early" else other
        for cluster in clusters:
            if cluster["size"] <= 12:
                inside = directions[cluster["members"]]
                pairs = (inside @ inside.T)[np.triu_indices(len(inside), 1)]
                assert cluster["cohesion"] == pytest.approx(pairs.mean(), abs=1e-5)
                assert cluster["cohesion"] > 0.3
    # The narrower SAE is the one whose latents may be split.
    assert run.has("feature_splits", "early")
    assert not run.has("feature_splits", "late")
    split = run.table("feature_splits", "early").to_pylist()
    assert all(len(r["parts"]) == min(r["n_parts"], 10) for r in split)


def test_words_are_those_of_the_logit_lens(asked: Asked, tmp_path: Path) -> None:
    run = collected(asked, tmp_path / "run", latents="all")
    for slug in ("early", "late"):
        words = {r["latent"]: r["tokens"] for r in run.table("latent_words", slug).to_pylist()}
        lens = {r["latent"]: r["top_tokens"] for r in run.table("logit_lens", slug).to_pylist()}
        assert words
        for latent, tokens in words.items():
            assert tokens == lens[latent][: len(tokens)]


def test_it_depends_on_no_text_and_is_used_again(asked: Asked, tmp_path: Path) -> None:
    first = collected(asked, tmp_path / "run")
    other = collected(asked, tmp_path / "other", tokens=300)
    for slug in ("early", "late"):
        for table in TABLES:
            assert first.has(table, slug) == other.has(table, slug)
            if first.has(table, slug):
                assert first.table(table, slug).equals(other.table(table, slug))
    render(first.path, tmp_path / "report")
    assert (tmp_path / "report" / "geometry" / "of-late.html").is_file()


@pytest.mark.parametrize("name", ["directions", "geometry"])
def test_it_can_be_left_out(asked: Asked, tmp_path: Path, name: str) -> None:
    run = collected(asked, tmp_path / "run", skip=[name])
    assert not any(run.has(table, "early") for table in TABLES)
    assert run.info.sae("early").left_out["dictionary_matches"] == "it was skipped"
    assert run.has("geometry", "early") == (name == "directions")
    render(run.path, tmp_path / "report")
    assert not (tmp_path / "report" / "geometry").exists()


def test_one_sae_has_clusters_alone(asked: Asked, small: Path, tmp_path: Path) -> None:
    settings = {"cluster": 0.2, "smallest_cluster": 2}
    run = collected(asked, tmp_path / "run", saes=[{"path": small / "early"}], geometry=settings)
    assert run.has("dictionary_clusters", "early")
    assert run.info.sae("early").left_out["dictionary_matches"] == "the report has no other SAE"
    render(run.path, tmp_path / "report")
    page = (tmp_path / "report" / "geometry" / "index.html").read_text("utf-8")
    assert "No two SAEs of the report write to the same space." in page


def test_saes_at_one_hook_point_are_compared_there(asked: Asked, tmp_path: Path) -> None:
    for name, seed in (("z-a", 1), ("z-b", 2)):
        save_sae(tmp_path / name, "standard", hook_name="blocks.1.attn.hook_z", d_sae=24, seed=seed)
    save_sae(tmp_path / "mlp", "standard", hook_name="blocks.1.ln2.hook_normalized", d_sae=24)
    saes = [{"path": tmp_path / name} for name in ("z-a", "z-b", "mlp")]
    run = collected(asked, tmp_path / "run", saes=saes)
    (row,) = run.table("dictionary_matches", "z-a").to_pylist()
    assert (row["other"], row["space"], row["hook"]) == ("z-b", "hook", "blocks.1.attn.hook_z")
    best = (rows_of(tmp_path / "z-a") @ rows_of(tmp_path / "z-b").T).max(axis=1)
    assert row["mean"] == pytest.approx(best.mean(), abs=1e-6)
    # In the residual stream these 32 numbers mean something else.
    assert "no SAE next to it" in run.info.sae("mlp").left_out["dictionary_matches"]
    with pytest.raises(UsageError) as caught:
        collected(asked, tmp_path / "no", saes=saes, compare_saes=["z-a:mlp"])
    said = str(caught.value)
    assert "'z-a' and 'mlp' cannot be compared: they write at different hook points" in said
    assert "it writes to the input of an MLP" in said


def test_attention_saes_go_through_the_output_matrices(asked: Asked, tmp_path: Path) -> None:
    save_sae(tmp_path / "z", "standard", hook_name="blocks.1.attn.hook_z", d_sae=24)
    save_sae(tmp_path / "resid", "standard", hook_name="blocks.2.hook_resid_pre", d_sae=24)
    run = collected(asked, tmp_path / "run", saes=[{"path": tmp_path / n} for n in ("z", "resid")])
    W_O = tiny_model().W_O(1).double().numpy()
    heads = load_sae(SaeSource(path=tmp_path / "z")).write_rows().double().numpy()
    stream = np.einsum("nhk,hkd->nd", heads.reshape(24, 4, 8), W_O)
    stream /= np.linalg.norm(stream, axis=1, keepdims=True)
    best = (stream @ rows_of(tmp_path / "resid").T).max(axis=1)
    (row,) = run.table("dictionary_matches", "z").to_pylist()
    assert row["space"] == "residual"
    assert row["mean"] == pytest.approx(best.mean(), abs=1e-5)


def test_large_dictionaries_and_more_pairs_than_wanted_are_left_out_and_said(
    asked: Asked, tmp_path: Path
) -> None:
    run = collected(asked, tmp_path / "run", geometry={"most_latents": 50})
    reason = run.info.sae("late").left_out["dictionary_matches"]
    assert reason.startswith("it has 56 latents, and dictionaries of more than 50 are not compared")
    assert run.has("dictionary_clusters", "early") or run.info.sae("early").left_out
    run = collected(asked, tmp_path / "few", geometry={"most_pairs": 0})
    assert not run.has("dictionary_matches", "early")
    assert any("Of 1 pairs of SAEs" in warning.text for warning in run.info.warnings)
    # Named both ways round it is one pair still.
    named = ["late:early", "early:late"]
    run = collected(asked, tmp_path / "one", geometry={"most_pairs": 0}, compare_saes=named)
    assert len(run.table("dictionary_matches", "early")) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("early", "'early' is not a pair of SAEs to compare"),
        ("early:lat", "There is no SAE 'lat' to compare"),
        ("early:early", "The SAE 'early' is to be compared with itself"),
        ("a:b:c", "is not a pair"),
    ],
)
def test_what_is_no_pair_is_refused_beforehand(asked: Asked, words: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_settings(make_config(asked(compare_saes=words)))
    assert said in str(caught.value)


def test_pairs_are_read_as_they_are_written(asked: Asked) -> None:
    config = make_config(asked(compare_saes=[["early", "late"], "late : early"]))
    slugs = {"early": 0, "late": 0}
    assert parse_pairs(config.compare_saes, slugs) == [("early", "late")]
    check_everything(config)
    for wrong in ({"match": 0}, {"match": 1.5}, {"smallest_cluster": 1}, {"cluster": -1}):
        with pytest.raises(UsageError, match="cannot be"):
            make_config(asked(geometry=wrong))
    with pytest.raises(SaereportError, match="Did you mean 'match'"):
        make_config(asked(geometry={"mach": 0.5}))


def test_the_plan_says_how_many_pairs_there_are(asked: Asked, tmp_path: Path) -> None:
    from tests.pipeline.test_build import Told

    told = Told()
    build.collect(asked(), tmp_path / "run", progress=told)
    assert any("directions (1 pair of SAEs, 100 tokens)" in line for line in told.lines)


def test_wide_dictionaries_are_matched_without_clusters(asked: Asked, tmp_path: Path) -> None:
    """What grows with the square of memory or of time is told apart."""
    run = collected(asked, tmp_path / "run", geometry={"most_clustered": 40, "cluster": 0.2})
    assert run.has("dictionary_matches", "late")
    assert run.has("dictionary_clusters", "early")
    assert not run.has("dictionary_clusters", "late")
    sae = next(sae for sae in run.info.saes if sae.slug == "late")
    reason = f"it has {sae.d_sae} latents, and clusters are made of 40 at most"
    assert sae.left_out["dictionary_clusters"].startswith(reason)


def test_dictionaries_whose_latents_lie_too_close_have_no_clusters(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "MOST_MEANS", 0)
    run = collected(asked, tmp_path / "run", geometry={"cluster": 0.1})
    assert run.has("dictionary_matches", "late")
    (reason,) = {sae.left_out["dictionary_clusters"] for sae in run.info.saes}
    assert "so many of its latents lie close together" in reason


def planted(folder: Path, hook: str, rows: np.ndarray[Any, Any], seed: int) -> Path:
    """An SAE whose first decoder rows are these; it reads them too."""
    sae = make_sae("standard", hook_name=hook, d_sae=20, seed=seed)
    with torch.no_grad():
        sae.W_dec[: len(rows)] = torch.from_numpy(rows).float()
        sae.W_enc.copy_(sae.W_dec.T)
        sae.b_enc.zero_()
    sae.save_model(folder)
    return folder


def test_a_latent_that_was_planted_in_three_saes_is_followed(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    a, b, c = np.eye(32)[:3] + 0.02 * rng.normal(size=(3, 3, 32))[0]
    hooks = [f"blocks.{layer}.hook_resid_post" for layer in range(3)]
    saes = [
        planted(tmp_path / "one", hooks[0], np.stack([a, b]), 1),
        planted(tmp_path / "two", hooks[1], np.stack([rng.normal(size=32), a, b]), 2),
        planted(tmp_path / "three", hooks[2], np.stack([c, rng.normal(size=32), a]), 3),
    ]
    run = collected(
        asked, tmp_path / "run", saes=[{"path": p} for p in saes], geometry={"match": 0.9}
    )
    rows = run.table("latent_chains").to_pylist()
    steps = [(row["chain"], row["sae"], row["latent"]) for row in rows]
    assert steps == [
        *((0, "one", 0), (0, "two", 1), (0, "three", 2)),
        *((1, "one", 1), (1, "two", 2)),
    ]
    assert [row["nearest"] for row in rows[:3]] == [[], [], []]
    # The second goes no further: what is nearest in the third SAE is no match.
    best = (rows_of(saes[1]) @ rows_of(saes[2]).T).max(axis=1)
    assert rows[4]["nearest"] == pytest.approx([best[2]], abs=1e-6)
    assert best[2] < 0.9
    assert {row["n_chains"] for row in rows} == {2}
    assert [(row["n_steps"], row["n_as_long"]) for row in rows] == [(3, 1)] * 3 + [(2, 1)] * 2
    # How far they are active together, from activations that are kept whole.
    n = rows[0]["n_tokens"]
    assert n == run.info.text.n_counted
    expected = np.corrcoef(*_activations(run, saes, (0, 1)))[0, 1]
    assert rows[1]["together"] == pytest.approx([expected], abs=1e-5)
    render(run.path, tmp_path / "report")
    page = (tmp_path / "report" / "geometry" / "chains.html").read_text("utf-8")
    assert "goes no further" in page
    monkeypatch.setattr(chaining, "TOKENS_AT_ONCE", 1)
    settings = {"match": 0.9, "coactivation_tokens": 100}
    few = collected(
        asked, tmp_path / "few", saes=[{"path": p} for p in saes], geometry=settings, latents="all"
    ).table("latent_chains")
    assert few.column("n_tokens").to_pylist() == [100] * 5
    # Links some at a time say the same.
    monkeypatch.setattr(chaining, "LINKS_AT_ONCE", 2)
    again = collected(
        asked,
        tmp_path / "again",
        saes=[{"path": p} for p in saes],
        geometry=settings,
        latents="all",
    ).table("latent_chains")
    assert again.equals(few)


def _activations(run: Run, folders: list[Path], latents: tuple[int, ...]) -> list[Any]:
    """Activations of a latent of each of the first SAEs on all tokens that count."""
    rows = run.table("sequences").to_pylist()
    found: list[list[float]] = [[] for _ in latents]
    model = tiny_model()
    for row in rows:
        tokens = torch.tensor([row["tokens"]])
        for place, latent in enumerate(latents):
            sae = load_sae(SaeSource(path=folders[place]))
            acts = forward(model, tokens, reads=[sae.hook_in.name]).acts[sae.hook_in.name][0]
            f = sae.encode(acts)[:, latent]
            found[place] += f[torch.tensor(row["counted"])].tolist()
    return found


def test_without_tokens_chains_are_of_weights_alone(asked: Asked, tmp_path: Path) -> None:
    settings = {"match": 0.2, "coactivation_tokens": 0}
    run = collected(asked, tmp_path / "run", geometry=settings)
    rows = run.table("latent_chains").to_pylist()
    assert rows
    assert {(row["n_tokens"], len(row["together"])) for row in rows} == {(0, 0)}
