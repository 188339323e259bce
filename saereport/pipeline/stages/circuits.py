"""Circuits on prompts as a stage: what is asked of each prompt, and what can be told beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from saereport.asked import Asked
from saereport.errors import UsageError, did_you_mean, shortened
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded
from saereport.quantities import read_bytes

if TYPE_CHECKING:
    from saereport.config import BuildConfig
    from saereport.pipeline.context import Context
    from saereport.sources.folders import SaeFacts


class PromptConfig(Asked):
    """One prompt that circuits are computed on: text, token ids, or repeated random tokens.

    Attributes:
        name: Heading; made from the prompt where absent.
        text: The prompt; `text => answer` gives the answer too.
        tokens: Token ids, in place of text; used as they are, so BOS is the user's to give.
        repeat_random: Number of random tokens to draw and repeat, in place of text.
        seed: Seed of the random tokens.
        answer: The next token to follow, as text.
        saes: SAEs of the report to use, by name; those of `pairs`, or all, where absent.
        pairs: Pairs of SAEs (earlier, later) to take gradients between; all where absent.
        graph: Whether to make an attribution graph.
    """

    name: str | None = None
    text: str | None = None
    tokens: tuple[int, ...] | None = None
    repeat_random: int | None = Field(None, ge=1, le=100_000)
    seed: int = Field(0, ge=0, le=2**63 - 1)
    answer: str | None = None
    saes: tuple[str, ...] | None = None
    pairs: tuple[tuple[str, str], ...] | None = None
    graph: bool = False

    def checked(self) -> PromptConfig:
        """Itself, if it is exactly one kind of prompt.

        Raises:
            UsageError: It is none or two.
        """
        kinds = [self.text is not None, self.tokens is not None, self.repeat_random is not None]
        if sum(kinds) != 1:
            raise UsageError(
                f"The prompt '{self.name or self.text or ''}' needs one of text, tokens and "
                f"repeat_random, and has {sum(kinds)}.",
                "See 'saereport init' for examples.",
            )
        return self


class GraphConfig(Asked):
    """How attribution graphs are made.

    Attributes:
        saes: SAEs of the report that take part, by name; its MLP transcoders where absent.
        max_latents: Active latents whose inputs are computed, the most influential first.
        max_logits: Logits at most.
        logit_share: Share of the probability that the logits are to hold.
        node_threshold: Cumulative influence that the kept nodes hold.
        edge_threshold: Cumulative influence that the kept links hold.
        checks: Links checked by intervention.
    """

    saes: tuple[str, ...] | None = None
    max_latents: int = Field(4096, ge=1)
    max_logits: int = Field(10, ge=1)
    logit_share: float = Field(0.95, gt=0, le=1)
    node_threshold: float = Field(0.8, gt=0, le=1)
    edge_threshold: float = Field(0.98, gt=0, le=1)
    checks: int = Field(20, ge=0)


class CircuitsConfig(Asked):
    """How circuits are computed on prompts and examples.

    Attributes:
        include_bos: Treat BOS like any other token.
        max_prompt: Tokens of the longest prompt; attention patterns take memory with its square.
        top_logits: Logits that latents are traced to.
        pairs_kept: Gradients stored for each pair of places, the largest first.
        max_inputs: Active latents used as inputs, those with the largest activations first.
        max_outputs: Active latents used as outputs, likewise.
        checks: Pairs checked by intervention, for each pair of places.
        attributed: Active latents of each SAE on a prompt that are decomposed.
        influences: Influences listed for each of them.
        examples: Top examples of each chosen latent that are decomposed; 0 for none.
        example_latents: Chosen latents of an SAE up to which that is done.
        memory: Bytes that batched derivatives may take, or `auto`.
        graph: How attribution graphs are made.
    """

    include_bos: bool = False
    max_prompt: int = Field(1024, ge=2)
    top_logits: int = Field(10, ge=1)
    pairs_kept: int = Field(2000, ge=1)
    max_inputs: int = Field(4096, ge=1)
    max_outputs: int = Field(1024, ge=1)
    checks: int = Field(24, ge=0)
    attributed: int = Field(8, ge=0)
    influences: int = Field(12, ge=1)
    examples: int = Field(4, ge=0)
    example_latents: int = Field(256, ge=0)
    memory: int | Literal["auto"] = "auto"
    graph: GraphConfig = GraphConfig()

    @field_validator("memory", mode="before")
    @classmethod
    def _bytes_or_auto(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "auto":
            try:
                value = read_bytes(value)
            except UsageError as error:
                raise ValueError("it is 'auto' or a number of bytes, such as 8GB") from error
        if value == "auto" or (isinstance(value, int) and value >= 1):
            return value
        raise ValueError("it is 'auto' or a whole number of bytes, at least 1")


class PromptSettings(Asked):
    """What circuits are computed on, and how.

    Attributes:
        prompts: Prompts that circuits are computed on.
        circuits: How circuits are computed.
    """

    prompts: tuple[PromptConfig, ...] = ()
    circuits: CircuitsConfig = CircuitsConfig()


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
    essential = ("prompts", "prompt_notes", "graph_nodes")
    why_essential = "other tables name what stands there; 'circuits' leaves out all of them"
    keeps = False

    def check(self, config: BuildConfig) -> None:
        """Check each prompt, and that every SAE that one names is in the report."""
        for prompt in config.prompts:
            prompt.checked()
            _check_prompt(prompt, _called(prompt, config), config.circuits.max_prompt)
        _check_names(config, config.slugs)

    def check_saes(self, config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
        """Check the order of the SAEs in pairs, and that a graph has some to be made of."""
        _check_pairs(config, {fact.slug: fact for fact in facts})
        _check_graph(config, facts)

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where there is no prompt."""
        return None if context.config.prompts else ""

    def plan(self, context: Context) -> Cost:
        """Make token ids of the prompts."""
        from saereport.pipeline.circuits import prompt_tasks

        n = len(prompt_tasks(context))
        return Cost(what=f"{n:,} prompt{'s' if n > 1 else ''}")

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the tables of all prompts, in their order."""
        from saereport.pipeline.circuits import circuits_on_prompts

        yield from circuits_on_prompts(context, self)


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
