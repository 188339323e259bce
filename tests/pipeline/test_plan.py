"""What a build is going to take: told beforehand, without a trace on the disk or in the numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

import saereport
from saereport.cli import main
from saereport.config.build import make_config
from saereport.pipeline import build, planning, resources
from saereport.pipeline.context import Context
from saereport.pipeline.pass_cost import Pace
from saereport.pipeline.plan import (
    Available,
    PlannedStage,
    as_json,
    as_lines,
    in_one_line,
    schema_json,
    spoken_bytes,
)
from saereport.pipeline.probe import Probe, line_through
from saereport.pipeline.sizes import Extent
from saereport.pipeline.stage import Cost, Stage
from saereport.util.errors import SaereportError
from tests.factories import save_sae
from tests.pipeline.toys import Told, Toy

Asked = Callable[..., dict[str, Any]]

PUBLISHED = Path(__file__).parents[2] / "docs" / "plan.schema.json"
STAGES = [
    *("load", "plan", "statistics", "evaluation", "circuits", "example_attribution"),
    *("output_scores", "interventions", "directions", "weights", "write", "pages"),
]
PROMPTS = [{"text": "w5 w6 w7 => w8"}, {"text": "w9 w5 w6 w7 w8"}]


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


def test_every_stage_has_a_time_and_nothing_is_written(asked: Asked, tmp_path: Path) -> None:
    config = asked(prompts=PROMPTS, circuits={"examples": 1})
    before = everything(tmp_path)
    plan = saereport.plan(config, tmp_path / "below" / "report")
    assert everything(tmp_path) == before == {}
    assert [stage.name for stage in plan.stages] == STAGES
    assert plan.unknown == ()
    assert all(stage.seconds is not None and stage.seconds >= 0 for stage in plan.stages)
    assert plan.total_seconds == pytest.approx(sum(s.seconds or 0 for s in plan.stages))
    assert plan.warnings == ()
    tried = [s for s in plan.stages if s.how == "estimated" and s.name not in ("write", "pages")]
    assert all((stage.host_bytes or 0) > 2**20 for stage in tried)
    assert plan.peak_host_bytes == max(stage.host_bytes or 0 for stage in plan.stages)
    assert (plan.batch_size, plan.context_size, plan.tokens) == (8, 32, 608)
    assert 0 < plan.disk.run_bytes < plan.disk.site_bytes < plan.available.disk_bytes


def test_what_is_printed(asked: Asked, toy: Toy, tmp_path: Path) -> None:
    """A plug-in's stage that says nothing of its cost is in the table, and the sum says so."""
    plan = saereport.plan(asked(), tmp_path / "report")
    assert plan.unknown == ("toy",)
    lines = list(as_lines(plan))
    (row,) = [line for line in lines if line.startswith("toy ")]
    assert row.split() == ["toy", "not", "known", "a", "toy,", "2", "passes"]
    assert any(line.startswith("in all") and "at least" in line for line in lines)
    assert any(line.startswith("batch    8 sequences of 32 tokens on cpu") for line in lines)
    assert not any("device" in line.split()[:1] for line in lines if line)
    assert "at least" in in_one_line(plan)
    assert "without toy" in in_one_line(plan)


def test_a_plug_ins_stage_may_say_what_it_takes(
    asked: Asked, register: Callable[[Stage], Any], tmp_path: Path
) -> None:
    seen: dict[str, Any] = {}

    class Known(Toy):
        def cost(self, context: Context, probe: Probe) -> Cost:
            with probe.sample() as sample:
                # What the beginning of the text left is there.
                seen.update({slug: own.tolist() for slug, own in context.latents.items()})
                seen["tokens"] = context.seen.tokens
            return Cost(seconds=100.0 + 0 * sample.seconds, host_bytes=sample.host_bytes)

    register(Known())
    plan = saereport.plan(asked(), tmp_path / "report")
    assert seen["early"] == seen["late"] == [0, 1, 2, 3]
    assert seen["tokens"] > 0
    assert plan.longest == "toy"
    assert plan.unknown == ()
    assert plan.total_seconds > 100


def test_a_sample_that_fails_is_said_and_costs_no_other(
    asked: Asked, register: Callable[[Stage], Any], tmp_path: Path
) -> None:
    class Broken(Toy):
        def cost(self, context: Context, probe: Probe) -> Cost:
            raise SaereportError("The toy is broken.")

    register(Broken())
    plan = saereport.plan(asked(), tmp_path / "report")
    assert plan.warnings == ("A sample of the stage 'toy' failed: The toy is broken.",)
    assert plan.unknown == ("toy",)


