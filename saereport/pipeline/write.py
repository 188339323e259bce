"""From a finished reading to a run on disk: statistics and weights become tables.

SAEs are finished from the deepest to the shallowest, because a later one is pulled back onto the
earlier ones; each is released when its tables are written, and the model after the last of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saereport import __version__
from saereport.circuits.blind import blind_rows
from saereport.circuits.evaluation import Evaluation
from saereport.circuits.examples import ExampleLimits, Examples, example_attributions
from saereport.errors import SaereportError
from saereport.measure import STATISTICS, Columns
from saereport.measure.weights import WEIGHT_TABLES, TokenRows, WeightContext
from saereport.pipeline.circuits import CircuitPlan, collect_circuits
from saereport.pipeline.memory import MemoryProfiler
from saereport.pipeline.text import TextStage
from saereport.pipeline.text_pass import SaeCollector, TextPass
from saereport.progress import Progress
from saereport.run import RunInfo, RunWriter, SaeInfo
from saereport.run.graph_tables import EXAMPLE_TABLES
from saereport.run.schema import L0, ModelInfo, TextInfo
from saereport.run.within import beyond
from saereport.selection import Selection, shown_latents
from saereport.sources.devices import is_out_of_memory
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.sources.tokens import token_bytes
from saereport.warned import Warned

L0_BINS = 64

Labels = Mapping[int, Sequence[tuple[str, str]]]
"""Latent to its explanations, each with its source."""


@dataclass(frozen=True)
class Plan:
    """What a run says of itself besides the numbers.

    Attributes:
        config: The configuration as it is recorded.
        title: Heading of the report.
        fingerprint: Identity of everything that the numbers depend on.
        text: The text that was read, and how.
        map: How the map of latents is made.
        seed: Seed of everything random.
        listed: Entries of each list of tokens or latents.
        selections: Which latents of each SAE are shown.
        labels: Explanations for each SAE.
        circuits: What is computed on prompts and examples, and what is hidden.
        evaluation: Figures of the SAEs as a whole.
        libraries: Versions of what was computed with.
        warned: What a reader must know beforehand.
    """

    config: dict[str, Any]
    title: str
    fingerprint: str
    text: TextStage
    map: str
    seed: int
    listed: int
    selections: Sequence[Selection]
    labels: Sequence[Labels]
    circuits: CircuitPlan
    evaluation: Evaluation
    libraries: dict[str, str]
    warned: Warned


def write_run(
    target: Path,
    plan: Plan,
    reading: TextPass,
    memory: MemoryProfiler,
    progress: Progress,
) -> None:
    """Write everything, releasing SAEs and model on the way.

    Args:
        target: The run's folder; replaced when the new run is whole.
        plan: What the run says of itself.
        reading: The finished pass; its readers and its model are gone afterwards.
        memory: Watches the stage.
        progress: Where to say what is going on.

    Raises:
        SaereportError: The selection leaves an SAE without latents.
        OSError: The disk is full.
    """
    model_info = _model_info(reading.model)
    hidden = {reader.sae.slug: plan.circuits.hidden(reader.sae.slug) for reader in reading.readers}
    with RunWriter(target, hidden=hidden) as writer:
        if plan.circuits.asked:
            with memory.stage("circuits"):
                _write_circuits(writer, plan, reading, progress)
        if plan.circuits.blind:
            columns = blind_rows(plan.circuits.blind, plan.circuits.with_reveal)
            writer.write("blind_latents", columns)
        with memory.stage("weights"):
            saes = _write_saes(writer, plan, reading, progress)
        numbers = np.array(sorted(writer.references.sequences), dtype=np.int64)
        writer.write("sequences", reading.sequences.result(numbers))
        writer.write("vocabulary", _vocabulary(reading.model, writer.references.tokens))
        del reading.model
        writer.finish(
            RunInfo(
                saereport_version=__version__,
                fingerprint=plan.fingerprint,
                title=plan.title,
                config=plan.config,
                model=model_info,
                text=_text_info(plan.text, reading),
                saes=tuple(saes),
                tables={},
                libraries=plan.libraries,
                warnings=plan.warned.result(),
                memory=memory.profile(),
            )
        )


def _write_circuits(writer: RunWriter, plan: Plan, reading: TextPass, progress: Progress) -> None:
    """Everything that needs the model and all SAEs at once."""
    readers = reading.readers
    chosen = {}
    for i, reader in enumerate(readers):
        slug = reader.sae.slug
        # Where on a prompt a hidden latent is active would show the text that activates it.
        hidden = np.array(sorted(plan.circuits.hidden(slug)), dtype=np.int64)
        chosen[slug] = np.setdiff1d(_latents(plan, i, reader), hidden)
    saes = [reader.sae for reader in readers]
    tables = collect_circuits(plan.circuits, reading.model, saes, chosen, progress, plan.warned)
    for name, table in tables.items():
        writer.write(name, {column: table.column(column) for column in table.column_names})


def _write_saes(
    writer: RunWriter, plan: Plan, reading: TextPass, progress: Progress
) -> list[SaeInfo]:
    tokens = TokenRows(reading.model)
    collected = set(reading.readers[0].measurement.accumulators)
    skipped = [s for name, s in STATISTICS.items() if name not in collected]
    readers: list[SaeCollector | None] = list(reading.readers)
    reading.readers = ()
    infos: dict[int, SaeInfo] = {}
    order = sorted(range(len(readers)), key=lambda i: _depth(readers[i]), reverse=True)
    steps = len(WEIGHT_TABLES) + 1
    with progress.bar("Tables", steps * len(readers), "table") as bar:
        for i in order:
            reader = readers[i]
            assert reader is not None
            others = [r.sae for r in readers if r is not None and r is not reader]
            latents = _latents(plan, i, reader)
            context = WeightContext(
                sae=reader.sae,
                latents=latents,
                tokens=tokens,
                others=others,
                listed=plan.listed,
                map=plan.map,
                seed=plan.seed,
            )
            measured = reader.measurement.result(latents)
            apart, left_out = _decomposed(plan.circuits, context, reader, others, reading, measured)
            for name, columns in _holdable({**measured, **apart}, left_out):
                writer.write(name, columns, slug=reader.sae.slug)
            bar.advance(1)
            left_out |= _write_weights(writer, context, bar.advance)
            left_out |= {table: "it was skipped" for s in skipped for table in s.tables}
            left_out |= _write_evaluation(writer, plan.evaluation, reader.sae.slug)
            hidden = sorted(plan.circuits.hidden(reader.sae.slug))
            labels = _label_columns(plan.labels[i], np.setdiff1d(latents, hidden))
            if labels["latent"]:
                writer.write("explanations", labels, slug=reader.sae.slug)
            infos[i] = _sae_info(reader, plan.selections[i], latents, left_out)
            readers[i] = None
            del reader, context, others
    return [infos[i] for i in range(len(readers))]


def _holdable(
    tables: Mapping[str, Columns], left_out: dict[str, str]
) -> Iterator[tuple[str, Columns]]:
    """The tables whose numbers a run may hold; for the others, the reason goes to `left_out`."""
    for name, columns in tables.items():
        reason = beyond(name, columns)
        if reason:
            left_out[name] = reason
        else:
            yield name, columns


def _depth(reader: SaeCollector | None) -> tuple[int, int]:
    assert reader is not None
    return reader.sae.hook_in.depth


def _latents(plan: Plan, i: int, reader: SaeCollector) -> np.ndarray:
    """The latents of the SAE of number `i` that are shown, ascending; the blind among them."""
    selection = plan.selections[i]
    tracked = reader.setting.latents
    latents = shown_latents(selection, tracked, reader.measurement.n_active())
    if not len(latents):
        raise SaereportError(
            f"No latent of the SAE {reader.sae.slug} was active, so '{selection.words}' "
            "shows none.",
            "Read more text with --tokens, or choose latents by number.",
        )
    blind = plan.circuits.blind.get(reader.sae.slug, ())
    wanted = np.union1d(latents, np.array(blind, dtype=np.int64))
    measured = np.setdiff1d(wanted, reader.broken.latents)
    if not len(measured):
        raise SaereportError(
            f"No latent of the SAE {reader.sae.slug} can be shown. {reader.broken.reason()}",
            "Choose other latents, or try --dtype float32.",
        )
    return measured


def _decomposed(
    circuits: CircuitPlan,
    context: WeightContext,
    reader: SaeCollector,
    others: Sequence[Sae],
    reading: TextPass,
    measured: Mapping[str, Columns],
) -> tuple[dict[str, Columns], dict[str, str]]:
    """Attribution on the top examples of an SAE's latents, and why tables of it are missing."""
    names = [table.name for table in EXAMPLE_TABLES]
    if circuits.examples == 0 or "examples" not in measured:
        return {}, dict.fromkeys(names, "it was skipped")
    if len(context.latents) > circuits.example_latents:
        reason = (
            f"{len(context.latents):,} latents are shown, and it is computed for "
            f"{circuits.example_latents:,} at most"
        )
        return {}, dict.fromkeys(names, reason)
    examples = measured["examples"]
    numbers = np.unique(np.asarray(examples["sequence"], dtype=np.int64))
    tokens = dict(zip(numbers.tolist(), reading.sequences.result(numbers)["tokens"], strict=True))
    try:
        found = example_attributions(
            reading.model,
            [*others, reader.sae],
            reader.sae,
            Examples(context.latents, examples, lambda sequence: tokens[sequence].tolist()),
            ExampleLimits(
                per_latent=circuits.examples,
                influences=circuits.settings.influences,
                listed=context.listed,
                include_bos=circuits.include_bos,
            ),
            context.tokens,
        )
    except SaereportError as error:
        return {}, dict.fromkeys(names, str(error))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return {}, dict.fromkeys(names, "memory ran out")
    missing = [name for name in names if name not in found]
    return found, dict.fromkeys(missing, "nothing of the kind applies where this SAE reads")


