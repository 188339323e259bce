"""From a configuration to a run on disk, and on to a report.

The stages of `pipeline.stages` do the work; here the context that they share is made, each is run
in its turn, and what it yields is handed to the writer.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from saereport.config.build import BuildConfig, make_config, with_plugins
from saereport.config.selection import parse_selection, tracked_latents
from saereport.config.steering import parse_steered, parse_sum
from saereport.pipeline.activation_store import Store
from saereport.pipeline.activations import CachedActivations
from saereport.pipeline.blinding import parse_blind
from saereport.pipeline.context import Chosen, Context, Loaded
from saereport.pipeline.engine.bench import bench_of, setup_of
from saereport.pipeline.engine.cluster import RayEngine
from saereport.pipeline.engine.job import Engine
from saereport.pipeline.engine.local import LocalEngine
from saereport.pipeline.fingerprint import (
    activations_identity,
    differences,
    identity_of,
    parts_of,
)
from saereport.pipeline.kept import put_away
from saereport.pipeline.loading import facts_of, load_model_of, load_saes
from saereport.pipeline.memory import MemoryProfiler, as_lines
from saereport.pipeline.parts import (
    CollectedPart,
    config_of,
    find_parts,
    part_in_place_of,
    read_part,
    require_part_or_nothing,
    require_whole,
    write_part,
)
from saereport.pipeline.plan import Plan, in_one_line
from saereport.pipeline.planning import THOROUGH, Asked, before_start, plan_of
from saereport.pipeline.preflight import (
    check_against,
    check_fits_a_run,
    check_replaceable,
    check_settings,
    held_output,
)
from saereport.pipeline.probe import Probe
from saereport.pipeline.reading import passes_of, read_sequences
from saereport.pipeline.resources import available, require_room_for_weights
from saereport.pipeline.running import plan_stages, run_stages
from saereport.pipeline.shards import cut, shard_name, state_of, unit_of
from saereport.pipeline.stage import Cost, Stage, stages
from saereport.pipeline.text import TEXT, run_text, store_of, text_of
from saereport.pipeline.text_pass import Batches
from saereport.pipeline.timing import Stopwatch
from saereport.pipeline.warned import Warned, refuse
from saereport.pipeline.write import TableSink
from saereport.plugins import load_plugins
from saereport.report.rendering import PageOptions, keeps_run, render, wants_run
from saereport.report.report import Report
from saereport.run import Run, open_run
from saereport.run.store import require_run_or_nothing
from saereport.run.writing import retitle
from saereport.site.spreading import how_many
from saereport.sources.devices import resolve_device, resolve_dtype
from saereport.sources.models import LanguageModel
from saereport.sources.placement import placement_of
from saereport.sources.saes.sae import Sae, check_fit
from saereport.util.errors import SaereportError
from saereport.util.files import json_digest, real_path, require_apart, reserved, target_folder
from saereport.util.progress import Progress
from saereport.util.replacing import swap


def build(
    config: BuildConfig | Mapping[str, Any], out: Path | str, **pages: Unpack[PageOptions]
) -> Report:
    """Measure, and make the pages: `collect` followed by `render`.

    How long each stage took is kept in `<out>.timing.json`. A run that does not go into the report
    is left in `<out>.run`.

    Args:
        config: What to do; a mapping has the fields of `BuildConfig`.
        out: Folder of the report, or with `single_file` its HTML file; an older report there is
            replaced when the new one is whole.
        pages: How the pages are made, as for `render`.

    Returns:
        The report; it displays itself in a notebook.

    Raises:
        UsageError: The configuration means nothing.
        SaereportError: Anything else that a user can cause or mend; what was finished is kept in
            `<out>.partial`, and the same call goes on from there.
    """
    return _build(config, out, (), pages)


def _build(
    config: BuildConfig | Mapping[str, Any],
    out: Path | str,
    parts: Sequence[CollectedPart],
    pages: PageOptions,
) -> Report:
    """See `build`; with parts, they are all that was collected of the text, which is not read."""
    progress = pages.get("progress")
    config, out = _checked(config, progress), target_folder(out)
    single = pages.get("single_file", False)
    how_many(pages.get("processes"), 0)
    watch = _Watch(progress or Progress(quiet=True), Stopwatch())
    with (
        held_output(config, out, single_file=single) as work,
        _held_run(out, wants_run(pages)) as beside,
    ):
        run = _collect(config, work / "run", work, watch, parts, pages=True)
        watch.progress.say("Making the pages")
        pages["neuronpedia_embed"] = config.neuronpedia_embed
        pages["with_run"] = beside is None or keeps_run(open_run(run), out, wants_run(pages))
        try:
            with watch.clock.stage("pages"):
                report = render(run, out, **pages)
        except SaereportError as error:
            hint = f"{error.hint} What was measured is in '{run}'; 'saereport render' takes it."
            raise SaereportError(error.message, hint) from error
        if pages["with_run"] or beside is None:
            shutil.rmtree(run)
        else:
            swap(run, beside)
            report = Report(report.path, made_from=beside)
            watch.progress.say(f"The run is in '{beside}': the report does not hold it.")
        _put_away(config, work, watch.progress)
        watch.conclude(out)
        return report


@contextmanager
def _held_run(out: Path, with_run: bool | None) -> Iterator[Path | None]:
    """Hold the place of a run that does not go into its report; None where it has to go there.

    Raises:
        SaereportError: It may not go there, and something else is in its place.
    """
    beside = out.with_name(f"{out.name}.run")
    with ExitStack() as stack:
        try:
            if with_run is not True:
                stack.enter_context(reserved(beside, require_run_or_nothing))
        except SaereportError:
            if with_run is False:
                raise
            with_run = True
        yield None if with_run else beside


def collect(
    config: BuildConfig | Mapping[str, Any], out: Path | str, *, progress: Progress | None = None
) -> Path:
    """Measure, and write a run. Arguments and errors as for `build`.

    Returns:
        The run's folder.
    """
    config, out = _checked(config, progress), target_folder(out)
    watch = _Watch(progress or Progress(quiet=True), Stopwatch())
    with held_output(config, out, run=True) as work:
        run = _collect(config, out, work, watch)
        _put_away(config, work, watch.progress)
        watch.conclude(out)
        return run


def collect_part(
    config: BuildConfig | Mapping[str, Any],
    folder: Path | str,
    shard: tuple[int, int],
    *,
    progress: Progress | None = None,
) -> Path:
    """Collect one shard of the text into a folder; `merge_parts` makes a report of all.

    Args:
        config: What to do, the same for every shard.
        folder: Folder of the parts; the tokenised text is kept there too, for the others.
        shard: Which it is, from 1, and how many there are.
        progress: Where to say what is going on; nowhere where absent.

    Returns:
        The part's folder.

    Raises:
        SaereportError: As for `build`; what was read is kept, and the same call goes on from there.
    """
    config, told = _checked(config, progress), progress or Progress(quiet=True)
    folder = real_path(folder)
    place = target_folder(folder / shard_name(*shard))
    require_apart(place, [config.dataset] if config.dataset else [])
    work = place.with_name(f"{place.name}.partial")
    with reserved(place, require_part_or_nothing), reserved(work):
        context, _ = _prepared(config, work, told, shared=folder / TEXT)
        if not _is_collected(place, context.identity):
            _collect_shard(context, place, shard)
        else:
            told.say("This part is already collected; using it")
        _forget(work)
    return place


def _is_collected(place: Path, identity: Mapping[str, Any]) -> bool:
    try:
        part = read_part(place)
        part.verify()
    except SaereportError:
        return False
    return dict(part.identity) == dict(identity)


def _collect_shard(context: Context, place: Path, shard: tuple[int, int]) -> None:
    stage, config = stages()["statistics"], context.config
    context.begin(stage, [])
    stage.plan(context)
    tokenised = context.text.tokenised(context.progress)
    unit = unit_of(context.batches, tokenised.context_size, config)
    number, of = shard
    mine = cut(0, tokenised.sequences, of, unit)[number - 1]
    # Where the text is cut depends on the size of a batch, of which no fingerprint knows.
    checkpoint = context.checkpoint(stage, f"{mine.first}-{mine.stop}")
    reading = passes_of(context).new(checkpoint)
    if reading.resume():
        context.progress.say(f"Going on from the checkpoint, after {reading.seen.tokens:,} tokens")
    read_sequences(context, reading, tokenised, mine.first, mine.stop)
    with part_in_place_of(place) as fresh:
        write_part(
            fresh,
            state_of(reading),
            mine,
            tokenised.sequences,
            config=config,
            identity=context.identity,
        )


def merge_parts(
    parts: Sequence[Path | str],
    out: Path | str,
    *,
    device: str | None = None,
    **pages: Unpack[PageOptions],
) -> Report:
    """Make a report of what `collect_part` collected: the same bytes as `build` makes.

    Args:
        parts: Folders of parts, or folders that hold some: all shards of one cut.
        out: As for `build`.
        device: Where the stages after the statistics run; as the parts' configuration says where
            absent.
        pages: How the pages are made, as for `render`.

    Raises:
        SaereportError: A part is of another configuration, text, SAE or version, damaged or
            missing; or as for `build`. The parts are left as they are.
    """
    load_plugins((pages.get("progress") or Progress(quiet=True)).warn, with_torch=True)
    found = find_parts([Path(part) for part in parts])
    require_whole(found)
    config = config_of(found[0])
    if device is not None:
        config = make_config({**config.model_dump(), "device": device}, origin="--device")
    return _build(config, out, found, pages)


def plan(
    config: BuildConfig | Mapping[str, Any],
    out: Path | str,
    *,
    single_file: bool = False,
    run: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Say what a build is going to take: time, memory, disk.

    The model and the SAEs are loaded, everything is checked, and a little of each stage is run and
    timed. Nothing is written.

    Args:
        config: What would be done, as for `build`.
        out: Where it would be written.
        single_file: Whether that is one HTML file.
        run: Whether it is only a run, as `collect` makes it.
        progress: Where to say what is going on; nowhere where absent.

    Raises:
        UsageError: The configuration means nothing.
        SaereportError: The build would be refused, or this machine surely cannot hold it.
    """
    config, out = _checked(config, progress), target_folder(out)
    watch = _Watch(progress or Progress(quiet=True), Stopwatch())
    check_replaceable(config, out, single_file=single_file, run=run)
    work = out.with_name(f"{out.name}.partial")
    with watch.clock.stage("load"):
        context, title = _prepared(config, work, watch.progress, writes=False)
    with watch.clock.stage("plan"):
        costs = plan_stages(context)
    watch.progress.say("Trying a little of each stage")
    asked = Asked(title, out, not run, watch.clock.seconds)
    return plan_of(context, costs, asked, Probe(context.model.device, THOROUGH))


