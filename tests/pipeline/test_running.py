"""Stages that fail: what is finished is kept, and the same build goes on from there."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from saereport.evaluate import fidelity as evaluation
from saereport.measure.registry import WEIGHTS
from saereport.measure.weights import WeightTable
from saereport.pipeline import build
from saereport.pipeline.context import Context
from saereport.pipeline.stage import Needs, Stage, Yielded, stages
from saereport.run import open_run
from saereport.util.errors import GateError, SaereportError
from tests.pipeline.test_build import files
from tests.pipeline.toys import Told, Toy

Asked = Callable[..., dict[str, Any]]


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.fixture
def first(register: Callable[[Stage], None], monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy, registered before the stages that come after the statistics."""
    from saereport.pipeline import stage

    made = Toy()
    register(made)
    order = {name: stage._REGISTERED[name] for name in ("statistics", "toy")}
    monkeypatch.setattr(stage, "_REGISTERED", {**order, **stage._REGISTERED})
    assert list(stages())[:2] == ["statistics", "toy"]
    return made


ENDS = ("", ".kept", ".timing.json")
"""What a build leaves: what it was asked for, what the next one of its name uses, and its times."""


@pytest.mark.parametrize("error", [SaereportError("The toy is broken."), KeyboardInterrupt()])
def test_what_is_finished_is_used_again_and_the_bytes_are_the_same(
    asked: Asked,
    first: Toy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    """A user's error is raised when the others are done; an interruption at once."""
    whole = build.collect(asked(), tmp_path / "whole")
    first.act, first.ran = failing(error), 0
    with pytest.raises(type(error)):
        build.collect(asked(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    kept = tmp_path / "run.partial" / "stages"
    finished = sorted(path.parent.name for path in kept.glob("*/finished"))
    goes_on = isinstance(error, SaereportError)
    assert finished == (["directions", "evaluation", "output_scores", "weights"] if goes_on else [])
    first.act = lambda: None
    calls = []
    measure = evaluation._measured
    monkeypatch.setattr(evaluation, "_measured", lambda *a: calls.append(a) or measure(*a))
    told = Told()
    again = build.collect(asked(), tmp_path / "run", progress=told)
    assert len(calls) == (0 if goes_on else 1)
    said = {f"The stage {name} was finished before; using it" for name in finished}
    assert {line for line in told.lines if "was finished before" in line} == said
    assert files(again) == files(whole)
    assert first.ran == 2
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{name}{end}" for name in ("run", "whole") for end in ENDS}


def test_what_a_finished_stage_said_is_said_again(asked: Asked, first: Toy, tmp_path: Path) -> None:
    config = asked(evaluate=30)
    whole = open_run(build.collect(config, tmp_path / "whole"))
    assert whole.info.warnings
    first.act = failing(SaereportError("The toy is broken."))
    with pytest.raises(SaereportError):
        build.collect(config, tmp_path / "run")
    first.act = lambda: None
    again = open_run(build.collect(config, tmp_path / "run"))
    assert again.info.warnings == whole.info.warnings
    assert again.info.saes == whole.info.saes


def test_why_a_table_of_a_plug_in_is_missing_is_kept(
    asked: Asked, first: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = WeightTable("given_groups", lambda _: "it never has it", lambda _: {})
    monkeypatch.setitem(WEIGHTS, "given_groups", f"{__name__}:NEVER")
    monkeypatch.setattr(sys.modules[__name__], "NEVER", never, raising=False)
    first.act = failing(SaereportError("The toy is broken."))
    with pytest.raises(SaereportError):
        build.collect(asked(), tmp_path / "run")
    first.act = lambda: None
    told = Told()
    run = open_run(build.collect(asked(), tmp_path / "run", progress=told))
    assert "The stage weights was finished before; using it" in told.lines
    reasons = [sae.left_out.get("given_groups") for sae in run.info.saes]
    assert reasons == ["it never has it"] * 2


def test_other_settings_of_a_stage_do_not_use_what_was_kept_of_it(
    asked: Asked, first: Toy, tmp_path: Path
) -> None:
    first.act = failing(SaereportError("The toy is broken."))
    with pytest.raises(SaereportError):
        build.collect(asked(), tmp_path / "run")
    first.act = lambda: None
    told = Told()
    build.collect(asked(evaluate=60), tmp_path / "run", progress=told)
    used = [line.split()[2] for line in told.lines if "was finished before" in line]
    assert used == ["output_scores", "directions", "weights"]


def test_damage_to_what_was_kept_is_noticed(asked: Asked, first: Toy, tmp_path: Path) -> None:
    first.act = failing(SaereportError("The toy is broken."))
    with pytest.raises(SaereportError):
        build.collect(asked(), tmp_path / "run")
    kept = tmp_path / "run.partial" / "stages"
    file = next((kept / "evaluation" / "finished").glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-1])
    for name in ("directions", "output_scores", "weights"):
        (kept / name / "finished" / "stage.json").write_text("{")
    first.act = lambda: None
    told = Told()
    path = build.collect(asked(), tmp_path / "run", progress=told)
    assert not any("was finished before" in line for line in told.lines)
    open_run(path).verify()


def test_blinding_more_does_not_use_what_was_kept_without(
    asked: Asked, first: Toy, tmp_path: Path
) -> None:
    first.act = failing(SaereportError("The toy is broken."))
    with pytest.raises(SaereportError):
        build.collect(asked(), tmp_path / "run")
    first.act = lambda: None
    told = Told()
    build.collect(asked(blind=["early:2"]), tmp_path / "run", progress=told)
    assert not any("was finished before" in line for line in told.lines)


class After(Stage):
    """Builds on the toy."""

    name = "after"
    tables = ("given_groups",)
    needs = Needs(stages=("toy",))

    def __init__(self) -> None:
        self.ran = 0

    def run(self, context: Context) -> Iterator[Yielded]:
        self.ran += 1
        return iter(())


def test_what_builds_on_a_failed_stage_does_not_run(
    asked: Asked, toy: Toy, register: Callable[[Stage], None], tmp_path: Path
) -> None:
    after = After()
    register(after)
    toy.act = failing(SaereportError("The toy is broken."))
    with pytest.raises(SaereportError, match="The toy is broken"):
        build.collect(asked(), tmp_path / "run")
    assert after.ran == 0
    toy.act = lambda: None
    build.collect(asked(), tmp_path / "run")
    assert after.ran == 1


def test_what_builds_on_a_skipped_stage_is_left_out_with_the_reason(
    asked: Asked, toy: Toy, register: Callable[[Stage], None], tmp_path: Path
) -> None:
    after = After()
    register(after)
    run = open_run(build.collect(asked(skip=["toy"]), tmp_path / "run"))
    assert (toy.ran, after.ran) == (0, 0)
    said = "it builds on the stage 'toy', which is left out"
    assert [sae.left_out["given_groups"] for sae in run.info.saes] == [said, said]


def test_a_failed_attempt_holds_nothing_while_the_others_run(
    asked: Asked, first: Toy, register: Callable[[Stage], None], tmp_path: Path
) -> None:
    held: list[weakref.ref[Any]] = []

    class Large:
        pass

    def fail() -> None:
        large = Large()
        held.append(weakref.ref(large))
        raise SaereportError("The toy is broken.")

    class Looking(Stage):
        name = "looking"
        seen: ClassVar[list[bool]] = []

        def run(self, context: Context) -> Iterator[Yielded]:
            gc.collect()
            self.seen.append(held[0]() is None)
            return iter(())

    register(Looking())
    first.act = fail
    with pytest.raises(SaereportError):
        build.collect(asked(), tmp_path / "run")
    assert Looking.seen == [True]


def test_a_stage_goes_on_from_its_own_checkpoint(
    asked: Asked, register: Callable[[Stage], None], tmp_path: Path
) -> None:
    """Its own settings make it start anew, and no other stage's do."""
    found: list[int] = []

    class Halting(Toy):
        def run(self, context: Context) -> Iterator[Yielded]:
            checkpoint = context.checkpoint(self)
            saved = checkpoint.load()
            found.append(0 if saved is None else int(saved["done"]))
            checkpoint.save({"done": np.array(found[-1] + 1)})
            if len(found) < 4:
                raise SaereportError("Not yet.")
            yield from super().run(context)

    register(Halting())
    for changes in ({}, {"evaluate": 50}, {"toy": {"size": 3}}):
        with pytest.raises(SaereportError, match="Not yet"):
            build.collect(asked(**changes), tmp_path / "run")
    assert (tmp_path / "run.partial" / "stages" / "toy" / "checkpoint.npz").is_file()
    build.collect(asked(toy={"size": 3}), tmp_path / "run")
    assert found == [0, 1, 0, 1]
    assert not (tmp_path / "run.partial").exists()


def test_a_strict_build_stops_at_once(asked: Asked, first: Toy, tmp_path: Path) -> None:
    first.act = failing(GateError("A gate."))
    told = Told()
    with pytest.raises(GateError):
        build.collect(asked(), tmp_path / "run", progress=told)
    assert list((tmp_path / "run.partial" / "stages").glob("*/finished")) == []


def test_every_stage_is_asked_to_discard_what_it_kept(
    asked: Asked, toy: Toy, tmp_path: Path
) -> None:
    build.collect(asked(keep=0), tmp_path / "run")
    assert toy.discarded == [tmp_path / "run.partial" / "stages" / "toy"]
    assert not (tmp_path / "run.partial").exists()


def test_the_context_lets_go_of_saes_and_model_when_no_later_stage_needs_them(
    asked: Asked, register: Callable[[Stage], None], tmp_path: Path
) -> None:
    """The deepest SAE is gone while the tables of the next are made."""
    alive: list[tuple[str, list[str]]] = []
    watched: dict[str, weakref.ref[Any]] = {}

    def there() -> list[str]:
        gc.collect()
        return sorted(name for name, ref in watched.items() if ref() is not None)

    class Watching(Stage):
        name = "watching"
        needs = Needs(model=True, saes=True)

        def run(self, context: Context) -> Iterator[Yielded]:
            watched.update({slug: weakref.ref(sae) for slug, sae in context.saes.items()})
            watched["model"] = weakref.ref(context.model)
            for slug in context.deepest_first():
                alive.append((slug, there()))
            yield from ()

    class Last(Stage):
        name = "last"
        needs = Needs(stages=("watching",))

        def run(self, context: Context) -> Iterator[Yielded]:
            alive.append(("", there()))
            with pytest.raises(RuntimeError):
                _ = context.model
            yield from ()

    register(Watching())
    register(Last())
    build.collect(asked(), tmp_path / "run")
    assert [slug for slug, *_ in alive] == ["late", "early", ""]
    assert alive[0][1] == ["early", "late", "model"]
    assert alive[1][1] == ["early", "model"]
    assert alive[2][1] == []


def test_timing_is_beside_the_output_and_never_in_it(
    asked: Asked, toy: Toy, tmp_path: Path
) -> None:
    path = build.collect(asked(), tmp_path / "run")
    record = json.loads((tmp_path / "run.timing.json").read_text())
    assert list(record["seconds"]) == [
        *("load", "plan", "statistics", "evaluation", "output_scores"),
        *("directions", "weights", "toy", "write"),
    ]
    assert record["total_seconds"] == pytest.approx(sum(record["seconds"].values()), abs=0.01)
    assert not any(b"seconds" in content for name, content in files(path).items() if "json" in name)
    again = build.collect(asked(), tmp_path / "again")
    assert files(again) == files(path)
