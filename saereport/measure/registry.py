"""What can be measured: statistics of events, and the names of the tables of weights.

To add a statistic, write an accumulator in a module of this package, add it to `STATISTICS`, and
describe its table in `saereport.run.tables`. Other packages add theirs by `register`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from saereport.measure.setting import Setting

_STATISTICS = "saereport.measure.statistics."


@dataclass(frozen=True)
class Statistic:
    """One mergeable statistic of events.

    Attributes:
        name: Registry key.
        tables: Names of the tables that its `result` fills.
        make: Makes an empty accumulator (see `batch.Accumulator`) for a setting; or where it is,
            `module:class`, so that torch is imported when it is needed.
        needs: Statistics that its `result` reads.
        needs_all_latents: Whether it must see the events of every latent of the SAE, also of those
            that are not tracked; if so, the SAE has to be encoded whole.
    """

    name: str
    tables: tuple[str, ...]
    make: Callable[[Setting], Any] | str
    needs: tuple[str, ...] = ()
    needs_all_latents: bool = False

    def accumulator(self, setting: Setting) -> Any:
        """An empty accumulator for a setting."""
        if not isinstance(self.make, str):
            return self.make(setting)
        module, name = self.make.split(":")
        return getattr(import_module(module), name)(setting)


STATISTICS: dict[str, Statistic] = {
    statistic.name: statistic
    for statistic in (
        Statistic(
            "activity", ("activity", "activation_histogram"), _STATISTICS + "activity:Activity"
        ),
        Statistic(
            "examples",
            ("examples", "example_groups"),
            _STATISTICS + "examples:Examples",
            needs=("activity",),
        ),
        Statistic("tokens", ("token_statistics",), _STATISTICS + "tokens:TokenStatistics"),
        Statistic("sketch", ("active_sketch",), _STATISTICS + "sketch:Sketch"),
        Statistic(
            "coactivation",
            ("coactivation",),
            _STATISTICS + "coactivation:Coactivation",
            needs=("activity", "sae_activity"),
            needs_all_latents=True,
        ),
        Statistic(
            "sae_activity",
            ("sae_activity",),
            _STATISTICS + "sae_activity:SaeActivity",
            needs_all_latents=True,
        ),
    )
}
"""Every statistic by name."""


def register(statistic: Statistic) -> None:
    """Add a statistic of events.

    Raises:
        ValueError: There is one of this name or one that fills the same table, a table and
            another statistic have one name, or it reads one that there is not.
    """
    if statistic.name in STATISTICS:
        raise ValueError(f"there is a statistic '{statistic.name}' already")
    for other in STATISTICS.values():
        for name in statistic.tables:
            if name in other.tables:
                raise ValueError(f"the statistic '{other.name}' fills the table '{name}' already")
            if name == other.name:
                raise ValueError(f"its table '{name}' is called like another statistic")
        if statistic.name in other.tables:
            raise ValueError(f"the statistic '{other.name}' fills a table '{statistic.name}'")
    for name in statistic.needs:
        if name not in STATISTICS:
            raise ValueError(f"the statistic '{statistic.name}' reads '{name}', which is none")
    STATISTICS[statistic.name] = statistic


WEIGHTS: dict[str, str] = {
    "logit_lens": "saereport.measure.weights.logit_lens:TABLE",
    "write_layers": "saereport.measure.weights.logit_lens:LAYERS",
    "deembedding": "saereport.measure.weights.deembedding:TABLE",
    "head_deembedding": "saereport.measure.weights.heads:DEEMBEDDING",
    "pullbacks": "saereport.measure.weights.pullbacks:TABLE",
    "neighbours": "saereport.measure.weights.decoder:NEIGHBOURS",
    "head_shares": "saereport.measure.weights.heads:SHARES",
    "geometry": "saereport.measure.weights.decoder:GEOMETRY",
    "weight_distributions": "saereport.measure.weights.distributions:TABLE",
    "decoder_directions": "saereport.measure.weights.decoder:DIRECTIONS",
}
"""Where each table of weights is, by name; they need torch, which who names them may not have."""


def register_weights(name: str, place: str) -> None:
    """Add a table of weights, a `measure.weights.WeightTable`, that is imported when it is needed.

    Args:
        name: The table's name, by which it can be skipped.
        place: `module:attribute`.

    Raises:
        ValueError: There is one of this name.
    """
    if name in WEIGHTS:
        raise ValueError(f"there is a table of weights '{name}' already")
    WEIGHTS[name] = place


def withdraw_weights(name: str) -> None:
    """Take a table of weights out again: it cannot be imported."""
    del WEIGHTS[name]
