"""Ranges of latents read one behind the other are what a filter over the whole table gives."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from saereport.run import Run, columns, open_run, writing
from tests.synthetic import Shape, write_run

RANGES = [(0, 9), (9, 10), (10, 200), (3, 7), (190, 400), (400, 400), (511, 10**6), (0, 512)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(columns, "ROWS_PER_GROUP", 7)
    monkeypatch.setattr(writing, "ROWS_PER_GROUP", 7)
    write_run(tmp_path / "run", Shape(n_chosen=40, n_sequences=20, n_vocabulary=400))
    return open_run(tmp_path / "run")


def test_a_band_is_what_a_filter_finds(run: Run) -> None:
    slug = run.info.saes[0].slug
    hiding = run.hiding({slug: run.latents(slug)[3:20:4]})
    seen = 0
    for name in run.names(slug):
        if run.tables[name].about != "latent":
            continue
        for low, high in RANGES:
            for one in (run, hiding):
                rows = one.band(name, slug, low, high)
                assert rows.equals(one.table(name, slug, latents=(low, high))), (name, low, high)
                seen += rows.num_rows
    assert seen > 1000


def test_each_part_of_the_file_is_read_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    slug = run.info.saes[0].slug
    latents = run.latents(slug)
    read: list[int] = []
    whole = pq.ParquetFile.read_row_group
    run.band("examples", slug, 0, 0)

    def noted(file: pq.ParquetFile, k: int) -> object:
        read.append(k)
        return whole(file, k)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    for low, high in zip(latents[::3], [*latents[3::3], 10**6], strict=True):
        run.band("examples", slug, low, high)
    assert read == list(range(max(read) + 1))
    assert len(read) > 20