def test_its_json_is_as_its_schema_says(asked: Asked, tmp_path: Path) -> None:
    record = json.loads(as_json(saereport.plan(asked(), tmp_path / "report")))
    jsonschema.validate(record, json.loads(schema_json()))
    assert record["format"] == "saereport-plan"
    assert record["longest"] in {stage["name"] for stage in record["stages"]}
    assert record["total_seconds"] == pytest.approx(
        sum(stage["seconds"] for stage in record["stages"])
    )
    assert PUBLISHED.read_text(encoding="utf-8") == schema_json(), "run 'make schema'"


def test_the_command_and_the_dry_runs_print_the_same_plan_and_write_nothing(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    config = asked()
    arguments = [
        *(f"--sae-path={one['path']}" for one in config["saes"]),
        *("--model", "gpt2", "--dataset", config["dataset"], "--latents", "0-3"),
        *("--tokens", "600", "--batch-size", "8", "--device", "cpu"),
        *("--evaluate", "100", "--skip", "example_attribution"),
    ]
    monkeypatch.chdir(tmp_path)
    left = ("circuits", "example_attribution", "interventions")
    names = [name for name in STAGES if name not in left]
    for command, expected in (
        (["plan"], names),
        (["build", "--dry-run"], names),
        (["build", "--dry-run", "--single-file"], names),
        (["collect", "--dry-run"], names[:-1]),
    ):
        assert main.run([*command, *arguments]) == 0
        lines = capsys.readouterr().out.splitlines()
        start = next(n for n, line in enumerate(lines) if line.startswith("stage "))
        found = [line.split()[0] for line in lines[start + 1 : start + 1 + len(expected)]]
        assert found == expected
        assert lines[start + 1 + len(expected)].startswith("in all")
        assert everything(tmp_path) == {}
    assert main.run(["plan", "--json", *arguments]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [stage["name"] for stage in record["stages"]] == names
    assert everything(tmp_path) == {}


def test_what_could_not_be_built_cannot_be_planned(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    with pytest.raises(SaereportError, match="is not a report"):
        saereport.plan(asked(), tmp_path / "mine")
    with pytest.raises(SaereportError, match="no stage, statistic or table"):
        saereport.plan(asked(skip=["nonsense"]), tmp_path / "report")


def test_a_long_build_says_beforehand_what_it_will_take_and_is_the_same(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples leave no trace in the numbers; afterwards both times are told."""
    config = asked(prompts=PROMPTS, circuits={"examples": 1})
    told = Told()
    plain = build.collect(config, tmp_path / "plain", progress=told)
    assert not any("It will take" in line for line in told.lines)
    monkeypatch.setattr(planning, "WORTH", 0.0)
    told = Told()
    path = build.collect(config, tmp_path / "run", progress=told)
    (said,) = [line for line in told.lines if line.startswith("It will take about ")]
    assert "of memory" in said
    assert told.lines.index(said) < next(
        n for n, line in enumerate(told.lines) if line.startswith("Took ")
    )
    assert everything(path) == everything(plain)
    took = told.lines[next(n for n, line in enumerate(told.lines) if line.startswith("Took ")) :]
    assert "were expected:" in took[0]
    (row,) = [line for line in took if line.startswith("  statistics")]
    assert "%" in row
    assert "expected" in row
    record = json.loads((tmp_path / "run.timing.json").read_text())
    assert set(record["estimated_seconds"]) == set(STAGES[2:-1])


def test_an_interrupted_build_does_not_read_again_for_its_plan(
    asked: Asked, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint that it goes on from is neither used nor replaced by a sample."""
    toy.act = lambda: (_ for _ in ()).throw(SaereportError("The toy is broken."))
    with pytest.raises(SaereportError):
        build.collect(asked(), tmp_path / "run")
    before = everything(tmp_path / "run.partial")
    saereport.plan(asked(), tmp_path / "run", run=True)
    assert everything(tmp_path / "run.partial") == before
    toy.act = lambda: None
    monkeypatch.setattr(planning, "WORTH", 0.0)
    told = Told()
    build.collect(asked(), tmp_path / "run", progress=told)
    (said,) = [line for line in told.lines if line.startswith("It will take ")]
    assert said.endswith(", less what was finished before")


THERE = Available(
    host_bytes=8 * 10**9, host_limit_bytes=10 * 10**9, disk_bytes=10**9, device_bytes=None
)


def stages(host: int = 10**9, device: int | None = None) -> list[PlannedStage]:
    return [
        PlannedStage(name="load", host_bytes=10**8),
        PlannedStage(name="statistics", host_bytes=host, device_bytes=device),
    ]


def test_what_may_not_suffice_is_a_warning_and_what_surely_does_not_is_refused() -> None:
    assert resources.require_room(stages(), 10**8, THERE) == ()
    (memory,) = resources.require_room(stages(9 * 10**9), 10**8, THERE)
    assert memory == (
        "The build needs about 9.0 GB of memory (most of it for the stage 'statistics'), and there "
        "are 8.0 GB. Choose fewer latents or SAEs, leave out with --skip what is not needed, or "
        "give a smaller --batch-size."
    )
    with pytest.raises(SaereportError, match=r"needs about 21 GB of memory .* 8\.0 GB"):
        resources.require_room(stages(21 * 10**9), 10**8, THERE)
    (disk,) = resources.require_room(stages(), 15 * 10**8, THERE)
    assert disk.startswith("The build needs about 1.5 GB of disk, and there are 1.0 GB. Make room")
    with pytest.raises(SaereportError, match=r"needs about 2\.1 GB of disk"):
        resources.require_room(stages(), 21 * 10**8, THERE)
    card = THERE.model_copy(update={"device_bytes": 10**9, "device_limit_bytes": 2 * 10**9})
    assert resources.require_room(stages(device=10**9), 10**8, card) == ()
    (said,) = resources.require_room(stages(device=3 * 10**9), 10**8, card)
    assert "3.0 GB of the device's memory" in said
    with pytest.raises(SaereportError, match="the device's memory"):
        resources.require_room(stages(device=5 * 10**9), 10**8, card)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"disk_bytes": 20_000}, "of disk, and there are 20 kB. Make room"),
        ({"host_bytes": 10**6, "host_limit_bytes": 10**6}, "of memory"),
    ],
)
def test_a_build_that_does_not_fit_is_refused_before_it_starts_in_one_line(
    there: dict[str, int],
    said: str,
    asked: Asked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    small = THERE.model_copy(update=there)
    monkeypatch.setattr(planning, "available", lambda *_: small)
    monkeypatch.setattr(planning, "WORTH", 0.0)
    for make in (saereport.plan, saereport.build):
        with pytest.raises(SaereportError) as caught:
            make(asked(), tmp_path / "report")
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "report").exists()


