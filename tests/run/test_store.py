import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.run import TABLES, RunInfo, RunWriter, columns, open_run
from saereport.run.columns import to_arrow
from saereport.run.schema import ModelInfo, SaeInfo, TextInfo
from saereport.util.errors import SaereportError
from saereport.util.ragged import Ragged, Words
from tests.run.outputs import as_nobody

ZEROS = "0" * 64


def info(*slugs: str) -> RunInfo:
    model = ModelInfo(
        name="m",
        wrapper="HookedTransformer",
        n_layers=1,
        d_model=2,
        n_heads=1,
        n_kv_heads=1,
        d_head=2,
        d_vocab=3,
        n_ctx=4,
        norm="rms",
        final_norm="folded",
        dtype="float32",
    )
    text = TextInfo(
        name="x",
        source={},
        context_size=4,
        n_sequences=1,
        n_tokens=4,
        n_counted=3,
        n_documents=1,
        prepend_bos=True,
        include_special=False,
        digest=ZEROS,
    )
    saes = tuple(
        SaeInfo(
            slug=slug,
            label=slug,
            sae_id=slug,
            architecture="standard",
            hook_in="h",
            hook_out="h",
            layer=0,
            kind="resid",
            kind_out="resid",
            d_in=2,
            d_sae=64,
            d_out=2,
            weights=ZEROS,
            n_chosen=2,
            selection="all",
        )
        for slug in slugs
    )
    return RunInfo(
        saereport_version="0",
        title="t",
        config={},
        model=model,
        text=text,
        saes=saes,
        tables={},
        libraries={},
        fingerprint=ZEROS,
    )


def shares(latents: list[int]) -> dict[str, object]:
    return {"latent": latents, "shares": [[0.25, 0.75]] * len(latents)}


def write(path: Path, latents: list[int] | None = None) -> Path:
    with RunWriter(path) as writer:
        writer.write("head_shares", shares(latents or [1, 5]), slug="a")
        writer.write("vocabulary", {"token": [0], "bytes": [b"\xff"], "special": [True]})
        writer.finish(info("a"))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run = open_run(write(tmp_path / "r"))
    run.verify()
    assert run.table("head_shares", "a").to_pylist() == [
        {"latent": 1, "shares": [0.25, 0.75]},
        {"latent": 5, "shares": [0.25, 0.75]},
    ]
    assert run.names("a") == ["head_shares"]
    assert run.names() == ["vocabulary"]
    assert run.table("vocabulary")["bytes"].to_pylist() == [b"\xff"]


def test_a_report_is_opened_by_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "report" / "run")
    assert open_run(tmp_path / "report").path == tmp_path / "report" / "run"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 40), unique=True, min_size=1), st.integers(0, 41), st.integers(0, 41)
)
def test_a_range_of_latents_is_that_range(
    tmp_path_factory: pytest.TempPathFactory, latents: list[int], low: int, high: int
) -> None:
    path = write(tmp_path_factory.mktemp("runs") / "r", sorted(latents))
    read = open_run(path).table("head_shares", "a", latents=(low, high))["latent"].to_pylist()
    assert read == [latent for latent in sorted(latents) if low <= latent < high]


def test_equal_runs_are_equal_bytes(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1"), write(tmp_path / "2")
    files = [p.relative_to(one) for p in sorted(one.rglob("*")) if p.is_file()]
    assert len(files) == 3
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes()


def test_an_unfinished_or_failed_run_leaves_the_old_one(tmp_path: Path) -> None:
    path = write(tmp_path / "r")
    before = (path / "run.json").read_bytes()
    with pytest.raises(RuntimeError, match="never finished"), RunWriter(path) as writer:
        writer.write("head_shares", shares([3]), slug="a")
    with pytest.raises(OSError, match="no room"), RunWriter(path):
        raise OSError("no room")
    assert (path / "run.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "r")
    target = path / "saes" / "a" / "head_shares.parquet"
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    run = open_run(path)
    with pytest.raises(SaereportError, match=r"head_shares\.parquet.*SHA-256"):
        run.table("head_shares", "a")
    target.unlink()
    with pytest.raises(SaereportError, match=r"head_shares\.parquet.*missing"):
        open_run(path).verify()


def edited(path: Path, **changes: object) -> Path:
    raw = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**raw, **changes}))
    return path


@pytest.mark.parametrize("version", [1, 99])
def test_another_schema_version_is_told_apart_from_damage(tmp_path: Path, version: int) -> None:
    path = edited(write(tmp_path / "r"), schema_version=version, tables={"head_shares": 1})
    with pytest.raises(SaereportError) as caught:
        open_run(path)
    assert f"schema version {version}; this saereport reads version 2." in str(caught.value)
    assert "collect the run again" in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"title": 3},
        {"surprise": 1},
        {"files": [{"path": "../../etc/passwd", "bytes": 1, "sha256": ZEROS, "rows": 1}]},
        {"saes": []},
    ],
)
def test_a_changed_run_json_is_refused_and_named(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    path = edited(write(tmp_path / "r"), **changes)
    with pytest.raises(SaereportError, match=r"run\.json"):
        open_run(path)


def test_a_slug_that_climbs_out_of_the_folder_is_refused() -> None:
    for slug in ("../x", "a/b", "", ".hidden", "UPPER", "a" * 200):
        with pytest.raises(ValueError, match="slug"):
            info(slug)


def test_an_unknown_table_version_asks_for_the_right_saereport(tmp_path: Path) -> None:
    path = write(tmp_path / "r")
    tables = json.loads((path / "run.json").read_text())["tables"]
    edited(path, tables={**tables, "head_shares": {**tables["head_shares"], "version": 7}})
    with pytest.raises(SaereportError, match="another version of the table 'head_shares'"):
        open_run(path)


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000])
def test_a_run_json_that_is_not_json(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "r")
    (path / "run.json").write_text(content)
    with pytest.raises(SaereportError, match="damaged"):
        open_run(path)


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(SaereportError, match="not a run or a report"):
        open_run(tmp_path)
    with pytest.raises(SaereportError, match="no run at"):
        open_run(tmp_path / "nothing")


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_can_be_written_empty_and_has_a_meaning(tmp_path: Path, name: str) -> None:
    table = TABLES[name]
    arrow = to_arrow(table, {column: [] for column in table.names})
    pq.write_table(arrow, tmp_path / "t.parquet")
    assert pq.read_schema(tmp_path / "t.parquet").equals(table.schema)
    assert len(table.definition) > 80
    assert set(table.key) <= set(table.names)


