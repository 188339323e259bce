"""Silence: keeps what the libraries print while they load off the user's terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep the libraries' banners, progress bars and advice off the user's terminal."""
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    level = logging.getLogger().level
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            logging.getLogger().setLevel(logging.ERROR)
            yield
    finally:
        logging.getLogger().setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()
