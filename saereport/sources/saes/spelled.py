"""What is spelled in the id of an SAE or the name of its folder: layers and widths."""

from __future__ import annotations

import re

_LAYER = re.compile(r"(?<![a-z])(?:blocks|layers?)[._/-]?(\d+)(?!\d)")
_SHORT_LAYER = re.compile(r"(?<![a-z0-9])l(\d+)[rma]?(?![a-z0-9])")
_L0 = re.compile(r"(?<![a-z0-9])l0[_=-]\d+")
_WIDTH = re.compile(r"(?<![a-z])width[_-](?:2pow(\d+)|(\d+)(k|m)?)(?![a-z0-9])")


def layers_in(text: str) -> set[int]:
    """The layers that an id or a folder names."""
    folded = text.lower()
    found = _LAYER.findall(folded) or _SHORT_LAYER.findall(_L0.sub("", folded))
    return {int(number[:9]) for number in found}


def widths_in(text: str) -> set[int]:
    """The widths that an id or a folder names, `width_16k` both as 16,000 and as 16,384."""
    found: set[int] = set()
    for power, number, unit in _WIDTH.findall(text.lower()):
        if power:
            found.add(2 ** min(int(power), 40))
        else:
            steps = {"k": 1, "m": 2}.get(unit, 0)
            found |= {int(number) * 1000**steps, int(number) * 1024**steps}
    return found
