from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from saereport.site.neuronpedia import base_url, quick_lists, split_id


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
