"""Every kind of text gives the numbers that the same text gives as JSON lines."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saereport.pipeline import build, loading
from saereport.report.rendering import describe, render
from saereport.run import Run, open_run
from saereport.sources.models import HookedModel
from saereport.util.errors import SaereportError
from tests.factories import (
    BOS,
    CHAT_TEMPLATE,
    END,
    EOS,
    TURN,
    chat_tokenizer,
    make_sae,
    tiny_hooked,
    tiny_model,
)

CONTEXT = 16
Rows = Sequence[Mapping[str, Any]]


def write_jsonl(path: Path, rows: Rows) -> None:
    path.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_delimited(suffix: str) -> Callable[[Path, Rows], None]:
    def write(path: Path, rows: Rows) -> None:
        with path.with_suffix(suffix).open("w", newline="") as stream:
            separator = "," if suffix == ".csv" else "\t"
            writer = csv.DictWriter(stream, list(rows[0]), delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)

    return write


def write_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows)), path.with_suffix(".parquet"))


def write_arrow(path: Path, rows: Rows) -> None:
    table = pa.Table.from_pylist(list(rows))
    with pa.ipc.new_stream(str(path.with_suffix(".arrow")), table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


def write_saved(path: Path, rows: Rows) -> None:
    from datasets import Dataset, DatasetDict

    saved = Dataset.from_list([dict(row) for row in rows])
    DatasetDict({"train": saved.select([0]), "test": saved}).save_to_disk(path)


KINDS: dict[str, Callable[[Path, Rows], None]] = {
    ".jsonl": write_jsonl,
    ".csv": write_delimited(".csv"),
    ".tsv": write_delimited(".tsv"),
    ".parquet": write_parquet,
    ".arrow": write_arrow,
    "": write_saved,
}


def texts() -> list[dict[str, Any]]:
    drawn = np.random.default_rng(0).integers(9, 95, (30, 20))
    lines = [" ".join(f"w{n}" for n in row) for row in drawn]
    lines[3] = ""
    lines[5] = 'w9, "w10"\nw11\tw12'
    return [{"n": n, "text": line} for n, line in enumerate(lines)]


def tokens() -> list[dict[str, Any]]:
    drawn = np.random.default_rng(1).integers(9, 95, (30, 15))
    rows = [[BOS, *map(int, row)] for row in drawn]
    return [{"token_ids": [*row, EOS], "attention_mask": [1] * 16 + [0]} for row in rows]


def talks() -> list[dict[str, Any]]:
    drawn = np.random.default_rng(2).integers(9, 95, (30, 2, 8))
    said = [[" ".join(f"w{n}" for n in one) for one in pair] for pair in drawn]
    return [
        {"messages": [{"role": "user", "content": a}, {"role": "assistant", "content": b}]}
        for a, b in said
    ]


@pytest.fixture(scope="module")
def sae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds") / "sae"
    known = {"context_size": CONTEXT, "model_name": "tiny"}
    make_sae("standard", metadata=known).save_model(folder)
    return folder


@pytest.fixture
def collect(sae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Collects from a text, with a model whose tokeniser has a chat template."""

    def load(name: str, **_: Any) -> Any:
        model = tiny_hooked()
        model.tokenizer = chat_tokenizer()
        like = tiny_model()
        return HookedModel(model, name="tiny", device=like.device, dtype=like.dtype)

    monkeypatch.setattr(loading, "load_model", load)

    def made(dataset: Path, **changes: Any) -> Run:
        asked = {
            "model": "tiny",
            "saes": [{"path": sae}],
            "dataset": str(dataset),
            "latents": "0-11",
            "tokens": 100_000,
            "device": "cpu",
            "evaluate": 0,
            "skip": ["coactivation", "sketch", "tokens"],
            "circuits": {"examples": 0},
            **changes,
        }
        out = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        return open_run(build.collect(asked, out))

    return made


def numbers(run: Run) -> dict[str, Any]:
    text = run.info.text
    n_active = run.table("activity", run.info.saes[0].slug)["n_active"].to_pylist()
    counted = text.model_dump(exclude={"name", "source"})
    return {"text": counted, "active": n_active, "examples": examples(run)}


