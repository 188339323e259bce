"""From a configuration to a run on disk, and on to a report: the thin orchestration on top.

Each step hands its result to the next and lets go of what it no longer needs: SAEs and model are
loaded, the text is read once, the tables that need only weights are computed SAE by SAE from the
last to the first (a later one is pulled back onto the earlier), and the run is written.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from saereport.circuits.evaluation import Evaluation, evaluate, first_counted
from saereport.config import BuildConfig, make_config
from saereport.door import (
    EVALUATION,
    check_against,
    check_fits_a_run,
    check_settings,
    held_output,
    read_labels,
    read_lines,
)
from saereport.errors import SaereportError
from saereport.measure import STATISTICS, Setting
from saereport.measure.weights import WEIGHT_TABLES, TokenRows, WeightContext
from saereport.measure.weights.reasons import unexplained
from saereport.notebook import Report
from saereport.pipeline.agreement import check_named, check_together, named_model
from saereport.pipeline.checkpoint import Checkpoint
from saereport.pipeline.circuits import blind_latents, plan_circuits, prompts_of
from saereport.pipeline.circuits import discard as discard_circuits
from saereport.pipeline.fingerprint import (
    config_record,
    differences,
    digest,
    identity_of,
    installed_versions,
    of_reading,
)
from saereport.pipeline.memory import MemoryProfiler, as_lines
from saereport.pipeline.sanity import check_sanity
from saereport.pipeline.text import TextStage, text_of, text_stage
from saereport.pipeline.text_pass import Batches, SaeCollector, TextPass
from saereport.pipeline.write import Plan, write_run
from saereport.progress import Progress
from saereport.reports import render
from saereport.run import TABLES, Run, open_run
from saereport.run.files import target_folder
from saereport.run.store import require_run_or_nothing
from saereport.run.writing import retitle
from saereport.selection import Selection, parse_selection, tracked_latents
from saereport.sources.demo import demo_model_dir
from saereport.sources.devices import resolve_device, resolve_dtype
from saereport.sources.folders import SaeFacts
from saereport.sources.model_loading import described, load_model
from saereport.sources.models import LanguageModel
from saereport.sources.quiet import listening
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.magnitudes import check_magnitudes
from saereport.sources.saes.sae import Sae, check_fit, wrapper_for
from saereport.sources.saes.source import SaeSource, source_slugs
from saereport.warned import Warned, refuse

Asked = BuildConfig | Mapping[str, Any]


def build(
    config: Asked,
    out: Path | str,
    *,
    single_file: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Measure, and make the pages: `collect` followed by `render`.

    Args:
        config: What to do; a mapping has the fields of `BuildConfig`.
        out: Folder of the report, or with `single_file` its HTML file; an older report there is
            replaced when the new one is whole.
        single_file: Write one HTML file that opens by double click.
        force: Write that file however large it is.
        progress: Where to say what is going on; nowhere where absent.

    Returns:
        The report; it displays itself in a notebook.

    Raises:
        UsageError: The configuration means nothing.
        SaereportError: Anything else that a user can cause or mend; what was read of the text is
            kept in `<out>.partial`, and the same call goes on from there.
    """
    config, out = _checked(config), target_folder(out)
    progress = progress or Progress(quiet=True)
    with held_output(config, out, single_file=single_file) as work:
        run = _collect(config, work / "run", work, progress)
        progress.say("Making the pages")
        try:
            report = render(
                run,
                out,
                neuronpedia_embed=config.neuronpedia_embed,
                single_file=single_file,
                force=force,
                progress=progress,
            )
        except SaereportError as error:
            hint = f"{error.hint} What was measured is in '{run}'; 'saereport render' takes it."
            raise SaereportError(error.message, hint) from error
        shutil.rmtree(run)
        _forget(work)
        return report


def collect(config: Asked, out: Path | str, *, progress: Progress | None = None) -> Path:
    """Measure, and write a run. Arguments and errors as for `build`.

    Returns:
        The run's folder.
    """
    config, out = _checked(config), target_folder(out)
    with held_output(config, out, run=True) as work:
        run = _collect(config, out, work, progress or Progress(quiet=True))
        _forget(work)
        return run


def _forget(work: Path) -> None:
    """Remove what was kept for going on after an interruption."""
    discard_circuits(work)
    Checkpoint(work, "").discard()


def _checked(config: Asked) -> BuildConfig:
    asked = config if isinstance(config, BuildConfig) else make_config(config)
    check_settings(asked)
    return asked


