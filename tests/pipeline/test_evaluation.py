"""How much is evaluated, and how an evaluation goes on after it was interrupted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from saereport.config.build import make_config
from saereport.evaluate import block_sums, sequences
from saereport.pipeline import build, evaluation
from saereport.pipeline.probe import Probe
from saereport.run import open_run
from saereport.run.figures import figures_of
from saereport.util.errors import UsageError
from tests.pipeline.toys import Told

Asked = Callable[..., dict[str, Any]]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sequence in a batch and in a block."""
    monkeypatch.setattr(sequences, "LOGIT_BYTES", 1)
    monkeypatch.setattr(block_sums, "MOST_BLOCKS", 100)


def interrupted_after(n: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Raise an interruption after so many blocks; lists the first sequences of those measured."""
    seen: list[int] = []
    real = block_sums.block_sums

    def measured(model: Any, saes: Any, block: Any, told: Any) -> Any:
        if len(seen) == n:
            raise KeyboardInterrupt
        seen.append(block.first)
        return real(model, saes, block, told)

    monkeypatch.setattr(evaluation, "block_sums", measured)
    return seen


def tables_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    run = open_run(folder)
    return {sae.slug: run.table("sae_metrics", sae.slug).to_pylist() for sae in run.info.saes}


def test_an_interrupted_evaluation_goes_on_where_it_was(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_blocks: None
) -> None:
    whole = build.collect(asked(evaluate=200), tmp_path / "whole")
    seen = interrupted_after(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        build.collect(asked(evaluate=200), tmp_path / "run")
    kept = tmp_path / "run.partial" / "stages" / "evaluation" / "blocks"
    assert len(list(kept.iterdir())) == len(seen) == 3
    # One of them is damaged, and is measured again.
    (kept / "1-2" / "checkpoint.npz").write_bytes(b"PK")
    again, told = interrupted_after(-1, monkeypatch), Told()
    run = build.collect(asked(evaluate=200), tmp_path / "run", progress=told)
    assert sorted({*again, *seen}) == list(range(7))
    assert again == [1, 3, 4, 5, 6]
    assert any(line.startswith("Going on from finished blocks, after ") for line in told.lines)
    assert tables_of(run) == tables_of(whole)
    assert not kept.exists()


def test_what_is_timed_is_like_the_text_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first sequence is mostly padding, of which nothing is measured."""
    timed: list[Any] = []

    def noted(model: Any, saes: Any, tokens: Any, counted: Any, progress: Any) -> None:
        timed.append((tokens, counted))

    monkeypatch.setattr(evaluation, "evaluate", noted)
    tokens = np.arange(5 * 64, dtype=np.int32).reshape(5, 64)
    counted = np.ones((5, 64), dtype=bool)
    counted[0, 3:] = False
    counted[2:, 56:] = False
    counted[:, 0] = False
    context: Any = SimpleNamespace(
        model=SimpleNamespace(d_vocab=50), saes={}, progress=None, device=torch.device("cpu")
    )
    probe = Probe(torch.device("cpu"), 60.0)
    probe.begin()
    evaluation._timed(context, probe, (tokens, counted))
    (few, of_few), (more, of_more) = timed
    assert few.shape == (1, 8)
    assert of_few.sum() == 7  # of 64 tokens some 45 count on the average, of 8 rather 7 than 8
    assert 0 not in few // 64
    assert (more // 64)[:, 0].tolist()[-1] == 0, "the one that is least like the others is last"
    assert of_more.shape == (5, 64)


@pytest.mark.parametrize("count", [[9], [0, 1, 2], [30], list(range(32))])
def test_of_a_part_that_is_timed_something_counts(count: list[int]) -> None:
    counted = np.isin(np.arange(32), count)
    for n in (1, 4, 31, 32):
        part = evaluation._part_like_the_whole(counted, n)
        assert len(counted[part]) == n
        assert counted[part].any()


def test_blocks_of_other_settings_are_not_used(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_blocks: None
) -> None:
    seen = interrupted_after(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        build.collect(asked(evaluate=200), tmp_path / "run")
    again = interrupted_after(-1, monkeypatch)
    run = build.collect(asked(evaluate=120), tmp_path / "run")
    assert (seen, again) == ([0, 1, 2], [0, 1, 2, 3])
    assert tables_of(run) == tables_of(build.collect(asked(evaluate=120), tmp_path / "one"))


def test_a_budget_in_seconds_becomes_tokens_that_stay(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_blocks: None
) -> None:
    tried: list[float] = []

    def within(context: Any, probe: Probe, seconds: float) -> int:
        tried.append(seconds)
        return 70 + 10 * len(tried)

    monkeypatch.setattr(evaluation, "tokens_within", within)
    interrupted_after(1, monkeypatch)
    told = Told()
    with pytest.raises(KeyboardInterrupt):
        build.collect(asked(evaluate="1 min"), tmp_path / "run", progress=told)
    assert any("evaluation (80 tokens for 60s, " in line for line in told.lines)
    interrupted_after(-1, monkeypatch)
    run = open_run(build.collect(asked(evaluate="60s"), tmp_path / "run"))
    for sae in run.info.saes:
        assert figures_of(run, sae.slug)["l0"].n_tokens == 80
    assert run.info.config["evaluate"] == "60s"
    assert tried == [60.0]


def test_how_many_tokens_fit_into_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second whatever is done and two a sequence, on a clock that only work moves."""
    now = [0.0]

    def work(model: Any, saes: Any, tokens: Any, counted: Any, progress: Any) -> None:
        now[0] += 0.5 + 2 * tokens.size / 32

    monkeypatch.setattr(evaluation, "evaluate", work)
    monkeypatch.setattr(evaluation, "sequences_at_a_time", lambda *_: 4)
    counted = np.ones((4, 32), dtype=bool)
    counted[:, :2] = False
    monkeypatch.setattr(evaluation, "_text", lambda *_: (np.zeros((4, 32), np.int32), counted))
    context: Any = SimpleNamespace(
        config=SimpleNamespace(tokens=1500),
        text=SimpleNamespace(rules=SimpleNamespace(context_size=32)),
        model=SimpleNamespace(d_vocab=10),
        saes={},
        progress=None,
    )

    def found(seconds: float) -> int:
        probe = Probe(torch.device("cpu"), seconds / 10, clock=lambda: now[0])
        probe.begin()
        return evaluation.tokens_within(context, probe, seconds)

    assert found(60.5) == 30 * 30
    assert found(1e6) == 1500
    assert found(2.0) == 4 * 30


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("200k", 200_000),
        (0, 0),
        ("none", 0),
        ("0", 0),
        ("60s", "60s"),
        ("90 seconds", "90s"),
        ("2 min", "120s"),
        ("1h", "3600s"),
        ("1.5 s", "1.5s"),
        ("1M", 1_000_000),
    ],
)
def test_budgets_are_read_as_people_write_them(value: Any, expected: Any) -> None:
    assert make_config({"evaluate": value}).evaluate == expected


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("0.1s", "no time to work in"),
        ("100000 h", "no time to work in"),
        ("much", "not a whole number"),
        (-1, "a number of tokens such as 200k"),
        (True, "yes or no says nothing"),
        (1.5, "a number of tokens such as 200k"),
        ([1], "a number of tokens such as 200k"),
    ],
)
def test_what_is_no_budget(value: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_config({"evaluate": value})


def test_the_old_name_says_the_new_one() -> None:
    with pytest.raises(UsageError) as error:
        make_config({"evaluation_tokens": 100})
    assert error.value.hint == "It is called 'evaluate' now."


def with_sparsity(source: Path, target: Path, values: torch.Tensor) -> Path:
    shutil.copytree(source, target)
    save_file({"sparsity": values}, target / "sparsity.safetensors")
    return target


def test_densities_that_come_with_an_sae_are_in_the_run(
    asked: Asked, small: Path, tmp_path: Path
) -> None:
    """Of one SAE they are, of the other the file is of other latents: left out with a warning."""
    told = torch.linspace(-4, -1, 40)
    early = with_sparsity(small / "early", tmp_path / "early", told)
    late = with_sparsity(small / "late", tmp_path / "late", told)
    config = asked(evaluate=0, saes=[{"path": early}, {"path": late}])
    run = open_run(build.collect(config, tmp_path / "run"))
    one, two = run.info.saes
    table = run.table("shipped_sparsity", one.slug)
    assert table["latent"].to_pylist() == list(range(40))
    np.testing.assert_allclose(table["log10_density"].to_numpy(), told.numpy(), rtol=1e-6)
    assert two.left_out["shipped_sparsity"].endswith("of 40 latents, and the SAE has 56")
    (warning,) = (one for one in run.info.warnings if "file of densities" in one.text)
    assert warning.about == two.slug
    plain = open_run(build.collect(asked(evaluate=0), tmp_path / "plain"))
    assert not any("shipped_sparsity" in sae.left_out for sae in plain.info.saes)


def test_live_latents_are_those_above_a_density(asked: Asked, tmp_path: Path) -> None:
    run = open_run(build.collect(asked(evaluate=0, latents="live:0.2"), tmp_path / "run"))
    for sae in run.info.saes:
        counts = run.table("sae_activity", sae.slug)["n_active"].to_numpy()
        live = np.flatnonzero(counts > 0.2 * run.info.text.n_counted)
        assert 0 < len(live) < len(counts)
        assert list(run.latents(sae.slug)) == live.tolist()
