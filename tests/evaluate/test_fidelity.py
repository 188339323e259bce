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

from saereport.evaluate import block_sums, sequences
from saereport.evaluate import bootstrap as resampling
from saereport.evaluate.fidelity import evaluate, first_counted
from saereport.sources.demo import demo_saes
from saereport.sources.hooks import parse_hook
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.sources.text.opening import open_text
from saereport.sources.text.packing import Packed, Portion, Rules, pack
from saereport.util.progress import Progress
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
    "ce_added_mean",
    "ce_added_spliced",
    "ce_added_zero",
    "ce_mean",
    "ce_original",
    "ce_recovered",
    "ce_recovered_mean",
    "ce_spliced",
    "ce_zero",
    "cosine",
    "explained_variance",
    "explained_variance_usual",
    "kl_mean",
    "kl_recovered",
    "kl_recovered_mean",
    "kl_spliced",
    "kl_zero",
    "l0",
    "l1",
    "l2_ratio",
    "mse",
    "mse_usual",
]


@pytest.fixture(scope="module")
def text() -> tuple[np.ndarray, np.ndarray]:
    """Sequences with and without counted tokens, and one without a prediction."""
    tokens = tiny_tokens(14, 20).numpy().astype(np.int32)
    counted = np.random.default_rng(0).random(tokens.shape) < 0.85
    counted[:, 0] = False
    counted[3, 9:] = False
    counted[4] = False
    counted[6, 1::2] = False
    return tokens, counted


@pytest.fixture(scope="module")
def few(text: Any) -> tuple[np.ndarray, np.ndarray]:
    return text[0][:5], text[1][:5]


def figures(table: dict[str, Any]) -> dict[str, tuple[float, int]]:
    rows = zip(table["metric"], table["value"], table["n_tokens"], strict=True)
    return {name: (float(value), int(n)) for name, value, n in rows}


def reconstruction(sae: Any, seen: torch.Tensor) -> torch.Tensor:
    return dense.reconstruct(sae, seen, dense.dense_f(sae, seen))


Rows = dict[str, np.ndarray]
"""What is known of the tokens, or predictions, of one sequence: one row for each, by name."""


def slow_rows(model: Any, sae: Any, tokens: np.ndarray, counted: np.ndarray) -> list[Rows]:
    """Of every sequence with a counted token what its tokens and predictions are, one by one."""
    place, found = sae.write_point.name, []
    with torch.no_grad():
        for row, mine in zip(tokens, counted, strict=True):
            ids = torch.from_numpy(row.astype(np.int64))
            seen = dense.run(model, ids, {}, sae.hook_in.name)
            true = dense.run(model, ids, {}, place)
            kept = {"a": true, "r": reconstruction(sae, seen), "f": dense.dense_f(sae, seen)}
            if mine.any():
                found.append({n: x.double().numpy()[mine] for n, x in kept.items()})
        mean = np.concatenate([rows["a"] for rows in found]).mean(axis=0)
        numbers = iter(found)
        for row, mine in zip(tokens, counted, strict=True):
            if mine.any():
                next(numbers).update(slow_predictions(model, sae, row, mine, mean))
    square = np.concatenate([(rows["a"] ** 2).sum(axis=1) for rows in found])
    least = np.sort(square)[-math.ceil(len(square) / 1000)]
    for rows in found:
        rows["usual"] = (rows["a"] ** 2).sum(axis=1) < least
    return found


def slow_predictions(
    model: Any, sae: Any, row: np.ndarray, mine: np.ndarray, mean: np.ndarray
) -> Rows:
    ids, chosen = torch.from_numpy(row.astype(np.int64)), torch.from_numpy(mine)[:, None]
    made = reconstruction(sae, dense.run(model, ids, {}, sae.hook_in.name))
    replaced = {
        "zero": torch.zeros_like,
        "mean": lambda true: torch.tensor(mean).to(true),
        "spliced": lambda _: made,
    }
    logits = {"original": dense.run(model, ids, {}, None)}
    for kind, put in replaced.items():
        edit = {sae.write_point.name: lambda true, put=put: torch.where(chosen, put(true), true)}
        logits[kind] = dense.run(model, ids, edit, None)
    sums: dict[str, list[float]] = {f"{m}_{kind}": [] for kind in logits for m in ("ce", "kl")}
    for p in range(len(row) - 1):
        if not (mine[p] and mine[p + 1]):
            continue
        log_p = {k: torch.log_softmax(v[p].double(), 0).tolist() for k, v in logits.items()}
        true_p = log_p["original"]
        for kind, found in log_p.items():
            sums[f"ce_{kind}"].append(-found[row[p + 1]])
            terms = [math.exp(x) * (x - y) for x, y in zip(true_p, found, strict=True)]
            sums[f"kl_{kind}"].append(math.fsum(terms))
    return {name: np.array(values) for name, values in sums.items()}


