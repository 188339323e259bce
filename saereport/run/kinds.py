"""What the values of a column are: the kinds, each with what may stand there.

A kind is data (no function is stored in it), so that the published schema and `run.json` can say
it. Everything that is done with a column follows from its kind: what is refused when a run is
read, which tokens and sequences a run must describe, which rows a cut keeps, what a page links to,
and what tests put there. Add a kind here where none of these says what a column holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, ClassVar, Final

from saereport.util.slugs import SLUG
from saereport.util.untrusted import TOKEN_IDS

TOKENS: Final = TOKEN_IDS
"""Token ids lie below."""
LATENTS: Final = 2**24
"""Latents of one SAE at most."""
POSITIONS: Final = 2**20
"""Tokens of one sequence or prompt at most."""
PROMPTS: Final = 2**20
COUNT: Final = 2**53
"""Whole numbers up to here are exact in double precision, as JSON is often read."""
PARTS: Final = 4096
"""Layers of a model, and heads of a layer, at most."""
WORDS: Final = 1024
"""Words of which one may stand in a column, at most."""
LARGEST: Final = 1e30
"""Larger numbers are no measurement, and their squares no longer fit a single-precision float."""


@dataclass(frozen=True)
class Kind:
    """What a column's values, or the entries of its lists, are.

    Attributes:
        name: How the schema calls it.
        form: What it is stored as: `whole`, `real`, `text`, `bytes` or `flag`.
    """

    name: ClassVar[str]
    form: ClassVar[str] = "whole"
    span: ClassVar[tuple[float, float]] = (0, COUNT)

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest number that may stand there."""
        return self.span


@dataclass(frozen=True)
class _OrNone(Kind):
    """A whole number from 0, or -1 where `or_none` says that there may be none."""

    or_none: bool = False
    last: ClassVar[int] = COUNT

    @property
    def bounds(self) -> tuple[float, float]:
        """From 0, or from -1, to `last`."""
        return (-1 if self.or_none else 0, self.last)


@dataclass(frozen=True)
class Token(_OrNone):
    """A token's id in the vocabulary; the run describes every token that it names so."""

    name = "token"
    last = TOKENS - 1


@dataclass(frozen=True)
class When:
    """Rows in which a column of words holds one of these."""

    column: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Latent(_OrNone):
    """A latent's number.

    Attributes:
        of: The column that names its SAE; empty for the SAE that the table is about.
        token_when: Rows in which the number is a token's id instead.
        shown_only: Whether only latents that the report shows have rows, so that a cut leaves out
            the rows of others.
    """

    name = "latent"
    last = LATENTS - 1
    of: str = ""
    token_when: When | None = None
    shown_only: bool = False


@dataclass(frozen=True)
class TextRef(_OrNone):
    """The number of a text, whose tokens are in the table `home`."""

    home: ClassVar[str]


@dataclass(frozen=True)
class Sequence(TextRef):
    """The number of a packed sequence of the text."""

    name = "sequence"
    home = "sequences"


@dataclass(frozen=True)
class Prompt(TextRef):
    """The number of a prompt."""

    name = "prompt"
    home = "prompts"
    last = PROMPTS


@dataclass(frozen=True)
class Position(Kind):
    """A place in a text, from 0, which must lie in it.

    Attributes:
        text: The column with the text's number; empty where the row itself is the text.
        rising: Whether the entries of a list rise.
        window: The columns with the first place around it, and with the place after the last.
    """

    name = "position"
    text: str = ""
    rising: bool = False
    window: tuple[str, ...] = ()
    span = (0, POSITIONS - 1)


@dataclass(frozen=True)
class Stop(Kind):
    """The place after the last one of a window in the text that the column `text` names."""

    name = "stop"
    text: str = ""
    span = (0, POSITIONS)


@dataclass(frozen=True)
class Offset(Kind):
    """A place, counted back from another: 0 is that place, -1 the token before."""

    name = "offset"
    span = (-POSITIONS, 0)


@dataclass(frozen=True)
class TextPlace(Kind):
    """A place in the whole text: sequence times context size plus position."""

    name = "text_place"


@dataclass(frozen=True)
class Document(_OrNone):
    """The number of a document of the text; -1 for what is of none."""

    name = "document"
    or_none: bool = True


@dataclass(frozen=True)
class Layer(_OrNone):
    """A layer of the model."""

    name = "layer"
    last = PARTS


@dataclass(frozen=True)
class Head(_OrNone):
    """An attention head of a layer."""

    name = "head"
    last = PARTS


@dataclass(frozen=True)
class Node(Kind):
    """A node of the attribution graph on the row's prompt."""

    name = "node"


@dataclass(frozen=True)
class Count(Kind):
    """How many."""

    name = "count"


@dataclass(frozen=True)
class Rank(Kind):
    """A place in an order, or a running number."""

    name = "rank"


