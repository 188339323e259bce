from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from bs4 import BeautifulSoup

from saereport.site import render, sae_page
from saereport.site.neuronpedia import base_url, quick_lists, split_id
from tests.synthetic import Shape, write_run


def test_a_latent_has_its_page() -> None:
    assert base_url("gpt2-small/8-res-jb") == "https://www.neuronpedia.org/gpt2-small/8-res-jb"


@pytest.mark.parametrize("name", ["", "gpt2-small", "/8-res", "a/b/c", "  "])
def test_without_an_id_nothing_is_linked(name: str) -> None:
    assert split_id(name) is None
    assert base_url(name) == ""
    assert quick_lists("x", name, [1, 2]) == []


def test_a_hostile_id_stays_on_the_host() -> None:
    url = base_url("a@evil.example/..?x=#y")
    assert urlsplit(url).netloc == "www.neuronpedia.org"
    assert not urlsplit(url).query


def test_quick_lists_hold_at_most_150() -> None:
    lists = quick_lists("L8 & more", "gpt2-small/8-res-jb", list(range(301)))
    assert [caption for caption, _ in lists] == ["0 to 149", "150 to 299", "300"]
    query = parse_qs(urlsplit(lists[1][1]).query)
    assert query["name"] == ["L8 & more"]
    features = json.loads(query["features"][0])
    assert len(features) == 150
    assert features[0] == {"modelId": "gpt2-small", "layer": "8-res-jb", "index": "150"}


def test_a_wide_sae_has_a_few_lists_and_says_how_many_latents_are_in_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sae_page, "MOST_LISTED", 5)
    write_run(tmp_path / "run", Shape(n_chosen=12, n_sequences=20, n_vocabulary=400))
    render(tmp_path / "run", tmp_path / "out")
    soup = BeautifulSoup((tmp_path / "out" / "index.html").read_text("utf-8"), "html.parser")
    (link,) = (str(a["href"]) for a in soup.select("a") if "quick-list" in str(a["href"]))
    assert len(json.loads(parse_qs(urlsplit(link).query)["features"][0])) == 5
    assert "The other 7 are in none" in soup.text
