"""What is told at the door, before torch is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from saereport.cli import main as cli
from saereport.config.build import make_config
from saereport.pipeline import preflight as door
from saereport.sources import folders, placement
from saereport.util.errors import SaereportError, UsageError
from saereport.util.locks import locked

HEAVY = {"torch", "transformer_lens", "sae_lens", "transformers", "datasets"}


def weights(path: Path, shapes: dict[str, list[int]]) -> None:
    """A safetensors file of zeros, as it is specified: length, header, data."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        size = 4
        for n in shape:
            size *= n
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


def sae(folder: Path, d_sae: int = 40, architecture: str = "standard", **metadata: Any) -> Path:
    folder.mkdir(parents=True)
    hook = metadata.pop("hook_name", "blocks.1.hook_resid_pre")
    cfg = {"architecture": architecture, "d_in": 8, "d_sae": d_sae}
    cfg["metadata"] = {"hook_name": hook, "model_name": "demo", **metadata}
    (folder / "cfg.json").write_text(json.dumps(cfg))
    shapes = {"W_enc": [8, d_sae], "W_dec": [d_sae, 8], "b_enc": [d_sae], "b_dec": [8]}
    weights(folder / "sae_weights.safetensors", shapes)
    return folder


def edit(folder: Path, **values: Any) -> None:
    path = folder / "early/cfg.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("door")
    sae(folder / "early")
    sae(folder / "late", hook_name="blocks.2.hook_resid_pre")
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama"}')
    (model / "tokenizer.json").write_text("{}")
    weights(model / "model.safetensors", {"w": [2]})
    (folder / "text.jsonl").write_text('{"text": "words"}\n')
    (folder / "chat.jsonl").write_text(
        '{"messages": [{"role": "user", "content": "words"}]}\n{"messages": [{"role": "user"}]}\n'
    )
    (folder / "talk.jsonl").write_text('{"messages": [{"role": "user", "content": "words"}]}\n')
    (folder / "open.csv").write_text('text,n\nwords,1\n"words,2\n')
    (folder / "table.csv").write_text("txt,n\nwords,1\n")
    (folder / "cut.arrow").write_bytes(b"\xff\xff\xff\xff\x10\0\0\0")
    (folder / "saved").mkdir()
    (folder / "saved/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    (folder / "labels.csv").write_text("index,description\n40,forty\n")
    (folder / "prompts.jsonl").write_text('{"txt": "words"}\n[]\n')
    return folder


def check(inputs: Path, **changes: Any) -> None:
    values = {
        "saes": [{"path": inputs / "early"}, {"path": inputs / "late"}],
        "model": str(inputs / "model"),
        "dataset": str(inputs / "text.jsonl"),
        **changes,
    }
    door.check_everything(make_config(values))


def test_what_is_right_passes(inputs: Path) -> None:
    pairs = [["early", "late"]]
    check(inputs, latents="0 39", blind=["early:3"], prompts=[{"text": "a", "pairs": pairs}])
    check(inputs, model="demo", dataset="demo")
    check(inputs, model=None, dataset="owner/name")
    # The hub is asked later, with the configuration and the split that were asked for.
    check(inputs, dataset="https://huggingface.co/datasets/owner/name", dataset_config="en")


@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer_config.json"])
def test_conversations_pass_where_the_model_has_a_template(
    inputs: Path, tmp_path: Path, file: str
) -> None:
    shutil.copytree(inputs / "model", tmp_path / "model")
    (tmp_path / "model/tokenizer_config.json").write_text('{"chat_template": null}')
    asked = {"model": str(tmp_path / "model"), "dataset": str(inputs / "talk.jsonl")}
    with pytest.raises(SaereportError, match="has no chat template"):
        check(inputs, **asked)
    (tmp_path / "model" / file).write_text('{"chat_template": "{{ messages }}"}')
    check(inputs, **asked)


def test_a_text_is_read_ahead_as_far_as_its_tokens_are_needed(inputs: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text\n" + f"{'words ' * 16}\n" * 100 + '"open\n')
    check(inputs, dataset=str(file), tokens=100)
    with pytest.raises(SaereportError, match=r"a.csv:102: a quotation mark opens"):
        check(inputs, dataset=str(file))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"saes": [{"path": "@/erly"}]}, "There is no SAE directory at .*Did you mean 'early'"),
        ({"saes": [{"path": "@"}]}, "holds no SAE .*cfg.json is missing.*inside it: early, late"),
        ({"saes": [{"path": "@/early/cfg.json"}]}, "Name the folder it lies in"),
        ({"latents": "9999"}, "Latent 9999 is out of range: the SAE early has 40 latents, 0 to 39"),
        ({"latents": "0-40"}, "Latent 40 is out of range"),
        ({"blind": ["early:40"]}, "blind latent 40 is out of range"),
        ({"blind": ["3"]}, "does not say of which SAE"),
        ({"saes": [{"path": "@/early", "explanations": "@/labels.csv"}]}, "label latent 40"),
        ({"saes": [{"path": "@/early", "explanations": "@/label.csv"}]}, "Did you mean"),
        ({"prompts": [{"text": "a", "saes": ["erly"]}]}, "Did you mean 'early'"),
        ({"prompts": [{"text": "a", "pairs": [["late", "early"]]}]}, "Give the earlier SAE first"),
        ({"prompts": [{"text": "a", "graph": True}]}, "needs MLP transcoders"),
        ({"prompts_file": "@/none.txt"}, "There is no prompts file"),
        ({"prompts_file": "@/prompts.jsonl"}, "none of its 2 lines is JSON with a 'text'"),
        ({"model": "@/mode"}, "There is no model at .*Did you mean 'model'"),
        ({"model": "./nothing"}, "There is no model at"),
        ({"model": "@/early"}, "config.json is missing"),
        ({"model": "@/text.jsonl"}, "Name a folder with a config.json"),
        ({"dataset": "@/txt.jsonl"}, "There is no text at .*Did you mean 'text.jsonl'"),
        ({"dataset": "nothing.txt"}, "There is no text at nothing.txt"),
        ({"dataset_split": "test"}, "Files and folders have no split"),
        ({"dataset": "demo", "dataset_config": "en"}, "Files and folders have no split"),
        ({"text_column": "txt"}, "no column 'txt'.*Did you mean 'text'"),
        ({"dataset_revision": "main"}, "Files and folders have no split, configuration or rev"),
        (
            {"dataset": "https://huggingface.co/datasets/o/n/tree/v1", "dataset_revision": "v2"},
            "Two revisions of the dataset 'o/n'",
        ),
        ({"dataset": "@/open.csv"}, "open.csv:3: a quotation mark opens a field here that is"),
        ({"dataset": "@/table.csv"}, "table.csv has no column 'text'.*Did you mean 'txt'"),
        ({"dataset": "@/cut.arrow"}, "cut.arrow (is cut short|cannot be read as Arrow)"),
        ({"dataset": "@/saved"}, "saved is not whole: state.json is missing"),
        ({"dataset": "@/saved", "dataset_split": "tset"}, "Did you mean 'test'"),
        ({"dataset": "@/chat.jsonl"}, "chat.jsonl:2: the column 'messages': message 1 holds as"),
        ({"dataset": "@/talk.jsonl"}, "talk.jsonl holds conversations, and the tokeniser of the"),
        ({"skip": ["coactivations"]}, "Did you mean 'coactivation'"),
        ({"device_map": "@/none.yaml"}, "There is no device map '.*none.yaml'"),
        ({"device_map": "@/early/cfg.json"}, "puts architecture on standard, which is no device"),
        ({"device_map": "auto", "model": "@/a.gguf"}, "A GGUF file is read into plain weights"),
        ({"device_map": "auto", "engine": "ray"}, "--device-map cannot be used with --engine ray"),
        (
            {"quantize": "nf4", "prompts": [{"text": "a"}]},
            "Circuits on prompts cannot be had with --quantize nf4: bitsandbytes' kernels have no",
        ),
        ({"quantize": "int8", "prompts_file": "@/prompts.jsonl"}, "Mean gradients cannot be had"),
    ],
)
def test_slips_are_told_at_the_door(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    # As if every package of the extras were there.
    monkeypatch.setattr(placement, "find_spec", lambda name: SimpleNamespace())
    named = json.loads(json.dumps(changes).replace("@", str(inputs)))
    with pytest.raises(SaereportError, match=message) as caught:
        check(inputs, **named)
    assert "\n" not in str(caught.value)


def test_a_model_named_by_a_path_is_not_followed(inputs: Path, tmp_path: Path) -> None:
    for name in (str(inputs / "model"), "../model", "~/model", "C:\\models\\mine"):
        folder = sae(tmp_path / f"sae{len(name)}", model_name=name)
        assert folders.look_at_sae(folder, "sae").model_name is None
        with pytest.raises(SaereportError, match="by a path, which is not followed"):
            check(inputs, saes=[{"path": folder}], model=None)


def test_damaged_files_are_told_at_the_door(inputs: Path, tmp_path: Path) -> None:
    file = tmp_path / "early/sae_weights.safetensors"
    for damage, message in (
        (lambda: file.write_bytes(file.read_bytes()[:-1]), "damaged or cut short"),
        (lambda: file.write_bytes(b""), "damaged or cut short"),
        (lambda: file.write_bytes(b"\xff" * 64), "damaged or cut short"),
        (lambda: file.write_bytes((2).to_bytes(8, "little") + b"[]"), "holds no SAE|damaged"),
        (lambda: weights(file, {"W_dec": [41, 8]}), "says that the SAE has 40 .*holds 41"),
        (lambda: (tmp_path / "early/cfg.json").write_text("[1]"), "not a JSON object"),
        (lambda: (tmp_path / "early/cfg.json").write_text("{"), "not JSON"),
        (lambda: (tmp_path / "early/cfg.json").write_text("[" * 9999), "nested more than"),
        (lambda: (tmp_path / "early/cfg.json").write_text('{"d_sae": ' + "9" * 5000), "not JSON"),
        (lambda: (tmp_path / "early/cfg.json").unlink(), "cfg.json is missing"),
        (lambda: edit(tmp_path, activation_fn="tanh-relu"), "tanh-relu"),
        (lambda: edit(tmp_path, d_sae="forty"), "d_sae"),
        (lambda: edit(tmp_path, normalize_activations="other"), "normalize_activations"),
    ):
        shutil.rmtree(tmp_path / "early", ignore_errors=True)
        shutil.copytree(inputs / "early", tmp_path / "early")
        damage()
        with pytest.raises(SaereportError, match=message) as caught:
            check(inputs, saes=[{"path": tmp_path / "early"}])
        assert len(str(caught.value)) < 300


def test_a_model_folder_that_is_not_whole(inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(inputs / "model", folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "one", "b": "two"}}')
    with pytest.raises(SaereportError, match="lacks one and 1 more"):
        check(inputs, model=str(folder))
    (folder / "model.safetensors.index.json").unlink()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(SaereportError, match="comes without a tokeniser"):
        check(inputs, model=str(folder))


@pytest.mark.parametrize(
    ("release", "sae_id", "message"),
    [
        ("gpt2-small-resjb", "x", "SAELens knows no release .*Did you mean 'gpt2-small-res-jb'"),
        ("gpt2-small-res-jb", "blocks.8.hook_resid_pr", "Did you mean 'blocks.8.hook_resid_pre'"),
        ("gpt2-small-res-jb", "blocks.8.hook_resid_pre", "hf download jbloom/GPT2-Small-SAEs"),
    ],
)
def test_releases_are_looked_up_without_sae_lens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: str, sae_id: str, message: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SaereportError, match=message):
        folders.look_at_release(release, sae_id, "slug")
    repo = tmp_path / "models--jbloom--GPT2-Small-SAEs-Reformatted"
    repo.mkdir()
    assert (
        folders.look_at_release("gpt2-small-res-jb", "blocks.8.hook_resid_pre", "s").d_sae is None
    )
    assert folders.look_at_release("owner/unknown", "x", "s").d_sae is None


