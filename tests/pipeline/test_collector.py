"""Where an SAE is encoded, and where its statistics are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from saereport.config.build import make_config
from saereport.config.selection import parse_selection
from saereport.measure import Setting
from saereport.pipeline.collector import SaeCollector
from saereport.pipeline.context import Chosen
from saereport.pipeline.reading import _setting


def test_statistics_are_on_the_device_unless_it_lacks_their_numbers() -> None:
    """An MPS device has no 64-bit floats: there every statistic would fail."""
    config = make_config({"saes": [{"path": "x"}], "dataset": "demo"})
    chosen = Chosen(parse_selection("all"), np.arange(4), ())
    model = cast(Any, SimpleNamespace(d_vocab=8))
    for device, home in (("mps", "cpu"), ("cuda:1", "cuda:1"), ("cpu", "cpu")):
        sae = cast(Any, SimpleNamespace(d_sae=4, device=torch.device(device)))
        assert _setting(config, model, sae, chosen).device == home


def test_activations_come_to_where_the_statistics_are() -> None:
    encoder = SimpleNamespace(of_sequences=False)
    sae = cast(Any, SimpleNamespace(device=torch.device("cpu"), encoder=encoder))
    collector = SaeCollector(sae, Setting(d_sae=4, d_vocab=8, latents=np.arange(4)), ["activity"])
    with FakeTensorMode():
        sae.encode = lambda a: torch.empty((*a.shape[:-1], 4), device="cuda")
        (f,) = collector.encoded(torch.empty((2, 3, 5)))
    assert (f.device.type, f.shape) == ("cpu", (6, 4))
