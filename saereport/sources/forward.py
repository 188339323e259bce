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
from typing import Any, Literal, cast

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from saereport.sources.attaching import as_rows, attach, first_tensor
from saereport.sources.models import KeyValues, LanguageModel
from saereport.util.errors import SaereportError

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
    cache: KeyValues | None = None,
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
        cache: Keys and values of the tokens before these, to which theirs are added; then the pass
            runs to the end.

    Raises:
        SaereportError: The model lacks a hook point, or it never fired.
    """
    asked = _Asked(edits or {}, reads, "last" if cache is not None and not logits else logits)
    # A second pass would add to the keys and values again.
    found = None if cache is not None else _pass(model, tokens, asked, copies=False)
    # Falcon adds its attention in place to what its MLP put out, which may have been read before.
    return found or cast(Forward, _pass(model, tokens, asked, copies=True, cache=cache))


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is asked of a pass; the fields are those of `forward`."""

    edits: Mapping[str, Edit]
    reads: Sequence[str]
    logits: bool | Literal["last"]


def _pass(
    model: LanguageModel,
    tokens: Tensor,
    asked: _Asked,
    *,
    copies: bool,
    cache: KeyValues | None = None,
) -> Forward | None:
    """`forward`, handing on copies of what is read if asked; None where it needs to."""
    edits, reads, logits = asked.edits, asked.reads, asked.logits
    names = dict.fromkeys([*edits, *reads])
    pending = set(names)
    got: dict[str, Tensor] = {}
    versions: dict[str, int] = {}

    def visit(name: str, value: Any) -> Any:
        whole = first_tensor(value)
        flat = whole if name.endswith("hook_pattern") else as_rows(whole, tokens.shape)
        # Of a model on several devices, what goes on is what was read: derivatives pass through it.
        there, flat = flat, flat.to(model.device)
        changed = edits[name](flat) if name in edits else flat
        got[name], versions[name] = changed, changed._version
        pending.discard(name)
        if not pending and not logits:
            raise _Done
        if changed is there and not copies:
            return None
        # An edit may give one tensor many times.
        changed = changed.reshape(whole.shape).to(whole.device).clone()
        return changed if isinstance(value, Tensor) else (changed, *value[1:])

    result: Tensor | None = None
    with contextlib.ExitStack() as hooks:
        for name in names:
            found = model.find_module(name)
            if found is None:
                raise SaereportError(f"{model.name} ({model.wrapper}) has no '{name}'.")
            hooks.callback(attach(name, *found, visit))
        if logits == "last":
            unembed = model.model.unembed
            cut = unembed.register_forward_pre_hook(lambda _m, args: (args[0][:, -1:], *args[1:]))
            hooks.callback(cut.remove)
        with sdpa_kernel(SDPBackend.MATH), contextlib.suppress(_Done):
            result = model.forward_pass(tokens.to(model.device), logits=bool(logits), cache=cache)
    silent = [name for name in names if name not in got]
    if silent:
        raise SaereportError(
            f"The hook point '{silent[0]}' never fired in {model.name} ({model.wrapper}).",
            "This model may compute that layer in another way than the name says.",
        )
    if not copies and any(got[name]._version != version for name, version in versions.items()):
        return None
    return Forward({name: got[name] for name in reads}, result)
