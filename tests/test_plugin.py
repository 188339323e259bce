"""A package that adds one of everything, installed beside a saereport that knows nothing of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "tests" / "plugin"
LATENTS = "47,324,893,1342"
BLIND = 324


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the plug-in is installed, with its entry points."""
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(PLUGIN, source)
    target = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*command, str(target), str(source)], check=True, capture_output=True)
    return target


@dataclass(frozen=True)
class Shell:
    """saereport's command line with the plug-in installed."""

    packages: Path
    folder: Path

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join([str(self.packages), str(ROOT)])
        done = subprocess.run(
            [sys.executable, "-m", "saereport", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done


def gains(n: int) -> np.ndarray:
    return (2.0 ** (np.arange(n) % 3 - 1)).astype(np.float32)


def with_gains(folder: Path) -> Path:
    """The demo's residual SAE as an SAE with gains: the same reconstructions, scaled latents."""
    shutil.copytree(ROOT / "saereport/demo/saes/resid-l10", folder)
    path = folder / "sae_weights.safetensors"
    weights = load_file(path)
    gain = gains(len(weights["b_enc"]))
    save_file({**weights, "gain": gain, "W_dec": weights["W_dec"] / gain[:, None]}, path)
    cfg = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps({**cfg, "architecture": "gain_jumprelu"}))
    return folder


@pytest.fixture(scope="module")
def shell(site_packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A folder with a report that was built with the plug-in."""
    made = Shell(site_packages, tmp_path_factory.mktemp("work"))
    plain = ROOT / "saereport/demo/saes/resid-l10"
    config = {
        "model": "demo",
        "dataset": "demo",
        "tokens": 2048,
        "evaluate": 256,
        "saes": [
            {"path": str(plain), "latents": LATENTS},
            {"path": str(with_gains(made.folder / "gains")), "latents": LATENTS},
        ],
        "prompts": [{"name": "Paris", "text": "The Eiffel tower is in the city of => Paris"}],
        "circuits": {"pairs_kept": 40, "checks": 1, "attributed": 1, "examples": 0},
        "blind": [f"gains:{BLIND}"],
        "profile": {"sequences": 4},
    }
    (made.folder / "report.yaml").write_text(yaml.safe_dump(config))
    made("--quiet", "build", "report.yaml", "--out", "report")
    return made


def rows(shell: Shell, run: str, table: str, slug: str) -> dict[int, dict[str, Any]]:
    """A table by its first column, read without the plug-in: a run says itself what it holds."""
    from saereport.run import open_run

    found = open_run(shell.folder / run).table(table, slug).to_pylist()
    return {next(iter(row.values())): row for row in found}


pytestmark = [pytest.mark.model, pytest.mark.package, pytest.mark.slow]


def test_nothing_of_saereport_knows_of_it() -> None:
    words = ("streak", "outlier_dimension", "position_profile", "gain_jumprelu", "l0.first")
    for folder in ("saereport", "templates"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".html", ".js", ".css", ".ts", ".yaml"):
                text = path.read_text(encoding="utf-8", errors="replace")
                assert not [word for word in words if word in text], path


def test_its_tables_hold_what_they_say(shell: Shell) -> None:
    for slug in ("resid-l10", "gains"):
        active = rows(shell, "report", "activity", slug)
        for latent, row in rows(shell, "report", "streaks", slug).items():
            assert row["n_streaks"] * row["mean_length"] == pytest.approx(
                active[latent]["n_active"]
            )
            assert len(row["tokens"]) == min(row["longest"], 16)
    plain, scaled = (rows(shell, "report", "activity", slug) for slug in ("resid-l10", "gains"))
    scale = gains(2304)
    for latent in scaled:
        assert scaled[latent]["n_active"] == plain[latent]["n_active"]
        assert scaled[latent]["max"] == np.float32(plain[latent]["max"] * scale[latent])
    outliers = [rows(shell, "report", "outlier_dimension", s) for s in ("resid-l10", "gains")]
    for latent in outliers[1]:
        assert outliers[0][latent]["dimension"] == outliers[1][latent]["dimension"]
        assert outliers[0][latent]["share"] == pytest.approx(outliers[1][latent]["share"])
    profiles = [rows(shell, "report", "position_profile", s) for s in ("resid-l10", "gains")]
    assert profiles[0] == profiles[1]
    assert {row["n_tokens"] for row in profiles[0].values()} == {4}


def test_its_stage_is_in_a_plan(shell: Shell) -> None:
    """It does not say what it takes, so that is not known; what it is going to do is told."""
    record = json.loads(shell("--quiet", "plan", "report.yaml", "--json").stdout)
    (stage,) = [one for one in record["stages"] if one["name"] == "profile"]
    assert (stage["seconds"], stage["how"]) == (None, "not known")
    assert stage["what"] == "512 tokens, 1 passes"
    assert record["unknown"] == ["profile"]
    assert record["warnings"] == []


def test_it_is_on_the_pages_and_explained(shell: Shell) -> None:
    report = shell.folder / "report"
    page = BeautifulSoup((report / "profile/index.html").read_text(), "html.parser")
    assert page.h1 is not None
    assert page.h1.text == "Activity by position"
    assert len(page.select("section.panel")) == 2
    assert page.select_one("nav a[aria-current]") is not None
    methods = (report / "methods.html").read_text()
    assert "A streak is a run of counted tokens" in methods
    assert "largest, and the share of the row" in methods
    data = (report / "resid-l10" / "d0000.js").read_text()
    assert '["streaks",[' in data
    assert '["outliers",[' in data
    provenance = (report / "provenance.html").read_text()
    assert "saereport-streaks" in provenance
    assert "0.3.0" in provenance


def test_what_reveals_text_is_not_told_of_a_blinded_latent(shell: Shell) -> None:
    assert BLIND in rows(shell, "report", "streaks", "resid-l10")
    assert BLIND not in rows(shell, "report", "streaks", "gains")
    assert BLIND in rows(shell, "report", "outlier_dimension", "gains")


def test_a_cut_holds_its_share(shell: Shell) -> None:
    shell("--quiet", "extract", "report", "--latents", "resid-l10:47", "--out", "part")
    assert set(rows(shell, "part", "streaks", "resid-l10")) == {47}
    assert len(rows(shell, "part", "position_profile", "resid-l10")) > 100


def test_a_single_file_has_its_page_and_gives_its_tables_back(shell: Shell) -> None:
    shell("--quiet", "render", "report", "--single-file", "--out", "one.html")
    text = (shell.folder / "one.html").read_text()
    assert "Activity by position" in text
    said = json.loads(shell("info", "one.html", "--json").stdout)
    assert "streaks" in said["tables"]


def test_gates_checks_and_comparisons_know_its_metrics(shell: Shell) -> None:
    shell(
        "diff", "report", "report", "--fail-on", "streak.size > 0", "--fail-on", "l0.first.size > 0"
    )
    shell("check", "report", "--fail-on", "l0.first > 0", code=3)
    shell("check", "report", "--fail-on", "streak > 1e6")
    done = shell("check", "report", "--fail-on", "streek > 1", code=2)
    assert "Did you mean 'streak'?" in done.stderr


def test_the_report_can_be_published(shell: Shell) -> None:
    shell("publish-check", "report")


def test_it_can_be_skipped_in_part(shell: Shell) -> None:
    shell(
        *("--quiet", "collect", "report.yaml", "--out", "less", "--tokens", "256"),
        *("--skip", "streaks,profile,outlier_dimension,evaluation"),
    )
    said = json.loads(shell("info", "less", "--json").stdout)
    assert not {"streaks", "position_profile", "outlier_dimension"} & set(said["tables"])
    assert said["saes"][0]["left_out"]["streaks"] == "it was skipped"


def test_its_settings_are_checked_at_the_door(shell: Shell) -> None:
    config = yaml.safe_load((shell.folder / "report.yaml").read_text())
    for settings_, says in (
        ({"sequences": 0}, "profile.sequences"),
        ({"sequence": 1}, "sequences"),
    ):
        (shell.folder / "bad.yaml").write_text(yaml.safe_dump({**config, "profile": settings_}))
        done = shell("build", "bad.yaml", "--out", "bad", code=2)
        assert says in done.stderr
        assert len(done.stderr.splitlines()) <= 2


def test_a_run_opens_where_the_plug_in_is_not(shell: Shell) -> None:
    said = shell("--no-plugins", "info", "report").stdout
    assert "streaks" in said
    shell("--no-plugins", "--quiet", "render", "report", "--out", "bare")
    pages = [p.read_text() for p in (shell.folder / "bare").rglob("*.html")]
    assert any("position_profile" in page for page in pages)
    assert not (shell.folder / "bare" / "profile").exists()
    shell("--no-plugins", "publish-check", "bare")
    shell("--no-plugins", "diff", "report", "bare")
    shell("--no-plugins", "check", "report", "--fail-on", "l0.first > 0", code=2)
    done = shell("--no-plugins", "build", "report.yaml", "--out", "none", code=2)
    assert "'profile'" in done.stderr


def test_one_that_cannot_be_imported_is_named_and_the_rest_works(
    shell: Shell, tmp_path: Path
) -> None:
    packages = tmp_path / "packages"
    shutil.copytree(shell.packages, packages)
    (packages / "saereport_streaks" / "pages.py").write_text("import a_package_that_is_not_there\n")
    done = Shell(packages, shell.folder)("render", "report", "--out", str(tmp_path / "broken"))
    assert "'streaks' (saereport.panels) of saereport-streaks 0.3.0" in done.stderr
    assert "a_package_that_is_not_there" in done.stderr
    assert (tmp_path / "broken" / "index.html").is_file()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_its_statistic_merges_exactly(data: st.DataObject) -> None:
    """Streaks of random activity, in every split, against a loop over the tokens."""
    sys.path.insert(0, str(PLUGIN / "src"))
    try:
        from saereport_streaks.streaks import KEPT, Streaks
    finally:
        sys.path.pop(0)
    from saereport.measure import Events, Setting, SortedEvents, TrackedLatents

    n, context, d_sae = 6, 7, 3
    seed = data.draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    active = rng.random((n, context, d_sae)) < 0.6
    tokens = rng.integers(0, 50, (n, context)).astype(np.int32)
    latents = np.arange(d_sae)
    setting = Setting(d_sae=d_sae, d_vocab=50, latents=latents, seed=0)

    def seen(first: int, stop: int) -> Streaks:
        made = Streaks(setting)
        s, p, latent = np.nonzero(active[first:stop])
        events = Events.of(
            first,
            tokens[first:stop],
            np.ones((stop - first, context), bool),
            np.zeros((stop - first, context), np.int32),
            (latent, s * context + p, np.ones(len(s), np.float32)),
        )
        made.update(SortedEvents(events, TrackedLatents(latents, d_sae)))
        return made

    cuts = sorted({0, n, *data.draw(st.lists(st.integers(1, n - 1), max_size=3))})
    parts = [seen(a, b) for a, b in pairwise(cuts)]
    order = data.draw(st.permutations(parts))
    whole = Streaks(setting)
    for part in order:
        kept = Streaks(setting)
        kept.restore(part.state())
        whole.merge(kept)
    found = whole.result(latents, {})["streaks"]
    for latent in latents:
        streaks: list[list[int]] = []
        for s in range(n):
            current: list[int] = []
            for p in range(context):
                if active[s, p, latent]:
                    current.append(int(tokens[s, p]))
                elif current:
                    streaks.append(current)
                    current = []
            if current:
                streaks.append(current)
        longest = max(streaks, key=len, default=[])
        assert found["n_streaks"][latent] == len(streaks)
        assert found["longest"][latent] == len(longest)
        assert found["tokens"][latent].tolist() == longest[:KEPT]
        mean = sum(map(len, streaks)) / max(len(streaks), 1)
        assert found["mean_length"][latent] == pytest.approx(mean)
