"""How often and how strongly: the histogram of the non-zero activations and their quantiles."""

from __future__ import annotations

from saereport.run.tables import QUANTILES
from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.jsonwriter import Exact
from saereport.site.panels.registry import panel

_BAR = {"type": "bar", "meta": "act", "hoverinfo": "none"}
_COUNT_AXIS = {"title": {"text": "tokens"}, "rangemode": "tozero"}
_LINEAR = {
    "bargap": 0.06,
    "xaxis": {"title": {"text": "activation"}, "rangemode": "tozero"},
    "yaxis": _COUNT_AXIS,
}
HISTOGRAM = base(
    "activation.histogram",
    b="bars",
    title="Non-zero activations",
    summary="Histogram of {n} non-zero activations up to {max}; half of them lie below {median}.",
    log="y",
    views=[
        {
            "label": "linear bins",
            "columns": ["from", "to", "tokens"],
            "data": [_BAR],
            "layout": _LINEAR,
        },
        {
            "label": "log bins",
            "columns": ["from", "to", "tokens"],
            "octaves": 4,
            "data": [{**_BAR, "dx": 1}],
            "layout": {
                "bargap": 0.06,
                "xaxis": {"title": {"text": "activation (log scale)"}, "tickmode": "array"},
                "yaxis": _COUNT_AXIS,
            },
        },
    ],
)
GIVEN = base(
    "activation.given",
    b="bars",
    title="Non-zero activations, in the bins of the imported file",
    summary="Histogram of {n} non-zero activations up to {max}.",
    log="y",
    views=[
        {
            "label": "",
            "columns": ["from", "to", "tokens"],
            "data": [_BAR],
            "layout": _LINEAR,
        }
    ],
)
QUANTILE_FACTS = base(
    "activation.quantiles",
    b="facts",
    title="Quantiles of the non-zero activations",
    names=[*(f"{100 * q:g} %" for q in QUANTILES), "mean", "std"],
)


@panel(
    "activation", "How often, how strongly", "activity", "activation_histogram", "given_histogram"
)
def activation(latent: LatentView) -> list[Block]:
    """Both histograms as one figure, and the quantiles; or the histogram as it was given."""
    if not latent.dead and len(latent.rows("given_histogram")):
        return _given(latent)
    if latent.dead or not len(latent.rows("activation_histogram")):
        return []
    histogram = latent.rows("activation_histogram").first()
    activity = latent.rows("activity").first()
    width = 2.0 ** histogram["exponent"]
    counts = _trimmed(histogram["counts"])
    log_counts, first = histogram["log_counts"], histogram["log_first"]
    quantiles = activity["quantile_values"]
    ticks = _octave_ticks(first, len(log_counts))
    figure = HISTOGRAM(
        v={
            "n": activity["n_active"],
            "max": activity["max"],
            "median": quantiles[QUANTILES.index(0.5)] if quantiles else activity["max"],
        },
        views=[
            {"data": [{"x0": Exact(width / 2), "dx": Exact(width), "y": counts}]},
            {
                "data": [{"x0": first, "y": log_counts}],
                "layout": {"xaxis": {"tickvals": ticks[0], "ticktext": ticks[1]}},
            },
        ],
    )
    # Of one activation there is neither: its figure tells all there is.
    if not quantiles:
        return [figure]
    return [
        figure,
        QUANTILE_FACTS(values=[*quantiles, *map(activity.get, ("mean_active", "std_active"))]),
    ]


def _given(latent: LatentView) -> list[Block]:
    given = latent.rows("given_histogram").first()
    centres, counts = given["centres"], given["counts"]
    step = (centres[-1] - centres[0]) / (len(centres) - 1) if len(centres) > 1 else 0.0
    figure = GIVEN(
        v={"n": sum(counts), "max": latent.rows("activity")["max"][0]},
        views=[{"data": [{"x0": Exact(centres[0]), "dx": Exact(step or 1.0), "y": counts}]}],
    )
    return [figure]


def _trimmed(counts: list[int]) -> list[int]:
    end = len(counts)
    while end and not counts[end - 1]:
        end -= 1
    return counts[:end]


def _octave_ticks(first: int, n: int) -> tuple[list[float], list[str]]:
    """Ticks at the edges between octaves, some six of them; bin `k` is centred on `k`."""
    low, high = -(-first // 4), (first + n) // 4
    step = max(1, (high - low) // 6)
    octaves = range(low, high + 1, step)
    return [4 * e - 0.5 for e in octaves], [_power(e) for e in octaves]


def _power(exponent: int) -> str:
    return numbers.value(2.0**exponent)
