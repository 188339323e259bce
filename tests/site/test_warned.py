from __future__ import annotations

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from saereport.config.build import make_config
from saereport.diff.facts import changed_facts
from saereport.pipeline.fingerprint import config_record
from saereport.pipeline.warned import LONGEST, MOST, Warned, refuse
from saereport.report.rendering import describe
from saereport.run import open_run
from saereport.run.schema import RunWarning
from saereport.run.subset import subset
from saereport.util.errors import GateError
from saereport.util.progress import Progress


def test_a_warning_is_said_and_kept_once(capsys: pytest.CaptureFixture[str]) -> None:
    warned = Warned(Progress())
    for _ in range(3):
        warned.add("L0 is 690 of\n768 latents.", about="resid", sanity=True)
    warned.add("Old format.", source="SAELens")
    assert [w.words for w in warned.result()] == [
        "resid: L0 is 690 of 768 latents.",
        "Old format. (says SAELens)",
    ]
    said = capsys.readouterr().err
    assert said.count("Warning: resid: L0 is 690 of 768 latents.\n") == 1
    assert said.count("Warning: Old format. (says SAELens)\n") == 1


def test_strict_makes_errors_of_the_sanity_checks_alone() -> None:
    warned = Warned(strict=True)
    warned.add("The text ended early.")
    with pytest.raises(GateError, match="resid: It reconstructs nothing") as caught:
        warned.add("It reconstructs nothing.", about="resid", sanity=True)
    assert caught.value.exit_code == 3
    refuse([RunWarning(text="Fine.")])
    with pytest.raises(GateError):
        refuse(warned.result())


def test_warnings_are_bounded_visible_and_counted() -> None:
    warned = Warned()
    warned.add("a\u202eb\x1b" + "x" * 10_000)
    assert len(warned.result()[0].text) == LONGEST
    assert warned.result()[0].text.startswith("a<U+202E>b<0x1B>x")
    for number in range(MOST + 4):
        warned.add(f"Number {number}.")
    assert len(warned.result()) == MOST + 1
    assert warned.result()[-1].text == "There were 5 more warnings."


def test_strict_changes_no_number_and_no_identity() -> None:
    asked = {"saes": [{"path": "x"}]}
    assert config_record(make_config({**asked, "strict": True})) == config_record(
        make_config(asked)
    )


def test_a_reader_meets_them_on_every_page_that_they_are_about(
    hostile_report: Path, hostile_run: Path
) -> None:
    info = open_run(hostile_run).info
    first, last = info.saes[0].slug, info.saes[-1].slug

    def shown(name: str) -> list[str]:
        soup = BeautifulSoup((hostile_report / name).read_text("utf-8"), "html.parser")
        return [item.get_text() for item in soup.select("details.warnings li")]

    assert len(shown("index.html")) == 3
    for slug, other in ((first, "xxxx"), (last, "Nearly all")):
        for page in ("index.html", "l0000.html"):
            found = shown(f"{slug}/{page}")
            assert len(found) == 2
            assert found[0].startswith("Of 200 rows 3 were too short to be read</title><script>")
            assert not any(other in text for text in found)
    provenance = (hostile_report / "provenance.html").read_text("utf-8")
    soup = BeautifulSoup(provenance, "html.parser")
    rows = soup.select("#warnings tbody tr")
    assert [row.th.get_text() for row in rows] == ["all", first, last]
    assert not shown("provenance.html")


def test_the_terminal_and_a_comparison_tell_of_them(hostile_run: Path) -> None:
    run = open_run(hostile_run)
    assert len(re.findall(r"^Warning: ", describe(run), re.MULTILINE)) == 3
    without = run.info.model_copy(update={"warnings": ()})
    pairs = tuple((sae.slug, sae.slug) for sae in run.info.saes)
    facts = changed_facts(without, run.info, pairs)
    assert [(fact.topic, fact.after, fact.matters) for fact in facts] == [
        ("warnings", "said", False)
    ] * 3


def test_a_cut_run_keeps_those_about_its_saes(hostile_run: Path, tmp_path: Path) -> None:
    run = open_run(hostile_run)
    slug = run.info.saes[0].slug
    latent = run.table("activity", slug, columns=["latent"]).column(0)[0].as_py()
    small = subset(run, tmp_path / "cut", latents={slug: [latent]}, prompts=(), title=None)
    assert [w.about for w in small.info.warnings] == ["", slug]
