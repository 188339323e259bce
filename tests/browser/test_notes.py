"""Stars, labels and notes: kept, shown, sent away, read back, harmless when hostile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saereport.run import open_run
from saereport.site import render
from saereport.sources.explanations import read_explanations
from tests.browser.conftest import Watched, latent_pages, until
from tests.browser.test_pins import chosen, slug_of
from tests.synthetic import HOSTILE, Shape, write_run

pytestmark = pytest.mark.browser

Make = Callable[..., Watched]
EVIL = '<img src=x onerror="self.stolen=1"></textarea><script>self.stolen=1</script>'


def write_notes(page: Any, label: str, note: str) -> None:
    page.wait_for_selector("article.current .notes")
    page.keyboard.press("n")
    page.keyboard.type(note)
    page.locator("article.current .notes input").fill(label)
    page.locator("article.current .notes input").blur()


def take(page: Any, content: str | bytes, name: str = "notes.jsonl") -> str:
    data = content.encode() if isinstance(content, str) else content
    page.set_input_files("#notes-file", [{"name": name, "mimeType": "", "buffer": data}])
    until(page, "document.querySelector('#notes [role=status]').textContent !== ''")
    return str(page.locator("#notes [role=status]").inner_text())


def export(page: Any, target: Path, label: str = "Export notes") -> list[dict[str, Any]]:
    with page.expect_download() as waiting:
        page.click(f"#notes >> text={label}")
    waiting.value.save_as(target)
    return [json.loads(line) for line in target.read_text("utf-8").splitlines()]


def test_notes_come_back_with_the_next_build(plain: Path, watched: Make, tmp_path: Path) -> None:
    slug, shown = slug_of(plain), chosen(plain)
    seen = watched()
    page = seen.open(latent_pages(plain)[0])
    page.wait_for_selector("article.current .panels")
    page.keyboard.press("s")
    write_notes(page, f"mine: {EVIL}", "a note; bjkps are no keys here")
    page.keyboard.press("j")
    write_notes(page, "", "only a note")
    page.reload()
    page.wait_for_selector("article.current .notes")
    assert page.locator("article.current .notes textarea").input_value() == "only a note"
    page = seen.open(plain / "index.html")
    row = page.locator(f"#rows tr[data-latent='{shown[0]}']")
    assert row.locator(".mark-star[aria-pressed=true]").count() == 1
    assert EVIL in row.locator(".c-label").inner_text()
    assert "1 star, 1 label, 2 notes." in page.locator("#notes").inner_text()
    lines = export(page, tmp_path / "notes.jsonl")
    assert [line["index"] for line in lines] == shown[:2]
    assert lines[0]["star"] is True
    assert lines[1] == {"index": shown[1], "source": "reader", "sae": slug, "note": "only a note"}
    labels = read_explanations(tmp_path / "notes.jsonl", sae=slug)
    assert labels == {shown[0]: [(f"mine: {EVIL}", "reader")]}
    assert not page.locator("#rows img, #rows script").count()
    seen.check()
    text = labels[shown[0]][0][0]
    shape = Shape(d_sae=128, n_chosen=48, n_sequences=60, n_vocabulary=900, explanations=(text,))
    write_run(tmp_path / "run", shape)
    render(tmp_path / "run", tmp_path / "next")
    again = watched()
    page = again.open(latent_pages(tmp_path / "next")[0])
    page.wait_for_selector("article.current .panels")
    assert EVIL in page.locator("article.current .label").inner_text()
    again.check()


def test_a_file_of_others_is_taken_after_asking(plain: Path, watched: Make, tmp_path: Path) -> None:
    slug, shown = slug_of(plain), chosen(plain)
    seen = watched()
    page = seen.open(plain / "index.html")
    theirs = [
        {"index": shown[0], "description": "their label", "source": "Kim", "sae": slug},
        {"index": shown[1], "description": "another", "star": True, "note": "why"},
        {"index": shown[1], "description": "of another SAE", "sae": "elsewhere"},
        {"index": 10**9, "description": "too far"},
    ]
    content = "".join(json.dumps(line) + "\n" for line in theirs)
    said = take(page, content)
    assert said == "Took 2 latents. 2 lines about latents that this report does not show."
    assert "their label" in page.locator(f"#rows tr[data-latent='{shown[0]}']").inner_text()
    mine = json.dumps({"index": shown[0], "description": "newer"})
    assert "1 of them you have notes on" in take(page, mine)
    page.click("#notes >> text=Keep mine")
    assert "Took 0 latents" in page.locator("#notes [role=status]").inner_text()
    take(page, mine)
    page.keyboard.press("Enter")
    assert "newer" in page.locator(f"#rows tr[data-latent='{shown[0]}']").inner_text()
    lines = export(page, tmp_path / "out.jsonl")
    assert [line.get("description") for line in lines] == ["newer", "another"]
    assert lines[1]["star"] is True
    assert lines[1]["note"] == "why"
    seen.check()


def test_files_that_are_no_notes(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(plain / "index.html")
    for content in (b"", b"\xff\xfe\x00", b"[1,2]", b"null\n3\n", b'{"index":-1}', b"{" * 10000):
        assert "holds no notes" in take(page, content)
    assert "larger than 5 MB" in take(page, b"x" * 5_000_001)
    assert "50,000 lines" in take(page, b"1\n" * 50_001)
    deep = b'{"index":1,"description":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    assert "holds no notes" in take(page, deep)
    assert page.evaluate("Object.keys(self.localStorage).length") == 0
    seen.check()


def test_hostile_notes_are_text(hostile: Path, watched: Make, tmp_path: Path) -> None:
    slug, shown = slug_of(hostile), chosen(hostile)
    texts = [token.decode("utf-8", "replace") for token in HOSTILE if token]
    lines = []
    for i, text in enumerate(texts):
        both = {"description": text + "\u202edrow", "note": text * 3, "source": text, "sae": slug}
        lines.append(json.dumps({"index": shown[i % len(shown)], "__proto__": {"x": 1}, **both}))
    seen = watched()
    page = seen.open(hostile / slug / "index.html")
    assert "Took" in take(page, "\n".join(lines))
    assert "\u202e" not in page.locator("#rows").inner_text()
    out = export(page, tmp_path / "out.jsonl", "Export all SAEs' notes")
    assert {line["sae"] for line in out} == {slug}
    seen.check()
    for path in (hostile / slug / "l0000.html", hostile / "index.html"):
        page = seen.open(path)
        page.wait_for_timeout(200)
        page.evaluate("document.querySelectorAll('summary').forEach((node) => node.click())")
        seen.check()


def test_without_storage_the_page_says_so_and_exports(
    plain: Path, watched: Make, tmp_path: Path
) -> None:
    seen = watched()
    seen.page.add_init_script(
        "Object.defineProperty(self, 'localStorage', { get() { throw new Error('none'); } })"
    )
    page = seen.open(latent_pages(plain)[0])
    page.wait_for_selector("article.current .panels")
    write_notes(page, "kept by hand", "x")
    assert "keeps nothing" in page.locator("article.current .notes").inner_text()
    with page.expect_download() as waiting:
        page.click("article.current .notes >> text=Export notes")
    waiting.value.save_as(tmp_path / "notes.jsonl")
    assert read_explanations(tmp_path / "notes.jsonl") == {
        chosen(plain)[0]: [("kept by hand", "reader")]
    }
    seen.check()


def test_another_report_has_its_own_notes(plain: Path, watched: Make) -> None:
    seen = watched()
    page = seen.open(latent_pages(plain)[0])
    page.wait_for_selector("article.current .marks")
    page.keyboard.press("s")
    fingerprint = open_run(plain).info.fingerprint[:12]
    key = f"saereport-note-{fingerprint}-{slug_of(plain)}-{chosen(plain)[0]}"
    assert page.evaluate("Object.keys(self.localStorage)") == [key]
    page.evaluate(f'self.localStorage.setItem(\'{key}\', \'{{"label":[1],"star":"yes"}}\')')
    page.reload()
    page.wait_for_selector("article.current .marks")
    assert page.locator("article.current .mark-star").get_attribute("aria-pressed") == "false"
    page.keyboard.press("s")
    page.keyboard.press("s")
    assert page.evaluate("self.localStorage.length") == 0
    seen.check()