def _write_weights(writer: RunWriter, context: WeightContext, advance: Any) -> dict[str, str]:
    """Write the tables of weights that an SAE has; for the others, give the reason."""
    left_out = {}
    for table in WEIGHT_TABLES.values():
        reason = table.why_not(context)
        if reason:
            left_out.update(dict.fromkeys(table.tables, reason))
        else:
            for name, columns in _holdable(table.compute(context), left_out):
                writer.write(name, columns, slug=context.sae.slug)
        advance(1)
    return left_out


def _write_evaluation(writer: RunWriter, evaluation: Evaluation, slug: str) -> dict[str, str]:
    """Write the figures of a whole SAE, or give the reason why there are none."""
    if slug in evaluation.tables:
        if reason := beyond("sae_metrics", evaluation.tables[slug]):
            return {"sae_metrics": reason}
        writer.write("sae_metrics", evaluation.tables[slug], slug=slug)
        return {}
    return {"sae_metrics": evaluation.left_out[slug]}


def _label_columns(labels: Labels, latents: np.ndarray) -> Columns:
    rows = [
        (int(latent), rank, text, source)
        for latent in latents
        for rank, (text, source) in enumerate(labels.get(int(latent), ()))
    ]
    names = ("latent", "rank", "text", "source")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _vocabulary(model: LanguageModel, tokens: set[int]) -> Columns:
    ids = sorted(tokens)
    return {
        "token": np.array(ids, dtype=np.int32),
        "bytes": token_bytes(model.tokenizer, ids),
        "special": np.array([token in model.special_ids for token in ids], dtype=np.bool_),
    }


