"""Directions that are steered beside latents, and what is known of them.

Sums of latents write where their SAEs do. Vectors of a file and differences of means lie at one
hook point: there they are compared with the latents that write there, and activations on the
report's text are projected on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saereport.circuits.prompts import text_tokens
from saereport.config.steering import parse_sum
from saereport.evaluate.fidelity import first_counted, sequences_at_a_time
from saereport.evaluate.steering import Gauge
from saereport.intervene.steering import Direction, why_not_steered
from saereport.measure.weights.directions import carried, why_no_write
from saereport.measure.weights.extremes import extremes
from saereport.pipeline.context import Context
from saereport.pipeline.stages.mean_gradients import read_lines
from saereport.pipeline.steering_files import Asked, asked_directions
from saereport.sources.devices import float64_of
from saereport.sources.hooks import HookPoint, parse_hook
from saereport.sources.vectors import vector
from saereport.util.errors import SaereportError, shortened

TEXT_TOKENS = 4096
"""Counted tokens of the report's text that are projected on a direction, at most."""
NEAREST = 10
"""Latents that are nearest to a direction, of each SAE that writes at its hook point."""
EXAMPLES = 5
"""Places of the largest and of the smallest projection, in sequences of their own."""
BEFORE, AFTER = 12, 4
"""Tokens around such a place."""
BINS = 40
PROMPT_BATCH = 64


@dataclass(frozen=True, eq=False)
class Built:
    """A direction.

    Attributes:
        asked: What it comes from.
        direction: What strength 1 adds.
        gauge: What is measured on texts.
        unit: What strength 1 is, in words.
        terms: Latents of a sum with weight and maximum.
    """

    asked: Asked
    direction: Direction
    gauge: Gauge
    unit: str
    terms: tuple[tuple[str, int, float, float], ...] = ()

    @property
    def hooks(self) -> list[str]:
        """Where it is added."""
        return list(self.direction.vectors)


def require_directions(context: Context) -> list[Asked]:
    """The directions that are asked for; refuses those that this model or its SAEs do not have.

    Raises:
        SaereportError: A hook point is not one of the model, a vector has another width, is zero
            or no number, latents cannot be turned up, or prompts of a mean cannot be read.
    """
    found = asked_directions(context.config.steering.directions)
    for one in found:
        if one.config.kind == "latents":
            for slug, latent in parse_sum(one.config, dict(context.widths)):
                reason = why_not_steered(context.saes[slug])
                # Also where a reader can reveal it: a direction's page knows of no reader's doing.
                if latent in context.chosen[slug].blind:
                    reason = f"latent {latent} is blinded"
                if reason:
                    raise SaereportError(
                        f"The latents of {slug} in the direction '{one.name}' cannot be steered: "
                        f"{reason}.",
                        "Leave them out of the direction.",
                    )
            continue
        hook = _hook_of(context, one)
        if one.config.kind == "file":
            _require_vector(context, one, hook)
        if one.config.kind == "means":
            sides = [
                _prompts(context, path, one.name)
                for path in (one.config.positive, one.config.negative)
            ]
            if sorted(sides[0]) == sorted(sides[1]):
                raise _no_difference(one)
    return found


def _require_vector(context: Context, one: Asked, hook: HookPoint) -> None:
    """Refuse a vector of another width than the hook point, of zeros, or of what is no number."""
    width = context.model.width(hook)
    if one.width != width:
        raise SaereportError(
            f"The direction '{one.name}' has {one.width:,} numbers, and {context.model.name} "
            f"has {width:,} at '{hook.name}'.",
            "Name the hook point that it was made at, or take a vector of this model.",
        )
    assert one.config.file is not None
    vector(one.config.file.expanduser(), one.vector)


def _no_difference(one: Asked) -> SaereportError:
    return SaereportError(
        f"The means of the direction '{one.name}' are equal, so there is no direction.",
        "Give two sets of prompts that differ where the tokens are taken.",
    )


def _hook_of(context: Context, one: Asked) -> HookPoint:
    hook = parse_hook(str(one.config.hook))
    if not context.model.has_hook(hook.name):
        raise context.model.no_such_hook(hook)
    return hook


def _prompts(context: Context, path: Path | None, name: str) -> list[tuple[int, ...]]:
    """The prompts of a mean as the model reads them."""
    model, first = context.model, next(iter(context.saes.values()))
    bos = (model.bos_id,) if first.prepend_bos and model.bos_id is not None else ()
    found = []
    for number, text in enumerate(read_lines(path), 1):
        if text is None:
            raise SaereportError(
                f"Line {number} of '{path}', prompts of the direction '{name}', holds no text.",
                "Write a prompt on each line, or JSON with 'text'.",
            )
        tokens = text_tokens(model, text, bos)
        if not any(_counted(context, tokens)):
            raise SaereportError(
                f"Line {number} of '{path}', '{shortened(text, 40)}', has no token that counts.",
                "Change it or leave it out.",
            )
        if len(tokens) > model.n_ctx or max(tokens) >= model.d_vocab:
            raise SaereportError(
                f"Line {number} of '{path}', '{shortened(text, 40)}', does not fit the model: it "
                f"has {len(tokens):,} tokens, of a context of {model.n_ctx:,}.",
                "Make it shorter or leave it out.",
            )
        found.append(tokens)
    return found


