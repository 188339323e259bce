"""Whatever a page or a style sheet holds, the check says something and never breaks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.publish.findings import Finding
from saereport.publish.links import Site, check_page_links, check_reference
from saereport.publish.page import read_page
from saereport.publish.policy import check_policy
from saereport.publish.styles import style_references

PIECES = st.sampled_from(
    [
        *(
            "<a href=",
            "<p id=x>",
            "<![CDATA[",
            "<![abc[",
            "<!--",
            "-->",
            "<!",
            "<?",
            "</",
            ">",
            "<",
        ),
        *('"', "'", "&", "&#0;", "&#xD800;", "&bogus;", "=", "/", "\\", "\x00", "\ud800", "\ufeff"),
        *("<script>", "</script>", "<style>", "@import", "url(", ")", "<svg>", "<math>", "<table>"),
        *("<select>", "<template>", "</template>", "<frameset>", "<meta http-equiv=refresh>", "#"),
        *("https://", "//", "javascript:", "data:", "#latent-1", "?", "%", "%zz", "[", "]", "::"),
        *("<html lang=en data-single>", "<head>", "<title>", "</title>", "<!doctype html>", "\n"),
    ]
)
TEXT = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=30).map("".join)


@given(TEXT)
@settings(max_examples=400, deadline=None)
def test_any_page_can_be_read(text: str) -> None:
    page = read_page(text.encode("utf-8", "surrogatepass"))
    site = Site(frozenset({"a.html"}), {"a.html": page})
    found = [*check_page_links("a.html", page, site), *check_policy("a.html", page)]
    assert all(isinstance(finding, Finding) and finding.line >= 0 for finding in found)
    assert any(finding.rule == "policy" for finding in found) or page.policies


@given(TEXT)
@settings(max_examples=300, deadline=None)
def test_any_style_sheet_can_be_read(text: str) -> None:
    site = Site(frozenset(), {})
    for reference in style_references(text):
        # A form feed ends a line of a style sheet too.
        assert 1 <= reference.line <= 1 + sum(text.count(end) for end in "\n\r\f")
        list(check_reference("a.css", reference, site))
