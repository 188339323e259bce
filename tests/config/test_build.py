from pathlib import Path

import pytest
import yaml

from saereport.config.build import (
    BuildConfig,
    SaeConfig,
    make_config,
    read_config,
)
from saereport.config.circuits import CircuitsConfig, GraphConfig, PromptConfig
from saereport.config.stages import ExamplesConfig
from saereport.pipeline.preflight import check_settings
from saereport.report.rendering import starting_config
from saereport.util.errors import SaereportError, UsageError

EXAMPLES = Path(__file__).parents[2] / "examples"
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
        ({"tokens": 2**31 - 1}, "'tokens'"),
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
        ({"model": ""}, "'model' in the configuration cannot be '': it names nothing"),
        ({"dataset": " "}, "it names nothing; give a name, or leave it out"),
        ({"saes": [{"path": ""}]}, "'saes.0.path' in the configuration cannot be ''"),
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
        ({"saes": [{"sae_id": "i"}]}, "both a release and an id"),
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
        check_settings(make_config(values))
    assert message in str(caught.value)


def test_an_empty_name_is_not_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("dataset: ''\nsaes:\n- {path: '', explanations: ''}\n")
    values = read_config(tmp_path / "a.yaml")
    assert values == {"dataset": "", "saes": [{"path": "", "explanations": ""}]}


def test_numbers_and_lists_in_yaml_choose_latents() -> None:
    config = make_config({"saes": [SAE | {"latents": 7}], "latents": [1, 2, "5-9"]})
    assert config.saes[0].latents == "7"
    assert config.latents == "1,2,5-9"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, True], "'latents' in the configuration cannot be"),
        ([1, [2, 3]], "neither a latent nor a range"),
        ([1.5], "neither a latent nor a range"),
        ([], "names no latent"),
        ({"a": 1}, "'latents'"),
        (True, "yes or no says nothing here"),
        (1.0, "'latents'"),
    ],
)
def test_lists_that_choose_no_latents(value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_config({"saes": [SAE], "latents": value}).checked()


def test_numbers_are_read_as_people_write_them() -> None:
    config = make_config(
        {
            "saes": [SAE],
            "tokens": "1.5M",
            "evaluate": "4,096",
            "context_size": "1_024",
            "batch_size": "1k",
            "seed": "7",
            "circuits": {"memory": "2GiB"},
            "skip": "coactivation, pullbacks",
            "blind": [47, "r-i:3"],
        }
    )
    assert (config.tokens, config.evaluate, config.context_size) == (1_500_000, 4096, 1024)
    assert (config.batch_size, config.seed, config.circuits.memory) == (1000, 7, 2**31)
    assert config.skip == ("coactivation", "pullbacks")
    assert config.blind == ("47", "r-i:3")


@pytest.mark.parametrize(
    "values",
    [
        {"tokens": True},
        {"seed": False},
        {"context_size": "4k"},
        {"tokens": "1 2 3"},
        {"examples": {"top": True}},
        {"prompts": [{"tokens": [1, True]}]},
        {"circuits": {"graph": {"checks": True}}},
        {"circuits": {"memory": True}},
    ],
)
def test_yes_is_not_one_and_digits_are_not_joined(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        make_config(values)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("latents: 1:30", "1:30"),  # ninety in YAML 1.1
        ("latents: 010", "010"),  # eight
        ("latents: 0x1F", "0x1F"),
        ("latents: 14_057", "14_057"),
        ("latents: [1, 2, 5-9, '7']", [1, 2, "5-9", "7"]),
        ("latents: 2024-13-45", "2024-13-45"),
        ("latents: 1970-01-05", "1970-01-05"),
        ("latents: " + "9" * 5000, "9" * 5000),
        ("latents: 47", 47),
        ("latents: -3", -3),
        ("latents: 1.5", 1.5),
        ("latents: 1e3", "1e3"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_yaml_numbers_are_decimal_and_nothing_is_a_date(
    tmp_path: Path, text: str, read: object
) -> None:
    file = tmp_path / "report.yaml"
    file.write_text(text)
    assert read_config(file) == {"latents": read}


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: " + "[" * 100_000, "too deeply"),
        ("saes: " + "[" * 60 + "]" * 60, "saes"),
        (BOMB + "title: *i", "holds too much"),
        ("title: one\ntitle: two", "line 2: 'title' stands there twice"),
        ("saes: [{path: x, path: y}]", "'path' stands there twice"),
        ('title: "\\uD800"', "half a character"),
        ("title: !!int many", "not YAML"),
        ("title: !!timestamp 2024-13-45", "not YAML"),
        ("title: !!python/object/apply:os.system [ls]", "line 1: could not determine"),
        ("title: *nothing", "undefined alias"),
        ("title: \x01", "not YAML"),
        ("? [1, 2]\n: 3", "unhashable"),
        ("? {a: 1}\n: 3", "not YAML"),
        ("<<: 3", "not YAML"),
        ("&a [*a]", "does not hold settings"),
        ("title: &a [*a]", "holds too much"),
        ('prompts: [{text: "\\0"}]', "null character"),
        ("saes: [{1: 2}]", "saes.0"),
        (f"tokens: {'9' * 5000}", "'tokens'"),
        (f"{'x' * 900}: 1", "is not a setting"),
        (f"device: {'x' * 9000}", "'device'"),
    ],
    ids=range(21),
)
def test_a_strangers_yaml_gives_one_short_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "report.yaml"
    file.write_text(content)
    with pytest.raises(UsageError) as caught:
        make_config(read_config(file), origin="the file")
    assert message in str(caught.value)
    assert len(str(caught.value).replace(str(file), "")) < 350


def test_files_that_are_no_text_are_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "report.yaml"
    file.write_bytes(b"title: x\ntokens: \xff")
    with pytest.raises(SaereportError, match="line 2: not UTF-8"):
        read_config(file)
    with pytest.raises(SaereportError, match="is not a file"):
        read_config(tmp_path)
    file.write_bytes(b"#" * (4 * 2**20 + 1))
    with pytest.raises(UsageError, match="larger than 4 MiB"):
        read_config(file)


def test_half_characters_of_the_command_line_are_refused() -> None:
    for values in (
        {"title": "\udcff"},
        {"saes": [{"path": Path("\udcff")}]},
        {"prompts": [{"text": "half \ud800"}]},
        {"blind": ("\udc80",)},
    ):
        with pytest.raises(UsageError, match="half a character"):
            make_config(values)


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


def test_a_text_alone_is_a_prompt() -> None:
    written = ["The Eiffel tower => Paris", {"text": "a"}]
    config = make_config({"saes": [SAE], "prompts": written}).checked()
    in_full = [{"text": "The Eiffel tower => Paris"}, {"text": "a"}]
    assert config == make_config({"saes": [SAE], "prompts": in_full}).checked()
    with pytest.raises(UsageError, match=r"prompts.0"):
        make_config({"saes": [SAE], "prompts": [3]})


def test_the_examples_of_prompts_in_the_starting_config_are_valid() -> None:
    lines = starting_config().splitlines()
    first = lines.index("# prompts:")
    written = [line.removeprefix("# ") for line in lines[first : lines.index("", first)]]
    config = make_config({"saes": [SAE], **yaml.safe_load("\n".join(written))}).checked()
    assert [p.repeat_random for p in config.prompts] == [None, None, 20]
    assert config.prompts[0].text == "The Eiffel tower is in the city of => Paris"
    assert config.prompts[0].pairs == (("early-sae", "late-sae"),)
    assert config.prompts[1].tokens == (1, 504, 414)
