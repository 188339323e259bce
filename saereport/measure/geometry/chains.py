"""Latents followed through the layers: dictionaries in the order in which they write, by matches.

A link leads from a latent to its match in a later dictionary, where each is the other's best match.
Where a latent has several, the nearest dictionary counts, seen from both ends; so no latent is in
two chains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Node = tuple[int, int]
"""The place of a dictionary in the order of writing, and a latent of it."""
Match = tuple[int, int, float]
"""A latent of the earlier dictionary, its match in the later one, and their cosine."""


@dataclass(frozen=True)
class Chain:
    """Latents that follow each other.

    Attributes:
        nodes: They, two at least, in the order of writing.
        cosines: Of each but the first with the one before.
    """

    nodes: tuple[Node, ...]
    cosines: tuple[float, ...]

    @property
    def strength(self) -> tuple[int, float]:
        """By which chains are ordered: how many links, and the smallest of their cosines."""
        return (len(self.cosines), min(self.cosines))


def chains(matches: Mapping[tuple[int, int], Sequence[Match]]) -> list[Chain]:
    """Chains of mutual matches.

    Args:
        matches: By the places of two dictionaries, the earlier first, matches that are each
            other's best; a latent is in one of them at most.

    Returns:
        Those of the most links first, of equally many the one whose weakest link is strongest.
    """
    ahead: dict[Node, tuple[Node, float]] = {}
    back: dict[Node, Node] = {}
    for early, late in sorted(matches, key=lambda pair: (pair[1] - pair[0], pair)):
        for one, other, cosine in matches[early, late]:
            ahead.setdefault((early, one), ((late, other), cosine))
            back.setdefault((late, other), (early, one))
    links = {node: link for node, link in ahead.items() if back[link[0]] == node}
    inner = {link[0] for link in links.values()}
    found = []
    for node in links:
        if node in inner:
            continue
        nodes, cosines = [node], []
        while nodes[-1] in links:
            following, cosine = links[nodes[-1]]
            nodes.append(following)
            cosines.append(cosine)
        found.append(Chain(tuple(nodes), tuple(cosines)))
    return sorted(found, key=lambda c: (-len(c.cosines), -min(c.cosines), c.nodes))
