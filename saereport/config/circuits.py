"""What circuits are computed on, and how."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from saereport.config.quantities import read_bytes
from saereport.config.section import Section
from saereport.util.errors import UsageError


class PromptConfig(Section):
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


class GraphConfig(Section):
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


class CircuitsConfig(Section):
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


class PromptSettings(Section):
    """What circuits are computed on, and how.

    Attributes:
        prompts: Prompts that circuits are computed on.
        circuits: How circuits are computed.
    """

    prompts: tuple[PromptConfig, ...] = ()
    circuits: CircuitsConfig = CircuitsConfig()
