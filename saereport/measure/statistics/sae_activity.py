"""How active the whole SAE is: every latent's count, and how many latents fire on a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from saereport.measure.batch import SortedEvents, ones_like
from saereport.measure.columns import Columns, State
from saereport.measure.crossing import to_device, to_host
from saereport.measure.setting import Setting


class SaeActivity:
    """Active tokens of every latent of the SAE, and the distribution of L0. Exact counts."""

    def __init__(self, setting: Setting) -> None:
        self._n_active = torch.zeros(setting.d_sae, dtype=torch.int64, device=setting.device)
        # One more for each L0 there can be, and one for the tokens that do not count.
        self._l0 = torch.zeros(setting.d_sae + 2, dtype=torch.int64, device=setting.device)

    @property
    def n_active(self) -> NDArray[np.int64]:
        """Active tokens of each latent of the dictionary, int64[d_sae]."""
        return to_host(self._n_active)

    @property
    def l0(self) -> NDArray[np.int64]:
        """Counted tokens by their number of active latents, up to the largest there is."""
        counts: NDArray[np.int64] = np.trim_zeros(to_host(self._l0[:-1]), "b")
        return counts

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch."""
        batch = prepared.batch
        self._n_active += batch.counts(len(self._n_active))
        per_token = torch.zeros(batch.counted.numel(), dtype=torch.int64, device=batch.device)
        per_token.scatter_add_(0, batch.flat.to(torch.int64), ones_like(batch.flat))
        uncounted = len(self._l0) - 1
        l0 = torch.where(batch.counted.reshape(-1), per_token, uncounted)
        self._l0.scatter_add_(0, l0, ones_like(l0))
        self._l0.select(0, uncounted).zero_()

    def merge(self, other: SaeActivity) -> None:
        """Add another part of the text."""
        self._n_active += other._n_active
        self._l0 += other._l0

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """Table `sae_activity`: every latent of the SAE, whatever `latents` says."""
        n_active = self.n_active
        everyone = np.arange(len(n_active), dtype=np.int32)
        return {"sae_activity": {"latent": everyone, "n_active": n_active}}

    def summary(self) -> dict[str, Any]:
        """Numbers about the SAE as a whole, fit for JSON.

        Returns:
            `counted_tokens`; `l0_mean`, active latents per counted token; `l0_histogram`, where
            entry i is the number of counted tokens with i active latents; `never_active`, latents
            that never fired; `denser_than_1_percent`, `denser_than_10_percent`, numbers of latents.
        """
        l0, n_active = self.l0, self.n_active
        counted = int(l0.sum())
        return {
            "counted_tokens": counted,
            "l0_mean": int(n_active.sum()) / counted if counted else 0.0,
            "l0_histogram": l0.tolist(),
            "never_active": int((n_active == 0).sum()),
            "denser_than_1_percent": int((n_active * 100 > counted).sum()),
            "denser_than_10_percent": int((n_active * 10 > counted).sum()),
        }

    def state(self) -> State:
        """Counts as arrays."""
        return {"n_active": self.n_active, "l0": self.l0}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        self._n_active = to_device(state["n_active"], self._n_active.device)
        self._l0.zero_()
        self._l0[: len(state["l0"])] = to_device(state["l0"], self._l0.device)
