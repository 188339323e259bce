"""What a run is of: each input changed once gives another identity, and nothing else does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.config.build import make_config
from saereport.pipeline import build
from saereport.pipeline.fingerprint import (
    config_record,
    differences,
    identity_of,
    inputs_of,
    part_of,
)
from saereport.pipeline.stage import stages
from saereport.run import open_run
from saereport.util.files import json_digest
from tests.factories import save_hf_model, save_sae

Change = Callable[[Path, dict[str, Any]], None]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, an SAE, a text, labels and prompts, as a user has them."""
    folder = tmp_path_factory.mktemp("inputs")
    save_hf_model(folder / "model", "llama", rms_norm_eps=1e-5)
    # As it is written in its file; GPT-2's own class would make parts of it anew.
    config = folder / "model/tokenizer_config.json"
    settings = {**json.loads(config.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}
    config.write_text(json.dumps(settings))
    save_sae(
        folder / "sae",
        "standard",
        d_in=48,
        metadata={"model_name": "m", "dataset_path": "x/y", "seqpos_slice": [None]},
    )
    rows = [{"text": f"some words {i}", "other": f"more words {i}"} for i in range(200)]
    (folder / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "labels.csv").write_text("index,description\n2,twos\n")
    (folder / "prompts.txt").write_text("one prompt\n")
    return folder


def asked(folder: Path) -> dict[str, Any]:
    return {
        "saes": [{"path": str(folder / "sae")}],
        "model": str(folder / "model"),
        "dataset": str(folder / "text.jsonl"),
        "explanations": str(folder / "labels.csv"),
        "prompts_file": str(folder / "prompts.txt"),
        "latents": "0-4,7",
        "context_size": 16,
        "device": "cpu",
        "tokens": 200,
    }


def identity(values: dict[str, Any]) -> dict[str, Any]:
    """The identity of what `collect` would make, without the pass over the text."""
    found: list[dict[str, Any]] = []

    class Enough(Exception):
        pass

    def note(*arguments: Any, **named: Any) -> dict[str, Any]:
        found.append(identity_of(*arguments, **named))
        raise Enough

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "identity_of", note)
        with pytest.raises(Enough):
            build.collect(values, Path(values["dataset"]).parent / "run")
    return found[0]


@pytest.fixture(scope="module")
def plain(inputs: Path) -> dict[str, Any]:
    return identity(asked(inputs))


def in_json(name: str, change: Callable[[dict[str, Any]], None]) -> Change:
    def apply(folder: Path, _: dict[str, Any]) -> None:
        path = folder / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return apply


def model_config(**values: Any) -> Change:
    return in_json("model/config.json", lambda content: content.update(values))


def sae_config(**values: Any) -> Change:
    return in_json("sae/cfg.json", lambda content: content.update(values))


def sae_metadata(**values: Any) -> Change:
    return in_json("sae/cfg.json", lambda content: content["metadata"].update(values))


def tokenizer(change: Callable[[dict[str, Any]], None]) -> Change:
    return in_json("model/tokenizer.json", change)


def setting(**values: Any) -> Change:
    return lambda _, given: given.update(values)


def swap_tokens(content: dict[str, Any]) -> None:
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]


def merge_tokens(content: dict[str, Any]) -> None:
    vocabulary = content["model"]["vocab"]
    vocabulary["so"] = vocabulary.pop("\u0100")
    content["model"]["merges"] = [["s", "o"]]


def weights(name: str, pick: str) -> Change:
    def apply(folder: Path, _: dict[str, Any]) -> None:
        from safetensors.torch import load_file, save_file

        path = folder / name
        tensors = load_file(path)
        key = next(key for key in sorted(tensors) if pick in key)
        tensors[key] = tensors[key] + torch.finfo(torch.float32).eps
        save_file(tensors, path, metadata={"format": "pt"})

    return apply


def append(name: str, line: str) -> Change:
    def apply(folder: Path, _: dict[str, Any]) -> None:
        with (folder / name).open("a") as stream:
            stream.write(line)

    return apply


def own_prompts(folder: Path, values: dict[str, Any]) -> None:
    values["capability_file"] = str(folder / "own.jsonl")
    (folder / "own.jsonl").write_text('{"prompt": "a", "answer": "b"}\n')


