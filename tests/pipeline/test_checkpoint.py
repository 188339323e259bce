from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saereport.pipeline.checkpoint import Checkpoint, FinishedParts
from saereport.util.errors import SaereportError

ARRAYS = hnp.arrays(
    dtype=st.sampled_from([np.int64, np.float64, np.uint8, np.bool_]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text("abc/._0", min_size=1), ARRAYS, max_size=4))
def test_what_is_saved_is_loaded_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]
) -> None:
    checkpoint = Checkpoint(tmp_path_factory.mktemp("c"), "f")
    checkpoint.save(arrays)
    loaded = checkpoint.load()
    assert loaded is not None
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].tobytes() == array.tobytes()


def test_other_work_and_damage_are_no_checkpoint(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "c", "mine").save({"a": np.arange(3)})
    assert Checkpoint(tmp_path / "c", "other").load() is None
    path = tmp_path / "c" / "checkpoint.npz"
    data = path.read_bytes()
    for damaged in (b"", data[: len(data) // 2], b"x" * len(data)):
        path.write_bytes(damaged)
        assert Checkpoint(tmp_path / "c", "mine").load() is None
    assert Checkpoint(tmp_path / "nothing", "mine").load() is None


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    np.savez(path, fingerprint=np.array("f"), evil=np.array([object()], dtype=object))
    assert Checkpoint(tmp_path, "f").load() is None


def test_a_full_disk_leaves_the_previous_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path, "f")
    checkpoint.save({"a": np.arange(3)})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("saereport.util.files.os.fsync", full)
        with pytest.raises(SaereportError, match=r"The disk that holds .* is full"):
            checkpoint.save({"a": np.arange(4)})
    loaded = checkpoint.load()
    assert loaded is not None
    assert loaded["a"].tolist() == [0, 1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_it_is_due_after_its_interval_and_not_before(tmp_path: Path) -> None:
    now = [0.0]
    checkpoint = Checkpoint(tmp_path, "f", every=10.0, clock=lambda: now[0])
    now[0] = 9.0
    assert not checkpoint.due
    now[0] = 10.0
    assert checkpoint.due
    checkpoint.save({})
    assert not checkpoint.due


def parts(folder: Path, fingerprint: str = "f" * 64) -> FinishedParts:
    return FinishedParts(folder, fingerprint)


TABLE = pa.table({"a": [1, 2], "b": [[1.5], []]})


def test_finished_parts_come_back_as_they_were(tmp_path: Path) -> None:
    parts(tmp_path).save("one", {"x": TABLE, "y": TABLE.slice(0, 0)})
    found = parts(tmp_path).load("one")
    assert found is not None
    assert set(found) == {"x", "y"}
    assert found["x"].equals(TABLE)
    assert found["y"].num_rows == 0
    assert parts(tmp_path).load("two") is None


def test_parts_of_other_work_are_not_used_and_do_not_pile_up(tmp_path: Path) -> None:
    parts(tmp_path).save("one", {"x": TABLE})
    other = parts(tmp_path, "0" * 64)
    assert other.load("one") is None
    other.save("one", {"x": TABLE})
    assert parts(tmp_path).load("one") is None
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_part_is_computed_again(tmp_path: Path) -> None:
    kept = parts(tmp_path)
    kept.save("one", {"x": TABLE})
    (kept.path / "one" / "x.parquet").write_bytes(b"PAR1 half of it")
    assert kept.load("one") is None


def test_a_part_is_kept_inside_an_output_that_is_held_already(tmp_path: Path) -> None:
    """A build holds its working folder, which may not be there yet when a prompt is finished."""
    from saereport.util.locks import locked

    work = tmp_path / "report.partial"
    parts = FinishedParts(work, "f" * 64)
    with locked(work):
        parts.save("prompt-0", {"numbers": pa.table({"n": [1, 2]})})
    found = parts.load("prompt-0")
    assert found is not None
    assert found["numbers"].to_pydict() == {"n": [1, 2]}
