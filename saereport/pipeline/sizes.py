"""What a run and a report take on a disk, as far as no table tells it: measured on reports.

The constants were measured on the demo's report. Tables that a stage tried are counted as they
are, see `Cost.run_bytes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from saereport.site.assets import EARLY, SCRIPTS, STYLES, VENDORED, templates

_RUN_FIXED, _RUN_LATENT, _RUN_PROMPT, _RUN_SAE = 100_000, 6_500, 46_000, 2_400
_SITE_FIXED, _SITE_LATENT, _SITE_TOKEN = 200_000, 6_000, 24
_SITE_PROMPT, _SITE_GRAPH = 160_000, 500_000
_TOKENS_NAMED = 250
"""Tokens that the tables of a latent name."""
_RUN_TOKEN, _SITE_VOCABULARY = 7, 20
"""Bytes of a token of the vocabulary."""
_RUN_PLACE, _SITE_PLACE = 1.7, 2.5
"""Bytes of a token of the sequences that examples are from."""


@dataclass(frozen=True)
class Extent:
    """What the size of a run and a report depends on.

    Attributes:
        n_saes: SAEs.
        n_latents: Latents that are shown, of all SAEs.
        n_examples: Examples of a latent, at most.
        window: Tokens of an example.
        n_sequences: Sequences of the text.
        context_size: Tokens in a sequence.
        d_vocab: Tokens of the vocabulary.
        n_prompts: Prompts on which circuits are computed.
        n_graphs: Those of them that have a graph.
    """

    n_saes: int
    n_latents: int
    n_examples: int
    window: int
    n_sequences: int
    context_size: int
    d_vocab: int
    n_prompts: int
    n_graphs: int

    @property
    def n_tokens(self) -> float:
        """Tokens of the vocabulary that are named somewhere."""
        return self.d_vocab * -math.expm1(-_TOKENS_NAMED * self.n_latents / self.d_vocab)

    @property
    def n_places(self) -> float:
        """Tokens of all sequences that examples are from."""
        drawn = self.n_latents * self.n_examples / self.n_sequences
        return self.n_sequences * -math.expm1(-drawn) * self.context_size

    def run_bytes(self, known: int | None) -> int:
        """What the run takes.

        Args:
            known: What its tables of latents take, where they were tried.
        """
        latents = known if known is not None else _RUN_LATENT * self.n_latents
        shared = _RUN_TOKEN * self.n_tokens + _RUN_PLACE * self.n_places
        more = _RUN_FIXED + _RUN_PROMPT * self.n_prompts + _RUN_SAE * self.n_saes
        return round(latents + shared + more)

    def site_bytes(self, run_bytes: int) -> int:
        """What the report takes, the run in it."""
        latent = _SITE_LATENT + _SITE_TOKEN * self.n_examples * self.window
        shared = _SITE_VOCABULARY * self.n_tokens + _SITE_PLACE * self.n_places
        prompts = _SITE_PROMPT * self.n_prompts + _SITE_GRAPH * self.n_graphs
        fixed = _SITE_FIXED + _assets()
        return round(run_bytes + fixed + latent * self.n_latents + shared + prompts)


def _assets() -> int:
    """What all pages of a report share."""
    folder = templates()
    own = [folder / "static" / name for name in (*STYLES, EARLY, *SCRIPTS)]
    return sum(path.stat().st_size for path in (*own, *(folder / "vendor" / n for n in VENDORED)))
