"""The pages of the latents: an HTML page and a data script for every shard of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

from saereport.site import jsonwriter, numbers
from saereport.site.blocks import Block
from saereport.site.columns import LatentChunk
from saereport.site.context import LatentView, SaeView, Shards
from saereport.site.latent_summary import label
from saereport.site.packing import packed
from saereport.site.panels import PANELS
from saereport.site.raw import unshown
from saereport.site.records import LatentRow, trimmed
from saereport.site.sparklines import histogram_counts, sparkline

BAND = 512
"""Latents read from the run at once."""

SERVER_ROWS = 100
"""Rows of the table of an SAE that are in its page; scripts make the others."""
TOP = 5
SPARK = 16


@dataclass(frozen=True)
class IndexRow:
    """One latent in the table of its SAE; of a blind one neither tokens nor label."""

    latent: int
    density: float
    maximum: float
    tokens: list[int]
    logits: list[int]
    label: str
    spark: str
    x: float
    y: float
    blind: bool = False
    score: float | None = None

    def record(self) -> list[Any]:
        """The row as it is written in the data."""
        return trimmed(
            LatentRow(
                latent=self.latent,
                density=self.density,
                max=self.maximum,
                tokens=packed(self.tokens),
                raises=packed(self.logits),
                label=self.label,
                spark=self.spark,
                x=self.x,
                y=self.y,
                blind=int(self.blind),
                score=self.score,
            )
        )


class Index:
    """The table of an SAE, gathered from its latents in order.

    Attributes:
        records: Its rows as the data holds them; a hundred thousand are kept as text.
        first: Those that are in the page itself.
        has_labels: Whether a latent has a label.
        has_scores: Whether a latent has an output score.
    """

    def __init__(self) -> None:
        self.records: list[str] = []
        self.first: list[IndexRow] = []
        self.has_labels = self.has_scores = False

    def add(self, rows: Iterable[IndexRow]) -> None:
        """The next latents."""
        for row in rows:
            self.records.append(jsonwriter.dumps(row.record()))
            self.has_labels = self.has_labels or bool(row.label)
            self.has_scores = self.has_scores or row.score is not None
            if len(self.first) < SERVER_ROWS:
                self.first.append(row)

    def part(self) -> list[Any]:
        """All of it as plain values, for `take`."""
        first = [astuple(row) for row in self.first]
        return [self.records, first, self.has_labels, self.has_scores]

    def take(self, part: list[Any]) -> None:
        """The next latents, as the `part` of another index."""
        records, first, has_labels, has_scores = part
        self.records += records
        self.first += [IndexRow(*row) for row in first[: SERVER_ROWS - len(self.first)]]
        self.has_labels = self.has_labels or has_labels
        self.has_scores = self.has_scores or has_scores


def bands(spread: Shards) -> Iterator[range]:
    """The pages of latents that are made from one reading of the run."""
    per_band = max(1, BAND // spread.size)
    return (
        range(start, min(start + per_band, spread.count))
        for start in range(0, spread.count, per_band)
    )


def shards(sae: SaeView, pages: range) -> Iterator[tuple[int, list[LatentView]]]:
    """Number and latents of some pages of an SAE's latents, in order; they are read at once."""
    spread = sae.shards
    band = read_band(sae, spread.of(pages[0])[0], spread.of(pages[-1])[-1] + 1)
    for shard in pages:
        yield shard, [LatentView(sae, index, band) for index in spread.of(shard)]


def data_name(shard: int) -> str:
    """File name of a shard's data script."""
    return f"d{shard:04d}.js"


def latent_record(latent: LatentView) -> str:
    """One latent's panels; each block, and each example in it, on a line of its own."""
    lines = []
    for name, panel in PANELS.items():
        blocks = panel.blocks(latent)
        if blocks:
            inside = ",\n".join(_block(block) for block in blocks)
            lines.append(f"[{jsonwriter.dumps(name)},[\n{inside}]]")
    maximum = latent.rows("activity")["max"][0] if len(latent.rows("activity")) else 0.0
    head = jsonwriter.dumps({"latent": latent.index, "max": maximum})
    return f'{head[:-1]},"panels":[\n' + ",\n".join(lines) + "]}"


def _block(block: Block) -> str:
    groups = block.get("groups")
    if groups is None:
        return jsonwriter.dumps(block)
    head = jsonwriter.dumps({key: value for key, value in block.items() if key != "groups"})
    return f'{head[:-1]},"groups":[\n' + ",\n".join(_group(group) for group in groups) + "]}"


def _group(group: Block) -> str:
    head = jsonwriter.dumps({key: value for key, value in group.items() if key != "examples"})
    lines = ",\n".join(jsonwriter.dumps(example) for example in group["examples"])
    return f'{head[:-1]},"examples":[\n{lines}]}}'


def read_band(sae: SaeView, low: int, high: int) -> LatentChunk:
    """The tables of a range of latents, with the tokens of their examples packed."""
    run = sae.report.latent_run
    held = (run.tables[name] for name in run.names(sae.info.slug))
    raw = {table.name for table in unshown(sae.report, "latent")}
    names = [
        table.name
        for table in held
        if table.about == "latent" and (table.on_pages or table.name in raw)
    ]
    band = LatentChunk(run, sae.info.slug, names, low, high)
    if "examples" in names:
        ends = [band.column("examples", name) for name in ("sequence", "start", "stop")]
        band.add("examples", "window", sae.report.sequences.windows(*ends))
    return band


def index_row(latent: LatentView) -> IndexRow:
    """The latent's row in the table of its SAE."""
    activity = latent.rows("activity").first() if len(latent.rows("activity")) else {}
    statistics = latent.rows("token_statistics").each("order", "token")
    tokens = [token for order, token in statistics if order == "share"][:TOP]
    lens = latent.rows("logit_lens")
    logits = lens["top_tokens"][0][:TOP] if len(lens) else []
    geometry = latent.rows("geometry").first() if len(latent.rows("geometry")) else {}
    counts = histogram_counts(latent)
    heights = sparkline(counts, SPARK) if counts else []
    scores = latent.rows("output_scores")
    return IndexRow(
        latent=latent.index,
        density=float(activity.get("density", 0.0)),
        maximum=float(activity.get("max", 0.0)),
        tokens=tokens,
        logits=logits,
        label=label(latent)[0],
        spark="".join(chr(0x41 + height) for height in heights),
        x=float(geometry.get("map_x", 0.0)),
        y=float(geometry.get("map_y", 0.0)),
        blind=bool(latent.blind),
        score=round(float(scores["score"][0]), numbers.SCORE_DIGITS) if len(scores) else None,
    )
