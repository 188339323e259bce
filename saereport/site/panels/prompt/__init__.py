"""The panels of a prompt's page: what the model says next, which latents are active, and why.

To add one for a new table of prompts, write a module here with a function that takes a
`PromptView` and returns blocks, decorate it with `prompt_panel`, and name the module in `_MODULES`.
"""

from __future__ import annotations

from importlib import import_module

_MODULES = (
    "answer",
    "next_tokens",
    "activations",
    "maps",
    "interventions",
    "checks",
    "induction",
    "heads",
    "patterns",
    "components",
    "influences",
    "raw",
)

for _name in _MODULES:
    import_module(f"{__name__}.{_name}")
