"""`saereport saes`, and what is said where a release is named without an id."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from saereport.cli import main as cli
from saereport.sources.saes import directory
from saereport.sources.saes.families import families, outcomes


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_every_sae_of_the_directory_is_listed() -> None:
    """Release, id, model and L0 are those that SAELens reads."""
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    theirs = get_pretrained_saes_directory()
    found = {release.name: release for release in directory.listed()}
    assert list(found) == list(theirs)
    for name, release in found.items():
        entry = theirs[name]
        assert (release.model, release.repo) == (entry.model, entry.repo_id)
        assert [sae.sae_id for sae in release.saes] == list(entry.saes_map)
        for sae in release.saes:
            assert (sae.neuronpedia or None) == entry.neuronpedia_id[sae.sae_id]
            if entry.expected_l0[sae.sae_id]:
                assert sae.l0 == entry.expected_l0[sae.sae_id]


@pytest.mark.parametrize(
    ("named", "place", "width", "l0"),
    [
        ("gemma-scope-2b-pt-res layer_3/width_16k/average_l0_14", "hook_resid_post", "16k", 14),
        ("gemma-scope-2b-pt-att-canonical layer_7/width_65k/canonical", "attn.hook_z", "65k", 0),
        ("gemma-scope-2b-pt-transcoders layer_1/width_16k/average_l0_65", "", "16k", 65),
        ("gemma-scope-2-1b-pt-res-all layer_3_width_262k_l0_big", "hook_resid_post", "262k", 80),
        ("gpt2-small-res-jb-feature-splitting blocks.8.hook_resid_pre_768", "_pre", "768", 36),
        ("gpt2-small-mlp-out-v5-128k blocks.4.hook_mlp_out", "hook_mlp_out", "128k", 0),
        ("gpt2-small-hook-z-kk blocks.5.hook_z", "attn.hook_z", "", 17),
        ("llama_scope_lxm_32x l9m_32x", "hook_mlp_out", "131k", 50),
        ("qwen-scope-3-8b-base-w64k-l50 layer11", "hook_resid_post", "64k", 50),
        ("mwhanna-qwen3-4b-transcoders layer_35", "mlp.hook_in", "", 0),
        (
            *("saebench_gemma-2-2b_width-2pow14_date-0107 blocks.12.hook_resid_post__trainer_0",),
            *("hook_resid_post", "16384", 0),
        ),
    ],
)
def test_hook_point_width_and_l0(named: str, place: str, width: str, l0: float) -> None:
    release, _, sae_id = named.partition(" ")
    (found,) = [one for one in directory.listed([release]) if one.name == release]
    sae = next(one for one in found.saes if one.sae_id == sae_id)
    assert sae.place.startswith("blocks.")
    assert sae.place.endswith(place)
    assert (sae.width, sae.l0 or 0) == (width, l0)


def test_nearly_all_have_a_hook_point() -> None:
    every = [sae for release in directory.listed() for sae in release.saes]
    assert all(sae.place for sae in every)
    assert sum(not sae.width for sae in every) / len(every) < 0.1


def test_releases_and_saes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "saes")
    assert code == 0
    assert out.splitlines()[0].split() == ["release", "model", "SAEs", "can", "be", "read"]
    assert "13,8" in out.splitlines()[-1]
    code, out, _ = run(capsys, "saes", "gemma-scope", "2b", "RES", "canonical", "65k")
    assert "layer_20/width_65k/canonical" in out
    assert "blocks.20.hook_resid_post" in out
    assert "16k" not in out
    # A release that is named whole is listed whole, and not those whose names go on after it.
    code, out, _ = run(capsys, "saes", "gemma-scope-2b-pt-res")
    assert len(out.splitlines()) > 316
    assert "canonical" not in out
    code, _, err = run(capsys, "saes", "gpt2-small-resjb")
    assert code == 1
    assert "Did you mean 'gpt2-small-res-jb'" in err


def test_what_is_missing_is_said_as_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    family = families()["gpt-oss-20b-andyrdt"]
    why = outcomes()[family.slug].why["graph"]
    _, out, _ = run(capsys, "saes", family.release)
    assert why in out
    assert "no graph" in out
    code, out, _ = run(capsys, "saes", family.release, "--json")
    rows = json.loads(out)
    assert code == 0
    assert {row["graph"] for row in rows} == {"no"}
    assert all(why in row["reason"] for row in rows)
    assert rows[0]["hook"] == "blocks.3.hook_resid_post"


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("gemma-scope-2b-pt-res", "and 304 more. 'saereport saes gemma-scope-2b-pt-res' lists"),
        ("goodfire-llama-3.1-8b-instruct", "Give --sae-id layer_19."),
        ("mistral-7b-res-wg", "has 3 SAEs, and --sae-id names none of them: blocks.8.hook_resid"),
        ("gpt2-small-resjb", "Did you mean 'gpt2-small-res-jb'"),
        ("owner/repository", "in a repository, the folder that holds the SAE"),
    ],
)
@pytest.mark.parametrize("command", ["build", "collect", "demo"])
def test_a_release_alone_lists_its_ids(
    command: str, release: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, command, "--release", release)
    assert code in (1, 2)
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_a_release_alone_in_a_file(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    (tmp_path / "report.yaml").write_text("saes:\n- release: goodfire-llama-3.1-8b-instruct\n")
    code, _, err = run(capsys, "build", str(tmp_path / "report.yaml"))
    assert code == 2
    assert "Give --sae-id layer_19." in err


def test_it_is_quick_because_nothing_large_is_loaded() -> None:
    code = (
        "import sys\n"
        "from saereport.cli import main as cli\n"
        "assert cli.run(['saes', 'gemma-scope-2b']) == 0\n"
        "assert not {'torch', 'sae_lens', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
