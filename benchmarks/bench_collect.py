"""What measuring costs beside the bare forward pass, in one run.

For 64 latents and for all latents of a demo SAE: the whole collection (forward pass, encoding,
statistics, tables of weights, the run on disk; loading left out) divided by the bare forward pass
to the same layer over the same batches. Each is done several times in turn and medians are taken,
because machines are noisy.

    python benchmarks/bench_collect.py --tokens 65536 --rounds 3
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch

from saereport.circuits.evaluation import Evaluation
from saereport.config import make_config
from saereport.measure import STATISTICS, Setting
from saereport.pipeline.checkpoint import Checkpoint
from saereport.pipeline.circuits import plan_circuits
from saereport.pipeline.memory import MemoryProfiler
from saereport.pipeline.text import text_stage
from saereport.pipeline.text_pass import Batches, SaeCollector, TextPass
from saereport.pipeline.write import Plan, write_run
from saereport.progress import Progress
from saereport.selection import parse_selection, tracked_latents
from saereport.sources.demo import demo_saes
from saereport.sources.model_loading import load_model
from saereport.sources.packing import Packed
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.sources.text import open_text
from saereport.warned import Warned

QUIET = Progress(quiet=True)


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@click.command()
@click.option("--tokens", default=65_536, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--sae", "sae_id", default=None, help="Id of a demo SAE; a residual one by default.")
def main(tokens: int, rounds: int, sae_id: str | None) -> None:
    """Print medians and ratios."""
    saes = demo_saes()
    name = sae_id or next(key for key in saes if "resid" in key)
    model = load_model("demo")
    sae = load_sae(SaeSource(path=str(saes[name])))
    text = open_text("demo")
    config = make_config({"saes": [{"path": saes[name]}], "dataset": "demo", "tokens": tokens})
    stage = text_stage(config, text, [sae], model, Warned())
    batches = Batches("auto", stage.context_size, model.device, QUIET)
    packed = list(stage.packed(batch=batches.block))

    def forward() -> None:
        for block in packed:
            model.run(torch.from_numpy(block.tokens.astype(np.int64)), [sae.hook_in.name])

    def collect(words: str) -> None:
        selection = parse_selection(words)
        setting = Setting(
            d_sae=sae.d_sae,
            d_vocab=model.d_vocab,
            latents=tracked_latents(selection, sae.d_sae, 0),
        )
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder) / "work"
            reading = TextPass(
                model=model,
                readers=[SaeCollector(sae, setting, list(STATISTICS))],
                batches=batches,
                checkpoint=Checkpoint(work, "0" * 64),
            )
            read = seconds(lambda: reading.run(iter(packed), QUIET.bar("", None, "")))
            plan = Plan(
                config={},
                title="benchmark",
                fingerprint="0" * 64,
                text=stage,
                map="pca",
                seed=0,
                listed=15,
                selections=[selection],
                labels=[{}],
                circuits=plan_circuits(config, (), {}, [sae], model, work, "0" * 64),
                evaluation=Evaluation(left_out={sae.slug: "it is not measured here"}),
                libraries={},
                warned=Warned(),
            )
            wrote = seconds(
                lambda: write_run(
                    Path(folder) / "run", plan, reading, MemoryProfiler(False, model.device), QUIET
                )
            )
        measured[words]["read"].append(read)
        measured[words]["write"].append(wrote)

    words = ("random:64", "all")
    measured: dict[str, dict[str, list[float]]] = {w: {"read": [], "write": []} for w in words}
    bare: list[float] = []
    warm_up: list[Packed] = packed[:2]
    for block in warm_up:
        model.run(torch.from_numpy(block.tokens.astype(np.int64)), [sae.hook_in.name])
    for _ in range(rounds):
        bare.append(seconds(forward))
        for each in words:
            collect(each)

    base = statistics.median(bare)
    n = sum(block.tokens.size for block in packed)
    click.echo(f"{name}, {n:,} tokens, {rounds} rounds, medians; forward pass alone {base:.2f} s")
    for each in words:
        read = statistics.median(measured[each]["read"])
        wrote = statistics.median(measured[each]["write"])
        click.echo(
            f"{each:>10}: reading {read / base:.3f}, with tables and the run on disk "
            f"{(read + wrote) / base:.3f} times the forward pass"
        )


if __name__ == "__main__":
    main()
