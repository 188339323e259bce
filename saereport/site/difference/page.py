"""What the page of a comparison shows, as plain values for its template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from saereport.diff.metrics import METRICS
from saereport.diff.model import (
    Cluster,
    Difference,
    EdgeChange,
    Interval,
    Items,
    LatentChange,
    PromptDifference,
    SaeDifference,
    Value,
)
from saereport.diff.wording import (
    count,
    latent_name,
    likeness,
    moved,
    prompt_changed,
    shown,
    title,
)
from saereport.run import Run
from saereport.site import numbers
from saereport.site.difference.overlay import Overlay, overlay
from saereport.site.difference.stories import Stories, ToldLatent
from saereport.site.latent_summary import LatentSummary, Snippet
from saereport.util.visible import visible_text

DETAILED, LISTED, NAMED, EDGES = 60, 1000, 30, 100
"""Of each SAE: latents side by side, latents in a line, added and removed ones; edges a prompt."""

_FACTS = {"Density": "density", "Maximum": "max"}
_LISTS = {
    "active on": "top_tokens.rbo",
    "raises": "logit_lens.rbo",
    "de-embedding": "deembedding.rbo",
}
_ARROWS = {"gained": "+", "lost": "−", "sign": "±", "weight": "~"}


@dataclass(frozen=True)
class Word:
    """An entry of a list; `mark` is `gone`, `new` or empty."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class ChangeLine:
    """One list on both sides."""

    title: str
    before: tuple[Word, ...]
    after: tuple[Word, ...]
    changed: bool


@dataclass(frozen=True)
class ChangeRow:
    """One number on both sides, with how much it changed and how much of that is noise.

    `intervals` are those of both sides, empty where there is none.
    """

    title: str
    before: str
    after: str
    size: str
    tolerance: str
    changed: bool
    intervals: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class ChangeCard:
    """A latent side by side."""

    anchor: str
    name: str
    label: str
    metrics: str
    changes: tuple[tuple[str, str], ...]
    rows: tuple[ChangeRow, ...]
    lines: tuple[ChangeLine, ...]
    overlay: Overlay | None
    before: tuple[Snippet, ...]
    after: tuple[Snippet, ...]
    blind: bool


@dataclass(frozen=True)
class Brief:
    """A latent in a line: its name, what there is to say, and its label."""

    name: str
    text: str
    tokens: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class SaePart:
    """One SAE, or a pair of them."""

    anchor: str
    name: str
    label: str
    summary: str
    note: str
    rows: tuple[ChangeRow, ...]
    cards: tuple[ChangeCard, ...]
    others: tuple[Brief, ...]
    n_left_out: int
    removed: tuple[Brief, ...]
    added: tuple[Brief, ...]
    n_removed: int
    n_added: int
    clusters: tuple[tuple[str, str], ...]
    not_compared: tuple[tuple[str, str], ...]

    @property
    def quiet(self) -> bool:
        """Whether nothing changed beyond noise."""
        return not self.news and not (self.cards or self.n_removed or self.n_added)

    @property
    def news(self) -> bool:
        """Whether the SAE as a whole changed, other than by its count of latents."""
        return any(row.changed for row in self.rows)


@dataclass(frozen=True)
class PromptPart:
    """One prompt: its numbers and its edges."""

    anchor: str
    name: str
    rows: tuple[ChangeRow, ...]
    edges: tuple[tuple[str, str, str, str, str, str], ...]
    n_left_out: int
    not_compared: tuple[tuple[str, str], ...]


def sae_parts(difference: Difference, before: Run, after: Run) -> tuple[SaePart, ...]:
    """The SAEs in their order, with the stories of the latents that changed most."""
    told = (Stories(before), Stories(after))
    return tuple(_sae(sae, *told) for sae in difference.saes)


