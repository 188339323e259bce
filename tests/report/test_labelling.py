"""`saereport labels`: published labels in a finished report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from saereport.cli.main import cli
from saereport.pipeline.preflight import check_output
from saereport.report.rendering import render
from saereport.run import Run, open_run
from saereport.run.bundle import opened_run
from saereport.site.parts import provenance
from saereport.sources import published_labels as published
from saereport.util.errors import SaereportError
from saereport.util.files import sha256_of
from tests.bucket import Bucket, batch, label, serving
from tests.synthetic import Shape, write_run
from tests.synthetic_graph import SMALL, graphs

SHAPE = Shape(d_sae=60, n_chosen=9, n_sequences=40, n_vocabulary=500, n_saes=2)
SCRIPT = "</script><script>self.stolen=1</script><img src=x onerror=self.stolen=1>"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv(published.CACHE, str(tmp_path / "cache"))
    with serving(Bucket()) as made:
        monkeypatch.setenv(published.ADDRESS, made.address)
        yield made


@pytest.fixture
def run(tmp_path: Path, bucket: Bucket) -> Run:
    write_run(tmp_path / "run", SHAPE)
    made = open_run(tmp_path / "run")
    own = made.info.saes[0].neuronpedia_id
    rows = [label(index, f"{SCRIPT} {index}", own) for index in range(60)]
    bucket.files[f"v1/{own}/explanations/batch-0.jsonl.gz"] = batch(rows)
    return made


def labels(*words: object) -> Result:
    return CliRunner().invoke(cli, ["labels", *map(str, words)])


def texts(run: Run) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in run.table("explanations", run.info.saes[0].slug).to_pylist():
        found.setdefault(row["latent"], []).append(row["text"])
    return found


def test_a_report_gets_labels_in_place(run: Run, tmp_path: Path) -> None:
    render(run.path, tmp_path / "report")
    before = texts(run)
    done = labels(tmp_path / "report")
    assert done.exit_code == 0, done.output
    now = open_run(tmp_path / "report" / "run")
    now.verify()
    shown = run.latents(run.info.saes[0].slug)
    assert texts(now) == {index: [*before.get(index, ()), f"{SCRIPT} {index}"] for index in shown}
    slug = run.info.saes[0].slug
    unlabelled = min(set(shown) - set(before))
    page = next((tmp_path / "report" / slug).glob("*.js"))
    data = "".join(path.read_text() for path in (tmp_path / "report" / slug).glob("*.js"))
    assert f" {unlabelled}" in data, page
    for path in (tmp_path / "report").rglob("*"):
        if path.suffix in (".html", ".js"):
            assert "<script>self.stolen" not in path.read_text("utf-8")
    (file,) = now.table("label_files", slug).to_pylist()
    assert file["file"] == "explanations/batch-0.jsonl.gz"
    assert len(file["sha256"]) == 64
    provenance = (tmp_path / "report" / "provenance.html").read_text("utf-8")
    assert f'id="labels-{slug}"' in provenance
    assert file["sha256"] in provenance
    assert not now.has("label_files", now.info.saes[1].slug)
    for name in run.names():
        assert now.table(name).equals(run.table(name))
    assert labels(tmp_path / "report").exit_code == 0
    assert texts(open_run(tmp_path / "report" / "run")) == texts(now)


def test_the_run_inside_a_report_is_not_replaced_alone(run: Run, tmp_path: Path) -> None:
    """Its pages would be of another run."""
    render(run.path, tmp_path / "report")
    inside = tmp_path / "report" / "run"
    before = {path: sha256_of(path) for path in inside.rglob("*.*")}
    done = labels(inside)
    assert done.exit_code == 1
    assert "is the run inside a report" in str(done.exception)
    with pytest.raises(SaereportError, match="is the run inside a report"):
        check_output(inside, run=True)
    assert {path: sha256_of(path) for path in inside.rglob("*.*")} == before
    assert labels(inside, "--out", tmp_path / "other").exit_code == 0


def test_a_folder_called_like_the_word_is_told_of(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been meant; `./neuronpedia` is the same path."""
    assert "is not read" not in labels(run.path, "--out", tmp_path / "one").output
    (tmp_path / "here" / "neuronpedia").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    done = labels(run.path, "--out", tmp_path / "two")
    assert done.exit_code == 0
    assert "'neuronpedia' in this folder is not read" in done.output


