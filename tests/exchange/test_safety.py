"""Files that mean harm: too large, too deep, twice there, elsewhere, or with markup in them."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from pydantic import ValidationError

from saereport.cli.main import run as command
from saereport.exchange import export_report, import_files
from saereport.exchange.dashboard import Batch
from saereport.exchange.finding import find
from saereport.site import render
from saereport.util.errors import SaereportError
from saereport.util.untrusted import MIB, Limits, check_shape, content, lines
from tests.exchange import samples
from tests.synthetic import HOSTILE, Shape, write_run


def feature(index: int = 0, **fields: Any) -> dict[str, Any]:
    example = {
        "bin_min": -1,
        "bin_max": 2.5,
        "bin_contains": -1,
        "tokens": ["a", " b"],
        "values": [0.0, 2.5],
        "qualifying_token_index": 1,
    }
    plain = {"feature_index": index, "frac_nonzero": 0.25, "activations": [example]}
    return {**plain, **fields}


def batch(*features: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model_id": "m", "layer": 1, "sae_set": "s", "features": list(features), **fields}


Write = Callable[[Path], object]


def text(content: str, name: str = "batch-0.json") -> Write:
    return lambda folder: (folder / name).write_text(content)


def good(**fields: Any) -> Write:
    return text(json.dumps(batch(feature(**fields))))


def rows(*some: object, folder: str = "features") -> Write:
    def write(target: Path) -> None:
        (target / folder).mkdir(exist_ok=True)
        packed = gzip.compress("".join(json.dumps(row) + "\n" for row in some).encode())
        (target / folder / "batch-0.jsonl.gz").write_bytes(packed)

    return write


def deep(n: int) -> str:
    return json.dumps(batch(feature())).replace('"m"', "[" * n + "]" * n)


ROW = {"modelId": "m", "layer": "1-s", "index": "0"}
BAD: dict[str, tuple[Write, str]] = {
    "not JSON": (text("{"), r"batch-0.json: Invalid JSON"),
    "empty": (text(""), r"batch-0.json: Invalid JSON"),
    "another shape": (text("[1, 2]"), r"batch-0.json: Input should be an object"),
    "deep": (text(deep(100_000)), r"batch-0.json: nested more than 16 deep"),
    "deep without end": (text('{"a":' * 5000), r"batch-0.json: nested more than 16 deep"),
    "NaN": (text(json.dumps(batch(feature(frac_nonzero=float("nan"))))), r"frac_nonzero: "),
    "infinite": (good(pos_str=["a"], pos_values=[float("inf")]), r"features.0.pos_values.0: "),
    "huge": (good(pos_str=["a"], pos_values=[1e300]), r"features.0.pos_values.0: "),
    "endless digits": (text('{"features": [{"feature_index": %s}]}' % ("9" * 6000)), r"batch-0"),
    "not a number": (good(frac_nonzero="0.5"), r"features.0.frac_nonzero: .*valid number"),
    "true for a number": (good(frac_nonzero=True), r"features.0.frac_nonzero: "),
    "share above one": (good(frac_nonzero=1.5), r"features.0.frac_nonzero: "),
    "negative index": (good(index=-1), r"features.0.feature_index: .*greater than"),
    "index beyond": (good(index=2**40), r"features.0.feature_index: .*less than"),
    "index not whole": (text(json.dumps(batch({"feature_index": 1.5}))), r"feature_index: "),
    "twice": (
        text(json.dumps(batch(feature(3), feature(3)))),
        r"batch-0.json: features.1: latent 3 is there twice; first in batch-0.json: features.0",
    ),
    "lengths": (good(pos_str=["a"], pos_values=[]), r"pos_str and pos_values have 1 and 0"),
    "long token": (good(pos_str=["a" * 1001], pos_values=[1]), r"pos_str.0: .*1000"),
    "lone surrogate": (text('{"model_id": "\\ud800", "features": []}'), r"batch-0.json: "),
    "no latents": (text(json.dumps(batch())), r"hold no latents"),
    "only labels": (rows({**ROW, "description": "x"}, folder="explanations"), r"hold no latents"),
    "negative row": (rows({**ROW, "index": "-1"}), r"batch-0.jsonl.gz:1: index"),
    "line of a list": (rows(ROW, [1]), r"batch-0.jsonl.gz:2: "),
    "two models": (rows(ROW, {**ROW, "modelId": "n"}), r"about two models, 'm' and 'n'"),
    "nothing known": (text("{}", "other.json"), r"holds none of the files that are read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    write, expected = BAD[name]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    with pytest.raises(SaereportError, match=expected) as error:
        import_files([tmp_path / "in"], tmp_path / "run")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_failed_import_leaves_the_old_run(tmp_path: Path) -> None:
    good()(tmp_path)
    import_files([tmp_path / "batch-0.json"], tmp_path / "run")
    before = (tmp_path / "run" / "run.json").read_bytes()
    text("{")(tmp_path)
    with pytest.raises(SaereportError):
        import_files([tmp_path / "batch-0.json"], tmp_path / "run")
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_what_is_not_a_run_or_an_export_is_not_replaced(tmp_path: Path) -> None:
    good()(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(SaereportError, match="not a run"):
        import_files([tmp_path / "batch-0.json"], tmp_path / "mine")
    write_run(tmp_path / "run", Shape(d_sae=20, n_chosen=4, n_sequences=20))
    with pytest.raises(SaereportError, match="not an export"):
        export_report(tmp_path / "run", tmp_path / "mine", format="saedashboard")
    export_report(tmp_path / "run", tmp_path / "out", format="saedashboard")
    export_report(tmp_path / "run", tmp_path / "out", format="neuronpedia")
    assert not (tmp_path / "out" / "batch-0.json").exists()
    (tmp_path / "out" / "notes.txt").write_text("keep")
    with pytest.raises(SaereportError, match=r"also holds .* 'notes.txt'"):
        export_report(tmp_path / "run", tmp_path / "out", format="neuronpedia")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_no_link_is_followed_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "outside").mkdir()
    good()(tmp_path / "outside")
    (tmp_path / "in" / "batch-0.json").symlink_to(tmp_path / "outside" / "batch-0.json")
    with pytest.raises(SaereportError, match="is a link, which is not followed"):
        import_files([tmp_path / "in"], tmp_path / "run")
    (tmp_path / "in" / "batch-0.json").unlink()
    (tmp_path / "in" / "features").symlink_to(tmp_path / "outside")
    with pytest.raises(SaereportError, match="is a link, which is not followed"):
        import_files([tmp_path / "in"], tmp_path / "run")


def test_a_pipe_or_a_folder_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "batch-0.json")
    with pytest.raises(SaereportError, match="not a file that can be read"):
        import_files([tmp_path], tmp_path / "run")


SMALL = Limits(
    file_bytes=1000, text_bytes=3 * MIB, ratio=20, free_bytes=MIB, line_bytes=100, values=50
)


def test_sizes_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x" * 1001)
    with pytest.raises(SaereportError, match=r"x is larger than 1,000 bytes"):
        content(path, SMALL)
    path.write_bytes(gzip.compress(b"\n" * 500_000))
    assert len(content(path, SMALL)) == 500_000
    path.write_bytes(gzip.compress(b" " * 900_000) * 2)
    assert path.stat().st_size > 1000
    with pytest.raises(SaereportError, match="larger than"):
        content(path, SMALL)
    wide = Limits(file_bytes=MIB, text_bytes=3 * MIB, ratio=20, free_bytes=MIB)
    path.write_bytes(gzip.compress(b" " * (2 * MIB)))
    with pytest.raises(SaereportError, match="grows more than 20 times"):
        content(path, wide)
    path.write_bytes(gzip.compress(b" " * 900_000) * 4)
    loose = Limits(file_bytes=MIB, text_bytes=3 * MIB, ratio=2000)
    with pytest.raises(SaereportError, match="holds more than 3 MiB"):
        content(path, loose)
    path.write_bytes(b"a\n" + b"b" * 101)
    with pytest.raises(SaereportError, match=r"x:2: the line is longer"):
        list(lines(path, SMALL))
    path.write_bytes(gzip.compress(b"abc")[:-9])
    with pytest.raises(SaereportError, match="cannot be read"):
        content(path, SMALL)


def test_a_bomb_of_a_gigabyte_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    block = gzip.compress((b" " * 1023 + b"\n") * (32 * 1024))
    (tmp_path / "features" / "batch-0.jsonl.gz").write_bytes(block * 32)
    with pytest.raises(SaereportError, match=r"batch-0.jsonl.gz grows more than 250 times"):
        import_files([tmp_path], tmp_path / "run")


def test_no_list_of_errors_is_collected() -> None:
    """Each wrong value would take some hundred bytes more than in the file."""
    wrong = json.dumps(batch(*[{"feature_index": "x"}] * 1000))
    with pytest.raises(ValidationError) as error:
        Batch.model_validate_json(wrong)
    assert error.value.error_count() == 1


@pytest.mark.parametrize(
    ("written", "ok"),
    [
        (b'{"a": "' + b"[" * 60 + b'"}', True),
        (b'{"a": "\\"' + b"[" * 60 + b'"}', True),
        (b'{"a": "\\\\' + b'", "b": ' + b"[" * 60, False),
        (b'{"a": "' + b"x" * (MIB - 8) + b'\\"' + b"[" * 60 + b'"}', True),
        (b'{"a": "' + b"," * 60 + b'"}', True),
        (b"[" + b"1," * 60 + b"1]", False),
        (b"[" * 32 + b"]" * 32, True),
        (b"[" * 33 + b"]" * 33, False),
        (b"[]" * 40, True),
    ],
)
def test_depth_and_values_are_counted_outside_of_strings(written: bytes, ok: bool) -> None:
    if ok:
        check_shape(written, "x", SMALL)
    else:
        with pytest.raises(SaereportError, match=r"x: (nested|holds) more than"):
            check_shape(written, "x", SMALL)


def hostile_batch() -> dict[str, Any]:
    odd = [data.decode("utf-8", errors="replace") for data in HOSTILE]
    example = feature()["activations"][0]
    shown = {**example, "tokens": odd, "values": [1.5] * len(odd), "qualifying_token_index": 0}
    return batch(
        feature(
            0,
            pos_str=odd,
            pos_values=[1.0] * len(odd),
            neg_str=odd,
            neg_values=[-1.0] * len(odd),
            dataset=odd[0],
            activations=[shown, {**shown, "bin_min": 0, "bin_max": 1}],
        ),
        model_id=odd[1],
        sae_set=odd[2] + "/../../" + odd[4],
        sae_id_suffix=odd[3],
    )


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    odd = hostile_batch()
    samples.write_batch(tmp_path / "in", odd)
    (tmp_path / "in" / "run_settings.json").write_text(
        json.dumps({odd["model_id"]: odd["sae_set"]})
    )
    import_files([tmp_path / "in"], tmp_path / "run")
    render(tmp_path / "run", tmp_path / "report")
    plain = batch(feature(0, pos_str=["a"], pos_values=[1.0]), model_id="m")
    samples.write_batch(tmp_path / "plain", plain)
    import_files([tmp_path / "plain"], tmp_path / "plainrun")
    render(tmp_path / "plainrun", tmp_path / "plainreport")
    allowed = elements(tmp_path / "plainreport") | {("p", ()), ("b", ())}
    found = elements(tmp_path / "report")
    assert not {one for one in found if one[0] in ("script", "img", "svg", "iframe")} - allowed
    assert not {name for _, names in found for name in names if name.startswith("on")}
    for path in (tmp_path / "report").rglob("*.js"):
        if "assets" not in path.parts:
            assert "<" not in path.read_text("utf-8"), path.name
    pages = [path.read_text("utf-8") for path in (tmp_path / "report").rglob("*.html")]
    assert any("&lt;script&gt;self.stolen=1" in page for page in pages)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in",
        "plain",
        "plainreport",
        "plainrun",
        "report",
        "run",
    ]


def elements(report: Path) -> set[tuple[str, tuple[str, ...]]]:
    """Every kind of element with the names of its attributes, on all pages."""
    found = set()
    for path in report.rglob("*.html"):
        soup = BeautifulSoup(path.read_text("utf-8"), "html.parser")
        found |= {(tag.name, tuple(sorted(tag.attrs))) for tag in soup.find_all(True)}
    return found


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "run", Shape(n_saes=2, d_sae=20, n_chosen=4, n_sequences=20))
    out = tmp_path / "out"
    options = ["--format", "neuronpedia", "--out", str(out)]
    assert command(["--quiet", "export", str(tmp_path / "run"), *options]) == 0
    (first, *_) = sorted(path for path in out.iterdir() if path.is_dir())
    assert command(["--quiet", "import", str(first), "--out", str(tmp_path / "report")]) == 0
    assert (tmp_path / "report" / "index.html").is_file()
    assert (tmp_path / "report" / "run" / "run.json").is_file()
    assert command(["export", str(tmp_path / "run"), *options, "--sae", "synthetic-l3"]) == 1
    assert "Did you mean 'synthetic-l3-residual'" in capsys.readouterr().err
    assert command(["export", str(tmp_path / "run"), "--format", "x", "--out", str(out)]) == 2
    assert command(["import", str(tmp_path / "gone"), "--out", str(tmp_path / "report")]) == 1


def test_a_folder_of_folders_is_read_one_level_deep_and_no_link(tmp_path: Path) -> None:
    for folder in ("all/a", "all/deep/er", "far/too/deep", "outside"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "batch-0.json").write_text("{}")
    (tmp_path / "all" / "link").symlink_to(tmp_path / "outside")
    found = find([tmp_path / "all"])
    assert [one.path for one in found] == [tmp_path / "all" / "a" / "batch-0.json"]
    with pytest.raises(SaereportError, match="none of the files"):
        find([tmp_path / "far"])
