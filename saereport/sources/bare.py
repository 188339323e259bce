"""The Hugging Face model inside a Bridge without the Bridge, for a pass that only reads.

A Bridge computes every norm twice, once for hooks that nobody may read, and attention as it can be
hooked: a fifth of the time of a pass. Which module of the model carries the activations of a hook
point is not concluded from names but found: one sequence goes through the Bridge, then through its
model alone, and the place is the one with the same numbers. Where none has them, or the model does
not run alone, the Bridge is kept.

Attention is PyTorch's fused one where the model's class offers it; it differs from the plain one
in the last bits, and so do some components of a Bridge from what they replace. How far is measured
on the same sequence, and has a bound far below what a mask or a cap that is missed would change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from saereport.sources.attaching import Capture, Reached, as_rows, keys_given, keys_kept
from saereport.sources.devices import is_out_of_memory
from saereport.sources.hooks import parse_hook

T = TypeVar("T")

FUSED = "sdpa"

SAME_PLACE = {torch.float32: 1e-5}
"""How far a place may be from the Bridge's activations, relative to a token's norm.

In fewer bits only the same numbers are sure to be of the same place.
"""

PROBED = 16
"""Tokens of the sequence on which places of edits are found."""

SAME_ATTENTION = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 4e-2}
"""How far fused attention may move a token's activations, relative to their norm."""


class Wrapped(Protocol):
    """A `LanguageModel` with a Bridge, as far as it is looked at here."""

    model: Any
    device: torch.device
    bos_id: int | None

    @property
    def d_vocab(self) -> int:
        """Rows of the embedding."""

    def run(self, tokens: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        """Activations `[batch, pos, width]` by hook point."""

    def forward_pass(
        self, tokens: Tensor, *, logits: bool = False, cache: Any = None
    ) -> Tensor | None:
        """Run the model on tokens `[batch, pos]`."""


@dataclass(frozen=True)
class ModulePoint:
    """A module of a model, and what is read there.

    Attributes:
        module: The module.
        is_input: Whether its input is read, or its output.
        normalised: Whether that is normalised as the module does it, before its gains and biases.
    """

    module: nn.Module
    is_input: bool
    normalised: bool = False

    def read(self, value: Any) -> Any:
        """What is read of what the module took or gave."""
        if not self.normalised:
            return value
        x = value if value.dtype == torch.float64 else value.float()
        if "RMS" not in type(self.module).__name__:
            x = x - x.mean(-1, keepdim=True)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + _eps(self.module))


@dataclass(frozen=True)
class Way:
    """How the activations of a hook point are read from a model alone.

    Attributes:
        place: Where.
        attention: The attention to use, as Transformers names it; None to leave it as it is.
    """

    place: ModulePoint
    attention: str | None = None


