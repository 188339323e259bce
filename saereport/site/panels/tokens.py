"""On which tokens the latent is active."""

from __future__ import annotations

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.panels.registry import panel

_COLUMNS = ["share", "lift", "at least", "active", "of", "mean"]
_FORMATS = ["percent", "times", "times", "count", "count", "value"]
_SHARE, _LIFT = "By share of its activation", "By lift"
BY_SHARE = base(
    "tokens.share",
    b="tokens",
    title=_SHARE,
    columns=_COLUMNS,
    formats=_FORMATS,
    bar=0,
)
BY_LIFT = base("tokens.lift", b="tokens", title=_LIFT, columns=_COLUMNS, formats=_FORMATS, bar=2)
SIDE_BY_SIDE = base("tokens", b="grid")


@panel("tokens", "Tokens it is active on", "token_statistics", wide=True)
def tokens(latent: LatentView) -> list[Block]:
    """Tokens by share beside tokens by lift."""
    by_order: dict[str, list[list[object]]] = {}
    names = ("order", "token", "share", "lift", "lift_low", "n_active", "n_token", "mean_active")
    sampled = 1.0
    for share, order, *row in latent.rows("token_statistics").each("sampled", *names):
        sampled = share
        by_order.setdefault(order, []).append(row)
    # Of a latent that fires on too many different tokens only a part of the text is counted.
    part = f", on {numbers.percent(sampled)} of the text's tokens" if sampled < 1 else ""
    blocks = [
        make(rows=by_order[order], **({"title": title + part} if part else {}))
        for order, make, title in (
            ("share", BY_SHARE, _SHARE),
            ("lift", BY_LIFT, _LIFT),
        )
        if order in by_order
    ]
    return [SIDE_BY_SIDE(blocks=blocks)] if blocks else []
