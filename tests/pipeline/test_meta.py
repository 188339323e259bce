"""Meta-SAEs in a build: tables against slow computations, the ways to name them, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from bs4 import BeautifulSoup

from saereport.cli import main as cli
from saereport.config.build import make_config, read_config
from saereport.config.meta import parse_meta_sae
from saereport.diff.measured import measured
from saereport.pipeline import build
from saereport.pipeline.preflight import check_everything, check_settings
from saereport.run import Run, open_run
from saereport.site import render
from saereport.sources.hooks import parse_hook
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError, UsageError
from saereport.util.progress import Progress
from tests.factories import make_sae, save_sae, tiny_model

Asked = Callable[..., dict[str, Any]]
QUIET = Progress(quiet=True)
SKIP = [
    *("statistics", "blind", "evaluation", "circuits", "example_attribution", "output_scores"),
    *("interventions", "directions"),
]
TABLES = ("meta_saes", "meta_latents", "meta_parts", "meta_extremes", "meta_words")


@pytest.fixture(scope="module")
def meta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with meta-SAEs of SAEs whose rows have 32 numbers, and one of other widths."""
    folder = tmp_path_factory.mktemp("meta")
    save_sae(folder / "four", "topk", hook_name="decoder_rows", d_sae=16, k=4, seed=9)
    save_sae(folder / "many", "standard", hook_name="blocks.900.nowhere", d_sae=20, seed=4)
    save_sae(folder / "narrow", "topk", hook_name="x", d_in=24, d_sae=16)
    save_sae(folder / "elsewhere", "transcoder", hook_name="blocks.0.ln2.hook_normalized")
    return folder


def collected(asked: Asked, out: Path, *of: dict[str, Any], **changes: Any) -> Run:
    skip = [name for name in SKIP if name != "statistics" and name != "blind"]
    values = asked(meta_saes=list(of), **{"skip": skip, **changes})
    return open_run(build.collect(values, out, progress=QUIET))


def rows_of(folder: Path) -> torch.Tensor:
    return load_sae(SaeSource(path=str(folder))).write_rows().detach()


def meta_of(folder: Path) -> Any:
    return load_sae(SaeSource(path=str(folder)), at=parse_hook("blocks.0.hook_resid_post"))


def test_the_tables_against_slow_computations(
    asked: Asked, small: Path, meta: Path, tmp_path: Path
) -> None:
    run = collected(
        asked, tmp_path / "run", {"of": "early", "path": meta / "four"}, meta={"listed": 5}
    )
    run.verify()
    rows = rows_of(small / "early")
    rows = rows / rows.norm(dim=1, keepdim=True)
    sae = meta_of(meta / "four")
    f, made = sae.encode(rows), sae.reconstruct(rows)
    left = (rows - made).double().square().sum(dim=1).numpy()
    spread = (rows - rows.mean(dim=0)).double().square().sum(dim=1).numpy()
    (row,) = run.table("meta_saes", "early").to_pylist()
    assert (row["meta"], row["label"], row["rows"]) == ("four", "four", "unit")
    assert (row["n_latents"], row["n_meta"], row["d"]) == (40, 16, 32)
    assert row["explained"] == pytest.approx(1 - left.sum() / spread.sum(), abs=1e-5)
    n_active = (f > 0).sum(dim=1).numpy()
    assert row["active"] == pytest.approx(n_active.mean())
    assert row["active_counts"] == np.bincount(n_active).tolist()
    assert row["n_dead"] == int(((f > 0).sum(dim=0) == 0).sum())
    assert row["explained_interval"][0] < row["explained"] < row["explained_interval"][1]
    each = 1 - left / spread
    assert row["n_well"] == (each >= 0.5).sum()
    assert not row["of_batches"]
    assert row["n_taken"] == 40
    goal = rows - sae.decode(torch.zeros_like(f), rows)
    terms = f[:, :, None] * sae.write_rows()[None]
    shares = (terms * goal[:, None]).sum(dim=2) / goal.square().sum(dim=1, keepdim=True)
    largest = torch.where(f > 0, shares, -torch.inf).amax(dim=1)
    largest = torch.where((f > 0).any(dim=1), largest, 0.0)
    assert row["largest"] == pytest.approx(float(largest.mean()), abs=1e-5)
    assert row["others"] == pytest.approx(float((shares.sum(dim=1) - largest).mean()), abs=1e-5)
    ends = run.table("meta_extremes", "early").to_pylist()
    order = np.argsort(each)
    for end, latents in (("least", order[:5]), ("best", order[::-1][:5])):
        assert [r["latent"] for r in ends if r["end"] == end] == latents.tolist()
    parts = run.table("meta_parts", "early").to_pylist()
    assert [one["latent"] for one in parts] == [0, 1, 2, 3]
    for one in parts:
        latent = one["latent"]
        assert one["explained"] == pytest.approx(each[latent], abs=1e-5)
        assert sorted(one["parts"]) == np.flatnonzero(f[latent].numpy() > 0).tolist()
        assert sum(one["shares"]) + one["left"] == pytest.approx(1, abs=1e-4)
    known = {one["number"]: one for one in run.table("meta_latents", "early").to_pylist()}
    assert {part for one in parts for part in one["parts"]} <= known.keys()
    lens = sae.write_rows() @ tiny_model().wiring.unembedding(slice(0, 100))
    for number, one in known.items():
        column = f[:, number].numpy()
        assert one["n_active"] == (column > 0).sum()
        best = [x for x in np.argsort(-column, kind="stable")[:10] if column[x] > 0]
        assert one["latents"] == best
        np.testing.assert_allclose(one["activations"], column[best], rtol=1e-5)
        scores = lens[number].numpy()
        np.testing.assert_allclose(one["top_values"], -np.sort(-scores)[:6], rtol=1e-4)
        np.testing.assert_allclose(one["bottom_values"], np.sort(scores)[:6], rtol=1e-4)
    found = measured(run).saes["early"]
    assert found["meta.explained_variance"] == row["explained"]
    assert found["meta.dead_share"] == row["n_dead"] / 16
    assert not any(name.startswith("meta.") for name in measured(run).saes["late"])


