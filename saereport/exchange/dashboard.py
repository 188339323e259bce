"""SAEDashboard's batches for Neuronpedia, as release 0.8 writes and takes them.

A folder holds `batch-0.json` and so on, each a JSON object with the latents of one batch;
`run_settings.json` with the settings of the runner; and `skipped_indexes.json` with the latents
that it passed over. Values are rounded to three decimals there, tokens are the vocabulary's
strings with spaces for `Ġ`, and the first token of each prompt is left out.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import Field, JsonValue, RootModel, model_validator

from saereport.exchange.given import (
    Example,
    GivenLatent,
    GivenSae,
    GivenText,
    Identity,
    Range,
    Words,
    bins_of,
    example,
)
from saereport.exchange.limits import (
    BIG,
    Count,
    Given,
    HeadShares,
    Heights,
    Index,
    Name,
    Number,
    Numbers,
    Share,
    Tokens,
    same_length,
)
from saereport.exchange.rounding import decimals, shortest

BATCH_FILE = re.compile(r"batch-\d{1,9}\.json")
SETTINGS_FILE = "run_settings.json"
SKIPPED_FILE = "skipped_indexes.json"
PER_BATCH = 128
TOP = -1.0
"""`bin_min` and `bin_contains` of the strongest examples."""


class Activation(Given):
    """One example."""

    bin_min: Number = 0.0
    bin_max: Number = 0.0
    bin_contains: Number = 0.0
    tokens: Tokens
    values: Numbers
    qualifying_token_index: Annotated[int, Field(ge=-1, le=10**9)] = -1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        same_length(self.tokens, self.values, "tokens and values")
        return self


class Feature(Given):
    """One latent; the fields that a run cannot hold are passed over."""

    feature_index: Index
    neg_str: Tokens = ()
    neg_values: Numbers = ()
    pos_str: Tokens = ()
    pos_values: Numbers = ()
    frac_nonzero: Share = 0.0
    freq_hist_data_bar_values: Numbers = ()
    freq_hist_data_bar_heights: Heights = ()
    logits_hist_data_bar_values: Numbers = ()
    logits_hist_data_bar_heights: Heights = ()
    n_prompts_total: Count = 0
    n_tokens_in_prompt: Count = 0
    dataset: Name = ""
    decoder_weights_dist: HeadShares = ()
    activations: Annotated[tuple[Activation, ...], Field(max_length=10_000, fail_fast=True)] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        same_length(self.pos_str, self.pos_values, "pos_str and pos_values")
        same_length(self.neg_str, self.neg_values, "neg_str and neg_values")
        return self


class Batch(Given):
    """One file `batch-N.json`."""

    model_id: Name = ""
    layer: Annotated[int, Field(ge=0, le=9_999)] = 0
    sae_set: Name = ""
    sae_id_suffix: Name | None = None
    features: Annotated[tuple[Feature, ...], Field(max_length=100_000, fail_fast=True)]

    @property
    def identity(self) -> Identity:
        """Which SAE it is about."""
        return Identity(self.model_id, self.layer, self.sae_set, self.sae_id_suffix or "")


class Skipped(Given):
    """The file `skipped_indexes.json`."""

    skipped_indexes: Annotated[tuple[Index, ...], Field(max_length=2_000_000, fail_fast=True)] = ()


class Settings(RootModel[dict[Name, JsonValue]]):
    """The file `run_settings.json`; only its simple values are kept."""

    def simple(self) -> dict[str, Any]:
        """Strings, numbers and truth values, in the order of their names."""
        return {
            key: value[:1_000] if isinstance(value, str) else value
            for key, value in sorted(self.root.items())
            if key != "outputs_dir" and _is_simple(value)
        }


def _is_simple(value: JsonValue) -> bool:
    if isinstance(value, float | int) and not isinstance(value, bool):
        return abs(value) < BIG
    return isinstance(value, str | bool)


def text_of(batch: Batch) -> GivenText:
    """The text that a batch's latents were measured on; what they do not agree on is not given."""
    found = {(f.dataset, f.n_prompts_total, f.n_tokens_in_prompt) for f in batch.features}
    return GivenText(*found.pop()) if len(found) == 1 else GivenText()


