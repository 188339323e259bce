"""From dense tensors to events, and which device each step runs on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from saereport.measure import Events
from saereport.measure.events import active_entries, all_finite, events_of
from saereport.measure.weights.context import normalized
from saereport.measure.weights.directions import by_head
from saereport.measure.weights.heads import head_shares, scales_after, strengths
from saereport.measure.weights.logit_lens import histogram, moments
from saereport.sources.legs import Leg
from saereport.sources.text.packing import Packed
from saereport.util.errors import SaereportError
from tests.measure.texts import Dense, random_dense


def found(text: Dense, f: torch.Tensor, **options: object) -> Events:
    return events_of(f, Packed(40, text.tokens, text.counted, text.documents), **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_events_are_the_active_entries_on_counted_tokens(dtype: torch.dtype) -> None:
    text = random_dense(0)
    f = torch.from_numpy(text.f).to(dtype)
    f[~torch.from_numpy(text.counted)] = 7.0  # what does not count must not come through
    f[3, 4, 5] = -1.0
    batch = found(text, f)
    expected = [
        (s + 40, p, i, float(f[s, p, i]))
        for s, p, i in np.ndindex(*f.shape)
        if text.counted[s, p] and f[s, p, i] > 0
    ]
    events = zip(batch.sequence, batch.position, batch.latent, batch.value, strict=True)
    assert [(int(s), int(p), int(i), float(v)) for s, p, i, v in events] == expected
    kinds = [getattr(batch, n).dtype for n in ("sequence", "position", "latent", "value")]
    assert kinds == [np.int32, np.int32, np.int32, np.float32]


def test_columns_can_stand_for_chosen_latents() -> None:
    text = random_dense(1)
    chosen = np.array([2, 5, 8])
    part = found(text, torch.from_numpy(text.f[:, :, chosen]), latents=chosen)
    whole = found(text, torch.from_numpy(text.f))
    kept = np.isin(whole.latent, chosen)
    for name in ("sequence", "position", "latent", "value"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[kept])


def test_no_event_at_all() -> None:
    text = random_dense(1)
    assert len(found(text, torch.zeros(text.f.shape)).value) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_named(bad: float) -> None:
    text = random_dense(2)
    sequence, position = (int(v) for v in np.argwhere(text.counted)[30])
    f = torch.from_numpy(text.f.copy())
    f[sequence, position, 4] = bad
    with pytest.raises(SaereportError) as caught:
        found(text, f, name="layer-8", hook="blocks.8.hook_resid_pre")
    message = str(caught.value)
    kind = "NaN" if np.isnan(bad) else "infinite"
    for part in (
        "layer-8",
        "blocks.8.hook_resid_pre",
        kind,
        f"sequence {40 + sequence}, position {position}, latent 4",
    ):
        assert part in message
    f[sequence, position, 4] = 0
    f[0, 0, 0] = bad  # BOS does not count
    assert len(found(text, f).value)


def test_chosen_columns_are_named_by_their_latent() -> None:
    text = random_dense(2)
    f = torch.from_numpy(text.f[:, :, :2].copy())
    f[:, :, 1] = torch.nan
    with pytest.raises(SaereportError, match="latent 77"):
        found(text, f, latents=np.array([3, 77]))


@pytest.fixture
def fake() -> FakeTensorMode:
    """Tensors that know shape and device but hold nothing: CUDA without a GPU."""
    return FakeTensorMode(shape_env=ShapeEnv())


def test_events_stay_on_the_device(fake: FakeTensorMode) -> None:
    with fake:
        f = torch.randn(2, 4, 8, device="cuda", dtype=torch.float16)
        counted = torch.ones(2, 4, device="cuda", dtype=torch.bool)
        where, values = active_entries(f, counted)
        assert (where.device.type, values.device.type) == ("cuda", "cuda")
        assert values.dtype == torch.float32
        assert all_finite(f).device.type == "cuda"
        with pytest.raises(RuntimeError, match="device"):
            active_entries(f, counted.to("cpu"))


def test_weights_stay_on_the_device(fake: FakeTensorMode) -> None:
    with fake:
        rows = torch.randn(3, 32, device="cuda")
        W_O, W_V = torch.randn(4, 8, 32, device="cuda"), torch.randn(4, 32, 8, device="cuda")
        norm = torch.ones(32, device="cuda")
        results = [
            by_head(rows, 4),
            Leg(norm, centred=True, scale=0.5).along(rows),
            Leg(norm, centred=True, scale=0.5).back(rows),
            normalized(rows, "layer"),
            normalized(rows, "rms"),
            head_shares(rows, 4),
            strengths(W_V, torch.randn(4, 3, 8, device="cuda")),
            scales_after(torch.randn(9, 8, device="cuda"), W_O.select(0, 0), "layer"),
            *histogram(rows),
            *moments(rows).values(),
        ]
        for result in results:
            assert result is not None
            assert result.device.type == "cuda"
            assert result.dtype != torch.float64
        with pytest.raises(RuntimeError, match="device"):
            Leg(norm.to("cpu")).along(rows)
        with pytest.raises(RuntimeError, match="device"):
            Leg(norm.to("cpu")).back(rows)
