"""Read one page: everything that a check wants to know of it, in one fast pass.

Links, ids and inline code come from the parser of the standard library, which knows lines; whether
the HTML is valid comes from html5lib, which follows the HTML standard's own algorithm and reports
each of its parse errors. The result is plain values, so that pages can be read by many processes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import html5lib
from html5lib.constants import E as HTML_ERRORS

_LINKS = {
    "a": ("href", "xlink:href"),
    "area": ("href",),
    "audio": ("src",),
    "button": ("formaction",),
    "embed": ("src",),
    "form": ("action",),
    "frame": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src",),
    "input": ("src", "formaction"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src", "href"),
    "source": ("src",),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""Attributes that hold an address, by element."""

_IDS = frozenset(
    {
        "aria-activedescendant",
        "aria-controls",
        "aria-describedby",
        "aria-details",
        "aria-errormessage",
        "aria-flowto",
        "aria-labelledby",
        "aria-owns",
        "for",
        "headers",
        "list",
        "popovertarget",
    }
)
"""Attributes that name ids of the same page."""

DEEPEST = 512
"""Elements inside of one another; browsers put what is deeper beside each other."""
MOST_ATTRIBUTES = 200
LONGEST = 100_000
"""Characters of a comment, and of those in an attribute that a parser takes one by one."""
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_SINGLE = re.compile("[&<>=`'\"\0]")

_CODE = frozenset({"", "text/javascript", "application/javascript", "module"})
"""Types of script elements that run; all others are data."""


@dataclass(frozen=True)
class Reference:
    """One address in a page.

    Attributes:
        line: Where, from 1.
        tag: The element, or `css` for an address in a style sheet.
        attribute: The attribute that holds it.
        url: As written, entities decoded.
        rel: The link's types.
    """

    line: int
    tag: str
    attribute: str
    url: str
    rel: str = ""


@dataclass(frozen=True)
class Inline:
    """Code inside a page: `tag` is `script` or `style`, `digest` as a policy writes it."""

    line: int
    tag: str
    text: str

    @property
    def digest(self) -> str:
        """The source expression by which a policy allows it."""
        raw = hashlib.sha256(self.text.encode("utf-8")).digest()
        return f"'sha256-{base64.b64encode(raw).decode('ascii')}'"


@dataclass
class Page:
    """What a page holds.

    Attributes:
        kind: The page's type as its scripts know it (`data-page`); empty for other pages.
        single: Whether it is a whole report in one file.
        root: From the page to the root of its report.
        ids: Every id with the line where it is first.
        references: Addresses.
        named: Ids that are referred to from the page itself: line, attribute, id.
        inline: Scripts that run and styles that are written in the page.
        policies: Content-Security-Policies: line, text, and whether it is the head's first element.
        faults: What is wrong with the page by itself: line, rule, message.
        oddities: What the HTML standard calls an error and what harms nobody, in the same form.
        parts: In a report in one file, the type of each page in it, by its path; empty for data.
    """

    kind: str = ""
    single: bool = False
    root: str = ""
    ids: dict[str, int] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    named: list[tuple[int, str, str]] = field(default_factory=list)
    inline: list[Inline] = field(default_factory=list)
    policies: list[tuple[int, str, bool]] = field(default_factory=list)
    faults: list[tuple[int, str, str]] = field(default_factory=list)
    oddities: list[tuple[int, str, str]] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)


def read_page(data: bytes) -> Page:
    """Read a page from its bytes."""
    page = Page()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = data[: problem.start].count(b"\n") + 1
        page.faults.append((line, "html", "the page is not UTF-8"))
        text = data.decode("utf-8", "replace")
    reader = _Reader(page)
    try:
        reader.feed(text)
        reader.close()
    except _Unended as unended:
        line = reader.getpos()[0]
        page.faults.append((line, "html", "a tag or a comment is opened and not ended"))
        if unended.slow:
            return page
    except AssertionError:
        # The standard library gives up on some marked sections, such as `<![if`.
        line = reader.getpos()[0]
        page.faults.append(
            (line, "html", "a marked section of no known kind: what follows was not looked at")
        )
    reader.finish()
    long = reader.too_long()
    if long or any(len(found[0]) > LONGEST for found in _COMMENT.finditer(text)):
        message = long or f"a comment has more than {LONGEST:,} characters"
        page.faults.append((1, "html", f"{message}; the page was not looked at any further"))
        return page
    parser = html5lib.HTMLParser(tree=_Tree)
    try:
        tree = parser.parse(text)
    except _TooDeep:
        message = f"elements are nested more than {DEEPEST} deep: what follows was not looked at"
        page.faults.append((parser.tokenizer.stream.position()[0], "html", message))
        return page
    for (line, _), code, values in parser.errors:
        # A control code, such as Plotly has inside a string, is kept as it is by every browser.
        found = page.oddities if code == "invalid-codepoint" else page.faults
        found.append((line, "html", HTML_ERRORS.get(code, code) % values))
    known = {(found.tag, found.url) for found in page.references}
    for tag, url in _addresses_of(tree):
        if (tag, url) not in known:
            # The two parsers read the page differently; browsers read it as html5lib does.
            page.references.append(Reference(0, tag, "address", url))
    return page


class _Unended(Exception):
    """Raised where the standard library would look for the same missing end again and again.

    Args:
        slow: Whether html5lib would too.
    """

    def __init__(self, slow: bool) -> None:
        super().__init__()
        self.slow = slow


class _TooDeep(Exception):
    """Raised inside of html5lib, whose time grows with the square of the depth."""


