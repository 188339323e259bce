"""What the plug-in stores."""

from saereport.run.kinds import Count, NonNegative, Share, Token, Whole
from saereport.run.table import F64, I32, I64, LATENT, Column, Table, listed

STREAKS = Table(
    "streaks",
    "sae",
    ("latent",),
    (
        LATENT,
        Column("n_streaks", I64, Count()),
        Column("mean_length", F64, NonNegative()),
        Column("longest", I32, Count()),
        Column("tokens", listed(I32), Token(), longest=16),
    ),
    "Streaks",
    "A streak is a run of counted tokens that follow each other in a sequence, on each of which "
    "the latent is active. `tokens` are the first 16 of the longest; of two that are equally long, "
    "those of the earlier one in the text.",
    about="latent",
    reveals_text=True,
    of_text=True,
    plugin="saereport-streaks",
)

OUTLIERS = Table(
    "outlier_dimension",
    "sae",
    ("latent",),
    (LATENT, Column("dimension", I32, Whole()), Column("share", F64, Share())),
    "Outlier dimension",
    "The dimension in which the latent's decoder row is largest, and the share of the row's "
    "squared norm that lies in it.",
    about="latent",
    plugin="saereport-streaks",
)

PROFILE = Table(
    "position_profile",
    "sae",
    ("position",),
    (
        Column("position", I32, Whole()),
        Column("n_tokens", I64, Count()),
        Column("l0", F64, NonNegative()),
    ),
    "Activity by position",
    "The mean number of active latents at each place in a sequence, over the first sequences of "
    "the text; only tokens that count.",
    about="sae",
    on_pages=False,
    plugin="saereport-streaks",
)
