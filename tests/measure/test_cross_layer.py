"""Tables of weights for a layer of a cross-layer transcoder, against plain sums over its layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from saereport.measure.weights import WEIGHT_TABLES, TokenRows, WeightContext
from saereport.measure.weights.decoder import cosines
from saereport.sources.hooks import parse_hook
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from tests.factories import save_clt, tiny_model
from tests.measure.fakes import FakeSae

LATENTS = np.array([0, 3, 4, 17])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clt(tmp_path_factory.mktemp("clt") / "clt")


@pytest.fixture(scope="module")
def saes(folder: Path) -> list[Sae]:
    return [load_sae(SaeSource(path=str(folder), sae_id=f"layer_{la}")) for la in range(3)]


@pytest.fixture(scope="module")
def tokens() -> TokenRows:
    return TokenRows(tiny_model())


def stored(folder: Path, layer: int) -> np.ndarray:
    """The decoder as it is stored, float64[d_sae, places, d_model]."""
    tensors = load_file(folder / f"W_dec_{layer}.safetensors")
    return tensors[f"W_dec_{layer}"].double().numpy()


def computed(sae: Sae, tokens: TokenRows, table: str, others: Any = ()) -> dict[str, Any]:
    context = WeightContext(sae, LATENTS, tokens, others, listed=5)
    assert WEIGHT_TABLES[table].why_not(context) == ""
    return WEIGHT_TABLES[table].compute(context)


def unembedding(tokens: TokenRows) -> np.ndarray:
    return torch.cat([*tokens.unembedding()], dim=1).double().numpy()


def test_the_lens_is_of_the_sum_over_layers(
    folder: Path, saes: list[Sae], tokens: TokenRows
) -> None:
    table = computed(saes[0], tokens, "logit_lens")
    scores = stored(folder, 0).sum(axis=1)[LATENTS] @ unembedding(tokens)
    for row, expected in enumerate(scores):
        order = np.argsort(-expected)
        assert table["top_tokens"][row].tolist() == order[:5].tolist()
        np.testing.assert_allclose(table["top_values"][row], expected[order[:5]], rtol=1e-4)
    np.testing.assert_allclose(table["std"], scores.std(axis=1), rtol=1e-4)


def test_each_layer_has_a_norm_and_a_lens(folder: Path, saes: list[Sae], tokens: TokenRows) -> None:
    table = computed(saes[0], tokens, "write_layers")
    assert table["layer"].tolist() == [0, 1, 2] * len(LATENTS)
    assert table["latent"].tolist() == np.repeat(LATENTS, 3).tolist()
    W_U = unembedding(tokens)
    for row, (latent, layer) in enumerate(zip(table["latent"], table["layer"], strict=True)):
        direction = stored(folder, 0)[latent, layer]
        assert table["norm"][row] == pytest.approx(np.linalg.norm(direction), rel=1e-5)
        scores = direction @ W_U
        assert table["bottom_tokens"][row].tolist() == np.argsort(scores)[:5].tolist()
        np.testing.assert_allclose(table["top_values"][row], np.sort(scores)[::-1][:5], rtol=1e-4)


def test_one_that_writes_to_one_mlp_has_no_such_table(saes: list[Sae], tokens: TokenRows) -> None:
    context = WeightContext(saes[2], LATENTS, tokens)
    assert WEIGHT_TABLES["write_layers"].why_not(context) == "it writes to one hook point"


def test_norms_and_neighbours_are_of_all_that_is_written(
    folder: Path, saes: list[Sae], tokens: TokenRows
) -> None:
    whole = stored(folder, 0).reshape(24, -1)
    geometry = computed(saes[0], tokens, "geometry")
    lengths = np.linalg.norm(whole, axis=1)
    np.testing.assert_allclose(geometry["decoder_norm"], lengths[LATENTS], rtol=1e-5)
    cosine = (whole / lengths[:, None]) @ (whole / lengths[:, None]).T
    np.fill_diagonal(cosine, -2)
    found = computed(saes[0], tokens, "neighbours")
    k = len(found["latent"]) // len(LATENTS)
    for row, latent in enumerate(LATENTS):
        order = np.argsort(-cosine[latent], kind="stable")[:k]
        here = slice(row * k, row * k + k)
        assert found["other"][here].tolist() == order.tolist()
        np.testing.assert_allclose(found["cosine"][here], cosine[latent, order], atol=1e-5)


def test_cosines_of_one_point_are_those_of_its_rows() -> None:
    hook, rows = parse_hook("blocks.1.hook_mlp_out"), torch.randn(6, 4)
    alone = FakeSae(writes=(hook,), W_dec=rows)
    ((_, found),) = cosines(alone, torch.arange(6), [slice(0, 6)])
    unit = rows / rows.norm(dim=1, keepdim=True)
    assert torch.equal(found, unit @ unit.T)


def test_pullbacks_are_onto_what_is_written_before(
    folder: Path, saes: list[Sae], tokens: TokenRows
) -> None:
    """Layer 2 reads what layer 0 writes to the MLPs of layers 0 and 1, not to its own."""
    table = computed(saes[2], tokens, "pullbacks", saes[:2])
    assert table["early"][:2] == ["clt-layer_0", "clt-layer_1"]
    read = saes[2].W_enc.double().numpy()[:, LATENTS[0]]
    scores = stored(folder, 0)[:, :2].sum(axis=1) @ read
    assert table["top_latents"][0].tolist() == np.argsort(-scores)[:5].tolist()
    np.testing.assert_allclose(table["top_values"][0], np.sort(scores)[::-1][:5], rtol=1e-4)
    scores = stored(folder, 1)[:, 0] @ read
    np.testing.assert_allclose(table["top_values"][1], np.sort(scores)[::-1][:5], rtol=1e-4)
