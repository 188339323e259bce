"""Families of published SAEs: releases in one format, of one line of models, at one place.

SAELens's directory lists thousands of SAEs; those of a family are read by one loader from the
same files and differ in layer, width and size of the model. `families.yaml` says which there are.
One SAE of each is read by the tests, through a stand-in hub with files in the release's own format
and a tiny model: what came of it is in `families.json`, which the tests write (`make families`),
and from which `docs/families.md` is made.

No torch in this module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

STEPS = ("loads", "statistics", "circuits", "graph", "link")
"""What can be had of an SAE, in the order in which it is asked for."""


@dataclass(frozen=True)
class Family:
    """Releases that are read in the same way.

    Attributes:
        slug: Its name for programs.
        name: Its name for readers.
        loader: SAELens's loader.
        of: A pattern for `{release} {id}` of its SAEs.
        release: The release that was tried.
        sae_id: The id in it.
        place: Where its SAEs read, `{}` for the layer; empty where their ids say it.
    """

    slug: str
    name: str
    loader: str
    of: str
    release: str
    sae_id: str
    place: str = ""


@dataclass(frozen=True)
class Outcome:
    """What could be had of a family's SAE.

    Attributes:
        had: For each of `STEPS` `yes`, `in part` or `no`; what loads may need `with --model`.
        link: Neuronpedia's id, or "".
        why: Why something is missing, a sentence for each step that has one.
    """

    had: Mapping[str, str]
    link: str
    why: Mapping[str, str]

    def reason_of(self, steps: Sequence[str] = STEPS) -> str:
        """What is missing and why: each reason once, behind the steps that it is of."""
        found: dict[str, list[str]] = {}
        for step in steps:
            if step in self.why:
                found.setdefault(self.why[step], []).append(step)
        return " ".join(f"{_and(named).capitalize()}: {why}" for why, named in found.items())


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


@lru_cache(maxsize=1)
def families() -> dict[str, Family]:
    """The families of SAELens's directory by slug, in the order in which they are asked."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    rows = yaml.load(_file("families.yaml"), Loader=loader)
    return {slug: _family(slug, row) for slug, row in rows.items()}


def _family(slug: str, row: Mapping[str, Any]) -> Family:
    release, sae_id = row["tried"]
    place = row.get("place", "")
    return Family(slug, row["name"], row["loader"], row["of"], release, sae_id, place)


def _file(name: str) -> str:
    return files("saereport.sources.saes").joinpath(name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], Family]]:
    return [(re.compile(family.of), family) for family in families().values()]


def family_of(release: str, sae_id: str) -> Family | None:
    """The family of an SAE; None where none like it was tried."""
    name = f"{release} {sae_id}"
    return next((family for of, family in _patterns() if of.fullmatch(name)), None)


@lru_cache(maxsize=1)
def outcomes() -> dict[str, Outcome]:
    """What came of each family, by its slug."""
    return {slug: _outcome(row) for slug, row in json.loads(_file("families.json")).items()}


def _outcome(row: Mapping[str, Any]) -> Outcome:
    return Outcome(row["had"], row["link"], row["why"])
