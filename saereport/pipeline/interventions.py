"""Latents ablated and clamped on the prompts of a build that have an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saereport.circuits.collecting import PromptTask
from saereport.circuits.setting import (
    Outcomes,
    Setting,
    ablating,
    clamping,
    outcomes,
    rows_at_a_time,
    runner_up,
)
from saereport.config.interventions import parse_latents
from saereport.intervene.splicing import last_logits
from saereport.intervene.steering import why_not_steered
from saereport.pipeline.circuits import prompt_tasks
from saereport.pipeline.context import Context
from saereport.pipeline.probe import Probe, line_through
from saereport.pipeline.stage import Cost, Yielded
from saereport.run import TABLES
from saereport.run.interventions import EVERYWHERE
from saereport.sources.forward import forward
from saereport.sources.saes.sae import Sae
from saereport.util.errors import first_few, shortened

TABLE = "prompt_interventions"


@dataclass(frozen=True, eq=False)
class Asked:
    """One latent set to an activation on a prompt.

    Attributes:
        setting: What is changed.
        multiple: The activation that it is set to, in multiples of `unit`.
        position: Where; `EVERYWHERE` for all positions that are meant.
        unit: What 1 is.
        unit_of_text: Whether that is its maximum on the text.
        activation: Its largest activation there.
    """

    setting: Setting
    multiple: float
    position: int
    unit: float
    unit_of_text: bool
    activation: float


def intervened(context: Context) -> Iterator[Yielded]:
    """The table of all prompts that have an answer."""
    tasks = [task for task in prompt_tasks(context) if task.prompt.answer >= 0]
    saes = {slug: sae for slug, sae in context.saes.items() if not why_not_steered(sae)}
    for slug, sae in context.saes.items():
        if reason := why_not_steered(sae):
            context.warned.add(f"Its latents are not ablated on prompts: {reason}.", about=slug)
        _tell_of_blinded(context, slug)
    rows: list[dict[str, Any]] = []
    unset: Prompts = {}
    without = dict.fromkeys(saes, 0)
    with context.progress.bar("Ablating and clamping", len(tasks) * len(saes), "SAE") as bar:
        for task in tasks:
            rows += _of_prompt(context, task, saes, unset)
            for slug in set(saes) - set(saes_on(task, saes)):
                without[slug] += 1
            bar.advance(len(saes))
    _tell_of_unset(context, unset, without, len(tasks))
    rows.sort(key=lambda row: tuple(row[name] for name in TABLES[TABLE].key))
    if rows:
        yield None, TABLE, {name: [row[name] for row in rows] for name in rows[0]}
    else:
        context.leave_out(None, TABLE, "no latent that could be set is active on the prompts")


Prompts = dict[str, dict[int, list[str]]]
"""Prompts by SAE and latent."""


def _named(context: Context, slug: str) -> list[int]:
    """The latents of an SAE that are named, but for blinded ones."""
    named = parse_latents(context.config.interventions.latents, context.widths).get(slug, [])
    return [latent for latent in named if latent not in context.hidden(slug)]


def _tell_of_unset(context: Context, unset: Prompts, without: Mapping[str, int], n: int) -> None:
    """Say of latents that are named where nothing was done to them, and why.

    Args:
        context: The build.
        unset: The prompts on which they are not active, and no strength of theirs is known.
        without: Of each SAE on how many prompts it is not used.
        n: Prompts in all.
    """
    for slug, n_without in without.items():
        if n_without and (named := _named(context, slug)):
            where = "no prompt" if n_without == n else f"{n - n_without:,} of {n:,} prompts"
            context.warned.add(
                f"Latents that interventions.latents names ({first_few(named, 4)}) are ablated "
                f"and clamped on {where} with an answer: the others name other SAEs.",
                about=slug,
            )
    for slug, latents in unset.items():
        for latent, prompts in sorted(latents.items()):
            where = "any prompt" if len(prompts) == n else first_few(prompts, 4)
            context.warned.add(
                f"Latent {latent} is neither ablated nor clamped on {where}: it is active nowhere "
                "there, and its largest activation, by which it would be clamped, is known only "
                "where the report shows it.",
                about=slug,
            )


def _tell_of_blinded(context: Context, slug: str) -> None:
    """Say which latents are named and left out."""
    named = parse_latents(context.config.interventions.latents, context.widths).get(slug, [])
    for latent in sorted(context.hidden(slug).intersection(named)):
        context.warned.add(
            f"Latent {latent} is not ablated or clamped: it is blinded, and the report would hold "
            "nothing of it.",
            about=slug,
        )


def saes_on(task: PromptTask, saes: Mapping[str, Sae]) -> dict[str, Sae]:
    """The SAEs that are used on a prompt: those that it or its pairs name, or all."""
    named = {*(task.saes or ()), *(slug for pair in task.pairs or () for slug in pair)}
    return {slug: sae for slug, sae in saes.items() if slug in named or not named}


def _of_prompt(
    context: Context, task: PromptTask, saes: Mapping[str, Sae], unset: Prompts
) -> list[dict[str, Any]]:
    model, prompt = context.model, task.prompt
    tokens = torch.tensor(prompt.tokens, dtype=torch.int64, device=model.device)
    counted = torch.tensor(prompt.counted, dtype=torch.bool, device=model.device)
    used = saes_on(task, saes)
    with torch.no_grad():
        names = list(dict.fromkeys(sae.hook_in.name for sae in used.values()))
        acts = forward(model, tokens[None], reads=names).acts if names else {}
        plain = last_logits(model, tokens[None], {})[0]
    against = runner_up(plain, prompt.answer)
    still = [Setting(0, torch.zeros(len(tokens)))]
    true = outcomes(model, None, tokens, still, answer=prompt.answer, against=against)
    rows: list[dict[str, Any]] = []
    for slug, sae in used.items():
        asked = _asked(context, sae, acts[sae.hook_in.name][0], counted)
        for latent in set(_named(context, slug)) - {one.setting.latent for one in asked}:
            prompts = unset.setdefault(slug, {}).setdefault(latent, [])
            prompts.append(f"'{shortened(prompt.name, 60)}'")
        if asked:
            settings = [one.setting for one in asked]
            found = outcomes(model, sae, tokens, settings, answer=prompt.answer, against=against)
            base = {"prompt": prompt.number, "sae": slug, "runner_up": against}
            rows += _rows(asked, found, true, base)
            _warn_of_overflow(context, slug, asked, found)
    return rows


def _warn_of_overflow(context: Context, slug: str, asked: Sequence[Asked], found: Outcomes) -> None:
    lost = {one.setting.latent for one, ok in zip(asked, found.usable, strict=True) if not ok}
    if lost:
        context.warned.add(
            f"Clamped on a prompt, the model's numbers overflow for {len(lost):,} latents, the "
            f"first {min(lost)}: these rows are left out.",
            about=slug,
        )


def _asked(context: Context, sae: Sae, a: Tensor, counted: Tensor) -> list[Asked]:
    """What one SAE's latents are set to, of what it reads on a prompt `[pos, d_in]`."""
    config, slug = context.config.interventions, sae.slug
    f = sae.encode(a).float()
    here = counted.to(f.device)
    f = torch.where(here[:, None], f, torch.zeros_like(f))
    maxima = _maxima(context, slug)
    found: list[Asked] = []
    for latent in _latents(context, sae, f):
        own = f[:, latent]
        most = float(own[own.abs().argmax()])
        on_text = maxima.get(latent, 0.0)
        unit = on_text or most
        active = own != 0

        def ask(deltas: Tensor, multiple: float, position: int, activation: float) -> Asked:
            setting = Setting(latent, deltas)  # noqa: B023 - used at once
            return Asked(setting, multiple, position, unit, bool(on_text), activation)  # noqa: B023

        if bool(active.any()):
            found.append(ask(ablating(own, active), 0.0, EVERYWHERE, most))
            order = torch.sort(own.abs(), descending=True, stable=True).indices
            places = order[: min(int(active.sum()), config.positions)]
            for position in sorted(places.tolist()):
                only = torch.zeros_like(active)
                only[position] = True
                found.append(ask(ablating(own, only), 0.0, position, float(own[position])))
        if unit:
            found += [
                ask(clamping(own, multiple * unit, here), multiple, EVERYWHERE, most)
                for multiple in config.clamp
            ]
    return found


