"""The tables that are there so that two reports can be compared; no page shows them."""

from __future__ import annotations

from saereport.run.kinds import POSITIONS, Real, TextPlace
from saereport.run.table import F16, F32, I64, LATENT, Column, Table, listed

COMPARING_TABLES = (
    Table(
        "decoder_directions",
        "sae",
        ("latent",),
        (LATENT, Column("direction", listed(F16), Real(), uniform=True)),
        "Decoder directions",
        "The latent's decoder row at unit length, in half precision, so that two reports of "
        "different SAEs of one model can be compared: the cosine of two such rows is right to "
        "about 0.001.",
        about="latent",
        every_latent=True,
        on_pages=False,
    ),
    Table(
        "active_sketch",
        "sae",
        ("latent",),
        (
            LATENT,
            Column("tokens", listed(I64), TextPlace(), longest=POSITIONS),
            Column("values", listed(F32), Real(), same_length_as="tokens", longest=POSITIONS),
        ),
        "Sketch of the active tokens",
        "A sample of the tokens on which the latent is active, chosen so that two latents of "
        "different SAEs can be compared on the same text: every token of the text has a "
        "pseudo-random priority made from its sequence and position alone, and kept are the (up to "
        "64) active tokens of lowest priority, in that order, with the activations there. A token "
        "is sequence times context size plus position. The share of common tokens among the lowest "
        "of the union of two sketches estimates the Jaccard overlap of the two latents' active "
        "tokens without bias (bottom-k sketch; standard error about 0.06 at worst).",
        about="latent",
        reveals_text=True,
        of_text=True,
        on_pages=False,
    ),
)
