"""Plug-ins: found by entry points, named where they fail, refused where two have one name."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from saereport import plugins
from saereport.cli import main as cli
from saereport.config.section import SECTIONS
from saereport.measure import registry
from saereport.measure.registry import STATISTICS, WEIGHTS, Statistic
from saereport.measure.statistics.activity import Activity
from saereport.measure.weights import WeightTable
from saereport.pipeline import build, stage
from saereport.run import open_run
from saereport.run import registry as tables
from saereport.util.errors import SaereportError
from tests.pipeline.conftest import asked, small  # noqa: F401 - fixtures
from tests.pipeline.toys import Told, Toy, toy_table

Asked = Callable[..., dict[str, Any]]


class Package:
    """What `importlib.metadata` says of a package."""

    def __init__(self, name: str, version: str = "1.0") -> None:
        self.name, self.version = name, version


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs entry points, by group and name, until the test ends."""
    stage.stages()
    monkeypatch.setattr(plugins, "_STATE", plugins._State())
    monkeypatch.setattr(stage, "_REGISTERED", dict(stage._REGISTERED))
    monkeypatch.delenv(plugins.OFF, raising=False)
    points: list[EntryPoint] = []
    monkeypatch.setattr(plugins, "entry_points", lambda: EntryPoints(points))
    statistics, weights = dict(STATISTICS), dict(WEIGHTS)
    module = types.ModuleType("toy_plugin")
    monkeypatch.setitem(sys.modules, "toy_plugin", module)

    def add(group: str, name: str, thing: object, package: str = "toy-package") -> None:
        if not isinstance(thing, str):
            setattr(module, name, thing)
            thing = f"toy_plugin:{name}"
        point = EntryPoint(name, thing, f"saereport.{group}")
        vars(point)["dist"] = Package(package)
        points.append(point)

    with patch.dict(SECTIONS):
        yield add
    tables._REGISTERED.pop("toy_labels", None)
    STATISTICS.clear()
    STATISTICS.update(statistics)
    WEIGHTS.clear()
    WEIGHTS.update(weights)


def loaded(*, with_torch: bool = False) -> list[str]:
    said: list[str] = []
    plugins.load_plugins(said.append, with_torch=with_torch)
    return said


def test_what_plug_ins_bring_is_registered_once(install: Callable[..., None]) -> None:
    toy = Toy()
    install("stages", "toy", toy)
    install("statistics", "again", Statistic("again", ("given_groups",), Activity))
    called: list[str] = []
    install("diff_metrics", "metric", lambda: called.append("metric"))
    assert loaded() == loaded() == []
    assert stage.stages()["toy"] is toy
    assert STATISTICS["again"].name == "again"
    assert called == ["metric"]
    assert plugins.loaded() == {"toy-package": "1.0"}


