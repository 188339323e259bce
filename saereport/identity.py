"""What a run is of: the identity of everything that its numbers depend on.

Equal identities give equal numbers, so a finished run or a checkpoint of the same identity can be
used again. Paths are left out, and so is what changes no number (batch size, title, profiling).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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
) -> dict[str, Any]:
    """Everything that the numbers depend on."""
    return {
        "saereport": __version__,
        "tables": {name: table.version for name, table in TABLES.items()},
        "config": config_record(config),
        "saes": [[d.slug, d.weights_sha256, d.hook_in.name] for d in dictionaries],
        "explanations": [_labels_digest(config, sae) for sae in config.saes],
        "model": model.provenance,
        "text": text.provenance,
        "context_size": context_size,
    }


def digest(identity: dict[str, Any]) -> str:
    """SHA-256 of an identity, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


def of_reading(identity: dict[str, Any]) -> dict[str, Any]:
    """What the pass over the text depends on: everything but the labels and the map."""
    config = {k: v for k, v in identity["config"].items() if k not in ("map", "explanations")}
    config["saes"] = [{**sae, "explanations": None} for sae in config["saes"]]
    return {**identity, "config": config, "explanations": None}


def _labels_digest(config: BuildConfig, sae: SaeConfig) -> str:
    path = sae.explanations or config.explanations
    if path is None:
        return ""
    return hashlib.sha256(path.expanduser().read_bytes()).hexdigest()


def config_record(config: BuildConfig) -> dict[str, Any]:
    """The configuration as a run records it: no paths, and nothing that changes no number."""
    record = config.model_dump(
        mode="json", exclude={"batch_size", "profile_memory", "neuronpedia_embed", "title"}
    )
    for sae in record["saes"]:
        for key in ("path", "explanations"):
            sae[key] = Path(sae[key]).resolve().name if sae[key] else None
    for key in ("dataset", "model", "explanations"):
        if record[key] and Path(record[key]).exists():
            record[key] = Path(record[key]).resolve().name
    return dict(record)