def test_what_there_is_is_asked_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def memory() -> SimpleNamespace:
        return SimpleNamespace(total=10**12, available=10**8)

    monkeypatch.setattr(resources.psutil, "virtual_memory", memory)
    monkeypatch.setattr(resources.psutil, "swap_memory", lambda: SimpleNamespace(total=5))
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda _: SimpleNamespace(free=7))
    own = resources.psutil.Process().memory_info().rss
    monkeypatch.setattr(resources, "_LIMITS", (str(tmp_path / "max"),))
    there = resources.available(torch.device("cpu"), tmp_path / "a" / "b")
    assert there.host_limit_bytes == 10**12 + 5
    assert there.host_bytes == pytest.approx(10**8 + own, rel=0.2)
    assert there.disk_bytes == 7
    assert there.device_bytes is None
    (tmp_path / "max").write_text("1000000\n")
    there = resources.available(torch.device("cpu"), tmp_path / "a")
    assert (there.host_bytes, there.host_limit_bytes) == (10**6, 10**6 + 5)
    (tmp_path / "max").write_text("max\n")
    assert resources.available(torch.device("cpu"), tmp_path).host_limit_bytes == 10**12 + 5


def test_weights_that_no_memory_holds_are_refused_before_they_are_loaded(
    small: Path, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(asked())
    shapes = sum(math.prod(s) for name in ("early", "late") for s in shapes_of(small / name))
    assert resources.weights_at_least(config) == 4 * shapes
    half = make_config(asked(dtype="bfloat16"))
    assert resources.weights_at_least(half) == 2 * shapes
    assert resources.weights_at_least(make_config(asked(sae_dtype="float16"))) == 2 * shapes
    little = THERE.model_copy(update={"host_limit_bytes": 4 * shapes - 1})
    monkeypatch.setattr(build, "available", lambda *_: little)
    with pytest.raises(SaereportError, match="weights of the model and the SAEs take"):
        build.collect(config, tmp_path / "run")
    build.collect(half, tmp_path / "run")


def shapes_of(folder: Path) -> Iterator[tuple[int, ...]]:
    from safetensors.numpy import load_file

    for array in load_file(folder / "sae_weights.safetensors").values():
        yield array.shape


def test_the_first_tokens_cost_more_and_the_estimate_knows() -> None:
    """What reading takes is recovered from its beginning where its cost falls as 1/t."""
    floor, steady, falling, piece = 1e-3, 2e-4, 3.0, 4096

    def spent(start: int, stop: int) -> float:
        return (floor + steady) * (stop - start) + falling * math.log(stop / max(start, piece / 2))

    pace = Pace(floor)
    for start in range(0, 8 * piece, piece):
        pace.pieces.append((piece, spent(start, start + piece)))
    for n in (10**5, 10**6, 10**7):
        true = spent(0, n)
        assert pace.seconds_of(n) == pytest.approx(true, rel=0.01)
        # As if every token cost what the first ones do:
        assert pace.seconds / pace.tokens * n > 1.1 * true
    assert pace.seconds_of(4 * piece) == pytest.approx(pace.seconds / 2)
    rng = np.random.default_rng(0)
    noisy = [(n, s * rng.uniform(0.95, 1.05)) for n, s in pace.pieces]
    assert Pace(floor, noisy).seconds_of(10**6) == pytest.approx(spent(0, 10**6), rel=0.15)


def test_a_short_beginning_is_taken_to_be_steady() -> None:
    pace = Pace(1e-3, [(100, 0.3), (100, 0.2)])
    assert pace.seconds_of(1000) == pytest.approx(2.5)
    assert Pace().seconds_of(1000) == 0.0
    pace.close(0.7)
    assert pace.seconds == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("small", "large", "n", "seconds"),
    [
        ((1, 1.5), (3, 2.5), 10, 6.0),  # a half each, and one to begin with
        ((1, 1.0), (1, 1.0), 10, 10.0),  # nothing to tell from but one
        ((1, 2.0), (4, 1.0), 10, 1.0),  # noise: more does not take less
        ((1, 0.1), (2, 1.0), 10, 5.0),  # nor more than what was seen for each
    ],
)
def test_a_line_through_two_samples(
    small: tuple[float, float], large: tuple[float, float], n: int, seconds: float
) -> None:
    assert line_through(small, large, n) == pytest.approx(seconds)


