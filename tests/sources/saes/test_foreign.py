"""Folders of dictionary_learning and sparsify, from the door to the latents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from saereport.sources.folders import look_at_sae
from saereport.sources.saes.foreign import saes_inside
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError

D, N, K = 12, 40, 5


def weights(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return {"W": noise(N, D), "b": 0.3 * noise(N), "W_dec": noise(N, D), "b_dec": noise(D)}


def dictionary_learning(folder: Path, kind: str = "AutoEncoderTopK", **changes: Any) -> Path:
    """A folder as the library dictionary_learning saves one."""
    folder.mkdir(parents=True)
    w = weights()
    trainer = {
        "dict_class": kind,
        "activation_dim": D,
        "dict_size": N,
        "layer": 3,
        "lm_name": "EleutherAI/pythia-70m-deduped",
        "submodule_name": "resid_post_layer_3",
        "k": K,
        **changes,
    }
    (folder / "config.json").write_text(
        json.dumps({"trainer": trainer, "buffer": {"ctx_len": 128}})
    )
    tensors = {"encoder.weight": w["W"], "decoder.weight": w["W_dec"].T.contiguous()}
    if kind == "GatedAutoEncoder":
        tensors |= {"gate_bias": w["b"], "mag_bias": w["b"] + 0.5, "r_mag": 0.2 * w["b"]}
        tensors["decoder_bias"] = w["b_dec"]
    elif kind == "AutoEncoder":
        tensors |= {"encoder.bias": w["b"], "bias": w["b_dec"]}
    else:
        tensors |= {"encoder.bias": w["b"], "b_dec": w["b_dec"]}
        tensors |= {"k": torch.tensor(K), "threshold": torch.tensor(0.8)}
    torch.save(tensors, folder / "ae.pt")
    return folder


def sparsify(folder: Path, **changes: Any) -> Path:
    """A folder as sparsify saves one, with the training's configuration beside it."""
    folder.mkdir(parents=True)
    w = weights()
    cfg = {
        "activation": "topk",
        "expansion_factor": 32,
        "normalize_decoder": True,
        "num_latents": N,
        "k": K,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": D,
        **changes,
    }
    (folder / "cfg.json").write_text(json.dumps(cfg))
    (folder.parent / "config.json").write_text(json.dumps({"model": "EleutherAI/pythia-70m"}))
    tensors = {"encoder.weight": w["W"], "encoder.bias": w["b"], "W_dec": w["W_dec"]}
    save_file({**tensors, "b_dec": w["b_dec"]}, folder / "sae.safetensors")
    return folder


def activations() -> Tensor:
    return torch.randn(9, D, generator=torch.Generator().manual_seed(5))


def loaded(folder: Path) -> Sae:
    return load_sae(SaeSource(path=str(folder)))


