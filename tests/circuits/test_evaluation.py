"""Figures of a whole SAE, against loops over tokens in float64 and TransformerLens's own passes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.circuits import evaluation
from saereport.circuits.evaluation import evaluate, first_counted
from saereport.circuits.splicing import write_point
from saereport.progress import Progress
from saereport.sources.demo import demo_saes
from saereport.sources.hooks import parse_hook
from saereport.sources.packing import Packed, pack
from saereport.sources.sae_loading import load_sae
from saereport.sources.saes import SaeSource
from saereport.sources.text import open_text
from tests.circuits import dense
from tests.factories import tiny_tokens

QUIET = Progress(quiet=True)
RESID, Z, MLP = "blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.ln2.hook_normalized"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "resid": ("jumprelu", {"hook_name": RESID}),
    "z": ("standard", {"hook_name": Z}),
    "transcoder": ("transcoder", {"hook_name": MLP}),
    "skip": ("skip_transcoder", {"hook_name": MLP}),
    "normalised": ("topk", {"hook_name": RESID, "normalize_activations": "layer_norm"}),
}
METRICS = [
    "ce_mean",
    "ce_original",
    "ce_recovered",
    "ce_spliced",
    "ce_zero",
    "cosine",
    "explained_variance",
    "kl_mean",
    "kl_recovered",
    "kl_spliced",
    "kl_zero",
    "l0",
    "l1",
    "l2_ratio",
    "mse",
]


@pytest.fixture(scope="module")
def text() -> tuple[np.ndarray, np.ndarray]:
    tokens = tiny_tokens(5, 20).numpy().astype(np.int32)
    counted = np.random.default_rng(0).random(tokens.shape) < 0.85
    counted[:, 0] = False
    counted[3, 9:] = False
    counted[4] = False
    return tokens, counted


def figures(table: dict[str, Any]) -> dict[str, tuple[float, int]]:
    rows = zip(table["metric"], table["value"], table["n_tokens"], strict=True)
    return {name: (float(value), int(n)) for name, value, n in rows}


def reconstruction(sae: Any, seen: torch.Tensor) -> torch.Tensor:
    return dense.reconstruct(sae, seen, dense.dense_f(sae, seen))


def slowly(model: Any, sae: Any, tokens: np.ndarray, counted: np.ndarray) -> dict[str, float]:
    """Every metric by its definition, one token at a time."""
    place = write_point(sae).name
    a, r, f = [], [], []
    with torch.no_grad():
        for row, mine in zip(tokens, counted, strict=True):
            seen = dense.run(model, torch.from_numpy(row.astype(np.int64)), {}, sae.hook_in.name)
            true = dense.run(model, torch.from_numpy(row.astype(np.int64)), {}, place)
            latents, made = dense.dense_f(sae, seen), reconstruction(sae, seen)
            for p in np.flatnonzero(mine):
                a.append([float(x) for x in true[p]])
                r.append([float(x) for x in made[p]])
                f.append([float(x) for x in latents[p] if x > 0])
    n, width = len(a), len(a[0])
    mean = [math.fsum(row[i] for row in a) / n for i in range(width)]

    def norm(v: list[float]) -> float:
        return math.sqrt(math.fsum(x * x for x in v))

    error = math.fsum(
        (x - y) ** 2 for v, w in zip(a, r, strict=True) for x, y in zip(v, w, strict=True)
    )
    spread = math.fsum((x - m) ** 2 for v in a for x, m in zip(v, mean, strict=True))
    result = {
        "explained_variance": 1 - error / spread,
        "mse": error / n,
        "cosine": math.fsum(
            math.fsum(x * y for x, y in zip(v, w, strict=True)) / (norm(v) * norm(w))
            for v, w in zip(a, r, strict=True)
        )
        / n,
        "l2_ratio": math.fsum(norm(w) / norm(v) for v, w in zip(a, r, strict=True)) / n,
        "l0": sum(len(v) for v in f) / n,
        "l1": math.fsum(x for v in f for x in v) / n,
    }

    def passes(row: np.ndarray, mine: np.ndarray) -> dict[str, torch.Tensor]:
        ids, chosen = torch.from_numpy(row.astype(np.int64)), torch.from_numpy(mine)[:, None]
        made = reconstruction(sae, dense.run(model, ids, {}, sae.hook_in.name))
        replaced = {
            "zero": torch.zeros_like,
            "mean": lambda true: torch.tensor(mean).to(true),
            "spliced": lambda _: made,
        }
        logits = {"original": dense.run(model, ids, {}, None)}
        for kind, put in replaced.items():
            edit = {place: lambda true, put=put: torch.where(chosen, put(true), true)}
            logits[kind] = dense.run(model, ids, edit, None)
        return logits

    sums: dict[str, list[float]] = {key: [] for key in METRICS}
    with torch.no_grad():
        for row, mine in zip(tokens, counted, strict=True):
            logits = passes(row, mine)
            for p in range(len(row) - 1):
                if not (mine[p] and mine[p + 1]):
                    continue
                log_p = {k: torch.log_softmax(v[p].double(), 0).tolist() for k, v in logits.items()}
                true_p = log_p["original"]
                for kind, found in log_p.items():
                    sums[f"ce_{kind}"].append(-found[row[p + 1]])
                    if kind != "original":
                        kl = math.fsum(
                            math.exp(x) * (x - y) for x, y in zip(true_p, found, strict=True)
                        )
                        sums[f"kl_{kind}"].append(kl)
    result |= {key: math.fsum(s) / len(s) for key, s in sums.items() if s}
    gap = result["ce_zero"] - result["ce_original"]
    result["ce_recovered"] = (result["ce_zero"] - result["ce_spliced"]) / gap
    result["kl_recovered"] = 1 - result["kl_spliced"] / result["kl_zero"]
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure(tiny: Any, tiny_sae: Callable[..., Any], text: Any, kind: str) -> None:
    sae = tiny_sae(KINDS[kind][0], **KINDS[kind][1])
    found = evaluate(tiny, [sae], *text, QUIET)
    assert found.left_out == {}
    table = found.tables[sae.slug]
    assert table["metric"] == METRICS
    expected = slowly(tiny, sae, *text)
    counted = text[1]
    predictions = int((counted[:, :-1] & counted[:, 1:]).sum())
    for name, (value, n) in figures(table).items():
        # Ratios of small differences of float32 passes are less sure.
        assert value == pytest.approx(expected[name], rel=2e-3 if "recovered" in name else 1e-4)
        assert n == (predictions if name[:2] in ("ce", "kl") else int(counted.sum()))


def named(sae: Any, slug: str) -> Any:
    return dataclasses.replace(sae, slug=slug)


@pytest.fixture
def several(tiny_sae: Callable[..., Any]) -> list[Any]:
    return [named(tiny_sae(made, **options), kind) for kind, (made, options) in KINDS.items()]


def test_saes_do_not_meet(tiny: Any, several: list[Any], text: Any) -> None:
    together = evaluate(tiny, several, *text, QUIET)
    assert list(together.tables) == list(KINDS)
    for sae in several:
        alone = evaluate(tiny, [sae], *text, QUIET).tables[sae.slug]
        assert figures(alone) == figures(together.tables[sae.slug])


def test_batches_and_memory(
    tiny: Any, several: list[Any], text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of one, or of what is left when memory runs out, give the same but for rounding."""
    whole = evaluate(tiny, several, *text, QUIET).tables
    monkeypatch.setattr(evaluation, "LOGIT_BYTES", 1)
    monkeypatch.setattr(evaluation, "CHUNK_BYTES", 1)
    single = evaluate(tiny, several, *text, QUIET).tables
    monkeypatch.undo()
    true_forward, sizes = evaluation.forward, []

    def little(model: Any, tokens: torch.Tensor, **options: Any) -> Any:
        sizes.append(len(tokens))
        if len(tokens) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return true_forward(model, tokens, **options)

    monkeypatch.setattr(evaluation, "forward", little)
    halved = evaluate(tiny, several, *text, QUIET).tables
    assert max(sizes) == 4
    for slug, table in whole.items():
        for other in (single[slug], halved[slug]):
            assert other["n_tokens"].tolist() == table["n_tokens"].tolist()
            np.testing.assert_allclose(other["value"], table["value"], rtol=2e-4)


