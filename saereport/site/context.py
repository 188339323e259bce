"""What every page and panel may know: the run, its tokens, its SAEs and which latents they show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from saereport.run import Run, RunInfo, SaeInfo
from saereport.run.geometry import Dictionaries
from saereport.site.columns import NO_ROWS, LatentChunk, Rows
from saereport.site.neuronpedia import base_url
from saereport.site.sequences import KeptSequences
from saereport.util.visible import LONGEST_JOINT, Piece, joint, running, visible, visible_text


class DisplayTokens:
    """Display forms of the tokens that the run uses."""

    def __init__(self, run: Run) -> None:
        table = run.table("vocabulary")
        ids = table.column("token").to_pylist()
        special = table.column("special").to_pylist()
        self._bytes: dict[int, bytes] = dict(
            zip(ids, table.column("bytes").to_pylist(), strict=True)
        )
        shown = [visible(data) for data in self._bytes.values()]
        self.shown: dict[int, str] = dict(zip(ids, shown, strict=True))
        self.special = frozenset(t for t, flag in zip(ids, special, strict=True) if flag)
        self._parts = frozenset(t for t, data in self._bytes.items() if not _is_text(data))
        self._whole = frozenset(t for t, data in self._bytes.items() if data) - self._parts

    def __getitem__(self, token: int) -> str:
        """How a token looks; one that the run does not describe is shown by its id."""
        return self.shown.get(token) or f"<token {token}>"

    def running(self, tokens: Sequence[int]) -> list[Piece]:
        """Tokens as text to be read; see `visible.running`."""
        if self._whole.issuperset(tokens):  # as nearly always: each is text by itself
            return [(place, 1, self.shown[token]) for place, token in enumerate(tokens)]
        return running([self._known(token) for token in tokens])

    def line(self, tokens: Sequence[int]) -> str:
        """Tokens as one line of prose: spaces stay, breaks become spaces, see `visible_text`."""
        data = b"".join(self._known(token) for token in tokens)
        return visible_text(data.decode("utf-8", "backslashreplace"))

    def _known(self, token: int) -> bytes:
        return self._bytes.get(token) or self[token].encode()

    def joints(self, tokens: npt.NDArray[np.int32]) -> dict[tuple[int, ...], list[Piece]]:
        """Runs of tokens of a text of which each is no text alone, and what they are together.

        Args:
            tokens: The token ids of the text.

        Returns:
            By run, its pieces, in the order in which the runs come first.
        """
        parts = list(self._parts)
        found: dict[tuple[int, ...], list[Piece]] = {}
        end = 0
        for at in np.flatnonzero(np.isin(tokens, np.asarray(parts, dtype=np.int32))).tolist():
            if at < end:
                continue
            ids = tokens[at : at + LONGEST_JOINT].tolist()
            size = joint([self._known(token) for token in ids], 0)
            if size > 1:
                end = at + size
                found.setdefault(tuple(ids[:size]), self.running(ids[:size]))
        return found


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class Shards:
    """How the latents of an SAE are spread over pages: sorted, `size` a page."""

    latents: tuple[int, ...]
    size: int

    @cached_property
    def chosen(self) -> frozenset[int]:
        """The latents that the report shows."""
        return frozenset(self.latents)

    @property
    def count(self) -> int:
        """Number of pages."""
        return -(-len(self.latents) // self.size)

    def of(self, shard: int) -> tuple[int, ...]:
        """The latents of one page."""
        return self.latents[shard * self.size : (shard + 1) * self.size]

    @property
    def firsts(self) -> list[int]:
        """The first latent of each page: enough to find the page of any latent."""
        return list(self.latents[:: self.size])

    @cached_property
    def _places(self) -> dict[int, int]:
        return {latent: place for place, latent in enumerate(self.latents)}

    def address(self, latent: int) -> str:
        """Address of a latent relative to its SAE's folder: `l0003.html#latent-112`."""
        return f"{page_name(self._places[latent] // self.size)}#latent-{latent}"


def page_name(shard: int) -> str:
    """File name of a page of latents."""
    return f"l{shard:04d}.html"


_WITHIN_LAYER = ("resid_pre", "hook_z", "attn_out", "resid_mid", "mlp_in", "ln2", "mlp_out")


def place_in_model(info: SaeInfo) -> tuple[int, int]:
    """Where an SAE reads: its layer, and how far into it."""
    found = (i for i, part in enumerate(_WITHIN_LAYER) if part in info.hook_in)
    return info.layer, next(found, len(_WITHIN_LAYER))