@dataclass
class BareModel:
    """Reads what a Bridge's hook points carry from its model alone, where that is the same.

    Attributes:
        bridge: The model with the Bridge.
    """

    bridge: Wrapped
    _ways: dict[tuple[int, str], Way | None] = field(default_factory=dict)

    @property
    def model(self) -> nn.Module:
        """The Hugging Face model."""
        found: nn.Module = self.bridge.model.original_model
        return found

    def run(self, tokens: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        """Activations of a batch, as `LanguageModel.run` gives them but for rounding.

        Raises:
            SaereportError: As `LanguageModel.run`.
        """
        tokens = tokens.to(self.bridge.device)
        if not hooks or not tokens.numel():
            return self.bridge.run(tokens, hooks)
        alike: dict[str | None, dict[str, ModulePoint]] = {}
        with_bridge: list[str] = []
        for name, way in self.ways(hooks, tokens.shape[1]).items():
            if way is None:
                with_bridge.append(name)
            else:
                alike.setdefault(way.attention, {})[name] = way.place
        found = self.bridge.run(tokens, with_bridge) if with_bridge else {}
        for attention, places in alike.items():
            with self._alone(attention):
                found |= self._read(tokens, places)
        return {name: found[name] for name in hooks}

    def last_logits(
        self, tokens: Tensor, edits: Mapping[str, Callable[[Tensor], Tensor]], cache: Any
    ) -> Tensor:
        """Logits of the last position `[batch, 1, d_vocab]`, activations changed on the way.

        Args:
            tokens: Token ids `[batch, pos]`, behind those that the cache holds.
            edits: Hook point to what is done to the activation there.
            cache: Keys and values of the tokens before, to which theirs are added.

        Raises:
            LookupError: The model alone has no place for an edit, or no unembedding to be found;
                what else can go wrong in a model that is run otherwise than it was made.
        """
        places = {name: way.place for name, way in self.ways(list(edits), PROBED).items() if way}
        unembed = self.model.get_output_embeddings()  # type: ignore[operator]
        if len(places) < len(edits) or any(place.normalised for place in places.values()):
            raise LookupError("there is no place in the model alone")
        with self._alone(), contextlib.ExitStack() as attached:
            own = _own(unembed)
            cut = own.register_forward_pre_hook(lambda _m, args: (args[0][:, -1:], *args[1:]))
            attached.callback(cut.remove)
            for name, place in places.items():
                attached.callback(_editing(place, tokens, edits[name]))
            out = self.model(tokens, use_cache=True, **keys_given(self.model, cache.kept))
        cache.kept = keys_kept(out)
        logits: Tensor = out.logits
        return logits.to(self.bridge.device)

    def ways(self, hooks: Sequence[str], context: int) -> dict[str, Way | None]:
        """How each hook point is read in sequences of a length; None where the Bridge has to.

        It depends on the model, the hook point and the length alone, not on what else is read: the
        same activations come out whoever asks, and for whatever besides. It is found once for each.
        """
        missing = [name for name in hooks if (context, name) not in self._ways]
        if missing:
            tokens = self._probe(context)
            expected = self.bridge.run(tokens, missing)
            places = _unless_it_fails(lambda: self._places(expected, tokens)) or {}
            fused = _unless_it_fails(lambda: self._fused_fits(places, expected, tokens)) or set()
            for name in missing:
                place, attention = places.get(name), FUSED if name in fused else None
                self._ways[context, name] = None if place is None else Way(place, attention)
        return {name: self._ways[context, name] for name in hooks}

    def _probe(self, context: int) -> Tensor:
        """One sequence `[1, context]` like none in particular, the same each time."""
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(self.bridge.d_vocab, (1, context), generator=generator)
        if self.bridge.bos_id is not None:
            tokens[0, 0] = self.bridge.bos_id
        return tokens.to(self.bridge.device)

    def _fused_fits(
        self, places: Mapping[str, ModulePoint], expected: Mapping[str, Tensor], tokens: Tensor
    ) -> set[str]:
        """The hook points at which fused attention gives the same but for rounding."""
        if not places or not _can_fuse(self.model):
            return set()
        with self._alone(FUSED):
            found = self._read(tokens, places)
        return {
            name
            for name, value in found.items()
            if _off(value, expected[name], tokens) <= SAME_ATTENTION.get(expected[name].dtype, 0.0)
        }

    def _places(self, expected: Mapping[str, Tensor], tokens: Tensor) -> dict[str, ModulePoint]:
        """The place that has a hook point's numbers: the same bits, else the nearest, if any is."""
        nearest: dict[str, tuple[float, ModulePoint]] = {}

        def look(place: ModulePoint, value: Any) -> None:
            for name, wanted in expected.items():
                known = nearest[name][0] if name in nearest else float("inf")
                if known > 0 and (off := _off(value, wanted, tokens)) < known:
                    nearest[name] = (off, place)

        deepest = max(parse_hook(name).layer for name in expected)
        with self._alone(), contextlib.ExitStack() as attached:
            for module in _modules_until(self.model, deepest):
                for place in _readings(module):
                    attached.callback(_attach(place, partial(look, place)))
            with torch.no_grad():
                self.bridge.forward_pass(tokens)
        return {
            name: place
            for name, (off, place) in nearest.items()
            if off <= SAME_PLACE.get(expected[name].dtype, 0.0)
        }

    def _read(self, tokens: Tensor, places: Mapping[str, ModulePoint]) -> dict[str, Tensor]:
        """Activations `[batch, pos, width]` of a batch, the model's own modules in their places."""
        capture = Capture(places)
        with contextlib.ExitStack() as attached:
            for name, place in places.items():
                attached.callback(_attach(place, partial(capture.keep, name)))
            with torch.no_grad(), contextlib.suppress(Reached):
                self.bridge.forward_pass(tokens)
        rows = {name: as_rows(value, tokens.shape) for name, value in capture.got.items()}
        return {name: value.to(self.bridge.device) for name, value in rows.items()}

    @cached_property
    def _components(self) -> list[tuple[nn.Module, str, nn.Module, nn.Module]]:
        return list(_components(self.model))

    @contextlib.contextmanager
    def _alone(self, attention: str | None = None) -> Iterator[None]:
        """Put the model's own modules in their places while the block runs."""
        config: Any = getattr(self.model, "config", None)
        before = getattr(config, "_attn_implementation", None)
        try:
            for parent, name, _, own in self._components:
                parent._modules[name] = own
            if attention is not None:
                config._attn_implementation = attention
            yield
        finally:
            if attention is not None:
                config._attn_implementation = before
            for parent, name, component, _ in self._components:
                parent._modules[name] = component


def _unless_it_fails(work: Callable[[], T]) -> T | None:
    """What a trial gives; None where it fails, unless for want of memory."""
    try:
        return work()
    except Exception as error:
        # Whatever does not work on a model alone is the reason not to run it alone.
        if isinstance(error, MemoryError) or is_out_of_memory(error):
            raise
        return None


def _components(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module, nn.Module]]:
    """Each component in a model's own modules: where it is, what it is, and what it replaced."""
    for name, child in module._modules.items():
        if child is None:
            continue
        own = child
        while isinstance(inside := own._modules.get("_original_component"), nn.Module):
            own = inside
        if own is not child:
            yield module, name, child, own
        yield from _components(own)


