"""A text that is collected in parts by several commands, and merged: the same bytes as in one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.pipeline import build, loading, parts
from saereport.pipeline.parts import find_parts, read_shard, require_whole
from saereport.pipeline.shards import cut, shard_name
from saereport.sources.text import packing
from saereport.util.errors import SaereportError, UsageError
from saereport.util.files import sha256_of
from tests.factories import save_sae
from tests.pipeline.test_build import files, stop_after

Asked = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parts")


@pytest.fixture
def settings(asked: Asked) -> dict[str, Any]:
    return asked(tokens=1100)


@pytest.fixture
def whole(folder: Path, settings: dict[str, Any]) -> Path:
    """The report of one process, made once."""
    if not (folder / "whole").exists():
        build.build(settings, folder / "whole")
    return folder / "whole"


@pytest.fixture
def three(folder: Path, settings: dict[str, Any]) -> Path:
    """The text in three parts, collected once, the last first."""
    place = folder / "three"
    for number in (3, 1, 2):
        if not (place / shard_name(number, 3)).exists():
            build.collect_part(settings, place, (number, 3))
    return place


def copied(three: Path, tmp_path: Path) -> Path:
    return shutil.copytree(three, tmp_path / "parts")


def test_merged_parts_are_the_bytes_of_one_process(
    whole: Path, three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(three)

    def refuse(*_: Any) -> Any:
        raise AssertionError("the text was tokenised again")

    monkeypatch.setattr("saereport.pipeline.text.RunText.look", lambda *_: None)
    monkeypatch.setattr(packing, "_tokenize", refuse)
    build.merge_parts([three], tmp_path / "merged")
    assert files(tmp_path / "merged") == files(whole)
    assert files(three) == before
    # One of the parts, and as many as have anything at all, can also be named one by one.
    edges = [(part.shard.first, part.shard.stop) for part in find_parts([three])]
    assert edges == [(0, 8), (8, 24), (24, 35)]


def test_more_shards_than_batches_leave_some_empty_and_merge_all_the_same(
    whole: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    places = [build.collect_part(settings, tmp_path / "p", (i, 6)) for i in range(1, 7)]
    assert sum(part.shard.first == part.shard.stop for part in find_parts(places)) == 1
    build.merge_parts(places[::-1], tmp_path / "merged")
    assert files(tmp_path / "merged") == files(whole)


def test_a_part_that_was_interrupted_goes_on(
    three: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(5, "gone")

    with monkeypatch.context() as patch:
        stop_after(patch, 2, fail)
        patch.setattr("saereport.pipeline.checkpoint.Checkpoint.due", True)
        with pytest.raises(OSError, match="gone"):
            build.collect_part(settings, tmp_path, (2, 3))
    assert not (tmp_path / shard_name(2, 3)).exists()
    read = []
    run = loading.load_model

    def counting(*given: Any, **more: Any) -> Any:
        model = run(*given, **more)
        inner = model.run
        model.run = lambda tokens, hooks: read.append(len(tokens)) or inner(tokens, hooks)
        return model

    monkeypatch.setattr(loading, "load_model", counting)
    monkeypatch.setattr("saereport.pipeline.sanity.check_sanity", lambda *_: {})
    made = build.collect_part(settings, tmp_path, (2, 3))
    # Hooks are tried on single sequences when the model is loaded.
    assert [n for n in read if n > 1] == [8]
    with (
        np.load(made / "checkpoint.npz") as one,
        np.load(three / made.name / "checkpoint.npz") as b,
    ):
        assert sorted(one.files) == sorted(b.files)
        for name in one.files:
            if name != "batches/size":
                np.testing.assert_array_equal(one[name], b[name], err_msg=name)
    assert sorted(path.name for path in tmp_path.iterdir()) == [made.name, "text"]
    read.clear()
    build.collect_part(settings, tmp_path, (2, 3))
    assert max(read) == 1


def test_an_interrupted_merge_loses_nothing(
    whole: Path, three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(three)
    restored = []
    real = parts.CollectedPart.state

    def state(self: parts.CollectedPart) -> Any:
        restored.append(self.shard.number)
        if len(restored) == 2:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(parts.CollectedPart, "state", state)
    with pytest.raises(KeyboardInterrupt):
        build.merge_parts([three], tmp_path / "merged")
    assert files(three) == before
    assert not (tmp_path / "merged").exists()
    # Once merged, the parts are not merged again though a later stage fails.
    with monkeypatch.context() as patch:
        patch.setattr("saereport.pipeline.evaluation.evaluate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build.merge_parts([three], tmp_path / "merged")
    assert restored == [1, 2, 1, 2, 3]
    build.merge_parts([three], tmp_path / "merged")
    assert restored == [1, 2, 1, 2, 3]
    assert files(tmp_path / "merged") == files(whole)


def rewritten(part: Path, **changes: Any) -> None:
    about = json.loads((part / "part.json").read_text())
    (part / "part.json").write_text(json.dumps({**about, **changes}))


def refused(place: Path) -> str:
    with pytest.raises(SaereportError) as error:
        require_whole(find_parts([place]))
    return str(error.value)


def test_missing_parts_are_listed(three: Path, tmp_path: Path) -> None:
    place = copied(three, tmp_path)
    shutil.rmtree(place / shard_name(2, 3))
    assert refused(place).startswith("Of 3 shards 1 is missing: 2. Collect it with --shard 2/3")
    shutil.rmtree(place / shard_name(3, 3))
    assert "2 are missing: 2, 3." in refused(place)
    shutil.rmtree(place / shard_name(1, 3))
    assert "There is no part of a collection at" in refused(place)


def test_parts_of_other_work_are_refused_by_name(three: Path, asked: Asked, tmp_path: Path) -> None:
    place = copied(three, tmp_path)
    second = place / shard_name(2, 3)
    about = json.loads((second / "part.json").read_text())
    rewritten(second, saereport="0.0.1")
    assert f"The part '{second}' was collected by saereport 0.0.1" in refused(place)
    identity = about["identity"]
    others = {
        "the setting 'seed'": {"config": {**identity["config"], "seed": 5}},
        "the text": {"text": {**identity["text"], "files": {}}},
        "the version of torch": {"libraries": {**identity["libraries"], "torch": "1.0"}},
    }
    for words, change in others.items():
        rewritten(second, saereport=about["saereport"], identity={**identity, **change})
        said = refused(place)
        assert f"'{second}' are of different collections: {words}" in said, said
    rewritten(second, identity=identity)
    require_whole(find_parts([place]))
    save = shutil.copytree(second, place / "again")
    assert f"'{save}'" in refused(place)
    assert "are both shard 2/3" in refused(place)
    shutil.rmtree(save)
    rewritten(second, first=16)
    assert "begins at sequence 16, where 8 comes next" in refused(place)
    shutil.rmtree(second)
    # One of another cut.
    other = build.collect_part(asked(tokens=1100), place, (2, 4))
    assert other.name == "shard-2-of-4"
    assert "is one of 3 shards, and" in refused(place)


def test_a_damaged_part_is_named(three: Path, tmp_path: Path) -> None:
    place = copied(three, tmp_path)
    state = place / shard_name(3, 3) / "checkpoint.npz"
    state.write_bytes(state.read_bytes()[:-1] + b"x")
    assert f"The part '{state.parent}' is damaged" in refused(place)
    (state.parent / "part.json").write_text("{}")
    assert f"'{state.parent / 'part.json'}' cannot be read as a part" in refused(place)
    assert sha256_of(three / shard_name(3, 3) / "checkpoint.npz")


def test_an_sae_that_changed_since_is_refused_at_the_merge(
    three: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = copied(three, tmp_path)
    other = save_sae(
        tmp_path / "early", "jumprelu", hook_name="blocks.0.hook_resid_post", d_sae=40, seed=9
    )
    for part in find_parts([place]):
        saes = [{**part.config["saes"][0], "path": str(other)}, part.config["saes"][1]]
        rewritten(part.path, config={**part.config, "saes": saes})
    with pytest.raises(SaereportError, match="the SAE early changed since"):
        build.merge_parts([place], tmp_path / "merged")


def test_what_others_put_into_a_part_s_folder_is_not_removed(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    mine = tmp_path / shard_name(1, 3) / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(SaereportError, match=r"notes\.txt"):
        build.collect_part(settings, tmp_path, (1, 3))
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("words", ["3", "0/4", "5/4", "a/b", "1/0", "-1/4", "1/99999", "1.5/2"])
def test_what_is_no_shard_is_said(words: str) -> None:
    with pytest.raises(UsageError, match="is no shard"):
        read_shard(words)


def test_shards_are_whole_units_and_the_text() -> None:
    assert read_shard(" 3/16 ") == (3, 16)
    for first, stop, n, unit in [(0, 35, 3, 8), (5, 6, 4, 2), (0, 0, 2, 3), (7, 100, 9, 1)]:
        shards = cut(first, stop, n, unit)
        edges = [first, *(shard.stop for shard in shards)]
        assert [shard.first for shard in shards] == edges[:-1]
        assert edges[-1] == stop
        assert edges == sorted(edges)
        assert all((edge - first) % unit == 0 for edge in edges[:-1] if edge != stop)
