"""SAEs of every architecture: loading, encoding, what they say about themselves."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import check_fit
from saereport.sources.saes.source import SaeSource, source_slugs
from saereport.util.errors import SaereportError
from tests.factories import ARCHITECTURES, TRAINING_ONLY, make_sae, save_sae, tiny_tokens

LATENTS = torch.tensor([3, 0, 47, 11])


def in_saelens(architecture, folder, **options):
    """SAELens's own object for use, without our loading."""
    from sae_lens import SAE

    sae = make_sae(architecture, **options)
    if architecture in TRAINING_ONLY:
        sae.save_inference_model(folder)
        sae = SAE.load_from_disk(folder)
    return sae


def activations(model, name):
    return model.run(tiny_tokens(), [name])[name]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_encodes_as_saelens_does(architecture, tiny, tiny_sae, tmp_path):
    sae = tiny_sae(architecture)
    a = activations(tiny, sae.hook_in.name)
    expected = in_saelens(architecture, tmp_path).encode(a).detach()
    f = sae.encode(a)
    assert torch.equal(f, expected)
    assert 0 < (f > 0).float().mean() < 0.5
    chosen = sae.encode_chosen(a, LATENTS)
    torch.testing.assert_close(chosen, expected[..., LATENTS], rtol=1e-5, atol=1e-6)
    assert torch.equal(sae.encode_chosen(a, LATENTS), chosen), "kept weights are the same weights"
    other = torch.tensor([1, 2])
    torch.testing.assert_close(
        sae.encode_chosen(a, other), expected[..., other], rtol=1e-5, atol=1e-6
    )
    assert not f.requires_grad
    assert not chosen.requires_grad


