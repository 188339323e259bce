"""What a device takes: the forward pass alone, with 64 latents, and with all of them.

On a CUDA device: tokens a second, the ratio to the bare forward pass, the peak of its memory, and
how busy it was. Without one the operations of the pass are counted on the CPU, and what a device
needs at the least for the bytes that they move, and for being asked so often, is printed: a bound,
no measurement.

    python benchmarks/bench_device.py --tokens 65536
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.subject import Subject, seconds, subject  # noqa: E402
from saereport.pipeline import collector  # noqa: E402

DEVICES: Mapping[str, tuple[float, float]] = {
    "A100 80 GB": (2.0e12, 19.5e12),
    "H100": (3.35e12, 67e12),
    "H200": (4.8e12, 67e12),
}
"""Bytes a second and float32 operations a second, as their maker says."""

LAUNCH = 5e-6
"""Seconds that a device needs at the least to be asked for one kernel."""

VIEWS = {
    *("view", "reshape", "expand", "transpose", "permute", "slice", "select", "unsqueeze", "t"),
    *("squeeze", "as_strided", "detach", "alias", "split", "unbind", "_unsafe_view", "unfold"),
    *("empty", "diagonal", "lift_fresh", "split_with_sizes", "narrow", "view_as"),
}
"""Operations that touch no data."""

ASKS = {
    *("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_consecutive"),
    *("unique_dim", "equal", "is_nonzero"),
}
"""Operations that wait for the device, since the host must know what comes of them."""


@dataclass
class Counts:
    """What one part of the pass asked of the device."""

    kernels: int = 0
    asks: int = 0
    read: int = 0
    written: int = 0
    flops: float = 0.0
    by_name: Counter[str] = field(default_factory=Counter)


class Counting(TorchDispatchMode):
    """Counts operations and the bytes that they read and write, by the part that asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self.part = "statistics"
        self.counts: dict[str, Counts] = {}

    @contextmanager
    def during(self, part: str) -> Iterator[None]:
        """Count what happens inside as another part's."""
        before, self.part = self.part, part
        try:
            yield
        finally:
            self.part = before

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in VIEWS:
            return found
        count = self.counts.setdefault(self.part, Counts())
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        made = [x for x in tree_leaves(found) if isinstance(x, Tensor)]
        count.kernels += 1
        count.asks += name in ASKS
        count.read += sum(_bytes(x) for x in given)
        count.written += sum(_bytes(x) for x in made)
        count.by_name[name] += 1
        if name in ("mm", "bmm", "addmm"):
            left = given[-2]
            count.flops += 2 * made[0].numel() * left.shape[-1]
        return found


def _bytes(tensor: Tensor) -> int:
    # What is expanded is there once.
    return tensor.numel() * tensor.element_size() if 0 not in tensor.stride() else 0


def counted(one: Subject, words: str) -> dict[str, Counts]:
    """What reading the text for some latents asks of the device, by part."""
    # How the model is read is found out once, which is no part of a batch.
    one.forward(most=1)
    mode = Counting()
    reader, encode, chosen = one.model.reader, type(one.sae).encode, type(one.sae).encode_chosen

    def within(part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def do(*args: Any, **kwargs: Any) -> Any:
            with mode.during(part):
                return work(*args, **kwargs)

        return do

    run = reader.run
    try:
        vars(reader)["run"] = within("forward pass", run)
        type(one.sae).encode = within("encoding", encode)  # type: ignore[method-assign]
        type(one.sae).encode_chosen = within("encoding", chosen)  # type: ignore[method-assign]
        with mode:
            one.collect(words, weights=False)
    finally:
        del vars(reader)["run"]
        type(one.sae).encode = encode  # type: ignore[method-assign]
        type(one.sae).encode_chosen = chosen  # type: ignore[method-assign]
    return mode.counts


def roofline(one: Subject) -> Iterator[str]:
    """Counts for each part, and the least time that devices need for them, as Markdown."""
    batches = len(one.packed)
    # What a device is given at a time, not what the CPU's caches hold.
    collector.LARGEST_BLOCK.clear()
    collector.ROUND.clear()
    yield f"No CUDA device: counted on the CPU over {batches} batches, {one.n_tokens:,} tokens."
    yield "Times are the least that bytes, float32 operations and launches allow; not measured.\n"
    yield (
        "| latents | part | kernels a batch | asks a batch | GB moved | TFLOP | "
        + " | ".join(f"{name}, ms" for name in DEVICES)
        + " |"
    )
    yield "|---" * (6 + len(DEVICES)) + "|"
    for words in ("random:64", "all"):
        for part, count in sorted(counted(one, words).items()):
            moved = count.read + count.written
            least = [
                1e3 * max(moved / rate, count.flops / flops, count.kernels * LAUNCH)
                for rate, flops in DEVICES.values()
            ]
            yield (
                f"| {words} | {part} | {count.kernels / batches:.0f} | {count.asks / batches:.1f} "
                f"| {moved / 1e9:.2f} | {count.flops / 1e12:.2f} | "
                + " | ".join(f"{ms:.1f}" for ms in least)
                + " |"
            )


class Busy(threading.Thread):
    """Asks now and then how busy the device is; its driver's answer, in percent."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: list[int] = []
        self.done = threading.Event()

    def run(self) -> None:
        """Until `done`; without the package that asks the driver, nothing is seen."""
        while not self.done.wait(0.1):
            try:
                self.seen.append(torch.cuda.utilization())
            except Exception:
                return


def on_device(one: Subject) -> Iterator[str]:
    """Tokens a second on the CUDA device, as Markdown."""
    yield f"{torch.cuda.get_device_name()}, {one.name}, {one.n_tokens:,} tokens\n"
    yield "| | seconds | tokens/s | ratio | peak device memory | busy |"
    yield "|---|---|---|---|---|---|"
    works: dict[str, Callable[[], Any]] = {
        "through the Bridge": lambda: one.forward(one.model),
        "forward pass alone": one.forward,
        "64 latents": lambda: one.collect("random:64", weights=False),
        "all latents": lambda: one.collect("all", weights=False),
    }
    one.forward(most=2)
    base = seconds(one.forward)
    for name, work in works.items():
        torch.cuda.reset_peak_memory_stats()
        busy = Busy()
        busy.start()
        start = time.perf_counter()
        stages = work()
        took = time.perf_counter() - start
        busy.done.set()
        busy.join()
        if isinstance(stages, Mapping):
            took = stages["statistics"]
        peak = torch.cuda.max_memory_allocated() / 1e9
        load = f"{sum(busy.seen) / len(busy.seen):.0f} %" if busy.seen else "not known"
        yield (
            f"| {name} | {took:.2f} | {one.n_tokens / took:,.0f} | {took / base:.2f} "
            f"| {peak:.2f} GB | {load} |"
        )


@click.command()
@click.option("--tokens", default=65_536, show_default=True)
@click.option("--sae", "sae_id", default=None, help="Id of a demo SAE; a residual one by default.")
@click.option("--json", "as_json", is_flag=True, help="The counts, by part and operation.")
def main(tokens: int, sae_id: str | None, as_json: bool) -> None:
    """Measure on a CUDA device, or count without one."""
    cuda = torch.cuda.is_available()
    one = subject(sae_id, tokens, "cuda" if cuda else "cpu")
    if as_json:
        for words in ("random:64", "all"):
            parts = {part: vars(count) for part, count in counted(one, words).items()}
            click.echo(json.dumps({"latents": words, "batches": len(one.packed), "parts": parts}))
        return
    for line in on_device(one) if cuda else roofline(one):
        click.echo(line)


if __name__ == "__main__":
    main()
