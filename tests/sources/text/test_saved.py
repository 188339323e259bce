"""Folders that `datasets.save_to_disk` wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.config.build import BuildConfig
from saereport.pipeline.text import text_of
from saereport.pipeline.warned import Warned
from saereport.sources.text.opening import open_text
from saereport.util.errors import SaereportError, UsageError

VALUES = {
    "text": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    "input_ids": st.none() | st.lists(st.integers(0, 50_000), max_size=9),
    "messages": st.none()
    | st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant"]), "content": st.text("ab ", max_size=5)}
        ),
        max_size=3,
    ),
}


@given(st.data(), st.sampled_from(sorted(VALUES)), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_what_was_saved_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: Any, column: str, shards: int
) -> None:
    values = data.draw(st.lists(VALUES[column], min_size=3, max_size=8).filter(any))
    folder = tmp_path_factory.mktemp("saved") / "corpus"
    saved = Dataset.from_dict({"n": list(range(len(values))), column: values})
    saved.save_to_disk(folder, num_shards=shards)
    text = open_text(folder)
    assert [list(one) for one in text.documents()] == [list(value or []) for value in values]
    assert (text.name, text.provenance["column"]) == ("corpus", column)
    assert len(text.provenance["files"]) == shards


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A dataset with two splits."""
    parts = {name: Dataset.from_dict({"text": [f"{name} {n}" for n in range(3)]}) for name in "ab"}
    splits = DatasetDict({"train": parts["a"], "validation": parts["b"]})
    splits.save_to_disk(tmp_path / "corpus")
    return tmp_path / "corpus"


def test_a_split_is_chosen(corpus: Path) -> None:
    assert list(open_text(corpus).documents()) == ["a 0", "a 1", "a 2"]
    text = open_text(corpus, split="validation")
    assert list(text.documents()) == ["b 0", "b 1", "b 2"]
    assert text.provenance["split"] == "validation"
    assert text.provenance["folder"] == text.name == "corpus"
    assert text.unread == ()
    assert str(corpus.parent) not in json.dumps(text.provenance)
    assert list(open_text(corpus / "validation").documents()) == ["b 0", "b 1", "b 2"]
    with pytest.raises(SaereportError, match=r"no split 'test'.*train, validation"):
        open_text(corpus, split="test")
    with pytest.raises(SaereportError, match="Did you mean 'validation'"):
        open_text(corpus, split="validaton")
    with pytest.raises(UsageError, match=r"have no split.*--dataset-revision out"):
        open_text(corpus, revision="main")


def test_a_dataset_alone_has_the_split_that_it_was(tmp_path: Path) -> None:
    Dataset.from_dict({"text": ["x"]}, split="test").save_to_disk(tmp_path / "one")
    assert list(open_text(tmp_path / "one", split="test").documents()) == ["x"]
    assert open_text(tmp_path / "one").provenance["split"] is None
    with pytest.raises(SaereportError, match="holds one dataset and no splits"):
        open_text(tmp_path / "one", split="validation")


def test_what_lies_besides_is_named(corpus: Path) -> None:
    train = corpus / "train"
    (train / "more.jsonl").write_text('{"text": "x"}')
    shutil.copy(train / "data-00000-of-00001.arrow", train / "other.arrow")
    shutil.copy(train / "data-00000-of-00001.arrow", train / "cache-0123.arrow")
    text = open_text(corpus)
    assert list(text.documents()) == ["a 0", "a 1", "a 2"]
    assert text.unread == ("more.jsonl", "other.arrow")
    warned = Warned()
    text_of(BuildConfig(dataset=str(corpus)), (), warned)
    [warning] = warned.result()
    assert warning.text == (
        "Of the folder corpus only the files that its state.json lists are read; not read: "
        "more.jsonl, other.arrow (2 in all)."
    )


def edited(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"_data_files": None}, "as save_to_disk of today's datasets library writes it: state"),
        ({"_data_files": []}, "state.json lists no files"),
        ({"_data_files": [{"filename": "../b/data.arrow"}]}, "names files that do not lie beside"),
        ({"_data_files": ["data.arrow"]}, "names files that do not lie beside"),
        ({"_data_files": [{"filename": "data-1.arrow"}]}, "is not whole: data-1.arrow is missing"),
        ({"_indices_data_files": [{"filename": "i.arrow"}]}, "a file of indices says which"),
    ],
)
def test_folders_of_other_versions(corpus: Path, changes: dict[str, Any], said: str) -> None:
    edited(corpus / "train/state.json", **changes)
    with pytest.raises(SaereportError) as caught:
        open_text(corpus)
    assert said in str(caught.value)


def test_folders_that_are_not_whole(corpus: Path) -> None:
    (corpus / "train/state.json").unlink()
    with pytest.raises(SaereportError, match=r"a cache of the datasets library"):
        open_text(corpus)
    with pytest.raises(SaereportError, match=r"a cache of the datasets library"):
        open_text(corpus / "train")
    (corpus / "train/dataset_info.json").unlink()
    with pytest.raises(SaereportError, match=r"not whole: state.json is missing"):
        open_text(corpus)
    (corpus / "validation/state.json").write_text("{")
    with pytest.raises(SaereportError, match=r"validation/state.json: not JSON"):
        open_text(corpus, split="validation")
    (corpus / "dataset_dict.json").write_text('{"splits": ["../.."]}')
    with pytest.raises(SaereportError, match=r"dataset_dict.json lists no splits"):
        open_text(corpus, split="../..")
    (corpus / "dataset_dict.json").write_text("[]")
    with pytest.raises(SaereportError, match=r"corpus/dataset_dict.json is not a JSON object"):
        open_text(corpus)


def test_shards_that_are_cut_short(corpus: Path) -> None:
    shard = corpus / "train/data-00000-of-00001.arrow"
    shard.write_bytes(shard.read_bytes()[:-8])
    with pytest.raises(SaereportError, match=r"data-00000-of-00001.arrow is cut short"):
        open_text(corpus)


@pytest.mark.parametrize("file", ["rows.foo", "rows.txt", "rows.parquet", f"{'a' * 300}.arrow"])
def test_only_files_of_arrow_are_rows_of_a_saved_dataset(corpus: Path, file: str) -> None:
    state = corpus / "train" / "state.json"
    state.write_text(json.dumps({"_data_files": [{"filename": file}]}))
    if len(file) < 255:
        (corpus / "train" / file).write_text("x")
    with pytest.raises(SaereportError, match="names files that"):
        open_text(corpus)


def test_a_saved_dataset_is_read_alone(corpus: Path, tmp_path: Path) -> None:
    """Beside its rows lies what `map` and `filter` left, which is no text of it."""
    (tmp_path / "more.txt").write_text("more")
    for folder in (corpus, corpus / "train"):
        with pytest.raises(SaereportError, match="is read alone"):
            open_text([folder, tmp_path / "more.txt"])
    rows = corpus / "train" / "data-00000-of-00001.arrow"
    assert list(open_text([rows, tmp_path / "more.txt"]).documents()) == [
        "a 0",
        "a 1",
        "a 2",
        "more",
    ]
