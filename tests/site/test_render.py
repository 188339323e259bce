from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup

from saereport.run import open_run
from saereport.site import render
from saereport.site.csp import policy
from saereport.site.numbers import count
from saereport.site.templating import breakable, coded
from saereport.util.errors import SaereportError
from tests.synthetic import HOSTILE, Shape, write_run

GOLD = Path(__file__).parent.parent / "gold" / "site"
ROOT = Path(__file__).parent.parent.parent


def pages(report: Path) -> list[Path]:
    return sorted(path for path in report.rglob("*.html"))


def data_scripts(report: Path) -> list[Path]:
    found = [*report.glob("*.js"), *report.glob("*/[dlt]*.js")]
    return sorted(path for path in found if path.parent.name != "assets")


def contents(report: Path) -> dict[str, str]:
    return {
        path.relative_to(report).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(report.rglob("*"))
        if path.is_file()
    }


def test_a_single_sae_is_the_front_page(single_report: Path, single_run: Path) -> None:
    slug = open_run(single_run).info.saes[0].slug
    assert "Sparse autoencoder" in (single_report / "index.html").read_text()
    assert not (single_report / slug / "index.html").exists()
    assert len(list((single_report / slug).glob("l*.html"))) == 3


def test_several_saes_have_an_overview(hostile_report: Path, hostile_run: Path) -> None:
    soup = BeautifulSoup((hostile_report / "index.html").read_text("utf-8"), "html.parser")
    cards = [a["href"] for a in soup.select("a.card-link")]
    assert cards == [f"{sae.slug}/index.html" for sae in open_run(hostile_run).info.saes]


def test_every_link_and_anchor_resolves(hostile_report: Path, single_report: Path) -> None:
    for report in (hostile_report, single_report):
        for page in pages(report):
            soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")
            for tag, name in (("a", "href"), ("link", "href"), ("script", "src"), ("img", "src")):
                for found in soup.find_all(tag):
                    check_link(page, str(found.get(name, "")), report)


def check_link(page: Path, link: str, report: Path) -> None:
    if link.startswith(("https://www.neuronpedia.org/", "data:,")):
        return
    path, _, anchor = link.partition("#")
    assert not re.match(r"[a-z]+:|/", path), f"{page}: {link} is not relative"
    target = (page.parent / unquote(path)).resolve() if path else page
    assert target.is_file(), f"{page}: {link}"
    assert report.resolve() in target.resolve().parents
    if anchor:
        assert f'id="{anchor}"' in target.read_text("utf-8"), f"{page}: {link}"


def test_the_policy_is_the_first_meta(hostile_report: Path) -> None:
    for page in pages(hostile_report):
        first = BeautifulSoup(page.read_text("utf-8"), "html.parser").find("meta")
        assert first is not None
        assert first["http-equiv"] == "Content-Security-Policy"
        assert first["content"] == policy(embed_neuronpedia=False)
        assert "frame-src" not in str(first["content"])


def test_only_the_embed_allows_a_frame(single_run: Path, tmp_path: Path) -> None:
    render(single_run, tmp_path / "out", embed_neuronpedia=True)
    text = (tmp_path / "out" / "index.html").read_text()
    assert "frame-src https://www.neuronpedia.org" in text
    page = next((tmp_path / "out").glob("*/l0000.html")).read_text()
    assert "<iframe" not in page
    assert 'data-embed="yes"' in page


def test_hostile_text_stays_text(hostile_report: Path) -> None:
    for page in pages(hostile_report):
        text = page.read_text("utf-8")
        soup = BeautifulSoup(text, "html.parser")
        assert all(script.get("src") and not script.text for script in soup.find_all("script"))
        assert not [
            tag for tag in soup.find_all(True) if any(k.startswith("on") for k in tag.attrs)
        ]
        assert not soup.find_all(["style", "iframe", "object", "embed", "base"])
        assert not [tag for tag in soup.find_all(True) if "style" in tag.attrs]
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\u200b\ufeff]", text)
    for script in data_scripts(hostile_report):
        text = script.read_text("utf-8")
        assert not set(text.split("push(", 1)[1]) & set("<>&\u2028\u2029")


