"""Which labelled texts probes are fitted to, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from saereport.config.section import Option, Section
from saereport.config.yaml_files import exists

MOST_LATENTS = 1000
"""Latents of a probe."""


class ProbingConfig(Section):
    """How labelled texts are read, and how probes are fitted to them."""

    text: str = Field("text", min_length=1)
    """Column that holds the text."""
    label: str = Field("label", min_length=1)
    """Column that holds the label."""
    k: tuple[int, ...] = (1, 2, 5, 20)
    """Numbers of latents that a probe has."""
    pooling: tuple[Literal["mean", "max"], ...] = ("mean", "max")
    """How the activations of a latent over a text become one number."""
    held_out: float = Field(0.3, gt=0, lt=1)
    """Part of the texts of each label that probes are tried on and not fitted to."""
    texts: int = Field(4000, ge=20, le=200_000)
    """Texts of a task at most; of more, some are drawn, of each label the same part."""
    longest: int | None = Field(None, ge=1, le=1_048_576)
    """Tokens that are read of a text; those of a sequence where absent."""

    @field_validator("k")
    @classmethod
    def _numbers_of_latents(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or any(not 1 <= k <= MOST_LATENTS for k in value):
            raise ValueError(f"these are numbers of latents, from 1 to {MOST_LATENTS:,}")
        return tuple(sorted(set(value)))

    @field_validator("pooling", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("pooling")
    @classmethod
    def _in_order(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("it is 'mean', 'max' or both")
        return tuple(one for one in ("mean", "max") if one in value)


class ProbingSettings(Section):
    """Which labelled texts SAEs are probed on, and how."""

    probe: Annotated[tuple[Path | tuple[Path, ...], ...], Option(metavar="FILE")] = ()
    """Labelled texts on which to find the latents that carry a concept: JSON lines, CSV or TSV
    with `text` and `label`, or files of lines that are the labels, `pos.txt,neg.txt`.
    """
    probing: ProbingConfig = ProbingConfig()
    """How labelled texts are read and probes are fitted."""

    @field_validator("probe", mode="before")
    @classmethod
    def _files_as_a_list(cls, value: Any) -> Any:
        values = [value] if isinstance(value, (str, Path)) else value
        if not isinstance(values, (list, tuple)):
            return values
        for one in values:
            inner = one if isinstance(one, (list, tuple)) else [one]
            if not inner or any(isinstance(name, str) and not name.strip() for name in inner):
                raise ValueError("it names nothing; give a file, or leave it out")
        # Each file is a path of its own, also where the settings are read in another folder.
        return files_apart(values, Path())


def files_apart(given: Any, folder: Path) -> Any:
    """What `probe` is, with the files of lists with commas apart, so that each is a path.

    Args:
        given: As YAML or an option gives it; what it cannot be is left as it is.
        folder: From which relative paths are taken.
    """
    values = [given] if isinstance(given, str) else given
    if not isinstance(values, (list, tuple)):
        return given
    return [_files(one, folder) if isinstance(one, str) else one for one in values]


def _files(given: str, folder: Path) -> str | list[str]:
    """The files of a list with commas; a file whose name has one is none."""
    if "," not in given or exists(folder / Path(given).expanduser()):
        return given
    return [one.strip() for one in given.split(",") if one.strip()] or given


class BiasConfig(Section):
    """How the texts of the bias test are read, and which latents are judged irrelevant."""

    text: str = Field("text", min_length=1)
    """Column that holds the text."""
    label: str = Field("label", min_length=1)
    """Column that holds the label, of which there are two."""
    attribute: str = Field("attribute", min_length=1)
    """Column that holds the spurious attribute, of which there are two."""
    goes_with: tuple[str, str] | None = None
    """The label that is probed, and the attribute that goes along with it in training; where
    absent the attribute of the same name, or else the last of each in alphabetical order.
    """
    words: tuple[str, ...] = ()
    """Words of which one in a latent's label judges it irrelevant."""
    latents: int = Field(20, ge=1, le=MOST_LATENTS)
    """Latents of largest effect that are listed, and taken out for reference."""
    held_out: float = Field(0.3, gt=0, lt=1)
    """Part of the smallest of the four groups that is tested on, of each group as many texts."""
    texts: int = Field(4000, ge=40, le=200_000)
    """Texts at most; of more, some are drawn, of each group the same part."""
    longest: int | None = Field(None, ge=1, le=1_048_576)
    """Tokens that are read of a text; those of a sequence where absent."""

    @field_validator("words", mode="before")
    @classmethod
    def _words_as_a_list(cls, value: Any) -> Any:
        words = [value] if isinstance(value, str) else value
        if isinstance(words, (list, tuple)) and any(not str(word).strip() for word in words):
            raise ValueError("one of the words is empty, which every label holds")
        return words


class BiasSettings(Section):
    """On which texts the bias test is made."""

    bias: Path | None = None
    """Texts with a label and a spurious attribute, JSON lines, CSV or TSV with `text`, `label` and
    `attribute`: the bias test, which shows on which latents a biased probe leans.
    """
    bias_drop: Path | None = None
    """File of latents that the bias test takes out because they are irrelevant, `sae.latent` in
    each line.
    """
    bias_test: BiasConfig = BiasConfig()
    """How these texts are read, and which latents are judged irrelevant."""


class AbsorptionConfig(Section):
    """Which words the first-letter task has, and how they are put."""

    letters: str = "abcdefghijklmnopqrstuvwxyz"
    """First letters."""
    words: int = Field(2000, ge=40, le=200_000)
    """Words in all; of each letter the same part of those that the vocabulary has."""
    template: str = "{word} has the first letter:"
    """What is asked of a word."""
    shown: int = Field(10, ge=0, le=100)
    """Words with their first letters that stand before it in each prompt."""

    @field_validator("letters", mode="before")
    @classmethod
    def _letters_once(cls, value: Any) -> Any:
        words = "".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        if not isinstance(words, str):
            return value
        letters = sorted(set(words.lower()) - {" ", ","})
        if len(letters) < 2 or not all("a" <= letter <= "z" for letter in letters):
            raise ValueError("these are letters a to z, at least two")
        return "".join(letters)

    @field_validator("template")
    @classmethod
    def _has_one_place(cls, value: str) -> str:
        if value.count("{word}") != 1 or value.endswith("{word}") or "\n" in value:
            raise ValueError("it is one line with {word} in it once, and something behind it")
        if len(value) > 500:
            raise ValueError("it is too long")
        return value


class AbsorptionSettings(Section):
    """Whether absorption is measured, and on which words."""

    absorption: bool = False
    """Measure feature absorption on the first letters of words, as SAEBench does, for SAEs on the
    residual stream.
    """
    absorption_test: AbsorptionConfig = AbsorptionConfig()
    """Which words are asked about, and how."""
