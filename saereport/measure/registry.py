"""The statistics of events that can be measured.

To add one, write an accumulator in a module of this package, add it to `STATISTICS`, and describe
its table in `saereport.run.tables`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from saereport.measure.activity import Activity
from saereport.measure.coactivation import Coactivation
from saereport.measure.examples import Examples
from saereport.measure.sae_activity import SaeActivity
from saereport.measure.setting import Setting
from saereport.measure.sketch import Sketch
from saereport.measure.tokens import TokenStatistics


@dataclass(frozen=True)
class Statistic:
    """One mergeable statistic of events.

    Attributes:
        name: Registry key.
        tables: Names of the tables that its `result` fills.
        make: Makes an empty accumulator (see `batch.Accumulator`) for a setting.
        needs: Statistics that its `result` reads.
        needs_all_latents: Whether it must see the events of every latent of the SAE, also of those
            that are not tracked; if so, the SAE has to be encoded whole.
    """

    name: str
    tables: tuple[str, ...]
    make: Callable[[Setting], Any]
    needs: tuple[str, ...] = ()
    needs_all_latents: bool = False


STATISTICS: dict[str, Statistic] = {
    statistic.name: statistic
    for statistic in (
        Statistic("activity", ("activity", "activation_histogram"), Activity),
        Statistic("examples", ("examples", "example_groups"), Examples, needs=("activity",)),
        Statistic("tokens", ("token_statistics",), TokenStatistics),
        Statistic("sketch", ("active_sketch",), Sketch),
        Statistic("coactivation", ("coactivation",), Coactivation, needs_all_latents=True),
        Statistic("sae_activity", ("sae_activity",), SaeActivity, needs_all_latents=True),
    )
}
"""Every statistic by name."""
