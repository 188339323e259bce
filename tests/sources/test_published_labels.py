"""Labels that are fetched: from a bucket on the loopback, and never from anywhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from saereport.sources import published_labels as published
from saereport.sources.published_labels import Published, published_labels
from saereport.util.errors import SaereportError
from saereport.util.locks import locked
from tests.bucket import Bucket, batch, label, serving

HOME = "v1/m/1-res"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv(published.CACHE, str(tmp_path / "cache"))
    with serving(Bucket()) as made:
        monkeypatch.setenv(published.ADDRESS, made.address)
        made.files = {
            f"{HOME}/explanations/batch-0.jsonl.gz": batch(
                [
                    label(3, "threes", explanationModelName="gpt-4o-mini", typeName="np_max-act"),
                    label(4, " white \n space "),
                    label(5, ""),
                ]
            ),
            f"{HOME}/explanations/batch-1.jsonl.gz": batch([label(1030, "later")]),
            f"{HOME}/explanations-ours/batch-0.jsonl.gz": batch([label(3, "three, says ours")]),
            f"{HOME}/features/batch-0.jsonl.gz": b"not asked for",
            "v1/m/1-res-more/explanations/batch-0.jsonl.gz": batch([label(3, "of another")]),
        }
        yield made


def line(asked: str = "m/1-res") -> str:
    with pytest.raises(SaereportError) as error:
        published_labels(asked)
    assert "\n" not in error.value.message
    return error.value.message


def test_all_folders_are_taken_and_told_apart(bucket: Bucket) -> None:
    found = published_labels("m/1-res")
    assert found.labels == {
        3: [("threes", "gpt-4o-mini, np_max-act"), ("three, says ours", "ours")],
        4: [("white space", "")],
        1030: [("later", "")],
    }
    assert [file.file for file in found.files] == [
        "explanations-ours/batch-0.jsonl.gz",
        "explanations/batch-0.jsonl.gz",
        "explanations/batch-1.jsonl.gz",
    ]
    assert not any("features" in path or "more" in path for path in bucket.asked)
    first = found.files[0]
    assert first.address == f"{bucket.address}/{HOME}/{first.file}"
    assert first.bytes == len(bucket.files[f"{HOME}/{first.file}"])
    assert first.fetched.endswith("Z")


def test_a_listing_of_several_pages(bucket: Bucket) -> None:
    bucket.page = 1
    assert len(published_labels("m/1-res").files) == 3


def test_a_name_that_is_listed_twice_is_one_file(bucket: Bucket) -> None:
    key = f"<Contents><Key>{HOME}/explanations/batch-0.jsonl.gz</Key></Contents>"
    text = f"<ListBucketResult>{key}{key}</ListBucketResult>"
    bucket.answers["/"] = (200, {}, text.encode())
    assert [file.file for file in published_labels("m/1-res").files] == [
        "explanations/batch-0.jsonl.gz"
    ]


def test_what_was_fetched_is_kept_and_used_without_the_network(bucket: Bucket) -> None:
    first = published_labels("m/1-res")
    asked = len(bucket.asked)
    assert published_labels("m/1-res") == first
    assert len(bucket.asked) == asked
    bucket.files[f"{HOME}/explanations/batch-1.jsonl.gz"] = batch([label(1031, "new")])
    fresh = published_labels("m/1-res", refresh=True)
    assert 1031 in fresh.labels
    assert published_labels("m/1-res") == fresh


@pytest.mark.parametrize("harm", ["changed", "gone", "manifest"])
def test_what_was_kept_and_is_damaged_is_fetched_again(
    bucket: Bucket, tmp_path: Path, harm: str
) -> None:
    first = published_labels("m/1-res")
    folder = tmp_path / "cache" / "neuronpedia" / "m" / "1-res"
    victim = folder / "explanations" / "batch-1.jsonl.gz"
    if harm == "changed":
        victim.write_bytes(batch([label(0, "planted")]))
    elif harm == "gone":
        victim.unlink()
    else:
        (folder / "fetched.json").write_text('{"files": [{"file": "../x"}]}')
    assert published_labels("m/1-res").labels == first.labels


def test_several_at_once_fetch_once(bucket: Bucket, tmp_path: Path) -> None:
    target = published.cache_folder() / "neuronpedia" / "m" / "1-res"
    with ThreadPoolExecutor(1) as other:
        with locked(target):
            waiting = other.submit(published_labels, "m/1-res")
            first = published_labels("m/1-res")
            asked = len(bucket.asked)
        assert waiting.result(timeout=30) == first
    assert len(bucket.asked) == asked


def test_nothing_is_kept_of_what_failed(bucket: Bucket, tmp_path: Path) -> None:
    good = bucket.files[f"{HOME}/explanations/batch-1.jsonl.gz"]
    bucket.files[f"{HOME}/explanations/batch-1.jsonl.gz"] = good[:-9]
    assert "batch-1.jsonl.gz cannot be read" in line()
    assert list((tmp_path / "cache").rglob("*.jsonl.gz")) == []
    bucket.files[f"{HOME}/explanations/batch-1.jsonl.gz"] = good
    assert 1030 in published_labels("m/1-res").labels


def test_offline_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(published.CACHE, str(tmp_path))
    monkeypatch.setenv(published.ADDRESS, "http://127.0.0.1:9")
    assert "cannot be fetched" in line()


def test_an_sae_without_labels_is_one_line(bucket: Bucket) -> None:
    assert "has published no labels of 'm/7-res'" in line("m/7-res")


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_an_error_of_the_server_is_one_line(bucket: Bucket, status: int) -> None:
    bucket.answers[f"/{HOME}/explanations/batch-0.jsonl.gz"] = (status, {}, b"<Error/>")
    assert str(status) in line()
    bucket.answers = {"/": (status, {}, b"")}
    assert str(status) in line()


def test_a_download_that_breaks_off_is_one_line(bucket: Bucket) -> None:
    path = f"/{HOME}/explanations/batch-0.jsonl.gz"
    bucket.answers[path] = (200, {"Content-Length": "90000", "Connection": "close"}, b"\x1f\x8b")
    assert "broke off" in line() or "cannot be fetched" in line()


def test_another_address_is_not_followed(bucket: Bucket) -> None:
    path = f"/{HOME}/explanations/batch-0.jsonl.gz"
    bucket.answers[path] = (302, {"Location": f"{bucket.address}/elsewhere"}, b"")
    assert "answered 302" in line()
    assert "/elsewhere" not in bucket.asked


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html></html>",
        b"<ListBucketResult>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult>&a;</ListBucketResult>',
        b"\xff\xfe",
        (
            '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x [<!ENTITY a "b">]>'
            "<ListBucketResult>&a;</ListBucketResult>"
        ).encode("utf-16"),
    ],
)
def test_what_is_no_listing_is_refused(bucket: Bucket, text: bytes) -> None:
    bucket.answers["/"] = (200, {}, text)
    assert "does not list a bucket" in line()


@pytest.mark.parametrize(
    "name",
    [
        "explanations/../../../../evil.jsonl.gz",
        "explanations/batch-0.jsonl.gz/../../x",
        "explanations/batch-0.jsonl",
        "explanations-/batch-0.jsonl.gz",
        "explanations/batch--1.jsonl.gz",
        "explanations/\n/batch-0.jsonl.gz",
    ],
)
def test_names_that_are_none_are_passed_over(bucket: Bucket, name: str, tmp_path: Path) -> None:
    bucket.files = {f"{HOME}/{name}": batch([label(3, "planted")])}
    assert "no labels" in line()
    assert not list(tmp_path.rglob("evil*"))


def test_sizes_are_limited(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "FILE_BYTES", 60)
    assert "larger than 60 bytes" in line()
    monkeypatch.setattr(published, "FILE_BYTES", 10_000)
    monkeypatch.setattr(published, "ALL_BYTES", 200)
    assert "larger than" in line()
    monkeypatch.setattr(published, "FILES", 2)
    assert "more than 2 files" in line()


def test_a_file_that_grows_without_end_is_refused(bucket: Bucket) -> None:
    bomb = batch([label(3, "x" * 40_000_000)])
    bucket.files[f"{HOME}/explanations/batch-0.jsonl.gz"] = bomb
    assert "grows more than" in line() or "longer than" in line()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (label(3, "t", "other/1-res"), "a label of 'other/1-res', not of 'm/1-res'"),
        (label(3, "t", "m/2-res"), "a label of 'm/2-res', not of 'm/1-res'"),
        (label(-3, "t"), "'-3' is not the index of a latent"),
        (label(3, "t" * 70_000), "the label is longer than"),
        ({"index": [3], "description": "t"}, "is not the index of a latent"),
    ],
)
def test_rows_that_are_not_this_saes_labels_are_one_line(
    bucket: Bucket, row: dict[str, object], message: str
) -> None:
    bucket.files = {f"{HOME}/explanations/batch-0.jsonl.gz": batch([row])}
    assert message in line()


@pytest.mark.parametrize("name", ["", "m", "m/", "/1-res", "../x", "m/../../x", "m/a b", "m/a/b"])
def test_what_is_no_id_is_refused_before_anything_is_asked(bucket: Bucket, name: str) -> None:
    assert "is no id on Neuronpedia" in line(name)
    assert bucket.asked == []


@pytest.mark.parametrize(
    "address", ["http://example.org", "ftp://127.0.0.1", "file:///etc", "https://", "x"]
)
def test_only_tls_but_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    monkeypatch.setenv(published.CACHE, str(tmp_path))
    monkeypatch.setenv(published.ADDRESS, address)
    assert "is no address" in line()


def test_the_manifest_holds_no_path_of_the_machine(bucket: Bucket, tmp_path: Path) -> None:
    published_labels("m/1-res")
    (manifest,) = tmp_path.rglob("fetched.json")
    assert str(tmp_path) not in manifest.read_text()
    assert set(json.loads(manifest.read_text())["files"][0]) == set(Published({}, ()).columns())