def _counted(context: Context, tokens: Sequence[int]) -> list[bool]:
    return [token not in context.model.special_ids for token in tokens]


# ---- what they are


def built(context: Context, one: Asked) -> Built | None:
    """A direction; None of a sum of latents none of which was active on the text.

    Raises:
        SaereportError: The vector is zero, or no number.
    """
    if one.config.kind == "latents":
        return _sum_of(context, one)
    hook = _hook_of(context, one)
    if one.config.kind == "file":
        assert one.config.file is not None
        raw = vector(one.config.file.expanduser(), one.vector).to(context.model.device)
        norm = one.config.norm or _median_length(context, hook)
        unit = "the length that is asked for" if one.config.norm else _MEDIAN
    else:
        raw = _difference(context, one, hook)
        norm = one.config.norm or float(float64_of(raw).norm())
        unit = "the length that is asked for" if one.config.norm else "the distance of the means"
    length = float(float64_of(raw).norm())
    if not length > 0:
        raise _no_difference(one)
    unit_vector = raw / length
    gauge = Gauge((hook.name,), lambda acts: acts[hook.name].float() @ unit_vector)
    return Built(one, Direction({hook.name: norm * unit_vector}), gauge, unit)


_MEDIAN = "the median length of the activations there, on the beginning of the text"


def _sum_of(context: Context, one: Asked) -> Built | None:
    terms = []
    for (slug, latent), weight in parse_sum(one.config, dict(context.widths)).items():
        largest = _maximum(context, slug, latent)
        if largest > 0:
            terms.append((slug, latent, weight, largest))
        else:
            context.warned.add(
                f"Latent {latent} of {slug} adds nothing to the direction '{one.name}': it was "
                "never active on this text, and weights are multiples of its maximum."
            )
    if not terms:
        return None
    vectors: dict[str, Tensor] = {}
    for slug, latent, weight, largest in terms:
        sae = context.saes[slug]
        for place, hook in enumerate(sae.writes):
            row = sae.write_rows(torch.tensor([latent]), place)[0].detach().float()
            added = weight * largest * row.to(context.model.device)
            vectors[hook.name] = vectors[hook.name] + added if hook.name in vectors else added
    saes = {slug: context.saes[slug] for slug, *_ in terms}

    def value(acts: Mapping[str, Tensor]) -> Tensor:
        total: Tensor | None = None
        for slug, latent, weight, largest in terms:
            sae = saes[slug]
            index = torch.tensor([latent], device=sae.device)
            f = sae.encode_chosen(acts[sae.hook_in.name].to(sae.dtype), index)[..., 0].float()
            part = weight / largest * f
            total = part if total is None else total + part
        assert total is not None
        return total

    hooks = tuple(dict.fromkeys(sae.hook_in.name for sae in saes.values()))
    unit = "each latent's maximum on the text, times its weight"
    return Built(one, Direction(vectors), Gauge(hooks, value), unit, tuple(terms))


def _maximum(context: Context, slug: str, latent: int) -> float:
    activity = context.table("activity", slug)
    if activity is None:
        return 0.0
    at = np.flatnonzero(np.asarray(activity["latent"]) == latent)
    return float(np.asarray(activity["max"])[at[0]]) if len(at) else 0.0


def _difference(context: Context, one: Asked, hook: HookPoint) -> Tensor:
    """Mean activation over the one set of prompts minus that over the other, float32 `[d]`."""
    sides = [
        _mean(context, _prompts(context, path, one.name), hook, one.config.tokens)
        for path in (one.config.positive, one.config.negative)
    ]
    return (sides[0] - sides[1]).float().to(context.model.device)


def _mean(
    context: Context, prompts: Sequence[tuple[int, ...]], hook: HookPoint, which: str
) -> Tensor:
    """Mean over prompts of the last token's activation, or over all of their counted tokens."""
    total, n = torch.zeros((), dtype=torch.float64), 0
    for length in sorted({len(prompt) for prompt in prompts}):
        same = [prompt for prompt in prompts if len(prompt) == length]
        for first in range(0, len(same), PROMPT_BATCH):
            batch = same[first : first + PROMPT_BATCH]
            acts = context.model.run(torch.tensor(batch), [hook.name])[hook.name]
            if which == "last":
                own = acts[:, -1]
            else:
                mask = torch.tensor([_counted(context, prompt) for prompt in batch])
                own = acts[mask.to(acts.device)]
            total = total + float64_of(own).cpu().sum(dim=0)
            n += len(own)
    return total / n


def _text_activations(
    context: Context, hook: HookPoint
) -> Iterator[tuple[np.ndarray, np.ndarray, Tensor]]:
    """Token ids, which of them count, and activations, of some sequences of the text at a time."""
    packed = context.text.packed(batch=context.batches.block)
    tokens, counted = first_counted(packed, min(TEXT_TOKENS, context.config.tokens))
    size = sequences_at_a_time(tokens.shape[1], context.model.d_model)
    for first in range(0, len(tokens), size):
        here = slice(first, first + size)
        acts = context.model.run(torch.from_numpy(tokens[here]).long(), [hook.name])[hook.name]
        yield tokens[here], counted[here], acts


