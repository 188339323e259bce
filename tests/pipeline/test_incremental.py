"""The same build with a little more: what is missing is computed, and the bytes are the same."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.pipeline import build, circuits
from saereport.pipeline.checkpoint import Checkpoint
from tests.factories import save_sae
from tests.pipeline.test_running import Told, files

Asked = Callable[..., dict[str, Any]]
CONTEXT = 32
PROMPT = {"text": "w5 w6 w7 w8"}
OTHER = {"text": "w9 w3 w12 w5 w6"}
BLOCK = (8, CONTEXT)
TAIL = [(3, CONTEXT)]
"""600 tokens are 19 sequences: two blocks of eight, and three that are read anew each time."""


class Extended:
    """Builds beside each other: one again and again, and each from nothing too."""

    def __init__(self, asked: Asked, folder: Path, passes: list[Any], small: Path) -> None:
        self.folder, self.passes = folder, passes
        self.asked = partial(asked, saes=[{"path": small / "early"}])
        self.n = 0

    def __call__(self, **changes: Any) -> Told:
        """Build on what was kept, compare with a build from nothing, and give what was said."""
        self.n += 1
        config = {"skip": ["example_attribution", "weights"], **changes}
        told = Told()
        del self.passes[:]
        made = files(build.collect(self.asked(**config), self.folder / "run", progress=told))
        # What the checks before the long work look at is no part of reading the text.
        read = [shape for shape in self.passes if shape != (16, CONTEXT)]
        fresh = build.collect(self.asked(**config, keep=0), self.folder / f"fresh-{self.n}")
        self.passes[:] = read
        assert made == files(fresh)
        assert not (self.folder / f"fresh-{self.n}.kept").exists()
        return told


@pytest.fixture
def extended(
    asked: Asked,
    tmp_path: Path,
    passes: list[Any],
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Extended:
    monkeypatch.setattr(
        "saereport.pipeline.stages.statistics.StatisticsStage.plan", lambda *_: _nothing()
    )
    # What a build will take is told from passes of its own.
    monkeypatch.setattr(build, "before_start", lambda *_, **__: None)
    return Extended(asked, tmp_path, passes, small)


def _nothing() -> Any:
    from saereport.pipeline.stage import Cost

    return Cost()


def used(told: Told) -> str:
    return next((line for line in told.lines if line.startswith("Taken from")), "")


def test_one_more_prompt_reads_no_text_and_computes_that_prompt(
    extended: Extended, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[str] = []
    collect = circuits.collect_prompt

    def counted(subject: Any, task: Any, *rest: Any) -> Any:
        computed.append(task.prompt.name)
        return collect(subject, task, *rest)

    extended(prompts=[PROMPT])
    monkeypatch.setattr(circuits, "collect_prompt", counted)
    told = extended(prompts=[OTHER, PROMPT])
    # Twice in all for the build from nothing.
    assert computed == [OTHER["text"], OTHER["text"], PROMPT["text"]]
    assert extended.passes == TAIL
    assert f"Going on from the checkpoint, after {16 * CONTEXT} tokens" in told.lines
    assert "The prompt 'w5 w6 w7 w8' was finished before; using it" in told.lines
    assert used(told) == "Taken from what was kept: evaluation, output_scores, directions"


def test_the_same_again_computes_nothing(extended: Extended, tmp_path: Path) -> None:
    extended()
    out = tmp_path / "report"
    build.build(extended.asked(), out)
    del extended.passes[:]
    told = Told()
    build.build(extended.asked(), out, progress=told)
    assert extended.passes == TAIL
    assert "evaluation" in used(told)
    assert "weights" in used(told)


def test_more_text_goes_on_where_the_last_build_ended(extended: Extended) -> None:
    extended(tokens=600, prompts=[PROMPT], skip=[])
    told = extended(tokens=900, prompts=[PROMPT], skip=[])
    assert extended.passes == [BLOCK, (5, CONTEXT)]
    assert f"Going on from the checkpoint, after {16 * CONTEXT} tokens" in told.lines
    # These are of the latents that are shown, and of the first tokens: more text changes neither.
    assert used(told) == "Taken from what was kept: evaluation, directions, weights"
    assert "The prompt 'w5 w6 w7 w8' was finished before; using it" in told.lines


def test_less_text_is_read_anew_and_that_is_said(extended: Extended) -> None:
    extended(tokens=900)
    told = extended(tokens=300)
    said = f"it is of {24 * CONTEXT} tokens, more than are asked for; starting anew"
    assert any(said in line for line in told.lines)
    assert extended.passes == [BLOCK, (2, CONTEXT)]


def test_more_latents_read_the_text_again_and_say_why(extended: Extended) -> None:
    extended(latents="0-3")
    told = extended(latents="0-6")
    said = "cannot be used: the latents that are followed changed; starting anew"
    assert any(said in line for line in told.lines)
    assert extended.passes == [BLOCK, BLOCK, *TAIL]
    # Whole SAEs are evaluated whatever latents are shown.
    assert used(told) == "Taken from what was kept: evaluation"


def test_another_choice_among_latents_that_are_all_followed_reads_nothing(
    extended: Extended,
) -> None:
    extended(latents="live")
    told = extended(latents="top:5")
    assert extended.passes == TAIL
    assert not any("cannot be used" in line for line in told.lines)


def test_another_sae_is_read_alone(extended: Extended, small: Path, tmp_path: Path) -> None:
    other = save_sae(tmp_path / "other", "gated", hook_name="blocks.1.hook_resid_post", d_sae=24)
    first = [{"path": small / "early"}]
    extended(saes=first)
    told = extended(saes=[*first, {"path": other}])
    assert extended.passes == [BLOCK, BLOCK, *TAIL]
    assert "Reading the text from its beginning for other" in told.lines
    assert f"Going on from the checkpoint of early, after {16 * CONTEXT} tokens" in told.lines
    told = extended(saes=[{"path": other}])
    assert extended.passes == TAIL


def test_another_sae_and_more_text_together(
    extended: Extended, small: Path, tmp_path: Path
) -> None:
    other = save_sae(tmp_path / "other", "gated", hook_name="blocks.1.hook_resid_post", d_sae=24)
    extended(saes=[{"path": small / "early"}], tokens=300)
    extended(saes=[{"path": small / "early"}, {"path": other}], tokens=900)
    assert extended.passes == [BLOCK, BLOCK, BLOCK, (5, CONTEXT)]


def test_one_more_stage_computes_that_stage(extended: Extended) -> None:
    extended(skip=["evaluation", "example_attribution"])
    told = extended(skip=["example_attribution"])
    assert extended.passes == TAIL
    assert used(told) == "Taken from what was kept: output_scores, directions, weights"
    told = extended(skip=[])
    assert used(told) == "Taken from what was kept: evaluation, output_scores, directions, weights"


def test_a_changed_seed_uses_nothing(extended: Extended) -> None:
    extended()
    told = extended(seed=1)
    assert any("the setting 'seed' changed; starting anew" in line for line in told.lines)
    assert used(told) == ""


def test_what_was_kept_is_of_this_text_or_not_used(extended: Extended, tmp_path: Path) -> None:
    """Should a text have changed and nothing else show it, its tokens do."""
    extended()
    for path in (tmp_path / "run.kept").rglob("checkpoint.npz"):
        with np.load(path) as saved:
            arrays = dict(saved)
        arrays["seen/digest"] = arrays["seen/digest"] ^ 1
        np.savez(path, **arrays)
    told = extended(tokens=900)
    assert any("cannot be used: the text changed; starting anew" in line for line in told.lines)


def test_damage_to_what_was_kept_is_noticed(extended: Extended, tmp_path: Path) -> None:
    extended()
    [path] = (tmp_path / "run.kept").glob("stages/statistics/saes/early/checkpoint.npz")
    os.truncate(path, 1000)
    for rows in (tmp_path / "run.kept").rglob("*.parquet"):
        rows.write_bytes(b"PAR1")
    told = extended(tokens=900)
    said = "The checkpoint beside the output cannot be used: it is damaged"
    assert any(said in line for line in told.lines)
    # One SAE of few latents has no clusters: of nothing, nothing is damaged.
    assert used(told) == "Taken from what was kept: directions"


def test_nothing_is_kept_where_nothing_is_to_be(asked: Asked, tmp_path: Path) -> None:
    build.collect(asked(), tmp_path / "run")
    assert (tmp_path / "run.kept").is_dir()
    build.collect(asked(keep=0, seed=1), tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.timing.json"]


def test_the_text_and_then_the_largest_parts_go_first(asked: Asked, tmp_path: Path) -> None:
    build.collect(asked(), tmp_path / "run")
    kept = tmp_path / "run.kept"
    sizes = {
        path.name: sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        for path in (kept / "text", *(kept / "stages").iterdir())
    }
    largest = max(sizes.keys() - {"text"}, key=lambda name: sizes[name])
    limit = sum(sizes.values()) - sizes["text"] - 1
    told = Told()
    build.collect(asked(keep=limit, seed=1), tmp_path / "run", progress=told)
    left = {path.name for path in (kept / "stages").iterdir()}
    assert left == sizes.keys() - {"text", largest}
    assert not (kept / "text").exists()
    [line] = [line for line in told.lines if line.startswith("Not kept for the next build")]
    assert "(--keep): text (" in line
    assert f"{largest} (" in line


def test_of_a_blind_report_nothing_is_kept(asked: Asked, tmp_path: Path) -> None:
    """It would show the text of the blinded latents."""
    build.collect(asked(blind=["early:1"]), tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.timing.json"]
    build.collect(asked(blind=["early:1"], with_reveal=True), tmp_path / "run")
    assert (tmp_path / "run.kept").is_dir()


def test_a_folder_of_somebody_else_is_left_alone(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "run.kept").mkdir()
    (tmp_path / "run.kept" / "kept.json").write_text(json.dumps({"format": "of mine"}))
    told = Told()
    build.collect(asked(), tmp_path / "run", progress=told)
    assert any("run.kept' is in the way" in line for line in told.lines)
    assert not (tmp_path / "run.partial").exists()
    assert [path.name for path in (tmp_path / "run.kept").iterdir()] == ["kept.json"]


def test_levels_that_differ_come_together(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the checkpoints of two SAEs, a pass goes on for each from its own."""
    whole = files(build.collect(asked(keep=0), tmp_path / "whole"))
    saved: list[str] = []
    save = Checkpoint.save

    def killed(self: Checkpoint, arrays: Any) -> None:
        saved.append(self.folder.name)
        if len(saved) == 4:
            raise MemoryError
        save(self, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", killed)
        patch.setattr(Checkpoint, "due", True)
        with pytest.raises(MemoryError):
            build.collect(asked(), tmp_path / "run")
    assert saved == ["early", "late", "early", "late"]
    told = Told()
    assert files(build.collect(asked(), tmp_path / "run", progress=told)) == whole
    assert f"Going on from the checkpoint of late, after {8 * CONTEXT} tokens" in told.lines
    assert f"Going on from the checkpoint of early, after {16 * CONTEXT} tokens" in told.lines
