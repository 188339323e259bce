"""Large models: over several devices, and with packed weights."""

import contextlib
import importlib.util
import types
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from saereport.sources import placement
from saereport.sources.forward import forward
from saereport.sources.model_checks import check_unpacked, require_unpacked
from saereport.sources.model_loading import load_model
from saereport.sources.placement import ONE_DEVICE, Placement, placement_of
from saereport.util.errors import SaereportError, UsageError
from tests.sources.test_devices_fake import CUDA, HOOKS, pretending

SECOND = torch.device("cuda:1")
BITSANDBYTES = importlib.util.find_spec("bitsandbytes") is not None


@pytest.fixture
def installed(monkeypatch):
    """Every package is installed but those that are named."""

    def but(*names):
        monkeypatch.setattr(
            placement, "find_spec", lambda name: None if name in names else SimpleNamespace()
        )

    but()
    return but


def test_nothing_asked_for_is_one_device():
    assert placement_of(None, None) == ONE_DEVICE
    assert not ONE_DEVICE
    assert ONE_DEVICE.places(torch.device("cpu")) == {"device": torch.device("cpu")}
    assert ONE_DEVICE.options(torch.float32) == {}


def test_missing_packages_are_named(installed):
    installed("bitsandbytes")
    with pytest.raises(SaereportError, match="nf4 needs bitsandbytes") as found:
        placement_of(None, "nf4")
    assert found.value.hint == "pip install 'saereport[quantize]'"
    assert placement_of("auto", None).device_map == "auto"
    installed("accelerate")
    with pytest.raises(SaereportError, match="--device-map needs accelerate"):
        placement_of("auto", None)
    with pytest.raises(SaereportError, match="--quantize needs accelerate"):
        placement_of(None, "int8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "maps no module"),
        ("- model", "maps no module"),
        ("model.embed_tokens: 0\nmodel.layers: disk", "only weights that are in memory"),
        ("'': meta", "only weights that are in memory"),
        ("'': gpu", "no device"),
        ("'': true", "no device"),
        ("'': -1", "no device"),
        ("'': [0]", "no device"),
        ("model.embed_tokens: 0\nmodel.layers: cpu", "a part on CUDA devices"),
    ],
)
def test_a_map_that_means_nothing(text, said, tmp_path, installed):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        placement_of(str(path), None)


def test_a_map_is_read_from_yaml_and_json(tmp_path, installed):
    for name, text in [("m.yaml", "model: 0\nlm_head: cuda:1"), ("m.json", '{"": "cpu"}')]:
        (tmp_path / name).write_text(text)
    assert placement_of(str(tmp_path / "m.yaml"), None).device_map == {
        "model": 0,
        "lm_head": "cuda:1",
    }
    assert placement_of(str(tmp_path / "m.json"), None).device_map == {"": "cpu"}
    with pytest.raises(SaereportError, match="There is no device map"):
        placement_of(str(tmp_path / "missing.yaml"), None)


@pytest.mark.parametrize(
    ("asked", "n", "said"),
    [
        (Placement(quantize="nf4"), 0, "needs a CUDA device"),
        (Placement("auto"), 0, "has none"),
        (Placement("balanced"), 1, "has 1"),
        (Placement({"": 3}), 2, "cuda:3, and this machine has 2 CUDA devices"),
        (Placement({"": "cuda:1"}), 1, "cuda:1, and this machine has 1 CUDA device"),
        (Placement({"": "cuda"}), 0, "no CUDA devices"),
    ],
)
def test_devices_that_are_missing(asked, n, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n)
    with pytest.raises(SaereportError, match=said):
        asked.check_devices(torch.device("cpu"))


def test_devices_that_are_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for asked in (Placement("auto", "int8"), Placement({"a": 0, "b": "cuda:1"}), ONE_DEVICE):
        asked.check_devices(CUDA)
    Placement({"": "cpu"}).check_devices(torch.device("cpu"))


