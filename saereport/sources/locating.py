"""What a hook point really holds in a model, measured on a few tokens before any text is read.

A name promises something: that an MLP's output is what the MLP computes, that a norm stands before
the MLP. Families differ. BLOOM's and MPT's sublayers put out the residual stream with what they
add to it, OLMo-2's second norm comes after the MLP. What is measured decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from saereport.sources.devices import float64_of
from saereport.sources.hooks import HookPoint, parse_module
from saereport.util.errors import SaereportError

if TYPE_CHECKING:
    from saereport.sources.models import LanguageModel

PROBE_TOKENS = 8

_SUBLAYERS = {"hook_mlp_out": "mlp.hook_out", "hook_attn_out": "attn.hook_out"}
"""What a sublayer adds to the residual stream, and what it puts out itself."""

_MIDDLE = ("hook_resid_mid", "hook_mlp_in", "ln2.hook_in", "ln2.hook_normalized", "ln2.hook_out")
_STREAM = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", *_SUBLAYERS)


def locate(model: LanguageModel, point: HookPoint) -> HookPoint:
    """A hook point as it is in a model: with the kind and the site of what it really holds.

    Raises:
        SaereportError: The model has no such point, it never fires, or what lies there is not what
            its name says, so that nothing can be said about it.
    """
    if not model.has_hook(point.name):
        raise model.no_such_hook(point)
    changes = ("center_writing_weights", "fold_value_biases")
    if point.is_module and (changed := [key for key in changes if model.kwargs.get(key)]):
        raise SaereportError(
            f"'{point.name}' is a module of the Hugging Face model, but the model is loaded with "
            f"changed weights ({', '.join(changed)}), and no longer has its activations.",
            "Correct the SAE's model_from_pretrained_kwargs.",
        )
    read = _Reading(model, point)
    shape = read.value.shape[2:]
    if shape != (model.width(point),):
        raise SaereportError(
            f"What lies at '{point.name}' in {model.name} has the shape {tuple(shape)}, not "
            f"({model.width(point)},).",
            "Choose an SAE of the residual stream.",
        )
    if point.site in _SUBLAYERS.values():
        return _sublayer(point, read)
    if point.site in _SUBLAYERS and not read.adds_up(point.site):
        if read.is_module_output(_SUBLAYERS[point.site]):
            return replace(point, site=_SUBLAYERS[point.site])
        raise _another(model, point, "it is not what that sublayer adds to the residual stream")
    if point.site in _MIDDLE and not read.has_middle():
        raise _another(model, point, "it does not lie, or read, between attention and MLP")
    return point


def probe_tokens(d_vocab: int) -> Tensor:
    """A few token ids `[1, PROBE_TOKENS]`, spread over a vocabulary of a size."""
    steps = torch.arange(1, PROBE_TOKENS + 1) * d_vocab // (PROBE_TOKENS + 1)
    return steps[None]


def _another(model: LanguageModel, point: HookPoint, why: str) -> SaereportError:
    return SaereportError(
        f"What lies at '{point.name}' in {model.name} ({model.wrapper}) is not what the name says: "
        f"{why}.",
        "Choose an SAE of the residual stream.",
    )


def _sublayer(point: HookPoint, read: _Reading) -> HookPoint:
    """A sublayer's own output, or the residual stream where that is what it puts out."""
    for site in ("hook_resid_post", "hook_resid_mid"):
        stream = read.site(site)
        if stream is not None and _close(read.value, stream):
            return replace(point, kind="resid", site=site)
    return point


class _Reading:
    """What lies at a hook point, and around it, on the probe's tokens."""

    def __init__(self, model: LanguageModel, point: HookPoint) -> None:
        self.model = model
        self.point = point
        self.tokens = probe_tokens(model.d_vocab)
        self.value = model.run(self.tokens, [point.name])[point.name]

    def site(self, site: str) -> Tensor | None:
        """What lies at another site of the same block; None where the model has no such thing."""
        name = f"blocks.{self.point.layer}.{site}"
        if not self.model.has_hook(name):
            return None
        try:
            return self.model.run(self.tokens, [name])[name]
        except SaereportError:  # it never fires
            return None

    def adds_up(self, *sites: str) -> bool:
        """Whether the residual stream grows by what lies at `hook_attn_out`, `hook_mlp_out`.

        What cannot be read is taken on trust.
        """
        pre, mid, post = (self.site(site) for site in _STREAM[:3])
        mlp, attn = (self.site(site) for site in _SUBLAYERS)
        if pre is None or post is None:
            return True
        if mid is None:
            return mlp is None or attn is None or _close(pre + attn + mlp, post, pre)
        right = {
            "hook_attn_out": attn is None or _close(pre + attn, mid, pre),
            "hook_mlp_out": mlp is None or _close(mid + mlp, post, mid),
        }
        return all(right[site] for site in sites)

    def has_middle(self) -> bool:
        """Whether the norm before the MLP is what `ln2` is, and reads what lies before the MLP."""
        if not self.adds_up(*_SUBLAYERS):
            return False
        own = self.point.site == "hook_mlp_in"
        reads = self.value if own else self.site("ln2.hook_in")
        if self.point.site == "hook_resid_mid" or reads is None:
            return True
        mid = self.site("hook_resid_mid")
        mid = self.site("hook_resid_pre") if mid is None else mid
        return mid is None or _close(reads, mid)

    def is_module_output(self, site: str) -> bool:
        """Whether a Hugging Face module with the site of a sublayer's own output gives the same."""
        for name in self.model.hook_names(modules=True):
            module = parse_module(name)
            if module is None or (module.layer, module.site) != (self.point.layer, site):
                continue
            given = self.model.run(self.tokens, [name])[name]
            if _close(self.value, given):
                return True
        return False


def _close(a: Tensor, b: Tensor, *terms: Tensor) -> bool:
    """Whether two tensors differ by rounding alone, that of the `terms` of a sum included."""
    dtype = b.dtype
    a, b, *terms_ = (float64_of(x) for x in (a, b, *terms))
    size = torch.stack([x.abs() for x in (a, b, *terms_)]).amax(0)
    # Entries are sums over the width: the large ones of a position count in its small ones too.
    size = size + 0.01 * size.amax(-1, keepdim=True)
    return bool(((a - b).abs() <= 64 * torch.finfo(dtype).eps * size).all())
