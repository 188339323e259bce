"""Read one page: everything that a check wants to know of it, as plain values.

The page is read by html5lib, which follows the HTML standard's own algorithm: what it makes of a
page is what a browser makes of it, however odd the page is. Whether a page is valid is not asked:
ours are, as the tests see to. What would take memory or time without bound is not read to its end.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import html5lib
from html5lib._tokenizer import HTMLTokenizer

_LINKS = {
    "a": ("href",),
    "area": ("href",),
    "audio": ("src",),
    "button": ("formaction",),
    "embed": ("src",),
    "form": ("action",),
    "frame": ("src",),
    "iframe": ("src",),
    "image": ("href",),
    "img": ("src",),
    "input": ("src", "formaction"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src", "href"),
    "source": ("src",),
    "track": ("src",),
    "use": ("href",),
    "video": ("src", "poster"),
}
"""Attributes that hold an address, by element."""

DEEPEST = 512
"""Elements inside of one another; browsers put what is deeper beside each other."""
MOST_ELEMENTS = 2_000_000
MOST_ATTRIBUTES = 200
"""Attributes of one element; each is compared with those before it."""
MOST_STEPS, MOST_CHUNKS = 20_000, 40
"""Steps of the tokeniser, and pieces of 10,000 characters, that one tag or comment may take."""

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


@dataclass(frozen=True)
class Record:
    """Data inside of a report in one file: `path` is where a folder has it."""

    line: int
    path: str
    text: str = field(repr=False)


@dataclass
class ReadPage:
    """What a page holds.

    Attributes:
        kind: The page's type as its scripts know it (`data-page`); empty for other pages.
        single: Whether it is a whole report in one file.
        ids: Every id with the line where it is first.
        references: Addresses.
        inline: Scripts that run and styles that are written in the page.
        policies: Content-Security-Policies: line, text, and whether it is the head's first element.
        faults: What is wrong with the page by itself: line, rule, message.
        parts: In a report in one file, the type of each page in it, by its path; empty for data.
        records: In a report in one file, its data.
    """

    kind: str = ""
    single: bool = False
    ids: dict[str, int] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    inline: list[Inline] = field(default_factory=list)
    policies: list[tuple[int, str, bool]] = field(default_factory=list)
    faults: list[tuple[int, str, str]] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)


def read_page(data: bytes) -> ReadPage:
    """Read a page from its bytes."""
    page = ReadPage()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = data[: problem.start].count(b"\n") + 1
        page.faults.append((line, "html", "not UTF-8: browsers may read something else"))
        text = data.decode("utf-8", "replace")
    parser = _Parser()
    try:
        root = parser.parse(text)
    except _TooMuch as much:
        line = parser.tokenizer.stream.position()[0]
        page.faults.append((line, "html", f"{much}: what follows was not looked at"))
        root = parser.tree.getDocument()
    if root is not None:
        _Reader(page, parser.tree, root).read()
    return page


class _TooMuch(Exception):
    """Raised inside of html5lib at what would take time or memory without bound."""


class _Tokens(HTMLTokenizer):  # type: ignore[misc]
    """html5lib's tokeniser, with bounds: its time grows with the square of a tag or a comment."""

    def __init__(self, stream: Any, parser: Any) -> None:
        super().__init__(stream, parser=parser)
        self._chunks = 0
        read = self.stream.readChunk

        def counted(*arguments: Any) -> Any:
            self._chunks += 1
            return read(*arguments)

        self.stream.readChunk = counted

    def __iter__(self) -> Iterator[Any]:
        steps = 0
        for token in self._steps():
            if token is not None:
                steps = self._chunks = 0
                yield token
                continue
            steps += 1
            if steps > MOST_STEPS or self._chunks > MOST_CHUNKS:
                raise _TooMuch("a tag or a comment is too long")

    tokenQueue: deque[Any]

    def _steps(self) -> Iterator[Any]:
        """The tokens; None for a step that makes none. Errors of the HTML are not told."""
        self.tokenQueue = deque()
        while self.state():
            self.stream.errors.clear()
            if not self.tokenQueue:
                yield None
            while self.tokenQueue:
                yield self.tokenQueue.popleft()

    def beforeAttributeNameState(self) -> Any:
        if len(self.currentToken["data"]) > MOST_ATTRIBUTES:
            raise _TooMuch(f"an element has more than {MOST_ATTRIBUTES} attributes")
        return super().beforeAttributeNameState()


