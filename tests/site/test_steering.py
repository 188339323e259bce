"""The page of steering: what it says without scripts, and that what stands in it stays text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.run import TABLES, open_run
from saereport.run.writing import RunWriter
from saereport.site import render
from saereport.site.parts.steering import PAGE
from tests.synthetic import Shape, write_run

STRENGTHS = (-1.0, 0.0, 2.0, 8.0)
SHAPE = Shape(d_sae=64, n_chosen=8, n_sequences=40, n_vocabulary=400, hostile=True, n_saes=2)
HOSTILE = "<script>alert(1)</script>\u202e{plain}"


def steered_run(folder: Path, *, visible: float = 2.0, top: tuple[int, ...] = (3, 7)) -> Path:
    """A run whose first SAE has two steered latents, two prompts, four strengths, two samples."""
    write_run(folder / "plain", SHAPE)
    run = open_run(folder / "plain")
    slug = run.info.saes[0].slug
    latents = list(run.latents(slug))[:2]
    known = run.table("vocabulary").column("token").to_pylist()
    with RunWriter(folder / "run") as writer:
        for sae in run.info.saes:
            for name in run.names(sae.slug):
                writer.write(name, _columns(run.table(name, sae.slug)), slug=sae.slug)
        for name in run.names():
            writer.write(name, _columns(run.table(name)))
        writer.write(
            "steering_prompts",
            {
                "prompt": [0, 1],
                "text": ["I think that", HOSTILE],
                "built_in": [True, False],
                "tokens": [known[:2], known[2:4]],
            },
        )
        writer.write("steering_windows", windows(latents, known, visible, top), slug=slug)
        writer.write("steering_strengths", strengths(latents), slug=slug)
        writer.write("steered_texts", texts(latents, known), slug=slug)
        writer.finish(run.info)
    return folder / "run"


def _columns(table: Any) -> dict[str, Any]:
    return {name: table.column(name) for name in table.column_names}


def windows(latents: list[int], known: list[int], visible: float, top: Any) -> dict[str, Any]:
    return {
        "latent": latents,
        "form": ["additive"] * 2,
        "max": np.array([3.5, 4.5], np.float32),
        "norm": [12.25, 1.5],
        "top_tokens": [[known[i] for i in top]] * 2,
        "visible_from": [visible, 0.0],
        "broken_from": [8.0, 0.0],
    }


def strengths(latents: list[int]) -> dict[str, Any]:
    n = len(latents) * len(STRENGTHS)
    return {
        "latent": np.repeat(latents, len(STRENGTHS)),
        "step": list(range(len(STRENGTHS))) * 2,
        "strength": list(STRENGTHS) * 2,
        "n_texts": [4] * n,
        "n_tokens": [12] * n,
        "perplexity": [9.0, 7.0, 13.0, 1e30] * 2,
        "n_with_top": [0, 1, 4, 4] * 2,
        "share_with_top": [0, 0.25, 1.0, 1.0] * 2,
        "activation": [0.0, 0.5, 1.5, 0.25] * 2,
        "n_active": [0, 2, 4, 1] * 2,
        "share_active": [0.0, 0.5, 1.0, 0.25] * 2,
    }


def texts(latents: list[int], known: list[int]) -> dict[str, Any]:
    keys = [
        (latent, prompt, step, sample)
        for latent in latents
        for prompt in range(2)
        for step in range(len(STRENGTHS))
        for sample in range(2)
    ]
    return {
        "latent": [key[0] for key in keys],
        "prompt": [key[1] for key in keys],
        "step": [key[2] for key in keys],
        "sample": [key[3] for key in keys],
        "strength": [STRENGTHS[key[2]] for key in keys],
        "tokens": [
            [known[(place + i) % len(known)] for i in range(3)] for place in range(len(keys))
        ],
        "perplexity": [float(2 ** key[2]) for key in keys],
        "mean_activation": [0.5 * key[2] for key in keys],
        "max_activation": [1.0 * key[2] for key in keys],
        "n_top_tokens": [key[2] for key in keys],
    }


@pytest.fixture
def page(tmp_path: Path) -> Callable[..., str]:
    def make(**options: Any) -> str:
        render(steered_run(tmp_path, **options), tmp_path / "report")
        return (tmp_path / "report" / PAGE).read_text(encoding="utf-8")

    return make


def said(html: str) -> str:
    """The text of a page, without its elements."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_it_tells_the_window_and_the_sweep_without_scripts(page: Callable[..., str]) -> None:
    text = said(page())
    assert "visible from ×2 more texts hold a top token" in text
    assert "broken from ×8 perplexity has doubled" in text
    assert "visible from no strength of those up to ×8" in text
    assert "strength 1 3.5 the latent" in text
    assert "7 without steering" in text
    row = "unsteered 4 12 7 1 25 % 0.5 2 50 %"
    assert row in text
    assert "×2 4 12 13 4 100 % 1.5 4 100 %" in text
    assert "−1" in text
    assert text.count("Every text: I think that") == 2


def test_what_the_model_wrote_and_what_was_asked_stays_text(page: Callable[..., str]) -> None:
    html = page()
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "\u202e" not in html
    # What stands in braces in a prompt is not filled in.
    assert "{plain}" in html


def test_the_navigation_leads_there_only_where_there_is_something(
    page: Callable[..., str], tmp_path: Path
) -> None:
    page()
    assert f'href="{PAGE}"' in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    methods = (tmp_path / "report" / "methods.html").read_text(encoding="utf-8")
    assert 'id="steering_windows"' in methods
    render(tmp_path / "plain", tmp_path / "other")
    assert PAGE not in (tmp_path / "other" / "index.html").read_text(encoding="utf-8")
    assert not (tmp_path / "other" / "steering").exists()


def test_a_latent_without_a_lens_says_so(page: Callable[..., str]) -> None:
    text = said(page(visible=0.0, top=()))
    assert "It has no logit lens here, so no top tokens are counted." in text


def test_a_cut_keeps_what_is_of_its_latents(tmp_path: Path) -> None:
    from saereport.run.subset import subset

    run = open_run(steered_run(tmp_path))
    slug = run.info.saes[0].slug
    first = next(iter(run.latents(slug)))
    cut = subset(run, tmp_path / "cut", latents={slug: [first]}, prompts=None, title=None)
    for name in ("steering_windows", "steering_strengths", "steered_texts"):
        assert set(cut.table(name, slug).column("latent").to_pylist()) == {first}
        assert TABLES[name].reveals_text
    assert cut.rows("steering_prompts") == 2
