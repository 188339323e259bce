"""The one way from templates to HTML: everything is escaped, and nothing may be undefined."""

from __future__ import annotations

import re
from types import CodeType

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from saereport.site.aligning import lined_up
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
_CODE = re.compile(r"`([^`]+)`")
_JOINT = re.compile(r"(?<=\w[._/])(?=[^\W\d_])")


def coded(text: str) -> Markup:
    """A text in which names of columns stand between backticks, as our definitions write them."""
    pieces = _CODE.split(text)
    made = (Markup("<code>{}</code>" if i % 2 else "{}").format(p) for i, p in enumerate(pieces))
    return Markup("").join(made)


def breakable(text: str) -> Markup:
    """A text that a narrow column may break after the dots of a long name, before its letters."""
    return Markup("<wbr>").join(_JOINT.split(text))


def environment() -> Environment:
    """A Jinja environment over the package's templates.

    Raises:
        SaereportError: The installation is incomplete.
    """
    made = Environment(
        loader=FileSystemLoader(templates()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        bytecode_cache=_COMPILED,
    )
    made.globals["lined_up"] = lined_up
    made.filters["coded"] = coded
    made.filters["breakable"] = breakable
    return made
