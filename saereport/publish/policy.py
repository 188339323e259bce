"""Whether a page's Content-Security-Policy keeps it to itself.

The policy is what makes certain that a page asks nobody for anything, whatever its scripts do; so
each of its directives is held against the short list of what a report needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from saereport.publish.findings import Finding, error
from saereport.publish.page import ReadPage

NEURONPEDIA = "https://www.neuronpedia.org"
_ANYWHERE = frozenset({"'none'", "'self'"})
_DATA = frozenset({"img-src", "font-src", "media-src"})
_HASHED = frozenset({"script-src", "style-src"})
_HASH = re.compile(r"'sha(256|384|512)-[A-Za-z0-9+/_-]+={0,2}'")
_CLOSED = ("default-src", "base-uri", "form-action")


def directives(policy: str) -> dict[str, list[str]]:
    """A policy's directives by name; of a name that is there twice the first counts."""
    found: dict[str, list[str]] = {}
    for part in policy.split(";"):
        words = part.split()
        if words:
            found.setdefault(words[0].lower(), words[1:])
    return found


def check_policy(path: str, page: ReadPage) -> Iterator[Finding]:
    """Findings about a page's policy and the code that it must allow by hash."""
    if not page.policies:
        yield error(path, 1, "policy", "the page has no Content-Security-Policy")
        return
    line, policy, first = page.policies[0]
    if not first:
        message = "the Content-Security-Policy is not the first element of the head"
        yield error(path, line, "policy", message)
    parts = directives(policy)
    for name in _CLOSED:
        if parts.get(name) != ["'none'"]:
            yield error(path, line, "policy", f"the policy must say {name} 'none'")
    for name, sources in parts.items():
        for source in sources:
            if not _allowed(name, source):
                yield error(path, line, "policy", f"{name} must not allow {source}")
    for code in page.inline:
        allowed = parts.get(f"{code.tag}-src", [])
        if code.text.strip() and code.digest not in allowed:
            message = f"the policy blocks this <{code.tag}>: its hash {code.digest} is not listed"
            yield error(path, code.line, "policy", message)


def frames_allowed(page: ReadPage) -> bool:
    """Whether the policy has the opt-in by which Neuronpedia may be framed."""
    return any(
        NEURONPEDIA in directives(policy).get("frame-src", []) for _, policy, _ in page.policies
    )


def _allowed(name: str, source: str) -> bool:
    if source in _ANYWHERE:
        return True
    if name in _DATA and source == "data:":
        return True
    if name in _HASHED and _HASH.fullmatch(source):
        return True
    return name == "frame-src" and source == NEURONPEDIA
