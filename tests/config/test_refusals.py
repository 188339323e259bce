"""What is refused of the settings is said without words of Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from saereport.config.build import config_class, make_config
from saereport.util.errors import UsageError

WRONG: tuple[Any, ...] = (
    *(3, 1.5, -1, True, None, "nonsense", "", 10**30, float("nan")),
    *([], [3], [None], [[1]], {}, {"a": 1}, [{"a": 1}], ["a", "b", "c"]),
)
PYTHON = re.compile(
    r"tuple|\bdict|integer|\bint\b|NoneType|\bstr\b|string|boolean|class|instance|pathlib|pars"
    r"|Input|Field|\[lax|function-|validat|Config\b",
)
Wrap = Callable[[Any], dict[str, Any]]


def sections(model: type[BaseModel], wrap: Wrap) -> Iterator[tuple[type[BaseModel], Wrap]]:
    """A model, and those that lie inside it, alone or in a list, at any depth."""
    yield model, wrap
    for name, field in model.model_fields.items():
        for kind in _kinds(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                listed = "tuple" in str(field.annotation)

                def inside(values: Any, name: str = name, listed: bool = listed) -> Any:
                    return wrap({name: [values] if listed else values})

                yield from sections(kind, inside)


def _kinds(annotation: Any) -> Iterator[Any]:
    yield annotation
    for one in get_args(annotation):
        yield from _kinds(one)


def test_no_setting_is_refused_in_words_of_python() -> None:
    said = set()
    for model, wrap in sections(config_class(), lambda values: values):
        for name in model.model_fields:
            for value in WRONG:
                try:
                    make_config(wrap({name: value}))
                except UsageError as error:
                    # What was given is repeated as it is.
                    text = str(error)
                    place = text.partition(" cannot be ")[0]
                    said.add((place, text.rpartition(": ")[2] if " cannot be " in text else text))
    assert len(said) > 300
    assert [one for one in said if PYTHON.search(" ".join(one))] == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steering": {"strengths": 3}}, "'steering.strengths' in X cannot be 3: it is a list."),
        ({"probing": 3}, "'probing' in X cannot be 3: it holds settings, each as 'name: value'."),
        ({"workers": "many"}, "'workers' in X cannot be 'many': it is a whole number."),
        ({"bias": 3}, "'bias' in X cannot be 3: it is a path."),
        ({"probe": [None]}, "'probe.0' in X cannot be None: it is a path."),
        ({"steering": {"directions": [{}]}}, "'steering.directions.0.name' is missing in X."),
        (
            {"bias_test": {"goes_with": ["a", "b", "c"]}},
            "'bias_test.goes_with' in X cannot be ['a', 'b', 'c']: it has 2 entries at most.",
        ),
        (
            {"absorption_test": {"letters": [3]}},
            "'absorption_test.letters' in X cannot be [3]: these are letters a to z, at least two.",
        ),
    ],
)
def test_it_says_what_a_setting_is(values: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_config(values, origin="X")
    assert caught.value.message == message