def _collect(config: BuildConfig, target: Path, work: Path, progress: Progress) -> Path:
    require_run_or_nothing(target)
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype)
    memory = MemoryProfiler(config.profile_memory, device)
    warned = Warned(progress, strict=config.strict)
    lines = read_lines(config.prompts_file)
    labels = read_labels(config)
    with memory.stage("load"):
        saes = _load_saes(config, device, dtype, progress, warned)
        check_against(config, [_facts(sae) for sae in saes], labels)
        # A text that is not there is told before the model is loaded.
        text = text_of(config, saes, warned)
        model = _load_model(config, saes, device, dtype, progress, warned)
        saes = [check_fit(sae, model) for sae in saes]
        prompts_of(config, saes, model)  # one that cannot be used is told at once
    stage = text_stage(config, text, saes, model, warned)
    selections = [parse_selection(sae.latents or config.latents) for sae in config.saes]
    words = [config.title or "", *(selection.words for selection in selections)]
    check_fits_a_run(saes, model, stage.context_size, words)
    blind = blind_latents(config, saes)
    tracked = _tracked(config, selections, saes)
    added = {
        sae.slug: sorted(set(blind.get(sae.slug, ())) - set(own.tolist()))
        for sae, own in zip(saes, tracked, strict=True)
    }
    identity = identity_of(config, saes, model, text, stage.context_size, added=added)
    fingerprint = digest(identity)
    title = config.title or _title(saes, model)
    done = None if config.profile_memory else _done(target, fingerprint)
    if done is not None:
        progress.say("This run is already collected; using it")
        if config.strict:
            refuse(done.info.warnings)
        if done.info.title != title:
            retitle(done, title)
        return target

    _say_what_is_left_out(saes, model, warned)
    readers = _readers(
        config,
        saes,
        [np.union1d(own, added[d.slug]) for d, own in zip(saes, tracked, strict=True)],
        model,
    )
    stage.look(warned)
    circuits = plan_circuits(config, lines, blind, saes, model, work, fingerprint)
    reading = TextPass(
        model=model,
        readers=readers,
        batches=Batches(config.batch_size, stage.context_size, device, progress),
        checkpoint=Checkpoint(work, digest(of_reading(identity)), of_reading(identity)),
    )
    with memory.stage("check the SAEs"):
        first = stage.packed(batch=reading.batches.block)
        check_sanity(model, saes, first, reading.batches, warned)
    with memory.stage("read the text"):
        _read(config, reading, stage, progress)
        stage.conclude(warned)
    with memory.stage("evaluate"):
        evaluation = _evaluate(config, reading, stage, progress)
    _say_what_was_found(reading, evaluation, warned)
    plan = Plan(
        config=config_record(config),
        title=title,
        fingerprint=fingerprint,
        text=stage,
        map=config.map,
        seed=config.seed,
        listed=config.examples.listed,
        selections=selections,
        labels=labels,
        circuits=circuits,
        evaluation=evaluation,
        libraries=installed_versions(),
        warned=warned,
    )
    # From here on `reading` alone holds the SAEs and the model; the last step releases them.
    del model, saes, readers, stage
    write_run(target, plan, reading, memory, progress)
    gc.collect()
    profile = memory.profile()
    if profile is not None:
        for line in as_lines(profile):
            progress.say(line)
    return target


def _facts(sae: Sae) -> SaeFacts:
    """What the door knows of an SAE, once it is loaded."""
    return SaeFacts(
        slug=sae.slug,
        d_sae=sae.d_sae,
        hook_in=sae.hook_in,
        hook_out=sae.write_point if sae.is_transcoder else None,
        is_transcoder=sae.is_transcoder,
        model_name=sae.model_name,
    )


def _load_saes(
    config: BuildConfig,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress,
    warned: Warned,
) -> list[Sae]:
    sources = [
        SaeSource(release=sae.release, sae_id=sae.sae_id, path=str(sae.path) if sae.path else None)
        for sae in config.saes
    ]
    loaded = []
    for source, slug in zip(sources, source_slugs(sources), strict=True):
        progress.say(f"Loading the SAE {source.label}")
        sae = load_sae(source, device=device, dtype=dtype, slug=slug)
        check_magnitudes(sae)
        for said in sae.said:
            warned.add(said.text, about=slug, source=said.source, sanity=said.sanity)
        loaded.append(sae)
    return loaded


def _say_what_is_left_out(saes: Sequence[Sae], model: LanguageModel, warned: Warned) -> None:
    """Warn of tables of weights that cannot be right for this model, before any text is read."""
    tokens = TokenRows(model)
    for sae in saes:
        others = [other for other in saes if other is not sae]
        context = WeightContext(sae, np.zeros(0, dtype=np.int64), tokens, others)
        for reason, names in unexplained(context, WEIGHT_TABLES).items():
            titles = ", ".join(TABLES[name].title for name in names)
            warned.add(f"Left out: {titles}. The reason: {reason}.", about=sae.slug)


