"""Sparse probing as a stage: which few latents tell a user's labelled texts apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.probing import ProbingSettings
from saereport.evaluate.labelled import files_of
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded, file_digest

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe


class ProbingStage(Stage):
    """Probes on a few latents, on the activations, and on shuffled labels."""

    name = "probing"
    tables = ("probing_tasks", "probing_scores", "probing_latents")
    needs = Needs(model=True, saes=True)
    config = ProbingSettings
    at_top = True
    regardless_of = ("tokens", "latents", "saes.latents", "examples")
    essential = ("probing_tasks", "probing_scores", "probing_latents")
    why_essential = "its page is built on it; 'probing' leaves out all of it"

    def check(self, config: BuildConfig) -> None:
        """Read the files."""
        if config.probe:
            from saereport.pipeline.probing_tasks import read_tasks

            read_tasks(config)

    def inputs(self, config: BuildConfig) -> dict[str, Any]:
        """The files."""
        files = [path for given in config.probe for path in files_of(given)]
        return {"the labelled texts": [file_digest(path) for path in files]} if files else {}

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where no labelled texts are given."""
        return None if context.config.probe else ""

    def plan(self, context: Context) -> Cost:
        """Make token ids of the texts, and see that enough of them are left."""
        from saereport.pipeline.probing import tasks_of

        tasks = tasks_of(context)
        n_texts = sum(len(task.texts) for task in tasks)
        n_concepts = sum(len(task.concepts) for task in tasks)
        return Cost(
            tokens=sum(len(text.tokens) for task in tasks for text in task.texts),
            what=f"{n_texts:,} labelled texts, {n_concepts:,} concepts",
        )

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Pool a few of the texts and fit probes to them."""
        from saereport.pipeline.probing import cost_of_probing

        return cost_of_probing(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield what the texts are, and the tables of each SAE."""
        from saereport.pipeline.probing import probe_all

        yield from probe_all(context)
