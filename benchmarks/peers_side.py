"""The other side of `bench_peers`: runs where `sae-dashboard` is installed, without saereport.

    python peers_side.py TASK.json

The task names a folder with a Hugging Face Llama model, one with an SAE, a file with tokens, the
latents and the output. What happens then is what `NeuronpediaRunner.run` does, with its defaults.
"""

from __future__ import annotations

import gc
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

START = time.perf_counter()


def load_hooked(folder: str) -> Any:
    """A Llama on disk as a `HookedTransformer`, its weights as they are."""
    import torch
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    of = model.config
    # A later Transformers wrote the configuration; this one takes its default for what it misses.
    theta = (getattr(of, "rope_parameters", None) or {}).get("rope_theta") or of.rope_theta
    head = of.hidden_size // of.num_attention_heads
    config = HookedTransformerConfig(
        n_layers=of.num_hidden_layers,
        d_model=of.hidden_size,
        d_head=head,
        n_heads=of.num_attention_heads,
        n_key_value_heads=of.num_key_value_heads,
        d_mlp=of.intermediate_size,
        n_ctx=min(of.max_position_embeddings, 2048),
        d_vocab=of.vocab_size,
        eps=of.rms_norm_eps,
        act_fn="silu",
        normalization_type="RMS",
        positional_embedding_type="rotary",
        rotary_dim=head,
        rotary_base=theta,
        rotary_adjacent_pairs=False,
        gated_mlp=True,
        final_rms=True,
        original_architecture="LlamaForCausalLM",
        model_name="smollm2",
        device="cpu",
    )
    hooked = HookedTransformer(config, AutoTokenizer.from_pretrained(readable(folder)))
    hooked.load_state_dict(convert_llama_weights(model, config), strict=False)
    return hooked.eval()


def readable(folder: str) -> Path:
    """The tokeniser of a folder, as a class that this side's older Transformers knows."""
    copy = Path(tempfile.mkdtemp())
    shutil.copy(Path(folder) / "tokenizer.json", copy)
    said = json.loads((Path(folder) / "tokenizer_config.json").read_text())
    kinds = ("bos_token", "eos_token", "pad_token", "unk_token")
    kept = {kind: said[kind] for kind in kinds if isinstance(said.get(kind), str)}
    kept["tokenizer_class"] = "PreTrainedTokenizerFast"
    (copy / "tokenizer_config.json").write_text(json.dumps(kept))
    return copy


def layout(settings: Any) -> Any:
    """What NeuronpediaRunner shows of a latent."""
    from sae_dashboard.components_config import (
        ActsHistogramConfig,
        Column,
        FeatureTablesConfig,
        LogitsHistogramConfig,
        LogitsTableConfig,
        SequencesConfig,
    )
    from sae_dashboard.layout import SaeVisLayoutConfig

    return SaeVisLayoutConfig(
        columns=[
            Column(
                SequencesConfig(
                    stack_mode="stack-all",
                    buffer=None,
                    compute_buffer=True,
                    n_quantiles=settings.n_quantiles,
                    top_acts_group_size=settings.top_acts_group_size,
                    quantile_group_size=settings.quantile_group_size,
                ),
                ActsHistogramConfig(),
                LogitsHistogramConfig(),
                LogitsTableConfig(),
                FeatureTablesConfig(n_rows=3),
            )
        ]
    )


def main(task: dict[str, Any]) -> None:
    import numpy as np
    import torch
    from sae_dashboard.neuronpedia.neuronpedia_converter import NeuronpediaConverter
    from sae_dashboard.neuronpedia.neuronpedia_runner_config import NeuronpediaRunnerConfig
    from sae_dashboard.sae_vis_data import SaeVisConfig
    from sae_dashboard.sae_vis_runner import SaeVisRunner
    from sae_lens import SAE

    out = Path(task["out"])
    out.mkdir(parents=True)
    tokens = torch.from_numpy(np.load(task["tokens"]).astype(np.int64))
    model, sae = load_hooked(task["model"]), SAE.load_from_disk(task["sae"], device="cpu")
    hook = sae.cfg.metadata.hook_name
    settings = NeuronpediaRunnerConfig(
        sae_set="peers",
        sae_path=task["sae"],
        outputs_dir=str(out),
        n_prompts_total=len(tokens),
        n_tokens_in_prompt=tokens.shape[1],
    )
    settings.model_id, settings.layer = "smollm2", 0
    names = model.tokenizer.convert_ids_to_tokens(list(range(model.cfg.d_vocab)))
    vocabulary = dict(enumerate(names))
    special = model.tokenizer
    ignored = {special.pad_token_id, special.bos_token_id, special.eos_token_id}
    latents = task["latents"]
    parts = np.array_split(latents, -(-len(latents) // settings.n_features_at_a_time))
    times = {"loading": time.perf_counter() - START, "collecting": 0.0, "writing": 0.0}
    with torch.no_grad():
        for number, part in enumerate(parts):
            config = SaeVisConfig(
                hook_point=hook,
                features=part.tolist(),
                minibatch_size_features=settings.n_features_at_a_time,
                minibatch_size_tokens=settings.n_prompts_in_forward_pass,
                quantile_feature_batch_size=settings.quantile_feature_batch_size,
                device="cpu",
                feature_centric_layout=layout(settings),
                dtype="float32",
                cache_dir=out / "cached_activations",
                ignore_tokens=ignored - {None},
            )
            start = time.perf_counter()
            data = SaeVisRunner(config).run(encoder=sae, model=model, tokens=tokens)
            middle = time.perf_counter()
            text = NeuronpediaConverter.convert_to_np_json(model, data, settings, vocabulary)
            (out / f"batch-{number}.json").write_text(text)
            times["collecting"] += middle - start
            times["writing"] += time.perf_counter() - middle
            del data
            gc.collect()
    (out / "times.json").write_text(json.dumps(times))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
