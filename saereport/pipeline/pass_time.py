"""What a pass of the whole model takes, measured once for all stages that are made of passes.

Most stages run the model on sequences of their own, with something changed on the way. What they
take is then how many passes and tokens they have, times what those take, and what else they do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from saereport.pipeline.context import Context
from saereport.pipeline.probe import Probe, Sample
from saereport.sources.forward import forward

FEW, MANY = 2, 128
"""Tokens of the passes that are timed."""


@dataclass(frozen=True)
class PassTime:
    """What passes take that may be read and changed on the way.

    Attributes:
        fixed: Seconds of a pass, over whatever it is.
        token: Seconds that each of its tokens adds.
        logits: Seconds of each position whose logits are made.
        host_bytes: Memory of the process at the peak, in a pass that was timed.
        device_bytes: That of the device; None where that is the host, or nothing was timed.
    """

    fixed: float
    token: float
    logits: float
    host_bytes: int = 0
    device_bytes: int | None = None

    def seconds(self, passes: float, tokens: float, logits: float) -> float:
        """What some passes take.

        Args:
            passes: How many they are.
            tokens: Tokens of all of them.
            logits: Positions of all of them at which logits are made.
        """
        return passes * self.fixed + tokens * self.token + logits * self.logits


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
