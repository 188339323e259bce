"""Everything that is computed on one prompt, as the tables of a run.

What cannot be computed is noted with its reason, and the rest is computed all the same: a dead
SAE, a pair in the wrong order, a graph without transcoders are facts about a prompt, not errors
of the build.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saereport.circuits.attribution.latents import prompt_attributions
from saereport.circuits.gradients.interventions import ablation_effects
from saereport.circuits.gradients.maps import (
    GradientMap,
    MapLimits,
    latents_to_latents,
    latents_to_logits,
    spliced_logits,
    tokens_to_latents,
    true_activations,
)
from saereport.circuits.gradients.rows import (
    KeptPairs,
    check_rows,
    gradient_rows,
    kept_pairs,
    limit_note,
    map_row,
    pairs_to_check,
)
from saereport.circuits.graph.building import GraphSettings, build_graph, graph_tables
from saereport.circuits.prompt_tables import (
    TRUE,
    activations,
    active_throughout,
    answers,
    induction_latents,
    joined,
    next_tokens,
    second_half,
    top_tokens,
)
from saereport.circuits.prompts import Note, PromptTokens, shown
from saereport.measure import Columns
from saereport.sources.devices import is_out_of_memory
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from saereport.util.errors import SaereportError
from saereport.util.progress import Progress

TOKENS = ""
"""What the tokens are called where an earlier SAE is named."""

LOGITS = ""
"""What the logits are called where a later SAE is named."""

MOST_LOGITS = 1000
"""Logits that latents are traced to at most: a whole vocabulary of them would fill the memory."""

OUT_OF_MEMORY = "Memory ran out. Use a shorter prompt, or a device with more memory."


@dataclass(frozen=True)
class CircuitSettings:
    """How circuits are computed: see `config.CircuitsConfig`.

    Attributes:
        top_logits: Logits that latents are traced to.
        pairs_kept: Gradients stored for each pair of places.
        limits: Active latents used, and memory for batched derivatives.
        checks: Pairs checked by intervention, for each pair of places.
        attributed: Active latents of each SAE that are decomposed.
        influences: Influences listed for each of them.
        graph: How attribution graphs are made.
        graph_saes: SAEs that take part in them; the MLP transcoders where None.
    """

    top_logits: int
    pairs_kept: int
    limits: MapLimits
    checks: int
    attributed: int
    influences: int
    graph: GraphSettings
    graph_saes: tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class Subject:
    """What circuits are computed in.

    Attributes:
        model: The language model.
        saes: Its SAEs by name, in layer order.
        chosen: The latents of each that the report shows, ascending.
    """

    model: LanguageModel
    saes: Mapping[str, Sae]
    chosen: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class PromptTask:
    """One prompt, and what was asked for on it.

    Attributes:
        prompt: The prompt.
        saes: SAEs to use, by name; those of `pairs`, or else all, where there are none.
        pairs: Pairs (earlier, later) to take gradients between; all where None.
        graph: Whether to make an attribution graph.
    """

    prompt: PromptTokens
    saes: tuple[str, ...] | None = None
    pairs: tuple[tuple[str, str], ...] | None = None
    graph: bool = False


def in_layer_order(saes: Mapping[str, Sae]) -> dict[str, Sae]:
    """SAEs in the order in which a forward pass reaches where they read."""
    return dict(sorted(saes.items(), key=lambda item: (item[1].hook_in.depth, item[0])))


def writes_before(early: Sae, late: Sae) -> bool:
    """Whether one SAE, of which it is known what it writes, does so before another one reads.

    Of the other one it must be known what its latents read.
    """
    known = not early.why_no_decoder and not late.why_no_reads
    return known and early.writes[0].depth < late.hook_in.depth


def pairs_in_order(saes: Mapping[str, Sae]) -> list[tuple[str, str]]:
    """Every pair of SAEs of which the first writes before the second reads, in layer order."""
    return [(a, b) for a in saes for b in saes if writes_before(saes[a], saes[b])]


@dataclass(frozen=True)
class Step:
    """One thing that is done on a prompt.

    Attributes:
        kind: What it is; steps of a kind take time with their size.
        run: Does it. `model` comes first and is needed by all others.
        size: How much there is to do, once the model has run.
    """

    kind: str
    run: Callable[[], None]
    size: Callable[[], float] = field(default=lambda: 1.0)


def steps_on(subject: Subject, task: PromptTask, settings: CircuitSettings) -> list[Step]:
    """What is done on a prompt, to be tried; what comes of it is thrown away."""
    return [] if task.prompt.problem else _Work(subject, task, settings).steps()


def collect_prompt(
    subject: Subject, task: PromptTask, settings: CircuitSettings, progress: Progress
) -> dict[str, Columns]:
    """Compute everything that is asked for on one prompt.

    Args:
        subject: Model and SAEs.
        task: The prompt.
        settings: How.
        progress: Counts the steps.

    Returns:
        Tables of a run by name, each with its column `prompt`. `prompts` has one row, and
        `prompt_notes` says what is missing from the others.
    """
    prompt = task.prompt
    work = _Work(subject, task, settings)
    if not prompt.problem:
        steps = work.steps()
        title = f"Circuits on '{shown(prompt.name, 32)}'"
        # What every other step needs is run first: without it, none of them is.
        with progress.bar(title, len(steps), "step") as bar, work.noting("prompt"):
            for step in steps:
                step.run()
                bar.advance(1)
    work.add("prompts", _prompt_row(prompt))
    notes = [*prompt.notes, *work.notes]
    work.add(
        "prompt_notes",
        {
            "number": list(range(len(notes))),
            "topic": [note.topic for note in notes],
            "text": [note.text for note in notes],
        },
    )
    tables = {}
    for name, parts in work.parts.items():
        columns = joined(parts)
        n_rows = len(next(iter(columns.values())))
        if n_rows:
            tables[name] = {**columns, "prompt": [prompt.number] * n_rows}
    return tables


def _prompt_row(prompt: PromptTokens) -> dict[str, list[Any]]:
    row = {
        "slug": prompt.slug,
        "name": prompt.name,
        "kind": prompt.kind,
        "tokens": list(prompt.tokens),
        "counted": list(prompt.counted),
        "answer": prompt.answer,
        "answer_note": prompt.answer_note,
        "period": prompt.period,
        "first": prompt.first,
    }
    return {name: [value] for name, value in row.items()}


@dataclass
class _Work:
    """The tables of one prompt in the making."""

    subject: Subject
    task: PromptTask
    settings: CircuitSettings
    parts: dict[str, list[Columns]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def __post_init__(self) -> None:
        subject, task = self.subject, self.task
        named = set(task.saes or ()) | {slug for pair in task.pairs or () for slug in pair}
        self.saes = {slug: sae for slug, sae in subject.saes.items() if slug in named or not named}
        device = subject.model.device
        self.tokens = torch.tensor(task.prompt.tokens, dtype=torch.int64, device=device)
        self.counted = torch.tensor(task.prompt.counted, dtype=torch.bool, device=device)
        self.repeated = second_half(task.prompt, self.counted)
        self.acts: dict[str, Tensor] = {}
        self.targets = torch.zeros(0, dtype=torch.int64, device=device)

    def add(self, name: str, columns: Columns) -> None:
        """Put rows at the end of a table."""
        self.parts.setdefault(name, []).append(columns)

    def steps(self) -> list[Step]:
        """What is to be done, in order: maps from the tokens on to the logits."""
        if self.task.pairs is None:
            pairs = pairs_in_order(self.saes)
        else:
            pairs = list(dict.fromkeys(self.task.pairs))
        whole = [slug for slug, sae in self.saes.items() if not sae.part_of]
        found = [Step("model", self.run_model)]
        found += [Step("predict", partial(self.predict, slug)) for slug in whole]
        found += [
            Step("tokens", partial(self.from_tokens, slug), partial(self._derivatives, slug))
            for slug in self.saes
        ]
        found += [
            Step("pairs", partial(self.between, early, late), partial(self._derivatives, late))
            for early, late in pairs
        ]
        found += [Step("logits", partial(self.to_logits, slug)) for slug in self.saes]
        found.append(Step("attribution", self.attribute))
        if self.task.graph:
            found.append(Step("graph", self.make_graph, self._active_in_graph))
        return found

    def _derivatives(self, slug: str) -> float:
        """Derivatives that a map to an SAE's latents takes."""
        active, most = int((self.acts[slug][self.counted] > 0).sum()), self.settings.limits.outputs
        return active if most is None else min(active, most)

    def _active_in_graph(self) -> float:
        """Latents of a graph whose inputs are computed."""
        active = sum(
            int((self.acts[slug] > 0).sum()) for slug in self._graph_slugs() if slug in self.acts
        )
        return min(active, self.settings.graph.max_latents)

    def _graph_slugs(self) -> list[str]:
        names = self.settings.graph_saes
        return [
            slug
            for slug, sae in self.subject.saes.items()
            if (slug in names if names is not None else sae.is_transcoder)
        ]

    def run_model(self) -> None:
        """The true run: activations, next tokens, what is active throughout a repetition."""
        model, prompt = self.subject.model, self.task.prompt
        self.acts = true_activations(model, list(self.saes.values()), self.tokens)
        parts = {sae.part_of: sae for sae in self.saes.values() if sae.part_of}
        for sae in parts.values():
            topic = "cross-layer transcoder spliced in"
            self.notes.append(Note(topic, f"No layer of it is spliced in: {sae.why_not_alone}."))
        for slug, f in self.acts.items():
            if not bool((f[self.counted] > 0).any()):
                self.notes.append(
                    Note(slug, "Dead on this prompt: none of its latents is active on it.")
                )
        self.add("prompt_activations", activations(self.acts, self.subject.chosen, self.counted))
        self.add("induction_latents", induction_latents(self.acts, self.repeated))
        logits = spliced_logits(model, None, self.tokens, self.counted)
        self._predictions(TRUE, logits)
        self.targets = top_tokens(logits, self._n_logits(len(logits)))
        if prompt.answer >= 0 and not bool((self.targets == prompt.answer).any()):
            answer = torch.tensor([prompt.answer], device=self.targets.device)
            self.targets = torch.cat([self.targets, answer])

    def _n_logits(self, n_vocab: int) -> int:
        """How many logits latents are traced to; notes it where they are fewer than asked for."""
        wanted = self.settings.top_logits
        found = min(wanted, n_vocab, MOST_LOGITS)
        if found < wanted:
            used = "all of them" if found == n_vocab else f"the {found:,} most likely, the limit,"
            self.notes.append(
                Note(
                    "logits",
                    f"{wanted:,} logits were asked for, and the vocabulary has {n_vocab:,} tokens: "
                    f"{used} are used.",
                )
            )
        return found

    def predict(self, slug: str) -> None:
        """Next tokens with one SAE's reconstruction spliced in."""
        with self.noting(f"{slug} spliced in"):
            logits = spliced_logits(self.subject.model, self.saes[slug], self.tokens, self.counted)
            self._predictions(slug, logits)

    def _predictions(self, splice: str, logits: Tensor) -> None:
        self.add("prompt_next", next_tokens({splice: logits}))
        self.add("prompt_answers", answers({splice: logits}, self.task.prompt.answer))

    def from_tokens(self, slug: str) -> None:
        """Gradients from the tokens to an SAE's latents."""
        if self._alive(slug):
            with self.noting(f"tokens to {slug}"):
                found = tokens_to_latents(
                    self.subject.model,
                    self.saes[slug],
                    self.tokens,
                    self.counted,
                    self.settings.limits,
                )
                self._keep(TOKENS, slug, found)

    def between(self, early: str, late: str) -> None:
        """Gradients from one SAE's latents to a later one's, the strongest of them checked."""
        if self._alive(early) and self._alive(late):
            with self.noting(f"{early} to {late}"):
                found = latents_to_latents(
                    self.subject.model,
                    self.saes[early],
                    self.saes[late],
                    self.tokens,
                    self.counted,
                    self.settings.limits,
                )
                self._check(early, late, found, self._keep(early, late, found))

    def to_logits(self, slug: str) -> None:
        """Gradients from an SAE's latents to the likeliest logits, the strongest checked."""
        if self._alive(slug):
            with self.noting(f"{slug} to logits"):
                found = latents_to_logits(
                    self.subject.model,
                    self.saes[slug],
                    self.tokens,
                    self.counted,
                    self.targets.tolist(),
                    self.settings.limits,
                )
                self._check(slug, LOGITS, found, self._keep(slug, LOGITS, found))

    def _alive(self, slug: str) -> bool:
        return bool((self.acts[slug][self.counted] > 0).any())

    def _keep(self, early: str, late: str, found: GradientMap) -> KeptPairs:
        block = None
        if late != LOGITS and bool(self.repeated.any()):
            throughout = active_throughout(self.acts[late], self.repeated)
            block = self.repeated[found.late.positions] & torch.isin(found.late.latents, throughout)
        kept = kept_pairs(found.values, self.settings.pairs_kept, block)
        self.add("gradient_maps", map_row(early, late, found, kept))
        self.add("gradients", gradient_rows(early, late, found, kept))
        note = limit_note(found)
        if note:
            self.notes.append(Note(f"{early or 'tokens'} to {late or 'logits'}", note))
        return kept

    def _check(self, early: str, late: str, found: GradientMap, kept: KeptPairs) -> None:
        pairs = pairs_to_check(found, kept, self.settings.checks)
        if not len(pairs):
            return
        measured = ablation_effects(
            self.subject.model,
            self.saes[early],
            self.saes[late] if late != LOGITS else None,
            self.tokens,
            self.counted,
            pairs,
        )
        self.add("gradient_checks", check_rows(early, late, found, kept, measured))

    def attribute(self) -> None:
        """What the strongest latents are made of: heads, components, earlier latents."""
        if self.settings.attributed:
            with self.noting("attribution"):
                tables = prompt_attributions(
                    self.subject.model,
                    list(self.saes.values()),
                    self.tokens,
                    self.counted,
                    self.acts,
                    attributed=self.settings.attributed,
                    influences=self.settings.influences,
                )
                for name, columns in tables.items():
                    self.add(name, columns)

    def make_graph(self) -> None:
        """The attribution graph."""
        part = [self.subject.saes[slug] for slug in self._graph_slugs()]
        with self.noting("graph"):
            if not part:
                raise SaereportError(
                    "An attribution graph needs MLP transcoders, and the report has none.",
                    "Name the SAEs that are to take part in circuits.graph.saes.",
                )
            graph = build_graph(
                self.subject.model, part, self.tokens, self.counted, self.settings.graph
            )
            for name, columns in graph_tables(graph).items():
                self.add(name, columns)
            self.notes += [
                Note("graph", f"The SAE {slug} takes no part: {reason}")
                for slug, reason in graph.refused.items()
            ]

    @contextmanager
    def noting(self, topic: str) -> Iterator[None]:
        """Note an error that is about this prompt, or memory that it does not fit in; go on."""
        try:
            yield
        except SaereportError as error:
            self.notes.append(Note(topic, str(error)))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.notes.append(Note(topic, OUT_OF_MEMORY))
