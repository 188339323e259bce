"""Activations that are kept: found again for what they are of, and for nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from saereport.cli.main import cli
from saereport.config.build import make_config
from saereport.pipeline import activation_store, build, fingerprint
from saereport.pipeline.activation_store import Store, listed
from saereport.pipeline.activations import CachedActivations
from saereport.pipeline.fingerprint import activations_identity
from saereport.sources.models import LanguageModel
from saereport.util.errors import SaereportError, UsageError
from saereport.util.progress import Progress
from tests.factories import save_sae, tiny_model

Asked = Callable[..., dict[str, Any]]
HOOK = "blocks.1.hook_resid_post"


class Told(Progress):
    """A progress that remembers what it said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def files(run: Path) -> dict[str, bytes]:
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }


def blocks(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.rows"))


def collected(asked: Asked, out: Path, told: Progress | None = None, **changes: Any) -> Any:
    config = asked(skip=["evaluation", "weights", "example_attribution"], **changes)
    return files(build.collect(config, out, progress=told))


def test_a_run_is_the_same_byte_for_byte_with_and_without_a_cache(
    asked: Asked, tmp_path: Path, passes: list[Any]
) -> None:
    without = collected(asked, tmp_path / "without")
    n = len(passes)
    cache = tmp_path / "cache"
    told = Told()
    assert collected(asked, tmp_path / "first", told, activations_cache=cache) == without
    assert "came from the cache" in told.text
    assert len(passes) <= 2 * n
    del passes[:]
    again = Told()
    assert collected(asked, tmp_path / "second", again, activations_cache=cache) == without
    assert passes == []
    assert "The activations came from the cache: no forward pass was needed" in again.lines


def test_other_latents_and_another_sae_at_the_same_point_cost_no_forward_pass(
    asked: Asked, small: Path, tmp_path: Path, passes: list[Any]
) -> None:
    cache = tmp_path / "cache"
    other = save_sae(tmp_path / "other", "gated", hook_name="blocks.2.hook_resid_pre", d_sae=24)
    collected(asked, tmp_path / "first", activations_cache=cache)
    del passes[:]
    told = Told()
    saes = [{"path": other}, {"path": small / "early", "latents": "5-9"}]
    made = collected(asked, tmp_path / "second", told, saes=saes, activations_cache=cache)
    assert passes == []
    assert made == collected(asked, tmp_path / "without", saes=saes)


@pytest.mark.parametrize("size", [3, 5, 16])
def test_other_batches_find_what_was_kept_in_these(
    asked: Asked, tmp_path: Path, passes: list[Any], size: int
) -> None:
    cache = tmp_path / "cache"
    first = collected(asked, tmp_path / "first", activations_cache=cache)
    del passes[:]
    other = collected(asked, tmp_path / "second", batch_size=size, activations_cache=cache)
    assert passes == []
    assert other == first


def test_more_text_reads_only_what_is_new(asked: Asked, tmp_path: Path, passes: list[Any]) -> None:
    cache = tmp_path / "cache"
    collected(asked, tmp_path / "first", tokens=512, activations_cache=cache)
    del passes[:]
    more = collected(asked, tmp_path / "second", tokens=768, activations_cache=cache)
    assert passes == [(8, 32)]
    assert more == collected(asked, tmp_path / "without", tokens=768)


class Counted:
    """A model that counts its batches."""

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.calls = model, 0
        real = model.run

        def run(tokens: torch.Tensor, hooks: Any) -> Any:
            self.calls += bool(len(hooks))
            return real(tokens, hooks)

        model.run = run  # type: ignore[method-assign]


def reader(
    folder: Path, model: LanguageModel | None = None, **options: Any
) -> tuple[CachedActivations, Counted, list[str]]:
    counted, said = Counted(model or tiny_model()), list[str]()
    store = Store(folder, options.pop("limit", 10**9), said.append, **options)
    identity = activations_identity(counted.model)
    return CachedActivations(counted.model, store, "a text", identity), counted, said


def tokens(seed: int = 0, *, n: int = 4, size: int = 16) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(2, 98, (n, size)))


def other_weights(model: LanguageModel) -> None:
    model.model.blocks[0].mlp.W_in.data[0, 0] += 1e-3


def other_settings(model: LanguageModel) -> None:
    model.kwargs["fold_ln"] = False


def other_attention(model: LanguageModel) -> None:
    model.model.cfg.attn_scale = 7.0