def test_rows_as_they_are_stored_and_which_way_explains_more(
    asked: Asked, meta: Path, tmp_path: Path
) -> None:
    base = make_sae("standard", hook_name="blocks.0.hook_resid_post", d_sae=40)
    with torch.no_grad():
        base.W_dec.mul_(torch.linspace(3, 9, 40)[:, None] / base.W_dec.norm(dim=1, keepdim=True))
        base.W_dec[7] = 0
    base.save_model(tmp_path / "early")
    # A meta-SAE that gives back what is as long as the stored rows, and half of what is not.
    one = make_sae("standard", hook_name="x", d_in=32, d_sae=64)
    with torch.no_grad():
        eye = torch.eye(32)
        one.W_enc.copy_(torch.cat([eye, -eye]).T)
        one.W_dec.copy_(torch.cat([eye, -eye]))
        one.b_enc.fill_(-0.1)
        one.b_dec.zero_()
    one.save_model(tmp_path / "both")
    of = {"of": "early", "path": tmp_path / "both"}
    saes = [{"path": tmp_path / "early"}]
    found = {}
    for rows in ("unit", "stored"):
        run = collected(asked, tmp_path / rows, {**of, "rows": rows}, saes=saes, explanations=None)
        (found[rows],) = run.table("meta_saes", "early").to_pylist()
    assert found["unit"]["n_without"] == 1
    assert found["unit"]["n_latents"] == 39
    assert found["unit"]["explained"] < found["stored"]["explained"]
    for rows, other in (("unit", "stored"), ("stored", "unit")):
        assert found[rows]["explained"] == pytest.approx(found[other]["explained_other"], abs=1e-5)
    assert found["unit"]["meta"] == "both"
    for rows in ("unit", "stored"):
        render(tmp_path / rows, tmp_path / f"{rows}-report")
        page = tmp_path / f"{rows}-report" / "meta-saes" / "of-early--both.html"
        text = BeautifulSoup(page.read_text("utf-8"), "html.parser").get_text(" ")
        assert ("It may have been trained so" in text) == (rows == "unit")


def test_directions_at_the_heads_outputs_go_through_the_output_matrices(
    asked: Asked, meta: Path, tmp_path: Path
) -> None:
    save_sae(tmp_path / "z", "standard", hook_name="blocks.1.attn.hook_z", d_sae=24)
    saes = [{"path": tmp_path / "z"}]
    run = collected(asked, tmp_path / "run", {"of": "z", "path": meta / "four"}, saes=saes)
    model = tiny_model()
    heads = meta_of(meta / "four").write_rows().reshape(16, 4, 8)
    stream = torch.einsum("nhk,hkd->nd", heads, model.W_O(1))
    lens = (stream @ model.wiring.unembedding(slice(0, 100))).numpy()
    for one in run.table("meta_latents", "z").to_pylist():
        np.testing.assert_allclose(
            one["top_values"], -np.sort(-lens[one["number"]])[:6], rtol=1e-3, atol=1e-5
        )


