"""The text of a run: what counts, what is lost, and what is said about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.pipeline import build, loading
from saereport.pipeline.text_pass import TextPass
from saereport.run import Run, open_run
from saereport.util.errors import GateError, SaereportError
from saereport.util.progress import Progress
from tests.factories import BOS, EOS, make_sae, tiny_model

CONTEXT = 16


def rows_of(n: int, length: int, seed: int = 0) -> list[list[int]]:
    drawn = np.random.default_rng(seed).integers(3, 95, (n, length - 1))
    return [[BOS, *map(int, row)] for row in drawn]


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def collect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Run]]:
    """Collects from rows, with an SAE that has the metadata given, or several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_model", lambda name, **_: tiny_model())

        def made(
            rows: Sequence[Mapping[str, Any]],
            *metadata: Mapping[str, Any],
            progress: Progress | None = None,
            **changes: Any,
        ) -> Run:
            folder = tmp_path_factory.mktemp("text")
            saes = []
            for number, own in enumerate(metadata or [{}]):
                known = {"context_size": CONTEXT, "model_name": "tiny", **own}
                make_sae("standard", metadata=known).save_model(folder / f"sae-{number}")
                saes.append({"path": folder / f"sae-{number}"})
            asked = {
                "saes": saes,
                "dataset": str(write(folder / "rows.jsonl", rows)),
                "latents": "0-11",
                "tokens": 100_000,
                "device": "cpu",
                "evaluate": 0,
                "skip": ["coactivation", "sketch", "tokens"],
                "circuits": {"examples": 0},
            }
            out = folder / "run"
            return open_run(build.collect({**asked, **changes}, out, progress=progress))

        yield made


def truth(rows: Sequence[Sequence[int]], counts: Callable[[int, int], bool]) -> np.ndarray:
    """How often each latent is active, row by row without any padding; `counts(position, id)`."""
    model, sae, n = tiny_model().model, make_sae("standard"), 0
    active = np.zeros(12)
    for row in rows:
        name = "blocks.1.hook_resid_pre"
        _, cache = model.run_with_cache(torch.tensor([row]), names_filter=name)
        f = sae.encode(cache[name])[0, :, :12].detach().numpy()
        kept = [place for place, token in enumerate(row) if counts(place, token)]
        active += (f[kept] > 0).sum(axis=0)
        n += len(kept)
    return np.array([n, *active])


def measured(run: Run) -> np.ndarray:
    n_active = run.table("activity", run.info.saes[0].slug)["n_active"].to_numpy()
    return np.array([run.info.text.n_counted, *n_active])


def texts(run: Run) -> str:
    return "\n".join(warning.text for warning in run.info.warnings)


PAD = 2
"""A word of the vocabulary, which no tokeniser calls padding."""


def padded(row: list[int], before: int, after: int, token: int, mask: bool) -> dict[str, Any]:
    filled = {"input_ids": [*[token] * before, *row, *[token] * after]}
    if mask:
        filled["attention_mask"] = [*[0] * before, *[1] * len(row), *[0] * after]
    return filled


PADDINGS = [(6, 0, PAD, True), (0, 6, PAD, True), (3, 3, EOS, True), (6, 0, EOS, False)]
PADDINGS += [(0, 6, EOS, False), (1, 0, EOS, False), (0, 0, EOS, False)]


def test_padded_rows_give_what_the_rows_give(collect: Callable[..., Run]) -> None:
    """Before, behind, on both sides, by a mask, or by the tokeniser's token for padding."""
    rows, asked = [], []
    for seed, (before, after, token, mask) in enumerate(PADDINGS):
        own = [*rows_of(6, 10, seed), *rows_of(2, 7, seed)]
        rows += own
        asked += [padded(row, before, after, token, mask) for row in own]
    run = collect(asked)
    expected = truth(rows, lambda _, token: token not in (BOS, EOS))
    assert measured(run).tolist() == expected.tolist()
    counts = run.info.text.counts
    assert counts is not None
    # Where padding also ends texts and no mask tells them apart, one stays, and does not count.
    assert (counts.documents, counts.tokens) == (56, sum(map(len, rows)) + 8)
    assert (counts.short, counts.padding) == (56, 8 * (5 * 6 + 1) - 8)


