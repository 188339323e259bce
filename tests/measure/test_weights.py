"""Tables of weights against loops over latents, tokens and heads."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from saereport.measure.weights import WEIGHT_TABLES, TokenRows, WeightContext, distributions
from saereport.measure.weights import decoder as decoder_module
from saereport.measure.weights.directions import reads_at, why_no_read, why_no_write, writes_of
from saereport.measure.weights.extremes import extremes, largest, with_more
from saereport.measure.weights.logit_lens import histogram, moments
from saereport.run.tables import TABLES
from saereport.sources.hooks import parse_hook
from saereport.util.errors import SaereportError
from tests.factories import tiny_model
from tests.measure.fakes import FakeSae

LATENTS = np.array([0, 3, 4, 11])
MODELS: dict[str, dict[str, Any]] = {
    "layer norm": {},
    "layer norm folded": {"normalization_type": "LNPre"},
    "RMS norm, shared value heads": {
        "normalization_type": "RMS",
        "n_key_value_heads": 2,
        "positional_embedding_type": "rotary",
        "rotary_dim": 8,
        "gated_mlp": True,
        "act_fn": "silu",
    },
}
HOOKS = {
    "resid": ("blocks.1.hook_resid_pre", None),
    "post": ("blocks.1.hook_resid_post", None),
    "z": ("blocks.1.attn.hook_z", None),
    "attn_out": ("blocks.2.hook_attn_out", None),
    "transcoder": ("blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out"),
    "weighted": ("blocks.2.mlp.hook_in", "blocks.2.hook_mlp_out"),
}


def sae_of(kind: str, seed: int = 0, d_sae: int = 14) -> Any:
    """A random SAE; every vector is 32 wide, whatever it stands for."""
    hook_in, hook_out = HOOKS[kind]
    generator = torch.Generator().manual_seed(seed)
    return FakeSae(
        slug=kind,
        hook_in=parse_hook(hook_in),
        writes=(parse_hook(hook_out or hook_in),),
        W_enc=torch.randn(32, d_sae, generator=generator),
        W_dec=torch.randn(d_sae, 32, generator=generator),
        why_no_decoder="",
        why_no_reads="",
    )


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return tiny_model(**MODELS[request.param])


@pytest.fixture(scope="module", params=HOOKS)
def context(request: pytest.FixtureRequest, model: Any) -> WeightContext:
    others = [sae_of(kind, seed=i + 1) for i, kind in enumerate(HOOKS) if kind != request.param]
    return WeightContext(
        sae_of(request.param), LATENTS, TokenRows(model), others, listed=5, memory=5000
    )


def weight(norm: torch.Tensor | None) -> np.ndarray:
    return np.ones(32) if norm is None else norm.double().numpy()


def as_norm(row: np.ndarray, norm: str) -> np.ndarray:
    if norm == "layer":
        row = row - row.mean()
        return row / row.std(ddof=1)
    return row / np.sqrt((row**2).mean())


def extended(model: Any) -> np.ndarray:
    """E', one token at a time, through the model's own norm and MLP."""
    rows = []
    block = model.model.blocks[0]
    for row in model.W_E:
        with torch.no_grad():
            added = block.mlp(block.ln2(row[None, None]))[0, 0]
        rows.append(as_norm((row + added).double().numpy(), model.norm))
    return np.array(rows)


def slow_write(model: Any, sae: Any, latent: int) -> np.ndarray:
    hook, row = sae.write_point, sae.W_dec[latent].double().numpy()
    if hook.kind != "z":
        return row
    W_O = model.W_O(hook.layer).double().numpy()
    return sum(row[8 * h : 8 * h + 8] @ W_O[h] for h in range(4))


def slow_heads(model: Any, sae: Any, latent: int) -> list[np.ndarray]:
    """What an attention latent reads of each head's z."""
    column = sae.W_enc[:, latent].double().numpy()
    if sae.hook_in.kind == "z":
        return [column[8 * h : 8 * h + 8] for h in range(4)]
    W_O = model.W_O(sae.hook_in.layer).double().numpy()
    return [W_O[h] @ column for h in range(4)]


