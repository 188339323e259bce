"""The other side: runs where `sae-dashboard` is installed, and imports nothing of saereport.

python dashboard_side.py write FOLDER      a tiny model and SAE through SAEDashboard's own code
python dashboard_side.py read FOLDER OUT   load batches into its classes, write what they hold
"""

import json
import sys
from pathlib import Path


def write(folder: Path) -> None:
    import torch
    from sae_dashboard.components_config import (
        ActsHistogramConfig,
        Column,
        FeatureTablesConfig,
        LogitsHistogramConfig,
        LogitsTableConfig,
        SequencesConfig,
    )
    from sae_dashboard.layout import SaeVisLayoutConfig
    from sae_dashboard.neuronpedia.neuronpedia_converter import NeuronpediaConverter
    from sae_dashboard.neuronpedia.neuronpedia_runner_config import NeuronpediaRunnerConfig
    from sae_dashboard.sae_vis_data import SaeVisConfig
    from sae_dashboard.sae_vis_runner import SaeVisRunner
    from sae_lens import StandardSAE, StandardSAEConfig
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    torch.manual_seed(0)
    hook = "blocks.0.hook_resid_post"
    model = HookedTransformer(
        HookedTransformerConfig(
            n_layers=1,
            d_model=16,
            n_ctx=24,
            d_head=8,
            n_heads=2,
            d_vocab=60,
            act_fn="relu",
            device="cpu",
            model_name="tiny",
        )
    )
    sae = StandardSAE(StandardSAEConfig(d_in=16, d_sae=12, device="cpu"))
    sae.cfg.metadata.hook_name = hook
    with torch.no_grad():
        sae.W_enc.copy_(torch.randn(16, 12))
        sae.W_dec.copy_(torch.randn(12, 16))
        sae.b_enc.copy_(torch.linspace(0.5, -3, 12))
        sae.b_enc[11] = -1e6
    tokens = torch.randint(0, 60, (40, 24))
    settings = NeuronpediaRunnerConfig(
        sae_set="res-tiny",
        sae_path=hook,
        outputs_dir=str(folder),
        huggingface_dataset_path="made/up",
        n_prompts_total=40,
        n_tokens_in_prompt=24,
        np_sae_id_suffix="l0-5",
    )
    (folder / "run_settings.json").write_text(json.dumps(settings.__dict__, indent=4))
    settings.model_id, settings.layer = "tiny", 0
    words = {i: ("<s>", "\n", "</script><b>x", " the")[i] if i < 4 else f" w{i}" for i in range(60)}
    for number, features in enumerate(([0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11])):
        layout = SaeVisLayoutConfig(
            columns=[
                Column(
                    SequencesConfig(
                        stack_mode="stack-all",
                        buffer=None,
                        compute_buffer=True,
                        n_quantiles=3,
                        top_acts_group_size=6,
                        quantile_group_size=2,
                    ),
                    ActsHistogramConfig(),
                    LogitsHistogramConfig(),
                    LogitsTableConfig(),
                    FeatureTablesConfig(n_rows=3),
                )
            ]
        )
        config = SaeVisConfig(
            hook_point=hook,
            features=features,
            minibatch_size_features=6,
            minibatch_size_tokens=8,
            quantile_feature_batch_size=6,
            device="cpu",
            feature_centric_layout=layout,
            dtype="float32",
            ignore_tokens={0},
        )
        with torch.no_grad():
            data = SaeVisRunner(config).run(encoder=sae, model=model, tokens=tokens)
        text = NeuronpediaConverter.convert_to_np_json(model, data, settings, words)
        (folder / f"batch-{number}.json").write_text(text)
    record = {"model_id": "tiny", "layer": "0", "sae_set": "res-tiny", "skipped_indexes": []}
    (folder / "skipped_indexes.json").write_text(json.dumps(record))


def read(folder: Path, out: Path) -> None:
    from sae_dashboard.neuronpedia.neuronpedia_converter import NpEncoder
    from sae_dashboard.neuronpedia.neuronpedia_dashboard import NeuronpediaDashboardBatch
    from sae_dashboard.neuronpedia.neuronpedia_runner_config import NeuronpediaRunnerConfig

    NeuronpediaRunnerConfig(**json.loads((folder / "run_settings.json").read_text()))
    found = {}
    for path in sorted(folder.glob("batch-*.json")):
        batch = NeuronpediaDashboardBatch(**json.loads(path.read_text()))
        found[path.name] = json.loads(json.dumps(batch, cls=NpEncoder))
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]))
    else:
        read(Path(sys.argv[2]), Path(sys.argv[3]))
