"""What follows from the registry of stages: configuration, fingerprint, skipping, the order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from saereport.config.build import BuildConfig, config_class, make_config, read_config
from saereport.config.paths import NAME_OR_PATH
from saereport.pipeline import build
from saereport.pipeline.context import Context
from saereport.pipeline.preflight import check_settings, check_skipped
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded, built_on, stages
from saereport.report.rendering import describe, render
from saereport.run import TABLES, open_run
from saereport.run import registry as tables
from saereport.util.errors import SaereportError, UsageError
from tests.pipeline.toys import Told, Toy, ToySettings

Asked = Callable[..., dict[str, Any]]


class Bare(Stage):
    """A stage that yields nothing."""

    def __init__(self, name: str, needs: tuple[str, ...] = ()) -> None:
        self.name = name  # type: ignore[misc]
        self.needs = Needs(stages=needs)  # type: ignore[misc]

    def run(self, context: Context) -> Iterator[Yielded]:
        return iter(())


def test_a_stage_runs_after_what_it_needs_however_they_are_registered(
    register: Callable[[Stage], None],
) -> None:
    register(Bare("third", ("second", "weights")))
    register(Bare("second", ("first",)))
    register(Bare("first"))
    order = list(stages())
    assert order.index("first") < order.index("second") < order.index("third")
    for name, stage in stages().items():
        assert all(order.index(need) < order.index(name) for need in stage.needs.stages)
    assert built_on(stages()["third"]) == {"third", "second", "first", "weights", "statistics"}
    register(Bare("egg", ("hen",)))
    register(Bare("hen"))
    stages()["hen"].needs = Needs(stages=("egg",))  # type: ignore[misc]
    with pytest.raises(ValueError, match="need each other"):
        stages()


@pytest.mark.parametrize(
    ("name", "said"),
    [("weights", "there is a stage 'weights' already"), ("tokens", "'tokens' is a setting")],
)
def test_a_name_is_taken_once(register: Callable[[Stage], None], name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        register(Bare(name))


@pytest.mark.parametrize(
    ("name", "yielded", "needs", "said"),
    [
        ("activity", (), (), "'activity' is of the stage 'statistics' already"),
        ("mine", ("geometry",), (), "'geometry' is of the stage 'weights' already"),
        ("mine", (), ("mine",), "need each other"),
        ("hen", (), ("egg",), "need each other"),
    ],
)
def test_a_stage_that_cannot_be_among_the_others_is_refused_when_it_is_added(
    register: Callable[[Stage], None],
    name: str,
    yielded: tuple[str, ...],
    needs: tuple[str, ...],
    said: str,
) -> None:
    """As seen: one called `activity` let what every page is built on be skipped."""
    register(Bare("egg", ("hen",)))
    made = Bare(name, needs)
    made.tables = yielded  # type: ignore[misc]
    with pytest.raises(ValueError, match=said):
        register(made)
    assert name not in stages()
    with pytest.raises(UsageError, match="cannot be skipped"):
        check_skipped(["activity"])


def test_every_setting_belongs_to_a_stage_or_to_all(asked: Asked) -> None:
    """The pass over the text costs most: only what it depends on may cost it."""
    every = stages()
    reading = set(every["statistics"].settings)
    assert reading == {"examples"}
    others = {key for stage in every.values() for key in stage.settings} - reading
    assert others == {
        *("map", "explanations", "saes.explanations", "evaluate", "prompts"),
        *("prompts_file", "circuits", "blind", "with_reveal"),
        *("steer", "steer_prompts", "steering"),
        *("capability", "capability_file"),
        *("output_scores", "interventions"),
        *("lens", "enrichment", "token_sets", "enrichment_permutations"),
        *("compare_saes", "geometry"),
        *("meta_saes", "meta"),
        *("probe", "probing"),
        *("bias", "bias_drop", "bias_test"),
        *("absorption", "absorption_test"),
    }
    assert {key for key in others | reading if "." not in key} <= set(BuildConfig.model_fields)


def test_every_stage_yields_tables_that_runs_hold() -> None:
    yielded = [table for stage in stages().values() for table in stage.yields]
    assert len(yielded) == len(set(yielded))
    assert set(yielded) <= set(TABLES)
    missing = set(TABLES) - set(yielded)
    assert missing == {"sequences", "vocabulary", "given_histogram", "given_groups"}


def test_a_plug_ins_stage_has_a_key_of_its_name(asked: Asked, toy: Toy) -> None:
    assert make_config(asked()).toy.size == 2  # type: ignore[attr-defined]
    assert make_config(asked(toy={"size": 5})).toy.size == 5  # type: ignore[attr-defined]
    for given, said in (
        ({"toy": {"sise": 5}}, "'toy.sise' in the configuration is not a setting. Did you mean"),
        ({"toy": {"size": "many"}}, "'toy.size' in the configuration cannot be 'many'"),
        ({"toi": {}}, "Did you mean 'toy'"),
    ):
        with pytest.raises(UsageError) as caught:
            make_config(asked(**given))
        assert said in str(caught.value)
    assert not hasattr(BuildConfig(), "toy")


def test_settings_without_defaults_are_none_unless_they_are_given(
    asked: Asked, register: Callable[[Stage], None]
) -> None:
    class Wanted(BaseModel):
        name: str

    made = Bare("wanting")
    made.config = Wanted  # type: ignore[misc]
    register(made)
    assert issubclass(config_class(), BuildConfig)
    assert make_config(asked()).wanting is None  # type: ignore[attr-defined]
    assert make_config(asked(wanting={"name": "n"})).wanting == Wanted(name="n")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("toyy", "There is no stage, statistic or table 'toyy' to skip. Did you mean 'toy'?"),
        ("logit_lense", "Did you mean 'logit_lens'"),
        ("activity", "'activity' cannot be skipped: every page is built on it"),
        ("statistics", "'statistics' cannot be skipped"),
        ("blind", "'blind' cannot be skipped: without it the pages would show"),
        ("prompts", "'circuits' leaves out all of them"),
    ],
)
def test_what_cannot_be_skipped_is_told(toy: Toy, name: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_skipped([name])
    assert said in str(caught.value)


def test_a_plug_ins_stage_has_its_settings_in_a_configuration_made_without_it(
    asked: Asked, toy: Toy, tmp_path: Path
) -> None:
    """As seen: with a `BuildConfig` the settings were None, and the run was another one."""
    given = BuildConfig(**{**asked(), "seed": 3})
    one = open_run(build.collect(given, tmp_path / "one"))
    other = open_run(build.collect(asked(seed=3), tmp_path / "other"))
    assert one.info == other.info
    assert one.info.config["toy"] == {"size": 2, "file": None}


@pytest.mark.parametrize(
    "toy_settings", [{"x": {"y": {"sise": 1}}}, {"either": {"sise": 1}}], ids=["inside", "either"]
)
def test_a_slip_deep_in_a_plug_ins_settings_is_one_line(
    asked: Asked, register: Callable[[Stage], None], toy_settings: dict[str, Any]
) -> None:
    class Wanted(BaseModel):
        x: dict[str, ToySettings] = {}
        either: ToySettings | list[ToySettings] = []

    made = Bare("wanting")
    made.config = Wanted  # type: ignore[misc]
    register(made)
    with pytest.raises(UsageError, match="sise' in the configuration is not a setting"):
        make_config(asked(wanting=toy_settings))


def test_paths_in_its_settings_are_taken_from_the_folder_of_the_file(
    asked: Asked, register: Callable[[Stage], None], tmp_path: Path
) -> None:
    """As those of saereport's own settings, at any depth; what is a word stays one."""

    class Wanted(BaseModel):
        folder: Path
        words: list[str] = []
        inner: dict[str, ToySettings] = {}

    made = Bare("wanting")
    made.config = Wanted  # type: ignore[misc]
    register(made)
    (tmp_path / "here").mkdir()
    file = tmp_path / "report.yaml"
    file.write_text(
        "wanting:\n  folder: here\n  words: [here]\n"
        "  inner: {a: {file: here}, b: {file: elsewhere}}\n"
    )
    here = str(tmp_path / "here")
    assert read_config(file) == {
        "wanting": {
            "folder": here,
            "words": ["here"],
            "inner": {"a": {"file": here}, "b": {"file": "elsewhere"}},
        }
    }


