"""Whether SAEs can share a report: one model, one pass over the text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from saereport.errors import SaereportError
from saereport.sources.saes import Dictionary


def named_model(dictionaries: Sequence[Dictionary]) -> str:
    """The model that the SAEs' metadata name, where nothing speaks against it.

    Raises:
        SaereportError: They name none, what is said elsewhere contradicts them, or a folder of
            that name lies here; the user is to say which is meant.
    """
    first = dictionaries[0]
    for sae in dictionaries:
        if sae.model_doubt:
            raise SaereportError(f"{sae.slug}: {sae.model_doubt}", "Name the model with --model.")
    name = first.model_name
    if name is None:
        raise SaereportError(
            f"The metadata of the SAE {first.slug} names no model.", "Give one with --model."
        )
    if name != "demo" and Path(name).is_dir():
        raise SaereportError(
            f"The metadata of the SAE {first.slug} name the model '{name}', and there is a folder "
            f"of that name here.",
            f"Say which is meant with --model: ./{name} is the folder.",
        )
    return name


def check_together(dictionaries: Sequence[Dictionary], *, named: bool) -> None:
    """Check that the SAEs want the same model, loaded in the same way, and the same text.

    Args:
        dictionaries: The SAEs of the report.
        named: Whether the user named the model, which then is that of all.

    Raises:
        SaereportError: Two of them do not; says in what they differ.
    """
    first = dictionaries[0]
    for other in dictionaries[1:]:
        if not named and other.model_name != first.model_name:
            raise SaereportError(
                f"The SAE {first.slug} was trained on {first.model_name} and {other.slug} on "
                f"{other.model_name}; one report is about one model.",
                "Make two reports, or name the model with --model.",
            )
        if other.separator != first.separator:
            raise SaereportError(
                f"The SAEs {first.slug} and {other.slug} want different tokens between documents "
                f"({first.separator} and {other.separator}); one pass cannot serve both.",
                "Make two reports.",
            )
        if other.model_kwargs != first.model_kwargs:
            raise SaereportError(
                f"The SAEs {first.slug} and {other.slug} ask for the model to be loaded in "
                f"different ways ({first.model_kwargs} and {other.model_kwargs}).",
                "Make two reports.",
            )
