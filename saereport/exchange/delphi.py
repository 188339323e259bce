"""Delphi's explanations: a folder with one file a latent, whose name says which.

`{module}_latent{index}.txt` holds the label as a JSON string. A module is the place in the model;
a folder has the labels of one or of several.
"""

from __future__ import annotations

import re


def file_name(module: str, latent: int) -> str:
    """The file of one latent's label."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '--', module)[:120]}_latent{latent}.txt"
