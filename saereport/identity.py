"""What a run is of: the identity of everything that its numbers depend on.

Equal identities give equal numbers, so a finished run or a checkpoint of the same identity can be
used again. Paths are left out, and so is what changes no number (batch size, title, profiling).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saereport import __version__
from saereport.config import BuildConfig, SaeConfig
from saereport.run import TABLES
from saereport.run.files import canonical_json
from saereport.sources.models import LanguageModel
from saereport.sources.saes import Dictionary
from saereport.sources.text import Text


def identity_of(
    config: BuildConfig,
    dictionaries: Sequence[Dictionary],
    model: LanguageModel,
    text: Text,
    context_size: int,
    *,
    added: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """Everything that the numbers depend on.

    Args:
        config: What was asked for.
        dictionaries: The SAEs.
        model: The language model.
        text: The text.
        context_size: Tokens in a sequence.
        added: By SAE, latents that are collected though they were not chosen.
    """
    return {
        "saereport": __version__,
        "tables": {name: table.version for name, table in TABLES.items()},
        "config": config_record(config),
        "saes": [[d.slug, d.weights_sha256, d.hook_in.name] for d in dictionaries],
        "explanations": [_labels_digest(config, sae) for sae in config.saes],
        "prompts_file": _file_digest(config.prompts_file),
        "added": {slug: list(latents) for slug, latents in added.items()},
        "model": model.provenance,
        "text": text.provenance,
        "context_size": context_size,
    }


def digest(identity: dict[str, Any]) -> str:
    """SHA-256 of an identity, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


AFTER_READING = frozenset(
    {
        "map",
        "explanations",
        "evaluation_tokens",
        "prompts",
        "prompts_file",
        "circuits",
        "blind",
        "with_reveal",
    }
)
"""Settings that the pass over the text does not depend on."""


def of_reading(identity: dict[str, Any]) -> dict[str, Any]:
    """What the pass over the text depends on: not the labels, the map, the prompts, the blind."""
    config = {k: v for k, v in identity["config"].items() if k not in AFTER_READING}
    config["saes"] = [{**sae, "explanations": None} for sae in config["saes"]]
    return {**identity, "config": config, "explanations": None, "prompts_file": None}


def _labels_digest(config: BuildConfig, sae: SaeConfig) -> str:
    return _file_digest(sae.explanations or config.explanations)


def _file_digest(path: Path | None) -> str:
    """SHA-256 of a file's content; empty where there is none."""
    if path is None:
        return ""
    return hashlib.sha256(path.expanduser().read_bytes()).hexdigest()


def config_record(config: BuildConfig) -> dict[str, Any]:
    """The configuration as a run records it: no paths, and nothing that changes no number."""
    record = config.model_dump(
        mode="json",
        exclude={
            "batch_size": True,
            "profile_memory": True,
            "strict": True,
            "neuronpedia_embed": True,
            "title": True,
            "circuits": {"memory"},
        },
    )
    for sae in record["saes"]:
        for key in ("path", "explanations"):
            sae[key] = Path(sae[key]).resolve().name if sae[key] else None
    for key in ("dataset", "model", "explanations", "prompts_file"):
        if record[key] and Path(record[key]).exists():
            record[key] = Path(record[key]).resolve().name
    return dict(record)
