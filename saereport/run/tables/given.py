"""Tables of a run that was made from other tools' files: what those say in their own terms.

A number that was counted in another way than saereport's own has a table of its own, so that
nobody takes the one for the other.
"""

from __future__ import annotations

from saereport.run.kinds import Count, Real
from saereport.run.table import F64, GROUP, I64, LATENT, Column, Table, listed

GIVEN_TABLES = (
    Table(
        "given_histogram",
        "sae",
        ("latent",),
        (
            LATENT,
            Column("centres", listed(F64), Real(), never_empty=True),
            Column("counts", listed(I64), Count(), same_length_as="centres"),
        ),
        "Activation histogram, as given",
        "Counts of the non-zero activations in the bins of the file that the run was made from: "
        "the centres of the bins, of equal width up to the file's rounding, and how many "
        "activations lie in each. SAEDashboard's bins run from the smallest to the largest "
        "non-zero activation.",
        about="latent",
        of_text=True,
    ),
    Table(
        "given_groups",
        "sae",
        ("latent", "group"),
        (
            LATENT,
            GROUP,
            Column("lower", F64, Real()),
            Column("upper", F64, Real()),
            Column("contains", F64, Real()),
        ),
        "Groups of examples, as given",
        "The intervals of activation from which the examples were drawn, as the file that the run "
        "was made from gives them. `contains` is the share of all tokens, the inactive ones among "
        "them, whose activation lies in the interval, ends included; it is not the share of the "
        "active tokens.",
        about="latent",
        reveals_text=True,
        of_text=True,
    ),
)