def behind_norm(model: Any, read: np.ndarray) -> np.ndarray:
    """What is read behind a norm, without its weight, of what is before it: its mean is no part."""
    return read - read.mean(axis=0) if model.norm == "layer" else read


def slow_read(model: Any, sae: Any, latent: int) -> np.ndarray:
    hook, column = sae.hook_in, sae.W_enc[:, latent].double().numpy()
    if hook.kind == "resid":
        return column
    if hook.kind == "mlp_in_normalized":
        return behind_norm(model, column)
    if hook.kind == "mlp_in":
        return behind_norm(model, column * weight(model.mlp_norm_weight(hook.layer)))
    W_V = model.W_V(hook.layer).double().numpy()
    heads = slow_heads(model, sae, latent)
    read = weight(model.attn_norm_weight(hook.layer)) * sum(W_V[h] @ heads[h] for h in range(4))
    return behind_norm(model, read)


def rows_of(context: WeightContext, table: str) -> list[dict[str, Any]]:
    columns = WEIGHT_TABLES[table].compute(context)
    spec = TABLES[table]
    assert tuple(columns) == spec.names
    assert len({len(column) for column in columns.values()}) == 1
    keys = list(zip(*(columns[key] for key in spec.key), strict=True))
    assert keys == sorted(keys)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def check_extremes(row: dict[str, Any], scores: np.ndarray, names: str = "tokens") -> None:
    order = np.argsort(-scores)
    assert row[f"top_{names}"].tolist() == order[:5].tolist()
    assert row[f"bottom_{names}"].tolist() == order[::-1][:5].tolist()
    tolerance = 1e-5 * np.abs(scores).max()
    np.testing.assert_allclose(row["top_values"], scores[order[:5]], atol=tolerance)
    np.testing.assert_allclose(row["bottom_values"], scores[order[::-1][:5]], atol=tolerance)


def applies(context: WeightContext, table: str) -> bool:
    """Whether an SAE has a table; only those may lack one that cannot have it."""
    without = {
        "head_shares": context.hook_out.kind != "z",
        "pullbacks": context.sae.slug == "resid",
        "write_layers": True,
    }
    reason = WEIGHT_TABLES[table].why_not(context)
    assert bool(reason) == without.get(table, False), reason
    return not reason


def test_logit_lens(context: WeightContext, model: Any) -> None:
    W_U = weight(model.final_norm_weight)[:, None] * model.W_U.double().numpy()
    W_U = behind_norm(model, W_U)
    for row in rows_of(context, "logit_lens"):
        scores = slow_write(model, context.sae, row["latent"]) @ W_U
        check_extremes(row, scores)
        z = (scores - scores.mean()) / scores.std()
        found = [row[name] for name in ("mean", "std", "skewness", "kurtosis")]
        expected = [scores.mean(), scores.std(), (z**3).mean(), (z**4).mean() - 3]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        assert row["lower"] == pytest.approx(scores.min(), rel=1e-4)
        assert row["width"] * 60 == pytest.approx(np.ptp(scores), rel=1e-4)
        assert row["counts"].sum() == len(scores)
        edges = scores.min() + np.ptp(scores) / 60 * np.arange(61)
        assert np.abs(row["counts"] - np.histogram(scores, edges)[0]).sum() <= 2


def test_deembedding(context: WeightContext, model: Any) -> None:
    tokens = {"raw": model.W_E.double().numpy(), "extended": extended(model)}
    rows = rows_of(context, "deembedding")
    assert len(rows) == 2 * len(LATENTS)
    for row in rows:
        read = slow_read(model, context.sae, row["latent"])
        check_extremes(row, tokens[row["kind"]] @ read)


