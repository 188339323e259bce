"""The Content-Security-Policy of every page: own scripts and styles only, and no connection."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

EMPTY_STYLE = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
"""Hash of the empty string: Plotly adds an empty style element and fills it by script."""

POLICY = (
    "default-src 'none'; script-src 'self'; "
    f"style-src 'self' '{EMPTY_STYLE}'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


EMBED = "; frame-src https://www.neuronpedia.org"


def policy(*, embed_neuronpedia: bool) -> str:
    """The policy; with the opt-in embed it allows one host to be framed, after a click."""
    return POLICY + (EMBED if embed_neuronpedia else "")


def single_policy(*, scripts: Iterable[str], styles: Iterable[str], embed_neuronpedia: bool) -> str:
    """The policy of a report in one file: only the scripts and styles with these hashes act.

    Args:
        scripts: `sha256-...` of each script that may run.
        styles: The same of each style.
        embed_neuronpedia: As for `policy`.
    """
    quoted = [" ".join(f"'{value}'" for value in values) for values in (scripts, styles)]
    return (
        f"default-src 'none'; script-src {quoted[0]}; style-src {quoted[1]}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    ) + (EMBED if embed_neuronpedia else "")


def digest(text: str) -> str:
    """The hash by which a policy names a script or style that is part of the page."""
    found = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(found).decode("ascii")
