"""Tables of weights as a stage: what an SAE and a model say without any text."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.config.stages import WeightSettings
from saereport.pipeline.stage import Cost, Needs, Stage, Yielded
from saereport.util.errors import SaereportError

if TYPE_CHECKING:
    from saereport.pipeline.context import Context
    from saereport.pipeline.probe import Probe


class WeightsStage(Stage):
    """Every table of `measure.weights`, for each SAE that has it."""

    name = "weights"
    needs = Needs(model=True, saes=True)
    config = WeightSettings
    at_top = True
    shares = ("examples",)
    regardless_of = ("tokens", "latents", "saes.latents")

    @property
    def yields(self) -> tuple[str, ...]:
        """What the registry names."""
        from saereport.measure.registry import WEIGHTS

        return tuple(WEIGHTS)

    def check(self, config: BuildConfig) -> None:
        """Refuse a map that the installed packages cannot make."""
        if config.map == "umap" and find_spec("umap") is None:
            raise SaereportError(
                "A UMAP map needs the package umap-learn, which is not installed.",
                "pip install 'saereport[umap]', or make the map with PCA.",
            )

    def depends_on(self, context: Context) -> dict[str, Any]:
        """The latents that are shown."""
        from saereport.pipeline.context import shown_of

        return shown_of(context)

    def plan(self, context: Context) -> Cost:
        """Warn of tables that cannot be right for this model."""
        from saereport.pipeline.weights import warn_of_left_out

        warn_of_left_out(context)
        return Cost()

    def cost(self, context: Context, probe: Probe) -> Cost:
        """Make the tables of few latents."""
        from saereport.pipeline.weights import cost_of_weights

        return cost_of_weights(context, probe)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the tables of each SAE, from the deepest to the shallowest."""
        from saereport.pipeline.weights import weight_tables

        yield from weight_tables(context)
