"""A run inside one file: what goes in comes out, and nothing else ever does."""

import base64
import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saereport.run import Run, bundle, open_run
from saereport.util.errors import SaereportError
from tests.synthetic import Shape, write_run

SHAPE = Shape(d_sae=32, n_chosen=4, n_sequences=12, n_vocabulary=400, n_saes=2, n_top=2)
CLOSING = "\n</script>\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("bundle") / "run"
    write_run(folder, SHAPE)
    return open_run(folder)


def page(path: Path, text: str, before: str = "<!doctype html><p>") -> Path:
    """A file with some base64 between the lines that a run stands between."""
    path.write_text(f"{before}\n{bundle.BEGIN}\n{text}\n{bundle.END}{CLOSING}")
    return path


def inside(run: Run) -> str:
    """The base64 of a run without the lines around it."""
    first, *lines, last = bundle.bundle(run).splitlines()
    assert (first, last) == (bundle.BEGIN, bundle.END)
    return "\n".join(lines)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def entries(text: str) -> dict[str, bytes]:
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(text)))
    return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def zipped(content: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, data in content:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return base64.b64encode(packed.getvalue()).decode()


@pytest.mark.parametrize(
    "before",
    ["", "x" * (bundle._PIECE - 20), "y" * (3 * bundle._PIECE), f"{bundle.BEGIN}\nAAAA\n<p>"],
)
def test_what_goes_in_comes_out(run: Run, tmp_path: Path, before: str) -> None:
    path = page(tmp_path / "report.html", inside(run), before)
    with bundle.unbundled(path) as found:
        assert files(found.path) == files(run.path)
        found.verify()
        folder = found.path
    assert not folder.exists()


def test_it_is_a_zip_that_any_tool_opens_and_the_same_each_time(run: Run) -> None:
    text = inside(run)
    assert inside(open_run(run.path)) == text
    assert max(map(len, text.splitlines())) == bundle.LINE
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(text)))
    assert archive.testzip() is None
    assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert entries(text) == files(run.path)


def test_folders_and_files_open_alike(run: Run, tmp_path: Path) -> None:
    path = page(tmp_path / "report.html", inside(run))
    with bundle.opened_run(path) as found, bundle.opened_run(run.path) as folder:
        assert found.info == folder.info


def test_what_is_not_such_a_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain.html"
    plain.write_text("<p>Hello")
    for path, message in ((plain, "holds no run"), (tmp_path / "none.html", "There is no file")):
        with pytest.raises(SaereportError, match=message), bundle.unbundled(path):
            pytest.fail("it was opened")


def tampered(run: Run, case: str) -> str:
    content = entries(inside(run))
    listed = list(content.items())
    first = listed[1][0]
    if case == "compressed":
        return zipped(listed, zipfile.ZIP_DEFLATED)
    if case == "outside":
        return zipped([listed[0], ("../outside.parquet", listed[1][1]), *listed[2:]])
    if case == "absolute":
        return zipped([("/run.json", listed[0][1]), *listed[1:]])
    if case == "more":
        return zipped([*listed, ("zz.parquet", b"more")])
    if case == "less":
        return zipped(listed[:-1])
    if case == "changed":
        return zipped([listed[0], (first, listed[1][1][:-1] + b"!"), *listed[2:]])
    if case == "not base64":
        return inside(run)[:-10] + "!!!!"
    if case == "cut":
        return inside(run)[: bundle.LINE]
    info = json.loads(content["run.json"])
    if case == "claims another file":
        info["files"][0]["path"] = "../../outside.parquet"
    elif case == "claims too much":
        info["files"][0]["bytes"] = 2**40
    elif case == "claims less than nothing":
        info["files"][0]["bytes"] = -1
    else:
        info["files"].append(info["files"][0])
    return zipped([("run.json", json.dumps(info).encode()), *listed[1:]])


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("compressed", "not stored plainly"),
        ("outside", "something else"),
        ("absolute", "something else"),
        ("more", "does not list"),
        ("less", "something else"),
        ("changed", "SHA-256"),
        ("not base64", "not base64"),
        ("cut", "too early"),
        ("claims another file", "unknown file"),
        ("claims too much", "larger than"),
        ("claims less than nothing", "greater than or equal to 0"),
        ("claims a file twice", "lists a file twice"),
    ],
)
def test_tampered_files_are_refused_in_one_line(
    run: Run, tmp_path: Path, case: str, message: str
) -> None:
    path = page(tmp_path / "report.html", tampered(run, case))
    with pytest.raises(SaereportError, match=message) as caught, bundle.unbundled(path):
        pytest.fail("it was opened")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_is_too_large_is_not_packed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "TOTAL_LIMIT", 100)
    with pytest.raises(SaereportError, match="fit into one file"):
        bundle.bundle(run)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_mutated_bytes_give_the_run_or_one_kind_of_error(
    run: Run, tmp_path: Path, data: st.DataObject
) -> None:
    raw = bytearray(base64.b64decode(inside(run)))
    where = st.integers(0, len(raw) - 1) | st.integers(0, 4000)
    for _ in range(data.draw(st.integers(1, 4))):
        at, kind = data.draw(where), data.draw(st.sampled_from("scd"))
        piece = data.draw(st.binary(max_size=6))
        raw[at : at + (len(piece) if kind == "s" else 20 if kind == "c" else 0)] = piece
    _opens_or_refuses(page(tmp_path / "m.html", base64.b64encode(raw).decode()), run)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.binary(max_size=400))
def test_random_bytes_give_one_kind_of_error(run: Run, tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "r.html"
    for content in (text, bundle.BEGIN.encode() + text, _packed(text)):
        path.write_bytes(content)
        _opens_or_refuses(path, run)


def _packed(text: bytes) -> bytes:
    return bundle.BEGIN.encode() + base64.b64encode(text)


def _opens_or_refuses(path: Path, run: Run) -> None:
    """Only a mutation that does not reach the files, or `run.json`'s free texts, may pass."""
    try:
        with bundle.unbundled(path) as opened:
            expected = files(run.path)
            found = files(opened.path)
            expected.pop("run.json")
            found.pop("run.json")
            assert found == expected
    except SaereportError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said
