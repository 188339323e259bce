"""Gates: what a user does not let pass, and the judgement of a comparison or of one report.

A gate fails when its condition is met by anything that it looks at. It also fails when there is
nothing to look at: what was not measured has not been shown to be good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from saereport.diff.conditions import Condition
from saereport.diff.measured import Measured
from saereport.diff.metrics import METRICS
from saereport.diff.model import Difference
from saereport.diff.readings import (
    Gap,
    Reading,
    absent,
    alone,
    between,
    gaps_in,
    in_words,
    only,
    shortened,
)
from saereport.util.errors import UsageError, did_you_mean
from saereport.util.visible import visible_text

Severity = Literal["off", "warn", "error"]
IfMissing = Literal["pass", "warn", "fail"]
State = Literal["passed", "failed", "missing", "skipped", "off"]

_ONE_AND_MANY = {
    "report": ("report", "reports"),
    "sae": ("SAE", "SAEs"),
    "latent": ("latent", "latents"),
    "prompt": ("prompt", "prompts"),
    "edge": ("changed edge", "changed edges"),
}

WORST = 5
"""Findings that an outcome names."""


@dataclass(frozen=True)
class Gate:
    """A condition that must not be met.

    Attributes:
        condition: What is not wanted.
        severity: `error` makes the command exit with 3, `warn` only says so, `off` is not judged.
        saes: Slugs of the SAEs that it looks at; all where empty.
        latents: Numbers of the latents (after) that it looks at; all where empty.
        prompts: Slugs of the prompts that it looks at; all where empty.
        message: What to tell whoever meets it; empty for nothing more.
        if_missing: What happens when something that it looks at was not measured. By default it
            fails, but only warns where some latents have no number and others have (a latent that
            was never active has no histogram).
    """

    condition: Condition
    severity: Severity = "error"
    saes: tuple[str, ...] = ()
    latents: tuple[int, ...] = ()
    prompts: tuple[str, ...] = ()
    message: str = ""
    if_missing: IfMissing | None = None

    def __str__(self) -> str:
        limits = [*self.saes, *(str(latent) for latent in self.latents), *self.prompts]
        return f"{self.condition} ({', '.join(limits)})" if limits else str(self.condition)

    def checked(self) -> Gate:
        """Itself, if its limits fit what its metric is a property of.

        Raises:
            UsageError: It is limited to SAEs, latents or prompts that the metric does not have.
        """
        scope = METRICS[self.condition.metric].scope
        fits = {
            "saes": scope in ("sae", "latent"),
            "latents": scope == "latent",
            "prompts": scope in ("prompt", "edge"),
        }
        for name, fit in fits.items():
            if getattr(self, name) and not fit:
                raise UsageError(
                    f"The gate '{self.condition}' cannot be limited to {name}: "
                    f"'{self.condition.metric}' is a metric of each {_ONE_AND_MANY[scope][0]}."
                    if scope != "report"
                    else f"The gate '{self.condition}' cannot be limited to {name}: it looks at "
                    "the report as a whole.",
                    f"Leave '{name}' out.",
                )
        return self


@dataclass(frozen=True)
class GateFinding:
    """One thing that met a gate's condition.

    Attributes:
        place: Slug of the SAE or prompt; empty for the report.
        latent: Number of the latent after, for metrics of latents.
        item: The latent's label, the edge, the latents that were counted, or the interval of a
            figure; visible text, empty where there is none.
        value: The number that met the condition.
    """

    place: str
    latent: int | None
    item: str
    value: float

    def __str__(self) -> str:
        if self.latent is not None:
            label = f" ({shortened(self.item)})" if self.item else ""
            return f"{self.place}/{self.latent}{label} = {self.value:.4g}"
        value = f"{self.place} = {self.value:.4g}" if self.place else f"{self.value:.4g}"
        return f"{value}: {self.item}" if self.item else value


@dataclass(frozen=True)
class Outcome:
    """What became of a gate.

    Attributes:
        gate: The gate, as text.
        severity: How much it matters: the gate's own, or what its `if_missing` says.
        failed: Whether it failed.
        message: One line for a reader: the worst findings, or why there are none; visible text.
        state: How it ended; `missing` where something was not measured, `skipped` where it needs
            two reports and there is one.
        metric: Name of the gate's metric.
        count: How many latents, SAEs, prompts or edges met the condition.
        looked_at: How many it looked at.
        worst: The worst findings, worst first.
    """

    gate: str
    severity: Severity
    failed: bool
    message: str
    state: State
    metric: str
    count: int = 0
    looked_at: int = 0
    worst: tuple[GateFinding, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether it makes the command fail."""
        return self.failed and self.severity == "error"


def judge(gates: Iterable[Gate], difference: Difference, after: Measured) -> tuple[Outcome, ...]:
    """Judge a comparison.

    Args:
        gates: What to judge, in the order of the outcomes.
        difference: The comparison.
        after: What the report after says by itself: plain names of metrics that one report has
            are looked up here, so that they cover added SAEs and latents too.
    """
    labels = {
        (sae.after, change.after): change.label for sae in difference.saes for change in sae.changed
    }
    return tuple(
        _outcome(
            gate,
            between(gate.condition, difference)
            if gate.condition.needs_two
            else alone(gate.condition, after),
            labels,
        )
        for gate in gates
    )