def test_a_gguf_file_is_refused(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    for asked, option in [(Placement("auto"), "--device-map"), (Placement(quantize="nf4"), "--qu")]:
        with pytest.raises(UsageError, match=f"GGUF.*{option}"):
            load_model(path, placement=asked)


@pytest.mark.parametrize(("kind", "body"), [("llama", "model"), ("gpt2", "transformer")])
def test_a_mapped_model_computes_the_same(kind, body, hf_folder):
    plain = load_model(hf_folder(kind))
    mapped = load_model(hf_folder(kind), placement=Placement({body: "cpu", "lm_head": "cpu"}))
    tokens = torch.arange(1, 13).reshape(2, 6)
    for name, value in plain.run(tokens, HOOKS).items():
        assert torch.equal(mapped.run(tokens, [name])[name], value)
    for what in ("W_V", "W_O"):
        assert torch.equal(getattr(mapped, what)(1), getattr(plain, what)(1))
    assert torch.equal(mapped.W_E, plain.W_E)
    assert mapped.weights_sha256 == plain.weights_sha256


def test_what_would_lie_on_the_disk_is_refused(hf_folder, tmp_path):
    spread = Placement({"model": "cpu", "lm_head": "disk"})
    with pytest.raises(SaereportError, match="does not fit onto the devices"):
        load_model(hf_folder("llama"), placement=spread)


def on(module, device):
    """Move weights and buffers, and have what comes in follow them, as accelerate does."""
    for part in module.modules():
        for store in (part._parameters, part._buffers):
            for name, weight in list(store.items()):
                if weight is not None:
                    moved = torch.empty(weight.shape, dtype=weight.dtype, device=device)
                    keep = isinstance(weight, nn.Parameter)
                    store[name] = nn.Parameter(moved, requires_grad=False) if keep else moved

    def follow(value):
        if isinstance(value, torch.Tensor):
            return value.to(device)
        if isinstance(value, (tuple, list)):
            return type(value)(follow(one) for one in value)
        return value

    module.register_forward_pre_hook(
        lambda _m, args, kwargs: (follow(args), {k: follow(v) for k, v in kwargs.items()}),
        with_kwargs=True,
    )


@pytest.fixture
def spread(hf_folder):
    """A model whose second and third blocks and unembedding are on another device."""
    model = load_model(hf_folder("llama"))
    with pretending():
        inner = model.model.original_model
        on(inner, CUDA)
        for block in list(model.model.blocks)[1:]:
            on(block, SECOND)
        for last in (model.model.ln_final, model.model.unembed):
            on(last, SECOND)
        model.device = CUDA
        yield model


def test_activations_come_to_the_device_of_the_saes(spread):
    a = spread.run(torch.ones(2, 6, dtype=torch.long), HOOKS)
    assert {value.device for value in a.values()} == {CUDA}
    for weight in (spread.W_U, spread.W_V(1), spread.W_O(2), spread.final_norm_weight):
        assert weight.device == CUDA
    assert spread.mlp_norm_weight(2).device == CUDA


def test_edits_are_made_there_and_go_on_where_the_layer_is(spread):
    seen = []

    def edit(value):
        seen.append(value.device)
        return value + torch.ones(1, device=CUDA)

    name = "blocks.1.hook_resid_post"
    found = forward(
        spread,
        torch.ones(2, 6, dtype=torch.long),
        edits={name: edit},
        reads=["blocks.2.hook_resid_post"],
        logits=True,
    )
    assert seen == [CUDA]
    assert found.acts["blocks.2.hook_resid_post"].device == CUDA
    assert found.logits is not None
    assert found.logits.device == CUDA


class Int8Params(nn.Parameter):
    """A packed weight, as bitsandbytes has it: whole numbers, and a scale for each row."""


def packed(linear):
    """Pack a linear layer; gives the plain weight that it multiplies with from then on."""
    weight = linear.weight.detach()
    scale = weight.abs().amax(dim=1)
    whole = torch.round(weight * 127 / scale[:, None]).to(torch.int8)
    linear._parameters["weight"] = Int8Params(whole, requires_grad=False)
    linear.state = SimpleNamespace(SCB=scale)
    plain = whole.float() * scale[:, None] / 127
    linear.forward = types.MethodType(lambda _self, x: x @ plain.T, linear)
    return plain


def unpacked(weight, state):
    return weight.data.float() * state.SCB[:, None] / 127


@pytest.fixture
def quantised(hf_folder, monkeypatch):
    """A model with packed values and outputs, by a stand-in for bitsandbytes."""
    monkeypatch.setattr("transformers.integrations.bitsandbytes.dequantize_bnb_weight", unpacked)
    model = load_model(hf_folder("llama"))
    model.quantization = "int8"
    plain = {}
    for layer, block in enumerate(model.model.blocks):
        for name in ("v", "o"):
            plain[layer, name] = packed(getattr(block.attn, name).original_component)
    return model, plain


def test_matrices_are_read_as_they_multiply(quantised):
    model, plain = quantised
    values = plain[1, "v"].reshape(-1, model.d_head, model.d_model).transpose(1, 2)
    values = values.repeat_interleave(model.n_heads // len(values), dim=0)
    assert torch.equal(model.W_V(1), values)
    assert torch.equal(
        model.W_O(1), plain[1, "o"].T.reshape(model.n_heads, model.d_head, model.d_model)
    )
    # What was unpacked for the moment is packed again.
    for name in ("v", "o"):
        inner = getattr(model.model.blocks[1].attn, name).original_component
        assert type(inner._parameters["weight"]) is Int8Params


def test_what_heads_do_is_found_in_packed_weights(quantised):
    model, _ = quantised
    assert model.wiring.values(1).problem == ""
    assert model.wiring.heads(1).problem == ""
    assert model.wiring.unembedding_problem == ""


def test_packed_weights_are_another_model(quantised, hf_folder):
    model, _ = quantised
    plain = load_model(hf_folder("llama"))
    assert model.weights_sha256 != plain.weights_sha256
    assert (model.provenance["quantization"], plain.provenance["quantization"]) == ("int8", "")


def test_ends_must_be_plain(quantised):
    model, _ = quantised
    check_unpacked(model)
    model.__dict__["raw_W_U"] = torch.zeros(4, 4, dtype=torch.uint8)
    with pytest.raises(SaereportError, match=r"unembedding of the model .* is packed too"):
        check_unpacked(model)


def test_weights_that_are_packed_already_are_refused():
    require_unpacked("folder/model", SimpleNamespace())
    config = SimpleNamespace(quantization_config={"quant_method": "gptq"})
    with pytest.raises(SaereportError, match="'model' are packed already \\(gptq\\)"):
        require_unpacked("folder/model", config)


def test_processed_weights_cannot_be_packed(hf_folder):
    with pytest.raises(SaereportError, match="processed weights \\(fold_ln\\)"):
        load_model(
            hf_folder("llama"), kwargs={"fold_ln": True}, placement=Placement(quantize="nf4")
        )
    with pytest.raises(UsageError, match="as a TransformerBridge"):
        load_model("gpt2", wrapper="HookedTransformer", placement=Placement(quantize="nf4"))


def test_what_transformers_is_told(hf_folder, monkeypatch):
    asked = []

    class Config:
        def __init__(self, **options):
            self.options = options

    monkeypatch.setattr("transformers.BitsAndBytesConfig", Config)
    monkeypatch.setattr(
        "transformers.LlamaForCausalLM.from_pretrained",
        lambda name, **options: asked.append(options),
    )
    for quantize in ("nf4", "int8"):
        with contextlib.suppress(SaereportError):
            load_model(
                hf_folder("llama"), dtype=torch.bfloat16, placement=Placement(quantize=quantize)
            )
    first, second = (one["quantization_config"].options for one in asked)
    assert first == {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_compute_dtype": torch.bfloat16,
    }
    assert second == {"load_in_8bit": True}
    assert [one["device_map"] for one in asked] == [{"": "cpu"}] * 2


@pytest.mark.skipif(not BITSANDBYTES, reason="bitsandbytes is not installed")
@pytest.mark.model
@pytest.mark.parametrize(("quantize", "off"), [("nf4", 0.12), ("int8", 0.015)])
def test_the_demo_model_in_few_bits(quantize, off, monkeypatch):
    # On a CPU with AVX-512 it would pack the weights once more, in another order.
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)
    plain = load_model("demo")
    model = load_model("demo", placement=Placement(quantize=quantize))
    assert model.quantization == quantize
    assert torch.equal(model.W_E, plain.W_E)
    assert torch.equal(model.W_U, plain.W_U)
    for read in ("W_V", "W_O"):
        found, expected = getattr(model, read)(5), getattr(plain, read)(5)
        assert 0 < (found - expected).norm() / expected.norm() < off
    assert model.wiring.heads(5).problem == model.wiring.unembedding_problem == ""
