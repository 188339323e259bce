"""What makes the latents of an SAE active on their own top examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from saereport.circuits.attribution.examples import ExampleLimits, TopExamples, example_attributions
from saereport.measure import Columns
from saereport.pipeline.context import Context
from saereport.pipeline.probe import Probe, line_through, table_bytes
from saereport.pipeline.stage import Cost, Yielded
from saereport.sources.devices import is_out_of_memory
from saereport.util.errors import SaereportError

FEW = 2
"""Examples that are taken apart, and then twice as many, to see what those of all will take."""


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

    Where that has no peak of any of them, nothing is known.
    """
    found: list[tuple[float, float]] = []
    samples, sizes = [], 0.0
    for slug in slugs:
        peaks = _few_peaks(context, slug)
        if not peaks:
            continue
        few = 1 if probe.brief else FEW
        peaks = peaks[: 2 * few]
        with probe.sample() as one:
            _tried(context, slug, peaks[:few])
        with probe.sample() as more:
            tables = _tried(context, slug, peaks)
        n = len(context.latents[slug]) * context.config.circuits.examples
        first = (min(few, len(peaks)), min(one.seconds, more.seconds))
        found.append((n, line_through(first, (len(peaks), more.seconds), n)))
        sizes += sum(table_bytes(name, t) for name, t in tables.items()) * n / len(peaks)
        samples += [one, more]
        if probe.over:
            break
    if not found:
        return Cost(seconds=None if slugs else 0.0)
    whole = sum(len(context.latents[slug]) for slug in slugs) * context.config.circuits.examples
    further = whole / sum(n for n, _ in found)
    on_device = [one.device_bytes for one in samples if one.device_bytes is not None]
    return Cost(
        seconds=sum(seconds for _, seconds in found) * further,
        host_bytes=max(one.host_bytes for one in samples),
        device_bytes=max(on_device, default=None),
        run_bytes=round(sizes * further),
    )


def _few_peaks(context: Context, slug: str) -> list[int]:
    """Latents of which the beginning of the text has a peak."""
    if context.table("examples", slug) is None:
        return []
    peaks = top_examples(context, slug).peaks(1)
    return sorted({peak.latent for peak in peaks})[: 2 * FEW]


def _tried(context: Context, slug: str, latents: Sequence[int]) -> dict[str, Columns]:
    """The tables of some latents at their first peaks; nothing where there can be none."""
    wanted = replace(limits(context), per_latent=1)
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
