"""Metrics that others add: known to comparisons, gates, tolerances, checks and outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from saereport.cli import main as cli
from saereport.diff import (
    METRICS,
    Metric,
    compare,
    numeric,
    register_latent_metric,
    register_prompt_metric,
    register_sae_metric,
)
from saereport.diff import latents as of_latents
from saereport.diff import prompts as of_prompts
from saereport.diff import saes as of_saes
from saereport.run import Run, open_run
from tests.diff.rewriting import rewritten
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts

SHAPE = Shape(d_sae=32, n_chosen=6, n_sequences=20, n_vocabulary=300)
NORM = Metric("norm", "latent", "Norm", 0.1, "Norm of the read direction.", True, weight=1)
WIDTH = Metric("width", "sae", "Width", 0.5, "Latents of the SAE.", True)
LENGTH = Metric("length", "prompt", "Length", 0, "Tokens of the prompt.", True)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The three metrics, for the length of a test."""
    registries = (METRICS, of_latents.COMPARISONS, of_saes.VALUES, of_prompts.VALUES)
    before = [dict(one) for one in registries]
    register_latent_metric(NORM, numeric("geometry", "encoder_norm"))
    register_sae_metric(WIDTH, lambda run, slug: float(run.info.sae(slug).d_sae))
    register_prompt_metric(LENGTH, _length)
    yield
    for registry, kept in zip(registries, before, strict=True):
        registry.clear()
        registry.update(kept)  # type: ignore[arg-type]


def _length(run: Run, prompt: int) -> float:
    return float(len(run.table("prompts").to_pylist()[prompt]["tokens"]))


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Run, Run]:
    """Two runs, of which the second has one latent with a larger norm."""
    write_run(tmp_path / "before", SHAPE, prompts)
    before = open_run(tmp_path / "before")
    slug = before.info.saes[0].slug

    def longer(table: pa.Table) -> pa.Table:
        norms = table.column("encoder_norm").to_numpy().copy()
        norms[2] += 0.75
        at = table.column_names.index("encoder_norm")
        return table.set_column(at, "encoder_norm", pa.array(norms))

    rewritten(before, tmp_path / "after", {("geometry", slug): longer})
    return before, open_run(tmp_path / "after")


def test_a_comparison_has_them(sides: tuple[Run, Run]) -> None:
    found = compare(*sides)
    (sae,) = found.saes
    (change,) = sae.changed
    latents = sides[0].table("activity", sae.after).column("latent").to_pylist()
    assert change.after == latents[2]
    assert [(v.metric, round(v.size, 5)) for v in change.changed] == [("norm", 0.75)]
    values = {value.metric: value for value in sae.values}
    assert (values["width"].before, values["width"].changed) == (32, False)
    on_prompts = [{v.metric: v.size for v in prompt.values} for prompt in found.prompts]
    assert on_prompts
    assert all(one["length"] == 0 for one in on_prompts)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--fail-on", "norm.size > 0.5"], 3),
        (["--fail-on", "norm.size > 0.8"], 0),
        (["--tolerance", "norm=0.8", "--fail-on", "latents.changed > 0"], 0),
        (["--fail-on", "latents.changed > 0"], 3),
        (["--fail-on", "width < 33"], 3),
        (["--fail-on", "length > 1000"], 0),
    ],
)
def test_gates_and_tolerances_know_them(
    sides: tuple[Run, Run], arguments: list[str], code: int
) -> None:
    paths = [str(run.path) for run in sides]
    assert cli.run(["--quiet", "diff", *paths, *arguments]) == code


def test_a_check_and_the_outputs_know_them(
    sides: tuple[Run, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = (str(run.path) for run in sides)
    assert cli.run(["check", before, "--fail-on", "norm > 1000", "--fail-on", "width > 31"]) == 3
    assert "width" in capsys.readouterr().err
    files = {kind: tmp_path / kind for kind in ("json", "html", "markdown")}
    options = [f"--{kind}={path}" for kind, path in files.items()]
    assert cli.run(["--quiet", "diff", before, after, *options]) == 0
    changed = json.loads(files["json"].read_text())["saes"][0]["changed"]
    assert [v["metric"] for v in changed[0]["values"] if v["changed"]] == ["norm"]
    assert "Norm" in files["html"].read_text()
    assert "Norm" in files["markdown"].read_text()


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two metrics 'norm'"):
        register_latent_metric(NORM, numeric("geometry", "encoder_norm"))
    with pytest.raises(ValueError, match="not a metric of latents"):
        register_latent_metric(WIDTH, numeric("geometry", "encoder_norm"))
    with pytest.raises(ValueError, match="not a metric of one SAE"):
        register_sae_metric(NORM, lambda run, slug: 0.0)
    with pytest.raises(ValueError, match="not a metric of one prompt"):
        register_prompt_metric(NORM, lambda run, prompt: 0.0)
