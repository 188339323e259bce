"""What can be told of meta-SAEs without loading them, and without torch."""

from __future__ import annotations

from pathlib import Path

from saereport.config.meta import MetaSaeConfig
from saereport.sources.folders import SaeFacts, look_at_release, look_at_sae
from saereport.util.errors import SaereportError

NAMES = ("*.json", "*.safetensors", "*.pt")
"""Files of an SAE's folder on which what it computes may depend."""


def facts_of(asked: MetaSaeConfig) -> SaeFacts:
    """What is known of a meta-SAE without torch.

    Raises:
        SaereportError: It is not there, or is a transcoder.
    """
    if asked.path is not None:
        found = look_at_sae(asked.path.expanduser(), asked.slug)
    else:
        found = look_at_release(str(asked.release), str(asked.sae_id), asked.slug)
    if found.is_transcoder:
        raise is_a_transcoder(asked)
    return found


def is_a_transcoder(asked: MetaSaeConfig) -> SaereportError:
    """The error for a meta-SAE that does not write where it reads."""
    return SaereportError(
        f"{asked.label} is a transcoder, which gives no decoder row back as a sum.",
        f"Name an SAE that was trained on the decoder rows of '{asked.of}'.",
    )


def require_width(asked: MetaSaeConfig, d_in: int | None, d_out: int | None) -> None:
    """Refuse a meta-SAE of another width than the decoder rows of its base; None is not known.

    Raises:
        SaereportError: They differ; names both.
    """
    if d_in is not None and d_out is not None and d_in != d_out:
        raise SaereportError(
            f"The meta-SAE {asked.label} reads {d_in:,} numbers, and a decoder row of "
            f"'{asked.of}' has {d_out:,}.",
            "Name the SAE on whose decoder rows it was trained.",
        )


def files_of(folder: Path) -> list[Path]:
    """The files of an SAE's folder, by name."""
    found = {file for name in NAMES for file in folder.glob(name) if file.is_file()}
    return sorted(found)
