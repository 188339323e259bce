"""The panels of a latent's page, in the order in which they are shown.

To add one, write a module here with a function that takes a `Latent` and returns blocks (see
`saereport.site.blocks`), decorate it with `panel`, and name the module in `_MODULES`. The page,
the data files and the links to the methods page follow; no script and no template is needed.
"""

from __future__ import annotations

from importlib import import_module

from saereport.site.panels.registry import PANELS, Panel, panel

_MODULES = (
    "examples",
    "attribution",
    "activation",
    "logits",
    "tokens",
    "deembedding",
    "heads",
    "related",
    "pullbacks",
    "influences",
    "components",
    "through_heads",
    "geometry",
)

for _name in _MODULES:
    import_module(f"{__name__}.{_name}")

__all__ = ["PANELS", "Panel", "panel"]
