"""What the libraries say when a model cannot be loaded, as one sentence and one thing to do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch

from saereport.sources.folders import no_tokenizer
from saereport.sources.hub import is_offline
from saereport.sources.remote_code import untrusted
from saereport.util.errors import SaereportError, causes_of, did_you_mean

_LONGEST = 120


@contextlib.contextmanager
def loading(
    name: str, *, local: bool, known: Callable[[], dict[str, str]], architecture: str = ""
) -> Iterator[None]:
    """Turn the libraries' many ways to fail at loading into one sentence.

    Args:
        name: The model's name, for the messages.
        local: Whether it comes from this machine.
        known: Gives the names that TransformerLens knows, with the hub's for each.
        architecture: The name of the model's class, where known.
    """
    try:
        yield
    except (SaereportError, KeyboardInterrupt, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        for link in causes_of(error):
            if isinstance(link, SaereportError):
                raise link from error
        if (error_of_hub := None if local else _of_hub(name, error, known())) is not None:
            raise error_of_hub from error
        raise _of_files(name, error, architecture, local=local) from error


def _of_hub(name: str, error: Exception, known: dict[str, str]) -> SaereportError | None:
    """What the hub has to do with it; None for nothing."""
    chain = causes_of(error)
    kinds = [type(link).__name__ for link in chain]
    statuses = {getattr(getattr(link, "response", None), "status_code", None) for link in chain}
    official = known.get(name) or known.get(name.lower())
    # The hub's text for a missing repository speaks of gated ones, and Transformers' own text for
    # either of both: only the kinds of the errors tell them apart.
    if "GatedRepoError" in kinds or any(
        "You are trying to access a gated" in str(e) for e in chain
    ):
        return SaereportError(
            f"The model '{name}' is gated on the Hugging Face hub.",
            "Accept its licence there, then log in with `hf auth login` or set HF_TOKEN.",
        )
    if "RepositoryNotFoundError" in kinds or "HFValidationError" in kinds:
        hint = did_you_mean(name, known) or "Check the name; for a private one, `hf auth login`."
        return SaereportError(
            f"There is no model '{name}' on the Hugging Face hub, or it is private.", hint
        )
    if "RevisionNotFoundError" in kinds:
        return SaereportError(
            f"The model '{name}' has no such revision on the Hugging Face hub.",
            "Correct the revision.",
        )
    if 401 in statuses or 403 in statuses:
        return SaereportError(
            f"The Hugging Face hub does not let you read the model '{name}'.",
            "Log in with `hf auth login`, or set HF_TOKEN to a token that may.",
        )
    if is_offline(error):
        guess = "" if official else did_you_mean(name, known)
        return SaereportError(
            f"The model '{name}' is not in the Hugging Face cache, and the hub cannot be reached.",
            f"{guess} Fetch it where there is a network with `hf download "
            f"{official or name}` (HF_HOME says where the cache is, HF_HUB_OFFLINE=1 "
            f"forbids the network), or name a directory that holds it.",
        )
    if any("is not a local folder and is not a valid" in str(link) for link in chain):
        return SaereportError(
            f"There is no model '{name}' on the Hugging Face hub, or it is private.",
            did_you_mean(name, known),
        )
    return None


def _of_files(name: str, error: Exception, architecture: str, *, local: bool) -> SaereportError:
    """What a model's files, and the libraries that read them, have to do with it."""
    text = " ".join(str(link) for link in causes_of(error))
    kinds = {type(link).__name__ for link in causes_of(error)}
    where = f"The model '{name}'" + (f" ({architecture})" if architecture else "")
    lens, transformers = version("transformer-lens"), version("transformers")
    if "backend tokenizer" in text:
        return no_tokenizer(name)
    if "trust_remote_code" in text:
        return untrusted(name)
    if "Unrecognized" in text or "does not recognize this architecture" in text:
        return SaereportError(
            f"{where} is of a kind that Transformers {transformers} does not know.",
            "Install a later version of Transformers, if there is one that knows it.",
        )
    if "determine supported architecture" in text or "Unsupported architecture" in text:
        return SaereportError(
            f"{where} is of an architecture that TransformerLens {lens} does not know.",
            "Choose a model of another family.",
        )
    if "no file named" in text or "does not appear to have a file" in text:
        return SaereportError(
            f"{where} lacks weights that Transformers can read.",
            "Complete its folder: model.safetensors, or its parts and their index."
            if local
            else "Choose a repository that holds model.safetensors.",
        )
    if kinds & {"SafetensorError", "UnpicklingError", "JSONDecodeError"} or "JSON" in text:
        return SaereportError(
            f"{where} cannot be loaded: one of its files is damaged ({_short(error)}).",
            "Fetch it again.",
        )
    if _raised_in(error) == "transformer_lens":
        return SaereportError(
            f"{where} cannot be wrapped: TransformerLens {lens} does not fit what Transformers "
            f"{transformers} has for it.",
            "Another version of TransformerLens may fit; a later one is most likely to.",
        )
    if isinstance(error, ImportError):
        return SaereportError(f"{where} needs a package: {_short(error)}.", "Install it.")
    return SaereportError(
        f"{where} cannot be loaded with TransformerLens {lens} and Transformers {transformers} "
        f"({_short(error)}).",
        "Run again with --debug for the whole traceback.",
    )


def _raised_in(error: BaseException) -> str:
    """Which of the libraries that load models was at work when an error was raised."""
    last, trace = "", error.__traceback__
    while trace is not None:
        parts = Path(trace.tb_frame.f_code.co_filename).parts
        last = next((name for name in ("transformer_lens", "transformers") if name in parts), last)
        trace = trace.tb_next
    return last


def _short(error: BaseException) -> str:
    """An error's kind and the beginning of its text."""
    text = " ".join(str(error).split()).rstrip(".")
    text = text if len(text) <= _LONGEST else text[:_LONGEST].rpartition(" ")[0] + " …"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def folder_in_the_way(name: str, repo: str) -> SaereportError:
    """The error that says that a folder bears the name of a model on the hub."""
    return SaereportError(
        f"The folder '{repo}' here has the name of a model on the Hugging Face hub, and would be "
        f"read in its place.",
        f"Give --model ./{repo} to read the folder, or work in another folder to read "
        f"'{name}' from the hub.",
    )
