"""The whole way from a configuration with prompts to a run and a report, on a tiny model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.circuits.gradients.maps import latents_to_latents
from saereport.pipeline import averages, build, circuits, loading
from saereport.pipeline.stages.mean_gradients import read_lines
from saereport.report.rendering import describe
from saereport.run import Run, open_run
from saereport.util.errors import SaereportError, UsageError
from saereport.util.progress import Progress
from tests.factories import save_sae, tiny_model

SAES = ("early", "z", "late", "mlp")
HOSTILE = "</script><b>\x1b[2J../../x"


class Told(Progress):
    """A progress that remembers what it said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


PROMPTS: list[dict[str, Any]] = [
    {"name": HOSTILE, "text": "w5 w9 w13 w5 => w9", "graph": True},
    {"tokens": [0, 7, 8, 7], "saes": ["late", "mlp"], "pairs": [["late", "mlp"]]},
    {"repeat_random": 5, "seed": 1, "saes": ["early", "late"]},
    {"text": "w5 w6 => w7 w8", "saes": ["early"]},
    {"text": "w5 w6", "pairs": [["early", "late"]]},
]
CIRCUITS = {"checks": 3, "attributed": 2, "pairs_kept": 40, "top_logits": 101, "examples": 2}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    with (folder / "text.jsonl").open("w") as stream:
        for _ in range(40):
            words = " ".join(f"w{n}" for n in (rng.zipf(1.3, 40) % 98) + 2)
            stream.write(f'{{"text": "{words}"}}\n')
    save_sae(folder / "early", "jumprelu", hook_name="blocks.0.hook_resid_post", d_sae=40)
    save_sae(folder / "z", "standard", hook_name="blocks.1.attn.hook_z", d_sae=48)
    save_sae(folder / "late", "topk", hook_name="blocks.2.hook_resid_pre", d_sae=56)
    save_sae(folder / "mlp", "transcoder", hook_name="blocks.2.ln2.hook_normalized", d_sae=24)
    (folder / "prompts.txt").write_text(
        'w5 w6 w7 => w8\n\nw9\n{"text": "w9 w5 w6"}\n{"note": 1}\n' + "w5 " * 70 + "\n"
    )
    return folder


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_model", lambda name, **_: tiny_model())


def asked(inputs: Path, *saes: str, **changes: Any) -> dict[str, Any]:
    return {
        "saes": [{"path": inputs / name} for name in saes or SAES],
        "dataset": str(inputs / "text.jsonl"),
        "latents": "0-5",
        "tokens": 1024,
        "batch_size": 8,
        "device": "cpu",
        "examples": {"top": 3, "before": 4, "after": 2, "intervals": 2, "per_group": 1},
        "circuits": CIRCUITS,
        **changes,
    }