@pytest.mark.parametrize("change", [other_weights, other_settings, other_attention])
def test_another_model_finds_nothing(
    tmp_path: Path, change: Callable[[LanguageModel], None]
) -> None:
    reader(tmp_path)[0].run(tokens(), [HOOK])
    same, counted, _ = reader(tmp_path)
    same.run(tokens(), [HOOK])
    assert counted.calls == 0
    model = tiny_model()
    change(model)
    other, counted, _ = reader(tmp_path, model)
    got = other.run(tokens(), [HOOK])
    assert counted.calls == 1
    assert torch.equal(got[HOOK], model.run(tokens(), [HOOK])[HOOK])


def test_another_version_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may find a hook point at another place of the model."""
    reader(tmp_path)[0].run(tokens(), [HOOK])
    monkeypatch.setattr(fingerprint, "__version__", "0.0.1")
    other, counted, _ = reader(tmp_path)
    other.run(tokens(), [HOOK])
    assert counted.calls == 1


def test_other_hooks_texts_contexts_and_formats_find_nothing(tmp_path: Path) -> None:
    reader(tmp_path)[0].run(tokens(), [HOOK])
    cached, counted, _ = reader(tmp_path)
    cached.run(tokens(), ["blocks.0.hook_resid_post"])
    cached.run(tokens(1), [HOOK])
    cached.run(tokens()[:, :8], [HOOK])
    assert counted.calls == 3
    half = tiny_model()
    half.model.to(torch.bfloat16)
    half.dtype = torch.bfloat16
    other, counted, _ = reader(tmp_path, half)
    got = other.run(tokens(), [HOOK])[HOOK]
    assert counted.calls == 1
    assert got.dtype == torch.bfloat16
    again, counted, _ = reader(tmp_path, half)
    kept = again.run(tokens(), [HOOK])[HOOK]
    assert kept.dtype == torch.bfloat16
    assert torch.equal(kept, got)


def test_a_batch_of_which_a_part_is_there_is_computed_whole(tmp_path: Path) -> None:
    reader(tmp_path)[0].run(tokens()[:3], [HOOK])
    cached, counted, _ = reader(tmp_path)
    got = cached.run(tokens(), [HOOK, HOOK])[HOOK]
    assert torch.equal(got, tiny_model().run(tokens(), [HOOK])[HOOK])
    before = counted.calls
    cached.run(tokens(), [HOOK])
    assert counted.calls == before
    assert [one.sequences for one in listed(tmp_path)] == [4]


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 10)


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def header(path: Path) -> None:
    data = path.read_bytes().replace(b'"float32"', b'"float16"', 1)
    path.write_bytes(data)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_short, one_bit, header, emptied])
def test_a_damaged_file_is_computed_again_and_said(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    reader(tmp_path)[0].run(tokens(), [HOOK])
    [path] = blocks(tmp_path)
    damage(path)
    cached, counted, said = reader(tmp_path)
    got = cached.run(tokens(), [HOOK])[HOOK]
    assert counted.calls == 1
    assert torch.equal(got, tiny_model().run(tokens(), [HOOK])[HOOK])
    [line] = said
    assert f"'{path.parent.name}/{path.name}' of the activations cache is damaged" in line
    after, counted, said = reader(tmp_path)
    after.run(tokens(), [HOOK])
    assert (counted.calls, said) == (0, [])


def test_what_is_removed_while_it_is_used_is_computed_again(tmp_path: Path) -> None:
    cached, counted, said = reader(tmp_path)
    cached.run(tokens(), [HOOK])
    activation_store.clear(tmp_path)
    cached.run(tokens(), [HOOK])
    assert (counted.calls, said) == (2, [])


def test_a_cache_that_is_full_stops_storing_and_is_still_used(tmp_path: Path) -> None:
    cached, _, said = reader(tmp_path, limit=20_000)
    cached.run(tokens(), [HOOK])
    assert said == []
    for seed in range(1, 5):
        cached.run(tokens(seed), [HOOK])
    [line] = said
    assert "has reached its size of 20 kB: nothing more is kept" in line
    assert f"saereport cache {tmp_path} --clear" in line
    assert sum(path.stat().st_size for path in blocks(tmp_path)) <= 20_000
    after, counted, _ = reader(tmp_path, limit=20_000)
    after.run(tokens(), [HOOK])
    assert counted.calls == 0


def test_a_full_disk_costs_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(activation_store.shutil, "disk_usage", lambda path: usage)
    cached, _, said = reader(tmp_path)
    cached.run(tokens(), [HOOK])
    assert len(said) == 1
    assert "on a disk with less than 1.1 GB left" in said[0]
    assert blocks(tmp_path) == []
    monkeypatch.undo()

    def refuse(path: Path, parts: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(activation_store, "_write", refuse)
    cached, _, said = reader(tmp_path)
    got = cached.run(tokens(), [HOOK])
    cached.run(tokens(1), [HOOK])
    assert torch.equal(got[HOOK], tiny_model().run(tokens(), [HOOK])[HOOK])
    assert len(said) == 1
    assert "is on a full disk" in said[0]


def test_two_at_once_find_what_the_other_one_keeps(tmp_path: Path) -> None:
    times = iter(range(0, 10_000, 10))
    one, counted_one, _ = reader(tmp_path, clock=lambda: float(next(times)))
    two, counted_two, _ = reader(tmp_path, clock=lambda: float(next(times)))
    one.run(tokens(), [HOOK])
    two.run(tokens(), [HOOK])
    two.run(tokens(1), [HOOK])
    one.run(tokens(1), [HOOK])
    assert (counted_one.calls, counted_two.calls) == (1, 1)


PROCESS = """
import hashlib, sys
from pathlib import Path
from saereport.pipeline.activation_store import Store
rows = Store(Path(sys.argv[1]), 10**9, print).place({}, {"model": "a model", "hook": "a hook"})
for block in range(100):
    data = {f"{block}-{n}": hashlib.sha256(f"{block}-{n}".encode()).digest() * 64 for n in range(4)}
    rows.add(data, (16, 32), "float32", "a text")
    found = rows.find(list(data))
    held = [bytearray(2048) for _ in data]
    assert rows.read(found, [memoryview(one) for one in held])
    assert held == list(data.values())
