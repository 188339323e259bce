from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, judge
from saereport.diff.model import Difference
from saereport.diff.terminal import columns, fitted, padded, summary
from saereport.diff.wording import moved, shown, verdict
from tests.diff.differences import change, difference, measured, prompt, sae, unchanged, value
from tests.run.bench import acts_on_nothing
from tests.synthetic import HOSTILE


def lines(of: Difference, *gates: str, width: int = 80) -> list[str]:
    return summary(of, judge([Gate(parse(g)) for g in gates], of, measured()), width=width).split(
        "\n"
    )


def test_the_verdict_comes_first() -> None:
    assert lines(difference(), width=200)[0] == (
        "2 of 4 latents changed, 1 removed, 2 SAE metrics changed, 1 SAE added, 1 prompt changed, "
        "1 setting changed."
    )
    assert lines(unchanged())[0] == "No change beyond noise."
    assert verdict(replace(unchanged(), identical=True)) == "The two reports are the same."
    only = replace(unchanged(), saes=(replace(unchanged().saes[0], removed=(1, 2)),))
    assert verdict(only) == "2 latents removed."
    assert verdict(replace(only, identical=True)) == "2 latents removed."


def test_it_says_what_changed_on_both_sides() -> None:
    said = lines(difference())
    for line in (
        "before  main:site  (Before)",
        "after   report  (After)",
        "  configuration examples.top  20 -> 30",
        "  libraries numpy             2.1 -> 2.2  (numbers need not depend on it)",
        "SAEs added: mlp-l3",
        "resid-l10: 2 of 4 latents changed, 1 removed, 0 added",
        "  L0                        40 -> 44",
        "  Densities of all latents  changed by 0.2",
        "  removed: 30",
        "  resid-l10/10  words for if",
        "    Density          0.1 % -> 0.4 %",
        "      before:  if, ␣iff",
        "      after:  ␣iff, ␣new",
        "Prompt capital: 2 edges changed",
        "  Answer's probability  50 % -> 40 %",
        '  sign    0.5 -> -0.2  resid-l10/3 @2 " iff" => resid-l12/4',
    ):
        assert line in said, line
    assert "SAEs without a change: resid-l10" in lines(unchanged())


def test_it_says_how_latents_were_matched_and_what_was_not_compared() -> None:
    note = "The weights differ; paired by number, because most latents kept their direction."
    one = sae()
    matched = replace(
        one,
        pairing="decoder_cosine",
        changed=(replace(change(10, "words"), before=7, similarity=0.9271),),
        not_compared={"neighbours.rbo": "the SAEs differ", "mse": "no", "max": "the SAEs differ"},
        pairing_note=note,
    )
    of = replace(unchanged(), saes=(matched, replace(one, after="mlp-l3")))
    said = lines(of, width=200)
    assert f"  {note}" in said
    assert "  resid-l10/7 -> 10  cosine 0.93  words" in said
    assert said[-3:] == [
        "Not compared",
        "  Neighbours, Maximum: the SAEs differ (resid-l10, mlp-l3)",
        "  Squared error: no (resid-l10)",
    ]
    assert "Not compared" not in lines(unchanged())


def test_the_gates_come_last_and_failures_are_whole() -> None:
    said = lines(difference(), "latents.removed > 0", "density.jsd > 0.9", width=40)
    assert said[-3:] == [
        "2 gates: 1 failed, 1 passed",
        "  failed   latents.removed > 0  resid-l10 = 1: 30",
        "  passed   density.jsd > 0.9    1 SAE, …",
    ]


def test_colours_only_where_they_are_asked_for() -> None:
    of = difference()
    outcomes = judge([Gate(parse("latents.removed > 0"))], of, measured())
    assert "\x1b" not in summary(of, outcomes)
    painted = summary(of, outcomes, paint=lambda text, look: f"[{look}|{text}]")
    assert "[red|failed ]" in painted
    assert painted.startswith("[bold|2 of 4")


@pytest.mark.parametrize("data", HOSTILE)
def test_nothing_acts_on_the_terminal(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape") or " "
    said = "\n".join(lines(difference(text), "density.size > 0.1", "edge > 0"))
    assert acts_on_nothing(said.replace("\n", "")), said


def test_long_lists_are_cut_and_counted() -> None:
    many = replace(sae(), changed=tuple(change(i) for i in range(50)), removed=tuple(range(30)))
    edges = prompt().edges * 20
    of = replace(difference(), saes=(many,), prompts=(replace(prompt(), edges=edges),))
    said = lines(of)
    assert "  and 40 more that changed" in said
    assert "  removed: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 20 more" in said
    assert "  and 35 more" in said
    assert len(said) < 100


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "Mn"]), max_size=40), st.integers(1, 50))
def test_a_cut_line_fits_and_begins_as_the_whole(text: str, width: int) -> None:
    made = fitted(text, width)
    assert columns(made) <= width
    assert made == text or (made.endswith("…") and text.startswith(made[:-1]))
    assert columns(padded(made, width)) == width


def test_wide_and_combining_characters_take_their_columns() -> None:
    assert [columns(text) for text in ("abc", "日本", "e\u0301", "…")] == [3, 4, 1, 1]


def test_numbers_read_as_their_metric_is_known() -> None:
    assert shown("density", 0.00123) == "0.123 %"
    assert shown("l0", 41.23456) == "41.23"
    assert shown("l0", None) == "not measured"
    assert moved(value("ce_recovered", 0.97, 0.9, 0.07)) == "0.97 -> 0.9"
    assert moved(value("density.jsd", None, None, 0.25)) == "changed by 0.25"