def test_what_cannot_be_evaluated_says_why(
    tiny: Any, several: list[Any], text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resid, _, transcoder, *_ = several
    lost = dataclasses.replace(
        transcoder, slug="lost", hook_out=parse_hook("blocks.7.hook_mlp_out")
    )
    found = evaluate(tiny, [lost, resid], *text, QUIET)
    assert list(found.tables) == ["resid"]
    assert "blocks.7.hook_mlp_out" in found.left_out["lost"]
    tokens, counted = text
    apart = np.zeros_like(counted)
    apart[:, 1::2] = True
    found = evaluate(tiny, [resid], tokens, apart, QUIET)
    assert found.left_out == {"resid": "the text has no token to predict after one that counts"}

    def nothing(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(evaluation, "losses_of", nothing)
    assert evaluate(tiny, [resid], *text, QUIET).left_out == {"resid": "memory ran out"}


def test_the_ends_of_the_scale(tiny: Any, text: Any, tmp_path: Path) -> None:
    from tests.factories import make_sae

    for weight in (0.0, 1.0):
        # x and -x as latents: the reconstruction is the activation itself.
        made = make_sae("standard", hook_name=RESID, d_sae=64, apply_b_dec_to_input=False)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.zero_()
            made.W_enc.copy_(torch.cat([torch.eye(32), -torch.eye(32)], dim=1))
            made.W_dec.copy_(weight * torch.cat([torch.eye(32), -torch.eye(32)]))
        made.save_model(tmp_path / str(weight))
        sae = load_sae(SaeSource(path=str(tmp_path / str(weight))), slug="sae")
        found = evaluate(tiny, [sae], *text, QUIET)
        values = figures(found.tables["sae"])
        for name in ("ce_recovered", "kl_recovered", "cosine", "l2_ratio"):
            assert values[name][0] == pytest.approx(weight, abs=1e-5)
        assert values["l0"][0] == 32
    with torch.no_grad():
        sae.sae.W_dec.fill_(float("nan"))
    found = evaluate(tiny, [sae], *text, QUIET)
    assert found.left_out == {"sae": "its numbers are not finite"}


def test_the_first_counted_tokens() -> None:
    tokens = np.arange(24, dtype=np.int32).reshape(4, 6)
    counted = np.ones((4, 6), bool)
    counted[:, 0] = False
    parts = [
        Packed(
            start, tokens[start : start + 2], counted[start : start + 2], tokens[start : start + 2]
        )
        for start in (0, 2)
    ]
    found, within = first_counted(parts, 8)
    assert found.tolist() == tokens[:2].tolist()
    assert within.sum(axis=1).tolist() == [5, 3]
    assert within[1].tolist() == [False, True, True, True, False, False]
    assert first_counted(parts, 10)[1].sum() == 10
    assert first_counted(parts, 99)[1].tolist() == counted.tolist()


@pytest.mark.model
def test_the_demo_saes_are_as_their_training_measured_them(demo_model: Any) -> None:
    folder = demo_saes()["resid-l10"]
    sae = load_sae(SaeSource(path=str(folder)))
    packed = pack(
        open_text("demo").documents(),
        demo_model.tokenizer,
        context_size=128,
        prepend_bos=True,
        bos_id=demo_model.bos_id,
        special_ids=demo_model.special_ids,
        limit_tokens=4096,
    )
    found = evaluate(demo_model, [sae], *first_counted(packed, 640), QUIET)
    values = figures(found.tables["resid-l10"])
    known = json.loads((Path(folder).parent / "figures.json").read_text())["resid-l10"]
    assert values["ce_recovered"][0] == pytest.approx(known["recovered"], abs=0.015)
    assert values["explained_variance"][0] == pytest.approx(known["explained_variance"], abs=0.03)
    assert values["l0"][0] == pytest.approx(known["l0"], rel=0.25)
    assert values["ce_original"][0] == pytest.approx(known["ce"], abs=0.6)
    assert values["explained_variance"][1] == 640
