"""What measuring costs beside the bare forward pass, in one run.

For 64 latents and for all latents of a demo SAE: the whole collection (forward pass, encoding,
statistics, tables of weights, the run on disk; loading and tokenising left out) divided by the bare
forward pass to the same layer over the same batches. Each is done several times in turn and medians
are taken, because machines are noisy. The Bridge's own forward pass is measured too.

    python benchmarks/bench_collect.py --tokens 65536 --rounds 3
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.subject import seconds, subject  # noqa: E402


@click.command()
@click.option("--tokens", default=65_536, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--sae", "sae_id", default=None, help="Id of a demo SAE; a residual one by default.")
def main(tokens: int, rounds: int, sae_id: str | None) -> None:
    """Print medians and ratios."""
    one = subject(sae_id, tokens)
    words = ("random:64", "all")
    measured: dict[str, dict[str, list[float]]] = {w: {"read": [], "write": []} for w in words}
    bare: list[float] = []
    bridge: list[float] = []
    one.forward(most=2)
    for _ in range(rounds):
        bare.append(seconds(one.forward))
        bridge.append(seconds(lambda: one.forward(one.model)))
        for each in words:
            took = one.collect(each)
            measured[each]["read"].append(took["statistics"])
            measured[each]["write"].append(took["weights"])

    base = statistics.median(bare)
    click.echo(
        f"{one.name}, {one.n_tokens:,} tokens, {rounds} rounds, medians; forward pass alone "
        f"{base:.2f} s, through the Bridge {statistics.median(bridge):.2f} s"
    )
    for each in words:
        read = statistics.median(measured[each]["read"])
        wrote = statistics.median(measured[each]["write"])
        click.echo(
            f"{each:>10}: reading {read / base:.3f}, with tables and the run on disk "
            f"{(read + wrote) / base:.3f} times the forward pass"
        )


if __name__ == "__main__":
    main()
