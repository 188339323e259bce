"""A stranger's `cfg.json`: what it may say, and what it may not make this program do."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from saereport.sources.model_loading import load_model
from saereport.sources.saes.config import DEEPEST, model_arguments, plain_metadata
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError, UsageError
from saereport.util.files import canonical_json
from tests.factories import save_hf_model, save_sae

LEGACY = {
    "hook_point": "blocks.1.hook_resid_pre",
    "hook_point_layer": 1,
    "model_name": "tiny",
    "context_size": 32,
    "d_in": 32,
    "d_sae": 48,
    "dtype": "torch.float32",
    "device": "mps",
}


def legacy(folder, **changes):
    """The folder of an SAE as SAELens wrote it before version 6: everything on one level."""
    save_sae(folder)
    (folder / "cfg.json").write_text(json.dumps({**LEGACY, **changes}))
    return SaeSource(path=str(folder))


def modern(folder, metadata=None, **changes):
    save_sae(folder)
    cfg = json.loads((folder / "cfg.json").read_text())
    described = cfg["metadata"] | metadata if isinstance(metadata, dict) else metadata
    cfg["metadata"] = cfg["metadata"] if metadata is None else described
    (folder / "cfg.json").write_text(json.dumps({**cfg, **changes}))
    return SaeSource(path=str(folder))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"activation_fn": "relu"},
        {"activation_fn_str": "relu", "activation_fn_kwargs": {"k": 100}},
        {"normalize_activations": False},
        {"normalize_activations": None},
        {"finetuning_scaling_factor": False},
        {"use_ghost_grads": True, "noise_scale": 0.1, "normalize_sae_decoder": True},
        {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 5}},
    ],
)
def test_older_configurations_that_are_understood(changes, tmp_path):
    sae = load_sae(legacy(tmp_path / "sae", **changes))
    assert sae.architecture == (
        "topk" if changes.get("activation_fn_str") == "topk" else "standard"
    )
    assert sae.hook_in.name == "blocks.1.hook_resid_pre"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"activation_fn": "tanh-relu"}, "activation_fn 'tanh-relu', which is not an activation"),
        ({"activation_fn_str": "gelu"}, "activation_fn_str 'gelu'"),
        ({"activation_fn": "topk"}, "without a k, and would be read as ReLU"),
        (
            {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 5, "signed": True}},
            "whose latents are negative",
        ),
        (
            {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 5, "postact_fn": "gelu"}},
            "postact_fn 'gelu'",
        ),
        ({"activation_fn": "topk", "activation_fn_kwargs": {"k": "5"}}, "not a number above zero"),
        ({"normalize_activations": "layernorm"}, "Did you mean 'layer_norm'?"),
        ({"normalize_activations": True}, "neither the release nor activation_scaler.json"),
        ({"normalize_activations": "constant_scalar_rescale"}, "not a way to normalise known"),
        ({"reshape_activations": "flatten"}, "reshape_activations 'flatten'"),
        ({"rescale_acts_by_decoder_norm": True}, "not something that SAELens does for 'standard'"),
        ({"is_transcoder": True}, "describes a transcoder"),
        ({"out_hook_point": "blocks.1.hook_mlp_out"}, "describes a transcoder"),
        ({"d_out": 16}, "describes a transcoder"),
    ],
)
@pytest.mark.parametrize("make", [legacy, modern])
def test_what_would_be_computed_otherwise_is_refused(make, changes, said, tmp_path):
    if make is modern and changes.get("normalize_activations") is True:
        said = "normalize_activations must be"
    with pytest.raises(SaereportError) as caught:
        load_sae(make(tmp_path / "sae", **changes))
    assert said in str(caught.value)


def test_a_factor_on_each_latent_is_refused_unless_it_is_one(tmp_path):
    """SAELens once finetuned SAEs with a factor on each latent, and applies it no more."""
    source = legacy(tmp_path / "sae", finetuning_scaling_factor=True)
    (said,) = load_sae(source).said
    assert "its weights hold no such factor" in said.text
    assert said.sanity
    file = tmp_path / "sae" / "sae_weights.safetensors"
    weights = load_file(file)
    save_file({**weights, "scaling_factor": torch.ones(48)}, file)
    assert not load_sae(source).said
    save_file({**weights, "scaling_factor": torch.full((48,), 1.5)}, file)
    with pytest.raises(SaereportError, match="Multiply the rows of W_dec"):
        load_sae(source)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"d_in": "32"}, "d_in '32', which is not a whole number"),
        ({"d_sae": -1}, "d_sae -1"),
        ({"d_sae": True}, "d_sae True"),
        ({"d_sae": 48.0}, "d_sae 48.0"),
        ({"dtype": 32}, "dtype 32, which is not one of float32"),
        ({"dtype": "int8"}, "dtype 'int8'"),
        ({"architecture": ["standard"]}, "architecture ['standard'], which is not a text"),
        ({"architecture": None}, "architecture None"),
        ({"metadata": []}, "is not a JSON object"),
        ({"metadata": {"hook_name": 3}}, "hook_name 3"),
        ({"metadata": {"context_size": "128"}}, "context_size '128'"),
        ({"metadata": {"context_size": 0}}, "context_size 0"),
        ({"metadata": {"prepend_bos": "false"}}, "prepend_bos 'false', which is not true or false"),
        ({"metadata": {"model_name": ["x"]}}, "model_name ['x']"),
        ({"metadata": {"neuronpedia_id": 7}}, "neuronpedia_id 7"),
        ({"metadata": {"model_from_pretrained_kwargs": "x"}}, "not an object"),
        ({"metadata": {"sequence_separator_token": [1]}}, "sequence_separator_token [1]"),
        ({"metadata": {"dataset_path": {"a": 1}}}, "dataset_path {'a': 1}"),
        ({"apply_b_dec_to_input": "false"}, "apply_b_dec_to_input 'false'"),
        ({"metadata": {"hook_name": "x" * 9000}}, "is not a hook point"),
    ],
)
def test_fields_of_another_type(changes, said, tmp_path):
    source = modern(tmp_path / "sae", **changes)
    with pytest.raises(SaereportError) as caught:
        load_sae(source)
    assert said in str(caught.value)
    if "x" * 9000 not in json.dumps(changes):
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, '{"d_in": ' + "9" * 5000 + "}", "\0"]
)
def test_json_that_is_none_or_too_deep(text, tmp_path):
    source = modern(tmp_path / "sae")
    (tmp_path / "sae" / "cfg.json").write_text(text)
    with pytest.raises(SaereportError, match=r"sae/cfg\.json"):
        load_sae(source)


@pytest.mark.parametrize("changes", [{"hook_point_layer": 2}, {"hook_point_layer": 1}])
def test_layers_that_one_configuration_names_twice(changes, tmp_path):
    sae = load_sae(legacy(tmp_path / "sae", **changes))
    told = [said.text for said in sae.said if said.sanity]
    expected = (
        "Its configuration names layer 2 (hook_point_layer), but hook_point "
        "'blocks.1.hook_resid_pre'."
    )
    assert told == ([expected] if changes["hook_point_layer"] == 2 else [])


def test_nested_metadata_without_a_version_are_kept(tmp_path):
    source = modern(tmp_path / "sae", metadata={"prepend_bos": False, "context_size": 17})
    file = tmp_path / "sae" / "cfg.json"
    cfg = json.loads(file.read_text())
    del cfg["metadata"]["sae_lens_version"]
    del cfg["metadata"]["sae_lens_training_version"]
    file.write_text(json.dumps(cfg))
    sae = load_sae(source)
    assert (sae.prepend_bos, sae.context_size, sae.model_name) == (False, 17, "tiny")


def test_metadata_that_a_run_may_hold(tmp_path):
    deep: object = "bottom"
    for _ in range(20):
        deep = {"in": deep}
    described = {"deep": deep, "half": "a\ud800b", "long": "x" * 10**6, "many": [1] * 10**5}
    described |= {"where": "C:\\Users\\me\\run", "big": 10**400, "nan": float("nan")}
    sae = load_sae(modern(tmp_path / "sae", metadata=described))
    text = canonical_json(sae.metadata)
    text.encode()
    assert len(text) < 10**5 * 2
    kept, depth = sae.metadata["deep"], 1
    while isinstance(kept, dict):
        kept, depth = kept["in"], depth + 1
    assert (kept, depth) == ("(nested deeper than is kept)", DEEPEST)
    assert sae.metadata["where"] == "run"
    json.loads(text, parse_constant=lambda _: pytest.fail("no JSON"))


def test_plain_metadata_leaves_what_is_plain():
    value = {"a": [1, 2.5, True, None, "x/y"], "b": {"c": "d"}}
    assert plain_metadata(value) == value


# What an SAE may ask of the model's loading.


def test_what_an_sae_may_ask_for():
    asked = {"fold_ln": True, "center_unembed": False, "n_ctx": 64, "revision": "step1000"}
    assert model_arguments(asked, "sae", "float32") == (asked, [])
    assert model_arguments(None, "sae", "float32") == ({}, [])
    harmless = {"default_prepend_bos": False, "device": "mps", "dtype": "torch.float32"}
    assert model_arguments(harmless, "sae", "float32") == ({}, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trust_remote_code", True),
        ("trust_remote_code", "yes"),
        ("cache_dir", "/tmp/x"),
        ("token", "hf_x"),
        ("use_auth_token", "hf_x"),
        ("proxies", {"https": "http://evil"}),
        ("device_map", "auto"),
        ("hf_model", "someone/else"),
        ("tokenizer", "someone/else"),
        ("code_revision", "main"),
        ("subfolder", "../.."),
        ("gguf_file", "x.gguf"),
        ("config", {"auto_map": {}}),
        ("quantization_config", {"load_in_8bit": True}),
        ("first_n_layers", 2),
        ("__class__", "x"),
        ("<script>", 1),
    ],
)
def test_what_an_sae_may_not_ask_for(name, value, tmp_path):
    source = modern(tmp_path / "sae", metadata={"model_from_pretrained_kwargs": {name: value}})
    sae = load_sae(source)
    assert sae.model_kwargs == {}
    (said,) = sae.said
    assert "ignored" in said.text
    assert str(value) not in said.text or isinstance(value, (bool, int))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fold_ln", "true"),
        ("fold_ln", {"a": 1}),
        ("n_ctx", 0),
        ("n_ctx", 10**9),
        ("n_ctx", "64"),
        ("revision", "../../x"),
        ("revision", "--upload-pack=x"),
        ("revision", 7),
        ("checkpoint_value", -1),
        ("dtype", "int4"),
    ],
)
def test_values_that_are_none(name, value):
    with pytest.raises(SaereportError, match=f"model_from_pretrained_kwargs.{name}"):
        model_arguments({name: value}, "sae", "float32")


def test_the_users_number_format_wins():
    kept, (said,) = model_arguments({"dtype": "bfloat16"}, "sae", "float32")
    assert kept == {}
    assert said.text == "Its metadata ask for the model in bfloat16; it is in float32."


def test_no_caller_can_hand_it_on():
    with pytest.raises(UsageError, match="not loaded with 'trust_remote_code' here"):
        load_model("gpt2", kwargs={"trust_remote_code": True})


@pytest.fixture
def with_code(tmp_path):
    """A model's folder whose `config.json` names Python code beside it, which tells if it ran."""
    folder = save_hf_model(tmp_path / "with-code", "llama")
    cfg = json.loads((folder / "config.json").read_text())
    cfg["model_type"] = "owns_code"
    cfg["auto_map"] = {
        "AutoConfig": "evil.OwnConfig",
        "AutoModelForCausalLM": "evil.OwnModel",
    }
    (folder / "config.json").write_text(json.dumps(cfg))
    (folder / "evil.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'owns_code'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    return folder, tmp_path / "ran"


def test_code_of_a_model_does_not_run_unasked(with_code, tmp_path, monkeypatch):
    """The whole way: the metadata of an SAE ask for it, and the model's loader is called."""
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder, ran = with_code
    described = {"model_from_pretrained_kwargs": {"trust_remote_code": True}}
    sae = load_sae(modern(tmp_path / "sae", metadata=described))
    with pytest.raises(SaereportError, match="give --trust-remote-code"):
        load_model(folder, kwargs=sae.model_kwargs)
    assert not ran.exists()


def test_no_library_can_open_the_door(with_code, tmp_path):
    """TransformerLens trusts some names by itself, so the code itself is kept from running."""
    from transformers import AutoConfig

    from saereport.sources.remote_code import remote_code

    folder, ran = with_code
    with (
        pytest.raises(SaereportError, match="Python code of its repository"),
        remote_code(allowed=False, name="x"),
    ):
        AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert not ran.exists()


def test_a_user_may_trust_it(with_code):
    from transformers import AutoConfig

    from saereport.sources.remote_code import remote_code

    folder, ran = with_code
    before = set(sys.modules)
    with remote_code(allowed=True, name="x"):
        AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert ran.exists()
    for name in set(sys.modules) - before:
        if "evil" in name:
            del sys.modules[name]


def test_the_choice_reaches_the_libraries(tmp_path, monkeypatch):
    from transformer_lens.model_bridge import TransformerBridge

    handed = {}

    def boot(name, **kwargs):
        handed.update(kwargs)
        raise RuntimeError("enough")

    monkeypatch.setattr(TransformerBridge, "boot_transformers", boot)
    folder = save_hf_model(tmp_path / "model", "gpt2")
    for trusted in (True, False):
        handed.clear()
        with pytest.raises(SaereportError, match="enough"):
            load_model(folder, trust_remote_code=trusted)
        assert handed.get("trust_remote_code", False) is trusted
    assert isinstance(handed["dtype"], torch.dtype)
