"""The demo report as it is published in `site/`."""

import json
from pathlib import Path

from saereport.config.build import make_config
from saereport.report.rendering import demo_settings
from saereport.run import open_run
from saereport.util.files import sha256_of, strangers

SITE = Path(__file__).parents[1] / "site"


def test_it_is_whole_and_small() -> None:
    manifest = json.loads((SITE / "report.json").read_text(encoding="utf-8"))
    files = {entry["path"]: entry for entry in manifest["files"]}
    assert strangers(SITE, ["report.json", *files]) == []
    for name, entry in files.items():
        assert sha256_of(SITE / name) == entry["sha256"], name
    assert sum(entry["bytes"] for entry in files.values()) < 8_000_000
    open_run(SITE).verify()


def test_it_is_of_the_demo_that_this_repository_holds() -> None:
    info = open_run(SITE).info
    config = make_config(demo_settings())
    assert info.title == config.title
    asked = [(Path(str(sae.path)).name, sae.latents) for sae in config.saes]
    shown = [(sae.slug, sae.selection.replace(",", ", ")) for sae in info.saes]
    assert shown == asked
    assert info.text.n_tokens == config.tokens
    labels = sum(open_run(SITE).rows("explanations", sae.slug) for sae in info.saes)
    assert labels == sum(sae.n_chosen for sae in info.saes)


def test_a_page_links_only_inside_the_report() -> None:
    for page in SITE.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "Content-Security-Policy" in text.split("<meta", 2)[1], page
        for word in ('src="http', 'href="http', 'src="/', 'href="/'):
            assert word not in text, page
