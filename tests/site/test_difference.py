"""The page of a comparison: what it says, what it never does, and that it is always the same."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest
from bs4 import BeautifulSoup

from saereport.diff import Options, compare
from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, judge
from saereport.diff.measured import measured
from saereport.run import TABLES, Run, RunWriter, open_run
from saereport.site.difference import difference_page
from saereport.site.difference.overlay import edge, overlay
from saereport.site.difference.stories import Stories
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts

SHAPE = Shape(d_sae=64, n_chosen=12, n_sequences=80, n_vocabulary=900, n_saes=2)


def made(folder: Path, shape: Shape = SHAPE, *extras: Any) -> Run:
    write_run(folder, shape, *extras)
    return open_run(folder)


def altered(run: Run, target: Path, *, slug: str, latent: int, like: int, gone: int = -1) -> Run:
    """The run with one latent's text statistics taken from another, and one latent left out."""
    statistics = ("activity", "activation_histogram", "examples", "token_statistics")
    with RunWriter(target) as writer:
        for name in run.names():
            writer.write(name, _columns(run.table(name)))
        for sae in run.info.saes:
            for name in run.names(sae.slug):
                table = run.table(name, sae.slug)
                rows = table.to_pylist()
                if sae.slug == slug and name != "sae_activity" and "latent" in TABLES[name].key:
                    rows = [row for row in rows if row["latent"] != gone]
                    if name in statistics:
                        new = [{**row, "latent": latent} for row in rows if row["latent"] == like]
                        rows = [row for row in rows if row["latent"] != latent] + new
                    rows.sort(key=lambda row: [row[key] for key in TABLES[name].key])
                columns = {key: [row[key] for row in rows] for key in table.column_names}
                writer.write(name, columns, slug=sae.slug)
        writer.finish(run.info.model_copy(update={"fingerprint": "0" * 64, "title": "Altered"}))
    return open_run(target)


def _columns(table: Any) -> dict[str, Any]:
    return {name: table.column(name) for name in table.column_names}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run, str, int, int]:
    folder = tmp_path_factory.mktemp("difference")
    before = made(folder / "before")
    slug = before.info.saes[0].slug
    shown = before.table("activity", slug)["latent"].to_pylist()
    after = altered(
        before, folder / "after", slug=slug, latent=shown[5], like=shown[8], gone=shown[3]
    )
    return before, after, slug, shown[5], shown[3]


def page(before: Run, after: Run, *gates: str) -> BeautifulSoup:
    difference = compare(before, after, names=("old", "new"))
    outcomes = judge([Gate(parse(text)) for text in gates], difference, measured(after))
    return BeautifulSoup(difference_page(difference, before, after, outcomes), "html.parser")


def test_a_changed_and_a_removed_latent_are_shown(both: tuple[Run, Run, str, int, int]) -> None:
    before, after, slug, changed, gone = both
    soup = page(before, after, "latents.removed > 0")
    cards = soup.select(".d-card")
    assert [card.h4.get_text() for card in cards] == [f"{slug}/{changed}"]
    told = [Stories(run).of(slug, [changed])[changed].story for run in (before, after)]
    facts = {
        row.th.get_text(): [cell.get_text() for cell in row.select("td")]
        for row in cards[0].select(".d-facts tbody tr")
    }
    for name in ("Density", "Maximum"):
        expected = [next(f.value for f in story.facts if f.name == name) for story in told]
        assert facts[name] == expected
    active = next(row for row in cards[0].select(".d-lines tr") if row.th.get_text() == "active on")
    removed = {node.get_text() for node in active.select("del")}
    new = {node.get_text() for node in active.select("ins")}
    old_tokens = set(told[0].reads[0].tokens)
    assert removed & old_tokens
    assert not new & removed
    examples = [q.get_text() for q in cards[0].select(".d-examples q")]
    for story in told:
        assert "".join(text for _, text in story.snippets[0].pieces) in examples
    assert str(gone) in soup.select_one(".d-briefs li b").get_text()
    gate = soup.select_one(".d-gates tbody tr")
    assert gate.th.get_text() == "failed"
    assert slug in gate.get_text()


