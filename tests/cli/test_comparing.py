"""`saereport diff` and `saereport check` on synthetic runs, as a user or a CI job calls them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from saereport.cli import comparing
from saereport.cli import main as cli
from saereport.diff.document import schema_json
from tests.diff.edited import edited, times, without
from tests.synthetic import Shape, write_run

SLUG = "synthetic-l3-residual"
LATENT = 113
SHAPE = Shape(n_chosen=16, n_sequences=60, hostile=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: `old`, `changed` in one latent's maximum, and `less` without a latent."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "old", SHAPE)
    edited(folder / "old", folder / "changed", {("activity", SLUG): times("max", LATENT, 3)})
    lists = ("activity", "activation_histogram", "logit_lens", "geometry", "decoder_directions")
    edited(folder / "old", folder / "less", {(name, SLUG): without(LATENT) for name in lists})
    return folder


@pytest.fixture
def inside(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder from which the runs are `old`, `changed` and `less`."""
    for run in runs.iterdir():
        (tmp_path / run.name).symlink_to(run, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saereport(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run([*arguments, "--quiet"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_one_changed_latent_fails_the_gate_and_the_comment_names_it(inside: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "saereport", "diff", "old", "changed"),
            *("--fail-on", "latents.changed > 0", "--markdown", "out/comment.md"),
        ],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 3
    comment = (inside / "out" / "comment.md").read_text(encoding="utf-8")
    assert f"`{SLUG}/{LATENT}`" in comment
    assert "- **failed** `latents.changed > 0`" in comment
    assert "Maximum 8.649 → 25.95" in comment
    assert len(comment) < 4000
    assert done.stdout.startswith(b"1 of 16 latents changed.\n")
    assert done.stderr.decode().splitlines()[-1] == (
        "saereport: 1 of 1 gates failed: latents.changed > 0."
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["old", "old"], 0),
        (["old", "changed"], 0),
        (["old", "changed", "--fail-on", "latents.removed > 0"], 0),
        (["old", "changed", "--warn-on", "latents.changed > 0"], 0),
        (["old", "changed", "--fail-on", "latents.changed > 0"], 3),
        (["old", "changed", "--fail-on", "latents.changed > 0", "--tolerance", "max=0.9"], 0),
        (["old", "less", "--fail-on", "latents.removed > 0"], 3),
        (["less", "old", "--fail-on", "latents.removed > 0"], 0),
        (["less", "old", "--fail-on", "latents.added > 0"], 3),
        (["old", "old", "--fail-on", "graph.replacement < 0.5"], 3),
        (["old", "old", "--fail-on", "saes.added >"], 2),
        (["old", "old", "--gates", "none.yaml"], 1),
        (["old", "nowhere"], 1),
        (["old"], 2),
        (["old", "old", "--tolerance", "max"], 2),
        (["old", "old", "--tolerance", "max=much"], 2),
        (["old", "old", "--tolerance", "max=-1"], 2),
        (["old", "old", "--tolerance", "mx=1"], 2),
        (["old", "old", "--sae", "a"], 2),
        (["old", "old", "--sae", "a=b"], 2),
        (["old", "old", "--sae", f"{SLUG}={SLUG}"], 0),
        (["old", "old", "--match", "luck"], 2),
        (["old", "old", "--json", "old"], 1),
        (["old", "old", "--json", "x", "--junit", "./x"], 2),
        (["old", "old", "--json", "-", "--junit", "-"], 2),
        (["old", "old", "--json", "old/run.json"], 2),
        (["old", "old", "--markdown", "old/run.json/x"], 1),
    ],
)
def test_exit_codes(
    capsys: pytest.CaptureFixture[str], inside: Path, arguments: list[str], code: int
) -> None:
    before = (inside / "old" / "run.json").read_bytes()
    given, _, err = saereport(capsys, "diff", *arguments)
    assert given == code, err
    assert err.count("\n") == (0 if code == 0 else 1)
    assert (inside / "old" / "run.json").read_bytes() == before


def test_every_file_is_written_though_a_gate_fails(
    capsys: pytest.CaptureFixture[str], inside: Path
) -> None:
    (inside / "gates.yaml").write_text(
        "tolerances: {density: 0.2}\n"
        "gates:\n- when: latents.changed > 0\n  message: Look at it\n- saes.removed > 0\n"
    )
    code, out, err = saereport(
        capsys,
        *("diff", "old", "changed", "--gates", "gates.yaml", "--warn-on", "max > 1"),
        *("--json", "out/d.json", "--junit", "out/d.xml", "--markdown", "out/d.md"),
        *("--html", "out/d.html"),
    )
    assert code == 3
    assert "latents.changed > 0" in err
    assert "Look at it" in out
    made = json.loads((inside / "out" / "d.json").read_text(encoding="utf-8"))
    jsonschema.validate(made, json.loads(schema_json()))
    assert [gate["state"] for gate in made["gates"]] == ["failed", "passed", "failed"]
    assert [one["after"] for one in made["saes"][0]["changed"]] == [LATENT]
    suite = ElementTree.parse(inside / "out" / "d.xml").getroot()[0]
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("3", "1")
    assert sorted(path.name for path in (inside / "out").iterdir()) == [
        *("d.html", "d.json", "d.md", "d.xml")
    ]
    assert "Look at it" in (inside / "out" / "d.html").read_text(encoding="utf-8")


def test_equal_inputs_give_equal_files(capsys: pytest.CaptureFixture[str], inside: Path) -> None:
    for name in ("one", "two"):
        outputs = (f"--{kind}={name}/d.{kind}" for kind in ("json", "junit", "markdown", "html"))
        saereport(capsys, "diff", "old", "changed", "--fail-on", "max > 1", *outputs)
    for path in (inside / "one").iterdir():
        assert path.read_bytes() == (inside / "two" / path.name).read_bytes()


def test_a_dash_is_standard_output_and_the_summary_steps_aside(
    capsys: pytest.CaptureFixture[str], inside: Path
) -> None:
    for words, kind, said in (
        (["diff", "old", "changed"], "diff", "1 of 16 latents changed."),
        (["check", "old", "--fail-on", "density < 0"], "check", "1 passed"),
    ):
        assert cli.run([*words, "--json", "-"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["kind"] == kind
        assert said in captured.err
        code, out, err = saereport(capsys, *words, "--json", "-")
        assert (code, out, err) == (0, captured.out, "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_written_to_and_stays_one(inside: Path) -> None:
    os.mkfifo(inside / "pipe")
    # Opened without waiting for a writer, so that the test ends though nobody writes.
    reader = os.open(inside / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    words = [sys.executable, "-m", "saereport", "check", "old", "--fail-on", "density < 0"]
    subprocess.run([*words, "--json", "pipe"], check=True, stdout=subprocess.DEVNULL, timeout=60)
    made = json.loads(os.read(reader, 2**16))
    os.close(reader)
    assert made["kind"] == "check"
    assert (inside / "pipe").is_fifo()


def test_the_gates_file_is_not_written_over(
    capsys: pytest.CaptureFixture[str], inside: Path
) -> None:
    gates = inside / "gates.yaml"
    gates.write_text("gates: [density < 0]", encoding="utf-8")
    for words in (("check", "old"), ("diff", "old", "old")):
        given, _, err = saereport(capsys, *words, "--gates", "gates.yaml", "--json", "gates.yaml")
        assert given == 2
        assert "gates.yaml" in err
    assert gates.read_text(encoding="utf-8") == "gates: [density < 0]"


def test_an_older_file_stays_when_the_comparison_fails(
    capsys: pytest.CaptureFixture[str], inside: Path
) -> None:
    (inside / "d.json").write_text("old")
    assert saereport(capsys, "diff", "old", "nowhere", "--json", "d.json")[0] == 1
    assert (inside / "d.json").read_text() == "old"


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = saereport(capsys, "diff", "--schema")
    assert (code, out, err) == (0, schema_json(), "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--fail-on", "l0 < 0"], 0, "passed"),
        (["--fail-on", "density > 0.1"], 3, f"2 of 16 latents: {SLUG}/222 = 0.1466"),
        (["--warn-on", "density > 0.1"], 0, "warning"),
        (["--fail-on", "graph.replacement < 0.1"], 3, "not measured"),
        (["--gates", "shared.yaml"], 0, "skipped"),
        (["--gates", "two.yaml"], 2, "needs two reports"),
        (["--fail-on", "density.jsd > 0.1"], 2, "needs two reports"),
        (["--fail-on", "l0.change > 0.1"], 2, "needs two reports"),
        ([], 2, "no gate to check"),
    ],
)
def test_one_report_alone(
    capsys: pytest.CaptureFixture[str], inside: Path, arguments: list[str], code: int, said: str
) -> None:
    (inside / "shared.yaml").write_text("gates: [density.jsd > 0.1, density > 0.9]")
    (inside / "two.yaml").write_text("gates: [density.jsd > 0.1, saes.added > 0]")
    given, out, err = saereport(capsys, "check", "old", *arguments)
    assert given == code, err
    assert said in out + err


def test_a_check_writes_its_files(capsys: pytest.CaptureFixture[str], inside: Path) -> None:
    code, _, _ = saereport(
        capsys,
        *("check", "old", "--fail-on", "density > 0.1", "--json", "c.json", "--junit", "c.xml"),
    )
    assert code == 3
    made = json.loads((inside / "c.json").read_text(encoding="utf-8"))
    jsonschema.validate(made, json.loads(schema_json()))
    assert made["kind"] == "check"
    assert ElementTree.parse(inside / "c.xml").getroot()[0].attrib["failures"] == "1"


@pytest.mark.parametrize(("value", "coloured"), [("", True), ("1", False)])
def test_no_color_is_heeded(monkeypatch: pytest.MonkeyPatch, value: str, coloured: bool) -> None:
    monkeypatch.setenv("NO_COLOR", value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert ("paint" in comparing._terminal({})) is coloured
