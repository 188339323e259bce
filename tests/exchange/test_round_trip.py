from __future__ import annotations

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saereport import diff
from saereport.exchange import export_report, import_files
from saereport.publish.reports import summarize
from saereport.report.rendering import render as render_report
from saereport.run import Run, open_run
from saereport.site import render
from saereport.util.files import sha256_of
from tests.exchange import samples
from tests.synthetic import Shape, write_run

FORMATS = ("saedashboard", "neuronpedia")
Format = Literal["saedashboard", "neuronpedia"]


def key(one: dict[str, Any]) -> str:
    return json.dumps(one, sort_keys=True)


def through(source: Path, folder: Path, kind: Format) -> Run:
    """A run as it comes back through files of one format."""
    export_report(source, folder / "files", format=kind)
    import_files([folder / "files"], folder / "run")
    return open_run(folder / "run")


@settings(max_examples=15, deadline=None)
@given(batch=samples.batches())
def test_a_batch_comes_back(batch: dict[str, Any]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        samples.write_batch(folder / "in", batch)
        import_files([folder / "in"], folder / "run")
        export_report(folder / "run", folder / "out", format="saedashboard")
        back = json.loads((folder / "out" / "batch-0.json").read_text())
    head = ("model_id", "layer", "sae_set", "sae_id_suffix")
    assert [back[name] for name in head] == [batch[name] for name in head]
    expected = sorted(batch["features"], key=lambda feature: feature["feature_index"])
    assert len(back["features"]) == len(expected)
    for was, now in zip(expected, back["features"], strict=True):
        assert sorted(map(key, now.pop("activations"))) == sorted(map(key, was["activations"]))
        centres = now.pop("logits_hist_data_bar_values")
        if len(centres) != 1:
            assert centres == pytest.approx(was["logits_hist_data_bar_values"], abs=1e-5)
        kept = {name: value for name, value in was.items() if name in now}
        assert kept == {name: now[name] for name in kept}


@settings(max_examples=8, deadline=None)
@given(batch=samples.batches())
def test_both_formats_say_the_same(batch: dict[str, Any]) -> None:
    """The same content as a batch and as Neuronpedia's rows gives the same tables."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        samples.write_batch(folder / "batch", batch)
        samples.write_rows(folder / "rows", samples.rows_of(batch))
        import_files([folder / "batch"], folder / "a")
        import_files([folder / "rows"], folder / "b")
        one, other = open_run(folder / "a"), open_run(folder / "b")
        (slug,) = {sae.slug for run in (one, other) for sae in run.info.saes}
        for table in one.names(slug):
            assert one.table(table, slug).equals(other.table(table, slug)), table
        assert one.table("sequences").equals(other.table("sequences"))
        near = other.table("neighbours", slug).to_pylist()
        labels = other.table("explanations", slug).to_pylist()
    assert all(row["other"] == row["latent"] + 1 and row["cosine"] == 0.5 for row in near)
    assert {row["source"] for row in labels} == {"m, t"}


@pytest.mark.parametrize("kind", FORMATS)
@settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**20), hostile=st.booleans(), n_saes=st.sampled_from([1, 2]))
def test_a_run_comes_back(kind: Format, seed: int, hostile: bool, n_saes: int) -> None:
    shape = Shape(
        n_saes=1, d_sae=40, n_chosen=7, context=16, n_sequences=30, n_vocabulary=500, seed=seed
    )
    shape = Shape(**{**shape.__dict__, "hostile": hostile})
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_run(folder / "was", shape)
        was, now = open_run(folder / "was"), through(folder / "was", folder, kind)
        old, new = was.info.saes[0].slug, now.info.saes[0].slug
        compare(was, now, old, new)
        if kind == "neuronpedia":
            columns = ["latent", "rank", "other", "cosine"]
            # The file lists a latent among its own neighbours; an import leaves it out.
            rows = [
                {**row, "rank": 0}
                for row in was.table("neighbours", old, columns=columns).to_pylist()
                if row["latent"] != row["other"]
            ]
            got = [{**row, "rank": 0} for row in now.table("neighbours", new).to_pylist()]
            assert got == rows
            assert [row["text"] for row in now.table("explanations", new).to_pylist()] == [
                " ".join(row["text"].split())
                for row in was.table("explanations", old).to_pylist()
                if row["text"].split()
            ]


def compare(was: Run, now: Run, old: str, new: str) -> None:
    """What both a run and the files can say."""
    names = ["latent", "density", "max"]
    assert now.table("activity", new, columns=names).equals(
        was.table("activity", old, columns=names)
    )
    counts = {
        row["latent"]: sum(row["counts"])
        for row in was.table("activation_histogram", old).to_pylist()
    }
    held = now.has("given_histogram", new)  # no latent may have had a count
    rows = now.table("given_histogram", new).to_pylist() if held else []
    given = {row["latent"]: sum(row["counts"]) for row in rows}
    assert given == {latent: n for latent, n in counts.items() if n}
    assert samples.shown_examples(now, new) == samples.shown_examples(was, old)
    words = [
        {
            row["token"]: samples.readable(row["bytes"])
            for row in run.table("vocabulary").to_pylist()
        }
        for run in (was, now)
    ]
    for a, b in zip(
        was.table("logit_lens", old).to_pylist(),
        now.table("logit_lens", new).to_pylist(),
        strict=True,
    ):
        for side in ("top", "bottom"):
            assert [words[1][t] for t in b[f"{side}_tokens"]] == [
                words[0][t] for t in a[f"{side}_tokens"]
            ]
            assert b[f"{side}_values"] == a[f"{side}_values"]
        assert b["counts"] == a["counts"]
        assert (b["lower"], b["width"]) == pytest.approx((a["lower"], a["width"]), abs=1e-5)


@pytest.mark.parametrize("kind", FORMATS)
def test_equal_runs_give_equal_bytes(kind: Format, tmp_path: Path) -> None:
    write_run(tmp_path / "run", Shape(n_saes=2, d_sae=40, n_chosen=6, n_sequences=30))
    first = export_report(tmp_path / "run", tmp_path / "a", format=kind)
    second = export_report(tmp_path / "run", tmp_path / "b", format=kind)
    assert first == second
    for name in first:
        assert sha256_of(tmp_path / "a" / name) == sha256_of(tmp_path / "b" / name)
    import_files([tmp_path / "a" / first[0].parts[0]], tmp_path / "one")
    import_files([tmp_path / "b" / first[0].parts[0]], tmp_path / "two")
    assert sha256_of(tmp_path / "one" / "run.json") == sha256_of(tmp_path / "two" / "run.json")


@pytest.mark.parametrize("kind", FORMATS)
def test_an_imported_report_is_compared_and_listed(kind: Format, tmp_path: Path) -> None:
    """It knows neither how many tokens were counted nor the size of the SAE."""
    shape = Shape(d_sae=24, n_chosen=5, n_sequences=30, n_vocabulary=300)
    write_run(tmp_path / "whole", shape)
    now = through(tmp_path / "whole", tmp_path, kind)
    was = open_run(tmp_path / "whole")
    assert (now.info.text.n_counted, now.info.saes[0].d_sae) == (0, 0)
    pair = (was.info.saes[0].slug, now.info.saes[0].slug)
    (found,) = diff.compare(was, now, options=diff.Options(match="index", saes=(pair,))).saes
    assert len(found.pairs.after) == 5
    assert found.pairs.sizes["density"].max() < 0.01
    (same,) = diff.compare(now, now).saes
    assert same.not_compared == {}
    render(now.path, tmp_path / "report")
    render_report(now.path, tmp_path / "one.html", single_file=True)
    written = [
        {
            path: sha256_of(tmp_path / out / path)
            for path in export_report(source, tmp_path / out, format=kind)
        }
        for source, out in ((now.path, "of folder"), (tmp_path / "one.html", "of file"))
    ]
    assert written[0] == written[1]
    summary = summarize(tmp_path / "report")
    assert (summary.tokens, summary.rows[0].d_sae, summary.rows[0].never) == (0, 0, None)


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("kind", FORMATS)
def test_an_export_of_several_saes_comes_back_as_a_whole(
    tmp_path: Path, kind: Format, published: bool
) -> None:
    """Whether or not one of them says what Neuronpedia calls the model."""
    shape = Shape(
        n_saes=3, d_sae=40, n_chosen=7, n_sequences=30, n_vocabulary=500, neuronpedia=published
    )
    write_run(tmp_path / "was", shape)
    was, now = open_run(tmp_path / "was"), through(tmp_path / "was", tmp_path, kind)
    assert len(now.info.saes) == 3
    assert latents(now) == latents(was)


def latents(run: Run) -> list[list[int]]:
    return sorted(run.table("activity", sae.slug)["latent"].to_pylist() for sae in run.info.saes)


@pytest.mark.parametrize("space", ["Ġ", " "])
def test_gpt2s_alphabet_is_read_as_text_and_written_back(tmp_path: Path, space: str) -> None:
    """The apostrophe is no row of accents; a half of a character stays a half."""
    tokens = [f"{space}don", "âĢĻ", "t", f"{space}na", "Ã¯", "ve", "âĢ", "Ļ"]
    rows = {
        "features": [
            {"modelId": "gpt2-small", "layer": "8-res-jb", "index": "3", "frac_nonzero": 0.1}
        ],
        "activations": [
            {
                "modelId": "gpt2-small",
                "layer": "8-res-jb",
                "index": "3",
                "tokens": tokens,
                "values": [1.0] * len(tokens),
            }
        ],
    }
    samples.write_rows(tmp_path / "rows", rows)
    import_files([tmp_path / "rows"], tmp_path / "run")
    run = open_run(tmp_path / "run")
    words = {row["token"]: row["bytes"] for row in run.table("vocabulary").to_pylist()}
    (text,) = run.table("sequences")["tokens"].to_pylist()
    assert b"".join(words[token] for token in text) == " don’t naïve’".encode()
    export_report(run.path, tmp_path / "back", format="neuronpedia")
    (row,) = [
        json.loads(line)
        for line in gzip.decompress(
            (tmp_path / "back" / "activations" / "batch-0.jsonl.gz").read_bytes()
        ).splitlines()
    ]
    assert row["tokens"] == tokens
    render(run.path, tmp_path / "report")
