"""What an attribution graph costs on the demo model: time, memory, and what is left out.

Two prompts of the demo's own text, with BOS before them: a short one, whose graph is to take less
than a minute on two cores, and a long one, whose graph is to stay below 8 GB. Beside them the bare
forward pass of the same prompt, so that machines can be compared.

    python benchmarks/bench_graph.py --short 30 --long 256
"""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path

import click
import torch

from saereport.circuits.gradients.maps import auto_memory
from saereport.circuits.graph.building import GraphSettings, build_graph, graph_tables
from saereport.config.circuits import GraphConfig
from saereport.sources.demo import demo_saes
from saereport.sources.forward import forward
from saereport.sources.model_loading import load_model
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.sources.text.opening import open_text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.memory import peak_mb


@click.command()
@click.option("--short", default=30, show_default=True, help="Tokens of the short prompt.")
@click.option("--long", "long_", default=256, show_default=True, help="Tokens of the long one.")
@click.option("--sae", "kinds", multiple=True, default=("transcoder",), show_default=True)
def main(short: int, long_: int, kinds: tuple[str, ...]) -> None:
    """Print seconds, peak memory and the share left out."""
    model = load_model("demo")
    saes = [
        load_sae(SaeSource(path=str(path)))
        for name, path in demo_saes().items()
        if any(kind in name for kind in kinds)
    ]
    text = " ".join(str(document) for document in islice(open_text("demo").documents(), 20))
    ids = [int(model.bos_id or 0), *model.tokenizer.encode(text, add_special_tokens=False)]
    config = GraphConfig().model_dump(exclude={"saes"})
    settings = GraphSettings(**config, memory=auto_memory(model.device))
    click.echo(
        f"{len(saes)} SAEs, {torch.get_num_threads()} threads, batches of {settings.memory:,}"
    )
    for length in (short, long_):
        tokens = torch.tensor(ids[:length])
        start = time.perf_counter()
        with torch.no_grad():
            forward(model, tokens[None], logits=True)
        bare = time.perf_counter() - start
        start, busy = time.perf_counter(), time.process_time()
        graph = build_graph(model, saes, tokens, tokens != model.bos_id, settings)
        took, busy = time.perf_counter() - start, time.process_time() - busy
        row = {name: column[0] for name, column in graph_tables(graph)["graphs"].items()}
        click.echo(
            f"{length} tokens: {took:.1f} s ({busy:.1f} s of processor), "
            f"{took / bare:.0f} times the forward pass; "
            f"{row['n_expanded']:,} of {row['n_active']:,} latents, {row['left_out']:.2%} of the "
            f"influence left out; {row['n_nodes']:,} nodes, {row['n_links']:,} links; "
            f"peak so far {peak_mb() / 1000:.2f} GB"
        )


if __name__ == "__main__":
    main()
