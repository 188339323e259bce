"""The engine `ray`: workers that are Ray's actors, on this machine or on a cluster.

A worker reads no file but those of the model and the SAEs, and writes none: it is handed tokens,
and gives back states. So workers and the build need no folder in common.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from saereport.config.build import BuildConfig
from saereport.pipeline.engine.dispatch import Dispatcher
from saereport.pipeline.engine.job import Job
from saereport.pipeline.engine.worker import Outcome, Worker
from saereport.util.errors import SaereportError, UsageError, shortened
from saereport.util.progress import Bar

REACH_SECONDS = 5.0
CORES_A_WORKER = 4

_SETTINGS = b"\x04"
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _SETTINGS + bytes(5)


def check_engine(config: BuildConfig) -> None:
    """Check what can be told of an engine without starting anything.

    Raises:
        UsageError: A setting of the engine ray is given to another.
        SaereportError: Ray is not installed, or its cluster cannot be reached.
    """
    if config.engine != "ray":
        for name in ("ray_address", "workers"):
            if getattr(config, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} is for the engine ray.", "Give --engine ray with it.")
        return
    if config.activations_cache is not None:
        raise UsageError(
            "Workers of the engine ray keep no activations.",
            "Leave --activations-cache out, or --engine ray.",
        )
    if importlib.util.find_spec("ray") is None:
        raise SaereportError(
            "The engine ray needs Ray, which is not installed.", "pip install 'saereport[ray]'."
        )
    if config.ray_address is not None:
        _require_reachable(config.ray_address)


def _require_reachable(address: str) -> None:
    """Try a cluster's port, which takes a moment where Ray tries for minutes."""
    if address in ("auto", "local"):
        return
    match = re.fullmatch(r"(?:ray://)?(\[[0-9a-fA-F:]+\]|[^:/\s\[\]]+):(\d{1,5})", address)
    if match is None or not 0 < int(match[2]) < 65536:
        raise UsageError(
            f"'{shortened(address, 80)}' is no address of a Ray cluster.",
            "Write host:port, ray://host:port or auto.",
        )
    try:
        place = (match[1].strip("[]"), int(match[2]))
        with socket.create_connection(place, timeout=REACH_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("", "0"):
                _require_http2(connection)
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from error


def _require_http2(connection: socket.socket) -> None:
    """Greet a server as gRPC does, which Ray speaks: such a one answers with its settings.

    Raises:
        OSError: It answers with something else, or not at all.
    """
    connection.sendall(_HTTP2_GREETING)
    head = b""
    while len(head) < 4 and (more := connection.recv(4 - len(head))):
        head += more
    if head[3:] != _SETTINGS:
        raise OSError("what answers there is no Ray")


def _unreachable(address: str, reason: str) -> SaereportError:
    return SaereportError(
        f"The Ray cluster at '{address}' cannot be reached: {shortened(reason, 200).rstrip('.')}.",
        "Check --ray-address, and that 'ray start --head' runs there; without it, Ray is started "
        "on this machine.",
    )


class RayPool:
    """Workers as actors.

    Args:
        setup: From which each makes its bench.
        share: What each is to have: `num_cpus` and `num_gpus`.
        worker: Class of the actors.
    """

    def __init__(self, setup: Any, share: Mapping[str, float], worker: type = Worker) -> None:
        import ray

        self._ray: Any = ray
        self._setup = ray.put(dict(setup))
        # One thread does the work, and one says how far it is.
        self._class = ray.remote(max_restarts=0, max_concurrency=2, **share)(worker)
        self._actors: dict[int, Any] = {}
        self._running: dict[Any, int] = {}
        self._asked: dict[int, Any] = {}
        self._known: dict[int, int] = {}
        self._started = 0

    def start(self) -> int:
        """See `Pool`."""
        self._started += 1
        actor = self._class.remote(self._setup)
        self._actors[self._started] = actor
        self._running[actor.begin.remote()] = self._started
        return self._started

    def submit(self, worker: int, task: str, item: Any) -> None:
        """See `Pool`."""
        self._known[worker] = 0
        self._asked.pop(worker, None)
        self._running[self._actors[worker].do.remote(task, item)] = worker

    def poll(self, seconds: float) -> list[tuple[int, Outcome]]:
        """See `Pool`."""
        refs = list(self._running)
        ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        if not ready:
            ready, _ = self._ray.wait(refs, num_returns=1, timeout=seconds)
        return [(self._running.pop(ref), self._outcome(ref)) for ref in ready]

    def _outcome(self, ref: Any) -> Outcome:
        try:
            return Outcome(*self._ray.get(ref))
        except self._ray.exceptions.RayTaskError as error:
            # What was not caught there: its class or what it was handed could not be read.
            return Outcome("fault", message=_last_line(error))
        except self._ray.exceptions.RayError as error:
            said = str(error)
            if "creation task" in said or "ModuleNotFoundError" in said:
                return Outcome(
                    "user",
                    message=_last_line(error),
                    hint="Install the same version of saereport everywhere.",
                )
            return Outcome("lost", message=said.partition("\n")[0])

    def told(self, worker: int) -> int:
        """See `Pool`: what it said last; asks again without waiting."""
        asked = self._asked.get(worker)
        if asked is not None and self._ray.wait([asked], timeout=0)[0]:
            try:
                self._known[worker] = self._ray.get(asked)
            except self._ray.exceptions.RayError:
                return self._known.get(worker, 0)
            asked = None
        if asked is None:
            self._asked[worker] = self._actors[worker].done.remote()
        return self._known.get(worker, 0)

    def stop(self, worker: int) -> None:
        """See `Pool`."""
        self._running = {ref: other for ref, other in self._running.items() if other != worker}
        self._asked.pop(worker, None)
        actor = self._actors.pop(worker, None)
        if actor is not None:
            self._ray.kill(actor)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shortened(lines[-1] if lines else type(error).__name__, 300)


class RayEngine:
    """Ray's workers, started when there is something to do for them.

    Args:
        config: What the build is asked.
        setup: Gives that from which workers make their bench.
        say: Takes lines for the user.
        worker: Class of the actors.
    """

    elsewhere = True

    def __init__(
        self,
        config: BuildConfig,
        setup: Callable[[], Any],
        say: Callable[[str], None],
        worker: type = Worker,
    ) -> None:
        self._config, self._setup, self._say, self._worker = config, setup, say, worker
        self._dispatcher: Dispatcher | None = None
        self._n = 0

    @property
    def workers(self) -> int:
        """See `Engine`; connects to the cluster."""
        self._connected()
        return self._n

    def each(self, job: Job, bar: Bar) -> Iterator[tuple[int, Any]]:
        """See `Engine`."""
        yield from self._connected().each(job, bar)

    def close(self) -> None:
        """End the workers, and a cluster that was started for them."""
        if self._dispatcher is not None:
            import ray

            self._dispatcher = None
            ray.shutdown()

    def _connected(self) -> Dispatcher:
        if self._dispatcher is None:
            import ray

            _connect(self._config.ray_address)
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            gpu = self._config.device == "auto" or self._config.device.startswith("cuda")
            self._n, share = shares(nodes, self._config.workers, gpu=gpu)
            self._say(f"Ray: {self._n} workers, each with {_words(share)}")
            pool = RayPool(self._setup(), share, self._worker)
            self._dispatcher = Dispatcher(pool, self._n, self._say)
        return self._dispatcher


def _connect(address: str | None) -> None:
    # Nothing is reported to anyone, and no process is given the driver's devices by accident.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    asked: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None or address == "local":
        asked |= {"address": "local", "include_dashboard": False}
    else:
        asked |= {"address": address}
    said = b""
    try:
        # What its libraries write there themselves is not for users; the error is told below.
        with _stderr() as stream:
            try:
                ray.init(**asked)
            finally:
                stream.seek(0)
                said = stream.read()
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        if b"AuthToken" in said or "AuthToken" in str(error):
            raise SaereportError(
                f"The Ray cluster at '{address}' asks for a token, and was given another or none.",
                "Set RAY_AUTH_MODE=token, with the token where Ray looks for it.",
            ) from error
        if address is None:
            raise SaereportError(
                f"Ray could not be started on this machine: {_last_line(error)}.",
                "Try 'ray start --head', then --ray-address auto.",
            ) from error
        raise _unreachable(address, _last_line(error)) from error


@contextmanager
def _stderr() -> Iterator[BinaryIO]:
    """What this process and what it starts write to the standard error, in a file instead."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as stream:
            os.dup2(stream.fileno(), 2)
            try:
                yield stream
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)


def shares(
    nodes: list[Mapping[str, float]], workers: int | None, *, gpu: bool
) -> tuple[int, dict[str, float]]:
    """How many workers there are, and what each has.

    Args:
        nodes: Resources of the cluster's machines, as Ray names them.
        workers: How many are asked for.
        gpu: Whether they may compute on GPUs.

    Raises:
        SaereportError: No machine has a core for them.
    """
    gpus = sum(node.get("GPU", 0) for node in nodes) if gpu else 0
    cores = [node["CPU"] for node in nodes if node.get("CPU", 0) > 0]
    if not cores:
        raise SaereportError(
            "The Ray cluster has no machine with a core for workers.", "Add one with 'ray start'."
        )
    most = max(2, int(sum(cores)) // CORES_A_WORKER)
    n = workers or int(gpus) or int(min(most, max(sum(cores), 1)))
    each = min(sum(cores) / n, *cores)
    share = {"num_cpus": float(int(each)) if each >= 1 else each}
    if gpus:
        part = gpus / n
        share["num_gpus"] = 1.0 if part >= 1 else part
    return n, share


def _words(share: Mapping[str, float]) -> str:
    parts = [f"{share['num_cpus']:g} cores"]
    if "num_gpus" in share:
        parts.append(f"{share['num_gpus']:g} GPU")
    return " and ".join(parts)
