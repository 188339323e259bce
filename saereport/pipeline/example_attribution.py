"""What makes the latents of an SAE active on their own top examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from saereport.circuits.attribution.examples import ExampleLimits, TopExamples, example_attributions
from saereport.pipeline.context import Context
from saereport.pipeline.stage import Yielded
from saereport.sources.devices import is_out_of_memory
from saereport.util.errors import SaereportError


def attributions(context: Context, slug: str, names: Sequence[str]) -> Iterator[Yielded]:
    """The tables of one SAE; why one is missing goes to the context.

    Args:
        context: The build; it holds the SAE's examples.
        slug: The SAE.
        names: The tables that there can be.
    """
    examples = context.table("examples", slug)
    assert examples is not None
    sae, settings = context.saes[slug], context.config.circuits
    numbers = np.unique(np.asarray(examples["sequence"], dtype=np.int64))
    rows = context.sequences.result(numbers)["tokens"]
    tokens = dict(zip(numbers.tolist(), rows, strict=True))
    try:
        found = example_attributions(
            context.model,
            list(context.saes.values()),
            sae,
            TopExamples(
                context.latents[slug],
                dict(examples),
                lambda sequence: tokens[sequence].tolist(),
            ),
            ExampleLimits(
                per_latent=settings.examples,
                influences=settings.influences,
                listed=context.config.examples.listed,
                include_bos=settings.include_bos,
            ),
            context.token_rows,
        )
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
