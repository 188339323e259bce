"""What gradients on a prompt cost beside the plain Jacobian, and how much memory, in one run.

On the demo model: latents to latents between two residual SAEs over all active pairs of a short
prompt, as the report computes it, divided into what `torch.func.jacrev` takes for the same
function (early active latents to late active latents; encoder and decoder rows of active latents
only, so that it is not slowed by what nobody wants). Then the peak of memory under budgets, and on
a long prompt with limits, each in a process of its own.

    python benchmarks/bench_gradients.py --rounds 3
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from torch import Tensor

from saereport.circuits.active import active_of
from saereport.circuits.gradients.maps import MapLimits, latents_to_latents
from saereport.intervene.splicing import edits_to, places, spliced, true_at
from saereport.sources.demo import demo_saes
from saereport.sources.forward import forward
from saereport.sources.model_loading import load_model
from saereport.sources.models import LanguageModel
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.memory import peak_mb

EARLY, LATE = "resid-l10", "resid-l16"
TEXT = "The Eiffel tower is in Paris, and the Colosseum is in the city of Rome, the capital of "
MIB = 2**20


@dataclass(frozen=True)
class Setting:
    """A prompt, and two SAEs to follow it between."""

    model: LanguageModel
    early: Sae
    late: Sae
    tokens: Tensor
    counted: Tensor


def set_up(length: int) -> Setting:
    """The demo model and SAEs, and a prompt of so many tokens, BOS included."""
    model = load_model("demo")
    paths = demo_saes()
    early, late = (load_sae(SaeSource(path=str(paths[name]))) for name in (EARLY, LATE))
    ids = model.tokenizer(TEXT * (length // 10 + 1), add_special_tokens=False)["input_ids"]
    tokens = torch.tensor([model.bos_id, *ids])[:length]
    counted = torch.ones(length, dtype=torch.bool)
    counted[0] = False
    return Setting(model, early, late, tokens, counted)


def plain_jacobian(s: Setting) -> Tensor:
    """The same derivatives by `torch.func.jacrev`, late active latents by early active ones."""
    read = s.late.hook_in.name
    true = true_at(s.model, s.tokens, places(s.early))
    a = true[s.early.hook_in.name]
    inputs = active_of(s.early.encode(a), s.counted)
    at = spliced(s.early, true, s.counted)
    rows = s.early.write_vectors(a[inputs.positions], inputs.latents)
    rest = at.index_put((inputs.positions,), -rows * inputs.values[:, None], accumulate=True)

    def processed(values: Tensor) -> Tensor:
        out = rest.index_put((inputs.positions,), rows * values[:, None], accumulate=True)
        run = forward(s.model, s.tokens[None], edits=edits_to(s.early.writes, out), reads=[read])
        result: Tensor = s.late.encoder_input(run.acts[read][0])
        return result

    with torch.no_grad():
        run = forward(s.model, s.tokens[None], edits=edits_to(s.early.writes, at), reads=[read])
        outputs = active_of(s.late.encode(run.acts[read][0]), s.counted)
    columns = s.late.read_vectors(outputs.latents)

    def function(values: Tensor) -> Tensor:
        return (processed(values)[outputs.positions] * columns).sum(dim=1)

    jacobian: Tensor = torch.func.jacrev(function)(inputs.values)
    return jacobian


def ours(s: Setting, limits: MapLimits) -> Tensor:
    """The derivatives as a report has them, counts of the true run and all."""
    return latents_to_latents(s.model, s.early, s.late, s.tokens, s.counted, limits).values


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak(length: int, limits: MapLimits | None) -> tuple[float, float, tuple[int, ...]]:
    """Megabytes of this process before and at the peak, and the shape; to be run in its own.

    Without limits the plain Jacobian is taken.
    """
    torch.set_num_threads(2)
    s = set_up(length)
    s.model.run(s.tokens[None], [s.late.hook_in.name])
    before = peak_mb()
    values = plain_jacobian(s) if limits is None else ours(s, limits)
    after = peak_mb()
    return before, after, tuple(values.shape)


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--length", default=23, show_default=True, help="Tokens of the short prompt.")
@click.option("--long", "long_length", default=256, show_default=True)
def main(rounds: int, length: int, long_length: int) -> None:
    """Print medians and ratios."""
    s = set_up(length)
    everything = MapLimits(None, None, 2**30)
    found, expected = ours(s, everything), plain_jacobian(s)
    off = float((found - expected).abs().max() / expected.abs().max())
    plain, mine = [], []
    for _ in range(rounds):
        plain.append(seconds(lambda: plain_jacobian(s)))
        mine.append(seconds(lambda: ours(s, everything)))
    ratios = [p / m for p, m in zip(plain, mine, strict=True)]
    click.echo(
        f"{EARLY} to {LATE}, {length} tokens, {found.shape[1]} x {found.shape[0]} active latents, "
        f"{rounds} rounds, medians: jacrev {statistics.median(plain):.2f} s, saereport "
        f"{statistics.median(mine):.2f} s, {statistics.median(ratios):.2f} times faster; largest "
        f"difference {off:.1e} of the largest gradient"
    )
    cases: list[tuple[str, int, MapLimits | None]] = [
        ("jacrev", length, None),
        *((f"budget {m} MiB", length, MapLimits(None, None, m * MIB)) for m in (8, 64, 1024)),
        ("with limits, budget 1024 MiB", long_length, MapLimits(4096, 1024, 1024 * MIB)),
    ]
    context = multiprocessing.get_context("spawn")
    for name, tokens, limits in cases:
        with context.Pool(1) as pool:
            start = time.perf_counter()
            before, after, shape = pool.apply(peak, (tokens, limits))
            took = time.perf_counter() - start
        click.echo(
            f"{tokens:>4} tokens, {name:<28}: {after - before:7,.0f} MB above the loaded model's "
            f"{before:,.0f} (peak {after:,.0f}), table {shape[1]} x {shape[0]}, {took:.0f} s in all"
        )


if __name__ == "__main__":
    main()