class _Tree(html5lib.getTreeBuilder("etree")):  # type: ignore[misc]
    """html5lib's tree, no deeper than browsers make it."""

    def insertElementNormal(self, token: Any) -> Any:
        if len(self.openElements) > DEEPEST:
            raise _TooDeep
        return super().insertElementNormal(token)

    def insertElementTable(self, token: Any) -> Any:
        if len(self.openElements) > DEEPEST:
            raise _TooDeep
        return super().insertElementTable(token)


def _addresses_of(tree: Any) -> Iterator[tuple[str, str]]:
    """Element and address of everything that html5lib's tree links to."""
    for element in tree.iter():
        tag = str(element.tag).rpartition("}")[2]
        for name, value in element.attrib.items():
            plain = str(name).rpartition("}")[2]
            if plain in _LINKS.get(tag, ()):
                yield tag, value


class _Reader(HTMLParser):
    """Fills a page, element by element."""

    def __init__(self, page: Page) -> None:
        super().__init__(convert_charrefs=True)
        self._page = page
        self._heads = 0
        self._in_head = 0
        self._titles = 0
        self._code: tuple[int, str] | None = None
        self._text: list[str] = []
        self._attributes = 0
        self._longest = 0

    def parse_starttag(self, i: int) -> int:
        """Parse a start tag; as the base class, but not without end."""
        return self._bounded(super().parse_starttag(i), slow=True)

    def parse_endtag(self, i: int) -> int:
        """Parse an end tag; as the base class, but not without end."""
        return self._bounded(super().parse_endtag(i))

    def parse_html_declaration(self, i: int) -> int:
        """Parse a comment or a declaration; as the base class, but not without end."""
        return self._bounded(super().parse_html_declaration(i))

    def parse_comment(self, i: int, report: bool = True) -> int:
        """Parse a comment; as the base class, but not without end."""
        return self._bounded(super().parse_comment(i, report), slow=True)

    def parse_pi(self, i: int) -> int:
        """Parse a processing instruction; as the base class, but not without end."""
        return self._bounded(super().parse_pi(i))

    def too_long(self) -> str:
        """What html5lib would take time for that grows with the square; empty if nothing."""
        if self._attributes > MOST_ATTRIBUTES:
            return f"an element has more than {MOST_ATTRIBUTES} attributes"
        return "an attribute is too long" if self._longest > LONGEST // 4 else ""

    def _bounded(self, end: int, *, slow: bool = False) -> int:
        # The whole text is there, so what has no end yet never has.
        if end < 0:
            raise _Unended(slow)
        return end

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line = self.getpos()[0]
        self._attributes = max(self._attributes, len(attrs))
        values = {name: value or "" for name, value in reversed(attrs)}
        for value in values.values():
            if len(value) > LONGEST // 4:
                self._longest = max(self._longest, sum(1 for _ in _SINGLE.finditer(value)))
        self._ids(line, values)
        self._forbidden(line, tag, values)
        self._addresses(line, tag, values)
        if tag == "html":
            self._page.kind = values.get("data-page", "")
            self._page.single = "data-single" in values
            self._page.root = values.get("data-root", "")
            if not values.get("lang"):
                self._fault("html", "the language of the page is missing (lang)")
        elif tag == "head":
            self._heads += 1
        elif self._heads:
            self._in_head += 1
        if "data-path" in values and tag in ("section", "script"):
            self._page.parts[values["data-path"]] = values.get("data-kind", "")
        if tag == "meta" and values.get("http-equiv", "").lower() == "content-security-policy":
            self._page.policies.append((line, values.get("content", ""), self._in_head == 1))
        if tag == "title":
            self._titles += 1
        if tag == "img" and "alt" not in values:
            self._fault("html", "an image without alternative text (alt)")
        runs = tag == "script" and values.get("type", "").lower() in _CODE and "src" not in values
        if runs or tag == "style":
            self._code, self._text = (line, tag), []

    def handle_data(self, data: str) -> None:
        if self._code is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if self._code is not None and tag == self._code[1]:
            self._page.inline.append(Inline(*self._code, "".join(self._text)))
            self._code = None

    def finish(self) -> None:
        """Say what was missing from the page as a whole."""
        if not self._titles:
            self._page.faults.append((1, "html", "the page has no title"))

    def _fault(self, rule: str, message: str) -> None:
        self._page.faults.append((self.getpos()[0], rule, message))

    def _ids(self, line: int, values: dict[str, str]) -> None:
        own = values.get("id")
        if own is not None:
            if own in self._page.ids:
                self._fault("id", f"the id '{own}' is also on line {self._page.ids[own]}")
            elif not own or own.split() != [own]:
                self._fault("id", f"'{own}' is not an id: it is empty or holds a space")
            self._page.ids.setdefault(own, line)
        for name in _IDS & values.keys():
            self._page.named += [(line, name, each) for each in values[name].split()]

    def _forbidden(self, line: int, tag: str, values: dict[str, str]) -> None:
        for name in sorted(values):
            if name.startswith("on"):
                self._fault("policy", f"an event handler in the HTML ({name}) never runs")
        if "style" in values:
            self._fault("policy", f"the policy blocks the style attribute of <{tag}>")
        if "ping" in values:
            self._fault("external", "a link must tell nobody that it was followed (ping)")
        if tag == "base":
            self._fault("external", "<base> would move every relative address")
        if tag == "meta" and values.get("http-equiv", "").lower() == "refresh":
            self._fault("external", "a page must not send its reader elsewhere (refresh)")

    def _addresses(self, line: int, tag: str, values: dict[str, str]) -> None:
        rel = values.get("rel", "")
        for name in _LINKS.get(tag, ()):
            if name in values:
                found = Reference(line, tag, name, values[name], rel)
                self._page.references.append(found)
        for candidate in values.get("srcset", "").split(","):
            if candidate.split():
                found = Reference(line, tag, "srcset", candidate.split()[0])
                self._page.references.append(found)
