"""Steered text against plain batched generation: tokens a second of both, and their ratio.

Plain is Hugging Face's own `generate` on the same model, batch and number of tokens, sampling at
the same temperature; beside it stand our own loop without edits and with them, so that what
steering costs is told apart from what the loop costs. Rounds take turns, and the best of each
counts. On a CPU it is the processor's time that counts, which other work slows less than the clock.

    python benchmarks/bench_steering.py [--model demo] [--rows 20] [--new 24] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from saereport.intervene.generating import Sampling, continued, fastest
from saereport.intervene.steering import Direction, steering
from saereport.sources.demo import demo_model_dir
from saereport.sources.model_loading import load_model

PROMPT = "The most important thing is"


def plain(folder: Path, rows: int, new: int, device: str) -> Callable[[], Any]:
    """Hugging Face's `generate`, with keys and values kept and no token that ends a text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    ids = torch.tensor([tokenizer(PROMPT)["input_ids"]] * rows, device=device)
    options = {"do_sample": True, "temperature": 0.7, "top_k": 0, "use_cache": True}

    def run() -> Any:
        with torch.no_grad():
            return model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=new,
                min_new_tokens=new,
                pad_token_id=tokenizer.eos_token_id,
                **options,
            )

    return run


def ours(folder: Path, rows: int, new: int, device: str) -> dict[str, Callable[[], Any]]:
    """Our own loop without edits, and with each form of steering at a layer in the middle."""
    model = load_model(folder, device=device)
    prompts = torch.tensor([model.tokenizer(PROMPT)["input_ids"]] * rows)
    at = torch.rand((rows, new), generator=torch.Generator().manual_seed(0))
    sampling = Sampling(0.7, 1.0, frozenset())
    vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(1))
    direction = Direction({f"blocks.{model.n_layers // 2}.hook_resid_post": vector})
    strengths = torch.linspace(0, 2, rows)
    edits = steering(direction, strengths, "additive")
    step = fastest(model, prompts, edits)
    found: dict[str, Callable[[], Any]] = {
        "with the Bridge": partial(continued, model, prompts, {}, at, sampling),
        "loop": partial(continued, model, prompts, {}, at, sampling, keep_keys=step or True),
    }
    for form in ("additive", "orthogonal", "projection_cap"):
        edits_at = partial(steering, direction, strengths, form, (0, None))
        found[form] = partial(
            continued, model, prompts, edits_at, at, sampling, keep_keys=step or True
        )
    return found


def main() -> None:
    """Print tokens a second of each, and the ratio to plain generation, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a Hugging Face folder; the demo's if absent")
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--new", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    folder = asked.model or demo_model_dir()
    shape = (asked.rows, asked.new, asked.device)
    runs = {"generate": plain(folder, *shape), **ours(folder, *shape)}
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(asked.rounds):
        for name, run in runs.items():
            clock = time.process_time if asked.device == "cpu" else time.perf_counter
            start = clock()
            run()
            if asked.device != "cpu":
                torch.cuda.synchronize()
            best[name] = min(best[name], clock() - start)
    tokens = asked.rows * asked.new
    record = {
        name: {
            "tokens_per_second": round(tokens / seconds, 1),
            "of_generate": round(best["generate"] / seconds, 3),
        }
        for name, seconds in best.items()
    }
    print(json.dumps({"rows": asked.rows, "new_tokens": asked.new, **record}, indent=1))


if __name__ == "__main__":
    main()
