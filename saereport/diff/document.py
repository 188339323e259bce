"""A comparison, or the check of one report, as JSON that programs read.

The models below are the format: its JSON schema is made of them, printed by
`saereport diff --schema` and published in `docs/diff.schema.json`. Numbers of single pairs of
latents are there only for pairs that changed; of all others there are quantiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isfinite
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from saereport.diff.gates import Outcome, Severity, State
from saereport.diff.model import Difference, LatentChange, Pairing, Pairs, SaeDifference
from saereport.run import RunInfo
from saereport.util.files import canonical_json
from saereport.util.visible import visible_text

VERSION = 1
"""Rises when a reader of an older version could misunderstand."""

QUANTILES = (0.0, 0.5, 0.9, 0.99, 1.0)
"""Of the sizes of all pairs, in this order."""

_DIGITS = 6

_AT_ONCE: Final = 256
"""Changed latents in one piece of text: whole documents of 25,000 would take a gigabyte."""

_CHANGED: Final = '\n   "changed": []'
"""Where an SAE's changed latents belong in the document without them. A line end within text is
escaped, so it is nowhere else."""


def _number(value: float | None) -> float | None:
    """Six significant digits; nothing where there is no number that JSON has."""
    if value is None or not isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}") + 0.0


def _text(text: str) -> str:
    """`visible_text`, which leaves plain text as it is, without asking it for plain text."""
    return text if text.isascii() and text.isprintable() else visible_text(text)


Text = Annotated[str, AfterValidator(_text)]
Number = Annotated[float | None, BeforeValidator(_number)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


class SideDocument(_Part):
    """One of the two reports."""

    name: Text
    title: Text
    fingerprint: Text
    version: Text


class FactDocument(_Part):
    """A setting or origin that differs."""

    topic: Text
    name: Text
    before: Text
    after: Text
    matters: bool


class ValueDocument(_Part):
    """A metric on both sides; `size` is in the measure that the metric defines."""

    metric: str
    before: Number
    after: Number
    size: Number
    tolerance: Number
    changed: bool


class FigureDocument(ValueDocument):
    """A metric of an SAE, with the ends of the 95 % intervals; `null` where there is none."""

    before_interval: tuple[Number, Number] | None
    after_interval: tuple[Number, Number] | None


class ItemsDocument(_Part):
    """A ranked list on both sides, best first."""

    metric: str
    before: list[Text]
    after: list[Text]


class LatentDocument(_Part):
    """A pair of latents that differ by more than noise."""

    before: int
    after: int
    similarity: Number
    label: Text
    importance: Number
    values: list[ValueDocument]
    items: list[ItemsDocument]


class SizesDocument(_Part):
    """The sizes of one metric over all pairs of an SAE.

    `quantiles` are those at 0, 0.5, 0.9, 0.99 and 1; empty where nothing was comparable.
    """

    metric: str
    comparable: int
    quantiles: list[Number]


class PairsDocument(_Part):
    """All compared pairs, in summary."""

    count: int
    sizes: list[SizesDocument]


class ClusterDocument(_Part):
    """One latent of one side that stands for several of the other."""

    side: Literal["before", "after"]
    latent: int
    others: list[int]
    similarities: list[Number]


class SaeDocument(_Part):
    """Two SAEs compared."""

    before: Text
    after: Text
    label: Text
    same_weights: bool
    pairing: Pairing
    pairing_note: Text
    values: list[FigureDocument]
    pairs: PairsDocument
    changed: list[LatentDocument]
    added: list[int]
    removed: list[int]
    clusters: list[ClusterDocument]
    not_compared: dict[str, Text]


class EdgeDocument(_Part):
    """One edge of a circuit that differs."""

    kind: Literal["gradient", "graph"]
    early: Text
    late: Text
    before: Number
    after: Number
    change: Literal["gained", "lost", "sign", "weight"]
    size: Number


class PromptDocument(_Part):
    """A prompt that both reports have."""

    slug: Text
    name: Text
    values: list[ValueDocument]
    edges: list[EdgeDocument]
    not_compared: dict[str, Text]


class FindingDocument(_Part):
    """One thing that met a gate's condition."""

    place: Text
    latent: int | None
    item: Text
    value: Number


class OutcomeDocument(_Part):
    """What became of a gate."""

    gate: Text
    metric: str
    severity: Severity
    state: State
    failed: bool
    message: Text
    count: int
    looked_at: int
    worst: list[FindingDocument]


