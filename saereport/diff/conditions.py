"""The grammar of gates: `METRIC[.change|.size|.before|.after] OP NUMBER`.

A condition says what is *not* wanted: a gate fails when its condition is met. A plain name means
the value after, where one report alone has such a value, and otherwise the size of the change.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from saereport.diff.metrics import METRICS, Metric
from saereport.util.errors import UsageError, did_you_mean
from saereport.util.visible import visible_text

Part = Literal["size", "change", "before", "after"]
Operator = Literal["<", "<=", ">", ">=", "==", "!="]

_COMPARE: dict[str, Callable[[NDArray[np.float64], float], NDArray[np.bool_]]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_GRAMMAR = re.compile(r"\s*([A-Za-z0-9_.]+)\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LONGEST = 200


@dataclass(frozen=True)
class Condition:
    """One comparison of a metric with a number.

    Attributes:
        metric: Name in `METRICS`.
        part: Which number of it: the size of its change in the measure of its definition, the
            signed difference after - before, or its value on one side.
        operator: How it is compared.
        number: With what; finite.
    """

    metric: str
    part: Part
    operator: Operator
    number: float

    def __str__(self) -> str:
        plain = self.part == _usual_part(METRICS[self.metric])
        name = self.metric if plain else f"{self.metric}.{self.part}"
        return f"{name} {self.operator} {repr(self.number).removesuffix('.0')}"

    @property
    def needs_two(self) -> bool:
        """Whether it can be asked only of two reports."""
        return self.part != "after"

    def met(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of the values meet it; NaN never does (whoever asks must treat it first)."""
        return _COMPARE[self.operator](values, self.number) & ~np.isnan(values)

    def badness(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far each value lies on the wrong side: what the worst ones are sorted by."""
        if self.operator in (">", ">="):
            return values - self.number
        if self.operator in ("<", "<="):
            return self.number - values
        distance = np.abs(values - self.number)
        return distance if self.operator == "!=" else -distance


def parse(text: str) -> Condition:
    """The condition that a text means.

    Raises:
        UsageError: It is not `METRIC OP NUMBER`, the metric is unknown or has no such part, or the
            number is not finite.
    """
    shown = visible_text(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")
    found = _GRAMMAR.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise UsageError(
            f"'{shown}' is not a gate.",
            "Write METRIC OP NUMBER, such as 'density.jsd > 0.1'; OP is < <= > >= == or !=.",
        )
    name, operator, number = found.groups()
    if NUMBER.fullmatch(number) is None or not math.isfinite(float(number)):
        raise UsageError(
            f"The gate '{shown}' compares with '{visible_text(number)}'.",
            "Compare with a number, such as 0.1.",
        )
    metric, part = _metric_and_part(name, shown)
    # Adding zero makes -0 the 0 that it is equal to.
    return Condition(metric.name, part, operator, float(number) + 0.0)  # type: ignore[arg-type]


def require_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in METRICS:
        raise UsageError(
            f"There is no metric '{visible_text(name)}'.",
            did_you_mean(name, METRICS) or "The page on comparing reports lists them all.",
        )
    return METRICS[name]


def _metric_and_part(name: str, shown: str) -> tuple[Metric, Part]:
    stem, _, last = name.rpartition(".")
    if name in METRICS or last not in get_args(Part):
        metric = require_metric(name)
        return metric, _usual_part(metric)
    metric = require_metric(stem)
    if not metric.one_sided:
        if last != "size":
            raise UsageError(
                f"'{metric.name}' in the gate '{shown}' exists only between two reports.",
                f"Write '{metric.name}' alone for the size of its change.",
            )
        return metric, "size"
    return metric, last  # type: ignore[return-value]


def _usual_part(metric: Metric) -> Part:
    return "after" if metric.one_sided else "size"
