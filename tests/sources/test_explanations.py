"""Labels that others have made."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from pathlib import Path

import pytest

from saereport.sources.explanations import read_explanations
from saereport.util.errors import SaereportError
from saereport.util.untrusted import MIB

EXPORT = (
    '{"modelId":"gpt2-small","layer":"8-res-jb","index":"7","description":" colours\\nand hues",'
    '"explanationModelName":"gpt-4o-mini","typeName":"oai_token-act-pair"}\n'
    "\n"
    '{"index":2,"description":"commas \\u2028 here"}\n'
    '{"index":7,"description":"paint","explanationModelName":"claude"}\n'
    '{"index":7,"description":"paint","explanationModelName":"claude"}\n'
    '{"index":9,"description":null}\n'
)


def test_neuronpedia_export(tmp_path):
    file = tmp_path / "batch-0.jsonl"
    file.write_text(EXPORT, encoding="utf-8")
    assert read_explanations(file) == {
        2: [("commas here", "")],
        7: [("colours and hues", "gpt-4o-mini, oai_token-act-pair"), ("paint", "claude")],
    }


def test_compressed(tmp_path):
    file = tmp_path / "batch-0.jsonl.gz"
    file.write_bytes(gzip.compress(EXPORT.encode()))
    assert list(read_explanations(file)) == [2, 7]


def test_line_separator_inside_a_string(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_text('{"index": 1, "description": "a\u2028b"}\n', encoding="utf-8")
    assert read_explanations(file) == {1: [("a b", "")]}


@pytest.mark.parametrize("header", ["index,description", " latent , explanation", "feature,label"])
def test_csv(tmp_path, header):
    file = tmp_path / "labels.csv"
    file.write_text(f'\ufeff{header}\n3,"a, ""quoted""\nlabel"\n1,x\n2,\n', encoding="utf-8")
    assert read_explanations(file) == {1: [("x", "")], 3: [('a, "quoted" label', "")]}


def test_csv_with_source(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("index,description,source\n3,x,me\n")
    assert read_explanations(str(file)) == {3: [("x", "me")]}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"index": 1, "description": "x"}\n{"index": 1,\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: not a JSON object"),
        ("a.jsonl", '{"idx": 1, "description": "x"}\n', "no 'index'. Did you mean 'idx'?"),
        ("a.jsonl", '{"index": "x7", "description": "x"}\n', "'x7' is not the index of a latent"),
        ("a.jsonl", '{"index": -1, "description": "x"}\n', "a.jsonl:1: '-1' is not"),
        ("a.jsonl", '{"index": 1.5, "description": "x"}\n', "'1.5' is not"),
        ("a.jsonl", "", "a.jsonl holds no explanations"),
        ("a.csv", "index,descripton\n1,x\n", "Did you mean 'descripton'?"),
        ("a.csv", "description\nx\n", "a.csv:1: no column 'index'"),
        ("a.csv", "index,description\n1,x\n2,x,y\n", "a.csv:3: more values"),
        ("a.csv", "", "a.csv:1: no column 'index'; it has none"),
    ],
)
def test_bad_lines_are_named(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(SaereportError) as caught:
        read_explanations(tmp_path / name)
    assert said in str(caught.value)


def test_bad_files(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"index,description\n1,caf\xe9\n")
    with pytest.raises(SaereportError, match=r"labels.csv:2: not UTF-8"):
        read_explanations(tmp_path / "labels.csv")
    with pytest.raises(SaereportError, match=r"Did you mean 'labels.csv'"):
        read_explanations(tmp_path / "label.csv")
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(EXPORT.encode())[:40])
    with pytest.raises(SaereportError, match=r"x.jsonl.gz cannot be read"):
        read_explanations(tmp_path / "x.jsonl.gz")


def test_lines_about_another_sae_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"
    file.write_text(
        '{"index": 1, "description": "a", "sae": "one"}\n'
        '{"index": 1, "description": "b", "sae": "two", "source": "reader"}\n'
        '{"index": 2, "sae": "one", "star": true, "note": "no label"}\n'
        '{"index": 3, "description": "c"}\n',
        encoding="utf-8",
    )
    assert read_explanations(file, sae="one") == {1: [("a", "")], 3: [("c", "")]}
    assert read_explanations(file, sae="two") == {1: [("b", "reader")], 3: [("c", "")]}
    assert read_explanations(file) == {1: [("a", ""), ("b", "reader")], 3: [("c", "")]}
    # Notes on one SAE are no reason to refuse the build of the others.
    file.write_text('{"index": 1, "description": "b", "sae": "two"}\n', encoding="utf-8")
    assert read_explanations(file, sae="one") == {}


def test_many_labels_of_one_latent_take_time_by_their_number(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    rows = (f'{{"index": 7, "description": "label {n % 60_000}"}}' for n in range(70_000))
    path.write_text("\n".join(rows), encoding="utf-8")
    start = time.process_time()
    labels = read_explanations(path)
    assert time.process_time() - start < 20
    assert len(labels[7]) == 60_000
    assert labels[7][:2] == [("label 0", ""), ("label 1", "")]


def test_a_label_that_no_run_takes_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"index,label\n1,short\n2,{'é' * 33_000}\n", encoding="utf-8")
    with pytest.raises(SaereportError, match=r"labels.csv:3: the label is longer than 65,536"):
        read_explanations(path)


def test_halves_of_characters_do_not_reach_the_run(tmp_path: Path) -> None:
    """Real exports have them; they ended in a traceback after the whole measurement."""
    file = tmp_path / "labels.jsonl"
    file.write_text(
        '{"index": 1, "description": "half \\ud800 one", "explanationModelName": "m\\udc00"}\n'
        '{"index": 2, "description": "whole \\ud83d\\ude00"}\n'
    )
    labels = read_explanations(file)
    assert labels == {1: [("half \ufffd one", "m\ufffd")], 2: [("whole \U0001f600", "")]}
    for texts in labels.values():
        for text, source in texts:
            assert (text + source).encode()


def test_more_lines_than_memory_take_no_memory(tmp_path):
    file = tmp_path / "batch-0.jsonl"
    file.write_bytes(b"       \n" * (MIB // 2) + b'{"index":7,"description":"paint"}')
    tracemalloc.start()
    try:
        assert read_explanations(file) == {7: [("paint", "")]}
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    finally:
        tracemalloc.stop()


def test_a_missing_label_of_a_data_frame_is_none(tmp_path):
    file = tmp_path / "labels.jsonl"
    file.write_text('{"index":7,"description":NaN}\n{"index":8,"description":"paint"}\n')
    assert read_explanations(file) == {8: [("paint", "")]}


@pytest.mark.parametrize("text", ['["paint"]', '{"label":"paint"}', "5", "true"])
def test_what_is_no_text_is_no_label(text, tmp_path):
    file = tmp_path / "labels.jsonl"
    file.write_text(f'{{"index":7,"description":{text}}}')
    with pytest.raises(SaereportError, match="is not the text of a label"):
        read_explanations(file)
