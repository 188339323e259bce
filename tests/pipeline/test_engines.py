"""The text in shards by an engine whose workers are this process: no Ray is needed for that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from saereport.pipeline import build
from saereport.pipeline.checkpoint import Checkpoint
from saereport.pipeline.context import Context
from saereport.pipeline.engine.bench import Bench, bench_of, make_bench, setup_of
from saereport.pipeline.engine.job import Job
from saereport.pipeline.engine.local import LocalEngine
from saereport.util.errors import SaereportError
from saereport.util.progress import Bar
from tests.pipeline.test_build import Told, files, stop_after

Asked = Callable[..., dict[str, Any]]


class Elsewhere(LocalEngine):
    """Does the last item first, as if others did them, and remembers what it was asked."""

    elsewhere = True
    workers = 3

    def __init__(self, bench: Callable[[], Bench], after: int | None = None) -> None:
        super().__init__(bench)
        self.jobs: list[tuple[str, int]] = []
        self.after = after

    def each(self, job: Job, bar: Bar) -> Iterator[tuple[int, Any]]:
        self.jobs.append((job.task.partition(":")[2], job.n))
        order = list(reversed(range(job.n)))
        turned = Job(job.task, job.n, lambda i: job.item(order[i]), job.size, job.name)
        for done, (number, value) in enumerate(super().each(turned, bar)):
            if done == self.after:
                raise SaereportError("The cluster is gone.")
            yield order[number], value


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Elsewhere]:
    """The engines that builds use from now on, the last of which was used last."""
    made: list[Elsewhere] = []

    @contextmanager
    def opened(context: Context) -> Iterator[Elsewhere]:
        made.append(Elsewhere(lambda: bench_of(context)))
        yield made[-1]

    monkeypatch.setattr(build, "_engine", opened)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture
def settings(asked: Asked) -> dict[str, Any]:
    return asked(tokens=1100, skip=["weights", "evaluation", "example_attribution"])


@pytest.fixture
def whole(folder: Path, settings: dict[str, Any]) -> Path:
    """The run of one pass, made once, before builds use other engines."""
    if not (folder / "whole").exists():
        build.collect(settings, folder / "whole")
    return folder / "whole"


def test_what_workers_do_is_what_one_process_does(
    settings: dict[str, Any],
    engines: list[Elsewhere],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything = {
        **settings,
        "skip": ["weights"],
        "prompts": [{"text": "w3 w5"}, {"text": "w7 w2"}],
    }
    build.collect(everything, tmp_path / "run")
    # 35 sequences are four blocks of eight, and three that no worker reads.
    assert engines[0].jobs == [("read_shard", 4), ("measure_block", 1), ("collect_one", 2)]
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["run", "run.kept", "run.timing.json"]
    assert not list((tmp_path / "run.kept").rglob("shards"))
    monkeypatch.setattr(Elsewhere, "elsewhere", False)
    build.collect(everything, tmp_path / "alone")
    assert engines[1].jobs == []
    assert files(tmp_path / "run") == files(tmp_path / "alone")


def test_finished_shards_are_kept_for_any_number_of_workers(
    whole: Path,
    settings: dict[str, Any],
    engines: list[Elsewhere],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Elsewhere, "__init__", _stopping(2))
        with pytest.raises(SaereportError, match="The cluster is gone"):
            build.collect(settings, tmp_path / "run")
    monkeypatch.setattr(Elsewhere, "workers", 1)
    told = Told()
    build.collect(settings, tmp_path / "run", progress=told)
    # A shard is eight sequences of 32 tokens.
    assert "Going on from finished shards, after 512 tokens" in told.lines
    assert engines[-1].jobs[0] == ("read_shard", 2)
    assert files(tmp_path / "run") == files(whole)


def _stopping(after: int) -> Callable[..., None]:
    make = Elsewhere.__init__

    def init(self: Elsewhere, bench: Callable[[], Bench]) -> None:
        make(self, bench, after)

    return init


def test_workers_go_on_from_the_checkpoint_of_one_process_and_the_other_way_round(
    whole: Path,
    settings: dict[str, Any],
    engines: list[Elsewhere],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise OSError(5, "gone")

    with monkeypatch.context() as patch:
        patch.setattr(Elsewhere, "elsewhere", False)
        stop_after(patch, 3, fail)
        patch.setattr(Checkpoint, "due", True)
        with pytest.raises(OSError, match="gone"):
            build.collect(settings, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(Elsewhere, "__init__", _stopping(1))
        with pytest.raises(SaereportError, match="The cluster is gone"):
            build.collect(settings, tmp_path / "run")
    # 16 sequences are in the checkpoint, and the rest are two shards and less than a block.
    assert engines[-1].jobs == [("read_shard", 2)]
    told = Told()
    build.collect(settings, tmp_path / "run", progress=told)
    assert "Going on from the checkpoint, after 512 tokens" in told.lines
    assert engines[-1].jobs[0] == ("read_shard", 1)
    assert files(tmp_path / "run") == files(whole)


def test_a_full_disk_where_shards_are_kept_costs_none_of_those_before(
    settings: dict[str, Any],
    engines: list[Elsewhere],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save = Checkpoint.save
    saved: list[Path] = []

    def full(self: Checkpoint, arrays: Any) -> None:
        if len(saved) == 2:
            raise OSError(28, "No space left on device", str(self.path))
        save(self, arrays)
        saved.append(self.path)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", full)
        with pytest.raises(OSError, match="No space left"):
            build.collect(settings, tmp_path / "run")
    build.collect(settings, tmp_path / "run")
    assert engines[-1].jobs[0] == ("read_shard", 2)


def test_other_settings_of_the_statistics_use_no_kept_shard(
    settings: dict[str, Any],
    engines: list[Elsewhere],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Elsewhere, "__init__", _stopping(2))
        with pytest.raises(SaereportError):
            build.collect(settings, tmp_path / "run")
    build.collect({**settings, "seed": 7}, tmp_path / "run")
    assert engines[-1].jobs[0] == ("read_shard", 4)


def test_a_worker_loads_what_the_build_has_or_says_what_is_other(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setups: list[dict[str, Any]] = []

    @contextmanager
    def opened(context: Context) -> Iterator[LocalEngine]:
        # As it arrives there.
        setups.append(json.loads(json.dumps(setup_of(context))))
        yield LocalEngine(lambda: bench_of(context))

    monkeypatch.setattr(build, "_engine", opened)
    build.collect(settings, tmp_path / "run")
    [setup] = setups
    bench = make_bench(setup)
    assert list(bench.saes) == ["early", "late"]
    assert bench.chosen["early"].tracked.tolist() == [0, 1, 2, 3]
    assert bench.batches.block == 8
    for name, change, words in [
        ("saes", {"early": {"weights_sha256": "0"}}, "the weights of the SAE early"),
        ("model", {"weights_sha256": "0"}, "the model's weights"),
        ("libraries", {"torch": "1.0"}, "the version of torch"),
    ]:
        known = setup["identity"][name]
        if name == "saes":
            change = {"early": {**known["early"], **change["early"]}}  # type: ignore[dict-item]
        identity = {**setup["identity"], name: {**known, **change}}
        with pytest.raises(SaereportError, match=f"{words} is another one there"):
            make_bench({**setup, "identity": identity})