class DiffDocument(_Part):
    """What `saereport diff --json` writes."""

    kind: Literal["diff"]
    version: Literal[1]
    before: SideDocument
    after: SideDocument
    identical: bool
    facts: list[FactDocument]
    saes: list[SaeDocument]
    saes_added: list[Text]
    saes_removed: list[Text]
    prompts: list[PromptDocument]
    prompts_added: list[Text]
    prompts_removed: list[Text]
    gates: list[OutcomeDocument]


class CheckDocument(_Part):
    """What `saereport check --json` writes."""

    kind: Literal["check"]
    version: Literal[1]
    report: SideDocument
    gates: list[OutcomeDocument]


def diff_json(difference: Difference, outcomes: Sequence[Outcome] = ()) -> Iterator[str]:
    """A comparison and the gates on it in the published format, in pieces that follow each other.

    Equal comparisons give equal text. The latents that changed are made a few at a time, so that
    the memory does not grow with their number.
    """
    bare = replace(difference, saes=tuple(replace(sae, changed=()) for sae in difference.saes))
    before, *after = _text_of(_document(bare, outcomes)).split(_CHANGED)
    yield before
    for sae, text in zip(difference.saes, after, strict=True):
        yield _CHANGED[:-1]
        yield from _changed(sae.changed)
        yield "]" + text


def _changed(changed: Sequence[LatentChange]) -> Iterator[str]:
    """The items of a list that stands in an SAE of the document, with the line ends around them."""
    for start in range(0, len(changed), _AT_ONCE):
        lines = [
            LatentDocument.model_validate(change).model_dump_json(indent=1).replace("\n", "\n    ")
            for change in changed[start : start + _AT_ONCE]
        ]
        yield ("," if start else "") + "\n    " + ",\n    ".join(lines)
    if changed:
        yield "\n   "


def _document(difference: Difference, outcomes: Sequence[Outcome]) -> DiffDocument:
    return DiffDocument(
        kind="diff",
        version=VERSION,
        before=SideDocument.model_validate(difference.before),
        after=SideDocument.model_validate(difference.after),
        identical=difference.identical,
        facts=[FactDocument.model_validate(fact) for fact in difference.facts],
        saes=[_sae(sae) for sae in difference.saes],
        saes_added=list(difference.saes_added),
        saes_removed=list(difference.saes_removed),
        prompts=[PromptDocument.model_validate(prompt) for prompt in difference.prompts],
        prompts_added=list(difference.prompts_added),
        prompts_removed=list(difference.prompts_removed),
        gates=[OutcomeDocument.model_validate(outcome) for outcome in outcomes],
    )


def check_json(name: str, info: RunInfo, outcomes: Sequence[Outcome]) -> str:
    """The gates on one report, as the user named it, in the published format."""
    written = CheckDocument(
        kind="check",
        version=VERSION,
        report=SideDocument(
            name=name,
            title=info.title,
            fingerprint=info.fingerprint,
            version=info.saereport_version,
        ),
        gates=[OutcomeDocument.model_validate(outcome) for outcome in outcomes],
    )
    return _text_of(written)


def _text_of(written: DiffDocument | CheckDocument) -> str:
    return written.model_dump_json(indent=1) + "\n"


def schema() -> dict[str, Any]:
    """The JSON schema of both documents."""
    either = Annotated[DiffDocument | CheckDocument, Field(discriminator="kind")]
    described = TypeAdapter[Any](either).json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What 'saereport diff --json' and 'saereport check --json' write",
        **described,
    }


def schema_json() -> str:
    """The JSON schema as text that ends with an end of line."""
    return canonical_json(schema()) + "\n"


def _sae(sae: SaeDifference) -> SaeDocument:
    return SaeDocument(
        before=sae.before,
        after=sae.after,
        label=sae.label,
        same_weights=sae.same_weights,
        pairing=sae.pairing,
        pairing_note=sae.pairing_note,
        values=[FigureDocument.model_validate(value) for value in sae.values],
        pairs=_pairs(sae.pairs),
        changed=[LatentDocument.model_validate(change) for change in sae.changed],
        added=list(sae.added),
        removed=list(sae.removed),
        clusters=[ClusterDocument.model_validate(cluster) for cluster in sae.clusters],
        not_compared=dict(sae.not_compared),
    )


def _pairs(pairs: Pairs) -> PairsDocument:
    sizes = []
    for metric, column in pairs.sizes.items():
        held = column[~np.isnan(column)]
        quantiles = np.quantile(held, QUANTILES).tolist() if len(held) else []
        sizes.append(SizesDocument(metric=metric, comparable=len(held), quantiles=quantiles))
    return PairsDocument(count=len(pairs.after), sizes=sizes)
