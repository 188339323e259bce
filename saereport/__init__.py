"""saereport: static, self-contained HTML reports of sparse autoencoders of language models.

    import saereport

    run = saereport.collect({"saes": [...], "dataset": "..."}, "run")
    saereport.render(run, "report")

`collect` needs torch; `render`, `extract`, `open_report` and `open_run` do not. What they return
for a report displays itself in a notebook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from saereport.config import BuildConfig
    from saereport.diff import compare
    from saereport.errors import SaereportError
    from saereport.extracting import extract
    from saereport.notebook import Report, open_report
    from saereport.pipeline.build import build, collect
    from saereport.reports import render
    from saereport.run import open_run

__all__ = [
    "BuildConfig",
    "Report",
    "SaereportError",
    "build",
    "collect",
    "compare",
    "extract",
    "open_report",
    "open_run",
    "render",
]

_HOMES = {
    "BuildConfig": "saereport.config",
    "Report": "saereport.notebook",
    "SaereportError": "saereport.errors",
    "build": "saereport.pipeline.build",
    "collect": "saereport.pipeline.build",
    "compare": "saereport.diff",
    "extract": "saereport.extracting",
    "open_report": "saereport.notebook",
    "open_run": "saereport.run",
    "render": "saereport.reports",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that rendering never imports what collecting needs."""
    if name not in _HOMES:
        raise AttributeError(f"module 'saereport' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """What is for users, whether it was imported yet or not."""
    return sorted(["__version__", *__all__])
