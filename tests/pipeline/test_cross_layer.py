"""A run over the layers of a cross-layer transcoder, from its files to pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.config.build import make_config
from saereport.pipeline import build, loading
from saereport.pipeline.preflight import check_everything
from saereport.report.rendering import render
from saereport.run import Run, open_run
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress
from tests.factories import save_clt, tiny_model


@pytest.fixture(autouse=True, scope="module")
def _tiny() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_model", lambda name, **_: tiny_model())
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cross")
    rng = np.random.default_rng(0)
    with (folder / "text.jsonl").open("w") as stream:
        for _ in range(40):
            words = " ".join(f"w{n}" for n in (rng.zipf(1.3, 40) % 98) + 2)
            stream.write(json.dumps({"text": words}) + "\n")
    save_clt(folder / "clt")
    return folder


def collected(inputs: Path, out: Path, *layers: int) -> Run:
    config: dict[str, Any] = {
        "saes": [{"path": inputs / "clt", "sae_id": f"layer_{layer}"} for layer in layers],
        "dataset": str(inputs / "text.jsonl"),
        "model": "tiny",
        "latents": "0-5",
        "tokens": 1000,
        "context_size": 32,
        "batch_size": 8,
        "device": "cpu",
        "evaluate": 100,
        "examples": {"top": 5, "before": 4, "after": 2, "intervals": 3, "per_group": 2},
        "prompts": [{"text": "w5 w6 w7 w8 w9", "graph": True}],
    }
    build.collect(config, out, progress=Progress(quiet=True))
    return open_run(out)


@pytest.fixture(scope="module")
def whole(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return collected(inputs, tmp_path_factory.mktemp("whole") / "run", 0, 1, 2)


@pytest.fixture(scope="module")
def part(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return collected(inputs, tmp_path_factory.mktemp("part") / "run", 0, 2)


def test_the_run_says_where_each_layer_writes(whole: Run) -> None:
    first, _, last = whole.info.saes
    assert (first.hook_out, first.also_writes) == (
        "blocks.0.hook_mlp_out",
        ("blocks.1.hook_mlp_out", "blocks.2.hook_mlp_out"),
    )
    assert (last.hook_out, last.also_writes) == ("blocks.2.hook_mlp_out", ())
    assert first.slug == "clt-layer_0"


def test_tables_of_each_layer(whole: Run) -> None:
    for sae in whole.info.saes:
        for table in ("logit_lens", "deembedding", "geometry", "neighbours", "examples"):
            assert whole.has(table, sae.slug), (table, sae.slug, sae.left_out)
        assert "sum over all its layers" in sae.left_out["sae_metrics"]
    assert len(whole.table("write_layers", "clt-layer_0")) == 6 * 3
    assert whole.has("pullbacks", "clt-layer_2")


def test_everything_on_a_prompt(whole: Run) -> None:
    slugs = [sae.slug for sae in whole.info.saes]
    maps = {(row["early"], row["late"]) for row in whole.table("gradient_maps").to_pylist()}
    assert maps == {
        *(("", slug) for slug in slugs),
        *((slug, "") for slug in slugs),
        *((a, b) for a in slugs for b in slugs if a < b),
    }
    (graph,) = whole.table("graphs").to_pylist()
    assert graph["saes"] == slugs
    assert whole.has("influences")
    notes = {row["topic"]: row["text"] for row in whole.table("prompt_notes").to_pylist()}
    assert set(notes) == {"cross-layer transcoder spliced in"}
    assert {row["splice"] for row in whole.table("prompt_next").to_pylist()} == {""}


def test_some_layers_have_no_graph_and_say_what_is_needed(part: Run) -> None:
    assert not part.has("graphs")
    notes = {row["topic"]: row["text"] for row in part.table("prompt_notes").to_pylist()}
    assert "has 3 layers, all of which are needed" in notes["graph"]
    assert "the report lacks 1" in notes["graph"]
    # What needs no reconstruction is there.
    maps = {(row["early"], row["late"]) for row in part.table("gradient_maps").to_pylist()}
    assert ("clt-layer_0", "clt-layer_2") in maps
    assert ("clt-layer_0", "") in maps


def test_checked_gradients_are_of_the_same_order_as_predicted(whole: Run) -> None:
    """Gradients and interventions are of one definition: most pairs are close to linear."""
    rows = whole.table("gradient_checks").to_pylist()
    assert {row["early"] for row in rows} == {sae.slug for sae in whole.info.saes}
    same = [np.sign(row["predicted"]) == np.sign(row["measured"]) for row in rows]
    assert np.mean(same) > 0.9


def test_pages_show_the_writes_by_layer(whole: Run, tmp_path: Path) -> None:
    render(whole.path, tmp_path / "site")
    page = (tmp_path / "site" / "clt-layer_0" / "index.html").read_text().replace("<wbr>", "")
    assert "blocks.0.hook_mlp_out" in page
    assert "and to 2 later MLPs" in page
    files = [file for end in ("js", "html") for file in (tmp_path / "site").rglob(f"*.{end}")]
    texts = "".join(file.read_text() for file in files)
    assert "Writes by layer" in texts
    (exported,) = (tmp_path / "site" / "circuits").glob("*-graph.json")
    nodes = json.loads(exported.read_text())["nodes"]
    latents = [node for node in nodes if node["feature_type"] == "cross layer transcoder"]
    assert {node["layer"] for node in latents} <= {"0", "1", "2"}
    assert len({node["node_id"] for node in nodes}) == len(nodes)
    assert "How much it writes to each layer" in texts


def test_the_door_asks_for_a_layer(inputs: Path) -> None:
    config = make_config({"saes": [{"path": inputs / "clt"}], "dataset": str(inputs)})
    with pytest.raises(SaereportError, match="one transcoder for each layer"):
        check_everything(config)
