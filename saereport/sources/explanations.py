"""Labels of latents that others have made: Neuronpedia's or Delphi's, or a table of one's own.

a file    JSON lines as Neuronpedia exports them, or CSV
a folder  Neuronpedia's `batch-N.jsonl.gz`, also in `explanations-…/` for each labelling model;
          or Delphi's `{module}_latent{index}.txt`
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from saereport.util.errors import SaereportError, did_you_mean, shortened
from saereport.util.untrusted import MIB, TEXT_BYTES, Limits, content, lines, parse_json

INDEX_NAMES = ("index", "latent", "feature", "feature_index")
TEXT_NAMES = ("description", "explanation", "label", "text")
SOURCE_NAMES = ("explanationModelName", "source", "model", "author")

LIMITS = Limits(file_bytes=512 * MIB, text_bytes=1024 * MIB)
"""A label takes some hundred bytes, in Neuronpedia's exports with an embedding ten thousand."""
FILES = 300_000
"""In a folder: Delphi has one for every latent."""
_BATCH = re.compile(r"batch-(\d{1,9})\.jsonl(\.gz)?")
_FOLDER = re.compile(r"explanations(?:-([A-Za-z0-9._-]{1,100}))?")
_DELPHI = re.compile(r"(.{1,200})_latent(\d{1,8})\.txt", re.DOTALL)
Rows = Iterator[tuple[str, dict[str, Any]]]
Labels = dict[int, list[tuple[str, str]]]
"""Latent to its explanations, each with its source."""


def read_explanations(
    path: str | Path, *, sae: str = "", of: tuple[str, str] | None = None
) -> Labels:
    """Read labels.

    JSON lines are in the form of Neuronpedia's exports: `index` and `description`, and where they
    are there `explanationModelName` and `typeName`, which name the label's source. A CSV file has
    a header line with `index` (or `latent`) and `description` (or `explanation`, `label`), and may
    have `source`. Either can be compressed (`.gz`). Lines without a label are passed over. A
    reader's notes, as a report exports them, say in `sae` which SAE a line is about. A folder has
    such JSON lines in Neuronpedia's batches, or Delphi's files; where these are of several
    modules, `FOLDER/MODULE` names one.

    Args:
        path: The file or folder.
        sae: The SAE's folder in the report; lines about another one are passed over. Without it
            every line counts.
        of: The model and the source that lines with `modelId` and `layer` must be about.

    Returns:
        For each latent that has any, its labels as (text, source) in the file's order, without
        repetition; nothing where all labels are about other SAEs.

    Raises:
        SaereportError: The file cannot be read, holds no label at all, or a line of it makes no
            sense (it is named).
    """
    path = Path(path).expanduser()
    rows = (row for file in files_of(path) for row in _rows(file))
    labels: dict[int, dict[tuple[str, str], None]] = {}
    some = False
    for where, row in rows:
        text = _pick(row, TEXT_NAMES)
        # NaN is how data frames write that there is none.
        if text is None or text != text or not str(text).strip():
            continue
        if not isinstance(text, str):
            raise SaereportError(f"{where}: '{shortened(text, 60)}' is not the text of a label.")
        some = True
        _require_of(row, of, where)
        if sae and row.get("sae") not in (None, "", sae):
            continue
        entry = (" ".join(text.split()), _source(row))
        if max(len(part.encode("utf-8", "replace")) for part in entry) > TEXT_BYTES:
            raise SaereportError(f"{where}: the label is longer than {TEXT_BYTES:,} bytes.")
        labels.setdefault(_index(row, where), {})[entry] = None
    # One file of notes serves every SAE of a report, and few readers write about all of them.
    if not some:
        raise SaereportError(f"{path.name} holds no explanations.")
    return {index: list(found) for index, found in sorted(labels.items())}


def _require_of(row: dict[str, Any], of: tuple[str, str] | None, where: str) -> None:
    if of is None:
        return
    found = tuple(
        str(row.get(name) or own) for name, own in zip(("modelId", "layer"), of, strict=True)
    )
    if found != of:
        said, wanted = "/".join(found), "/".join(of)
        raise SaereportError(f"{where}: a label of '{said[:120]}', not of '{wanted}'.")


def files_of(path: Path) -> list[Path]:
    """The files that a path means, in their order: itself, or those in a folder.

    Raises:
        SaereportError: A folder holds none or too many, or Delphi's files of several modules.
    """
    path = path.expanduser()
    if path.is_dir():
        batches = _batches(path)
        return batches or _delphi_files(path, "")
    if not path.exists() and path.parent.is_dir() and _delphi_names(path.parent, path.name):
        return _delphi_files(path.parent, path.name)
    return [path]