@pytest.mark.parametrize("normalize", ["layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu", "gated"])
def test_activations_normalised_at_run_time(normalize, architecture, tiny, tiny_sae, tmp_path):
    options = {"normalize_activations": normalize}
    sae = tiny_sae(architecture, **options)
    assert sae.normalizes == normalize
    a = activations(tiny, sae.hook_in.name)
    expected = in_saelens(architecture, tmp_path, **options).encode(a).detach()
    assert torch.equal(sae.encode(a), expected)
    torch.testing.assert_close(
        sae.encode_chosen(a, LATENTS), expected[..., LATENTS], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("architecture", ["standard", "gated", "topk", "jumprelu"])
def test_decoder_bias_left_out_of_the_input(architecture, tiny, tiny_sae, tmp_path):
    sae = tiny_sae(architecture, apply_b_dec_to_input=False)
    a = activations(tiny, sae.hook_in.name)
    theirs = in_saelens(architecture, tmp_path, apply_b_dec_to_input=False)
    assert torch.equal(sae.encode(a), theirs.encode(a).detach())
    assert not torch.equal(sae.encode(a), tiny_sae(architecture).encode(a))


@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu", "gated"])
def test_attention_saes_take_flat_heads(architecture, tiny, tiny_sae, tmp_path):
    options = {"hook_name": "blocks.1.attn.hook_z"}
    sae = tiny_sae(architecture, **options)
    theirs = in_saelens(architecture, tmp_path, **options)
    assert theirs.hook_z_reshaping_mode
    a = activations(tiny, sae.hook_in.name)
    assert a.shape == (6, 32, 32)
    heads = a.unflatten(-1, (4, 8))
    expected = theirs.encode(heads).detach()
    for _ in range(2):  # reshaping is sticky in SAELens
        assert torch.equal(sae.encode(a), expected)
    torch.testing.assert_close(
        sae.encode_chosen(a, LATENTS), expected[..., LATENTS], rtol=1e-5, atol=1e-6
    )


def test_topk_is_not_sliced(tiny, tiny_sae):
    """A slice of a TopK encoder would let more latents through."""
    sae = tiny_sae("topk")
    assert not sae.encoder.sliceable
    a = activations(tiny, sae.hook_in.name)
    assert (sae.encode(a) > 0).sum(-1).max() <= 6
    half = torch.arange(24)
    assert torch.equal(sae.encode_chosen(a, half), sae.encode(a)[..., half])


def test_which_can_be_sliced(tiny_sae):
    for architecture in ARCHITECTURES:
        assert tiny_sae(architecture).encoder.sliceable == (architecture != "topk")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_read_moves_the_activation_by_as_much(architecture, tiny, tiny_sae):
    """Measured: a small step along anything changes a latent that stays active by step @ W_enc."""
    sae = tiny_sae(architecture)
    a = activations(tiny, sae.hook_in.name)[:, 1:]
    generator = torch.Generator().manual_seed(0)
    step = 1e-3 * torch.randn(a.shape, generator=generator)
    before, after = sae.encode(a), sae.encode(a + step)
    both = (before > 0) & (after > 0)
    assert both.sum() > 100
    expected = step @ sae.W_enc
    torch.testing.assert_close((after - before)[both], expected[both], rtol=2e-2, atol=2e-5)


def test_directions_are_in_units_of_the_activation(tiny, tiny_sae):
    """Of a TopK SAE that scales by decoder norms too, `f @ W_dec` is what it adds."""
    for options in ({}, {"rescale_acts_by_decoder_norm": True}):
        sae = tiny_sae("topk", **options)
        a = activations(tiny, sae.hook_in.name)
        f = sae.encode(a)
        torch.testing.assert_close(
            f @ sae.W_dec + sae.loaded.b_dec, sae.loaded.decode(f), atol=1e-5, rtol=1e-4
        )
        scale = sae.loaded.W_dec.norm(dim=-1) if options else 1.0
        before = (a - sae.loaded.b_dec) @ sae.W_enc + sae.loaded.b_enc * scale
        torch.testing.assert_close(before[f > 0], f[f > 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_says_what_it_is(architecture, tiny_sae):
    sae = tiny_sae(architecture)
    expected = "jumprelu" if architecture in TRAINING_ONLY else architecture
    assert sae.architecture == expected
    assert (sae.d_in, sae.d_sae, sae.d_out) == (32, 48, 32)
    assert sae.W_enc.shape == (32, 48)
    assert sae.W_dec.shape == (48, 32)
    assert sae.hook_in.name == "blocks.1.hook_resid_pre"
    assert sae.is_transcoder == ("transcoder" in architecture)
    written = "blocks.1.hook_mlp_out" if sae.is_transcoder else "blocks.1.hook_resid_pre"
    assert [hook.name for hook in sae.writes] == [written]
    assert (sae.context_size, sae.prepend_bos, sae.separator) == (32, True, "bos")
    assert (sae.model_name, sae.wrapper, sae.model_kwargs) == ("tiny", "auto", {})
    assert sae.neuronpedia_id is None
    json.dumps(sae.provenance)


@pytest.mark.filterwarnings("ignore:\\nThis SAE has non-empty")
def test_metadata_is_honoured(tmp_path):
    described = {
        "prepend_bos": False,
        "sequence_separator_token": "eos",
        "model_from_pretrained_kwargs": {"center_writing_weights": True},
        "model_class_name": "AutoModelForCausalLM",
        "neuronpedia_id": "tiny/1-res",
        "dataset_path": "/home/someone/data/corpus",
        "hook_name": "model.layers.1",
    }
    sae = load_sae(SaeSource(path=str(save_sae(tmp_path / "sae", metadata=described))))
    assert (sae.prepend_bos, sae.separator, sae.wrapper) == (False, "eos", "TransformerBridge")
    assert sae.model_kwargs == {"center_writing_weights": True}
    assert sae.neuronpedia_id == "tiny/1-res"
    assert sae.metadata["dataset_path"] == "corpus"
    assert (sae.hook_in.name, sae.hook_in.kind) == ("model.layers.1", "resid")
    assert "someone" not in json.dumps(sae.provenance)


def test_gemma_scope_2_transcoders_read_after_the_norm(tmp_path):
    described = {
        "hook_name": "blocks.1.hook_mlp_in",
        "hf_hook_name": "model.layers.1.pre_feedforward_layernorm.output",
    }
    folder = save_sae(tmp_path / "sae", "jumprelu_transcoder", metadata=described)
    sae = load_sae(SaeSource(path=str(folder)))
    assert sae.hook_in.name == "blocks.1.mlp.hook_in"


def test_half_precision_on_disk(tmp_path, tiny):
    folder = save_sae(tmp_path / "sae", "jumprelu")
    weights = load_file(folder / "sae_weights.safetensors")
    save_file({k: w.half() for k, w in weights.items()}, folder / "sae_weights.safetensors")
    sae = load_sae(SaeSource(path=str(folder)))
    assert sae.W_enc.dtype == torch.float32
    assert torch.equal(sae.W_enc, weights["W_enc"].half().float())
    assert sae.encode(activations(tiny, sae.hook_in.name)).dtype == torch.float32
    sae = load_sae(SaeSource(path=str(folder)), dtype=torch.bfloat16)
    assert sae.encode(activations(tiny, sae.hook_in.name)).dtype == torch.bfloat16


def test_hash_is_of_the_weights(tmp_path):
    one = load_sae(SaeSource(path=str(save_sae(tmp_path / "one"))))
    same = load_sae(SaeSource(path=str(save_sae(tmp_path / "two"))))
    other = load_sae(SaeSource(path=str(save_sae(tmp_path / "three", seed=1))))
    assert one.weights_sha256 == same.weights_sha256 != other.weights_sha256
    assert one.slug != same.slug


def test_slugs():
    sources = [
        SaeSource("gpt2-small-res-jb", "blocks.8.hook_resid_pre"),
        SaeSource("gemma-scope-2b-pt-res", "layer_12/width_16k/average_l0_82"),
        SaeSource("Owner/My SAEs", "Ü/x"),
        SaeSource(path="/a/Layer 8!"),
        SaeSource(path="/b/layer-8"),
        SaeSource(path="/c/layer-8"),
    ]
    assert source_slugs(sources) == [
        "gpt2-small-res-jb-blocks.8.hook_resid_pre",
        "gemma-scope-2b-pt-res-layer_12-width_16k-average_l0_82",
        "owner-my-saes-x",
        "layer-8",
        "layer-8-2",
        "layer-8-3",
    ]


def test_sources_are_complete():
    for bad in (
        {},
        {"release": "x"},
        {"sae_id": "y"},
        {"release": "x", "sae_id": "y", "path": "z"},
    ):
        with pytest.raises(SaereportError, match="a release and an id, or by a directory"):
            SaeSource(**bad)


# Bad input.


def test_fits_its_model(tiny, tiny_sae):
    for architecture in ("standard", "transcoder"):
        check_fit(tiny_sae(architecture), tiny)
    check_fit(tiny_sae(hook_name="blocks.2.attn.hook_z"), tiny)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"d_in": 24}, r"reads 24 numbers at 'blocks.1.hook_resid_pre', but tiny has 32 there"),
        ({"hook_name": "blocks.7.hook_resid_pre"}, "it has 3 layers"),
        ({"hook_name": "blocks.1.attn.hook_z", "d_in": 8}, "reads 8 numbers"),
    ],
)
def test_does_not_fit_its_model(options, said, tiny, tiny_sae):
    with pytest.raises(SaereportError, match=said):
        check_fit(tiny_sae(**options), tiny)


