"""What the comparison of two runs is, as frozen values.

`before` is the run that was there, `after` the new one. Numbers about single latents are kept as
arrays, one entry per compared pair, so that 25,000 latents stay light; only the pairs that changed
become `LatentChange`s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float] | None
Pairing = Literal["index", "decoder_cosine", "coactivation"]


@dataclass(frozen=True)
class Side:
    """One of the two runs.

    Attributes:
        name: As the user named it: a folder, a file or a git revision.
        title: The report's title.
        fingerprint: Of the run.
        version: The saereport that made it.
    """

    name: str
    title: str
    fingerprint: str
    version: str


@dataclass(frozen=True)
class ChangedFact:
    """One setting or origin that differs.

    Attributes:
        topic: `model`, `text`, `configuration`, `libraries`, `tables`, `warnings` or
            `sae`.
        name: Dotted name within the topic, such as `examples.top`.
        before: As text; empty where it was absent.
        after: As text; empty where it is absent.
        matters: Whether the numbers may depend on it (a device or a library's version need not).
    """

    topic: str
    name: str
    before: str
    after: str
    matters: bool


@dataclass(frozen=True, slots=True)
class Value:
    """One metric of one subject (an SAE, a prompt, a pair of latents) on both sides.

    Attributes:
        metric: Its name in `METRICS`.
        before: Its value before, where it is a value of one side; None for what exists only
            between two sides (an overlap) or was not measured.
        after: Its value after, likewise.
        size: How much it changed, in the measure that the metric defines; never negative.
        tolerance: Sizes up to this are noise.
        before_interval: Ends of the 95 % interval of the value before; None where it has none.
        after_interval: Likewise of the value after.
    """

    metric: str
    before: float | None
    after: float | None
    size: float
    tolerance: float
    before_interval: Interval = None
    after_interval: Interval = None

    @property
    def changed(self) -> bool:
        """Whether it changed by more than noise."""
        return self.size > self.tolerance


@dataclass(frozen=True, slots=True)
class Items:
    """A ranked list on both sides, as a reader sees it: tokens, latents or explanations.

    Attributes:
        metric: The metric that compares the lists, such as `top_tokens.rbo`.
        before: Visible text, best first.
        after: Visible text, best first.
    """

    metric: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LatentChange:
    """A pair of latents that differ by more than noise.

    Attributes:
        before: Latent in the SAE before.
        after: Latent in the SAE after; the same number where the SAEs are the same.
        similarity: Cosine or overlap by which they were paired; 1 where by number.
        values: Every compared metric, changed or not, in the order of `METRICS`.
        items: The lists that changed.
        label: The label after, or before, or empty; visible text.
        importance: What the changes are sorted by; see `importance` in `METRICS`' module.
    """

    before: int
    after: int
    similarity: float
    values: tuple[Value, ...]
    items: tuple[Items, ...]
    label: str
    importance: float

    @property
    def changed(self) -> tuple[Value, ...]:
        """The values beyond their tolerance."""
        return tuple(value for value in self.values if value.changed)


@dataclass(frozen=True)
class Pairs:
    """All compared pairs of one SAE as columns of equal length.

    Attributes:
        before: int64[n], latents before, ascending.
        after: int64[n], their partners.
        similarity: float64[n], cosine or overlap of the pairing; 1 where by number.
        sizes: Metric name to float64[n]: `Value.size` of each pair. NaN where not comparable.
        befores: Metric name to float64[n]: `Value.before`, for metrics that have it.
        afters: Metric name to float64[n]: `Value.after`, likewise.
        tolerances: Metric name to float64[n]: `Value.tolerance`, which is larger for latents that
            are active on few tokens.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    similarity: NDArray[np.float64]
    sizes: Mapping[str, NDArray[np.float64]]
    befores: Mapping[str, NDArray[np.float64]]
    afters: Mapping[str, NDArray[np.float64]]
    tolerances: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """One latent of one side that stands for several of the other (or is split into them).

    Attributes:
        side: The side that `latent` is on.
        latent: The single one.
        others: Latents of the other side whose best partner it is, best first; at least two.
        similarities: Of `latent` with each of `others`.
    """

    side: Literal["before", "after"]
    latent: int
    others: tuple[int, ...]
    similarities: tuple[float, ...]


@dataclass(frozen=True)
class SaeDifference:
    """Two SAEs compared.

    Attributes:
        before: Slug before.
        after: Slug after.
        label: Visible label after.
        same_weights: Whether the weights are the same, bit for bit.
        pairing: How latents were paired.
        values: SAE-level metrics, in the order of `METRICS`.
        pairs: All compared pairs.
        changed: The pairs that changed, most important first.
        added: Latents after without a partner.
        removed: Latents before without a partner.
        clusters: One-to-many matches; empty where paired by number.
        not_compared: Metric name to the reason why it could not be compared.
        pairing_note: Why latents are paired as they are, where that is not plain; else empty.
    """

    before: str
    after: str
    label: str
    same_weights: bool
    pairing: Pairing
    values: tuple[Value, ...]
    pairs: Pairs
    changed: tuple[LatentChange, ...]
    added: tuple[int, ...]
    removed: tuple[int, ...]
    clusters: tuple[Cluster, ...] = ()
    not_compared: Mapping[str, str] = field(default_factory=dict)
    pairing_note: str = ""


@dataclass(frozen=True)
class EdgeChange:
    """One edge of a circuit (a gradient or a link of an attribution graph) that differs.

    Attributes:
        kind: `gradient` or `graph`.
        early: Where it comes from, as a reader sees it, such as `resid-l10 1342 @3 " iff"`.
        late: Where it goes to.
        before: Weight before; None where the edge was not there.
        after: Weight after; None where it is gone.
        change: `gained`, `lost`, `sign` or `weight`.
        size: Absolute change divided by the largest absolute weight of the two maps.
    """

    kind: Literal["gradient", "graph"]
    early: str
    late: str
    before: float | None
    after: float | None
    change: Literal["gained", "lost", "sign", "weight"]
    size: float


@dataclass(frozen=True)
class PromptDifference:
    """A prompt that both runs have.

    Attributes:
        slug: Its slug.
        name: Visible name.
        values: Prompt-level metrics (the answer's probability, a graph's scores).
        edges: Edges that changed, largest first.
        not_compared: Metric name to the reason.
    """

    slug: str
    name: str
    values: tuple[Value, ...]
    edges: tuple[EdgeChange, ...]
    not_compared: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """Two runs compared.

    Attributes:
        before: The run that was there.
        after: The new run.
        identical: Whether the two runs are the same bytes.
        facts: Configuration and provenance that differ.
        saes: SAEs that both have, or that were matched.
        saes_added: Slugs of SAEs only after.
        saes_removed: Slugs of SAEs only before.
        prompts: Prompts that both have.
        prompts_added: Slugs of prompts only after.
        prompts_removed: Slugs of prompts only before.
    """

    before: Side
    after: Side
    identical: bool
    facts: tuple[ChangedFact, ...]
    saes: tuple[SaeDifference, ...]
    saes_added: tuple[str, ...] = ()
    saes_removed: tuple[str, ...] = ()
    prompts: tuple[PromptDifference, ...] = ()
    prompts_added: tuple[str, ...] = ()
    prompts_removed: tuple[str, ...] = ()
