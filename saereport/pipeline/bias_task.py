"""The texts of the bias test and the latents that are judged, read before torch is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from saereport.config.build import BuildConfig
from saereport.evaluate.labelled import FEWEST, LabelledTexts, read_task
from saereport.pipeline.stages.explanations import read_labels
from saereport.util.errors import SaereportError, UsageError, did_you_mean, first_few, shortened
from saereport.util.untrusted import MIB, Limits, lines, utf8

DROP_LIMITS: Final = Limits(file_bytes=16 * MIB, text_bytes=16 * MIB, line_bytes=4096)


@dataclass(frozen=True)
class BiasTexts:
    """The texts, and what is probed.

    Attributes:
        task: The texts.
        label: The label that is probed, and the other.
        attribute: The attribute that goes along with it in training, and the other.
    """

    task: LabelledTexts
    label: tuple[str, str]
    attribute: tuple[str, str]


def read_bias(config: BuildConfig) -> BiasTexts:
    """The texts of the bias test.

    Raises:
        SaereportError: They cannot be used; says why.
        UsageError: `goes_with` names what is not there.
    """
    if config.bias is None:
        raise UsageError("There are no texts for the bias test.", "Name --bias FILE.")
    settings = config.bias_test
    keys = {"text": settings.text, "label": settings.label, "attribute": settings.attribute}
    task = read_task([config.bias.expanduser()], keys)
    attributes = sorted({one.attribute for one in task.texts}, reverse=True)
    for found, what in ((task.labels, "label"), (attributes, "attribute")):
        if len(found) != 2:
            raise SaereportError(
                f"The bias test needs two {what}s, and '{shortened(task.name, 60)}' has "
                f"{len(found)}: {first_few([shortened(one, 40) for one in found], 6)}.",
                f"Leave out texts of the others, or name another column, bias_test.{what}.",
            )
    label, attribute = _going_along(config, task.labels, attributes)
    made = BiasTexts(task, label, attribute)
    require_groups(made, [(one.label, one.attribute) for one in task.texts])
    return made


def _going_along(
    config: BuildConfig, labels: tuple[str, ...], attributes: list[str]
) -> tuple[tuple[str, str], tuple[str, str]]:
    """What is probed and what goes along with it, each before the other one."""
    first = labels[0]
    goes = first if set(labels) == set(attributes) else attributes[0]
    if config.bias_test.goes_with is not None:
        first, goes = config.bias_test.goes_with
        for name, known in ((first, list(labels)), (goes, attributes)):
            if name not in known:
                raise UsageError(
                    f"'{shortened(name, 60)}' of bias_test.goes_with is not in the texts.",
                    did_you_mean(name, known) or f"There are {first_few(known)}.",
                )
    (other,) = (one for one in labels if one != first)
    (against,) = (one for one in attributes if one != goes)
    return (first, other), (goes, against)


def require_groups(texts: BiasTexts, found: list[tuple[str, str]]) -> None:
    """Refuse texts of which a group is too small.

    Raises:
        SaereportError: A label with an attribute has fewer than `FEWEST` texts; says how many.
    """
    for label in texts.label:
        for attribute in texts.attribute:
            n = found.count((label, attribute))
            if n < FEWEST:
                raise SaereportError(
                    f"'{shortened(texts.task.name, 60)}' has {n:,} texts with the label "
                    f"'{shortened(label, 40)}' and the attribute '{shortened(attribute, 40)}'; the "
                    f"bias test needs {FEWEST} of each pair.",
                    "Add some: it is tested on balanced texts.",
                )


def judged_latents(
    config: BuildConfig, widths: Mapping[str, int | None]
) -> dict[str, dict[int, str]]:
    """The latents that are judged irrelevant, by SAE, with why: `list` or `label`.

    Args:
        config: What is asked for.
        widths: Number of latents of each SAE; None where that is not known yet.

    Raises:
        SaereportError: The file cannot be read, or names what is not there.
        UsageError: Words are looked for where there are no labels, or no label holds one.
    """
    found: dict[str, dict[int, str]] = {slug: {} for slug in widths}
    words = [word.casefold() for word in config.bias_test.words]
    if words:
        known = read_labels(config)
        if not any(known):
            raise UsageError(
                "bias_test.words are looked for in labels, and no SAE has some from a file.",
                "Name --explanations FILE ('saereport labels' keeps those that Neuronpedia has "
                "published), or list the latents with --bias-drop.",
            )
        for slug, labels in zip(widths, known, strict=True):
            for latent, texts in labels.items():
                if any(word in text.casefold() for text, _ in texts for word in words):
                    found[slug][latent] = "label"
        if not any(found.values()):
            raise UsageError(
                f"No label of a latent holds a word of bias_test.words, such as "
                f"'{shortened(words[0], 60)}'.",
                f"{sum(map(len, known)):,} latents have labels: name other words, or list the "
                "latents with --bias-drop.",
            )
    if config.bias_drop is not None:
        for slug, latent in _listed(config.bias_drop, widths):
            found[slug][latent] = "list"
    return {
        slug: {
            latent: why
            for latent, why in latents.items()
            if widths[slug] is None or latent < (widths[slug] or 0)
        }
        for slug, latents in found.items()
    }


def _listed(path: Path, widths: Mapping[str, int | None]) -> list[tuple[str, int]]:
    given = path.expanduser()
    if not given.is_file():
        raise SaereportError(
            f"There is no file of latents '{shortened(str(path))}'.",
            "It has one in each line, such as resid-l10.47.",
        )
    found = []
    for number, line in lines(given, DROP_LIMITS):
        where = f"{path.name}, line {number:,}"
        words = utf8(line, where).partition("#")[0].strip()
        if not words:
            continue
        match = re.fullmatch(r"(?:(.*)[.:])?(\d{1,9})", words)
        if match is None:
            raise SaereportError(
                f"{where}: '{shortened(words, 60)}' is not a latent.",
                "Write the SAE and the latent, such as resid-l10.47.",
            )
        slug, latent = match[1] or "", int(match[2])
        if not slug and len(widths) == 1:
            (slug,) = widths
        if slug not in widths:
            raise SaereportError(
                f"{where}: '{shortened(words, 60)}' is of no SAE of the report.",
                did_you_mean(slug, widths) or f"The report has {', '.join(widths)}.",
            )
        width = widths[slug]
        if width is not None and latent >= width:
            raise SaereportError(
                f"{where}: {slug} has {width:,} latents, 0 to {width - 1}, and no {latent}."
            )
        found.append((slug, latent))
    if not found:
        raise SaereportError(
            f"The file of latents '{path.name}' is empty.",
            "It has one in each line, such as resid-l10.47.",
        )
    return found
