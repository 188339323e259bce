"""Checks of a model at loading: that it computes what Transformers computes, and has a tokeniser.

TransformerLens puts its own components in the places of a Hugging Face model's, some of which
compute something themselves. Where they were written for another version of Transformers, or for
another variant of an architecture, the wrapped model computes something else, and every
activation is wrong without a word. So a few tokens are run before it is wrapped and after.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saereport.sources.folders import no_tokenizer
from saereport.sources.locating import probe_tokens
from saereport.sources.models import LanguageModel
from saereport.sources.placement import packing_of_config
from saereport.util.errors import SaereportError

_FEWEST_TOKENS = 10


class Watched:
    """Loads a Hugging Face model as an `Auto` class does, and keeps its logits of a few tokens.

    TransformerLens is handed this in place of the class, since it changes what it has loaded at
    once: afterwards there is no unchanged model to compare with.

    Args:
        device: Where the model is to be, or where tokens begin if it is on several.
        options: What Transformers is told besides of how it comes into memory; where there is
            something, it puts the weights where they belong itself.
    """

    def __init__(self, device: torch.device, options: Mapping[str, Any] | None = None) -> None:
        self._device = device
        self._options = dict(options or {})
        self.name = ""
        self.logits: Tensor | None = None

    def from_pretrained(self, name: str, **options: Any) -> Any:
        """What the class of the model's architecture loads."""
        from transformer_lens.model_bridge.sources.transformers import (
            determine_architecture_from_hf_config,
            get_hf_model_class_for_architecture,
        )

        architecture = determine_architecture_from_hf_config(options["config"])
        loader = get_hf_model_class_for_architecture(architecture)
        if self._options:
            require_unpacked(name, options["config"])
        model = loader.from_pretrained(name, **options, **self._options)
        placed = "device_map" in options or self._options
        return self.watch(model if placed else model.to(self._device))

    def watch(self, model: Any) -> Any:
        """Keep the logits of a model that is not wrapped yet; gives it back."""
        self.name = type(model).__name__
        tokens = probe_tokens(len(model.get_input_embeddings().weight)).to(self._device)
        model.eval()
        with torch.no_grad():
            self.logits = model(input_ids=tokens, use_cache=False).logits.float().cpu()
        return model

    def check(self, model: LanguageModel) -> None:
        """Check that a model gives the logits that it gave before it was wrapped.

        They are compared up to a constant for each position, which centring the unembedding takes
        away.

        Raises:
            SaereportError: It cannot run, or the logits differ by more than rounding; says how
                much, and the versions.
        """
        if self.logits is None:
            return
        lens, transformers = version("transformer-lens"), version("transformers")
        hint = "Another version of TransformerLens may fit; a later one is most likely to."
        tokens = probe_tokens(model.d_vocab)
        try:
            with torch.no_grad():
                found = model.forward_pass(tokens.to(model.device), logits=True)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise SaereportError(
                f"The model '{model.name}' cannot be run: TransformerLens {lens} does not fit "
                f"{self.name} of Transformers {transformers}.",
                hint,
            ) from error
        if not self.logits.isfinite().all():
            raise SaereportError(
                f"The model '{model.name}' computes NaN or infinite numbers as it is loaded.",
                "Choose another number format, such as --dtype float32.",
            )
        off = difference(self.logits, found)
        rough = torch.float16 if model.quantization else model.dtype
        if not off <= max(1e-3, 12 * torch.finfo(rough).eps, 12 * torch.finfo(model.dtype).eps):
            raise SaereportError(
                f"TransformerLens {lens} computes something else than Transformers {transformers} "
                f"for the model '{model.name}' ({self.name}): its logits differ by up to "
                f"{off:.1%} of the largest.",
                # In few bits it may have been rounding, where experts are chosen among equals.
                hint if model.dtype.itemsize >= 4 else "Give --dtype float32, to be sure of it.",
            )


def require_unpacked(name: str, config: Any) -> None:
    """Refuse to pack weights that are packed already.

    Raises:
        SaereportError: They are.
    """
    if (found := packing_of_config(config)) and found != "bitsandbytes":
        raise SaereportError(
            f"The weights of the model '{Path(name).name}' are packed already ({found}).",
            "Leave out --quantize, or name the repository of the plain weights.",
        )


def check_unpacked(model: LanguageModel) -> None:
    """Check that the two ends and the norms of a model of packed weights are plain numbers.

    Tables of weights read them: the logit lens, the de-embedding, what norms do on the way.

    Raises:
        SaereportError: One is packed.
    """
    if not model.quantization:
        return
    ends = {"embedding": model.raw_W_E, "unembedding": model.raw_W_U}
    if (final := model.final_norm_weight) is not None:
        ends["final norm"] = final
    for what, weight in ends.items():
        if not (weight.is_floating_point() and weight.element_size() >= 2):
            raise SaereportError(
                f"The {what} of the model '{model.name}' is packed too ({model.quantization}), so "
                "no table could be made of its numbers.",
                "Choose other weights of this model.",
            )


def difference(expected: Tensor, found: Tensor | None) -> float:
    """How far logits are from others, relative to the largest, up to a constant a position."""
    if found is None or found.shape[:2] != expected.shape[:2]:
        return float("inf")
    # A wrapper may pad the vocabulary, or cut off the padding.
    n = min(found.shape[-1], expected.shape[-1])
    a, b = (x.detach().float().cpu()[..., :n] for x in (expected, found))
    a, b = (x - x.mean(dim=-1, keepdim=True) for x in (a, b))
    return float((a - b).abs().max() / a.abs().max().clamp(min=1e-12))


def check_tokenizer(name: str, tokenizer: Any) -> None:
    """Check that a tokeniser has tokens of its own.

    Raises:
        SaereportError: There is none, or it knows special tokens only.
    """
    if tokenizer is None:
        raise no_tokenizer(name)
    special = {*tokenizer.all_special_tokens, *getattr(tokenizer, "added_tokens_encoder", ())}
    if len(tokenizer.get_vocab().keys() - special) < _FEWEST_TOKENS:
        raise no_tokenizer(name)


class _Nothing:
    """Stands in for a class of Transformers that loads what is not needed."""

    @staticmethod
    def from_pretrained(*_args: Any, **_options: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def no_processors() -> Iterator[None]:
    """Keep TransformerLens from loading what prepares pictures and sound, which nothing here needs.

    Where one does not load, it runs `pip install` in the user's environment.
    """
    import transformers

    names = ("AutoProcessor", "AutoFeatureExtractor", "AutoImageProcessor")
    with contextlib.ExitStack() as put_back:
        for name in names:
            put_back.callback(setattr, transformers, name, getattr(transformers, name))
            setattr(transformers, name, _Nothing)
        yield
