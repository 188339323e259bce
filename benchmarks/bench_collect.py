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

from saereport.config.build import make_config
from saereport.config.selection import parse_selection, tracked_latents
from saereport.pipeline.context import Chosen, Context, Loaded
from saereport.pipeline.fingerprint import config_record
from saereport.pipeline.running import run_stages
from saereport.pipeline.stage import stages
from saereport.pipeline.text import run_text
from saereport.pipeline.text_pass import Batches
from saereport.pipeline.timing import Stopwatch
from saereport.pipeline.warned import Warned
from saereport.pipeline.write import TableSink
from saereport.sources.demo import demo_saes
from saereport.sources.model_loading import load_model
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.sources.text.opening import open_text
from saereport.sources.text.packing import Packed
from saereport.util.progress import Progress

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
    config = make_config({"saes": [{"path": saes[name]}], "dataset": "demo", "tokens": tokens})
    text = run_text(config, open_text("demo"), [sae], model, Warned())
    batches = Batches("auto", text.context_size, model.device, QUIET)
    packed = list(text.packed(batch=batches.block))

    def forward() -> None:
        for block in packed:
            model.run(torch.from_numpy(block.tokens.astype(np.int64)), [sae.hook_in.name])

    def collect(words: str) -> None:
        selection = parse_selection(words)
        tracked = tracked_latents(selection, sae.d_sae, 0)
        with tempfile.TemporaryDirectory() as folder:
            context = Context(
                config=config,
                loaded=Loaded(model, {sae.slug: sae}),
                text=text,
                chosen={sae.slug: Chosen(selection, tracked, ())},
                batches=batches,
                work=Path(folder) / "work",
                identity={"config": config_record(config), "inputs": {}},
                progress=QUIET,
                warned=Warned(),
            )
            watch = Stopwatch()
            with TableSink(Path(folder) / "run", context) as sink:
                planned = [stages()[name] for name in ("statistics", "weights")]
                run_stages(context, planned, sink, watch.stage)
                with watch.stage("weights"):
                    sink.finish("benchmark", None)
        measured[words]["read"].append(watch.seconds["statistics"])
        measured[words]["write"].append(watch.seconds["weights"])

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
