"""A latent that is blinded: a comparison tells its numbers, and nothing that gives it away."""

from __future__ import annotations

from pathlib import Path

from bs4 import BeautifulSoup

from saereport.diff import Difference, compare
from saereport.diff.document import diff_json
from saereport.diff.markdown import markdown
from saereport.diff.model import LatentChange
from saereport.diff.terminal import summary
from saereport.run import Run, open_run
from saereport.site.difference import difference_page
from tests.site.test_difference import altered
from tests.synthetic import Shape, write_run
from tests.synthetic_examples import blind_extra

LABEL = "what it is said to mean"
SHAPE = Shape(d_sae=40, n_chosen=12, n_sequences=60, n_vocabulary=900, explanations=(LABEL,))


def both(folder: Path, *, blind: bool) -> tuple[Run, Run]:
    """Two runs in which the text statistics of the sixth latent differ."""
    slug = "synthetic-l3-residual"
    extra = (blind_extra(lambda shown: [(slug, int(shown[slug][5]), True)]),) if blind else ()
    write_run(folder / "before", SHAPE, *extra)
    before = open_run(folder / "before")
    assert before.info.saes[0].slug == slug
    shown = before.table("activity", slug)["latent"].to_pylist()
    return before, altered(before, folder / "after", slug=slug, latent=shown[5], like=shown[8])


def texts(found: Difference) -> list[str]:
    return [summary(found), markdown(found), "".join(diff_json(found))]


def test_a_latent_that_is_not_blind_is_named_by_its_tokens(tmp_path: Path) -> None:
    found = compare(*both(tmp_path, blind=False))
    (change,) = found.saes[0].changed
    for text in texts(found):
        assert first_token(change) in text


def test_no_output_names_the_tokens_or_the_label_of_a_blind_one(tmp_path: Path) -> None:
    (told,) = compare(*both(tmp_path / "open", blind=False)).saes[0].changed
    before, after = both(tmp_path / "blind", blind=True)
    found = compare(before, after)
    (change,) = found.saes[0].changed
    assert {value.metric for value in change.changed} == {value.metric for value in told.changed}
    assert (change.label, change.items) == ("", ())
    for text in texts(found):
        assert first_token(told) not in text
        assert LABEL not in text
    page = BeautifulSoup(difference_page(found, before, after), "html.parser")
    (card,) = page.select(".d-card")
    assert "Blinded" in card.get_text()
    assert "active on" not in [row.th.get_text() for row in card.select(".d-lines tr")]
    assert not card.select(".label, .d-examples")


def first_token(change: LatentChange) -> str:
    (tokens,) = [item for item in change.items if item.metric == "top_tokens.rbo"]
    assert tokens.before[0] not in tokens.after
    return tokens.before[0]
