"""Labels that Neuronpedia has published of an SAE: fetched once, checked, and kept.

Neuronpedia's public bucket has, for each source of a model, folders of labels:

    v1/{model}/{source}/explanations/batch-0.jsonl.gz
    v1/{model}/{source}/explanations-{explainer}/batch-0.jsonl.gz

All folders are taken; a label says itself, or its folder does, which model wrote it. What comes
over the network is hostile until it was read: names are matched before they become paths, sizes
are limited, and nothing is kept that did not prove to be labels of this very source. Nothing is
asked for unless the user asks, and what is kept is used without the network from then on.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

from saereport.config.paths import PUBLISHED_LABELS
from saereport.sources.explanations import Labels, files_of, read_explanations
from saereport.util.errors import SaereportError
from saereport.util.files import canonical_json, folder_in_place_of
from saereport.util.locks import Busy, locked
from saereport.util.progress import Progress
from saereport.util.untrusted import MIB, Limits, content, parse_json

BUCKET = "https://neuronpedia-datasets.s3.us-east-1.amazonaws.com"
ADDRESS = "SAEREPORT_NEURONPEDIA_BUCKET"
"""Environment variable with another address, such as that of a mirror."""
CACHE = "SAEREPORT_CACHE"
"""Environment variable with the folder in which fetched labels are kept."""
MANIFEST = "fetched.json"
FILE_BYTES = 64 * MIB
"""Of one batch of 1,024 labels, which takes some 3 MiB with embeddings."""
ALL_BYTES = 2048 * MIB
FILES = 10_000
SECONDS = 60
"""That a server may be silent."""
WAIT = 600
"""Seconds for which another process that fetches the same is waited for."""
_PAUSE = 0.2
_LISTING_BYTES = 4 * MIB
"""Of one page, which has a thousand names; parsed, empty elements take thirty times their bytes."""
_MANIFEST_LIMITS = Limits(file_bytes=16 * MIB, text_bytes=16 * MIB, depth=8)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FILE = re.compile(r"explanations(-[A-Za-z0-9._-]{1,100})?/batch-\d{1,9}\.jsonl\.gz")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class LabelFile:
    """A file that labels were taken from.

    Attributes:
        file: Its name below its source.
        bytes: Its size.
        sha256: Its content.
        fetched: When it was fetched, in UTC.
        address: Where it was fetched from.
    """

    file: str
    bytes: int
    sha256: str
    fetched: str
    address: str


@dataclass(frozen=True)
class Published:
    """The published labels of an SAE, and the files that they are from."""

    labels: Labels
    files: tuple[LabelFile, ...]

    def columns(self) -> dict[str, list[Any]]:
        """The table `label_files`."""
        names = ("file", "bytes", "sha256", "fetched", "address")
        return {name: [getattr(file, name) for file in self.files] for name in names}


def published_labels(
    neuronpedia_id: str, *, refresh: bool = False, progress: Progress | None = None
) -> Published:
    """The labels that Neuronpedia's public export has of an SAE.

    Args:
        neuronpedia_id: `{model}/{source}`, such as `gpt2-small/8-res-jb`.
        refresh: Fetch them again though they were kept.
        progress: Where to show progress; nowhere where absent.

    Raises:
        SaereportError: There are none, they cannot be fetched, or they are damaged or of another
            SAE.
    """
    model, slash, source = neuronpedia_id.partition("/")
    if not (slash and _NAME.fullmatch(model) and _NAME.fullmatch(source)):
        raise SaereportError(
            f"'{neuronpedia_id[:120]}' is no id on Neuronpedia.",
            "It is MODEL/SOURCE, such as gpt2-small/8-res-jb.",
        )
    progress = progress or Progress(quiet=True)
    if PUBLISHED_LABELS.exists():
        progress.say(
            f"Taking the published labels; '{PUBLISHED_LABELS}' in this folder is not read. Its "
            "whole path would name it."
        )
    folder = cache_folder() / "neuronpedia" / model / source
    base = _base()
    if not refresh and (kept := _kept(folder, base)) is not None:
        return Published(_read(folder, model, source), kept)
    with _alone(folder):
        # Another process may have fetched the same in the meantime.
        if not refresh and (kept := _kept(folder, base)) is not None:
            return Published(_read(folder, model, source), kept)
        return _fetched_anew(base, model, source, folder, progress)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder that is kept; who holds it already is waited for."""
    ends = time.monotonic() + WAIT
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(folder))
                break
            except Busy:
                if time.monotonic() > ends:
                    raise
                time.sleep(_PAUSE)
        yield


def _fetched_anew(
    base: str, model: str, source: str, folder: Path, progress: Progress
) -> Published:
    """Fetch the labels of a source, and keep them in a folder."""
    with folder_in_place_of(folder) as fresh:
        files = _fetched(base, model, source, fresh, progress)
        labels = _read(fresh, model, source)
        record = [vars(file) for file in files]
        text = canonical_json({"address": base, "files": record}) + "\n"
        (fresh / MANIFEST).write_text(text, encoding="utf-8")
    return Published(labels, files)


def given_files(path: Path) -> Published:
    """The files that a user gave, in the same form; what is in them is read elsewhere.

    Those of a folder are named by where they lie in it: each labelling model has a first batch.
    """
    path = path.expanduser()
    files = []
    for one in files_of(path):
        name = one.relative_to(path).as_posix() if path.is_dir() else one.name
        files.append(LabelFile(name, one.stat().st_size, _sha256(one), "", ""))
    return Published({}, tuple(files))