def latent_of(feature: Feature, words: Words) -> GivenLatent:
    """A latent as it is given."""
    activations = bins_of(feature.freq_hist_data_bar_values, feature.freq_hist_data_bar_heights)
    given = [
        example(
            _range(one),
            words.numbers(one.tokens),
            one.values,
            one.qualifying_token_index,
        )
        for one in feature.activations
    ]
    tops = [one.bin_max for one in feature.activations if one.bin_min == TOP]
    n_active = sum(activations.counts) if activations else None if feature.frac_nonzero else 0
    return GivenLatent(
        index=feature.feature_index,
        density=feature.frac_nonzero,
        n_active=n_active,
        maximum=max(tops or (max(e.values, default=0.0) for e in given), default=0.0),
        top=tuple(zip(words.numbers(feature.pos_str), feature.pos_values, strict=True)),
        bottom=tuple(zip(words.numbers(feature.neg_str), feature.neg_values, strict=True)),
        activations=activations,
        logits=bins_of(feature.logits_hist_data_bar_values, feature.logits_hist_data_bar_heights),
        head_shares=feature.decoder_weights_dist,
        examples=tuple(given),
    )


def _range(one: Activation) -> Range | None:
    return None if one.bin_min == TOP else Range(one.bin_min, one.bin_max, one.bin_contains)


def feature_record(latent: GivenLatent, text: GivenText, words: Words) -> dict[str, Any]:
    """A latent with the fields of `NeuronpediaDashboardFeature`, in their order."""
    activations, logits = latent.activations, latent.logits
    return {
        "feature_index": latent.index,
        "neuron_alignment_indices": [],
        "neuron_alignment_values": [],
        "neuron_alignment_l1": [],
        "correlated_neurons_indices": [],
        "correlated_neurons_l1": [],
        "correlated_neurons_pearson": [],
        "correlated_features_indices": [],
        "correlated_features_l1": [],
        "correlated_features_pearson": [],
        "neg_str": [words.texts[token] for token, _ in latent.bottom],
        "neg_values": [shortest(value) for _, value in latent.bottom],
        "pos_str": [words.texts[token] for token, _ in latent.top],
        "pos_values": [shortest(value) for _, value in latent.top],
        "frac_nonzero": latent.density,
        "freq_hist_data_bar_values": list(activations.centres) if activations else [],
        "freq_hist_data_bar_heights": list(activations.counts) if activations else [],
        "logits_hist_data_bar_heights": list(logits.counts) if logits else [],
        "logits_hist_data_bar_values": list(logits.centres) if logits else [],
        "n_prompts_total": text.n_prompts,
        "n_tokens_in_prompt": text.n_tokens,
        "dataset": text.dataset,
        "decoder_weights_dist": [shortest(share) for share in latent.head_shares],
        "activations": [_activation(one, latent.maximum, words) for one in latent.examples],
        "vector": [],
    }


def _activation(one: Example, maximum: float, words: Words) -> dict[str, Any]:
    found = one.range or Range(TOP, shortest(maximum), TOP)
    return {
        "bin_min": found.lower,
        "bin_max": found.upper,
        "bin_contains": found.contains,
        "tokens": [words.texts[token] for token in one.tokens],
        "values": decimals(one.values),
        "qualifying_token_index": one.position,
    }


def batch_record(sae: GivenSae, features: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch with the fields of `NeuronpediaDashboardBatch`."""
    return {
        "model_id": sae.identity.model_id,
        "layer": max(0, sae.identity.layer),
        "sae_set": sae.identity.sae_set,
        "sae_id_suffix": sae.identity.suffix or None,
        "features": features,
    }


def skipped_record(sae: GivenSae) -> dict[str, Any]:
    """What `skipped_indexes.json` holds."""
    return {
        "model_id": sae.identity.model_id,
        "layer": str(max(0, sae.identity.layer)),
        "sae_set": sae.identity.sae_set,
        "log_sparsity": None,
        "skipped_indexes": list(sae.skipped),
    }


def settings_record(sae: GivenSae) -> dict[str, Any]:
    """What `run_settings.json` holds: the settings of `NeuronpediaRunnerConfig` that are known."""
    known: dict[str, Any] = {
        "sae_set": sae.identity.sae_set,
        "sae_path": sae.sae_id,
        "outputs_dir": "",
        "np_sae_id_suffix": sae.identity.suffix or None,
        "np_set_name": sae.identity.sae_set,
        "huggingface_dataset_path": sae.text.dataset,
        "n_prompts_total": sae.text.n_prompts,
        "n_tokens_in_prompt": sae.text.n_tokens,
        "n_features_at_a_time": PER_BATCH,
        "model_id": sae.identity.model_id,
        "layer": max(0, sae.identity.layer),
    }
    return {**known, **{key: value for key, value in sae.settings.items() if key in known}}