def _sae_info(
    reader: SaeCollector, selection: Selection, latents: np.ndarray, left_out: dict[str, str]
) -> SaeInfo:
    sae = reader.sae
    hook_out = sae.write_point
    l0, n_dead = _activity_of_all(reader.measurement.summary())
    return SaeInfo(
        slug=sae.slug,
        label=_label(sae),
        release=sae.release or "",
        sae_id=sae.sae_id or sae.slug,
        architecture=sae.architecture,
        hook_in=sae.hook_in.name,
        hook_out=hook_out.name,
        layer=sae.hook_in.layer,
        kind=sae.hook_in.kind,
        kind_out=hook_out.kind,
        d_in=sae.d_in,
        d_sae=sae.d_sae,
        d_out=sae.d_out,
        trained_context_size=sae.context_size or 0,
        neuronpedia_id=sae.neuronpedia_id or "",
        metadata=sae.metadata,
        weights=sae.weights_sha256,
        n_chosen=len(latents),
        selection=selection.words,
        n_dead=n_dead,
        l0=l0,
        left_out=left_out,
    )


def _label(sae: Sae) -> str:
    return f"{sae.release} {sae.sae_id}" if sae.release else sae.slug


def _activity_of_all(summary: Mapping[str, Any]) -> tuple[L0 | None, int | None]:
    """L0 with at most `L0_BINS` bins, and the dead latents; nothing where it was not measured."""
    if "l0_mean" not in summary:
        return None, None
    counts = np.asarray(summary["l0_histogram"], dtype=np.int64)
    width = max(1, -(-len(counts) // L0_BINS))
    padded = np.pad(counts, (0, -len(counts) % width))
    histogram = tuple(padded.reshape(-1, width).sum(axis=1).tolist())
    return L0(mean=summary["l0_mean"], width=width, histogram=histogram), summary["never_active"]


def _model_info(model: LanguageModel) -> ModelInfo:
    folded = "the loaded unembedding has the final norm's weight folded in already"
    if not model.final_norm_folded:
        folded = "the final norm's weight is folded into the unembedding for the logit lens"
        if model.final_norm_weight is None:
            folded = "the model's final norm has no weight"
    return ModelInfo(
        name=model.name,
        content=model.revision or model.weights_sha256,
        wrapper=model.wrapper,
        kwargs=model.provenance["kwargs"],
        n_layers=model.n_layers,
        d_model=model.d_model,
        n_heads=model.n_heads,
        n_kv_heads=model.n_kv_heads,
        d_head=model.d_head,
        d_vocab=model.d_vocab,
        n_ctx=model.n_ctx,
        norm=model.norm,
        final_norm=folded,
        dtype=model.provenance["dtype"],
    )


def _text_info(stage: TextStage, reading: TextPass) -> TextInfo:
    seen = reading.seen
    return TextInfo(
        name=stage.text.name,
        source=stage.text.provenance,
        context_size=stage.context_size,
        n_sequences=seen.sequences,
        n_tokens=seen.tokens,
        n_counted=seen.counted,
        # Rows that hold nothing have a number and are no documents.
        n_documents=min(seen.documents, stage.tally.documents),
        prepend_bos=stage.begins_with_bos,
        include_special=stage.include_special,
        digest=seen.digest.hex(),
        training=stage.training,
        counts=stage.counts,
    )
