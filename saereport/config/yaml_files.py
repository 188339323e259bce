"""YAML that a person wrote: read as what it says, and refused where that is not plain.

PyYAML reads YAML 1.1, in which `010` is eight, `1:30` is ninety and `2024-13-45` an error inside
the library. Here numbers are decimal, nothing is a date, and a key stands once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from saereport.util.errors import SaereportError, UsageError, shortened
from saereport.util.untrusted import MIB

LARGEST = 4 * MIB
"""Bytes of the largest file that is read; a hundred thousand prompts take a prompts file."""

DEEPEST = 20
VALUES = 200_000
"""How deep settings may be nested, and how many values they may hold once references to the same
part are written out (ten lines can stand for billions)."""


_LEFT_OUT = ("timestamp", ":int", ":float")


class _Loader(yaml.SafeLoader):
    """YAML's plain values only: no dates, no octal, hexadecimal or sexagesimal numbers."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {  # noqa: RUF012
        first: [(tag, known) for tag, known in resolvers if not tag.endswith(_LEFT_OUT)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """A mapping, in which a key stands once."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{shortened(key.value, 40)}' stands there twice", key.start_mark
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]{1,30}\.[0-9]{0,30}(?:[eE][-+]?[0-9]{1,3})?$|[-+]?\.[0-9]{1,30}$"),
    list("-+.0123456789"),
)


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        SaereportError: There is no such file, or it cannot be read.
        UsageError: It is not YAML; says where and why, in one short line.
    """
    try:
        if not path.is_file() and path.exists():
            raise SaereportError(f"'{path}' is not a file.", "Name the YAML file itself.")
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise UsageError(
                f"'{path}' is larger than {LARGEST // MIB} MiB: is it a configuration?"
            )
        text = data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise SaereportError(
            f"There is no configuration file '{path}'.", "'saereport init' writes one."
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SaereportError(f"'{path}', line {line}: not UTF-8.", "Save it as UTF-8.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise SaereportError(f"'{path}' cannot be read: {reason or error}.") from error
    return parse_yaml(text, f"'{path}'")


def parse_yaml(text: str, where: str) -> Any:
    """The values of a YAML text.

    Args:
        text: The text.
        where: What to call it in messages.

    Raises:
        UsageError: It is not YAML, nested too deeply, or holds too much.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError as error:
        raise UsageError(f"{where} is nested too deeply to be a configuration.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not YAML: {_problem(error)}.") from error
    except (ValueError, TypeError, OverflowError, LookupError, AttributeError) as error:
        # What the constructors of odd tags raise: `!!int many`, `!!timestamp 2024-13-45`.
        raise UsageError(f"{where} is not YAML: {shortened(str(error), 160)}.") from error


def _problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    line = f"line {mark.line + 1}: " if mark is not None else ""
    return line + shortened(" ".join(str(problem).split()), 160).rstrip(".")


def exists(path: Path) -> bool:
    """Whether there is such a path; what cannot be a path does not exist."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def require_readable(values: Any, origin: str) -> None:
    """Refuse settings that are not text, nested without end, or too many.

    Raises:
        UsageError: The first such value is named.
    """
    for number, (where, value, depth) in enumerate(_walk(values, "", 0)):
        if depth > DEEPEST or number > VALUES:
            raise UsageError(
                f"{origin[:1].upper()}{origin[1:]} holds too much to be settings, at "
                f"'{shortened(where, 60)}'.",
                "'saereport init' writes an example.",
            )
        text = str(value) if isinstance(value, Path) else value
        if not isinstance(text, str):
            continue
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"'{shortened(where, 60)}' in {origin} is not UTF-8 text: it holds half a "
                f"character (U+{ord(text[error.start]):04X})."
            ) from error
        if "\0" in text:
            raise UsageError(f"'{shortened(where, 60)}' in {origin} holds a null character.")


def _walk(value: Any, where: str, depth: int) -> Iterator[tuple[str, Any, int]]:
    """Every value inside `value`, with its place, without recursion."""
    rest: list[tuple[str, Any, int]] = [(where, value, depth)]
    while rest:
        where, value, depth = rest.pop()
        yield where, value, depth
        prefix = f"{where}." if where else ""
        if depth > DEEPEST:
            continue
        if isinstance(value, dict):
            rest += [(f"{prefix}key", key, depth + 1) for key in value]
            rest += [(f"{prefix}{shortened(k, 40)}", v, depth + 1) for k, v in value.items()]
        elif isinstance(value, (list, tuple)):
            rest += [(f"{prefix}{i}", item, depth + 1) for i, item in enumerate(value)]