def examples(run: Run) -> list[Any]:
    rows: list[Any] = run.table("examples", run.info.saes[0].slug).to_pylist()
    return rows


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        *((texts, kind) for kind in KINDS if kind != ".jsonl"),
        *((tokens, kind) for kind in (".parquet", ".arrow", "")),
        *((talks, kind) for kind in (".parquet", "")),
    ],
    ids=lambda value: getattr(value, "__name__", value or "saved"),
)
def test_the_numbers_are_those_of_the_same_text_as_json_lines(
    collect: Callable[..., Run], tmp_path: Path, make: Callable[[], Rows], kind: str
) -> None:
    (tmp_path / "in").mkdir()
    for name in (".jsonl", kind):
        KINDS[name](tmp_path / "in/corpus", make())
    split = {"dataset_split": "test"} if kind == "" else {}
    one = collect(tmp_path / "in/corpus.jsonl")
    other = collect((tmp_path / "in/corpus").with_suffix(kind), **split)
    assert numbers(one) == numbers(other)
    assert one.info.text.n_counted > 200
    assert other.info.text.name == f"corpus{kind}"


def test_conversations_are_counted_as_the_library_writes_them(
    collect: Callable[..., Run], tmp_path: Path
) -> None:
    """Against the library's own tokens: marks of turns do not count, roles and text do."""
    rows = talks()
    write_jsonl(tmp_path / "chat", rows)
    run = collect(tmp_path / "chat.jsonl")
    tokenizer = chat_tokenizer()
    talk = [
        tokenizer.apply_chat_template(row["messages"], tokenize=True, return_dict=False)
        for row in rows
    ]
    special = {BOS, EOS, TURN, END}
    assert {TURN, END, BOS} <= set(talk[0])
    # Each begins with BOS, which is the separator too; so they fill sequences without a gap but
    # for BOS at the beginning of each.
    stream, counted, sequences = [token for one in talk for token in one], 0, 0
    while stream:
        begins = 0 if stream[0] == BOS else 1
        taken, stream = stream[: CONTEXT - begins], stream[CONTEXT - begins :]
        if len(taken) + begins < CONTEXT:
            break
        counted += sum(token not in special for token in taken)
        sequences += 1
    text = run.info.text
    assert (text.n_sequences, text.n_counted) == (sequences, counted)
    assert text.counts is not None
    assert text.counts.documents == 30


def test_a_report_says_which_template_was_applied(
    collect: Callable[..., Run], sae: Path, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "chat", talks())
    make_sae("standard", metadata={"context_size": CONTEXT}, seed=1).save_model(tmp_path / "two")
    run = collect(tmp_path / "chat.jsonl", saes=[{"path": sae}, {"path": tmp_path / "two"}])
    digest = hashlib.sha256(CHAT_TEMPLATE.encode()).hexdigest()
    assert run.info.text.source["chat_template"] == {"sha256": digest}
    assert "30 conversations by the chat template" in describe(run)
    report = Path(render(run.path, tmp_path / "report").path)
    provenance = next(report.rglob("provenance.html")).read_text(encoding="utf-8")
    assert f"written out by the chat template of the model&#39;s tokeniser (SHA-256 {digest})" in (
        provenance
    )
    overview = (report / "index.html").read_text(encoding="utf-8")
    assert "30 conversations, by the chat template" in overview
    page = next(report.rglob("two/index.html")).read_text(encoding="utf-8")
    assert "tokens counted in conversations by the chat template" in page


def test_another_template_is_another_text(
    collect: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_jsonl(tmp_path / "chat", talks())
    one = collect(tmp_path / "chat.jsonl")
    template = CHAT_TEMPLATE.replace("{{ bos_token }}", "{{ bos_token }} ")
    plain = chat_tokenizer
    monkeypatch.setattr("tests.pipeline.test_kinds_of_text.chat_tokenizer", lambda: plain(template))
    other = collect(tmp_path / "chat.jsonl")
    assert numbers(one) == numbers(other), "the space is no token"
    assert one.info.fingerprint != other.info.fingerprint


def test_a_model_without_a_template_is_refused(
    collect: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_jsonl(tmp_path / "chat", talks())
    plain = chat_tokenizer
    monkeypatch.setattr("tests.pipeline.test_kinds_of_text.chat_tokenizer", lambda: plain(None))
    with pytest.raises(SaereportError, match="the tokeniser of the model tiny has no chat templ"):
        collect(tmp_path / "chat.jsonl")