@dataclass(frozen=True)
class Whole(Kind):
    """Another whole number, from `low` to `high`."""

    name = "whole"
    low: int = 0
    high: int = COUNT

    @property
    def bounds(self) -> tuple[float, float]:
        """From `low` to `high`."""
        return (self.low, self.high)


@dataclass(frozen=True)
class Real(Kind):
    """A number; only what is no number, or too large for one, is refused."""

    name = "real"
    form = "real"
    span = (-LARGEST, LARGEST)


@dataclass(frozen=True)
class NonNegative(Kind):
    """A number from 0."""

    name = "non_negative"
    form = "real"
    span = (0.0, LARGEST)


@dataclass(frozen=True)
class Share(Kind):
    """A part of a whole or a probability, from 0 to 1, with room for rounding."""

    name = "share"
    form = "real"
    span = (0.0, 1.001)


@dataclass(frozen=True)
class Cosine(Kind):
    """A cosine or a correlation, from -1 to 1, with room for rounding."""

    name = "cosine"
    form = "real"
    span = (-1.01, 1.01)


@dataclass(frozen=True)
class Flag(Kind):
    """Yes or no.

    Attributes:
        stays: Whether a row in which it is yes stays in every cut.
    """

    name = "flag"
    form = "flag"
    stays: bool = False


@dataclass(frozen=True)
class Bytes(Kind):
    """Bytes that need not be text."""

    name = "bytes"
    form = "bytes"


@dataclass(frozen=True)
class Text(Kind):
    """Text that may say anything."""

    name = "text"
    form = "text"


@dataclass(frozen=True)
class SaeName(Text):
    """An SAE by its slug; empty for the model itself, if `or_model`."""

    name = "sae_name"
    or_model: bool = False


@dataclass(frozen=True)
class FileName(Text):
    """The stem of a file in the report, on every file system."""

    name = "file_name"


@dataclass(frozen=True)
class OneOf(Text):
    """One of a few words."""

    name = "one_of"
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Numbered(Text):
    """One of a few words, or one of a few others with a colon and a number of up to four digits.

    A number says which of several of a kind: `interval:3`.
    """

    name = "numbered"
    words: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()


KINDS: Final[dict[str, type[Kind]]] = {
    kind.name: kind
    for kind in (
        *(Token, Latent, Sequence, Prompt, Position, Stop, Offset, TextPlace, Document),
        *(Layer, Head, Node, Count, Rank, Whole, Real, NonNegative, Share, Cosine),
        *(Flag, Bytes, Text, SaeName, FileName, OneOf, Numbered),
    )
}
"""Every kind by the name that the schema gives it."""


@cache
def pattern_of(kind: Kind) -> re.Pattern[str] | None:
    """What the whole of a text of this kind must match; None where it is free."""
    if isinstance(kind, SaeName):
        return re.compile(f"(?:{SLUG})?" if kind.or_model else SLUG)
    if isinstance(kind, OneOf):
        return re.compile("|".join(re.escape(word) for word in kind.words))
    if isinstance(kind, Numbered):
        plain, numbered = ("|".join(map(re.escape, w)) for w in (kind.words, kind.numbered))
        return re.compile(rf"{plain}|(?:{numbered}):\d{{1,4}}")
    return None


def meaning(kind: type[Kind]) -> str:
    """What values of a kind are, in one sentence."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def as_data(kind: Kind) -> dict[str, Any]:
    """A kind as JSON: its name under `kind`, and what differs from the usual."""
    data: dict[str, Any] = {"kind": kind.name}
    for field in fields(kind):
        value = getattr(kind, field.name)
        if value == field.default:
            continue
        if isinstance(value, When):
            value = {"column": value.column, "words": list(value.words)}
        data[field.name] = list(value) if isinstance(value, tuple) else value
    return data


def from_data(data: Mapping[str, Any]) -> Kind:
    """The kind that `as_data` wrote.

    Raises:
        ValueError: It is of no kind that is known here, or has something that its kind has not.
    """
    rest = dict(data)
    made = KINDS.get(str(rest.pop("kind", "")))
    if made is None:
        raise ValueError("a column holds what this saereport does not know")
    usual = {field.name: field.default for field in fields(made)}
    if not rest.keys() <= usual.keys():
        raise ValueError(f"a '{made.name}' has something that it cannot have")
    return made(**{key: _value(key, value, usual[key]) for key, value in rest.items()})


def _value(name: str, value: Any, usual: Any) -> Any:
    """One attribute of a kind, out of JSON."""
    if name == "token_when" and isinstance(value, dict) and value.keys() == {"column", "words"}:
        return When(_value(name, value["column"], ""), _value(name, value["words"], ()))
    if isinstance(usual, tuple) and isinstance(value, list):
        if len(value) > WORDS:
            raise ValueError(f"'{name}' of a column has more than {WORDS:,} words")
        return tuple(_value(name, item, "") for item in value)
    if usual is MISSING or type(value) is not type(usual):
        raise ValueError(f"'{name}' of a column is not what it can be")
    return value
