"""Tables that are computed from weights alone: pure functions of an SAE and a model.

To add one, write its module with a `WeightTable`, add that to `WEIGHT_TABLES`, and describe its
table in `saereport.run.tables`.
"""

from saereport.measure.weights import (
    decoder,
    deembedding,
    heads,
    logit_lens,
    pullbacks,
)
from saereport.measure.weights.context import (
    HookView,
    ModelView,
    SaeView,
    TokenRows,
    WeightContext,
    WeightTable,
)

WEIGHT_TABLES: dict[str, WeightTable] = {
    table.name: table
    for table in (
        logit_lens.TABLE,
        deembedding.TABLE,
        heads.DEEMBEDDING,
        pullbacks.TABLE,
        decoder.NEIGHBOURS,
        heads.SHARES,
        decoder.GEOMETRY,
        decoder.DIRECTIONS,
    )
}
"""Every table of weights by name."""

__all__ = [
    "WEIGHT_TABLES",
    "HookView",
    "ModelView",
    "SaeView",
    "TokenRows",
    "WeightContext",
    "WeightTable",
]