def _sae(sae: SaeDifference, before: Stories, after: Stories) -> SaePart:
    detailed = sae.changed[:DETAILED]
    stories = (
        before.of(sae.before, [change.before for change in detailed]),
        after.of(sae.after, [change.after for change in detailed]),
    )
    slug = sae.after
    listed = sae.changed[DETAILED : DETAILED + LISTED]
    compared = count(len(sae.pairs.after), "latent")
    paired = {
        "index": "compared by number",
        "decoder_cosine": "paired by decoder direction",
        "coactivation": "paired by the tokens they are active on",
    }[sae.pairing]
    return SaePart(
        anchor=_anchor("sae", slug),
        name=visible_text(slug if sae.before == slug else f"{sae.before} → {slug}"),
        label=sae.label,
        summary=f"{len(sae.changed):,} of {compared} changed; {paired}.",
        note=visible_text(sae.pairing_note),
        rows=tuple(_row(value) for value in sae.values if not value.metric.startswith("latents.")),
        cards=tuple(
            _card(sae, change, stories[0][change.before], stories[1][change.after])
            for change in detailed
        ),
        others=tuple(_brief_change(sae, change) for change in listed),
        n_left_out=len(sae.changed) - len(detailed) - len(listed),
        removed=_brief_stories(before.of(sae.before, sae.removed[:NAMED])),
        added=_brief_stories(after.of(sae.after, sae.added[:NAMED])),
        n_removed=len(sae.removed),
        n_added=len(sae.added),
        clusters=tuple(_cluster(cluster) for cluster in sae.clusters[:LISTED]),
        not_compared=_reasons(sae.not_compared.items()),
    )


def prompt_parts(difference: Difference) -> tuple[PromptPart, ...]:
    """The prompts in which something changed, or could not be compared."""
    return tuple(
        _prompt(prompt)
        for prompt in difference.prompts
        if prompt_changed(prompt) or prompt.not_compared
    )


def _prompt(prompt: PromptDifference) -> PromptPart:
    return PromptPart(
        anchor=_anchor("prompt", prompt.slug),
        name=visible_text(prompt.name),
        rows=tuple(_row(value) for value in prompt.values),
        edges=tuple(_edge(edge) for edge in prompt.edges[:EDGES]),
        n_left_out=max(0, len(prompt.edges) - EDGES),
        not_compared=_reasons(prompt.not_compared.items()),
    )


def _edge(edge: EdgeChange) -> tuple[str, str, str, str, str, str]:
    before, after = (
        "absent" if weight is None else numbers.value(weight)
        for weight in (edge.before, edge.after)
    )
    early, late = visible_text(edge.early), visible_text(edge.late)
    change = f"{_ARROWS[edge.change]} {edge.change}"
    return change, early, late, before, after, numbers.value(edge.size)


def _row(value: Value) -> ChangeRow:
    two_sided = value.before is None and value.after is None
    return ChangeRow(
        title=title(value.metric),
        before="" if two_sided else shown(value.metric, value.before),
        after="" if two_sided else shown(value.metric, value.after),
        intervals=(
            _span(value.metric, value.before_interval),
            _span(value.metric, value.after_interval),
        ),
        size=numbers.value(value.size),
        tolerance=numbers.value(value.tolerance) if value.tolerance else "none",
        changed=value.changed,
    )


def _span(metric: str, ends: Interval) -> str:
    return f"{shown(metric, ends[0])} to {shown(metric, ends[1])}" if ends else ""


def _card(
    sae: SaeDifference, change: LatentChange, before: ToldLatent, after: ToldLatent
) -> ChangeCard:
    blind = bool(before.story.blind or after.story.blind)
    stories = (before.story, after.story)
    return ChangeCard(
        anchor=_anchor("latent", sae.after, change.after),
        name=_name(sae, change),
        label=change.label,
        metrics=" ".join(value.metric for value in change.changed),
        changes=tuple((title(value.metric), _said(value)) for value in change.changed),
        rows=_fact_rows(*stories, frozenset(value.metric for value in change.changed)),
        lines=_lines(*stories, {items.metric: items for items in change.items}, blind=blind),
        overlay=overlay((before.first, before.counts), (after.first, after.counts)),
        before=() if blind else before.story.snippets,
        after=() if blind else after.story.snippets,
        blind=blind,
    )


