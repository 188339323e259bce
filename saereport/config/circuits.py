"""What circuits are computed on, and how."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from saereport.config.quantities import read_bytes
from saereport.config.section import Option, Section
from saereport.util.errors import UsageError


class PromptConfig(Section):
    """One prompt that circuits are computed on: text, token ids, or repeated random tokens."""

    name: str | None = None
    """Heading; made from the prompt where absent."""
    text: str | None = None
    """The prompt; `text => answer` gives the answer too."""
    tokens: tuple[int, ...] | None = None
    """Token ids, in place of text; used as they are, so BOS is the user's to give."""
    repeat_random: int | None = Field(None, ge=1, le=100_000)
    """Number of random tokens to draw and repeat, in place of text."""
    seed: int = Field(0, ge=0, le=2**63 - 1)
    """Seed of the random tokens."""
    answer: str | None = None
    """The next token to follow, as text."""
    saes: tuple[str, ...] | None = None
    """SAEs of the report to use, by name; those of `pairs`, or all, where absent."""
    pairs: tuple[tuple[str, str], ...] | None = None
    """Pairs of SAEs (earlier, later) to take gradients between; all where absent."""
    graph: bool = False
    """Whether to make an attribution graph."""

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
    """How attribution graphs are made."""

    saes: tuple[str, ...] | None = None
    """SAEs of the report that take part, by name; its MLP transcoders where absent."""
    max_latents: int = Field(4096, ge=1)
    """Active latents whose inputs are computed, the most influential first."""
    max_logits: int = Field(10, ge=1)
    """Logits at most."""
    logit_share: float = Field(0.95, gt=0, le=1)
    """Share of the probability that the logits are to hold."""
    node_threshold: float = Field(0.8, gt=0, le=1)
    """Cumulative influence that the kept nodes hold."""
    edge_threshold: float = Field(0.98, gt=0, le=1)
    """Cumulative influence that the kept links hold."""
    checks: int = Field(20, ge=0)
    """Links checked by intervention."""


class CircuitsConfig(Section):
    """How circuits are computed on prompts and examples."""

    include_bos: Annotated[bool, Option()] = False
    """Treat BOS like any other token in circuits."""
    max_prompt: int = Field(1024, ge=2)
    """Tokens of the longest prompt; attention patterns take memory with its square."""
    top_logits: Annotated[int, Option()] = Field(10, ge=1)
    """Logits that latents are traced to."""
    pairs_kept: int = Field(2000, ge=1)
    """Gradients stored for each pair of places, the largest first."""
    max_inputs: int = Field(4096, ge=1)
    """Active latents used as inputs, those with the largest activations first."""
    max_outputs: int = Field(1024, ge=1)
    """Active latents used as outputs, likewise."""
    checks: int = Field(24, ge=0)
    """Pairs checked by intervention, for each pair of places."""
    attributed: int = Field(8, ge=0)
    """Active latents of each SAE on a prompt that are decomposed."""
    influences: int = Field(12, ge=1)
    """Influences listed for each of them."""
    examples: int = Field(4, ge=0)
    """Top examples of each chosen latent that are decomposed; 0 for none."""
    example_latents: int = Field(256, ge=0)
    """Chosen latents of an SAE up to which that is done."""
    memory: int | Literal["auto"] = "auto"
    """Bytes that batched derivatives may take, or `auto`."""
    graph: GraphConfig = GraphConfig()
    """How attribution graphs are made."""

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
    """What circuits are computed on, and how."""

    prompts: tuple[PromptConfig, ...] = ()
    """Prompts that circuits are computed on; a text alone stands for its `text`."""
    circuits: CircuitsConfig = CircuitsConfig()
    """How circuits are computed."""

    @field_validator("prompts", mode="before")
    @classmethod
    def _texts_are_prompts(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return value
        return [{"text": one} if isinstance(one, str) else one for one in value]
