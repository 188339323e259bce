"""Tables that are computed from weights alone: pure functions of an SAE and a model.

To add one, write its module with a `WeightTable`, name it in `saereport.measure.registry.WEIGHTS`,
and describe its table in `saereport.run.tables`.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module

from saereport.measure.registry import WEIGHTS
from saereport.measure.weights.context import (
    HookView,
    ModelView,
    SaeWeights,
    TokenRows,
    WeightContext,
    WeightTable,
)


class _Imported(Mapping[str, WeightTable]):
    """What the registry names, each imported when it is asked for."""

    def __getitem__(self, name: str) -> WeightTable:
        module, _, attribute = WEIGHTS[name].partition(":")
        table: WeightTable = getattr(import_module(module), attribute)
        return table

    def __iter__(self) -> Iterator[str]:
        return iter(WEIGHTS)

    def __len__(self) -> int:
        return len(WEIGHTS)


WEIGHT_TABLES: Mapping[str, WeightTable] = _Imported()
"""Every table of weights by name."""

__all__ = [
    "WEIGHT_TABLES",
    "HookView",
    "ModelView",
    "SaeWeights",
    "TokenRows",
    "WeightContext",
    "WeightTable",
]
