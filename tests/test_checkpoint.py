from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saereport.checkpoint import Checkpoint

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
        patch.setattr("saereport.run.files.os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
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
    checkpoint.discard()
    assert not tmp_path.exists()