def _latents(context: Context, sae: Sae, f: Tensor) -> list[int]:
    """The latents that are set, ascending; none of which nothing may be revealed."""
    config, slug = context.config.interventions, sae.slug
    peaks = f.abs().max(dim=0).values.cpu().numpy()
    hidden = np.array(sorted(context.hidden(slug)), dtype=np.int64)
    peaks[hidden] = 0
    order = np.argsort(-peaks, kind="stable")
    shown = order[np.isin(order, context.latents[slug])]
    chosen = {*order[: config.strongest].tolist(), *shown[: config.shown].tolist()}
    active = {latent for latent in chosen if peaks[latent] > 0}
    return sorted(active | set(_named(context, slug)))


def _maxima(context: Context, slug: str) -> dict[int, float]:
    """The largest activation on the text of each latent of an SAE that was followed."""
    activity = context.table("activity", slug)
    if activity is None:
        return {}
    pairs = zip(np.asarray(activity["latent"]), np.asarray(activity["max"]), strict=True)
    return {int(latent): float(most) for latent, most in pairs}


def _rows(
    asked: Sequence[Asked], found: Outcomes, true: Outcomes, base: Mapping[str, Any]
) -> list[dict[str, Any]]:
    rows = []
    for i, one in enumerate(asked):
        if not found.usable[i]:
            continue
        rows.append(
            {
                **base,
                "latent": one.setting.latent,
                "multiple": one.multiple,
                "position": one.position,
                "value": one.multiple * one.unit,
                "unit": one.unit,
                "unit_of_text": one.unit_of_text,
                "activation": one.activation,
                "n_positions": int((one.setting.deltas != 0).sum()),
                "logit_change": float(found.logit[i] - true.logit[0]),
                "difference_change": float(found.difference[i] - true.difference[0]),
                "probability_before": float(true.probability[0]),
                "probability": float(found.probability[i]),
                "next_token": int(found.next_token[i]),
            }
        )
    return rows


