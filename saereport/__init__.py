"""saereport: static, self-contained HTML reports of sparse autoencoders of language models.

    import saereport

    run = saereport.collect({"saes": [...], "dataset": "..."}, "run")
    saereport.render(run, "report")

`collect` needs torch; `render`, `extract`, `open_report` and `open_run` do not. What they return
for a report displays itself in a notebook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from saereport.util.version import __version__ as __version__

if TYPE_CHECKING:
    from saereport.config.build import BuildConfig
    from saereport.diff import compare
    from saereport.pipeline.build import build, collect, plan
    from saereport.report.extracting import extract
    from saereport.report.rendering import render
    from saereport.report.report import Report, open_report
    from saereport.run import open_run
    from saereport.util.errors import SaereportError

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
    "plan",
    "render",
]

_HOMES = {
    "BuildConfig": "saereport.config.build",
    "Report": "saereport.report.report",
    "SaereportError": "saereport.util.errors",
    "build": "saereport.pipeline.build",
    "collect": "saereport.pipeline.build",
    "compare": "saereport.diff",
    "extract": "saereport.report.extracting",
    "open_report": "saereport.report.report",
    "open_run": "saereport.run",
    "plan": "saereport.pipeline.build",
    "render": "saereport.report.rendering",
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
