"""An architecture added for a module's tests, and taken away again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def gain_architecture() -> Iterator[None]:
    """`tests.sources.saes.gain` is known, here and to SAELens, as long as a module's tests run."""
    import sae_lens.registry

    from saereport.sources.saes.architectures import registry
    from tests.sources.saes import gain

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_ARCHITECTURES", dict(registry._ARCHITECTURES))
        classes = dict(sae_lens.registry.SAE_CLASS_REGISTRY)
        patch.setattr(sae_lens.registry, "SAE_CLASS_REGISTRY", classes)
        for architecture in (gain.GAIN, gain.GAIN_TRANSCODER):
            registry.register(architecture)
        yield
