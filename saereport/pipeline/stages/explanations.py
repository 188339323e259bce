"""Explanations as a stage: labels of latents that were given to the build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.stages import ExplanationSettings
from saereport.pipeline.stage import Stage, Yielded, file_digest
from saereport.util.errors import SaereportError, UsageError

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.sources.folders import SaeFacts

Labels = dict[int, list[tuple[str, str]]]
"""Latent to its explanations, each with its source."""


class ExplanationsStage(Stage):
    """Labels of the shown latents."""

    name = "explanations"
    tables = ("explanations",)
    config = ExplanationSettings
    at_top = True
    shares = ("saes.explanations",)

    def check(self, config: BuildConfig) -> None:
        """Refuse one file for several SAEs."""
        if config.explanations is not None and len(config.saes) > 1:
            raise UsageError(
                f"One file of explanations was given for {len(config.saes)} SAEs.",
                "Name it in the YAML file beside its SAE.",
            )

    def check_saes(self, config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
        """Read the labels, and check that they are of these SAEs' latents."""
        for fact, own in zip(facts, read_labels(config), strict=True):
            beyond = max(own, default=-1)
            if fact.d_sae is not None and beyond >= fact.d_sae:
                raise SaereportError(
                    f"The explanations of {fact.slug} label latent {beyond}, but it has "
                    f"{fact.d_sae:,} latents.",
                    "Are they of another SAE?",
                )

    def inputs(self, config: BuildConfig) -> dict[str, Any]:
        """The labels' files."""
        given = [sae.explanations or config.explanations for sae in config.saes]
        return {"the explanations": [_digest(path) for path in given]}

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where no labels were given."""
        config = context.config
        given = [sae.explanations or config.explanations for sae in config.saes]
        return None if any(path is not None for path in given) else ""

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the labels of each SAE that has some of latents about which text may be shown."""
        for (slug, latents), labels in zip(
            context.latents.items(), read_labels(context.config), strict=True
        ):
            hidden = context.hidden(slug)
            rows = [
                (latent, rank, text, source)
                for latent in latents.tolist()
                if latent not in hidden
                for rank, (text, source) in enumerate(labels.get(latent, ()))
            ]
            if rows:
                names = ("latent", "rank", "text", "source")
                columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
                yield slug, "explanations", columns


def _digest(path: Path | None) -> str | list[list[str]]:
    """SHA-256 of a file, or of each in a folder with its name."""
    from saereport.sources.explanations import files_of

    if path is None:
        return ""
    files = files_of(path)
    if files == [path.expanduser()]:
        return file_digest(path)
    return [[one.name, file_digest(one)] for one in files]


def read_labels(config: BuildConfig) -> list[Labels]:
    """The labels of each SAE, from the files that were named.

    Raises:
        SaereportError: A file cannot be read, or holds no labels.
    """
    from saereport.sources.explanations import read_explanations

    labels = []
    for sae, slug in zip(config.saes, config.slugs, strict=True):
        path = sae.explanations or config.explanations
        labels.append(read_explanations(path, sae=slug) if path is not None else {})
    return labels
