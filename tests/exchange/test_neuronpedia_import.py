"""An export in Neuronpedia's layout goes into its database as the schema of that asks."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from saereport.cli.main import cli
from saereport.exchange import export_report, import_files
from saereport.exchange.exporting import _rows
from saereport.exchange.given import GivenLatent, GivenSae, GivenText, Identity
from saereport.exchange.neuronpedia import (
    LABEL_KINDS,
    LABELLERS,
    ExplanationRow,
    Ids,
    explanation_record,
    label_of,
)
from saereport.run import open_run
from saereport.sources.explanations import read_explanations
from saereport.util.errors import SaereportError, UsageError
from tests.exchange import samples
from tests.exchange.neuronpedia_database import USER, Database, Row
from tests.synthetic import Shape, write_run

BARS = ("values", "heights")
SHAPE = Shape(d_sae=40, n_chosen=9, n_sequences=40, n_vocabulary=500, hostile=True)


def database() -> Database:
    return Database(LABELLERS, LABEL_KINDS)


def lines(path: Path) -> list[Row]:
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line) for line in text.split(b"\n") if line]


def test_an_export_goes_into_the_database(tmp_path: Path) -> None:
    write_run(tmp_path / "run", SHAPE)
    export_report(tmp_path / "run", tmp_path / "out", format="neuronpedia")
    found = database()
    found.load(tmp_path / "out")
    run = open_run(tmp_path / "run")
    slug = run.info.saes[0].slug
    latents = run.table("activity", slug)["latent"].to_pylist()
    assert [int(key[2]) for key in found.rows["Neuron"]] == latents
    assert len(found.rows["Explanation"]) == run.table("explanations", slug).num_rows
    assert {row["creatorId"] for row in found.rows["Activation"].values()} == {USER}
    assert list(found.rows["Source"]) == [("synthetic", run.info.saes[0].neuronpedia_id[10:])]


def test_every_line_of_a_file_has_the_same_columns(tmp_path: Path) -> None:
    """The import takes those of the first line."""
    write_run(tmp_path / "run", SHAPE)
    files = export_report(tmp_path / "run", tmp_path / "out", format="neuronpedia")
    for name in files:
        assert len({tuple(row) for row in lines(tmp_path / "out" / name)}) == 1


def test_ids_are_what_was_asked_for(tmp_path: Path) -> None:
    write_run(tmp_path / "run", SHAPE)
    options = [
        *("--model-id", "my-model", "--source-set", "res-lab"),
        *("--creator-id", "cme", "--author-id", "cyou"),
        *("--explanation-model", "our-labeller", "--explanation-type", "ours"),
    ]
    command = ["export", str(tmp_path / "run"), "--format", "neuronpedia"]
    done = CliRunner().invoke(cli, [*command, "--out", str(tmp_path / "out"), *options])
    assert done.exit_code == 0, done.output
    found = Database((*LABELLERS, "our-labeller"), (*LABEL_KINDS, "ours"))
    for user in ("cme", "cyou"):
        found.insert("User", {"id": user})
    found.load(tmp_path / "out")
    ((model, source),) = found.rows["Source"]
    assert (model, source.partition("-")[2]) == ("my-model", "res-lab")
    assert {row["creatorId"] for row in found.rows["Neuron"].values()} == {"cme"}
    assert {row["authorId"] for row in found.rows["Explanation"].values()} == {"cyou"}
    assert list(found.rows["SourceSet"]) == [("my-model", "res-lab")]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (Ids(model="a/b"), "'a/b' cannot be an id.*--model-id"),
        (Ids(source_set="x y"), "cannot be an id.*--source-set"),
        (Ids(creator="<b>"), "'<b>' cannot be an id.*--creator-id"),
    ],
)
def test_an_id_that_is_none_is_one_line(tmp_path: Path, ids: Ids, message: str) -> None:
    write_run(tmp_path / "run", SHAPE)
    with pytest.raises(SaereportError) as error:
        export_report(tmp_path / "run", tmp_path / "out", format="neuronpedia", ids=ids)
    assert not (tmp_path / "out").exists()
    assert re.search(message, f"{error.value.message} {error.value.hint}")


def test_two_saes_are_not_exported_as_one_source(tmp_path: Path) -> None:
    sae = GivenSae(Identity("m", 1, "one"), GivenText(), ())
    other = GivenSae(Identity("m", 1, "two"), GivenText(), ())
    with pytest.raises(SaereportError, match="both be the source '1-res'"):
        Ids(source_set="res").named([sae, other])


def test_saes_of_several_layers_are_one_source_set(tmp_path: Path) -> None:
    write_run(tmp_path / "run", Shape(n_saes=2, d_sae=40, n_chosen=5, n_sequences=30))
    ids = Ids(source_set="res")
    export_report(tmp_path / "run", tmp_path / "out", format="neuronpedia", ids=ids)
    found = database()
    for folder in sorted(path for path in (tmp_path / "out").iterdir() if path.is_dir()):
        found.load(folder)
    assert len(found.rows["SourceSet"]) == 1
    assert len(found.rows["Source"]) == 2


def test_ids_are_refused_for_another_format(tmp_path: Path) -> None:
    write_run(tmp_path / "run", SHAPE)
    command = ["export", str(tmp_path / "run"), "--format", "saedashboard"]
    done = CliRunner().invoke(cli, [*command, "--out", str(tmp_path / "o"), "--model-id", "m"])
    assert isinstance(done.exception, UsageError)
    assert "Ids are for '--format neuronpedia'" in str(done.exception)


@pytest.mark.parametrize(
    ("source", "labeller", "kind", "notes"),
    [
        ("gpt-4o-mini, np_max-act-logits", "gpt-4o-mini", "np_max-act-logits", None),
        ("gpt-4o-mini", "gpt-4o-mini", None, None),
        ("np_max-act", None, "np_max-act", None),
        ("Ann, by hand", None, None, "source: Ann, by hand"),
        ("gpt-4o-mini, mine", "gpt-4o-mini", None, "source: gpt-4o-mini, mine"),
        ("", None, None, None),
    ],
)
def test_a_source_that_the_database_does_not_know_is_noted(
    source: str, labeller: str | None, kind: str | None, notes: str | None
) -> None:
    """And comes back: a label's source is not lost."""
    sae = GivenSae(Identity("m", 1, "res"), GivenText(), ())
    row = explanation_record(sae, GivenLatent(3, explanations=(("a label", source),)), 0)
    assert (row["explanationModelName"], row["typeName"], row["notes"]) == (labeller, kind, notes)
    assert label_of(ExplanationRow.model_validate(row)) == ("a label", source)


