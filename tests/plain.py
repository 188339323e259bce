"""What a language model does, measured on Transformers' own modules: nothing of this project."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

LARGE = 1e5
"""Vectors that are written are this much larger than what is there, so that it is as if alone."""


class Plain:
    """A Hugging Face model, with its sublayers found by their names.

    Args:
        folder: Where it is saved.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM

        self.model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        config = self.model.config
        lists = [m for m in self.model.modules() if isinstance(m, nn.ModuleList)]
        self.layers = next(m for m in lists if len(m) == config.num_hidden_layers)
        self.head = self.model.get_output_embeddings()

    def attention_out(self, layer: int) -> nn.Module:
        """The matrix after the heads; its input is `z`, its output what attention puts out."""
        names = ("o_proj", "out_proj", "dense", "c_proj")
        found = [
            module
            for name, module in self.layers[layer].named_modules()
            if "attn" in name or "attention" in name
            if name.split(".")[-1] in names
        ]
        return found[-1]

    def mlp(self, layer: int) -> nn.Module:
        """The MLP, or the first matrix of one that is no module of its own: what it reads."""
        block = self.layers[layer]
        names = ("mlp", "block_sparse_moe", "feed_forward", "ffn", "fc1")
        return next(getattr(block, name) for name in names if hasattr(block, name))

    def mlp_out(self, layer: int) -> nn.Module:
        """Where the MLP's output comes out, before anything is added to it."""
        block, mlp = self.layers[layer], self.mlp(layer)
        if hasattr(block, "fc2"):
            return block.fc2
        for name in ("dense_4h_to_h", "down_proj"):
            # BLOOM's and MPT's MLPs add the residual stream themselves.
            if hasattr(mlp, name) and type(mlp).__name__ in ("BloomMLP", "MptMLP"):
                return getattr(mlp, name)
        return mlp

    def sublayers(self) -> list[nn.Module]:
        """Where all sublayers' outputs come out."""
        numbers = range(len(self.layers))
        return [f(i) for i in numbers for f in (self.attention_out, self.mlp_out)]

    def run(
        self,
        tokens: Tensor,
        *,
        inputs: dict[nn.Module, Tensor] | None = None,
        outputs: dict[nn.Module, Tensor] | None = None,
        zero: list[nn.Module] | None = None,
        read: tuple[nn.Module, str],
    ) -> Tensor:
        """One pass with inputs and outputs of modules replaced; gives a module's input or output.

        Args:
            tokens: int64[batch, pos].
            inputs: Put in place of what modules read, broadcast over positions.
            outputs: Put in place of what modules give.
            zero: Modules whose output is held at zero.
            read: A module, and whether its `input` or `output` is wanted.
        """
        replaced = {**dict.fromkeys(zero or [], torch.zeros(1)), **(outputs or {})}
        got: list[Tensor] = []
        with contextlib.ExitStack() as hooks, torch.no_grad():
            for module, value in (inputs or {}).items():
                hook = module.register_forward_pre_hook(_replaces_input(value), with_kwargs=True)
                hooks.callback(hook.remove)
            for module, value in replaced.items():
                hooks.callback(module.register_forward_hook(_replaces_output(value)).remove)
            if read[1] == "input":

                def keep(_module: Any, args: Any, kwargs: Any) -> None:
                    got.append(args[0] if args else kwargs["hidden_states"])

                hooks.callback(read[0].register_forward_pre_hook(keep, with_kwargs=True).remove)
            else:
                hook = read[0].register_forward_hook(lambda _m, _a, out: got.append(_first(out)))
                hooks.callback(hook.remove)
            self.model(tokens, use_cache=False)
        batch, pos = tokens.shape
        return got[0].reshape(batch, pos, -1)

    def moved(
        self,
        rows: Tensor,
        at: tuple[nn.Module, str],
        read: tuple[nn.Module, str],
        zero: list[nn.Module],
        empty: nn.Module | None = None,
        length: int = 3,
    ) -> Tensor:
        """What rows make of what is read, [n, width], up to a factor: mean over positions.

        Written large and with both signs; half the difference, so that biases drop out.

        Args:
            rows: Vectors, [n, width].
            at: A module, and whether they take the place of its `input` or `output`.
            read: A module, and which end of it is looked at.
            zero: Modules whose output is held at zero, save the first of `at`.
            empty: A block before which the residual stream is made empty.
            length: Tokens of the sequences.
        """
        both = torch.cat([rows, -rows]).float() * LARGE
        tokens = torch.arange(length).expand(len(both), -1) + 7
        inputs = {} if empty is None else {empty: torch.zeros(1, 1, 1)}
        outputs: dict[nn.Module, Tensor] = {}
        (inputs if at[1] == "input" else outputs)[at[0]] = both[:, None]
        held = [module for module in zero if module is not at[0]]
        out = self.run(tokens, inputs=inputs, outputs=outputs, read=read, zero=held)
        mean = out.mean(dim=1)
        return (mean[: len(rows)] - mean[len(rows) :]) / 2


def _first(out: Any) -> Tensor:
    return out[0] if isinstance(out, tuple) else out


def _shaped(value: Tensor, like: Tensor) -> Tensor:
    value = value.to(like.dtype)
    if (
        like.ndim == 2 and value.ndim == 3 and value.numel() > 1
    ):  # OPT's MLP has batch and position in one
        value = value.expand(-1, len(like) // len(value), -1).reshape(like.shape)
    return (value if value.numel() > 1 else value.reshape(())).expand(like.shape).clone()


def _replaces_input(value: Tensor) -> Any:
    def hook(_module: Any, args: Any, kwargs: Any) -> Any:
        if args:
            return (_shaped(value, args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": _shaped(value, kwargs["hidden_states"])}

    return hook


def _replaces_output(value: Tensor) -> Any:
    def hook(_module: Any, _args: Any, out: Any) -> Any:
        new = _shaped(value, _first(out))
        return (new, *out[1:]) if isinstance(out, tuple) else new

    return hook
