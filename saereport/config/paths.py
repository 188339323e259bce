"""Which settings are paths: told by the types of their fields, at any depth, and by nothing else.

Where `Path` stands in the type of a field, the value is one. A text that names something, or is a
path where there is such a file, says so: `Annotated[str | None, NAME_OR_PATH]`. So does a path in
place of which a name can stand, with these names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path, PurePath
from types import UnionType
from typing import (
    Annotated,
    Any,
    Final,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, RootModel


@dataclass(frozen=True)
class NameOrPath:
    """Marks a text that is a path where there is such a file, and else a name.

    Attributes:
        names: Texts that are names whatever files there are.
    """

    names: tuple[str, ...] = ("demo",)


NAME_OR_PATH: Final = NameOrPath()
PUBLISHED_LABELS: Final = Path("neuronpedia")
"""What stands in place of a file of labels to ask for those that Neuronpedia has published."""
LABELS: Final = NameOrPath((str(PUBLISHED_LABELS),))
"""A file or folder of labels, or the word for those that Neuronpedia has published."""

Change = Callable[[str, bool], str]
"""Takes what may be a path, and whether it certainly is one; gives what stands in its place."""


def with_paths(values: Any, kind: Any, change: Change) -> Any:
    """Plain values of settings, every path in them changed.

    What does not fit its type stays as it is: who reads the settings refuses it.

    Args:
        values: As YAML or JSON gives them, of bounded size (`yaml_files.require_readable`).
        kind: Their type: a pydantic model, or anything that can stand in the type of a field.
        change: What is done to a path.
    """
    return _changed(values, list(_alternatives(kind)), change)


_Kind = tuple[Any, NameOrPath | None]
"""A type that is no union, and how it is marked."""


def _changed(value: Any, kinds: list[_Kind], change: Change) -> Any:
    if not kinds:
        return value
    if isinstance(value, (str, Mapping)):
        # Where a list is asked for, what is none is its only item.
        kinds = [*kinds, *_at_place(kinds, 0)]
    if isinstance(value, str):
        if any(mark is not None and value in mark.names for _, mark in kinds):
            return value
        certain = any(isinstance(k, type) and issubclass(k, PurePath) for k, _ in kinds)
        possible = any(mark is not None for _, mark in kinds)
        return change(value, certain) if value.strip() and (certain or possible) else value
    if isinstance(value, Mapping):
        return {key: _changed(item, _at_key(kinds, key), change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_changed(item, _at_place(kinds, i), change) for i, item in enumerate(value)]
    return value


def _alternatives(kind: Any, mark: NameOrPath | None = None) -> Iterator[_Kind]:
    """The types of which a value may be."""
    if get_origin(kind) is Annotated:
        inner, *said = get_args(kind)
        yield from _alternatives(inner, _mark(said) or mark)
    elif get_origin(kind) in (Union, UnionType, Required, NotRequired):
        for one in get_args(kind):
            yield from _alternatives(one, mark)
    elif isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, RootModel):
        yield from _fields(kind).get("root", [])
    else:
        yield kind, mark


def _mark(said: Any) -> NameOrPath | None:
    return next((one for one in said if isinstance(one, NameOrPath)), None)


def _at_key(kinds: list[_Kind], key: Any) -> list[_Kind]:
    """The types of what a mapping holds under a key."""
    found: list[_Kind] = []
    for kind, _ in kinds:
        origin = get_origin(kind)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            found += _alternatives(get_args(kind)[1])
        elif isinstance(kind, type) and origin is None:
            found += _fields(kind).get(key, [])
    return found


def _at_place(kinds: list[_Kind], place: int) -> list[_Kind]:
    """The types of what a list holds at a place."""
    found: list[_Kind] = []
    for kind, _ in kinds:
        origin: Any = get_origin(kind)
        inner = get_args(kind)
        if origin is tuple and Ellipsis not in inner:
            found += _alternatives(inner[place]) if place < len(inner) else ()
        elif isinstance(origin, type) and not issubclass(origin, Mapping) and inner:
            found += _alternatives(inner[0])
    return found


def _fields(kind: type) -> dict[str, list[_Kind]]:
    """The types of what a mapping holds that is read as this class, by key."""
    if issubclass(kind, BaseModel):
        return {
            key: list(_alternatives(field.annotation, _mark(field.metadata)))
            for name, field in kind.model_fields.items()
            for key in {name, field.alias, field.validation_alias}
            if isinstance(key, str)
        }
    # A `TypedDict` is a subclass of `dict`.
    if is_dataclass(kind) or (issubclass(kind, dict) and kind is not dict):
        hints = get_type_hints(kind, include_extras=True)
        return {name: list(_alternatives(hint)) for name, hint in hints.items()}
    return {}