@dataclass
class _Watch:
    """Where is said what is going on, and how long it takes."""

    progress: Progress
    clock: Stopwatch

    def conclude(self, out: Path) -> None:
        """Say how long it took, and keep it beside the output."""
        for line in self.clock.lines:
            self.progress.say(line)
        if self.clock.seconds:
            self.clock.keep(out)


def _put_away(config: BuildConfig, work: Path, progress: Progress) -> None:
    """Keep what was done for the next build of the same output, if that is wanted."""
    blind = bool(config.blind) and not config.with_reveal
    # What shows the text of blinded latents is to be in no file once a build is whole.
    limit = 0 if blind else int(config.keep)
    if not limit:
        _forget(work)
    put_away(work, limit, progress.say)


def _forget(work: Path) -> None:
    """Remove what was kept for going on after an interruption."""
    for stage in stages().values():
        stage.discard(work / "stages" / stage.name)
    # Plug-ins may have been there that are not any more.
    shutil.rmtree(work / "stages", ignore_errors=True)
    shutil.rmtree(work / TEXT, ignore_errors=True)
    if work.is_dir() and not any(work.iterdir()):
        work.rmdir()


def _checked(config: BuildConfig | Mapping[str, Any], progress: Progress | None) -> BuildConfig:
    load_plugins((progress or Progress(quiet=True)).warn, with_torch=True)
    asked = with_plugins(config) if isinstance(config, BuildConfig) else make_config(config)
    check_settings(asked)
    return asked


