from pathlib import Path

import pytest
import yaml

from saereport.config import (
    BuildConfig,
    CircuitsConfig,
    ExamplesConfig,
    GraphConfig,
    PromptConfig,
    SaeConfig,
    make_config,
    read_config,
)
from saereport.errors import SaereportError, UsageError
from saereport.reports import starting_config

EXAMPLES = Path(__file__).parents[1] / "examples"
SAE = {"release": "r", "sae_id": "i"}


def test_the_starting_config_is_valid_and_says_the_defaults() -> None:
    values = yaml.safe_load(starting_config())
    config = make_config(values).checked()
    plain = BuildConfig()
    said = set(values) - {"saes", "dataset"}
    assert said >= {"latents", "tokens", "device", "dtype", "batch_size", "seed", "examples"}
    for name in said:
        assert getattr(config, name) == getattr(plain, name), name


def test_the_starting_config_mentions_every_setting() -> None:
    text = starting_config()
    models = (BuildConfig, SaeConfig, ExamplesConfig, PromptConfig, CircuitsConfig, GraphConfig)
    for model in models:
        for name in model.model_fields:
            assert f"{name}:" in text, name


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_valid(path: Path) -> None:
    make_config(read_config(path)).checked()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"token": 5}, "'token' in the configuration is not a setting. Did you mean 'tokens'"),
        ({"saes": [{"relese": "x"}]}, "Did you mean 'release'"),
        ({"examples": {"topp": 1}}, "Did you mean 'top'"),
        ({"tokens": 0}, "'tokens'"),
        ({"tokens": "many"}, "'tokens'"),
        ({"device": "gpu"}, "'device'"),
        ({"batch_size": 0}, "batch_size"),
        ({"examples": {"quantiles": [0.9, 0.5]}}, "rise strictly"),
        ({"prompts": [{"txt": "x"}]}, "Did you mean 'text'"),
        ({"circuits": {"checkz": 1}}, "Did you mean 'checks'"),
        ({"circuits": {"graph": {"max_logit": 1}}}, "Did you mean 'max_logits'"),
        ({"circuits": {"top_logits": 0}}, "circuits.top_logits"),
        ({"circuits": {"memory": -5}}, "'circuits.memory' in the configuration cannot be -5"),
        ({"prompts": [{"repeat_random": 0}]}, "prompts.0.repeat_random"),
        ({"prompts": [{"text": "a", "pairs": [["x"]]}]}, "prompts.0.pairs"),
        ({"prompts": [{"text": "half a character \ud800"}]}, "prompts.0.text"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_config(values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "No SAE is named"),
        ({"saes": [{"release": "r"}]}, "both a release and an id"),
        ({"saes": [{**SAE, "path": "x"}]}, "both by path"),
        ({"saes": [SAE], "latents": "some"}, "does not choose latents"),
        ({"saes": [{**SAE, "latents": "9-1"}]}, "runs backwards"),
        ({"saes": [SAE, SAE], "explanations": "x.jsonl"}, "One file of explanations"),
        ({"saes": [SAE], "prompts": [{"name": "n"}]}, "'n' needs one of text, tokens"),
        ({"saes": [SAE], "prompts": [{"text": "a", "tokens": [1]}]}, "and has 2"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is_opened(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        make_config(values).checked()
    assert message in str(caught.value)


def test_numbers_and_lists_in_yaml_choose_latents() -> None:
    config = make_config({"saes": [SAE | {"latents": 7}], "latents": [1, 2, "5-9"]})
    assert config.saes[0].latents == "7"
    assert config.latents == "1,2,5-9"


def test_inputs_are_found_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("words")
    (tmp_path / "sae").mkdir()
    file = tmp_path / "report.yaml"
    file.write_text(
        "dataset: text.txt\nmodel: gpt2\nprompts_file: text.txt\n"
        "saes:\n  - path: sae\n  - path: elsewhere\n"
    )
    values = read_config(file)
    assert values["prompts_file"] == str(tmp_path / "text.txt")
    assert values["dataset"] == str(tmp_path / "text.txt")
    assert values["model"] == "gpt2"
    assert [sae["path"] for sae in values["saes"]] == [str(tmp_path / "sae"), "elsewhere"]


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", "just words", "1: 2"])
def test_yaml_that_is_no_configuration(tmp_path: Path, content: str) -> None:
    file = tmp_path / "report.yaml"
    file.write_text(content)
    with pytest.raises(UsageError, match=r"report\.yaml"):
        read_config(file)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SaereportError, match="saereport init"):
        read_config(tmp_path / "nothing.yaml")


def test_the_examples_of_prompts_in_the_starting_config_are_valid() -> None:
    lines = starting_config().splitlines()
    first = lines.index("# prompts:")
    written = [line.removeprefix("# ") for line in lines[first : lines.index("", first)]]
    config = make_config({"saes": [SAE], **yaml.safe_load("\n".join(written))}).checked()
    assert [p.repeat_random for p in config.prompts] == [None, None, 20]
    assert config.prompts[0].text == "The Eiffel tower is in the city of => Paris"
    assert config.prompts[0].pairs == (("early-sae", "late-sae"),)
    assert config.prompts[1].tokens == (1, 504, 414)