@pytest.mark.parametrize("name", ["toy", "toy_labels"])
def test_a_skipped_stage_does_not_run_and_the_run_says_so(
    asked: Asked, toy: Toy, tmp_path: Path, name: str
) -> None:
    run = open_run(build.collect(asked(skip=[name]), tmp_path / "run"))
    assert toy.ran == 0
    for sae in run.info.saes:
        assert sae.left_out["toy_labels"] == "it was skipped"
        assert not run.has("toy_labels", sae.slug)


def test_any_part_can_be_skipped_by_its_name(asked: Asked, tmp_path: Path) -> None:
    skip = ["logit_lens", "token_statistics", "activation_histogram", "evaluation", "pair_means"]
    prompts = {"prompts": [{"text": "w5 w6 w7"}]}
    config = asked(skip=[*skip, "gradients"], **prompts)
    check_settings(make_config(config))
    run = open_run(build.collect(config, tmp_path / "run"))
    left_out = run.info.sae("early").left_out
    gone = ["logit_lens", "token_statistics", "activation_histogram", "sae_metrics"]
    assert {name: left_out[name] for name in gone} == dict.fromkeys(gone, "it was skipped")
    assert set(run.names("early")) & set(gone) == set()
    assert run.has("activity", "early")
    assert run.info.left_out == {"gradients": "it was skipped"}
    assert run.has("gradient_maps")
    assert not run.has("gradients")


