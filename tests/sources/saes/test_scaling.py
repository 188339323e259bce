"""Checkpoints whose weights act on scaled or whitened activations."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.factories import make_sae, save_sae

TRAINED = ("standard", "gated", "topk", "jumprelu", "batchtopk", "matryoshka_batchtopk")
FACTOR = 0.2


def training_sae(architecture, normalize, **options):
    """SAELens's training object with the weights of `make_sae`, as its trainer holds it."""
    from sae_lens.registry import SAE_TRAINING_CLASS_REGISTRY

    plain = make_sae(architecture, **options)
    sae_class, config_class = SAE_TRAINING_CLASS_REGISTRY[architecture]
    settings = {"k": 6} if "topk" in architecture else {}
    if architecture.startswith("matryoshka"):
        settings["matryoshka_widths"] = [16, 48]
    if "topk" in architecture:
        settings["rescale_acts_by_decoder_norm"] = options.get("rescale_acts_by_decoder_norm", True)
    sae = sae_class(
        config_class(
            d_in=32,
            d_sae=48,
            normalize_activations=normalize,
            metadata=plain.cfg.metadata,
            apply_b_dec_to_input=options.get("apply_b_dec_to_input", True),
            **settings,
        )
    )
    sae.load_state_dict(plain.state_dict())
    return sae.eval()


def whitening(d_in=32):
    from sae_lens.training.activation_scaler import ActivationWhitening

    generator = torch.Generator().manual_seed(5)
    turn = torch.linalg.qr(torch.randn(d_in, d_in, generator=generator, dtype=torch.float64)).Q
    size = torch.linspace(0.3, 3, d_in, dtype=torch.float64)
    mean = torch.randn(d_in, generator=generator, dtype=torch.float64)
    return ActivationWhitening(mean, turn / size, size[:, None] * turn.T)


def checkpoint(folder, architecture, normalize, **options):
    """What `SAETrainer.save_checkpoint` writes, the training SAE, and its scaler."""
    from sae_lens.training.activation_scaler import ActivationScaler

    sae = training_sae(architecture, normalize, **options)
    sae.save_model(folder)
    whitened = normalize == "covariance_whitening"
    scaler = ActivationScaler(None if whitened else FACTOR, whitening() if whitened else None)
    scaler.save(str(folder / "activation_scaler.json"))
    return sae, scaler


def raw_activations():
    generator = torch.Generator().manual_seed(9)
    return 4 * torch.randn(40, 32, generator=generator) + 0.5


def as_trained(sae, acts):
    """Latents and output of a training SAE as its trained threshold makes them for use."""
    if not hasattr(sae, "topk_threshold"):
        f = sae.encode(acts)
        f = f.to_dense() if f.is_sparse else f
        return f, sae.decode(f)
    x = sae.process_sae_in(acts)
    pre = x @ sae.W_enc + sae.b_enc
    if sae.cfg.rescale_acts_by_decoder_norm:
        pre = pre * sae.W_dec.norm(dim=-1)
    f = pre.relu() * (pre > sae.topk_threshold.to(pre.dtype))
    return f, sae.decode(f)


@pytest.mark.parametrize("normalize", ["expected_average_only_in", "covariance_whitening"])
@pytest.mark.parametrize("with_b_dec", [True, False])
@pytest.mark.parametrize("architecture", TRAINED)
def test_a_checkpoint_on_raw_activations_is_the_trained_sae(
    architecture, with_b_dec, normalize, tmp_path
):
    trained, scaler = checkpoint(
        tmp_path / "sae", architecture, normalize, apply_b_dec_to_input=with_b_dec
    )
    with torch.no_grad():
        a = raw_activations()
        f, out = as_trained(trained, scaler.scale(a))
        expected = scaler.unscale(out)
    sae = load_sae(SaeSource(path=str(tmp_path / "sae")))
    found = sae.encode(a)
    assert 0 < (found > 0).float().mean() < 0.6
    assert torch.equal(found > 0, f > 0)
    torch.testing.assert_close(sae.loaded.decode(found), expected, atol=2e-4, rtol=2e-4)
    # What one unit of each latent adds, in the model's own units.
    torch.testing.assert_close(found @ sae.W_dec + sae.loaded.b_dec, expected, atol=2e-4, rtol=2e-4)
    # SAELens folds a factor so that TopK SAEs which scale by their decoder's norms have their
    # latents in other units than in training; BatchTopK SAEs are saved with the norms folded in.
    units = FACTOR if "topk" in architecture and normalize == "expected_average_only_in" else 1
    torch.testing.assert_close(found * units, f, atol=2e-4, rtol=2e-4)
    assert sae.normalizes is None
    assert sae.metadata["folded_on_loading"].startswith(normalize)


