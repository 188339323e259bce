"""The same SAE, model, tokens and latents through saereport and through SAEDashboard 0.8.

Each side is one command in a process of its own, from its start to the last file: `saereport build`
without evaluation and attribution of examples, which the other does not have, and what
`NeuronpediaRunner.run` does, with its defaults, on the same weights as a HookedTransformer
(`peers_side.py`). SAEDashboard lives in an environment that is made once
(SAEREPORT_DASHBOARD_PYTHON names one that is there).

    python benchmarks/bench_peers.py --json peers.json                   # a few minutes
    python benchmarks/bench_peers.py --curve 64,256,1024,2304 --tokens 8k --json curve.json

Prints a Markdown table, and below it how the numbers of both agree; `--json` keeps all of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.peers_environment import environment  # noqa: E402
from saereport.config.quantities import read_count  # noqa: E402

Record = dict[str, Any]
EVERY = "all"


@dataclass(frozen=True)
class Work:
    """What both sides are given.

    Attributes:
        model: Folder of the model; `demo` for ours.
        sae: Folder of the SAE.
        tokens: int32[n, ctx], what ours reads of the demo's text.
        python: The Python of the other side.
        folder: Where everything is written.
    """

    model: str
    sae: str
    tokens: np.ndarray[Any, Any]
    python: Path
    folder: Path


def demo_tokens(sae: str, tokens: int) -> np.ndarray[Any, Any]:
    """What a build reads of the demo's text, [n, ctx]."""
    from saereport.config.build import make_config
    from saereport.pipeline.text import run_text
    from saereport.pipeline.warned import Warned
    from saereport.sources.model_loading import load_model
    from saereport.sources.saes.loading import load_sae
    from saereport.sources.saes.source import SaeSource
    from saereport.sources.text.opening import open_text

    config = make_config({"saes": [{"path": sae}], "dataset": "demo", "tokens": tokens})
    loaded = load_sae(SaeSource(path=sae))
    text = run_text(config, open_text("demo"), [loaded], load_model("demo"), Warned())
    return np.concatenate([one.tokens for one in text.packed(batch=64)])


