"""The tables of capability tests: an SAE's reconstruction judged by prompts with answers."""

from __future__ import annotations

from saereport.run.kinds import POSITIONS, Count, OneOf, Rank, Real, Share, Text, Token
from saereport.run.table import F32, F64, I32, I64, TEXT, Column, Table, listed

RUN = Column("run", TEXT, OneOf(words=("original", "spliced", "zero")))

_RUNS = (
    "`run` is `original` for the model as it is (one run for all SAEs, repeated in the table of "
    "each), `spliced` with the SAE's reconstruction in place of what stands at its write point, "
    "and `zero` with zero there; both at every token of the prompt that counts, so not at BOS and "
    "other special tokens unless the report counts these. No other SAE is spliced in at the same "
    "time."
)

CAPABILITY_TABLES = (
    Table(
        "capability_prompts",
        "sae",
        ("number", "run"),
        (
            Column("number", I32, Rank()),
            RUN,
            Column("set", TEXT, Text()),
            Column("tokens", listed(I32), Token(), longest=POSITIONS),
            Column("answer", I32, Token()),
            Column("wrong", I32, Token(or_none=True)),
            Column("note", TEXT, Text()),
            Column("rank", I32, Rank()),
            Column("logit", F32, Real()),
            Column("probability", F32, Share()),
            Column("difference", listed(F32), Real(), lengths=(0, 1)),
            Column("next_tokens", listed(I32), Token(), never_empty=True),
            Column("next_logits", listed(F32), Real(), same_length_as="next_tokens"),
            Column("next_probabilities", listed(F32), Share(), same_length_as="next_tokens"),
        ),
        "Capability tests, by prompt",
        "What the model predicts after prompts with answers. " + _RUNS + "\n\n"
        "`rank` (1 is the most likely next token), `logit` and `probability` are those of the "
        "`answer`; `difference` is its logit minus that of the `wrong` answer, and empty where "
        "there is none (`wrong` is -1). Where an answer has several tokens, its first one is "
        "used, and `note` says so; a wrong answer that begins with the same token as the answer "
        "is none. `next_tokens` are the ten most likely next tokens, the likeliest first and of "
        "equal ones the smaller number, with their logits and probabilities, over the whole "
        "vocabulary.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "capability_sets",
        "sae",
        ("set", "run", "metric"),
        (
            Column("set", TEXT, Text()),
            RUN,
            Column("metric", TEXT, OneOf(words=("accuracy", "first", "logit_difference"))),
            Column("value", F64, Real()),
            Column("interval", listed(F64), Real(), lengths=(0, 2)),
            Column("n_prompts", I64, Count()),
        ),
        "Capability tests",
        "How well the model does on sets of prompts with answers. " + _RUNS + "\n\n"
        "`accuracy` is the share of prompts on which the answer is preferred: its logit is above "
        "that of the wrong answer, or, where a prompt has none, it is the most likely next token. "
        "`first` is the share on which it is the most likely next token of all. "
        "`logit_difference` is the mean, over the prompts with a wrong answer, of the answer's "
        "logit minus that of the wrong one. The set `all` holds every prompt once.\n\n"
        "The interval is a 95 % interval (percentiles, 2,000 resamples) by drawing the prompts "
        "anew; with fewer than 10 there is none. It says how much hangs on which prompts were "
        "asked, and prompts of one template are more alike than the interval knows.\n\n"
        "Built in are: `indirect_objects` (When John and Mary went to the store, John gave a "
        "bottle of milk to: Mary, not John; Wang et al. 2022), `capitals` (of countries, against "
        "another country's), `induction` (words that do not belong together, twice, and their "
        "beginning once more: the word that came next, against the one before), `agreement` (is or "
        "are, after a subject and a noun of the other number) and `greater_than` (the year in "
        "which something ended, 20 years after it began against 20 before; Hanna et al. 2023). "
        "What the model itself cannot do, no SAE can be judged by: read the row of the model "
        "first.",
        about="sae",
        on_pages=False,
    ),
)
