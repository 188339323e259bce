"""Files of labelled texts: what is read, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from saereport.evaluate import labelled as reading
from saereport.evaluate.labelled import LabelledText, files_of, read_task, without_duplicates
from saereport.util.errors import SaereportError
from saereport.util.untrusted import MIB

KEYS = {"text": "text", "label": "label"}


def rows(folder: Path, lines: list[Any], name: str = "task.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def labelled(*labels: Any, n: int = 12) -> list[dict[str, Any]]:
    return [{"text": f"text {i} of {label}", "label": label} for label in labels for i in range(n)]


def test_the_last_of_two_labels_is_the_concept(tmp_path: Path) -> None:
    for labels, concept in (((0, 1), "1"), ((True, False), "true"), (("no", "yes"), "yes")):
        found = read_task([rows(tmp_path, labelled(*labels))], KEYS)
        assert found.concepts == (concept,)
        assert (found.name, len(found.texts), len(found.labels)) == ("task", 24, 2)


def test_of_three_labels_each_is_a_concept(tmp_path: Path) -> None:
    found = read_task([rows(tmp_path, labelled("b", "a", "c"))], KEYS)
    assert found.concepts == ("c", "b", "a")


def test_files_of_lines_have_their_names_as_labels(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(f"{name} {i}" for i in range(11)))
    files = files_of(f"{tmp_path}/good.txt, {tmp_path}/bad.txt")
    assert files == files_of([tmp_path / "good.txt", tmp_path / "bad.txt"])
    found = read_task(files, KEYS)
    assert (found.name, found.concepts, found.labels) == ("good", ("good",), ("good", "bad"))
    assert len(found.texts) == 22


def test_tables_are_read_by_their_columns(tmp_path: Path) -> None:
    for name, mark in (("t.csv", ","), ("t.tsv", "\t")):
        lines = [f'"one {i}\nand two"{mark}{i % 2}{mark}x' for i in range(24)]
        (tmp_path / name).write_text("\n".join([f"body{mark}class{mark}more", *lines]))
        found = read_task([tmp_path / name], {"text": "body", "label": "class"})
        assert found.texts[0] == LabelledText("one 0\nand two", "0")
        assert found.concepts == ("1",)


def test_files_may_be_compressed(tmp_path: Path) -> None:
    plain = rows(tmp_path, labelled("a", "b"))
    lines = "".join(f"{i % 2},text {i}\n" for i in range(24))
    for name, data in (
        ("task.jsonl.gz", plain.read_bytes()),
        ("table.csv.gz", f"label,text\n{lines}".encode()),
        ("good.txt.gz", "".join(f"good {i}\n" for i in range(12)).encode()),
        ("bad.txt.GZ", "".join(f"bad {i}\n" for i in range(12)).encode()),
    ):
        (tmp_path / name).write_bytes(gzip.compress(data))
    assert read_task([tmp_path / "task.jsonl.gz"], KEYS) == read_task([plain], KEYS)
    table = read_task([tmp_path / "table.csv.gz"], KEYS)
    assert (table.name, table.concepts, len(table.texts)) == ("table", ("1",), 24)
    files = read_task([tmp_path / "good.txt.gz", tmp_path / "bad.txt.GZ"], KEYS)
    assert (files.name, files.labels, len(files.texts)) == ("good", ("good", "bad"), 24)


def test_only_line_breaks_end_a_row(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    lines = [f"good,one\u2028two {i},x" for i in range(12)]
    path.write_text(
        "label,text,more\n" + "\n".join([*lines, *(f"bad,x{i},y" for i in range(12))]), "utf-8"
    )
    task = read_task([path], {"text": "text", "label": "label"})
    assert [one.label for one in task.texts].count("bad") == 12
    assert [one.text for one in task.texts if one.label == "good"] == [
        f"one\u2028two {i}" for i in range(12)
    ]


def test_a_text_is_there_once_and_with_one_label() -> None:
    texts = [("a", "x"), ("a ", "x"), ("b", "x"), ("b", "y"), ("c", "y")]
    kept, twice, both = without_duplicates([LabelledText(*one) for one in texts])
    assert [(one.text, one.label) for one in kept] == [("a", "x"), ("c", "y")]
    assert (twice, both) == (1, 2)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "'task' holds no labelled text."),
        (labelled("a"), "All 12 texts of 'task' have the label 'a'. A probe needs texts of a sec"),
        ([*labelled("a"), *labelled("b", n=9)], "has 9 different texts with the label 'b'"),
        ([*labelled("a"), *labelled("b", n=1) * 20], "has 1 different texts with the label 'b'"),
        ([{"text": "x", "lable": "a"}], "line 1: no 'label'. Did you mean 'lable'"),
        ([{"text": "x"}], "task.jsonl, line 1: no 'label'."),
        ([{"text": 3, "label": "a"}], "line 1: the text is 3, which is no text"),
        ([{"text": "x", "label": 0.5}], "line 1: the label is"),
        ([{"text": "x", "label": " "}], "line 1: the label is"),
        ([{"text": "x", "label": "a\u202eb"}], "is no name of a class"),
        ([{"text": "\ud800", "label": "a"}], "line 1: the text holds half a character"),
        (["x"], "line 1: not an object"),
        (labelled(*range(41)), "has 41 labels, and 40 is the limit"),
    ],
)
def test_what_cannot_be_probed_is_refused(tmp_path: Path, lines: list[Any], said: str) -> None:
    with pytest.raises(SaereportError) as caught:
        read_task([rows(tmp_path, lines)], KEYS)
    assert said in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("a line\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "latin.txt").write_bytes("né\n".encode("latin-1"))
    (tmp_path / "wide.txt").write_bytes("a line\n".encode("utf-16-le"))
    (tmp_path / "short.csv").write_text("text,label\nx\n")
    sub = tmp_path / "sub"
    sub.mkdir()
    (sub / "one.txt").write_text("b\n")
    for names, said in (
        (["none.jsonl"], "There is no file of labelled texts"),
        (["one.txt"], "one file of lines, which have no labels"),
        (["one.txt", "empty.txt"], "'empty.txt' is empty"),
        (["one.txt", "latin.txt"], "latin.txt, line 1: not UTF-8"),
        (["one.txt", "wide.txt"], "wide.txt, line 1: holds a NUL. If the file is UTF-16, save"),
        (["one.txt", "sub/one.txt"], "Two files of labelled texts are called 'one'"),
        (["short.csv"], "short.csv, line 2: not as many columns"),
    ):
        with pytest.raises(SaereportError) as caught:
            read_task([tmp_path / name for name in names], KEYS)
        assert said in str(caught.value)


def table(folder: Path, name: str, header: str, rows: list[str]) -> Path:
    path = folder / name
    path.write_bytes("\n".join([header, *rows, ""]).encode())
    return path


def test_rows_of_a_table_end_where_csv_says(tmp_path: Path) -> None:
    odd = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"
    lines = [f'{label},text {label}{n} {odd} "said"' for label in "ab" for n in range(10)]
    found = read_task([table(tmp_path, "odd.csv", "label,text", lines)], KEYS)
    assert [one.text for one in found.texts][:1] == [f'text a0 {odd} "said"']
    assert len(found.texts) == 20


def test_a_field_of_a_table_may_be_as_long_as_that_of_json(tmp_path: Path) -> None:
    lines = [f"{'x' * 150_000}{label}{n},{label}" for label in "ab" for n in range(10)]
    lines = [f"{n}{line}" for n, line in enumerate(lines)]
    assert len(read_task([table(tmp_path, "long.csv", "text,label", lines)], KEYS).texts) == 20


@pytest.mark.parametrize(
    ("name", "header", "last", "said"),
    [
        ("twice.csv", "text,label,label", "x,a,b", "two columns are called 'label'"),
        ("open.csv", "text,label", '"never closed,a', "open.csv:22.*is never closed"),
        ("mark.csv", "text,label", '"a "word" here",a', "mark.csv:22.*is not doubled"),
        ("three.tsv", "text\tlabel", "x\ta\tb", "three.tsv, line 22: not as many columns"),
    ],
)
def test_a_table_that_can_be_read_in_two_ways_is_refused(
    tmp_path: Path, name: str, header: str, last: str, said: str
) -> None:
    between = "\t" if name.endswith(".tsv") else ","
    lines = [between.join([f"w{n}", label]) for label in "ab" for n in range(10)]
    with pytest.raises(SaereportError, match=said):
        read_task([table(tmp_path, name, header, [*lines, last])], KEYS)


@pytest.mark.parametrize("label", ["می\u200cخواهم", "क्\u200dष", "👩\u200d🚀", "❤\ufe0f"])
def test_labels_of_every_script_are_some(tmp_path: Path, label: str) -> None:
    rows = [{"text": f"{k}", "label": label if k % 2 else "other"} for k in range(40)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert label in read_task([tmp_path / "t.jsonl"], KEYS).labels


@pytest.mark.parametrize("label", ["go\u200dod", "go\u200cod", "good\u200d", "\u3164"])
def test_labels_that_look_like_others_are_none(tmp_path: Path, label: str) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"text": "x", "label": label}))
    with pytest.raises(SaereportError, match="is no name of a class"):
        read_task([tmp_path / "t.jsonl"], KEYS)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_a_line_without_end_is_refused_before_it_is_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(b"text,label\n" + b"x" * (5 * MIB) + b",y\n")
    (tmp_path / "b.txt").write_text("b\n" * 10)
    monkeypatch.setattr(reading, "parse_json", lambda *_: {"text": "a", "label": "b"})
    names = [name, "b.txt"] if name == "a.txt" else [name]
    with pytest.raises(SaereportError, match=f"{name}:2: the line is longer than 4 MiB"):
        read_task([tmp_path / one for one in names], KEYS)
