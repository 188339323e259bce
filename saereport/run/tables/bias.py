"""The tables of the bias test: on which latents a biased probe leans, and without them."""

from __future__ import annotations

from saereport.run.kinds import Count, Flag, OneOf, Rank, Real, Share, Text, Token
from saereport.run.table import BOOL, F64, I32, I64, LATENT, TEXT, Column, Table, listed

_SHIFT = (
    "The bias test of Sparse Feature Circuits (SHIFT; Marks et al. 2024). A probe of the label (a "
    "ridge logistic regression, as in sparse probing) is fitted to the mean over a text's tokens "
    "of the activations where the SAE writes, on texts in all of which a spurious attribute goes "
    "along with the label. It is tried on texts in which each label comes with each attribute "
    "equally often, that no probe was fitted to."
)

BIAS_TABLES = (
    Table(
        "bias_groups",
        "run",
        ("label", "attribute"),
        (
            Column("label", TEXT, Text()),
            Column("attribute", TEXT, Text()),
            Column("concept", BOOL, Flag()),
            Column("goes_along", BOOL, Flag()),
            Column("n_texts", I64, Count()),
            Column("n_train", I64, Count()),
            Column("n_balanced", I64, Count()),
            Column("n_held_out", I64, Count()),
            Column("n_cut", I64, Count()),
            Column("longest", I64, Count()),
        ),
        "Texts of the bias test",
        _SHIFT + "\n\nEach row is a group of texts. `concept` says whether the label is the one "
        "that is probed, `goes_along` whether the attribute is the one that goes along with the "
        "label in training: the biased probe is fitted to `n_train` texts of such groups. "
        "`n_balanced` texts, of each group as many, are for the probe of the attribute and for one "
        "of the label without bias; `n_held_out` of each group are tested on. Of all texts `n_cut` "
        "were cut after `longest` tokens.",
        about="run",
    ),
    Table(
        "bias_scores",
        "sae",
        ("variant",),
        (
            Column(
                "variant",
                TEXT,
                OneOf(
                    words=(
                        *("original", "balanced", "judged", "judged_mean", "retrained"),
                        *("skyline", "skyline_mean", "random", "random_mean"),
                    )
                ),
            ),
            Column("n_latents", I64, Count()),
            Column("accuracy", F64, Share()),
            Column("accuracy_interval", listed(F64), Share(), lengths=(0, 2)),
            Column("worst", F64, Share()),
            Column("worst_interval", listed(F64), Share(), lengths=(0, 2)),
            Column("groups", listed(F64), Share(), lengths=(4,)),
        ),
        "Bias test",
        _SHIFT + "\n\n`original` is that probe; `judged` the same with the latents taken out that "
        "a list, or words in their labels, judge irrelevant: what they write is subtracted, the "
        "rest and the SAE's error stay, and so does the probe with its intercept. In `judged_mean` "
        "what they write is held at its mean over the training texts instead, which does not shift "
        "all logits. For `retrained` a probe is fitted to what is left. "
        "`skyline` takes out as many latents as are judged (or as many as the report lists), those "
        "of largest effect on a probe of the attribute itself, fitted to balanced texts: who has "
        "these can do that, and needs no judgement. `random` is the mean over 10 draws of as many "
        "latents among those that are active on the training texts. `balanced` is a probe of the "
        "label fitted to balanced texts.\n\n"
        "`accuracy` is over all balanced texts, `worst` that of the group of which the least are "
        "told right, `groups` that of each group: without label or attribute, with the attribute "
        "alone, with the label alone, with both. Intervals are 95 % intervals by drawing held-out "
        "texts anew within each group, from 10 of a group on.",
        about="sae",
        on_pages=False,
    ),
    Table(
        "bias_latents",
        "sae",
        ("latent",),
        (
            LATENT,
            Column("rank", I32, Rank()),
            Column("effect", F64, Real()),
            Column("share", F64, Real()),
            Column("attribute_effect", F64, Real()),
            Column("judged", TEXT, OneOf(words=("", "list", "label"))),
            Column("example", listed(I32), Token()),
            Column("peak", I32, Rank()),
        ),
        "Latents of the bias test",
        "Latents by their effect on the biased probe. `effect` is the part of the gap between the "
        "mean logits of its two classes, over its training texts, that goes through the latent: "
        "mean activation with the label minus without, times the logit that one unit of it writes. "
        "The probe is linear, so this is exact: what taking the latent out takes from the gap. "
        "`share` is that as a part of the whole gap; shares of all latents and of the error add up "
        "to 1. `rank` orders all latents by the size of it (0 for none). `attribute_effect` is the "
        "same for the probe of the attribute, over balanced texts. Listed are those of largest "
        "effect on either, and those that are `judged` irrelevant, by a list or by a word in their "
        "label. `example` are the tokens around the strongest place in all texts (`peak`, counted "
        "in them from 0).",
        about="latent",
        reveals_text=True,
        also_others=True,
        on_pages=False,
    ),
)
