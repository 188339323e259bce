"""Hook points: the names of the places in a model that SAEs read and write.

A name is kept as the SAE spells it; `HookPoint` adds what the rest of the program needs to know
about it, its layer and what kind of activation lives there. No torch in this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from saereport.errors import SaereportError, did_you_mean

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

# SAEs trained on Hugging Face modules directly name the module whose output they read.
_HUGGING_FACE = (
    (r"(?:model\.layers|transformer\.h|gpt_neox\.layers)\.(\d+)", "hook_resid_post"),
    (r"(?:model\.layers|transformer\.h|gpt_neox\.layers)\.(\d+)\.mlp", "hook_mlp_out"),
    (r"model\.layers\.(\d+)\.self_attn", "hook_attn_out"),
    (r"transformer\.h\.(\d+)\.attn", "hook_attn_out"),
    (r"gpt_neox\.layers\.(\d+)\.attention", "hook_attn_out"),
)

_BLOCK_NAME = re.compile(r"blocks\.(\d+)\.(.+)")


@dataclass(frozen=True)
class HookPoint:
    """A place in a model.

    Attributes:
        name: The name, in TransformerLens's spelling.
        layer: Index of the transformer block that it lies in.
        kind: What kind of activation lives there.
    """

    name: str
    layer: int
    kind: Kind

    @property
    def site(self) -> str:
        """The name without its block, such as `hook_resid_pre`."""
        match = _BLOCK_NAME.fullmatch(self.name)
        return match[2] if match else self.name

    @property
    def depth(self) -> tuple[int, int]:
        """Sorts hook points in the order in which a forward pass reaches them."""
        return (self.layer, _ORDER.get(self.site, -1))


def parse_hook(name: str) -> HookPoint:
    """The hook point that `name` means.

    Args:
        name: `blocks.L.hook_resid_post` and the like, `hook_embed`, or the name of a Hugging Face
            module such as `model.layers.12` (read as the TransformerLens hook that carries the
            same activations).

    Raises:
        SaereportError: The name is not one of a hook point that SAEs are read at.
    """
    if name == "hook_embed":
        return HookPoint(name, 0, "resid")
    for pattern, site in _HUGGING_FACE:
        if match := re.fullmatch(pattern, name):
            return parse_hook(f"blocks.{match[1]}.{site}")
    match = _BLOCK_NAME.fullmatch(name)
    if match and (kind := _IN_BLOCK.get(match[2])):
        return HookPoint(name, int(match[1]), kind)
    layer = match[1] if match else "0"
    known = [f"blocks.{layer}.{site}" for site in _IN_BLOCK]
    raise SaereportError(
        f"'{name}' is not a hook point that SAEs are read at here.",
        did_you_mean(name, known)
        or "Known are the residual stream, MLP input and output, attention output and hook_z.",
    )
