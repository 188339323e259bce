"""Evaluation of whole SAEs as a stage: how well a reconstruction stands in for the activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from saereport.config.stages import EvaluationSettings
from saereport.pipeline.stage import SKIPPED, Cost, Needs, Stage, Yielded

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe

TABLE = "sae_metrics"


class EvaluationStage(Stage):
    """Figures of each SAE as a whole over the first tokens of the text."""

    name = "evaluation"
    tables = (TABLE,)
    needs = Needs(model=True, saes=True)
    config = EvaluationSettings
    at_top = True
    regardless_of = ("tokens", "latents", "saes.latents", "examples")

    def depends_on(self, context: Context) -> dict[str, Any]:
        """How many tokens there are to evaluate on."""
        return {"evaluated": min(context.config.evaluation_tokens, context.seen.counted)}

    def why_not(self, context: Context) -> str | None:
        """No tokens are the same as skipping it."""
        return None if context.config.evaluation_tokens else SKIPPED

    def plan(self, context: Context) -> Cost:
        """Each token is run once to read, once as it is, and once for every replacement."""
        alone = [sae for sae in context.saes.values() if not sae.why_not_alone]
        points = {sae.write_point.name for sae in alone}
        passes = 2 + len(alone) + 2 * len(points)
        tokens = min(context.config.evaluation_tokens, context.config.tokens)
        return Cost(tokens=tokens * passes)

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Evaluate on the beginning of a sequence, and on a few whole ones."""
        from saereport.evaluate.fidelity import evaluate, first_counted, sequences_at_a_time
        from saereport.pipeline.probe import line_through

        packed = context.text.packed(batch=context.batches.block)
        tokens, counted = first_counted(packed, context.config.evaluation_tokens)
        model, saes = context.model, list(context.saes.values())
        batch = min(sequences_at_a_time(tokens.shape[1], model.d_vocab), len(tokens))
        few = max(2, tokens.shape[1] // 8)
        # What is at the beginning of a sequence may not count, and something must.
        with probe.sample() as one:
            evaluate(model, saes, tokens[:1, -few:], counted[:1, -few:], context.progress)
        n = 1 if probe.brief else probe.fitting(one.seconds * tokens.shape[1] / few, batch)
        some = min(3 * few, tokens.shape[1]) if probe.brief else tokens.shape[1]
        with probe.sample() as more:
            evaluate(model, saes, tokens[:n, -some:], counted[:n, -some:], context.progress)
        size = n * some / tokens.shape[1]
        return Cost(
            seconds=line_through(
                (few / tokens.shape[1], one.seconds), (size, more.seconds), len(tokens)
            ),
            host_bytes=more.at_scale(batch / size),
            device_bytes=more.device_bytes,
        )

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield `sae_metrics` of each SAE."""
        from saereport.pipeline.evaluation import evaluated

        found = evaluated(context)
        for slug, reason in found.left_out.items():
            context.leave_out(slug, TABLE, reason)
        for slug, doubts in found.doubts.items():
            for doubt in doubts:
                context.warned.add(doubt, about=slug)
        for slug, columns in found.tables.items():
            yield slug, TABLE, columns
