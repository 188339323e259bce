from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saereport.site.jsonwriter import Exact, dumps, record, script


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (12345678, "12345678"),
        (0.1 + 0.2, "0.3"),
        (np.float32(0.1), "0.1"),
        (-0.0, "0"),
        (-1e-320 * 0, "0"),
        (1234567.0, "1.235e+06"),
        (Exact(0.015625), "0.015625"),
        ([1, 2.5, "a"], '[1,2.5,"a"]'),
        (np.array([1, 2]), "[1,2]"),
        ({"b": 1, "a": (2,)}, '{"b":1,"a":[2]}'),
        ("</script>&", '"\\u003c/script\\u003e\\u0026"'),
        ("\u2028\u2029", '"\\u2028\\u2029"'),
        ('"\\\n\x00\x7f', '"\\"\\\\\\n\\u0000\\u007f"'),
        ("\ud800", '"\\ud800"'),
        ("漢 é", '"漢 é"'),
    ],
)
def test_values_have_one_form(value: object, text: str) -> None:
    assert dumps(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), [math.nan]])
def test_numbers_that_are_none_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        dumps(value)


@pytest.mark.parametrize("value", [{1: 2}, {"__proto__": 1}, object(), b"bytes", {1, 2}])
def test_values_without_a_form_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        dumps(value)


KEYS = st.text().filter(lambda key: key != "__proto__")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


@given(JSON)
def test_it_reads_back(value: object) -> None:
    text = dumps(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029\n") & set(text)
    text.encode("utf-8")


@given(st.floats(-1e300, 1e300))
def test_numbers_keep_four_digits(value: float) -> None:
    assert json.loads(dumps(value)) == pytest.approx(value, rel=5.1e-4, abs=1e-320)


def test_a_record_has_one_line_an_item() -> None:
    lines = list(
        record("rows", {"sae": "</script>"}, {"a": (dumps([i]) for i in range(3)), "b": iter([])})
    )
    assert lines == [
        '{"kind":"rows","sae":"\\u003c/script\\u003e"',
        ',"a":[',
        "[0],",
        "[1],",
        "[2]",
        "]",
        ',"b":[',
        "]",
        "}",
    ]
    assert script("\n".join(lines[:1]) + "}") == (
        '(self.saereport=self.saereport||[]).push({"kind":"rows","sae":"\\u003c/script\\u003e"});\n'
    )
