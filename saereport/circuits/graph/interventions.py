"""What the links and the latents of an attribution graph do in the true model.

Links are linear predictions, with attention, norms and gates held fixed. Here a latent is set to
zero in the true model, its SAE's error kept as it was, and what the link leads to is measured;
and all latents outside a graph, or inside it, are set to zero at once.

A cross-layer transcoder's latents stand for what several MLPs do together. Where one takes part,
these MLPs are replaced in every such run: by its latents, computed anew from what the change
leaves, and the errors of the true run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.circuits.graph.effects import Effects
from saereport.circuits.graph.parts import GraphPart, GraphSite
from saereport.circuits.graph.scene import GraphSettings, Scene
from saereport.circuits.graph.scores import LATENT, Floats, Pruned, total_effects
from saereport.sources.devices import float64_of
from saereport.sources.forward import Edit, forward
from saereport.sources.models import LanguageModel


@dataclass(frozen=True, eq=False)
class Checks:
    """Links from latents, checked; `[n]` each, the strongest first.

    Attributes:
        sources: Nodes.
        targets: Nodes.
        direct: The link.
        predicted: Minus the linear effect of the source over all paths of the graph.
        measured: What setting the source to zero in the true model does to the target.
    """

    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    direct: Floats
    predicted: Floats
    measured: Floats


@dataclass(frozen=True)
class GraphMetric:
    """A number of the true model with and without the graph's latents.

    Attributes:
        words: What the number is.
        model: With all latents.
        inside: With the graph's latents only.
        outside: With all others only.
        none: With none.
    """

    words: str
    model: float
    inside: float
    outside: float
    none: float


def check_links(
    model: LanguageModel, scene: Scene, effects: Effects, pruned: Pruned, settings: GraphSettings
) -> Checks:
    """Check the strongest links from latents, those into latents and those into logits in turn.

    Args:
        model: The language model.
        scene: The run and its SAEs.
        effects: All direct effects.
        pruned: What was kept of them.
        settings: How many links, and how much memory.
    """
    links = pruned.links.tocoo()
    from_latents = effects.nodes.kinds[links.col] == LATENT
    row, col, data = (x[from_latents] for x in (links.row, links.col, links.data))
    order = np.lexsort((col, row, -np.abs(data)))
    # Logits and pre-activations are on different scales: half of the checks are for each.
    to_latents = effects.nodes.kinds[row[order]] == LATENT
    place = np.where(to_latents, np.cumsum(to_latents), np.cumsum(~to_latents))
    order = order[np.sort(np.argsort(place, kind="stable")[: settings.checks])]
    sources, targets = col[order].astype(np.int64), row[order].astype(np.int64)
    predicted, measured = np.zeros(len(order)), np.zeros(len(order))
    distinct = np.unique(sources)
    # Logits of all positions are what a pass holds most of; a second copy is made of them.
    wide = [part.sae.d_sae for part in scene.parts if part.sae.part_of]
    width = model.d_vocab + max(wide, default=0)
    batch = max(1, settings.memory // (2 * len(scene.run.tokens) * width * 4))
    for source in distinct:
        total = total_effects(effects.weights, effects.nodes.activations, int(source))
        predicted[sources == source] = -total[targets[sources == source]]
    wanted = np.unique(targets)
    for start in range(0, len(distinct), batch):
        chunk = distinct[start : start + batch]
        values = _without(model, scene, effects, chunk, wanted)
        for k, source in enumerate(chunk):
            here = sources == source
            measured[here] = values[k, np.searchsorted(wanted, targets[here])]
    return Checks(sources, targets, data[order].astype(np.float64), predicted, measured)


def _without(
    model: LanguageModel,
    scene: Scene,
    effects: Effects,
    sources: NDArray[np.int64],
    targets: NDArray[np.int64],
) -> Floats:
    """Change of targets when each source alone is set to zero, `[n_sources, n_targets]`."""
    nodes = effects.nodes
    edits = _edits_without(scene, effects, sources)
    reads = dict.fromkeys(part.sae.hook_in.name for part in scene.parts)
    prompts = scene.run.tokens.expand(len(sources), -1)
    with torch.no_grad():
        after = forward(model, prompts, edits=edits, reads=list(reads), logits="last")
    assert after.logits is not None
    logits = after.logits[:, -1] - after.logits[:, -1].mean(dim=-1, keepdim=True)
    result = np.zeros((len(sources), len(targets)))
    for k, target in enumerate(targets):
        if nodes.kinds[target] == LATENT:
            part = scene.parts[nodes.parts[target]]
            now = after.acts[part.sae.hook_in.name]
            change = _pre_activation_change(
                part, now, int(nodes.positions[target]), int(nodes.latents[target])
            )
        else:
            place = int(target) - (len(nodes) - len(scene.logits.tokens))
            change = logits[:, scene.logits.tokens[place]] - scene.logits.values[place]
        result[:, k] = float64_of(change).cpu().numpy()
    return result


def _edits_without(scene: Scene, effects: Effects, sources: NDArray[np.int64]) -> dict[str, Edit]:
    """What is done to a batch of runs so that each lacks one latent."""
    nodes = effects.nodes
    firsts = np.cumsum([0, *(len(part.active) for part in scene.parts)])
    edits: dict[str, Edit] = {}
    changes: dict[int, Edit] = {}
    for number, part in enumerate(scene.parts):
        rows = np.flatnonzero(nodes.parts[sources] == number)
        chosen = sources[rows]
        if part.sae.part_of is not None:
            changes[number] = _zero_at(rows, nodes.positions[chosen], nodes.latents[chosen])
        elif len(rows):
            vectors = part.writes[0][chosen - firsts[number]]
            edits[part.sae.write_point.name] = _minus(rows, nodes.positions[chosen], vectors)
    _anew(edits, scene, changes)
    return edits


def _zero_at(
    rows: NDArray[np.int64], positions: NDArray[np.int64], latents: NDArray[np.int64]
) -> Edit:
    """Sets one latent of some runs to zero in activations `[batch, pos, d_sae]`."""

    def edit(f: Tensor) -> Tensor:
        changed = f.clone()
        changed[torch.from_numpy(rows), torch.from_numpy(positions), torch.from_numpy(latents)] = 0
        return changed

    return edit


def _minus(rows: NDArray[np.int64], positions: NDArray[np.int64], vectors: Tensor) -> Edit:
    """Takes a vector away at one position of each of some prompts."""

    def edit(a: Tensor) -> Tensor:
        changed = a.clone()
        changed[torch.from_numpy(rows), torch.from_numpy(positions)] -= vectors
        return changed

    return edit


def _pre_activation_change(part: GraphPart, now: Tensor, position: int, latent: int) -> Tensor:
    """By how much a latent's pre-activation differs from the true run, `[batch]`.

    Args:
        part: The latent's SAE.
        now: What it reads now, `[batch, pos, d_in]`.
        position: The token position.
        latent: The latent.
    """
    rows = torch.cat([part.inputs[position][None], now[:, position]])
    along = torch.arange(len(rows), device=rows.device)
    found = part.sae.pre_activations(rows, torch.full_like(along, latent))
    return found[1:] - found[0]


def measure_metric(
    model: LanguageModel, scene: Scene, effects: Effects, pruned: Pruned
) -> GraphMetric:
    """The most likely token's logit with the latents inside, outside, and none at all.

    Latents are computed anew on the way, from what the earlier changes leave, and errors stay as
    they were in the true run; positions that do not count are left alone.

    Args:
        model: The language model.
        scene: The run and its SAEs.
        effects: The nodes.
        pruned: Which of them are in the graph.
    """
    nodes = effects.nodes
    changes: dict[int, Edit] = {}
    for number, part in enumerate(scene.parts):
        of_part = (nodes.kinds == LATENT) & (nodes.parts == number)
        kept = np.flatnonzero(of_part & pruned.nodes)
        table = np.zeros((len(scene.run.tokens), part.sae.d_sae), dtype=bool)
        table[nodes.positions[kept], nodes.latents[kept]] = True
        inside = torch.from_numpy(table).to(scene.run.final.device)
        changes[number] = _keeping(torch.stack([inside, ~inside, torch.zeros_like(inside)]))
    edits: dict[str, Edit] = {}
    _anew(edits, scene, changes)
    prompts = scene.run.tokens.expand(3, -1)
    with torch.no_grad():
        logits = forward(model, prompts, edits=edits, logits="last").logits
    assert logits is not None
    last = logits[:, -1]
    values = last[:, scene.logits.tokens[0]] - last.mean(dim=-1)
    with_inside, outside, none = values.tolist()
    return GraphMetric(
        words="logit of the most likely token, less the mean logit",
        model=float(scene.logits.values[0]),
        inside=with_inside,
        outside=outside,
        none=none,
    )


def _then(edits: dict[str, Edit], name: str, edit: Edit) -> None:
    """Add an edit after those that are there already."""
    before = edits.get(name)
    edits[name] = edit if before is None else lambda a: edit(before(a))


def _keeping(stays: Tensor) -> Edit:
    """Keeps some latents, bool `[batch, pos, d_sae]`, and sets the others to zero."""
    return lambda f: f * stays


def _anew(edits: dict[str, Edit], scene: Scene, changes: dict[int, Edit]) -> None:
    """Add edits that put parts' latents, computed anew and changed, in place, plus true errors.

    Args:
        edits: Takes the edits.
        scene: The run and its SAEs.
        changes: What is done to the latents `[batch, pos, d_sae]` of the parts, by number; sites
            that other parts explain are left alone.
    """
    made = {number: _Anew(scene.parts[number], change) for number, change in changes.items()}
    for site in scene.sites:
        if site.owner in made:
            writers = [(made[term], place) for term, place in site.terms]
            for writer, place in writers:
                if place == 0:
                    _then(edits, writer.part.sae.hook_in.name, writer.see)
            _then(edits, site.hook.name, _put(site, writers, made[site.owner]))


class _Anew:
    """A part's latents as a changed run has them.

    Args:
        part: The part.
        change: What is done to its activations.
    """

    def __init__(self, part: GraphPart, change: Edit) -> None:
        self.part = part
        self.inputs = part.inputs
        self._change = change
        self._columns: tuple[Tensor, Tensor] | None = None

    def see(self, a: Tensor) -> Tensor:
        """An edit where it reads, which changes nothing."""
        self.inputs, self._columns = a, None
        return a

    def activations(self) -> Tensor:
        """Its activations, changed, `[batch, pos, d_sae]`; only active ones are kept."""
        sae = self.part.sae
        if self._columns is None:
            f = self._change(sae.encode(self.inputs))
            if len(sae.writes) == 1:
                return f
            active = f.flatten(0, -2).any(dim=0).nonzero()[:, 0]
            self._columns = active, f[..., active]
            return f
        active, values = self._columns
        whole = values.new_zeros((*values.shape[:-1], sae.d_sae))
        whole[..., active] = values
        return whole


def _put(site: GraphSite, writers: Sequence[tuple[_Anew, int]], owner: _Anew) -> Edit:
    """Puts what latents make, plus the true error, at a site; where positions count."""

    def edit(true: Tensor) -> Tensor:
        total: Tensor | None = None
        for writer, place in writers:
            f = writer.activations()
            made = writer.part.sae.decode(f, writer.inputs, place).to(true.dtype)
            total = made if total is None else total + made
        assert total is not None
        if site.skip is not None:
            total = total + owner.inputs @ site.skip.T
        return torch.where(site.counted[:, None], total + site.error, true)

    return edit
