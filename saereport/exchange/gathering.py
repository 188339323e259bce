"""Read the files of an import into what is given about each SAE."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from saereport.exchange import dashboard, neuronpedia
from saereport.exchange.finding import Found
from saereport.exchange.given import Example, GivenLatent, GivenSae, GivenText, Identity, Words
from saereport.exchange.limits import (
    DOCUMENT,
    EXAMPLES,
    LATENTS,
    ROWS,
    ROWS_PER_FILE,
    TOKENS,
    WORDS,
    parsed,
)
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress
from saereport.util.untrusted import content, lines

# Only a key has a colon behind it: a token may be called the same. A quote inside of a string has
# a backslash before it, so neither can a string that holds such a key in quotes be taken for one.
_DESCRIPTION = re.compile(rb'(?<!\\)"description"\s*:')
_TOKENS = re.compile(rb'(?<!\\)"tokens"\s*:')


@dataclass
class _Sae:
    """What was read about one SAE so far."""

    identity: Identity
    group: Path
    text: GivenText = field(default_factory=GivenText)
    hook: str = ""
    published: bool = False
    latents: dict[int, GivenLatent] = field(default_factory=dict)
    origin: dict[int, str] = field(default_factory=dict)
    examples: dict[int, list[Example]] = field(default_factory=dict)
    labels: dict[int, dict[tuple[str, str], None]] = field(default_factory=dict)


@dataclass
class _Side:
    """What files beside the latents' say, for all SAEs of one folder."""

    settings: dict[str, Any] = field(default_factory=dict)
    skipped: tuple[int, ...] = ()
    source: neuronpedia.SourceRow | None = None


class Gathering:
    """Collects what the files say, and stops where they say more than fits in memory."""

    def __init__(self) -> None:
        self.words = Words()
        self._saes: dict[Identity, _Sae] = {}
        self._sides: dict[Path, _Side] = {}
        self._count: Counter[str] = Counter()

    def read(self, found: Found) -> None:
        """Read one file.

        Raises:
            SaereportError: It is damaged, over a limit, or not what its name says.
        """
        path, side = found.path, self._sides.setdefault(found.group, _Side())
        if found.kind in ("settings", "skipped", "batch"):
            text = content(path, DOCUMENT)
            if found.kind == "settings":
                settings = parsed(dashboard.Settings, text, path.name, DOCUMENT)
                side.settings = settings.simple()
            elif found.kind == "skipped":
                skipped = parsed(dashboard.Skipped, text, path.name, DOCUMENT)
                side.skipped = tuple(sorted(set(skipped.skipped_indexes)))
            else:
                self._batch(parsed(dashboard.Batch, text, path.name, DOCUMENT), found)
            return
        for number, line in lines(path, ROWS):
            if number > ROWS_PER_FILE:
                raise SaereportError(f"{path.name}: more than {ROWS_PER_FILE:,} lines; the limit.")
            if line.strip():
                self._row(line, f"{path.name}:{number}", found, side)

    def _batch(self, batch: dashboard.Batch, found: Found) -> None:
        sae = self._sae(batch.identity, found.group)
        if batch.features:
            sae.text = _agreed(sae, dashboard.text_of(batch))
        for place, feature in enumerate(batch.features):
            latent = dashboard.latent_of(feature, self.words)
            where = f"{found.path.name}: features.{place}"
            self._add(sae, replace(latent, examples=()), where)
            for one in latent.examples:
                self._example(sae, latent.index, one, where)

    def _row(self, line: bytes, where: str, found: Found, side: _Side) -> None:
        kind = found.kind if found.kind != "rows" else _row_kind(line)
        if kind == "source":
            side.source = parsed(neuronpedia.SourceRow, line, where, ROWS)
        elif kind == "features":
            row = parsed(neuronpedia.FeatureRow, line, where, ROWS)
            sae = self._sae(row.identity, found.group)
            sae.hook, sae.published = sae.hook or row.hookName or "", True
            self._add(sae, neuronpedia.latent_of(row, self.words), where)
        elif kind == "activations":
            given = parsed(neuronpedia.ActivationRow, line, where, ROWS)
            sae = self._sae(given.identity, found.group)
            self._example(sae, given.latent, neuronpedia.example_of(given, self.words), where)
        else:
            label = parsed(neuronpedia.ExplanationRow, line, where, ROWS)
            known = self._sae(label.identity, found.group).labels.setdefault(label.latent, {})
            entry = neuronpedia.label_of(label)
            if entry is not None and entry not in known:
                self._bound("labels", EXAMPLES, where)
                known[entry] = None

    def _sae(self, identity: Identity, group: Path) -> _Sae:
        if identity not in self._saes and len(self._saes) >= 1_000:
            raise SaereportError("The files are about more than 1,000 SAEs; that is the limit.")
        return self._saes.setdefault(identity, _Sae(identity, group))

    def _add(self, sae: _Sae, latent: GivenLatent, where: str) -> None:
        if latent.index in sae.latents:
            raise SaereportError(
                f"{where}: latent {latent.index} is there twice; first in "
                f"{sae.origin[latent.index]}.",
                "Give the files of one run only, or remove one of the two.",
            )
        self._bound("latents", LATENTS, where)
        sae.latents[latent.index] = latent
        sae.origin[latent.index] = where

    def _example(self, sae: _Sae, latent: int, one: Example, where: str) -> None:
        self._bound("examples", EXAMPLES, where)
        self._bound("tokens in examples", TOKENS, where, len(one.tokens))
        sae.examples.setdefault(latent, []).append(one)

    def _bound(self, what: str, limit: int, where: str, more: int = 1) -> None:
        self._count[what] += more
        if self._count[what] > limit:
            raise SaereportError(f"{where}: with it there are more than {limit:,} {what}.")
        if len(self.words) > WORDS:
            raise SaereportError(f"{where}: with it there are more than {WORDS:,} distinct tokens.")

    def result(self) -> tuple[GivenSae, ...]:
        """What is given about each SAE, in the order of their names.

        Raises:
            SaereportError: There is no latent, or the SAEs are not of one model.
        """
        whole = [sae for sae in self._saes.values() if sae.latents]
        if not whole:
            raise SaereportError(
                "The files hold no latents.",
                "Give SAEDashboard's batches or Neuronpedia's features; labels alone go to "
                "'saereport build --explanations'.",
            )
        models = sorted({sae.identity.model_id for sae in whole})
        if len(models) > 1:
            raise SaereportError(
                f"The files are about two models, '{models[0][:80]}' and '{models[1][:80]}'.",
                "Import the files of one model at a time.",
            )
        alone = Counter(sae.group for sae in whole)
        whole.sort(key=lambda sae: (sae.identity.layer, sae.identity.source))
        return tuple(self._given(sae, alone[sae.group] == 1) for sae in whole)

    def _given(self, sae: _Sae, alone: bool) -> GivenSae:
        side = self._sides[sae.group] if alone else _Side()
        source = side.source or neuronpedia.SourceRow()
        text = sae.text
        if text == GivenText():
            text = GivenText(
                source.dataset or "", source.num_prompts or 0, source.num_tokens_in_prompt or 0
            )
        inactive = sum(
            not (one.values and one.activation > 0)
            for latent, many in sae.examples.items()
            if latent in sae.latents
            for one in many
        )
        strange = len((sae.examples.keys() | sae.labels.keys()) - sae.latents.keys())
        notes = {}
        if inactive:
            notes["examples.inactive"] = (
                f"{inactive:,} examples on whose token the latent is not active"
            )
        if strange:
            notes["latents.others"] = (
                f"examples or labels of {strange:,} latents for which the files hold nothing else"
            )
        return GivenSae(
            identity=sae.identity,
            text=text,
            latents=tuple(
                _whole(latent, sae) for _, latent in sorted(sae.latents.items(), key=_first)
            ),
            hook=sae.hook,
            release=source.saelensRelease or "",
            sae_id=source.saelensSaeId or "",
            skipped=tuple(index for index in side.skipped if index not in sae.latents),
            settings=side.settings,
            published=sae.published,
            notes=notes,
        )


