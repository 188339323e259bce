import errno
from pathlib import Path

import click
import pyarrow as pa
import pytest

from saereport.cli import main as cli
from saereport.util.errors import GateError, SaereportError


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["biuld"], 2, "Did you mean 'build'"),
        (["build", "--tokns", "5"], 2, "--tokens"),
        (["build"], 2, "No SAE is named"),
        (["build", "--release", "r"], 1, "SAELens knows no release 'r'"),
        (["build", "--sae-id", "i"], 2, "--release was given 0 times"),
        (["build", "--sae-path", "x", "--latents", "3-1"], 2, "runs backwards"),
        (["build", "--sae-path", "x", "--batch-size", "few"], 2, "'auto' or a whole number"),
        (["build", "--sae-path", "x", "--device", "gpu"], 2, "it is auto, cpu, mps, cuda"),
        (["build", "--sae-path", "x", "--out", "."], 1, "folder you are in"),
        (["build", "nothing.yaml"], 1, "no configuration file"),
        (["build", "--sae-path", "x", "--prompt-tokens", "1,a"], 2, "not a list of token ids"),
        (["build", "--sae-path", "x", "--prompt-tokens", ""], 2, "not a list of token ids"),
        (["build", "--sae-path", "x", "--repeat-random", "0"], 2, "prompts.0.repeat_random"),
        (["build", "--sae-path", "x", "--repeat-random", "ten"], 2, "--repeat-random"),
        (["build", "--sae-path", "x", "--top-logits", "0"], 2, "circuits.top_logits"),
        (["build", "--sae-path", "x", "--prompts-file", "no.txt"], 1, "no prompts file 'no.txt'"),
        (["build", "--sae-path", "x", "--graph"], 2, "--graph makes an attribution graph"),
        (["build", "--sae-path", "x", "--repeat-random", "5", "--graph"], 2, "there is none"),
        (["build", "--sae-path", "x", "--with-reveal"], 2, "Name some with --blind"),
        (["build", "--sae-path", "x", "--skip", "coactivaton"], 2, "Did you mean 'coactivation'"),
        (["build", "--sae-path", "x", "--context-size", "4k"], 2, "can mean 4,000 or 4,096"),
        (["build", "--sae-path", "x", "--tokens", "1 2"], 2, "not a whole number"),
        (["info", "nowhere"], 1, "no run or report 'nowhere'"),
        (["render", "nowhere"], 1, "no run or report 'nowhere'"),
    ],
)
def test_errors_are_one_line_with_a_code(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    given, out, err = run(capsys, *arguments)
    assert given == code
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("saereport: ")
    assert message in err


def came_of(error: Exception, cause: Exception) -> Exception:
    """An error raised from another one."""
    error.__cause__ = cause
    return error


class Silent(Exception):
    """An error that cannot even be said."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (SaereportError("It is broken.", "Mend it."), 1, "It is broken. Mend it."),
        (GateError("Too few."), 3, "Too few."),
        (KeyboardInterrupt(), 130, "goes on where it was"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 1, "Permission denied: '/x'"),
        (ModuleNotFoundError("no", name="torch"), 1, "pip install 'saereport[collect]'"),
        (ImportError("cannot import name 'x' from 'transformers'", name="transformers"), 1, "fit"),
        (ModuleNotFoundError("no", name="transformers.models.x"), 1, "does not fit"),
        (ImportError("DLL load failed"), 1, "DLL load failed"),
        (MemoryError(), 1, "Memory ran out"),
        (pa.ArrowMemoryError("malloc of size 9 failed"), 1, "Memory ran out"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            1,
            "Memory ran",
        ),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 1, "Memory ran out"),
        (came_of(SaereportError("The SAE may be damaged."), MemoryError()), 1, "Memory ran out"),
        (came_of(SaereportError("No memory for it.", "Give less."), MemoryError()), 1, "Give less"),
        (ImportError("libx.so: cannot map: Cannot allocate memory", name="x"), 1, "Memory ran out"),
        (KeyError("activty"), 1, "KeyError: 'activty'"),
        (RecursionError("maximum recursion depth exceeded"), 1, "Please report it"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), 1, "report it"),
        (ValueError("long \n\x1b[2J" * 900), 1, "Please report it"),
        (Silent(), 1, "Silent"),
    ],
)
def test_every_kind_of_failure_has_its_line_and_code(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    message: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("saereport.run.opened", fail)
    given, _, err = run(capsys, "info", "x")
    assert (given, err.strip().count("\n")) == (code, 0)
    assert message in err
    assert len(err) < 450
    assert "\x1b" not in err
    shown = click.Abort if isinstance(error, KeyboardInterrupt) else type(error)
    with pytest.raises(shown):
        cli.run(["info", "x", "--debug"])
    capsys.readouterr()


@pytest.mark.parametrize("writable", [True, False])
def test_the_last_net_keeps_the_traceback_in_a_file(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    writable: bool,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("half \ud800")

    monkeypatch.setattr("saereport.run.opened", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path if writable else tmp_path / "none"))
    code, _, err = run(capsys, "info", "my-private-report")
    assert code == 1
    files = list(tmp_path.iterdir())
    if not writable:
        assert not files
        assert "with --debug the traceback is shown" in err
        return
    assert f"'{files[0]}'" in err
    text = files[0].read_text(encoding="utf-8")
    assert "Traceback (most recent call last)" in text
    assert "in fail" in text
    assert "command 'info'" in text
    assert "my-private-report" not in text


def test_debug_changes_no_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise GateError("1 of 1 gates failed.")

    monkeypatch.setattr("saereport.run.opened", fail)
    with pytest.raises(SystemExit) as left:
        cli.main(["info", "x", "--debug"])
    assert left.value.code == 3
    assert "Traceback" in capsys.readouterr().err


def test_the_command_line_goes_before_the_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []
    monkeypatch.setattr("saereport.pipeline.preflight.check_everything", lambda _: None)
    monkeypatch.setattr(
        "saereport.pipeline.build.build", lambda config, out, **_: asked.append((config, out))
    )
    file = tmp_path / "report.yaml"
    file.write_text("tokens: 5\nseed: 3\nsaes: [{path: x, latents: 0-2}, {path: y}]\n")
    code, _, err = run(
        capsys, "build", str(file), "--latents", "7-8", "--tokens", "9", "--quiet", "--out", "o"
    )
    assert code == 0, err
    config, out = asked[0]
    assert [sae.latents or config.latents for sae in config.saes] == ["7-8", "7-8"]
    assert (config.tokens, config.seed, out) == (9, 3, Path("o"))
    run(capsys, "build", str(file), "--sae-path", "z", "--batch-size", "12")
    config, _ = asked[1]
    assert [str(sae.path) for sae in config.saes] == ["z"]
    assert config.batch_size == 12
    assert [sae.latents for sae in config.saes] == [None]


def test_the_help_of_build_shows_its_example_as_it_is_typed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = run(capsys, "build", "--help")
    assert "blocks.8.hook_resid_pre \\\n" in out
    assert "\b" not in out
    assert "\\b" not in out


def test_init_writes_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "report.yaml"
    assert run(capsys, "init", str(path))[0] == 0
    before = path.read_text()
    code, _, err = run(capsys, "init", str(path))
    assert code == 1
    assert "--force" in err
    path.write_text("")
    assert run(capsys, "init", str(path), "--force")[0] == 0
    assert path.read_text() == before


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert "saereport, version" in run(capsys, "--version")[1]
    for command in ("build", "collect", "render", "info", "init", "demo"):
        code, out, _ = run(capsys, command, "--help")
        assert code == 0
        assert out.startswith("Usage: saereport " + command)


def test_options_about_prompts_become_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []
    monkeypatch.setattr("saereport.pipeline.preflight.check_everything", lambda _: None)
    monkeypatch.setattr(
        "saereport.pipeline.build.collect", lambda config, *_, **__: asked.append(config)
    )
    code, _, err = run(
        capsys,
        *("collect", "--sae-path", "x", "--prompt", "in the city of => Paris"),
        *("--prompt-tokens", "1, 504,414", "--repeat-random", "10", "--repeat-random", "5"),
        *("--prompts-file", "p.txt", "--include-bos", "--top-logits", "7", "--graph"),
        *("--blind", "x:3", "--blind", "4", "--with-reveal"),
    )
    assert code == 0, err
    config = asked[0]
    assert [p.text for p in config.prompts] == ["in the city of => Paris", None, None, None]
    assert config.prompts[1].tokens == (1, 504, 414)
    assert [p.repeat_random for p in config.prompts] == [None, None, 10, 5]
    assert [p.graph for p in config.prompts] == [True, True, False, False]
    assert config.prompts_file == Path("p.txt")
    assert (config.circuits.include_bos, config.circuits.top_logits) == (True, 7)
    assert config.circuits.pairs_kept == 2000
    assert (config.blind, config.with_reveal) == (("x:3", "4"), True)


def test_prompts_of_the_command_line_take_the_place_of_the_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []
    monkeypatch.setattr("saereport.pipeline.preflight.check_everything", lambda _: None)
    monkeypatch.setattr(
        "saereport.pipeline.build.collect", lambda config, *_, **__: asked.append(config)
    )
    file = tmp_path / "report.yaml"
    file.write_text(
        "saes: [{path: x}]\nblind: ['1']\nprompts:\n  - text: of the file\n"
        "  - repeat_random: 4\ncircuits: {checks: 3, top_logits: 9}\n"
    )
    run(capsys, "collect", str(file), "--graph", "--top-logits", "2")
    run(capsys, "collect", str(file), "--prompt", "of the line", "--blind", "2")
    first, second = asked
    assert [(p.text, p.graph) for p in first.prompts] == [("of the file", True), (None, False)]
    assert (first.circuits.checks, first.circuits.top_logits) == (3, 2)
    assert not first.circuits.include_bos
    assert [(p.text, p.graph) for p in second.prompts] == [("of the line", False)]
    assert (second.blind, second.circuits.top_logits) == (("2",), 9)


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", ""),
        ("render", "run", "--out", ""),
        ("labels", "report", "--explanations", ""),
        ("labels", "report", "--out", ""),
        ("diff", "one", "two", "--json", ""),
        ("publish-check", ""),
        ("index", "", "--out", "x"),
        ("import", "", "--out", "x"),
        ("init", ""),
    ],
)
def test_an_empty_path_is_no_folder(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a shell variable that is not set, and would be the working directory."""
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "it names nothing" in err
