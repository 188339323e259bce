"""What makes the latents of an SAE active on their own top examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from saereport.circuits.attribution.examples import (
    ExampleLimits,
    Peak,
    TopExamples,
    example_attributions,
)
from saereport.measure import Columns
from saereport.pipeline.context import Context
from saereport.pipeline.probe import Probe, Sample, table_bytes
from saereport.pipeline.stage import Cost, Yielded
from saereport.sources.devices import is_out_of_memory
from saereport.util.errors import SaereportError

FEW = 2
"""Latents whose examples are taken apart, at most twice as many, to see what those of all take."""


def top_examples(context: Context, slug: str) -> TopExamples:
    """Where the shown latents of an SAE are most active, as far as the text was read."""
    examples = context.table("examples", slug)
    assert examples is not None
    numbers = np.unique(np.asarray(examples["sequence"], dtype=np.int64))
    rows = context.sequences.result(numbers)["tokens"]
    tokens = dict(zip(numbers.tolist(), rows, strict=True))
    return TopExamples(
        context.latents[slug], dict(examples), lambda sequence: tokens[sequence].tolist()
    )


def limits(context: Context) -> ExampleLimits:
    """How much of examples is asked for."""
    settings = context.config.circuits
    return ExampleLimits(
        per_latent=settings.examples,
        influences=settings.influences,
        listed=context.config.examples.listed,
        include_bos=settings.include_bos,
    )


def _of_peaks(
    context: Context, slug: str, examples: TopExamples, wanted: ExampleLimits
) -> dict[str, Columns]:
    return example_attributions(
        context.model,
        list(context.saes.values()),
        context.saes[slug],
        examples,
        wanted,
        context.token_rows,
    )


def cost_of_attributions(context: Context, slugs: Sequence[str], probe: Probe) -> Cost:
    """What the attributions of some SAEs will take, from a few peaks in the beginning of the text.

    The deeper an SAE reads, the longer is every run that is taken apart: the shallowest and the
    deepest are tried, and the others are taken to lie between. Where that beginning has no peak of
    any of them, nothing is known.
    """
    peaks = {slug: _few_peaks(context, slug) for slug in slugs}
    able = [slug for slug in slugs if peaks[slug]]
    able.sort(key=lambda slug: context.saes[slug].hook_in.layer)
    if not able:
        return Cost(seconds=None if slugs else 0.0)
    few = 1 if probe.brief else FEW
    seconds: dict[int, float] = {}
    sizes: dict[int, float] = {}
    samples: list[Sample] = []
    # What is loaded and made of the vocabulary at first is no part of each.
    _tried(context, able[-1], peaks[able[-1]][:1])
    for slug in dict.fromkeys((able[-1], able[0])):
        layer, latents = context.saes[slug].hook_in.layer, peaks[slug][: 2 * few]
        with probe.sample() as sample:
            tables = _tried(context, slug, latents)
        samples.append(sample)
        seconds[layer] = seconds_of_a_latent(context, slug, latents, sample.seconds)
        sizes[layer] = sum(table_bytes(name, t) for name, t in tables.items()) / len(latents)
    shown = [(context.saes[slug].hook_in.layer, len(context.latents[slug])) for slug in slugs]
    on_device = [one.device_bytes for one in samples if one.device_bytes is not None]
    return Cost(
        seconds=sum(n * between(seconds, layer) for layer, n in shown),
        host_bytes=max(one.host_bytes for one in samples),
        device_bytes=max(on_device, default=None),
        run_bytes=round(sum(n * between(sizes, layer) for layer, n in shown)),
    )


def between(known: Mapping[int, float], layer: int) -> float:
    """What something takes at a layer, on the line between the layers of which it is known."""
    layers = sorted(known)
    return float(np.interp(layer, layers, [known[one] for one in layers]))


def seconds_of_a_latent(
    context: Context, slug: str, latents: Sequence[int], seconds: float
) -> float:
    """What a latent takes with all its examples.

    Peaks in the beginning of a sequence take less than others: half a sequence is what they have
    before them in the mean.

    Args:
        context: The build; it holds the SAE's examples.
        slug: The SAE.
        latents: Latents that were taken apart.
        seconds: What all of their peaks took.
    """
    wanted = limits(context)
    peaks = replace(top_examples(context, slug), latents=latents).peaks(wanted.per_latent)
    each = seconds / max(tokens_before(peaks), 1)
    return each * wanted.per_latent * context.text.rules.context_size / 2


def tokens_before(peaks: Sequence[Peak]) -> int:
    """Tokens that are run for some peaks: each sequence up to its last one."""
    ends: dict[int, int] = {}
    for peak in peaks:
        ends[peak.sequence] = max(ends.get(peak.sequence, 0), peak.position + 1)
    return sum(ends.values())


def _few_peaks(context: Context, slug: str) -> list[int]:
    """Latents of which the beginning of the text has a peak."""
    if context.table("examples", slug) is None:
        return []
    peaks = top_examples(context, slug).peaks(1)
    return sorted({peak.latent for peak in peaks})[: 2 * FEW]


def _tried(context: Context, slug: str, latents: Sequence[int]) -> dict[str, Columns]:
    """The tables of some latents at their first peaks; nothing where there can be none."""
    wanted = limits(context)
    try:
        return _of_peaks(
            context, slug, replace(top_examples(context, slug), latents=latents), wanted
        )
    except SaereportError:
        return {}


def attributions(context: Context, slug: str, names: Sequence[str]) -> Iterator[Yielded]:
    """The tables of one SAE; why one is missing goes to the context.

    Args:
        context: The build; it holds the SAE's examples.
        slug: The SAE.
        names: The tables that there can be.
    """
    try:
        found = _of_peaks(context, slug, top_examples(context, slug), limits(context))
    except SaereportError as error:
        context.leave_out_all(slug, names, str(error))
        return
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        context.leave_out_all(slug, names, "memory ran out")
        return
    missing = [name for name in names if name not in found]
    context.leave_out_all(slug, missing, "nothing of the kind applies where this SAE reads")
    for name, columns in found.items():
        yield slug, name, columns
