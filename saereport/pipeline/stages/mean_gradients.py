"""Mean gradients over a file of prompts as a stage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.stages import PromptsFileSettings
from saereport.config.yaml_files import exists
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded, file_digest
from saereport.pipeline.stages.circuits import refuse_packed
from saereport.util.errors import SaereportError
from saereport.util.untrusted import MIB, Limits, lines, utf8

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe

PROMPTS_FILE = Limits(file_bytes=256 * MIB, text_bytes=256 * MIB, line_bytes=MIB)
"""How much of a prompts file is read."""


class MeanGradientsStage(Stage):
    """Mean absolute gradients between SAEs over a file of prompts.

    The sums are kept now and then, so that an interrupted build goes on after the prompts that it
    had added.
    """

    name = "mean_gradients"
    tables = ("pair_mean_maps", "pair_means")
    needs = Needs(model=True, saes=True)
    config = PromptsFileSettings
    at_top = True
    shares = ("circuits",)
    regardless_of = ("tokens", "latents", "saes.latents", "examples")
    keeps = False

    def check(self, config: BuildConfig) -> None:
        """Read the file."""
        if config.prompts_file:
            refuse_packed(config, "Mean gradients")
        read_lines(config.prompts_file)

    def inputs(self, config: BuildConfig) -> dict[str, Any]:
        """The file."""
        return {"the prompts file": file_digest(config.prompts_file)}

    def depends_on(self, context: Context) -> dict[str, Any]:
        """The latents that are shown."""
        from saereport.pipeline.context import shown_of

        return shown_of(context)

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where there is no file."""
        return None if context.config.prompts_file else ""

    def plan(self, context: Context) -> Cost:
        """Count the prompts."""
        n = len(read_lines(context.config.prompts_file))
        return Cost(prompts=n, what="of the file")

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Take the gradients on the first lines."""
        from saereport.pipeline.averages import cost_of_averages

        return cost_of_averages(context, read_lines(context.config.prompts_file), probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the means of each pair of SAEs."""
        from saereport.pipeline.averages import mean_gradients

        yield from mean_gradients(context, self, read_lines(context.config.prompts_file))


def read_lines(path: Path | None) -> tuple[str | None, ...]:
    """The prompts of a prompts file, one a line; JSON lines have the prompt in `text`.

    Args:
        path: The file; none where None.

    Returns:
        The text of each line that is not empty; None for one that holds no text.

    Raises:
        SaereportError: The file is not there, cannot be read, or holds nothing.
    """
    if path is None:
        return ()
    if not exists(path.expanduser()):
        raise SaereportError(f"There is no prompts file '{path}'.", "It has a prompt on each line.")
    # Lines end where lines end, and not at the separators that JSON allows inside a string.
    read = (
        utf8(line, f"The prompts file '{path}', line {number:,}").removesuffix("\r")
        for number, line in lines(path.expanduser(), PROMPTS_FILE)
    )
    given = [line for line in read if line.strip()]
    if not given:
        raise SaereportError(
            f"The prompts file '{path}' holds no prompt.", "It has a prompt on each line."
        )
    only_json = path.suffix.lower() in (".json", ".jsonl", ".ndjson")
    found = tuple(_text_of(line, only_json) for line in given)
    if all(text is None for text in found):
        raise SaereportError(
            f"The prompts file '{path}' holds no prompt: none of its {len(found):,} lines is JSON "
            "with a 'text'.",
            'Write lines such as {"text": "a prompt"}, or name it .txt.',
        )
    return found


def _text_of(line: str, only_json: bool) -> str | None:
    """A line's prompt: `text` of a JSON object, or the line itself where it is none."""
    if not only_json and not line.lstrip().startswith("{"):
        return line
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None if only_json else line
    text = value.get("text") if isinstance(value, dict) else None
    # JSON can name halves of characters, which no text holds.
    return text if isinstance(text, str) and _is_unicode(text) else None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
