"""What a pass of the whole model takes, measured once for all stages that are made of passes.

Most stages run the model on sequences of their own, with something changed on the way. What they
take is then how many passes and tokens they have, times what those take, and what else they do.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from saereport.pipeline.context import Context
from saereport.pipeline.probe import PassTime, Probe, Sample
from saereport.sources.forward import forward

FEW, MANY = 2, 128
"""Tokens of the passes that are timed."""


def pass_time(context: Context, probe: Probe) -> PassTime:
    """What a pass takes; timed when a stage first asks, on the beginning of the text."""
    if probe.pass_time is None:
        probe.pass_time = _timed(context, probe)
    return probe.pass_time


def _timed(context: Context, probe: Probe) -> PassTime:
    block = next(iter(context.text.packed(batch=1)), None)
    if block is None:
        return PassTime(0.0, 0.0, 0.0)
    tokens = torch.from_numpy(block.tokens[:1, :MANY].astype(np.int64)).to(context.model.device)
    few = tokens[:, :FEW]

    def taken(some: torch.Tensor, *, everywhere: bool) -> Sample:
        with probe.sample() as sample, torch.no_grad():
            forward(context.model, some, logits=True if everywhere else "last")
        return sample

    # The first pass loads what the others find loaded.
    taken(few, everywhere=False)
    small, large = taken(few, everywhere=False), taken(tokens, everywhere=False)
    whole = taken(tokens, everywhere=True)
    found = line(small.seconds, large.seconds, whole.seconds, (few.shape[1], tokens.shape[1]))
    return replace(found, host_bytes=whole.host_bytes, device_bytes=whole.device_bytes)


def line(small: float, large: float, whole: float, sizes: tuple[int, int]) -> PassTime:
    """What of a pass is fixed, and what each token and each position with logits adds.

    Args:
        small: Seconds of a pass with the logits of one position.
        large: The same of one with more tokens.
        whole: That with the logits of all positions.
        sizes: Tokens of the smaller and of the larger pass.
    """
    few, many = sizes
    logits = max(whole - large, 0.0) / max(many - 1, 1)
    # Noise must not make a longer pass take less time.
    token = max(large - small, 0.0) / (many - few) if many > few else 0.0
    return PassTime(max(small - few * token - logits, 0.0), token, logits)
