"""Language models: one thin class over TransformerLens's two wrappers.

`HookedTransformer` reimplements an architecture and can fold and centre weights;
`TransformerBridge` wraps the Hugging Face module that is there. SAEs were trained on either, and
which one an SAE asks for is in its metadata. `LanguageModel` gives both the same face: named
activations of a batch, and the handful of weights that weights-only analyses need.

Activations are read with plain torch hooks on the modules that the wrappers' hook points are, not
through `run_with_cache`: that keys a Bridge's cache by other names than the ones asked for, can
skip a hook on an alias without a word, and asks for attention patterns that nobody reads. The
forward pass ends, by an exception of our own, inside the last hook that was asked for, so nothing
after it is computed: not the MLP after a `hook_z`, not the final norm, not the logits.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from saereport.sources.attaching import (
    Capture,
    Reached,
    as_rows,
    attach,
    keys_given,
    keys_kept,
    named_module,
    names_of_modules,
)
from saereport.sources.devices import dtype_name
from saereport.sources.hooks import HookPoint, is_module_name, no_such_hook, parse_hook
from saereport.sources.placement import plain_weight
from saereport.sources.tokens import special_ids, without_padding_side
from saereport.util.errors import SaereportError

if TYPE_CHECKING:
    from saereport.sources.bare import BareModel
    from saereport.sources.wiring import Wiring

Wrapper = Literal["HookedTransformer", "TransformerBridge"]


@dataclass(eq=False)
class KeyValues:
    """What the model keeps of the tokens that it has read, so that they are not run again.

    Attributes:
        kept: The wrapper's own object; None before the first pass.
    """

    kept: Any = None


class LanguageModel(ABC):
    """A language model, ready to be read.

    Attributes:
        name: Name as given, or a directory's or file's last component; never a path.
        wrapper: Which of TransformerLens's classes is underneath.
        model: The TransformerLens object itself.
        device: Where the weights are, or where activations are brought if they are on several.
        dtype: The weights' number format.
        revision: The Hugging Face commit that was loaded, where there is one.
        kwargs: The keyword arguments that the model was loaded with.
        quantization: How its matrices are packed, such as `nf4`; empty where they are not.
        n_layers: Number of transformer blocks.
        d_model: Width of the residual stream.
        n_heads: Query heads per layer.
        n_kv_heads: Key and value heads per layer.
        d_head: Width of a head.
        d_vocab: Size of the vocabulary, including ids that the tokeniser does not use.
        n_ctx: Longest sequence that the model takes.
        norm: `layer` (centred, divided by the standard deviation) or `rms`.
        tokenizer: The Hugging Face tokeniser.
        bos_id: The token that starts a sequence, if there is one.
        special_ids: Ids of the tokeniser's special tokens: see `tokens.special_ids`.
        final_norm_folded: Whether the final norm's weight is already part of `W_U`.
    """

    wrapper: Wrapper
    d_model: int
    n_layers: int

    def __init__(
        self,
        model: Any,
        *,
        name: str,
        device: torch.device,
        dtype: torch.dtype,
        kwargs: dict[str, Any] | None = None,
        revision: str | None = None,
    ) -> None:
        cfg = model.cfg
        # Gradients are taken with respect to activations; nothing here trains weights.
        model.requires_grad_(False)
        self.model = model
        self.name = name
        self.device = device
        self.dtype = dtype
        self.kwargs = dict(kwargs or {})
        self.revision = revision
        self.quantization = ""
        self.n_layers = int(cfg.n_layers)
        self.d_model = int(cfg.d_model)
        self.n_heads = int(cfg.n_heads)
        self.n_kv_heads = int(getattr(cfg, "n_key_value_heads", None) or cfg.n_heads)
        self.d_head = int(cfg.d_head)
        self.n_ctx = int(cfg.n_ctx)
        self.tokenizer = without_padding_side(model.tokenizer)
        tokenizer = self.tokenizer
        self.bos_id: int | None = None if tokenizer is None else tokenizer.bos_token_id
        self.special_ids: frozenset[int] = special_ids(tokenizer)

    # What differs between the wrappers.

    @abstractmethod
    def find_module(self, name: str) -> tuple[nn.Module, bool] | None:
        """The module that carries the activations called `name`, and whether as its input."""

    @abstractmethod
    def hook_names(self, *, modules: bool = False) -> list[str]:
        """Every name of a hook that this model has, or of a Hugging Face module."""

    @abstractmethod
    def forward_pass(
        self, tokens: Tensor, *, logits: bool = False, cache: KeyValues | None = None
    ) -> Tensor | None:
        """Run the model on tokens `[batch, pos]`; logits `[batch, pos, d_vocab]` if asked for.

        With a `cache` the tokens follow those of the passes before that had it, and are added.
        """

    @property
    @abstractmethod
    def norm(self) -> Literal["layer", "rms"]:
        """Whether the norms centre (`layer`) or not (`rms`)."""

    @property
    @abstractmethod
    def final_norm_folded(self) -> bool:
        """Whether the final norm's weight is part of `W_U` already."""

    @abstractmethod
    def _norm_weight(self, module: nn.Module | None) -> Tensor | None:
        """The weight of a norm as it is multiplied with, or None where it was folded away."""

    # What does not.

    def has_hook(self, name: str) -> bool:
        """Whether the model has a hook point of this name."""
        return self.find_module(parse_hook(name).name) is not None

    def width(self, hook: HookPoint) -> int:
        """The width of the activations at a hook point."""
        return self.n_heads * self.d_head if hook.kind == "z" else self.d_model

    def run(self, tokens: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        """Activations of a batch, from one forward pass that ends at the deepest hook.

        Args:
            tokens: Token ids `[batch, pos]`; moved to the model's device.
            hooks: Names of hook points, as SAEs spell them.

        Returns:
            For each name as asked, activations `[batch, pos, width]` on the model's device, heads
            flattened. Computed without gradients, and fit to take part in them later.

        Raises:
            SaereportError: The model has no such hook point, or it was never reached.
        """
        asked = list(dict.fromkeys(hooks))
        if not asked:
            return {}
        points = {name: parse_hook(name) for name in asked}
        capture = Capture(asked)
        with contextlib.ExitStack() as attached:
            for name, point in points.items():
                found = self.find_module(point.name)
                if found is None:
                    raise self.no_such_hook(point)
                attached.callback(attach(name, *found, capture.keep))
            with torch.no_grad(), contextlib.suppress(Reached):
                self.forward_pass(tokens.to(self.device))
        silent = [name for name in asked if name not in capture.got]
        if silent:
            raise SaereportError(
                f"The hook point '{silent[0]}' never fired in {self.name} ({self.wrapper}), so "
                f"there is nothing to read there.",
                "This model may compute that layer in another way than the name says.",
            )
        rows = {name: as_rows(capture.got[name], tokens.shape) for name in asked}
        return {name: value.to(self.device) for name, value in rows.items()}

    @property
    def reader(self) -> LanguageModel | BareModel:
        """What gives the activations of much text as `run` does, as fast as the model can."""
        return self

    def no_such_hook(self, point: HookPoint) -> SaereportError:
        """The error that says that this model lacks a hook point, and what it may have meant."""
        names = self.hook_names(modules=point.is_module)
        return no_such_hook(point, f"{self.name} ({self.wrapper})", self.n_layers, names)

    @property
    def d_vocab(self) -> int:
        """Rows of the embedding."""
        return int(self.model.W_E.shape[0])

    @cached_property
    def wiring(self) -> Wiring:
        """What stands between hook points and the residual stream, measured when asked."""
        from saereport.sources.wiring import Wiring

        return Wiring(self)

    @property
    def W_E(self) -> Tensor:
        """What tokens bring to the residual stream, without their positions `[d_vocab, d_model]`.

        The embedding, as it is scaled, normalised or projected on the way in.
        """
        return self.wiring.embedding()

    @property
    def W_U(self) -> Tensor:
        """The unembedding `[d_model, d_vocab]`, as loaded."""
        return self.raw_W_U

    @cached_property
    def raw_W_E(self) -> Tensor:
        """The embedding as it is stored `[d_vocab, d_model]`; a copy where it lies elsewhere."""
        return self._here(self.model.W_E)

    @cached_property
    def raw_W_U(self) -> Tensor:
        """The unembedding as it is stored; a copy only where it lies elsewhere."""
        return self._here(self.model.W_U)

    def _here(self, weight: Tensor) -> Tensor:
        return weight.detach().to(self.device)

    @property
    def final_norm_weight(self) -> Tensor | None:
        """The final norm's weight `[d_model]`, or None where it is folded or there is none."""
        if self.final_norm_folded:
            return None
        return self._norm_weight(getattr(self.model, "ln_final", None))

    def _block(self, layer: int) -> Any:
        if not 0 <= layer < self.n_layers:
            raise SaereportError(f"{self.name} has no layer {layer}: it has {self.n_layers}.")
        return self.model.blocks[layer]

    def attn_norm_weight(self, layer: int) -> Tensor | None:
        """The weight `[d_model]` of the norm before a layer's attention, or None if folded."""
        return self._norm_weight(getattr(self._block(layer), "ln1", None))

    def attn_post_norm_weight(self, layer: int) -> Tensor | None:
        """The weight `[d_model]` of a norm after a layer's attention (Gemma's), or None."""
        return self._norm_weight(getattr(self._block(layer), "ln1_post", None))

    def mlp_norm_weight(self, layer: int) -> Tensor | None:
        """The weight `[d_model]` of the norm before a layer's MLP, or None if folded."""
        block = self._block(layer)
        return self._norm_weight(getattr(block, "ln2", None) or getattr(block, "ln1", None))

    def attn_norm_bias(self, layer: int) -> Tensor | None:
        """The bias `[d_model]` of the norm before a layer's attention, or None."""
        return self._norm_bias(getattr(self._block(layer), "ln1", None))

    def mlp_norm_bias(self, layer: int) -> Tensor | None:
        """The bias `[d_model]` of the norm before a layer's MLP, or None."""
        block = self._block(layer)
        return self._norm_bias(getattr(block, "ln2", None) or getattr(block, "ln1", None))

    def _norm_bias(self, module: nn.Module | None) -> Tensor | None:
        # RMS norms have none, and a folded norm has given its own away.
        bias = getattr(module, "b", None)
        if self.norm == "rms" or not isinstance(bias, Tensor):
            return None
        return self._here(bias) if self._norm_weight(module) is not None else None

    def b_V(self, layer: int) -> Tensor | None:
        """A layer's value biases `[n_heads, d_head]`, repeated as in `W_V`, or None."""
        bias = getattr(self._block(layer).attn, "b_V", None)
        if not isinstance(bias, Tensor):
            return None
        bias = self._here(bias).reshape(-1, self.d_head)
        if bias.shape[0] != self.n_heads:
            bias = bias.repeat_interleave(self.n_heads // bias.shape[0], dim=0)
        return bias

    def b_O(self, layer: int) -> Tensor | None:
        """A layer's bias after the output matrices `[d_model]`, or None."""
        bias = getattr(self._block(layer).attn, "b_O", None)
        return self._here(bias) if isinstance(bias, Tensor) else None

    def W_V(self, layer: int) -> Tensor:
        """A layer's value matrices `[n_heads, d_model, d_head]`.

        Where several query heads share one value head (GQA), each query head has its copy. The
        norm before attention is not part of it: see `attn_norm_weight`.
        """
        weight = self._matrix(layer, "W_V")
        if weight.shape[0] != self.n_heads:
            weight = weight.repeat_interleave(self.n_heads // weight.shape[0], dim=0)
        return weight

    def W_O(self, layer: int) -> Tensor:
        """A layer's output matrices `[n_heads, d_head, d_model]`."""
        return self._matrix(layer, "W_O")

    def _matrix(self, layer: int, name: str) -> Tensor:
        """A matrix of a layer's attention, in plain numbers."""
        return self._here(getattr(self._block(layer).attn, name))

    def mlp0_of(self, x: Tensor) -> Tensor:
        """What the first layer's MLP adds for residual vectors `x`, `MLP0(norm2_0(x))`.

        Args:
            x: Rows `[n, d_model]` on the model's device, such as `W_E`.

        Returns:
            `[n, d_model]`, through the model's own modules, norm after the MLP included.
        """
        return self.wiring.mlp0_of(x)

    @abstractmethod
    def _parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Names and values of the weights."""

    @cached_property
    def weights_sha256(self) -> str:
        """A hash of the weights as they are used here (format and processing included)."""
        return hash_tensors(dict(self._parameters()))

    @property
    def provenance(self) -> dict[str, Any]:
        """What a run says about its model: JSON, without paths."""
        return {
            "name": self.name,
            "wrapper": self.wrapper,
            "revision": self.revision,
            "weights_sha256": self.weights_sha256,
            "dtype": dtype_name(self.dtype),
            "quantization": self.quantization,
            "kwargs": {key: _plain(value) for key, value in sorted(self.kwargs.items())},
            "n_layers": self.n_layers,
            "d_model": self.d_model,
            "n_heads": self.n_heads,
            "d_head": self.d_head,
            "d_vocab": self.d_vocab,
            "norm": self.norm,
            "final_norm_folded": self.final_norm_folded,
        }


class HookedModel(LanguageModel):
    """A `HookedTransformer`."""

    wrapper: Wrapper = "HookedTransformer"

    def find_module(self, name: str) -> tuple[nn.Module, bool] | None:
        """The module that carries the activations called `name`, and whether as its input."""
        hooks = self.model.hook_dict
        if name.endswith(".hook_mlp_in") and name in hooks:
            # Only computed on demand.
            self.model.set_use_hook_mlp_in(True)
        if name in hooks:
            return hooks[name], False
        # The Bridge's names for what HookedTransformer has as a module's input or output.
        match = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
        if not match or int(match[1]) >= self.n_layers:
            return None
        block, site = self.model.blocks[int(match[1])], match[2]
        other = {"hook_in": "hook_resid_pre", "hook_out": "hook_resid_post"}.get(site)
        if other:
            return hooks[f"blocks.{match[1]}.{other}"], False
        module, _, end = site.rpartition(".")
        module = {"attn.o": ""}.get(module, module)
        if site == "attn.o.hook_in":
            return hooks[f"blocks.{match[1]}.attn.hook_z"], False
        part = getattr(block, module, None) if module and end in ("hook_in", "hook_out") else None
        return None if part is None else (part, end == "hook_in")

    def hook_names(self, *, modules: bool = False) -> list[str]:
        """Every name of a hook that this model has, or of a Hugging Face module."""
        return [] if modules else list(self.model.hook_dict)

    def forward_pass(
        self, tokens: Tensor, *, logits: bool = False, cache: KeyValues | None = None
    ) -> Tensor | None:
        """Run the model on tokens `[batch, pos]`; logits `[batch, pos, d_vocab]` if asked for."""
        kind = "logits" if logits else None
        found: Tensor | None
        if cache is None:
            found = self.model.forward(tokens, return_type=kind)
            return found
        if cache.kept is None:
            from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache

            cache.kept = TransformerLensKeyValueCache.init_cache(
                self.model.cfg, self.device, len(tokens)
            )
        # Without a mask the token for padding, which often is BOS or EOS, would not be attended to.
        every = torch.ones_like(tokens)
        found = self.model.forward(
            tokens, return_type=kind, past_kv_cache=cache.kept, attention_mask=every
        )
        return found

    @property
    def norm(self) -> Literal["layer", "rms"]:
        """Whether the norms centre (`layer`) or not (`rms`)."""
        return "rms" if str(self.model.cfg.normalization_type).startswith("RMS") else "layer"

    @property
    def final_norm_folded(self) -> bool:
        """Whether the final norm's weight is part of `W_U` already."""
        return str(self.model.cfg.normalization_type).endswith("Pre")

    def _norm_weight(self, module: nn.Module | None) -> Tensor | None:
        weight = getattr(module, "w", None)
        return self._here(weight) if isinstance(weight, Tensor) else None

    def _parameters(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.model.named_parameters()


class BridgeModel(LanguageModel):
    """A `TransformerBridge`."""

    wrapper: Wrapper = "TransformerBridge"

    def find_module(self, name: str) -> tuple[nn.Module, bool] | None:
        """The module that carries the activations called `name`, and whether as its input."""
        if name.endswith(".hook_mlp_in") and not self.model.cfg.use_hook_mlp_in:
            # Only computed on demand.
            self.model.set_use_hook_mlp_in(True)
        if name in self._hooks:
            return self._hooks[name], False
        module = named_module(self.model.original_model, name) if is_module_name(name) else None
        return None if module is None else (module, False)

    @cached_property
    def reader(self) -> BareModel:
        """What gives the activations of much text as `run` does: the model without the Bridge."""
        from saereport.sources.bare import BareModel

        return BareModel(self)

    @cached_property
    def _hooks(self) -> dict[str, nn.Module]:
        # Aliases included; the Bridge builds this dictionary anew at every access.
        return dict(self.model.hook_dict)

    def hook_names(self, *, modules: bool = False) -> list[str]:
        """Every name of a hook that this model has, or of a Hugging Face module."""
        return list(names_of_modules(self.model.original_model) if modules else self._hooks)

    def forward_pass(
        self, tokens: Tensor, *, logits: bool = False, cache: KeyValues | None = None
    ) -> Tensor | None:
        """Run the model on tokens `[batch, pos]`; logits `[batch, pos, d_vocab]` if asked for."""
        kind = "logits" if logits else None
        found: Tensor | None
        if cache is None:
            found = self.model.forward(tokens, return_type=kind, use_cache=False)
        else:
            inner = self.model.original_model
            before = keys_given(inner, cache.kept)
            out: list[Any] = []
            with self._keys_by_their_other_name(), contextlib.ExitStack() as hooks:
                # The Bridge would ask for them by the older name.
                hook = inner.register_forward_hook(lambda _m, _a, given: out.append(given))
                hooks.callback(hook.remove)
                found = self.model.forward(tokens, return_type="logits", use_cache=True, **before)
            cache.kept = keys_kept(out[-1])
        return None if found is None else found.to(self.device)

    @contextlib.contextmanager
    def _keys_by_their_other_name(self) -> Iterator[None]:
        """Have every attention find the kept keys and values.

        Transformers hands them down as `cache`; TransformerLens 3.9 looks for `past_key_values`
        and without a word keeps nothing where there are none. Where it leaves the work to what it
        replaced, that gets them by the first name alone: of two it warns.
        """

        def both(_module: nn.Module, args: Any, given: dict[str, Any]) -> Any:
            kept = given.get("cache")
            if kept is None or given.get("past_key_values") is not None:
                return None
            return args, {**given, "past_key_values": kept}

        def one(_module: nn.Module, args: Any, given: dict[str, Any]) -> Any:
            if given.get("cache") is None or "past_key_values" not in given:
                return None
            return args, {name: value for name, value in given.items() if name != "past_key_values"}

        with contextlib.ExitStack() as hooks:
            for block in self.model.blocks:
                attention = getattr(block, "attn", None)
                if not isinstance(attention, nn.Module):
                    continue
                replaced = attention._modules.get("_original_component")
                for module, names in ((attention, both), (replaced, one)):
                    if module is not None:
                        hook = module.register_forward_pre_hook(names, with_kwargs=True)
                        hooks.callback(hook.remove)
            yield

    @property
    def norm(self) -> Literal["layer", "rms"]:
        """Whether the norms centre (`layer`) or not (`rms`)."""
        cfg = self.model.cfg
        rms = getattr(cfg, "uses_rms_norm", False) or str(cfg.normalization_type).startswith("RMS")
        return "rms" if rms else "layer"

    @property
    def final_norm_folded(self) -> bool:
        """Whether the final norm's weight is part of `W_U` already."""
        return bool(self.kwargs.get("fold_ln", False))

    def attn_post_norm_weight(self, layer: int) -> Tensor | None:
        """The weight `[d_model]` of a norm after a layer's attention; it is never folded."""
        return self._weight_of(getattr(self._block(layer), "ln1_post", None))

    def _norm_weight(self, module: nn.Module | None) -> Tensor | None:
        return None if self.final_norm_folded else self._weight_of(module)

    def _weight_of(self, module: nn.Module | None) -> Tensor | None:
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor):
            return None
        # Gemma stores the weight's distance from one.
        offset = 1.0 if getattr(self.model.cfg, "rmsnorm_uses_offset", False) else 0.0
        return self._here(weight) + offset if offset else self._here(weight)

    def _matrix(self, layer: int, name: str) -> Tensor:
        """A matrix of a layer's attention; where it is packed, unpacked for the moment."""
        attention = self._block(layer).attn
        if not self.quantization:
            return super()._matrix(layer, name)
        with contextlib.ExitStack() as packed:
            for module in attention.modules():
                plain = plain_weight(module)
                if plain is not None:
                    packed.callback(
                        module._parameters.__setitem__, "weight", module._parameters["weight"]
                    )
                    module._parameters["weight"] = nn.Parameter(plain, requires_grad=False)
            return super()._matrix(layer, name)

    def _parameters(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.model.original_model.named_parameters()


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over named tensors: names, formats, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous().cpu()
        digest.update(f"{name}\0{dtype_name(tensor.dtype)}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, torch.dtype):
        return dtype_name(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
