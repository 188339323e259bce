"""The one way from templates to HTML: everything is escaped, and nothing may be undefined."""

from __future__ import annotations

from types import CodeType

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket

from saereport.site.assets import templates


class _Compiled(BytecodeCache):
    """Compiled templates, kept in this process: compiling takes longer than filling them in."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Jinja asks for the code of a template; the checksum is of the template's text."""
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Jinja has compiled a template."""
        if bucket.code is not None:
            self._codes[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


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
        bytecode_cache=_COMPILED,
    )
