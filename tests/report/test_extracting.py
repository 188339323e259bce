"""`saereport extract`, and `--single-file` of other commands."""

import json
from pathlib import Path
from typing import Any

import pytest

from saereport.cli import main as cli
from saereport.report.extracting import extract
from saereport.run import open_run
from saereport.run.bundle import opened_run
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts as circuits

SHAPE = Shape(d_sae=32, n_chosen=6, n_sequences=20, n_vocabulary=500, n_saes=2, n_top=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extracting") / "run"
    write_run(folder, SHAPE, circuits)
    return folder


def call(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    code = cli.run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_few_latents_for_an_email(
    capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path
) -> None:
    first, second = (sae.slug for sae in open_run(run).info.saes)
    shown = open_run(run).latents(first)
    out = tmp_path / "for you.html"
    asked = ["--latents", f"{first}:{shown[0]},{shown[3]}-{shown[4]}", "--title", "For you"]
    code, _, err = call(capsys, "extract", run, *asked, "--latents", f"{second}:all", "--out", out)
    assert code == 0, err
    assert str(out) in err
    with opened_run(out) as part:
        assert part.latents(first) == (shown[0], shown[3], shown[4])
        assert part.latents(second) == open_run(run).latents(second)
        assert not part.has("prompts")
        assert part.info.title == "For you"
    code, said, _ = call(capsys, "info", out)
    assert code == 0
    assert said.startswith("For you\n")

    again = tmp_path / "again"
    code, _, err = call(capsys, "extract", out, "--latents", f"{first}:all", "--out", again)
    assert code == 0, err
    assert (again / "index.html").is_file()
    assert [sae.slug for sae in open_run(again).info.saes] == [first]
    code, _, err = call(capsys, "extract", again, "--latents", shown[3], "--out", tmp_path / "one")
    assert code == 0, err
    assert open_run(tmp_path / "one").latents(first) == (shown[3],)


def test_one_circuit(capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path) -> None:
    out = tmp_path / "circuit"
    code, _, err = call(capsys, "extract", run, "--prompt", "prompt-1", "--out", out)
    assert code == 0, err
    part = open_run(out)
    assert part.table("prompts").column("slug").to_pylist() == ["prompt-1"]
    assert any(part.latents(sae.slug) for sae in part.info.saes)
    assert sorted(p.name for p in (out / "circuits").glob("*.html")) == [
        "index.html",
        "prompt-1.html",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Nothing is named"),
        (["--latents", "3"], 2, "'3' names no SAE"),
        (["--latents", "{slug}"], 2, "Write '{slug}:all'"),
        (["--latents", "{slug}:top:3"], 2, "'top:3' is not a choice"),
        (["--latents", "{slug}:3-x"], 2, "3-x"),
        (["--latents", "{slug}x:3"], 1, "Did you mean '{slug}'"),
        (["--latents", "{slug}:31000"], 1, "shows no latent 31000 of '{slug}'. It shows"),
        (["--prompt", "prompt-7"], 1, "Did you mean 'prompt-"),
        (["--latents", "{slug}:all", "--single-file", "--out", "x"], 2, "HTML file"),
    ],
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    run: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    slug = open_run(run).info.saes[0].slug
    arguments = [argument.format(slug=slug) for argument in arguments]
    given, out, err = call(capsys, "extract", run, *arguments)
    assert (given, out, err.count("\n")) == (code, "", 1), err
    assert message.format(slug=slug) in err
    assert list(tmp_path.iterdir()) == []


def test_render_writes_and_reads_single_files(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    run: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = call(capsys, "--quiet", "render", run, "--single-file")
    assert (code, err) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    code, _, err = call(capsys, "render", "report.html", "--out", "folder")
    assert code == 0, err
    assert "folder/index.html" in err
    assert (tmp_path / "folder/run/run.json").read_bytes() == (run / "run.json").read_bytes()


def test_build_hands_on_what_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("saereport.pipeline.preflight.check_everything", lambda config: None)
    monkeypatch.setattr(
        "saereport.pipeline.build.build", lambda config, out, **given: asked.append((out, given))
    )
    for command, folder in (("build", "report"), ("demo", "demo-report")):
        sae = ["--sae-path", "x"] if command == "build" else []
        call(capsys, command, *sae)
        call(capsys, command, *sae, "--single-file", "--force")
        (plain, given), (single, forced) = asked
        assert (plain, single) == (Path(folder), Path(f"{folder}.html"))
        assert (given["single_file"], given["force"]) == (False, False)
        assert (forced["single_file"], forced["force"]) == (True, True)
        asked.clear()


def test_what_is_cut_is_never_written_over(
    capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path
) -> None:
    slug = open_run(run).info.saes[0].slug
    report = tmp_path / "report"
    assert call(capsys, "extract", run, "--latents", f"{slug}:all", "--out", report)[0] == 0
    before = sorted(path for path in report.rglob("*"))
    for source, out in ((report, report), (report / "run", report), (report, report / "in")):
        code, _, err = call(capsys, "extract", source, "--latents", f"{slug}:all", "--out", out)
        assert (code, err.count("\n")) == (2, 1), err
        assert "is not apart from" in err
    assert sorted(path for path in report.rglob("*")) == before


def test_what_is_suggested_shows_what_is_asked_for(
    capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path
) -> None:
    found = open_run(run)
    one, two = (sae.slug for sae in found.info.saes[:2])
    latent = min(set(found.latents(two)) - set(found.latents(one)))
    code, _, err = call(capsys, "extract", run, "--latents", latent, "--out", tmp_path / "x")
    assert code == 2
    assert f"Write '{two}:{latent}'" in err
    assert one not in err
    code, _, err = call(capsys, "extract", run, "--latents", 31000, "--out", tmp_path / "x")
    assert "shows all of it" in err


def test_a_cut_says_what_it_is_and_has_no_empty_saes(run: Path, tmp_path: Path) -> None:
    """An SAE without a latent in the cut is there by name alone, where a kept prompt names it."""
    found = open_run(run)
    slug = found.info.saes[0].slug
    latent = found.latents(slug)[0]
    extract(run, tmp_path / "both", latents=[f"{slug}:{latent}"], prompts=["prompt-0"])
    made = open_run(tmp_path / "both")
    named = [sae.slug for sae in made.info.saes]
    assert len(named) > 1, "the prompt is about several"
    assert [name for name in named if made.names(name)] == [slug]
    folders = {path.name for path in (tmp_path / "both").iterdir() if path.is_dir()}
    assert folders & set(named) == {slug}
    manifest = json.loads((tmp_path / "both" / "report.json").read_text("utf-8"))
    assert manifest["saes"] == [slug]
    titles = {
        made.info.title: "eiffel",
        cut_title(run, tmp_path / "one", latents=[f"{slug}:{latent}"]): str(latent),
        cut_title(run, tmp_path / "all", latents=[f"{slug}:all"]): "latents",
    }
    assert len(titles) == 3
    for title, words in titles.items():
        assert title.endswith(f", from {found.info.title}")
        assert words in title.casefold()
    assert cut_title(run, tmp_path / "own", latents=[f"{slug}:{latent}"], title="Mine") == "Mine"


def cut_title(run: Path, out: Path, **options: Any) -> str:
    extract(run, out, **options)
    return open_run(out).info.title