def test_sizes_grow_with_what_is_shown() -> None:
    one = Extent(1, 10, 20, 25, 1000, 128, 50_000, 0, 0)
    more = Extent(1, 1000, 20, 25, 1000, 128, 50_000, 0, 0)
    prompts = Extent(1, 10, 20, 25, 1000, 128, 50_000, 3, 1)
    assert one.run_bytes(None) < prompts.run_bytes(None) < more.run_bytes(None)
    sizes = [extent.site_bytes(extent.run_bytes(None)) for extent in (one, prompts, more)]
    assert sizes == sorted(sizes)
    assert more.n_tokens < 50_000
    assert more.n_places <= 128_000


@pytest.mark.parametrize(
    ("n", "words"),
    [(0, "0.0 kB"), (812_400, "812 kB"), (7_420_000, "7.4 MB"), (23_456_000_000, "23 GB")],
)
def test_a_size_for_a_reader(n: int, words: str) -> None:
    assert spoken_bytes(n) == words


def test_memory_is_watched_while_a_sample_runs() -> None:
    probe = Probe(torch.device("cpu"), 1.0)
    with probe.sample() as sample:
        held = np.ones(2**25)
        assert held.sum() == 2**25
    assert sample.host_bytes - sample.held_bytes > 200 * 2**20
    assert sample.at_scale(2.0) - sample.held_bytes == 2 * (sample.host_bytes - sample.held_bytes)


def test_samples_are_of_every_kind_of_sae(asked: Asked, tmp_path: Path, small: Path) -> None:
    """No architecture or pair makes a sample fail: a transcoder between two SAEs."""
    save_sae(
        tmp_path / "middle",
        "transcoder",
        hook_name="blocks.1.ln2.hook_normalized",
        hook_name_out="blocks.1.hook_mlp_out",
        d_sae=48,
    )
    saes = [{"path": small / "early"}, {"path": tmp_path / "middle"}, {"path": small / "late"}]
    config = asked(saes=saes, prompts=[{"text": "w5 w6 w7 => w8", "graph": True}], latents="live")
    plan = saereport.plan(config, tmp_path / "report")
    assert plan.warnings == ()
    assert plan.unknown == ()
