"""Language models of many families, tiny and with random weights, in Transformers' own classes.

What holds for the demo's family need not hold for another's: norms before, behind or beside the
sublayers, multipliers on the residual stream, positions that are learned, embeddings that are
scaled, normalised or projected. Every model here has gains far from one and biases far from zero,
so that one that is forgotten shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

_COMMON: dict[str, Any] = {
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
_GROUPED = {**_COMMON, "num_key_value_heads": 2}
_GPT = {
    "vocab_size": 257,
    "n_embd": 48,
    "n_layer": 3,
    "n_head": 6,
    "n_positions": 64,
    "bos_token_id": 256,
    "eos_token_id": 256,
}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 40}
_MIXED = {
    **_GROUPED,
    "head_dim": 16,
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), 8),
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
_GEMMA = {**_GROUPED, "head_dim": 16, "query_pre_attn_scalar": 16}

FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "apertus": ("apertus", _GROUPED),
    "arcee": ("arcee", _GROUPED),
    "bloom": (
        "bloom",
        {"vocab_size": 257, "hidden_size": 48, "n_layer": 3, "n_head": 6}
        | {"bos_token_id": 256, "eos_token_id": 256, "pad_token_id": 256},
    ),
    "codegen": ("codegen", {**_GPT, "rotary_dim": 4, "n_ctx": 64, "n_head": 4}),
    "cohere": ("cohere", {**_GROUPED, "logit_scale": 0.5}),
    "cohere2": ("cohere2", {**_GROUPED, "logit_scale": 0.5, "sliding_window": 32}),
    "ernie4_5": ("ernie4_5", _GROUPED),
    "exaone4": ("exaone4", {**_GROUPED, "sliding_window": 32, "sliding_window_pattern": 2}),
    "falcon": (
        "falcon",
        {**_COMMON, "num_kv_heads": 2, "new_decoder_architecture": True, "alibi": False}
        | {"ffn_hidden_size": 80},
    ),
    "falcon-7b": (
        "falcon",
        {**_COMMON, "multi_query": True, "parallel_attn": True, "bias": False}
        | {"ffn_hidden_size": 80},
    ),
    "falcon-rw": (
        "falcon",
        {**_COMMON, "multi_query": False, "parallel_attn": False, "bias": True, "alibi": True}
        | {"ffn_hidden_size": 80},
    ),
    "gemma": ("gemma", {**_GROUPED, "head_dim": 16}),
    "gemma2": ("gemma2", {**_GEMMA, "sliding_window": 32}),
    "gemma3": ("gemma3_text", {**_GEMMA, "sliding_window": 32}),
    "glm": ("glm", {**_GROUPED, "head_dim": 8, "partial_rotary_factor": 0.5}),
    "glm4": ("glm4", {**_GROUPED, "head_dim": 8, "partial_rotary_factor": 0.5}),
    "gpt2": ("gpt2", _GPT),
    "gpt_bigcode": ("gpt_bigcode", _GPT),
    "gpt_neo": (
        "gpt_neo",
        {**_COMMON, "num_layers": 3, "num_heads": 6, "window_size": 32}
        | {"attention_types": [[["global", "local", "global"], 1]]},
    ),
    "gpt_neox": ("gpt_neox", _COMMON),
    "gpt_neox-sequential": ("gpt_neox", {**_COMMON, "use_parallel_residual": False}),
    "gpt_oss": (
        "gpt_oss",
        {**_GROUPED, "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "gptj": ("gptj", {**_GPT, "rotary_dim": 4}),
    "granite": (
        "granite",
        {**_GROUPED, "residual_multiplier": 0.22, "embedding_multiplier": 12.0}
        | {"logits_scaling": 8.0, "attention_multiplier": 0.1},
    ),
    "granitemoe": (
        "granitemoe",
        {**_GROUPED, "residual_multiplier": 0.22, "embedding_multiplier": 12.0}
        | {"logits_scaling": 8.0, "attention_multiplier": 0.1}
        | {"num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "hunyuan": ("hunyuan_v1_dense", {**_GROUPED, "head_dim": 8}),
    "llama": ("llama", _GROUPED),
    "llama-biased": ("llama", {**_GROUPED, "attention_bias": True, "mlp_bias": True}),
    "mistral": ("mistral", {**_GROUPED, "sliding_window": 32}),
    "mixtral": ("mixtral", {**_GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "mpt": (
        "mpt",
        {"vocab_size": 257, "d_model": 48, "n_layers": 3, "n_heads": 6, "max_seq_len": 64}
        | {"expansion_ratio": 2, "bos_token_id": 256, "eos_token_id": 256},
    ),
    "nemotron": ("nemotron", {**_GROUPED, "partial_rotary_factor": 0.5, "head_dim": 8}),
    "olmo": ("olmo", _GROUPED),
    "olmo2": ("olmo2", _GROUPED),
    "olmo3": ("olmo3", {**_GROUPED, "sliding_window": 32}),
    "olmoe": ("olmoe", {**_GROUPED, "num_experts": 4, "num_experts_per_tok": 2}),
    "opt": (
        "opt",
        {**_COMMON, "ffn_dim": 80, "word_embed_proj_dim": 48},
    ),
    "opt-350m": (
        "opt",
        {**_COMMON, "ffn_dim": 80, "word_embed_proj_dim": 32, "do_layer_norm_before": False},
    ),
    "phi": ("phi", {**_COMMON, "partial_rotary_factor": 0.5}),
    "phi3": ("phi3", _GROUPED),
    "phimoe": (
        "phimoe",
        {**_GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2, "lm_head_bias": True},
    ),
    "qwen2": ("qwen2", _GROUPED),
    "qwen2_moe": (
        "qwen2_moe",
        {**_GROUPED, **_EXPERTS, "num_experts": 4, "shared_expert_intermediate_size": 40},
    ),
    "qwen3": ("qwen3", {**_GROUPED, "head_dim": 10}),
    "qwen3_moe": ("qwen3_moe", {**_GROUPED, **_EXPERTS, "head_dim": 10, "num_experts": 4}),
    "qwen3_5": ("qwen3_5_text", _MIXED),
    "qwen3_5_moe": (
        "qwen3_5_moe_text",
        {**_MIXED, **_EXPERTS, "num_experts": 4, "shared_expert_intermediate_size": 40},
    ),
    "seed_oss": ("seed_oss", {**_GROUPED, "head_dim": 8}),
    "smollm3": ("smollm3", _GROUPED),
    "stablelm": ("stablelm", {**_GROUPED, "partial_rotary_factor": 0.5}),
    "stablelm-parallel": (
        "stablelm",
        {**_GROUPED, "partial_rotary_factor": 0.5, "use_parallel_residual": True},
    ),
    "starcoder2": ("starcoder2", {**_GROUPED, "sliding_window": None}),
    "vaultgemma": ("vaultgemma", {**_GEMMA, "sliding_window": 32}),
    "xglm": (
        "xglm",
        {**_COMMON, "d_model": 48, "ffn_dim": 80, "num_layers": 3, "attention_heads": 6}
        | {"pad_token_id": 1},
    ),
}
"""By name: Transformers' `model_type` and the settings of its configuration."""

