"""Absorption: found in an SAE that was made to absorb, and not in one that was not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from saereport.evaluate.absorption import (
    SHARE,
    Directions,
    LetterProbe,
    Words,
    _fraction,
    absorbed,
    absorbing_rows,
    f1_score,
    folds,
    letter_columns,
    letter_probes,
    letters_of,
    main_latents,
)
from saereport.evaluate.logistic import LinearProbe

LETTERS, EACH, WIDTH = "abcd", 40, 24
VICTIMS = (3, 7)
"""Words of the letter b, by their place among them, that a latent of their own absorbs."""
OWN = len(LETTERS)
"""The first latent of a word."""


def planted(*, absorbs: bool) -> tuple[Words, Directions, dict[str, LetterProbe]]:
    """Activations are a letter's direction and a word's; latents write what they stand for."""
    rng = np.random.default_rng(0)
    letters = np.repeat(list(LETTERS), EACH)
    axes = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
    of_letter, of_word = axes[: len(LETTERS)], axes[len(LETTERS) :]
    places = np.array([LETTERS.index(one) for one in letters])
    victims = [EACH + one for one in VICTIMS]
    f = np.zeros((len(letters), OWN + len(victims) + 5))
    f[np.arange(len(letters)), places] = rng.uniform(1.5, 2.5, len(letters))
    acts = f[:, : len(LETTERS)] @ of_letter + 0.05 * rng.normal(size=(len(letters), WIDTH))
    rows = np.zeros((f.shape[1], WIDTH))
    rows[: len(LETTERS)] = of_letter
    rows[OWN + len(victims) :] = of_word[10:15]
    for place, word in enumerate(victims):
        rows[OWN + place] = of_word[place]
        acts[word] += 3 * of_word[place]
        f[word, OWN + place] = 3.0
        if absorbs:
            # The word's latent has the letter's direction in it, and the letter's is silent.
            rows[OWN + place] = of_word[place] + f[word, 1] / 3 * of_letter[1]
            f[word, 1] = 0.0
    noise = rng.random((len(letters), 5)) * (rng.random((len(letters), 5)) < 0.2)
    f[:, OWN + len(victims) :] = 0.2 * noise
    activations = acts.astype(np.float32)
    probes = letter_probes(activations, letters, 0)
    toward = np.stack([one.direction for one in probes.values()], axis=1)
    words = Words(
        np.arange(100, 100 + len(letters)),
        letters,
        np.ones(len(letters), bool),
        {"hook": activations},
        {"sae": csr_array(f)},
    )
    return words, Directions(rows @ toward, np.linalg.norm(rows, axis=1)), probes


def test_words_that_a_latent_absorbs_are_found_and_no_others() -> None:
    words, of, probes = planted(absorbs=True)
    assert all(one.f1 > 0.95 for one in probes.values())
    found = letters_of(words, "sae", "hook", probes, of, 0)
    assert [found[letter].main.tolist() for letter in LETTERS] == [[0], [1], [2], [3]]
    b = found["b"]
    victims = [EACH + one for one in VICTIMS]
    full = {int(p): int(latent) for p, latent in zip(b.places, b.full, strict=True) if latent >= 0}
    assert full == {victims[0]: OWN, victims[1]: OWN + 1}
    fractions = dict(zip(b.places.tolist(), b.fraction.tolist(), strict=True))
    assert all(fractions[word] == 1.0 for word in victims)
    assert sum(fractions.values()) == 2.0
    for letter in "acd":
        assert not found[letter].fraction.any()
        assert (found[letter].full < 0).all()
    columns = letter_columns(found, probes)
    place = columns["letter"].index("b")
    assert columns["n_full"][place] == 2
    assert columns["full"][place] == pytest.approx(2 / len(b.places))
    whole = columns["letter"].index("*")
    assert columns["full"][whole] == pytest.approx(2 / len(b.places) / 4)
    low, high = columns["full_interval"][whole]
    assert 0 <= low < columns["full"][whole] < high
    rows = absorbing_rows(words, "sae", found, of)
    roles = list(zip(rows["letter"], rows["role"], rows["latent"], strict=True))
    assert roles == sorted(roles)
    assert [one for one in roles if one[1] == "absorbing"] == [
        ("b", "absorbing", OWN),
        ("b", "absorbing", OWN + 1),
    ]
    mine = roles.index(("b", "absorbing", OWN))
    assert rows["words"][mine] == [100 + victims[0]]
    assert rows["share"][mine] == pytest.approx(1.0, abs=0.1)
    main = roles.index(("b", "main", 1))
    assert rows["silent"][main] == [100 + word for word in victims]
    assert rows["share"][main] == pytest.approx(1 - 2 / len(b.places))


def test_an_sae_that_absorbs_nothing_scores_nothing() -> None:
    words, of, probes = planted(absorbs=False)
    found = letters_of(words, "sae", "hook", probes, of, 0)
    columns = letter_columns(found, probes)
    assert set(columns["fraction"]) == set(columns["full"]) == {0.0}
    assert "absorbing" not in absorbing_rows(words, "sae", found, of)["role"]


def test_what_an_sae_that_normalises_writes_is_in_units_of_the_activation() -> None:
    """The same activations read at a tenth of their size, which the decoder undoes."""
    words, of, probes = planted(absorbs=True)
    scales = np.linspace(5.0, 20.0, len(words.letters))
    small = csr_array(words.latents["sae"].toarray() / scales[:, None])
    found = letters_of(words, "sae", "hook", probes, of, 0)["b"]
    other = letters_of(
        replace(words, latents={"sae": small}, scales={"sae": scales}), "sae", "hook", probes, of, 0
    )["b"]
    assert found.fraction.any()
    np.testing.assert_allclose(other.fraction, found.fraction)
    np.testing.assert_array_equal(other.full, found.full)
    np.testing.assert_allclose(other.share, found.share)


def test_letters_whose_probe_finds_nothing_do_not_count() -> None:
    words, of, _ = planted(absorbs=True)
    noise = np.random.default_rng(1).normal(size=words.activations["hook"].shape)
    blind = letter_probes(noise.astype(np.float32), words.letters, 0)
    assert max(one.f1 for one in blind.values()) < 0.6
    columns = letter_columns(letters_of(words, "sae", "hook", blind, of, 0), blind)
    assert not any(columns["counts"])
    assert columns["n_words"][columns["letter"].index("*")] == 0


@pytest.mark.parametrize(
    ("total", "mine", "others", "expected"),
    [
        (10.0, 10.0, 9.0, 0.0),  # the main latents write all of it
        (10.0, 2.0, 3.9, 0.0),  # the others too little
        (10.0, 0.0, 4.0, 1.0),
        (10.0, -1.0, 5.0, 1.0),
        (10.0, 2.0, 6.0, 0.75),
        (10.0, 4.0, 9.0, 0.6),  # no more than the main ones left
    ],
)
def test_fractions_by_hand(total: float, mine: float, others: float, expected: float) -> None:
    assert SHARE == 0.4
    assert _fraction(total, mine, others) == pytest.approx(expected)


def test_absorption_of_a_word_by_hand() -> None:
    """Latents 0 (main), 1 to 4 of which the fourth points elsewhere, 5 below the threshold."""
    cosine = np.array([0.9, 0.5, 0.5, 0.5, 0.02, 0.05])
    along = cosine.copy()
    f = np.array(
        [
            [0, 9, 0, 0, 0, 0],  # full
            [0.1, 9, 0, 0, 0, 0],  # the main latent is not silent: a part only
            [0, 4, 4, 4, 0, 0],  # no single latent writes enough
            [0, 0, 0, 0, 300, 0],  # writes enough, but hardly points there
            [0, 0, 0, 0, 0, 100],  # points there enough for full absorption alone
            [0, 9, 0, 0, 0, 0],  # the activation projects on the wrong side
            [0, 0, 0, 0, 0, 0],
        ]
    )
    projection = np.array([5.0, 5, 6, 5, 5, -5, 5])
    fraction, full, share = absorbed(csr_array(f), projection, along, cosine, np.array([0]))
    assert full.tolist() == [1, -1, -1, -1, 5, -1, -1]
    assert fraction[[0, 2, 3, 4, 5, 6]].tolist() == [1, 1, 0, 0, 0, 0]
    assert fraction[1] == pytest.approx(4.5 / (4.5 + 0.09))
    assert share[0] == pytest.approx(0.9)


def test_further_main_latents_are_taken_as_long_as_they_help() -> None:
    """A letter that two latents share between them, beside noise."""
    rng = np.random.default_rng(2)
    y = np.arange(200) % 4 == 0
    x = rng.random((200, 30)) * (rng.random((200, 30)) < 0.1)
    first = y & (np.arange(200) % 8 == 0)
    x[:, 11] = 2.0 * first
    x[:, 20] = 2.0 * (y & ~first)
    main, f1 = main_latents(csr_array(x), y, 0)
    assert sorted(main.tolist()) == [11, 20]
    assert f1 == pytest.approx(1.0)
    none, f1 = main_latents(csr_array(np.zeros((20, 3))), np.arange(20) < 5, 0)
    assert (len(none), f1) == (0, 0.0)


def test_f1_and_folds() -> None:
    said, y = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert f1_score(said, y) == 0.5
    assert f1_score(~y, y) == 0.0
    labels = np.array(list("aaaaaabbb"))
    parts = folds(labels, 3, 0)
    assert all(
        sorted(parts[labels == one].tolist()) == expected
        for one, expected in (
            ("a", [0, 0, 1, 1, 2, 2]),
            ("b", [0, 1, 2]),
        )
    )


def test_a_probe_without_a_direction_absorbs_nothing() -> None:
    flat = LetterProbe(LinearProbe(np.zeros(3), 0.0, np.zeros(3)), 0.0, np.array([], np.int64))
    assert not flat.direction.any()
    assert not Directions(np.zeros((4, 1)), np.zeros(4)).cosines(0).any()
