"""What a run cannot be is refused in one line when it is opened, though its sums are right."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saereport.run import kinds, open_run, validation
from saereport.run.tables import TABLES
from saereport.site import packing
from saereport.util.errors import SaereportError
from tests.run.fuzzing import Good, good

Columns = dict[str, list[Any]]
SLUG = "synthetic-l3-residual"


@pytest.fixture(scope="module", params=[False, True], ids=["prompts", "graph"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Good:
    return good(tmp_path_factory.mktemp("good") / "run", graph=request.param)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return good(tmp_path_factory.mktemp("plain") / "run", graph=False)


def rewritten(of: Good, folder: Path, name: str, change: Callable[[Columns], None]) -> Path:
    """A run in which one table was changed and the sums are right."""
    table = TABLES[name]
    path = next(path for path in of.tables if path.endswith(f"/{name}.parquet"))
    columns = of.tables[path].to_pydict()
    change(columns)
    new = pa.table(columns, schema=table.schema)
    of.put(folder)
    pq.write_table(new, folder / path)
    return signed(of, folder, path, new.num_rows)


def signed(of: Good, folder: Path, path: str, rows: int) -> Path:
    data = (folder / path).read_bytes()
    own = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "rows": rows}
    files = [{**f, **own} if f["path"] == path else f for f in of.info["files"]]
    (folder / "run.json").write_text(json.dumps({**of.info, "files": files}))
    return folder


def set_to(name: str, value: Any, row: int = 0) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[name][row] = value

    return change


def entry(name: str, value: Any) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[name][0][0] = value

    return change


def shorter(name: str) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[name][0] = columns[name][0][:-1]

    return change


def turned(columns: Columns) -> None:
    for values in columns.values():
        values.reverse()


def doubled(columns: Columns) -> None:
    for values in columns.values():
        values[1] = values[0]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("activity", set_to("latent", 48, -1), "'latent' holds 48, outside of 0 to 47"),
        ("activity", set_to("density", float("nan")), "'density' holds nan"),
        ("activity", set_to("max", float("inf")), "'max' holds inf"),
        ("activity", set_to("density", 1.5), "'density' holds 1.5, outside of 0 to 1.001"),
        ("activity", set_to("n_active", -1), "'n_active' holds -1"),
        ("activity", set_to("n_active", 2**60), "'n_active' holds 1,152,921,504,606,846,976"),
        ("activity", shorter("quantile_values"), "'quantile_values' has not 0 or 7 entries"),
        ("sae_metrics", shorter("interval"), "'interval' has not 0 or 2 entries"),
        ("activity", turned, "not sorted by latent"),
        ("activity", doubled, "not sorted by latent, or two are the same"),
        ("logit_lens", entry("top_tokens", 405_856), "'top_tokens' holds 405,856"),
        ("logit_lens", entry("bottom_tokens", -1), "'bottom_tokens' holds -1"),
        ("logit_lens", shorter("top_values"), "'top_tokens' and 'top_values' have not equally"),
        ("logit_lens", entry("counts", -1), "'counts' holds -1"),
        ("activation_histogram", set_to("exponent", 2000), "'exponent' holds 2,000"),
        ("neighbours", set_to("other", 48), "'other' holds 48"),
        ("decoder_directions", shorter("direction"), "'direction' has not equally many entries"),
        ("example_components", shorter("mlps"), "'mlps' has not equally many entries"),
        ("head_shares", set_to("shares", []), "a list in 'shares' is empty"),
        ("influences", set_to("source", 639), "'source' lies behind the end of its prompt"),
        ("decoder_directions", entry("direction", np.float16("nan")), "what is not a number"),
        ("examples", shorter("active_values"), "'active_positions' and 'active_values'"),
        ("examples", set_to("sequence", 999), "names the sequence 999, which the run does not"),
        ("examples", set_to("position", 32), "'position' lies behind the end of its sequence"),
        ("examples", set_to("stop", 33), "does not lie in its window, or the window not in"),
        ("examples", set_to("start", 31), "does not lie in its window"),
        ("examples", set_to("active_positions", [40] * 4), "'active_positions' do not rise"),
        ("examples", set_to("group", "../x"), r"'group' holds '\.\./x', which it cannot"),
        ("explanations", set_to("text", "x" * 70_000), "longer than 65,536 bytes"),
        ("vocabulary", set_to("bytes", b"x" * 70_000), "longer than 65,536 bytes"),
        ("sequences", shorter("counted"), "'tokens' and 'counted' have not equally"),
        ("prompts", set_to("slug", "../../x"), r"'\.\./\.\./x', which cannot be the name"),
        ("prompts", set_to("slug", "con"), "'con', which cannot be the name of a file"),
        ("prompts", set_to("slug", "prompt-1"), "two prompts share a slug"),
        ("prompts", set_to("slug", "prompt-1-graph"), "cannot be the name of a file"),
        ("prompt_activations", shorter("values"), "not one entry for each token"),
        ("patterns", shorter("values"), "not one entry for each pair"),
        ("gradients", set_to("late_position", 500), "behind the end of its prompt"),
        ("gradients", set_to("prompt", 9, -1), "names the prompt 9"),
        ("gradients", set_to("early", "<b>"), "'early' holds '<b>'"),
    ],
)
def test_what_cannot_be_is_refused(
    plain: Good, tmp_path: Path, name: str, change: Callable[[Columns], None], message: str
) -> None:
    run = open_run(rewritten(plain, tmp_path / "run", name, change))
    slugs = [sae.slug for sae in run.info.saes if TABLES[name].scope == "sae"]
    slug = next((slug for slug in slugs if run.has(name, slug)), None)
    with pytest.raises(SaereportError, match=message) as caught:
        run.table(name, slug, columns=[])
    assert f"{name}.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_can_be_is_not_refused(either: Good, tmp_path: Path) -> None:
    either.put(tmp_path / "run")
    open_run(tmp_path / "run").verify()


def test_row_groups_are_checked_against_each_other(plain: Good, tmp_path: Path) -> None:
    path = f"saes/{SLUG}/activity.parquet"
    plain.put(tmp_path / "run")
    table = plain.tables[path]
    with pq.ParquetWriter(tmp_path / "run" / path, table.schema) as writer:
        writer.write_table(table.slice(3))
        writer.write_table(table.slice(0, 3))
    run = open_run(signed(plain, tmp_path / "run", path, table.num_rows))
    with pytest.raises(SaereportError, match="not sorted by latent"):
        run.table("activity", SLUG)


def test_text_that_is_not_utf_8(plain: Good, tmp_path: Path) -> None:
    def change(columns: Columns) -> None:
        raw = pa.array([b"\xff\xfe"] * len(columns["text"]), pa.binary())
        columns["text"] = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())

    run = open_run(rewritten(plain, tmp_path / "run", "explanations", change))
    with pytest.raises(SaereportError, match="UTF8"):
        run.table("explanations", SLUG)


def test_names_of_columns_that_are_not_utf_8(plain: Good, tmp_path: Path) -> None:
    path = f"saes/{SLUG}/activation_histogram.parquet"
    plain.put(tmp_path / "run")
    data = (tmp_path / "run" / path).read_bytes()
    assert b"latent" in data
    (tmp_path / "run" / path).write_bytes(data.replace(b"latent", b"la\xcdent"))
    run = open_run(signed(plain, tmp_path / "run", path, plain.tables[path].num_rows))
    with pytest.raises(SaereportError, match="activation_histogram"):
        run.table("activation_histogram", SLUG)


def test_a_small_file_that_is_gigabytes_of_text_is_not_read(plain: Good, tmp_path: Path) -> None:
    path, n = f"saes/{SLUG}/explanations.parquet", 17_000
    plain.put(tmp_path / "run")
    columns = {"latent": [0] * n, "rank": range(n), "text": ["x" * 65_000] * n, "source": [""] * n}
    with pq.ParquetWriter(tmp_path / "run" / path, TABLES["explanations"].schema) as writer:
        for start in range(0, n, 1000):
            part = {name: list(values[start : start + 1000]) for name, values in columns.items()}
            writer.write_table(pa.table(part, schema=TABLES["explanations"].schema))
    assert (tmp_path / "run" / path).stat().st_size < 2**19
    run = open_run(signed(plain, tmp_path / "run", path, n))
    with pytest.raises(SaereportError, match="more text than is read"):
        run.table("explanations", SLUG)


def test_rows_are_counted_before_they_are_read(
    plain: Good, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.put(tmp_path / "run")
    signed(plain, tmp_path / "run", f"saes/{SLUG}/activity.parquet", 5)
    with pytest.raises(SaereportError, match=r"has 6 rows and run\.json says 5"):
        open_run(tmp_path / "run").table("activity", SLUG)
    plain.put(tmp_path / "run")
    for name, message in (("GROUP_ROWS", "rows in one group"), ("VALUES", "more values than")):
        with monkeypatch.context() as patched:
            patched.setattr(validation, name, 3)
            with pytest.raises(SaereportError, match=message):
                open_run(tmp_path / "run").table("activity", SLUG)


def deep(n: int) -> Any:
    value: Any = 0
    for _ in range(n):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"config": ' + "[" * 10_000 + "]" * 10_000, "nested more than 48 deep"),
        ('"config": {"a": 1, "a": 2}', "a key is there twice"),
        ('"config": {"a": NaN}', "NaN is not a number"),
        ('"config": {"a": 1e999}', "not JSON"),
        ('"config": {"a": ' + "9" * 5000 + "}", "not JSON"),
        ('"config": {"a": "\\ud800"}', "not JSON"),
        ('"config": [' + ",".join(["1"] * 4_000_001) + "]", "more than 4,000,000 values"),
        ('"title": "' + "x" * 70_000 + '"', "title"),
    ],
    ids=["deep", "twice", "nan", "infinite", "huge", "half a character", "many", "long"],
)
def test_json_that_is_too_much(plain: Good, tmp_path: Path, text: str, message: str) -> None:
    plain.put(tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    key = text.split(":")[0].strip('"')
    rest = {k: v for k, v in plain.info.items() if k != key}
    path.write_text(json.dumps(rest)[:-1] + ", " + text + "}")
    with pytest.raises(SaereportError, match=message) as caught:
        open_run(tmp_path / "run")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("model", "n_layers"), 10**9, "n_layers"),
        (("model", "n_heads"), -1, "n_heads"),
        (("text", "context_size"), 10**12, "context_size"),
        (("text", "n_tokens"), 10**300, "n_tokens"),
        (("saes", 0, "d_sae"), 2**40, r"saes\.0\.d_sae"),
        (("saes", 0, "layer"), 10**9, r"saes\.0\.layer"),
        (("saes", 0, "n_dead"), 49, "n_dead is more than d_sae"),
        (("saes", 0, "l0"), {"mean": 1, "width": 0, "histogram": []}, r"saes\.0\.l0\.width"),
        (("saes", 0, "l0"), {"mean": 1, "width": 1, "histogram": [-1]}, "histogram"),
        (("saes", 0, "slug"), "lpt1.x", "cannot be the name of a folder everywhere"),
        (("saes", 0, "slug"), "x.", "cannot be the name of a folder everywhere"),
        (("saes", 0, "slug"), "synthetic-l6-attention", "share a slug"),
        (("files", 0, "rows"), -1, "rows"),
    ],
)
def test_sizes_and_names_in_run_json(
    plain: Good, tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    plain.put(tmp_path / "run")
    info = json.loads(json.dumps(plain.info))
    holder = info
    for key in place[:-1]:
        holder = holder[key]
    if place[-1] == "slug":
        info["files"] = []
    holder[place[-1]] = value
    (tmp_path / "run" / "run.json").write_text(json.dumps(info))
    with pytest.raises(SaereportError, match=message):
        open_run(tmp_path / "run")


def test_values_by_head_need_heads(plain: Good, tmp_path: Path) -> None:
    plain.put(tmp_path / "run")
    for n_heads in (0, 5):
        info = {**plain.info, "model": {**plain.info["model"], "n_heads": n_heads}}
        (tmp_path / "run" / "run.json").write_text(json.dumps(info))
        run = open_run(tmp_path / "run")
        with pytest.raises(SaereportError, match=f"each of the model's {n_heads} heads"):
            run.table("example_components", SLUG)


def test_a_file_that_is_listed_twice(plain: Good, tmp_path: Path) -> None:
    plain.put(tmp_path / "run")
    info = {**plain.info, "files": plain.info["files"] * 2}
    (tmp_path / "run" / "run.json").write_text(json.dumps(info))
    with pytest.raises(SaereportError, match="lists a file twice"):
        open_run(tmp_path / "run")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
@pytest.mark.parametrize("what", [f"saes/{SLUG}/activity.parquet", f"saes/{SLUG}", "run.json"])
def test_no_link_leads_out_of_the_folder(plain: Good, tmp_path: Path, what: str) -> None:
    plain.put(tmp_path / "run")
    moved = tmp_path / "elsewhere"
    (tmp_path / "run" / what).rename(moved)
    (tmp_path / "run" / what).symlink_to(moved)
    with pytest.raises(SaereportError, match="is a link, which is not followed"):
        open_run(tmp_path / "run").table("activity", SLUG)


def test_a_run_may_be_reached_by_a_link(plain: Good, tmp_path: Path) -> None:
    plain.put(tmp_path / "run")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    assert open_run(tmp_path / "link").table("activity", SLUG).num_rows == 6


def test_the_largest_token_is_the_largest_that_pages_can_write() -> None:
    assert kinds.TOKENS == packing.LIMIT