@dataclass(frozen=True)
class ReportModel:
    """The whole report: its run, its vocabulary, and the shards of every SAE.

    Attributes:
        whole: The run as it is. Pages read `run` and `latent_run` instead, which keep what is
            blinded.
        info: What the run says of itself, readable.
        vocabulary: How its tokens look.
        shards: By SAE, how its latents are spread over pages.
        embed_neuronpedia: Whether Neuronpedia's page of a latent may be shown in a frame.
        with_run: Whether the run is in the report.
    """

    whole: Run
    info: RunInfo
    vocabulary: DisplayTokens
    shards: dict[str, Shards]
    embed_neuronpedia: bool
    with_run: bool = True

    @property
    def single(self) -> bool:
        """Whether there is one SAE, so that the front page is its page."""
        return len(self.saes) == 1

    def home(self, slug: str) -> str:
        """Path of the page of an SAE."""
        return "index.html" if self.single else f"{slug}/index.html"

    def latent_href(self, slug: str, latent: int) -> str:
        """Where a latent of an SAE is shown; empty where the report has no page of it."""
        shards = self.shards.get(slug)
        shown = shards is not None and latent in shards.chosen
        return f"{slug}/{shards.address(latent)}" if shards is not None and shown else ""

    @cached_property
    def blind(self) -> dict[tuple[str, int], bool]:
        """Latents that are blinded, by SAE, with whether the reader may reveal the rest."""
        if not self.whole.has("blind_latents"):
            return {}
        rows = self.whole.table("blind_latents").to_pylist()
        return {(row["sae"], row["latent"]): row["reveal"] for row in rows}

    @cached_property
    def run(self) -> Run:
        """The run as any page may show it: it reveals no text of a latent that is blinded."""
        return self._hiding(revealable=True)

    @cached_property
    def latent_run(self) -> Run:
        """The run as the pages of latents read it: they hide what a reader may reveal."""
        return self._hiding(revealable=False)

    def _hiding(self, *, revealable: bool) -> Run:
        hidden: dict[str, set[int]] = defaultdict(set)
        for (slug, latent), reveal in self.blind.items():
            if revealable or not reveal:
                hidden[slug].add(latent)
        return self.whole.hiding(hidden)

    @cached_property
    def dictionaries(self) -> Dictionaries:
        """What the run says of the geometry of its dictionaries."""
        return Dictionaries(self.run)

    @cached_property
    def sequences(self) -> KeptSequences:
        """The text that the run kept."""
        return KeptSequences(self.run)

    @cached_property
    def saes(self) -> tuple[SaeView, ...]:
        """Its SAEs, in the order of the run, without those that circuits only name."""
        others = {name for name, table in self.run.tables.items() if table.also_others}
        return tuple(sae for sae in self.named_saes if sae.tables - others)

    @cached_property
    def named_saes(self) -> tuple[SaeView, ...]:
        """Every SAE that is named, in the order of the run: also one of which it has no table."""
        return tuple(
            SaeView(self, info, frozenset(self.run.names(info.slug))) for info in self.info.saes
        )


@dataclass(frozen=True)
class SaeView:
    """One SAE as its pages see it."""

    report: ReportModel
    info: SaeInfo
    tables: frozenset[str]

    @property
    def shards(self) -> Shards:
        """Its latents, page by page."""
        return self.report.shards[self.info.slug]

    @property
    def n_counted(self) -> int:
        """Tokens that every density of the run is over."""
        return self.report.info.text.n_counted

    @cached_property
    def neuronpedia(self) -> str:
        """URL to which `/{latent}` is added, or empty."""
        return base_url(self.info.neuronpedia_id)


@dataclass(frozen=True)
class LatentView:
    """One latent with the rows that the run holds about it.

    Attributes:
        sae: Its SAE.
        index: Its number.
        band: The tables that it is in.
        opened: While it is blinded, the tables that are read although they reveal its text; None
            for all. Only who hides the text until a reader reveals it may open any.
    """

    sae: SaeView
    index: int
    band: LatentChunk
    opened: frozenset[str] | None = frozenset()
    _rows: dict[str, Rows] = field(default_factory=dict, compare=False)

    @cached_property
    def blind(self) -> Literal["", "hidden", "redacted"]:
        """Whether it is blinded: `hidden` may be revealed, of `redacted` the rest is not here."""
        reveal = self.sae.report.blind.get((self.sae.info.slug, self.index))
        return "" if reveal is None else "hidden" if reveal else "redacted"

    def rows(self, table: str) -> Rows:
        """Its rows in a table; none where the run lacks it, or it reveals what is blinded."""
        if self.blind and self.opened is not None and table not in self.opened:
            known = self.sae.report.whole.tables.get(table)
            if known and known.reveals_text:
                return NO_ROWS
        if table not in self._rows:
            self._rows[table] = self.band.rows(table, self.index)
        return self._rows[table]

    def with_opened(self, tables: frozenset[str] | None) -> LatentView:
        """The same latent with these tables `opened`."""
        return replace(self, opened=tables) if self.blind else self

    @cached_property
    def n_active(self) -> int:
        """Tokens on which it was active."""
        rows = self.rows("activity")
        return int(rows["n_active"][0]) if len(rows) else 0

    @property
    def dead(self) -> bool:
        """Never active on this text.

        Imported latents may come without a count, or with a density that was rounded to 0.
        """
        rows = self.rows("activity")
        signs = ("n_active", "density", "max")
        return not (len(rows) and any(rows[name][0] > 0 for name in signs))

    def token(self, token: int) -> str:
        """How a token looks."""
        return self.sae.report.vocabulary[token]
