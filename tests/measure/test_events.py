"""From dense tensors to events, and which device each step runs on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from saereport.measure import Events
from saereport.measure.crossing import to_host
from saereport.measure.events import (
    DeviceText,
    active_where,
    all_finite,
    assemble,
    events_of,
    find,
)
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


def listed(batch: Events) -> list[tuple[int, int, int, float]]:
    """Sequence, position, latent and activation of each event."""
    sequence, position = np.divmod(to_host(batch.flat), batch.context)
    latent, value = to_host(batch.latent), to_host(batch.value)
    columns = (batch.first + sequence, position, latent, value)
    return [(int(s), int(p), int(i), float(v)) for s, p, i, v in zip(*columns, strict=True)]


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
    assert listed(batch) == expected
    kinds = (batch.flat.dtype, batch.latent.dtype, batch.value.dtype)
    assert kinds == (torch.int32, torch.int32, torch.float32)
    values = np.array([event[3] for event in expected], dtype=np.float32).view(np.int32)
    assert batch.bits == (values.min(), values.max())
    assert batch.n_counted == text.counted.sum()


def test_columns_can_stand_for_chosen_latents() -> None:
    text = random_dense(1)
    chosen = np.array([2, 5, 8])
    part = found(text, torch.from_numpy(text.f[:, :, chosen]), latents=chosen)
    whole = found(text, torch.from_numpy(text.f))
    assert listed(part) == [event for event in listed(whole) if event[2] in chosen]


@pytest.mark.parametrize("blocks", [1, 3])
def test_what_is_found_in_room_is_what_is_found_by_waiting(blocks: int) -> None:
    """As on a device that is not asked how much there is, with some tracked latents."""
    text = random_dense(3)
    packed = Packed(40, text.tokens, text.counted, text.documents)
    f = torch.from_numpy(text.f).reshape(-1, text.d_sae)
    on_device = DeviceText.of(packed, f.device)
    counted = on_device.counted.reshape(-1)
    tracked = torch.zeros(text.d_sae, dtype=torch.bool)
    tracked[[1, 4]] = True
    parts, start = [], 0
    for block in f.tensor_split(blocks):
        inside = counted[start : start + len(block)]
        parts.append(find(block, inside, start=start, tracked=tracked, room=3000))
        start += len(block)
    headers = [part.header.tolist() for part in parts]
    assert all(part.fits(header) for part, header in zip(parts, headers, strict=True))
    batch, whole = assemble(on_device, parts, headers), events_of(torch.from_numpy(text.f), packed)
    assert listed(batch) == listed(whole)
    assert batch.bits == whole.bits
    assert batch.n_tracked == sum(event[2] in (1, 4) for event in listed(whole))


def test_too_little_room_and_no_numbers_are_noticed() -> None:
    text = random_dense(3)
    f = torch.from_numpy(text.f).reshape(-1, text.d_sae)
    counted = torch.from_numpy(text.counted).reshape(-1)
    n = len(find(f, counted).where)
    for room, fits in ((n - 1, False), (n, True), (n + 1, True)):
        part = find(f, counted, room=room)
        assert part.fits(part.header.tolist()) is fits
    for bad in (torch.nan, torch.inf, 1e30):
        broken = f.clone()
        broken[5, 3] = bad
        part = find(broken, counted, room=n + 9)
        assert not part.fits(part.header.tolist())
        assert not part.measurable(part.header.tolist())


def test_batches_of_a_round_are_as_one_batch() -> None:
    text = random_dense(4)
    parts = [text.batch(a, b) for a, b in ((0, 3), (3, 4), (4, 12))]
    joined, whole = Events.join(parts), text.batch(0, 12)
    assert listed(joined) == listed(whole)
    assert (joined.n_counted, joined.bits) == (whole.n_counted, whole.bits)
    assert torch.equal(joined.place, whole.place)
    for name in ("tokens", "counted", "documents", "flat"):
        assert torch.equal(getattr(joined, name), getattr(whole, name))


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
        part = find(f.reshape(-1, 8), counted.reshape(-1), room=20)
        tensors = (part.where, part.value, part.header)
        assert {tensor.device.type for tensor in tensors} == {"cuda"}
        assert part.value.dtype == torch.float32
        assert all_finite(f).device.type == "cuda"
        with pytest.raises(RuntimeError, match="device"):
            active_where(f.reshape(-1, 8), counted.reshape(-1).to("cpu"), 20)


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