def files(run: Path) -> dict[str, bytes]:
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def made(inputs: Path, told: Told, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_model", lambda name, **_: tiny_model())
        config = asked(
            inputs, prompts=PROMPTS, prompts_file=inputs / "prompts.txt", profile_memory=True
        )
        path = build.collect(config, tmp_path_factory.mktemp("runs") / "run", progress=told)
        yield open_run(path)


def test_every_prompt_is_in_the_run_whatever_became_of_it(made: Run) -> None:
    made.verify()
    prompts = made.table("prompts").to_pylist()
    assert [p["prompt"] for p in prompts] == list(range(len(PROMPTS)))
    assert prompts[0]["name"] == HOSTILE
    assert prompts[0]["slug"] == "script-b-2j-x"
    assert prompts[0]["tokens"] == [0, 5, 9, 13, 5]
    assert prompts[0]["answer"] == 9
    kinds = ["text", "ids", "random", "text", "text"]
    assert [p["kind"] for p in prompts] == kinds
    assert prompts[2]["period"] == 5
    assert prompts[2]["tokens"][1:6] == prompts[2]["tokens"][6:]


def test_what_there_is_to_say_has_its_line_in_the_run_and_on_the_terminal(
    made: Run, told: Told
) -> None:
    notes = [(n["prompt"], n["topic"], n["text"]) for n in made.table("prompt_notes").to_pylist()]
    for prompt, topic, words in [
        (3, "answer", "has 2 tokens"),
        (0, "logits", "the vocabulary has 100 tokens"),
    ]:
        found = [text for p, t, text in notes if (p, t) == (prompt, topic) and words in text]
        assert len(found) == 1, (prompt, topic)
        assert any(found[0] in line for line in told.lines), found[0]
    assert all("\x1b" not in line and "\n" not in line for line in told.lines)


def test_the_rest_of_the_report_is_made(made: Run) -> None:
    mapped = set(made.table("gradient_maps")["prompt"].to_pylist())
    assert mapped == {0, 1, 2, 3, 4}
    assert made.table("graphs")["prompt"].to_pylist() == [0]
    assert set(made.table("induction_latents").schema.names) == {"prompt", "sae", "latent", "mean"}
    for name in ("graph_nodes", "graph_links", "gradient_checks", "components", "influences"):
        assert made.rows(name) > 0, name
    assert made.rows("head_attributions") > 0
    assert made.has("example_heads", "z")
    assert made.has("example_components", "mlp")
    assert "example_heads" in made.info.sae("mlp").left_out


def test_rows_of_a_table_are_in_the_order_of_the_prompts(made: Run) -> None:
    for name in made.names():
        table = made.table(name)
        if "prompt" in table.column_names:
            numbers = table["prompt"].to_pylist()
            assert numbers == sorted(numbers), name


def test_every_token_that_circuits_show_has_its_bytes(made: Run) -> None:
    known = set(made.table("vocabulary")["token"].to_pylist())
    shown: set[int] = set()
    for prompt in made.table("prompts").to_pylist():
        shown |= set(prompt["tokens"]) | ({prompt["answer"]} - {-1})
    for name in ("prompt_next", "prompt_answers"):
        shown |= set(made.table(name)["token"].to_pylist())
    shown |= {r["late_latent"] for r in made.table("gradients").to_pylist() if not r["late"]}
    for node in made.table("graph_nodes").to_pylist():
        if node["kind"] in ("embedding", "logit"):
            shown.add(node["latent"])
    for slug in SAES:
        if made.has("example_influences", slug):
            shown |= set(made.table("example_influences", slug)["token"].to_pylist())
    assert len(shown) > 20
    assert shown <= known


def test_averages_skip_and_count_what_is_no_prompt(made: Run, told: Told) -> None:
    maps = made.table("pair_mean_maps").to_pylist()
    assert len(maps) == 6
    assert {(row["n_prompts"], row["n_skipped"]) for row in maps} == {(2, 3)}
    means = made.table("pair_means").to_pylist()
    assert {row["n_prompts"] for row in means} == {1, 2}
    for row in maps:
        own = [m for m in means if (m["early"], m["late"]) == (row["early"], row["late"])]
        assert len(own) == row["n_kept"] <= 40
    said = "3 of the prompts file's 5 prompts were left out"
    assert any(f"Warning: {said}" in line for line in told.lines)
    assert any(said in warning.text for warning in made.info.warnings)


def test_averages_say_what_limits_and_memory_left_out(inputs: Path, tmp_path: Path) -> None:
    def second_is_too_long(model: Any, early: Any, late: Any, tokens: Any, *rest: Any) -> Any:
        lengths.append(len(tokens))
        if len(lengths) == 2:
            raise torch.OutOfMemoryError("out of memory")
        return latents_to_latents(model, early, late, tokens, *rest)

    lengths: list[int] = []
    prompts, told = tmp_path / "p.txt", Told()
    prompts.write_text("w5 w6 w7\nw8 w9\nw10 w11 w12 w13\n")
    config = asked(inputs, "early", "late", prompts_file=prompts)
    config["circuits"] = {**config["circuits"], "max_inputs": 1, "max_outputs": 4}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(averages, "latents_to_latents", second_is_too_long)
        run = open_run(build.collect(config, tmp_path / "run", progress=told))
    (row,) = run.table("pair_mean_maps").to_pylist()
    assert (row["n_prompts"], row["n_skipped"]) == (2, 1)
    assert any("On 2 of the prompts file's prompts too many" in line for line in told.lines)
    assert any("1 of the prompts file's 3 prompts were left out" in line for line in told.lines)


def test_averages_need_two_saes(inputs: Path, tmp_path: Path) -> None:
    told = Told()
    config = asked(inputs, "early", prompts_file=inputs / "prompts.txt")
    run = open_run(build.collect(config, tmp_path / "run", progress=told))
    assert any("The prompts file is left out" in line for line in told.lines)
    assert not run.has("pair_mean_maps")
    said = "no SAE writes before another one reads"
    alone = {"latent_chains": "the report has no other SAE"}
    assert run.info.left_out == {"pair_mean_maps": said, "pair_means": said, **alone}


def test_circuits_are_a_stage_of_the_memory_profile(made: Run) -> None:
    assert made.info.memory is not None
    stages = [peak.stage for peak in made.info.memory.peaks]
    assert stages == [
        "load",
        "plan",
        "statistics",
        "evaluation",
        "circuits",
        "mean_gradients",
        "example_attribution",
        *("output_scores", "interventions", "directions"),
        "weights",
    ]


def test_the_configuration_is_recorded_without_paths(made: Run, inputs: Path) -> None:
    text = (made.path / "run.json").read_text()
    assert str(inputs) not in text
    assert made.info.config["prompts_file"] == "prompts.txt"
    assert "memory" not in made.info.config["circuits"]


def test_what_is_said_about_a_run_names_its_prompts(made: Run) -> None:
    assert "prompts 5, 1 with an attribution graph" in describe(made)
    tables = [line for line in describe(made).splitlines() if line.startswith("  example_head")]
    assert tables
    assert all(line.split()[0].isidentifier() and "  " in line.strip() for line in tables)


TWO = [{"text": "w5 w6 w7", "saes": ["early", "late"]}, {"text": "w8 w9", "saes": ["early"]}]


def test_an_interrupted_build_uses_its_finished_prompts_and_ends_with_the_same_bytes(
    inputs: Path, tmp_path: Path
) -> None:
    config = asked(inputs, "early", "late", prompts=TWO, prompts_file=inputs / "prompts.txt")
    whole = build.collect(config, tmp_path / "whole")
    collect_prompt, gradients_on = circuits.collect_prompt, averages.gradients_on

    def second_fails(subject: Any, task: Any, *rest: Any) -> Any:
        if task.prompt.number == 1:
            raise KeyboardInterrupt
        return collect_prompt(subject, task, *rest)

    calls = []

    def third_line_fails(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return gradients_on(*arguments)

    for module, name, replacement in (
        (circuits, "collect_prompt", second_fails),
        (averages, "gradients_on", third_line_fails),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, replacement)
            patch.setattr("saereport.pipeline.checkpoint.Checkpoint.due", True)
            # On a busy machine it tries some prompts to say how long all will take.
            patch.setattr(build, "before_start", lambda *_, **__: None)
            with pytest.raises(KeyboardInterrupt):
                build.collect(config, tmp_path / "run")
        assert not (tmp_path / "run").exists()
    computed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(circuits, "collect_prompt", lambda *a: computed.append(a))
        told = Told()
        again = build.collect(config, tmp_path / "run", progress=told)
    assert computed == []
    assert "The prompt 'w5 w6 w7' was finished before; using it" in told.lines
    assert "Going on with the prompts file after 2 prompts" in told.lines
    assert files(again) == files(whole)
    left = {path.name for path in tmp_path.iterdir()}
    ends = ("", ".kept", ".timing.json")
    assert left == {f"{name}{end}" for name in ("run", "whole") for end in ends}


def test_new_prompts_do_not_cost_the_pass_over_the_text(inputs: Path, tmp_path: Path) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(circuits, "collect_prompt", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build.collect(asked(inputs, "early", prompts=TWO[1:]), tmp_path / "run")
    told = Told()
    config = asked(inputs, "early", prompts=[{"text": "w8 w9 w10"}], blind=["3"], with_reveal=True)
    build.collect(config, tmp_path / "run", progress=told)
    assert "Going on from the checkpoint, after 1,024 tokens" in told.lines
    assert not any("finished before" in line for line in told.lines)


def test_another_content_of_the_prompts_file_is_other_work(inputs: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    config = asked(inputs, "early", "late", prompts_file=file)
    made = []
    for content in ("w5 w6\n", "w5 w7\n", "w5 w7\n"):
        file.write_text(content)
        made.append(open_run(build.collect(config, tmp_path / "run")).info.fingerprint)
    assert made[0] != made[1] == made[2]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"prompts_file": "nowhere.txt"}, SaereportError, "no prompts file 'nowhere.txt'"),
        ({"prompts": [{"text": "w5 w6", "saes": ["erly"]}]}, UsageError, "Did you mean 'early'"),
        (
            {"prompts": [{"name": "n\x1b", "text": "w5", "pairs": [["early", "q"]]}]},
            UsageError,
            "'n<0x1B>' names the SAE 'q', which the report does not have",
        ),
        (
            {"prompts": [{"text": "w5", "pairs": [["late", "early"]]}]},
            UsageError,
            "late writes at 'blocks.2.hook_resid_pre', which is not before",
        ),
        ({"prompts": [{"text": "w5", "pairs": [["late", "late"]]}]}, UsageError, "Name two SAEs"),
        ({"prompts": [{"text": " => w9"}]}, UsageError, "has no text"),
        ({"prompts": [{"tokens": []}]}, UsageError, "Prompt 1 has no token"),
        ({"with_reveal": True}, UsageError, "nothing to reveal"),
        ({"circuits": {"graph": {"saes": ["ml"]}}}, UsageError, "The attribution graph names"),
        ({"blind": ["mpl:3"]}, UsageError, "no SAE 'mpl'"),
        ({"blind": ["24"]}, UsageError, "24 is out of range: mlp has 24"),
        ({"prompts": [{"text": "a", "repeat_random": 3}]}, UsageError, "needs one of text"),
    ],
)
def test_slips_stop_the_build_before_the_text_is_read(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    error: type[SaereportError],
    message: str,
) -> None:
    monkeypatch.setattr(
        "saereport.pipeline.text_pass.TextPass.run", lambda *_: pytest.fail("it was read")
    )
    with pytest.raises(error) as caught:
        build.collect(asked(inputs, **changes), tmp_path / "run")
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"text": "<bos>"}, "Prompt 2 ('<bos>') cannot be used: The prompt has no token that"),
        ({"text": "w5"}, "has one token that counts, and circuits need two"),
        ({"text": "w5 " * 70}, "has 71 tokens, and the model's context holds 64"),
        ({"tokens": [5, 6, 100]}, "Token 100 is not in the model's vocabulary of 100 tokens"),
        ({"repeat_random": 40}, "has 81 tokens, and the model's context holds 64"),
        ({"repeat_random": 99}, "only 98 ordinary tokens to draw 99 different"),
        ({"tokens": [5, 6, -1]}, "Prompt 2 has the token id -1"),
        ({"text": "w5 " * 31, "answer": " "}, "has an empty answer. Write it after '=>'"),
        ({"text": "w5 w6 =>"}, "has an empty answer"),
        ({"repeat_random": 10_000}, "Prompt 2 has 20,000 tokens, and circuits.max_prompt"),
        ({"tokens": [5] * 1025}, "has 1,025 tokens, and circuits.max_prompt allows 1,024"),
    ],
)
def test_a_prompt_that_cannot_be_used_stops_the_build_before_the_text_is_read(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prompt: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setattr(
        "saereport.pipeline.text_pass.TextPass.run", lambda *_: pytest.fail("it was read")
    )
    config = asked(inputs, "early", prompts=[{"text": "w5 w6"}, prompt])
    with pytest.raises(SaereportError) as caught:
        build.collect(config, tmp_path / "run")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250
    assert list(tmp_path.iterdir()) == []


def test_a_graph_without_transcoders_is_refused_before_the_text(
    inputs: Path, tmp_path: Path
) -> None:
    prompts = [{"text": "w5 w6", "graph": True}]
    with pytest.raises(UsageError, match="needs MLP transcoders, and the report has none"):
        build.collect(asked(inputs, "early", "late", prompts=prompts), tmp_path / "run")


def test_a_prompts_file_without_a_prompt_says_so(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "wide.txt").write_bytes("one\n".encode("utf-16-le"))
    (tmp_path / "long.txt").write_text("one\n" + "x" * (2**20 + 1))
    for name, message in (
        ("empty.txt", "holds no prompt"),
        ("latin.txt", "line 1: not UTF-8"),
        ("wide.txt", "line 1: holds a NUL"),
        ("long.txt", "long.txt:2: the line is longer than 1 MiB"),
    ):
        with pytest.raises(SaereportError, match=message):
            build.collect(asked(inputs, prompts_file=tmp_path / name), tmp_path / "run")


def test_json_lines_hold_their_prompt_in_text(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"text": "a b"}\nnot json\n{"text": 5}\n{"text": "\\ud800"}\n[1]\n')
    assert read_lines(file) == ("a b", None, None, None, None)
    plain = tmp_path / "p.txt"
    plain.write_text("{ braces are text\n\n a b \n")
    assert read_lines(plain) == ("{ braces are text", " a b ")
    assert read_lines(None) == ()
    plain.write_bytes(b"a prompt\n" + b"x" * 5_000_000 + b"\n")
    with pytest.raises(SaereportError, match=f"{plain.name}:2: the line is longer than 1 MiB"):
        read_lines(plain)


def test_lines_end_where_lines_end(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_bytes('\ufeff{"text": "a\u2028b"}\r\n{"text": "c"}'.encode())
    assert read_lines(file) == ("a\u2028b", "c")
    plain = tmp_path / "p.txt"
    plain.write_bytes(b"one\r\n\r\ntwo \r\nthree")
    assert read_lines(plain) == ("one", "two ", "three")
