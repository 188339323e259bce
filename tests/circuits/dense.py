"""Gradients between places of a model by their plain definition: dense, slow, and by other means.

Nothing here uses `saereport.sources.forward` or anything of `saereport.circuits`: the passes are
TransformerLens's own, encoding and decoding are SAELens's own, and `torch.func.jacrev`
differentiates the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Where = tuple[Tensor, Tensor]
"""Positions and latents."""


def run(model: Any, tokens: Tensor, edits: dict[str, Any], read: str | None) -> Tensor:
    """One pass of the whole model; activations `[pos, width]` at `read`, or all logits."""
    seen: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[..., Tensor | None]:
        def visit(value: Tensor, hook: Any) -> Tensor | None:
            flat = value.flatten(2)
            changed = edits[name](flat[0])[None] if name in edits else flat
            seen[name] = changed[0]
            return changed.reshape(value.shape) if name in edits else None

        return visit

    names = list(dict.fromkeys([*edits, *([read] if read else [])]))
    with sdpa_kernel(SDPBackend.MATH):
        logits = model.model.run_with_hooks(
            tokens[None], fwd_hooks=[(name, hook(name)) for name in names]
        )
    return logits[0] if read is None else seen[read]


def reconstruct(sae: Any, a: Tensor, f: Tensor) -> Tensor:
    """SAELens's decoder on activations `f`, with the normalisation of `a`, and the skip."""
    sae.loaded.encode(a)  # sets what a normalising decoder undoes
    out = sae.loaded.decode(f)
    return out + a @ sae.loaded.W_skip.T if hasattr(sae.loaded, "W_skip") else out


def dense_f(sae: Any, a: Tensor) -> Tensor:
    f = sae.loaded.encode(a)
    return f.to_dense() if f.is_sparse else f


def true_f(model: Any, sae: Any, tokens: Tensor) -> Tensor:
    with torch.no_grad():
        return dense_f(sae, run(model, tokens, {}, sae.hook_in.name))


def active(f: Tensor, counted: Tensor) -> Where:
    where = [
        (p, i)
        for p in range(f.shape[0])
        if counted[p]
        for i in range(f.shape[1])
        if float(f[p, i]) > 0
    ]
    return torch.tensor([p for p, _ in where]), torch.tensor([i for _, i in where])


def from_latents(
    model: Any, early: Any, late: Any, tokens: Tensor, counted: Tensor, inputs: Where
) -> Callable[[Tensor], Tensor]:
    """From the early active latents' activations to all late ones `[pos, d_sae]`, or logits."""
    write = early.write_point.name
    with torch.no_grad():
        a = run(model, tokens, {}, early.hook_in.name)
        f = dense_f(early, a)

    def function(values: Tensor) -> Tensor:
        out = reconstruct(early, a, f.index_put(inputs, values))
        edits = {write: lambda true: torch.where(counted[:, None], out, true)}
        found = run(model, tokens, edits, late.hook_in.name if late else None)
        return dense_f(late, found) if late else found

    return function


def latents_jacobian(
    model: Any, early: Any, late: Any, tokens: Tensor, counted: Tensor
) -> tuple[Where, Where, Tensor, Tensor]:
    """Inputs, outputs, the outputs' activations, and `[n_out, n_in]`."""
    f = true_f(model, early, tokens)
    inputs = active(f, counted)
    function = from_latents(model, early, late, tokens, counted, inputs)
    f_late = function(f[inputs])
    outputs = active(f_late, counted)
    jacobian = torch.func.jacrev(lambda values: function(values)[outputs])(f[inputs])
    return inputs, outputs, f_late[outputs], jacobian


def logits_jacobian(
    model: Any, early: Any, tokens: Tensor, counted: Tensor, targets: list[int]
) -> Tensor:
    f = true_f(model, early, tokens)
    inputs = active(f, counted)
    function = from_latents(model, early, None, tokens, counted, inputs)
    return torch.func.jacrev(lambda values: function(values)[-1, targets])(f[inputs])


def from_scales(
    model: Any, late: Any, tokens: Tensor, counted: Tensor
) -> Callable[[Tensor], Tensor]:
    """From scales on the counted embeddings to all late latents `[pos, d_sae]`."""

    def function(scales: Tensor) -> Tensor:
        every = torch.ones(len(tokens), dtype=scales.dtype).index_put(
            (counted.nonzero()[:, 0],), scales
        )
        edits = {"blocks.0.hook_resid_pre": lambda true: true * every[:, None]}
        return dense_f(late, run(model, tokens, edits, late.hook_in.name))

    return function


def tokens_jacobian(model: Any, late: Any, tokens: Tensor, counted: Tensor) -> tuple[Where, Tensor]:
    outputs = active(true_f(model, late, tokens), counted)
    function = from_scales(model, late, tokens, counted)
    ones = torch.ones(int(counted.sum()), dtype=model.dtype)
    return outputs, torch.func.jacrev(lambda scales: function(scales)[outputs])(ones)