def test_half_precision_is_folded_before_it_is_rounded(tmp_path):
    checkpoint(tmp_path / "sae", "standard", "covariance_whitening")
    exact = load_sae(SaeSource(path=str(tmp_path / "sae")))
    rounded = load_sae(SaeSource(path=str(tmp_path / "sae")), dtype=torch.bfloat16)
    assert torch.equal(rounded.W_enc, exact.W_enc.to(torch.bfloat16))


@pytest.mark.parametrize("normalize", ["expected_average_only_in", "covariance_whitening"])
@pytest.mark.parametrize("architecture", ["standard", "batchtopk"])
def test_a_factor_that_is_not_there_is_asked_for(architecture, normalize, tmp_path):
    training_sae(architecture, normalize).save_model(tmp_path / "sae")
    with pytest.raises(SaereportError, match=r"Put SAELens's activation_\w+\.\w+ of the same"):
        load_sae(SaeSource(path=str(tmp_path / "sae")))


def test_a_transcoder_is_not_folded(tmp_path):
    save_sae(tmp_path / "sae", "transcoder", normalize_activations="expected_average_only_in")
    (tmp_path / "sae" / "activation_scaler.json").write_text('{"scaling_factor": 0.5}')
    with pytest.raises(SaereportError, match="it is not known what that means for its outputs"):
        load_sae(SaeSource(path=str(tmp_path / "sae")))


@pytest.mark.parametrize("factor", ["-1", "0", '"2"', "true", "[2]", "NaN", "1e999", "{"])
def test_what_is_no_factor(factor, tmp_path):
    save_sae(tmp_path / "sae", normalize_activations="expected_average_only_in")
    text = '{"scaling_factor": ' + factor + "}"
    (tmp_path / "sae" / "activation_scaler.json").write_text(text)
    with pytest.raises(SaereportError, match=r"sae/activation_scaler\.json"):
        load_sae(SaeSource(path=str(tmp_path / "sae")))


def damaged(tensors, kind):
    if kind == "width":
        tensors["matrix"] = tensors["matrix"][:16, :16].contiguous()
    elif kind == "nan":
        tensors["mean"][3] = torch.nan
    elif kind == "inverse":
        tensors["inverse_matrix"] = tensors["matrix"].clone()
    else:
        del tensors["mean"]
    return tensors


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("width", "not for 32 numbers"),
        ("nan", "NaN or infinite"),
        ("inverse", "not the inverse"),
        ("mean", "lacks the mean"),
    ],
)
def test_what_is_no_whitening(kind, said, tmp_path):
    checkpoint(tmp_path / "sae", "standard", "covariance_whitening")
    white = whitening()
    tensors = {"mean": white.mean, "matrix": white.matrix, "inverse_matrix": white.inverse_matrix}
    file = tmp_path / "sae" / "activation_whitening.safetensors"
    save_file(damaged({k: t.contiguous() for k, t in tensors.items()}, kind), file)
    with pytest.raises(SaereportError, match=said):
        load_sae(SaeSource(path=str(tmp_path / "sae")))
    file.write_bytes(b"nothing")
    with pytest.raises(SaereportError, match="is damaged"):
        load_sae(SaeSource(path=str(tmp_path / "sae")))


def test_files_that_disagree_are_told(tmp_path):
    save_sae(tmp_path / "sae")
    (tmp_path / "sae" / "activation_scaler.json").write_text('{"scaling_factor": 0.2}')
    (said,) = load_sae(SaeSource(path=str(tmp_path / "sae"))).said
    assert "the weights are taken as they are" in said.text
    assert said.sanity
    # A final model's file says that nothing is left to fold.
    (tmp_path / "sae" / "activation_scaler.json").write_text(
        json.dumps({"scaling_factor": None, "has_whitening": False})
    )
    assert load_sae(SaeSource(path=str(tmp_path / "sae"))).said == ()


def test_jumprelu_checkpoints_of_before_thresholds(tmp_path):
    """SAELens saved the threshold's logarithm in training."""
    from safetensors.torch import load_file

    save_sae(tmp_path / "sae", "jumprelu")
    expected = load_sae(SaeSource(path=str(tmp_path / "sae")))
    file = tmp_path / "sae" / "sae_weights.safetensors"
    weights = load_file(file)
    weights["log_threshold"] = weights.pop("threshold").log()
    save_file(weights, file)
    sae = load_sae(SaeSource(path=str(tmp_path / "sae")))
    torch.testing.assert_close(sae.loaded.threshold, expected.loaded.threshold)
