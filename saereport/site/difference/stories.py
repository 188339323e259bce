"""The stories of a run's latents, for some latents of any of its SAEs, read as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from saereport.run import Run
from saereport.site.columns import LatentChunk
from saereport.site.context import DisplayTokens, LatentView, ReportModel, SaeView, Shards
from saereport.site.latent_summary import LatentSummary, story
from saereport.site.sequences import KeptSequences

TABLES = (
    "activity",
    "activation_histogram",
    "given_histogram",
    "examples",
    "example_groups",
    "token_statistics",
    "deembedding",
    "logit_lens",
    "neighbours",
    "geometry",
    "explanations",
)
"""What a story is told from, and the histogram."""

SPAN = 512
"""Latents that are read at once, where they are near each other."""


@dataclass(frozen=True)
class ToldLatent:
    """One latent as a comparison shows it.

    Attributes:
        story: Its first screen.
        first: Number of the first bin of `counts`: four bins an octave of activation.
        counts: Tokens in each bin of the logarithmic histogram; empty where there is none.
    """

    story: LatentSummary
    first: int
    counts: tuple[int, ...]


class Stories:
    """Tells of the latents of one run."""

    def __init__(self, run: Run) -> None:
        self._report = ReportModel(
            whole=run,
            info=run.info,
            vocabulary=DisplayTokens(run),
            shards={sae.slug: Shards((), 1) for sae in run.info.saes},
            embed_neuronpedia=False,
        )
        self._sequences = KeptSequences(run)

    def of(self, slug: str, latents: Sequence[int]) -> dict[int, ToldLatent]:
        """The stories of some latents of one SAE, by latent."""
        run = self._report.run
        names = [name for name in TABLES if run.has(name, slug)]
        sae = SaeView(self._report, run.info.sae(slug), frozenset(names))
        told = {}
        for near in _groups(sorted(set(latents))):
            band = LatentChunk(run, slug, names, near[0], near[-1] + 1)
            for latent in near:
                told[latent] = self._told(LatentView(sae, latent, band))
        return told

    def _told(self, latent: LatentView) -> ToldLatent:
        rows = latent.rows("activation_histogram")
        if not len(rows):
            return ToldLatent(story(latent, self._sequences), 0, ())
        histogram = rows.first()
        counts = tuple(int(n) for n in histogram["log_counts"])
        return ToldLatent(story(latent, self._sequences), int(histogram["log_first"]), counts)


def _groups(latents: list[int]) -> Iterator[list[int]]:
    group: list[int] = []
    for latent in latents:
        if group and latent - group[0] >= SPAN:
            yield group
            group = []
        group.append(latent)
    if group:
        yield group
