"""One forward pass with activations read and replaced on the way, fit for automatic derivatives.

`LanguageModel.run` reads text in bulk and never needs a derivative. Circuits need more: an SAE's
reconstruction in place of an activation, several places changed in one pass, logits at the end,
and derivatives through all of it. `forward` does that for both wrappers alike, by plain torch
hooks, and ends the pass after the deepest place that is read if no logits are asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from saereport.errors import SaereportError
from saereport.sources.models import LanguageModel

Edit = Callable[[Tensor], Tensor]
"""Takes the activation at a hook point, gives what goes on from there; heads flat."""


class _Done(Exception):
    """Raised inside the last hook that was asked for, to end the forward pass there."""


@dataclass(frozen=True, eq=False)
class Forward:
    """What a pass gave.

    Attributes:
        acts: For each name that was read, the activation `[batch, pos, width]` after any edit of
            it, heads flat; attention patterns are `[batch, n_heads, pos, pos]`.
        logits: `[batch, pos, d_vocab]`, or `[batch, 1, d_vocab]` of the last position, if asked
            for.
    """

    acts: dict[str, Tensor]
    logits: Tensor | None


def forward(
    model: LanguageModel,
    tokens: Tensor,
    *,
    edits: Mapping[str, Edit] | None = None,
    reads: Sequence[str] = (),
    logits: bool | Literal["last"] = False,
) -> Forward:
    """Run the model once, changing activations on the way.

    Derivatives are recorded when the caller has them switched on; attention runs in the plain
    formulation, the only one that every kind of derivative passes through. Edits run in the order
    in which the pass reaches their places, so an edit may use what an earlier one saw.

    Args:
        model: The language model.
        tokens: Token ids `[batch, pos]`.
        edits: Hook point to what is done to the activation there.
        reads: Hook points to read: those of SAEs, and `blocks.L.attn.hook_pattern`.
        logits: Run to the end and give the logits; `last` for those of the last position alone,
            which spares the unembedding of the others.

    Raises:
        SaereportError: The model lacks a hook point, or it never fired.
    """
    edits = edits or {}
    names = dict.fromkeys([*edits, *reads])
    pending = set(names)
    got: dict[str, Tensor] = {}

    def visit(name: str, value: Any) -> Any:
        whole = value if isinstance(value, Tensor) else value[0]
        flat = whole.flatten(2) if name.endswith("hook_z") and whole.ndim == 4 else whole
        changed = edits[name](flat) if name in edits else flat
        got[name] = changed
        pending.discard(name)
        if not pending and not logits:
            raise _Done
        if changed is flat:
            return None
        changed = changed.reshape(whole.shape)
        return changed if isinstance(value, Tensor) else (changed, *value[1:])

    result: Tensor | None = None
    with contextlib.ExitStack() as hooks:
        for name in names:
            found = model.find_module(name)
            if found is None:
                raise SaereportError(f"{model.name} ({model.wrapper}) has no '{name}'.")
            hooks.callback(_hook(name, *found, visit))
        if logits == "last":
            unembed = model.model.unembed
            cut = unembed.register_forward_pre_hook(lambda _m, args: (args[0][:, -1:], *args[1:]))
            hooks.callback(cut.remove)
        with sdpa_kernel(SDPBackend.MATH), contextlib.suppress(_Done):
            result = model.forward_pass(tokens.to(model.device), logits=bool(logits))
    silent = [name for name in names if name not in got]
    if silent:
        raise SaereportError(
            f"The hook point '{silent[0]}' never fired in {model.name} ({model.wrapper}).",
            "This model may compute that layer in another way than the name says.",
        )
    return Forward({name: got[name] for name in reads}, result)


def _hook(
    name: str, module: nn.Module, is_input: bool, visit: Callable[[str, Any], Any]
) -> Callable[[], None]:
    """Have `visit` called with the activations of a module; gives what ends that."""
    from transformer_lens.hook_points import HookPoint

    if is_input:
        return module.register_forward_pre_hook(lambda _m, args: visit(name, args)).remove
    if not (name.endswith("hook_normalized") and isinstance(module, HookPoint)):
        return module.register_forward_hook(lambda _m, _a, out: visit(name, out)).remove
    # A Bridge's norm may compute this value for its hooks alone, on the side, and does so without
    # derivatives unless the hook point itself knows of a hook.
    module.add_hook(lambda value, hook: visit(name, value))
    added = module.fwd_hooks[-1]

    def remove() -> None:
        added.hook.remove()
        module.fwd_hooks.remove(added)

    return remove
