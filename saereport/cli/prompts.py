"""The command line's options that stand for prompts, and what they do to a configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from saereport.config.quantities import read_ids
from saereport.util.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def prompt_options(function: F) -> F:
    """Add the options; `with_prompts` takes what they give."""
    options = [
        click.option(
            "--prompt",
            multiple=True,
            help="Compute circuits on this text; 'text => answer' follows the answer. Repeatable.",
        ),
        click.option(
            "--prompt-tokens",
            multiple=True,
            help="The same on token ids, '1,504,414', used as they are. Repeatable.",
        ),
        click.option(
            "--repeat-random",
            multiple=True,
            type=int,
            help="The same on N random tokens, repeated, for induction. Repeatable.",
        ),
        click.option("--graph", is_flag=True, help="An attribution graph for every prompt."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def with_prompts(values: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A configuration with what the options say on top; they are taken out of `given`.

    Prompts on the command line take the place of the file's.

    Args:
        values: The configuration so far.
        given: Options by name, as click gives them; those that are not about prompts stay.

    Raises:
        UsageError: Token ids are no numbers, or there is no prompt to make a graph of.
    """
    texts, ids = given.pop("prompt"), given.pop("prompt_tokens")
    repeated, graph = given.pop("repeat_random"), given.pop("graph")
    values = dict(values)
    prompts: list[dict[str, Any]] = [{"text": text} for text in texts]
    prompts += [{"tokens": read_ids(words)} for words in ids]
    prompts += [{"repeat_random": n} for n in repeated]
    if prompts:
        values["prompts"] = prompts
    if graph and isinstance(values.get("prompts", []), list):
        values["prompts"] = [_with_graph(prompt) for prompt in values.get("prompts", [])]
        graphs = [p for p in values["prompts"] if isinstance(p, dict) and p.get("graph")]
        if not graphs:
            raise UsageError(
                "--graph makes an attribution graph for every prompt of text or token ids, and "
                "there is none.",
                "Give one with --prompt.",
            )
    return values


def _with_graph(prompt: Any) -> Any:
    """A prompt with an attribution graph, if it is text or token ids."""
    if isinstance(prompt, dict) and prompt.get("repeat_random") is None:
        return {**prompt, "graph": True}
    return prompt
