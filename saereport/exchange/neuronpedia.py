"""Neuronpedia's bulk export: JSON lines in a folder for each source.

`features/batch-0.jsonl.gz` has one latent a line, `activations/` one example a line,
`explanations/` (or `explanations-...`, one for each labelling model) one label a line;
`model.jsonl`, `sourceset.jsonl` and `source.jsonl` tell of what these belong to. Field names are
those of Neuronpedia's database, whose import takes the columns of a file from its first line: all
lines of a file have the same keys. Rows name a user, a model and a kind of label that the database
must know, which is what `Ids` is for.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from saereport.exchange.given import (
    Example,
    GivenLatent,
    GivenSae,
    Identity,
    Range,
    Words,
    bins_of,
    example,
    identity_of,
)
from saereport.exchange.limits import (
    LARGEST_INDEX,
    Count,
    Given,
    HeadShares,
    Heights,
    Index,
    Name,
    Number,
    Numbers,
    Share,
    Text,
    Tokens,
    same_length,
)
from saereport.exchange.rounding import decimals, shortest
from saereport.util.errors import SaereportError

ROWS_FILE = re.compile(r"batch-\d{1,9}\.jsonl(\.gz)?")
FOLDER = re.compile(r"features|activations|explanations(-[A-Za-z0-9._-]{1,100})?")
MODEL_FILE = "model.jsonl"
SOURCE_SET_FILE = "sourceset.jsonl"
SOURCE_FILE = "source.jsonl"
PER_BATCH = 1024
TOP = -1.0

CREATOR = "clkht01d40000jv08hvalcvly"
"""The user that every Neuronpedia is set up with, and that owns what is imported."""
LABELLERS = (
    *("gpt-4o-mini", "gpt-4.1-nano", "gpt-5-nano", "gpt-5-nano-2025-08-07"),
    *("gpt-5-mini-2025-08-07", "gpt-oss-120b", "gemini-2.0-flash", "gemini-2.0-flash-lite"),
    *("gemini-2.5-flash", "gemini-2.5-flash-lite"),
)
"""Models that Neuronpedia's own labelling may run, so that its table of them has these names."""
LABEL_KINDS = (
    *("oai_token-act-pair", "oai_attention-head", "np_max-act-logits", "np_max-act"),
    *("np_acts-logits-general", "python-code"),
)
"""Ways of labelling, likewise."""
NOTED = "source: "
"""What begins the notes of a label whose source its own columns cannot say."""
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

IndexText = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,8}$")]


@dataclass(frozen=True)
class Ids:
    """What rows are called in the database that is going to take them.

    Attributes:
        creator: Id of the user that made the rows.
        author: Id of the user that wrote the labels; the creator where empty.
        model: Id of the model; what the run calls it where empty.
        source_set: Name of the source set; what the run calls it where empty.
        labellers: Models, beside `LABELLERS`, that the database knows as writers of labels.
        label_kinds: Ways of labelling, beside `LABEL_KINDS`, that it knows.
    """

    creator: str = CREATOR
    author: str = ""
    model: str = ""
    source_set: str = ""
    labellers: tuple[str, ...] = ()
    label_kinds: tuple[str, ...] = ()

    def named(self, saes: Iterable[GivenSae]) -> list[GivenSae]:
        """The SAEs under these names.

        Raises:
            SaereportError: A name is none that an address can hold, or two SAEs have one.
        """
        found: dict[str, GivenSae] = {}
        for sae in saes:
            own = sae.identity
            identity = replace(
                own, model_id=self.model or own.model_id, sae_set=self.source_set or own.sae_set
            )
            for text, option in (
                (identity.model_id, "--model-id"),
                (identity.source, "--source-set"),
                (self.creator, "--creator-id"),
                (self.author or self.creator, "--author-id"),
            ):
                if not _ID.fullmatch(text):
                    raise SaereportError(
                        f"'{text[:80]}' cannot be an id: letters, digits, '.', '_' and '-' only.",
                        f"Name another with {option}.",
                    )
            if identity.source in found:
                raise SaereportError(
                    f"Two SAEs would both be the source '{identity.source}'.",
                    "Export them one by one, with --sae and a --source-set of their own.",
                )
            found[identity.source] = replace(sae, identity=identity)
        return list(found.values())


class Row(Given):
    """What every line has: the model, the source (called layer), and the latent."""

    modelId: Name
    layer: Name
    index: Index | IndexText

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        if int(self.index) > LARGEST_INDEX:
            raise ValueError(f"index is above {LARGEST_INDEX:,}")
        return self

    @property
    def latent(self) -> int:
        """The latent's index."""
        return int(self.index)

    @property
    def identity(self) -> Identity:
        """Which SAE it is about."""
        return identity_of(self.modelId, self.layer)


