"""A comparison as plain lines for the terminal: the verdict first, then what is behind it.

Every text is shown so that nothing in it can act on the terminal (`visible`).
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from saereport.diff.gates import Outcome
from saereport.diff.model import (
    ChangedFact,
    Difference,
    LatentChange,
    PromptDifference,
    SaeDifference,
)
from saereport.diff.wording import (
    count,
    gate_counts,
    latent_name,
    likeness,
    moved,
    not_compared,
    sae_changed,
    sae_changes,
    title,
    verb,
    verdict,
)
from saereport.util.visible import visible_text

Paint = Callable[[str, str], str]
"""Gives a text a colour by name, or leaves it as it is."""

SAES, LATENTS, FACTS, EDGES, ITEMS = 12, 10, 12, 5, 6
"""How many of each are named."""

_COLOURS = {"failed": "red", "warning": "yellow", "passed": "green"}
_ELLIPSIS = "…"


def plain(text: str, _: str) -> str:
    """No colour."""
    return text


def summary(
    difference: Difference,
    outcomes: Sequence[Outcome] = (),
    *,
    width: int = 80,
    paint: Paint = plain,
) -> str:
    """A comparison and the gates on it, as lines without an end of line at the end.

    Args:
        difference: The comparison.
        outcomes: What became of the gates.
        width: Columns of the terminal; longer lines are cut.
        paint: Gives colours, where the terminal has them.
    """
    blocks = [
        [
            _pair("before", _side(difference.before.name, difference.before.title)),
            _pair("after", _side(difference.after.name, difference.after.title)),
        ],
        _facts(difference.facts),
        _named("SAEs added", difference.saes_added),
        _named("SAEs removed", difference.saes_removed),
        *(_sae(sae) for sae in difference.saes if sae_changed(sae)),
        _named("SAEs without a change", [s.after for s in difference.saes if not sae_changed(s)]),
        _named("Prompts added", difference.prompts_added),
        _named("Prompts removed", difference.prompts_removed),
        *(_prompt(prompt) for prompt in difference.prompts),
        _not_compared(difference),
    ]
    first = textwrap.wrap(verdict(difference), max(width, 20))
    lines = [paint(line, "bold") for line in first]
    lines += [fitted(line, width) for line in _joined(blocks)]
    gates = gate_lines(outcomes, width=width, paint=paint)
    return "\n".join([*lines, "", *gates] if gates else lines)


def gate_lines(outcomes: Sequence[Outcome], *, width: int = 80, paint: Paint = plain) -> list[str]:
    """One line a gate, under a heading; nothing without gates. Failures are never cut."""
    if not outcomes:
        return []
    wide = max(columns(outcome.gate) for outcome in outcomes)
    lines = [gate_counts(outcomes)]
    for outcome in outcomes:
        word = verb(outcome)
        line = f"{padded(outcome.gate, min(wide, 40))}  {outcome.message}"
        if not outcome.failed:
            line = fitted(line, width - 11)
        colour = _COLOURS.get(word)
        lines.append(f"  {paint(f'{word:<7}', colour) if colour else f'{word:<7}'}  {line}")
    return lines


def _joined(blocks: Iterable[Sequence[str]]) -> list[str]:
    lines: list[str] = []
    for block in blocks:
        if block:
            lines += ["", *block]
    return lines


def _pair(name: str, text: str) -> str:
    return f"{name:<7} {text}"


def _side(name: str, heading: str) -> str:
    return f"{visible_text(name)}  ({visible_text(heading)})"


def _named(what: str, slugs: Sequence[str]) -> list[str]:
    if not slugs:
        return []
    return [f"{what}: {', '.join(map(visible_text, slugs[:SAES]))}", *_more(len(slugs) - SAES)]


def _facts(facts: Sequence[ChangedFact]) -> list[str]:
    if not facts:
        return []
    ordered = sorted(facts, key=lambda fact: not fact.matters)
    few = ordered[:FACTS]
    names = [visible_text(f"{fact.topic} {fact.name}") for fact in few]
    wide = min(34, max(map(columns, names)))
    lines = ["Settings and origins"]
    for fact, name in zip(few, names, strict=True):
        note = "" if fact.matters else "  (numbers need not depend on it)"
        before, after = (visible_text(text) or "absent" for text in (fact.before, fact.after))
        lines.append(f"  {padded(name, wide)}  {fitted(before, 24)} -> {fitted(after, 24)}{note}")
    return [*lines, *_more(len(facts) - len(few))]


def _sae(sae: SaeDifference) -> list[str]:
    slug = visible_text(sae.after if sae.before == sae.after else f"{sae.before} -> {sae.after}")
    paired = "" if sae.pairing == "index" else f", paired by {sae.pairing.replace('_', ' ')}"
    lines = [
        f"{slug}: {len(sae.changed):,} of {count(len(sae.pairs.after), 'latent')} changed, "
        f"{len(sae.removed):,} removed, {len(sae.added):,} added{paired}"
    ]
    if sae.pairing_note:
        lines.append(f"  {visible_text(sae.pairing_note)}")
    values = sae_changes(sae)
    wide = max([len(title(value.metric)) for value in values], default=0)
    lines += [f"  {title(value.metric):<{wide}}  {moved(value)}" for value in values]
    for what, latents in (("removed", sae.removed), ("added", sae.added)):
        if latents:
            few = ", ".join(map(str, latents[:LATENTS]))
            more = f" and {len(latents) - LATENTS:,} more" if len(latents) > LATENTS else ""
            lines.append(f"  {what}: {few}{more}")
    for change in sae.changed[:LATENTS]:
        lines += _latent(sae, change)
    return [*lines, *_more(len(sae.changed) - LATENTS, " that changed")]


def _latent(sae: SaeDifference, change: LatentChange) -> list[str]:
    name = latent_name(visible_text(sae.after), change.before, change.after)
    label = fitted(visible_text(change.label), 56)
    lines = [f"  {'  '.join(filter(None, (name, likeness(sae.pairing, change), label)))}"]
    items = {item.metric: item for item in change.items}
    values = change.changed
    wide = max([len(title(value.metric)) for value in values], default=0)
    for value in values:
        lines.append(f"    {title(value.metric):<{wide}}  {moved(value)}")
        if value.metric in items:
            found = items[value.metric]
            lines.append(f"      before: {_list(found.before)}")
            lines.append(f"      after:  {_list(found.after)}")
    return lines


def _list(items: Sequence[str]) -> str:
    few = ", ".join(fitted(visible_text(item), 32) for item in items[:ITEMS])
    return (f"{few}, {_ELLIPSIS}" if len(items) > ITEMS else few) or "nothing"


def _prompt(prompt: PromptDifference) -> list[str]:
    values = [
        value for value in prompt.values if value.changed and not value.metric.startswith("edges.")
    ]
    if not values and not prompt.edges:
        return []
    lines = [f"Prompt {visible_text(prompt.slug)}: {count(len(prompt.edges), 'edge')} changed"]
    lines += [f"  {title(value.metric)}  {moved(value)}" for value in values]
    for edge in prompt.edges[:EDGES]:
        before, after = (
            "absent" if weight is None else f"{weight:.3g}" for weight in (edge.before, edge.after)
        )
        ends = f"{visible_text(edge.early)} => {visible_text(edge.late)}"
        lines.append(f"  {edge.change:<6}  {before} -> {after}  {ends}")
    return [*lines, *_more(len(prompt.edges) - EDGES)]


def _not_compared(difference: Difference) -> list[str]:
    reasons = not_compared(difference)
    return ["Not compared", *(f"  {reason}" for reason in reasons)] if reasons else []


def _more(n: int, what: str = "") -> list[str]:
    return [f"  and {n:,} more{what}"] if n > 0 else []


def columns(text: str) -> int:
    """How many columns of a terminal a visible text takes."""
    return sum(_width(char) for char in text)


def padded(text: str, width: int) -> str:
    """The text, filled up with spaces to a number of columns."""
    return text + " " * max(0, width - columns(text))


def fitted(line: str, width: int) -> str:
    """The line, or as much of it as fits into a number of columns, with an ellipsis."""
    if columns(line) <= width:
        return line
    taken = 0
    for index, char in enumerate(line):
        taken += _width(char)
        if taken > width - 1:
            return line[:index] + _ELLIPSIS
    return line


def _width(char: str) -> int:
    if " " <= char <= "~":
        return 1
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
