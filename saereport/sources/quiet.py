"""What the libraries say while they load: kept off the user's terminal, but not thrown away.

Inside `quietly` nothing reaches the terminal; what was a warning is heard by whoever is
`listening`, once, cut to a sentence, and with the name of the library that said it. Banners,
progress bars, and advice to programmers that this program already follows are left out.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from saereport.util.visible import visible_text

LONGEST = 280
"""Characters of a sentence that is kept."""

_NAMES = {
    "sae_lens": "SAELens",
    "transformer_lens": "TransformerLens",
    "transformers": "Transformers",
    "huggingface_hub": "huggingface_hub",
    "datasets": "datasets",
    "torch": "PyTorch",
}

# What is said to programmers, and not about what is being loaded.
_FOR_PROGRAMMERS = (DeprecationWarning, PendingDeprecationWarning, ResourceWarning, ImportWarning)

_BANNERS = re.compile(
    r"This SAE has non-empty model_from_pretrained_kwargs"  # they are heeded
    r"|norm_scaling_factor not found for"  # such an SAE is refused
    r"|summing all decoders together"  # said in this program's own words
    r"|is deprecated|will be deprecated|is being deprecated"
    r"|generation flags are not valid"  # nothing is generated
    r"|unauthenticated requests to the HF Hub"
    r"|loading checkpoint shards"
    r"|Loaded pretrained model|Moving model to device|Changing model dtype",
    re.IGNORECASE,
)
_WARNS = re.compile(r"\W*warn(ing)?\b[\s:\-]*", re.IGNORECASE)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Said:
    """A warning of a library, or of this program about what it loads.

    Attributes:
        text: One sentence, or a few of this program's own.
        source: Who says so.
        sanity: Whether the numbers are probably about something else than they seem to be about.
    """

    text: str
    source: str = "saereport"
    sanity: bool = False


_listeners: list[dict[Said, None]] = []


@contextlib.contextmanager
def listening() -> Iterator[dict[Said, None]]:
    """Hear what libraries say inside `quietly` while this is open: in order, each thing once."""
    heard: dict[Said, None] = {}
    _listeners.append(heard)
    try:
        yield heard
    finally:
        # By identity: two listeners that heard the same are equal.
        del _listeners[next(i for i, other in enumerate(_listeners) if other is heard)]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep the libraries off the user's terminal; what they warn of goes to the listeners."""
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    printed = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(printed),
            _ears(),
        ):
            warnings.simplefilter("always")
            warnings.showwarning = _on_warning
            yield
    finally:
        if bars:
            transformers_logging.enable_progress_bar()
        for line in printed.getvalue().splitlines():
            if start := _WARNS.match(line):
                _hear(line[start.end() :], "a library")


def _hear(message: str, source: str) -> None:
    said = Said(sentence(message), source)
    if not said.text or _BANNERS.search(" ".join(message.split())):
        return
    for heard in _listeners:
        heard[said] = None


def sentence(message: str) -> str:
    """The first sentence of a message as one visible line, of at most `LONGEST` characters."""
    line = " ".join(visible_text(_ANSI.sub("", message)).split())
    line = _WARNS.sub("", line, count=1) if _WARNS.match(line) else line
    # A full stop in a name or a number ends no sentence, nor does one after a word or two.
    end = re.search(r"(?<=.{24}[a-z0-9)'\"`][.!])\s+(?=[A-Z`'\"(])", line)
    line = line[: end.start()] if end else line
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _on_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    if issubclass(category, _FOR_PROGRAMMERS):
        return
    parts = re.split(r"[\\/]", filename)
    _hear(str(message), next((_NAMES[part] for part in parts if part in _NAMES), "a library"))


class _Ears(logging.Handler):
    """Takes the place of a logger's own handlers."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        top = record.name.partition(".")[0]
        try:
            message = record.getMessage()
        except Exception:  # a library's own mistake in a format
            message = str(record.msg)
        # TransformerLens logs to the root.
        source = "TransformerLens" if top == "root" else _NAMES.get(top, top)
        _hear(message, source)


@contextlib.contextmanager
def _ears() -> Iterator[None]:
    """Let no logger write anything; listen to the root, and to those that keep to themselves."""
    known = [
        logger
        for logger in logging.root.manager.loggerDict.values()
        if isinstance(logger, logging.Logger) and (logger.handlers or not logger.propagate)
    ]
    before = [(logger, list(logger.handlers), logger.level) for logger in (logging.root, *known)]
    ears = _Ears()
    try:
        for logger, _, level in before:
            # Libraries silence one another.
            logger.setLevel(min(level, logging.WARNING))
            silent = logger is not logging.root and logger.propagate
            logger.handlers = [] if silent else [ears]
        yield
    finally:
        for logger, handlers, level in before:
            logger.handlers = handlers
            logger.setLevel(level)
