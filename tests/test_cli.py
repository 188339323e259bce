import errno
from pathlib import Path

import click
import pytest

from saereport import cli
from saereport.errors import GateError, SaereportError


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
        (["build", "--release", "r"], 2, "--sae-id 0 times"),
        (["build", "--sae-path", "x", "--latents", "3-1"], 2, "runs backwards"),
        (["build", "--sae-path", "x", "--batch-size", "few"], 2, "'auto' or a whole number"),
        (["build", "--sae-path", "x", "--device", "gpu"], 2, "it is auto, cpu, mps, cuda"),
        (["build", "--sae-path", "x", "--out", "."], 1, "folder you are in"),
        (["build", "nothing.yaml"], 1, "no configuration file"),
        (["info", "nowhere"], 1, "no run at 'nowhere'"),
        (["render", "nowhere"], 1, "no run at 'nowhere'"),
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


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (SaereportError("It is broken.", "Mend it."), 1, "It is broken. Mend it."),
        (GateError("Too few."), 3, "Too few."),
        (KeyboardInterrupt(), 130, "goes on from where it was"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 1, "Permission denied: '/x'"),
        (ModuleNotFoundError("no", name="torch"), 1, "pip install 'saereport[collect]'"),
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

    monkeypatch.setattr("saereport.run.open_run", fail)
    given, _, err = run(capsys, "info", "x")
    assert (given, err.strip().count("\n")) == (code, 0)
    assert message in err
    shown = click.Abort if isinstance(error, KeyboardInterrupt) else type(error)
    with pytest.raises(shown):
        cli.run(["info", "x", "--debug"])
    capsys.readouterr()


def test_the_command_line_goes_before_the_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []
    monkeypatch.setattr(
        "saereport.collection.build", lambda config, out, **_: asked.append((config, out))
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