def _said(value: Value) -> str:
    return moved(value).replace("->", "→")


def _fact_rows(
    before: LatentSummary, after: LatentSummary, changed: frozenset[str]
) -> tuple[ChangeRow, ...]:
    values = [{fact.name: fact.value for fact in story.facts} for story in (before, after)]
    names = [*values[0], *(name for name in values[1] if name not in values[0])]
    return tuple(
        ChangeRow(
            title=name,
            before=values[0].get(name, ""),
            after=values[1].get(name, ""),
            size="",
            tolerance="",
            changed=_FACTS.get(name) in changed,
        )
        for name in names
    )


def _lines(
    before: LatentSummary, after: LatentSummary, items: dict[str, Items], *, blind: bool
) -> tuple[ChangeLine, ...]:
    sides = [
        {
            line.title: line.tokens
            for line in (*s.reads, *s.writes)
            if not (blind and line.reveals_text)
        }
        for s in (before, after)
    ]
    titles = [*sides[0], *(name for name in sides[1] if name not in sides[0])]
    lines = []
    for name in titles:
        found = items.pop(_LISTS.get(name, ""), None)
        if found is None:
            was, now = (tuple(Word(text) for text in side.get(name, ())) for side in sides)
            lines.append(ChangeLine(name, was, now, changed=False))
        else:
            lines.append(ChangeLine(name, *_marked(found), changed=True))
    lines += [
        ChangeLine(title(metric).lower(), *_marked(found), changed=True)
        for metric, found in items.items()
    ]
    return tuple(lines)


def _marked(items: Items) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
    before, after = frozenset(items.before), frozenset(items.after)
    return (
        tuple(Word(text, "" if text in after else "gone") for text in items.before),
        tuple(Word(text, "" if text in before else "new") for text in items.after),
    )


def _brief_change(sae: SaeDifference, change: LatentChange) -> Brief:
    text = "; ".join(f"{title(value.metric)} {_said(value)}" for value in change.changed)
    return Brief(_name(sae, change), text, (), change.label)


def _name(sae: SaeDifference, change: LatentChange) -> str:
    """The pair, and how alike its latents are where they were matched."""
    name = latent_name(visible_text(sae.after), change.before, change.after)
    alike = likeness(sae.pairing, change)
    return f"{name} ({alike})" if alike else name


def _brief_stories(told: dict[int, ToldLatent]) -> tuple[Brief, ...]:
    briefs = []
    for latent, item in told.items():
        story = item.story
        density = next((fact.value for fact in story.facts if fact.name == "Density"), "")
        lines = [line for line in story.reads if not (story.blind and line.reveals_text)]
        tokens = lines[0].tokens if lines else ()
        said = f"density {density}" if density else "never active" if story.dead else ""
        briefs.append(Brief(str(latent), said, tokens, "" if story.blind else story.label))
    return tuple(briefs)


def _cluster(cluster: Cluster) -> tuple[str, str]:
    others = ", ".join(
        f"{other} ({similarity:.2f})"
        for other, similarity in zip(cluster.others, cluster.similarities, strict=True)
    )
    return f"{cluster.latent} {cluster.side}", others


def _reasons(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((title(metric), visible_text(reason)) for metric, reason in pairs)


def _anchor(kind: str, *parts: object) -> str:
    """An id that no other thing on the page has: slugs hold letters, digits, `.`, `_` and `-`."""
    return ":".join([kind, *map(str, parts)])


def changed_metrics(parts: Sequence[SaePart]) -> tuple[tuple[str, str], ...]:
    """Name and title of each metric in which a shown latent changed, in the usual order."""
    names = {name for part in parts for card in part.cards for name in card.metrics.split()}
    return tuple((name, title(name)) for name in METRICS if name in names)
