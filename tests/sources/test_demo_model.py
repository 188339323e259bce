"""The real demo model: both wrappers agree, and reading it costs what the forward pass costs."""

from __future__ import annotations

import pytest
import torch

from saereport.sources.model_loading import load_model
from saereport.sources.models import HookedModel

pytestmark = pytest.mark.model

HOOKS = [
    f"blocks.{layer}.{site}"
    for layer in (0, 5)
    for site in (
        "hook_resid_pre",
        "attn.hook_z",
        "hook_attn_out",
        "hook_resid_mid",
        "ln2.hook_normalized",
        "mlp.hook_in",
        "hook_mlp_out",
        "hook_resid_post",
    )
]


@pytest.fixture(scope="module")
def tokens(demo_model):
    text = (
        "The ship rounded the cape at dawn, and by noon the captain had ordered every sail set; "
        "but the wind, which had been fair for a week, died away to nothing, and the sea lay flat."
    )
    ids = demo_model.tokenizer(text, add_special_tokens=False)["input_ids"][:31]
    return torch.tensor([[demo_model.bos_id, *ids], [demo_model.bos_id, *ids[::-1]]])


@pytest.fixture(scope="module")
def hooked(demo_model):
    """The same weights in a `HookedTransformer`, by TransformerLens's own conversion for Llama.

    Only the first six layers, which is what the hooks need.
    """
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights
    from transformers import AutoModelForCausalLM

    from saereport.sources.demo import demo_model_dir

    source = AutoModelForCausalLM.from_pretrained(demo_model_dir(), dtype=torch.float32)
    config = source.config
    source.model.layers = source.model.layers[:6]
    cfg = HookedTransformerConfig(
        n_layers=6,
        d_model=config.hidden_size,
        n_ctx=64,
        d_head=config.head_dim,
        n_heads=config.num_attention_heads,
        n_key_value_heads=config.num_key_value_heads,
        d_mlp=config.intermediate_size,
        d_vocab=config.vocab_size,
        act_fn=config.hidden_act,
        normalization_type="RMS",
        positional_embedding_type="rotary",
        rotary_adjacent_pairs=False,
        rotary_dim=config.head_dim,
        rotary_base=int(config.rope_parameters["rope_theta"]),
        final_rms=True,
        gated_mlp=True,
        eps=config.rms_norm_eps,
        device="cpu",
    )
    model = HookedTransformer(cfg, move_to_device=False)
    model.load_and_process_state_dict(
        convert_llama_weights(source, cfg),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    device = torch.device("cpu")
    return HookedModel(model.eval(), name="hooked", device=device, dtype=torch.float32)


def test_wrappers_agree(demo_model, hooked, tokens):
    bridge = demo_model.run(tokens, HOOKS)
    for name, ours in hooked.run(tokens, HOOKS).items():
        theirs = bridge[name]
        assert theirs.shape == ours.shape, name
        # Both in float32, by different orders of summation.
        error = (theirs - ours).norm() / ours.norm()
        assert error < 1e-5, (name, float(error))


def test_weights_agree(demo_model, hooked):
    assert torch.equal(demo_model.W_E, hooked.W_E)
    assert torch.equal(demo_model.W_U, hooked.W_U)
    for layer in (0, 5):
        assert torch.equal(demo_model.W_V(layer), hooked.W_V(layer))
        assert torch.equal(demo_model.W_O(layer), hooked.W_O(layer))
        assert torch.equal(demo_model.mlp_norm_weight(layer), hooked.mlp_norm_weight(layer))
        assert torch.equal(demo_model.attn_norm_weight(layer), hooked.attn_norm_weight(layer))
    assert torch.equal(demo_model.final_norm_weight, hooked.final_norm_weight)
    assert not demo_model.final_norm_folded
    rows = demo_model.W_E[:200]
    torch.testing.assert_close(demo_model.mlp0_of(rows), hooked.mlp0_of(rows), atol=1e-5, rtol=1e-4)


def test_says_what_it_is(demo_model):
    assert demo_model.wrapper == "TransformerBridge"
    assert demo_model.name == "SmolLM2-135M-Instruct"
    assert (demo_model.n_layers, demo_model.d_model, demo_model.d_vocab) == (30, 576, 49152)
    assert (demo_model.n_heads, demo_model.n_kv_heads, demo_model.d_head) == (9, 3, 64)
    assert (demo_model.norm, demo_model.bos_id) == ("rms", 1)
    assert torch.equal(demo_model.W_E.T, demo_model.W_U), "tied"


def test_deeper_layers_are_not_computed(demo_model, tokens):
    ran = set()
    handles = [
        block.register_forward_pre_hook(lambda *_, layer=layer: ran.add(layer))
        for layer, block in enumerate(demo_model.model.blocks)
    ]
    try:
        demo_model.run(tokens, ["blocks.5.attn.hook_z", "blocks.3.hook_resid_post"])
    finally:
        for handle in handles:
            handle.remove()
    assert ran == set(range(6))


@pytest.mark.slow
def test_gguf_file_is_the_same_model(demo_model, tokens):
    from saereport.sources.demo import gguf_file

    model = load_model(gguf_file())
    assert model.name == "SmolLM2-135M-Instruct.Q4_1"
    assert model.bos_id == demo_model.bos_id
    name = "blocks.5.hook_resid_pre"
    assert torch.equal(model.run(tokens, [name])[name], demo_model.run(tokens, [name])[name])
    assert model.weights_sha256 == demo_model.weights_sha256
