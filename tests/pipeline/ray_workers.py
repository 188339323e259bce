"""Workers for tests of the engine ray: what goes wrong in them is asked for by files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from saereport.pipeline.engine.worker import Worker


def once(marker: Path) -> bool:
    """Whether nobody was here before, in any process."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


class Light(Worker):
    """A worker without a model."""

    def _made(self) -> None:
        if self._setup.get("version"):
            super()._made()
        self._bench = Path(self._setup["folder"])


class Dying(Worker):
    """A worker that keeps a log of its items, and of which the first dies in the middle of one."""

    def _did(self, task: str, item: Any) -> Any:
        folder = Path(os.environ["SAEREPORT_TEST_LOG"])
        with (folder / "log").open("a") as stream:
            stream.write(f"{task.partition(':')[2]} {getattr(item, 'first', '')}\n")
        return super()._did(task, item)

    def _advance(self, n: int) -> None:
        super()._advance(n)
        if once(Path(os.environ["SAEREPORT_TEST_LOG"]) / "died"):
            os._exit(1)


def squared(folder: Path, item: dict[str, Any], told: Callable[[int], None]) -> int:
    """An item's square, unless something else is asked of whoever comes first."""
    with (folder / "log").open("a") as stream:
        stream.write(f"{item['n']} {os.getpid()}\n")
    told(1)
    first = item.get("first") is not None and once(folder / f"first-{item['n']}")
    if first and item["first"] == "die":
        os._exit(1)
    if first and item["first"] == "full":
        raise OSError(28, "No space left on device", "/scratch")
    if first and item["first"] == "hang":
        while not (folder / "let-go").exists():
            time.sleep(0.05)
    return int(item["n"]) ** 2
