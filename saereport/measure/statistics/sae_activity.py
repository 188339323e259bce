"""How active the whole SAE is: every latent's count, and how many latents fire on a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saereport.measure.batch import Columns, SortedEvents, State
from saereport.measure.setting import Setting


class SaeActivity:
    """Active tokens of every latent of the SAE, and the distribution of L0. Exact counts."""

    def __init__(self, setting: Setting) -> None:
        self.n_active = np.zeros(setting.d_sae, dtype=np.int64)
        self.l0 = np.zeros(1, dtype=np.int64)

    @property
    def counted(self) -> int:
        """Counted tokens so far."""
        return int(self.l0.sum())

    def update(self, prepared: SortedEvents) -> None:
        """Take in one batch."""
        batch = prepared.batch
        self.n_active += np.bincount(batch.latent, minlength=len(self.n_active))
        per_token = np.bincount(batch.flat, minlength=batch.counted.size)
        self._add(np.bincount(per_token[batch.counted.reshape(-1)], minlength=1))

    def _add(self, l0: NDArray[np.int64]) -> None:
        if len(l0) > len(self.l0):
            self.l0 = np.pad(self.l0, (0, len(l0) - len(self.l0)))
        self.l0[: len(l0)] += l0

    def merge(self, other: SaeActivity) -> None:
        """Add another part of the text."""
        self.n_active += other.n_active
        self._add(other.l0)

    def result(self, latents: NDArray[Any], peers: Mapping[str, Any]) -> dict[str, Columns]:
        """Table `sae_activity`: every latent of the SAE, whatever `latents` says."""
        return {
            "sae_activity": {
                "latent": np.arange(len(self.n_active), dtype=np.int32),
                "n_active": self.n_active.copy(),
            }
        }

    def summary(self) -> dict[str, Any]:
        """Numbers about the SAE as a whole, fit for JSON.

        Returns:
            `counted_tokens`; `l0_mean`, active latents per counted token; `l0_histogram`, where
            entry i is the number of counted tokens with i active latents; `never_active`, latents
            that never fired; `denser_than_1_percent`, `denser_than_10_percent`, numbers of latents.
        """
        counted = self.counted
        return {
            "counted_tokens": counted,
            "l0_mean": int(self.n_active.sum()) / counted if counted else 0.0,
            "l0_histogram": np.trim_zeros(self.l0, "b").tolist(),
            "never_active": int((self.n_active == 0).sum()),
            "denser_than_1_percent": int((self.n_active * 100 > counted).sum()),
            "denser_than_10_percent": int((self.n_active * 10 > counted).sum()),
        }

    def state(self) -> State:
        """Counts as arrays."""
        return {"n_active": self.n_active, "l0": self.l0}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the accumulator whose `state` this is."""
        self.n_active = state["n_active"].copy()
        self.l0 = state["l0"].copy()
