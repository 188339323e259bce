"""The pages of the latents: an HTML page and a data script for every shard of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saereport.run import Run
from saereport.site import jsonwriter
from saereport.site.blocks import Block
from saereport.site.columns import Band
from saereport.site.context import Latent, SaeView, page_name
from saereport.site.panels import PANELS
from saereport.site.panels.activation import sparkline
from saereport.site.sequences import Sequences
from saereport.site.story import Story, label, story

BAND = 512
"""Latents read from the run at once."""

TOP = 5
SPARK = 16

Page = Callable[[int, tuple[int, ...], list[Story]], str]


@dataclass(frozen=True)
class IndexRow:
    """One latent in the table of its SAE."""

    latent: int
    density: float
    maximum: float
    tokens: tuple[int, ...]
    logits: tuple[int, ...]
    label: str
    spark: str
    x: float
    y: float

    def record(self) -> list[Any]:
        """The row as it is written in the data."""
        return [
            self.latent,
            self.density,
            self.maximum,
            self.tokens,
            self.logits,
            self.label,
            self.spark,
            self.x,
            self.y,
        ]


def write_shards(
    run: Run,
    sae: SaeView,
    sequences: Sequences,
    folder: Path,
    page: Page,
    progress: Callable[[int], None],
) -> list[IndexRow]:
    """Write every page and data script of an SAE's latents.

    Args:
        run: The run to read.
        sae: The SAE.
        sequences: The run's sequences.
        folder: The SAE's folder in the report.
        page: Makes the HTML of one shard from its number, its latents and their stories.
        progress: Called with the number of latents done since the last call.

    Returns:
        The rows of the SAE's table, in order.
    """
    rows: list[IndexRow] = []
    shards = sae.shards
    names = [name for name in run.names(sae.info.slug) if name != "sae_activity"]
    per_band = max(1, BAND // shards.size)
    for start in range(0, shards.count, per_band):
        group = range(start, min(start + per_band, shards.count))
        low, high = shards.of(group[0])[0], shards.of(group[-1])[-1] + 1
        band = Band(run, sae.info.slug, names, low, high)
        for shard in group:
            latents = [Latent(sae, index, band) for index in shards.of(shard)]
            stories = [story(latent, sequences) for latent in latents]
            html = page(shard, shards.of(shard), stories)
            (folder / page_name(shard)).write_bytes(html.encode("utf-8"))
            data = "\n".join(shard_script(sae, shard, latents, sequences)) + "\n"
            (folder / data_name(shard)).write_bytes(data.encode("utf-8"))
            rows += [index_row(latent) for latent in latents]
            progress(len(latents))
    return rows


def data_name(shard: int) -> str:
    """File name of a shard's data script."""
    return f"d{shard:04d}.js"


def shard_script(
    sae: SaeView, shard: int, latents: list[Latent], sequences: Sequences
) -> Iterable[str]:
    """The lines of one data script: the latents' panels, then the sequences they show."""
    wanted: dict[int, tuple[int, int]] = {}
    for latent in latents:
        for sequence, start, stop in latent.rows("examples").each("sequence", "start", "stop"):
            low, high = wanted.get(sequence, (start, stop))
            wanted[sequence] = (min(low, start), max(high, stop))
    spans, records = sequences.cut(wanted)
    return jsonwriter.script(
        "shard",
        {"sae": sae.info.slug, "shard": shard},
        {
            "latents": (latent_record(latent, spans) for latent in latents),
            "sequences": (jsonwriter.dumps(record) for record in records),
        },
    )


def latent_record(latent: Latent, spans: dict[int, tuple[int, int]]) -> str:
    """One latent's panels; each block, and each example in it, on a line of its own."""
    lines = []
    for name, panel in PANELS.items():
        blocks = panel.build(latent)
        if blocks:
            inside = ",\n".join(_block(block, spans) for block in blocks)
            lines.append(f"[{jsonwriter.dumps(name)},[\n{inside}]]")
    maximum = latent.rows("activity")["max"][0] if len(latent.rows("activity")) else 0.0
    head = jsonwriter.dumps({"latent": latent.index, "max": maximum})
    return f'{head[:-1]},"panels":[\n' + ",\n".join(lines) + "]}"


def _block(block: Block, spans: dict[int, tuple[int, int]]) -> str:
    groups = block.get("groups")
    if groups is None:
        return jsonwriter.dumps(block)
    head = jsonwriter.dumps({key: value for key, value in block.items() if key != "groups"})
    return f'{head[:-1]},"groups":[\n' + ",\n".join(_group(group, spans) for group in groups) + "]}"


def _group(group: Block, spans: dict[int, tuple[int, int]]) -> str:
    head = jsonwriter.dumps({key: value for key, value in group.items() if key != "examples"})
    lines = ",\n".join(_example(example, spans) for example in group["examples"])
    return f'{head[:-1]},"examples":[\n{lines}]}}'


def _example(example: list[Any], spans: dict[int, tuple[int, int]]) -> str:
    """One example; activations outside the kept part of its sequence are left out."""
    *head, places, values = example
    low, high = spans[head[0]]
    if places and not (low <= places[0] and places[-1] < high):
        kept = [(p, v) for p, v in zip(places, values, strict=True) if low <= p < high]
        places, values = [p for p, _ in kept], [v for _, v in kept]
    return jsonwriter.dumps([*head, places, values])


def index_row(latent: Latent) -> IndexRow:
    """The latent's row in the table of its SAE."""
    activity = latent.rows("activity").first() if len(latent.rows("activity")) else {}
    statistics = latent.rows("token_statistics").each("order", "token")
    tokens = [token for order, token in statistics if order == "share"][:TOP]
    lens = latent.rows("logit_lens")
    logits = lens["top_tokens"][0][:TOP] if len(lens) else []
    geometry = latent.rows("geometry").first() if len(latent.rows("geometry")) else {}
    histogram = latent.rows("activation_histogram")
    heights = sparkline(histogram["counts"][0], SPARK) if len(histogram) else []
    return IndexRow(
        latent=latent.index,
        density=float(activity.get("density", 0.0)),
        maximum=float(activity.get("max", 0.0)),
        tokens=tuple(tokens),
        logits=tuple(logits),
        label=label(latent)[0],
        spark="".join(chr(0x41 + height) for height in heights),
        x=float(geometry.get("map_x", 0.0)),
        y=float(geometry.get("map_y", 0.0)),
    )
