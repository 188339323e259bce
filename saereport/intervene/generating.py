"""Continuations of prompts, with edits on the way, many at a time.

Tokens are drawn by inverting the cumulative distribution at numbers that the caller gives: with the
same numbers, what is steered and what is not differ by the steering alone. The model's keys and
values are kept from token to token wherever `keeps_keys` finds that this changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from saereport.sources.forward import Edit, forward
from saereport.sources.models import KeyValues, LanguageModel
from saereport.util.errors import SaereportError, says_out_of_memory

TOLERANCE = 1e-3
"""Difference of logits, as a share of the largest, up to which two ways to them are the same."""


class NotFinite(Exception):
    """Logits that are no numbers.

    Attributes:
        rows: The sequences of the batch that have some.
    """

    def __init__(self, rows: list[int]) -> None:
        super().__init__(f"logits of {len(rows)} sequences are not finite")
        self.rows = rows


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: What logits are divided by; 0 takes the most likely token.
        top_p: Share of the probability within which is drawn, the most likely tokens first.
        stop: Tokens that end a continuation.
    """

    temperature: float
    top_p: float
    stop: frozenset[int]


def drawn(logits: Tensor, at: Tensor, temperature: float, top_p: float) -> Tensor:
    """The token of each row at which the cumulative distribution passes a number.

    Tokens are in the order of their probability, so that equal numbers give alike tokens where two
    distributions are alike. Of the `top_p` likeliest share, the last token is that which reaches
    it.

    Args:
        logits: `[batch, d_vocab]`.
        at: Numbers in `[0, 1)`, float32 `[batch]`.
        temperature: What logits are divided by; 0 takes the most likely token, the first of equals.
        top_p: Share of the probability.

    Returns:
        int64 `[batch]`.
    """
    scores = logits.float()
    if temperature == 0:
        return scores.argmax(dim=-1)
    ordered, index = torch.sort(scores / temperature, dim=-1, descending=True, stable=True)
    cumulative = ordered.softmax(dim=-1).cumsum(dim=-1)
    # Rounding can leave the last sum a little off one.
    cumulative = cumulative / cumulative[:, -1:]
    last = (cumulative < top_p).sum(dim=-1, keepdim=True).clamp(max=scores.shape[1] - 1)
    share = cumulative.gather(1, last)
    place = torch.searchsorted(cumulative, at[:, None].to(share) * share, right=True)
    found: Tensor = index.gather(1, torch.minimum(place, last)).squeeze(1)
    return found


def continued(
    model: LanguageModel,
    prompts: Tensor,
    edits: Mapping[str, Edit],
    at: Tensor,
    sampling: Sampling,
    *,
    keep_keys: bool = True,
) -> list[list[int]]:
    """A continuation of each prompt.

    Args:
        model: The language model.
        prompts: Token ids `[batch, pos]`.
        edits: Hook point to what is done to the activation there, at every position of prompt and
            continuation: a function of one position alone, which does not look at others.
        at: Numbers in `[0, 1)` at which tokens are drawn, float32 `[batch, new]`.
        sampling: How tokens are drawn.
        keep_keys: Whether keys and values are kept, see `keeps_keys`; else everything is run again
            for every token.

    Returns:
        For each prompt up to `new` tokens; one of `sampling.stop` is the last.

    Raises:
        NotFinite: Logits are no numbers.
    """
    tokens, at = prompts.to(model.device), at.to(model.device)
    new = tokens[:, :0]
    cache = KeyValues() if keep_keys else None
    stops = torch.tensor(sorted(sampling.stop), device=model.device, dtype=tokens.dtype)
    ended = torch.zeros(len(tokens), dtype=torch.bool, device=model.device)
    with torch.no_grad():
        for step in range(at.shape[1]):
            part = torch.cat([tokens, new], dim=1) if cache is None or not step else new[:, -1:]
            logits = forward(model, part, edits=edits, logits="last", cache=cache).logits
            if logits is None:
                raise RuntimeError("a pass for logits gave none")
            finite = torch.isfinite(logits[:, -1]).all(dim=-1)
            if not bool((finite | ended).all()):
                raise NotFinite((~(finite | ended)).nonzero().squeeze(1).tolist())
            token = drawn(logits[:, -1], at[:, step], sampling.temperature, sampling.top_p)
            new = torch.cat([new, token[:, None].to(tokens.dtype)], dim=1)
            ended = ended | torch.isin(token.to(tokens.dtype), stops)
            if bool(ended.all()):
                break
    return [_until(row, sampling.stop) for row in new.tolist()]


def _until(tokens: list[int], stop: Collection[int]) -> list[int]:
    """The tokens up to the first that ends a continuation."""
    end = next((place for place, token in enumerate(tokens) if token in stop), len(tokens))
    return tokens[: end + 1]


def keeps_keys(model: LanguageModel, prompts: Tensor, edits: Mapping[str, Edit]) -> bool:
    """Whether a pass that goes on from kept keys and values gives what a whole pass gives.

    It is tried: families differ in how they keep them, some keep something else, and edits may
    never be asked where only a token is run.

    Args:
        model: The language model.
        prompts: Some token ids `[batch, pos]`, of at least two positions.
        edits: What is to be done on the way.
    """
    tokens = prompts.to(model.device)
    try:
        with torch.no_grad():
            whole = forward(model, tokens, edits=edits, logits="last").logits
            cache = KeyValues()
            forward(model, tokens[:, :-1], edits=edits, logits="last", cache=cache)
            step = forward(model, tokens[:, -1:], edits=edits, logits="last", cache=cache).logits
    except SaereportError:
        raise
    except Exception as error:
        # Whatever a library cannot do with keys and values, it can do without.
        if says_out_of_memory(error):
            raise
        return False
    if whole is None or step is None or whole.shape != step.shape:
        return False
    off = (whole.float() - step.float()).abs().max()
    share = TOLERANCE if model.dtype == torch.float32 else 64 * torch.finfo(model.dtype).eps
    return bool(off <= share * whole.float().abs().max())
