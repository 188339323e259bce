"""What is to be steered, as people write it."""

from __future__ import annotations

from typing import Any

import pytest

from saereport.config.build import make_config
from saereport.config.steering import MOST_LATENTS, MOST_STRENGTHS, parse_concepts, parse_steered
from saereport.util.errors import UsageError

WIDTHS = {"resid-l1": 40, "blocks.2.hook_resid_pre": 24}


def test_latents_are_named_with_their_sae_or_alone_where_there_is_one() -> None:
    asked = ["blocks.2.hook_resid_pre.3", "resid-l1.7", "resid-l1:5,9-11"]
    found = parse_steered(asked, WIDTHS)
    assert found == {"resid-l1": [5, 7, 9, 10, 11], "blocks.2.hook_resid_pre": [3]}
    assert list(found) == list(WIDTHS)
    assert parse_steered(["47", " 3 "], {"only": 48}) == {"only": [3, 47]}
    assert parse_steered(["only.3"], {"only": None}) == {"only": [3]}
    assert parse_steered([], WIDTHS) == {}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("resid-l2.3", "There is no SAE 'resid-l2'.*Did you mean 'resid-l1'"),
        ("resid-l1.40", "steer 40 is out of range: resid-l1 has 40 latents, 0 to 39"),
        ("resid-l1.x", "'resid-l1.x' is not a latent to steer.*such as"),
        ("resid-l1.", "is not a latent to steer"),
        ("resid-l1.-1", "is not a latent to steer"),
        ("resid-l1.all", "is not a latent to steer"),
        ("", "is not a latent to steer"),
        ("3", "does not say of which SAE it is.*SAE.3"),
        ("resid-l1.2²", "is not a latent to steer"),
    ],
)
def test_what_is_no_latent_of_the_report_is_refused(asked: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_steered([asked], WIDTHS)


def test_too_many_latents_are_refused() -> None:
    with pytest.raises(UsageError, match=f"More than {MOST_LATENTS} latents"):
        parse_steered([f"0-{MOST_LATENTS}"], {"only": 1000})
    assert len(parse_steered([f"1-{MOST_LATENTS}"], {"only": 1000})["only"]) == MOST_LATENTS


def steering(**settings: Any) -> Any:
    return make_config({"steering": settings}).steering


def test_the_sweep_rises_and_holds_zero_once() -> None:
    assert steering(strengths=[4, -2, 0.5, -0.0, 4]).sweep == (-2.0, 0.0, 0.5, 4.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strengths": [1, float("nan")]}, "strengths lie between"),
        ({"strengths": [float("inf")]}, "strengths lie between"),
        ({"strengths": [1e7]}, "strengths lie between"),
        ({"strengths": [0]}, "no strength other than 0"),
        ({"strengths": []}, "no strength other than 0"),
        ({"strengths": list(range(MOST_STRENGTHS + 1))}, "more than 32 strengths"),
        ({"temperature": -1}, "greater than or equal to 0"),
        ({"temperature": float("nan")}, "cannot be nan"),
        ({"top_p": 0}, "greater than 0"),
        ({"top_p": 1.1}, "less than or equal to 1"),
        ({"new_tokens": 0}, "greater than or equal to 1"),
        ({"samples": 0}, "greater than or equal to 1"),
        ({"form": "sideways"}, "'additive', 'orthogonal' or 'projection_cap'"),
        ({"positions": "some"}, "'all', 'generated' or a range"),
        ({"positions": [3]}, "'all', 'generated' or a range"),
        ({"positions": [-1, 3]}, "'all', 'generated' or a range"),
        ({"positions": [3, 3]}, "no position from 3 up to, but not, 3"),
        ({"positions": [False, True]}, "yes or no says nothing"),
        ({"frequency_penalty": float("inf")}, "cannot be inf"),
        ({"concept": {"resid-l1.3": []}}, "concept of 'resid-l1.3' is empty"),
        ({"concept": {"resid-l1.3": ["oh", " "]}}, "concept of 'resid-l1.3' is empty"),
        ({"concept": {"resid-l1.3": ["x"] * 101}}, "more than 100 words"),
        ({"strenghts": [1]}, "Did you mean 'strengths'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        steering(**settings)


def test_a_number_alone_is_a_list_of_one() -> None:
    assert make_config({"steer": 47}).steer == ("47",)
    assert make_config({"steer": ["resid-l1.3", 4]}).steer == ("resid-l1.3", "4")


def test_positions_are_words_or_a_range() -> None:
    assert steering().positions == "all"
    assert steering(positions="generated").positions == "generated"
    assert steering(positions=[0, 4]).positions == (0, 4)


def test_concepts_are_of_what_is_steered() -> None:
    steered = {"resid-l1": [3, 7]}
    assert parse_concepts({"resid-l1:3": ["oh"]}, steered, WIDTHS) == {"resid-l1.3": ("oh",)}
    assert parse_concepts({"7": ["oh"]}, steered, {"resid-l1": 40}) == {"resid-l1.7": ("oh",)}
    assert parse_concepts({"sea": ["salt"]}, {}, WIDTHS, ["sea"]) == {"sea": ("salt",)}
    with pytest.raises(
        UsageError, match=r"'resid-l1\.8' is of nothing that is steered.*resid-l1.[37]"
    ):
        parse_concepts({"resid-l1.8": ["oh"]}, steered, WIDTHS)
    with pytest.raises(UsageError, match="nothing that is steered"):
        parse_concepts({"resid-l1.3-7": ["oh"]}, steered, WIDTHS)
    with pytest.raises(UsageError, match=r"two concepts of 'resid-l1\.3'"):
        parse_concepts({"resid-l1:3": ["oh"], "resid-l1.3": ["ah"]}, steered, WIDTHS)
