"""The file of densities that comes with an SAE, as it should be and as it should not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from saereport.sources.saes.sparsity import NEVER, read_sparsity, sparsity_file
from saereport.util.errors import SaereportError

GOOD = torch.tensor([-1.0, -3.5, -10.0, -float("inf"), 0.0, -12.0])


@pytest.mark.parametrize(
    ("file", "tensor"),
    [
        ("sparsity.safetensors", "sparsity"),
        ("log_feature_sparsity.safetensors", "log_feature_sparsity"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_what_saelens_writes_is_read(
    tmp_path: Path, file: str, tensor: str, dtype: torch.dtype
) -> None:
    save_file({tensor: GOOD.to(dtype)}, tmp_path / file)
    found = sparsity_file(tmp_path)
    assert found == tmp_path / file
    values = read_sparsity(found, 6)
    assert values.dtype == np.float32
    assert values.tolist() == [-1.0, -3.5, NEVER, NEVER, 0.0, NEVER]


def test_without_one_there_is_none(tmp_path: Path) -> None:
    assert sparsity_file(tmp_path) is None
    assert sparsity_file(None, "no such release", "x") is None


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"other": GOOD}, "holds no tensor 'sparsity' but other"),
        ({}, "holds no tensor 'sparsity' but nothing"),
        ({"sparsity": GOOD[:5]}, "is of 5 latents, and the SAE has 6"),
        ({"sparsity": GOOD[None]}, "is of 1x6 latents"),
        ({"sparsity": GOOD.exp() * 3}, "which is no log10 of a share"),
        ({"sparsity": torch.full((6,), float("nan"))}, "holds nan, which is no log10"),
        ({"sparsity": torch.zeros(6, dtype=torch.int64)}, "holds whole numbers"),
    ],
)
def test_what_is_no_such_file_is_refused_in_a_sentence(
    tmp_path: Path, tensors: dict[str, torch.Tensor], said: str
) -> None:
    file = tmp_path / "sparsity.safetensors"
    save_file(tensors, file)
    with pytest.raises(SaereportError) as error:
        read_sparsity(file, 6)
    assert said in error.value.message


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 7, b"\xff" * 64, b"\x02\x00\x00\x00\x00\x00\x00\x00{}x", b"PK\x03\x04"]
)
def test_damage_is_refused_in_a_sentence(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "sparsity.safetensors"
    file.write_bytes(data)
    with pytest.raises(SaereportError, match=r"damaged or cut short|holds no tensor"):
        read_sparsity(file, 6)
