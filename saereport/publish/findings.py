"""What a check of a site has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from saereport.util.visible import visible_text

Severity = Literal["error", "warning"]


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes:
        path: The file, relative to the site, with `/`; empty for the site as a whole.
        line: Its line, from 1; 0 where there is none.
        rule: A short name of what was looked at, such as `link`, `name` or `manifest`.
        severity: An `error` must not be published; a `warning` may.
        message: What is wrong, and what to do where that is not plain.
    """

    path: str
    line: int
    rule: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        place = visible_text(self.path) or "(site)"
        place += f":{self.line}" if self.line else ""
        return f"{place}: {self.severity}: {visible_text(self.message)} [{self.rule}]"


def error(path: str, line: int, rule: str, message: str) -> Finding:
    """A finding that must not be published."""
    return Finding(path, line, rule, "error", message)


def warning(path: str, line: int, rule: str, message: str) -> Finding:
    """A finding that may be published."""
    return Finding(path, line, rule, "warning", message)


def errors(findings: Sequence[Finding]) -> int:
    """How many of them are errors."""
    return sum(finding.severity == "error" for finding in findings)


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as a value for JSON."""
    return {
        "format": "saereport-publish-check",
        "version": 1,
        "errors": errors(findings),
        "warnings": len(findings) - errors(findings),
        "findings": [asdict(finding) for finding in findings],
    }
