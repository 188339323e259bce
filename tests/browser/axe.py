"""axe-core in a page: what it finds, as lines that a failing test can print."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "vendor" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
"""WCAG 2.2 up to level AA, and what axe-core counts as good practice besides."""

OF_LETTERS = ["scrollable-region-focusable", "target-size"]
"""The rules that larger or smaller letters can break."""


@cache
def script() -> str:
    return SOURCE.read_text(encoding="utf-8") + ";0"


def violations(page: Any, rules: list[str] | None = None) -> list[str]:
    """Every element that breaks a rule: the rule, its weight, the element and what is wrong.

    The script goes in by the debugger, which the page's own policy does not bind. Without `rules`,
    all rules of `TAGS` are tried.
    """
    if not page.evaluate("'axe' in self"):
        page.evaluate(script())
    asked = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": TAGS}
    found = page.evaluate(
        "(runOnly) => axe.run(document, { runOnly, resultTypes: ['violations'], preload: false })",
        asked,
    )
    assert found["passes"], "axe-core looked at nothing"
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:160]}: "
        + " ".join(node["failureSummary"].split())[:300]
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
