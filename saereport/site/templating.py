"""The one way from templates to HTML: everything is escaped, and nothing may be undefined."""

from __future__ import annotations

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from saereport.site.assets import templates


def environment() -> Environment:
    """A Jinja environment over the package's templates.

    Raises:
        SaereportError: The installation is incomplete.
    """
    return Environment(
        loader=FileSystemLoader(templates()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