def _first(pair: tuple[int, GivenLatent]) -> int:
    return pair[0]


def _agreed(sae: _Sae, text: GivenText) -> GivenText:
    return text if not sae.latents or sae.text == text else GivenText()


def _whole(latent: GivenLatent, sae: _Sae) -> GivenLatent:
    """A latent with its examples, strongest first, and its labels.

    Where the files do not say its maximum, that of its examples stands for it; and a count of 0
    that only comes from a missing histogram is none where the latent is active all the same.
    """
    given = sae.examples.get(latent.index, [])
    maximum = latent.maximum
    if maximum <= 0:
        maximum = max((max(one.values, default=0.0) for one in given), default=0.0)
    shown = [one for one in given if one.values and one.activation > 0]
    shown.sort(key=lambda one: -one.activation)
    return replace(
        latent,
        n_active=None if maximum > 0 and not latent.n_active else latent.n_active,
        maximum=max(0.0, maximum),
        examples=tuple(shown),
        explanations=tuple(sae.labels.get(latent.index, ())),
    )


def _row_kind(line: bytes) -> str:
    """Which rows these are, by the keys that only rows of that kind have."""
    if _DESCRIPTION.search(line):
        return "explanations"
    return "activations" if _TOKENS.search(line) else "features"


def gather(found: Sequence[Found], progress: Progress) -> tuple[tuple[GivenSae, ...], Words]:
    """Read all files.

    Args:
        found: What to read.
        progress: Shows the files as they are read.

    Raises:
        SaereportError: A file cannot be read, or they do not go together.
    """
    gathering = Gathering()
    with progress.bar("files", len(found), " files") as bar:
        for one in found:
            gathering.read(one)
            bar.advance(1)
    return gathering.result(), gathering.words