class FeatureRow(Row):
    """A line of `features/`."""

    maxActApprox: Number | None = None
    frac_nonzero: Share | None = None
    freq_hist_data_bar_values: Numbers = ()
    freq_hist_data_bar_heights: Heights = ()
    logits_hist_data_bar_values: Numbers = ()
    logits_hist_data_bar_heights: Heights = ()
    neg_str: Tokens = ()
    neg_values: Numbers = ()
    pos_str: Tokens = ()
    pos_values: Numbers = ()
    decoder_weights_dist: HeadShares = ()
    topkCosSimIndices: Annotated[tuple[Index, ...], Field(max_length=4_096, fail_fast=True)] = ()
    topkCosSimValues: Numbers = ()
    hookName: Name | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        same_length(self.pos_str, self.pos_values, "pos_str and pos_values")
        same_length(self.neg_str, self.neg_values, "neg_str and neg_values")
        names = "topkCosSimIndices and topkCosSimValues"
        same_length(self.topkCosSimIndices, self.topkCosSimValues, names)
        return self


class ActivationRow(Row):
    """A line of `activations/`."""

    tokens: Tokens
    values: Numbers
    maxValueTokenIndex: int | None = None
    qualifyingTokenIndex: int | None = None
    binMin: Number | None = None
    binMax: Number | None = None
    binContains: Number | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        same_length(self.tokens, self.values, "tokens and values")
        return self


class ExplanationRow(Row):
    """A line of `explanations/`."""

    description: Text | None = None
    explanationModelName: Name | None = None
    typeName: Name | None = None
    notes: Text | None = None


class SourceRow(Given):
    """The line of `source.jsonl`."""

    dataset: Name | None = None
    num_prompts: Count | None = None
    num_tokens_in_prompt: Count | None = None
    saelensRelease: Name | None = None
    saelensSaeId: Name | None = None


def latent_of(row: FeatureRow, words: Words) -> GivenLatent:
    """A latent as it is given, without examples and labels."""
    activations = bins_of(row.freq_hist_data_bar_values, row.freq_hist_data_bar_heights)
    density = row.frac_nonzero or 0.0
    n_active = sum(activations.counts) if activations else None if density else 0
    near = zip(row.topkCosSimIndices, row.topkCosSimValues, strict=True)
    return GivenLatent(
        index=row.latent,
        density=density,
        n_active=n_active,
        maximum=row.maxActApprox or 0.0,
        top=tuple(zip(words.numbers(row.pos_str), row.pos_values, strict=True)),
        bottom=tuple(zip(words.numbers(row.neg_str), row.neg_values, strict=True)),
        activations=activations,
        logits=bins_of(row.logits_hist_data_bar_values, row.logits_hist_data_bar_heights),
        head_shares=row.decoder_weights_dist,
        neighbours=tuple((other, cosine) for other, cosine in near if other != row.latent),
    )


def example_of(row: ActivationRow, words: Words) -> Example:
    """An example as it is given; without a bin it counts among the strongest."""
    found = None
    if row.binMin is not None and row.binMax is not None and row.binMin != TOP:
        found = Range(row.binMin, row.binMax, row.binContains or 0.0)
    position = row.qualifyingTokenIndex
    if position is None or position < 0:
        position = row.maxValueTokenIndex
    return example(found, words.numbers(row.tokens), row.values, position)


def label_of(row: ExplanationRow) -> tuple[str, str] | None:
    """A label and its source; None where the line has none."""
    text = " ".join((row.description or "").split())
    source = ", ".join(part for part in (row.explanationModelName, row.typeName) if part)
    if row.notes and row.notes.startswith(NOTED):
        source = row.notes.removeprefix(NOTED)
    return (text, source) if text else None


def _head(sae: GivenSae, latent: GivenLatent) -> dict[str, Any]:
    return {
        "modelId": sae.identity.model_id,
        "layer": sae.identity.source,
        "index": str(latent.index),
    }


def feature_record(
    sae: GivenSae, latent: GivenLatent, words: Words, ids: Ids = Ids()
) -> dict[str, Any]:
    """A line of `features/`."""
    activations, logits = latent.activations, latent.logits
    near = [(latent.index, 1.0), *latent.neighbours] if latent.neighbours else []
    return {
        **_head(sae, latent),
        "creatorId": ids.creator,
        "maxActApprox": shortest(latent.maximum),
        "frac_nonzero": latent.density,
        "freq_hist_data_bar_heights": list(activations.counts) if activations else [],
        "freq_hist_data_bar_values": list(activations.centres) if activations else [],
        "logits_hist_data_bar_heights": list(logits.counts) if logits else [],
        "logits_hist_data_bar_values": list(logits.centres) if logits else [],
        "neuron_alignment_indices": [],
        "neuron_alignment_l1": [],
        "neuron_alignment_values": [],
        "correlated_neurons_indices": [],
        "correlated_neurons_l1": [],
        "correlated_neurons_pearson": [],
        "decoder_weights_dist": [shortest(share) for share in latent.head_shares],
        "neg_str": [words.texts[token] for token, _ in latent.bottom],
        "neg_values": [shortest(value) for _, value in latent.bottom],
        "pos_str": [words.texts[token] for token, _ in latent.top],
        "pos_values": [shortest(value) for _, value in latent.top],
        "sourceSetName": sae.identity.sae_set,
        "topkCosSimIndices": [other for other, _ in near],
        "topkCosSimValues": [shortest(cosine) for _, cosine in near],
        "vector": [],
        "vectorLabel": None,
        "hookName": sae.hook or None,
        "hasVector": False,
    }