def test_pages_are_made_without_any_table_that_can_be_skipped(asked: Asked, tmp_path: Path) -> None:
    essential = {name for stage in stages().values() for name in stage.essential}
    skip = {name for stage in stages().values() for name in stage.yields} - essential
    prompts = [{"text": "w5 w6 w7", "graph": True}]
    graph = {"examples": 0, "graph": {"saes": ["early", "late"]}}
    config = asked(skip=sorted(skip), prompts=prompts, circuits=graph, map="pca")
    run = open_run(build.collect(config, tmp_path / "run"))
    assert run.names() == ["sequences", "vocabulary", "prompts", "graph_nodes"]
    assert run.names("early") == ["activity"]
    report = render(run.path, tmp_path / "report")
    page = next(Path(report.path).rglob("provenance.html")).read_text("utf-8")
    assert "Left out of the run" in page
    assert "gradients left out: it was skipped" in describe(run)


def test_a_stage_that_skips_circuits_says_so_only_where_there_are_prompts(
    asked: Asked, tmp_path: Path
) -> None:
    plain = open_run(build.collect(asked(skip=["circuits"]), tmp_path / "plain"))
    assert plain.info.left_out == {}
    config = asked(skip=["circuits"], prompts=[{"text": "w5 w6 w7"}])
    run = open_run(build.collect(config, tmp_path / "run"))
    assert run.info.left_out["prompts"] == "it was skipped"
    assert not run.has("prompts")


def test_a_plug_ins_stage_is_in_the_run_like_any_other(
    asked: Asked, toy: Toy, tmp_path: Path
) -> None:
    told = Told()
    path = build.collect(asked(toy={"size": 7}), tmp_path / "run", progress=told)
    run = open_run(path)
    run.verify()
    rows = run.table("toy_labels", "late").to_pylist()
    assert [row["text"] for row in rows] == ["one of 4, 7"] * 4
    assert run.info.config["toy"] == {"size": 7, "file": None}
    (said,) = [line for line in told.lines if line.startswith("To do: ")]
    assert "toy (a toy, 7 passes)" in said
    assert any(line.startswith("Took ") for line in told.lines)


def test_its_settings_are_its_own_part_of_the_fingerprint(
    asked: Asked, toy: Toy, tmp_path: Path
) -> None:
    """Changing them makes another run, and costs nothing of what does not depend on them."""
    from saereport.pipeline.fingerprint import config_record, part_of
    from saereport.util.files import json_digest

    parts = []
    for size in (1, 2):
        record = config_record(make_config(asked(toy={"size": size})))
        identity = {"config": record, "inputs": {}}
        parts.append({name: json_digest(part_of(identity, one)) for name, one in stages().items()})
    differ = {name for name in parts[0] if parts[0][name] != parts[1][name]}
    assert differ == {"toy"}
    file = tmp_path / "in" / "input.txt"
    record = config_record(make_config(asked(toy={"file": file})))
    assert record["toy"]["file"] == "input.txt"  # no path of this machine in a run


class _Named(BaseModel):
    source: Annotated[str | None, NAME_OR_PATH] = None


def test_a_plug_ins_path_or_name_is_in_a_run_without_its_folder(
    asked: Asked, register: Callable[[Stage], None], tmp_path: Path
) -> None:
    from saereport.pipeline.fingerprint import config_record

    register(type("Named", (Bare,), {"config": _Named})("named"))
    (tmp_path / "prices.json").write_text("{}")
    for given, kept in ((str(tmp_path / "prices.json"), "prices.json"), ("a/name", "a/name")):
        record = config_record(make_config(asked(named={"source": given})))
        assert record["named"] == {"source": kept}