"""


def test_two_processes_fill_one_cache(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    assert [(one.communicate()[0], one.returncode) for one in running] == [(b"", 0)] * 2
    [line] = listed(tmp_path / "cache")
    assert line.sequences == 400
    assert list((tmp_path / "cache").rglob("*.new")) == []


def test_the_command_lists_and_clears(asked: Asked, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    collected(asked, tmp_path / "run", activations_cache=cache)
    for path in blocks(cache):
        os.utime(path, (0, 86_400 * 365))
    shown = CliRunner().invoke(cli, ["cache", str(cache)])
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert any(line.startswith("blocks.0.hook_resid_post of tiny") for line in lines)
    assert any("text.jsonl: 19 sequences of 32 tokens" in line for line in lines)
    assert "used 1971-01-01" in shown.output
    # To use it is to be told of.
    collected(asked, tmp_path / "again", activations_cache=cache)
    year = time.strftime("%Y")
    assert f"used {year}" in CliRunner().invoke(cli, ["cache", str(cache)]).output
    cleared = CliRunner().invoke(cli, ["cache", str(cache), "--clear"])
    assert cleared.output.startswith("Removed ")
    assert blocks(cache) == []
    assert "keeps no activations" in CliRunner().invoke(cli, ["cache", str(cache)]).output


def test_a_folder_of_something_else_is_neither_used_nor_cleared(
    asked: Asked, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SaereportError, match="holds other files and is not an activations cache"):
        build.collect(asked(activations_cache=tmp_path), tmp_path / "run")
    with pytest.raises(SaereportError, match="is not an activations cache"):
        activation_store.clear(tmp_path)
    with pytest.raises(SaereportError, match="There is no activations cache"):
        listed(tmp_path / "none")
    with pytest.raises(SaereportError, match="is a file"):
        build.collect(asked(activations_cache=tmp_path / "notes.txt"), tmp_path / "run")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_links_target_stays_when_a_cache_is_cleared(tmp_path: Path) -> None:
    reader(tmp_path / "cache")[0].run(tokens(), [HOOK])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    (tmp_path / "cache" / ("0" * 32)).symlink_to(tmp_path / "mine")
    activation_store.clear(tmp_path / "cache")
    assert (tmp_path / "mine" / "file").read_text() == "mine"


@pytest.mark.parametrize("size", ["", "much", "0", -1, True])
def test_a_size_that_is_none_is_refused(small: Path, size: Any) -> None:
    with pytest.raises(UsageError, match="activations_cache_size"):
        make_config({"saes": [{"path": small / "early"}], "activations_cache_size": size})


def test_a_run_says_nothing_of_where_its_activations_came_from(
    asked: Asked, tmp_path: Path
) -> None:
    made = collected(asked, tmp_path / "run", activations_cache=tmp_path / "cache")
    assert "cache" not in json.dumps(json.loads(made["run.json"])["config"])
