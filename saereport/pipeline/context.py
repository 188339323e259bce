"""What the stages of one build work with: the model, the SAEs, the text, and what was found so far.

The context owns all of it. A stage borrows the model and the SAEs while it runs and hands its
tables on; the context lets go of whatever no later stage needs: each SAE when the last stage that
needs it has finished with it, the deepest first, and the model after the last that runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from saereport.config.build import BuildConfig
from saereport.config.selection import Selection
from saereport.measure import SequenceStore
from saereport.measure.weights import TokenRows
from saereport.pipeline.activations import CachedActivations
from saereport.pipeline.checkpoint import Arrays, Checkpoint, FinishedParts
from saereport.pipeline.engine.job import Engine
from saereport.pipeline.needs import Needs
from saereport.pipeline.seen import Seen
from saereport.pipeline.text import RunText
from saereport.pipeline.text_pass import Batches
from saereport.pipeline.warned import Warned
from saereport.run.schema import L0
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.util.files import json_digest
from saereport.util.progress import Progress


@dataclass(frozen=True, eq=False)
class Chosen:
    """Which latents of an SAE are asked for.

    Attributes:
        selection: The words by which they are chosen.
        tracked: Those that are followed over the whole text, ascending; the blinded and the
            steered among them.
        blind: Those that are blinded, ascending.
        steered: Those that are steered, ascending.
        summed: Those in sums that are steered, ascending.
    """

    selection: Selection
    tracked: NDArray[np.int64]
    blind: tuple[int, ...]
    steered: tuple[int, ...] = ()
    summed: tuple[int, ...] = ()

    @property
    def named(self) -> NDArray[np.int64]:
        """Those that are shown whatever their activity, ascending: blinded or steered."""
        return np.unique(np.array([*self.blind, *self.steered, *self.summed], np.int64))


@dataclass(eq=False)
class Loaded:
    """What takes the memory.

    Attributes:
        model: The language model; None when no stage needs it any more.
        saes: The SAEs that a stage still needs, by slug, in the order of the configuration.
    """

    model: LanguageModel | None
    saes: dict[str, Sae]


class StageView(Protocol):
    """What the context knows of a `Stage`, which is built on it."""

    name: ClassVar[str]
    needs: ClassVar[Needs]
    regardless_of: ClassVar[tuple[str, ...]]

    def depends_on(self, context: Context) -> dict[str, Any]:
        """What its numbers depend on of what earlier stages found."""

    def wants(self, context: Context, table: str, slug: str | None) -> bool:
        """Whether it will read a table that is about to be written."""


@dataclass(eq=False)
class Context:
    """One build.

    Attributes:
        config: What is asked for.
        loaded: The model and the SAEs.
        text: The text and how it is cut into sequences.
        chosen: Which latents of each SAE are asked for.
        batches: How many sequences go through the model at a time.
        work: Folder beside the output where what is finished is kept.
        identity: Everything that the numbers depend on, see `fingerprint`.
        parts: What of it the numbers of each stage depend on, by the stage's name.
        progress: Where to say what is going on.
        warned: Takes what a reader must know beforehand.
        collected: What was collected of parts of the text, in place of reading it: each is loaded
            by a call.
        engine: Where the long work is done; in this process unless something else is asked.
        cache: Gives activations that were kept; None where none are to be.
        latents: The latents of each SAE that are shown, ascending; the stage `statistics` says.
        activity: For each SAE how many latents are active on a token, and how many never are; it
            says that too, where it measured them.
        seen: What was read of the text; from there as well.
        sequences: The sequences that examples refer to; from there as well.
        neuronpedia_ids: What Neuronpedia calls each SAE; empty where nothing says so.
        widths: Number of latents of each SAE.
        left_out: Reasons for tables that are missing: by SAE (None for the whole run), by table.
        settled: Numbers that were found out in place of what is asked for: by the setting.
    """

    config: BuildConfig
    loaded: Loaded
    text: RunText
    chosen: Mapping[str, Chosen]
    batches: Batches
    work: Path
    identity: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, Any]]
    progress: Progress
    warned: Warned
    collected: Sequence[Callable[[], Arrays]] = ()
    engine: Engine | None = None
    cache: CachedActivations | None = None
    latents: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    activity: dict[str, tuple[L0 | None, int | None]] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)
    sequences: SequenceStore = field(default_factory=SequenceStore)
    left_out: dict[str | None, dict[str, str]] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    _held: dict[tuple[str, str | None], Mapping[str, Any]] = field(default_factory=dict)
    _stage: StageView | None = None
    _later: Sequence[StageView] = ()
    _token_rows: TokenRows | None = None
    neuronpedia_ids: dict[str, str] = field(init=False)
    widths: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Keep what is asked of SAEs that may be released by then."""
        saes = self.loaded.saes
        self.neuronpedia_ids = {slug: sae.neuronpedia_id or "" for slug, sae in saes.items()}
        self.widths = {slug: sae.d_sae for slug, sae in saes.items()}

    @property
    def model(self) -> LanguageModel:
        """The language model, for a stage that says that it needs it."""
        if self._stage is not None and not self._stage.needs.model:
            raise RuntimeError(f"the stage '{self._stage.name}' does not say that it needs a model")
        if self.loaded.model is None:
            raise RuntimeError("no stage needs the model any more")
        return self.loaded.model

    @property
    def saes(self) -> dict[str, Sae]:
        """The SAEs by slug, for a stage that says that it needs them."""
        if self._stage is not None and not self._stage.needs.saes:
            raise RuntimeError(f"the stage '{self._stage.name}' does not say that it needs SAEs")
        return self.loaded.saes

    @property
    def token_rows(self) -> TokenRows:
        """The vocabulary as latents see it, made once for all stages that ask for it."""
        if self._token_rows is None:
            self._token_rows = TokenRows(self.model)
        return self._token_rows

    @property
    def blind(self) -> dict[str, Sequence[int]]:
        """The latents that are blinded, by SAE; only SAEs that have some."""
        return {slug: chosen.blind for slug, chosen in self.chosen.items() if chosen.blind}

    def hidden(self, slug: str) -> frozenset[int]:
        """The latents of an SAE about which the run may reveal nothing."""
        return frozenset() if self.config.with_reveal else frozenset(self.chosen[slug].blind)

    def settings(self, stage: StageView) -> Any:
        """A plug-in's own settings, or None where they have to be given and are not."""
        return getattr(self.config, stage.name, None)

    def skips(self, name: str) -> bool:
        """Whether `--skip` names this stage, statistic or table."""
        return name in self.config.skip

    def leave_out(self, slug: str | None, table: str, reason: str) -> None:
        """Say why an SAE (or with None the run) does not have a table."""
        self.left_out.setdefault(slug, {})[table] = reason

    def leave_out_all(self, slug: str | None, tables: Iterable[str], reason: str) -> None:
        """The same reason for several tables."""
        for table in tables:
            self.leave_out(slug, table, reason)

    def deepest_first(self) -> Iterator[str]:
        """Slugs of the SAEs, from the one that reads last to the one that reads first.

        Where no later stage needs the SAEs, each is let go of when the next is asked for: nothing
        may hold it then. So a stage that goes through them takes each one when its turn comes.
        """
        last = not any(stage.needs.saes for stage in self._later)
        # A later SAE is pulled back onto the earlier ones, so these stay.
        order = sorted(self.saes, key=lambda slug: self.saes[slug].hook_in.depth, reverse=True)
        for slug in order:
            yield slug
            if last:
                del self.saes[slug]

    def shallower(self, slug: str) -> list[Sae]:
        """The SAEs whose turn comes after this one's, in the order of the configuration."""
        depths = {name: sae.hook_in.depth for name, sae in self.saes.items()}
        order = sorted(depths, key=lambda name: depths[name], reverse=True)
        after = set(order[order.index(slug) + 1 :])
        return [sae for name, sae in self.saes.items() if name in after]

    def hold(self, table: str, slug: str | None, columns: Mapping[str, Any]) -> None:
        """Keep a table for the later stages that will read it, if there is one."""
        if any(stage.wants(self, table, slug) for stage in self._later):
            self._held[table, slug] = columns

    def table(self, name: str, slug: str | None) -> Mapping[str, Any] | None:
        """A table of an earlier stage that `needs.tables` names; None where there is none."""
        return self._held.get((name, slug))

    def fingerprint_of(self, stage: StageView) -> str:
        """Identity of a stage's work: the settings and inputs that it depends on."""
        return json_digest(self._identity_of(stage))

    def _identity_of(self, stage: StageView) -> dict[str, Any]:
        return {**self.parts[stage.name], **found_before(self, stage)}

    def folder_of(self, stage: StageView) -> Path:
        """The stage's own folder, for what it keeps until the build is whole."""
        return self.work / "stages" / stage.name

    def checkpoint(self, stage: StageView, part: str = "") -> Checkpoint:
        """Where a stage saves its state now and then.

        Args:
            stage: The stage.
            part: Name of a folder, where it has several.
        """
        return Checkpoint(
            self.folder_of(stage) / part, self.fingerprint_of(stage), self._identity_of(stage)
        )

    def finished(self, stage: StageView) -> FinishedParts:
        """Where a stage keeps the parts that are finished."""
        return FinishedParts(self.folder_of(stage), self.fingerprint_of(stage))

    def begin(self, stage: StageView | None, later: Sequence[StageView]) -> None:
        """A stage begins, after which these are to run; None before the first."""
        self._stage, self._later = stage, later

    def release(self) -> None:
        """Let go of what none of the later stages needs."""
        if not any(stage.needs.saes for stage in self._later):
            self.loaded.saes.clear()
        if not any(stage.needs.model for stage in self._later):
            self.loaded.model = self._token_rows = self.cache = None
        wanted = {table for stage in self._later for table in stage.needs.tables}
        self._held = {key: table for key, table in self._held.items() if key[0] in wanted}


def found_before(context: Context, stage: StageView) -> dict[str, Any]:
    """What a stage's identity has of what earlier stages found; nothing where it needs none."""
    return {"found": stage.depends_on(context)} if stage.regardless_of else {}


def shown_of(context: Context) -> dict[str, Any]:
    """The latents that are shown, for a stage of which that is all that it has of the text."""
    return {"shown": {slug: latents.tolist() for slug, latents in context.latents.items()}}
