"""Whatever is typed or written into a configuration: it is read, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saereport.cli import main as cli
from saereport.config.build import (
    BuildConfig,
    SaeConfig,
    make_config,
    read_config,
)
from saereport.config.circuits import CircuitsConfig, PromptConfig
from saereport.pipeline import preflight as door
from saereport.util.errors import SaereportError
from tests.pipeline.test_preflight import sae

ANY_TEXT = st.text(st.characters(blacklist_characters="\0"), max_size=8)
ODD = st.sampled_from(
    [
        *(
            "",
            " ",
            "0",
            "-1",
            "1 2",
            "1,000",
            "4k",
            "all",
            "random:5",
            "demo",
            "early",
            "@",
            "auto",
        ),
        *("\udcff", "\ud800", "~", "..", ".", "/", "x" * 300, "9" * 5000, "=>", "a => b", "nan"),
        *("\u202e", "\x1b[2J", "1e999", "[", "{", "!!int x", "&a", "*a", "2024-13-45", "e:f:g"),
    ]
)
WORDS = ODD | ANY_TEXT
OPTIONS = [
    *("--title", "--model", "--latents", "--dataset", "--dataset-split", "--text-column"),
    *("--tokens", "--context-size", "--evaluate", "--device", "--dtype", "--batch-size"),
    *("--seed", "--skip", "--map", "--explanations", "--prompt", "--prompt-tokens", "--blind"),
    *("--repeat-random", "--prompts-file", "--top-logits", "--release", "--sae-id", "--sae-path"),
]
FLAGS = ["--graph", "--include-bos", "--with-reveal", "--quiet", "--single-file", "--nonsense"]


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sae(tmp_path_factory.mktemp("strangers") / "early")


@pytest.fixture(scope="module", autouse=True)
def _only_the_door(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What comes after the door needs torch, and has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(cli, "_build_or_plan", lambda asked, *_: door.check_everything(asked))
        yield


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(st.tuples(st.sampled_from(OPTIONS), WORDS), max_size=4),
    st.lists(st.sampled_from(FLAGS), max_size=2),
)
def test_any_command_line_gives_one_line(
    early: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[tuple[str, str]],
    flags: list[str],
) -> None:
    code = cli.run(
        ["build", f"--sae-path={early}", *(f"{name}={value}" for name, value in options), *flags]
    )
    err = capsys.readouterr().err
    assert code in (0, 1, 2)
    assert "does not know" not in err, err
    assert (code == 0) == (err.strip() == ""), err
    assert err.count("\n") <= 1
    assert len(err) < 900, err


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted(
    {n for m in (BuildConfig, SaeConfig, PromptConfig, CircuitsConfig) for n in m.model_fields}
)
CONFIGS = st.dictionaries(
    st.sampled_from(NAMES) | WORDS, VALUES, max_size=4
) | st.fixed_dictionaries(
    {"saes": st.just([{"path": "x"}])},
    optional={name: VALUES for name in BuildConfig.model_fields if name != "saes"},
)


@settings(max_examples=150, deadline=None)
@given(CONFIGS)
def test_any_settings_are_read_or_refused(values: dict[str, Any]) -> None:
    refused = ""
    try:
        door.check_settings(make_config(values))
    except SaereportError as error:
        refused = str(error)
    assert len(refused) < 600


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=40)
    | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | CONFIGS.map(lambda values: yaml.safe_dump(values).encode("utf-8", "surrogatepass"))
    | CONFIGS.map(lambda values: json.dumps(values).encode())
    | st.text("[]{}:,-?&*!|>'\"%@ \n\t#ab1", max_size=30).map(str.encode)
)
def test_any_file_is_a_configuration_or_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(content)
    refused = ""
    try:
        make_config(read_config(file))
    except SaereportError as error:
        refused = str(error)
    assert len(refused.replace(str(file), "")) < 600
