"""The panels of a latent's page, in the order in which they are shown, and those of a prompt's.

To add one, write a module here with a function that takes a `Latent` and returns blocks (see
`saereport.site.blocks`), decorate it with `panel`, and name the module in `_MODULES`; one for
prompts goes into `prompt/`. The page, the data files and the links to the methods page follow; no
script and no template is needed.
"""

from __future__ import annotations

from importlib import import_module

from saereport.site.panels.registry import (
    PANELS,
    PROMPT_PANELS,
    Panel,
    panel,
    prompt_panel,
    register,
)

_MODULES = (
    "examples",
    "attribution",
    "activation",
    "logits",
    "output_score",
    "intervened",
    "token_sets",
    "write_layers",
    "tokens",
    "deembedding",
    "heads",
    "related",
    "pullbacks",
    "influences",
    "components",
    "through_heads",
    "layers",
    "made_of",
    "geometry",
    "prompt",
    "raw",
)

for _name in _MODULES:
    import_module(f"{__name__}.{_name}")

__all__ = ["PANELS", "PROMPT_PANELS", "Panel", "panel", "prompt_panel", "register"]
