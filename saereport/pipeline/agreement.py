"""Whether SAEs can share a report: one model, one pass over the text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from saereport.pipeline.warned import Warned
from saereport.sources.demo import DEMO_MODEL_NAME
from saereport.sources.saes.config import LIMITS
from saereport.sources.saes.names import same_model
from saereport.sources.saes.sae import Sae
from saereport.util.errors import SaereportError
from saereport.util.untrusted import content, parse_json


def named_model(saes: Sequence[Sae]) -> str:
    """The model that the SAEs' metadata name, where nothing speaks against it.

    Raises:
        SaereportError: They name none, what is said elsewhere contradicts them, or a folder of
            that name lies here; the user is to say which is meant.
    """
    first = saes[0]
    for sae in saes:
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


def check_named(name: str, saes: Sequence[Sae], warned: Warned) -> None:
    """Warn, once, where the model that the user named is another than the SAEs' metadata name.

    Args:
        name: What the user named: a model of the hub, a folder, a GGUF file, or `demo`.
        saes: The SAEs.
        warned: Takes the warning.
    """
    called = _called(name)
    for sae in saes:
        if sae.model_name and not any(same_model(one, sae.model_name) for one in called):
            warned.add(
                f"The model is '{called[0]}', as was asked for; the metadata of the SAE name "
                f"'{sae.model_name}'.",
                about=sae.slug,
            )
            return


def _called(name: str) -> list[str]:
    """What a model may be known by; a folder by its place in a cache and its configuration too."""
    path = Path(name).expanduser()
    if name == "demo":
        return [name, DEMO_MODEL_NAME]
    if not path.exists():
        return [name]
    place = path.resolve()
    parts = [part.rpartition("--")[2] for part in place.parts if part.startswith("models--")]
    stems = [place.stem, place.stem.partition(".")[0]] if path.is_file() else []
    config: Any = None
    if (path / "config.json").is_file():
        try:
            config = parse_json(content(path / "config.json", LIMITS), "config.json", LIMITS)
        except SaereportError:  # loading has more to say about it
            config = None
    said = config.get("_name_or_path") if isinstance(config, dict) else None
    return [place.name, *stems, *parts, *([said] if isinstance(said, str) and said else [])]


def check_together(saes: Sequence[Sae], *, named: bool) -> None:
    """Check that the SAEs want the same model, loaded in the same way, and the same text.

    Args:
        saes: The SAEs of the report.
        named: Whether the user named the model, which then is that of all.

    Raises:
        SaereportError: Two of them do not; says in what they differ.
    """
    first = saes[0]
    for other in saes[1:]:
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
