"""Where a build's long work is done. It changes no number, so no run records it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saereport.config.section import Section


class EngineSettings(Section):
    """Where the text is read, SAEs are evaluated and prompts are run."""

    engine: Literal["local", "ray"] = "local"
    """Where the long work is done: `local`, in this process, or `ray`, on the workers of a cluster.
    """
    ray_address: str | None = None
    """A Ray cluster: `host:port`, `ray://host:port` or `auto`; one on this machine where absent."""
    workers: int | None = Field(None, ge=1, le=10_000)
    """Workers of the engine ray, each with the model and the SAEs; one for each GPU where absent,
    and without GPUs one for each four cores, at least two.
    """
