"""The bias test as a stage: on which latents a probe leans that was fitted to biased texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.probing import BiasSettings
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded, file_digest
from saereport.pipeline.stages.explanations import ExplanationsStage
from saereport.util.errors import UsageError

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe
    from saereport.sources.folders import SaeFacts


class BiasStage(Stage):
    """A biased probe before and after latents are taken out that are judged irrelevant."""

    name = "bias"
    tables = ("bias_groups", "bias_scores", "bias_latents")
    needs = Needs(model=True, saes=True)
    config = BiasSettings
    at_top = True
    shares = ("explanations", "saes.explanations")
    regardless_of = ("tokens", "latents", "saes.latents", "examples")
    essential = ("bias_groups", "bias_scores", "bias_latents")
    why_essential = "its page is built on it; 'bias' leaves out all of it"

    def check(self, config: BuildConfig) -> None:
        """Read the texts and the file of latents."""
        from saereport.pipeline.bias_task import judged_latents, read_bias

        if config.bias is not None:
            read_bias(config)
            judged_latents(config, dict.fromkeys(config.slugs))
        elif config.bias_drop is not None or config.bias_test.words:
            raise UsageError("There are no texts for the bias test.", "Name --bias FILE.")

    def check_saes(self, config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
        """Check that every latent that is judged is one of its SAE."""
        from saereport.pipeline.bias_task import judged_latents

        if config.bias is not None:
            judged_latents(config, {fact.slug: fact.d_sae for fact in facts})

    def inputs(self, config: BuildConfig) -> dict[str, Any]:
        """The files."""
        if config.bias is None:
            return {}
        labels = [*ExplanationsStage().inputs(config).values()] if config.bias_test.words else []
        return {
            "the labels that are judged by words": labels,
            "the texts of the bias test": file_digest(config.bias),
            "the latents to take out": file_digest(config.bias_drop),
        }

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where no texts are given."""
        return None if context.config.bias is not None else ""

    def plan(self, context: Context) -> Cost:
        """Make token ids of the texts, and see that enough of each group are left."""
        from saereport.pipeline.bias import bias_of

        task, _, _ = bias_of(context)
        n = len(task.texts)
        return Cost(
            tokens=sum(len(text.tokens) for text in task.texts), what=f"{n:,} texts, two labels"
        )

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Pool a few of the texts."""
        from saereport.pipeline.bias import cost_of_bias

        return cost_of_bias(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield what the groups are, and the tables of each SAE."""
        from saereport.pipeline.bias import tested

        yield from tested(context)