def test_one_that_cannot_be_imported_is_named_and_the_rest_works(
    install: Callable[..., None],
) -> None:
    def explode() -> None:
        raise OSError("no\nlibrary")

    install("stages", "broken", "no_such_module:Stage", package="broken-package")
    install("stages", "wrong", 3)
    install("diff_metrics", "explode", explode)
    install("stages", "toy", Toy)
    first, second, third = loaded()
    assert first == (
        "The plug-in 'broken' (saereport.stages) of broken-package 1.0 cannot be loaded and is "
        "left out: ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert "'wrong' (saereport.stages) of toy-package 1.0 cannot be loaded" in second
    assert third.endswith("OSError: no library")
    assert set(stage.stages()) >= {"toy", "weights"}
    assert loaded() == []


@pytest.mark.parametrize("group", ["stages", "panels"])
def test_two_of_one_name_are_refused_with_both_packages(
    install: Callable[..., None], group: str
) -> None:
    install(group, "toy", Toy, package="one")
    install(group, "toy", Toy, package="other")
    for _ in range(2):
        with pytest.raises(SaereportError) as caught:
            loaded()
        assert f"'toy' (saereport.{group}) of one 1.0 and 'toy'" in str(caught.value)
        assert "of other 1.0" in str(caught.value)
        assert "--no-plugins" in str(caught.value)


@pytest.mark.parametrize(
    ("group", "thing", "said"),
    [
        ("statistics", Statistic("tokens", (), Activity), "a statistic 'tokens' already"),
        ("statistics", Statistic("x", (), Activity, needs=("y",)), "reads 'y', which is none"),
        ("statistics", Statistic("x", ("examples",), Activity), "'examples' fills the table"),
        ("weights", "toy_plugin:x", "a table of weights 'logit_lens' already"),
        ("statistics", Statistic("weights", (), Activity), "'weights' is of the stage 'weights'"),
        ("statistics", Statistic("toy", (), Activity), "'toy' is of the stage 'statistics'"),
        ("statistics", Statistic("examples_", ("prompts",), Activity), "of the stage 'circuits'"),
        ("statistics", Statistic("statistics", (), Activity), "of the stage 'statistics'"),
        ("statistics", Statistic("token_statistics", (), Activity), "'tokens' fills a table"),
    ],
)
def test_one_that_is_called_like_our_own_is_refused(
    install: Callable[..., None], group: str, thing: object, said: str
) -> None:
    """What `--skip` takes is of one stage, statistic or table: nobody could say which was meant."""
    install(group, "logit_lens", thing)
    install("stages", "toy", Toy)
    for _ in range(2):
        with pytest.raises(SaereportError, match=said):
            loaded()


def test_one_whose_import_raises_what_registries_raise_is_left_out(
    install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As seen: a package that was built for another NumPy raises a `ValueError`."""
    (tmp_path / "built_for_another.py").write_text("raise ValueError('numpy.dtype size changed')\n")
    monkeypatch.syspath_prepend(tmp_path)
    install("stages", "old", "built_for_another:Stage")
    install("stages", "toy", Toy)
    (said,) = loaded()
    assert said.endswith("cannot be loaded and is left out: ValueError: numpy.dtype size changed")
    assert "toy" in stage.stages()


def test_one_that_fills_a_table_that_no_run_can_hold_is_left_out(
    install: Callable[..., None],
) -> None:
    """As seen: it was told by a traceback when the whole text was read."""
    install("statistics", "counts", Statistic("counts", ("no_such_table",), Activity))
    install("weights", "mine", types.SimpleNamespace(name="mine"))
    first, second = loaded()
    assert first.endswith("is left out: LookupError: no run can hold its table 'no_such_table'")
    assert second.endswith("is left out: LookupError: no run can hold its table 'mine'")
    assert "counts" not in STATISTICS
    assert "mine" not in WEIGHTS
    assert plugins.loaded() == {}


def test_a_table_of_weights_is_called_as_its_entry_point_is(install: Callable[..., None]) -> None:
    """What it fills is known before it is imported, to who skips it and to who says why."""
    install("weights", "given_groups", types.SimpleNamespace(name="given_histogram"))
    assert loaded() == []
    (said,) = loaded(with_torch=True)
    assert said.endswith("LookupError: its entry point must be called 'given_histogram', as it is")
    assert "given_groups" not in WEIGHTS
    assert plugins.loaded() == {}


def test_one_that_is_skipped_gives_its_reason_for_each_sae(
    install: Callable[..., None],
    asked: Asked,  # noqa: F811
    tmp_path: Path,
) -> None:
    """As seen: with a name other than its table's, the reason was told of the whole run."""
    never = WeightTable("given_groups", lambda _: "it never has it", lambda _: {})
    install("weights", "given_groups", never)
    for skip in (["weights"], ["given_groups"]):
        run = open_run(build.collect(asked(skip=skip), tmp_path / skip[0]))
        reasons = [sae.left_out.get("given_groups") for sae in run.info.saes]
        assert reasons == ["it was skipped"] * 2
        assert run.info.left_out == {}


def test_a_stage_that_is_called_like_a_setting_is_refused(install: Callable[..., None]) -> None:
    class Named(Toy):
        name = "tokens"

    install("stages", "tokens", Named)
    with pytest.raises(SaereportError, match="'tokens' is a setting of saereport's own"):
        loaded()


def test_tables_of_weights_are_imported_when_something_is_measured(
    install: Callable[..., None],
) -> None:
    install("weights", "given_groups", "no_such_module:TABLE")
    assert loaded() == []
    assert registry.WEIGHTS["given_groups"] == "no_such_module:TABLE"
    assert plugins.loaded() == {"toy-package": "1.0"}
    (said,) = loaded(with_torch=True)
    assert "'given_groups' (saereport.weights)" in said
    assert "given_groups" not in registry.WEIGHTS
    assert plugins.loaded() == {}


def test_all_can_be_left_out(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    install("stages", "broken", "no_such_module:Stage")
    for value, off in (("1", True), ("0", False), ("", False)):
        monkeypatch.setattr(plugins, "_STATE", plugins._State())
        monkeypatch.setenv(plugins.OFF, value)
        assert bool(loaded()) is not off
    monkeypatch.setattr(plugins, "_STATE", plugins._State())
    plugins.switch(off=True)
    assert loaded() == []
    plugins.switch(off=False)
    assert len(loaded()) == 1


@pytest.mark.parametrize("place", [0, 1])
def test_the_command_line_names_it_in_one_line_or_leaves_it_out(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path, place: int
) -> None:
    install("stages", "broken", "no_such_module:Stage")
    words = ["init", str(tmp_path / "a.yaml")]
    assert cli.run(words) == 0
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "plug-in" in one]
    assert line.startswith("Warning: The plug-in 'broken'")
    words = ["init", str(tmp_path / "b.yaml")]
    words.insert(place * len(words), "--no-plugins")
    assert cli.run(words) == 0
    assert "plug-in" not in capsys.readouterr().err


def test_what_was_loaded_is_in_the_fingerprint_and_the_run(
    install: Callable[..., None],
    asked: Asked,  # noqa: F811
    tmp_path: Path,
) -> None:
    install("tables", "labels", toy_table())
    install("stages", "toy", Toy)
    run = open_run(build.collect(asked(), tmp_path / "run"))
    assert run.info.plugins == {"toy-package": "1.0"}
    assert run.has("toy_labels", "late")
    for plugin in plugins._STATE.loaded:
        vars(plugin.point.dist)["version"] = "2.0"
    told = Told()
    again = open_run(build.collect(asked(), tmp_path / "run", progress=told))
    assert again.info.plugins == {"toy-package": "2.0"}
    assert again.info.fingerprint != run.info.fingerprint
    assert "This run is already collected; using it" not in told.lines


def test_looking_for_plug_ins_needs_no_torch() -> None:
    code = (
        "import sys; from saereport import plugins; plugins.load_plugins(print)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