def by_size(z: Tensor) -> Tensor:
    kept = z.relu().topk(K, dim=-1)
    return torch.zeros_like(z).scatter(-1, kept.indices, kept.values)


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [
        ("AutoEncoder", "standard"),
        ("AutoEncoderTopK", "topk"),
        ("BatchTopKSAE", "jumprelu"),
        ("GatedAutoEncoder", "gated"),
    ],
)
def test_dictionary_learning(kind: str, architecture: str, tmp_path: Path) -> None:
    """Latents and reconstruction are those of the library's own formulas."""
    folder = dictionary_learning(tmp_path / "resid_post_layer_3" / "trainer_0", kind)
    facts = look_at_sae(folder, "slug")
    assert (facts.d_sae, facts.hook_in and facts.hook_in.name) == (N, "blocks.3.hook_resid_post")
    assert facts.model_name == "EleutherAI/pythia-70m-deduped"
    sae = loaded(folder)
    assert (sae.architecture, sae.d_in, sae.d_sae) == (architecture, D, N)
    assert sae.hook_in.name == "blocks.3.hook_resid_post"
    assert sae.model_name == "EleutherAI/pythia-70m-deduped"
    assert sae.context_size == 128
    w, a = weights(), activations()
    z = (a - w["b_dec"]) @ w["W"].T + w["b"]
    if kind == "GatedAutoEncoder":
        pre = (a - w["b_dec"]) @ w["W"].T
        size = pre * (0.2 * w["b"]).exp() + w["b"] + 0.5
        expected = size.relu() * (pre + w["b"] > 0)
    elif kind == "AutoEncoderTopK":
        expected = by_size(z)
    elif kind == "BatchTopKSAE":
        expected = z.relu() * (z > 0.8)
    else:
        expected = z.relu()
    torch.testing.assert_close(sae.encode(a), expected)
    torch.testing.assert_close(
        sae.reconstruct(a), expected @ w["W_dec"] + w["b_dec"], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("normalized", [True, False])
def test_sparsify(normalized: bool, tmp_path: Path) -> None:
    """The decoder's bias is taken off the input, whether or not its rows are of unit length."""
    folder = sparsify(tmp_path / "layers.2", normalize_decoder=normalized)
    facts = look_at_sae(folder, "slug")
    assert (facts.d_sae, facts.model_name) == (N, "EleutherAI/pythia-70m")
    sae = loaded(folder)
    assert (sae.architecture, sae.hook_in.name) == ("topk", "blocks.2.hook_resid_post")
    assert sae.model_name == "EleutherAI/pythia-70m"
    assert sae.stated == {"k": K}
    w, a = weights(), activations()
    expected = by_size((a - w["b_dec"]) @ w["W"].T + w["b"])
    torch.testing.assert_close(sae.encode(a), expected)
    torch.testing.assert_close(
        sae.reconstruct(a), expected @ w["W_dec"] + w["b_dec"], atol=1e-4, rtol=1e-4
    )


def test_sparsify_with_signs(tmp_path: Path) -> None:
    """The k largest by size, each sign a latent of its own."""
    folder = sparsify(tmp_path / "layers.2", signed=True)
    assert look_at_sae(folder, "slug").d_sae == 2 * N
    sae = loaded(folder)
    w, a = weights(), activations()
    z = (a - w["b_dec"]) @ w["W"].T + w["b"]
    kept = z.abs().topk(K, dim=-1).indices
    expected = torch.zeros_like(z).scatter(-1, kept, z.gather(-1, kept))
    torch.testing.assert_close(sae.encode(a), torch.cat([expected.relu(), (-expected).relu()], 1))
    torch.testing.assert_close(
        sae.reconstruct(a), expected @ w["W_dec"] + w["b_dec"], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("folder", "hook"),
    [
        ("layers.2.mlp", "layers.2.mlp"),
        ("layers_4", "blocks.4.hook_resid_post"),
        ("h.7", "blocks.7.hook_resid_post"),
        ("embed_tokens", "hook_embed"),
    ],
)
def test_where_sparsify_reads(folder: str, hook: str, tmp_path: Path) -> None:
    sae = loaded(sparsify(tmp_path / folder))
    assert sae.hook_in.name == hook


def test_a_pickle_that_holds_code_is_refused(tmp_path: Path) -> None:
    """At the door, without torch, and by the loader, whatever the environment allows."""
    folder = dictionary_learning(tmp_path / "trainer_0")
    trace = tmp_path / "ran"

    class Call:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {trace}",)

    torch.save({"encoder.weight": torch.zeros(N, D), "x": Call()}, folder / "ae.pt")
    with pytest.raises(SaereportError, match=r"asks for '\w+\.system' to be run") as caught:
        look_at_sae(folder, "slug")
    assert "\n" not in str(caught.value)
    with pytest.raises(SaereportError, match="asks for"):
        loaded(folder)
    assert not trace.exists()


def test_the_loader_runs_no_code_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from saereport.sources.saes.converting import weights_only

    trace = tmp_path / "ran"

    class Call:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {trace}",)

    torch.save({"x": Call()}, tmp_path / "ae.pt")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with weights_only(), pytest.raises(Exception, match=r"[Ww]eights"):
        torch.load(tmp_path / "ae.pt")
    assert not trace.exists()
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


@pytest.mark.parametrize(
    ("make", "changes", "said"),
    [
        (dictionary_learning, {"dict_class": "CrossCoder"}, "reads as another one"),
        (dictionary_learning, {"dict_class": "BatchTopKSAEs"}, "Did you mean 'BatchTopKSAE'"),
        (dictionary_learning, {"submodule_name": "mlp_out"}, "trained at 'mlp_out'"),
        (dictionary_learning, {"dict_size": "many"}, "says dict_size many"),
        (dictionary_learning, {"dict_size": 41}, "The two files do not belong together"),
        (dictionary_learning, {"layer": -1}, "says layer -1"),
        (sparsify, {"transcode": True}, "a TopK transcoder"),
        (sparsify, {"skip_connection": True}, "skip connection"),
        (sparsify, {"activation": "groupmax"}, "names the activation 'groupmax'"),
        (sparsify, {"num_latents": 41}, "The two files do not belong together"),
        (sparsify, {"k": 0}, "says k 0"),
        (sparsify, {"k": N + 1}, "k 41, more than its 40 latents"),
        (sparsify, {"num_latents": "40"}, "says num_latents 40"),
        (sparsify, {"num_latents": [N]}, "says num_latents [40]"),
        (sparsify, {"num_latents": 0, "expansion_factor": 1.5}, "says expansion_factor 1.5"),
        (dictionary_learning, {"k": N + 1}, "k 41, more than its 40 latents"),
        (dictionary_learning, {"k": 2.5}, "says k 2.5"),
        (dictionary_learning, {"lm_name": None}, "which model it was trained on"),
    ],
)
def test_what_would_be_read_as_something_else_is_refused(
    make: Any, changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folder = make(tmp_path / "layers.1", **changes)
    for attempt in (
        lambda: look_at_sae(folder, "s"),
        lambda: loaded(folder),
    ):
        with pytest.raises(SaereportError) as caught:
            attempt()
        assert said in str(caught.value)


def test_damaged_and_misnamed_files(tmp_path: Path) -> None:
    folder = dictionary_learning(tmp_path / "trainer_0")
    whole = (folder / "ae.pt").read_bytes()
    (folder / "ae.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SaereportError, match="damaged or cut short"):
        look_at_sae(folder, "s")
    folder = sparsify(tmp_path / "somewhere")
    with pytest.raises(SaereportError, match=r"Name it layers\.N"):
        look_at_sae(folder, "s")


def test_a_folder_of_several_says_what_is_inside(tmp_path: Path) -> None:
    for layer in (10, 9):
        for trainer in (0, 1, 11, 2):
            dictionary_learning(tmp_path / f"resid_post_layer_{layer}" / f"trainer_{trainer}")
    names = saes_inside(tmp_path)
    assert names[:3] == [f"resid_post_layer_9/trainer_{n}" for n in (0, 1, 2)]
    assert len(names) == 8
    with pytest.raises(SaereportError) as caught:
        look_at_sae(tmp_path, "s")
    assert "resid_post_layer_9/trainer_0, " in str(caught.value)
    assert "and 3 more" in str(caught.value)


def test_the_door_loads_no_torch(tmp_path: Path) -> None:
    dictionary_learning(tmp_path / "trainer_0")
    sparsify(tmp_path / "layers.3")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from saereport.sources.folders import look_at_sae\n"
        f"for name in ('trainer_0', 'layers.3'):\n"
        f"    look_at_sae(Path({str(tmp_path)!r}) / name, 's')\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
