"""What an SAE may be called: what is named can be written, read and rendered."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.circuits.prompts import prompt_slugs
from saereport.util.slugs import LONGEST, RESERVED, is_prompt_slug, is_slug, slug_of, unique_slugs

AWKWARD = {
    "con": "sae-con",
    "NUL": "sae-nul",
    "aux.txt": "sae-aux.txt",
    "com0.safetensors": "sae-com0.safetensors",
    "run": "sae-run",
    "Text": "sae-text",
    "circuits": "sae-circuits",
    "assets": "sae-assets",
    "index.html": "index-html",
    "report.JSON": "report-json",
    "vocabulary.js": "vocabulary-js",
    "слой": "sae",
    "..": "sae",
    "resid-l10": "resid-l10",
}


@pytest.mark.parametrize("text", AWKWARD)
def test_names_that_mean_something_elsewhere(text: str) -> None:
    assert slug_of(text) == AWKWARD[text]
    assert is_slug(slug_of(text))


@given(st.lists(st.text(max_size=40) | st.sampled_from([*AWKWARD, "a" * 130, "a" * 119 + ".."])))
def test_whatever_the_folders_are_called(texts: list[str]) -> None:
    slugs = unique_slugs(texts)
    assert len(set(slugs)) == len(texts)
    assert all(map(is_slug, slugs))


def test_long_names_stay_apart() -> None:
    one, other = slug_of("a" * 150 + "1"), slug_of("a" * 150 + "2")
    assert one != other
    assert max(len(one), len(other)) <= LONGEST
    assert len(unique_slugs(["b" * 130] * 11)[-1]) <= LONGEST


@given(
    st.lists(st.text(max_size=30) | st.sampled_from(["The photograph", "graph", "index", "con"]))
)
def test_prompts_are_called_what_the_reader_takes(names: list[str]) -> None:
    assert all(map(is_prompt_slug, prompt_slugs(names)))


def test_what_is_named_can_be_rendered(tmp_path: Path) -> None:
    """Every awkward name goes the whole way: written, read, rendered and checked."""
    from saereport.publish import check
    from saereport.site import render
    from tests.synthetic import Shape, write_run
    from tests.synthetic_circuits import prompts

    texts = ["aux.txt", "x.html", "L" * 130, *sorted(RESERVED)]
    slugs = unique_slugs(texts)
    shape = Shape(
        d_sae=32, n_chosen=8, n_sequences=6, n_vocabulary=120, n_saes=len(slugs), slugs=tuple(slugs)
    )
    write_run(tmp_path / "run", shape, prompts)
    render(tmp_path / "run", tmp_path / "report")
    assert not [found for found in check(tmp_path / "report") if found.severity == "error"]
