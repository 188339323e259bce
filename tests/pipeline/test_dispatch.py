"""Items are done and counted once, whoever is lost: with workers that do as they are told here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from saereport.config.build import make_config
from saereport.pipeline.engine import cluster, dispatch
from saereport.pipeline.engine.cluster import check_engine, shares
from saereport.pipeline.engine.dispatch import Dispatcher
from saereport.pipeline.engine.job import Job
from saereport.pipeline.engine.local import LocalEngine
from saereport.pipeline.engine.worker import Outcome, Worker
from saereport.util.errors import SaereportError, UsageError
from saereport.util.progress import Relay

SIZE = 10
BENCH = "saereport.pipeline.engine.bench:make_bench"


def doubled(bench: Any, item: int, told: Callable[[int], None]) -> int:
    told(SIZE)
    return 2 * item + (bench or 0)


def job(n: int) -> Job:
    task = f"{__name__}:doubled"
    return Job(task, n, lambda i: i, lambda _: SIZE, lambda i: f"shard {i + 1}/{n}")


@dataclass
class Pool:
    """Workers that take one tick for an item, or what `slow` says, on a clock of their own.

    Attributes:
        does: What comes of an item with a worker; what it should be where None.
        starts: What comes of starting a worker.
        slow: Ticks of a worker's item.
    """

    does: Callable[[int, int], Outcome | None] = lambda worker, item: None
    starts: Callable[[int], Outcome | None] = lambda worker: None
    slow: Callable[[int, int], int] = lambda worker, item: 1
    now: float = 0.0
    n: int = 0
    running: dict[int, tuple[float, int | None]] = field(default_factory=dict)
    log: list[tuple[int, int]] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)

    def start(self) -> int:
        self.n += 1
        self.running[self.n] = (self.now + 1, None)
        return self.n

    def submit(self, worker: int, task: str, item: Any) -> None:
        assert worker not in self.running
        self.log.append((worker, item))
        self.running[worker] = (self.now + self.slow(worker, item), item)

    def poll(self, seconds: float) -> list[tuple[int, Outcome]]:
        self.now += 1
        due = sorted(w for w, (when, _) in self.running.items() if when <= self.now)
        found = []
        for worker in due:
            _, item = self.running.pop(worker)
            told = self.starts(worker) if item is None else self.does(worker, item)
            value = None if item is None else doubled(None, item, lambda _: None)
            found.append((worker, told or Outcome("done", value)))
        return found

    def told(self, worker: int) -> int:
        return 3

    def stop(self, worker: int) -> None:
        self.running.pop(worker, None)
        self.stopped.append(worker)


class Desk:
    """A dispatcher with such a pool, and what it said and showed."""

    def __init__(self, n: int = 2, **pool: Any) -> None:
        self.pool = Pool(**pool)
        self.said: list[str] = []
        self.shown: list[int] = []
        self.dispatcher = Dispatcher(self.pool, n, self.said.append, lambda: self.pool.now)

    def results(self, n: int) -> list[tuple[int, int]]:
        found = list(self.dispatcher.each(job(n), Relay(self.shown.append)))
        assert sorted(found) == [(i, 2 * i) for i in range(n)]
        assert sum(self.shown) == n * SIZE
        self.shown.clear()
        return found


@pytest.fixture(autouse=True)
def _ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "LEAST_SLOW", 3.0)


def test_every_item_is_done_once_by_workers_that_stay() -> None:
    desk = Desk(3)
    desk.results(7)
    assert len(desk.pool.log) == 7
    desk.results(5)
    assert desk.pool.n == 3
    assert desk.pool.stopped == []
    assert {worker for worker, _ in desk.pool.log} == {1, 2, 3}
    # No more are started than there is work for.
    few = Desk(3)
    few.results(2)
    assert few.pool.n == 2


def test_progress_counts_what_all_are_at() -> None:
    desk = Desk(2, slow=lambda *_: 3)
    assert list(desk.dispatcher.each(job(2), Relay(desk.shown.append)))
    assert desk.shown == [6, 14]


def test_a_lost_worker_s_item_is_done_again_and_counted_once() -> None:
    lost = Outcome("lost", message="It was killed.")
    desk = Desk(2, does=lambda worker, item: lost if worker == 1 else None)
    found = desk.results(4)
    assert len(found) == 4
    assert desk.pool.n == 3
    assert desk.said == ["A worker was lost; shard 1/4 is done again"]
    assert [item for _, item in desk.pool.log].count(0) == 2


def test_an_item_that_every_worker_is_lost_over_is_named() -> None:
    lost = Outcome("lost", message="It ran out of memory.")
    desk = Desk(2, does=lambda worker, item: lost if item == 2 else None)
    with pytest.raises(SaereportError, match=r"3 workers were lost over shard 3/4.*ran out of mem"):
        desk.results(4)
    assert desk.pool.running == {}


def test_a_worker_with_a_full_disk_is_used_no_more() -> None:
    full = Outcome("full", message="No space left on device", host="node7")
    desk = Desk(2, does=lambda worker, item: full if worker == 2 else None)
    desk.results(4)
    assert [worker for worker, _ in desk.pool.log].count(2) == 1
    assert desk.pool.n == 2
    assert "node7 is full, and it is used no more; shard 2/4 is done by another" in desk.said[0]
    with pytest.raises(SaereportError, match="No worker is left: No space left"):
        Desk(2, does=lambda *_: full).results(3)
    with pytest.raises(SaereportError, match="No worker is left"):
        Desk(1, starts=lambda _: full).results(1)


def test_what_takes_much_longer_is_begun_elsewhere_and_counted_once() -> None:
    desk = Desk(2, slow=lambda worker, item: 100 if (worker, item) == (1, 0) else 1)
    found = desk.results(5)
    assert found[-1] == (0, 0)
    assert [worker for worker, item in desk.pool.log if item == 0] == [1, 2]
    assert desk.said == ["shard 1/5 takes long; it is begun on another worker as well"]
    # Who is still at it is stopped, and another takes its place for the next job.
    assert desk.pool.stopped == [1]
    desk.results(4)
    assert desk.pool.n == 3


def test_a_straggler_that_is_finished_first_after_all_counts_once() -> None:
    desk = Desk(2, slow=lambda worker, item: 9 if item == 0 else 1)
    desk.results(4)
    assert [item for _, item in desk.pool.log].count(0) == 2


def test_what_a_user_can_mend_ends_it_at_once() -> None:
    refused = Outcome("user", message="It has saereport 0.2.", hint="Install one.", host="node3")
    desk = Desk(2, starts=lambda worker: refused if worker == 2 else None)
    with pytest.raises(SaereportError) as error:
        desk.results(9)
    assert str(error.value) == (
        "A worker on node3 cannot be used: It has saereport 0.2. Install one."
    )
    wrong = Outcome("user", message="An activation is no number.", host="node3")
    with pytest.raises(SaereportError, match="on node3 could not do shard 2/3: An activation"):
        Desk(2, does=lambda _, item: wrong if item == 1 else None).results(3)
    fault = Outcome("fault", message="KeyError: 'x' (a.py:3)")
    with pytest.raises(SaereportError, match="A worker could not do shard 1/3: KeyError"):
        Desk(2, does=lambda *_: fault).results(3)


def test_workers_that_never_start_are_not_started_for_ever() -> None:
    lost = Outcome("lost", message="The node died.")
    desk = Desk(1, starts=lambda worker: lost if worker < 3 else None)
    desk.results(2)
    assert desk.pool.n == 3
    with pytest.raises(SaereportError, match="A worker cannot be used: The node died"):
        Desk(2, starts=lambda _: lost).results(2)


def test_who_stops_listening_stops_the_workers() -> None:
    desk = Desk(2)
    results = desk.dispatcher.each(job(6), Relay(desk.shown.append))
    next(results)
    results.close()
    assert desk.pool.running == {}


def test_this_process_does_the_same() -> None:
    shown: list[int] = []
    engine = LocalEngine(lambda: 1)
    assert list(engine.each(job(3), Relay(shown.append))) == [(0, 1), (1, 3), (2, 5)]
    assert shown == [SIZE] * 3
    assert not engine.elsewhere


def failing(bench: Any, item: Exception, told: Callable[[int], None]) -> None:
    raise item


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (SaereportError("A is wrong.", "Mend it."), "user", "A is wrong."),
        (OSError(28, "No space left on device"), "full", "No space left"),
        (KeyError("x"), "fault", "KeyError: 'x' ("),
    ],
)
def test_a_worker_tells_what_went_wrong_as_plain_values(
    error: Exception, kind: str, said: str
) -> None:
    outcome = Outcome(*Worker({}).do(f"{__name__}:failing", error))
    assert outcome.kind == kind
    assert said in outcome.message
    assert outcome.hint == ("Mend it." if kind == "user" else "")
    behind = SaereportError("It cannot be written.")
    behind.__cause__ = OSError(122, "Disk quota exceeded")
    assert Outcome(*Worker({}).do(f"{__name__}:failing", behind)).kind == "full"


def test_a_worker_of_another_version_says_which() -> None:
    from saereport.pipeline.engine.bench import sources_digest
    from saereport.util.version import __version__

    outcome = Outcome(*Worker({"bench": BENCH, "version": "9.9"}).begin())
    assert outcome.kind == "user"
    assert outcome.message == f"It has saereport {__version__}, and the build is one of 9.9."
    setup = {"bench": BENCH, "version": __version__, "sources": "0" * 64}
    outcome = Outcome(*Worker(setup).begin())
    assert "has other modules than the one that builds" in outcome.message
    assert len(sources_digest()) == 64


NODE = {"CPU": 16.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("nodes", "workers", "gpu", "expected"),
    [
        ([NODE], None, True, (4, {"num_cpus": 4.0, "num_gpus": 1.0})),
        ([NODE, NODE], None, True, (8, {"num_cpus": 4.0, "num_gpus": 1.0})),
        ([NODE], 8, True, (8, {"num_cpus": 2.0, "num_gpus": 0.5})),
        ([NODE], None, False, (4, {"num_cpus": 4.0})),
        ([{"CPU": 2.0}], None, True, (2, {"num_cpus": 1.0})),
        ([{"CPU": 1.0}], None, True, (1, {"num_cpus": 1.0})),
        ([{"CPU": 2.0}], 4, True, (4, {"num_cpus": 0.5})),
        ([{"CPU": 16.0}, {"CPU": 2.0}], 2, True, (2, {"num_cpus": 2.0})),
    ],
)
def test_what_each_worker_has(
    nodes: list[dict[str, float]], workers: int | None, gpu: bool, expected: Any
) -> None:
    assert shares(nodes, workers, gpu=gpu) == expected


def test_a_cluster_without_cores_is_told() -> None:
    with pytest.raises(SaereportError, match="no machine with a core"):
        shares([{"GPU": 1.0}], None, gpu=True)


def test_what_can_be_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    check_engine(make_config({}))
    for setting, option in {"workers": "--workers", "ray_address": "--ray-address"}.items():
        with pytest.raises(UsageError, match=f"{option} is for the engine ray"):
            check_engine(make_config({setting: "4" if setting == "ray_address" else 4}))
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: object())
    for address in ("nowhere", "host:port", "ray://", "host:99999999", "a b:1"):
        with pytest.raises(UsageError, match="is no address of a Ray cluster"):
            check_engine(make_config({"engine": "ray", "ray_address": address}))
    with pytest.raises(SaereportError, match=r"at '127\.0\.0\.1:1' cannot be reached: Conn"):
        check_engine(make_config({"engine": "ray", "ray_address": "127.0.0.1:1"}))
    with pytest.raises(UsageError, match="keep no activations"):
        check_engine(make_config({"engine": "ray", "activations_cache": "kept"}))
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SaereportError, match=r"pip install 'saereport\[ray\]'"):
        check_engine(make_config({"engine": "ray"}))


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0d", False),
        (b"HTTP/1.0 400 Bad request\r\n\r\n", True),
        (b"", True),
        (None, True),
    ],
    ids=["grpc", "a web server", "nothing", "silence"],
)
def test_a_port_where_no_ray_answers_is_told_at_once(
    answer: bytes | None, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "REACH_SECONDS", 0.2)
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: object())
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(64)
                connection.sendall(answer or b"")
                if answer is None:
                    done.wait()

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        try:
            if refused:
                with pytest.raises(SaereportError, match=r"cannot be reached: (what|timed out)"):
                    check_engine(make_config({"engine": "ray", "ray_address": address}))
            else:
                check_engine(make_config({"engine": "ray", "ray_address": address}))
        finally:
            done.set()
            thread.join()
