"""SAEs that something is wrong with, though a run can be made: what is said, what is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.pipeline import build, loading, sanity
from saereport.pipeline.text_pass import Batches
from saereport.pipeline.warned import Warned
from saereport.report.rendering import render
from saereport.run import Run, open_run
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.sources.text.opening import open_text
from saereport.sources.text.packing import Packed, Portion, Rules, pack
from saereport.util.errors import GateError, SaereportError
from saereport.util.progress import Progress
from tests.factories import save_sae, tiny_model, tiny_tokens

DEMO_SAE = Path(build.__file__).parents[1] / "demo" / "saes" / "resid-l10"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doubtful")
    rng = np.random.default_rng(0)
    with (folder / "text.jsonl").open("w") as stream:
        for _ in range(60):
            words = " ".join(f"w{n}" for n in (rng.zipf(1.3, 40) % 98) + 2)
            stream.write(f'{{"text": "{words}"}}\n')
    save_sae(
        folder / "clt-l0",
        "transcoder",
        hook_name="blocks.0.mlp.hook_in",
        hook_name_out="blocks.0.hook_mlp_out",
        d_sae=24,
    )
    save_sae(folder / "late", "topk", hook_name="blocks.2.hook_resid_pre", d_sae=56)
    save_sae(folder / "layer-7", hook_name="blocks.1.hook_resid_pre")
    return folder


def asked(inputs: Path, *saes: str, **changes: Any) -> dict[str, Any]:
    return {
        "saes": [{"path": inputs / name} for name in saes],
        "dataset": str(inputs / "text.jsonl"),
        "model": "tiny",
        "latents": "0-7,20",
        "tokens": 1500,
        "batch_size": 8,
        "device": "cpu",
        "evaluate": 200,
        "examples": {"top": 5, "before": 4, "after": 2, "intervals": 3, "per_group": 2},
        **changes,
    }


@pytest.fixture(autouse=True, scope="module")
def _tiny() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_model", lambda name, **_: tiny_model())
        yield


class Told(Progress):
    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(scope="module")
def made(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    told = Told()
    prompts = [{"text": "w5 w6 w7 w8 w9", "graph": True}]
    out = tmp_path_factory.mktemp("runs") / "run"
    config = asked(inputs, "clt-l0", "late", prompts=prompts)
    build.collect(config, out, progress=told)
    return open_run(out), told.lines


# Layers of a cross-layer transcoder.


def test_nothing_that_needs_the_decoder(made: tuple[Run, list[str]]) -> None:
    run, _ = made
    left_out = next(sae for sae in run.info.saes if sae.slug == "clt-l0").left_out
    for table in (
        "logit_lens",
        "neighbours",
        "geometry",
        "decoder_directions",
        "head_shares",
        "sae_metrics",
    ):
        assert "one layer of a cross-layer transcoder" in left_out[table], table
        assert not run.has(table, "clt-l0")
    assert "deembedding" not in left_out
    assert run.rows("deembedding", "clt-l0")
    assert run.rows("examples", "clt-l0")
    late = next(sae for sae in run.info.saes if sae.slug == "late").left_out
    assert late["pullbacks"].startswith(
        "what clt-l0 writes before it reads is not known: it is one"
    )
    assert "sae_metrics" not in late


def test_prompts_say_what_is_left_out(made: tuple[Run, list[str]]) -> None:
    run, _ = made
    notes = {row["topic"]: row["text"] for row in run.table("prompt_notes").to_pylist()}
    for topic in ("clt-l0 spliced in", "clt-l0 to logits", "graph"):
        assert "cross-layer transcoder" in notes[topic], (topic, notes)
    maps = run.table("gradient_maps").to_pylist()
    assert {(row["early"], row["late"]) for row in maps} == {
        ("", "clt-l0"),
        ("", "late"),
        ("late", ""),
    }
    assert {row["splice"] for row in run.table("prompt_next").to_pylist()} == {"", "late"}


def test_its_pages_are_made(made: tuple[Run, list[str]], tmp_path: Path) -> None:
    run, _ = made
    render(run.path, tmp_path / "site")
    pages = "".join(p.read_text() for p in (tmp_path / "site").rglob("*.html"))
    assert "one layer of a cross-layer transcoder" in pages


def test_the_decoder_cannot_be_had(inputs: Path) -> None:
    """No way leads to the summed weights, for code that forgets to ask either."""
    sae = load_sae(SaeSource(path=str(inputs / "clt-l0")))
    assert not hasattr(sae.loaded, "W_dec")
    with pytest.raises(SaereportError, match="one layer of a cross-layer transcoder"):
        _ = sae.W_dec
    a = torch.randn(3, 32)
    assert sae.encode(a).shape == (3, 24)
    for way in (sae.loaded.decode, sae.loaded):
        with pytest.raises(AttributeError):
            way(a if way is sae.loaded else sae.encode(a))


# The sanity gate.


def packed(n: int = 6) -> list[Packed]:
    tokens = tiny_tokens(n).numpy().astype(np.int32)
    counted = np.ones_like(tokens, dtype=bool)
    counted[:, 0] = False
    return [Packed(0, tokens, counted, np.zeros_like(tokens))]


def look(sae: Any, model: Any) -> tuple[sanity.Look, list[str]]:
    warned = Warned()
    batches = Batches("auto", 32, torch.device("cpu"), Progress(quiet=True))
    looks = sanity.check_sanity(model, [sae], packed(), batches, warned)
    return looks[sae.slug], [warning.text for warning in warned.result()]


def test_sums_are_those_of_the_activations(tiny: Any, tiny_sae: Any) -> None:
    for architecture in ("standard", "jumprelu", "skip_transcoder"):
        sae = tiny_sae(architecture)
        (block,) = packed()
        names = [sae.hook_in.name, sae.write_point.name]
        acts = tiny.run(torch.from_numpy(block.tokens).long(), names)
        counted = torch.from_numpy(block.counted)
        a, true = acts[names[0]][counted], acts[names[1]][counted].double()
        made = sae.loaded(a).double()
        expected = 1 - (made - true).square().sum() / (true - true.mean(0)).square().sum()
        found, _ = look(sae, tiny)
        assert found.n == int(counted.sum())
        assert found.explained_variance == pytest.approx(float(expected), rel=1e-6)
        assert found.l0 == pytest.approx(float((sae.encode(a) > 0).sum(-1).float().mean()))
        assert torch.equal(found.alive, (sae.encode(a) > 0).any(0))


def test_halves_where_memory_runs_out(tiny: Any, tiny_sae: Any) -> None:
    sae = tiny_sae("standard")
    whole, _ = look(sae, tiny)
    run = tiny.run

    def short_of_memory(tokens: Any, hooks: Any) -> Any:
        if len(tokens) > 2:
            raise MemoryError
        return run(tokens, hooks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "run", short_of_memory)
        found, _ = look(sae, tiny)
    assert (found.n, found.active) == (whole.n, whole.active)
    assert found.explained_variance == pytest.approx(whole.explained_variance)


def test_only_the_first_thousand_tokens(tiny: Any, tiny_sae: Any) -> None:
    def endless() -> Iterator[Packed]:
        for _ in range(40):
            yield packed()[0]
        raise AssertionError("it reads on")

    batches = Batches(8, 32, torch.device("cpu"), Progress(quiet=True))
    sae = tiny_sae("standard")
    looks = sanity.check_sanity(tiny, [sae], endless(), batches, Warned())
    assert looks[sae.slug].n == sanity.TOKENS


def seen(**changes: Any) -> sanity.Look:
    """100 tokens of variance 1, half of it explained, 10 of 1,000 latents active on each."""
    settings = {"n": 100, "active": 1000, "error": 50.0, "square": 100.0, **changes}
    alive = torch.arange(1000) < settings.pop("alive", 300)
    return sanity.Look(alive=alive, total=torch.zeros(4, dtype=torch.float64), **settings)


@pytest.mark.parametrize(
    ("changes", "stated", "said"),
    [
        ({}, {}, None),
        ({}, {"l0": 10.0, "explained_variance": 0.6}, None),
        ({}, {"l0": 39.0, "k": 10.0}, None),
        ({"error": 192.0}, {}, "worse than the mean (explained variance -0.92)"),
        ({"error": float("inf")}, {}, "not finite"),
        ({"error": float("nan")}, {}, "not finite"),
        ({"error": 50.0}, {"explained_variance": 0.95}, "is 0.50, and 0.95 is stated"),
        ({"active": 69000}, {}, "690.0 of its 1,000 latents are active on a token"),
        ({"active": 0}, {}, "none of its latents is active"),
        ({}, {"k": 32.0}, "only 10.0 latents are active on a token (L0), and its k is 32"),
        ({}, {"l0": 82.0}, "10.0 latents are active on a token (L0), and 82 is stated"),
        ({}, {"l0": 2.0}, "and 2 is stated"),
        ({"alive": 12}, {}, "all but 12 of its 1,000 latents are dead"),
    ],
)
def test_what_is_not_as_expected(changes: Any, stated: Any, said: str | None) -> None:
    odd = sanity.oddities(seen(**changes), 1000, stated)
    assert len(odd) == (said is not None), odd
    assert said is None or said in odd[0]


def test_a_reconstruction_that_means_nothing_is_not_judged() -> None:
    assert sanity.oddities(seen(error=192.0), 1000, {}, decodes=False) == []


def test_the_warning_is_told_and_kept_and_can_be_an_error(
    made: tuple[Run, list[str]], inputs: Path, tmp_path: Path
) -> None:
    run, lines = made
    (warning,) = [w for w in run.info.warnings if w.about == "late"]
    assert warning.sanity
    assert "worse than the mean" in warning.text
    assert "Likely causes" in warning.text
    assert f"Warning: {warning.words}" in lines
    reading = next(i for i, line in enumerate(lines) if line.startswith("Warning: late"))
    assert not any("evaluat" in line.lower() for line in lines[:reading])
    with pytest.raises(GateError, match="worse than the mean") as caught:
        build.collect(asked(inputs, "late", strict=True), tmp_path / "run")
    assert caught.value.exit_code == 3
    assert not (tmp_path / "run").exists()


def test_a_layer_that_the_folder_denies(inputs: Path) -> None:
    (said,) = load_sae(SaeSource(path=str(inputs / "layer-7"))).said
    assert said.text == (
        "Its folder ('layer-7') names layer 7, but it reads at 'blocks.1.hook_resid_pre'."
    )
    assert said.sanity


def rewritten(folder: Path, factor: float, *, leave_out_the_factor: bool = False) -> Path:
    """The demo's SAE at layer 10 as SAELens's trainer saves it before it folds its scaling."""
    from sae_lens import SAE

    sae = SAE.load_from_disk(DEMO_SAE, device="cpu", dtype="float32")
    with torch.no_grad():
        sae.W_enc /= factor
        sae.W_dec *= factor
        sae.b_dec *= factor
    sae.cfg.normalize_activations = "none" if leave_out_the_factor else "expected_average_only_in"
    sae.save_model(folder)
    if not leave_out_the_factor:
        scaler = {"scaling_factor": factor, "has_whitening": False}
        (folder / "activation_scaler.json").write_text(json.dumps(scaler))
    return folder


@pytest.mark.model
def test_the_demo_in_training_units(demo_model: Any, tmp_path: Path) -> None:
    """L0 28 and explained variance 0.8 as published, not 690 and -0.9; and that would be told."""
    folders = {
        "published": DEMO_SAE,
        "checkpoint": rewritten(tmp_path / "checkpoint", 0.2),
        "misread": rewritten(tmp_path / "misread", 0.2, leave_out_the_factor=True),
    }
    saes = [load_sae(SaeSource(path=str(path)), slug=name) for name, path in folders.items()]
    warned = Warned()
    looks = sanity.check_sanity(
        demo_model,
        saes,
        pack(
            open_text("demo").documents(),
            demo_model.tokenizer,
            Rules(
                128, prepend_bos=True, bos_id=demo_model.bos_id, special_ids=demo_model.special_ids
            ),
            Portion(2000),
        ),
        Batches(4, 128, torch.device("cpu"), Progress(quiet=True)),
        warned,
    )
    assert 20 < looks["published"].l0 < 40
    assert looks["published"].explained_variance > 0.7
    assert looks["checkpoint"].l0 == pytest.approx(looks["published"].l0, rel=1e-3)
    assert looks["checkpoint"].explained_variance == pytest.approx(
        looks["published"].explained_variance, abs=1e-4
    )
    assert looks["misread"].l0 > 10 * looks["published"].l0
    (warning,) = warned.result()
    assert warning.about == "misread"
    assert "worse than the mean" in warning.text


# Which model.


def test_a_model_named_like_a_folder_here(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SaereportError, match=r"there is a folder of that name here.*--model"):
        build.collect(asked(inputs, "late", model=None), tmp_path / "run")


def test_a_model_that_two_places_name_differently(inputs: Path, tmp_path: Path) -> None:
    described = {"model_name": "meta-llama/Llama-3.1-8B"}
    described["neuronpedia_id"] = "deepseek-r1-distill-llama-8b/1-res"
    folder = save_sae(tmp_path / "sae", metadata=described)
    config = {**asked(inputs, "late"), "saes": [{"path": folder}]}
    with pytest.raises(SaereportError, match=r"sae: It is not clear which model .* --model\."):
        build.collect({**config, "model": None}, tmp_path / "run")
    build.collect({**config, "evaluate": 0}, tmp_path / "run")


def test_trusted_code_is_the_users_choice_and_stands_in_the_report(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[Any] = []

    def load(name: str, **options: Any) -> Any:
        handed.append(options["trust_remote_code"])
        return tiny_model()

    monkeypatch.setattr(loading, "load_model", load)
    for trusted in (False, True):
        config = asked(inputs, "late", trust_remote_code=trusted, tokens=300, evaluate=0)
        run = open_run(build.collect(config, tmp_path / str(trusted)))
        assert handed.pop() is trusted
        assert any("--trust-remote-code" in w.text for w in run.info.warnings) is trusted


def test_a_model_that_is_a_path_is_asked_for(inputs: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("~/model", "../model", "/home/someone/model", "C:\\model")):
        folder = save_sae(tmp_path / f"sae{number}", metadata={"model_name": name})
        told = Told()
        config = {**asked(inputs, "late", model=None), "saes": [{"path": folder}]}
        with pytest.raises(SaereportError, match=r"names no model\. Give one with --model"):
            build.collect(config, tmp_path / "run", progress=told)
        assert any("by a path, which is not followed" in line for line in told.lines)


def test_metadata_of_another_model_are_warned_of(inputs: Path, tmp_path: Path) -> None:
    odd = {
        "model_name": "m-gpt2",
        "model_class_name": "Foo\x1b",
        "exclude_special_tokens": [99_999],
    }
    save_sae(tmp_path / "odd", metadata=odd)
    config = asked(inputs, evaluate=0, tokens=512) | {"saes": [{"path": tmp_path / "odd"}]}
    found = open_run(build.collect(config, tmp_path / "run")).info.warnings
    for words in (
        "The model is 'tiny', as was asked for; the metadata of the SAE name 'm-gpt2'",
        "a model of the class 'Foo<0x1B>', which is not known here",
        "token 99999 in exclude_special_tokens, which is not in the model's vocabulary of 100",
    ):
        assert len([w for w in found if words in w.text and w.about == "odd"]) == 1, (words, found)
