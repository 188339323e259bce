"""Whatever a file holds, an import either makes a run or raises a `SaereportError`."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saereport.exchange import import_files
from saereport.run import open_run
from saereport.util.errors import SaereportError
from tests.exchange import samples
from tests.exchange.test_safety import batch, feature

NAMES = ("batch-0.json", "run_settings.json", "skipped_indexes.json", "source.jsonl")
ROWS = ("features", "activations", "explanations", "explanations-x")
KEYS = [
    *feature(),
    *feature()["activations"][0],
    *batch(),
    *("modelId", "index", "description", "pos_str", "pos_values", "skipped_indexes"),
    *("freq_hist_data_bar_values", "freq_hist_data_bar_heights", "topkCosSimIndices"),
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["0", "-1", "1-s", "../x", "\x00", 10**400, 1e39, -0.0]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=5)), inner, max_size=6),
    ),
    max_leaves=25,
)


def plain() -> dict[str, Any]:
    histogram = {"freq_hist_data_bar_values": [0.5, 1.5], "freq_hist_data_bar_heights": [3, 1]}
    tokens = {"pos_str": ["a"], "pos_values": [1.0], "neg_str": ["b"], "neg_values": [-1.0]}
    return batch(feature(0, **histogram, **tokens), feature(7))


PLACES = st.lists(st.integers(0, 30), min_size=1, max_size=6)


def mutated(value: Any, places: list[int], new: Any) -> Any:
    """A copy in which one value, found by following `places`, is another."""
    if not places or not isinstance(value, dict | list) or not value:
        return new
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[places[0] % len(keys)]
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = mutated(value[key], places[1:], new)
    return copy


@st.composite
def folders(draw: st.DrawFn) -> dict[str, bytes]:
    """Files of an input folder: random, or good ones with one value or some bytes changed."""
    kind = draw(st.sampled_from(["random", "batch", "rows", "bytes"]))
    if kind == "random":
        names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
        files = {name: json.dumps(draw(VALUES)).encode() for name in names}
        for name in draw(st.lists(st.sampled_from(ROWS), max_size=2, unique=True)):
            files[f"{name}/batch-0.jsonl"] = json.dumps(draw(VALUES)).encode()
        return files
    if kind == "rows":
        rows = samples.rows_of({**plain(), "sae_id_suffix": None})
        name = draw(st.sampled_from(sorted(rows)))
        rows[name] = mutated(rows[name], draw(PLACES), draw(VALUES))
        some = {k: v if isinstance(v, list) else [v] for k, v in rows.items()}
        return {
            f"{k}/batch-0.jsonl.gz": gzip.compress("\n".join(map(json.dumps, v)).encode(), mtime=0)
            for k, v in some.items()
        }
    good = json.dumps(mutated(plain(), draw(PLACES), draw(VALUES))).encode()
    if kind == "bytes":
        good = json.dumps(plain()).encode()
        at = draw(st.integers(0, len(good)))
        good = good[:at] + draw(st.binary(max_size=6)) + good[at + draw(st.integers(0, 9)) :]
    return {"batch-0.json": good}


def try_import(files: dict[str, bytes]) -> bool:
    """Whether these files made a run; fails the test for any other error, or a stray file."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for path, data in files.items():
            (folder / "in" / path).parent.mkdir(exist_ok=True)
            (folder / "in" / path).write_bytes(data)
        refused = None
        try:
            import_files([folder / "in"], folder / "run")
        except SaereportError as error:
            refused = str(error)
        if refused is not None:
            assert "\n" not in refused
            assert [path.name for path in folder.iterdir()] == ["in"]
            return False
        run = open_run(folder / "run")
        run.verify()
        (sae, *_) = run.info.saes
        assert run.rows("activity", sae.slug) == sae.n_chosen > 0
        assert sorted(path.name for path in folder.iterdir()) == ["in", "run"]
        return True


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(files=folders())
def test_no_file_does_harm(files: dict[str, bytes]) -> None:
    try_import(files)


@pytest.mark.slow
@settings(max_examples=4000, deadline=None, suppress_health_check=list(HealthCheck))
@given(files=folders())
def test_no_file_of_many_does_harm(files: dict[str, bytes]) -> None:
    try_import(files)


def test_the_good_files_are_good() -> None:
    """The others would say little if what they change were refused anyway."""
    assert try_import({"batch-0.json": json.dumps(plain()).encode()})
    rows = samples.rows_of({**plain(), "sae_id_suffix": None})
    files = {
        f"{name}/batch-0.jsonl": "\n".join(map(json.dumps, some)).encode()
        for name, some in rows.items()
    }
    assert try_import(files)