def own_texts(folder: Path, values: dict[str, Any]) -> None:
    values["probe"] = [str(folder / "labelled.jsonl")]
    lines = [f'{{"text": "a {i}", "label": {i % 2}}}\n' for i in range(24)]
    (folder / "labelled.jsonl").write_text("".join(lines))


def own_meta(folder: Path, values: dict[str, Any]) -> None:
    values["meta_saes"] = [{"of": "sae", "path": str(folder / "sae")}]


def biased_texts(folder: Path, values: dict[str, Any]) -> None:
    values["bias"] = str(folder / "biased.jsonl")
    lines = [
        f'{{"text": "a {i}", "label": {i % 2}, "attribute": {i // 2 % 2}}}\n' for i in range(48)
    ]
    (folder / "biased.jsonl").write_text("".join(lines))


CHANGES: dict[str, tuple[Change, str]] = {
    "rms_norm_eps": (model_config(rms_norm_eps=1e-4), "the model's configuration (rms_norm_eps)"),
    "rope_theta": (
        in_json("model/config.json", lambda c: c["rope_parameters"].update(rope_theta=5e5)),
        "the model's configuration (rope_theta)",
    ),
    "hidden_act": (model_config(hidden_act="gelu"), "the model's configuration"),
    "attention_bias": (model_config(max_position_embeddings=80), "the model's configuration"),
    "model weights": (weights("model/model.safetensors", "layers.1"), "the model's weights"),
    "vocabulary": (tokenizer(swap_tokens), "the tokeniser"),
    "merges": (tokenizer(merge_tokens), "the tokeniser"),
    "normalizer": (tokenizer(lambda c: c.update(normalizer={"type": "Lowercase"})), "tokeniser"),
    "pre-tokenizer": (
        tokenizer(lambda c: c["pre_tokenizer"].update(add_prefix_space=True)),
        "the tokeniser",
    ),
    "special": (
        in_json("model/tokenizer_config.json", lambda c: c.update(eos_token="a")),
        "the tokeniser",
    ),
    "normalize_activations": (
        sae_config(normalize_activations="layer_norm"),
        "the configuration (normalize_activations) of the SAE sae",
    ),
    "apply_b_dec_to_input": (
        sae_config(apply_b_dec_to_input=False),
        "the configuration (apply_b_dec_to_input) of the SAE sae",
    ),
    "SAE weights": (weights("sae/sae_weights.safetensors", "W_dec"), "the weights of the SAE sae"),
    "prepend_bos": (sae_metadata(prepend_bos=False), "of the SAE sae"),
    "separator": (sae_metadata(sequence_separator_token=None), "of the SAE sae"),
    "seqpos_slice": (sae_metadata(seqpos_slice=[1]), "of the SAE sae"),
    "hook": (sae_metadata(hook_name="blocks.2.hook_resid_pre"), "of the SAE sae"),
    "kwargs": (
        sae_metadata(model_from_pretrained_kwargs={"center_writing_weights": True}),
        "the model's",
    ),
    "text": (append("text.jsonl", '{"text": "one more"}\n'), "the text"),
    "column": (setting(text_column="other"), "the text"),
    "labels": (append("labels.csv", "3,threes\n"), "the explanations"),
    "prompts file": (append("prompts.txt", "two\n"), "the prompts file"),
    "blind": (setting(blind=["9"]), "the setting 'blind'"),
    "latents": (setting(latents="0-5"), "the setting 'latents'"),
    "context": (setting(context_size=8), "the context size"),
    "seed": (setting(seed=1), "the setting 'seed'"),
    "tokens": (setting(tokens=300), "the setting 'tokens'"),
    "special tokens": (setting(include_special=True), "the setting 'include_special'"),
    "dtype": (setting(dtype="bfloat16"), "the setting 'dtype'"),
    "examples": (setting(examples={"top": 3}), "the setting 'examples.top'"),
    "skip": (setting(skip=["coactivation"]), "the setting 'skip'"),
    "evaluation": (setting(evaluate=9), "the setting 'evaluate'"),
    "capability": (setting(capability=["capitals"]), "the setting 'capability'"),
    "geometry": (setting(geometry={"match": 0.6}), "the setting 'geometry.match'"),
    "meta-SAEs": (own_meta, "the setting 'meta_saes'"),
    "meta": (setting(meta={"well": 0.6}), "the setting 'meta.well'"),
    "prompts with answers": (own_prompts, "the setting 'capability_file'"),
    "lens": (setting(lens=9), "the setting 'lens'"),
    "enrichment": (setting(enrichment="none"), "the setting 'enrichment'"),
    "labelled texts": (own_texts, "the setting 'probe'"),
    "probing": (setting(probing={"k": [3]}), "the setting 'probing.k'"),
    "biased texts": (biased_texts, "the setting 'bias'"),
    "bias test": (setting(bias_test={"latents": 3}), "the setting 'bias_test.latents'"),
    "absorption": (setting(absorption=True), "the setting 'absorption'"),
    "absorption test": (
        setting(absorption_test={"words": 50}),
        "the setting 'absorption_test.words'",
    ),
    "prompts": (setting(prompts=[{"text": "a prompt"}]), "the setting 'prompts'"),
    "circuits": (setting(circuits={"checks": 1}), "the setting 'circuits.checks'"),
}
"""Every input, changed once, and what is then said to differ."""