def _collect(
    config: BuildConfig,
    target: Path,
    work: Path,
    watch: _Watch,
    parts: Sequence[CollectedPart] = (),
    *,
    pages: bool = False,
) -> Path:
    require_run_or_nothing(target)
    device = resolve_device(config.device)
    memory = MemoryProfiler(config.profile_memory, device)

    @contextmanager
    def during(name: str) -> Iterator[None]:
        with watch.clock.stage(name), memory.stage(name):
            yield

    with during("load"):
        shared = parts[0].path.parent / TEXT if parts else None
        context, title = _prepared(config, work, watch.progress, shared=shared)
        if parts:
            _require_same(parts[0], context)
            context.collected = [part.state for part in parts]
    done = None if config.profile_memory else _done(target, json_digest(context.identity))
    if done is not None:
        watch.progress.say("This run is already collected; using it")
        if config.strict:
            refuse(done.info.warnings)
        if done.info.title != title:
            retitle(done, title)
        return target
    with during("plan"):
        costs = plan_stages(context)
        if not parts:
            asked = Asked(title, target, pages, watch.clock.seconds)
            _tell_beforehand(context, costs, asked, watch)
    with _engine(context) as context.engine, TableSink(target, context) as sink:
        run_stages(context, list(costs), sink, during)
        with watch.clock.stage("write"):
            sink.finish(title, memory.profile())
    del context
    gc.collect()
    profile = memory.profile()
    if profile is not None:
        for line in as_lines(profile):
            watch.progress.say(line)
    return target


@contextmanager
def _engine(context: Context) -> Iterator[Engine]:
    """The engine that is asked for, as long as the stages run."""
    engine: Engine
    if context.config.engine == "ray":
        engine = RayEngine(context.config, lambda: setup_of(context), context.progress.say)
    else:
        engine = LocalEngine(lambda: bench_of(context))
    try:
        yield engine
    finally:
        engine.close()