def _batches(folder: Path) -> list[Path]:
    """Neuronpedia's batches: in the folder, or in the folder of each labelling model in it."""
    inside = [one for one in sorted(folder.iterdir()) if _FOLDER.fullmatch(one.name)]
    found = [
        (place, int(match[1]), one)
        for place, where in enumerate([folder, *(one for one in inside if one.is_dir())])
        for one in where.iterdir()
        if (match := _BATCH.fullmatch(one.name))
    ]
    return [one for *_, one in sorted(found)]


def _delphi_names(folder: Path, module: str) -> list[tuple[str, int, Path]]:
    found = ((_DELPHI.fullmatch(one.name), one) for one in folder.iterdir())
    return sorted(
        (match[1], int(match[2]), one) for match, one in found if match and module in ("", match[1])
    )


def _delphi_files(folder: Path, module: str) -> list[Path]:
    found = _delphi_names(folder, module)
    modules = sorted({name for name, _, _ in found})
    if not found:
        raise SaereportError(
            f"'{folder}' holds no labels: neither batch-N.jsonl.gz nor MODULE_latentN.txt.",
            "Name the file, or the folder that they are in.",
        )
    if len(modules) > 1:
        raise SaereportError(
            f"'{folder}' holds labels of {len(modules)} modules.",
            f"Name one of them, as in '{folder / modules[0]}'.",
        )
    if len(found) > FILES:
        raise SaereportError(f"'{folder}' holds more than {FILES:,} labels; that is the limit.")
    return [one for *_, one in found]


def _rows(path: Path) -> Rows:
    """The labels of one file, with where each stands."""
    _require_there(path)
    if match := _DELPHI.fullmatch(path.name):
        yield path.name, {"index": match[2], "description": _delphi_label(path, _read(path))}
        return
    labeller = _FOLDER.fullmatch(path.parent.name) if _BATCH.fullmatch(path.name) else None
    for where, row in _csv_rows(path, _read(path)) if _is_csv(path) else _json_rows(path):
        if labeller and labeller[1] and not _source(row):
            row[SOURCE_NAMES[0]] = labeller[1]
        yield where, row


def _delphi_label(path: Path, text: str) -> str:
    """Delphi writes a JSON string; plain text, as some have edited it, is taken as it is."""
    if not text.lstrip().startswith('"'):
        return text
    value = parse_json(text.encode("utf-8"), path.name, LIMITS)
    if not isinstance(value, str):
        raise SaereportError(f"{path.name}: not a label.")
    return str(_whole(value))


def _is_csv(path: Path) -> bool:
    return ".csv" in (s.lower() for s in path.suffixes[-2:])


def _require_there(path: Path) -> None:
    if not path.exists():
        near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SaereportError(
            f"There is no file {path} with explanations.", did_you_mean(path.name, near)
        )


def _read(path: Path) -> str:
    try:
        return content(path, LIMITS).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SaereportError(f"{path.name}:{line}: not UTF-8.") from error


def _json_rows(path: Path) -> Rows:
    # Line by line: a small file can stand for more lines than there is memory for.
    for number, line in lines(path, LIMITS):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            row = parse_json(line, where, LIMITS)
        except SaereportError as error:
            raise SaereportError(
                error.message,
                "Explanations are JSON lines (Neuronpedia's export) or a .csv file with a header.",
            ) from error
        if not isinstance(row, dict):
            raise SaereportError(f"{where}: not a JSON object.")
        if _pick(row, INDEX_NAMES) is None:
            raise SaereportError(
                f"{where}: no 'index'.", did_you_mean("index", map(str, row)) if row else ""
            )
        yield where, {key: _whole(value) for key, value in row.items()}


def _whole(value: Any) -> Any:
    """Text without halves of characters, which JSON can name and no report can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _csv_rows(path: Path, text: str) -> Rows:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = header
    for names in (INDEX_NAMES, TEXT_NAMES):
        if not set(names) & set(header):
            raise SaereportError(
                f"{path.name}:1: no column '{names[0]}'; it has {', '.join(header) or 'none'}.",
                did_you_mean(names[0], header),
            )
    try:
        for row in reader:
            where = f"{path.name}:{reader.line_num}"
            if None in row:
                raise SaereportError(f"{where}: more values than the header has columns.")
            yield where, row
    except csv.Error as error:
        said = str(error)
        if "field larger than field limit" in said:
            most = csv.field_size_limit()
            said = f"a value of more than {most:,} characters, or a quotation mark without its end"
        raise SaereportError(f"{path.name}:{reader.line_num + 1}: {said}.") from error


def _pick(row: dict[str, Any], names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _index(row: dict[str, Any], where: str) -> int:
    value = _pick(row, INDEX_NAMES)
    try:
        index = int(str(value).strip())
    except ValueError:
        index = -1
    if index < 0 or isinstance(value, bool):
        raise SaereportError(f"{where}: '{shortened(value, 40)}' is not the index of a latent.")
    return index


def _source(row: dict[str, Any]) -> str:
    named = [_pick(row, SOURCE_NAMES), row.get("typeName")]
    return ", ".join(str(part) for part in named if part)
