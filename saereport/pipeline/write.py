"""A run in the making: the tables that stages hand on, and what the run says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from saereport import plugins
from saereport.measure import Columns
from saereport.pipeline.context import Context
from saereport.pipeline.fingerprint import config_record, inputs_of, installed_versions
from saereport.pipeline.stage import SKIPPED, Stage
from saereport.run import TABLES, RunInfo, RunWriter, SaeInfo
from saereport.run.schema import MemoryProfile, ModelInfo, TextInfo
from saereport.run.within import beyond
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.sources.tokens import token_bytes
from saereport.util.errors import SaereportError, did_you_mean, named_or_near, shortened
from saereport.util.files import json_digest
from saereport.util.version import __version__


class TableSink:
    """Takes tables from stages and writes them; a context manager, as `RunWriter` is.

    A table that is skipped, or that a run cannot hold, is left out with its reason; of blinded
    latents nothing is written that would show their text. Nothing is on disk before the first
    table: what takes longest comes before it.

    Args:
        target: The run's folder; replaced when the new run is whole.
        context: The build.
    """

    def __init__(self, target: Path, context: Context) -> None:
        self._target = target
        self._context = context
        self._stack = ExitStack()
        self._opened: RunWriter | None = None
        self._special = context.model.special_ids
        self._tokenizer = context.model.tokenizer
        self._model = model_info(context.model)
        self._saes = {slug: sae_facts(sae) for slug, sae in context.saes.items()}
        self._written: dict[str, dict[tuple[str | None, str], Path]] = {}

    def __enter__(self) -> TableSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def _writer(self) -> RunWriter:
        if self._opened is None:
            context = self._context
            hidden = {slug: context.hidden(slug) for slug in context.chosen}
            self._opened = self._stack.enter_context(RunWriter(self._target, hidden=hidden))
        return self._opened

    def put(self, stage: Stage, slug: str | None, name: str, columns: Mapping[str, Any]) -> None:
        """Write one table of a stage.

        Raises:
            SaereportError: The stage may not yield it, or its columns do not fit the table.
            OSError: The disk is full.
        """
        context = self._context
        require_declared(stage, slug, name, columns, context.chosen)
        if context.skips(name):
            context.leave_out(slug, name, SKIPPED)
            return
        try:
            if reason := beyond(name, columns):
                context.leave_out(slug, name, reason)
                return
            context.hold(name, slug, columns)
            self._writer.write(name, columns, slug=slug)
        except (TypeError, ValueError) as error:
            raise _misfit(stage, name, str(error)) from error
        self._written.setdefault(stage.name, {})[slug, name] = self._writer.path(name, slug)

    def written(self, stage: Stage) -> dict[tuple[str | None, str], Path]:
        """The files of a stage's tables, by SAE and name."""
        return self._written.get(stage.name, {})

    def finish(self, title: str, memory: MemoryProfile | None) -> None:
        """Write the sequences and tokens that the tables refer to, and `run.json`."""
        context = self._context
        wanted = self._writer.references.sequences
        self._writer.write("sequences", context.sequences.result(wanted))
        self._writer.write("vocabulary", self._vocabulary())
        self._writer.finish(
            RunInfo(
                saereport_version=__version__,
                fingerprint=json_digest(context.identity),
                title=title,
                config=config_record(context.config),
                model=self._model,
                text=text_info(context),
                saes=tuple(sae_info(context, slug, facts) for slug, facts in self._saes.items()),
                tables={},
                libraries=installed_versions(),
                inputs=inputs_of(context.identity),
                plugins=plugins.loaded(),
                left_out=context.left_out.get(None, {}),
                warnings=context.warned.result(),
                memory=memory,
            )
        )

    def _vocabulary(self) -> Columns:
        ids = self._writer.references.tokens.tolist()
        return {
            "token": np.array(ids, dtype=np.int32),
            "bytes": token_bytes(self._tokenizer, ids),
            "special": np.array([token in self._special for token in ids], dtype=np.bool_),
        }


