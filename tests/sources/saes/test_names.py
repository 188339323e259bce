"""Where an SAE's model, layer, width and Neuronpedia id are named in several places."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from saereport.sources.hooks import parse_hook
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.names import agreed_names, same_model
from saereport.sources.saes.source import SaeSource
from saereport.sources.saes.spelled import layers_in, widths_in
from saereport.util.errors import SaereportError
from tests.factories import make_sae, save_clt

COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def snapshot(hub):
    """A place for the files of a repository in the Hugging Face cache."""

    def place(repo: str) -> Path:
        folder = Path(hub["HF_HUB_CACHE"]) / f"models--{repo.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text(COMMIT)
        return folder / "snapshots" / COMMIT

    return place


def write(folder: Path, name: str, value: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(value))


def test_a_release_that_names_two_models(snapshot):
    """SAELens's loader of Llama Scope's R1 SAEs names the model that theirs was distilled into."""
    folder = snapshot("fnlp/Llama-Scope-R1-Distill") / "800M-Slimpajama-0-OpenR1-Math-220k/L0R"
    settings = {"d_model": 32, "expansion_factor": 2, "hook_point_in": "blocks.0.hook_resid_post"}
    write(folder, "config.json", settings)
    weights = {
        "encoder.weight": torch.randn(64, 32),
        "decoder.weight": torch.randn(32, 64),
        "encoder.bias": torch.zeros(64),
        "decoder.bias": torch.zeros(32),
        "log_jumprelu_threshold": torch.zeros(64),
    }
    save_file(weights, folder / "sae_weights.safetensors")
    sae = load_sae(SaeSource("llama_scope_r1_distill", "l0r_800m_slimpajama"))
    assert sae.model_doubt == (
        "It is not clear which model it was trained on: SAELens's loader says "
        "meta-llama/Llama-3.1-8B, SAELens's directory says "
        "deepseek-ai/DeepSeek-R1-Distill-Llama-8B, its Neuronpedia id says "
        "deepseek-r1-distill-llama-8b."
    )
    # SAELens's directory gives the factor that these were trained with, and it is folded.
    assert sae.loaded.cfg.normalize_activations == "none"
    factor = sae.metadata["folded_on_loading"].removeprefix("expected_average_only_in, factor ")
    expected = weights["encoder.weight"].T * float(factor)
    torch.testing.assert_close(sae.W_enc, expected, rtol=1e-4, atol=1e-5)


def test_a_factor_in_the_directory_that_nothing_asks_for(snapshot):
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    entry = get_pretrained_saes_directory()["gemma-2b-res-jb"]
    (sae_id,) = entry.norm_scaling_factor
    layer = sae_id.split(".")[1]
    make_sae(
        d_sae=64,
        hook_name=f"blocks.{layer}.hook_resid_post",
        metadata={"model_name": "gemma-2b"},
    ).save_model(snapshot(entry.repo_id) / entry.saes_map[sae_id])
    sae = load_sae(SaeSource("gemma-2b-res-jb", sae_id))
    (said,) = [s for s in sae.said if "lists a scaling factor" in s.text]
    assert said.sanity
    torch.testing.assert_close(sae.W_enc, make_sae(d_sae=64).W_enc)


def dictionary_learning(folder, **changes):
    """An SAE of the library dictionary_learning, as its trainers save it."""
    trainer = {
        "dict_class": "BatchTopKSAE",
        "lm_name": "meta-llama/Llama-3.1-8B-Instruct",
        "layer": 3,
        "activation_dim": 32,
        "dict_size": 64,
        **changes,
    }
    write(folder, "config.json", {"trainer": trainer, "buffer": {"ctx_len": 64}})
    made = make_sae(d_sae=64)
    state = {"encoder.weight": made.W_enc.data.T, "decoder.weight": made.W_dec.data.T}
    state |= {"encoder.bias": made.b_enc.data, "b_dec": made.b_dec.data}
    torch.save({**state, "threshold": torch.tensor(0.3)}, folder / "ae.pt")


ANDYRDT = SaeSource("llama-3.1-8b-instruct-andyrdt", "resid_post_layer_3_trainer_1")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"dict_class": "AutoEncoderNew"},
            "class 'AutoEncoderNew', which SAELens reads",
        ),
        ({"dict_class": "CrossCoder"}, "class 'CrossCoder'"),
        ({"submodule_name": "mlp_out_layer_3"}, "trained at 'mlp_out_layer_3'"),
    ],
)
def test_classes_that_a_loader_takes_for_another(changes, said, snapshot):
    repo = snapshot("andyrdt/saes-llama-3.1-8b-instruct")
    dictionary_learning(repo / "resid_post_layer_3/trainer_1", **changes)
    with pytest.raises(SaereportError, match=said):
        load_sae(ANDYRDT)


def test_the_owner_that_a_loader_drops(snapshot):
    repo = snapshot("andyrdt/saes-llama-3.1-8b-instruct")
    dictionary_learning(repo / "resid_post_layer_3/trainer_1")
    sae = load_sae(ANDYRDT)
    assert sae.model_name == "meta-llama/Llama-3.1-8B-Instruct"
    assert sae.model_doubt == ""
    assert sae.neuronpedia_id == "llama3.1-8b-it/3-resid-post-aa"


def test_a_layer_of_a_cross_layer_transcoder(snapshot):
    folder = snapshot("mntss/clt-gemma-2-2b-2.5M")
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        "model_name: google/gemma-2-2b\n"
        "feature_input_hook: hook_resid_mid\nfeature_output_hook: hook_mlp_out\n"
    )
    encoder = {
        "W_enc_0": torch.randn(64, 32),
        "b_enc_0": torch.zeros(64),
        "b_dec_0": torch.ones(32),
    }
    save_file(encoder, folder / "W_enc_0.safetensors")
    decoder = torch.randn(64, 26, 32)
    save_file({"W_dec_0": decoder}, folder / "W_dec_0.safetensors")
    sae = load_sae(SaeSource("mntss-gemma-2-2b-2.5m-clt-as-per-layer", "layer_0"))
    assert (sae.model_name, sae.model_doubt) == ("google/gemma-2-2b", "")
    assert sae.neuronpedia_id == "gemma-2-2b/0-clt-hp"
    assert torch.equal(sae.W_enc, encoder["W_enc_0"].T)
    assert (sae.why_no_decoder, len(sae.writes)) == ("", 26)
    assert torch.equal(sae.write_rows(place=25), decoder[:, 25])
    assert sae.said == ()
    same = load_sae(SaeSource("mntss/clt-gemma-2-2b-2.5M", "layer_0"))
    assert same.weights_sha256 == sae.weights_sha256
    assert same.part_of == sae.part_of


def test_a_layer_that_a_repository_lacks(snapshot):
    folder = snapshot("someone/clt")
    save_clt(folder)
    sae = load_sae(SaeSource("someone/clt", "layer_1"))
    assert [hook.layer for hook in sae.writes] == [1, 2]
    with pytest.raises(SaereportError, match="not in the Hugging Face cache"):
        load_sae(SaeSource("someone/clt", "layer_7"))


def test_a_set_whose_files_are_elsewhere_on_the_hub(snapshot):
    folder, elsewhere = snapshot("someone/set"), snapshot("google/weights")
    (elsewhere / "clt").mkdir(parents=True)
    folder.mkdir(parents=True)
    stored = {
        "w_enc": torch.randn(32, 24),
        "w_dec": torch.randn(24, 2, 32),
        "b_enc": torch.zeros(24),
        "b_dec": torch.zeros(32),
        "threshold": torch.zeros(24),
    }
    save_file(stored, elsewhere / "clt" / "layer_1.safetensors")
    (folder / "config.yaml").write_text(
        "model_name: tiny\nmodel_kind: cross_layer_transcoder\n"
        "feature_input_hook: hook_resid_mid\nfeature_output_hook: hook_mlp_out\n"
        "transcoders:\n- hf://google/weights/clt/layer_0.safetensors\n"
        "- hf://google/weights/clt/layer_1.safetensors\n"
    )
    sae = load_sae(SaeSource("someone/set", "layer_1"))
    assert torch.equal(sae.write_rows(), stored["w_dec"][:, 1])


def put_sae(folder: Path, **changes: object) -> None:
    make_sae(d_sae=64, **changes).save_model(folder)


@pytest.mark.parametrize("normalize", ["expected_average_only_in", "covariance_whitening"])
def test_a_repository_without_the_factor_is_refused(normalize, snapshot):
    put_sae(snapshot("someone/sae") / f"{normalize}/late", normalize_activations=normalize)
    with pytest.raises(SaereportError, match="neither the release nor activation_"):
        load_sae(SaeSource("someone/sae", f"{normalize}/late"))


def test_a_repository_with_the_factor(snapshot):
    folder = snapshot("someone/scaled") / "late"
    put_sae(folder, normalize_activations="expected_average_only_in")
    write(folder, "activation_scaler.json", {"scaling_factor": 0.5, "has_whitening": False})
    sae = load_sae(SaeSource("someone/scaled", "late"))
    torch.testing.assert_close(sae.W_enc, make_sae(d_sae=64).W_enc * 0.5)
    torch.testing.assert_close(sae.W_dec, make_sae(d_sae=64).W_dec / 0.5)


@pytest.mark.parametrize(
    ("repo", "sae_id", "said"),
    [
        (
            "google/gemma-scope-2b-pt-res",
            "layer_0/width_16k/average_l0_105",
            "Give --release gemma-scope-2b-pt-res --sae-id layer_0/width_16k/average_l0_105.",
        ),
        ("fnlp/Llama-Scope-R1-Distill", "x", "Give --release llama_scope_r1_distill, with an id"),
        (
            "google/gemma-scope-2-1b-pt",
            "x",
            "Give --release gemma-scope-2-1b-pt-transcoders-all or "
            "gemma-scope-2-1b-pt-transcoders or gemma-scope-2-1b-pt-res-all or "
            "gemma-scope-2-1b-pt-res and 4 more, with an id of it.",
        ),
    ],
)
def test_a_repository_in_place_of_its_release(repo, sae_id, said, hub):
    with pytest.raises(SaereportError) as caught:
        load_sae(SaeSource(repo, sae_id))
    assert str(caught.value).startswith(
        f"'{repo}' is a repository, and SAELens loads it by the names of its releases. {said}"
    )


# Every entry of the directory.


def agreed(release, sae_id, model, hook, d_sae=16384, *, transcoder=False):
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    entry = get_pretrained_saes_directory()[release]
    return agreed_names(
        SaeSource(release, sae_id),
        model=model,
        neuronpedia_id=entry.neuronpedia_id.get(sae_id),
        hook_in=parse_hook(hook),
        is_transcoder=transcoder,
        d_sae=d_sae,
    )


@pytest.mark.parametrize(
    ("release", "sae_id", "model", "hook", "said"),
    [
        (
            "gpt2-small-res-jb",
            "blocks.11.hook_resid_post",
            "gpt2-small",
            "blocks.11.hook_resid_post",
            "Its Neuronpedia id 'gpt2-small/12-res-jb' names layer 12",
        ),
        (
            "gemma-scope-9b-pt-res",
            "layer_2/width_16k/average_l0_8",
            "gemma-2-9b",
            "blocks.2.hook_resid_post",
            "Its Neuronpedia id 'gemma-2-9b/20-gemmascope-res-131k__l0-10' names layer 20",
        ),
        (
            "pythia-70m-deduped-res-sm",
            "blocks.0.hook_resid_pre",
            "pythia-70m-deduped",
            "blocks.0.hook_resid_pre",
            "Its Neuronpedia id 'pythia-70m-deduped/e-att-sm' names another kind of activation",
        ),
    ],
)
def test_ids_of_other_saes_are_not_linked(release, sae_id, model, hook, said):
    names = agreed(release, sae_id, model, hook)
    assert names.neuronpedia_id is None
    assert [s.text for s in names.said if s.text.startswith(said)]
    assert names.doubt == ""


def test_what_the_directory_says_is_otherwise_consistent():
    """Nearly 14,000 SAEs: the doubts are those that are known, and nothing else is doubted."""
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    unlinked, doubted, pairs = [], set(), set()
    for release, entry in get_pretrained_saes_directory().items():
        for sae_id, path in entry.saes_map.items():
            spelled = [layers_in(text) for text in (sae_id, str(path))]
            # `_l11.80e+00` in the names of one repository's files is a coefficient.
            (named,) = {frozenset(s) for s in spelled if len(s) == 1} or {frozenset()}
            widths = widths_in(sae_id), widths_in(str(path))
            assert not all(widths) or widths[0] & widths[1], (release, sae_id)
            found = entry.neuronpedia_id.get(sae_id)
            if not found:
                continue
            pairs.add((entry.model, found.partition("/")[0]))
            hook = f"blocks.{min(named, default=0)}.hook_resid_post"
            if "embedding" in sae_id:
                continue
            names = agreed(release, sae_id, entry.model, hook, transcoder=True)
            doubted |= {release} if names.doubt else set()
            unlinked += [] if names.neuronpedia_id else [(release, sae_id)]
    assert all(same_model(one, other) for one, other in pairs)
    assert not doubted
    assert unlinked == [
        ("gemma-scope-9b-pt-res", "layer_2/width_16k/average_l0_8"),
        ("gpt2-small-res-jb", "blocks.11.hook_resid_post"),
    ]


def test_loaders_that_need_no_network_and_the_directory():
    """Another release of the kind: a loader that goes by the repository, and a directory's slip."""
    from sae_lens.loading.pretrained_sae_loaders import NAMED_PRETRAINED_SAE_CONFIG_GETTERS
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    doubted = set()
    for release, entry in get_pretrained_saes_directory().items():
        if entry.conversion_func not in ("gemma_2", "gemma_2_transcoder", "qwen_scope", "goodfire"):
            continue
        getter = NAMED_PRETRAINED_SAE_CONFIG_GETTERS[entry.conversion_func]
        sae_id, path = next(iter(entry.saes_map.items()))
        model = getter(entry.repo_id, path, "cpu")["model_name"]
        if agreed(release, sae_id, model, "blocks.0.hook_resid_post").doubt:
            doubted.add(release)
    assert doubted == {"gemma-scope-9b-it-res"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("gpt2-small", "openai-community/gpt2", True),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama3-8b-it", True),
        ("google/gemma-3-4b-pt", "gemma-3-4b", True),
        ("mistral-7b", "mistralai/Mistral-7B-v0.1", True),
        ("pythia-70m-deduped", "EleutherAI/pythia-70m-deduped", True),
        ("google/gemma-2-9b", "google/gemma-2-9b-it", False),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B-Base", False),
        ("meta-llama/Llama-3.1-8B", "deepseek-r1-distill-llama-8b", False),
        ("pythia-70m", "pythia-70m-deduped", False),
    ],
)
def test_two_names_of_a_model(one, other, same):
    assert same_model(one, other) == same_model(other, one) == same


@pytest.mark.parametrize(
    ("text", "layers", "widths"),
    [
        ("layer_12/width_16k/average_l0_82", {12}, {16000, 16384}),
        ("blocks.8.hook_resid_pre", {8}, set()),
        ("l19r_8x", {19}, set()),
        ("resid-l10", {10}, set()),
        ("sae-l0-82", set(), set()),
        ("run-l0=5-layer3", {3}, set()),
        ("width-2pow14_date-1109/resid_post_layer_5", {5}, {16384}),
        ("layer_9_width_1m", {9}, {10**6, 2**20}),
        ("my-sae", set(), set()),
        ("layer1-and-layer2", {1, 2}, set()),
        ("layer_" + "9" * 5000, {999999999}, set()),
    ],
)
def test_layers_and_widths_in_a_name(text, layers, widths):
    assert layers_in(text) == layers
    assert widths_in(text) == widths
