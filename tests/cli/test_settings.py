"""The options that are made from the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import click
import pytest
import yaml
from pydantic import PositiveInt

from saereport.cli import main as cli
from saereport.cli.settings import _named_saes, merged, setting_options
from saereport.config.build import BuildConfig, make_config
from saereport.config.paths import NAME_OR_PATH
from saereport.config.section import SECTIONS, Section
from saereport.util.errors import UsageError
from tests.pipeline.conftest import register  # noqa: F401 - a fixture
from tests.pipeline.toys import Toy

SAE = ("--sae-path", "x")
IN_LISTS = {
    *("absorption_test", "bias_test", "circuits", "examples", "geometry", "interventions"),
    *("meta", "meta_saes"),
    *("output_scores", "probing", "prompts", "saes", "steering"),
}
"""Settings that no single option can say."""


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> BuildConfig:
    """What `build` is asked by some arguments."""
    found: list[BuildConfig] = []
    monkeypatch.setattr(cli, "check_output", lambda *_args, **_options: None)
    monkeypatch.setattr(cli, "check_everything", found.append)
    monkeypatch.setattr("saereport.pipeline.build.build", lambda *_args, **_options: None)
    code = cli.run(["--no-plugins", "build", *arguments])
    assert code == 0
    (config,) = found
    return config


def test_every_setting_is_an_option_with_its_description_and_default() -> None:
    options = {option.name: option for option in setting_options()}
    assert {name for name in options if name and "." not in name} == (
        set(BuildConfig.model_fields) - IN_LISTS
    )
    for name, field in BuildConfig.model_fields.items():
        assert field.description, name
    help_ = {name: option.help for name, option in options.items()}
    assert help_["seed"] == "Seed of everything random (0)."
    assert help_["strict"] == "Make an error of what the sanity checks warn of (no)."
    assert (help_["tokens"] or "").endswith("(1,000,000).")
    assert (help_["skip"] or "").endswith("by name; repeatable.")
    kind = options["dtype"].type
    assert isinstance(kind, click.Choice)
    assert list(kind.choices) == ["float32", "float16", "bfloat16"]


def test_options_say_what_the_file_would(monkeypatch: pytest.MonkeyPatch) -> None:
    config = asked(
        monkeypatch,
        *SAE,
        *("--tokens", "10k", "--seed", "3", "--skip", "a,b", "--skip", "c", "--strict"),
        *("--blind", "x:1", "--blind", "x:2", "--include-bos", "--top-logits", "7"),
        *("--no-with-reveal", "--map", "umap", "--batch-size", "16"),
        *("--steer", "x.47", "--steer", "3", "--steer-prompts", "own.txt"),
    )
    assert (config.steer, config.steer_prompts) == (("x.47", "3"), Path("own.txt"))
    assert (config.tokens, config.seed, config.batch_size, config.map) == (10_000, 3, 16, "umap")
    assert config.skip == ("a", "b", "c")
    assert config.blind == ("x:1", "x:2")
    assert config.strict
    assert (config.circuits.include_bos, config.circuits.top_logits) == (True, 7)


def test_the_command_line_goes_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is not said on the command line stays as the file has it, inside sections too."""
    file = tmp_path / "report.yaml"
    values: dict[str, Any] = {
        "saes": [{"path": "x", "latents": "1-3"}],
        "strict": True,
        "seed": 5,
        "circuits": {"top_logits": 3, "checks": 4},
    }
    file.write_text(yaml.safe_dump(values))
    config = asked(monkeypatch, str(file), "--no-strict", "--latents", "7", "--top-logits", "9")
    assert (config.strict, config.seed) == (False, 5)
    assert (config.circuits.top_logits, config.circuits.checks) == (9, 4)
    assert (config.latents, config.saes[0].latents) == ("7", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seed", "x"), "'seed' in the command line cannot be 'x'"),
        (("--tokens", "0"), "'tokens' in the command line"),
        (("--top-logits", "0"), "'circuits.top_logits' in the command line"),
        (("--dtype", "float8"), "--dtype"),
        (("--device", "gpu"), "'device'"),
        (("--tokns", "5"), "--tokens"),
    ],
)
def test_what_means_nothing_is_wrong_usage(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["build", *SAE, *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--evaluate", "nonsense"), "'evaluate' in the command line cannot be 'nonsense'"),
        (("--lens", "nonsense"), "'lens' in the command line cannot be 'nonsense'"),
        (("--top-logits", "0"), "'circuits.top_logits' in the command line cannot be"),
        (("--repeat-random", "0"), "'prompts.0.repeat_random' in the command line cannot be 0"),
        (("--seed", "3"), "'steering.strengths' in '{file}' cannot be 3: it is a list."),
    ],
)
def test_what_an_option_says_is_not_blamed_on_the_file(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.yaml"
    wrong = {"steering": {"strengths": 3}} if "{file}" in message else {}
    file.write_text(yaml.safe_dump({"saes": [{"path": "x"}], "seed": 1, "lens": 5, **wrong}))
    assert cli.run(["build", str(file), *arguments]) == 2
    assert message.format(file=file) in capsys.readouterr().err


def test_a_section_that_is_none_is_refused_with_its_name() -> None:
    given = {
        **dict.fromkeys(("release", "sae_id", "prompt", "prompt_tokens", "repeat_random"), ()),
        "sae_path": ("x",),
        "graph": False,
        "circuits.top_logits": "3",
    }
    with pytest.raises(UsageError, match="'circuits'"):
        merged({"circuits": 5}, given)


def test_settings_of_a_plug_in_are_options(
    register: Callable[[Any], None],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(Toy())
    assert "toy" in SECTIONS
    assert asked(monkeypatch, *SAE, "--toy-size", "5").toy.size == 5  # type: ignore[attr-defined]
    assert asked(monkeypatch, *SAE).toy.size == 2  # type: ignore[attr-defined]


class _Taking(Section):
    """Settings of a stage `text`, of which one would be the option `--text-column`."""

    column: str = ""
    """Of a table."""


class _Bounded(Section):
    """Settings whose types say more than what they are."""

    steps: PositiveInt | None = None
    """How many."""
    start: Annotated[str, NAME_OR_PATH] | None = None
    """Where from."""


def test_a_bounded_setting_of_a_plug_in_is_an_option_too(
    register: Callable[[Any], None],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(type("Bounded", (Toy,), {"name": "bounded", "tables": (), "config": _Bounded})())
    found: Any = asked(monkeypatch, *SAE, "--bounded-steps", "3", "--bounded-start", "demo")
    assert (found.bounded.steps, found.bounded.start) == (3, "demo")


def test_no_option_stands_for_two_settings(
    register: Callable[[Any], None],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    register(type("Taking", (Toy,), {"name": "text", "tables": (), "config": _Taking})())
    assert cli.run(["--no-plugins", "build", *SAE, "--text-column", "body"]) == 1
    said = "The option --text-column would stand for 'text_column' and for 'text.column'"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--sae-path", "--explanations", "--prompts-file"])
def test_an_empty_path_is_not_the_working_directory(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a shell variable that is not set."""
    assert cli.run(["build", *(() if option == "--sae-path" else SAE), option, ""]) == 2
    assert "it names nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--release r --sae-id layer_8..9", [("r", None, "layer_8"), ("r", None, "layer_9")]),
        ("--release r --sae-id l_8..l_9", [("r", None, "l_8"), ("r", None, "l_9")]),
        (
            "--sae-path c --sae-id layer_0..1 --sae-id layer_7",
            [(None, "c", "layer_0"), (None, "c", "layer_1"), (None, "c", "layer_7")],
        ),
        (
            "--sae-path a --sae-id layer_0 --sae-path b --sae-id layer_1",
            [(None, "a", "layer_0"), (None, "b", "layer_1")],
        ),
        ("--release r --sae-id x --sae-path a", [("r", None, "x"), (None, "a", None)]),
        ("--sae-path a --sae-path b", [(None, "a", None), (None, "b", None)]),
    ],
)
def test_ids_stand_for_ranges_and_belong_to_releases_or_folders(
    arguments: str, expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = asked(monkeypatch, *arguments.split())
    named = [(sae.release, sae.path and str(sae.path), sae.sae_id) for sae in config.saes]
    assert named == expected


@pytest.mark.parametrize("given", ["layer_3..1", "layer_0..9999"])
def test_a_range_of_ids_is_one(given: str) -> None:
    with pytest.raises(UsageError, match="is no range of ids"):
        _named_saes(("r",), (given,), ())


def test_as_many_ids_as_folders() -> None:
    with pytest.raises(UsageError, match="--sae-path was given 2 times and --sae-id 3 times"):
        _named_saes((), ("a", "b", "c"), (Path("x"), Path("y")))


def test_only_numbers_are_read_as_numbers() -> None:
    """Not what is called as one of them: token ids of a prompt, a text of a plug-in's."""

    class Named(Section):
        seed: str = ""

    assert Named(seed="10k").seed == "10k"
    with pytest.raises(UsageError, match=r"'prompts.0.tokens' .* cannot be '1,2': it is a list"):
        make_config({"saes": [{"path": "x"}], "prompts": [{"tokens": "1,2"}]})
