"""The SAEs and the model of a build, loaded and checked against each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from saereport.config.build import BuildConfig
from saereport.pipeline.agreement import check_named, check_together, named_model
from saereport.pipeline.warned import Warned
from saereport.sources.demo import demo_model_dir
from saereport.sources.devices import resolve_dtype
from saereport.sources.folders import SaeFacts
from saereport.sources.model_loading import described, load_model
from saereport.sources.models import LanguageModel
from saereport.sources.placement import placement_of
from saereport.sources.quiet import listening
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.magnitudes import check_magnitudes
from saereport.sources.saes.sae import Sae, wrapper_for
from saereport.sources.saes.source import SaeSource, source_slugs
from saereport.util.progress import Progress


def load_saes(
    config: BuildConfig,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress,
    warned: Warned,
) -> list[Sae]:
    """The SAEs that are asked for, in the model's number format unless another is asked for.

    Raises:
        SaereportError: One cannot be loaded, or its weights are no weights.
    """
    sources = [
        SaeSource(release=sae.release, sae_id=sae.sae_id, path=str(sae.path) if sae.path else None)
        for sae in config.saes
    ]
    dtype = resolve_dtype(config.sae_dtype) if config.sae_dtype else dtype
    loaded = []
    for source, slug in zip(sources, source_slugs(sources), strict=True):
        progress.say(f"Loading the SAE {source.label}")
        sae = load_sae(source, device=device, dtype=dtype, slug=slug)
        check_magnitudes(sae)
        for said in sae.said:
            warned.add(said.text, about=slug, source=said.source, sanity=said.sanity)
        loaded.append(sae)
    return loaded


def load_model_of(
    config: BuildConfig,
    saes: Sequence[Sae],
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress,
    warned: Warned,
) -> LanguageModel:
    """The model that is asked for, else the one that the SAEs' metadata name.

    Raises:
        SaereportError: The SAEs are not of one model, or it cannot be loaded.
    """
    name = config.model or named_model(saes)
    check_together(saes, named=config.model is not None)
    if config.model is not None:
        check_named(config.model, saes, warned)
    first = saes[0]
    placement = placement_of(config.device_map, config.quantize)
    placement.check_model(name)
    progress.say(f"Loading the model {described(name)}")
    if name == "demo":
        demo_model_dir(progress.say)
    if config.trust_remote_code:
        warned.add("Code of the model's repository was allowed to run (--trust-remote-code).")
    with listening() as heard:
        model = load_model(
            name,
            device=device,
            dtype=dtype,
            kwargs=first.model_kwargs,
            wrapper="TransformerBridge"
            if placement
            else wrapper_for(saes, named=config.model is not None),
            trust_remote_code=config.trust_remote_code,
            placement=placement,
        )
    for said in heard:
        warned.add(said.text, source=said.source)
    return model


def facts_of(sae: Sae) -> SaeFacts:
    """What the door knows of an SAE, once it is loaded."""
    return SaeFacts(
        slug=sae.slug,
        d_sae=sae.d_sae,
        hook_in=sae.hook_in,
        hook_out=sae.writes[0] if sae.is_transcoder else None,
        is_transcoder=sae.is_transcoder,
        model_name=sae.model_name,
        d_in=sae.d_in,
        d_out=sae.d_out,
    )