NOT_TAKEN: Mapping[str, str] = {
    "codegen": "TransformerLens's CodeGen attention lacks its position embeddings: no pass ends",
    "cohere": "TransformerLens computes other logits than Transformers",
    "cohere2": "TransformerLens computes other logits than Transformers",
    "falcon": "TransformerLens cannot split the grouped values of Falcon's new architecture",
    "hunyuan": "TransformerLens computes other logits than Transformers",
    "phimoe": "TransformerLens does not know the class that Transformers saves it as",
    "qwen3_5": "TransformerLens's linear attention asks for what Transformers' no longer has",
    "qwen3_5_moe": "TransformerLens's linear attention asks for what Transformers' no longer has",
}
"""Families that TransformerLens 3.9 does not load rightly with Transformers 5.24, and why."""

TAKEN = tuple(sorted(FAMILIES.keys() - NOT_TAKEN.keys()))
"""Families that can be read."""


def family_model(name: str, **changes: Any) -> Any:
    """A model of a family, `AutoModelForCausalLM`, with eager attention and random weights.

    Vectors (gains and biases) are moved by half a unit from where Transformers puts them, so a
    norm's gains lie about one (or zero, where they are stored as a distance) and far from it.

    Args:
        name: One of `FAMILIES`.
        changes: Settings of the configuration.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, settings = FAMILIES[name]
    config = AutoConfig.for_model(kind, **{**settings, **changes})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim == 1:
                weight.add_(0.5 * noise)
            else:
                weight.copy_(noise / weight.shape[-1] ** 0.5)
    return model.eval()


def save_family(folder: Path, name: str, **changes: Any) -> Path:
    """Save `family_model(...)` with a tokeniser of bytes; the folder is given back."""
    from tests.factories import byte_tokenizer

    family_model(name, **changes).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


class Families:
    """Folders of the families' models, each saved at its first use.

    Args:
        new_folder: Makes an empty folder for a name.
    """

    def __init__(self, new_folder: Callable[[str], Path]) -> None:
        self._new_folder = new_folder
        self._saved: dict[str, Path] = {}

    def __call__(self, name: str) -> Path:
        """The folder that holds the model of a family."""
        if name not in self._saved:
            self._saved[name] = save_family(self._new_folder(name), name)
        return self._saved[name]
