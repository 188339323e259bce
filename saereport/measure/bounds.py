"""How much memory statistics take: bounded by the number of latents, whatever the text.

Two statistics would grow with the text, those of pairs: (latent, latent) and (latent, token). Each
latent has a share of what is kept in all; where a latent's pairs exceed its share, they are counted
on a part of the text, every 2nd, 4th, 8th, … token, and the report says so. Nothing here needs
torch.
"""

from __future__ import annotations

from saereport.measure.setting import Setting

OCTAVES = 24
"""Powers of two that the activations of an SAE are taken to span, for an estimate of memory."""
_STRATA = 12
_PER_STRATUM = 16


def bytes_of(setting: Setting, l0: float, context: int, *, n_active: float = float("inf")) -> int:
    """What the accumulators of one SAE take at most, on the device, in bytes.

    Args:
        setting: What is measured.
        l0: Mean number of active latents of a token.
        context: Tokens in a sequence.
        n_active: Active tokens of a tracked latent, on average, in the whole text; what has not
            been met is not kept.

    Returns:
        Twice what is kept: while candidates are sorted out, the old and the new are both there.
        Of `examples` the activations around a candidate are counted as they are for a latent that
        is active on a tenth of a sequence's tokens.
    """
    rows, d_sae, vocabulary = len(setting.latents), setting.d_sae, setting.d_vocab
    histograms = rows * (OCTAVES * 152 + 2304)
    candidates = min(n_active, setting.top + _STRATA * _PER_STRATUM)
    around = min(n_active, candidates * max(1.0, min(context / 10, 8)))
    examples = rows * around * 21
    tokens = rows * min(n_active, setting.token_entries) * 20 + vocabulary * 32 * 8
    samples = rows * min(n_active, setting.coactive_sample) * 0.75
    # Latents share their tokens: about a third of the samples are tokens of their own.
    coactivation = samples / 3 * l0 * 9 + rows * 128
    sketch = rows * min(n_active, 64) * 20
    whole = d_sae * (OCTAVES * 24 + 16)
    return int(2 * (examples + tokens + coactivation + sketch) + histograms + whole)
