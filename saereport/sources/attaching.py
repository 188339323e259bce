"""Finding modules of a wrapped model, and having a function called with their activations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn

Visit = Callable[[str, Any], Any]
"""Takes a name and what a module took or gave; what it gives, unless None, goes on instead."""

# Hook points of a Bridge that are only computed where they know of a hook themselves.
_ON_DEMAND = ("hook_normalized", "hook_attn_out", "hook_mlp_out")


def attach(name: str, module: nn.Module, is_input: bool, visit: Visit) -> Callable[[], None]:
    """Have `visit` called with the activations of a module; gives what ends that."""
    from transformer_lens.hook_points import HookPoint

    if is_input:
        return module.register_forward_pre_hook(lambda _m, args: visit(name, args)).remove
    # A Bridge's norm may compute its value on the side, for its hooks alone and then without
    # derivatives; a block that scales what it adds (Granite's) computes it for its hooks alone.
    on_demand = isinstance(module, HookPoint) and any(
        name.endswith(end) and (end == "hook_normalized" or str(module.name).endswith(f".{end}"))
        for end in _ON_DEMAND
    )
    if not on_demand:
        return module.register_forward_hook(lambda _m, _a, out: visit(name, out)).remove
    point: Any = module
    point.add_hook(lambda value, hook: visit(name, value))
    added = point.fwd_hooks[-1]

    def remove() -> None:
        added.hook.remove()
        point.fwd_hooks.remove(added)

    return remove


def keys_given(model: nn.Module, kept: Any) -> dict[str, Any]:
    """Kept keys and values as an argument of a Hugging Face model, whatever its release calls it.

    Args:
        model: The Hugging Face model.
        kept: What an earlier pass kept; None before the first one.
    """
    if kept is None:
        return {}
    takes = inspect.signature(model.forward).parameters
    return {"cache" if "cache" in takes else "past_key_values": kept}


def keys_kept(out: Any) -> Any:
    """The keys and values in what a Hugging Face model gave, whatever its release calls them.

    The older name is asked for last: of its use Transformers warns.
    """
    return out.cache if getattr(out, "cache", None) is not None else out.past_key_values


class Reached(Exception):
    """Raised inside the last hook that was asked for, to end the forward pass there."""


class Capture:
    """Collects the activations of hooked modules and ends the forward pass after the last one."""

    def __init__(self, names: Iterable[str]) -> None:
        self.wanted = set(names)
        self.got: dict[str, Tensor] = {}

    def keep(self, name: str, value: Any) -> None:
        """Take what a module took or gave, the first time.

        Raises:
            Reached: It was the last.
        """
        if name in self.got:
            return
        self.got[name] = first_tensor(value).detach()
        if len(self.got) == len(self.wanted):
            raise Reached
        # What goes on from here may be changed in place (Falcon adds its attention so).
        self.got[name] = self.got[name].clone()


def first_tensor(value: Any) -> Tensor:
    """The activation in what a module took or gave, which may be a tuple that begins with it."""
    found: Tensor = value if isinstance(value, Tensor) else value[0]
    return found


def as_rows(value: Tensor, shape: Sequence[int]) -> Tensor:
    """An activation as `[batch, pos, width]`: heads flat, and rows where a model runs them as one.

    OPT's MLP computes on `[batch * pos, width]`.
    """
    if value.ndim == 4:
        return value.flatten(2)
    return value.reshape(*shape, -1) if value.ndim == 2 else value


def named_module(model: nn.Module, name: str) -> nn.Module | None:
    """A module of a Hugging Face model by its own name, as the model calls it.

    A Bridge puts its components in the places of the modules that they wrap, so what is found may
    be one of them; what it gives is what the module at that name gives.

    Args:
        model: The Hugging Face model, wrapped or not.
        name: As in `named_modules`, from the model or from its base model (`layers.3.mlp`).

    Returns:
        None where there is no such module.
    """
    base = getattr(model, "base_model", model)
    for root in (model, base) if isinstance(base, nn.Module) else (model,):
        found: nn.Module | None = root
        for part in name.split("."):
            found = None if found is None else _unwrapped(found)._modules.get(part)
        if found is not None:
            return found
    return None


def names_of_modules(model: nn.Module, prefix: str = "") -> Iterator[str]:
    """The names of a Hugging Face model's modules, wrapped or not, the shallow ones first."""
    for name, child in _unwrapped(model)._modules.items():
        if child is not None:
            yield prefix + name
            yield from names_of_modules(child, f"{prefix}{name}.")


def _unwrapped(module: nn.Module) -> nn.Module:
    inside = getattr(module, "original_component", None)
    return _unwrapped(inside) if isinstance(inside, nn.Module) and inside is not module else module
