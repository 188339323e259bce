"""The bias test in a build: its texts as tokens, the SAEs that can be tested, and what it takes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from saereport.evaluate.bias import (
    Biased,
    BiasTask,
    Integers,
    ListedLatents,
    Written,
    divided,
    finite,
    in_blocks,
    latent_columns,
    score_columns,
    shifted,
)
from saereport.evaluate.logistic import Floats
from saereport.evaluate.pooled import Pooled, pooled
from saereport.measure import Columns
from saereport.pipeline.bias_task import BiasTexts, judged_latents, read_bias, require_groups
from saereport.pipeline.context import Context
from saereport.pipeline.labelled_texts import longest_of, tokenised
from saereport.pipeline.probe import Probe
from saereport.pipeline.stage import Cost, Yielded
from saereport.sources.devices import float64_of
from saereport.sources.saes.sae import Sae

TABLES = ("bias_scores", "bias_latents")
FEW = 16
"""Texts that are pooled to see what all will take."""
ROWS_TOGETHER = 4096
"""Write directions that are held at a time."""


def bias_of(context: Context) -> tuple[BiasTask, BiasTexts, dict[str, int]]:
    """The texts as tokens and for what each is, what is probed, and what became of the rest.

    Raises:
        SaereportError: Too few texts of a group are left once they are cut.
    """
    settings, texts = context.config.bias_test, read_bias(context.config)
    longest = longest_of(context, settings.longest)
    made = tokenised(context, texts.task, settings.texts, longest)
    require_groups(texts, [(one.label, one.attribute) for one in made.given])
    y = np.array([one.label == texts.label[0] for one in made.given])
    attribute = np.array([one.attribute == texts.attribute[0] for one in made.given])
    parts = divided(y, attribute, settings.held_out, context.config.seed)
    task = BiasTask(made.texts, y, attribute, *parts)
    return task, texts, {"n_cut": made.counts["n_cut"], "longest": longest}


def group_rows(task: BiasTask, texts: BiasTexts, counts: dict[str, int]) -> Columns:
    """Table `bias_groups`."""
    rows = []
    for place, label in enumerate(texts.label):
        for other, attribute in enumerate(texts.attribute):
            mine = (task.y == (place == 0)) & (task.attribute == (other == 0))
            rows.append(
                {
                    "label": label,
                    "attribute": attribute,
                    "concept": place == 0,
                    "goes_along": other == place,
                    "n_texts": int(mine.sum()),
                    "n_train": int((mine & task.train).sum()),
                    "n_balanced": int((mine & task.balanced).sum()),
                    "n_held_out": int((mine & task.test).sum()),
                    **counts,
                }
            )
    rows.sort(key=lambda row: (row["label"], row["attribute"]))
    return {name: [row[name] for row in rows] for name in rows[0]}


def why_not_tested(sae: Sae) -> str:
    """Why latents of an SAE cannot be taken out, a clause; empty where they can."""
    return sae.why_not_alone


def written_by(sae: Sae, acts: Pooled) -> Written:
    """What an SAE's latents add where it writes."""

    def rows(latents: Integers) -> Floats:
        with torch.no_grad():
            found = float64_of(sae.write_rows(torch.from_numpy(latents))).cpu().numpy()
        return np.asarray(found, np.float64)

    def along(direction: Floats) -> Floats:
        blocks = (np.arange(s.start, s.stop) for s in in_blocks(sae.d_sae, ROWS_TOGETHER))
        return np.concatenate([rows(block) @ direction for block in blocks])

    return Written(acts.latents[sae.slug].mean, rows, along)


def tested(context: Context) -> Iterator[Yielded]:
    """The tables of the stage."""
    task, texts, counts = bias_of(context)
    settings, seed = context.config.bias_test, context.config.seed
    yield None, "bias_groups", group_rows(task, texts, counts)
    saes = []
    for sae in context.saes.values():
        if reason := why_not_tested(sae):
            context.leave_out_all(sae.slug, TABLES, reason)
        else:
            saes.append(sae)
    if not saes:
        return
    places = dict.fromkeys(sae.write_point.name for sae in saes)
    acts = pooled(context.model, saes, task.texts, context.progress, also=places, as_written=True)
    probes = {
        name: Biased.fitted(task, acts.activations[name], seed)
        for name in places
        if finite([acts.activations[name]])
    }
    reasons = judged_latents(context.config, context.widths)
    for sae in saes:
        name, latents = sae.write_point.name, acts.latents[sae.slug]
        if name not in probes or not finite([latents.mean.data, latents.max.data]):
            context.leave_out_all(sae.slug, TABLES, "its numbers are not finite")
            continue
        dropped = np.array(sorted(reasons[sae.slug]), dtype=np.int64)
        asked = (settings.latents, seed)
        found = shifted(
            task, acts.activations[name], written_by(sae, acts), probes[name], dropped, asked
        )
        yield sae.slug, "bias_scores", score_columns(found)
        listed = ListedLatents(settings.latents, reasons[sae.slug])
        columns = latent_columns(found, task, latents, listed)
        if columns["latent"]:
            yield sae.slug, "bias_latents", columns


def cost_of_bias(context: Context, probe: Probe) -> Cost:
    """What it takes, from some of the texts; the fits take as long as the pass of few texts."""
    task, _, _ = bias_of(context)
    saes = [sae for sae in context.saes.values() if not why_not_tested(sae)]
    if not saes:
        return Cost(seconds=0.0)
    places = dict.fromkeys(sae.write_point.name for sae in saes)
    some = [task.texts[i] for i in np.linspace(0, len(task.texts) - 1, FEW).astype(int)]
    with probe.sample() as one:
        acts = pooled(context.model, saes, some, context.progress, also=places, as_written=True)
    per_token = one.seconds / sum(len(text.tokens) for text in some)
    n_tokens = sum(len(text.tokens) for text in task.texts)
    entries = sum(latents.mean.nnz for latents in acts.latents.values())
    kept = 16 * entries * len(task.texts) / FEW
    return Cost(
        seconds=per_token * n_tokens,
        host_bytes=one.host_bytes + round(kept),
        device_bytes=one.device_bytes,
    )