def _require_same(part: CollectedPart, context: Context) -> None:
    """Refuse parts of what is not here any more.

    Raises:
        SaereportError: The model, an SAE, the text or a library is another by now; says which.
    """
    if changed := differences(part.identity, context.identity):
        raise SaereportError(
            f"The parts were collected of something else than is here: {changed} changed since.",
            "Merge where the same is installed and lies in the same place, or collect anew.",
        )


def _tell_beforehand(
    context: Context, costs: Mapping[Stage, Cost], asked: Asked, watch: _Watch
) -> None:
    """Say what a long build is going to take, and whether that is there."""
    plan = before_start(context, costs, asked)
    if plan is None:
        return
    less = ", less what was finished before" if (context.work / "stages").exists() else ""
    watch.progress.say(f"{in_one_line(plan)}{less}")
    for warning in plan.warnings:
        watch.progress.warn(warning)
    watch.clock.estimated = {
        one.name: one.seconds
        for one in plan.stages
        if one.how == "estimated" and one.seconds is not None
    }


def _prepared(
    config: BuildConfig,
    work: Path,
    progress: Progress,
    *,
    shared: Path | None = None,
    writes: bool = True,
) -> tuple[Context, str]:
    """The model, the SAEs and the text, which alone own them, and the title of the run."""
    device, dtype = resolve_device(config.device), resolve_dtype(config.dtype)
    placement_of(config.device_map, config.quantize).check_devices(device)
    require_room_for_weights(config, available(device, work))
    warned = Warned(progress, strict=config.strict)
    loaded = load_saes(config, device, dtype, progress, warned)
    check_against(config, [facts_of(sae) for sae in loaded])
    # A text that is not there is told before the model is loaded.
    opened = text_of(config, loaded, warned)
    model = load_model_of(config, loaded, device, dtype, progress, warned)
    saes = {sae.slug: check_fit(sae, model) for sae in loaded}
    text = run_text(config, opened, list(saes.values()), model, warned)
    chosen, added = _chosen(config, saes)
    words = [config.title or "", *(one.selection.words for one in chosen.values())]
    check_fits_a_run(list(saes.values()), model, text.rules.context_size, words)
    identity = identity_of(
        config, list(saes.values()), model, text.text, text.rules.context_size, added=added
    )
    store = store_of(text, identity, work, shared)
    if writes:
        store.forget_others()
    context = Context(
        config=config,
        loaded=Loaded(model, saes),
        text=replace(text, store=store),
        chosen=chosen,
        batches=Batches(config.batch_size, text.rules.context_size, device, progress),
        work=work,
        identity=identity,
        parts=parts_of(identity),
        progress=progress,
        warned=warned,
        cache=_cache(config, model, text.text.name, progress),
    )
    return context, config.title or _title(list(saes.values()), model)


def _cache(
    config: BuildConfig, model: LanguageModel, text: str, progress: Progress
) -> CachedActivations | None:
    """The activations that are kept for other builds too; None where none are to be."""
    if config.activations_cache is None:
        return None
    folder = config.activations_cache.expanduser()
    store = Store(folder, int(config.activations_cache_size), progress.say)
    return CachedActivations(model, store, text, activations_identity(model))


def _chosen(
    config: BuildConfig, saes: Mapping[str, Sae]
) -> tuple[dict[str, Chosen], dict[str, list[int]]]:
    """Which latents are asked for, and those that are followed though they were not chosen.

    The latter are blinded, steered, or in a direction that is.
    """
    widths = {slug: sae.d_sae for slug, sae in saes.items()}
    blind = parse_blind(
        config.blind, widths, [slug for slug, sae in saes.items() if sae.is_transcoder]
    )
    steered = parse_steered(config.steer, widths)
    summed: dict[str, list[int]] = {}
    for direction in config.steering.directions:
        for slug, latent in parse_sum(direction, widths) if direction.latents else ():
            summed.setdefault(slug, []).append(latent)
    found, added = {}, {}
    for asked, (slug, sae) in zip(config.saes, saes.items(), strict=True):
        selection = parse_selection(asked.latents or config.latents)
        tracked = tracked_latents(selection, sae.d_sae, config.seed)
        own, turned = blind.get(slug, []), steered.get(slug, [])
        terms = sorted(set(summed.get(slug, [])))
        named = np.union1d(np.union1d(own, turned), terms)
        found[slug] = Chosen(
            selection,
            np.union1d(tracked, named).astype(np.int64),
            tuple(own),
            tuple(turned),
            tuple(terms),
        )
        added[slug] = sorted({*own, *turned, *terms} - set(tracked.tolist()))
    return found, added


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


def _title(saes: Sequence[Sae], model: LanguageModel) -> str:
    hooks = [d.hook_in.name for d in saes]
    shown = ", ".join(hooks[:3]) + (f" and {len(hooks) - 3} more" if len(hooks) > 3 else "")
    return f"{model.name}: {shown}"
