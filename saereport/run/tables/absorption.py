"""The tables of absorption: letters whose latent is silent where another has taken its place."""

from __future__ import annotations

from saereport.run.kinds import Cosine, Count, Flag, OneOf, Rank, Real, Share, Text, Token
from saereport.run.table import BOOL, F64, I32, I64, LATENT, TEXT, Column, Table, listed

_LETTER = Column("letter", TEXT, Text())

ABSORPTION_TABLES = (
    Table(
        "absorption_words",
        "run",
        ("letter",),
        (
            _LETTER,
            Column("n_words", I64, Count()),
            Column("n_in_vocabulary", I64, Count()),
            Column("spelled", F64, Share()),
            Column("template", TEXT, Text()),
            Column("n_shown", I64, Count()),
        ),
        "Words of the first-letter task",
        "Words that are one token of the vocabulary and of at least three letters a to z, with a "
        "space before them where the vocabulary has such: `n_in_vocabulary` of a letter, of which "
        "`n_words` are drawn with the seed. Each stands in a prompt in place of `{word}` of the "
        "`template`, after `n_shown` other words with their first letters, the same for all. "
        "`spelled` is the share of these words after whose prompt the model gives its own first "
        "letter the highest logit of the letters that are listed: those that are asked for and "
        "begin at least 20 words. The letter `*` is all of them.\n\n"
        "Where a model cannot spell, that is no fault of an SAE: such tasks were made for models "
        "of some billion parameters, and what is said of small ones should be read with the "
        "held-out F1 of their probes.",
        about="run",
    ),
    Table(
        "absorption_letters",
        "sae",
        ("letter",),
        (
            _LETTER,
            Column("counts", BOOL, Flag()),
            Column("probe_f1", F64, Share()),
            Column("main_f1", F64, Share()),
            Column("n_words", I64, Count()),
            Column("n_main", I64, Count()),
            Column("n_full", I64, Count()),
            Column("n_negative", I64, Count()),
            Column("fraction", F64, Share()),
            Column("fraction_interval", listed(F64), Share(), lengths=(0, 2)),
            Column("full", F64, Share()),
            Column("full_interval", listed(F64), Share(), lengths=(0, 2)),
        ),
        "Absorption",
        "Feature absorption (Chanin et al. 2024) on first letters, as SAEBench defines it. A "
        "linear probe of each letter is a ridge logistic regression on the activation at the "
        "word's token where the SAE reads. `probe_f1` is its F1 on words that it was not fitted "
        "to (each third of the words by a probe on the others, with the threshold that is best "
        "for all of them); below 0.6 the letter does not count in the means (`counts`). Main "
        "latents (`n_main`) stand for the letter: ranked by the difference of means between words "
        "with the letter and without, in standard deviations, over all words, the first one, and "
        "each further one as long as F1 of a probe on them rises by more than 0.03 (`main_f1`, "
        "each half of the words by a probe on the other; that latents are ranked on both halves "
        "makes it a little too high), at most ten. (SAEBench ranks by the weights of an L1 "
        "probe.)\n\n"
        "Absorption is measured on the `n_words` words of the letter of which the probe is right "
        "(one that was not fitted to them). "
        "A latent's projection is its activation times its write direction's component along the "
        "probe's direction; with directions of unit length that is SAEBench's. An SAE that "
        "normalises what it reads writes a multiple of its decoder rows, another at each word: the "
        "activation's projection is divided by it, so that all parts of it have one scale. "
        "`full`: the share of words (`n_full`) on which all main latents are silent and the "
        "latent of the largest projection has a cosine of at least 0.025 with the probe and "
        "writes at least 0.4 of the activation's projection. `fraction`: the mean absorption "
        "fraction. It is 0 where the main "
        "latents write the whole projection, or where the three largest other latents with a "
        "cosine of at least 0.1 write less than 0.4 of it; 1 where the main latents write nothing; "
        "else the part of the projection that these others write, of what they and the main ones "
        "do, as far as the main ones left it. `n_negative` words project on the wrong side of "
        "zero, since the mean activation does too: they count as not absorbed.\n\n"
        "The letter `*` is the mean over letters that count (for numbers of words and latents the "
        "sum). Intervals are 95 % intervals by drawing words anew within each letter, from 10 "
        "words of each on.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "absorption_latents",
        "sae",
        ("letter", "role", "latent"),
        (
            _LETTER,
            Column("role", TEXT, OneOf(words=("main", "absorbing"))),
            LATENT,
            Column("rank", I32, Rank()),
            Column("cosine", F64, Cosine()),
            Column("n_words", I64, Count()),
            Column("share", F64, Real()),
            Column("words", listed(I32), Token()),
            Column("silent", listed(I32), Token()),
        ),
        "Latents of first letters",
        "The main latents of each letter, and those that absorb words of it fully. Of a main one "
        "`n_words` are the words of the letter, of those of which the probe is right, on which it "
        "is active, `share` their part, `words` some of them and `silent` some of the others. Of "
        "an absorbing one `words` are those that it absorbs, and `share` the mean part of their "
        "projection on the probe's direction that it writes. `cosine` is that of its write "
        "direction with the probe's.",
        about="latent",
        reveals_text=True,
        also_others=True,
        on_pages=False,
    ),
)
