"""Files with a document in each row: what was written is read, and what is broken is told."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.sources.text.formats import delimited
from saereport.sources.text.opening import open_text
from saereport.util.errors import SaereportError

# What UTF-8 can hold; NUL is refused.
TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
    | st.sampled_from(['"', '""', ",", "\t", "\r\n", "\r", "\n", ' "x" ', "\ufeff", "a;b|c", "'"]),
    min_size=1,
    max_size=8,
).filter(lambda texts: any(texts))


def read(path: Path, **options: Any) -> list[Any]:
    return list(open_text(path, **options).documents())


@given(
    TEXTS,
    st.sampled_from([".csv", ".tsv"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_rows_of_csv_are_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    suffix: str,
    end: str,
    quoting: Any,
    bom: bool,
    numbered: bool,
) -> None:
    path = tmp_path_factory.mktemp("csv") / f"a{suffix}"
    with path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as stream:
        separator = "," if suffix == ".csv" else "\t"
        # Before 3.13 Python leaves line ends unquoted that are not the file's own.
        quoting = quoting if end == "\r\n" else csv.QUOTE_ALL
        writer = csv.writer(stream, delimiter=separator, lineterminator=end, quoting=quoting)
        writer.writerow(["n", "text"] if numbered else ["text"])
        writer.writerows([n, text] if numbered else [text] for n, text in enumerate(texts))
    assert read(path) == texts


ROWS = st.lists(
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    min_size=1,
    max_size=9,
).filter(any)


@given(ROWS, st.integers(1, 4), st.sampled_from(["stream", "file", "lz4"]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_rows_of_arrow_are_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str | None],
    at_once: int,
    kind: str,
    large: bool,
) -> None:
    path = tmp_path_factory.mktemp("arrow") / "a.arrow"
    column = pa.array(texts, pa.large_string() if large else pa.string())
    table = pa.table({"n": list(range(len(texts))), "text": column})
    write = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    options = pa.ipc.IpcWriteOptions(compression="lz4" if kind == "lz4" else None)
    with write(str(path), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=at_once)
    assert read(path) == [text or "" for text in texts]


def test_token_ids_and_their_mask_in_arrow(tmp_path: Path) -> None:
    table = pa.table({"token_ids": [[9, 5, 6], None], "attention_mask": [[0, 1, 1], None]})
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    [first, second] = read(tmp_path / "a.arrow")
    assert (first, first.masked, second) == ([5, 6], 1, [])


def test_all_kinds_of_a_folder_are_one_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,text\n1,A\n")
    (tmp_path / "b.tsv").write_text("text\tn\nB\t1\n")
    (tmp_path / "c.jsonl").write_text('{"text": "C"}\n')
    pq.write_table(pa.table({"text": ["D"]}), tmp_path / "d.parquet")
    (tmp_path / "e.txt").write_text("E")
    (tmp_path / "f.csv.gz").write_bytes(b"")
    text = open_text(tmp_path)
    assert list(text.documents()) == ["A", "B", "C", "D", "E"]
    assert text.unread == ("f.csv.gz",)
    assert [text.place(n) for n in range(3)] == ["a.csv:2", "b.tsv:2", "c.jsonl:1"]


def test_a_row_stands_where_its_first_line_is(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'text\r\n"one\r\ntwo"\r\n\r\nthree\r\n')
    text = open_text(tmp_path / "a.csv")
    assert list(text.documents()) == ["one\r\ntwo", "three"]
    assert [text.place(n) for n in range(2)] == ["a.csv:2", "a.csv:5"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "The text a.csv is empty."),
        ("a.csv", b"\n\n", "The text a.csv is empty."),
        ("a.csv", b"text\n", "The text a.csv is empty."),
        ("a.csv", b'text,n\nx,1\n"y,2\nz,3\n', "a.csv:3: a quotation mark opens a field here that"),
        ("a.csv", b'text,n\n"x" y,1\n', "a.csv:2: a quotation mark inside a quoted field is not"),
        (
            "a.csv",
            b'text,n\n"x\ny" z,1\n',
            "a.csv:3: a quotation mark inside a quoted field, which begins in line 2, is not",
        ),
        ("a.csv", b'text,n\n"a \\"b\\" c",1\n', "a.csv:2: a quotation mark inside a quoted field"),
        ("a.csv", b"text,n\nx,1\ny, and z,2\n", "a.csv:3: a row of 3 fields, and the header has 2"),
        ("a.csv", b"text\nx\ry\n", "a.csv:2: a carriage return that ends no line, outside"),
        ("a.csv", b"text,n\nx\n", "a.csv:2: a row of 1 fields, and the header has 2"),
        ("a.csv", b"text,n\nx,1\nb\xe9d,2\n", "a.csv:3: not UTF-8 (byte 0xe9)"),
        ("a.csv", b"text,n\nx,1\nb\0d,2\n", "a.csv:3: a NUL byte"),
        ("a.csv", "text,n\nx,1\n".encode("utf-16"), "a.csv:1: UTF-16, not UTF-8. Save the file"),
        ("a.csv", "text,n\nx,1\n".encode("utf-16-le"), "a.csv:1: a NUL byte"),
        ("a.csv", b"text;n\nx;1\n", "a.csv:1: the columns are separated by semicolons"),
        (
            "a.csv",
            b"text\tn\nx\t1\n",
            "separated by tabs; those of a .csv file are by commas.",
        ),
        ("a.tsv", b"text,n\nx,1\n", "a.tsv:1: the columns are separated by commas"),
        ("a.csv", b"txt,n\nx,1\n", "a.csv has no column 'text'; it has n, txt. Did you mean 'txt'"),
        ("a.csv", b"text,text\nx,y\n", "a.csv has 2 columns 'text'"),
        ("a.csv", b"tokens\n1 2 3\n", "the column 'tokens' holds text in place of token ids"),
        ("a.csv", b'messages\n"[{}]"\n', "'messages' holds text in place of conversations"),
        ("a.txt", "one\ntwo\n".encode("utf-16"), "a.txt:1: UTF-16, not UTF-8"),
        ("a.txt", b"one\nt\0wo", "a.txt:2: a NUL byte"),
        ("a.jsonl", '{"text": "x"}\n'.encode("utf-16"), "a.jsonl:1: UTF-16, not UTF-8"),
        ("a.arrow", b"", "The text a.arrow is empty"),
        ("a.arrow", b"no arrow at all", "a.arrow cannot be read as Arrow"),
    ],
)
def test_what_is_broken_is_told_with_its_line(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SaereportError) as caught:
        read(tmp_path / name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_fields_of_ten_megabytes_and_no_more_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = 'a "word", ' * 1_000_000
    before = csv.field_size_limit()
    with (tmp_path / "a.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["text"], [long], ["short"]])
    assert read(tmp_path / "a.csv") == [long, "short"]
    assert csv.field_size_limit() == before, "that of other readers"
    monkeypatch.setattr(delimited, "LONGEST_FIELD", 1000)
    with pytest.raises(SaereportError, match=r"a.csv:2: a line of more than 1,000 characters"):
        read(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text('text\n"' + "word\n" * 1000)
    with pytest.raises(SaereportError, match=r"a.csv:2: a field of more than 1,000 characters"):
        read(tmp_path / "a.csv")


def _write_csv(path: Path, texts: list[str]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["text"], *([text] for text in texts)])


def _write_arrow(path: Path, texts: list[str]) -> None:
    table = pa.table({"text": texts})
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(("name", "write"), [("a.csv", _write_csv), ("a.arrow", _write_arrow)])
def test_no_more_than_a_piece_is_in_memory(
    tmp_path: Path, name: str, write: Callable[[Path, list[str]], None]
) -> None:
    """Also where a file is a single batch of rows."""
    write(tmp_path / name, ["x" * 100_000] * 600)
    text = open_text(tmp_path / name)
    tracemalloc.start()
    try:
        assert sum(map(len, text.documents())) == 60_000_000
        assert tracemalloc.get_traced_memory()[1] < 25_000_000
    finally:
        tracemalloc.stop()


def test_a_stream_of_arrow_that_is_cut_short(tmp_path: Path) -> None:
    """Also where it is cut between two batches, which Arrow takes for the end."""
    table = pa.table({"text": ["some words"] * 40})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.slice(0, 20))
        between = sink.tell()
        writer.write_table(table.slice(20))
    whole = sink.getvalue()
    assert sum(b.num_rows for b in pa.ipc.open_stream(whole[:between])) == 20, "Arrow is silent"
    for size in (between, len(whole) - 1, len(whole) - 8, len(whole) // 3, 9):
        (tmp_path / "a.arrow").write_bytes(whole[:size])
        with pytest.raises(SaereportError, match=r"a.arrow (is cut short|cannot be read as Arrow)"):
            open_text(tmp_path / "a.arrow")
    with pa.ipc.new_file(str(tmp_path / "b.arrow"), table.schema) as writer:
        writer.write_table(table)
    whole = (tmp_path / "b.arrow").read_bytes()
    for size in (len(whole) - 1, len(whole) // 2):
        (tmp_path / "b.arrow").write_bytes(whole[:size])
        with pytest.raises(SaereportError, match=r"b.arrow cannot be read as Arrow"):
            open_text(tmp_path / "b.arrow")


def test_offsets_of_arrow_are_not_trusted(tmp_path: Path) -> None:
    """Arrow maps a file and believes it: an offset beyond the text would read other memory."""
    table = pa.table({"text": ["abcdefgh"] * 8})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    offsets = table["text"].chunk(0).buffers()[1].to_pybytes()[:36]
    content = sink.getvalue()
    assert content.count(offsets) == 1
    wild = offsets[:32] + (2**30).to_bytes(4, "little")
    (tmp_path / "a.arrow").write_bytes(content.replace(offsets, wild))
    with pytest.raises(SaereportError, match=r"a.arrow cannot be read as Arrow"):
        read(tmp_path / "a.arrow")


def test_which_of_several_columns_is_read_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("messages,ids,text,n\nA,1,B,2\n")
    text = open_text(tmp_path / "a.csv")
    assert list(text.documents()) == ["B"]
    assert text.passed_over == ("ids", "messages")
    assert open_text(tmp_path / "a.csv", column="messages").passed_over == ()


def test_an_empty_column_is_not_called_an_empty_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": null, "ids": null, "input_ids": [1]}\n')
    with pytest.raises(SaereportError, match=r"column 'text' of a.jsonl holds nothing. .*input_id"):
        open_text(tmp_path / "a.jsonl")
    with pytest.raises(SaereportError, match=r"The text a.jsonl is empty"):
        open_text(tmp_path / "a.jsonl", column="text")


@pytest.mark.parametrize("suffix", [".arrow", ".parquet"])
def test_two_attention_masks_are_refused(tmp_path: Path, suffix: str) -> None:
    """Nobody could say which of them is meant; Arrow finds neither."""
    values = [pa.array([[1, 2]]), pa.array([[1, 1]]), pa.array([[0, 1]])]
    names = ["input_ids", "attention_mask", "attention_mask"]
    table, path = pa.Table.from_arrays(values, names=names), tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    with pytest.raises(SaereportError, match="has 2 columns 'attention_mask'"):
        open_text(path)
