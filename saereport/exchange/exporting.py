"""`export_report`: a run's latents as SAEDashboard's batches or in Neuronpedia's export layout."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from saereport.exchange import dashboard, neuronpedia
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

Format = Literal["saedashboard", "neuronpedia"]
MANIFEST = "saereport-export.json"
_MANIFEST = Limits(file_bytes=64 * MIB, text_bytes=64 * MIB, depth=4)


def export_report(
    report: Path | str,
    out: Path | str,
    *,
    format: Format,
    sae: str | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write a run's latents in another tool's format.

    Args:
        report: A run, a report's folder, a report in one file, or `REVISION:PATH` of one in git.
        out: A folder. An older export there is replaced when the new one is whole. One SAE's
            files lie in it directly, those of several in a folder for each.
        format: `saedashboard` (batches of 128 latents) or `neuronpedia` (JSON lines, 1,024 latents
            a file).
        sae: The slug of one SAE; all where absent.
        progress: Where to show progress; nowhere where absent.

    Returns:
        The files, relative to `out`.

    Raises:
        SaereportError: The run is damaged, it has no such SAE, or `out` holds something else.
    """
    target = target_folder(out)
    require_apart(target, [report])
    with reserved(target, _require_export_or_nothing), opened(str(report)) as run:
        return _exported(run, target, format, sae, progress or Progress(quiet=True))


def _exported(
    run: Run, target: Path, format: Format, sae: str | None, bars: Progress
) -> list[Path]:
    slugs = _chosen(run, sae)
    per_batch, write = {
        "saedashboard": (dashboard.PER_BATCH, _dashboard),
        "neuronpedia": (neuronpedia.PER_BATCH, _neuronpedia),
    }[format]
    words = Words()
    reader = Exporter(run, words)
    latents = {slug: latents_in(run, slug) for slug in slugs}
    written: list[str] = []
    with (
        bars.bar("latents", sum(map(len, latents.values())), " latents") as bar,
        folder_in_place_of(target, _require_export_or_nothing) as folder,
    ):
        for slug in slugs:
            own = "" if len(slugs) == 1 else f"{slug}/"
            batches = _batches(reader, slug, latents[slug], per_batch, bar)
            for name, data in write(sae_of(run, slug), batches, words):
                path = folder / own / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                written.append(own + name)
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


Batches = Iterable[list[GivenLatent]]
Write = Callable[[GivenSae, Batches, Words], Iterator[tuple[str, bytes]]]


def _dashboard(sae: GivenSae, batches: Batches, words: Words) -> Iterator[tuple[str, bytes]]:
    for number, batch in enumerate(batches):
        features = [dashboard.feature_record(latent, sae.text, words) for latent in batch]
        yield f"batch-{number}.json", _json(dashboard.batch_record(sae, features))
    yield dashboard.SETTINGS_FILE, _json(dashboard.settings_record(sae))
    yield dashboard.SKIPPED_FILE, _json(dashboard.skipped_record(sae))


def _neuronpedia(sae: GivenSae, batches: Batches, words: Words) -> Iterator[tuple[str, bytes]]:
    for number, batch in enumerate(batches):
        name = f"batch-{number}.jsonl.gz"
        features = (neuronpedia.feature_record(sae, latent, words) for latent in batch)
        yield f"features/{name}", _rows(features)
        activations = (
            neuronpedia.activation_record(sae, latent, one, rank, words)
            for latent in batch
            for rank, one in enumerate(latent.examples)
        )
        yield f"activations/{name}", _rows(activations)
        labels = [
            neuronpedia.explanation_record(sae, latent, rank)
            for latent in batch
            for rank in range(len(latent.explanations))
        ]
        if labels:
            yield f"explanations/{name}", _rows(labels)
    yield neuronpedia.SOURCE_FILE, _json(neuronpedia.source_record(sae))


def _json(value: Any) -> bytes:
    return (json.dumps(value, allow_nan=False, separators=(",", ":")) + "\n").encode("ascii")


def _rows(records: Iterable[dict[str, Any]]) -> bytes:
    """JSON lines, compressed without name and time, so that equal rows give equal bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=6) as stream:
        for record in records:
            stream.write(_json(record))
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