def test_head_deembedding(context: WeightContext, model: Any) -> None:
    sae, hook = context.sae, context.sae.hook_in
    own = hook.kind in ("z", "attn_out")
    layers = [hook.layer] if own else {"blocks.1.hook_resid_pre": [0]}.get(hook.name)
    layers = layers or list(range(hook.layer + 1))
    tokens = extended(model)
    rows = rows_of(context, "head_deembedding")
    assert len(rows) == 3 * len(LATENTS)
    for latent in LATENTS:
        strength, scores = {}, {}
        for layer in layers:
            w = weight(model.attn_norm_weight(layer))[:, None]
            W_V, W_O = (m(layer).double().numpy() for m in (model.W_V, model.W_O))
            for h in range(4):
                if own:
                    probe = behind_norm(model, w * W_V[h]) @ slow_heads(model, sae, latent)[h]
                    strength[layer, h] = np.linalg.norm(probe)
                    scores[layer, h] = tokens @ probe
                else:
                    read = slow_read(model, sae, latent)
                    strength[layer, h] = np.linalg.norm(
                        behind_norm(model, w * W_V[h]) @ W_O[h] @ read
                    )
                    moved = tokens @ (w * W_V[h]) @ W_O[h]
                    moved = np.array([as_norm(m, model.norm) for m in moved])
                    scores[layer, h] = moved @ read
        strongest = sorted(strength, key=lambda head: -strength[head])[:3]
        mine = [row for row in rows if row["latent"] == latent]
        assert [(row["layer"], row["head"]) for row in mine] == sorted(strongest)
        for row in mine:
            head = row["layer"], row["head"]
            assert row["strength"] == pytest.approx(strength[head], rel=1e-4)
            check_extremes(row, scores[head])


def test_pullbacks(context: WeightContext, model: Any) -> None:
    if not applies(context, "pullbacks"):
        return
    sae = context.sae
    early = [o for o in context.others if o.write_point.depth < sae.hook_in.depth]
    rows = rows_of(context, "pullbacks")
    assert len(rows) == len(LATENTS) * len(early)
    by_slug = {other.slug: other for other in early}
    for row in rows:
        other = by_slug[row["early"]]
        read = slow_read(model, sae, row["latent"])
        scores = np.array([slow_write(model, other, i) @ read for i in range(14)])
        check_extremes(row, scores, "latents")


def test_which_saes_are_earlier() -> None:
    model = tiny_model()
    saes = {kind: sae_of(kind) for kind in HOOKS}
    expected = {
        "resid": [],
        "z": ["resid"],
        "transcoder": ["resid", "z"],
        "post": ["resid", "transcoder", "z"],
        "attn_out": ["post", "resid", "transcoder", "z"],
        "weighted": ["attn_out", "post", "resid", "transcoder", "z"],
    }
    for kind, slugs in expected.items():
        others = [sae for name, sae in saes.items() if name != kind]
        context = WeightContext(saes[kind], LATENTS, TokenRows(model), others)
        reason = WEIGHT_TABLES["pullbacks"].why_not(context)
        assert bool(reason) == (not slugs)
        if slugs:
            table = WEIGHT_TABLES["pullbacks"].compute(context)
            assert sorted(set(table["early"])) == slugs


def test_head_shares(context: WeightContext) -> None:
    if not applies(context, "head_shares"):
        return
    assert context.hook_out.kind == "z"
    for row in rows_of(context, "head_shares"):
        parts = context.sae.W_dec[row["latent"]].reshape(4, 8).norm(dim=1)
        np.testing.assert_allclose(row["shares"], parts / parts.sum(), rtol=1e-5)


def test_neighbours(context: WeightContext) -> None:
    W_dec = context.sae.W_dec.double().numpy()
    unit = W_dec / np.linalg.norm(W_dec, axis=1, keepdims=True)
    rows = rows_of(context, "neighbours")
    for latent in LATENTS:
        cosine = unit @ unit[latent]
        others = sorted((i for i in range(14) if i != latent), key=lambda i: -cosine[i])[:10]
        mine = [row for row in rows if row["latent"] == latent]
        assert [row["other"] for row in mine] == others
        np.testing.assert_allclose([row["cosine"] for row in mine], cosine[others], atol=1e-5)