def test_a_stage_gets_only_what_it_says_that_it_needs(
    asked: Asked, register: Callable[[Stage], None], tmp_path: Path
) -> None:
    class Greedy(Bare):
        def plan(self, context: Context) -> Cost:
            with pytest.raises(RuntimeError, match="'greedy' does not say that it needs a model"):
                _ = context.model
            with pytest.raises(RuntimeError, match="'greedy' does not say that it needs SAEs"):
                _ = context.saes
            return Cost()

    register(Greedy("greedy"))
    build.collect(asked(), tmp_path / "run")


def test_a_table_that_no_run_can_hold_leaves_its_stage_out(
    asked: Asked, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(tables._REGISTERED, "toy_labels")
    run = open_run(build.collect(asked(), tmp_path / "run"))
    assert toy.ran == 0
    assert any("'toy' is left out: no run can hold" in w.text for w in run.info.warnings)


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (
            Needs(stages=("weihgts",)),
            "The stage 'mine' builds on a stage 'weihgts', which there is not. Did you mean "
            "'weights'?",
        ),
        (Needs(stages=("qqq",)), "Install what brings it, or leave 'mine' out with --skip mine."),
        (
            Needs(tables=("exampels",)),
            "The stage 'mine' reads a table 'exampels', which no stage that it builds on yields. "
            "Did you mean 'examples'",
        ),
        (Needs(tables=("geometry",)), "which no stage that it builds on yields"),
    ],
)
def test_a_stage_that_needs_what_there_is_not_is_refused_unless_it_is_skipped(
    asked: Asked, register: Callable[[Stage], None], needs: Needs, said: str
) -> None:
    """As seen: a slip in a name was told as 'it builds on a stage that is left out'."""
    made = Bare("mine")
    made.needs = needs  # type: ignore[misc]
    register(made)
    with pytest.raises(SaereportError) as caught:
        check_settings(make_config(asked()))
    assert said in str(caught.value)
    check_settings(make_config(asked(skip=["mine"])))


@pytest.mark.parametrize(
    ("slug", "table", "change", "said"),
    [
        ("late", "toy_lables", {}, "'toy_lables', which it does not declare. Did you mean 'toy_l"),
        ("late", "geometry", {}, "The stage 'toy' yields a table 'geometry', which it does not"),
        (None, "toy_labels", {}, "'toy_labels' of the whole run, but there is one of each SAE"),
        ("latest", "toy_labels", {}, "'toy_labels' of an SAE 'latest'. Did you mean 'late'?"),
        ("late", "toy_labels", {"rnk": []}, "'toy_labels' that does not fit: it needs columns"),
        ("late", "toy_labels", {"text": ["x"]}, "'toy_labels' that does not fit: "),
        ("late", "toy_labels", {"text": 3}, "'toy_labels' that does not fit: "),
        ("late", "toy_labels", {"text": [None] * 4}, "'text' of 'toy_labels' holds a null"),
    ],
)
def test_what_a_stage_yields_and_cannot_is_one_line_with_stage_and_table(
    asked: Asked,
    register: Callable[[Stage], None],
    tmp_path: Path,
    slug: str | None,
    table: str,
    change: dict[str, Any],
    said: str,
) -> None:
    """As seen: a table that was not declared was a `KeyError` after the pass over the text."""

    class Slipping(Toy):
        def run(self, context: Context) -> Iterator[Yielded]:
            for of, _, columns in super().run(context):
                if of == "late":
                    yield slug, table, {**columns, **change}

    register(Slipping())
    with pytest.raises(SaereportError) as caught:
        build.collect(asked(), tmp_path / "run")
    assert said in str(caught.value)
    assert str(caught.value).startswith("The stage 'toy' ")
    kept = (tmp_path / "run.partial" / "stages").glob("*/finished")
    assert {path.parent.name for path in kept} == {
        "evaluation",
        "output_scores",
        "directions",
        "weights",
    }


def test_what_is_known_of_the_cost_is_said() -> None:
    assert Cost().words == ""
    assert Cost(1000, 3, 61.2, "2 prompts").words == "2 prompts, 1,000 tokens, 3 passes, about 61 s"