def test_a_base_outside_of_the_residual_stream_has_no_lens(
    asked: Asked, meta: Path, tmp_path: Path
) -> None:
    save_sae(tmp_path / "mlp", "standard", hook_name="blocks.1.ln2.hook_normalized", d_sae=24)
    saes = [{"path": tmp_path / "mlp"}]
    run = collected(asked, tmp_path / "run", {"of": "mlp", "path": meta / "four"}, saes=saes)
    (row,) = run.table("meta_saes", "mlp").to_pylist()
    assert row["no_lens"] == "it writes to the input of an MLP, not into the residual stream"
    assert all(not one["top_tokens"] for one in run.table("meta_latents", "mlp").to_pylist())
    render(run.path, tmp_path / "report")
    page = (tmp_path / "report" / "meta-saes" / "of-mlp--four.html").read_text("utf-8")
    assert "Meta-latents have no logit lens" in page


def test_it_depends_on_no_text_and_several_stand_side_by_side(
    asked: Asked, meta: Path, tmp_path: Path
) -> None:
    both = [
        {"of": "early", "path": meta / "many"},
        {"of": "early", "path": meta / "four"},
        {"of": "late", "path": meta / "four", "name": "My own"},
    ]
    first = collected(asked, tmp_path / "run", *both)
    other = collected(asked, tmp_path / "other", *both, tokens=300)
    for slug in ("early", "late"):
        for table in TABLES:
            assert first.table(table, slug).equals(other.table(table, slug))
    assert first.table("meta_saes", "early").column("meta").to_pylist() == ["four", "many"]
    assert first.table("meta_saes", "late").column("label").to_pylist() == ["My own"]
    render(first.path, tmp_path / "report")
    names = {path.name for path in (tmp_path / "report" / "meta-saes").glob("*.html")}
    assert names == {
        *("index.html", "of-early--four.html", "of-early--many.html", "of-late--my-own.html"),
    }