def activation_record(
    sae: GivenSae, latent: GivenLatent, rank: int, words: Words, ids: Ids = Ids()
) -> dict[str, Any]:
    """A line of `activations/`; its id is made from the source, the latent and the rank."""
    one = latent.examples[rank]
    found = one.range or Range(TOP, shortest(latent.maximum), TOP)
    values = decimals(one.values)
    largest = max(values, default=0.0)
    return {
        "id": _id(sae, latent.index, "activation", rank),
        **_head(sae, latent),
        "creatorId": ids.creator,
        "tokens": [words.texts[token] for token in one.tokens],
        "maxValue": largest,
        "maxValueTokenIndex": _first(one.values, largest),
        "minValue": min(values, default=0.0),
        "values": values,
        "binMin": found.lower,
        "binMax": found.upper,
        "binContains": found.contains,
        "qualifyingTokenIndex": one.position,
    }


def _first(values: array[float], largest: float) -> int:
    return next((i for i, value in enumerate(values) if shortest(value) == largest), 0)


def explanation_record(
    sae: GivenSae, latent: GivenLatent, rank: int, ids: Ids = Ids()
) -> dict[str, Any]:
    """A line of `explanations/`; what its columns cannot say of its source is in the notes."""
    text, source = latent.explanations[rank]
    parts = source.split(", ")
    labeller = next((part for part in parts if part in {*LABELLERS, *ids.labellers}), None)
    kind = next((part for part in parts if part in {*LABEL_KINDS, *ids.label_kinds}), None)
    said = ", ".join(part for part in (labeller, kind) if part)
    return {
        "id": _id(sae, latent.index, "explanation", rank),
        **_head(sae, latent),
        "authorId": ids.author or ids.creator,
        "description": text,
        "typeName": kind,
        "explanationModelName": labeller,
        "notes": None if said == source else NOTED + source,
    }


def model_record(sae: GivenSae, ids: Ids = Ids()) -> dict[str, Any]:
    """The line of `model.jsonl`; the width of the MLPs, which no run knows, is 0."""
    name = sae.identity.model_id
    owner, slash, _ = sae.model.name.rpartition("/")
    return {
        "id": name,
        "displayNameShort": name,
        "displayName": name,
        "creatorId": ids.creator,
        "owner": owner.rpartition("/")[2] if slash and owner else name,
        "layers": sae.model.n_layers,
        "neuronsPerLayer": 0,
        "dimension": sae.model.width or None,
        "instruct": bool(re.search(r"-(it|instruct|chat)$", name, re.IGNORECASE)),
        "inferenceEnabled": False,
        "visibility": "PUBLIC",
    }


def source_set_record(sae: GivenSae, ids: Ids = Ids()) -> dict[str, Any]:
    """The line of `sourceset.jsonl`."""
    return {
        "modelId": sae.identity.model_id,
        "name": sae.identity.sae_set,
        "creatorId": ids.creator,
        "creatorName": ids.creator,
        "description": sae.hook or sae.identity.sae_set,
        "type": "",
        "urls": [],
        "releaseName": None,
        "hasDashboards": True,
        "allowInferenceSearch": False,
        "visibility": "PUBLIC",
    }


def source_record(sae: GivenSae, ids: Ids = Ids()) -> dict[str, Any]:
    """The line of `source.jsonl`."""
    return {
        "id": sae.identity.source,
        "modelId": sae.identity.model_id,
        "setName": sae.identity.sae_set,
        "creatorId": ids.creator,
        "hasDashboards": True,
        "inferenceEnabled": False,
        "saelensRelease": sae.release or None,
        "saelensSaeId": sae.sae_id or None,
        "dataset": sae.text.dataset or None,
        "num_prompts": sae.text.n_prompts or None,
        "num_tokens_in_prompt": sae.text.n_tokens or None,
        "visibility": "PUBLIC",
    }


def _id(sae: GivenSae, latent: int, kind: str, rank: int) -> str:
    """An id in the form of the database's: `c` and 24 letters or digits."""
    name = f"{sae.identity.model_id}/{sae.identity.source}/{latent}/{kind}/{rank}"
    return "c" + hashlib.sha256(name.encode()).hexdigest()[:24]