def test_columns_that_do_not_fit_are_refused() -> None:
    table = TABLES["head_shares"]
    with pytest.raises(ValueError, match="needs columns"):
        to_arrow(table, {"latent": [1]})
    with pytest.raises(ValueError, match="null"):
        to_arrow(table, {"latent": [None], "shares": [[0.5]]})
    ragged = to_arrow(table, {"latent": np.arange(3), "shares": [[0.5], [], np.ones(2)]})
    assert ragged["shares"].to_pylist() == [[0.5], [], [1.0, 1.0]]


def test_lists_and_words_as_arrays_are_stored_as_lists_are(tmp_path: Path) -> None:
    from_lists = {
        "latent": [0, 0, 2],
        "rank": [0, 1, 0],
        "order": ["share", "lift", "lift"],
        **{key: [1, 2, 3] for key in ("token", "n_token", "n_active")},
        **{key: [0.5, 1.0, 1.5] for key in ("mean_active", "share", "lift", "lift_low", "sampled")},
    }
    arrays = {name: np.array(values) for name, values in from_lists.items()}
    arrays["order"] = Words(np.array([1, 0, 0], dtype=np.int8), ("lift", "share"))
    table = TABLES["token_statistics"]
    assert to_arrow(table, arrays) == to_arrow(table, from_lists)
    lists = [[0.5], [], [1.0, 1.0]]
    table = TABLES["head_shares"]
    whole = to_arrow(table, {"latent": range(3), "shares": lists})
    assert to_arrow(table, {"latent": np.arange(3), "shares": Ragged.of(lists)}) == whole


def test_what_is_more_than_a_row_group_is_converted_in_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(columns, "VALUES_PER_GROUP", 10)
    lists = [[0.25] * n for n in (4, 4, 4, 25, 0, 1)]
    table = TABLES["head_shares"]
    names = np.arange(6)
    whole = to_arrow(table, {"latent": names, "shares": lists})
    for shares in (lists, Ragged.of(lists), whole.column("shares")):
        parts = list(columns.in_parts(table, {"latent": names, "shares": shares}))
        assert [len(part["latent"]) for part in parts] == [2, 1, 1, 2]
        assert pa.concat_tables([to_arrow(table, part) for part in parts]) == whole
    short = {"latent": names[:3], "shares": lists}
    with pytest.raises(ValueError, match="expected length"):
        [to_arrow(table, part) for part in columns.in_parts(table, short)]


def test_names_that_are_not_there_are_told_with_those_that_are(tmp_path: Path) -> None:
    run = open_run(write(tmp_path / "r"))
    asked: list[tuple[dict[str, object], str]] = [
        (
            {"name": "head_shraes", "slug": "a"},
            "no table 'head_shraes'. Did you mean 'head_shares'",
        ),
        ({"name": "head_shares"}, "is about one SAE. Say which: 'a'"),
        ({"name": "head_shares", "slug": "b"}, "no SAE 'b'"),
        (
            {"name": "activity", "slug": "a"},
            "no table 'activity' for 'a'. It holds head_sh",
        ),
        ({"name": "prompts", "slug": "a"}, "is about the whole run, not about 'a'"),
        ({"name": "head_shares", "slug": "a", "columns": ["share"]}, "Did you mean 'shares'"),
    ]
    for arguments, said in asked:
        with pytest.raises(SaereportError) as caught:
            run.table(**arguments)  # type: ignore[arg-type]
        assert said in str(caught.value)
    with pytest.raises(SaereportError, match="no table 'activty'"):
        run.has("activty")
    with pytest.raises(SaereportError, match=r"no SAE 'x'. There is a\."):
        run.info.sae("x")


@pytest.mark.parametrize("name", ["run.json", "saes/a/head_shares.parquet"])
def test_a_file_that_cannot_be_read_is_not_called_damaged(name: str) -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        path = write(folder / "r")
        with as_nobody(folder):
            (path / name).chmod(0)
            with pytest.raises(SaereportError, match="cannot be read: Permission denied"):
                open_run(path).verify()
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["saes", "saes/a", "saes/a/head_shares.parquet", "run.json"])
def test_no_link_in_a_run_is_followed(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "r")
    (path / name).rename(tmp_path / "elsewhere")
    (path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SaereportError, match="is a link, which is not followed"):
        open_run(path).verify()


def test_a_link_to_a_run_in_a_report_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "run").symlink_to(write(tmp_path / "r"))
    with pytest.raises(SaereportError, match="is a link, which is not followed"):
        open_run(tmp_path / "report")


def test_row_groups_hold_no_more_than_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "VALUES_PER_GROUP", 10)
    lists = pa.array([[0] * n for n in (4, 4, 4, 25, 0, 1)], pa.list_(pa.int32()))
    groups = list(columns.row_groups(pa.table({"x": lists})))
    assert [group.num_rows for group in groups] == [2, 1, 1, 2]
    assert pa.concat_tables(groups).column("x").combine_chunks() == lists