def test_geometry(context: WeightContext) -> None:
    W_enc, W_dec = (w.double().numpy() for w in (context.sae.W_enc, context.sae.W_dec))
    unit = W_dec / np.linalg.norm(W_dec, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    plane = centred @ axes[:2].T
    for row in rows_of(context, "geometry"):
        latent = row["latent"]
        e, d = W_enc[:, latent], W_dec[latent]
        norms = np.linalg.norm(e), np.linalg.norm(d)
        assert (row["encoder_norm"], row["decoder_norm"]) == pytest.approx(norms, rel=1e-5)
        transcoder = context.sae.write_point != context.sae.hook_in
        cosine = 0.0 if transcoder else e @ d / norms[0] / norms[1]
        assert row["encoder_decoder_cosine"] == pytest.approx(cosine, abs=1e-5)
        found = np.array([row["map_x"], row["map_y"]])
        np.testing.assert_allclose(np.abs(found), np.abs(plane[latent]), atol=1e-5)


def slow_quantities(sae: Any) -> dict[str, np.ndarray]:
    W_enc, W_dec = (w.double().numpy() for w in (sae.W_enc, sae.W_dec))
    lengths = [np.linalg.norm(W_enc, axis=0), np.linalg.norm(W_dec, axis=1)]
    n = len(W_dec)
    near = [
        max(W_dec[i] @ W_dec[j] / lengths[1][i] / lengths[1][j] for j in range(n) if j != i)
        for i in range(n)
    ]
    return {
        "encoder_norm": lengths[0],
        "encoder_bias": sae.read_biases().double().numpy(),
        "decoder_norm": lengths[1],
        "encoder_decoder_cosine": (W_enc.T * W_dec).sum(axis=1) / lengths[0] / lengths[1],
        "largest_decoder_cosine": np.array(near),
    }


def test_distributions_of_weights(context: WeightContext) -> None:
    """Of all latents, in blocks of a few of them (the memory of `context` holds no more)."""
    slow = slow_quantities(context.sae)
    rows = rows_of(context, "weight_distributions")
    assert [row["quantity"] for row in rows] == sorted(slow)
    for row in rows:
        values = slow[row["quantity"]]
        if context.hook_in.name != context.hook_out.name and "encoder_dec" in row["quantity"]:
            assert row["reason"].startswith("it writes elsewhere than it reads")
            assert (row["n_latents"], len(row["counts"]), len(row["quantiles"])) == (0, 0, 0)
            continue
        assert (row["n_latents"], row["reason"]) == (14, "")
        ends = [row["mean"], row["std"], row["min"], row["max"]]
        expected = [values.mean(), values.std(), values.min(), values.max()]
        assert ends == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert row["quantiles"] == pytest.approx(
            np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]), rel=1e-5, abs=1e-6
        )
        edges = row["lower"] + row["width"] * np.arange(len(row["counts"]) + 1)
        assert sum(row["counts"]) == 14
        # A value on an edge may fall to either side of it: what is summed up to there cannot.
        below = np.cumsum(row["counts"])
        for edge, n in zip(edges[1:-1], below[:-1], strict=True):
            near = 1e-5 * max(1, abs(edge))
            assert (values < edge - near).sum() <= n <= (values < edge + near).sum()


def test_cosines_of_a_wide_sae_are_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    sae = sae_of("resid", d_sae=300)
    monkeypatch.setattr(distributions, "FEWEST_SAMPLED", 20)
    monkeypatch.setattr(distributions, "MOST_PRODUCTS", 300 * 32 * 50)
    context = WeightContext(sae, LATENTS, TokenRows(tiny_model()), [], seed=3, memory=50_000)
    chosen = distributions.sampled_latents(context)
    assert (len(chosen), len(set(chosen.tolist()))) == (50, 50)
    assert chosen.tolist() != distributions.sampled_latents(replace(context, seed=4)).tolist()
    row = rows_of(context, "weight_distributions")[-1]
    values = slow_quantities(sae)["largest_decoder_cosine"][chosen]
    assert (row["n_latents"], row["max"]) == (50, pytest.approx(values.max(), abs=1e-6))
    assert row["mean"] == pytest.approx(values.mean(), abs=1e-6)
    monkeypatch.setattr(distributions, "MOST_PRODUCTS", 0)
    assert len(distributions.sampled_latents(context)) == 20


def test_equal_weights_are_one_bin_and_a_lone_latent_has_no_other() -> None:
    sae = sae_of("resid", d_sae=1)
    rows = rows_of(WeightContext(sae, LATENTS[:1], TokenRows(tiny_model())), "weight_distributions")
    assert rows[-1]["reason"] == "it has one latent, and so no other"
    lower, width, counts = distributions.histogram_of(np.full(7, 0.25))
    assert (lower, width, counts.tolist()) == (0.125, 0.25, [7])
    assert distributions.histogram_of(np.zeros(3))[2].tolist() == [3]