def require_declared(
    stage: Stage,
    slug: str | None,
    name: str,
    columns: Mapping[str, Any],
    slugs: Iterable[str],
) -> None:
    """Refuse what a stage yields and has not said that it would.

    Args:
        stage: The stage.
        slug: SAE that the table is about, None for one of the whole run.
        name: The table's name.
        columns: Its columns.
        slugs: The SAEs that there are.

    Raises:
        SaereportError: It is none of the stage's tables, of none of the SAEs, or has other columns.
    """
    said = f"The stage '{stage.name}' yields a table '{name}'"
    if name not in stage.yields or name not in TABLES:
        raise SaereportError(
            f"{said}, which it does not declare.", did_you_mean(name, stage.yields) or _FAULT
        )
    if (slug is None) != (TABLES[name].scope == "run"):
        of, each = ("the whole run", "each SAE") if slug is None else ("an SAE", "the whole run")
        raise SaereportError(f"{said} of {of}, but there is one of {each}.", _FAULT)
    if slug is not None and slug not in (known := list(slugs)):
        raise SaereportError(f"{said} of an SAE '{slug}'.", named_or_near(slug, known))
    if set(columns) != set(TABLES[name].names):
        needed = ", ".join(TABLES[name].names)
        got = ", ".join(sorted(columns))
        raise _misfit(stage, name, f"it needs columns {needed}, and has {got}")


_FAULT = "It is a fault of the stage, not of what was asked for."


def _misfit(stage: Stage, name: str, reason: str) -> SaereportError:
    said = f"The stage '{stage.name}' yields a table '{name}' that does not fit"
    return SaereportError(f"{said}: {shortened(reason, 300)}.", _FAULT)


def sae_facts(sae: Sae) -> dict[str, Any]:
    """What a run says of an SAE before anything is measured: fields of `SaeInfo`."""
    hook_out, *others = sae.writes
    return {
        "slug": sae.slug,
        "label": f"{sae.release} {sae.sae_id}" if sae.release else sae.slug,
        "release": sae.release or "",
        "sae_id": sae.sae_id or sae.slug,
        "architecture": sae.architecture,
        "hook_in": sae.hook_in.name,
        "hook_out": hook_out.name,
        "also_writes": tuple(hook.name for hook in others),
        "layer": sae.hook_in.layer,
        "kind": sae.hook_in.kind,
        "kind_out": hook_out.kind,
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "d_out": sae.d_out,
        "trained_context_size": sae.context_size or 0,
        "neuronpedia_id": sae.neuronpedia_id or "",
        "metadata": sae.metadata,
        "weights": sae.weights_sha256,
    }


def sae_info(context: Context, slug: str, facts: Mapping[str, Any]) -> SaeInfo:
    """What a run says of an SAE when everything is measured."""
    l0, n_dead = context.activity[slug]
    return SaeInfo(
        **facts,
        n_chosen=len(context.latents[slug]),
        selection=context.chosen[slug].selection.words,
        n_dead=n_dead,
        l0=l0,
        left_out=context.left_out.get(slug, {}),
    )


def model_info(model: LanguageModel) -> ModelInfo:
    """What a run says of the model."""
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
        quantization=model.quantization,
    )


def text_info(context: Context) -> TextInfo:
    """What a run says of the text that was read."""
    seen, text = context.seen, context.text
    return TextInfo(
        name=text.text.name,
        source=text.text.provenance,
        context_size=text.rules.context_size,
        n_sequences=seen.sequences,
        n_tokens=seen.tokens,
        n_counted=seen.counted,
        # Rows that hold nothing have a number and are no documents.
        n_documents=min(seen.documents, text.tally.documents),
        prepend_bos=text.begins_with_bos,
        include_special=text.rules.include_special,
        digest=seen.digest.hex(),
        training=text.training,
        counts=text.counts,
    )
