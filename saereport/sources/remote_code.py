"""Code that comes with a model: it runs where the user said so, and nowhere else.

Transformers runs a repository's own Python files where it is asked to trust them. The asking is
spread over several libraries, and TransformerLens asks by itself for some names; so what is closed
here is the one door through which all of that code comes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from saereport.util.errors import SaereportError


@contextlib.contextmanager
def remote_code(*, allowed: bool, name: str) -> Iterator[None]:
    """Inside this, no repository's code is run unless it is `allowed`.

    Args:
        allowed: Whether the user trusts it.
        name: What is being loaded, for the message.

    Raises:
        SaereportError: Something asked for such code, and it is not allowed.
    """
    from transformers import dynamic_module_utils

    if allowed:
        yield
        return
    doors = ("get_class_in_module", "get_cached_module_file")
    before = {door: getattr(dynamic_module_utils, door) for door in doors}

    def refuse(*_: Any, **__: Any) -> None:
        raise untrusted(name)

    try:
        for door in doors:
            setattr(dynamic_module_utils, door, refuse)
        yield
    finally:
        for door, function in before.items():
            setattr(dynamic_module_utils, door, function)


def untrusted(name: str) -> SaereportError:
    """The error that says that a model can only be loaded with code of its repository."""
    return SaereportError(
        f"The model '{name}' can only be loaded by running Python code of its repository.",
        "If you have read that code and trust it, give --trust-remote-code.",
    )