def test_transcoder_that_writes_another_width(tiny, tiny_sae):
    with pytest.raises(SaereportError, match=r"writes 16 numbers at 'blocks.1.hook_mlp_out'"):
        check_fit(tiny_sae("transcoder", d_out=16), tiny)


def rewrite(folder, **changes):
    file = folder / "cfg.json"
    cfg = json.loads(file.read_text())
    for key, value in changes.items():
        if key == "metadata":
            cfg["metadata"].update(value)
        else:
            cfg[key] = value
    file.write_text(json.dumps(cfg))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: shutil.rmtree(f), "There is no SAE directory at"),
        (lambda f: (f / "cfg.json").unlink(), "cfg.json is missing"),
        (lambda f: (f / "sae_weights.safetensors").unlink(), "sae_weights.safetensors is missing"),
        (lambda f: (f / "cfg.json").write_text("{"), "sae/cfg.json: not JSON"),
        (lambda f: (f / "cfg.json").write_text("[]"), "sae/cfg.json is not a JSON object"),
        (lambda f: (f / "sae_weights.safetensors").write_bytes(b"x" * 99), "damaged or cut"),
        (lambda f: rewrite(f, architecture="standrad"), "Did you mean 'standard'?"),
        (lambda f: rewrite(f, architecture="gated"), "lacks the tensor b_gate"),
        (lambda f: rewrite(f, d_sae=7), "do not belong together"),
        (lambda f: rewrite(f, metadata={"hook_name": None}), "names no hook point"),
        (lambda f: rewrite(f, metadata={"hook_name": "blocks.0.hook_x"}), "is not a hook point"),
        (lambda f: rewrite(f, metadata={"hook_head_index": 2}), "one attention head only"),
    ],
)
def test_damaged_directories(damage, said, tmp_path):
    folder = save_sae(tmp_path / "sae")
    damage(folder)
    with pytest.raises(SaereportError) as caught:
        load_sae(SaeSource(path=str(folder)))
    assert said in str(caught.value)


def test_directory_of_saes(tmp_path):
    save_sae(tmp_path / "inner")
    with pytest.raises(SaereportError, match="There are SAEs inside it: inner"):
        load_sae(SaeSource(path=str(tmp_path)))


def test_transcoder_without_an_output(tmp_path):
    folder = save_sae(tmp_path / "sae", "transcoder")
    rewrite(folder, metadata={"hook_name_out": None})
    with pytest.raises(SaereportError, match="hook_name_out"):
        load_sae(SaeSource(path=str(folder)))
