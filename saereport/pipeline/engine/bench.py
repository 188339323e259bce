"""What a worker works with: the model and the SAEs, of which it is sure that they are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from saereport.config.build import BuildConfig, make_config
from saereport.config.selection import parse_selection
from saereport.pipeline.context import Chosen, Context
from saereport.pipeline.fingerprint import (
    LIBRARIES,
    differences,
    model_record,
    plain,
    sae_record,
    versions,
)
from saereport.pipeline.parts import portable
from saereport.pipeline.text_pass import Batches
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress
from saereport.util.version import __version__

if TYPE_CHECKING:
    from saereport.sources.models import LanguageModel
    from saereport.sources.saes.sae import Sae

Setup = Mapping[str, Any]
"""Plain values from which a worker makes its bench: what another version can read, to say so."""


@dataclass(frozen=True, eq=False)
class Bench:
    """What tasks work with.

    Attributes:
        config: What the build is asked.
        model: The language model.
        saes: The SAEs by slug.
        chosen: Which latents of each are asked for.
        batches: How many sequences go through the model at a time.
    """

    config: BuildConfig
    model: LanguageModel
    saes: Mapping[str, Sae]
    chosen: Mapping[str, Chosen]
    batches: Batches


def bench_of(context: Context) -> Bench:
    """That of a build's own process."""
    return Bench(context.config, context.model, context.saes, context.chosen, context.batches)


def setup_of(context: Context) -> dict[str, Any]:
    """What a worker needs to know to make the same."""
    config = portable(context.config)
    # A worker sees its own devices alone, numbered from 0.
    config["device"] = str(config["device"]).partition(":")[0]
    return {
        "bench": f"{__name__}:make_bench",
        "version": __version__,
        "sources": sources_digest(),
        "config": config,
        "context_size": context.text.rules.context_size,
        "identity": {name: context.identity[name] for name in _COMPARED},
        "chosen": {
            slug: {
                "selection": one.selection.words,
                "tracked": one.tracked.tolist(),
                "blind": list(one.blind),
            }
            for slug, one in context.chosen.items()
        },
    }


_COMPARED = ("libraries", "plugins", "saes", "model")


def sources_digest() -> str:
    """SHA-256 over the modules of the package: what is computed depends on them."""
    folder = Path(__file__).parents[2]
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(path.relative_to(folder).as_posix().encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def require_same_package(setup: Setup) -> None:
    """Refuse to work for another version of the package.

    Raises:
        SaereportError: It is one.
    """
    if setup["version"] != __version__:
        raise SaereportError(
            f"It has saereport {__version__}, and the build is one of {setup['version']}.",
            "Install the same version everywhere.",
        )
    if setup["sources"] != sources_digest():
        raise SaereportError(
            f"Its saereport {__version__} has other modules than the one that builds.",
            "Install the same everywhere.",
        )


def make_bench(setup: Setup) -> Bench:
    """Load the model and the SAEs, and see that they are those of the build.

    Raises:
        SaereportError: They cannot be loaded, or the package, a library, an SAE or the model is
            another one; says which.
    """
    require_same_package(setup)
    from saereport import plugins
    from saereport.pipeline.loading import load_model_of, load_saes
    from saereport.pipeline.warned import Warned
    from saereport.sources.devices import resolve_device, resolve_dtype
    from saereport.sources.saes.sae import check_fit

    quiet = Progress(quiet=True)
    plugins.load_plugins(quiet.warn, with_torch=True)
    config = make_config(setup["config"])
    warned = Warned(quiet, strict=False)
    device, dtype = resolve_device(config.device), resolve_dtype(config.dtype)
    loaded = load_saes(config, device, dtype, quiet, warned)
    model = load_model_of(config, loaded, device, dtype, quiet, warned)
    saes = {sae.slug: check_fit(sae, model) for sae in loaded}
    mine = {
        # Without what says for which device a library was built (`+cu126`).
        "libraries": {k: v.partition("+")[0] for k, v in versions(LIBRARIES).items()},
        "plugins": plugins.loaded(),
        "saes": {slug: sae_record(sae) for slug, sae in saes.items()},
        "model": model_record(model),
    }
    # As the build's own was read back.
    mine = json.loads(json.dumps(plain(mine)))
    if changed := differences(setup["identity"], mine):
        raise SaereportError(
            f"What it loads is not what the build has: {changed} is another one there.",
            "Install the same everywhere, and give it the same files.",
        )
    chosen = {
        slug: Chosen(
            parse_selection(one["selection"]),
            np.array(one["tracked"], dtype=np.int64),
            tuple(one["blind"]),
        )
        for slug, one in setup["chosen"].items()
    }
    batches = Batches(config.batch_size, setup["context_size"], device, quiet)
    return Bench(config, model, saes, chosen, batches)
