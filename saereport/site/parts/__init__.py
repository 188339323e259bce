"""The parts of a report, in a registry.

To add one, write a module that calls `register` with a `Part` (see `registry`): here and named in
`_MODULES`, or in another package that has an entry point of the group `saereport.parts`. The
navigation, the help, reserved names, the single file, the checks before publishing and the tests
of accessibility follow; a page that is a list of panels needs no template and no script.
"""

from __future__ import annotations

from importlib import import_module

from saereport.site.parts.registry import (
    Data,
    Download,
    Entry,
    Item,
    Key,
    Page,
    PageKind,
    Part,
    page_folders,
    page_kinds,
    parts,
    parts_of,
    register,
)

_MODULES = (
    *(
        "overview",
        "saes",
        "evaluation",
        "capability",
        "geometry",
        "meta",
        "lens",
        "probing",
        "bias",
        "absorption",
        "circuits",
        "steering",
        "output_scores",
        "compare",
    ),
    *("methods", "provenance", "text", "shared"),
)

for _name in _MODULES:
    import_module(f"{__name__}.{_name}")

__all__ = [
    "Data",
    "Download",
    "Entry",
    "Item",
    "Key",
    "Page",
    "PageKind",
    "Part",
    "page_folders",
    "page_kinds",
    "parts",
    "parts_of",
    "register",
]