def test_without_any_and_skipped_there_is_nothing(asked: Asked, meta: Path, tmp_path: Path) -> None:
    run = collected(asked, tmp_path / "run")
    assert not run.has("meta_saes", "early")
    assert "meta_saes" not in run.info.sae("early").left_out
    of = {"of": "early", "path": meta / "four"}
    run = collected(asked, tmp_path / "skipped", of, skip=["meta"])
    assert run.info.sae("early").left_out["meta_saes"] == "it was skipped"
    render(run.path, tmp_path / "report")
    assert not (tmp_path / "report" / "meta-saes").exists()


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ({"of": "earli", "path": "four"}, "There is no SAE 'earli' that a meta-SAE could be of."),
        ({"of": "early", "path": "fuor"}, "There is no SAE directory at"),
        (
            {"of": "early", "path": "narrow"},
            "reads 24 numbers, and a decoder row of 'early' has 32",
        ),
        ({"of": "early", "path": "elsewhere"}, "is a transcoder"),
        ({"of": "early"}, "needs a path, or a release and an id"),
        ({"of": "early", "release": "none-such", "sae_id": "x"}, "none-such"),
        ({"of": "early", "path": "four", "sae_id": "x"}, "both by a path and by a release"),
    ],
)
def test_what_cannot_be_is_refused_before_torch_is_needed(
    asked: Asked, meta: Path, of: dict[str, Any], said: str
) -> None:
    given = {**of, **({"path": meta / of["path"]} if "path" in of else {})}
    with pytest.raises(SaereportError) as caught:
        check_everything(make_config(asked(meta_saes=given)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_near_names_are_proposed_and_equal_ones_refused(asked: Asked, meta: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'early'"):
        check_settings(make_config(asked(meta_saes={"of": "earli", "path": meta / "four"})))
    twice = [{"of": "early", "path": meta / "four"}] * 2
    with pytest.raises(UsageError, match="Two meta-SAEs of 'early' are called 'four'"):
        check_settings(make_config(asked(meta_saes=twice)))
    check_settings(make_config(asked(meta_saes=[twice[0], {**twice[1], "name": "again"}])))
    for wrong, words in (({"well": 0}, "cannot be"), ({"wel": 0.5}, "Did you mean 'well'")):
        with pytest.raises(UsageError, match=words):
            make_config(asked(meta=wrong))
    with pytest.raises(UsageError, match="rows"):
        make_config(asked(meta_saes={"of": "early", "path": "x", "rows": "long"}))


def test_what_only_loading_tells_is_refused_before_the_text_is_read(
    asked: Asked, meta: Path, small: Path, tmp_path: Path
) -> None:
    save_sae(tmp_path / "whole", "topk", hook_name="x", d_sae=16)
    config = json.loads((tmp_path / "whole" / "cfg.json").read_text())
    weights = tmp_path / "whole" / "sae_weights.safetensors"
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    tensors["W_dec"][3, 4] = float("nan")
    save_file(tensors, weights)
    assert config["architecture"] == "topk"
    with pytest.raises(SaereportError, match="holds NaN"):
        collected(asked, tmp_path / "run", {"of": "early", "path": tmp_path / "whole"})


def test_metadata_of_a_meta_sae_are_not_the_models(asked: Asked, tmp_path: Path) -> None:
    """No hook point, another model, hostile words: nothing of it is asked of the model."""
    save_sae(tmp_path / "odd", "topk", hook_name="x", d_sae=16)
    file = tmp_path / "odd" / "cfg.json"
    config = json.loads(file.read_text())
    config["metadata"] = {
        **config["metadata"],
        "hook_name": None,
        "model_name": "<script>alert(1)</script>",
        "model_from_pretrained_kwargs": {"trust_remote_code": True, "n_ctx": -3},
        "context_size": None,
    }
    file.write_text(json.dumps(config))
    name = "<img src=x onerror=alert(1)>"
    of = {"of": "early", "path": tmp_path / "odd", "name": name}
    run = collected(asked, tmp_path / "run", of)
    (row,) = run.table("meta_saes", "early").to_pylist()
    assert (row["label"], row["meta"]) == (name, "img-src-x-onerror-alert-1")
    render(run.path, tmp_path / "report")
    (page,) = (tmp_path / "report" / "meta-saes").glob("*.html")
    assert "<img" not in page.read_text("utf-8")


def test_they_are_named_on_the_command_line_and_in_yaml(
    monkeypatch: pytest.MonkeyPatch, meta: Path, small: Path, tmp_path: Path
) -> None:
    assert parse_meta_sae("early=a/b") == {"of": "early", "path": "a/b"}
    release = {"of": "early", "release": "gemma-res", "sae_id": "layer_2/width_16k"}
    assert parse_meta_sae("early=gemma-res:layer_2/width_16k") == release
    for words in ("early", "=x", "early="):
        with pytest.raises(UsageError, match="names no meta-SAE"):
            parse_meta_sae(words)
    found: list[Any] = []
    monkeypatch.setattr(cli, "check_output", lambda *_args, **_options: None)
    monkeypatch.setattr(cli, "check_everything", found.append)
    monkeypatch.setattr("saereport.pipeline.build.build", lambda *_args, **_options: None)
    of = (f"early={meta / 'four'}", "early=rel:id")
    words = [word for one in of for word in ("--meta-sae", one)]
    code = cli.run(["--no-plugins", "build", "--sae-path", str(small / "early"), *words])
    assert code == 0
    named = [(one.of, one.path, one.release, one.sae_id) for one in found[0].meta_saes]
    assert named == [("early", meta / "four", None, None), ("early", None, "rel", "id")]
    # A path in a file is taken from the file's folder.
    file = meta / "report.yaml"
    file.write_text(yaml.safe_dump({"meta_saes": [{"of": "early", "path": "four"}]}))
    assert make_config(read_config(file)).meta_saes[0].path == meta / "four"


def test_the_plan_says_how_much_there_is(asked: Asked, meta: Path, tmp_path: Path) -> None:
    from tests.pipeline.test_build import Told

    told = Told()
    values = asked(meta_saes={"of": "early", "path": meta / "four"}, skip=SKIP[2:])
    build.collect(values, tmp_path / "run", progress=told)
    assert any("meta (1 meta-SAE, 40 decoder rows)" in line for line in told.lines)
