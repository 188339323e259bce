"""Links to Neuronpedia, made from the id that an SAE's metadata gives; nothing is ever fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

HOST = "https://www.neuronpedia.org"
LIST_LIMIT = 150
EMBED = "?embed=true&embedexplanation=true&embedplots=true&embedtest=true"


def split_id(neuronpedia_id: str) -> tuple[str, str] | None:
    """Model and source of an id such as `gpt2-small/8-res-jb`, or None where it names no page."""
    model, slash, source = neuronpedia_id.strip().partition("/")
    return (model, source) if slash and model and source and "/" not in source else None


def base_url(neuronpedia_id: str) -> str:
    """The URL to which `/{index}` is added, or an empty string where there is no page."""
    parts = split_id(neuronpedia_id)
    return f"{HOST}/{quote(parts[0], safe='')}/{quote(parts[1], safe='')}" if parts else ""


def quick_lists(name: str, neuronpedia_id: str, latents: Sequence[int]) -> list[tuple[str, str]]:
    """Quick lists that show the latents side by side, at most 150 a list.

    Args:
        name: Title of the list.
        neuronpedia_id: `{model}/{source}`.
        latents: Indices, in the order to show.

    Returns:
        Pairs of a caption and a URL; empty where the id names no page.
    """
    parts = split_id(neuronpedia_id)
    if parts is None:
        return []
    model, source = parts
    result = []
    for start in range(0, len(latents), LIST_LIMIT):
        some = latents[start : start + LIST_LIMIT]
        features = [{"modelId": model, "layer": source, "index": str(i)} for i in some]
        packed = json.dumps(features, separators=(",", ":"))
        url = f"{HOST}/quick-list/?name={quote(name, safe='')}&features={quote(packed, safe='')}"
        result.append((f"{some[0]} to {some[-1]}" if len(some) > 1 else str(some[0]), url))
    return result
