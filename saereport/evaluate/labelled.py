"""Texts with labels as a user gives them, read before torch is loaded.

JSON lines, CSV or TSV with a text and a label in each row, or several files of lines, of which
each has its name as the label of all; each may be compressed (`.gz`). Nothing here imports torch.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from saereport.sources.text.formats.delimited import next_row, row_fault
from saereport.util.errors import SaereportError, did_you_mean, first_few, shortened
from saereport.util.untrusted import MIB, Limits, lines, parse_json, utf8
from saereport.util.visible import visible_text

LIMITS: Final = Limits(
    file_bytes=256 * MIB, text_bytes=256 * MIB, line_bytes=4 * MIB, depth=16, values=100_000
)
"""How much of a file is read."""
MOST_TEXTS: Final = 200_000
LONGEST_LABEL: Final = 64
"""Characters of a label."""
MOST_LABELS: Final = 40
LONGEST_TEXT: Final = 131_072
"""Characters of a text that are kept; how many tokens are read of it, the settings say."""
FEWEST: Final = 10
"""Texts that each label needs: a third of fewer is no test of anything."""
EXAMPLE: Final = '{"text": "It was wonderful.", "label": "good"}'
ROWS: Final = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
"""Endings of files that hold a label in each row."""


@dataclass(frozen=True)
class LabelledText:
    """A text, its label, and what else is said of it where that is asked for."""

    text: str
    label: str
    attribute: str = ""


@dataclass(frozen=True)
class LabelledTexts:
    """The texts of one task.

    Attributes:
        name: What the task is called: the stem of its file, or of the first of its files.
        texts: The texts in their order, of which no two are the same.
        labels: The labels, the first of which is the concept where there are two.
        n_duplicates: Texts that were left out because they are there already.
        n_conflicting: Texts that were left out because they are there with another label too.
    """

    name: str
    texts: tuple[LabelledText, ...]
    labels: tuple[str, ...]
    n_duplicates: int = 0
    n_conflicting: int = 0

    @property
    def concepts(self) -> tuple[str, ...]:
        """Labels that a probe tells from the rest: of two the first, of more each."""
        return self.labels[:1] if len(self.labels) == 2 else self.labels


def files_of(given: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """The files of one task: a list of them, or one whose name may be a list with commas."""
    if not isinstance(given, (str, Path)):
        return tuple(Path(one).expanduser() for one in given)
    path = Path(given).expanduser()
    if "," not in str(given) or _exists(path):
        return (path,)
    return tuple(Path(one.strip()).expanduser() for one in str(given).split(",") if one.strip())


def _exists(path: Path) -> bool:
    """Whether there is such a file; what cannot be a path on this system is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def read_task(paths: Sequence[Path], keys: Mapping[str, str]) -> LabelledTexts:
    """The texts of one task.

    Args:
        paths: One file with a label in each row; or two and more files of lines, whose stems are
            the labels, the first being the concept where there are two.
        keys: Columns by what they hold: `text`, `label` and, where it is asked for, `attribute`.

    Raises:
        SaereportError: A file is not there, holds no text or what cannot be read, or there is one
            label only, or a label has fewer than `FEWEST` texts; says which.
    """
    for path in paths:
        if not _exists(path):
            raise SaereportError(
                f"There is no file of labelled texts '{shortened(str(path))}'.",
                f"It has lines such as {EXAMPLE}; or give two files of lines: pos.txt,neg.txt.",
            )
    if len(paths) > 1:
        stems = [_plain(path).stem for path in paths]
        if len(set(stems)) < len(stems):
            raise SaereportError(
                f"Two files of labelled texts are called '{shortened(stems[0])}'.",
                "Their names are the labels: rename one.",
            )
        found = [one for path in paths for one in _lines_of(path)]
        order = stems
    else:
        (path,) = paths
        if _plain(path).suffix.lower() not in ROWS:
            raise SaereportError(
                f"'{shortened(path.name)}' is one file of lines, which have no labels.",
                f"Give one for each label, pos.txt,neg.txt; or {', '.join(ROWS)} with labels.",
            )
        found = [*_rows_of(path, keys)]
        # Of 0 and 1, false and true, no and yes, the last is the concept.
        order = sorted({one.label for one in found}, reverse=True)
    return checked_task(_plain(paths[0]).stem, found, order)


