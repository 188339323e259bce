"""What comparisons say, in words that the terminal, Markdown and others share."""

from __future__ import annotations

from collections.abc import Sequence

from saereport.diff.gates import Outcome
from saereport.diff.metrics import METRICS
from saereport.diff.model import (
    Difference,
    LatentChange,
    Pairing,
    PromptDifference,
    SaeDifference,
    Value,
)
from saereport.util.visible import visible_text

_SHARES = frozenset({"density", "dead_share", "answer.probability"})
"""Metrics that a reader knows as percentages."""


def count(n: int, one: str, many: str | None = None) -> str:
    """A number with its noun, such as `1 SAE` or `2,400 latents`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def verdict(difference: Difference) -> str:
    """The comparison in one line."""
    # SAEs of one report can be compared with each other, so equal reports may have differences.
    parts = [*_latents(difference), *_others(difference)]
    if not parts and difference.identical:
        return "The two reports are the same."
    if not parts:
        return "No change beyond noise."
    text = ", ".join(parts)
    return text[:1].upper() + text[1:] + "."


def _latents(difference: Difference) -> list[str]:
    saes = difference.saes
    changed = sum(len(sae.changed) for sae in saes)
    compared = sum(len(sae.pairs.after) for sae in saes)
    removed = sum(len(sae.removed) for sae in saes)
    added = sum(len(sae.added) for sae in saes)
    parts = [f"{changed:,} of {count(compared, 'latent')} changed"] if changed else []
    if removed:
        parts.append(f"{removed:,} removed" if parts else f"{count(removed, 'latent')} removed")
    if added:
        parts.append(f"{added:,} added" if parts else f"{count(added, 'latent')} added")
    return parts


def _others(difference: Difference) -> list[str]:
    measures = sum(len(sae_changes(sae)) for sae in difference.saes)
    prompts = sum(map(prompt_changed, difference.prompts))
    settings = sum(fact.matters for fact in difference.facts)
    found = [
        (measures, "SAE metric", "changed"),
        (len(difference.saes_added), "SAE", "added"),
        (len(difference.saes_removed), "SAE", "removed"),
        (prompts, "prompt", "changed"),
        (len(difference.prompts_added), "prompt", "added"),
        (len(difference.prompts_removed), "prompt", "removed"),
        (settings, "setting", "changed"),
    ]
    return [f"{count(n, noun)} {verb}" for n, noun, verb in found if n]


def sae_changes(sae: SaeDifference) -> tuple[Value, ...]:
    """The metrics of an SAE beyond noise, but for the counts of latents, which are said apart."""
    return tuple(
        value for value in sae.values if value.changed and not value.metric.startswith("latents.")
    )


def sae_changed(sae: SaeDifference) -> bool:
    """Whether anything of an SAE differs beyond noise."""
    return bool(sae.changed or sae.added or sae.removed or sae_changes(sae))


def prompt_changed(prompt: PromptDifference) -> bool:
    """Whether anything of a prompt differs beyond noise."""
    return bool(prompt.edges) or any(value.changed for value in prompt.values)


def shown(metric: str, value: float | None) -> str:
    """A metric's value for a reader; percent where it is a share."""
    if value is None or value != value:
        return "not measured"
    return f"{100 * value:.3g} %" if metric in _SHARES else f"{value:.4g}"


def moved(value: Value) -> str:
    """What a metric did: both its values, or the size of the change."""
    if value.before is None and value.after is None:
        return f"changed by {value.size:.3g}"
    return f"{shown(value.metric, value.before)} -> {shown(value.metric, value.after)}"


def title(metric: str) -> str:
    """A metric's name for a reader; its own name where it is unknown."""
    return METRICS[metric].title if metric in METRICS else metric


def latent_name(slug: str, before: int, after: int) -> str:
    """A pair of latents as a reader finds it: `resid-l10/17`, or `resid-l10/17 -> 203`."""
    return f"{slug}/{after}" if before == after else f"{slug}/{before} -> {after}"


def likeness(pairing: Pairing, change: LatentChange) -> str:
    """How alike a pair is that was matched, such as `cosine 0.93`; empty where by number."""
    measure = {"index": "", "decoder_cosine": "cosine", "coactivation": "overlap"}[pairing]
    return f"{measure} {change.similarity:.2f}" if measure else ""


def not_compared(difference: Difference) -> tuple[str, ...]:
    """What could not be compared, with the reason and the SAEs or prompts; one line a reason."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    parts = [(sae.after, sae.not_compared) for sae in difference.saes]
    parts += [(prompt.slug, prompt.not_compared) for prompt in difference.prompts]
    for slug, reasons in parts:
        for metric, reason in reasons.items():
            metrics, slugs = found.setdefault(reason, ({}, {}))
            metrics[title(metric)] = slugs[slug] = None
    return tuple(
        visible_text(f"{', '.join(metrics)}: {reason} ({', '.join(slugs)})")
        for reason, (metrics, slugs) in found.items()
    )


def gate_counts(outcomes: Sequence[Outcome]) -> str:
    """How the gates ended, in one line."""
    stopped = sum(outcome.stops for outcome in outcomes)
    warned = sum(outcome.failed and not outcome.stops for outcome in outcomes)
    skipped = sum(outcome.state in ("skipped", "off") for outcome in outcomes)
    passed = len(outcomes) - stopped - warned - skipped
    found = [
        (stopped, "failed"),
        (warned, "warned"),
        (passed, "passed"),
        (skipped, "not judged"),
    ]
    said = ", ".join(f"{n:,} {verb}" for n, verb in found if n)
    return f"{count(len(outcomes), 'gate')}: {said}" if outcomes else "no gates"


def verb(outcome: Outcome) -> str:
    """How one gate ended, in a word."""
    if outcome.stops:
        return "failed"
    if outcome.failed:
        return "warning"
    return outcome.state if outcome.state != "missing" else "passed"