def test_directions_are_the_decoder_rows_at_unit_length(context: WeightContext) -> None:
    decoder = context.sae.W_dec.numpy().astype(np.float64)
    for row in rows_of(context, "decoder_directions"):
        exact = decoder[row["latent"]]
        assert row["direction"].dtype == np.float16
        np.testing.assert_allclose(
            row["direction"], exact / np.linalg.norm(exact), rtol=2**-11, atol=2**-24
        )


def test_the_map_does_not_flip() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    plane = decoder_module.principal_plane(rows)
    turned = decoder_module.principal_plane(-rows)
    np.testing.assert_allclose(plane, -turned, atol=1e-5)  # same axes, mirrored data
    assert decoder_module.principal_plane(rows[:, :1]).shape == (40, 2)


def test_umap_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(decoder_module.importlib, "import_module", missing)
    with pytest.raises(SaereportError, match="umap-learn") as caught:
        decoder_module.umap_plane(np.zeros((4, 2), dtype=np.float32), 0)
    assert "saereport[umap]" in caught.value.hint


def test_hook_z_is_known_by_its_kind_and_not_by_its_width() -> None:
    model, rows = tiny_model(), torch.randn(3, 32)
    resid, z = parse_hook("blocks.1.hook_resid_pre"), parse_hook("blocks.1.attn.hook_z")
    writes = [
        writes_of(FakeSae(hook_in=hook, writes=(hook,), W_dec=rows), model, None)
        for hook in (resid, z)
    ]
    assert torch.equal(writes[0], rows)
    assert not torch.allclose(writes[1], rows)
    assert torch.equal(reads_at(rows, resid, model), rows)
    assert not torch.allclose(reads_at(rows, z, model), rows)
    assert why_no_write([parse_hook("blocks.1.mlp.hook_in")], model)
    assert why_no_read(parse_hook("blocks.1.hook_mlp_out"), model)


@pytest.mark.parametrize("table", WEIGHT_TABLES)
def test_a_reason_is_given_exactly_where_there_is_no_table(table: str) -> None:
    model = tiny_model()
    hooks = {
        "embed": ("hook_embed", None),
        "mlp_out": ("blocks.1.hook_mlp_out", None),
        "to_mlp_in": ("blocks.1.mlp.hook_in", None),
        **HOOKS,
    }
    for name, (hook_in, hook_out) in hooks.items():
        sae = sae_of("resid")
        sae.slug, sae.hook_in = name, parse_hook(hook_in)
        sae.writes = (parse_hook(hook_out or hook_in),)
        context = WeightContext(sae, LATENTS, TokenRows(model), [sae_of("resid")])
        reason = WEIGHT_TABLES[table].why_not(context)
        if not reason:
            assert set(WEIGHT_TABLES[table].compute(context)) == set(TABLES[table].names)
        assert reason == reason.strip().rstrip(".")


@pytest.mark.parametrize("table", WEIGHT_TABLES)
def test_no_latents_and_half_precision(table: str, context: WeightContext) -> None:
    if not applies(context, table):
        return
    for dtype, latents in ((torch.float32, LATENTS[:0]), (torch.bfloat16, LATENTS)):
        sae = FakeSae(**vars(context.sae))
        sae.W_enc, sae.W_dec = sae.W_enc.to(dtype), sae.W_dec.to(dtype)
        small = WeightContext(sae, latents, context.tokens, context.others)
        columns = WEIGHT_TABLES[table].compute(small)
        if table == "weight_distributions":
            # It is of all latents, whichever are shown.
            assert columns["n_latents"] == [0 if why else 14 for why in columns["reason"]]
        else:
            assert set(np.unique(columns["latent"])) == set(latents)


def test_a_dead_decoder_row_gives_zeros() -> None:
    sae = sae_of("z")
    sae.W_dec[3] = 0
    context = WeightContext(sae, LATENTS, TokenRows(tiny_model()), listed=5)
    for table in ("logit_lens", "neighbours", "geometry", "head_shares", "decoder_directions"):
        for row in rows_of(context, table):
            for value in row.values():
                assert np.isfinite(value).all()
    lens = rows_of(context, "logit_lens")[1]
    assert lens["counts"][0] == 100
    assert lens["top_tokens"].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(rows_of(context, "head_shares")[1]["shares"], 0.25)