def test_equal_labels_give_equal_bytes(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert labels(run.path, "--out", tmp_path / name).exit_code == 0
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert sha256_of(path) == sha256_of(tmp_path / "two" / path.relative_to(tmp_path / "one"))


def test_a_run_and_a_single_file_stay_what_they_are(run: Run, tmp_path: Path) -> None:
    render(run.path, tmp_path / "one.html", single_file=True)
    assert labels(tmp_path / "one.html").exit_code == 0
    with opened_run(tmp_path / "one.html") as now:
        assert SCRIPT in "".join(text for own in texts(now).values() for text in own)
    assert labels(run.path).exit_code == 0
    assert not (run.path / "index.html").exists()
    assert len(texts(open_run(run.path))) == SHAPE.n_chosen


def test_a_new_report_beside(run: Run, tmp_path: Path) -> None:
    render(run.path, tmp_path / "report")
    before = sha256_of(tmp_path / "report" / "run" / "run.json")
    assert labels(tmp_path / "report", "--out", tmp_path / "new").exit_code == 0
    assert sha256_of(tmp_path / "report" / "run" / "run.json") == before
    assert len(texts(open_run(tmp_path / "new" / "run"))) == SHAPE.n_chosen


def test_all_labels_are_kept_where_asked(run: Run, tmp_path: Path) -> None:
    render(run.path, tmp_path / "report")
    assert labels(tmp_path / "report", "--all").exit_code == 0
    now = open_run(tmp_path / "report" / "run")
    now.verify()
    assert list(texts(now)) == list(range(60))
    slug = now.info.saes[0].slug
    assert now.latents(slug) == run.latents(slug)


def test_latents_met_blind_get_none(tmp_path: Path, bucket: Bucket) -> None:
    def blind(writer: Any, shape: Shape, shown: dict[str, Any]) -> None:
        slug = next(iter(shown))
        columns = {
            "sae": [slug, slug],
            "latent": sorted(shown[slug].tolist())[:2],
            "reveal": [False, True],
        }
        writer.write("blind_latents", columns)

    write_run(tmp_path / "run", SHAPE, blind)
    run = open_run(tmp_path / "run")
    sae = run.info.saes[0]
    hidden, shown = run.latents(sae.slug)[:2]
    rows = [label(index, f"new {index}", sae.neuronpedia_id) for index in range(60)]
    bucket.files[f"v1/{sae.neuronpedia_id}/explanations/batch-0.jsonl.gz"] = batch(rows)
    assert labels(run.path, "--all").exit_code == 0
    found = texts(open_run(run.path))
    assert hidden not in found
    assert f"new {shown}" in found[shown]


def test_labels_of_another_sae_are_one_line(run: Run, bucket: Bucket) -> None:
    sae = run.info.saes[0]
    rows = [label(60, "beyond", sae.neuronpedia_id)]
    bucket.files[f"v1/{sae.neuronpedia_id}/explanations/batch-0.jsonl.gz"] = batch(rows)
    before = sha256_of(run.path / "run.json")
    done = labels(run.path)
    assert isinstance(done.exception, SaereportError)
    assert "label latent 60, but it has 60 latents" in done.exception.message
    assert sha256_of(run.path / "run.json") == before


def test_an_sae_can_be_named(run: Run, bucket: Bucket) -> None:
    other = run.info.saes[1]
    bucket.files["v1/x/2-own/explanations/batch-0.jsonl.gz"] = batch([label(1, "own", "x/2-own")])
    assert labels(run.path, "--sae", other.slug, "--id", "x/2-own", "--all").exit_code == 0
    now = open_run(run.path)
    assert ("own", "") in [
        (row["text"], row["source"]) for row in now.table("explanations", other.slug).to_pylist()
    ]


def test_a_file_of_ones_own(run: Run, tmp_path: Path, bucket: Bucket) -> None:
    slug = run.info.saes[1].slug
    latent = run.latents(slug)[0]
    (tmp_path / "mine.csv").write_text(f"index,label\n{latent},mine\n")
    done = labels(run.path, "--explanations", tmp_path / "mine.csv", "--sae", slug)
    assert done.exit_code == 0, done.output
    assert bucket.asked == []
    (file,) = open_run(run.path).table("label_files", slug).to_pylist()
    assert (file["file"], file["fetched"], file["address"]) == ("mine.csv", "", "")


def test_a_folder_of_several_labelling_models(run: Run, tmp_path: Path) -> None:
    slug = run.info.saes[0].slug
    for model in ("ours", "theirs"):
        file = tmp_path / "own" / f"explanations-{model}" / "batch-0.jsonl.gz"
        file.parent.mkdir(parents=True)
        file.write_bytes(batch([label(run.latents(slug)[0], f"of {model}")]))
    done = labels(run.path, "--explanations", tmp_path / "own", "--sae", slug)
    assert done.exit_code == 0, done.output
    files = open_run(run.path).table("label_files", slug).to_pylist()
    assert {row["file"]: row["sha256"] for row in files} == {
        name: sha256_of(tmp_path / "own" / name)
        for name in ("explanations-ours/batch-0.jsonl.gz", "explanations-theirs/batch-0.jsonl.gz")
    }


def test_of_many_files_the_page_lists_some(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "MOST_FILES", 20)
    slug = run.info.saes[0].slug
    (tmp_path / "own").mkdir()
    for latent in range(30):
        (tmp_path / "own" / f"layers.1_latent{latent}.txt").write_text(f'"label {latent}"')
    done = labels(run.path, "--explanations", tmp_path / "own", "--sae", slug)
    assert done.exit_code == 0, done.output
    render(run.path, tmp_path / "report")
    page = (tmp_path / "report" / "provenance.html").read_text("utf-8")
    assert page.replace("<wbr>", "").count("layers.1_latent") == 20
    assert "10 more are in the table label_files" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sae", "none"], "has no SAE 'none'"),
        (["--id", "m/1-res"], "the report has 2"),
        (["--id", "m/1-res", "--explanations", "x.csv"], "--id is for labels that are fetched"),
    ],
)
def test_what_cannot_be_meant_is_one_line(run: Run, words: list[str], message: str) -> None:
    done = labels(run.path, *words)
    assert isinstance(done.exception, SaereportError)
    assert message in done.exception.message


