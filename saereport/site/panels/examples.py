"""Examples: where in the text the latent was active, strongest first and over its whole range."""

from __future__ import annotations

from itertools import pairwise

from saereport.site.blocks import Block, base
from saereport.site.context import LatentView, ReportModel
from saereport.site.panels.registry import panel
from saereport.site.records import ExampleRow, RangeRow

EXAMPLES = base("examples", b="examples")
_ORDER = {"top": 0, "interval": 1, "quantile": 2}


def _place(group: str) -> tuple[int, int, str]:
    kind, _, number = group.partition(":")
    return _ORDER.get(kind, 3), -int(number) if number.isdigit() else 0, group


@panel(
    "examples",
    "Examples",
    "examples",
    "example_groups",
    "given_groups",
    wide=True,
)
def examples(latent: LatentView) -> list[Block]:
    """Examples by group: top first, then the ranges from high to low."""
    found = group_rows(latent)
    ranges = {
        group: RangeRow(lower, upper, n_active, share)
        for group, lower, upper, n_active, share in latent.rows("example_groups").each(
            "group", "lower", "upper", "n_active", "share"
        )
    }
    # Of an imported group the count is not known, and the share is of all tokens.
    ranges |= {
        group: RangeRow(lower, upper, None, contains)
        for group, lower, upper, contains in latent.rows("given_groups").each(
            "group", "lower", "upper", "contains"
        )
    }
    names = sorted(found.keys() | ranges.keys(), key=_place)
    if not names:
        return []
    groups = [
        {"group": name, "range": ranges.get(name), "examples": found.get(name, [])}
        for name in names
    ]
    edges = quantile_edges(latent.sae.report, sum(name.startswith("quantile:") for name in names))
    return [EXAMPLES(groups=groups, **({"quantiles": edges} if edges else {}))]


def quantile_edges(report: ReportModel, n_groups: int) -> list[float]:
    """The inner edges of a latent's quantile groups, as the run was asked for them.

    Returns:
        `n_groups - 1` shares that rise; empty where the run does not say so many.
    """
    asked = report.info.config.get("examples")
    edges = asked.get("quantiles") if isinstance(asked, dict) else None
    if not isinstance(edges, list) or len(edges) != n_groups - 1:
        return []
    shares = [edge for edge in edges if isinstance(edge, (int, float)) and 0 < edge < 1]
    rising = len(shares) == len(edges) and all(a < b for a, b in pairwise(shares))
    return shares if rising else []


def group_rows(latent: LatentView) -> dict[str, list[ExampleRow]]:
    """The latent's examples as they are written, by group."""
    names = (
        "group",
        "sequence",
        "position",
        "activation",
        "start",
        "window",
        "document",
        "active_positions",
        "active_values",
    )
    found: dict[str, list[ExampleRow]] = {}
    for group, *rest in latent.rows("examples").each(*names):
        found.setdefault(group, []).append(ExampleRow(*rest))
    return found
