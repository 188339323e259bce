"""Synthetic absorption, for runs of `tests.synthetic`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from saereport.config.probing import AbsorptionConfig
from saereport.evaluate.absorption import (
    Directions,
    Words,
    absorbing_rows,
    letter_columns,
    letter_probes,
    letters_of,
)
from saereport.pipeline.absorption import LetterTask, word_rows
from saereport.run import RunWriter
from tests.synthetic import Extra, Shape

LETTERS, EACH, WIDTH = "abc", 24, 16
TEMPLATE = "{word} <b>begins</b> with:"


def absorption(*, without: tuple[int, ...] = ()) -> Extra:
    """All tables of every SAE: of the letter b a shown latent absorbs two words.

    Args:
        without: SAEs, by place, of which it is not measured.
    """

    def write(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
        rng = np.random.default_rng([shape.seed, 19])
        letters = np.repeat(list(LETTERS), EACH)
        n = len(letters)
        tokens = 1 + rng.choice(shape.n_vocabulary - 1, n, replace=False)
        counts = dict.fromkeys(LETTERS, 2 * EACH)
        task = LetterTask(tokens, letters, (0,), (1,), (1, 2, 3), tuple(LETTERS), counts)
        axes = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
        strength = rng.uniform(1.5, 2.5, n)
        places = np.array([LETTERS.index(one) for one in letters])
        acts = strength[:, None] * axes[places] + 0.05 * rng.normal(size=(n, WIDTH))
        spelled = rng.random(n) < 0.5
        plain = Words(tokens, letters, spelled, {}, {})
        asked = AbsorptionConfig(template=TEMPLATE)
        writer.write("absorption_words", word_rows(task, plain, asked))
        probes = letter_probes(acts.astype(np.float32), letters, 0)
        toward = np.stack([one.direction for one in probes.values()], axis=1)
        for place, (slug, latents) in enumerate(shown.items()):
            if place in without:
                continue
            absorber, *mine = [int(one) for one in latents[:4]]
            f, rows = np.zeros((n, shape.d_sae)), rng.normal(size=(shape.d_sae, WIDTH))
            f[np.arange(n), np.array(mine)[places]] = strength
            rows[mine] = axes[: len(LETTERS)]
            for word in (EACH, EACH + 5):
                f[word, mine[1]], f[word, absorber] = 0.0, strength[word]
            rows[absorber] = axes[1] + axes[10]
            words = Words(
                tokens, letters, spelled, {"h": acts.astype(np.float32)}, {slug: csr_array(f)}
            )
            of = Directions(rows @ toward, np.linalg.norm(rows, axis=1))
            found = letters_of(words, slug, "h", probes, of, 0)
            writer.write("absorption_letters", letter_columns(found, probes), slug=slug)
            writer.write("absorption_latents", absorbing_rows(words, slug, found, of), slug=slug)

    return write
