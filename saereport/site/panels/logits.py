"""What the latent writes: its direct effect on the logits."""

from __future__ import annotations

from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.jsonwriter import Exact
from saereport.site.panels.registry import panel

_VIEW = {
    "label": "",
    "columns": ["from", "to", "vocabulary tokens"],
    "data": [{"type": "bar", "meta": "signed", "hoverinfo": "none"}],
    "layout": {
        "bargap": 0.06,
        "xaxis": {"title": {"text": "logit"}},
        "yaxis": {"title": {"text": "vocabulary tokens"}, "rangemode": "tozero"},
    },
}
_TITLE = "Direct effect on every token of the vocabulary"
HISTOGRAM = base(
    "logits.histogram",
    b="bars",
    title=_TITLE,
    summary="Histogram of the direct effect on all tokens: mean {mean}, standard deviation {std}, "
    "skewness {skewness}, excess kurtosis {kurtosis}.",
    log="y",
    views=[_VIEW],
)
PLAIN_HISTOGRAM = base(
    "logits.given",
    b="bars",
    title=_TITLE,
    summary="Histogram of the direct effect on all tokens.",
    log="y",
    views=[_VIEW],
)
RAISED = base(
    "logits.top", b="tokens", title="Raises most", columns=["logit"], formats=["value"], bar=0
)
LOWERED = base(
    "logits.bottom", b="tokens", title="Lowers most", columns=["logit"], formats=["value"], bar=0
)
SIDE_BY_SIDE = base("logits", b="grid")


@panel("logits", "What it writes", "logit_lens")
def logits(latent: LatentView) -> list[Block]:
    """The logit histogram, and the tokens that are raised and lowered most."""
    if not len(latent.rows("logit_lens")):
        return []
    row = latent.rows("logit_lens").first()
    lists = SIDE_BY_SIDE(blocks=token_pair(row, RAISED, LOWERED))
    if not row["counts"]:
        return [lists]
    if "logit_lens.mean" in latent.sae.info.left_out:
        first = Exact(row["lower"] + row["width"] / 2)
        drawn = {"x0": first, "dx": Exact(row["width"] or 1.0), "y": row["counts"]}
        return [lists, PLAIN_HISTOGRAM(views=[{"data": [drawn]}])]
    moments = ("mean", "std", "skewness", "kurtosis")
    first = row["lower"] + row["width"] / 2
    figure = HISTOGRAM(
        v={name: row[name] for name in moments},
        views=[{"data": [{"x0": Exact(first), "dx": Exact(row["width"]), "y": row["counts"]}]}],
    )
    return [lists, figure]


def token_pair(row: dict[str, list[float]], top: object, bottom: object) -> list[Block]:
    """The two token lists of a row with `TOKEN_LISTS` columns."""
    return [
        make(rows=[list(pair) for pair in zip(row[f"{s}_tokens"], row[f"{s}_values"], strict=True)])
        for s, make in (("top", top), ("bottom", bottom))
        if callable(make)
    ]