class _Tree(html5lib.getTreeBuilder("etree")):  # type: ignore[misc]
    """html5lib's tree, no deeper than browsers make it, with lines, and text of code and data only.

    Attributes:
        lines: By the identity of an element, the line on which its tag ends.
        texts: By the identity of a script or a style, pieces of its text.
    """

    parser: _Parser

    def reset(self) -> None:
        self.lines: dict[int, int] = {}
        self.texts: dict[int, list[str]] = defaultdict(list)
        super().reset()

    def _noted(self, made: Any) -> Any:
        if len(self.openElements) > DEEPEST:
            raise _TooMuch(f"elements are nested more than {DEEPEST} deep")
        if len(self.lines) > MOST_ELEMENTS:
            raise _TooMuch(f"there are more than {MOST_ELEMENTS:,} elements")
        self.lines[id(made._element)] = self.parser.tokenizer.stream.position()[0]
        return made

    def insertElementNormal(self, token: Any) -> Any:
        return self._noted(super().insertElementNormal(token))

    def createElement(self, token: Any) -> Any:
        return self._noted(super().createElement(token))

    def insertText(self, data: str, parent: Any = None) -> None:
        within = self.openElements[-1] if parent is None else parent
        if within.name in ("script", "style"):
            self.texts[id(within._element)].append(data)

    def insertComment(self, token: Any, parent: Any = None) -> None:
        """Comments are not kept."""


class _Parser(html5lib.HTMLParser):  # type: ignore[misc]
    """html5lib's parser with bounds, which says nothing about errors of the HTML."""

    def __init__(self) -> None:
        super().__init__(tree=_Tree)
        self.tree.parser = self

    def _parse(self, stream: Any, *arguments: Any, **options: Any) -> None:
        self.innerHTMLMode, self.container, self.scripting = False, "div", False
        self.tokenizer = _Tokens(stream, parser=self)
        self.reset()
        self.mainLoop()

    def parseError(self, *arguments: Any) -> None:
        """Errors are not kept: there can be as many as letters."""


class _Reader:
    """Fills a page from html5lib's tree, element by element."""

    def __init__(self, page: ReadPage, tree: _Tree, root: Any) -> None:
        self._page, self._tree, self._root = page, tree, root
        self._line = 1

    def read(self) -> None:
        """Read everything."""
        attributes = dict(self._root.attrib)
        self._page.kind = attributes.get("data-page", "")
        self._page.single = "data-single" in attributes
        head = next((child for child in self._root if _plain(child.tag) == "head"), ())
        first = next(iter(head), None)
        for element in self._root.iter():
            self._line = self._tree.lines.get(id(element), self._line)
            tag = _plain(element.tag)
            pairs = [(_plain(name), value) for name, value in element.attrib.items()]
            values = dict(reversed(pairs))
            if "id" in values:
                self._page.ids.setdefault(values["id"], self._line)
            self._forbidden(tag, values)
            self._addresses(tag, pairs, values)
            if tag == "meta" and _is_policy(values):
                found = (self._line, values.get("content", ""), element is first)
                self._page.policies.append(found)
            if tag in ("script", "style"):
                self._code(tag, values, "".join(self._tree.texts.pop(id(element), ())))
            if "data-path" in values and tag in ("section", "script"):
                self._page.parts[values["data-path"]] = values.get("data-kind", "")

    def _code(self, tag: str, values: dict[str, str], text: str) -> None:
        runs = values.get("type", "").strip().lower() in _CODE
        if tag == "style" or (runs and "src" not in values):
            self._page.inline.append(Inline(self._line, tag, text))
        elif not runs and self._page.single and "data-path" in values:
            self._page.records.append(Record(self._line, values["data-path"], text))

    def _fault(self, rule: str, message: str) -> None:
        self._page.faults.append((self._line, rule, message))

    def _forbidden(self, tag: str, values: dict[str, str]) -> None:
        for name in sorted(values):
            if name.startswith("on"):
                self._fault("policy", f"an event handler in the HTML ({name}) never runs")
        if "style" in values:
            self._fault("policy", f"the policy blocks the style attribute of <{tag}>")
        if "ping" in values:
            self._fault("external", "a link must tell nobody that it was followed (ping)")
        if tag == "base":
            self._fault("external", "<base> would move every relative address")
        if values.get("charset", "utf-8").strip().lower() != "utf-8" and tag == "meta":
            self._fault("html", "a page that says it is not UTF-8 is read as something else")
        if tag == "meta" and values.get("http-equiv", "").strip().lower() == "refresh":
            self._fault("external", "a page must not send its reader elsewhere (refresh)")

    def _addresses(self, tag: str, pairs: list[tuple[str, str]], values: dict[str, str]) -> None:
        line, rel = self._line, values.get("rel", "")
        for name, value in pairs:
            if name in _LINKS.get(tag, ()):
                self._page.references.append(Reference(line, tag, name, value, rel))
        for candidate in values.get("srcset", "").split(","):
            if candidate.split():
                found = Reference(line, tag, "srcset", candidate.split()[0])
                self._page.references.append(found)


def _plain(name: str) -> str:
    """A name without its namespace."""
    return str(name).rpartition("}")[2]


def _is_policy(values: dict[str, str]) -> bool:
    return values.get("http-equiv", "").strip().lower() == "content-security-policy"
