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


TURN, END, ROLES = 2, 3, ("user", "assistant", "system", "tool")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'system' and not loop.first %}"
    "{{ raise_exception('The system speaks first') }}{% endif %}"
    "<|turn|> {{ message.role }} {{ message.content }} <|end|>\n{% endfor %}"
)
"""The special tokens of `chat_tokenizer`, its words 4 to 7, and the template that writes them."""


def chat_tokenizer(template: str | None = CHAT_TEMPLATE) -> Any:
    """As `word_tokenizer`, of 100 tokens, with marks of turns, names of roles and a template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = {"<bos>": BOS, "<eos>": EOS, "<|turn|>": TURN, "<|end|>": END}
    words = {role: 4 + place for place, role in enumerate(ROLES)}
    words |= {f"w{i}": i for i in range(8, 100)}
    backend = Tokenizer(models.WordLevel({**special, **words}, unk_token="w8"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.decoder = decoders.Fuse()
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<eos>",
        additional_special_tokens=["<|turn|>", "<|end|>"],
    )
    made.chat_template = template
    return made


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


def byte_tokenizer() -> Any:
    """GPT-2's kind of tokeniser with bytes as its only tokens, and `<|endoftext|>`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2TokenizerFast

    from saereport.util.byte_alphabet import byte_alphabet

    vocabulary = {character: place for place, character in enumerate(sorted(byte_alphabet()))}
    vocabulary["<|endoftext|>"] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return GPT2TokenizerFast(
        tokenizer_object=backend,
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        unk_token="<|endoftext|>",
    )


def hf_model(kind: str, **changes: Any) -> Any:
    """A small Hugging Face model with random weights, norms and biases included.

    Args:
        kind: `gpt2`, `llama` (grouped queries), `neox` (parallel blocks) or `gemma2` (offset
            norm weights, norms after the sublayers, scaled embedding).
        changes: Settings of the configuration.
    """
    import transformers

    torch.manual_seed(0)
    if kind == "gpt2":
        settings: dict[str, Any] = {"n_embd": 48, "n_layer": 3, "n_head": 6, "n_positions": 64}
        settings = {"vocab_size": 257, "bos_token_id": 256, "eos_token_id": 256, **settings}
        config = transformers.GPT2Config(**{**settings, **changes})
        model = transformers.GPT2LMHeadModel(config)
    else:
        settings = {
            "vocab_size": 257,
            "hidden_size": 48,
            "intermediate_size": 80,
            "num_hidden_layers": 3,
            "num_attention_heads": 6,
            "max_position_embeddings": 64,
            "bos_token_id": 256,
            "eos_token_id": 256,
            "pad_token_id": 256,
        }
        if kind == "llama":
            settings |= {"num_key_value_heads": 2, "tie_word_embeddings": True}
            config = transformers.LlamaConfig(**{**settings, **changes})
            model = transformers.LlamaForCausalLM(config)
        elif kind == "neox":
            config = transformers.GPTNeoXConfig(**{**settings, **changes})
            model = transformers.GPTNeoXForCausalLM(config)
        elif kind == "gemma2":
            settings |= {"num_key_value_heads": 2, "head_dim": 16, "query_pre_attn_scalar": 16}
            config = transformers.Gemma2Config(**{**settings, **changes})
            model = transformers.Gemma2ForCausalLM(config)
        else:
            raise ValueError(kind)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if weight.ndim == 1:
                plain = 1.0 if "norm" in name or "ln_" in name else 0.0
                plain = 0.0 if name.endswith("bias") or kind == "gemma2" else plain
                weight.copy_(plain + 0.1 * torch.randn(weight.shape))
            else:
                weight.copy_(torch.randn(weight.shape) / weight.shape[-1] ** 0.5)
    return model.eval()


def save_hf_model(folder: Path, kind: str, **changes: Any) -> Path:
    """Save `hf_model(...)` with `byte_tokenizer()`; the folder is given back."""
    hf_model(kind, **changes).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


GPT2_WIDTH, GPT2_HEADS, GPT2_LATENTS = 96, 12, 384
"""The size of what `hub_cache` holds: GPT-2 at an eighth of its width."""


