"""Where each address leads: inside the site, to Neuronpedia, or where it must not.

GitHub Pages serves `methods.html` also as `methods`, and `folder/` as its `index.html`. A report is
read from a disk too, where neither holds, so such links are found, as warnings.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from saereport.publish.findings import Finding, error, warning
from saereport.publish.page import ReadPage, Reference
from saereport.publish.policy import NEURONPEDIA, frames_allowed
from saereport.site.parts import page_kinds

_STATE = re.compile(r"[a-z][a-z0-9_.-]*=")
_PINS = re.compile(r"(?:^|&)pins=[^&#]*")
_LATENT = re.compile(r"latent-(\d{1,15})")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
_IGNORED = re.compile("[\t\n\r]")
_CONTROL = "".join(map(chr, range(0x21)))


@dataclass(frozen=True)
class Site:
    """What addresses can lead to.

    Attributes:
        files: Paths of all files, relative to the site.
        pages: The pages among them that were read.
    """

    files: frozenset[str]
    pages: Mapping[str, ReadPage]

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder that holds a file; the site itself is the empty path."""
        found = {""}
        for path in self.files:
            while "/" in path:
                path = path.rsplit("/", 1)[0]
                found.add(path)
        return frozenset(found)

    @cached_property
    def latents(self) -> frozenset[tuple[str, str]]:
        """Folder and number of every latent that has an article on a page.

        In a report in one file the folder is what it would be: `resid-l10/l0000.html#latent-47`.
        """
        return frozenset(
            (posixpath.dirname(posixpath.join(posixpath.dirname(path), part)), found[1])
            if page.single and part
            else (posixpath.dirname(path), found[1])
            for path, page in self.pages.items()
            for part, _, name in (name.rpartition("#") for name in page.ids)
            if (found := _LATENT.fullmatch(name)) and (page.single or not part)
        )


def check_page_links(path: str, page: ReadPage, site: Site) -> Iterator[Finding]:
    """Findings about all addresses of a page."""
    for reference in page.references:
        yield from check_reference(path, reference, site, page)


def check_reference(
    path: str, reference: Reference, site: Site, page: ReadPage | None = None
) -> Iterator[Finding]:
    """Findings about one address.

    Args:
        path: The file that holds it.
        reference: The address.
        site: What it may lead to.
        page: The page that `path` is; None for a style sheet.
    """
    url = browser_reads(reference.url)
    line = reference.line
    if _SCHEME.match(url):
        problem = _outside(reference, url, page)
        if problem:
            yield error(path, line, "external", problem)
        return
    if reference.tag in ("form", "button") or reference.attribute == "formaction":
        yield error(path, line, "external", "a form must not send anything anywhere")
        return
    if url.startswith("/"):
        message = f"'{url}' begins at the root of the server; make it relative"
        yield error(path, line, "link", message)
        return
    yield from _inside(path, line, url, site, page)


def browser_reads(url: str) -> str:
    """An address as browsers read it: without line breaks and outer blanks, backslashes as `/`."""
    url = _IGNORED.sub("", url.strip(_CONTROL))
    head, mark, fragment = url.partition("#")
    return head.replace("\\", "/") + mark + fragment


def _outside(reference: Reference, url: str, page: ReadPage | None) -> str:
    """What is wrong with an address that has a scheme or a host; empty if nothing is."""
    tag, lower = reference.tag, url.lower()
    neuronpedia = url.startswith(f"{NEURONPEDIA}/")
    if tag == "a" and neuronpedia:
        if "noreferrer" in reference.rel.lower().split():
            return ""
        return 'a link to Neuronpedia needs rel="noreferrer"'
    if tag == "iframe" and neuronpedia:
        if page is not None and frames_allowed(page):
            return ""
        return "a frame of Neuronpedia needs the opt-in: render with --neuronpedia-embed"
    if lower.startswith("data:image/") and tag in ("img", "image", "source", "css"):
        return ""
    if lower.startswith("data:") and tag == "link" and "icon" in reference.rel.lower().split():
        return ""
    if lower.startswith("data:font/") and tag == "css":
        return ""
    shown = url if len(url) <= 80 else f"{url[:77]}..."
    return f"'{shown}' leads out of the site; only links to {NEURONPEDIA}/ may"


def _inside(path: str, line: int, url: str, site: Site, page: ReadPage | None) -> Iterator[Finding]:
    address, _, fragment = url.partition("#")
    address = unquote(address.partition("?")[0])
    if not address:
        target = path
    else:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), address))
        if target == ".." or target.startswith("../"):
            message = f"'{url}' leads out of the site; publish the folder that holds both"
            yield error(path, line, "link", message)
            return
        target = "" if target == "." else target
        if target not in site.files:
            served, problem = _served(target, site, asked_as_folder=address.endswith("/"))
            if served is None:
                yield error(path, line, "link", f"'{url}' leads to no file: {problem}")
                return
            yield warning(path, line, "link", f"'{url}' {problem}")
            target = served
    if fragment:
        yield from _anchor(path, line, url, unquote(fragment), target, site)


def _served(target: str, site: Site, *, asked_as_folder: bool) -> tuple[str | None, str]:
    """The file that Pages serves for a path that is no file, and what to say of it."""
    index = f"{target}/index.html" if target else "index.html"
    if (target in site.folders or asked_as_folder) and index in site.files:
        return index, "is a folder: from a disk it opens only with index.html"
    if f"{target}.html" in site.files and not asked_as_folder:
        return f"{target}.html", "has no extension: from a disk it opens only with .html"
    folded = target.casefold()
    for name in sorted(site.files):
        if name.casefold() == folded:
            return None, f"the file is called '{name}', and case counts"
    return None, f"there is no '{target}'"


def _anchor(
    path: str, line: int, url: str, fragment: str, target: str, site: Site
) -> Iterator[Finding]:
    page = site.pages.get(target)
    if page is None:
        yield error(path, line, "anchor", f"'{url}': a file of this kind has no anchors")
        return
    wanted, kind = _PINS.sub("", fragment).removesuffix("&blind"), page.kind
    if not wanted or wanted == "top" or wanted in page.ids or wanted in page.parts:
        return
    part, mark, rest = wanted.partition("#")
    if page.single and mark and part in page.parts:
        # `#resid-l10/index.html#q=city`: what is behind the second mark is the inner page's.
        wanted, kind = rest, page.parts[part]
    latent = _LATENT.fullmatch(wanted)
    if latent and (posixpath.dirname(target), latent[1]) in site.latents:
        message = f"'{url}' names the wrong page: only a script leads on to the right one"
        yield warning(path, line, "anchor", message)
    elif latent:
        yield error(path, line, "anchor", f"'{url}': no page there shows latent {latent[1]}")
    elif wanted and not (_is_stateful(kind) and _STATE.match(wanted)):
        yield error(path, line, "anchor", f"'{url}': there is no '#{wanted}' on that page")


def _is_stateful(kind: str) -> bool:
    """Whether pages say in their address what the reader chose: `#q=city&sort=-max`.

    A kind of page that is not known is a plug-in's that is not installed here, which may.
    """
    known = page_kinds().values()
    if any(one.acts_as == kind for one in known):
        return any(one.acts_as == kind and one.stateful for one in known)
    return bool(kind)