def test_an_sae_that_nothing_names_is_one_line(run: Run) -> None:
    done = labels(run.path, "--sae", run.info.saes[1].slug)
    assert isinstance(done.exception, SaereportError)
    assert "what Neuronpedia calls" in done.exception.message


def test_it_needs_no_torch(run: Run) -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from saereport.cli.main import cli\n"
        f"done = CliRunner().invoke(cli, ['labels', {str(run.path)!r}])\n"
        "assert done.exit_code == 0, done.output\n"
        "assert not {'torch', 'transformers', 'sae_lens'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_graph_names_latents_that_have_no_page(tmp_path: Path, bucket: Bucket) -> None:
    shape = Shape(d_sae=4096, n_chosen=24, n_sequences=80, n_vocabulary=1500, n_saes=3)
    write_run(tmp_path / "run", shape, graphs(SMALL))
    run = open_run(tmp_path / "run")
    sae = run.info.saes[0]
    nodes = run.table("graph_nodes").to_pylist()
    unshown = sorted(
        {row["latent"] for row in nodes if row["sae"] == sae.slug and row["kind"] == "latent"}
        - set(run.latents(sae.slug))
    )
    path = "v1/m/3-res/explanations/batch-0.jsonl.gz"
    bucket.files[path] = batch([label(unshown[0], "named <b>afterwards</b>", "m/3-res")])
    words = [run.path, "--sae", sae.slug, "--id", "m/3-res", "--all", "--out", tmp_path / "named"]
    assert labels(*words).exit_code == 0
    render(tmp_path / "named", tmp_path / "report")
    file = (tmp_path / "report" / "circuits" / "small-graph.json").read_text()
    found = {node["clerp"] for node in json.loads(file)["nodes"]}
    assert "named <b>afterwards</b>" in found
