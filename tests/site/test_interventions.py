"""Latents ablated and clamped, on the page of a prompt and of a latent."""

from __future__ import annotations

from pathlib import Path

import pytest

from saereport.run import Run, open_run
from saereport.site import numbers
from saereport.site.interventions import signed
from tests.site.reading import cells, soup
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts
from tests.synthetic_interventions import interventions

SHAPE = Shape(d_sae=32, n_chosen=6, n_sequences=20, n_vocabulary=700, n_saes=2, hostile=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("interventions")
    write_run(folder / "run", SHAPE, prompts, interventions)
    return open_run(folder / "run")


def test_a_prompts_page_has_every_latent_the_largest_change_first(run: Run, report: Path) -> None:
    rows = run.table("prompt_interventions").to_pylist()
    whole = [row for row in rows if row["position"] < 0]
    page = soup(report / "circuits" / "prompt-0.html")
    table = page.select("#interventions table")[-1]
    head, *lines = cells(table)
    assert head[1:] == ["activation", "ablated", "at ×2"]
    found = {}
    for row in whole:
        found.setdefault((row["sae"], row["latent"]), {})[row["multiple"]] = row
    order = sorted(
        found, key=lambda key: -max(abs(r["difference_change"]) for r in found[key].values())
    )
    assert len(lines) == len(order)
    for line, (_, latent) in zip(lines, order, strict=True):
        assert line[0].split()[0].endswith(f".{latent}") or f".{latent}" in line[0]
    for line, key in zip(lines, order, strict=True):
        for text, multiple in zip(line[2:], (0.0, 2.0), strict=True):
            row = found[key][multiple]
            assert text.startswith(signed(row["difference_change"]))
            assert numbers.percent(row["probability"]) in text
    drawn = page.select_one("#interventions").get_text(" ", strip=True)  # type: ignore[union-attr]
    assert "ablated or clamped by itself" in drawn
    assert not soup(report / "circuits" / "prompt-1.html").select("#interventions")


def test_a_latents_page_leads_to_the_prompts(run: Run, report: Path) -> None:
    slug = run.info.saes[0].slug
    rows = run.table("prompt_interventions").to_pylist()
    latent = next(row["latent"] for row in rows if row["sae"] == slug)
    data = (report / slug / "d0000.js").read_text("utf-8")
    line = data[data.index(f'"latent":{latent},') :]
    panel = line[line.index('["intervened"') :][:600]
    assert "circuits/prompt-0.html" in panel
    assert "at ×2" in panel


def test_changes_are_signed() -> None:
    assert [signed(x) for x in (0.0, -0.001, 1.254, -3.0)] == ["0.00", "0.00", "+1.25", "−3.00"]
