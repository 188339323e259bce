"""Which model a name means, and whether what is loaded is what Transformers has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from saereport.sources.model_checks import Watched, difference, no_processors
from saereport.sources.model_faults import loading
from saereport.sources.model_loading import described, known_model_names, load_model
from saereport.sources.models import hash_tensors
from saereport.util.errors import SaereportError
from tests.factories import byte_tokenizer
from tests.families import NOT_TAKEN, family_model


def hashes(tensors):
    """One hash for each tensor, whatever it is called."""
    return {hash_tensors({"": tensor}) for tensor in tensors}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "given"),
    [
        ("gpt2-small", "./gpt2-small"),
        ("gpt2-small", "gpt2-small"),
        ("gemma-2-2b", "gemma-2-2b/"),
        ("pythia-70m", "../{here}/pythia-70m"),
        ("gpt2", "{absolute}/gpt2"),
    ],
)
def test_a_folder_with_a_known_name_is_read_itself(folder, given, here, families):
    """The weights are those of the folder's file; nothing of this is in a cache of the hub."""
    assert folder in known_model_names()
    shutil.copytree(families("llama"), here / folder)
    model = load_model(given.format(here=here.name, absolute=here))
    assert model.name == folder
    assert model.model.tokenizer.name_or_path == str(here / folder)
    assert model.model.cfg.model_name == str(here / folder)
    file = load_file(here / folder / "model.safetensors")
    assert hashes(file.values()) <= hashes(model.model.original_model.parameters())


def test_a_folder_of_the_official_name_is_not_read_for_an_alias(here, families, hub):
    """TransformerLens makes `gpt2` of `gpt2-small`, and Transformers prefers a folder here."""
    shutil.copytree(families("llama"), here / "gpt2")
    for wrapper in ("auto", "TransformerBridge"):
        with pytest.raises(SaereportError, match=r"Give --model \./gpt2 to read the folder"):
            load_model("gpt2-small", wrapper=wrapper)
    (here / "gpt2" / "config.json").unlink()
    with pytest.raises(SaereportError, match="would be read in its place"):
        load_model("gpt2")


def test_says_which_model_is_read(here, families):
    assert described("gpt2-small") == "gpt2-small"
    shutil.copytree(families("llama"), here / "gpt2-small")
    shutil.copytree(families("llama"), here / "mine")
    said = "gpt2-small from the folder here, not the hub's model of this name"
    assert described("gpt2-small") == said
    assert described("./mine/") == "mine from the folder here"
    assert described("demo") == "demo"


@pytest.mark.parametrize("family", sorted(NOT_TAKEN))
def test_a_wrapper_that_computes_something_else_is_refused(family, families):
    with pytest.raises(SaereportError) as caught:
        load_model(families(family))
    said = str(caught.value)
    assert "TransformerLens 3." in said
    assert len(said) < 330
    if "other logits" in NOT_TAKEN[family]:
        assert "computes something else than Transformers 5." in said
        assert "% of the largest" in said


def test_the_check_compares_with_the_unwrapped_model(families, monkeypatch):
    """A component of the wrapper that is off by a hundredth is found."""
    from transformer_lens.model_bridge.generalized_components import GatedMLPBridge

    load_model(families("llama"))
    right = GatedMLPBridge.forward
    monkeypatch.setattr(GatedMLPBridge, "forward", lambda *a, **k: right(*a, **k) * 1.01)
    with pytest.raises(SaereportError, match="computes something else than Transformers"):
        load_model(families("llama"))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_check_allows_rounding(dtype, families):
    for family in ("gemma2", "gpt2"):
        load_model(families(family), dtype=dtype)
    with pytest.raises(SaereportError, match="computes something else"):
        load_model(families("cohere"), dtype=dtype)


def test_the_check_allows_processed_weights(families):
    kwargs = {"fold_ln": True, "center_writing_weights": True, "center_unembed": True}
    assert load_model(families("gpt2"), kwargs=kwargs).final_norm_folded


def test_numbers_that_overflow_are_told_as_such():
    watched = Watched(torch.device("cpu"))
    watched.logits = torch.full((1, 8, 10), torch.nan)
    model = SimpleNamespace(
        name="big", d_vocab=10, device="cpu", forward_pass=lambda *_, **__: watched.logits
    )
    with pytest.raises(SaereportError, match=r"NaN or infinite numbers.*--dtype float32"):
        watched.check(model)


def test_difference_of_logits():
    a = torch.randn(1, 8, 10)
    assert difference(a, a + 3) < 1e-6
    assert difference(a, torch.cat([a, torch.zeros(1, 8, 2)], -1)) < 1e-6
    assert difference(a, a * 2) == pytest.approx(1, abs=1e-5)
    assert difference(a, None) == float("inf")


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "xglm"])
def test_a_folder_without_a_tokeniser(family, families, tmp_path):
    """Transformers makes an empty one for some, and fails for others."""
    folder = shutil.copytree(families(family), tmp_path / "bare")
    for file in folder.glob("*token*"):
        file.unlink()
    with pytest.raises(SaereportError, match=r"'bare' comes without a tokeniser\. Put the"):
        load_model(folder)


