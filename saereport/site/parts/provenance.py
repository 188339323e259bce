"""The provenance page: everything that decided what the numbers are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from saereport.run import SaeInfo
from saereport.run.schema import TextInfo
from saereport.site import numbers, raw
from saereport.site.context import ReportModel
from saereport.site.parts.registry import Entry, Page, PageKind, Part, register
from saereport.util.visible import visible_text

PAGE = "provenance.html"
LABELS = "label_files"
_WITHOUT_RUN = (
    "The run that these pages were made from, with {size} of tables, is not in this report, which "
    "cannot be cut, compared or rendered again without it. `saereport render --with-run` "
    "puts it in."
)
MOST_FILES = 200
"""Files of labels of one SAE that are listed."""


@dataclass(frozen=True)
class ProvenanceTable:
    """A titled table of two or more columns, with a note above it if there is one."""

    title: str
    anchor: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def sections(report: ReportModel) -> list[ProvenanceTable]:
    """The page's tables, from the model to the files."""
    info = report.info
    pairs = ("", "")
    said = tuple(
        (warning.about or "all", warning.text, warning.source) for warning in info.warnings
    )
    result = [
        *(
            [ProvenanceTable("Warnings", "warnings", ("about", "warning", "says"), said)]
            if said
            else []
        ),
        ProvenanceTable(
            "Model", "model", pairs, tuple(pairs_of(info.model.model_dump(mode="json")))
        ),
        _text(info.text),
    ]
    result += [
        ProvenanceTable(f"SAE: {sae.label}", f"sae-{sae.slug}", pairs, tuple(_sae(sae)))
        for sae in info.saes
    ]
    result += _labels(report)
    result += [
        ProvenanceTable("Configuration", "configuration", pairs, tuple(pairs_of(info.config))),
        ProvenanceTable(
            "Libraries", "libraries", pairs, tuple(pairs_of(dict(sorted(info.libraries.items()))))
        ),
    ]
    read = tuple(
        (visible_text(stage), visible_text(words), visible_text(digest))
        for stage, found in (info.inputs or {}).items()
        for words, digest in found.items()
    )
    if read:
        said_of = ("stage", "what it read", "SHA-256")
        result.append(ProvenanceTable("Files that stages read", "inputs", said_of, read))
    if info.plugins:
        result.append(ProvenanceTable("Plug-ins", "plugins", pairs, tuple(pairs_of(info.plugins))))
    if info.left_out:
        rows = tuple((name, visible_text(why)) for name, why in sorted(info.left_out.items()))
        result.append(ProvenanceTable("Left out of the run", "left-out", ("table", "reason"), rows))
    if info.memory is not None:
        result += _memory(report)
    files = tuple(
        (file.path, numbers.count(file.rows), numbers.size(file.bytes), file.sha256)
        for file in info.files
    )
    columns = ("file", "rows", "size", "SHA-256")
    note = "" if report.with_run else _WITHOUT_RUN.format(size=numbers.size(report.whole.size))
    result.append(ProvenanceTable("Tables of the run", "files", columns, files, note))
    return result + _raw(report)


def _labels(report: ReportModel) -> Iterator[ProvenanceTable]:
    """Where the labels of each SAE are from, if that was kept."""
    for sae in report.info.saes:
        if not report.run.has(LABELS, sae.slug):
            continue
        files = report.run.table(LABELS, sae.slug).to_pylist()
        rows = tuple(
            (
                visible_text(file["file"]),
                numbers.size(file["bytes"]),
                file["sha256"],
                visible_text(file["fetched"]) or "–",
                visible_text(file["address"]) or "–",
            )
            for file in files[:MOST_FILES]
        )
        columns = ("file", "size", "SHA-256", "fetched", "from")
        more = len(files) - len(rows)
        # Delphi has a file for every latent.
        note = f"{more:,} more are in the table {LABELS} of the run." if more else ""
        title = f"Labels: {sae.label}"
        yield ProvenanceTable(title, f"labels-{sae.slug}", columns, rows, note)


def _text(text: TextInfo) -> ProvenanceTable:
    note = ""
    if text.chat_template is not None:
        note = (
            "The text is conversations, written out by the chat template of the model's tokeniser "
            f"({visible_text(text.chat_template)}). Special tokens that it puts in do not count, "
            "unless all do; names of roles and line breaks are tokens like others."
        )
    rows = tuple(pairs_of(text.model_dump(mode="json")))
    return ProvenanceTable("Text", "text", ("", ""), rows, note)


def _raw(report: ReportModel) -> list[ProvenanceTable]:
    """Tables of the run that nothing shows, and that are about nothing with a page of its own."""
    found = []
    for table in raw.unshown(report, "run"):
        made = raw.stored(table, report.run.table(table.name), report)
        rows = tuple(map(tuple, made["rows"]))
        found.append(
            ProvenanceTable(
                f"Table: {visible_text(table.title)}",
                f"table-{table.name}",
                tuple(made["columns"]),
                rows,
                note=made["summary"],
            )
        )
    return found


def pairs_of(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A nested mapping as rows: `source.files[0].sha256`, its value; what is absent is left out."""
    for key, inner in value.items():
        yield from _rows(f"{prefix}{visible_text(str(key))}", inner)


def _rows(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if isinstance(value, Mapping) and value:
        yield from pairs_of(value, f"{name}.")
    elif isinstance(value, list | tuple) and any(map(_is_nested, value)):
        for place, item in enumerate(value):
            yield from _rows(f"{name}[{place}]", item)
    else:
        yield name, _words(value)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _words(value: Any) -> str:
    if value is None or value == "" or value == {} or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return numbers.count(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_words(item) for item in value)
    return visible_text(str(value))


def _sae(sae: SaeInfo) -> Iterator[tuple[str, str]]:
    fields = sae.model_dump(mode="json", exclude={"l0", "left_out"})
    yield from pairs_of(fields)
    if sae.l0 is not None:
        yield "l0.mean", numbers.value(sae.l0.mean, 5)
    for name, reason in sorted(sae.left_out.items()):
        yield f"left out: {name}", visible_text(reason)


def _memory(report: ReportModel) -> list[ProvenanceTable]:
    memory = report.info.memory
    if memory is None:
        return []
    peaks = tuple(
        (
            peak.stage,
            numbers.size(peak.process_bytes),
            numbers.size(peak.device_bytes) if peak.device_bytes is not None else "–",
        )
        for peak in memory.peaks
    )
    rows = tuple(
        (row.stage, row.name, row.kind, row.device, numbers.size(row.bytes)) for row in memory.rows
    )
    return [
        ProvenanceTable(
            "Memory: peak of each stage", "memory", ("stage", "process", "device"), peaks
        ),
        ProvenanceTable(
            "Memory: largest objects",
            "memory-objects",
            ("stage", "name", "kind", "device", "size"),
            rows,
        ),
    ]


def _items(report: ReportModel) -> Iterator[Page]:
    yield Page(PAGE, "provenance", title=("Provenance",), fields={"sections": sections(report)})


register(
    Part(
        "provenance",
        _items,
        order=60,
        kinds=(PageKind("provenance", "provenance.html", script="text", warnings="none"),),
        navigation=lambda report, sae: (Entry("Provenance", PAGE),),
        tables=(LABELS,),
    )
)
