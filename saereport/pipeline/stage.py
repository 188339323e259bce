"""Stages of a build: what one is, which there are, and in which order they run.

A stage computes some tables of a run. It says itself what it is asked in the configuration, what
it needs, what its numbers depend on, what can be checked before the long work and what that will
cost, and where it goes on after an interruption. Everything else follows from the registry here:
the keys of a configuration, the fingerprint, `--skip`, checkpoints and their removal, progress,
timing, the memory profile, and the reasons for what is left out.

To add one, write a class with `Stage` as its base, in a module that imports torch only inside
`plan` and `run`; name it in `BUILT_IN`, or in the entry points `saereport.stages` of another
package. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from saereport.config.build import BuildConfig
from saereport.config.section import SECTIONS
from saereport.measure import registry
from saereport.pipeline.needs import Needs
from saereport.util.errors import SaereportError, did_you_mean

if TYPE_CHECKING:
    from saereport.measure import Statistic
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe
    from saereport.sources.folders import SaeFacts

__all__ = [
    "BUILT_IN",
    "SKIPPED",
    "Cost",
    "Needs",
    "Stage",
    "Yielded",
    "built_on",
    "file_digest",
    "is_skipped",
    "register",
    "register_statistic",
    "register_weights",
    "require_needs",
    "stages",
]

BUILT_IN = (
    "saereport.pipeline.stages.statistics:StatisticsStage",
    "saereport.pipeline.stages.blind:BlindStage",
    "saereport.pipeline.stages.evaluation:EvaluationStage",
    "saereport.pipeline.stages.sparsity:SparsityStage",
    "saereport.pipeline.stages.capability:CapabilityStage",
    "saereport.pipeline.stages.probing:ProbingStage",
    "saereport.pipeline.stages.bias:BiasStage",
    "saereport.pipeline.stages.absorption:AbsorptionStage",
    "saereport.pipeline.stages.circuits:CircuitsStage",
    "saereport.pipeline.stages.mean_gradients:MeanGradientsStage",
    "saereport.pipeline.stages.example_attribution:ExampleAttributionStage",
    "saereport.pipeline.stages.steering:SteeringStage",
    "saereport.pipeline.stages.output_scores:OutputScoresStage",
    "saereport.pipeline.stages.interventions:InterventionsStage",
    "saereport.pipeline.stages.directions:DirectionsStage",
    "saereport.pipeline.stages.meta:MetaStage",
    "saereport.pipeline.stages.weights:WeightsStage",
    "saereport.pipeline.stages.lens:LensStage",
    "saereport.pipeline.stages.explanations:ExplanationsStage",
)
"""saereport's own stages, as entry points name them, in the order in which they run."""

SKIPPED = "it was skipped"
"""The reason for what `--skip` leaves out."""

Yielded = tuple[str | None, str, Mapping[str, Any]]
"""SAE that a table is about (None for one of the whole run), the table's name, its columns."""


@dataclass(frozen=True)
class Cost:
    """What a stage is going to do and to take, as far as that is known beforehand.

    Attributes:
        tokens: Tokens that go through the model, counted again for every pass.
        passes: Forward passes.
        seconds: How long it takes.
        what: The rest, in words; behind a number of prompts, where these are from.
        prompts: Prompts on which circuits are computed.
        host_bytes: Memory of the process at its peak, with all that is loaded.
        device_bytes: Memory of the device at its peak; None where the device is the host.
        run_bytes: What its tables take in the run, about.
        kept_bytes: What it keeps beside the output until the build is whole, about.
    """

    tokens: int | None = None
    passes: int | None = None
    seconds: float | None = None
    what: str = ""
    prompts: int | None = None
    host_bytes: int | None = None
    device_bytes: int | None = None
    run_bytes: int | None = None
    kept_bytes: int | None = None

    @property
    def words(self) -> str:
        """All of it for one line; empty where nothing is known."""
        parts = [
            self._doing,
            f"{self.tokens:,} tokens" if self.tokens else "",
            f"{self.passes:,} passes" if self.passes else "",
            f"about {self.seconds:,.0f} s" if self.seconds else "",
        ]
        return ", ".join(part for part in parts if part)

    @property
    def _doing(self) -> str:
        if not self.prompts:
            return self.what
        return f"{self.prompts:,} prompt{'s' if self.prompts > 1 else ''} {self.what}".rstrip()

    def updated(self, other: Cost) -> Cost:
        """With what another one knows in place of what this one does."""
        known = {
            one.name: value
            for one in fields(other)
            if (value := getattr(other, one.name)) not in (None, "")
        }
        return replace(self, **known)


