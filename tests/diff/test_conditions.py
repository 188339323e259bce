import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.diff.conditions import Condition, parse
from saereport.diff.metrics import METRICS
from saereport.util.errors import UsageError

ONE_SIDED = sorted(name for name, metric in METRICS.items() if metric.one_sided)
TWO_SIDED = sorted(name for name, metric in METRICS.items() if not metric.one_sided)
FINITE = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
OPERATORS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
CONDITIONS = st.builds(
    Condition,
    st.sampled_from(ONE_SIDED),
    st.sampled_from(["size", "change", "before", "after"]),
    OPERATORS,
    FINITE,
) | st.builds(Condition, st.sampled_from(TWO_SIDED), st.just("size"), OPERATORS, FINITE)


@settings(deadline=None)
@given(CONDITIONS)
def test_a_condition_is_what_its_text_says(condition: Condition) -> None:
    assert parse(str(condition)) == condition


@settings(deadline=None)
@given(st.text(max_size=60) | st.from_regex(r"[a-z.0-9]{1,20} ?[<>=!]{1,2} ?[-+0-9.eE]{1,8}"))
def test_any_text_is_a_condition_or_a_usage_error(text: str) -> None:
    try:
        condition = parse(text)
    except UsageError:
        return
    assert parse(str(condition)) == condition
    assert math.isfinite(condition.number)


@pytest.mark.parametrize(
    ("text", "condition", "needs_two"),
    [
        ("density.jsd > 0.1", Condition("density.jsd", "size", ">", 0.1), True),
        ("density.jsd.size>0.1", Condition("density.jsd", "size", ">", 0.1), True),
        ("ce_recovered < 0.95", Condition("ce_recovered", "after", "<", 0.95), False),
        ("ce_recovered.after < 0.95", Condition("ce_recovered", "after", "<", 0.95), False),
        ("ce_recovered.change <= -1e-2", Condition("ce_recovered", "change", "<=", -0.01), True),
        ("l0.before == 3", Condition("l0", "before", "==", 3.0), True),
        ("density.size != .5", Condition("density", "size", "!=", 0.5), True),
        (" latents.removed >= 0 ", Condition("latents.removed", "size", ">=", 0.0), True),
    ],
)
def test_the_grammar(text: str, condition: Condition, needs_two: bool) -> None:
    assert parse(text) == condition
    assert parse(text).needs_two == needs_two


def test_a_plain_name_is_written_plainly() -> None:
    assert str(parse("l0.after>3.0")) == "l0 > 3"
    assert str(parse("density.jsd.size > 1e-1")) == "density.jsd > 0.1"
    assert str(parse("l0.size > -0.0")) == "l0.size > 0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a gate"),
        ("density.jsd.change < -0.1", "exists only between two reports"),
        ("density", "is not a gate"),
        ("density > ", "is not a gate"),
        ("density => 1", "is not a gate"),
        ("density > 1 2", "is not a gate"),
        ("x" * 500 + " > 1", "is not a gate"),
        ("densty.jsd > 1", "Did you mean 'density.jsd'"),
        ("ce_recoverd.change > 1", "Did you mean 'ce_recovered'"),
        ("density > nan", "'nan'"),
        ("density > inf", "'inf'"),
        ("density > 1e999", "'1e999'"),
        ("density > 1_0", "'1_0'"),
        ("density > ten", "'ten'"),
        ("density.jsd.before > 1", "only between two reports"),
        ("qqqqqqq > 1", "lists them all"),
    ],
)
def test_what_is_no_condition_says_why(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(text)
    assert message in str(error.value)
    assert len(str(error.value)) < 450


@settings(deadline=None)
@given(CONDITIONS, st.lists(st.floats(), max_size=8))
def test_no_comparison_is_met_by_nan(condition: Condition, values: list[float]) -> None:
    compare = {
        "<": float.__lt__,
        "<=": float.__le__,
        ">": float.__gt__,
        ">=": float.__ge__,
        "==": float.__eq__,
        "!=": float.__ne__,
    }[condition.operator]
    expected = [not math.isnan(value) and compare(value, condition.number) for value in values]
    assert condition.met(np.array(values, np.float64)).tolist() == expected