@pytest.mark.parametrize("name", CHANGES)
def test_each_input_is_part_of_the_identity(
    inputs: Path, plain: dict[str, Any], tmp_path: Path, name: str
) -> None:
    change, words = CHANGES[name]
    folder = tmp_path / "inputs"
    shutil.copytree(inputs, folder)
    values = asked(folder)
    change(folder, values)
    changed = identity(values)
    assert json_digest(changed) != json_digest(plain)
    assert words in differences(plain, changed)


@pytest.mark.parametrize("library", ["torch", "transformers", "sae-lens", "transformer-lens"])
def test_another_version_of_a_library_is_another_identity(
    inputs: Path, plain: dict[str, Any], monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    from importlib.metadata import version

    monkeypatch.setattr(
        "saereport.pipeline.fingerprint.version",
        lambda name: "99" if name == library else version(name),
    )
    assert differences(plain, identity(asked(inputs))) == f"the version of {library}"


def test_another_place_another_spelling_and_what_changes_no_number_are_the_same(
    inputs: Path, plain: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(inputs, tmp_path / "elsewhere")
    values = asked(tmp_path / "elsewhere")
    values |= {"latents": "0 1 2 3 4, 7", "title": "another", "batch_size": 3, "device": "auto"}
    values["latents"] = "0–4 7"
    spread = tmp_path / "map.json"
    spread.write_text('{"": "cpu"}')
    values["device_map"] = str(spread)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    from importlib.metadata import version

    monkeypatch.setattr(
        "saereport.pipeline.fingerprint.version",
        lambda name: (
            version(name).partition("+")[0] + "+cu126" if name == "torch" else version(name)
        ),
    )
    moved = identity(values)
    assert differences(plain, moved) == ""
    assert json_digest(moved) == json_digest(plain)


def test_packed_weights_are_part_of_it_and_where_they_lie_is_only_noted(inputs: Path) -> None:
    def record(**changes: Any) -> dict[str, Any]:
        return config_record(make_config(asked(inputs) | changes))

    assert record(quantize="nf4") != record(quantize="int8") != record()
    assert record(device_map="auto")["device_map"] == "auto"
    assert record(device_map=str(inputs / "text.jsonl"))["device_map"] == "text.jsonl"


def test_the_pass_over_the_text_does_not_depend_on_what_comes_after(plain: dict[str, Any]) -> None:
    later = {**plain, "inputs": {"explanations": {"the explanations": ["x"]}}}
    later["config"] = {**plain["config"], "map": "umap", "evaluate": 1, "prompts": [1]}
    reading = stages()["statistics"]
    assert json_digest(part_of(later, reading)) == json_digest(part_of(plain, reading))
    assert json_digest(later) != json_digest(plain)


def test_differences_are_few_words() -> None:
    before = {"config": {str(i): i for i in range(9)}, "saes": {"a": {}}, "context_size": 3}
    after = {"config": {str(i): -i for i in range(9)}, "saes": {"b": {}}, "context_size": 4}
    said = differences(before, after)
    assert said.startswith("the setting '1', the setting '2'")
    assert said.endswith("and 6 more")
    assert differences({"saes": {"a": {}}}, {"saes": {"b": {}}}) == "the SAEs"
    assert differences(before, before) == ""
    config = make_config({"saes": [{"path": "x"}]})
    assert config.device == "auto"


def test_a_changed_tokeniser_is_told_and_nothing_old_is_used(inputs: Path, tmp_path: Path) -> None:
    """As seen: the old checkpoint went on, and a finished run said that it was collected."""
    from tests.pipeline.test_build import Told

    folder = tmp_path / "inputs"
    shutil.copytree(inputs, folder)
    values = {**asked(folder), "prompts_file": None, "evaluate": 0}
    # Blocks that the text has whole ones of: less than one is not kept.
    values |= {"circuits": {"examples": 0}, "batch_size": 4}

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("saereport.pipeline.weights.weight_tables", crash)
        with pytest.raises(KeyboardInterrupt):
            build.collect(values, tmp_path / "run")
    kept = tmp_path / "run.partial" / "stages" / "statistics"
    assert [path.name for path in kept.glob("saes/*/checkpoint.npz")] == ["checkpoint.npz"]
    tokenizer(swap_tokens)(folder, {})
    told = Told()
    build.collect(values, tmp_path / "run", progress=told)
    first = open_run(tmp_path / "run")
    before = first.table("activity", "sae")["max"].to_numpy()
    assert any(
        "cannot be used: the tokeniser changed; starting anew" in line for line in told.lines
    )
    model_config(rms_norm_eps=1e-2)(folder, {})
    told = Told()
    build.collect(values, tmp_path / "run", progress=told)
    assert "This run is already collected; using it" not in told.lines
    again = open_run(tmp_path / "run")
    assert again.info.fingerprint != first.info.fingerprint
    assert not np.array_equal(before, again.table("activity", "sae")["max"].to_numpy())


@pytest.mark.parametrize("setting", ["dataset_split", "dataset_revision", "dataset_config"])
def test_which_part_of_a_hubs_dataset_is_read_is_part_of_it(setting: str) -> None:
    asked = {"saes": [{"path": "sae"}], "dataset": "owner/name"}
    one, two = (config_record(make_config({**asked, setting: s})) for s in ("a", "b"))
    assert one != two
    assert {**one, setting: "b"} == two


def test_a_link_to_a_file_is_called_by_its_own_name_and_says_of_no_folder(tmp_path: Path) -> None:
    """Also with `..` on the way; what it leads to may have a name that says nothing."""
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "5f3a").write_text("index,description\n2,twos\n")
    (tmp_path / "mine.csv").symlink_to(tmp_path / "private" / "5f3a")
    given = str(tmp_path / "private" / ".." / "mine.csv")
    single = ("explanations", "bias", "bias_drop", "token_sets", "capability_file", "steer_prompts")
    several = {
        "probe": [given],
        "steering": {"directions": [{"name": "d", "file": given, "hook": "h"}]},
    }
    settings = {"saes": [{"path": str(tmp_path)}], "model": "demo", "dataset": "demo"}
    record = config_record(make_config(settings | dict.fromkeys(single, given) | several))
    assert {record[name] for name in single} == {"mine.csv"}
    assert record["probe"] == ["mine.csv"]
    assert record["steering"]["directions"][0]["file"] == "mine.csv"
    assert not [words for words in ("private", "5f3a") if words in json.dumps(record)]


def test_a_run_names_what_stages_read_and_nothing_where_they_read_nothing() -> None:
    def named(**found: Any) -> Any:
        return inputs_of({"inputs": {"stage": found}})["stage"]

    assert named(text="ab", none="", several=["", []]) == {"text": "ab"}
    labels = ["", [["a", "1f"]], "2e"]
    assert named(labels=labels) == named(labels=[*labels, ""])
    assert named(labels=labels) != named(labels=labels[:2])
