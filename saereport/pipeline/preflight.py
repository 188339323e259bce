"""What is checked at the door: names, files, latents and prompts, before torch is loaded.

Loading the libraries takes half a minute, and reading a text hours. Whatever can be told from the
configuration, from a folder's listing, from `cfg.json` and from the header of a weights file is
told here, in a second. What only the loaded SAEs tell is checked by the same functions once they
are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from saereport.config.build import BuildConfig, SaeConfig
from saereport.config.selection import check_width, parse_selection
from saereport.pipeline.activation_store import require_cache_or_nothing
from saereport.pipeline.engine.cluster import check_engine
from saereport.pipeline.kept import take_up
from saereport.pipeline.stage import require_needs, stages
from saereport.run import kinds
from saereport.run.schema import MOST_LAYERS, MOST_SAES
from saereport.site.folder import require_report_or_nothing, require_run_of_its_own
from saereport.site.single_write import require_single_or_nothing
from saereport.sources.folders import (
    SaeFacts,
    check_chat_template,
    check_model,
    look_at_release,
    look_at_sae,
)
from saereport.sources.placement import placement_of
from saereport.sources.saes.directory import require_ids
from saereport.sources.text.hub import pinned
from saereport.sources.text.opening import is_local, open_text
from saereport.util.errors import SaereportError, UsageError, did_you_mean, shortened
from saereport.util.files import require_apart, reserved, target_folder
from saereport.util.replacing import require_replaceable
from saereport.util.untrusted import TEXT_BYTES

CHARACTERS_PER_TOKEN = 8
READ_AHEAD = 2**24
"""How much of a text is read here: what the tokens that are asked for may need, at most this."""


def check_everything(config: BuildConfig) -> None:
    """Check all that can be told without torch; for who has not loaded it yet.

    Raises:
        UsageError: The configuration asks for what has no meaning.
        SaereportError: A file is not there, or is not what it should be.
    """
    check_settings(config)
    facts = [_facts(sae, slug) for sae, slug in zip(config.saes, config.slugs, strict=True)]
    check_against(config, facts)
    model = config.model or facts[0].model_name
    if model is None and config.saes[0].path is not None:
        raise SaereportError(
            f"The metadata of the SAE {facts[0].slug} names no model, or one by a path, which is "
            "not followed.",
            "Give one with --model.",
        )
    if model is not None:
        check_model(model)
    _check_text(config, model)


def check_settings(config: BuildConfig) -> None:
    """Check the configuration against itself.

    Raises:
        UsageError: It asks for what has no meaning.
        SaereportError: It asks for what is not installed, or a stage needs what there is not.
    """
    check_skipped(config.skip)
    require_ids(config.saes)
    config.checked()
    placement_of(config.device_map, config.quantize).check_model(config.model or "")
    if config.device_map is not None and config.engine != "local":
        raise UsageError(
            f"--device-map cannot be used with --engine {config.engine}: each of its workers has a "
            "device of its own.",
            "Leave out one of them.",
        )
    if config.activations_cache is not None:
        require_cache_or_nothing(config.activations_cache.expanduser())
    check_engine(config)
    for stage in stages().values():
        if stage.name not in config.skip:
            require_needs(stage)
            stage.check(config)


def check_skipped(skip: Sequence[str]) -> None:
    """Check that every name is one that can be left out.

    Raises:
        UsageError: It is none; says what may have been meant.
    """
    known = {name: stage for stage in stages().values() for name in stage.names}
    for name in skip:
        if name not in known:
            hint = did_you_mean(name, known) or f"Known are {', '.join(known)}."
            raise UsageError(
                f"There is no stage, statistic or table '{shortened(name)}' to skip.", hint
            )
        if name in known[name].essential:
            raise UsageError(f"'{name}' cannot be skipped: {known[name].why_essential}.")


def check_output(out: Path, *, single_file: bool = False, run: bool = False) -> None:
    """Check that an output can be written where it is asked for.

    Raises:
        SaereportError: Something else is there, it would replace the folder one is in, it could
            not be put into its place, or someone else is writing it.
    """
    target = target_folder(out)
    with reserved(target, _check_of(single_file, run)):
        pass


def check_replaceable(
    config: BuildConfig, out: Path, *, single_file: bool = False, run: bool = False
) -> None:
    """Check an output as `held_output` does, without holding it: nothing is written.

    Raises:
        SaereportError: Something else is there, or the output could not be put into its place.
    """
    require_apart(out, [config.dataset] if config.dataset else [])
    require_replaceable(out)
    _check_of(single_file, run)(out)


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
        take_up(work)
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
        return require_run_of_its_own
    return require_single_or_nothing if single_file else require_report_or_nothing


def check_against(config: BuildConfig, facts: Sequence[SaeFacts]) -> None:
    """Check what was asked for against what is known of the SAEs.

    Args:
        config: What was asked for.
        facts: What is known of each SAE; None where it is not.

    Raises:
        UsageError: What was asked for cannot be had from these SAEs.
        SaereportError: A latent is not in its SAE, or labels are of another SAE.
    """
    for sae, fact in zip(config.saes, facts, strict=True):
        if fact.d_sae is not None:
            selection = parse_selection(sae.latents or config.latents)
            check_width(selection, fact.d_sae, f"the SAE {fact.slug}")
    for stage in stages().values():
        if stage.name not in config.skip:
            stage.check_saes(config, facts)


def _facts(sae: SaeConfig, slug: str) -> SaeFacts:
    if sae.path is not None:
        return look_at_sae(sae.path.expanduser(), slug, sae.sae_id)
    return look_at_release(str(sae.release), str(sae.sae_id), slug)


def _check_text(config: BuildConfig, model: str | None) -> None:
    """Open a local text, and read as much of it as the tokens that are asked for may need."""
    if config.dataset is None or not is_local(config.dataset):
        pinned(config.dataset or "", config.dataset_revision)
        return
    text = open_text(
        config.dataset,
        column=config.text_column,
        split=config.dataset_split,
        config=config.dataset_config,
        revision=config.dataset_revision,
        hashed=False,
    )
    text.read_ahead(min(READ_AHEAD, CHARACTERS_PER_TOKEN * config.tokens))
    if text.kind == "chat" and model is not None:
        check_chat_template(model, text.name)
