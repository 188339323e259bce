from __future__ import annotations

from pathlib import Path

from saereport.run import open_run
from saereport.site import report_of
from saereport.site.parts.provenance import pairs_of, sections


def test_lists_of_mappings_become_rows_and_what_is_absent_is_left_out() -> None:
    value = {
        "source": {"files": [{"name": "demo.jsonl", "bytes": 1234}, {"name": "b", "split": None}]},
        "saes": [{"release": None, "path": "a", "layers": [3, 6]}],
        "title": None,
        "seed": 0,
        "kwargs": {},
        "names": ["x", "y"],
        "deep": [[{"a": True}]],
    }
    assert list(pairs_of(value)) == [
        ("source.files[0].name", "demo.jsonl"),
        ("source.files[0].bytes", "1,234"),
        ("source.files[1].name", "b"),
        ("saes[0].path", "a"),
        ("saes[0].layers", "3, 6"),
        ("seed", "0"),
        ("kwargs", "–"),
        ("names", "x, y"),
        ("deep[0][0].a", "yes"),
    ]


def test_the_page_has_no_python_in_it(hostile_report: Path, hostile_run: Path) -> None:
    text = (hostile_report / "provenance.html").read_text("utf-8")
    assert "None" not in text
    assert "{&#39;" not in text
    assert open_run(hostile_run).info.model.dtype in text


def test_what_stages_read_is_listed_and_what_does_not_show_is_shown(hostile_run: Path) -> None:
    run = open_run(hostile_run)
    read = {"probing": {"the labelled\u202etexts": "a" * 64}, "lens": {}}
    run.info = run.info.model_copy(update={"inputs": read})
    (table,) = (one for one in sections(report_of(run)) if one.anchor == "inputs")
    assert table.rows == (("probing", "the labelled<U+202E>texts", "a" * 64),)
    run.info = run.info.model_copy(update={"inputs": {"lens": {}}})
    assert not any(one.anchor == "inputs" for one in sections(report_of(run)))
