"""Make a run of any size without a model: numbers of the right shape, hostile text on demand.

The numbers are random but hang together where a page relies on it (an example's activation is the
largest of its window, counts add up, shares lie between 0 and 1). Everything is seeded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from saereport import __version__
from saereport.run import RunInfo, RunWriter, SaeInfo
from saereport.run.schema import (
    L0,
    MemoryProfile,
    MemoryRow,
    ModelInfo,
    RunWarning,
    StagePeak,
    TextInfo,
)
from saereport.run.tables import QUANTILES
from saereport.util.ragged import Ragged, Words
from tests import synthetic_whole

_TEXT = """
the of and to in a is that it was for on are as with his they at be this from have or by one had
not but what all were when we there can an your which their said if do will each about how up out
them then she many some so these would other into has more her two like him see time could no make
than first been its who now people my made over did down only way find use may water long little
very after words called just where most know get through back much before go good new write our
used me man too any day same right look think also around another came come work three word must
because does part even place well such here take why things help put years different away again
off went old number great tell men say small every found still between name should home big give
air line set own under read last never us left end along while might next sound below saw
something thought both few those always looked show large often together asked house don world
going want school important until form food keep children feet land side without boy once animals
enough took sometimes four head above kind began almost live page got earth need far hand high
year mother light parts country father let night following picture being study second eyes soon
times story boys since white days ever paper hard near sentence better best across during today
others however sure means knew try told young miles sun ways thing whole hear example heard
several change answer room sea against top turned learn point city play toward five using himself
usually
"""
WORDS = _TEXT.split()

HOSTILE: tuple[bytes, ...] = (
    b"</script><script>self.stolen=1</script>",
    b"<script>self.stolen=1</script>",
    b"<img src=x onerror=self.stolen=1>",
    b"<svg/onload=self.stolen=1>",
    b'"><body onload=self.stolen=1>',
    b"' onmouseover='self.stolen=1",
    b"javascript:self.stolen=1",
    b"<!--<script>",
    b"]]>",
    b"${self.stolen=1}",
    b"{{self.stolen=1}}",
    b"{% raw %}",
    b"\\u003cscript\\u003e",
    b"&lt;b&gt;&amp;",
    "\u2028\u2029".encode(),
    "\u202egnihtemos\u202c".encode(),
    "\u2066\u200b\u200d\ufeff".encode(),
    b"\x00\x01\x1b[31mred\x07",
    b"\xff\xfe",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xf0\x9f",
    b"__proto__",
    b"<b>constructor</b>",
    "العربية".encode(),
    "\u0301".encode(),
    "👩‍🔬".encode(),
    b"\r\n\t ",
    b"",
    b"<style>*{display:none}</style>",
    b"@import url(http://example.com)",
    b"http://example.com/x.png",
)
"""Tokens that would do harm, or vanish, if any layer forgot to escape or to make them visible."""


@dataclass(frozen=True)
class Shape:
    """How large a synthetic run is, and what is odd about it."""

    n_saes: int = 1
    d_sae: int = 512
    n_chosen: int = 64
    context: int = 64
    n_sequences: int = 400
    n_vocabulary: int = 2000
    n_top: int = 10
    n_intervals: int = 5
    per_interval: int = 2
    n_quantiles: int = 5
    per_quantile: int = 2
    list_length: int = 10
    hostile: bool = False
    neuronpedia: bool = True
    n_dead: int = 2
    part: int = 256
    quick: bool = field(default=False, repr=False)
    """Directions and sketches of any latents, without a loop: not those of the same latents of
    another run."""
    seed: int = 0
    explanations: tuple[str, ...] = field(default=())
    slugs: tuple[str, ...] = field(default=(), repr=False)
    tokens: tuple[bytes, ...] = field(default=(), repr=False)
    """A vocabulary of one's own: the text is then every token in order, all of it in examples."""


