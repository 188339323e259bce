"""Hook points: the names of the places in a model that SAEs read and write.

A name is kept as the SAE spells it; `HookPoint` adds what the rest of the program needs to know
about it, its layer and what kind of activation lives there. No torch in this module.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from saereport.util.errors import SaereportError, did_you_mean

Kind = Literal["resid", "mlp_in_normalized", "mlp_in", "mlp_out", "attn_out", "z"]
"""What lives at a hook point.

- `resid`: the residual stream, or what a sublayer is given of it before its norm.
- `mlp_in_normalized`: the norm's output *before* the norm's weight (`ln2.hook_normalized`).
- `mlp_in`: what the MLP reads, after the norm and its weight (`mlp.hook_in`).
- `mlp_out`, `attn_out`: what a sublayer adds to the residual stream.
- `z`: the heads' outputs before the output matrix, flattened to `n_heads * d_head`.
"""

_IN_BLOCK: dict[str, Kind] = {
    "hook_resid_pre": "resid",
    "hook_resid_mid": "resid",
    "hook_resid_post": "resid",
    "hook_in": "resid",
    "hook_out": "resid",
    "hook_mlp_in": "resid",
    "ln2.hook_in": "resid",
    "ln2.hook_normalized": "mlp_in_normalized",
    "ln2.hook_out": "mlp_in",
    "mlp.hook_in": "mlp_in",
    "hook_mlp_out": "mlp_out",
    "mlp.hook_out": "mlp_out",
    "hook_attn_out": "attn_out",
    "attn.hook_out": "attn_out",
    "attn.hook_z": "z",
    "attn.o.hook_in": "z",
}

# Where in a block a hook lies, in the order in which a forward pass reaches it.
_ORDER = {
    name: rank
    for rank, names in enumerate(
        (
            ("hook_resid_pre", "hook_in"),
            ("attn.hook_z", "attn.o.hook_in"),
            ("hook_attn_out", "attn.hook_out"),
            ("hook_resid_mid", "ln2.hook_in", "hook_mlp_in"),
            ("ln2.hook_normalized",),
            ("ln2.hook_out", "mlp.hook_in"),
            ("hook_mlp_out", "mlp.hook_out"),
            ("hook_resid_post", "hook_out"),
        )
    )
    for name in names
}

# The modules of a Hugging Face block that SAEs are trained on, by the ends of their names, and the
# TransformerLens hook that means the same tensor: what the sublayer itself puts out.
_MODULES = {
    "mlp.hook_out": (
        ("mlp", "feed_forward", "ffn", "moe", "block_sparse_moe"),
        ("down_proj", "c_proj", "fc_out", "fc2", "dense_4h_to_h", "w2"),
    ),
    "attn.hook_out": (
        ("self_attn", "attn", "attention", "self_attention", "attn.attention"),
        ("o_proj", "out_proj", "c_proj", "dense"),
    ),
}

_HUGGING_FACE = re.compile(r"(?:\w+\.)*?(?:layers|h|blocks)\.(\d+)(?:\.([\w.]+))?")

_BLOCK_NAME = re.compile(r"blocks\.(\d+)\.(.+)")


@dataclass(frozen=True)
class HookPoint:
    """A place in a model.

    Attributes:
        name: The name as the SAE spells it: a hook of TransformerLens, or a module of the Hugging
            Face model, whose output is read (of a tuple the first element).
        layer: Index of the transformer block that it lies in.
        kind: What kind of activation lives there. `LanguageModel.locate` corrects it for models
            in which a module puts out another kind than its name says.
        site: The name without its block, in TransformerLens's spelling, such as `hook_resid_pre`.
            A Hugging Face module has the site of the hook that carries the same tensor in a model
            that has one: `model.layers.3.mlp` has `mlp.hook_out`, never `hook_mlp_out`, which
            lies behind the norm that some models have after the MLP.
    """

    name: str
    layer: int
    kind: Kind
    site: str

    @property
    def is_module(self) -> bool:
        """Whether the name is that of a Hugging Face module, not of a TransformerLens hook."""
        return is_module_name(self.name)

    @property
    def depth(self) -> tuple[int, int]:
        """Sorts hook points in the order in which a forward pass reaches them."""
        return (self.layer, _ORDER.get(self.site, -1))


def is_module_name(name: str) -> bool:
    """Whether a name is that of a Hugging Face block or of a module in one."""
    return not name.startswith("blocks.") and _HUGGING_FACE.fullmatch(name) is not None


def parse_hook(name: str) -> HookPoint:
    """The hook point that `name` means.

    Args:
        name: `blocks.L.hook_resid_post` and the like, `hook_embed`, or the name of a Hugging Face
            module: a block such as `model.layers.12`, its MLP or its attention, or the matrix at
            the end of one of these.

    Raises:
        SaereportError: The name is not one of a hook point that SAEs are read at.
    """
    if name == "hook_embed":
        return HookPoint(name, 0, "resid", name)
    match = _BLOCK_NAME.fullmatch(name)
    if match and (kind := _IN_BLOCK.get(match[2])):
        return HookPoint(name, int(match[1]), kind, match[2])
    if (module := parse_module(name)) is not None:
        return module
    layer = match[1] if match else "0"
    known = [f"blocks.{layer}.{site}" for site in _IN_BLOCK]
    raise SaereportError(
        f"'{name}' is not a hook point that SAEs are read at here.",
        did_you_mean(name, known)
        or "Known are the residual stream, MLP input and output, attention output and hook_z, and "
        "a Hugging Face model's blocks, MLPs and attentions.",
    )


def parse_module(name: str) -> HookPoint | None:
    """The hook point that the name of a Hugging Face module means; None for any other name."""
    match = _HUGGING_FACE.fullmatch(name)
    site = _module_site(match[2] or "") if match and is_module_name(name) else None
    return HookPoint(name, int(match[1]), _IN_BLOCK[site], site) if match and site else None


def _module_site(part: str) -> str | None:
    """The site of a module inside a Hugging Face block; of the block itself for no part."""
    if not part:
        return "hook_resid_post"
    for site, (sublayers, matrices) in _MODULES.items():
        inside, _, last = part.rpartition(".")
        if part in sublayers or (inside in sublayers and last in matrices):
            return site
    return "mlp.hook_out" if part == "fc2" else None  # OPT's MLP is no module of its own


def no_such_hook(
    point: HookPoint, model: str, n_layers: int, names: Sequence[str]
) -> SaereportError:
    """The error that says that a model lacks a hook point, and what it may have meant.

    Args:
        point: What was asked for.
        model: The model's name and wrapper.
        n_layers: Its number of blocks.
        names: What it has of this sort, hooks or modules.
    """
    if point.layer >= n_layers:
        return SaereportError(
            f"{model} has no hook point '{point.name}': it has {n_layers} layers, numbered from 0."
        )
    if not point.is_module:
        hint = did_you_mean(point.name, names)
        return SaereportError(f"{model} has no hook point '{point.name}'.", hint)
    if not names:
        return SaereportError(
            f"'{point.name}' is a module of a Hugging Face model, and {model} has none.",
            "Load it with the wrapper TransformerBridge.",
        )
    modules = (parse_module(name) for name in names)
    same = [m.name for m in modules if m and (m.layer, m.site) == (point.layer, point.site)]
    hint = f"Did you mean '{same[0]}'?" if same else did_you_mean(point.name, names)
    return SaereportError(f"{model} has no module '{point.name}'.", hint)