def test_a_report_and_itself_show_no_change(both: tuple[Run, Run, str, int, int]) -> None:
    soup = page(both[0], both[0])
    assert soup.h1.get_text() == "The two reports are the same."
    assert not soup.select(".d-card, .changed, ins, del")
    assert len(soup.select(".d-quiet")) == 2


def test_the_policy_names_every_script_and_style_and_nothing_else_acts(
    both: tuple[Run, Run, str, int, int],
) -> None:
    soup = page(both[0], both[1])
    policy = soup.meta["content"]
    assert soup.head.find(True) is soup.meta
    for element in soup.select("style, script"):
        digest = hashlib.sha256(element.string.encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert "unsafe" not in policy
    for node in soup.find_all(True):
        assert not any(name.startswith("on") or name in ("src", "style") for name in node.attrs)
        assert not re.match(r"(?!#|data:,$)", node.get("href", "#"))


def test_it_is_valid_html_and_always_the_same(both: tuple[Run, Run, str, int, int]) -> None:
    before, after = both[:2]
    difference = compare(before, after)
    html = difference_page(difference, before, after)
    assert html == difference_page(compare(before, after), before, after)
    parser = html5lib.HTMLParser()
    parser.parse(html)
    assert parser.errors == []
    ids = re.findall(r' id="([^"]*)"', html)
    assert len(set(ids)) == len(ids)


def test_hostile_names_tokens_and_labels_stay_text(tmp_path: Path) -> None:
    evil = '"><script>self.stolen=1</script><img src=x onerror=self.stolen=1>'
    shape = Shape(
        d_sae=64, n_chosen=12, n_sequences=80, n_vocabulary=900, hostile=True, explanations=(evil,)
    )
    before = made(tmp_path / "before", shape, prompts)
    slug = before.info.saes[0].slug
    shown = before.table("activity", slug)["latent"].to_pylist()
    after = altered(before, tmp_path / "after", slug=slug, latent=shown[5], like=shown[8])
    difference = compare(before, after, names=(evil, evil))
    html = difference_page(difference, before, after)
    soup = BeautifulSoup(html, "html.parser")
    assert len(soup.select("script")) == 2
    assert not soup.select("img")
    assert evil in soup.select_one(".d-sides").get_text()
    assert soup.select(".d-card")


def test_other_weights_are_paired_and_both_numbers_are_named(tmp_path: Path) -> None:
    before = made(tmp_path / "before")
    after = made(tmp_path / "after", Shape(**{**SHAPE.__dict__, "seed": 1}))
    difference = compare(before, after, options=Options(match="decoder_cosine"))
    soup = BeautifulSoup(difference_page(difference, before, after), "html.parser")
    assert "paired by decoder direction" in soup.get_text()
    pairs = [change for sae in difference.saes for change in sae.changed]
    shown = {card.h4.get_text() for card in soup.select(".d-card")}
    for change in pairs[:3]:
        if change.before != change.after:
            named = f"{change.before} -> {change.after} (cosine {change.similarity:.2f})"
            assert any(named in name for name in shown)


def test_histograms_lie_over_each_other_by_their_bins() -> None:
    drawn = overlay((0, (1, 1)), (4, (4,)))
    assert drawn is not None
    assert (drawn.low, drawn.high) == ("1", "2.5")
    assert drawn.before.startswith("M0 56V30.0H48.0V30.0H96.0V56.0")
    assert drawn.after.startswith("M0 56V56.0H48.0")
    assert drawn.after.endswith("V4.0H240.0V56")
    assert overlay((0, ()), (0, (0,))) is None


def test_edges_of_bins_split_octaves_into_four() -> None:
    numbers = np.array([edge(n) for n in range(-8, 9)])
    assert numbers[8] == 1.0
    assert numbers[12] == 2.0
    assert np.allclose(np.diff(numbers[8:13]), 0.25)
    assert np.allclose(numbers[:4] * 4, numbers[8:12])
