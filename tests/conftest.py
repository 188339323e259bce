"""Fixtures that the tests of every room share, and how tests are divided among workers.

What takes longer than a second to make goes through `tests.shared.shared`, which makes it once for
all workers: `published` (the demo's report with the pages of today), `hostile`, `plain` and `large`
in `tests/browser/conftest.py` are such. What needs the demo's model asks for `demo_model`, what
needs
any model for `tiny` and `tiny_sae`: each is made once in a worker.

A file's tests stay together in one worker, so its module's fixtures are made once. All tests also
run without workers, in the order of the files.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from saereport.sources.models import LanguageModel
    from saereport.sources.saes.sae import Sae
    from tests.families import Families

settings.register_profile("other", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("other"), derandomize=True)
settings.load_profile("same")
"""Every run of the tests tries the same cases; `--hypothesis-profile=other` looks for new ones.

No case has a deadline: how long one takes depends on what else the machine does.
"""


RANKS = {"slow": 0, "package": 0, "model": 1, "browser": 2}
"""Files with such tests are begun first, in this order: a long one begun last is waited for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin the long files first; without workers all stays as it is."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    first: dict[Path, int] = {}
    for item in items:
        ranks = [RANKS[mark.name] for mark in item.iter_markers() if mark.name in RANKS]
        first[item.path] = min([*ranks, first.get(item.path, len(RANKS))])
    items.sort(key=lambda item: first[item.path])


class Kept:
    """Passes the garbage collector by what stays anyway: libraries, and what all files share.

    A collection measures releases what it holds by `gc.collect()`. Each goes through every object
    there is, which with torch and Transformers loaded are two million, and took longer than many a
    test. What was made before a file's first test is not looked at again while that file is run.
    """

    def __init__(self) -> None:
        self.file: Path | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.path != self.file:
            self.file = item.path
            gc.collect()
            gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Kept())


@pytest.fixture(scope="session")
def demo_model() -> LanguageModel:
    """The embedded demo model, converted into the user's cache on first use."""
    from saereport.sources.model_loading import load_model

    return load_model("demo")


@pytest.fixture(scope="session")
def tiny() -> LanguageModel:
    """A GPT-2-like model with random weights: 3 layers, 32 wide, 4 heads of 8, 100 tokens."""
    from tests.factories import tiny_model

    return tiny_model()


@pytest.fixture(scope="session")
def tiny_sae(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Sae]:
    """Makes, saves and loads an SAE: `tiny_sae("gated", hook_name=..., d_sae=...)`.

    Equal calls give the same object.
    """
    from saereport.sources.saes.loading import load_sae
    from saereport.sources.saes.source import SaeSource
    from tests.factories import save_sae

    made: dict[str, Sae] = {}

    def make(architecture: str = "standard", **options: Any) -> Sae:
        key = repr((architecture, sorted(options.items())))
        if key not in made:
            folder: Path = tmp_path_factory.mktemp("saes") / f"{architecture}-{len(made)}"
            made[key] = load_sae(SaeSource(path=str(save_sae(folder, architecture, **options))))
        return made[key]

    return make


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> Families:
    """Folders of tiny models of many families: `families("gemma2")`, see `tests.families`."""
    from tests.families import Families

    return Families(lambda name: tmp_path_factory.mktemp("families") / f"tiny-{name}")


@pytest.fixture(scope="session")
def hub_home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Hugging Face cache with GPT-2-shaped weights: see `hub_cache`."""
    from tests.factories import hub_cache

    return hub_cache(tmp_path_factory.mktemp("hf-home"))


@pytest.fixture
def hub(hub_home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """`hub_home`, put to use in this process: offline, and with its cache only."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", hub_home["HF_HUB_CACHE"])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name, value in hub_home.items():
        monkeypatch.setenv(name, value)
    return hub_home