def test_names_show_what_cannot_be_seen(hostile_report: Path, hostile_run: Path) -> None:
    info = open_run(hostile_run).info
    assert "\u202e" in info.title
    assert all("\u202e" in sae.label for sae in info.saes)
    soup = BeautifulSoup((hostile_report / "index.html").read_text("utf-8"), "html.parser")
    assert soup.title is not None
    assert soup.title.text.endswith("<U+202E><U+2066><0x1B>")
    assert [a.text[-14:] for a in soup.select("a.card-link")] == ["&<U+202E><0x07>"[-14:]] * 3
    for path in [*pages(hostile_report), *data_scripts(hostile_report)]:
        text = path.read_text("utf-8")
        assert not re.search("[\u202a-\u202e\u2066-\u2069]|\\\\u(202|206)", text), path.name


def test_names_are_safe_everywhere(hostile_report: Path) -> None:
    for path in hostile_report.rglob("*"):
        assert re.fullmatch(r"[a-z0-9._-]+", path.name)


def test_data_scripts_hold_json(hostile_report: Path) -> None:
    scripts = data_scripts(hostile_report)
    assert len(scripts) > 10
    kinds = set()
    for path in scripts:
        text = path.read_text("utf-8")
        prefix = "(self.saereport=self.saereport||[]).push("
        assert text.startswith(prefix)
        record = json.loads(text[len(prefix) :].rstrip().removesuffix(");"))
        kinds.add(record["kind"])
    assert kinds == {"report", "vocabulary", "latents", "shard", "text"}


def test_numbers_that_matter_are_in_the_html(single_report: Path, single_run: Path) -> None:
    run = open_run(single_run)
    slug = run.info.saes[0].slug
    activity = run.table("activity", slug).to_pylist()
    html = "".join(page.read_text("utf-8") for page in pages(single_report / slug))
    for row in activity:
        assert f'id="latent-{row["latent"]}"' in html
        if row["n_active"]:
            assert f"<dd>{count(row['n_active'])}" in html
        else:
            assert "never active on the" in html


def test_the_manifest_lists_every_file(single_report: Path) -> None:
    manifest = json.loads((single_report / "report.json").read_text())
    assert manifest["format"] == "saereport-report"
    listed = {file["path"]: file["sha256"] for file in manifest["files"]}
    found = contents(single_report)
    found.pop("report.json")
    assert listed == found


def test_the_run_in_a_report_can_be_rendered_again(single_report: Path, tmp_path: Path) -> None:
    render(single_report, tmp_path / "again", shard_size=8)
    assert contents(tmp_path / "again") == contents(single_report)