def cost_of_interventions(context: Context, probe: Probe) -> Cost:
    """What all settings will take, from a few of the first prompt's."""
    config = context.config.interventions
    tasks = [task for task in prompt_tasks(context) if task.prompt.answer >= 0]
    saes = {slug: sae for slug, sae in context.saes.items() if not why_not_steered(sae)}
    if not tasks or not saes:
        return Cost(seconds=0.0)
    # About half of the latents that are shown are active on a prompt, on a third of its tokens.
    each = [
        (
            len(task.prompt.tokens),
            config.strongest + min(config.shown, len(context.latents[slug]) / 2),
        )
        for task in tasks
        for slug in saes_on(task, saes)
    ]
    n = sum(
        latents * (1 + min(config.positions, length / 3) + len(config.clamp)) * length
        for length, latents in each
    )
    task, sae = tasks[0], next(iter(saes.values()))
    length = len(task.prompt.tokens)
    tokens = torch.tensor(task.prompt.tokens, dtype=torch.int64, device=context.model.device)
    still = Setting(0, torch.zeros(length))

    def tried(rows: int) -> None:
        outcomes(context.model, sae, tokens, [still] * rows, answer=task.prompt.answer, against=0)

    with probe.sample() as one:
        tried(1)
    most = max(2, rows_at_a_time(context.model, sae, length) // 4)
    some = 4 if probe.brief else 1 + probe.fitting(one.seconds, most - 1)
    with probe.sample() as more:
        tried(some)
    return Cost(
        seconds=line_through((length, one.seconds), (some * length, more.seconds), n),
        host_bytes=more.host_bytes,
        device_bytes=more.device_bytes,
    )
