"""Latents ablated and clamped, against hooks by hand that decode the whole SAE anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from saereport.circuits import setting as setting_module
from saereport.circuits.setting import (
    Setting,
    ablating,
    added,
    clamping,
    outcomes,
    runner_up,
)
from saereport.intervene.adding import adding
from saereport.intervene.splicing import last_logits
from tests.circuits import dense
from tests.factories import tiny_tokens

RESID, Z, MLP = "blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.ln2.hook_normalized"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "standard": ("standard", {"hook_name": RESID}),
    "gated": ("gated", {"hook_name": RESID}),
    "jumprelu": ("jumprelu", {"hook_name": RESID}),
    "topk": ("topk", {"hook_name": RESID}),
    "z": ("standard", {"hook_name": Z}),
    "transcoder": ("transcoder", {"hook_name": MLP}),
    "skip": ("skip_transcoder", {"hook_name": MLP}),
}
TOKENS = tiny_tokens(1, 9)[0]
COUNTED = torch.arange(9) > 0
ANSWER = 17


@pytest.fixture(params=KINDS)
def sae(request: pytest.FixtureRequest, tiny_sae: Callable[..., Any]) -> Any:
    architecture, options = KINDS[request.param]
    return tiny_sae(architecture, **options)


def truth(model: Any, sae: Any) -> tuple[Tensor, Tensor]:
    """What the SAE reads, and its activations."""
    with torch.no_grad():
        a = dense.run(model, TOKENS, {}, sae.hook_in.name)
        return a, dense.dense_f(sae, a)


def slow(model: Any, sae: Any, changed: Tensor) -> Tensor:
    """The last logits with the decoder's output on changed activations, less that on the true."""
    a, f = truth(model, sae)
    with torch.no_grad():
        more = dense.reconstruct(sae, a, changed) - dense.reconstruct(sae, a, f)
        edits = {sae.write_point.name: lambda true: true + more}
        return dense.run(model, TOKENS, edits, None)[-1]


def strongest(f: Tensor, n: int = 3) -> list[int]:
    return f[COUNTED].max(dim=0).values.argsort(descending=True)[:n].tolist()


def check(model: Any, sae: Any, settings: list[Setting], expected: list[Tensor]) -> None:
    with torch.no_grad():
        plain = dense.run(model, TOKENS, {}, None)[-1]
    against = runner_up(plain, ANSWER)
    order = plain.argsort(descending=True).tolist()
    assert against == next(token for token in order if token != ANSWER)
    found = outcomes(model, sae, TOKENS, settings, answer=ANSWER, against=against)
    assert found.usable.all()
    for i, logits in enumerate(expected):
        exact = logits.double()
        assert found.logit[i] == pytest.approx(float(exact[ANSWER]), abs=2e-4)
        difference = float(exact[ANSWER] - exact[against])
        assert found.difference[i] == pytest.approx(difference, abs=2e-4)
        assert found.probability[i] == pytest.approx(float(exact.softmax(0)[ANSWER]), abs=1e-5)
        assert found.next_token[i] == int(exact.argmax())


def test_ablating_and_clamping_are_what_hooks_by_hand_do(
    tiny: Any, sae: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting_module, "MOST_ROWS", 4)
    _, f = truth(tiny, sae)
    settings, expected = [], []
    for latent in strongest(f):
        own = f[:, latent]
        at = int((own * COUNTED).argmax())
        only = torch.arange(9) == at
        for deltas, changed in (
            (ablating(own, COUNTED & (own > 0)), torch.where(COUNTED, 0, own)),
            (ablating(own, only), torch.where(only, 0, own)),
            (clamping(own, 3.5, COUNTED), torch.where(COUNTED, 3.5, own)),
            (clamping(own, -1.0, only), torch.where(only, -1.0, own)),
        ):
            settings.append(Setting(latent, deltas))
            whole = f.clone()
            whole[:, latent] = changed
            expected.append(slow(tiny, sae, whole))
    check(tiny, sae, settings, expected)


def test_setting_all_latents_to_what_they_are_is_the_true_run(tiny: Any, sae: Any) -> None:
    """The error stays: a reconstruction spliced in would not give these logits."""
    _, f = truth(tiny, sae)
    with torch.no_grad():
        plain = last_logits(tiny, TOKENS[None], {})
        own = [Setting(i, clamping(f[:, i], float(f[2, i]), COUNTED & (torch.arange(9) == 2)))
               for i in range(f.shape[1])]  # fmt: skip
        amounts = {name: a.sum(dim=0, keepdim=True) for name, a in added(sae, own).items()}
        assert torch.equal(last_logits(tiny, TOKENS[None], adding(amounts)), plain)
        made = dense.reconstruct(sae, *truth(tiny, sae))
        spliced = dense.run(tiny, TOKENS, {sae.write_point.name: lambda _: made}, None)[-1]
    assert not torch.allclose(spliced, plain[0], atol=1e-2)


def test_an_inactive_latent_cannot_be_ablated_and_the_true_run_is_itself(
    tiny: Any, sae: Any
) -> None:
    _, f = truth(tiny, sae)
    quiet = int((f[COUNTED] > 0).any(dim=0).int().argmin())
    assert not bool((f[COUNTED][:, quiet] > 0).any())
    still = Setting(quiet, ablating(f[:, quiet], COUNTED))
    (own,) = (outcomes(tiny, None, TOKENS, [still], answer=ANSWER, against=3),)
    found = outcomes(tiny, sae, TOKENS, [still], answer=ANSWER, against=3)
    assert found.logit.tolist() == own.logit.tolist()
    assert found.probability.tolist() == own.probability.tolist()
    strong = strongest(f, 1)[0]
    moved = outcomes(
        tiny, sae, TOKENS, [Setting(strong, ablating(f[:, strong], COUNTED))],
        answer=ANSWER, against=3,
    )  # fmt: skip
    assert moved.logit[0] != own.logit[0]


def test_what_overflows_is_told(tiny: Any, tiny_sae: Callable[..., Any]) -> None:
    sae = tiny_sae("standard", hook_name=RESID)
    wild = Setting(3, torch.full((9,), torch.inf))
    still = Setting(3, torch.zeros(9))
    found = outcomes(tiny, sae, TOKENS, [wild, still], answer=ANSWER, against=3)
    assert found.usable.tolist() == [False, True]
