"""Addresses in a style sheet: `url(...)`, `src(...)` and `@import`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tinycss2

from saereport.publish.page import Reference

_ADDRESSES = frozenset({"url", "src", "image-set", "-webkit-image-set"})
"""Functions in which a string is an address."""


def style_references(text: str, first_line: int = 1) -> Iterator[Reference]:
    """Every address in a style sheet, as browsers read it, in order.

    Args:
        text: The sheet.
        first_line: The line on which it begins in its file.
    """
    # What stands in brackets is looked into when its turn comes, without recursion: a sheet can
    # nest as deep as it is long.
    waiting: list[Any] = tinycss2.parse_component_value_list(text, skip_comments=True)[::-1]
    importing = False
    while waiting:
        token = waiting.pop()
        line = first_line + token.source_line - 1
        if token.type == "url":
            yield Reference(line, "css", "@import" if importing else "url", token.value)
        elif token.type == "string" and importing:
            yield Reference(line, "css", "@import", token.value)
        elif token.type == "function":
            inside = token.arguments
            if token.lower_name in _ADDRESSES:
                for argument in inside:
                    if argument.type == "string":
                        kind = "@import" if importing else "url"
                        yield Reference(line, "css", kind, argument.value)
            waiting += inside[::-1]
        elif token.type in ("() block", "[] block", "{} block"):
            waiting += token.content[::-1]
        if token.type != "whitespace":
            importing = token.type == "at-keyword" and token.lower_value == "import"
