"""What SAEDashboard's and Neuronpedia's files say about an SAE, in one form.

Both formats hold the same things under other names, so each is read into these values and written
from them, and only they are turned into a run. Tokens are strings in the files; here they are
numbers into `Words`, which keeps every distinct string once.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

UNIFORM = 0.0011
"""How far two steps between centres may differ: centres are rounded to three decimals."""


class Words:
    """Every distinct token string, numbered in the order in which it came."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def number(self, text: str) -> int:
        """The number of a string, a new one if it was not seen before."""
        found = self._numbers.setdefault(text, len(self.texts))
        if found == len(self.texts):
            self.texts.append(text)
        return found

    def numbers(self, texts: Sequence[str]) -> array[int]:
        """The numbers of many strings."""
        return array("i", map(self.number, texts))


@dataclass(frozen=True)
class Bins:
    """A histogram: the centres of its bins and how much lies in each."""

    centres: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def width(self) -> float:
        """The width of a bin; 0 where there is only one."""
        n = len(self.centres)
        return (self.centres[-1] - self.centres[0]) / (n - 1) if n > 1 else 0.0


def bins_of(centres: Sequence[float], heights: Sequence[float]) -> Bins | None:
    """A histogram if it is one of counts in bins of equal width, else None."""
    if not centres or len(centres) != len(heights):
        return None
    if any(h < 0 or h != int(h) for h in heights):
        return None
    steps = np.diff(np.asarray(centres, np.float64))
    scale = max(UNIFORM, 1e-3 * float(np.abs(steps).max(initial=0.0)))
    if len(steps) and (steps.min() < 0 or steps.max() - steps.min() > scale):
        return None
    return Bins(tuple(centres), tuple(int(h) for h in heights))


@dataclass(frozen=True)
class Range:
    """The interval that examples were drawn from, and the share of all tokens in it."""

    lower: float
    upper: float
    contains: float


@dataclass(frozen=True)
class Example:
    """A text on which a latent is active.

    Attributes:
        range: What it was drawn from; None for the strongest activations.
        tokens: Numbers into `Words`.
        values: The activation on each token.
        position: The token that it was chosen for.
    """

    range: Range | None
    tokens: array[int]
    values: array[float]
    position: int

    @property
    def activation(self) -> float:
        """The activation for which it was chosen."""
        return self.values[self.position]


def example(
    found: Range | None, tokens: array[int], values: Sequence[float], position: int | None
) -> Example:
    """An example, at the strongest token where the file's own position is outside the text."""
    stored = array("f", values)
    if position is None or not 0 <= position < len(stored):
        position = max(range(len(stored)), key=lambda i: (stored[i], -i), default=0)
    return Example(found, tokens, stored, position)


@dataclass(frozen=True)
class GivenLatent:
    """One latent.

    Attributes:
        index: Its index in the SAE.
        density: Share of the tokens on which it is active.
        n_active: Number of such tokens; None where the file does not say.
        maximum: Its largest activation.
        top: Tokens whose logits it raises most, with the values.
        bottom: Tokens whose logits it lowers most.
        activations: Histogram of the non-zero activations.
        logits: Histogram of its effect on all logits.
        head_shares: Share of each attention head in its decoder row; empty but for attention.
        neighbours: Latents with similar decoder directions and the cosine, itself not among them.
        examples: Texts.
        explanations: Labels and their sources.
    """

    index: int
    density: float = 0.0
    n_active: int | None = None
    maximum: float = 0.0
    top: tuple[tuple[int, float], ...] = ()
    bottom: tuple[tuple[int, float], ...] = ()
    activations: Bins | None = None
    logits: Bins | None = None
    head_shares: tuple[float, ...] = ()
    neighbours: tuple[tuple[int, float], ...] = ()
    examples: tuple[Example, ...] = ()
    explanations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Identity:
    """Which SAE of which model: `{layer}-{sae_set}__{suffix}` is its source on Neuronpedia."""

    model_id: str = ""
    layer: int = 0
    sae_set: str = ""
    suffix: str = ""

    @property
    def source(self) -> str:
        """Its name on Neuronpedia, without the model."""
        return f"{self.layer}-{self.sae_set}" + (f"__{self.suffix}" if self.suffix else "")


def identity_of(model_id: str, source: str) -> Identity:
    """The parts of a source such as `8-res-jb` or `20-gemmascope-res-16k__l0-408`."""
    number, dash, rest = source.partition("-")
    if not (dash and number.isascii() and number.isdigit() and len(number) <= 4):
        return Identity(model_id, -1, source)
    name, _, suffix = rest.partition("__")
    return Identity(model_id, int(number), name, suffix)


@dataclass(frozen=True)
class GivenText:
    """The text: a dataset's name, how many prompts, how many tokens in each; 0 where not given."""

    dataset: str = ""
    n_prompts: int = 0
    n_tokens: int = 0


@dataclass(frozen=True)
class GivenModel:
    """The language model: its name, layers and width; empty and 0 where not given."""

    name: str = ""
    n_layers: int = 0
    width: int = 0


@dataclass(frozen=True)
class GivenSae:
    """One SAE as the files tell of it.

    Attributes:
        identity: Its names.
        text: What the densities are over.
        latents: By index.
        hook: Hook point, empty where not given.
        release: SAELens release, or empty.
        sae_id: Id in the release, or empty.
        skipped: Latents that the files name as passed over.
        settings: Simple values of `run_settings.json`.
        published: Whether it comes from Neuronpedia, so that it has a page there.
        notes: What was passed over, and why.
        model: The language model.
    """

    identity: Identity
    text: GivenText
    latents: tuple[GivenLatent, ...]
    hook: str = ""
    release: str = ""
    sae_id: str = ""
    skipped: tuple[int, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    published: bool = False
    notes: dict[str, str] = field(default_factory=dict)
    model: GivenModel = GivenModel()


def words_of(ranges: Sequence[int]) -> str:
    """Sorted indices as `3-7,12`."""
    parts: list[str] = []
    start = last = None
    for index in [*ranges, None]:
        if start is not None and last is not None and (index is None or index != last + 1):
            parts.append(str(start) if start == last else f"{start}-{last}")
            start = None
        start = index if start is None else start
        last = index
    return ",".join(parts)


def indices_of(words: str, limit: int) -> tuple[int, ...]:
    """The indices that `words_of` wrote; empty where they are not such words or over `limit`."""
    found: list[int] = []
    for part in words.split(",") if words else []:
        low, _, high = part.partition("-")
        if not (low.isdigit() and (high or low).isdigit() and len(part) < 24):
            return ()
        first, last = int(low), int(high or low)
        if last < first or len(found) + last - first >= limit:
            return ()
        found.extend(range(first, last + 1))
    return tuple(found)