def test_names_of_models_are_looked_up_without_transformer_lens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SaereportError, match="Did you mean 'gpt2-small'"):
        folders.check_model("gpt2-smal")
    with pytest.raises(SaereportError, match="hf download gpt2`"):
        folders.check_model("gpt2-small")
    (tmp_path / "models--gpt2").mkdir()
    folders.check_model("gpt2-small")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    folders.check_model("whatever/it-is")


@pytest.mark.slow
def test_what_is_read_here_is_what_the_libraries_know() -> None:
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    from saereport.sources.model_loading import known_model_names
    from saereport.sources.saes import directory as listing

    read = {name.lower(): official for name, official in folders._model_names().items()}
    assert read == {name.lower(): official for name, official in known_model_names().items()}
    directory = get_pretrained_saes_directory()
    text = listing.directory_text()
    assert text is not None
    assert set(listing.release_names(text)) == set(directory)
    for name in list(directory)[::25]:
        found = listing.release_entry(text, name)
        assert found is not None
        assert {entry["id"] for entry in found["saes"]} == set(directory[name].saes_map)


def test_the_door_loads_no_torch(inputs: Path) -> None:
    """A missing folder took 31 s, and a latent out of range 39 s: both loaded torch first."""
    code = (
        "import sys\n"
        "from saereport.cli import main as cli\n"
        f"code = cli.run(['build', '--sae-path', {str(inputs / 'early')!r}, '--latents', '9999'])\n"
        "assert code == 1, code\n"
        "code = cli.run(['build', '--sae-path', 'nowhere'])\n"
        "assert code == 1, code\n"
        "code = cli.run(['build', '--release', 'gpt2-small-res-j', '--sae-id', 'x'])\n"
        "assert code == 1, code\n"
        f"heavy = sorted(set(sys.modules) & {HEAVY!r})\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.count("\n") == 3
    assert "out of range" in done.stderr


def test_the_output_is_looked_at_before_the_inputs(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    code = cli.run(["build", "--sae-path", "nowhere", "--out", str(tmp_path)])
    assert code == 1
    assert "exists and is not a" in capsys.readouterr().err


def test_what_no_run_holds_is_refused_before_the_text_is_read() -> None:
    sae, model = SimpleNamespace(slug="a", d_sae=64), SimpleNamespace(d_vocab=99, n_layers=2)
    door.check_fits_a_run([sae], model, 128, ["title"])
    asked: list[tuple[list[Any], Any, int, list[str], str]] = [
        ([sae], SimpleNamespace(d_vocab=901_629, n_layers=2), 128, [], "405,856 tokens in the"),
        ([SimpleNamespace(slug="a", d_sae=2**25)], model, 128, [], "16,777,216 latents of a"),
        ([sae] * 5000, model, 128, [], "4,096 SAEs; there are 5,000"),
        ([sae], model, 2**21, [], "1,048,576 tokens in a sequence"),
        ([sae], model, 128, [",".join(map(str, range(20_000)))], "65,536 characters in a title"),
    ]
    for saes, other, context, texts, said in asked:
        with pytest.raises(SaereportError, match=said):
            door.check_fits_a_run(saes, other, context, texts)


def test_an_output_that_cannot_be_written_is_told_at_the_door(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for run in (True, False):
        with pytest.raises(SaereportError, match="is a file"):
            door.check_output(tmp_path / "file" / "out", run=run)
        with locked(tmp_path / "out"):
            door.check_output(tmp_path / "out", run=run)
    config = make_config({"saes": [{"path": "x"}], "dataset": str(tmp_path)})
    with pytest.raises(UsageError, match="which is read"), door.held_output(config, tmp_path / "o"):
        pass


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"tokens": [-1, 2]}, "Prompt 1 has the token id -1"),
        ({"text": "a =>"}, "'a =>' has an empty answer"),
        ({"text": "a", "answer": ""}, "has an empty answer"),
        ({"repeat_random": 10_000}, "has 20,000 tokens, and circuits.max_prompt allows 1,024"),
    ],
)
def test_prompts_that_need_no_tokeniser_to_be_refused(
    inputs: Path, prompt: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check(inputs, prompts=[prompt])


RIGHT = {"W_enc": [8, 40], "W_dec": [40, 8], "b_enc": [40], "b_dec": [8]}
TRANSCODER = {"architecture": "transcoder", "d_out": 6}
GATED = {name: [40] for name in ("b_gate", "b_mag", "r_mag")}


@pytest.mark.parametrize(
    ("cfg", "shapes", "message"),
    [
        ({}, {"b_enc": [7]}, r"b_enc has shape \[7\], and \[40\] goes with cfg.json \(40 latents"),
        ({}, {"b_dec": [40]}, r"b_dec has shape \[40\], and \[8\]"),
        ({}, {"b_dec": [1, 8]}, r"b_dec has shape \[1, 8\], and \[8\]"),
        ({}, {"W_enc": [40, 8]}, r"W_enc has shape \[40, 8\], and \[8, 40\].*transposed"),
        ({}, {"W_dec": [40, 9]}, r"W_dec has shape \[40, 9\]"),
        ({"d_in": 9}, {}, r"W_dec has shape|W_enc has shape|b_dec has shape"),
        ({}, {"b_enc": None}, "lacks the tensor b_enc"),
        ({}, {"b_encc": [40]}, "holds a tensor 'b_encc'.*Did you mean 'b_enc'"),
        ({}, {"threshold": [40]}, "holds a tensor 'threshold'.*architecture 'standard'"),
        ({"architecture": "jumprelu"}, {}, "lacks the tensor threshold"),
        ({"architecture": "jumprelu"}, {"log_threshold": [7]}, "log_threshold has shape"),
        ({"architecture": "gated"}, {**GATED}, "holds a tensor 'b_enc'"),
        ({"architecture": "gated"}, {**GATED, "b_enc": None, "r_mag": [8]}, "r_mag has shape"),
        (TRANSCODER, {}, r"W_dec has shape \[40, 8\], and \[40, 6\]|b_dec has shape \[8\], and"),
        ({"architecture": "transcoder"}, {}, "does not say d_out"),
        ({"d_in": None}, {}, "does not say d_in, the number of inputs"),
        ({"architecture": "topk"}, {}, "does not say k"),
        ({"architecture": "topk", "k": 41}, {}, "says k 41, more than its 40 latents"),
        ({"architecture": ..., "sae_lens_version": "6.3.1"}, {}, "names no architecture"),
        ({"reshape_activations": "hook_z"}, {}, "reshape_activations 'hook_z'.*has no heads"),
    ],
)
def test_tensors_that_do_not_go_with_the_configuration(
    inputs: Path, tmp_path: Path, cfg: dict[str, Any], shapes: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "early"
    shutil.copytree(inputs / "early", folder)
    said = {**json.loads((folder / "cfg.json").read_text()), **cfg}
    kept = {name: value for name, value in said.items() if value is not ...}
    (folder / "cfg.json").write_text(json.dumps(kept))
    held = {name: shape for name, shape in {**RIGHT, **shapes}.items() if shape is not None}
    weights(folder / "sae_weights.safetensors", held)
    with pytest.raises(SaereportError, match=message) as caught:
        check(inputs, saes=[{"path": folder}])
    assert len(str(caught.value)) < 260
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_told_at_the_door(inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "early"
    shutil.copytree(inputs / "early", folder)
    file = folder / "cfg.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    with pytest.raises(SaereportError, match=r"byte order mark.*Save it as UTF-8 without one"):
        check(inputs, saes=[{"path": folder}])
