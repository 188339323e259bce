"""Continuations of prompts, with edits on the way, many at a time.

Tokens are drawn by inverting the cumulative distribution at numbers that the caller gives: with the
same numbers, what is steered and what is not differ by the steering alone. The model's keys and
values are kept from token to token wherever `keeps_keys` finds that this changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from saereport.sources.bare import BareModel
from saereport.sources.forward import Edit, forward
from saereport.sources.models import KeyValues, LanguageModel
from saereport.util.errors import SaereportError, says_out_of_memory

TOLERANCE = 1e-3
"""Difference of logits, as a share of the largest, up to which two ways to them are the same."""


EditsAt = Callable[[int], Mapping[str, Edit]]
"""The edits of a pass whose first token stands at a position."""

_LIKELIEST = 128
"""Tokens that are put in order at first; a number that they do not reach asks for more."""


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
        frequency_penalty: What a token's logit loses for each time that it was drawn before.
    """

    temperature: float
    top_p: float
    stop: frozenset[int]
    frequency_penalty: float = 0.0


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
    scores = scores / temperature
    total = scores.logsumexp(dim=-1, keepdim=True)
    found = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
    open_, n = torch.arange(len(scores), device=scores.device), _LIKELIEST
    # All of a large vocabulary in order takes as long as a small model's pass.
    while len(open_):
        whole = n >= scores.shape[1]
        token, known = _first_of(scores[open_], total[open_], at[open_], top_p, n)
        known |= whole
        found[open_[known]] = token[known]
        open_, n = open_[~known], n * 16
    return found


def _first_of(
    scores: Tensor, total: Tensor, at: Tensor, top_p: float, n: int
) -> tuple[Tensor, Tensor]:
    """The token at which each row's cumulative distribution passes a number, of the likeliest `n`.

    Returns:
        The token of each row, and whether it is known: not where it may be one that is less likely
        than these, or where one of these is as likely as the last and others may be too.
    """
    values, index = scores.topk(min(n, scores.shape[1]), dim=-1)
    # Of equal ones the first goes before.
    index, order = index.sort(dim=-1)
    values, again = values.gather(1, order).sort(dim=-1, descending=True, stable=True)
    index = index.gather(1, again)
    cumulative = (values - total).exp().cumsum(dim=-1)
    if n >= scores.shape[1]:
        # Rounding can leave the last sum a little off one.
        cumulative = cumulative / cumulative[:, -1:]
    end = cumulative.shape[1] - 1
    last = (cumulative < top_p).sum(dim=-1, keepdim=True)
    reached = last <= end if top_p < 1 else torch.zeros_like(last, dtype=torch.bool)
    last = last.clamp(max=end)
    share = cumulative.gather(1, last) if top_p < 1 else torch.ones_like(cumulative[:, :1])
    place = torch.searchsorted(cumulative, at[:, None].to(share) * share, right=True)
    place = torch.where(reached, torch.minimum(place, last), place)
    known = (place <= end) & (reached | (top_p >= 1))
    place = place.clamp(max=end)
    known &= values.gather(1, place) > values[:, -1:]
    known &= (values.gather(1, last) > values[:, -1:]) | (top_p >= 1)
    return index.gather(1, place).squeeze(1), known.squeeze(1)


Step = Callable[[Tensor, Mapping[str, Edit], KeyValues], Tensor]
"""Logits `[batch, 1, d_vocab]` behind some tokens, of which earlier ones are kept."""


