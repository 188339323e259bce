"""What a plan says of stages that are made of passes: against the passes that are really run.

No time is measured here. Where a pass takes one and nothing else takes anything, the seconds are
the number of passes; where only tokens do, the number of tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saereport.circuits.attribution.examples import Peak, TopExamples
from saereport.evaluate import block_sums, fidelity
from saereport.evaluate import capability as asking
from saereport.evaluate import output_scores as scoring
from saereport.evaluate.capability import Question, capability
from saereport.evaluate.fidelity import evaluate
from saereport.evaluate.output_scores import Turned, changes
from saereport.intervene.generating import Sampling, continued
from saereport.intervene.steering import direction_of
from saereport.pipeline import example_attribution
from saereport.pipeline.capability import seconds_of_prompts
from saereport.pipeline.directions import seconds_followed
from saereport.pipeline.evaluation import Work, seconds_of_passes
from saereport.pipeline.example_attribution import between, seconds_of_a_latent, tokens_before
from saereport.pipeline.output_scores import seconds_of_scores
from saereport.pipeline.pass_time import line
from saereport.pipeline.probe import PassTime
from saereport.pipeline.probing import fits_of
from saereport.pipeline.steering import passes_and_tokens, run_tokens
from saereport.util.progress import Progress
from tests.factories import tiny_tokens

QUIET = Progress(quiet=True)
PASSES, TOKENS = PassTime(1.0, 0.0, 0.0), PassTime(0.0, 1.0, 0.0)
RESID, MLP = "blocks.1.hook_resid_post", "blocks.1.ln2.hook_normalized"


@contextmanager
def counted(model: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Tokens of each pass of a model."""
    found: list[int] = []
    real = model.forward_pass

    def passing(tokens: torch.Tensor, **options: Any) -> Any:
        found.append(tokens.numel())
        return real(tokens, **options)

    with monkeypatch.context() as patch:
        patch.setattr(model, "forward_pass", passing)
        yield found


@pytest.fixture
def saes(tiny_sae: Callable[..., Any]) -> list[Any]:
    """Two SAEs of one place, and a transcoder."""
    return [
        tiny_sae("standard", hook_name=RESID),
        tiny_sae("jumprelu", hook_name=RESID),
        tiny_sae("transcoder", hook_name=MLP),
    ]


@pytest.mark.parametrize(("n", "batch"), [(1, 4), (4, 4), (5, 2), (12, 4)])
def test_an_evaluation_has_the_passes_that_are_said(
    tiny: Any, saes: list[Any], monkeypatch: pytest.MonkeyPatch, n: int, batch: int
) -> None:
    for module in (block_sums, fidelity):
        monkeypatch.setattr(module, "sequences_at_a_time", lambda *_: batch)
    tokens = tiny_tokens(n, 16).numpy().astype(np.int32)
    with counted(tiny, monkeypatch) as found:
        assert not evaluate(tiny, saes, tokens, np.ones_like(tokens, dtype=bool), QUIET).left_out
    work = Work(n, 16, batch, block_sums.runs_of(saes), len(saes))
    assert seconds_of_passes(PASSES, work) == len(found)
    assert seconds_of_passes(TOKENS, work) == sum(found)