def test_short_and_long_rows_are_read_and_told(collect: Callable[..., Run]) -> None:
    rows = [*rows_of(20, CONTEXT - 1), *rows_of(20, 3 * CONTEXT, seed=1), [BOS]]
    run = collect([{"input_ids": row} for row in rows])
    cut = [row[:CONTEXT] for row in rows]
    assert measured(run).tolist() == truth(cut, lambda _, token: token != BOS).tolist()
    text = run.info.text
    assert text.counts is not None
    assert (text.n_sequences, text.counts.cut, text.counts.short) == (41, 20, 21)
    assert text.counts.cut_tokens == 20 * 2 * CONTEXT
    assert (
        "20 of 41 rows are longer than the context of 16 tokens and were cut, as SAELens does: "
        "640 of 1,261 tokens (51%) were not read. --context-size 48 reads them whole."
    ) in texts(run)


def test_rows_that_are_mostly_filled_up(
    collect: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run = collect([{"tokens": row} for row in rows_of(30, 5)], progress=Progress())
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "Read 30 rows of 150 tokens; 30 rows shorter than 16 tokens filled up (--context-size 5 "
        "fits them)"
    ) in said
    assert "30 of 30 rows are shorter than the context of 16 tokens" in texts(run)
    assert "--context-size 5 is enough" in texts(run)


def test_rows_that_mostly_hold_nothing(collect: Callable[..., Run]) -> None:
    rows = [{"input_ids": [5] * 8, "attention_mask": [0] * 8}] * 20
    rows += [{"input_ids": row} for row in rows_of(10, CONTEXT)]
    with pytest.raises(SaereportError, match="Of the text's first 30 rows 20 hold nothing but pad"):
        collect(rows)


def test_rows_without_text_are_counted_and_told(collect: Callable[..., Run]) -> None:
    real = [{"text": " ".join(f"w{i}" for i in row[1:])} for row in rows_of(5, 40)]
    run = collect([*[{"text": None}] * 300, *[{"text": ""}] * 20, *real])
    text = run.info.text
    assert text.counts is not None
    assert (text.counts.documents, text.counts.empty, text.n_documents) == (5, 320, 5)
    assert "320 of the text's first 325 rows are empty; 5 documents were read." in texts(run)
    rows = [{"input_ids": row} for row in rows_of(9, CONTEXT)]
    run = collect([*rows, *[{"input_ids": None}] * 8])
    assert run.info.text.counts is not None
    assert (run.info.text.counts.documents, run.info.text.counts.empty) == (9, 8)
    assert "empty" not in texts(run)


def test_padding_without_a_mask_is_suspected(collect: Callable[..., Run]) -> None:
    rows = [padded(row, 0, 9, PAD, False) for row in rows_of(20, 7)]
    run = collect(rows)
    assert "20 of 20 rows end in 8 or more of the token w2 (2), and it is counted" in texts(run)
    assert [warning.sanity for warning in run.info.warnings if not warning.about] == [True]
    with pytest.raises(GateError, match="need an attention_mask"):
        collect(rows, strict=True)


def test_rows_without_bos(collect: Callable[..., Run]) -> None:
    run = collect([{"input_ids": row[1:]} for row in rows_of(20, CONTEXT + 1)])
    assert "20 of 20 rows do not begin with BOS" in texts(run)
    assert not run.info.text.prepend_bos
    plain = collect([{"input_ids": row} for row in rows_of(20, CONTEXT)])
    assert plain.info.text.prepend_bos
    assert not [warning for warning in plain.info.warnings if not warning.about]


def test_what_the_metadata_says_of_training_tokens_is_heeded(collect: Callable[..., Run]) -> None:
    rows = rows_of(40, CONTEXT)
    said = {"seqpos_slice": [5, -5], "exclude_special_tokens": [7, 8, BOS]}
    run = collect([{"input_ids": row} for row in rows], said, evaluate=10_000)
    assert run.table("sae_metrics", "sae-0")["n_tokens"].to_numpy().max() == measured(run)[0]
    expected = truth(rows, lambda place, token: 5 <= place < 11 and token not in (BOS, 7, 8))
    assert measured(run).tolist() == expected.tolist()
    places = run.table("examples", "sae-0")["position"].to_numpy()
    assert places.size
    assert places.min() >= 5
    assert places.max() < 11
    training = run.info.text.training
    assert training["positions"] == "[5:-5] of a sequence (as the SAE's metadata says)"
    assert training["tokens left out"].startswith("token ids 0, 7, 8 were left out")
    assert training["separator"] == "bos (not stated; SAELens's default)"


