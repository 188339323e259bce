"""Files of both formats with made-up content, and what a run says in comparable form."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from saereport.run import Run

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NAME = st.text(st.sampled_from("abcxyz-09"), min_size=1, max_size=12)


def numbers(low: float = -1e3, high: float = 1e3) -> st.SearchStrategy[float]:
    """Numbers as SAEDashboard writes them, with three decimals, exact in single precision."""
    thousandths = st.integers(int(low * 8), int(high * 8))
    return thousandths.map(lambda n: n / 8)


@st.composite
def activations(draw: st.DrawFn, bins: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    n = draw(st.integers(1, 6))
    values = [draw(st.one_of(st.just(0.0), numbers(0, 100))) for _ in range(n)]
    place = draw(st.integers(0, n - 1))
    values[place] = draw(numbers(1, 100))
    low, high, contains = draw(st.sampled_from(bins))
    return {
        "bin_min": low,
        "bin_max": high,
        "bin_contains": contains,
        "tokens": [draw(TEXT) for _ in range(n)],
        "values": values,
        "qualifying_token_index": place,
    }


@st.composite
def histograms(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    n = draw(st.integers(0, 5))
    start, step = draw(numbers(-4, 4)), draw(st.sampled_from([0.125, 0.5, 1.0]))
    return [start + step * i for i in range(n)], draw(
        st.lists(st.integers(0, 10**6), min_size=n, max_size=n)
    )


@st.composite
def features(draw: st.DrawFn, index: int) -> dict[str, Any]:
    maximum = draw(numbers(1, 200))
    bins = [(-1.0, maximum, -1.0), (0.0, 1.5, 0.9), (1.5, 3.0, 0.05)]
    top, bottom = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    values, heights = draw(histograms())
    logit_values, logit_heights = draw(histograms())
    if not any(heights):
        values, heights = [], []
    # The largest activation stands in the bin of the strongest examples.
    strongest = {**draw(activations(bins[:1]))}
    return {
        "feature_index": index,
        "neg_str": [draw(TEXT) for _ in range(bottom)],
        "neg_values": [draw(numbers()) for _ in range(bottom)],
        "pos_str": [draw(TEXT) for _ in range(top)],
        "pos_values": [draw(numbers()) for _ in range(top)],
        "frac_nonzero": draw(st.floats(0.001, 1)) if heights else 0.0,
        "freq_hist_data_bar_values": values,
        "freq_hist_data_bar_heights": heights,
        "logits_hist_data_bar_heights": logit_heights,
        "logits_hist_data_bar_values": logit_values,
        "n_prompts_total": 40,
        "n_tokens_in_prompt": 24,
        "dataset": "made/up",
        "decoder_weights_dist": draw(st.lists(st.sampled_from([0.0, 0.25, 0.5]), max_size=3)),
        "activations": [strongest, *draw(st.lists(activations(bins), max_size=4))],
        "vector": [],
    }


@st.composite
def batches(draw: st.DrawFn) -> dict[str, Any]:
    indices = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=4, unique=True))
    return {
        "model_id": draw(NAME),
        "layer": draw(st.integers(0, 60)),
        "sae_set": draw(NAME),
        "sae_id_suffix": draw(st.one_of(st.none(), NAME)),
        "features": [draw(features(index)) for index in indices],
    }


def rows_of(batch: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The same content as Neuronpedia's rows, converted here independently."""
    suffix = batch["sae_id_suffix"]
    source = f"{batch['layer']}-{batch['sae_set']}" + (f"__{suffix}" if suffix else "")
    rows: dict[str, list[dict[str, Any]]] = {"features": [], "activations": [], "explanations": []}
    for feature in batch["features"]:
        index = feature["feature_index"]
        head = {"modelId": batch["model_id"], "layer": source, "index": str(index)}
        kept = {k: v for k, v in feature.items() if k not in ("feature_index", "activations")}
        near = {"topkCosSimIndices": [index, index + 1], "topkCosSimValues": [1.0, 0.5]}
        tops = [a["bin_max"] for a in feature["activations"] if a["bin_min"] == -1]
        rows["features"].append({**head, **kept, **near, "maxActApprox": tops[0]})
        for one in feature["activations"]:
            rows["activations"].append(
                {
                    **head,
                    "tokens": one["tokens"],
                    "values": one["values"],
                    "binMin": one["bin_min"],
                    "binMax": one["bin_max"],
                    "binContains": one["bin_contains"],
                    "qualifyingTokenIndex": one["qualifying_token_index"],
                    "maxValue": max(one["values"]),
                }
            )
        label = {"description": f"label {index}", "explanationModelName": "m", "typeName": "t"}
        rows["explanations"].append({**head, **label})
    return rows


def write_rows(folder: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    for name, some in rows.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in some)
        (folder / name / "batch-0.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def write_batch(folder: Path, batch: dict[str, Any], number: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"batch-{number}.json"
    path.write_text(json.dumps(batch))
    return path


def shown_examples(run: Run, slug: str) -> list[tuple[Any, ...]]:
    """Examples as texts with activations: what does not depend on how the run stores them."""
    words = {row["token"]: row["bytes"] for row in run.table("vocabulary").to_pylist()}
    texts = {row["sequence"]: row["tokens"] for row in run.table("sequences").to_pylist()}
    cut = int(run.info.text.prepend_bos)
    result = []
    for row in run.table("examples", slug).to_pylist():
        tokens = texts[row["sequence"]]
        values = np.zeros(len(tokens), np.float32)
        values[row["active_positions"]] = row["active_values"]
        kind = row["group"].partition(":")[0]
        if kind != "quantile":
            spoken = tuple(readable(words[token]) for token in tokens[cut:])
            place = row["position"] - cut
            result.append((row["latent"], row["group"], spoken, tuple(values[cut:]), place))
    return sorted(result)


def readable(data: bytes) -> str:
    """A token's text; bytes that are no text as codes."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = "".join(f"<0x{byte:02X}>" for byte in data[error.start : error.end])
        return readable(data[: error.start]) + bad + readable(data[error.end :])
