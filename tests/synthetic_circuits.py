"""Synthetic prompts, gradients and attributions for runs of `tests.synthetic`."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from saereport.run import RunWriter
from tests.synthetic import Shape

N_HEADS = 9
N_LAYERS = 30
PERIOD = 5
NAMES = ("The Eiffel tower", "<script>self.stolen=1</script>\u202e", "random")


class Columns:
    """Rows gathered into the columns that a table takes."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def add(self, table: str, **row: Any) -> None:
        self.tables[table].append(row)

    def write(self, writer: RunWriter) -> None:
        for name, rows in self.tables.items():
            writer.write(name, {key: [row[key] for row in rows] for key in rows[0]})


def prompts(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
    """Three prompts: plain, hostile in tokens and name, and repeated random tokens."""
    made = Columns()
    rng = np.random.default_rng([shape.seed, 77])
    slugs = list(shown)
    for number, name in enumerate(NAMES):
        n = 1 + (2 * PERIOD if number == 2 else 7)
        drawn = rng.integers(257, 257 + 120, n)
        if number == 2:
            drawn[1 + PERIOD :] = drawn[1 : 1 + PERIOD]
        tokens = [0, *drawn[1:].tolist()]
        made.add(
            "prompts",
            prompt=number,
            slug=f"prompt-{number}",
            name=name,
            kind="random" if number == 2 else "text",
            tokens=tokens,
            counted=[False] + [True] * (n - 1),
            answer=300 if number < 2 else -1,
            answer_note="The answer has 2 tokens; the first is used." if number == 1 else "",
            period=PERIOD if number == 2 else 0,
            first=1,
        )
        _one(made, rng, number, n, slugs, shown, number == 2)
    if len(slugs) > 1:
        _averages(made, slugs, shown)
    made.write(writer)


def _one(
    made: Columns,
    rng: Any,
    number: int,
    n: int,
    slugs: list[str],
    shown: dict[str, Any],
    rand: bool,
) -> None:
    if number == 1:
        made.add("prompt_notes", prompt=1, number=0, topic="<b>pair</b>", text="wrong order")
    for splice in sorted(["", *slugs]):
        for rank in range(1, 11):
            made.add(
                "prompt_next",
                prompt=number,
                splice=splice,
                rank=rank,
                token=290 + rank,
                logit=20.0 - rank,
                probability=0.5 / rank,
            )
        if number < 2:
            made.add(
                "prompt_answers",
                prompt=number,
                splice=splice,
                token=300,
                rank=4,
                logit=16.0,
                probability=0.05,
            )
    for slug in sorted(slugs):
        for latent in shown[slug][:3]:
            values = rng.gamma(2, 2, n).round(2) * (rng.random(n) > 0.5)
            values[0], values[-1] = 0, 1.5
            made.add(
                "prompt_activations", prompt=number, sae=slug, latent=int(latent), values=values
            )
            if rand:
                made.add("induction_latents", prompt=number, sae=slug, latent=int(latent), mean=2.5)
    pairs = [("", late) for late in slugs]
    pairs += [(a, b) for i, a in enumerate(slugs) for b in slugs[i + 1 :]]
    pairs += [(early, "") for early in slugs]
    for early, late in sorted(pairs):
        empty = number == 1 and (early, late) == (slugs[0], "")
        _map(made, rng, (number, early, late), n, shown, 0 if empty else 60)
    for slug in sorted(slugs):
        latent = int(shown[slug][0])
        for position in (2, n - 1):
            key = {"prompt": number, "sae": slug, "latent": latent, "position": position}
            values = rng.normal(size=(N_HEADS, position + 1)).astype(np.float32)
            made.add(
                "head_attributions",
                **key,
                activation=1.0,
                pre_activation=float(values.sum()) + 0.5,
                bias=0.5,
                values=values.reshape(-1),
            )
            heads = rng.normal(size=N_HEADS * 4).astype(np.float32)
            mlps = rng.normal(size=4).astype(np.float32)
            made.add(
                "components",
                **key,
                activation=1.0,
                pre_activation=float(heads.sum() + mlps.sum()) + 0.75,
                embedding=0.5,
                heads=heads,
                mlps=mlps,
                bias=0.25,
            )
            for rank in range(3):
                made.add(
                    "influences",
                    **key,
                    rank=rank,
                    early=slugs[0],
                    layer=-1 if rank == 0 else 2,
                    head=-1 if rank == 0 else 4,
                    early_latent=int(shown[slugs[0]][1]),
                    source=position if rank == 0 else 1,
                    value=1.0 / (1 + rank),
                )
    made.add(
        "patterns",
        prompt=number,
        layer=3,
        head=2,
        values=np.concatenate([np.full(p + 1, 1 / (p + 1)) for p in range(n)]),
    )


def _map(
    made: Columns, rng: Any, key: tuple[int, str, str], n: int, shown: dict[str, Any], count: int
) -> None:
    number, early, late = key
    ends = {}
    for _ in range(count):
        late_position = n - 1 if not late else int(rng.integers(1, n))
        early_position = int(rng.integers(1, late_position + 1))
        early_latent = int(rng.choice(shown[early][:12])) if early else -1
        late_latent = int(rng.choice(shown[late][:12])) if late else int(rng.integers(291, 301))
        ends[early_position, early_latent, late_position, late_latent] = float(rng.normal())
    ranked = sorted(ends.items(), key=lambda item: (-abs(item[1]), item[0]))
    total = sum(abs(value) for _, value in ranked)
    names = {"prompt": number, "early": early, "late": late}
    made.add(
        "gradient_maps",
        **names,
        n_early=12,
        n_late=12,
        n_true=181 if late else 0,
        n_reconstructed=179 if late else 0,
        n_one_only=8 if late else 0,
        n_early_all=12,
        n_late_all=15,
        early_share=1.0,
        late_share=0.9,
        n_pairs=4 * len(ranked),
        n_kept=len(ranked),
        total=2 * total,
        kept_share=0.5 if ranked else 1.0,
    )
    for rank, ((p, i, q, j), gradient) in enumerate(ranked):
        made.add(
            "gradients",
            **names,
            rank=rank,
            early_latent=i,
            early_position=p,
            early_activation=1.0 if not early else 1.0 + i % 5,
            late_latent=j,
            late_position=q,
            late_activation=1.0 + j % 7,
            gradient=gradient,
        )
        if rank < 6:
            predicted = -gradient * (1.0 if not early else 1.0 + i % 5)
            made.add(
                "gradient_checks",
                **names,
                rank=rank,
                predicted=predicted,
                measured=predicted * (0.8 if rank else -0.5),
            )


def _averages(made: Columns, slugs: list[str], shown: dict[str, Any]) -> None:
    names = {"early": slugs[0], "late": slugs[1]}
    made.add(
        "pair_mean_maps",
        **names,
        n_prompts=40,
        n_skipped=2,
        n_limited=3,
        n_pairs=300,
        n_kept=5,
        kept_share=0.4,
    )
    for rank in range(5):
        made.add(
            "pair_means",
            **names,
            rank=rank,
            early_latent=int(shown[slugs[0]][rank]),
            late_latent=int(shown[slugs[1]][rank]),
            mean=1.0 / (1 + rank),
            n_both=20,
            n_prompts=7,
        )