def test_an_empty_tokeniser(families, tmp_path):
    folder = shutil.copytree(families("gpt2"), tmp_path / "empty")
    file = json.loads((folder / "tokenizer.json").read_text())
    file["model"]["vocab"] = {"a": 0, "<|endoftext|>": 1}
    (folder / "tokenizer.json").write_text(json.dumps(file))
    with pytest.raises(SaereportError, match="'empty' comes without a tokeniser"):
        load_model(folder)


def test_gguf_of_a_family_by_its_class(tmp_path, monkeypatch):
    """A configuration from a GGUF file names no architectures; nothing beside it is read."""
    import transformers

    (tmp_path / "gpt2-small.gguf").write_bytes(b"GGUF")
    (tmp_path / "tokenizer_config.json").write_text("{}")
    model = family_model("gemma3")
    model.config.architectures = None
    seen = []

    def from_folder(folder, **options):
        seen.append(sorted(path.name for path in Path(folder).iterdir()))
        return byte_tokenizer() if "dtype" not in options else model

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", from_folder)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", from_folder)
    weights = hashes(model.parameters())
    loaded = load_model(tmp_path / "gpt2-small.gguf")
    assert (loaded.name, loaded.n_layers, loaded.d_model) == ("gpt2-small", 3, 48)
    assert weights <= hashes(loaded.model.original_model.parameters())
    assert seen == [["model.gguf"], ["model.gguf"]], "TransformerLens reads no tokeniser itself"


def test_nothing_is_installed_for_pictures(monkeypatch):
    import transformers

    before = transformers.AutoProcessor
    with no_processors():
        assert transformers.AutoProcessor.from_pretrained("x", token=None) is None
    assert transformers.AutoProcessor is before


class _Response:
    def __init__(self, status):
        self.status_code, self.headers, self.request = status, {}, None


def hub_error(kind, text, status=404):
    """An error of the hub as Transformers passes it on: as the cause of an `OSError`."""
    from huggingface_hub import errors

    cause = getattr(errors, kind).__new__(getattr(errors, kind))
    Exception.__init__(cause, text)
    cause.response = _Response(status)
    return cause


MISSING = (
    "401 Client Error. Repository Not Found for url: https://huggingface.co/x. Please make sure "
    "you specified the correct `repo_id`. If you are trying to access a private or gated repo, "
    "make sure you are authenticated."
)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("RepositoryNotFoundError", MISSING, "There is no model 'gpt2-smal' on the Hugging Face"),
        ("GatedRepoError", "Access to model x is restricted.", "is gated on the Hugging Face hub"),
        ("RevisionNotFoundError", "no such revision", "has no such revision"),
    ],
)
def test_what_the_hub_says(kind, text, said):
    with (
        pytest.raises(SaereportError) as caught,
        loading("gpt2-smal", local=False, known=known_model_names),
    ):
        raise OSError("You are somewhere") from hub_error(kind, text, 401)
    assert said in str(caught.value)
    if kind == "RepositoryNotFoundError":
        assert "gated" not in str(caught.value)
        assert "Did you mean 'gpt2-small'" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("Could not determine supported architecture " + "x" * 900), "TransformerLens"),
        (ValueError("The checkpoint does not recognize this architecture"), "Transformers 5."),
        (OSError("Error no file named model.safetensors found in directory /secret"), "its folder"),
        (ImportError("sentencepiece is missing " * 50), "needs a package"),
        (RuntimeError("words " * 300), "--debug"),
    ],
)
def test_messages_are_short_and_name_one_thing_to_do(error, said):
    with (
        pytest.raises(SaereportError) as caught,
        loading("mine", local=True, known=dict, architecture="OddForCausalLM"),
    ):
        raise error
    assert said in str(caught.value)
    assert "'mine' (OddForCausalLM)" in str(caught.value)
    assert len(str(caught.value)) < 330
    assert caught.value.hint
    assert "/secret" not in str(caught.value)


def test_weights_that_are_missing(families, tmp_path):
    folder = shutil.copytree(families("llama"), tmp_path / "bare")
    (folder / "model.safetensors").unlink()
    with pytest.raises(SaereportError, match="lacks weights that Transformers can read"):
        load_model(folder)


def test_a_configuration_of_an_unknown_kind(families, tmp_path):
    folder = shutil.copytree(families("llama"), tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "oddity", "architectures": ["OddForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SaereportError, match=r"\(OddForCausalLM\) is of a kind that Transformers"):
        load_model(folder)
