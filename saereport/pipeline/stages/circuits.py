"""Circuits on prompts as a stage: what is asked of each prompt, and what can be told beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.circuits import PromptConfig, PromptSettings
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded
from saereport.util.errors import UsageError, did_you_mean, shortened

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe
    from saereport.sources.folders import SaeFacts


class CircuitsStage(Stage):
    """Gradients, attributions and graphs on each prompt.

    What is plainly a slip is refused beforehand, and a prompt that cannot be used as soon as there
    is a tokeniser. What shows only when a prompt is run is noted on that prompt, and the rest is
    computed. Each finished prompt is kept, so that an interrupted build goes on after it.
    """

    name = "circuits"
    tables = (
        *("prompts", "prompt_notes", "prompt_next", "prompt_answers", "prompt_activations"),
        *("gradient_maps", "gradients", "gradient_checks", "induction_latents"),
        *("head_attributions", "patterns", "components", "influences"),
        *("graphs", "graph_nodes", "graph_links", "graph_checks"),
    )
    needs = Needs(model=True, saes=True)
    config = PromptSettings
    at_top = True
    # Of blinded latents, where they are active on a prompt is not among what is kept.
    shares = ("blind", "with_reveal")
    regardless_of = ("prompts", "tokens", "latents", "saes.latents", "examples")
    essential = ("prompts", "prompt_notes", "graph_nodes")
    why_essential = "other tables name what stands there; 'circuits' leaves out all of them"
    keeps = False

    def check(self, config: BuildConfig) -> None:
        """Check each prompt, and that every SAE that one names is in the report."""
        if config.prompts:
            refuse_packed(config, "Circuits on prompts")
        for prompt in config.prompts:
            prompt.checked()
            _check_prompt(prompt, _called(prompt, config), config.circuits.max_prompt)
        _check_names(config, config.slugs)

    def check_saes(self, config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
        """Check the order of the SAEs in pairs, and that a graph has some to be made of."""
        _check_pairs(config, {fact.slug: fact for fact in facts})
        _check_graph(config, facts)

    def depends_on(self, context: Context) -> dict[str, Any]:
        """The latents that are shown."""
        from saereport.pipeline.context import shown_of

        return shown_of(context)

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where there is no prompt."""
        return None if context.config.prompts else ""

    def plan(self, context: Context) -> Cost:
        """Make token ids of the prompts."""
        from saereport.pipeline.circuits import prompt_tasks

        return Cost(prompts=len(prompt_tasks(context)))

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Do some of what is done on the prompts."""
        from saereport.pipeline.circuits import cost_of_circuits

        return cost_of_circuits(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the tables of all prompts, in their order."""
        from saereport.pipeline.circuits import circuits_on_prompts

        yield from circuits_on_prompts(context, self)


PACKED = (
    "bitsandbytes' kernels have no derivatives, or such as pass over what they round, and sums "
    "over parts need not come out"
)
"""Why nothing is differentiated or decomposed in a model of quantised weights."""


def refuse_packed(config: BuildConfig, what: str) -> None:
    """Refuse derivatives and decompositions of a model whose weights are to be packed.

    Raises:
        UsageError: They are to be.
    """
    if config.quantize:
        raise UsageError(
            f"{what} cannot be had with --quantize {config.quantize}: {PACKED}.",
            "Make them in a report of the model as it is; --dtype bfloat16 halves its memory.",
        )


def _check_prompt(prompt: PromptConfig, called: str, longest: int) -> None:
    """Check of a prompt what needs no tokeniser."""
    if prompt.text is not None and not prompt.text.partition("=>")[0].strip():
        raise UsageError(f"{called} has no text.", "Write something for the model to read.")
    if prompt.tokens is not None and not prompt.tokens:
        raise UsageError(f"{called} has no token.", "Give token ids, or text.")
    negative = next((token for token in prompt.tokens or () if token < 0), None)
    if negative is not None:
        raise UsageError(
            f"{called} has the token id {negative}.", "Token ids are whole numbers from 0."
        )
    answer = prompt.answer
    if answer is None and prompt.text is not None and "=>" in prompt.text:
        answer = prompt.text.rpartition("=>")[2]
    if answer is not None and not answer.strip():
        raise UsageError(f"{called} has an empty answer.", "Write it after '=>', or leave it out.")
    n_tokens = len(prompt.tokens or ()) or 2 * (prompt.repeat_random or 0)
    if n_tokens > longest:
        raise UsageError(
            f"{called} has {n_tokens:,} tokens, and circuits.max_prompt allows {longest:,}.",
            "Make the prompt shorter.",
        )


def _called(prompt: PromptConfig, config: BuildConfig) -> str:
    named = prompt.name or prompt.text or ""
    number = config.prompts.index(prompt) + 1
    return f"The prompt '{shortened(named, 60)}'" if named.strip() else f"Prompt {number}"


def _check_names(config: BuildConfig, slugs: Sequence[str]) -> None:
    """Check that every SAE that a prompt or a graph names is one of the report's."""
    asked: list[tuple[str, str]] = []
    for prompt in config.prompts:
        named = [*(prompt.saes or ()), *(slug for pair in prompt.pairs or () for slug in pair)]
        asked += [(_called(prompt, config), slug) for slug in named]
    asked += [("The attribution graph", slug) for slug in config.circuits.graph.saes or ()]
    for where, slug in asked:
        if slug not in slugs:
            raise UsageError(
                f"{where} names the SAE '{shortened(slug)}', which the report does not have.",
                did_you_mean(slug, slugs) or f"It has {', '.join(slugs)}.",
            )


def _check_pairs(config: BuildConfig, facts: Mapping[str, SaeFacts]) -> None:
    for prompt in config.prompts:
        for early, late in prompt.pairs or ():
            one, other = facts[early], facts[late]
            written, read = one.hook_out or one.hook_in, other.hook_in
            if one.is_transcoder is None or written is None or read is None:
                continue
            if written.depth >= read.depth:
                raise UsageError(
                    f"{_called(prompt, config)} asks for gradients from {early} to {late}, but "
                    f"{early} writes at '{written.name}', which is not before '{read.name}', where "
                    f"{late} reads.",
                    "Give the earlier SAE first." if early != late else "Name two SAEs.",
                )


def _check_graph(config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
    if not any(prompt.graph for prompt in config.prompts):
        return
    if config.circuits.graph.saes is None and all(fact.is_transcoder is False for fact in facts):
        raise UsageError(
            "An attribution graph needs MLP transcoders, and the report has none.",
            "Name the SAEs that are to take part in circuits.graph.saes.",
        )
