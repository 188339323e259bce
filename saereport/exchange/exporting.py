"""`export_report`: a run in the files of SAEDashboard, Neuronpedia, Delphi or circuit-tracer."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from saereport.exchange import dashboard, delphi, neuronpedia
from saereport.exchange.circuit_tracer import graph_folder
from saereport.exchange.given import GivenLatent, GivenSae, Words
from saereport.exchange.reading_runs import Exporter, latents_in, sae_of
from saereport.run import Run, opened
from saereport.util.errors import SaereportError, did_you_mean
from saereport.util.files import (
    canonical_json,
    folder_in_place_of,
    require_apart,
    reserved,
    strangers,
    target_folder,
)
from saereport.util.inside import holds
from saereport.util.progress import Bar, Progress
from saereport.util.untrusted import MIB, Limits, content, parse_json

Format = Literal["saedashboard", "neuronpedia", "delphi", "circuit-tracer"]
FORMATS: tuple[Format, ...] = get_args(Format)
Batches = Iterable[list[GivenLatent]]
Write = Callable[[GivenSae, Batches, Words], Iterator[tuple[str, bytes]]]
MANIFEST = "saereport-export.json"
_MANIFEST = Limits(file_bytes=64 * MIB, text_bytes=64 * MIB, depth=4)


@dataclass(frozen=True)
class _Way:
    """How files of a format are made: so many latents at a time."""

    format: Format
    per_batch: int
    write: Write


def export_report(
    report: Path | str,
    out: Path | str,
    *,
    format: Format,
    sae: str | None = None,
    ids: neuronpedia.Ids | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write a run's latents, or its attribution graphs, in another tool's format.

    Args:
        report: A run, a report's folder, a report in one file, or `REVISION:PATH` of one in git.
        out: A folder. An older export there is replaced when the new one is whole. One SAE's
            files lie in it directly, those of several in a folder for each.
        format: `saedashboard` (batches of 128 latents), `neuronpedia` (JSON lines, 1,024 latents
            a file), `delphi` (one label a file) or `circuit-tracer` (attribution graphs with the
            examples of their latents, as its viewer serves them).
        sae: The slug of one SAE; all where absent, and for graphs.
        ids: What the rows are called in Neuronpedia's database; for that format only.
        progress: Where to show progress; nowhere where absent.

    Returns:
        The files, relative to `out`.

    Raises:
        SaereportError: The run is damaged, it has no such SAE, or `out` holds something else.
    """
    target = target_folder(out)
    require_apart(target, [report])
    with reserved(target, _require_export_or_nothing), opened(str(report)) as run:
        bars = progress or Progress(quiet=True)
        if format == "circuit-tracer":
            return _written(target, format, graph_folder(run, bars))
        slugs = _chosen(run, sae)
        saes = [sae_of(run, slug) for slug in slugs]
        ids = ids or neuronpedia.Ids()
        if format == "neuronpedia":
            saes = ids.named(saes)
        way = {
            "saedashboard": _Way(format, dashboard.PER_BATCH, _dashboard),
            "neuronpedia": _Way(format, neuronpedia.PER_BATCH, partial(_neuronpedia, ids=ids)),
            "delphi": _Way(format, neuronpedia.PER_BATCH, _delphi),
        }[format]
        chosen = dict(zip(slugs, saes, strict=True))
        return _written(target, format, _exported(run, way, chosen, bars))


Files = Iterator[tuple[str, bytes]]


def _exported(run: Run, way: _Way, saes: Mapping[str, GivenSae], bars: Progress) -> Files:
    words = Words()
    reader = Exporter(run, words)
    latents = {slug: latents_in(run, slug) for slug in saes}
    n_files = 0
    with bars.bar("latents", sum(map(len, latents.values())), " latents") as bar:
        for slug, sae in saes.items():
            own = "" if len(saes) == 1 else f"{slug}/"
            batches = _batches(reader, slug, latents[slug], way.per_batch, bar)
            for name, data in way.write(sae, batches, words):
                n_files += 1
                yield own + name, data
    if not n_files:
        raise SaereportError(
            "The report holds no labels, and Delphi's files hold nothing else.",
            "'saereport labels' and 'saereport build --explanations' bring some.",
        )


def _written(target: Path, format: Format, files: Files) -> list[Path]:
    """Write files into a folder, with the list of them that lets a later export replace it."""
    written: list[str] = []
    with folder_in_place_of(target, _require_export_or_nothing) as folder:
        for name, data in files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            written.append(name)
        manifest = {"format": "saereport-export", "kind": format, "files": sorted(written)}
        (folder / MANIFEST).write_text(canonical_json(manifest) + "\n", encoding="utf-8")
    return [Path(name) for name in sorted(written)]