def _plain(path: Path) -> Path:
    """What a file is called without the ending of its compression."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def checked_task(name: str, found: Sequence[LabelledText], order: Sequence[str]) -> LabelledTexts:
    """A task of texts without those that are there twice.

    Raises:
        SaereportError: There are too few texts or labels, or too many; says how many.
    """
    where = shortened(name, 60)
    if not found:
        raise SaereportError(
            f"'{where}' holds no labelled text.", f"It has lines such as {EXAMPLE}."
        )
    labels = [label for label in order if any(one.label == label for one in found)]
    if len(labels) == 1:
        raise SaereportError(
            f"All {len(found):,} texts of '{where}' have the label '{shortened(labels[0], 60)}'.",
            "A probe needs texts of a second label to tell them from.",
        )
    if len(labels) > MOST_LABELS:
        raise SaereportError(
            f"'{where}' has {len(labels):,} labels, and {MOST_LABELS} is the limit.",
            "Are these classes? Each is a probe of its own.",
        )
    kept, n_duplicates, n_conflicting = without_duplicates(found)
    for label in labels:
        n = sum(one.label == label for one in kept)
        if n < FEWEST:
            raise SaereportError(
                f"'{where}' has {n:,} different texts with the label '{shortened(label, 60)}'; a "
                f"probe needs {FEWEST}.",
                "Add some, or leave this label out.",
            )
    return LabelledTexts(name, tuple(kept), tuple(labels), n_duplicates, n_conflicting)


def without_duplicates(
    found: Iterable[LabelledText],
) -> tuple[list[LabelledText], int, int]:
    """Each text once, none that has two labels; then how many were left out for each reason.

    Texts are the same that differ in white space at their ends alone.
    """
    groups: dict[str, list[LabelledText]] = {}
    for one in found:
        groups.setdefault(one.text.strip(), []).append(one)
    kept, n_duplicates, n_conflicting = [], 0, 0
    for same in groups.values():
        if len({(one.label, one.attribute) for one in same}) > 1:
            n_conflicting += len(same)
        else:
            kept.append(same[0])
            n_duplicates += len(same) - 1
    return kept, n_duplicates, n_conflicting


# ---- reading


def _lines_of(path: Path) -> Iterator[LabelledText]:
    label = _label(_plain(path).stem, path.name)
    n = 0
    for number, line in lines(path, LIMITS):
        if text := utf8(line, f"{path.name}, line {number:,}").strip():
            n = _counted(n, path)
            yield LabelledText(text[:LONGEST_TEXT], label)
    if n == 0:
        raise SaereportError(f"'{shortened(path.name)}' is empty.", "It has one text a line.")


def _counted(n: int, path: Path) -> int:
    if n == MOST_TEXTS:
        raise SaereportError(
            f"{path.name} holds more than {MOST_TEXTS:,} texts, which is the limit."
        )
    return n + 1


def _rows_of(path: Path, keys: Mapping[str, str]) -> Iterator[LabelledText]:
    n = 0
    table = _plain(path).suffix.lower() in (".csv", ".tsv")
    for where, row in _table_rows(path, keys.values()) if table else _json_rows(path):
        for key in keys.values():
            if key not in row:
                raise SaereportError(
                    f"{where}: no '{shortened(key, 60)}'.",
                    did_you_mean(key, map(str, row))
                    or f"It has {first_few([shortened(str(k), 40) for k in row], 8)}.",
                )
        text = row[keys["text"]]
        if not isinstance(text, str):
            raise SaereportError(f"{where}: the text is {shortened(text, 40)}, which is no text.")
        if not text.strip():
            continue
        try:
            text.encode()
        except UnicodeEncodeError as error:
            # JSON can name halves of characters, which no text holds.
            raise SaereportError(f"{where}: the text holds half a character.") from error
        n = _counted(n, path)
        yield LabelledText(
            text[:LONGEST_TEXT],
            _label(row[keys["label"]], where),
            _label(row[keys["attribute"]], where) if "attribute" in keys else "",
        )


def _json_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in lines(path, LIMITS):
        if not line.strip():
            continue
        where = f"{path.name}, line {number:,}"
        value = parse_json(line, where, LIMITS)
        if not isinstance(value, dict):
            raise SaereportError(
                f"{where}: not an object with a text and a label.",
                f"Write lines such as {EXAMPLE}.",
            )
        yield where, value


def _table_rows(path: Path, asked: Collection[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # Lines end where CSV says, not at the other characters at which Python's own `splitlines` does.
    # By lines, so that one that is too long is refused at once.
    data = b"\n".join(line for _, line in lines(path, LIMITS))
    stream = io.StringIO(utf8(data, path.name), newline="")
    delimiter = "\t" if _plain(path).suffix.lower() == ".tsv" else ","
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        begins = reader.line_num + 1
        try:
            fields = next_row(reader)
        except csv.Error as error:
            raise row_fault(path, begins, reader.line_num, str(error)) from error
        if fields is None:
            return
        if not fields:
            continue
        if header is None:
            header = fields
            _require_once(path, header, asked)
            continue
        where = f"{path.name}, line {begins:,}"
        if len(fields) != len(header):
            raise SaereportError(
                f"{where}: not as many columns as the first line.",
                "Text that holds the separator or a line's end has to be quoted.",
            )
        yield where, dict(zip(header, fields, strict=True))


def _require_once(path: Path, header: Sequence[str], asked: Collection[str]) -> None:
    twice = next((name for name in asked if header.count(name) > 1), None)
    if twice is not None:
        raise SaereportError(
            f"{path.name}: two columns are called '{shortened(twice, 60)}'.", "Rename one."
        )


def _label(value: Any, where: str) -> str:
    """A label as words; numbers and truth values are some too."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, int):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise SaereportError(
            f"{where}: the label is {shortened(value, 40)!r}, which is none.",
            "A label is a word, a whole number, true or false.",
        )
    label = " ".join(value.split())
    if len(label) > LONGEST_LABEL or visible_text(label) != label:
        raise SaereportError(
            f"{where}: the label {shortened(ascii(label), 40)} is no name of a class.",
            f"Labels have up to {LONGEST_LABEL} characters, all of which can be seen.",
        )
    return label
