"""Whether an SAE does on this model and text what one may expect of it: asked before the long pass.

Weights in other units, another model, another layer, a hook point before a norm in place of behind
it: the numbers all come out, and are about something else. What gives such mistakes away is that
the reconstruction is no good, or that far too many latents are active, or none. A thousand tokens
show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from saereport.pipeline.activations import Activations
from saereport.pipeline.text_pass import Batches
from saereport.pipeline.warned import Warned
from saereport.sources.devices import float64_of, is_out_of_memory
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.sources.text.packing import Packed

TOKENS = 1000
"""Counted tokens that are looked at, the first of the text."""

ENCODED = 2**25
"""Activations of latents that are held at a time."""

DENSE = 0.1
"""Share of the latents active on a token above which an SAE is no sparse one."""

ALIVE = 0.03
"""Share of the latents that could have been active below which nearly all count as dead."""

OFF = 4.0
"""How many times larger or smaller than stated L0 may be: texts differ, and so do its averages."""

WORSE = 0.4
"""How much lower than stated explained variance may be."""

HEADROOM = 8
"""How many times larger than at the beginning activations may become without a word in float16."""

CAUSES = (
    "Likely causes: it is of another model, layer or hook point; its activations were scaled, "
    "normalised or whitened in training; it was trained with other processing of the model "
    "(fold_ln, centring), or without BOS; or it is not trained to the end."
)


@dataclass
class Look:
    """Sums over the first tokens for one SAE.

    Attributes:
        n: Tokens.
        active: Activations above zero.
        alive: Latents that were active at all, bool `[d_sae]`.
        error: Sum of squared errors of the reconstruction.
        square: Sum of squared norms of what is reconstructed.
        total: Sum of what is reconstructed, float64 `[d_out]`.
        largest: The largest entry of what is read, without its sign.
    """

    alive: Tensor
    total: Tensor
    n: int = 0
    active: int = 0
    error: float = 0.0
    square: float = 0.0
    largest: float = 0.0

    def __add__(self, other: Look) -> Look:
        return Look(
            alive=self.alive | other.alive,
            total=self.total + other.total,
            n=self.n + other.n,
            active=self.active + other.active,
            error=self.error + other.error,
            square=self.square + other.square,
            largest=max(self.largest, other.largest),
        )

    @property
    def l0(self) -> float:
        """Active latents a token."""
        return self.active / max(self.n, 1)

    @property
    def explained_variance(self) -> float:
        """As in `sae_metrics`; NaN where there is no variance."""
        variance = self.square - float(self.total.square().sum()) / max(self.n, 1)
        return 1 - self.error / variance if variance > 0 else float("nan")


def check_sanity(
    model: LanguageModel,
    saes: Sequence[Sae],
    packed: Iterable[Packed],
    batches: Batches,
    warned: Warned,
    activations: Activations | None = None,
) -> dict[str, Look]:
    """Look at every SAE on the first tokens of the text, and warn of what is not as expected.

    Args:
        model: The language model.
        saes: The SAEs of the report.
        packed: The sequences of the text from its beginning; only the first are asked for.
        batches: Sizes of the batches; they halve where memory runs out.
        warned: Takes at most one warning for each SAE.
        activations: Where activations come from; the model where None.

    Returns:
        What was seen, by slug.

    Raises:
        GateError: There is a warning, and the user asked for strictness.
        SaereportError: Memory does not hold one sequence.
    """
    looks = {
        sae.slug: Look(
            alive=torch.zeros(sae.d_sae, dtype=torch.bool, device=sae.device),
            total=torch.zeros(sae.d_out, dtype=torch.float64),
        )
        for sae in saes
    }
    for block in _first(packed, TOKENS):
        for part in batches.parts(block):
            for found in _looks(activations or model, saes, part, batches):
                for slug, look in found.items():
                    looks[slug] += look
    for sae in saes:
        look = looks[sae.slug]
        if close := near_the_end(look, model.dtype, sae.dtype):
            warned.add(close, about=sae.slug)
        odd = oddities(look, sae.d_sae, sae.stated, decodes=not sae.why_not_alone)
        if odd:
            warned.add(
                f"On the first {look.n:,} tokens {'; '.join(odd)}. {CAUSES}",
                about=sae.slug,
                sanity=True,
            )
    return looks


def _first(packed: Iterable[Packed], n: int) -> Iterator[Packed]:
    """The sequences that hold the first `n` counted tokens; no token after these counts."""
    for block in packed:
        counted = block.counted & (block.counted.cumsum().reshape(block.counted.shape) <= n)
        rows = counted.any(axis=1)
        n -= int(counted.sum())
        if rows.any():
            last = int(np.flatnonzero(rows)[-1]) + 1
            yield replace(block, counted=counted).part(0, last)
        if n <= 0:
            return


def _looks(
    model: Activations, saes: Sequence[Sae], part: Packed, batches: Batches
) -> Iterator[dict[str, Look]]:
    """What is seen on some sequences, or on smaller parts of them if memory runs out."""
    found: dict[str, Look] | None = None
    try:
        found = _seen(model, saes, part)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        batches.halve(error)
    if found is not None:
        yield found
        return
    # Only outside the except block is nothing holding the failed attempt's tensors.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    for smaller in batches.parts(part):
        yield from _looks(model, saes, smaller, batches)


def _seen(model: Activations, saes: Sequence[Sae], part: Packed) -> dict[str, Look]:
    reads = {sae.hook_in.name for sae in saes}
    writes = {sae.write_point.name for sae in saes if not sae.why_not_alone}
    tokens = torch.from_numpy(part.tokens.astype(np.int64))
    acts = model.run(tokens, sorted(reads | writes))
    counted = torch.from_numpy(part.counted).to(next(iter(acts.values())).device)
    return {sae.slug: look_at(sae, acts, counted) for sae in saes}


def look_at(sae: Sae, acts: Mapping[str, Tensor], counted: Tensor) -> Look:
    """The sums of one SAE over some sequences.

    Args:
        sae: The SAE or transcoder.
        acts: Activations at its hook points, each `[n, pos, width]`, heads flat.
        counted: The tokens that count, bool `[n, pos]`, on the same device.
    """
    reads = acts[sae.hook_in.name]
    target = None if sae.why_not_alone else acts[sae.write_point.name]
    look = Look(
        alive=torch.zeros(sae.d_sae, dtype=torch.bool, device=sae.device),
        total=torch.zeros(sae.d_out, dtype=torch.float64),
        n=int(counted.sum()),
        largest=float(reads[counted].abs().max()) if bool(counted.any()) else 0.0,
    )
    step = max(1, ENCODED // (sae.d_sae * len(reads)))
    if sae.encoder.of_sequences:
        step = reads.shape[1]
    for start in range(0, reads.shape[1], step):
        span = slice(start, start + step)
        a, here = reads[:, span], counted[:, span]
        on = (sae.encode(a) > 0)[here]
        look.active += int(on.sum())
        look.alive |= on.any(dim=0)
        del on
        if target is not None:
            whole = sae.encoder.of_sequences
            made = float64_of(sae.reconstruct(a)[here] if whole else sae.reconstruct(a[here]))
            true = float64_of(target[:, span][here])
            look.error += float((made - true).square().sum())
            look.square += float(true.square().sum())
            look.total += true.sum(dim=0).cpu()
    return look


def near_the_end(look: Look, *formats: torch.dtype) -> str:
    """What is said where float16 may not hold what the rest of the text brings; else nothing.

    Args:
        look: What was seen of the beginning.
        formats: Number formats of the model and the SAE.
    """
    end = torch.finfo(torch.float16).max
    if torch.float16 not in formats or look.largest <= end / HEADROOM:
        return ""
    return (
        f"What it reads reaches {look.largest:,.0f} at the beginning of the text, and float16 ends "
        f"at {end:,.0f}: what is larger later is infinite, and cannot be measured. bfloat16 has "
        "the range of float32 (--dtype bfloat16)."
    )


def oddities(
    look: Look, d_sae: int, stated: Mapping[str, float], *, decodes: bool = True
) -> list[str]:
    """What is not as the architecture or what is written about an SAE lead one to expect.

    Args:
        look: What was seen.
        d_sae: Its latents.
        stated: `l0` and `explained_variance` as published, `k` of a TopK SAE; where known.
        decodes: Whether its reconstruction means anything.

    Returns:
        Clauses; none where all is well.
    """
    if not look.n:
        return []
    if not look.active:
        return ["none of its latents is active"]
    found = []
    l0, fit = look.l0, look.explained_variance
    if decodes and not np.isfinite(fit):
        found.append("its reconstruction is not finite or what it reconstructs never varies")
    elif decodes and fit < 0:
        found.append(f"its reconstruction is worse than the mean (explained variance {fit:.2f})")
    elif decodes and fit < stated.get("explained_variance", -1.0) - WORSE:
        found.append(
            f"its explained variance is {fit:.2f}, and {stated['explained_variance']:.2f} is stated"
        )
    k, expected = stated.get("k"), stated.get("l0")
    if l0 > DENSE * d_sae:
        found.append(f"{l0:,.1f} of its {d_sae:,} latents are active on a token (L0)")
    elif k and l0 < k / 2:
        found.append(f"only {l0:,.1f} latents are active on a token (L0), and its k is {k:,.0f}")
    elif not k and expected and not expected / OFF <= l0 <= expected * OFF:
        found.append(f"{l0:,.1f} latents are active on a token (L0), and {expected:,.0f} is stated")
    possible = min(d_sae, look.active)
    alive = int(look.alive.sum())
    if alive < ALIVE * possible:
        found.append(f"all but {alive:,} of its {d_sae:,} latents are dead")
    return found
