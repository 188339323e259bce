"""On which tokens the latent is active."""

from __future__ import annotations

from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.panels.registry import panel

_COLUMNS = ["share", "lift", "at least", "active", "of", "mean"]
_FORMATS = ["percent", "times", "times", "count", "count", "value"]
BY_SHARE = base(
    "tokens.share",
    b="tokens",
    title="By share of its activation",
    columns=_COLUMNS,
    formats=_FORMATS,
    bar=0,
)
BY_LIFT = base(
    "tokens.lift", b="tokens", title="By lift", columns=_COLUMNS, formats=_FORMATS, bar=2
)
SIDE_BY_SIDE = base("tokens", b="grid")


@panel("tokens", "Tokens it is active on", "token_statistics", wide=True)
def tokens(latent: LatentView) -> list[Block]:
    """Tokens by share beside tokens by lift."""
    by_order: dict[str, list[list[object]]] = {}
    names = ("order", "token", "share", "lift", "lift_low", "n_active", "n_token", "mean_active")
    for order, *row in latent.rows("token_statistics").each(*names):
        by_order.setdefault(order, []).append(row)
    blocks = [
        make(rows=by_order[order])
        for order, make in (("share", BY_SHARE), ("lift", BY_LIFT))
        if order in by_order
    ]
    return [SIDE_BY_SIDE(blocks=blocks)] if blocks else []
