"""One SAE of a family, tried from its release's name to the pages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from saereport.pipeline import loading
from saereport.pipeline.build import collect
from saereport.report.rendering import render
from saereport.run import Run, open_run
from saereport.sources.model_loading import load_model
from saereport.sources.models import LanguageModel
from saereport.sources.saes.families import STEPS, Family
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.families import save_family
from tests.sources.formats import CONTEXT, Site, files_of, sizes
from tests.sources.stand_in import Hub

LINES = (
    (r"gpt-oss", "gpt_oss"),
    (r"gpt2", "gpt2"),
    (r"pythia", "gpt_neox"),
    (r"gemma-3", "gemma3"),
    (r"gemma-2-", "gemma2"),
    (r"gemma-2b", "gemma"),
    (r"mistral", "mistral"),
    (r"llama", "llama"),
    (r"qwen3\.5.*-a\d+b", "qwen3_5_moe"),
    (r"qwen3\.5", "qwen3_5"),
    (r"qwen3.*-a\d+b", "qwen3_moe"),
    (r"qwen3", "qwen3"),
    (r"qwen2", "qwen2"),
)
"""Models by their names, and the tiny one of `tests.families` that stands in for each."""

TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind. "


class Trials:
    """A hub with the SAEs of all families, and tiny models.

    Args:
        hub: The hub that the libraries ask.
        folder: An empty folder.
    """

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub = hub
        self._folder = folder
        self._models: dict[tuple[str, int, str], LanguageModel] = {}
        self.text = folder / "text.txt"
        self.text.write_text("\n\n".join(TEXT * 3 for _ in range(6)), encoding="utf-8")

    def serve(self, family: Family) -> Site:
        """Put the files of a family's SAE on the hub, under their real names."""
        from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

        entry = get_pretrained_saes_directory()[family.release]
        layer = layer_of(family)
        config = json.loads(
            (self._saved(_line(entry.model), layer + 2) / "config.json").read_text()
        )
        width = config.get("hidden_size") or config["n_embd"]
        if family.place.endswith("hook_z"):
            heads = config.get("num_attention_heads") or config["n_head"]
            width = heads * config.get("head_dim", width // heads)
        site = Site(family, entry, entry.model, layer, width)
        self.hub.repos[entry.repo_id] = files_of(site)
        return site

    def _saved(self, line: str, n_layers: int) -> Path:
        """The folder of a tiny model of a depth."""
        place = self._folder / f"{line}-{n_layers}"
        if not place.is_dir():
            depth = {"gpt2": "n_layer"}.get(line, "num_hidden_layers")
            save_family(place, line, **{depth: n_layers})
        return place

    def _model(self, line: str, n_layers: int, kwargs: dict[str, Any]) -> LanguageModel:
        """A tiny model of a depth, loaded as an SAE asks for it."""
        key = (line, n_layers, str(sorted(kwargs.items())))
        if key not in self._models:
            self._models[key] = load_model(self._saved(line, n_layers), kwargs=kwargs)
        return self._models[key]

    @contextmanager
    def served(self, family: Family) -> Iterator[Site]:
        """Have a family's SAE on the hub; loaders with tables of sizes are told the tiny ones."""
        from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

        site = self.serve(family)
        overrides = {**(site.entry.config_overrides or {}), **sizes(site)}
        told = replace(site.entry, config_overrides=overrides)
        with patch.dict(get_pretrained_saes_directory(), {family.release: told}):
            yield site

    def attempt(self, family: Family) -> dict[str, Any]:
        """Load an SAE, collect, render, and draw a prompt.

        Returns:
            A row of `families.json`.
        """
        with self.served(family) as site:
            try:
                sae = load_sae(SaeSource(family.release, family.sae_id))
            except SaereportError as error:
                return _nothing(str(error).replace(f" {family.release} / {family.sae_id}", ""))
            return self._report(family, site, sae)

    def _report(self, family: Family, site: Site, sae: Sae) -> dict[str, Any]:
        line = _line(site.model)

        def tiny(_: str, *, kwargs: dict[str, Any], **__: Any) -> LanguageModel:
            return self._model(line, site.layer + 2, kwargs)

        out = self._folder / "out" / family.slug
        ids = [family.sae_id]
        if sae.part_of is not None:  # its layers are of use together
            ids = [f"layer_{layer}" for layer in range(sae.part_of.n_layers)]
        config = {
            "saes": [{"release": family.release, "sae_id": sae_id} for sae_id in ids],
            "model": site.model if sae.model_doubt else None,
            "dataset": str(self.text),
            "latents": "0-7",
            "tokens": 256,
            "context_size": CONTEXT,
            "batch_size": 8,
            "device": "cpu",
            "evaluate": 64,
            "prompts": [{"text": "The quick brown fox", "graph": True}],
            "circuits": {"examples": 0, "checks": 2, "graph": {"checks": 2}},
        }
        if sae.part_of is None:
            config["circuits"]["graph"]["saes"] = [sae.slug]
        found = _Row(sae.neuronpedia_id or "")
        if not sae.neuronpedia_id:
            found.lacks("link", _why_no_link(sae))
        if sae.model_doubt:
            found.lacks("loads", f"{sae.model_doubt} Name it with --model.", "with --model")
        with patch.object(loading, "load_model", tiny):
            try:
                run = open_run(collect(config, out / "run"))
            except SaereportError as error:
                for step in STEPS[1:-1]:
                    found.lacks(step, _plain(str(error), sae.slug))
                return found.as_json
        render(out / "run", out / "report")
        _of_run(run, sae.slug, found)
        return found.as_json


class _Row:
    """A row of `families.json` in the making."""

    def __init__(self, link: str) -> None:
        self._had = dict.fromkeys(STEPS, "yes")
        self._why: dict[str, str] = {}
        self._link = link

    def lacks(self, step: str, why: str, had: str = "no") -> None:
        """Say that something is missing."""
        self._had[step], self._why[step] = had, why

    @property
    def as_json(self) -> dict[str, Any]:
        """The row."""
        return {"had": self._had, "link": self._link, "why": self._why}


def _of_run(run: Run, slug: str, found: _Row) -> None:
    """What a run has of a prompt and of the text, and what it notes about the rest."""
    notes = run.table("prompt_notes").to_pylist() if run.has("prompt_notes") else []
    if not run.table("activity", slug)["n_active"].to_numpy().any():
        found.lacks("statistics", "No latent was active.")
    slugs = "|".join(sae.slug for sae in run.info.saes)
    others = [_plain(note["text"], slugs) for note in notes if note["topic"] != "graph"]
    if others:
        there = run.has("gradient_maps")
        found.lacks("circuits", " ".join(dict.fromkeys(others)), "in part" if there else "no")
    if graph := [_plain(note["text"], slugs) for note in notes if note["topic"] == "graph"]:
        found.lacks("graph", " ".join(graph))


def _plain(text: str, slugs: str) -> str:
    """A note as it would be about any SAE of the family, `slugs` a pattern of their names."""
    for pattern in (
        r"No SAE can take part .* \(\S+: (.+)\)\. Add .*",
        r"Nothing .* (?:write|read): (.+)\.",
    ):
        if match := re.fullmatch(pattern, text):
            return f"{match[1][0].upper()}{match[1][1:]}."
    text = re.sub(r"(?<=Transformer)(\w+) \d+\.[\d.]*\d", r"\1", text)
    text = re.sub(r"The model '[^']+'", "Its model", re.sub(slugs, "the SAE", text))
    text = re.sub(r" \(off by [\d.]+%\)", "", text)
    return re.sub(r" of \w+-\d+ is not", " is not", text)


def _nothing(why: str) -> dict[str, Any]:
    row = _Row("")
    for step in STEPS:
        row.lacks(step, why)
    return row.as_json


def _why_no_link(sae: Sae) -> str:
    said = [said.text for said in sae.said if "Neuronpedia" in said.text]
    return said[0] if said else "SAELens's directory names no Neuronpedia id."


def _line(model: str) -> str:
    return next(line for pattern, line in LINES if re.search(pattern, model.lower()))


def layer_of(family: Family) -> int:
    """The layer that a family's SAE reads at, by its id."""
    found = re.search(r"layer_?(\d+)|blocks\.(\d+)|^l(\d+)[rma]", family.sae_id)
    return int(found[found.lastindex or 0]) if found else 0