def _load_model(
    config: BuildConfig,
    saes: Sequence[Sae],
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress,
    warned: Warned,
) -> LanguageModel:
    name = config.model or named_model(saes)
    check_together(saes, named=config.model is not None)
    if config.model is not None:
        check_named(config.model, saes, warned)
    first = saes[0]
    progress.say(f"Loading the model {described(name)}")
    if name == "demo":
        demo_model_dir(progress.say)
    if config.trust_remote_code:
        warned.add("Code of the model's repository was allowed to run (--trust-remote-code).")
    with listening() as heard:
        model = load_model(
            name,
            device=device,
            dtype=dtype,
            kwargs=first.model_kwargs,
            wrapper=wrapper_for(saes, named=config.model is not None),
            trust_remote_code=config.trust_remote_code,
        )
    for said in heard:
        warned.add(said.text, source=said.source)
    return model


def _done(target: Path, fingerprint: str) -> Run | None:
    """The run if it is there already; one that cannot be read is simply collected again."""
    try:
        run = open_run(target)
        if run.path != target or run.info.fingerprint != fingerprint:
            return None
        run.verify()
    except SaereportError:
        return None
    return run


def _say_what_was_found(reading: TextPass, evaluation: Evaluation, warned: Warned) -> None:
    """Warn of activations that could not be measured, and of figures that hang on little."""
    for reader in reading.readers:
        if reason := reader.broken.reason():
            warned.add(reason, about=reader.sae.slug)
    for slug, doubts in evaluation.doubts.items():
        for doubt in doubts:
            warned.add(doubt, about=slug)


def _tracked(
    config: BuildConfig, selections: Sequence[Selection], saes: Sequence[Sae]
) -> list[np.ndarray]:
    """The latents of each SAE that are followed over the whole text."""
    return [
        tracked_latents(selection, sae.d_sae, config.seed)
        for selection, sae in zip(selections, saes, strict=True)
    ]


def _readers(
    config: BuildConfig,
    saes: Sequence[Sae],
    tracked: Sequence[np.ndarray],
    model: LanguageModel,
) -> list[SaeCollector]:
    names = [name for name in STATISTICS if name not in config.skip]
    return [
        SaeCollector(
            sae,
            Setting(
                d_sae=sae.d_sae,
                d_vocab=model.d_vocab,
                latents=latents.astype(np.int64),
                seed=config.seed,
                top=config.examples.top,
                before=config.examples.before,
                after=config.examples.after,
                intervals=config.examples.intervals,
                interval_examples=config.examples.per_group,
                quantile_edges=config.examples.quantiles,
                quantile_examples=config.examples.per_group,
                tokens=config.examples.listed,
                coactive=config.examples.listed,
            ),
            names,
        )
        for sae, latents in zip(saes, tracked, strict=True)
    ]


def _read(config: BuildConfig, reading: TextPass, stage: TextStage, progress: Progress) -> None:
    seen = reading.seen
    if reading.resume():
        progress.say(f"Going on from the checkpoint, after {seen.tokens:,} tokens")
    elif reading.checkpoint.path.exists():
        kept = reading.checkpoint.kept_identity()
        changed = differences(kept, reading.checkpoint.identity) if kept else ""
        reason = f"{changed} changed" if changed else "it is damaged, or of an older version"
        progress.say(f"The checkpoint beside the output cannot be used: {reason}; starting anew")
    packed = stage.packed(batch=reading.batches.block, skip=seen.sequences, tally=stage.tally)
    total = -(-config.tokens // stage.context_size) * stage.context_size
    with progress.bar("Reading the text", total, "tok", done=seen.tokens) as bar:
        reading.run(packed, bar)
    if seen.counted == 0:
        raise stage.tally.nothing_counts(stage.context_size)
    if seen.tokens < config.tokens:
        progress.say(f"The text ended after {seen.tokens:,} of {config.tokens:,} tokens")
    if summary := stage.tally.summary(stage.context_size):
        progress.say(summary)
    reading.save()


def _evaluate(
    config: BuildConfig, reading: TextPass, stage: TextStage, progress: Progress
) -> Evaluation:
    """Figures of the whole SAEs over the first tokens, packed anew: a resumed run has them too."""
    saes = [reader.sae for reader in reading.readers]
    if config.evaluation_tokens == 0 or EVALUATION in config.skip:
        return Evaluation(left_out={sae.slug: "it was skipped" for sae in saes})
    packed = stage.packed(batch=reading.batches.block)
    tokens, counted = first_counted(packed, config.evaluation_tokens)
    return evaluate(reading.model, saes, tokens, counted, progress)


def _title(saes: Sequence[Sae], model: LanguageModel) -> str:
    hooks = [d.hook_in.name for d in saes]
    shown = ", ".join(hooks[:3]) + (f" and {len(hooks) - 3} more" if len(hooks) > 3 else "")
    return f"{model.name}: {shown}"
