"""`saereport saes`: the published SAEs that SAELens's directory lists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from saereport.cli.outputs import say
from saereport.sources.saes.directory import (
    ListedRelease,
    ListedSae,
    directory_text,
    listed,
    release_names,
)
from saereport.sources.saes.families import STEPS, Family, Outcome, outcomes
from saereport.util.errors import SaereportError, did_you_mean

MOST_SAES = 60
"""SAEs that are listed one by one where no release is named; more are told by their releases."""

TRIED = STEPS[:-1]
"""What is said of each family; whether there is a link is said of each SAE."""


@click.command("saes")
@click.argument("words", nargs=-1)
@click.option("--ids", is_flag=True, help="List every SAE, however many there are.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs: every SAE.")
def saes(words: tuple[str, ...], ids: bool, as_json: bool) -> None:
    """List published SAEs by release, with what can be had of each. No network, no torch.

    WORDS are parts of names (release, model, SAE, Neuronpedia's id), of which all must be there.
    Many are told by their releases; few, and those of a release that is named, one by one.

    \b
    saereport saes
    saereport saes gemma-scope 2b res canonical 65k
    saereport saes gpt2-small-res-jb
    """  # noqa: D301 - the backspace is click's mark for lines that are kept as they are
    found = listed(words)
    # A release's own name means it, not also those whose names go on after it.
    exact = [release for release in found if release.name in words]
    found = exact or found
    if not found:
        raise _nothing(words)
    if as_json:
        rows = [_row(release, sae) for release in found for sae in release.saes]
        click.echo(json.dumps(rows, indent=1))
        return
    number = sum(len(release.saes) for release in found)
    one_by_one = ids or bool(exact) or (bool(words) and number <= MOST_SAES)
    lines = _saes(found) if one_by_one else _releases(found)
    for line in lines:
        say(line, to_stderr=False)
    if not one_by_one:
        say(
            f"\n{number:,} SAEs in {len(found)} releases. Give a release's name, or more words, to "
            "list SAEs.",
            to_stderr=False,
        )


def _nothing(words: Sequence[str]) -> SaereportError:
    text = directory_text()
    hint = did_you_mean(words[0], release_names(text)) if text and len(words) == 1 else ""
    said = " ".join(words)
    return SaereportError(
        f"SAELens's directory has no SAE of which '{said}' is said.",
        hint or "Give fewer words; 'saereport saes' lists the releases.",
    )


def _row(release: ListedRelease, sae: ListedSae) -> dict[str, Any]:
    family = sae.family
    outcome = outcomes().get(family.slug) if family else None
    return {
        "release": release.name,
        "sae_id": sae.sae_id,
        "model": release.model,
        "hook": sae.place or None,
        "width": sae.width or None,
        "l0": sae.l0,
        "repo": release.repo,
        "loader": release.loader,
        "neuronpedia": sae.neuronpedia or None,
        "family": family.slug if family else None,
        **{step: outcome.had[step] if outcome else "not tried" for step in TRIED},
        "reason": _why(outcome) or None,
    }


def _why(outcome: Outcome | None) -> str:
    return outcome.reason_of(TRIED) if outcome else "No SAE of its family was tried."


def _readable(family: Family | None) -> str:
    """What can be had of a family's SAEs, in a line."""
    outcome = outcomes().get(family.slug) if family else None
    if outcome is None:
        return f"not tried. {_why(outcome)}"
    why = _why(outcome)
    return ", ".join(_in_words(step, outcome.had[step]) for step in TRIED) + (
        f". {why}" if why else ""
    )


def _in_words(step: str, had: str) -> str:
    if had == "no":
        return "does not load" if step == "loads" else f"no {step}"
    return step if had == "yes" else f"{step} {had}"


def _of_families(release: ListedRelease) -> dict[Family | None, list[ListedSae]]:
    found: dict[Family | None, list[ListedSae]] = {}
    for sae in release.saes:
        found.setdefault(sae.family, []).append(sae)
    return found


def _releases(found: Sequence[ListedRelease]) -> Iterator[str]:
    rows = [
        (release.name, release.model, f"{len(release.saes):,}", _short(release))
        for release in found
    ]
    yield from _table(("release", "model", "SAEs", "can be read"), rows)


def _short(release: ListedRelease) -> str:
    words = []
    for family in _of_families(release):
        outcome = outcomes().get(family.slug) if family else None
        had = outcome.had if outcome else {}
        lacks = [_in_words(step, had[step]) for step in TRIED if had.get(step, "yes") != "yes"]
        words.append(", ".join(lacks) or ("yes" if outcome else "not tried"))
    return "; ".join(dict.fromkeys(words))


def _saes(found: Sequence[ListedRelease]) -> Iterator[str]:
    for number, release in enumerate(found):
        if number:
            yield ""
        yield f"{release.name}: {release.model}, {release.repo}"
        for family, saes in _of_families(release).items():
            yield f"  {family.name + ': ' if family else ''}{_readable(family)}"
            rows = [
                (sae.sae_id, sae.place, sae.width, f"{sae.l0:g}" if sae.l0 else "", sae.neuronpedia)
                for sae in saes
            ]
            for line in _table(("id", "hook point", "width", "L0", "Neuronpedia"), rows):
                yield f"    {line}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows in columns; one that is empty everywhere is left out."""
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    widths = [max(len(head[i]), *(len(row[i]) for row in rows)) for i in kept]
    for row in (head, *rows):
        cells = (row[i].ljust(width) for i, width in zip(kept, widths, strict=True))
        yield "  ".join(cells).rstrip()


COMMANDS: tuple[click.Command, ...] = (saes,)
"""What this module adds to the command line."""