def test_a_report_is_replaced_in_place_from_its_own_run(single_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    render(single_run, out)
    first = contents(out)
    render(out, out)
    assert contents(out) == first


def test_what_lies_in_a_report_and_is_not_its_own_is_never_removed(
    single_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    render(single_run, out)
    (out / "CNAME").write_text("reports.example")
    with pytest.raises(SaereportError, match="not the report's, such as 'CNAME'"):
        render(out, out)
    assert (out / "CNAME").read_text() == "reports.example"


def test_a_folder_that_is_not_a_report_is_left_alone(single_run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(SaereportError, match="exists and is not a report"):
        render(single_run, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "precious"
    (tmp_path / "file").write_text("x")
    with pytest.raises(SaereportError, match="is a file"):
        render(single_run, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    render(single_run, tmp_path / "empty")


def test_a_failure_leaves_the_old_report(
    single_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    render(single_run, out)
    before = contents(out)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("saereport.site.write_manifest", fail)
    with pytest.raises(SaereportError, match=r"The disk that holds .* is full"):
        render(single_run, out)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_missing_sequence_is_said(tmp_path: Path, single_run: Path) -> None:
    from saereport.site.sequences import KeptSequences

    sequences = KeptSequences(open_run(single_run))
    with pytest.raises(SaereportError, match="does not hold"):
        sequences.windows([10**6], [0], [5])


PROGRAM = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        root = name.split(".")[0]
        if root in ("torch", "pandas", "transformers", "sae_lens", "transformer_lens"):
            raise ImportError(name)
sys.meta_path.insert(0, Block())
from pathlib import Path
from saereport.site import render
render(Path(sys.argv[1]), Path(sys.argv[2]), shard_size=16)
assert "torch" not in sys.modules
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "zone", "locale"), [("0", "UTC", "C"), ("4242", "Asia/Kathmandu", "de_DE.UTF-8")]
)
def test_two_renders_are_byte_identical_without_torch(
    hostile_run: Path, hostile_report: Path, tmp_path: Path, seed: str, zone: str, locale: str
) -> None:
    env = {
        **os.environ,
        "PYTHONHASHSEED": seed,
        "TZ": zone,
        "LC_ALL": locale,
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "0",
    }
    command = [sys.executable, "-c", PROGRAM, str(hostile_run), str(tmp_path / "out")]
    subprocess.run(command, check=True, env=env, cwd=tmp_path)
    assert contents(tmp_path / "out") == contents(hostile_report)


def test_gold_data(tmp_path: Path) -> None:
    """The format of the data files: a change shows as a diff of the gold files."""
    shape = Shape(
        d_sae=12,
        n_chosen=3,
        context=12,
        n_sequences=4,
        n_vocabulary=300,
        n_top=2,
        n_intervals=2,
        per_interval=1,
        n_quantiles=0,
        per_quantile=0,
        list_length=2,
        n_dead=1,
    )
    write_run(tmp_path / "run", shape)
    render(tmp_path / "run", tmp_path / "out")
    slug = open_run(tmp_path / "run").info.saes[0].slug
    made = {
        "d0000.js": tmp_path / "out" / slug / "d0000.js",
        "l0000.html": tmp_path / "out" / slug / "l0000.html",
        "latents.js": tmp_path / "out" / slug / "latents.js",
        "t0000.js": tmp_path / "out" / "text" / "t0000.js",
        "report.js": tmp_path / "out" / "report.js",
    }
    if os.environ.get("SAEREPORT_GOLD") == "write":
        GOLD.mkdir(parents=True, exist_ok=True)
        for name, path in made.items():
            (GOLD / name).write_bytes(path.read_bytes())
    for name, path in made.items():
        assert path.read_text("utf-8").split("\n") == (GOLD / name).read_text("utf-8").split("\n")


def test_every_hostile_token_is_in_the_vocabulary(hostile_report: Path) -> None:
    text = (hostile_report / "vocabulary.js").read_text("utf-8")
    record = json.loads(text.split("push(", 1)[1].rstrip().removesuffix(");"))
    assert len(record["tokens"]) == 900
    assert len(set(HOSTILE)) == len(HOSTILE)


def test_names_of_columns_are_code_on_the_methods_page(single_report: Path) -> None:
    """Definitions set them between backticks, as Markdown does."""
    soup = BeautifulSoup((single_report / "methods.html").read_text("utf-8"), "html.parser")
    assert "`" not in soup.get_text()
    section = soup.select_one("#token_statistics")
    assert section is not None
    assert "lift_low" in [code.get_text() for code in section.select("p code")]


def test_code_and_breaks_are_escaped() -> None:
    assert coded("a `<b>` & `c") == "a <code>&lt;b&gt;</code> &amp; `c"
    assert breakable("a.b_c<i>/d e.") == "a.<wbr>b_<wbr>c&lt;i&gt;/d e."
