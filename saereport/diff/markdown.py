"""A comparison as Markdown, short enough for the comment on a pull request.

Tokens, labels, titles and names are put into code spans and nowhere else: in a code span nothing
is markup, no name is mentioned and no address is a link. They stand in lists, never in tables,
where a code span can be broken by a bar.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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

LARGEST = 65_536
"""Characters that a comment on GitHub can hold."""

_LONGEST = 60
_ELLIPSIS = "…"


@dataclass(frozen=True)
class _Amounts:
    """How many of each are named, and how many entries of a list."""

    gates: int
    facts: int
    saes: int
    latents: int
    edges: int
    items: int


_AMOUNTS = (
    _Amounts(gates=20, facts=6, saes=8, latents=8, edges=4, items=5),
    _Amounts(gates=20, facts=4, saes=6, latents=4, edges=2, items=4),
    _Amounts(gates=15, facts=2, saes=4, latents=2, edges=1, items=3),
)
_AIM = 4000


def markdown(difference: Difference, outcomes: Sequence[Outcome] = ()) -> str:
    """A comparison and the gates on it, at most `LARGEST` characters, usually below 4,000.

    What is left out is counted at the place where it would stand.
    """
    text = ""
    for amounts in _AMOUNTS:
        text = _rendered(difference, outcomes, amounts)
        if len(text) <= _AIM:
            break
    return text


def code(text: str, longest: int = _LONGEST) -> str:
    """A text as a code span that holds exactly it, made visible and cut to a length.

    The fence is a run of backticks that the text does not hold, so it cannot end the span; a space
    on each side keeps backticks at the ends apart from it (CommonMark 0.31, section 6.1).
    """
    # No character becomes less than one, but for the two of an end of line.
    shown = visible_text(text[: 2 * longest + 2])
    shown = shown if len(shown) <= longest else shown[: longest - 1] + _ELLIPSIS
    if not shown:
        return "(empty)"
    runs = {len(run) for run in re.findall("`+", shown)}
    fence = "`" * next(n for n in range(1, len(shown) + 2) if n not in runs)
    spaced = shown.startswith(" ") and shown.endswith(" ") and shown.strip(" ")
    pad = " " if spaced or "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _rendered(difference: Difference, outcomes: Sequence[Outcome], amounts: _Amounts) -> str:
    blocks = [
        [f"### {verdict(difference)}"],
        [
            f"- Before: {code(difference.before.name)}, {code(difference.before.title)}",
            f"- After: {code(difference.after.name)}, {code(difference.after.title)}",
        ],
        _gates(outcomes, amounts),
        *_listed([_sae(sae, amounts) for sae in difference.saes], amounts.saes, "compared SAE"),
        _named("SAEs added", difference.saes_added, amounts.saes),
        _named("SAEs removed", difference.saes_removed, amounts.saes),
        *_listed(
            [_prompt(prompt, amounts) for prompt in difference.prompts], amounts.saes, "prompt"
        ),
        _named("Prompts added", difference.prompts_added, amounts.saes),
        _named("Prompts removed", difference.prompts_removed, amounts.saes),
        _not_compared(difference, amounts),
        _facts(difference.facts, amounts),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _not_compared(difference: Difference, amounts: _Amounts) -> list[str]:
    reasons = not_compared(difference)
    if not reasons:
        return []
    more = len(reasons) - amounts.facts
    lines = [f"- {code(reason, 200)}" for reason in reasons[: amounts.facts]]
    return ["Not compared:", "", *lines, *([f"- and {more:,} more"] if more > 0 else [])]


def _listed(blocks: list[list[str]], most: int, noun: str) -> list[list[str]]:
    """The blocks that say something, up to a number, and how many more there are."""
    full = [block for block in blocks if block]
    more = len(full) - most
    return (
        [*full[:most], [f"And {more:,} more {noun if more == 1 else noun + 's'} with changes."]]
        if more > 0
        else full
    )


def _gates(outcomes: Sequence[Outcome], amounts: _Amounts) -> list[str]:
    if not outcomes:
        return []
    # What failed comes first; the order within is the user's.
    ordered = sorted(outcomes, key=lambda one: (not one.stops, not one.failed))
    lines = [f"**{gate_counts(outcomes)}**", ""]
    for outcome in ordered[: amounts.gates]:
        word = verb(outcome)
        word = f"**{word}**" if outcome.failed else word
        lines.append(f"- {word} {code(outcome.gate, 80)}: {code(outcome.message, 240)}")
    return [*lines, *_more(len(ordered) - amounts.gates, "gate")]


def _sae(sae: SaeDifference, amounts: _Amounts) -> list[str]:
    if not sae_changed(sae):
        return []
    values = sae_changes(sae)
    name = code(sae.after) if sae.before == sae.after else f"{code(sae.before)} → {code(sae.after)}"
    lines = [
        f"**SAE** {name}: {len(sae.changed):,} of {count(len(sae.pairs.after), 'latent')} changed, "
        f"{len(sae.removed):,} removed, {len(sae.added):,} added",
        "",
    ]
    if sae.pairing_note:
        lines.append(f"- {sae.pairing_note}")
    lines += [f"- {title(value.metric)}: {_arrow(moved(value))}" for value in values]
    for what, latents in (("Removed", sae.removed), ("Added", sae.added)):
        if latents:
            few = ", ".join(str(latent) for latent in latents[: amounts.latents])
            more = len(latents) - amounts.latents
            lines.append(f"- {what}: {few}{f' and {more:,} more' if more > 0 else ''}")
    for change in sae.changed[: amounts.latents]:
        lines += _latent(sae, change, amounts)
    return [*lines, *_more(len(sae.changed) - amounts.latents, "changed latent")]


def _latent(sae: SaeDifference, change: LatentChange, amounts: _Amounts) -> list[str]:
    alike = likeness(sae.pairing, change)
    label = f"{f' ({alike})' if alike else ''}{f' {code(change.label)}' if change.label else ''}"
    items = change.items[: amounts.items]
    listed = {item.metric for item in items}
    said = ", ".join(
        f"{title(value.metric)} {_arrow(moved(value))}"
        for value in change.changed
        if value.metric not in listed
    )
    name = code(latent_name(sae.after, change.before, change.after), 140)
    lines = [f"- {name}{label}{f': {said}' if said else ''}"]
    for item in items:
        before, after = (_entries(side, amounts) for side in (item.before, item.after))
        lines.append(f"  - {title(item.metric)}: {before} → {after}")
    return lines


def _entries(items: Sequence[str], amounts: _Amounts) -> str:
    few = " ".join(code(item, 32) for item in items[: amounts.items])
    return f"{few} {_ELLIPSIS}" if len(items) > amounts.items else few or "nothing"


def _prompt(prompt: PromptDifference, amounts: _Amounts) -> list[str]:
    values = [v for v in prompt.values if v.changed and not v.metric.startswith("edges.")]
    if not values and not prompt.edges:
        return []
    lines = [f"**Prompt** {code(prompt.name)}: {count(len(prompt.edges), 'edge')} changed", ""]
    lines += [f"- {title(value.metric)}: {_arrow(moved(value))}" for value in values]
    for edge in prompt.edges[: amounts.edges]:
        before, after = (
            "absent" if weight is None else f"{weight:.3g}" for weight in (edge.before, edge.after)
        )
        lines.append(
            f"- {edge.change}: {code(edge.early)} to {code(edge.late)}, {before} → {after}"
        )
    return [*lines, *_more(len(prompt.edges) - amounts.edges, "changed edge")]


def _facts(facts: Sequence[ChangedFact], amounts: _Amounts) -> list[str]:
    if not facts:
        return []
    ordered = sorted(facts, key=lambda fact: not fact.matters)
    lines = ["**Settings and origins**", ""]
    for fact in ordered[: amounts.facts]:
        before, after = (code(text, 40) if text else "absent" for text in (fact.before, fact.after))
        note = "" if fact.matters else " (numbers need not depend on it)"
        lines.append(f"- {code(f'{fact.topic} {fact.name}')}: {before} → {after}{note}")
    return [*lines, *_more(len(ordered) - amounts.facts, "setting")]


def _named(what: str, slugs: Sequence[str], most: int) -> list[str]:
    if not slugs:
        return []
    more = len(slugs) - most
    few = ", ".join(code(slug) for slug in slugs[:most])
    return [f"**{what}**: {few}{f' and {more:,} more' if more > 0 else ''}"]


def _more(n: int, noun: str) -> list[str]:
    return [f"- … and {n:,} more {noun if n == 1 else noun + 's'}"] if n > 0 else []


def _arrow(text: str) -> str:
    return text.replace("->", "→")
