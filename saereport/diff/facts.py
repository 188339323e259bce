"""Settings and origins of two runs that differ: what a reader must know before any number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from saereport.diff.model import ChangedFact
from saereport.run import RunInfo, SaeInfo
from saereport.util.visible import visible_text

HARMLESS = {
    "configuration": (
        *("device", "device_map", "model", "dataset", "saes", "skip"),
        *("map", "with_reveal", "blind"),
    ),
    "model": ("wrapper",),
    "text": ("name",),
    "sae": ("slug", "label", "release", "sae_id", "neuronpedia_id", "metadata", "selection"),
}
"""Topic to beginnings of names on which no number that both runs hold depends.

Where a model, a text or an SAE comes from is no number's cause: its content is, which has facts of
its own (`content`, `digest`, `weights`). Libraries are there to explain a change, not to be one.
"""

_FILES = re.compile(
    r"(probe|bias|bias_drop|token_sets|capability_file|steer_prompts|prompts_file|explanations"
    r"|steering\.directions\[\d+\]\.(file|positive|negative))(\[\d+\])*"
)
"""Settings that are files, of which runs say what is in them: then a name is no number's cause."""

COUNTED = frozenset({"n_chosen", "n_dead", "l0"})
"""What `SaeInfo` says that is a measurement, and compared as such."""

LONGEST = 400
"""Characters of a value that are shown."""


def changed_facts(
    before: RunInfo, after: RunInfo, pairs: tuple[tuple[str, str], ...]
) -> tuple[ChangedFact, ...]:
    """Facts that differ, always in the same order: what was measured first, libraries last.

    Args:
        before: The run that was there.
        after: The new run.
        pairs: (slug before, slug after) of the SAEs that are compared.
    """

    def dumped(info: RunInfo, side: int) -> list[tuple[str, str, Mapping[str, Any]]]:
        own = {pair[side]: pair[1] for pair in pairs}
        return [
            ("model", "", info.model.model_dump(mode="json")),
            ("text", "", info.text.model_dump(mode="json")),
            *(("sae", f"{own[sae.slug]}.", _of_sae(sae)) for sae in info.saes if sae.slug in own),
            ("configuration", "", info.config),
            ("warnings", "", {warning.words: "said" for warning in info.warnings}),
            ("tables", "", {"saereport": info.saereport_version, **info.tables}),
            ("libraries", "", info.libraries),
        ]

    one = {(topic, prefix): _flat(fields) for topic, prefix, fields in dumped(before, 0)}
    two = {(topic, prefix): _flat(fields) for topic, prefix, fields in dumped(after, 1)}
    found: Iterable[ChangedFact] = (
        fact
        for topic, prefix in two
        for fact in _differing(topic, prefix, one[topic, prefix], two[topic, prefix])
    )
    if before.inputs is not None and after.inputs is not None:
        found = map(_without_names_of_files, found)
    imported = (before.is_imported, after.is_imported)
    return tuple(_known(found, imported) if any(imported) else found)


def _without_names_of_files(fact: ChangedFact) -> ChangedFact:
    """A fact that matters only if it is more than what a file is called that both runs have."""
    is_name = fact.topic == "configuration" and _FILES.fullmatch(fact.name) is not None
    return replace(fact, matters=False) if is_name and fact.before and fact.after else fact


def _known(facts: Iterable[ChangedFact], imported: tuple[bool, bool]) -> Iterator[ChangedFact]:
    """Facts without those that an imported run cannot have.

    It gives 0 or nothing for what its files do not say, and hashes of names for those of contents.
    """
    for fact in facts:
        sides = [
            text for text, is_so in zip((fact.before, fact.after), imported, strict=True) if is_so
        ]
        if any(text in ("", "0") for text in sides):
            continue
        guessed = fact.topic == "configuration" or fact.name.endswith(("digest", "weights"))
        yield replace(fact, matters=fact.matters and not guessed)


def _of_sae(sae: SaeInfo) -> dict[str, Any]:
    return sae.model_dump(mode="json", exclude={*COUNTED, "left_out"})


def _differing(
    topic: str, prefix: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[ChangedFact]:
    for name in dict.fromkeys([*after, *before]):
        one, two = before.get(name, ""), after.get(name, "")
        if one != two:
            matters = not _is_harmless(topic, name)
            # A table that only one side has is no change of a number.
            matters &= topic != "tables" or bool(one and two)
            yield ChangedFact(topic, f"{prefix}{name}", _cut(one), _cut(two), matters)


def _is_harmless(topic: str, name: str) -> bool:
    return topic in ("libraries", "warnings") or any(
        name == part or name.startswith((f"{part}.", f"{part}["))
        for part in HARMLESS.get(topic, ())
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested mapping as dotted names, such as `source.files[0].sha256`, and visible text."""
    found: dict[str, str] = {}
    for key, inner in value.items():
        found |= _named(f"{prefix}{visible_text(str(key))}", inner)
    return found


def _named(name: str, value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        return _flat(value, f"{name}.")
    if isinstance(value, list | tuple) and any(isinstance(v, Mapping | list) for v in value):
        found: dict[str, str] = {}
        for place, item in enumerate(value):
            found |= _named(f"{name}[{place}]", item)
        return found
    if isinstance(value, list | tuple):
        return {name: ", ".join(_words(item) for item in value)}
    return {name: _words(value)} if value is not None else {}


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible_text(str(value))