def test_prompts_have_the_passes_that_are_said(
    tiny: Any, saes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "sequences_at_a_time", lambda *_: 2)
    lengths = [5, 5, 5, 7]
    asked = [
        Question("mine", tuple(row[:length]), (True,) * length, 9)
        for row, length in zip(tiny_tokens(4, 8).tolist(), lengths, strict=True)
    ]
    with counted(tiny, monkeypatch) as found:
        capability(tiny, saes, asked, QUIET)
    trials = 2 * len(saes)
    # True, each SAE spliced in, and each of two places at zero; two batches of 5 and one of 7.
    assert seconds_of_prompts(PASSES, lengths, 3, 6) == len(found) - trials
    assert seconds_of_prompts(TOKENS, lengths, 3, 6) == sum(found) - 2 * trials
    assert seconds_of_prompts(PassTime(0, 0, 1), lengths, 3, 6) == 4 * 6


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_output_scores_have_the_passes_that_are_said(
    tiny: Any, saes: list[Any], monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(scoring, "rows_at_a_time", lambda _: 4)
    prompts = [tuple(row[: 3 + i % 2]) for i, row in enumerate(tiny_tokens(5, 6).tolist())]
    turned = [Turned(direction_of(saes[0], i, 1.0), np.arange(3)) for i in range(rows)]
    with counted(tiny, monkeypatch) as found:
        changes(tiny, turned, prompts, None)
    lengths = [len(prompt) for prompt in prompts]
    assert seconds_of_scores(PASSES, rows, lengths, 4) == len(found)
    assert seconds_of_scores(TOKENS, rows, lengths, 4) == sum(found)


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("new", [1, 5])
def test_texts_have_the_tokens_that_are_said(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, keeps: bool, new: int
) -> None:
    with counted(tiny, monkeypatch) as found:
        continued(
            tiny,
            tiny_tokens(3, 6),
            {},
            torch.full((3, new), 0.5),
            Sampling(1.0, 1.0, frozenset()),
            keep_keys=keeps,
        )
    assert len(found) == new
    assert 3 * run_tokens(6, new, keeps=keeps) == sum(found)


@given(*[st.floats(0.0, 10.0)] * 3, st.integers(2, 8), st.integers(9, 200))
def test_what_a_pass_takes_is_told_from_three(
    fixed: float, token: float, logits: float, few: int, many: int
) -> None:
    found = line(
        fixed + few * token + logits,
        fixed + many * token + logits,
        fixed + many * (token + logits),
        (few, many),
    )
    for n, with_logits in ((1000, 1000), (3, 0)):
        expected = fixed + n * token + with_logits * logits
        assert found.seconds(1, n, with_logits) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_noise_makes_no_time_negative() -> None:
    """Where a longer pass was faster, or a pass with more logits."""
    found = line(3.0, 1.0, 0.5, (2, 128))
    assert (found.fixed, found.token, found.logits) == (3.0, 0.0, 0.0)
    assert passes_and_tokens(3, (8, 80), (6.0, 3.0)) == (2.0, 0.0)
    assert passes_and_tokens(2, (8, 8), (6.0, 6.0)) == (3.0, 0.0)
    # A sequence of one or two tokens says nothing of what each adds.
    assert line(2.0, 2.0, 2.0, (2, 2)).token == 0.0


@given(st.floats(0.01, 2.0), st.floats(0.0, 1.0))
def test_passes_and_tokens_of_two_samples(pass_: float, token: float) -> None:
    seconds = (3 * pass_ + 8 * token, 3 * pass_ + 80 * token)
    assert passes_and_tokens(3, (8, 80), seconds) == pytest.approx((pass_, token), abs=1e-9)


def test_what_takes_time_with_the_depth_lies_between_the_depths_that_were_tried() -> None:
    known = {3: 1.0, 11: 5.0}
    assert [between(known, layer) for layer in (3, 7, 11)] == [1.0, 3.0, 5.0]
    assert between({7: 2.0}, 11) == 2.0


def test_a_sequence_is_run_up_to_its_last_peak() -> None:
    peaks = [Peak(0, 0, 5, 9, 1.0), Peak(1, 0, 5, 3, 1.0), Peak(2, 0, 6, 0, 1.0)]
    assert tokens_before(peaks) == 10 + 1
    assert tokens_before([]) == 0


@pytest.mark.parametrize(("examples", "width"), [(1, 32), (2, 32), (2, 64)])
def test_a_latent_takes_as_many_tokens_as_its_examples_have_before_them(
    monkeypatch: pytest.MonkeyPatch, examples: int, width: int
) -> None:
    names = ("latent", "rank", "sequence", "position", "activation", "group")
    rows = [(7, 0, 0, 9, 1.0, "top"), (7, 1, 1, 19, 1.0, "top"), (8, 0, 2, 29, 1.0, "top")]
    table = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    found = TopExamples([7, 8], table, lambda _: [])
    monkeypatch.setattr(example_attribution, "top_examples", lambda *_: found)
    settings = SimpleNamespace(examples=examples, influences=1, include_bos=False)
    context: Any = SimpleNamespace(
        config=SimpleNamespace(circuits=settings, examples=SimpleNamespace(listed=1)),
        text=SimpleNamespace(rules=SimpleNamespace(context_size=width)),
    )
    # A second a token; each example is in the middle of its sequence, in the mean.
    taken = 10.0 if examples == 1 else 30.0
    assert seconds_of_a_latent(context, "early", [7], taken) == examples * width / 2


def test_work_grows_with_what_is_asked() -> None:
    """Twice the tokens or texts are twice the time."""
    passes = PassTime(0.0, 0.01, 0.0)
    assert seconds_followed(passes, 8192, 0.5) == pytest.approx(
        2 * seconds_followed(passes, 4096, 0.5)
    )
    assert seconds_followed(PASSES, 4096, 1.0) == 2
    assert fits_of(5, 20) == fits_of(5, 100) == 5
    assert fits_of(2, 4000) == pytest.approx(10 * fits_of(2, 400))