def hub_cache(folder: Path) -> dict[str, str]:
    """Fill a Hugging Face home with GPT-2-shaped random weights, in the real files' formats.

    It holds the model `gpt2` (12 layers, `GPT2_WIDTH` wide, a byte vocabulary), the SAE
    `blocks.8.hook_resid_pre` of the release `gpt2-small-res-jb`, and `blocks.8.hook_z` of
    `gpt2-small-hook-z-kk`.

    Returns:
        The environment in which libraries find these, and do not ask the network.
    """
    import json

    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
    from safetensors.torch import save_file

    def snapshot(repo: str) -> Path:
        commit = "0123456789abcdef" * 2 + "01234567"
        place = folder / "hub" / f"models--{repo.replace('/', '--')}"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text(commit)
        (place / "snapshots" / commit).mkdir(parents=True)
        return place / "snapshots" / commit

    shape = {"n_embd": GPT2_WIDTH, "n_layer": 12, "n_head": GPT2_HEADS, "n_positions": 128}
    save_hf_model(snapshot("gpt2"), "gpt2", **shape)
    hf_config = next(folder.glob("hub/models--gpt2/snapshots/*/config.json"))
    settings = json.loads(hf_config.read_text())
    settings["n_ctx"] = settings["n_positions"]  # as in the real one
    hf_config.write_text(json.dumps(settings))

    directory = get_pretrained_saes_directory()
    weights = make_sae("standard", d_in=GPT2_WIDTH, d_sae=GPT2_LATENTS).state_dict()
    release = directory["gpt2-small-res-jb"]
    place = snapshot(release.repo_id) / release.saes_map["blocks.8.hook_resid_pre"]
    place.mkdir()
    save_file(weights, place / "sae_weights.safetensors")
    save_file({"sparsity": torch.full((GPT2_LATENTS,), -3.0)}, place / "sparsity.safetensors")
    # The keys that matter of the real file, which SAELens wrote before its version 1.
    config = {
        "model_name": "gpt2-small",
        "hook_point": "blocks.8.hook_resid_pre",
        "hook_point_layer": 8,
        "hook_point_head_index": None,
        "dataset_path": "Skylion007/openwebtext",
        "is_dataset_tokenized": False,
        "context_size": 64,
        "d_in": GPT2_WIDTH,
        "device": "mps",
        "seed": 42,
        "dtype": "torch.float32",
        "b_dec_init_method": "geometric_median",
        "expansion_factor": GPT2_LATENTS // GPT2_WIDTH,
        "from_pretrained_path": None,
        "d_sae": GPT2_LATENTS,
    }
    (place / "cfg.json").write_text(json.dumps(config))

    release = directory["gpt2-small-hook-z-kk"]
    path = release.saes_map["blocks.8.hook_z"]
    place = snapshot(release.repo_id)
    torch.save(weights, place / path)
    config = {
        "act_size": GPT2_WIDTH,
        "dict_size": GPT2_LATENTS,
        "act_name": "blocks.8.attn.hook_z",
    }
    (place / path.replace(".pt", "_cfg.json")).write_text(json.dumps(config))
    return {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "hub")}


def save_clt(
    folder: Path,
    *,
    n_layers: int = 3,
    d_model: int = 32,
    d_sae: int = 24,
    threshold: bool = False,
    reads: str = "hook_resid_mid",
    dtype: torch.dtype = torch.float32,
) -> Path:
    """A cross-layer transcoder with random weights, in circuit-tracer's files; gives the folder."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        "model_name: tiny\n"
        "model_kind: cross_layer_transcoder\n"
        f"feature_input_hook: {reads}\n"
        "feature_output_hook: hook_mlp_out\n"
        "scan: tiny-clt\n"
    )
    generator = torch.Generator().manual_seed(7)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    for layer in range(n_layers):
        encoder = {
            f"W_enc_{layer}": noise(d_sae, d_model) / d_model**0.5,
            f"b_enc_{layer}": 0.2 * noise(d_sae) - 0.3,
            f"b_dec_{layer}": 0.1 * noise(d_model),
        }
        if threshold:
            encoder[f"threshold_{layer}"] = 0.3 * noise(d_sae).abs()
        save_file(encoder, folder / f"W_enc_{layer}.safetensors")
        decoder = {f"W_dec_{layer}": noise(d_sae, n_layers - layer, d_model) / d_sae**0.5}
        save_file(decoder, folder / f"W_dec_{layer}.safetensors")
    return folder


def save_transcoder_set(folder: Path, *, n_layers: int = 3, skip: bool = False) -> Path:
    """A set of per-layer transcoders in circuit-tracer's files, 32 wide, 24 latents a layer."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        "model_name: tiny\n"
        "model_kind: transcoder_set\n"
        "feature_input_hook: mlp.hook_in\n"
        "feature_output_hook: hook_mlp_out\n"
    )
    generator = torch.Generator().manual_seed(8)
    for layer in range(n_layers):
        shapes = {"W_enc": (24, 32), "W_dec": (24, 32), "b_enc": (24,), "b_dec": (32,)}
        if skip:
            shapes["W_skip"] = (32, 32)
        tensors = {
            name: 0.2 * torch.randn(shape, generator=generator) for name, shape in shapes.items()
        }
        save_file(tensors, folder / f"layer_{layer}.safetensors")
    return folder


def save_gemma_scope_set(
    folder: Path, *, cross: bool, n_layers: int = 3, dtype: torch.dtype = torch.float32
) -> Path:
    """Layers in the spelling of Gemma Scope 2, a file each, with an affine skip connection."""
    from safetensors.torch import save_file

    (folder / "one").mkdir(parents=True)
    for layer in range(n_layers):
        places = (n_layers,) if cross else ()
        shapes = {
            "w_enc": (32, 24),
            "w_dec": (24, *places, 32),
            "b_enc": (24,),
            "b_dec": (32,),
            "threshold": (24,),
            "affine_skip_connection": (32, 32),
        }
        generator = torch.Generator().manual_seed(layer)
        tensors = {
            name: 0.2 * torch.randn(shape, generator=generator).to(dtype)
            for name, shape in shapes.items()
        }
        tensors["threshold"] = tensors["threshold"].abs()
        save_file(tensors, folder / "one" / f"params_layer_{layer}.safetensors")
    kind = "cross_layer_transcoder" if cross else "transcoder_set"
    files = ", ".join(f"one/params_layer_{layer}.safetensors" for layer in range(n_layers))
    (folder / "config.yaml").write_text(
        f"model_name: tiny\nmodel_kind: {kind}\nfeature_input_hook: hook_resid_mid\n"
        f"feature_output_hook: hook_mlp_out\ntranscoders: [{files}]\n"
    )
    return folder
