"""The page of steering: what it says without scripts, and that what stands in it stays text."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from saereport.publish import check
from saereport.report.extracting import extract
from saereport.run import TABLES, open_run
from saereport.site import render
from saereport.site.parts.steering import PAGE
from tests.synthetic import Shape, write_run
from tests.synthetic_steering import steering

SHAPE = Shape(d_sae=64, n_chosen=8, n_sequences=40, n_vocabulary=400, hostile=True, n_saes=2)


def steered_run(folder: Path, **options: Any) -> Path:
    """A run whose first SAE has two steered latents, two prompts, four strengths, two samples."""
    write_run(folder / "plain", SHAPE)

    def asked(writer: Any, shape: Shape, shown: dict[str, Any]) -> None:
        steering(writer, shape, shown, **options)

    write_run(folder / "run", SHAPE, asked)
    return folder / "run"


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
    assert "visible from ×2 more texts hold the concept" in text
    assert "broken from ×8 perplexity has doubled" in text
    assert "visible from no strength of those up to ×8" in text
    assert "strength 1 3.5 the latent" in text
    assert "7 without steering" in text
    row = "unsteered 4 12 7 1 25 % 5 to 70 – 0.5 2 50 %"
    assert row in text
    assert "×2 4 12 13 4 100 % 51 to 100 75 % 5 to 95 1.5 4 100 %" in text
    assert "without steering, 1.00×10³⁰ at strength 8. Above 14 the text is broken." in text
    assert "The window: from ×2 to below ×8." in text
    assert "so there is no window." in text
    assert "additive all" in text
    assert "additive 5 to 19" in text
    assert "−1" in text
    assert text.count("Every text: I think that") == 4


def test_a_sentence_says_how_often_the_concept_appears(page: Callable[..., str]) -> None:
    text = said(page())
    assert (
        "At ×2, 4 of 4 texts (100 %; 95 % interval 51 % to 100 %) hold one of the words “oh”, "
        "“&lt;script&gt;alert(1)&lt;/script&gt;&lt;U+202E&gt;{plain}”; without steering 1 of 4 "
        "texts (25 %; 95 % interval 5 % to 70 %). That is 75 percentage points more (95 % interval "
        "5 to 95), at ×1.86 the perplexity. It steers: the interval lies above zero. Fewer than 20 "
        "texts show little."
    ) in text
    assert "Without steering 1 of 4 texts" in text
    assert "one of its top tokens" in text


def test_fewer_texts_than_without_are_not_called_more(page: Callable[..., str]) -> None:
    text = said(page(difference=(0.0, 0.0, -0.25, 0.0)))
    assert "That is a change of −25 percentage points (95 % interval" in text
    assert "Every positive strength that was tried breaks the text." in text


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
    text = said(page(visible=0.0, top=(), words=False))
    assert "No words are looked for: there is no logit lens here." in text
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


def test_directions_have_panels_of_their_own(page: Callable[..., str]) -> None:
    text = said(page())
    assert "weighted sum of latents blocks.3.hook_resid_post, blocks.4.hook_resid_post" in text
    assert "difference of means &lt;script&gt;" in text
    assert re.search(r"Latents of the sum latent weight .*\.\d+ 1 .*\.\d+ −0.5", text)
    assert "each latent&#39;s maximum on the text, times its weight" in text
    assert "On 12 tokens of the text the projection has mean 0.5" in text
    assert "Where the projection is largest 1 sequence" in text
    assert re.search(r"Nearest latents by cosine, either way .*\.\d+ 0.75 .*\.\d+ −0.5", text)
    assert "mean projection" in text
    assert "Logit lens most raised, then most lowered" in text


def test_parts_of_a_report_link_to_what_their_methods_page_has(tmp_path: Path) -> None:
    """A part may have directions and no steered latent, or neither."""
    run = open_run(steered_run(tmp_path))
    first, other = (sae.slug for sae in run.info.saes)
    windows = [row["latent"] for row in run.table("steering_windows", first).to_pylist()]
    rest = next(latent for latent in run.latents(first) if latent not in windows)
    render(run.path, tmp_path / "whole")
    for name, asked in (("other", f"{other}:all"), ("rest", f"{first}:{rest}")):
        extract(tmp_path / "whole", tmp_path / name, latents=[asked])
        assert check(tmp_path / name) == ()
        assert (tmp_path / name / PAGE).is_file()
    # Without directions there is no page that would say nothing.
    write_run(tmp_path / "plain-2", SHAPE, partial(steering, directions=False))
    render(tmp_path / "plain-2", tmp_path / "no-directions")
    assert (tmp_path / "no-directions" / PAGE).is_file()
    extract(tmp_path / "no-directions", tmp_path / "none", latents=[f"{other}:all"])
    assert check(tmp_path / "none") == ()
    assert not (tmp_path / "none" / PAGE).exists()