def _chosen(run: Run, sae: str | None) -> list[str]:
    slugs = [info.slug for info in run.info.saes]
    if sae is None:
        return slugs
    if sae not in slugs:
        hint = did_you_mean(sae, slugs) or f"It has {', '.join(slugs[:5])}."
        raise SaereportError(f"The report has no SAE '{sae}'.", hint)
    return [sae]


def _batches(
    reader: Exporter, slug: str, latents: Sequence[int], size: int, bar: Bar
) -> Iterator[list[GivenLatent]]:
    for start in range(0, len(latents), size):
        some = latents[start : start + size]
        yield reader.latents(slug, some)
        bar.advance(len(some))


def _dashboard(sae: GivenSae, batches: Batches, words: Words) -> Iterator[tuple[str, bytes]]:
    for number, batch in enumerate(batches):
        features = [dashboard.feature_record(latent, sae.text, words) for latent in batch]
        yield f"batch-{number}.json", _json(dashboard.batch_record(sae, features))
    yield dashboard.SETTINGS_FILE, _json(dashboard.settings_record(sae))
    yield dashboard.SKIPPED_FILE, _json(dashboard.skipped_record(sae))


def _neuronpedia(
    sae: GivenSae, batches: Batches, words: Words, *, ids: neuronpedia.Ids
) -> Iterator[tuple[str, bytes]]:
    for number, batch in enumerate(batches):
        name = f"batch-{number}.jsonl.gz"
        features = (neuronpedia.feature_record(sae, latent, words, ids) for latent in batch)
        yield f"features/{name}", _rows(features)
        activations = [
            neuronpedia.activation_record(sae, latent, rank, words, ids)
            for latent in batch
            for rank in range(len(latent.examples))
        ]
        # The import asks the first line of a file for its columns: there must be one.
        if activations:
            yield f"activations/{name}", _rows(activations)
        labels = [
            neuronpedia.explanation_record(sae, latent, rank, ids)
            for latent in batch
            for rank in range(len(latent.explanations))
        ]
        if labels:
            yield f"explanations/{name}", _rows(labels)
    yield neuronpedia.MODEL_FILE, _json(neuronpedia.model_record(sae, ids))
    yield neuronpedia.SOURCE_SET_FILE, _json(neuronpedia.source_set_record(sae, ids))
    yield neuronpedia.SOURCE_FILE, _json(neuronpedia.source_record(sae, ids))


def _delphi(sae: GivenSae, batches: Batches, words: Words) -> Iterator[tuple[str, bytes]]:
    for batch in batches:
        for latent in batch:
            if latent.explanations:
                text, _ = latent.explanations[0]
                yield delphi.file_name(sae.hook or sae.identity.source, latent.index), _json(text)


_NUL_IN_WORDS = re.compile(rb"\\\\(u0000)|\\.", re.DOTALL)


def _json(value: Any) -> bytes:
    return (json.dumps(value, allow_nan=False, separators=(",", ":")) + "\n").encode("ascii")


def _rows(records: Iterable[dict[str, Any]]) -> bytes:
    """JSON lines, compressed without name and time, so that equal rows give equal bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=6) as stream:
        for record in records:
            line = _json(record)
            if b"\\\\u0000" in line:
                # The import blanks out these six characters in a line before it parses it, and
                # takes half of an escaped backslash with them.
                line = _NUL_IN_WORDS.sub(
                    lambda found: rb"\u005cu0000" if found[1] else found[0], line
                )
            stream.write(line)
    return packed.getvalue()


def _require_export_or_nothing(target: Path) -> None:
    """Refuse a target that holds anything but an older export.

    Raises:
        SaereportError: There is a file, or a folder with something else in it.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    hint = "Name a new folder, or remove this one."
    if not target.is_dir():
        raise SaereportError(f"'{target}' is a file.", hint)
    if not holds(target, MANIFEST):
        raise SaereportError(f"'{target}' exists and is not an export.", hint)
    value = parse_json(content(target / MANIFEST, _MANIFEST), MANIFEST, _MANIFEST)
    files = value.get("files") if isinstance(value, dict) else None
    own = [str(name) for name in files] if isinstance(files, list) else []
    others = strangers(target, [MANIFEST, *own])
    if others:
        raise SaereportError(
            f"'{target}' also holds what is not the export's, such as '{others[0]}'.",
            "Move it elsewhere, or name a new folder.",
        )
