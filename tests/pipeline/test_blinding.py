"""Which latents are blinded, and what is taken out of tables for them."""

from __future__ import annotations

import pytest

from saereport.pipeline.blinding import blind_rows, parse_blind
from saereport.util.errors import UsageError

WIDTHS = {"resid-l1": 40, "tc-l2": 24}


def test_latents_are_named_with_their_sae_or_alone_where_only_one_can_be_meant() -> None:
    assert parse_blind(["resid-l1:7", "tc-l2:3", "resid-l1:5"], WIDTHS, ["tc-l2"]) == {
        "resid-l1": [5, 7],
        "tc-l2": [3],
    }
    assert parse_blind(["3", "tc-l2:3"], WIDTHS, ["tc-l2"]) == {"tc-l2": [3]}
    assert parse_blind(["3"], {"only": 4}, []) == {"only": [3]}
    assert parse_blind([], WIDTHS, []) == {}


@pytest.mark.parametrize(
    ("asked", "transcoders", "message"),
    [
        ("tc-l3:3", ["tc-l2"], "There is no SAE 'tc-l3' for the blind latent .*Did you mean"),
        ("tc-l2:24", ["tc-l2"], "latent 24 is out of range: tc-l2 has 24"),
        ("tc-l2:x", ["tc-l2"], "'tc-l2:x' is not a latent"),
        ("tc-l2:-1", ["tc-l2"], "'tc-l2:-1' is not a latent"),
        ("tc-l2:", ["tc-l2"], "'tc-l2:' is not a latent"),
        ("tc-l2:2²", ["tc-l2"], "is not a latent"),
        ("tc-l2:all", ["tc-l2"], "is not a choice of latents"),
        ("", ["tc-l2"], "is not a latent"),
        ("3", [], "does not say of which SAE"),
        ("3", ["tc-l2", "resid-l1"], "does not say of which SAE"),
    ],
)
def test_what_is_no_latent_of_the_report_is_refused(
    asked: str, transcoders: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        parse_blind([asked], WIDTHS, transcoders)


def test_the_run_says_which_latents_are_blind() -> None:
    rows = blind_rows({"a": [3, 5], "b": [1]}, True)
    assert rows == {"sae": ["a", "a", "b"], "latent": [3, 5, 1], "reveal": [True] * 3}
