"""Small models and SAEs with random weights, in the real libraries' own classes and formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

ARCHITECTURES = (
    "standard",
    "gated",
    "topk",
    "jumprelu",
    "batchtopk",
    "matryoshka_batchtopk",
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
)
"""Every architecture that the package supports, by SAELens's name."""

TRAINING_ONLY = ("batchtopk", "matryoshka_batchtopk")
"""Architectures that SAELens saves as JumpReLU SAEs for use."""


BOS, EOS = 0, 1
"""The special tokens of `word_tokenizer`."""


def word_tokenizer(size: int = 100) -> Any:
    """A Hugging Face fast tokeniser whose tokens are the words `w2` to `w99`, after BOS and EOS."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<bos>": BOS, "<eos>": EOS, **{f"w{i}": i for i in range(2, size)}}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="w2"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>", pad_token="<eos>"
    )


def tiny_config(**changes: Any) -> Any:
    """The configuration of a GPT-2-like model: 3 layers, 32 wide, 4 heads of 8."""
    from transformer_lens import HookedTransformerConfig

    settings = {
        "n_layers": 3,
        "d_model": 32,
        "n_ctx": 64,
        "d_head": 8,
        "n_heads": 4,
        "d_mlp": 64,
        "d_vocab": 100,
        "act_fn": "gelu_new",
        "normalization_type": "LN",
        "seed": 0,
        "device": "cpu",
    }
    return HookedTransformerConfig(**{**settings, **changes})


def tiny_hooked(**changes: Any) -> Any:
    """A `HookedTransformer` with random weights; norms and biases are random too."""
    from transformer_lens import HookedTransformer

    model = HookedTransformer(tiny_config(**changes), move_to_device=False)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith(".w"):
                weight.copy_(1 + 0.2 * noise)
            elif weight.ndim == 1 or ".b_" in name or name.endswith("b_U"):
                weight.copy_(0.1 * noise)
            else:
                weight.copy_(0.3 * noise)
    return model.eval()


def tiny_model(**changes: Any) -> Any:
    """A `LanguageModel` over `tiny_hooked`, with `word_tokenizer`."""
    from saereport.sources.models import HookedModel

    model = tiny_hooked(**changes)
    model.tokenizer = word_tokenizer(model.cfg.d_vocab)
    device = torch.device(model.cfg.device)
    return HookedModel(model, name="tiny", device=device, dtype=torch.float32)


def tiny_tokens(n: int = 6, length: int = 32, seed: int = 0) -> torch.Tensor:
    """Random tokens `[n, length]` that begin with BOS and hold no other special token."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2, 100, (n, length), generator=generator)
    tokens[:, 0] = BOS
    return tokens


def make_sae(
    architecture: str = "standard",
    *,
    d_in: int = 32,
    d_sae: int = 48,
    d_out: int | None = None,
    hook_name: str = "blocks.1.hook_resid_pre",
    hook_name_out: str | None = None,
    seed: int = 0,
    k: int = 6,
    metadata: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    """SAELens's own object of an architecture, with random weights and sparse activations.

    For `TRAINING_ONLY` architectures this is a training SAE.
    """
    from sae_lens.registry import SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY
    from sae_lens.saes.sae import SAEMetadata

    training = architecture in TRAINING_ONLY
    registry = SAE_TRAINING_CLASS_REGISTRY if training else SAE_CLASS_REGISTRY
    sae_class, config_class = registry[architecture]
    described: dict[str, Any] = {
        "model_name": "tiny",
        "hook_name": hook_name,
        "context_size": 32,
        "prepend_bos": True,
        "model_class_name": "HookedTransformer",
        **(metadata or {}),
    }
    if "transcoder" in architecture:
        layer = hook_name.split(".")[1]
        described["hook_name_out"] = hook_name_out or f"blocks.{layer}.hook_mlp_out"
        settings = {"d_out": d_out or d_in, "apply_b_dec_to_input": False, **settings}
    if "topk" in architecture:
        settings = {"k": k, **settings}
    if architecture.startswith("matryoshka"):
        settings = {"matryoshka_widths": [d_sae // 3, d_sae], **settings}
    if hook_name.endswith("hook_z"):
        settings = {"reshape_activations": "hook_z", **settings}
    config = config_class(d_in=d_in, d_sae=d_sae, metadata=SAEMetadata(**described), **settings)
    sae = sae_class(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(sae.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if name == "threshold":
                weight.copy_(noise.abs() * 0.5)
            elif weight.ndim == 1:
                weight.copy_(0.2 * noise - (0.5 if name in ("b_enc", "b_gate") else 0.0))
            else:
                weight.copy_(noise / weight.shape[0] ** 0.5)
        if training:
            sae.topk_threshold.fill_(0.7)
    return sae.eval()


def save_sae(folder: Path, architecture: str = "standard", **options: Any) -> Path:
    """Save `make_sae(...)` in SAELens's format; the folder is given back."""
    make_sae(architecture, **options).save_model(folder)
    return folder