@pytest.mark.parametrize(
    "text", ["\\u0000", "\\\\u0000", "a\0b", "\\\0", "\\\\\\u0000 \0", "\\n\\u0000"]
)
def test_words_that_look_like_an_escape_survive_the_import(tmp_path: Path, text: str) -> None:
    """It blanks out the six characters of an escaped NUL wherever they stand in a line."""
    data = gzip.decompress(_rows([{"text": text}])).decode()
    (row,) = [json.loads(line) for line in data.replace("\\u0000", " ").split("\n") if line]
    assert row["text"] == text.replace("\0", " ")


class TestFolders:
    """`--explanations` takes a folder, and `export --format delphi` writes one."""

    def test_neuronpedias_batches_of_several_labellers(self, tmp_path: Path) -> None:
        for folder, row in (
            ("explanations", {"explanationModelName": "gpt-4o-mini", "typeName": "np_max-act"}),
            ("explanations-ours", {}),
        ):
            for batch in (0, 1):
                path = tmp_path / folder / f"batch-{batch}.jsonl.gz"
                path.parent.mkdir(exist_ok=True)
                line = {"index": str(1024 * batch + 3), "description": f"{folder} {batch}", **row}
                path.write_bytes(gzip.compress(json.dumps(line).encode()))
        expected = {
            1024 * batch + 3: [
                (f"explanations {batch}", "gpt-4o-mini, np_max-act"),
                (f"explanations-ours {batch}", "ours"),
            ]
            for batch in (0, 1)
        }
        assert read_explanations(tmp_path) == expected
        own = {index: found[:1] for index, found in expected.items()}
        assert read_explanations(tmp_path / "explanations") == own

    def test_delphis_files(self, tmp_path: Path) -> None:
        (tmp_path / "layers.3.mlp_latent12.txt").write_bytes(b'"quotes \\"and\\" \\u00e9"')
        (tmp_path / "layers.3.mlp_latent7.txt").write_text("plain text", "utf-8")
        (tmp_path / "readme.txt").write_text("nothing", "utf-8")
        expected = {7: [("plain text", "")], 12: [('quotes "and" é', "")]}
        assert read_explanations(tmp_path) == expected
        (tmp_path / "layers.4.mlp_latent1.txt").write_bytes(b'"other"')
        with pytest.raises(SaereportError, match=r"labels of 2 modules"):
            read_explanations(tmp_path)
        assert read_explanations(tmp_path / "layers.3.mlp") == expected
        assert read_explanations(tmp_path / "layers.4.mlp") == {1: [("other", "")]}

    @pytest.mark.parametrize(
        "data", [b'"half', b'["a"]\n', b"\xff\xfe", b'"' + b"x" * 70_000 + b'"']
    )
    def test_a_damaged_file_is_named(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "m_latent7.txt").write_bytes(data)
        if data.startswith(b"["):
            assert read_explanations(tmp_path) == {7: [('["a"]', "")]}
            return
        with pytest.raises(SaereportError, match=r"m_latent7\.txt"):
            read_explanations(tmp_path)

    def test_a_folder_without_labels_is_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(SaereportError, match="holds no labels"):
            read_explanations(tmp_path)

    def test_an_export_for_delphi_comes_back(self, tmp_path: Path) -> None:
        write_run(tmp_path / "run", SHAPE)
        export_report(tmp_path / "run", tmp_path / "out", format="delphi")
        run = open_run(tmp_path / "run")
        rows = run.table("explanations", run.info.saes[0].slug).to_pylist()
        first = {row["latent"]: " ".join(row["text"].split()) for row in reversed(rows)}
        back = read_explanations(tmp_path / "out")
        assert {index: found[0][0] for index, found in back.items()} == first

    def test_a_report_without_labels_has_none_for_delphi(self, tmp_path: Path) -> None:
        batch = {"model_id": "m", "layer": 1, "sae_set": "res", "sae_id_suffix": None}
        feature = {
            "feature_index": 3,
            "frac_nonzero": 0.1,
            "n_prompts_total": 4,
            "n_tokens_in_prompt": 4,
            "dataset": "made/up",
            "activations": [],
            **{f"{end}_{what}": [] for end in ("neg", "pos") for what in ("str", "values")},
            **{f"{of}_hist_data_bar_{what}": [] for of in ("freq", "logits") for what in BARS},
        }
        samples.write_batch(tmp_path / "in", {**batch, "features": [feature]})
        import_files([tmp_path / "in"], tmp_path / "run")
        with pytest.raises(SaereportError, match="holds no labels"):
            export_report(tmp_path / "run", tmp_path / "out", format="delphi")
        assert not (tmp_path / "out").exists()
