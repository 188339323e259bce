"""Explanations as a stage: labels of latents that were given to the build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.paths import PUBLISHED_LABELS
from saereport.config.stages import ExplanationSettings
from saereport.pipeline.stage import Cost, Stage, Yielded, file_digest
from saereport.run.labels import label_rows, require_within
from saereport.util.errors import SaereportError, UsageError

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe
    from saereport.sources.explanations import Labels
    from saereport.sources.folders import SaeFacts
    from saereport.sources.published_labels import Published


class ExplanationsStage(Stage):
    """Labels of the shown latents."""

    name = "explanations"
    tables = ("explanations", "label_files")
    config = ExplanationSettings
    at_top = True
    shares = ("saes.explanations",)

    def check(self, config: BuildConfig) -> None:
        """Refuse one file for several SAEs."""
        if config.explanations not in (None, PUBLISHED_LABELS) and len(config.saes) > 1:
            raise UsageError(
                f"One file of explanations was given for {len(config.saes)} SAEs.",
                "Name it in the YAML file beside its SAE.",
            )

    def check_saes(self, config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
        """Read the labels, and check that they are of these SAEs' latents."""
        for fact, own in zip(facts, read_labels(config), strict=True):
            require_within(own, fact.slug, fact.d_sae)

    def inputs(self, config: BuildConfig) -> dict[str, Any]:
        """The labels' files; of published ones, which SAEs they are of is known elsewhere."""
        return {"the explanations": [_digest(path) for path in _given(config)]}

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where no labels were given."""
        return None if any(path is not None for path in _given(context.config)) else ""

    def plan(self, context: Context) -> Cost:
        """Fetch the published labels that are asked for and not kept yet.

        Raises:
            SaereportError: Neuronpedia does not know an SAE, or there are none to be had.
        """
        found = [published for published in _published(context) if published is not None]
        return Cost(what=f"published labels of {len(found)} SAEs" if found else "")

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Nothing to speak of: the labels were read."""
        return Cost(seconds=0.0)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the labels of each SAE that has some of latents about which text may be shown."""
        for (slug, latents), labels, published in zip(
            context.latents.items(),
            read_labels(context.config),
            _published(context),
            strict=True,
        ):
            if published is not None:
                labels = published.labels
                yield slug, "label_files", published.columns()
            shown = set(latents.tolist()) - context.hidden(slug)
            columns = label_rows(labels, sorted(shown))
            if columns["latent"]:
                yield slug, "explanations", columns


def _given(config: BuildConfig) -> list[Path | None]:
    return [sae.explanations or config.explanations for sae in config.saes]


def _published(context: Context) -> Iterator[Published | None]:
    """For each SAE the published labels, where it is to have these."""
    from saereport.sources.published_labels import published_labels

    for path, (slug, own) in zip(
        _given(context.config), context.neuronpedia_ids.items(), strict=True
    ):
        if path != PUBLISHED_LABELS:
            yield None
            continue
        if not own:
            raise SaereportError(
                f"Nothing says what Neuronpedia calls {slug}, so its labels cannot be found.",
                "'saereport labels REPORT --id MODEL/SOURCE' adds them afterwards.",
            )
        found = published_labels(own, progress=context.progress)
        require_within(found.labels, slug, context.widths[slug])
        yield found


def _digest(path: Path | None) -> str | list[list[str]]:
    """SHA-256 of a file, or of each in a folder with its name."""
    from saereport.sources.explanations import files_of

    if path is None or path == PUBLISHED_LABELS:
        return str(path or "")
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
    for path, slug in zip(_given(config), config.slugs, strict=True):
        given = path is not None and path != PUBLISHED_LABELS
        labels.append(read_explanations(path, sae=slug) if path and given else {})
    return labels
