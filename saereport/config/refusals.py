"""Why a setting is refused, in the words of who wrote it: no types of Python, no names of classes.

Who reads a setting wrote YAML, an option or keyword arguments, and need not know that a list is
held as a tuple. What the settings' own checks say is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from saereport.util.errors import UsageError, did_you_mean, shortened

RENAMED: Final = {"evaluation_tokens": "evaluate"}
"""Settings that were called otherwise, and what they are called now."""

_LIST, _SETTINGS = "it is a list", "it holds settings, each as 'name: value'"
_WHOLE, _NUMBER, _PATH = "it is a whole number", "it is a number", "it is a path"
_WORDS: Final = {
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), _LIST),
    **dict.fromkeys(("dict_type", "mapping_type"), "it holds names, each as 'name: value'"),
    **dict.fromkeys(("model_type", "model_attributes_type", "dataclass_type"), _SETTINGS),
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), "it is yes or no"),
    **dict.fromkeys(("path_type", "is_instance_of"), _PATH),
    "finite_number": "it is a finite number",
    "string_type": "it is text",
}
"""What a setting is, by pydantic's type of error."""
_SIZES: Final = {
    "string_too_short": ("min_length", "it has {} characters at least"),
    "string_too_long": ("max_length", "it has {} characters at most"),
    "too_short": ("min_length", "it has {} entries at least"),
    "too_long": ("max_length", "it has {} entries at most"),
}
_KIND = re.compile(
    r"(int|float|str|bool|none|date|datetime)$|(tuple|list|dict|set|literal|nullable|union"
    r"|(function|constrained|lax|json|is|chain|definition|model|tagged)-?[\w-]*)\["
)
"""What stands in the place of an error for one of several kinds that a value may be of."""


def refusal(
    error: ValidationError, origin: str, asked: type[BaseModel], given: Collection[str] = ()
) -> UsageError:
    """What is wrong with the first setting that is, and where it was written.

    Args:
        error: What reading the settings raised.
        origin: Where they come from.
        asked: The settings.
        given: Places of settings, with dots, that the command line gives, whatever the others.
    """
    first = error.errors(include_url=False)[0]
    place = [part for part in first["loc"] if isinstance(part, int) or not _KIND.match(part)]
    names = [part for part in place if isinstance(part, str)]
    dotted = ".".join(names)
    if any(f"{dotted}.".startswith(f"{one}.") for one in given):
        origin = "the command line"
    where = shortened(".".join(str(part) for part in place))
    if first["type"] == "extra_forbidden":
        *outer, last = names
        if not outer and last in RENAMED:
            said = f"It is called '{RENAMED[last]}' now."
            return UsageError(f"'{where}' in {origin} is not a setting.", said)
        known = _inside(asked, outer).model_fields
        return UsageError(f"'{where}' in {origin} is not a setting.", did_you_mean(last, known))
    if first["type"] == "missing":
        return UsageError(f"'{where}' is missing in {origin}.")
    value = first["input"]
    shown = f"'{shortened(value)}'" if isinstance(value, str) else shortened(value)
    return UsageError(f"'{where}' in {origin} cannot be {shown}: {_reason(first)}.")


def _reason(first: Any) -> str:
    """Why a value is refused, as a clause."""
    if first["type"] in _WORDS:
        return _WORDS[first["type"]]
    if first["type"] in _SIZES:
        bound, words = _SIZES[first["type"]]
        return words.format(first["ctx"][bound]).replace("1 characters", "1 character")
    return shortened(re.sub(r"^(Value error, |Input )", "", first["msg"]), 200)


def _inside(model: type[BaseModel], names: list[str]) -> type[BaseModel]:
    """The settings that lie inside these of a model, one in the other."""
    for name in names:
        if name not in model.model_fields:
            # A key of a mapping, or one of several kinds that a value may be of.
            continue
        kinds = [model.model_fields[name].annotation]
        while kinds:
            kind = kinds.pop()
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                model = kind
                break
            kinds += get_args(kind)
    return model
