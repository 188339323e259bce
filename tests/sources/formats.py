"""Tiny files in the formats of published SAEs, one writer for each of SAELens's loaders.

What the files are called, how tensors are named and which way they lie is as in the real
repositories; only their sizes are not. Loaders that know the sizes of real models by heart are
told other ones through `config_overrides` of SAELens's own directory (`sizes`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save
from torch import Tensor

from saereport.sources.saes.families import Family

K = 6
"""Active latents of a TopK SAE."""

CONTEXT = 32


@dataclass(frozen=True)
class Site:
    """What a writer is told of a stand-in.

    Attributes:
        family: What is to be stood in for.
        entry: The release in SAELens's directory.
        model: The model that the files name.
        layer: Where it reads.
        width: Of the activations there.
        d_sae: How many latents.
    """

    family: Family
    entry: Any
    model: str
    layer: int
    width: int
    d_sae: int = 96

    @property
    def path(self) -> str:
        """Where the SAE lies in its repository."""
        return str(self.entry.saes_map[self.family.sae_id])

    def weights(self) -> dict[str, Tensor]:
        """Random weights by SAELens's names, with latents that are active now and then."""
        generator = torch.Generator().manual_seed(sum(map(ord, self.family.slug)))

        def noise(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        d, n = self.width, self.d_sae
        return {
            "W_enc": noise(d, n) / d**0.5,
            "b_enc": 0.2 * noise(n) - 0.3,
            "W_dec": noise(n, d) / n**0.5,
            "b_dec": 0.1 * noise(d),
            "threshold": 0.1 + 0.3 * noise(n).abs(),
        }


Write = Callable[[Site], dict[str, bytes]]
"""Gives the files of a repository that one SAE needs, by path."""


def sizes(site: Site) -> dict[str, Any]:
    """What loaders with tables of real models must be told: sizes, and nothing else."""
    loader = site.family.loader
    if loader not in ("gemma_2", "gemma_2_transcoder", "goodfire", "deepseek_r1", "qwen_scope"):
        return {}
    found: dict[str, Any] = {"d_in": site.width, "d_sae": site.d_sae}
    if loader == "gemma_2_transcoder":
        found["d_out"] = site.width
    if loader == "qwen_scope":
        found["activation_fn_kwargs"] = {"k": K}
    return found


def _torch(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def _npz(tensors: Mapping[str, Tensor]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **{name: tensor.numpy() for name, tensor in tensors.items()})
    return stream.getvalue()


def _safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _yaml(value: Any) -> bytes:
    return yaml.safe_dump(value).encode()


# SAELens's own format.


def _sae_lens(site: Site, cfg: Mapping[str, Any], *leave_out: str) -> dict[str, bytes]:
    weights = {name: w for name, w in site.weights().items() if name not in leave_out}
    return {
        f"{site.path}/cfg.json": _json(cfg),
        f"{site.path}/sae_weights.safetensors": _safetensors(weights),
    }


def before_version_6(**changes: Any) -> Write:
    """A flat configuration, as SAELens wrote it from 2024 to 2025."""

    def write(site: Site) -> dict[str, bytes]:
        hook = site.family.sae_id.removesuffix("_768")
        cfg = {
            "architecture": "standard",
            "d_in": site.width,
            "d_sae": site.d_sae,
            "activation_fn_str": "relu",
            "apply_b_dec_to_input": True,
            "finetuning_scaling_factor": False,
            "context_size": CONTEXT,
            "model_name": site.model,
            "hook_name": hook,
            "hook_layer": site.layer,
            "hook_head_index": None,
            "prepend_bos": True,
            "dataset_path": "Skylion007/openwebtext",
            "dataset_trust_remote_code": True,
            "normalize_activations": "none",
            "dtype": "torch.float32",
            "device": "cuda",
            "sae_lens_training_version": None,
            **changes,
        }
        return _sae_lens(site, cfg, "threshold")

    return write


def before_version_1(site: Site) -> dict[str, bytes]:
    """`hook_point` instead of `hook_name`, and no architecture."""
    cfg = {
        "model_name": site.model,
        "hook_point": site.family.sae_id.removesuffix("_768"),
        "hook_point_layer": site.layer,
        "hook_point_head_index": None,
        "dataset_path": "Skylion007/openwebtext",
        "is_dataset_tokenized": False,
        "context_size": CONTEXT,
        "d_in": site.width,
        "device": "mps",
        "seed": 42,
        "dtype": "torch.float32",
        "b_dec_init_method": "geometric_median",
        "expansion_factor": 32,
        "from_pretrained_path": None,
        "d_sae": site.d_sae,
    }
    return _sae_lens(site, cfg, "threshold")


def version_6(**changes: Any) -> Write:
    """A nested configuration: what was trained as BatchTopK is stored as JumpReLU."""

    def write(site: Site) -> dict[str, bytes]:
        cfg = {
            "architecture": "jumprelu",
            "d_in": site.width,
            "d_sae": site.d_sae,
            "dtype": "float32",
            "device": "cuda",
            "apply_b_dec_to_input": True,
            "normalize_activations": "none",
            "reshape_activations": "none",
            "metadata": {
                "sae_lens_version": "6.11.0",
                "sae_lens_training_version": "6.11.0",
                "model_name": site.model,
                "hook_name": site.family.sae_id,
                "model_class_name": "HookedTransformer",
                "model_from_pretrained_kwargs": {},
                "context_size": CONTEXT,
                "prepend_bos": True,
                "seqpos_slice": [None],
                "dataset_path": "monology/pile-uncopyrighted",
                "training_architecture": "matryoshka_batchtopk",
            },
            **changes,
        }
        return _sae_lens(site, cfg)

    return write


# Other trainers' formats.


def connor_rob(site: Site) -> dict[str, bytes]:
    """Kissane and others' attention SAEs."""
    weights = {name: w for name, w in site.weights().items() if name != "threshold"}
    cfg = {
        "act_size": site.width,
        "dict_size": site.d_sae,
        "act_name": f"blocks.{site.layer}.attn.hook_z",
    }
    return {site.path: _torch(weights), f"{site.path.removesuffix('.pt')}_cfg.json": _json(cfg)}


def gemma_scope(site: Site) -> dict[str, bytes]:
    """Gemma Scope's `params.npz`, for SAEs and transcoders."""
    return {f"{site.path}/params.npz": _npz(site.weights())}


def gemma_scope_2(site: Site) -> dict[str, bytes]:
    """Gemma Scope 2's `params.safetensors`; SAELens tells shapes from its header alone."""
    weights = {name.lower(): w for name, w in site.weights().items()}
    layer, folder = site.layer, site.path.partition("/")[0]
    norm = f"model.layers.{layer}.pre_feedforward_layernorm.output"
    after = f"model.layers.{layer}.post_feedforward_layernorm.output"
    reads = {
        "transcoder_all": norm,
        "resid_post_all": f"model.layers.{layer}.output",
        "mlp_out_all": after,
        "attn_out_all": f"model.layers.{layer}.self_attn.o_proj.input",
    }
    cfg: dict[str, Any] = {
        "hf_hook_point_in": reads[folder],
        "hf_hook_point_out": after if folder == "transcoder_all" else reads[folder],
        "width": site.d_sae,
        "model_name": site.model.replace("google/gemma-3", "gemma-v3"),
        "architecture": "jump_relu",
        "l0": 60,
        "affine_connection": site.path.endswith("_affine"),
        "type": "transcoder" if folder == "transcoder_all" else "sae",
    }
    if cfg["affine_connection"]:
        generator = torch.Generator().manual_seed(1)
        skip = torch.randn((site.width, site.width), generator=generator)
        weights["affine_skip_connection"] = skip / site.width
    return {
        f"{site.path}/config.json": _json(cfg),
        f"{site.path}/params.safetensors": _safetensors(weights),
    }


def dictionary_learning(kind: str) -> Write:
    """The library dictionary_learning's `ae.pt` and `config.json`.

    Args:
        kind: Its class.
    """

    def write(site: Site) -> dict[str, bytes]:
        w = site.weights()
        linear = {"encoder.weight": w["W_enc"].T, "decoder.weight": w["W_dec"].T}
        trainer: dict[str, Any] = {
            "dict_class": kind,
            "trainer_class": f"{kind}Trainer",
            "activation_dim": site.width,
            "dict_size": site.d_sae,
            "device": "cuda:0",
            "layer": site.layer,
            "lm_name": site.model,
            "submodule_name": f"resid_post_layer_{site.layer}",
        }
        tensors: dict[str, Tensor]
        if kind == "AutoEncoder":
            tensors = {**linear, "encoder.bias": w["b_enc"], "bias": w["b_dec"]}
        elif kind == "GatedAutoEncoder":
            biases = {"gate_bias": w["b_enc"], "mag_bias": w["b_enc"] + 0.1, "r_mag": w["b_enc"]}
            tensors = {**linear, **biases, "decoder_bias": w["b_dec"]}
        else:
            trainer["k"] = K
            own = {"k": torch.tensor(K), "threshold": torch.tensor(0.4)}
            if kind == "MatryoshkaBatchTopKSAE":
                same = {name: w[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec")}
                tensors = {**same, **own, "group_sizes": torch.tensor([16, 48])}
            else:
                tensors = {**linear, "encoder.bias": w["b_enc"], "b_dec": w["b_dec"], **own}
        cfg = {"trainer": trainer, "buffer": {"d_submodule": site.width, "ctx_len": CONTEXT}}
        return {
            f"{site.path}/ae.pt": _torch({n: t.contiguous() for n, t in tensors.items()}),
            f"{site.path}/config.json": _json(cfg),
        }

    return write


def mwhanna(site: Site) -> dict[str, bytes]:
    """Hanna's transcoders of Qwen3: one file a layer, and two configurations for all."""
    w = {name: v for name, v in site.weights().items() if name != "threshold"}
    wandb = {
        name: {"value": value}
        for name, value in (
            ("d_model", site.width),
            ("d_feature", site.d_sae),
            ("batch_size", CONTEXT),
        )
    }
    cfg = {
        "model_name": f"Qwen/{site.model.replace('qwen3', 'Qwen3').replace('b', 'B')}",
        "model_kind": "transcoder_set",
        "feature_input_hook": "mlp.hook_in",
        "feature_output_hook": "hook_mlp_out",
    }
    return {
        site.path: _safetensors({**w, "W_enc": w["W_enc"].T}),
        "wandb-config.yaml": _yaml(wandb),
        "config.yaml": _yaml(cfg),
    }


def mntss_clt(site: Site) -> dict[str, bytes]:
    """A cross-layer transcoder of circuit-tracer, of as many layers as the tiny model has."""
    w, n_layers, files = site.weights(), site.layer + 2, {}
    for layer in range(n_layers):
        encoder = {
            f"W_enc_{layer}": w["W_enc"].T,
            f"b_enc_{layer}": w["b_enc"],
            f"b_dec_{layer}": w["b_dec"],
        }
        writes = torch.stack([w["W_dec"] / (1 + n) for n in range(n_layers - layer)], dim=1)
        files[f"W_enc_{layer}.safetensors"] = _safetensors(encoder)
        files[f"W_dec_{layer}.safetensors"] = _safetensors({f"W_dec_{layer}": writes})
    cfg = {
        "model_name": f"google/{site.model}",
        "model_kind": "cross_layer_transcoder",
        "feature_input_hook": "hook_resid_mid",
        "feature_output_hook": "hook_mlp_out",
    }
    return {"config.yaml": _yaml(cfg), **files}


def llama_scope(site: Site) -> dict[str, bytes]:
    """Llama Scope: one threshold, on activations brought to a norm."""
    w = site.weights()
    factor = site.entry.norm_scaling_factor[site.family.sae_id]
    kind = {"R": "hook_resid_post", "M": "hook_mlp_out", "A": "hook_attn_out"}
    site_letter = site.path.rpartition("-")[0][-1]
    cfg = {
        "d_model": site.width,
        "d_sae": site.d_sae,
        "jump_relu_threshold": 0.2 / factor,
        "hook_point_in": f"blocks.{site.layer}.{kind[site_letter]}",
        # SAELens's directory has the factor of the real activations.
        "dataset_average_activation_norm": {"in": site.width**0.5 / factor},
    }
    # The factor is for real activations; those of a tiny model are larger.
    tensors = {
        "encoder.weight": w["W_enc"].T / factor,
        "encoder.bias": w["b_enc"],
        "decoder.weight": w["W_dec"].T * factor,
        "decoder.bias": w["b_dec"] * factor,
    }
    place = f"{site.path}/checkpoints/final.safetensors"
    return {f"{site.path}/hyperparams.json": _json(cfg), place: _safetensors(tensors)}


def llama_scope_r1(site: Site) -> dict[str, bytes]:
    """Llama Scope's later format, with the logarithm of a threshold for each latent."""
    w = site.weights()
    factor = site.entry.norm_scaling_factor[site.family.sae_id]
    cfg = {
        "d_model": site.width,
        "expansion_factor": site.d_sae // site.width,
        "hook_point_in": f"blocks.{site.layer}.hook_resid_post",
    }
    tensors = {
        "encoder.weight": w["W_enc"].T / factor,
        "encoder.bias": w["b_enc"],
        "decoder.weight": w["W_dec"].T * factor,
        "decoder.bias": w["b_dec"] * factor,
        "log_jumprelu_threshold": w["threshold"].log(),
    }
    place = f"{site.path}/sae_weights.safetensors"
    return {f"{site.path}/config.json": _json(cfg), place: _safetensors(tensors)}


def linear_layers(encoder: str, decoder: str) -> Write:
    """Two of torch's linear layers in a pickle, as Goodfire and qresearch publish them."""

    def write(site: Site) -> dict[str, bytes]:
        w = site.weights()
        tensors = {
            f"{encoder}.weight": w["W_enc"].T.contiguous(),
            f"{encoder}.bias": w["b_enc"],
            f"{decoder}.weight": w["W_dec"].T.contiguous(),
            f"{decoder}.bias": w["b_dec"],
        }
        return {site.path: _torch(tensors)}

    return write


def qwen_scope(site: Site) -> dict[str, bytes]:
    """Qwen Scope: SAELens's names, the matrices transposed."""
    w = {name: v for name, v in site.weights().items() if name != "threshold"}
    turned = {name: v.T.contiguous() if v.ndim == 2 else v for name, v in w.items()}
    return {site.path: _torch(turned)}


def temporal(site: Site) -> dict[str, bytes]:
    """Temporal SAEs: a dictionary, and attention over its latents."""
    from sae_lens.saes.temporal_sae import ManualAttention

    w = site.weights()
    cfg = {
        "llm": {"dimin": site.width},
        "sae": {
            "exp_factor": site.d_sae / site.width,
            "n_heads": 2,
            "n_attn_layers": 1,
            "bottleneck_factor": 4,
            "sae_diff_type": "topk",
            "kval_topk": K,
            "tied_weights": True,
            "scaling_factor": site.entry.norm_scaling_factor[site.family.sae_id],
        },
        "data": {"dtype": "float32"},
    }
    torch.manual_seed(0)
    attention = ManualAttention(site.d_sae, n_heads=2, bottleneck_factor=4).state_dict()
    tensors = {
        "D": w["W_dec"],
        "b": w["b_dec"],
        **{f"attn_layers.0.{name}": value for name, value in attention.items()},
    }
    return {
        f"{site.path}/conf.yaml": _yaml(cfg),
        f"{site.path}/latest_ckpt.safetensors": _safetensors(tensors),
    }


_TOPK = before_version_6(
    activation_fn_str="topk",
    activation_fn_kwargs={"k": K},
    normalize_activations="layer_norm",
)

WRITERS: Mapping[str, Write] = {
    "gemma-2-2b-res-matryoshka-dc": version_6(),
    "gemma-2-2b-res-snap-matryoshka-dc": version_6(),
    "gemma-3-1b-res-matryoshka-dc": version_6(),
    "gemma-2b-it-res-jb": before_version_6(),
    "gemma-2b-res-jb": before_version_6(),
    "gpt2-small-res-jb": before_version_1,
    "gpt2-small-res-jb-feature-splitting": before_version_1,
    "gpt2-small-mlp-tm": before_version_6(normalize_activations="expected_average_only_in"),
    **{
        f"gpt2-small-{end}-v5-32k": _TOPK
        for end in ("resid-post", "resid-mid", "mlp-out", "attn-out")
    },
    **{
        f"gpt2-small-res_{end}-ajt": before_version_6(apply_b_dec_to_input=False)
        for end in ("sll", "sce", "scefr")
    },
    "llama-3-8b-it-res-jh": before_version_6(),
    "mistral-7b-res-wg": before_version_6(),
    **{
        f"pythia-70m-deduped-{end}-sm": before_version_6(model_name="pythia-70m-deduped")
        for end in ("res", "mlp", "att")
    },
    "saebench-pythia-standard": dictionary_learning("AutoEncoder"),
    "saebench-pythia-panneal": dictionary_learning("AutoEncoder"),
    "saebench-pythia-gated": dictionary_learning("GatedAutoEncoder"),
    "saebench-pythia-topk": dictionary_learning("AutoEncoderTopK"),
    "saebench-gemma-2-vanilla": dictionary_learning("AutoEncoder"),
    "saebench-gemma-2-topk": dictionary_learning("AutoEncoderTopK"),
    "saebench-gemma-2-matryoshka": dictionary_learning("MatryoshkaBatchTopKSAE"),
    "llama-3.1-8b-instruct-andyrdt": dictionary_learning("BatchTopKSAE"),
    "qwen2.5-7b-instruct-andyrdt": dictionary_learning("BatchTopKSAE"),
    "gpt-oss-20b-andyrdt": dictionary_learning("BatchTopKSAE"),
}
"""For families whose loader reads more than one form of files."""

BY_LOADER: Mapping[str, Write] = {
    "connor_rob_hook_z": connor_rob,
    "deepseek_r1": linear_layers("encoder", "decoder"),
    "gemma_2": gemma_scope,
    "gemma_2_transcoder": gemma_scope,
    "gemma_3": gemma_scope_2,
    "goodfire": linear_layers("encoder_linear", "decoder_linear"),
    "llama_scope": llama_scope,
    "llama_scope_r1_distill": llama_scope_r1,
    "mntss_clt_layer_transcoder": mntss_clt,
    "mwhanna_transcoder": mwhanna,
    "qwen_scope": qwen_scope,
    "temporal": temporal,
}
"""For the others."""


def files_of(site: Site) -> dict[str, bytes]:
    """The files of a family's SAE, by path in its repository."""
    write = WRITERS.get(site.family.slug) or BY_LOADER[site.family.loader]
    return write(site)