def _attach(place: ModulePoint, visit: Callable[[Any], None]) -> Callable[[], None]:
    if not place.is_input:
        return place.module.register_forward_hook(lambda _m, _a, out: visit(place.read(out))).remove

    def before(_module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        given = [*args, *(kwargs.get(key) for key in ("hidden_states", "input"))]
        if tensors := [value for value in given if isinstance(value, Tensor)]:
            visit(place.read(tensors[0]))

    return place.module.register_forward_pre_hook(before, with_kwargs=True).remove


def _own(module: nn.Module) -> nn.Module:
    """What a component replaced; the module itself where it is none."""
    while isinstance(inside := module._modules.get("_original_component"), nn.Module):
        module = inside
    return module


def _editing(
    place: ModulePoint, tokens: Tensor, edit: Callable[[Tensor], Tensor]
) -> Callable[[], None]:
    """Change what stands at a place while the hook is there; returns what removes it."""

    def changed(whole: Tensor) -> Tensor:
        rows = as_rows(whole, tokens.shape)
        return edit(rows.to(tokens.device)).reshape(whole.shape).to(whole.device)

    if not place.is_input:

        def after(_module: nn.Module, _args: Any, out: Any) -> Any:
            if isinstance(out, Tensor):
                return changed(out)
            return (changed(out[0]), *out[1:])

        return place.module.register_forward_hook(after).remove

    def before(_module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        if args and isinstance(args[0], Tensor):
            return (changed(args[0]), *args[1:]), kwargs
        key = next(key for key in ("hidden_states", "input") if key in kwargs)
        return args, {**kwargs, key: changed(kwargs[key])}

    return place.module.register_forward_pre_hook(before, with_kwargs=True).remove


def _modules_until(model: nn.Module, layer: int) -> Iterator[nn.Module]:
    """Modules below a model, without those of deeper blocks."""
    for name, module in model.named_modules():
        numbers = [int(part) for part in name.split(".") if part.isdigit()]
        if name and not (numbers and numbers[0] > layer):
            yield module


def _readings(module: nn.Module) -> Iterator[ModulePoint]:
    yield ModulePoint(module, is_input=True)
    yield ModulePoint(module, is_input=False)
    if "Norm" in type(module).__name__ and _eps(module) is not None:
        yield ModulePoint(module, is_input=True, normalised=True)


def _eps(norm: nn.Module) -> Any:
    """What a norm adds to the variance; None where it does not say."""
    return getattr(norm, "eps", getattr(norm, "variance_epsilon", None))


def _off(value: Any, wanted: Tensor, tokens: Tensor) -> float:
    """How far what a module took or gave is from what is wanted, relative to a token's norm."""
    value = value[0] if isinstance(value, tuple) and value else value
    if not isinstance(value, Tensor) or value.dtype != wanted.dtype:
        return float("inf")
    if value.numel() != wanted.numel() or as_rows(value, tokens.shape).shape != wanted.shape:
        return float("inf")
    value = as_rows(value, tokens.shape).to(wanted.device)
    if torch.equal(value, wanted):
        return 0.0
    norms = wanted.float().norm(dim=-1).clamp(min=1e-12)
    return float(((value.float() - wanted.float()).norm(dim=-1) / norms).max())


def _can_fuse(model: nn.Module) -> bool:
    """Whether a model's class has fused attention, and nothing that it would leave out."""
    config: Any = getattr(model, "config", None)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    # There is no place for a cap on the logits of attention: it is left out without a word.
    caps = ("attn_logit_softcapping", "attn_logit_soft_cap")
    return bool(getattr(model, "_supports_sdpa", False)) and not any(
        getattr(text, cap, None) for cap in caps
    )
