"""What other packages add: found by their entry points, and handed to the registries.

A plug-in is one entry point of one of `GROUPS`; its name says what it adds. One that cannot be
imported is named in a warning and left out, and everything else works; two of one name are refused,
since nobody could say which of them was meant. `--no-plugins`, or `SAEREPORT_NO_PLUGINS` in the
environment, leaves all of them out. Nothing here imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from saereport.run import TABLES
from saereport.util.errors import SaereportError, shortened

OFF: Final = "SAEREPORT_NO_PLUGINS"
"""Set to anything but nothing or 0, this variable leaves all plug-ins out."""


@dataclass(frozen=True)
class PluginGroup:
    """Entry points of one kind.

    Attributes:
        name: What `pyproject.toml` calls them.
        registry: `module:function` that takes what an entry point names; where empty, that is a
            function, called with nothing, which adds what it has to add.
        collecting: Whether what they add can be in a run or change its numbers.
        measuring: Whether each has `tables` that it fills in the course of a stage of saereport's
            own.
        withdraw: `module:function` that takes a name out again, of a registry that takes the name
            and the place of an entry point and imports it when it is needed; empty for others. Such
            a name is that of the one table that it fills.
    """

    name: str
    registry: str = ""
    collecting: bool = True
    measuring: bool = False
    withdraw: str = ""


GROUPS: Final = (
    PluginGroup("saereport.tables", "saereport.run.registry:register"),
    PluginGroup(
        "saereport.statistics", "saereport.pipeline.stage:register_statistic", measuring=True
    ),
    PluginGroup(
        "saereport.weights",
        "saereport.pipeline.stage:register_weights",
        withdraw="saereport.measure.registry:withdraw_weights",
    ),
    PluginGroup("saereport.stages", "saereport.pipeline.stage:register"),
    PluginGroup(
        "saereport.architectures",
        "saereport.sources.saes.architectures.registry:register",
    ),
    PluginGroup("saereport.panels", "saereport.site.panels.registry:register", collecting=False),
    PluginGroup("saereport.parts", "saereport.site.parts.registry:register", collecting=False),
    PluginGroup("saereport.diff_metrics", collecting=False),
)
"""Every kind of plug-in, tables before what yields them."""


@dataclass(frozen=True)
class Plugin:
    """One plug-in that was found.

    Attributes:
        group: The kind.
        point: Its entry point.
    """

    group: PluginGroup
    point: EntryPoint

    @property
    def package(self) -> str:
        """The package that it comes from."""
        return self.point.dist.name if self.point.dist is not None else "unknown"

    @property
    def version(self) -> str:
        """That package's version."""
        return self.point.dist.version if self.point.dist is not None else "unknown"

    @property
    def words(self) -> str:
        """The plug-in with its package, for a sentence."""
        return f"'{self.point.name}' ({self.group.name}) of {self.package} {self.version}"


@dataclass
class _State:
    """What this process knows of plug-ins; each of them is tried once."""

    off: bool = False
    found: list[Plugin] | None = None
    tried: set[Plugin] = field(default_factory=set)
    loaded: list[Plugin] = field(default_factory=list)


_STATE = _State()


def switch(*, off: bool) -> None:
    """Say whether plug-ins are left out from now on; what is loaded stays."""
    _STATE.off = off


def are_off() -> bool:
    """Whether plug-ins are left out."""
    return _STATE.off or os.environ.get(OFF, "0") not in ("", "0")


def load_plugins(warn: Callable[[str], None] = lambda _: None, *, with_torch: bool = False) -> None:
    """Add what other packages bring; what was added before is not added again.

    Args:
        warn: Takes a sentence about each plug-in that cannot be loaded.
        with_torch: Also import those that need torch and so are only named until then.

    Raises:
        SaereportError: Two have the same name, or one is called like something of saereport's own.
    """
    if are_off():
        return
    if _STATE.found is None:
        _STATE.found = _found()
    for plugin in _STATE.found:
        if plugin not in _STATE.tried:
            _tried(plugin, warn, partial(_add, plugin))
            _STATE.tried.add(plugin)
    for plugin in [plugin for plugin in _STATE.loaded if with_torch and plugin.group.withdraw]:
        if not _tried(plugin, warn, partial(_named, plugin)):
            _called(plugin.group.withdraw)(plugin.point.name)


def loaded() -> dict[str, str]:
    """Version by package of the plug-ins that can be in a run or change its numbers."""
    found = {plugin.package: plugin.version for plugin in _STATE.loaded if plugin.group.collecting}
    return dict(sorted(found.items()))


def _found() -> list[Plugin]:
    """Every plug-in that is installed, in the order of the groups and by name.

    Raises:
        SaereportError: Two have the same name.
    """
    every: dict[tuple[str, str], Plugin] = {}
    installed = entry_points()
    for group in GROUPS:
        points = sorted(installed.select(group=group.name), key=lambda point: point.name)
        for plugin in (Plugin(group, point) for point in points):
            other = every.setdefault((group.name, plugin.point.name), plugin)
            if other is not plugin:
                raise SaereportError(
                    f"Two plug-ins have the same name: {other.words} and {plugin.words}.",
                    "Uninstall one of them, or leave all plug-ins out with --no-plugins.",
                )
    return list(every.values())


def _tried(plugin: Plugin, warn: Callable[[str], None], load: Callable[[], object]) -> bool:
    """Whether a plug-in could be loaded; if not, it is among what is loaded no more."""
    try:
        load()
    except SaereportError:
        raise
    except Exception as error:
        said = shortened(" ".join(f"{type(error).__name__}: {error}".split()), 200)
        warn(f"The plug-in {plugin.words} cannot be loaded and is left out: {said}")
        _STATE.loaded = [other for other in _STATE.loaded if other is not plugin]
        return False
    return True


def _named(plugin: Plugin) -> Any:
    """What an entry point names, imported.

    Raises:
        LookupError: It fills a table that no run can hold, or is called otherwise than it.
        Exception: Whatever its import raises.
    """
    found = plugin.point.load()
    if plugin.group.withdraw and found.name != plugin.point.name:
        raise LookupError(f"its entry point must be called '{found.name}', as it is")
    if plugin.group.measuring:
        _require_tables(found.tables)
    return found


def _require_tables(names: Iterable[str]) -> None:
    for name in names:
        if name not in TABLES:
            raise LookupError(f"no run can hold its table '{name}'")


def _add(plugin: Plugin) -> None:
    group, point = plugin.group, plugin.point
    # What an import raises is another matter than what a registry refuses.
    if group.withdraw:
        _require_tables([point.name])
    named: Any = None if group.withdraw else _named(plugin)
    try:
        if group.withdraw:
            _called(group.registry)(point.name, point.value)
        elif group.registry:
            _called(group.registry)(named)
        else:
            named()
    except ValueError as error:
        raise SaereportError(
            f"The plug-in {plugin.words} cannot be added: {error}.",
            "Uninstall it, or leave all plug-ins out with --no-plugins.",
        ) from error
    _STATE.loaded.append(plugin)


def _called(place: str) -> Callable[..., object]:
    module, _, function = place.partition(":")
    found: Callable[..., object] = getattr(import_module(module), function)
    return found