def judge_alone(gates: Iterable[Gate], report: Measured) -> tuple[Outcome, ...]:
    """Judge one report; gates that need two reports are skipped, and say so."""
    return tuple(
        _outcome(gate, alone(gate.condition, report), {})
        if not gate.condition.needs_two
        else Outcome(
            str(gate),
            gate.severity,
            failed=False,
            message="skipped: it needs two reports",
            state="skipped",
            metric=gate.condition.metric,
        )
        for gate in gates
    )


def _outcome(
    gate: Gate, readings: Sequence[Reading], labels: Mapping[tuple[str, int], str]
) -> Outcome:
    outcome = Outcome(
        visible_text(str(gate)),
        gate.severity,
        failed=False,
        message="off",
        state="off",
        metric=gate.condition.metric,
    )
    if gate.severity == "off":
        return outcome
    chosen = _chosen(gate, readings)
    looked_at = sum(int((~np.isnan(reading.values)).sum()) for reading in chosen)
    count = sum(int(gate.condition.met(reading.values).sum()) for reading in chosen)
    gaps = gaps_in(chosen)
    text = in_words(gaps)
    lacking = _lacking(gate, gaps)
    outcome = replace(outcome, count=count, looked_at=looked_at)
    if count:
        worst = _worst(gate.condition, chosen, labels)
        rest = f" and {count - len(worst)} more" if count > len(worst) else ""
        many = f"{count} of {looked_at} {_noun(gate, looked_at)}: " if looked_at > 1 else ""
        found = f"{many}{'; '.join(map(str, worst))}{rest}"
        return replace(
            outcome,
            failed=True,
            severity="error" if lacking == "fail" else gate.severity,
            state="failed",
            worst=worst,
            message=_message(gate, f"{found}; {text}" if text else found),
        )
    if gaps:
        return replace(
            outcome,
            failed=lacking != "pass",
            state="missing",
            severity="error" if lacking == "fail" else "warn",
            message=_message(gate, text),
        )
    nearest = _nearest(gate.condition, chosen)
    return replace(
        outcome,
        state="passed",
        message=f"{looked_at} {_noun(gate, looked_at)}{nearest}",
    )


def _lacking(gate: Gate, gaps: Sequence[Gap]) -> IfMissing:
    """What the numbers that are not there mean for the gate."""
    if not gaps:
        return "pass"
    if gate.if_missing is not None:
        return gate.if_missing
    return "warn" if all(gap.partial for gap in gaps) and not gate.latents else "fail"


def _message(gate: Gate, text: str) -> str:
    return visible_text(f"{gate.message} ({text})" if gate.message else text)


def _chosen(gate: Gate, readings: Sequence[Reading]) -> list[Reading]:
    """The readings that the gate looks at; what it names and is not there is an absent one."""
    scope = METRICS[gate.condition.metric].scope
    names = gate.prompts if scope in ("prompt", "edge") else gate.saes
    what = "prompt" if scope in ("prompt", "edge") else "SAE"
    chosen = [r for r in readings if not names or r.place in names or r.also in names]
    known = {place for reading in readings for place in (reading.place, reading.also) if place}
    chosen += [
        absent(name, f"there is no such {what}. {did_you_mean(name, known)}".rstrip(" ."))
        for name in names
        if name not in known
    ]
    if gate.latents:
        chosen = [only(reading, gate.latents) for reading in chosen]
    return chosen or [absent("", f"there is no {what} to look at")]


def _worst(
    condition: Condition, readings: Sequence[Reading], labels: Mapping[tuple[str, int], str]
) -> tuple[GateFinding, ...]:
    found: list[tuple[float, int, int]] = []
    for r, reading in enumerate(readings):
        met = np.flatnonzero(condition.met(reading.values))
        bad = condition.badness(reading.values[met])
        order = np.argsort(-bad, kind="stable")[:WORST]
        found += [(-float(bad[i]), r, int(met[i])) for i in order]
    return tuple(_finding(readings[r], i, labels) for _, r, i in sorted(found)[:WORST])


def _finding(reading: Reading, i: int, labels: Mapping[tuple[str, int], str]) -> GateFinding:
    value = float(reading.values[i])
    if reading.latents is not None:
        latent = int(reading.latents[i])
        label = labels.get((reading.place, latent), "")
        return GateFinding(reading.place, latent, visible_text(label), value)
    item = reading.items[i] if reading.items is not None else ""
    return GateFinding(reading.place, None, visible_text(item), value)


def _nearest(condition: Condition, readings: Sequence[Reading]) -> str:
    """How near the values came to the limit."""
    values = np.concatenate([reading.values for reading in readings])
    if not len(values):
        return ""
    nearest = values[int(np.argmax(condition.badness(values)))]
    name = "at" if len(values) == 1 else "nearest"
    return f", {name} {nearest:.4g}"


def _noun(gate: Gate, count: int) -> str:
    one, many = _ONE_AND_MANY[METRICS[gate.condition.metric].scope]
    return one if count == 1 else many