def cache_folder() -> Path:
    """Where what was fetched is kept: `SAEREPORT_CACHE`, else `saereport` in the user's cache."""
    if own := os.environ.get(CACHE):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "saereport"


def _base() -> str:
    """The bucket's address: over TLS, but for this machine itself."""
    base = os.environ.get(ADDRESS, BUCKET).rstrip("/")
    parts = urllib.parse.urlsplit(base)
    plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not (parts.hostname and (parts.scheme == "https" or plain)):
        raise SaereportError(
            f"'{base[:200]}' ({ADDRESS}) is no address to fetch labels from.",
            "It begins with https://.",
        )
    return base


def _kept(folder: Path, base: str) -> tuple[LabelFile, ...] | None:
    """What was kept, if all of it is still there as it was fetched."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        said = parse_json(content(folder / MANIFEST, _MANIFEST_LIMITS), MANIFEST, _MANIFEST_LIMITS)
        files = tuple(LabelFile(**file) for file in said["files"])
        whole = said["address"] == base and all(
            _FILE.fullmatch(file.file) and _sha256(folder / file.file) == file.sha256
            for file in files
        )
    except (SaereportError, OSError, TypeError, KeyError):
        return None
    return files if whole and files else None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read(folder: Path, model: str, source: str) -> Labels:
    return read_explanations(folder, of=(model, source))


def _fetched(
    base: str, model: str, source: str, folder: Path, progress: Progress
) -> tuple[LabelFile, ...]:
    """Fetch the files of a source into a folder.

    Raises:
        SaereportError: There are none or too many, or they cannot be fetched.
    """
    prefix = f"v1/{model}/{source}/"
    keys = _keys(base, f"{prefix}explanations")
    # A name that is listed twice is one file.
    names = list(
        dict.fromkeys(
            key.removeprefix(prefix) for key in keys if _FILE.fullmatch(key.removeprefix(prefix))
        )
    )
    if not names:
        raise SaereportError(
            f"Neuronpedia has published no labels of '{model}/{source}'.",
            "Is that what Neuronpedia calls the SAE? A file of labels can be given instead.",
        )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found: list[LabelFile] = []
    left = ALL_BYTES
    with progress.bar("labels", len(names), " files") as bar:
        for name in names:
            address = f"{base}/{urllib.parse.quote(prefix + name)}"
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            with path.open("xb") as stream:
                size = _download(address, stream, min(FILE_BYTES, left))
            left -= size
            found.append(LabelFile(name, size, _sha256(path), now, address))
            bar.advance(1)
    return tuple(found)


def _keys(base: str, prefix: str) -> Iterator[str]:
    """The names in the bucket that begin so, in the bucket's order."""
    token, count = "", 0
    while True:
        query = {"list-type": "2", "prefix": prefix}
        if token:
            query["continuation-token"] = token
        address = f"{base}/?{urllib.parse.urlencode(query)}"
        found, token = _listing(_content(address), address)
        for key in found:
            count += 1
            if count > FILES:
                raise SaereportError(f"'{base}' lists more than {FILES:,} files; the limit.")
            yield key
        if not (found and token):
            return


def _content(address: str) -> bytes:
    stream = io.BytesIO()
    _download(address, stream, _LISTING_BYTES)
    return stream.getvalue()


def _listing(text: bytes, address: str) -> tuple[list[str], str]:
    """The keys of a page of a bucket's listing, and what names the next page; empty on the last."""
    wrong = SaereportError(
        f"'{address}' does not list a bucket.", "Is the address that of Neuronpedia's data?"
    )
    # A listing declares nothing; a declaration is how small XML becomes large. It is looked for in
    # the text that is parsed: in another encoding its bytes are others.
    if b"<!" in text:
        raise wrong
    try:
        root = ElementTree.fromstring(text.decode("utf-8"))
    except (ElementTree.ParseError, ValueError) as error:
        raise wrong from error
    if _local(root.tag) != "ListBucketResult":
        raise wrong
    keys, token, more = [], "", False
    for child in root:
        name = _local(child.tag)
        if name == "Contents":
            keys += [inner.text or "" for inner in child if _local(inner.tag) == "Key"]
        elif name == "IsTruncated":
            more = (child.text or "").strip() == "true"
        elif name == "NextContinuationToken":
            token = (child.text or "").strip()
    return keys, token if more else ""


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leads nowhere: a bucket answers itself, and another address was never agreed to."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _download(address: str, stream: BinaryIO, limit: int) -> int:
    """Fetch one address into a stream; returns its size.

    Raises:
        SaereportError: It cannot be fetched, breaks off, or is over the limit.
    """
    opener = urllib.request.build_opener(_NoRedirects)
    request = urllib.request.Request(address, headers={"Accept-Encoding": "identity"})
    size = 0
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            length = answer.headers.get("Content-Length")
            while chunk := answer.read(MIB):
                size += len(chunk)
                if size > limit:
                    raise SaereportError(f"'{address}' is larger than {limit:,} bytes, the limit.")
                stream.write(chunk)
    except urllib.error.HTTPError as error:
        if error.code in (403, 404):
            raise SaereportError(
                f"There is nothing at '{address}' ({error.code}).",
                "Neuronpedia may have moved its data; a file of labels can be given instead.",
            ) from error
        raise SaereportError(f"'{address}' answered {error.code}.", "Try again later.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise SaereportError(
            f"'{address}' cannot be fetched: {reason}.",
            "Labels come over the network; without one, give a file of them.",
        ) from error
    if length is not None and length.isdigit() and size != int(length):
        raise SaereportError(
            f"'{address}' broke off after {size:,} of {int(length):,} bytes.", "Try again."
        )
    return size