def slow_fit(sequences: list[Rows]) -> dict[str, float]:
    """The figures of activations by their definitions; a sequence may be there several times."""
    result = {}
    for ending in ("", "_usual"):
        chosen = [rows["usual"] if ending else slice(None) for rows in sequences]
        a, r = (
            np.concatenate([rows[n][c] for rows, c in zip(sequences, chosen, strict=True)])
            for n in ("a", "r")
        )
        error = ((a - r) ** 2).sum()
        result[f"explained_variance{ending}"] = 1 - error / ((a - a.mean(axis=0)) ** 2).sum()
        result[f"mse{ending}"] = error / len(a)
    a, r, f = (np.concatenate([rows[n] for rows in sequences]) for n in ("a", "r", "f"))
    norms, made = np.linalg.norm(a, axis=1), np.linalg.norm(r, axis=1)
    result["cosine"] = ((a * r).sum(axis=1) / (norms * made)).mean()
    result["l2_ratio"] = (made / norms).mean()
    result["l0"] = (f > 0).sum(axis=1).mean()
    result["l1"] = np.where(f > 0, f, 0).sum(axis=1).mean()
    return result


def slow_losses(sequences: list[Rows]) -> dict[str, float]:
    """Likewise the figures of predictions."""
    names = ("original", "spliced", "zero", "mean")
    mean = {
        f"{m}_{name}": np.concatenate([rows[f"{m}_{name}"] for rows in sequences]).mean()
        for m in ("ce", "kl")
        for name in names
    }
    for name in names[1:]:
        mean[f"ce_added_{name}"] = mean[f"ce_{name}"] - mean["ce_original"]
    for kind, ending in (("zero", ""), ("mean", "_mean")):
        lost = mean[f"ce_{kind}"] - mean["ce_spliced"]
        mean[f"ce_recovered{ending}"] = lost / (mean[f"ce_{kind}"] - mean["ce_original"])
        mean[f"kl_recovered{ending}"] = 1 - mean["kl_spliced"] / mean[f"kl_{kind}"]
    del mean["kl_original"]
    return mean


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure(
    tiny: Any,
    tiny_sae: Callable[..., Any],
    text: Any,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Values and intervals, against means over tokens and explicitly drawn sequences."""
    drawn = 60
    monkeypatch.setattr(resampling, "RESAMPLES", drawn)
    sae = tiny_sae(KINDS[kind][0], **KINDS[kind][1])
    found = evaluate(tiny, [sae], *text, QUIET)
    assert found.left_out == {}
    table = found.tables[sae.slug]
    rows = slow_rows(tiny, sae, *text)
    predicting = [one for one in rows if len(one["ce_original"])]
    assert (len(rows), len(predicting)) == (13, 12)
    expected = slow_fit(rows) | slow_losses(predicting)
    assert set(expected) == set(METRICS)
    # A random model can do without what the SAE replaces: then there is no share of cross-entropy.
    gaps = {"ce_recovered": "ce_added_zero", "ce_recovered_mean": "ce_added_mean"}
    known = [name for name in METRICS if name not in gaps or expected[gaps[name]] > 0]
    assert table["metric"] == known
    resampled: dict[str, list[float]] = {}
    for slowly, drawn_from in ((slow_fit, rows), (slow_losses, predicting)):
        n = len(drawn_from)
        for chosen in np.random.default_rng(resampling.SEED).integers(0, n, (drawn, n)):
            for name, value in slowly([drawn_from[i] for i in chosen]).items():
                resampled.setdefault(name, []).append(value)
    counted = text[1]
    n_tokens, n_predictions = int(counted.sum()), int((counted[:, :-1] & counted[:, 1:]).sum())
    for i, (name, (value, n)) in enumerate(figures(table).items()):
        # Ratios of small differences of float32 passes are less sure.
        near = {"rel": 2e-3 if "recovered" in name else 1e-4, "abs": 2e-6}
        assert value == pytest.approx(expected[name], **near), name
        predicted = name[:2] in ("ce", "kl")
        assert n == (n_predictions if predicted else n_tokens - name.endswith("_usual")), name
        assert table["n_sequences"][i] == (12 if predicted else 13)
        low, high = np.quantile(resampled[name], [0.025, 0.975])
        if name in gaps and np.quantile(resampled[gaps[name]], 0.025) <= 0:
            assert table["interval"][i] == []
        else:
            near = {"rel": 5e-3 if "recovered" in name else 2e-4, "abs": 5e-6}
            assert table["interval"][i] == pytest.approx([low, high], **near), name
            assert low <= high


def named(sae: Any, slug: str) -> Any:
    return dataclasses.replace(sae, slug=slug)


@pytest.fixture
def several(tiny_sae: Callable[..., Any]) -> list[Any]:
    return [named(tiny_sae(made, **options), kind) for kind, (made, options) in KINDS.items()]


def test_saes_do_not_meet(tiny: Any, several: list[Any], few: Any) -> None:
    together = evaluate(tiny, several, *few, QUIET)
    assert list(together.tables) == list(KINDS)
    for sae in several:
        alone = evaluate(tiny, [sae], *few, QUIET).tables[sae.slug]
        assert figures(alone) == figures(together.tables[sae.slug])


def test_batches_and_memory(
    tiny: Any, several: list[Any], few: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of one, or of what is left when memory runs out, give the same but for rounding."""
    whole = evaluate(tiny, several, *few, QUIET).tables
    monkeypatch.setattr(sequences, "LOGIT_BYTES", 1)
    monkeypatch.setattr(block_sums, "CHUNK_BYTES", 1)
    single = evaluate(tiny, several, *few, QUIET).tables
    monkeypatch.undo()
    true_forward, sizes = block_sums.forward, []

    def little(model: Any, tokens: torch.Tensor, **options: Any) -> Any:
        sizes.append(len(tokens))
        if len(tokens) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return true_forward(model, tokens, **options)

    monkeypatch.setattr(block_sums, "forward", little)
    halved = evaluate(tiny, several, *few, QUIET).tables
    assert max(sizes) == 4
    for slug, table in whole.items():
        for other in (single[slug], halved[slug]):
            for name in ("metric", "n_tokens", "n_sequences"):
                assert list(other[name]) == list(table[name])
            near = {"rtol": 1e-3, "atol": 2e-6}
            np.testing.assert_allclose(other["value"], table["value"], **near)
            for one, two in zip(other["interval"], table["interval"], strict=True):
                np.testing.assert_allclose(one, two, **near)


def test_blocks_in_any_order_and_kept_as_arrays_give_the_same_bytes(
    tiny: Any, several: list[Any], text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As workers give them, and as an interrupted build finds them again; in any cut."""
    monkeypatch.setattr(sequences, "LOGIT_BYTES", 4 * 20 * tiny.d_vocab * 2)
    whole = evaluate(tiny, several, *text, QUIET).tables
    written = {sae.slug: sae.write_point.name for sae in several}
    seen: list[int] = []

    def backwards(blocks: Any, bar: Any) -> Any:
        seen.append(len(blocks))
        for number in reversed(range(len(blocks))):
            sums = block_sums.block_sums(tiny, several, blocks[number], bar.advance)
            yield number, block_sums.Sums.of_arrays(sums.arrays(), written)

    for most in (64, 2):
        monkeypatch.setattr(block_sums, "MOST_BLOCKS", most)
        found = evaluate(tiny, several, *text, QUIET, backwards).tables
        for slug, table in whole.items():
            assert list(table) == list(found[slug])
            for name, column in table.items():
                assert list(map(str, found[slug][name])) == list(map(str, column))
    assert seen == [7, 2]


def test_sums_do_not_pile_up(
    tiny: Any, several: list[Any], text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part holds its tokens of largest norm, so that few parts wait for being joined."""
    held: list[int] = []
    joined = block_sums.Sums.joined.__func__  # type: ignore[attr-defined]

    def counted(cls: Any, parts: Any, k: int) -> Any:
        held.append(len(parts))
        return joined(cls, parts, k)

    monkeypatch.setattr(sequences, "LOGIT_BYTES", 1)
    for most in (1, 64):
        monkeypatch.setattr(block_sums, "MOST_BLOCKS", most)
        whole = evaluate(tiny, several, *text, QUIET).tables
        with monkeypatch.context() as watched:
            watched.setattr(block_sums.Sums, "joined", classmethod(counted))
            found = evaluate(tiny, several, *text, QUIET).tables
        assert str(found) == str(whole)
        assert max(held) <= 8 < len(text[0])


def test_every_token_is_read_once_whatever_is_asked(
    tiny: Any, several: list[Any], text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One true run for all SAEs, one for each SAE, two for each place; before that the mean's."""
    passes: list[tuple[int, bool]] = []
    true_forward = block_sums.forward

    def counted(model: Any, tokens: torch.Tensor, **options: Any) -> Any:
        passes.append((len(tokens), bool(options.get("logits"))))
        return true_forward(model, tokens, **options)

    monkeypatch.setattr(block_sums, "forward", counted)
    evaluate(tiny, several, *text, QUIET)
    n, places = 13, len({sae.write_point.name for sae in several})
    assert sum(k for k, whole in passes if not whole) == n
    assert sum(k for k, whole in passes if whole) == n * (1 + len(several) + 2 * places)


def test_the_mean_is_that_of_the_beginning(
    tiny: Any, several: list[Any], text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, counted = text
    sae = several[0]
    for most, rows in ((20, 2), (10**6, len(tokens))):
        monkeypatch.setattr(block_sums, "MEAN_TOKENS", most)
        found = block_sums.means_of(tiny, [sae], tokens, counted)[sae.write_point.name]
        acts = [
            dense.run(tiny, torch.from_numpy(row.astype(np.int64)), {}, sae.write_point.name)[mine]
            for row, mine in zip(tokens[:rows], counted[:rows], strict=True)
        ]
        expected = torch.cat(acts).double()[:most].mean(dim=0)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_variance_that_hangs_on_three_tokens(tmp_path: Path) -> None:
    """Enormous at position 1 of three sequences, which the SAE keeps; a part of the others."""
    from tests.factories import make_sae, tiny_model

    model = tiny_model()
    odd, n = 90, 150
    with torch.no_grad():
        model.model.W_E[odd] *= 2000
    tokens = tiny_tokens(n, 20).numpy().astype(np.int32)
    tokens[tokens == odd] = odd + 1
    tokens[[70, 95, 120], 1] = odd
    counted = np.ones_like(tokens, dtype=bool)
    counted[:, 0] = False
    made = make_sae("jumprelu", hook_name="blocks.0.hook_resid_pre", d_sae=64)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        made.W_enc.copy_(torch.cat([torch.eye(32), -torch.eye(32)], dim=1))
        made.W_dec.copy_(torch.cat([torch.eye(32), -torch.eye(32)]))
        # Of most dimensions only what is enormous is passed on.
        made.threshold.copy_(torch.where(torch.arange(64) % 32 < 13, 1e-6, 1.0))
    made.save_model(tmp_path)
    sae = load_sae(SaeSource(path=str(tmp_path)), slug="sae")
    found = evaluate(model, [sae], tokens, counted, QUIET)
    table = found.tables["sae"]
    values = {name: value for name, (value, _) in figures(table).items()}
    assert values["explained_variance"] > 0.99
    assert 0.25 < values["explained_variance_usual"] < 0.6
    interval = table["interval"][table["metric"].index("explained_variance")]
    # Where no resample draws one of the three, little is explained.
    assert interval[0] < 0.7 < 0.99 < interval[1]
    said = [line for line in found.doubts["sae"] if "Explained variance" in line]
    whole, usual = values["explained_variance"], values["explained_variance_usual"]
    assert said == [
        f"Explained variance hangs on few tokens: {whole:.3f} over all 2,850, {usual:.3f} "
        "without the 3 of largest norm."
    ]
    before = evaluate(model, [sae], tokens[:63], counted[:63], QUIET)
    assert figures(before.tables["sae"])["explained_variance"][0] == pytest.approx(usual, abs=0.05)
    assert not any("hangs" in line for line in before.doubts["sae"])


def test_what_cannot_be_evaluated_says_why(
    tiny: Any, several: list[Any], text: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resid, _, transcoder, *_ = several
    lost = dataclasses.replace(
        transcoder, slug="lost", writes=(parse_hook("blocks.7.hook_mlp_out"),)
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

    monkeypatch.setattr(block_sums, "losses_of", nothing)
    assert evaluate(tiny, [resid], *text, QUIET).left_out == {"resid": "memory ran out"}


def test_the_ends_of_the_scale(tiny: Any, few: Any, tmp_path: Path) -> None:
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
        found = evaluate(tiny, [sae], *few, QUIET)
        values = figures(found.tables["sae"])
        for name in ("ce_recovered", "kl_recovered", "cosine", "l2_ratio"):
            assert values[name][0] == pytest.approx(weight, abs=1e-5)
        assert values["l0"][0] == 32
    with torch.no_grad():
        sae.loaded.W_dec.fill_(float("nan"))
    found = evaluate(tiny, [sae], *few, QUIET)
    assert found.left_out == {"sae": "its numbers are not finite"}
    with torch.no_grad():
        # Squared errors of 1e36, which no run can hold.
        sae.loaded.W_dec.fill_(1e17)
    found = evaluate(tiny, [sae], *few, QUIET)
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
        Rules(128, prepend_bos=True, bos_id=demo_model.bos_id, special_ids=demo_model.special_ids),
        Portion(4096),
    )
    found = evaluate(demo_model, [sae], *first_counted(packed, 640), QUIET)
    values = figures(found.tables["resid-l10"])
    known = json.loads((Path(folder).parent / "figures.json").read_text())["resid-l10"]
    assert values["ce_recovered"][0] == pytest.approx(known["recovered"], abs=0.015)
    assert values["explained_variance"][0] == pytest.approx(known["explained_variance"], abs=0.03)
    assert values["l0"][0] == pytest.approx(known["l0"], rel=0.25)
    assert values["ce_original"][0] == pytest.approx(known["ce"], abs=0.6)
    assert values["explained_variance"][1] == 640