class Stage(ABC):
    """One stage of a build. The class is made once; what one build knows is in its context.

    Attributes:
        name: What it is called: in `--skip`, in timings, in the memory profile, as its folder
            while it is unfinished and, where it comes from a plug-in, as its key in YAML.
        tables: The tables that it may yield; `yields` where they are not known beforehand.
        needs: What it works with.
        config: Its part of the configuration, None where it has none. A plug-in's stage has it
            under its name; the settings of saereport's own stages are keys at the top.
        at_top: Whether the fields of `config` are keys at the top of a configuration.
        shares: Keys at the top that it depends on and that are another stage's too.
        regardless_of: Keys on which its numbers do not depend but through what `depends_on` says,
            though no stage claims them or one does on which it builds: `tokens`.
        essential: Names among its own, of tables or the stage's own, that cannot be skipped.
        why_essential: Why, as the end of a sentence.
        keeps: Whether its tables, once finished, stand for all that it leaves, so that an
            interrupted build uses them again. A stage that leaves more keeps that itself.
    """

    name: ClassVar[str]
    tables: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[Needs] = Needs()
    config: ClassVar[type[BaseModel] | None] = None
    at_top: ClassVar[bool] = False
    shares: ClassVar[tuple[str, ...]] = ()
    regardless_of: ClassVar[tuple[str, ...]] = ()
    essential: ClassVar[tuple[str, ...]] = ()
    why_essential: ClassVar[str] = "others are built on it"
    keeps: ClassVar[bool] = True

    @property
    def settings(self) -> tuple[str, ...]:
        """The keys of a configuration that it depends on beside those that no stage claims.

        `saes.explanations` is the key `explanations` of every SAE.
        """
        if self.config is None:
            return self.shares
        own = tuple(self.config.model_fields) if self.at_top else (self.name,)
        return (*own, *self.shares)

    @property
    def yields(self) -> tuple[str, ...]:
        """The tables that it may yield."""
        return self.tables

    @property
    def names(self) -> tuple[str, ...]:
        """Every name by which `--skip` leaves out the stage or a part of it."""
        return tuple(dict.fromkeys((self.name, *self.yields)))

    def check(self, config: BuildConfig) -> None:  # noqa: B027 - most have nothing to check
        """Check its part of a configuration, and the files that it names, before torch is loaded.

        Raises:
            SaereportError: Something means nothing, or is not there; says what.
        """

    def check_saes(  # noqa: B027 - most have nothing to check
        self, config: BuildConfig, facts: Sequence[SaeFacts]
    ) -> None:
        """Check what is asked for against what is known of the SAEs.

        Called before torch is loaded with what their files tell, and again when they are loaded.

        Raises:
            SaereportError: It cannot be had from these SAEs; says why.
        """

    def inputs(self, config: BuildConfig) -> dict[str, Any]:
        """What its numbers depend on beside the settings: digests of files that these name.

        Returns:
            JSON, by words for the sentence that it changed: `the prompts file`.
        """
        return {}

    def depends_on(self, context: Context) -> dict[str, Any]:
        """What its numbers depend on of what earlier stages found, in place of `regardless_of`.

        Asked when these have run.

        Returns:
            JSON.
        """
        return {}

    def why_not(self, context: Context) -> str | None:
        """Why it has nothing to do; None where it has.

        Returns:
            A reason that a run gives for the tables that are missing; empty where nobody asked for
            them and there is nothing to explain.
        """
        return None

    def plan(self, context: Context) -> Cost:
        """Check what can be checked before the long work, and say what is going to be done.

        Raises:
            SaereportError: It cannot be done.
        """
        return Cost()

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Run and time a little of what is to be done, and say from it what all of that will take.

        Called after `plan`, before any stage runs, with a context whose copy is thrown away: the
        latents that are shown, the sequences and the examples in it are those of the beginning of
        the text. Nothing may be written, and no SAE let go of. What stays unsaid is not known.
        """
        return Cost()

    @abstractmethod
    def run(self, context: Context) -> Iterator[Yielded]:
        """Compute its tables and hand each on as soon as it is made.

        Nothing that is handed on is used again. For a table that is left out, the reason is given
        to `context.leave_out`.

        Raises:
            SaereportError: It cannot be done. Stages that do not build on it run all the same, and
                what they found is used when the same build is asked for again.
        """

    def wants(self, context: Context, table: str, slug: str | None) -> bool:
        """Whether it will read a table that is about to be written; it is held until then."""
        return table in self.needs.tables

    def discard(self, folder: Path) -> None:
        """Remove what it kept in its folder for going on after an interruption."""
        shutil.rmtree(folder, ignore_errors=True)


_REGISTERED: dict[str, Stage] = {}


def register(stage: type[Stage] | Stage) -> None:
    """Add a stage; it runs after saereport's own unless one of these needs it.

    Raises:
        ValueError: There is one of this name, a setting that is called so, or another stage that
            yields one of its tables; or it needs itself.
    """
    made = stage() if isinstance(stage, type) else stage
    if made.name in stages():
        raise ValueError(f"there is a stage '{made.name}' already")
    if made.name in BuildConfig.model_fields:
        raise ValueError(f"'{made.name}' is a setting of saereport's own")
    _require_free(made.names, made.name)
    _REGISTERED[made.name] = made
    try:
        stages()
    except ValueError:
        del _REGISTERED[made.name]
        raise
    if made.config is not None and not made.at_top:
        SECTIONS[made.name] = made.config


def register_statistic(statistic: Statistic) -> None:
    """Add a statistic of events, whose name `--skip` takes as it takes that of a stage.

    Raises:
        ValueError: It or one of its tables is called like something else that can be skipped, or
            it cannot be among the other statistics.
    """
    _require_free((statistic.name, *statistic.tables), "statistics")
    registry.register(statistic)


def register_weights(name: str, place: str) -> None:
    """Add a table of weights, which is imported when it is needed.

    Args:
        name: The table's name.
        place: `module:attribute` of its `measure.weights.WeightTable`.

    Raises:
        ValueError: Something that can be skipped is called so already.
    """
    _require_free((name,), "weights")
    registry.register_weights(name, place)


def _require_free(names: Iterable[str], within: str) -> None:
    """Refuse names that are another stage's; what is within one stage its registry compares.

    Raises:
        ValueError: One of them is; says whose.
    """
    for other in stages().values():
        taken = (other.name,) if other.name == within else other.names
        for name in names:
            if name in taken:
                raise ValueError(f"'{name}' is of the stage '{other.name}' already")


def require_needs(stage: Stage) -> None:
    """Refuse a stage that builds on what nobody registers.

    Raises:
        SaereportError: A stage or a table that it needs is not there; says what may be meant.
    """
    known, without = stages(), f"leave '{stage.name}' out with --skip {stage.name}."
    for name in stage.needs.stages:
        if name not in known:
            raise SaereportError(
                f"The stage '{stage.name}' builds on a stage '{name}', which there is not.",
                did_you_mean(name, known) or f"Install what brings it, or {without}",
            )
    built = [known[name] for name in built_on(stage) if name in known]
    readable = {table for one in built for table in one.yields}
    for table in stage.needs.tables:
        if table not in readable:
            raise SaereportError(
                f"The stage '{stage.name}' reads a table '{table}', which no stage that it builds "
                "on yields.",
                did_you_mean(table, readable) or f"Declare what it builds on, or {without}",
            )


def stages() -> dict[str, Stage]:
    """All stages by name, in the order in which they run: none before one that it needs."""
    if not _REGISTERED:
        for place in BUILT_IN:
            module, _, attribute = place.partition(":")
            own: Stage = getattr(import_module(module), attribute)()
            _REGISTERED[own.name] = own
    found: dict[str, Stage] = {}

    def place_after_its_needs(stage: Stage, above: tuple[str, ...]) -> None:
        if stage.name in above:
            raise ValueError(f"the stages {', '.join(above)} need each other")
        for name in stage.needs.stages:
            if name in _REGISTERED and name not in found:
                place_after_its_needs(_REGISTERED[name], (*above, stage.name))
        found.setdefault(stage.name, stage)

    for stage in _REGISTERED.values():
        place_after_its_needs(stage, ())
    return found


def built_on(stage: Stage) -> set[str]:
    """Names of the stages on which a stage builds, of those on which these build, and its own."""
    known, found = stages(), {stage.name}
    open_ = list(stage.needs.stages)
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            open_ += known[name].needs.stages if name in known else ()
    return found


def is_skipped(skip: Collection[str], name: str, tables: Iterable[str]) -> bool:
    """Whether something that gives some tables is left out: by its name, or all of its tables."""
    made = list(tables)
    return name in skip or bool(made and all(table in skip for table in made))


def file_digest(path: Path | None) -> str:
    """SHA-256 of a file's content; empty where there is none."""
    if path is None:
        return ""
    return hashlib.sha256(path.expanduser().read_bytes()).hexdigest()
