"""Sums of latents, vectors of files, differences of means: what is steered, what refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from saereport.pipeline import build as building
from saereport.run import Run, open_run
from saereport.sources.forward import forward
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.factories import save_sae, tiny_model

EARLY, Z = "blocks.0.hook_resid_post", "blocks.1.attn.hook_z"
POSITIVE, NEGATIVE = ["w9 w30 w12", "w44 w9", "w9 w31 w9 w9"], ["w50 w51 w52", "w70 w50"]
STEERING = {"new_tokens": 5, "samples": 2, "strengths": [-1, 2], "top_tokens": 4}

Asked = Callable[..., dict[str, Any]]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "yes.txt").write_text("\n".join(POSITIVE))
    (tmp_path / "no.txt").write_text("\n".join(NEGATIVE))
    generator = torch.Generator().manual_seed(0)
    vectors = {"sea": torch.randn(32, generator=generator), "salt": 3 * torch.eye(32)[:2].clone()}
    save_file(vectors, tmp_path / "vectors.safetensors")
    np.save(tmp_path / "one.npy", np.arange(1, 33, dtype=np.float32))
    return tmp_path


def directions(files: Path) -> list[dict[str, Any]]:
    means = {"positive": str(files / "yes.txt"), "negative": str(files / "no.txt")}
    return [
        {
            "name": "sum",
            "latents": [{"latent": "early.7"}, {"latent": "late.2", "weight": -0.5}],
        },
        {"name": "vectors", "file": str(files / "vectors.safetensors"), "hook": EARLY},
        {"name": "heads", "file": str(files / "one.npy"), "hook": Z, "norm": 2.5},
        {"name": "last", **means, "hook": EARLY},
        {"name": "all", **means, "hook": EARLY, "tokens": "all"},
    ]


@pytest.fixture
def steering(asked: Asked) -> Asked:
    def make(found: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
        return asked(steering={**STEERING, "directions": found, **changes})

    return make


def rows(run: Run, name: str, slug: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run.table(name, slug).to_pylist()
    return found


@pytest.fixture
def run(steering: Asked, files: Path, tmp_path: Path) -> Run:
    return open_run(building.collect(steering(directions(files)), tmp_path / "run"))


def activations(tokens: list[int], name: str) -> torch.Tensor:
    with torch.no_grad():
        acts = forward(tiny_model(), torch.tensor([tokens]), reads=[name]).acts[name]
    return acts[0].double()


def ids(text: str) -> list[int]:
    return [0, *(int(word[1:]) for word in text.split())]


def slow_means(which: str) -> torch.Tensor:
    sides = []
    for prompts in (POSITIVE, NEGATIVE):
        parts = [activations(ids(text), EARLY) for text in prompts]
        sides.append(torch.cat([a[-1:] if which == "last" else a[1:] for a in parts]).mean(0))
    return sides[0] - sides[1]


def first_tokens(run: Run) -> tuple[list[list[int]], list[list[bool]]]:
    text = rows(run, "sequences")
    return [row["tokens"] for row in text], [row["counted"] for row in text]


def vectors_of(run: Run, small: Path) -> dict[str, dict[str, torch.Tensor]]:
    """What strength 1 adds, by name and hook point."""
    early, late = (load_sae(SaeSource(path=str(small / name))) for name in ("early", "late"))
    most = {
        slug: {row["latent"]: row["max"] for row in rows(run, "activity", slug)}
        for slug in ("early", "late")
    }
    generator = torch.Generator().manual_seed(0)
    sea = torch.randn(32, generator=generator).double()
    norms = {row["name"]: row["norm"] for row in rows(run, "steering_directions")}
    ramp = torch.arange(1, 33).double()
    return {
        "sum": {
            EARLY: most["early"][7] * early.W_dec[7].double(),
            "blocks.2.hook_resid_pre": -0.5 * most["late"][2] * late.W_dec[2].double(),
        },
        "vectors.sea": {EARLY: norms["vectors.sea"] * sea / sea.norm()},
        "vectors.salt.0": {EARLY: norms["vectors.sea"] * torch.eye(32)[0].double()},
        "vectors.salt.1": {EARLY: norms["vectors.sea"] * torch.eye(32)[1].double()},
        "heads": {Z: 2.5 * ramp / ramp.norm()},
        "last": {EARLY: slow_means("last")},
        "all": {EARLY: slow_means("all")},
    }


def slow_text(vectors: dict[str, torch.Tensor], strength: float, prompt: list[int], at: Any) -> Any:
    tokens = list(prompt)
    edits = {
        name: (lambda v: lambda a: a + (strength * v).float())(vector)
        for name, vector in vectors.items()
    }
    for number in at:
        with torch.no_grad():
            logits = forward(tiny_model(), torch.tensor([tokens]), edits=edits, logits=True).logits
        p = (logits[0, -1].double() / 0.7).softmax(0)
        total = 0.0
        for token in p.argsort(descending=True).tolist():
            total += float(p[token])
            if total > number:
                break
        tokens.append(token)
        if token == 1:
            break
    return tokens[len(prompt) :]


def test_every_direction_writes_what_a_loop_with_hooks_writes(run: Run, small: Path) -> None:
    prompts, found = rows(run, "steering_prompts"), rows(run, "steering_directions")
    vectors = vectors_of(run, small)
    assert {row["name"] for row in found} == set(vectors)
    texts = rows(run, "directed_texts")
    for row in found:
        own = vectors[row["name"]]
        assert sorted(row["hooks"]) == sorted(own)
        norm = sum(float(v.square().sum()) for v in own.values()) ** 0.5
        assert row["norm"] == pytest.approx(norm, rel=1e-4)
        for text in texts:
            if text["direction"] == row["direction"] and text["prompt"] == 1:
                seed = np.random.default_rng([0, 1, text["sample"]])
                at = seed.random(5, dtype=np.float32).tolist()
                assert text["tokens"] == slow_text(own, text["strength"], prompts[1]["tokens"], at)


def test_strength_one_is_as_it_says(run: Run) -> None:
    units = {row["name"]: (row["unit"], row["norm"]) for row in rows(run, "steering_directions")}
    assert "maximum on the text" in units["sum"][0]
    assert units["heads"] == ("the length that is asked for", pytest.approx(2.5))
    assert units["last"][0] == "the distance of the means"
    assert "median length" in units["vectors.sea"][0]


def test_what_is_near_and_what_it_raises_is_told(run: Run, small: Path) -> None:
    early = load_sae(SaeSource(path=str(small / "early")))
    W_U = tiny_model().W_U.double()
    for row in rows(run, "steering_directions"):
        near = [r for r in rows(run, "direction_latents") if r["direction"] == row["direction"]]
        if row["name"] not in ("last", "all"):
            continue
        v = slow_means(row["name"])
        cosines = torch.cosine_similarity(early.W_dec.double(), v[None], dim=1)
        order = cosines.abs().argsort(descending=True)[:10].tolist()
        assert [r["latent"] for r in near] == order
        assert {r["sae"] for r in near} == {"early"}
        for r in near:
            assert r["cosine"] == pytest.approx(float(cosines[r["latent"]]), abs=1e-5)
        weight = tiny_model().final_norm_weight
        logits = (v if weight is None else v * weight.double()) @ W_U
        top = logits.argsort(descending=True)[:4].tolist()
        assert row["top_tokens"] == top
        assert row["bottom_tokens"] == logits.argsort()[:4].tolist()
    # At the heads' outputs no SAE writes; at two places there is no one cosine.
    named = {row["direction"]: row["name"] for row in rows(run, "steering_directions")}
    assert {named[r["direction"]] for r in rows(run, "direction_latents")} == {
        *("vectors.sea", "vectors.salt.0", "vectors.salt.1", "last", "all")
    }


def test_the_texts_activations_are_projected(run: Run) -> None:
    from saereport.pipeline import steering_directions as doing

    named = {row["name"]: row for row in rows(run, "steering_directions")}
    numbers = {row["direction"]: row for row in rows(run, "direction_projections")}
    assert len(numbers) == 6
    own = numbers[named["last"]["direction"]]
    v = slow_means("last")
    assert 500 < own["n_tokens"] <= 600
    assert sum(own["counts"]) == own["n_tokens"]
    assert len(own["counts"]) == doing.BINS
    for row in rows(run, "direction_examples"):
        if row["direction"] != named["last"]["direction"]:
            continue
        assert row["tokens"][row["place"]] > 1
        assert own["lower"] - 1e-4 <= row["projection"]
    largest = [
        r["projection"]
        for r in rows(run, "direction_examples")
        if r["direction"] == named["last"]["direction"] and r["side"] == "largest"
    ]
    assert largest == sorted(largest, reverse=True)
    top = own["lower"] + own["width"] * doing.BINS
    assert largest[0] == pytest.approx(top, abs=1e-4)
    # Of the sequences that the run describes, the projections are counted by hand.
    tokens, counted = first_tokens(run)
    by_hand = [
        float(value)
        for row, mask in zip(tokens, counted, strict=True)
        for value, use in zip(activations(row, EARLY) @ (v / v.norm()), mask, strict=True)
        if use
    ]
    assert min(by_hand) >= own["lower"] - 1e-4
    assert max(by_hand) <= top + 1e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hook": "blocks.9.hook_resid_post"}, "9"),
        ({"hook": "nonsense"}, "nonsense"),
        ({"hook": None}, "needs the 'hook' point"),
        ({"file": "nowhere.npy"}, "no file of vectors 'nowhere.npy'"),
        ({"vector": "see"}, "no vector 'see'.*Did you mean 'sea'"),
        ({"name": "Sea!"}, "a name has up to 60 small letters"),
        ({"latents": [{"latent": "early.7"}]}, "one of 'latents', 'file'"),
        ({"positive": "yes.txt"}, "one of 'latents', 'file'"),
        ({"norm": 0}, "greater than 0"),
        ({"norms": 1}, "Did you mean 'norm'"),
    ],
)
def test_what_is_no_direction_is_refused_beforehand(
    steering: Asked,
    files: Path,
    tmp_path: Path,
    passes: list[Any],
    change: dict[str, Any],
    message: str,
) -> None:
    one = {"name": "v", "file": str(files / "vectors.safetensors"), "hook": EARLY, "vector": "sea"}
    with pytest.raises(SaereportError, match=message):
        building.collect(steering([{**one, **change}]), tmp_path / "run")
    assert passes == []


@pytest.mark.parametrize(
    ("one", "message"),
    [
        ({"latents": [{"latent": "early.70"}]}, "70 is out of range"),
        ({"latents": [{"latent": "early.1-3"}]}, "'early.1-3' in the direction 'x' is not one"),
        (
            {"latents": [{"latent": "early.1"}, {"latent": "early.1", "weight": -1}]},
            "Every weight of the direction 'x' is zero",
        ),
        ({"latents": [{"latent": "early.1"}], "hook": EARLY}, "leave out 'hook' and 'norm'"),
        ({"positive": "yes.txt", "hook": EARLY}, "need both 'positive' and 'negative'"),
        ({"positive": "yes.txt", "negative": "gone.txt", "hook": EARLY}, "no prompts file"),
        ({"positive": "yes.txt", "negative": "yes.txt", "hook": EARLY}, "'x' are equal"),
        ({"positive": "yes.txt", "negative": "long.txt", "hook": EARLY}, "does not fit the model"),
        ({"file": "wide.npy", "hook": EARLY}, "'x' has 33 numbers, and .* has 32 at"),
        ({"file": "zero.npy", "hook": EARLY}, "is zero"),
        ({"file": "nan.npy", "hook": EARLY}, "no finite number"),
        ({"file": "cube.npy", "hook": EARLY}, "neither a vector nor a list"),
        ({"file": "words.npy", "hook": EARLY}, "no numbers but"),
        ({"file": "yes.txt", "hook": EARLY}, "neither .safetensors nor .npy"),
        ({"file": "one.npy", "hook": EARLY, "vector": 3}, "has no name: leave 'vector' out"),
        ({"file": "cut.npy", "hook": EARLY}, "not an npy file"),
        ({"file": "less.npy", "hook": EARLY}, "not an npy file"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_before_the_text_is_read(
    steering: Asked,
    files: Path,
    tmp_path: Path,
    passes: list[Any],
    one: dict[str, Any],
    message: str,
) -> None:
    np.save(files / "wide.npy", np.ones(33))
    np.save(files / "zero.npy", np.zeros(32))
    np.save(files / "nan.npy", np.full(32, np.nan))
    np.save(files / "cube.npy", np.ones((2, 2, 32)))
    np.save(files / "words.npy", np.array(["a", "b"]))
    (files / "cut.npy").write_bytes((files / "one.npy").read_bytes()[:20])
    less = (files / "one.npy").read_bytes().replace(b"(32,), }  ", b"(-2, 32),}")
    (files / "less.npy").write_bytes(less)
    (files / "long.txt").write_text(" ".join(["w9"] * 90))
    paths = {k: str(files / v) for k, v in one.items() if k in ("file", "positive", "negative")}
    with pytest.raises(SaereportError, match=message):
        building.collect(steering([{"name": "x", **one, **paths}]), tmp_path / "run")
    assert not [shape for shape in passes if shape[0] == 8]


def test_directions_that_are_finished_are_not_written_anew(
    steering: Asked, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from saereport.pipeline.steering_texts import Writer

    config = steering(directions(files)[2:])
    asked_for: list[str] = []
    real = Writer.texts

    def texts(self: Writer, direction: Any, steps: Any, told: Any, called: str = "") -> Any:
        asked_for.append(called)
        if len(asked_for) == 3:
            raise KeyboardInterrupt
        return real(self, direction, steps, told, called)

    monkeypatch.setattr(Writer, "texts", texts)
    with pytest.raises(KeyboardInterrupt):
        building.collect(config, tmp_path / "run")
    run = open_run(building.collect(config, tmp_path / "run"))
    assert asked_for == ["", "heads", "last", "last", "all"]
    assert [row["name"] for row in rows(run, "steering_directions")] == ["heads", "last", "all"]


@pytest.mark.parametrize("with_reveal", [False, True])
def test_a_blinded_latent_is_in_no_direction(
    steering: Asked, tmp_path: Path, with_reveal: bool
) -> None:
    one = {"name": "x", "latents": [{"latent": "early.3"}]}
    config = {**steering([one]), "blind": ["early:3"], "with_reveal": with_reveal}
    with pytest.raises(SaereportError, match="latent 3 is blinded"):
        building.collect(config, tmp_path / "run")


def test_what_is_blinded_afterwards_is_not_taken_from_what_was_kept(
    steering: Asked, files: Path, tmp_path: Path
) -> None:
    def near(**changes: Any) -> set[int]:
        config = {**steering(directions(files)[3:4]), **changes}
        run = open_run(building.collect(config, tmp_path / "run"))
        found = [row for row in rows(run, "direction_latents") if row["sae"] == "early"]
        return {row["latent"] for row in found}

    first = min(near())
    assert first not in near(blind=[f"early:{first}"])
    assert first in near()


def test_what_normalises_is_in_no_direction(steering: Asked, tmp_path: Path) -> None:
    save_sae(tmp_path / "n", "topk", hook_name=EARLY, normalize_activations="layer_norm")
    one = {"name": "x", "latents": [{"latent": "3"}]}
    with pytest.raises(SaereportError, match="in the direction 'x' cannot be steered: it normal"):
        building.collect({**steering([one]), "saes": [{"path": tmp_path / "n"}]}, tmp_path / "run")