def _median_length(context: Context, hook: HookPoint) -> float:
    lengths = [
        acts.float().norm(dim=-1).cpu().numpy()[counted]
        for _, counted, acts in _text_activations(context, hook)
    ]
    return float(np.median(np.concatenate(lengths)))


# ---- what is known of them


def lens_of(context: Context, built: Built, k: int) -> dict[str, Any]:
    """Top and bottom tokens of the logit lens with their logits; empty lists where there is none.

    A direction at several hook points adds up what it writes at each.
    """
    model, tokens = context.model, context.token_rows
    hooks = [parse_hook(name) for name in built.hooks]
    names = ("top_tokens", "top_values", "bottom_tokens", "bottom_values")
    if why_no_write(hooks, model) or model.wiring.unembedding_problem:
        return {name: [] for name in names}
    into = sum(
        carried(built.direction.vectors[hook.name][None].to(model.device), hook, model)
        for hook in hooks
    )
    assert isinstance(into, Tensor)
    scores = torch.cat([into @ piece for piece in tokens.unembedding()], dim=1)
    found = extremes(scores, min(k, scores.shape[1]))
    return {name: found[name][0] for name in names}


def nearest_latents(context: Context, built: Built) -> list[dict[str, Any]]:
    """The latents whose decoder rows point most along a direction or against it, by SAE.

    Of the SAEs that write at its hook point; by the size of the cosine, of equals the first.
    """
    rows: list[dict[str, Any]] = []
    if len(built.hooks) != 1:
        return rows
    (name,) = built.hooks
    for slug, sae in context.saes.items():
        place = next((i for i, hook in enumerate(sae.writes) if hook.name == name), None)
        if place is None or sae.why_no_decoder:
            continue
        decoder = sae.write_rows(None, place).detach()
        v = built.direction.vectors[name].to(decoder.device)
        cosines = np.concatenate(
            [
                (part.float() @ v / (part.float().norm(dim=1) * v.norm()).clamp(min=1e-30))
                .cpu()
                .numpy()
                for part in torch.split(decoder, 4096)
            ]
        )
        order = np.lexsort((np.arange(len(cosines)), -np.abs(cosines)))
        kept = [int(latent) for latent in order if latent not in context.hidden(slug)][:NEAREST]
        rows += [
            {"sae": slug, "rank": rank, "latent": latent, "cosine": float(cosines[latent])}
            for rank, latent in enumerate(kept)
        ]
    return rows


@dataclass(frozen=True, eq=False)
class Projected:
    """The projection of activations on a direction, over the beginning of the text.

    Attributes:
        numbers: Row of `direction_projections`.
        examples: Rows of `direction_examples`.
    """

    numbers: dict[str, Any]
    examples: list[dict[str, Any]]


def projected(context: Context, built: Built) -> Projected | None:
    """What activations at its hook point are along a direction; None of one at several."""
    if len(built.hooks) != 1:
        return None
    (name,) = built.hooks
    v = built.direction.vectors[name]
    unit = v / v.norm()
    tokens, counted, values = [], [], []
    for ids, mask, acts in _text_activations(context, parse_hook(name)):
        tokens.append(ids)
        counted.append(mask)
        values.append((acts.float() @ unit.to(acts.device)).cpu().numpy())
    ids, mask, along = (np.concatenate(parts) for parts in (tokens, counted, values))
    own = along[mask].astype(np.float64)
    low, high = float(own.min()), float(own.max())
    counts, _ = np.histogram(own, bins=BINS, range=(low, high if high > low else low + 1))
    numbers = {
        "n_tokens": len(own),
        "mean": float(own.mean()),
        "std": float(own.std()),
        "lower": low,
        "width": (high - low) / BINS if high > low else 1 / BINS,
        "counts": counts.astype(np.int64),
    }
    examples = [*_examples(ids, mask, along, 1), *_examples(ids, mask, along, -1)]
    return Projected(numbers, examples)


def _examples(
    ids: np.ndarray, mask: np.ndarray, along: np.ndarray, sign: int
) -> list[dict[str, Any]]:
    """The places of the largest projection, or of the smallest: the best of each sequence."""
    scores = np.where(mask, sign * along, -np.inf)
    places = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), places]
    order = np.lexsort((np.arange(len(best)), -best))[:EXAMPLES]
    rows = []
    for rank, row in enumerate(int(row) for row in order if np.isfinite(best[row])):
        place = int(places[row])
        first, last = max(place - BEFORE, 0), min(place + AFTER + 1, ids.shape[1])
        rows.append(
            {
                "side": "largest" if sign > 0 else "smallest",
                "rank": rank,
                "projection": float(along[row, place]),
                "tokens": ids[row, first:last].astype(np.int32),
                "place": place - first,
            }
        )
    return rows