def timed(command: Sequence[str], folder: Path) -> Record:
    """Run a command: wall seconds, CPU seconds, and the peak of its memory in megabytes."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline"}
    start = time.perf_counter()
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        said = (folder / "log.txt").read_text("utf-8", errors="replace")
        raise SystemExit(f"{command[0]} failed:\n{said[-3000:]}")
    return {
        "wall_s": round(wall, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6),
    }


def size_of(paths: Iterator[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def ours(work: Work, latents: Sequence[int] | None, tokens: int) -> Record:
    """`saereport build`; the run that it leaves is at `work.folder / "ours" / "report"`."""
    folder = work.folder / "ours"
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "saereport", "build", "--model", "demo", "--dataset", "demo"]
    command += ["--sae-path", work.sae, "--tokens", str(tokens)]
    command += ["--skip", "evaluation", "--skip", "example_attribution"]
    command += ["--latents", EVERY if latents is None else ",".join(map(str, latents))]
    record = timed([*command, "--out", "report"], folder)
    stages = json.loads((folder / "report.timing.json").read_text())["seconds"]
    site = size_of(p for p in (folder / "report").rglob("*") if "run" not in p.parts)
    return {
        **record,
        "collecting_s": round(stages.get("statistics", 0.0), 2),
        "writing_s": round(sum(s for name, s in stages.items() if name in ("weights", "site")), 2),
        "stages": {name: round(seconds, 2) for name, seconds in stages.items()},
        "bytes": site,
    }


def theirs(work: Work, latents: Sequence[int]) -> Record:
    """SAEDashboard; its files are at `work.folder / "theirs" / "out"`."""
    folder = work.folder / "theirs"
    folder.mkdir(parents=True)
    np.save(folder / "tokens.npy", work.tokens)
    task = {"model": work.model, "sae": work.sae, "tokens": str(folder / "tokens.npy")}
    task |= {"latents": list(latents), "out": str(folder / "out")}  # type: ignore[dict-item]
    (folder / "task.json").write_text(json.dumps(task))
    side = Path(__file__).with_name("peers_side.py")
    record = timed([str(work.python), str(side), str(folder / "task.json")], folder)
    times = json.loads((folder / "out" / "times.json").read_text())
    return {
        **record,
        "collecting_s": round(times["collecting"], 2),
        "writing_s": round(times["writing"], 2),
        "stages": {name: round(seconds, 2) for name, seconds in times.items()},
        "bytes": size_of((folder / "out").glob("batch-*.json")),
    }


def agreement(work: Work) -> Record:
    """How far the numbers of both sides agree, by latent; what each means is in `EXPLAINED`."""
    from transformers import AutoTokenizer

    from saereport.run import open_run

    run = open_run(work.folder / "ours" / "report")
    [slug] = [sae.slug for sae in run.info.saes]
    activity = {row["latent"]: row for row in run.table("activity", slug).to_pylist()}
    lens = {row["latent"]: row for row in run.table("logit_lens", slug).to_pylist()}
    tops: dict[int, list[float]] = {}
    for row in run.table("examples", slug).to_pylist():
        tops.setdefault(row["latent"], []).append(row["activation"])
    words = AutoTokenizer.from_pretrained(work.model)
    found: dict[str, list[float]] = {key: [] for key in EXPLAINED}
    for other in _features(work.folder / "theirs" / "out"):
        latent = other["feature_index"]
        if latent not in activity:
            continue
        mine, shown = activity[latent], [max(one["values"]) for one in other["activations"]]
        count = round(other["frac_nonzero"] * work.tokens.size)
        found["active tokens"].append(count - mine["n_active"])
        if shown and mine["n_active"]:
            found["maxima"].append(max(shown) - mine["max"])
            best = sorted(tops[latent], reverse=True)[:5]
            same = [min(abs(a - b) for b in shown) < 0.002 + 1e-4 * a for a in best]
            found["top five examples"].append(sum(same) / len(best))
        names = words.convert_ids_to_tokens(lens[latent]["top_tokens"][:10])
        found["top ten logits"].append(len(set(names) & set(other["pos_str"])) / 10)
    return {key: _summary(key, np.array(values)) for key, values in found.items()}


EXPLAINED: Mapping[str, str] = {
    "active tokens": "Theirs count BOS and other special tokens, which ours leave out of every "
    "statistic, and divide by all tokens; their density is rounded to five decimals.",
    "maxima": "The same activation, from another implementation of the model, rounded to three "
    "decimals; where the largest is on a token that does not count, or that no window shows, "
    "another.",
    "top five examples": "Theirs may show one peak in several windows and leave out what is near "
    "a sequence's end; ours never show two overlapping windows.",
    "top ten logits": "Theirs leave out the final norm's weight, which ours fold in: the order of "
    "tokens differs.",
}
"""What is compared, and why it may differ."""


def _features(folder: Path) -> Iterator[Record]:
    for path in sorted(folder.glob("batch-*.json")):
        yield from json.loads(path.read_text())["features"]


def _summary(key: str, values: np.ndarray[Any, Any]) -> Record:
    if key in ("active tokens", "maxima"):
        near = np.abs(values) <= (1 if key == "active tokens" else 0.01)
        return {
            "same": round(float(near.mean()), 4),
            "median_off": round(float(np.median(np.abs(values))), 4),
            "largest_off": round(float(np.abs(values).max()), 4),
            "latents": len(values),
        }
    return {"share": round(float(values.mean()), 4), "latents": len(values)}


def compared(work: Work, n: int | None, d_sae: int) -> Record:
    """One case: both sides, and the agreement of their numbers."""
    rng = np.random.default_rng(0)
    chosen = None if n is None else np.sort(rng.choice(d_sae, n, replace=False)).tolist()
    latents = list(range(d_sae)) if chosen is None else chosen
    record = {
        "latents": len(latents),
        "tokens": int(work.tokens.size),
        "ours": ours(work, chosen, int(work.tokens.size)),
        "theirs": theirs(work, latents),
    }
    record["times_faster"] = round(record["theirs"]["wall_s"] / record["ours"]["wall_s"], 2)
    return {**record, "agreement": agreement(work)}


HEADER = (
    "| latents | tokens | | whole command | collecting | writing | peak memory | bytes a latent |\n"
    "|---|---|---|---|---|---|---|---|"
)


def rows(record: Record) -> Iterator[str]:
    """The lines of the table for one case."""
    for side, name in (("theirs", "SAEDashboard 0.8"), ("ours", "saereport")):
        of = record[side]
        whole = f"{of['wall_s']:.1f} s"
        if side == "ours":
            whole += f" (**{record['times_faster']:.1f}×**)"
        yield (
            f"| {record['latents']:,} | {record['tokens']:,} | {name} | {whole} "
            f"| {of['collecting_s']:.1f} s | {of['writing_s']:.1f} s "
            f"| {of['peak_mb'] / 1000:.2f} GB | {of['bytes'] / record['latents'] / 1000:.1f} kB |"
        )


def told(record: Record) -> Iterator[str]:
    """How the numbers agree, as a list."""
    for key, found in record["agreement"].items():
        if "share" in found:
            how = f"{found['share']:.0%} are the same"
        else:
            how = f"the same for {found['same']:.1%} of latents, off by {found['largest_off']:g} "
            how += "at most"
        yield f"- {key}, {found['latents']:,} latents: {how}. {EXPLAINED[key]}"


@click.command()
@click.option("--sae", "sae_id", default="resid-l16", show_default=True, help="A demo SAE's id.")
@click.option("--tokens", default="64k", show_default=True, help="For a few latents.")
@click.option("--tokens-all", default="16k", show_default=True, help="For all latents.")
@click.option("--latents", "few", default=64, show_default=True)
@click.option("--curve", default="", help="Instead: these numbers of latents, at --tokens.")
@click.option("--json", "into", type=click.Path(dir_okay=False, path_type=Path))
def main(
    sae_id: str, tokens: str, tokens_all: str, few: int, curve: str, into: Path | None
) -> None:
    """Print a Markdown table of both sides, and how their numbers agree."""
    from saereport.sources.demo import demo_model_dir, demo_saes

    sae = demo_saes()[sae_id]
    d_sae = json.loads((sae / "cfg.json").read_text())["d_sae"]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    python = environment(cache / "saereport")
    cases: list[tuple[int | None, int]] = [
        (few, read_count(tokens)),
        (None, read_count(tokens_all)),
    ]
    if curve:
        counts = [int(count) for count in curve.split(",")]
        cases = [(n if n < d_sae else None, read_count(tokens)) for n in counts]
    text = demo_tokens(str(sae), max(size for _, size in cases))
    records = []
    click.echo(HEADER)
    for n, size in cases:
        with tempfile.TemporaryDirectory() as folder:
            part = text[: size // text.shape[1]]
            work = Work(str(demo_model_dir()), str(sae), part, python, Path(folder))
            records.append(compared(work, n, d_sae))
        for line in rows(records[-1]):
            click.echo(line)
    for record in records:
        click.echo(f"\n{record['latents']:,} latents:\n")
        for line in told(record):
            click.echo(line)
    if into is not None:
        into.write_text(json.dumps({"sae": sae_id, "cases": records}, indent=1) + "\n")


if __name__ == "__main__":
    main()
