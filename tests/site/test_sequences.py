"""Which latents have an example in a sequence, against the run's own tables read row by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from saereport.run import open_run
from saereport.site import render
from saereport.site.packing import LIMIT, packed, unpack
from saereport.site.parts.text import _steps
from tests.synthetic import Shape, write_run
from tests.synthetic_examples import blind_extra


def in_pages(report: Path) -> dict[int, str]:
    """By sequence, the packed latents as the text files have them."""
    found = {}
    for path in sorted((report / "text").glob("t*.js")):
        text = path.read_text("utf-8")
        record = json.loads(text[text.index("push(") + 5 : text.rindex(");")])
        found |= {row[0]: row[2] for row in record["sequences"] if len(row) > 2}
    return found


def read_back(text: str) -> set[tuple[int, int]]:
    """(place of the SAE, latent) of one sequence."""
    numbers = iter(unpack(text))
    pairs = set()
    for place in numbers:
        latent = 0
        for _ in range(next(numbers)):
            step = next(numbers)
            while step == LIMIT - 1:
                latent += step
                step = next(numbers)
            latent += step
            assert (place, latent) not in pairs
            pairs.add((place, latent))
    return pairs


def by_hand(run: Path, hidden: set[tuple[str, int]]) -> dict[int, set[tuple[int, int]]]:
    found: dict[int, set[tuple[int, int]]] = {}
    opened = open_run(run)
    for place, sae in enumerate(opened.info.saes):
        for row in opened.table("examples", sae.slug).to_pylist():
            if (sae.slug, row["latent"]) not in hidden:
                found.setdefault(row["sequence"], set()).add((place, row["latent"]))
    return found


def test_each_sequence_names_the_latents_with_an_example_in_it(
    hostile_report: Path, hostile_run: Path
) -> None:
    found = {sequence: read_back(text) for sequence, text in in_pages(hostile_report).items()}
    assert found == by_hand(hostile_run, set())
    assert max(len({place for place, _ in pairs}) for pairs in found.values()) == 3


def test_latents_that_are_met_blind_are_not_named(tmp_path: Path) -> None:
    shape = Shape(d_sae=64, n_chosen=14, n_sequences=60, n_vocabulary=900, n_saes=3)
    hidden: set[tuple[str, int]] = set()

    def choose(shown: dict[str, Any]) -> list[tuple[str, int, bool]]:
        slugs = sorted(shown)
        rows = [
            (slugs[0], int(shown[slugs[0]][3]), True),
            (slugs[1], int(shown[slugs[1]][5]), False),
        ]
        hidden.update((slug, latent) for slug, latent, _ in rows)
        return rows

    write_run(tmp_path / "run", shape, blind_extra(choose))
    render(tmp_path / "run", tmp_path / "out")
    found = {sequence: read_back(text) for sequence, text in in_pages(tmp_path / "out").items()}
    assert len(hidden) == 2
    assert by_hand(tmp_path / "run", set()) != by_hand(tmp_path / "run", hidden)
    assert found == by_hand(tmp_path / "run", hidden)


@given(st.sets(st.integers(0, 4 * LIMIT), max_size=30))
def test_any_latents_can_be_written(latents: set[int]) -> None:
    text = packed([2, len(latents), *_steps(sorted(latents))])
    assert read_back(text) == {(2, latent) for latent in latents}
