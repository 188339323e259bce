"""The Content-Security-Policy of every page: own scripts and styles only, and no connection."""

from __future__ import annotations

EMPTY_STYLE = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
"""Hash of the empty string: Plotly adds an empty style element and fills it by script."""

POLICY = (
    "default-src 'none'; script-src 'self'; "
    f"style-src 'self' '{EMPTY_STYLE}'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


def policy(*, embed_neuronpedia: bool) -> str:
    """The policy; with the opt-in embed it allows one host to be framed, after a click."""
    return POLICY + ("; frame-src https://www.neuronpedia.org" if embed_neuronpedia else "")