IN_PIECES = ("logit_lens", "deembedding", "head_deembedding")


def tables_of(context: WeightContext, tokens: TokenRows) -> dict[str, dict[str, Any]]:
    """The tables that go over the vocabulary, as far as the SAE has them."""
    other = replace(context, tokens=tokens)
    tables = [WEIGHT_TABLES[name] for name in IN_PIECES]
    return {t.name: t.compute(other) for t in tables if not t.why_not(other)}


@pytest.mark.parametrize("kind", ["resid", "z", "transcoder"])
@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
def test_a_vocabulary_in_pieces_gives_what_it_gives_whole(
    kind: str, settings: dict[str, Any]
) -> None:
    """Tokens that are alike, in one piece or in several, are listed by their index."""
    model = tiny_model(d_vocab=500, **settings)
    embedding, unembedding = model.model.embed.W_E, model.model.unembed.W_U
    with torch.no_grad():
        for token in (5, 6, 260, 499):
            embedding[token], unembedding[:, token] = embedding[2], unembedding[:, 2]
    context = WeightContext(sae_of(kind), LATENTS, TokenRows(model), listed=500)
    whole = tables_of(context, context.tokens)
    assert len(whole) == len(IN_PIECES)
    for size in (64, 200, 300):
        found = tables_of(context, TokenRows(model, size * 4 * 32))
        for name, columns in found.items():
            for column, values in columns.items():
                expected = np.asarray(whole[name][column])
                if expected.dtype.kind == "f":
                    np.testing.assert_allclose(np.asarray(values), expected, rtol=1e-5, atol=1e-6)
                else:
                    assert np.array_equal(np.asarray(values), expected), (size, name, column)


def test_no_more_of_a_vocabulary_is_held_than_two_pieces(
    context: WeightContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[weakref.ref[torch.Tensor]] = []
    held: list[int] = []
    pieces_of = TokenRows._pieces

    def watched(self: TokenRows, name: str, n_tokens: int, make: Any) -> Any:
        def made(some: slice) -> torch.Tensor:
            piece: torch.Tensor = make(some)
            assert piece.numel() <= 16 * 32
            pieces.append(weakref.ref(piece))
            held.append(sum(one() is not None for one in pieces))
            return piece

        return pieces_of(self, name, n_tokens, made)

    monkeypatch.setattr(TokenRows, "_pieces", watched)
    found = tables_of(context, TokenRows(context.model, 16 * 4 * 32))
    assert len(held) == 7 * sum(2 if name == "deembedding" else 1 for name in found)
    assert max(held, default=0) <= 2


def test_extremes_of_more_columns_are_those_of_all() -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randint(0, 4, (50, 30), generator=generator).float()
    expected = extremes(scores, 7)
    found, first = None, 0
    for part in torch.split(scores, [4, 1, 20, 5], dim=1):
        found = with_more(found, extremes(part, 7), first, 7)
        first += part.shape[1]
    assert found is not None
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name


def test_largest_breaks_ties_by_index() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 4, (50, 30), generator=generator).float()
    index, values = largest(scores, 7)
    for row in range(50):
        expected = sorted(range(30), key=lambda i: (-float(scores[row, i]), i))[:7]
        assert index[row].tolist() == expected
        assert values[row].tolist() == scores[row, expected].tolist()
    assert largest(scores, 99)[0].shape == (50, 30)
    index, _ = largest(scores, 7, smallest=True)
    for row in range(50):
        expected = sorted(range(30), key=lambda i: (float(scores[row, i]), i))[:7]
        assert index[row].tolist() == expected


def test_histogram_and_moments_of_equal_entries() -> None:
    scores = torch.full((2, 10), 3.5)
    lower, width, counts = histogram(scores)
    assert (lower.tolist(), width.tolist()) == ([3.5, 3.5], [0, 0])
    assert counts[:, 0].tolist() == [10, 10]
    found = moments(scores)
    assert found["skewness"].tolist() == found["kurtosis"].tolist() == [0, 0]
