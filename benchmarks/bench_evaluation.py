"""What evaluating a whole SAE costs beside the bare forward passes that it needs, in one run.

One demo SAE needs four: the model as it is, with the reconstruction, with zero and with the mean in
its place. All of the evaluation (activations, what the SAE makes of them, predictions compared over
the vocabulary, intervals) is divided by these passes alone over the same batches. Each is done in
turn and medians are taken; processor time too, for machines on which others work.

    python benchmarks/bench_evaluation.py --tokens 200000 --rounds 1
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.subject import QUIET, Subject, subject  # noqa: E402
from saereport.evaluate.fidelity import (  # noqa: E402
    evaluate,
    first_counted,
    sequences_at_a_time,
)

RUNS = 4
"""Runs of the model that one SAE needs."""


@click.command()
@click.option("--tokens", default=200_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--sae", "sae_id", default=None, help="Id of a demo SAE; a residual one by default.")
@click.option("--device", default="cpu", show_default=True)
def main(tokens: int, rounds: int, sae_id: str | None, device: str) -> None:
    """Print medians and ratios."""
    one = subject(sae_id, tokens, device)
    text = first_counted(one.packed, tokens)
    work: dict[str, Callable[[], object]] = {
        "passes": lambda: bare(one, text[0]),
        "evaluation": lambda: evaluate(one.model, [one.sae], *text, QUIET),
    }
    bare(one, text[0][:1])
    wall: dict[str, list[float]] = {name: [] for name in work}
    cpu: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, do in work.items():
            start = time.perf_counter(), time.process_time()
            do()
            one.wait()
            wall[name].append(time.perf_counter() - start[0])
            cpu[name].append(time.process_time() - start[1])
    n = int(text[1].sum())
    click.echo(f"{one.name}, {n:,} counted tokens, {rounds} rounds, medians")
    for words, taken in (("seconds", wall), ("processor seconds", cpu)):
        passes, whole = (statistics.median(taken[name]) for name in work)
        click.echo(f"{words}: {RUNS} bare passes {passes:.1f}, evaluation {whole:.1f}", nl=False)
        click.echo(f", {whole / passes:.3f} times")


def bare(one: Subject, tokens: np.ndarray) -> None:
    """The forward passes alone, to the logits."""
    batch = sequences_at_a_time(tokens.shape[1], one.model.d_vocab)
    with torch.no_grad():
        for start in range(0, len(tokens), batch):
            ids = torch.from_numpy(tokens[start : start + batch].astype(np.int64))
            for _ in range(RUNS):
                one.model.forward_pass(ids.to(one.model.device), logits=True)


if __name__ == "__main__":
    main()