def test_saes_that_saw_different_tokens(collect: Callable[..., Run]) -> None:
    rows = [{"input_ids": row} for row in rows_of(8, CONTEXT)]
    with pytest.raises(SaereportError, match="sae-0 and sae-1 were trained on different positions"):
        collect(rows, {"seqpos_slice": [5, -5]}, {})
    run = collect(rows, {"context_size": 32}, {"context_size": CONTEXT})
    assert run.info.text.training["context"].startswith("sae-0: 32 tokens")


def test_documents_that_are_not_joined(collect: Callable[..., Run]) -> None:
    documents = [{"text": " ".join(f"w{i}" for i in row[1:])} for row in rows_of(20, 20)]
    run = collect(documents, {"disable_concat_sequences": True})
    assert (run.info.text.n_sequences, run.info.text.n_documents) == (20, 20)
    assert "20 of 20 rows are longer" in texts(run)
    assert run.info.text.training["documents"].startswith("each a sequence of its own")


def test_what_the_user_asks_for_against_the_metadata_is_said(collect: Callable[..., Run]) -> None:
    rows = [{"input_ids": row} for row in rows_of(20, 24)]
    said = {"exclude_special_tokens": True}
    run = collect(rows, said, context_size=24, include_special=True)
    assert run.info.text.n_counted == 20 * 24
    assert "of sequences of 24 it never saw the later positions" in texts(run)
    assert "trained without special tokens, which --include-special counts" in texts(run)
    assert {warning.about for warning in run.info.warnings} == {"sae-0"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"input_ids": [BOS, 5, 100]}, "rows.jsonl:2: token 3 is 100, and the model's vocabulary"),
        ({"input_ids": [BOS, -100]}, "rows.jsonl:2: token 2 is -100"),
        ({"input_ids": [2**40]}, "rows.jsonl:2: token 1 is 1,099,511,627,776"),
    ],
)
def test_tokens_beyond_the_vocabulary_are_found_before_the_model_runs(
    collect: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, row: Any, said: str
) -> None:
    def runs(*_: Any, **__: Any) -> Any:
        raise AssertionError("the text was run")

    monkeypatch.setattr(TextPass, "run", runs)
    with pytest.raises(SaereportError) as caught:
        collect([{"input_ids": rows_of(1, CONTEXT)[0]}, row])
    assert said in str(caught.value)
    assert "100 tokens, numbered from 0" in str(caught.value)


def test_a_path_in_the_metadata_is_not_followed(
    collect: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads(*_: Any, **__: Any) -> Any:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(loading, "load_model", loads)
    monkeypatch.chdir(tmp_path)
    for name in ("wikitext", "secret.txt", "owner/x"):
        (tmp_path / name).mkdir(parents=True)
        write(tmp_path / name / "a.jsonl", [{"text": "w5 w6"}])
    for named in (f"{tmp_path}/wikitext", "wikitext", "~/secret.txt", "./owner/x"):
        with pytest.raises(SaereportError) as caught:
            collect([], {"dataset_path": named}, dataset=None)
        assert f"'{Path(named).name}', which is not a dataset on" in str(caught.value)
        assert "Give the text with --dataset" in str(caught.value)


def test_the_last_tokens_that_fill_no_sequence(collect: Callable[..., Run]) -> None:
    run = collect([{"text": " ".join(f"w{i}" for i in range(3, 31))}])
    assert run.info.text.n_sequences == 1
    assert "The last 13 of 28 tokens fill no sequence of 16 and were not read" in texts(run)


def test_the_provenance_page_says_it(collect: Callable[..., Run], tmp_path: Path) -> None:
    from saereport.report.rendering import render

    run = collect([{"input_ids": row} for row in rows_of(20, 24)], {"seqpos_slice": [5, -5]})
    report = render(run.path, tmp_path / "report")
    page = next(Path(report.path).rglob("provenance.html")).read_text(encoding="utf-8")
    page = page.replace("<wbr>", "")  # where a long name may be broken
    for said in (
        "[5:-5] of a sequence (as the SAE&#39;s metadata says)",
        "joined (not stated; SAELens&#39;s default)",
        "counts.cut_tokens",
        "20 of 20 rows are longer than the context of 16 tokens",
    ):
        assert said in page
