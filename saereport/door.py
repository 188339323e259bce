"""What is checked at the door: names, files, latents and prompts, before torch is loaded.

Loading the libraries takes half a minute, and reading a text hours. Whatever can be told from the
configuration, from a folder's listing, from `cfg.json` and from the header of a weights file is
told here, in a second. What only the loaded SAEs tell is checked by the same functions once they
are there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from saereport.circuits.blind import parse_blind
from saereport.config import BuildConfig, PromptConfig, SaeConfig
from saereport.errors import SaereportError, UsageError, did_you_mean, shortened
from saereport.limits import MIB, TEXT_BYTES, Limits, content
from saereport.measure import STATISTICS
from saereport.names import unique_slugs
from saereport.run import kinds
from saereport.run.files import require_apart, reserved, target_folder
from saereport.run.schema import MOST_LAYERS, MOST_SAES
from saereport.run.store import require_run_or_nothing
from saereport.selection import check_width, parse_selection
from saereport.site.folder import require_report_or_nothing
from saereport.site.single_write import require_single_or_nothing
from saereport.sources.explanations import read_explanations
from saereport.sources.folders import SaeFacts, check_model, look_at_release, look_at_sae
from saereport.sources.text import looks_like_path, open_text
from saereport.yaml_files import exists

EVALUATION = "sae_metrics"
"""The table of figures of a whole SAE, and what to skip to do without it."""

HASHED_AT_ONCE = 64 * 2**20
"""Bytes of a text that is opened here already; a larger one is only looked for."""

PROMPTS_FILE = Limits(file_bytes=256 * MIB, text_bytes=256 * MIB)
"""How much of a prompts file is read."""

Labels = dict[int, list[tuple[str, str]]]


def check_everything(config: BuildConfig) -> None:
    """Check all that can be told without torch; for who has not loaded it yet.

    Raises:
        UsageError: The configuration asks for what has no meaning.
        SaereportError: A file is not there, or is not what it should be.
    """
    check_settings(config)
    read_lines(config.prompts_file)
    facts = [_facts(sae, slug) for sae, slug in zip(config.saes, sae_slugs(config), strict=True)]
    check_against(config, facts, read_labels(config))
    model = config.model or facts[0].model_name
    if model is None and config.saes[0].path is not None:
        raise SaereportError(
            f"The metadata of the SAE {facts[0].slug} names no model, or one by a path, which is "
            "not followed.",
            "Give one with --model.",
        )
    if model is not None:
        check_model(model)
    _check_text(config)


def check_settings(config: BuildConfig) -> None:
    """Check the configuration against itself.

    Raises:
        UsageError: It asks for what has no meaning.
        SaereportError: It asks for what is not installed.
    """
    known = (*STATISTICS, EVALUATION)
    unknown = [name for name in config.skip if name not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known) or f"Known are {', '.join(known)}."
        raise UsageError(f"There is no statistic '{shortened(unknown[0])}' to skip.", hint)
    if "activity" in config.skip:
        raise UsageError("'activity' cannot be skipped: every page is built on it.")
    if config.map == "umap" and find_spec("umap") is None:
        raise SaereportError(
            "A UMAP map needs the package umap-learn, which is not installed.",
            "pip install 'saereport[umap]', or make the map with PCA.",
        )
    config.checked()
    for prompt in config.prompts:
        _check_prompt(prompt, _called(prompt, config), config.circuits.max_prompt)
    if config.with_reveal and not config.blind:
        raise UsageError(
            "There is nothing to reveal: no latent is blinded.", "Name some with --blind."
        )
    _check_names(config, sae_slugs(config))


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


def sae_slugs(config: BuildConfig) -> list[str]:
    """The names that the SAEs have in the run."""
    return unique_slugs(
        sae.path.resolve().name if sae.path else f"{sae.release}-{sae.sae_id}"
        for sae in config.saes
    )


def check_output(out: Path, *, single_file: bool = False, run: bool = False) -> None:
    """Check that an output can be written where it is asked for.

    Raises:
        SaereportError: Something else is there, it would replace the folder one is in, it could
            not be put into its place, or someone else is writing it.
    """
    target = target_folder(out)
    with reserved(target, _check_of(single_file, run)):
        pass


@contextmanager
def held_output(
    config: BuildConfig, out: Path, *, single_file: bool = False, run: bool = False
) -> Iterator[Path]:
    """Hold an output and the folder beside it that keeps what was done; gives that folder.

    Raises:
        SaereportError: Another process writes one of them, something else is there, or the output
            could not be put into its place after the measurement.
    """
    # A folder of text may be read whole; beside a model or an SAE an output is in nobody's way.
    require_apart(out, [config.dataset] if config.dataset else [])
    work = out.with_name(f"{out.name}.partial")
    with reserved(out, _check_of(single_file, run)), reserved(work):
        yield work


def check_fits_a_run(
    saes: Sequence[WithWidth], model: WithSizes, context_size: int, texts: Sequence[str]
) -> None:
    """Refuse what a run cannot hold before the text is read, by the limits of its reader.

    Args:
        saes: The SAEs.
        model: The model.
        context_size: Tokens in a sequence.
        texts: What `run.json` will say in words: the title, and how latents were chosen.

    Raises:
        SaereportError: Something is larger; says what, and the limit.
    """
    sizes = [
        ("SAEs", len(saes), MOST_SAES),
        ("tokens in the model's vocabulary", model.d_vocab, kinds.TOKENS),
        ("tokens in a sequence", context_size, kinds.POSITIONS),
        ("layers of the model", model.n_layers, MOST_LAYERS),
        *((f"latents of {sae.slug}", sae.d_sae, kinds.LATENTS) for sae in saes),
        *(("characters in a title or in a choice of latents", len(t), TEXT_BYTES) for t in texts),
    ]
    for what, size, limit in sizes:
        if size > limit:
            raise SaereportError(f"A run holds up to {limit:,} {what}; there are {size:,} here.")


class WithWidth(Protocol):
    """What is asked of an SAE."""

    @property
    def slug(self) -> str:
        """Its folder in the run."""

    @property
    def d_sae(self) -> int:
        """How many latents it has."""


class WithSizes(Protocol):
    """What is asked of a model."""

    @property
    def d_vocab(self) -> int:
        """Tokens of its vocabulary."""

    @property
    def n_layers(self) -> int:
        """Layers."""


def _check_of(single_file: bool, run: bool) -> Callable[[Path], None]:
    """What refuses to replace anything but an older output of the same kind."""
    if run:
        return require_run_or_nothing
    return require_single_or_nothing if single_file else require_report_or_nothing


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


def read_labels(config: BuildConfig) -> list[Labels]:
    """The labels of each SAE, from the files that were named.

    Raises:
        SaereportError: A file cannot be read, or holds no labels.
    """
    labels = []
    for sae, slug in zip(config.saes, sae_slugs(config), strict=True):
        path = sae.explanations or config.explanations
        labels.append(read_explanations(path, sae=slug) if path is not None else {})
    return labels


def check_against(config: BuildConfig, facts: Sequence[SaeFacts], labels: Sequence[Labels]) -> None:
    """Check what was asked for against what is known of the SAEs.

    Args:
        config: What was asked for.
        facts: What is known of each SAE; None where it is not.
        labels: The labels of each.

    Raises:
        UsageError: What was asked for cannot be had from these SAEs.
        SaereportError: A latent is not in its SAE, or labels are of another SAE.
    """
    for sae, fact, own in zip(config.saes, facts, labels, strict=True):
        if fact.d_sae is None:
            continue
        selection = parse_selection(sae.latents or config.latents)
        check_width(selection, fact.d_sae, f"the SAE {fact.slug}")
        beyond = max(own, default=-1)
        if beyond >= fact.d_sae:
            raise SaereportError(
                f"The explanations of {fact.slug} label latent {beyond}, but it has "
                f"{fact.d_sae:,} latents.",
                "Are they of another SAE?",
            )
    widths = {fact.slug: fact.d_sae for fact in facts if fact.d_sae is not None}
    if len(widths) == len(facts):
        parse_blind(config.blind, widths, [fact.slug for fact in facts if fact.is_transcoder])
    _check_pairs(config, {fact.slug: fact for fact in facts})
    _check_graph(config, facts)


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
    try:
        text = content(path.expanduser(), PROMPTS_FILE).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SaereportError(
            f"The prompts file '{path}', line {line}: not UTF-8.", "Save it as UTF-8."
        ) from error
    # `splitlines` would also cut at separators that JSON allows inside a string.
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise SaereportError(
            f"The prompts file '{path}' holds no prompt.", "It has a prompt on each line."
        )
    only_json = path.suffix.lower() in (".json", ".jsonl", ".ndjson")
    found = tuple(_text_of(line, only_json) for line in lines)
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


def _facts(sae: SaeConfig, slug: str) -> SaeFacts:
    if sae.path is not None:
        return look_at_sae(sae.path.expanduser(), slug)
    return look_at_release(str(sae.release), str(sae.sae_id), slug)


def _check_text(config: BuildConfig) -> None:
    """Open a local text that is not large; look whether a large one is there."""
    if config.dataset is None:
        return
    path = Path(config.dataset).expanduser()
    local = config.dataset == "demo" or os.path.lexists(path) or looks_like_path(config.dataset)
    files = [file for file in path.iterdir() if file.is_file()] if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files if file.exists())
    if local and size <= HASHED_AT_ONCE:
        open_text(
            config.dataset,
            column=config.text_column,
            split=config.dataset_split,
            config=config.dataset_config,
        )
