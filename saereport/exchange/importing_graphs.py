"""Attribution graphs of other tools become a run: prompts and graphs, without a model."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from saereport.exchange.circuit_tracer import LIST_FILE
from saereport.exchange.given import Words
from saereport.exchange.graph_files import ERROR, LATENT, LOGIT, GivenGraph, is_graph, read_graph
from saereport.exchange.limits import DOCUMENT, WORDS
from saereport.exchange.tabulating import Vocabulary
from saereport.run import TABLES, RunInfo, RunWriter, SaeInfo
from saereport.run.labels import label_rows
from saereport.run.schema import ModelInfo, TextInfo
from saereport.util.errors import SaereportError
from saereport.util.files import json_digest, sha256_of
from saereport.util.progress import Progress
from saereport.util.slugs import is_prompt_slug, unique_slugs
from saereport.util.untrusted import content
from saereport.util.version import __version__

FILES = 1_000
NOT_IN_FILES = "a graph's file does not hold it"
SOURCE = "graph file"
_NAME = 120


def graph_files(paths: Sequence[Path]) -> list[Path]:
    """The files of graphs that paths mean; none where they mean something else.

    Raises:
        SaereportError: Graphs and other files are given together, or too many graphs.
    """
    found: list[Path] = []
    others: list[Path] = []
    for path in paths:
        if path.is_dir() and (path / LIST_FILE).is_file():
            found += [
                one
                for one in sorted(path.glob("*.json"))
                if one.is_file() and not one.is_symlink() and is_graph(_read(one), one.name)
            ]
        elif path.is_file() and path.suffix == ".json" and is_graph(_read(path), path.name):
            found.append(path)
        else:
            others.append(path)
    if found and others:
        raise SaereportError(
            f"'{found[0]}' is an attribution graph, and '{others[0]}' is none.",
            "Import graphs by themselves.",
        )
    if len(found) > FILES:
        raise SaereportError(f"There are more than {FILES:,} graphs; that is the limit.")
    return found


def _read(path: Path) -> bytes:
    return content(path, DOCUMENT)


def write_graphs(target: Path, files: Sequence[Path], progress: Progress) -> RunInfo:
    """Write a run with the prompts and the graphs of some files.

    Raises:
        SaereportError: A file is damaged or not understood, or they are of two models.
    """
    graphs = []
    with progress.bar("graphs", len(files), " graphs") as bar:
        for path in files:
            graphs.append(read_graph(_read(path), path.name))
            bar.advance(1)
    models = sorted({graph.metadata.scan.removeprefix("custom-") for graph in graphs})
    if len(models) > 1:
        raise SaereportError(
            f"The graphs are of two models, '{models[0][:80]}' and '{models[1][:80]}'.",
            "Import the graphs of one model at a time.",
        )
    made = _Run(graphs)
    with RunWriter(target) as writer:
        for name, columns in made.tables():
            writer.write(name, columns)
        for own, slug in made.slugs.items():
            rows = made.labels(own)
            if rows["latent"]:
                writer.write("explanations", rows, slug=slug)
        named = [{"name": path.name, "kind": "graph", "sha256": sha256_of(path)} for path in files]
        return writer.finish(made.info(models[0], named))


class _Run:
    """The tables of some graphs."""

    def __init__(self, graphs: Sequence[GivenGraph]) -> None:
        self.graphs = graphs
        words = Words()
        for graph in graphs:
            words.numbers(graph.metadata.prompt_tokens)
            words.numbers([node.word for node in graph.nodes if node.kind == LOGIT])
            if len(words) > WORDS:
                raise SaereportError(f"The graphs have more than {WORDS:,} distinct tokens.")
        self.words, self.vocabulary = words, Vocabulary(words)
        owners = {
            (node.layer, node.sae): None for graph in graphs for node in graph.nodes if node.sae
        }
        self.layers: dict[str, int] = {}
        for layer, name in sorted(owners):
            self.layers.setdefault(name, layer)
        names = list(self.layers)
        self.slugs = dict(zip(names, unique_slugs(names), strict=True))
        self.prompts = unique_slugs(_prompt_name(graph.metadata.slug) for graph in graphs)

    def _tokens(self, texts: Iterable[str]) -> array[int]:
        return array("i", (int(self.vocabulary.ids[n]) for n in self.words.numbers(list(texts))))

    def tables(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The tables of the run."""
        yield "vocabulary", self.vocabulary.columns()
        yield "sequences", {"sequence": [], "tokens": [], "documents": [], "counted": []}
        yield "prompts", _columns(self._prompt(i, graph) for i, graph in enumerate(self.graphs))
        yield "graphs", _columns(self._graph(i, graph) for i, graph in enumerate(self.graphs))
        yield (
            "graph_nodes",
            _columns(row for i, graph in enumerate(self.graphs) for row in self._nodes(i, graph)),
        )
        links = [
            {"prompt": i, "source": source, "target": target, "weight": np.float32(weight)}
            for i, graph in enumerate(self.graphs)
            for source, target, weight in graph.links
        ]
        if links:
            yield "graph_links", _columns(links)
        notes = [
            {"prompt": i, "number": number, "topic": topic, "text": text}
            for i, graph in enumerate(self.graphs)
            for number, (topic, text) in enumerate(sorted(graph.notes.items()))
        ]
        if notes:
            yield "prompt_notes", _columns(notes)

    def _prompt(self, number: int, graph: GivenGraph) -> dict[str, Any]:
        tokens = self._tokens(graph.metadata.prompt_tokens)
        target = next((node.word for node in graph.nodes if node.target), None)
        text = " ".join((graph.metadata.prompt or "".join(graph.metadata.prompt_tokens)).split())
        return {
            "prompt": number,
            "slug": self.prompts[number],
            "name": (text if len(text) <= _NAME else text[: _NAME - 1] + "…")
            or graph.metadata.slug,
            "kind": "text",
            "tokens": tokens,
            "counted": [True] * len(tokens),
            "answer": -1 if target is None else self._tokens([target])[0],
            "answer_note": "",
            "period": 0,
            "first": 0,
        }

    def _graph(self, number: int, graph: GivenGraph) -> dict[str, Any]:
        own = {self.slugs[node.sae] for node in graph.nodes if node.sae}
        pruning = graph.metadata.pruning_settings
        node_share = graph.metadata.node_threshold
        if node_share is None and pruning:
            node_share = pruning.node_threshold
        edge_share = pruning.edge_threshold if pruning else None
        return {
            "prompt": number,
            "saes": [slug for slug in self.slugs.values() if slug in own],
            **dict.fromkeys(("n_active", "n_expanded", "n_nodes_all"), 0),
            "left_out": 0.0,
            "n_nodes": len(graph.nodes),
            "n_links": len(graph.links),
            "node_threshold": _share(node_share),
            "edge_threshold": _share(edge_share),
            **dict.fromkeys(("replacement", "completeness"), 0.0),
            "metric": "",
            **{f"metric_{name}": 0.0 for name in ("model", "inside", "outside", "none")},
        }

    def _nodes(self, number: int, graph: GivenGraph) -> Iterator[dict[str, Any]]:
        n_layers = self.n_layers
        for place, (node, influence) in enumerate(zip(graph.nodes, graph.influences, strict=True)):
            token = -1 if node.kind in (LATENT, ERROR) else self._tokens([node.word])[0]
            latent = node.latent if node.kind in (LATENT, ERROR) else token
            slug = self.slugs[node.sae] if node.sae else ""
            layer = n_layers if node.kind == LOGIT else node.layer
            stem = {LATENT: _stem(slug, layer), ERROR: _stem(slug, layer), LOGIT: f"{layer + 1}_"}
            yield {
                "prompt": number,
                "node": place,
                "id": f"{stem.get(node.kind, 'E_')}{latent}_{node.position}",
                "kind": node.kind,
                "sae": slug,
                "layer": layer,
                "latent": latent,
                "position": node.position,
                "activation": np.float32(node.activation),
                "influence": influence,
                "probability": node.probability,
            }

    @property
    def n_layers(self) -> int:
        """As many as the graphs' nodes tell."""
        return max(
            (n.layer + (n.kind != LOGIT) for graph in self.graphs for n in graph.nodes), default=0
        )

    def labels(self, sae: str) -> dict[str, list[Any]]:
        """The labels that the files give to the latents of an SAE."""
        found: dict[int, dict[tuple[str, str], None]] = {}
        for graph in self.graphs:
            for node in graph.nodes:
                if node.sae == sae and node.kind == LATENT and node.label:
                    found.setdefault(node.latent, {})[node.label, SOURCE] = None
        return label_rows({i: list(own) for i, own in found.items()}, sorted(found))

    def info(self, model: str, files: list[dict[str, str]]) -> RunInfo:
        """What `run.json` says."""
        many = f"{len(self.graphs)} attribution graphs"
        what = self.prompts[0] if len(self.graphs) == 1 else many
        space = self.vocabulary.mark or "as it is"
        nothing = dict.fromkeys(
            ("n_layers", "d_model", "n_heads", "n_kv_heads", "d_head", "d_vocab", "n_ctx"), 0
        )
        return RunInfo(
            saereport_version=__version__,
            fingerprint=json_digest(["graphs", __version__, [file["sha256"] for file in files]]),
            title=f"{model}: {what}" if model else what,
            config={"imported": {"files": files, "space": space}},
            model=ModelInfo(
                name=model,
                wrapper="",
                norm="",
                final_norm="",
                dtype="",
                **nothing,
            ),
            text=TextInfo(
                name="",
                source={"given": "by the imported files"},
                **dict.fromkeys(("context_size", "n_sequences", "n_tokens"), 0),
                **dict.fromkeys(("n_counted", "n_documents"), 0),
                prepend_bos=False,
                include_special=False,
                digest=json_digest(["no text"]),
            ),
            saes=tuple(self._sae(name, model) for name in self.slugs),
            tables={},
            libraries={},
        )

    def _sae(self, name: str, model: str) -> SaeInfo:
        own = [table.name for table in TABLES.values() if table.scope == "sae" and not table.plugin]
        layer = self.layers[name]
        sets = {
            found
            for graph in self.graphs
            if (details := graph.metadata.feature_details)
            and (
                found := details.neuronpedia_lorsa_source_set
                if name.startswith("lorsa-l")
                else details.neuronpedia_source_set
            )
        }
        latents = [
            n for graph in self.graphs for n in graph.nodes if n.sae == name and n.kind == LATENT
        ]
        known = model and len(sets) == 1 and all(node.listed for node in latents)
        published = f"{model}/{layer}-{sets.pop()}" if known else ""
        return SaeInfo(
            slug=self.slugs[name],
            label=name,
            release="",
            sae_id="",
            architecture="",
            hook_in="",
            hook_out="",
            layer=layer,
            kind="",
            kind_out="",
            d_in=0,
            d_sae=0,
            d_out=0,
            neuronpedia_id=published,
            metadata={"imported": {"layer": layer}},
            weights=json_digest(["name of an SAE", model, name]),
            n_chosen=0,
            selection="none: the imported files are graphs",
            left_out={table: NOT_IN_FILES for table in own if table != "explanations"},
        )


def _prompt_name(slug: str) -> str:
    """A prompt's name in addresses: none that a report's own pages have."""
    plain = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-")[:80].rstrip("-") or "prompt"
    return plain if is_prompt_slug(plain) else f"{plain}-prompt"


def _stem(slug: str, layer: int) -> str:
    return f"{layer}_" if slug in ("", f"transcoder-l{layer}") else f"{slug}:"


def _share(value: float | None) -> float:
    return 1.0 if value is None else min(1.0, max(0.0, value))


def _columns(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    made = list(rows)
    return {name: [row[name] for row in made] for name in made[0]}