def vocabulary(shape: Shape) -> list[bytes]:
    """Token bytes by id: special, single bytes, words with and without a space, hostile ones."""
    if shape.tokens:
        return list(shape.tokens)
    tokens = [b"<|endoftext|>", *(bytes([b]) for b in range(256))]
    if shape.hostile:
        tokens += [HOSTILE[i % len(HOSTILE)] for i in range(4 * len(HOSTILE))]
    i = 0
    while len(tokens) < shape.n_vocabulary:
        word = WORDS[i % len(WORDS)]
        tail = "" if i < 2 * len(WORDS) else WORDS[(i * 7) % len(WORDS)]
        tokens.append((f" {word}{tail}" if i % 2 == 0 else f"{word}{tail}").encode())
        i += 1
    return tokens[: shape.n_vocabulary]


Extra = Callable[[RunWriter, Shape, dict[str, Any]], None]
"""Writes further tables of a run; the mapping is from an SAE's slug to its chosen latents."""


def write_run(target: Path, shape: Shape, *extras: Extra) -> RunInfo:
    """Write a synthetic run; the same shape gives the same bytes."""
    rng = np.random.default_rng(shape.seed)
    tokens = vocabulary(shape)
    ranks = np.arange(1, shape.n_vocabulary)
    weights = 1.0 / (ranks + 20.0)
    if not shape.hostile:
        weights[:256] *= 0.02
    text = 1 + rng.choice(
        ranks.size, size=(shape.n_sequences, shape.context), p=weights / weights.sum()
    ).astype(np.int32)
    text[:, 0] = 0
    if shape.tokens:
        text = np.resize(np.arange(len(tokens), dtype=np.int32), text.shape)
    documents = np.repeat(np.arange(shape.n_sequences, dtype=np.int32) // 3, shape.context)
    counted = np.ones(text.shape, bool)
    counted[:, 0] = False
    saes = [_sae(shape, k) for k in range(shape.n_saes)]
    with RunWriter(target) as writer:
        writer.write(
            "sequences",
            {
                "sequence": np.arange(shape.n_sequences),
                "tokens": text,
                "documents": documents.reshape(text.shape),
                "counted": counted,
            },
        )
        writer.write(
            "vocabulary",
            {
                "token": np.arange(shape.n_vocabulary),
                "bytes": tokens,
                "special": np.arange(shape.n_vocabulary) == 0,
            },
        )
        shown: dict[str, Any] = {}
        for k, sae in enumerate(saes):
            chosen = np.sort(rng.choice(shape.d_sae, shape.n_chosen, replace=False))
            early = [other.slug for other in saes[:k]]
            _write_sae(writer, shape, sae, chosen, early, np.random.default_rng([shape.seed, k]))
            shown[sae.slug] = chosen
        for extra in extras:
            extra(writer, shape, shown)
        return writer.finish(_info(shape, saes, int(counted.sum()), text))


def described(shape: Shape) -> RunInfo:
    """What a run of a shape says of itself, whatever tables it has."""
    text = np.zeros((shape.n_sequences, shape.context), np.int32)
    return _info(shape, [_sae(shape, k) for k in range(shape.n_saes)], text.size, text)


def _sae(shape: Shape, k: int) -> SaeInfo:
    layer = 3 + 3 * k
    kind = ("resid", "z", "mlp_in_normalized")[k % 3]
    hook = {
        "resid": f"blocks.{layer}.hook_resid_post",
        "z": f"blocks.{layer}.attn.hook_z",
        "mlp_in_normalized": f"blocks.{layer}.ln2.hook_normalized",
    }[kind]
    out = f"blocks.{layer}.hook_mlp_out" if kind == "mlp_in_normalized" else hook
    names = {"resid": "residual", "z": "attention", "mlp_in_normalized": "transcoder"}
    return SaeInfo(
        slug=shape.slugs[k] if shape.slugs else f"synthetic-l{layer}-{names[kind]}",
        label=f"L{layer} {names[kind]}" + (" <b>&\u202e\x07" if shape.hostile else ""),
        sae_id=f"l{layer}",
        architecture=("jumprelu", "standard", "topk")[k % 3],
        hook_in=hook,
        hook_out=out,
        layer=layer,
        kind=kind,
        kind_out="mlp_out" if kind == "mlp_in_normalized" else kind,
        d_in=576,
        d_sae=shape.d_sae,
        d_out=576,
        trained_context_size=shape.context,
        neuronpedia_id=f"synthetic/{layer}-res" if shape.neuronpedia and k == 0 else "",
        weights=hashlib.sha256(str(k).encode()).hexdigest(),
        n_chosen=shape.n_chosen,
        selection=f"random:{shape.n_chosen}",
        n_dead=shape.n_dead,
        l0=L0(
            mean=18.2,
            width=2,
            histogram=tuple(int(900 * np.exp(-((i - 9) ** 2) / 20)) for i in range(24)),
        ),
        left_out={} if kind == "z" else {"head_shares": "it does not read attention heads"},
    )


def _info(shape: Shape, saes: list[SaeInfo], n_counted: int, text: Any) -> RunInfo:
    odd = "</title><script>self.stolen=1</script>\u202e\u2066\x1b" if shape.hostile else ""
    return RunInfo(
        saereport_version=__version__,
        title=f"Synthetic report{odd}",
        config={"model": "synthetic", "latents": f"random:{shape.n_chosen}", "odd": odd},
        model=ModelInfo(
            name=f"synthetic-135M{odd}",
            content="0" * 40,
            wrapper="HookedTransformer",
            n_layers=30,
            d_model=576,
            n_heads=9,
            n_kv_heads=3,
            d_head=64,
            d_vocab=shape.n_vocabulary,
            n_ctx=2048,
            norm="rms",
            final_norm="folded into the unembedding",
            dtype="float32",
        ),
        text=TextInfo(
            name="synthetic words",
            source={"seed": shape.seed},
            context_size=shape.context,
            n_sequences=shape.n_sequences,
            n_tokens=shape.n_sequences * shape.context,
            n_counted=n_counted,
            n_documents=-(-shape.n_sequences // 3),
            prepend_bos=True,
            include_special=False,
            digest=hashlib.sha256(text.tobytes()).hexdigest(),
        ),
        saes=tuple(saes),
        tables={},
        fingerprint=hashlib.sha256(repr(shape).encode()).hexdigest(),
        libraries={"numpy": "synthetic", "torch": "none"},
        warnings=_warnings(saes, odd) if shape.hostile else (),
        memory=MemoryProfile(
            peaks=(StagePeak(stage="collect", process_bytes=10**9),),
            rows=(
                MemoryRow(stage="collect", name="W_E", kind="Parameter", device="cpu", bytes=10**8),
            ),
        ),
    )


def _warnings(saes: list[SaeInfo], odd: str) -> tuple[RunWarning, ...]:
    """One about the whole run, one of a library, and one about the first SAE."""
    return (
        RunWarning(text=f"Of 200 rows 3 were too short to be read{odd}."),
        RunWarning(about=saes[0].slug, sanity=True, text=f"Nearly all latents are dead{odd}."),
        RunWarning(about=saes[-1].slug, source=f"SAELens{odd}", text="x" * 600),
    )


@dataclass
class _Latents:
    """Draws the numbers of a part of an SAE's latents."""

    shape: Shape
    chosen: Any
    rng: Any

    def activity(self) -> dict[str, Any]:
        n = len(self.chosen)
        counted = self.shape.n_sequences * (self.shape.context - 1)
        density = 10 ** self.rng.uniform(-4.2, -0.6, n)
        active = np.maximum(1, (density * counted).astype(np.int64))
        active[: self.shape.n_dead if self.chosen[0] == self.first else 0] = 0
        top = np.where(active > 0, self.rng.gamma(6, 2.0, n) + 0.5, 0).astype(np.float32)
        spread = np.array([0.03, 0.07, 0.2, 0.35, 0.55, 0.8, 0.95])
        return {
            "latent": self.chosen,
            "n_active": active,
            "density": active / counted,
            "max": top,
            "mean_active": top * 0.38,
            "std_active": top * 0.2,
            "quantile_values": (top[:, None] * spread[None, : len(QUANTILES)]).astype(np.float32),
        }

    first: int = 0

    def examples(self, activity: dict[str, Any]) -> dict[str, Any]:
        shape, rng = self.shape, self.rng
        groups = (
            [f"interval:{b}" for b in range(shape.n_intervals) for _ in range(shape.per_interval)]
            + [f"quantile:{b}" for b in range(shape.n_quantiles) for _ in range(shape.per_quantile)]
            + ["top"] * shape.n_top
        )
        rank = [i for k in (shape.per_interval,) * shape.n_intervals for i in range(k)]
        rank += [i for k in (shape.per_quantile,) * shape.n_quantiles for i in range(k)]
        rank += list(range(shape.n_top))
        part = {
            **{
                g: 0.5 * 2 * (i + 0.7) / shape.n_intervals
                for i, g in enumerate(dict.fromkeys(groups))
                if g.startswith("interval")
            },
        }
        height = np.array(
            [
                part.get(
                    g,
                    1 - 0.04 * r
                    if g == "top"
                    else (int(g.split(":")[1]) + 0.6) / max(1, shape.n_quantiles),
                )
                for g, r in zip(groups, rank, strict=True)
            ]
        ).clip(0.02, 1)
        alive = np.flatnonzero(activity["n_active"] > 0)
        n, per = len(alive), len(groups)
        before, after = (shape.context, shape.context) if shape.tokens else (16, 9)
        top = activity["max"][alive].astype(np.float64)
        value = (top[:, None] * height[None, :]).reshape(-1)
        position = rng.integers(4, shape.context - 2, n * per)
        around = position[:, None] + np.array([-3, -1, 0, 2])[None, :]
        around = np.clip(around, 1, shape.context - 1)
        keep = np.concatenate([np.ones((n * per, 1), bool), np.diff(around, axis=1) > 0], axis=1)
        values = (
            value[:, None]
            * np.array([0.2, 0.45, 1.0, 0.3])[None, :]
            * rng.uniform(0.7, 1, (n * per, 4))
        )
        values[:, 2] = value
        return {
            "latent": np.repeat(self.chosen[alive], per),
            "group": Words.tiled(groups, n),
            "rank": np.tile(rank, n),
            "sequence": np.arange(n * per) % shape.n_sequences
            if shape.tokens
            else rng.integers(0, shape.n_sequences, n * per),
            "position": position,
            "document": rng.integers(0, 40, n * per),
            "activation": value,
            "start": np.maximum(0, position - before),
            "stop": np.minimum(shape.context, position + after),
            "active_positions": Ragged.of_lengths(around[keep], keep.sum(axis=1)),
            "active_values": Ragged.of_lengths(values[keep], keep.sum(axis=1)),
        }

    def groups(self, activity: dict[str, Any]) -> dict[str, Any]:
        shape = self.shape
        alive = np.flatnonzero(activity["n_active"] > 0)
        names = [f"interval:{b}" for b in range(shape.n_intervals)]
        names += [f"quantile:{b}" for b in range(shape.n_quantiles)]
        shares = np.array([0.6, 0.25, 0.1, 0.045, 0.005, 0.4, 0.3, 0.2, 0.09, 0.01])[: len(names)]
        edges = np.linspace(0, 1, shape.n_intervals + 1)
        q = np.linspace(0, 1, shape.n_quantiles + 1)
        low, high = np.concatenate([edges[:-1], q[:-1]]), np.concatenate([edges[1:], q[1:]])
        top = activity["max"][alive]
        return {
            "latent": np.repeat(self.chosen[alive], len(names)),
            "group": Words.tiled(names, len(alive)),
            "lower": (top[:, None] * low).reshape(-1),
            "upper": (top[:, None] * high).reshape(-1),
            "n_active": (activity["n_active"][alive][:, None] * shares)
            .astype(np.int64)
            .reshape(-1),
            "share": np.tile(shares, len(alive)),
        }

    def histogram(self, activity: dict[str, Any]) -> dict[str, Any]:
        n = len(self.chosen)
        exponent = np.where(
            activity["max"] > 0, np.ceil(np.log2(np.maximum(activity["max"], 1e-9) / 64)), -6
        )
        shape = np.exp(-np.arange(64) / 9.0)
        counts = (activity["n_active"][:, None] * shape / shape.sum()).astype(np.int64)
        log = np.exp(-((np.arange(24) - 14) ** 2) / 30)
        return {
            "latent": self.chosen,
            "exponent": exponent.astype(np.int32),
            "counts": counts,
            "log_first": np.full(n, -10),
            "log_counts": (activity["n_active"][:, None] * log / log.sum()).astype(np.int64),
        }

    def token_lists(self, rows: int) -> dict[str, Any]:
        k = self.shape.list_length
        down = np.sort(self.rng.gamma(3, 0.5, (rows, k)), axis=1)[:, ::-1]
        return {
            "top_tokens": self.rng.integers(1, self.shape.n_vocabulary, (rows, k)),
            "top_values": down.astype(np.float32),
            "bottom_tokens": self.rng.integers(1, self.shape.n_vocabulary, (rows, k)),
            "bottom_values": (-down).astype(np.float32),
        }

    def others(self, k: int) -> Any:
        return self.rng.integers(0, self.shape.d_sae, (len(self.chosen), k)).reshape(-1)

    def ranked(self, k: int, orders: tuple[str, ...] = ()) -> dict[str, Any]:
        n, m = len(self.chosen), max(1, len(orders))
        result: dict[str, Any] = {
            "latent": np.repeat(self.chosen, k * m),
            "rank": np.tile(np.arange(k), n * m),
        }
        if orders:
            result["order"] = Words.tiled([order for order in orders for _ in range(k)], n)
        return result


def _write_sae(
    writer: RunWriter, shape: Shape, sae: SaeInfo, chosen: Any, early: list[str], rng: Any
) -> None:
    parts = [chosen[i : i + shape.part] for i in range(0, len(chosen), shape.part)]
    made = [_tables(shape, sae, part, int(chosen[0]), early, rng) for part in parts]
    for name in made[0]:
        writer.write(name, _chain(made, name), slug=sae.slug)
    n_counted = shape.n_sequences * (shape.context - 1)
    n_active = (n_counted * 10 ** rng.uniform(-4.2, -0.6, shape.d_sae)).astype(np.int64)
    for part in made:
        n_active[part["activity"]["latent"]] = part["activity"]["n_active"]
    writer.write(
        "sae_activity", {"latent": np.arange(shape.d_sae), "n_active": n_active}, slug=sae.slug
    )
    writer.write("sae_metrics", synthetic_whole.metrics(_number(sae), n_counted), slug=sae.slug)


def sae_tables(shape: Shape) -> dict[str, Any]:
    """The tables of the first SAE's latents, all of them shown, each whole."""
    chosen = np.arange(shape.d_sae)
    return _tables(shape, _sae(shape, 0), chosen, 0, [], np.random.default_rng(shape.seed))


def _number(sae: SaeInfo) -> int:
    """Which of the run's SAEs it is, from 0."""
    return sae.layer // 3 - 1


def _chain(made: list[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    for part in made:
        if len(part[name]["latent"]):
            yield part[name]


def _tables(
    shape: Shape, sae: SaeInfo, chosen: Any, first: int, early: list[str], rng: Any
) -> dict[str, Any]:
    draw = _Latents(shape, chosen, rng)
    draw.first = first
    n, k = len(chosen), shape.list_length
    activity = draw.activity()
    share = np.sort(rng.dirichlet(np.ones(k), n), axis=1)[:, ::-1].reshape(-1)
    tables: dict[str, Any] = {
        "activity": activity,
        "activation_histogram": draw.histogram(activity),
        "examples": draw.examples(activity),
        "example_groups": draw.groups(activity),
        "token_statistics": {
            **draw.ranked(k, ("lift", "share")),
            "token": rng.integers(1, shape.n_vocabulary, 2 * n * k),
            "n_token": rng.integers(200, 900, 2 * n * k),
            "n_active": rng.integers(5, 200, 2 * n * k),
            "mean_active": rng.gamma(4, 1.0, 2 * n * k),
            "share": np.repeat(share.reshape(n, k), 2, axis=0).reshape(-1),
            "lift": rng.gamma(2, 40.0, 2 * n * k),
            "lift_low": rng.gamma(2, 20.0, 2 * n * k),
            # Every other latent is one that is looked at on a part of the text.
            "sampled": np.repeat(np.where(np.arange(n) % 2, 0.25, 1.0), 2 * k),
        },
        "coactivation": {
            **draw.ranked(k, ("jaccard", "pearson")),
            "other": rng.integers(0, shape.d_sae, 2 * n * k),
            "n_both": (n_both := rng.integers(3, 300, 2 * n * k)),
            "n_looked": 2 * n_both,
            "pearson": rng.uniform(0, 0.6, 2 * n * k),
            "pearson_error": np.repeat(np.arange(n) % 2 * 0.03, 2 * k),
            "jaccard": rng.uniform(0, 0.4, 2 * n * k),
            "jaccard_error": np.repeat(np.arange(n) % 2 * 0.01, 2 * k),
        },
        "deembedding": {
            "latent": np.repeat(chosen, 2),
            "kind": Words.tiled(("extended", "raw"), n),
            **draw.token_lists(2 * n),
        },
        "neighbours": {
            **draw.ranked(k),
            "other": draw.others(k),
            "cosine": np.sort(rng.uniform(0.1, 0.95, (n, k)), axis=1)[:, ::-1].reshape(-1),
        },
        "geometry": {
            "latent": chosen,
            "encoder_norm": rng.uniform(0.5, 2, n),
            "decoder_norm": np.ones(n),
            "encoder_decoder_cosine": rng.uniform(0.1, 0.95, n),
            "map_x": rng.normal(0, 0.2, n),
            "map_y": rng.normal(0, 0.15, n),
        },
        "logit_lens": {
            "latent": chosen,
            "mean": rng.normal(0, 0.05, n),
            "std": rng.uniform(0.1, 0.4, n),
            "skewness": rng.normal(0, 1, n),
            "kurtosis": rng.gamma(2, 2, n),
            "lower": np.full(n, -1.5),
            "width": np.full(n, 0.06),
            "counts": np.tile(
                (shape.n_vocabulary * np.exp(-((np.arange(50) - 25) ** 2) / 60) / 13.7).astype(int),
                (n, 1),
            ),
            **draw.token_lists(n),
        },
    }
    if shape.quick:
        tables["decoder_directions"] = synthetic_whole.quick_directions(rng, chosen, sae.d_out)
        tables["active_sketch"] = synthetic_whole.quick_sketches(
            rng, activity, shape.n_sequences, shape.context
        )
    else:
        tables["decoder_directions"] = synthetic_whole.directions(
            shape.seed, _number(sae), chosen, sae.d_out
        )
        tables["active_sketch"] = synthetic_whole.sketches(
            shape.seed, _number(sae), activity, shape.n_sequences, shape.context
        )
    if sae.kind == "z":
        tables["head_shares"] = {"latent": chosen, "shares": rng.dirichlet(np.ones(9), n)}
        tables["head_deembedding"] = {
            "latent": np.repeat(chosen, 3),
            "layer": np.full(3 * n, sae.layer),
            "head": np.tile([1, 4, 7], n),
            "strength": rng.gamma(3, 0.4, 3 * n),
            **draw.token_lists(3 * n),
        }
    if early:
        order = sorted(early)
        m = n * len(order)
        tables["pullbacks"] = {
            "latent": np.repeat(chosen, len(order)),
            "early": order * n,
            "top_latents": rng.integers(0, shape.d_sae, (m, k)),
            "top_values": np.sort(rng.gamma(2, 0.3, (m, k)), axis=1)[:, ::-1],
            "bottom_latents": rng.integers(0, shape.d_sae, (m, k)),
            "bottom_values": np.sort(-rng.gamma(2, 0.3, (m, k)), axis=1),
        }
    labels = _labels(shape, n, 11 * _number(sae))
    if labels:
        tables["explanations"] = {
            "latent": chosen[: len(labels)],
            "rank": np.zeros(len(labels), int),
            "text": labels,
            "source": ["synthetic"] * len(labels),
        }
    return tables


def _labels(shape: Shape, n: int, offset: int) -> list[str]:
    if shape.hostile:
        odd = [text.decode("utf-8", errors="replace") for text in HOSTILE if text]
        return [odd[(offset + i) % len(odd)] for i in range(n)]
    labels = shape.explanations or (
        "words about water and land",
        "the verb in a question",
        "numbers and years",
    )
    return [labels[i % len(labels)] for i in range(max(0, n - n // 4))]