def continued(
    model: LanguageModel,
    prompts: Tensor,
    edits: Mapping[str, Edit] | EditsAt,
    at: Tensor,
    sampling: Sampling,
    *,
    keep_keys: bool | Step = True,
    told: Callable[[int], None] = lambda _: None,
) -> list[list[int]]:
    """A continuation of each prompt.

    Args:
        model: The language model.
        prompts: Token ids `[batch, pos]`.
        edits: Hook point to what is done to the activation there, at every position of prompt and
            continuation: a function of one position alone, which does not look at others. Or what
            gives that for the position at which a pass begins: where keys are kept, a pass has but
            the last token.
        at: Numbers in `[0, 1)` at which tokens are drawn, float32 `[batch, new]`.
        sampling: How tokens are drawn.
        keep_keys: Whether keys and values are kept, see `keeps_keys`; else everything is run again
            for every token; or how a pass with kept ones is run, see `fastest`.
        told: Hears how many tokens are done, at each step and for those that are not needed.

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
        for n in range(at.shape[1]):
            part = torch.cat([tokens, new], dim=1) if cache is None or not n else new[:, -1:]
            first = tokens.shape[1] + new.shape[1] - part.shape[1]
            now = edits(first) if callable(edits) else edits
            if isinstance(keep_keys, bool) or cache is None:
                logits = forward(model, part, edits=now, logits="last", cache=cache).logits
            else:
                logits = keep_keys(part, now, cache)
            if logits is None:
                raise RuntimeError("a pass for logits gave none")
            scores = logits[:, -1]
            _require_finite(scores, ended)
            if sampling.frequency_penalty and n:
                each = torch.full(new.shape, -sampling.frequency_penalty, device=model.device)
                scores = scores.float().scatter_add(1, new.long(), each)
            token = drawn(scores, at[:, n], sampling.temperature, sampling.top_p)
            new = torch.cat([new, token[:, None].to(tokens.dtype)], dim=1)
            ended = ended | torch.isin(token.to(tokens.dtype), stops)
            told(len(tokens))
            if bool(ended.all()):
                told(len(tokens) * (at.shape[1] - n - 1))
                break
    return [_until(row, sampling.stop) for row in new.tolist()]


def _require_finite(scores: Tensor, ended: Tensor) -> None:
    """Refuse logits that are no numbers, of sequences that have not ended."""
    broken = ~(torch.isfinite(scores).all(dim=-1) | ended)
    if bool(broken.any()):
        raise NotFinite(broken.nonzero().squeeze(1).tolist())


def _until(tokens: list[int], stop: Collection[int]) -> list[int]:
    """The tokens up to the first that ends a continuation."""
    end = next((place for place, token in enumerate(tokens) if token in stop), len(tokens))
    return tokens[: end + 1]


def fastest(model: LanguageModel, prompts: Tensor, edits: Mapping[str, Edit]) -> Step | None:
    """How passes with kept keys are run fastest where that gives the same; None for `forward`.

    A TransformerBridge computes more than is asked for; its Hugging Face model alone does not. It
    is tried whether logits come out the same with edits on the way.

    Args:
        model: The language model.
        prompts: Some token ids `[batch, pos]`, of at least two positions.
        edits: What is to be done on the way; not nothing, so that it is seen whether it is done.
    """
    reader = model.reader
    if reader is model or not isinstance(reader, BareModel):
        return None
    tokens, bare = prompts.to(model.device), reader

    def step(part: Tensor, edits: Mapping[str, Edit], cache: KeyValues) -> Tensor:
        return bare.last_logits(part, edits, cache)

    try:
        with torch.no_grad():
            whole = forward(model, tokens, edits=edits, logits="last").logits
            cache = KeyValues()
            step(tokens[:, :-1], edits, cache)
            found = step(tokens[:, -1:], edits, cache)
    except Exception as error:
        # Whatever does not work on a model alone is the reason not to run it alone.
        if says_out_of_memory(error):
            raise
        return None
    return step if whole is not None and _same(model, whole, found) else None


def _same(model: LanguageModel, whole: Tensor, found: Tensor) -> bool:
    """Whether two ways to logits give the same but for rounding."""
    if whole.shape != found.shape:
        return False
    off = (whole.float() - found.float()).abs().max()
    share = TOLERANCE if model.dtype == torch.float32 else 64 * torch.finfo(model.dtype).eps
    return bool(off <= share * whole.float().abs().max())


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
    return whole is not None and step is not None and _same(model, whole, step)
