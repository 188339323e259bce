"""The page of steering: what latents do to the text that the model writes.

steering/index.html, .js   a panel for each steered latent: its window, perplexity over strength, a
grid of prompt by strength, and every continuation beside the unsteered ones
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil, floor, log2, log10
from typing import Any

from saereport.site import numbers
from saereport.site.blocks import Block, Cell
from saereport.site.context import ReportModel, SaeView
from saereport.site.directions import DIRECTION_TABLES, about_direction, placed
from saereport.site.mentions import latent_cell
from saereport.site.panels.registry import Panel
from saereport.site.parts.registry import (
    Entry,
    Item,
    PageKind,
    Part,
    register,
)
from saereport.site.shown import PanelsPage
from saereport.util.visible import visible_text

FOLDER = "steering"
PAGE = f"{FOLDER}/index.html"
TABLES = ("steering_windows", "steering_strengths", "steered_texts", "steering_prompts")
NAME_LENGTH = 40
"""Characters of a prompt where it names a row."""
KICKER = "What latents make the model write"
READING = (
    "A latent is turned up while the model writes: at every position unless another choice is "
    "told, where its SAE writes, its direction is added as many times as strongly as the latent "
    "itself ever wrote it on the report's text. The texts of all strengths are drawn with the same "
    "random numbers, so that they differ by the steering alone. Where the perplexity under the "
    "unsteered model has doubled, the text counts as broken: what is written there says little of "
    "the latent."
)

Row = dict[str, Any]


@dataclass(frozen=True)
class Steered:
    """A steered latent or direction with its rows.

    Attributes:
        name: What it is called.
        anchor: What its panel is called in addresses.
        about: What is known of it beside its texts.
        window: Its row of `steering_windows` or `steering_directions`.
        strengths: Its rows by strength, rising.
        texts: Its texts.
        prompts: The prompts, by number.
    """

    name: str
    anchor: str
    about: list[Block]
    window: Row
    strengths: list[Row]
    texts: list[Row]
    prompts: Mapping[int, Row]

    @property
    def is_latent(self) -> bool:
        """Whether it is a latent, which is active or not."""
        return "latent" in self.window

    def mean(self, prompt: int, step: int, column: str) -> float:
        """Mean of a column over the continuations of a prompt at a strength."""
        found = [
            row[column] for row in self.texts if row["prompt"] == prompt and row["step"] == step
        ]
        return float(sum(found) / len(found)) if found else 0.0


def steered(report: ReportModel) -> list[Steered]:
    """What a report steers: latents in the order of its SAEs, none blinded, then directions."""
    run = report.run
    if not run.has("steering_prompts"):
        return []
    prompts = {row["prompt"]: row for row in run.table("steering_prompts").to_pylist()}
    found = []
    for sae in report.saes:
        slug = sae.info.slug
        if not all(run.has(table, slug) for table in TABLES[:3]):
            continue
        windows, strengths, texts = (run.table(name, slug).to_pylist() for name in TABLES[:3])
        for window in windows:
            name = f"{sae.info.label}.{window['latent']}"
            own = _own(strengths, "latent", window), _own(texts, "latent", window)
            if all(own):
                about = [_where(report, sae, name, window), *_elsewhere(sae)]
                anchor = f"{slug}-{window['latent']}"
                found.append(Steered(name, anchor, about, window, *own, prompts))
    return [*found, *_directions(report, prompts)]


def _own(rows: list[Row], key: str, window: Row) -> list[Row]:
    return [{**row, "log2": _log2(row["perplexity"])} for row in rows if row[key] == window[key]]


def _directions(report: ReportModel, prompts: Mapping[int, Row]) -> Iterator[Steered]:
    run = report.run
    if not all(run.has(table) for table in DIRECTION_TABLES[:3]):
        return
    windows, strengths, texts = (run.table(name).to_pylist() for name in DIRECTION_TABLES[:3])
    for window in windows:
        own = _own(strengths, "direction", window), _own(texts, "direction", window)
        if all(own):
            name, anchor = visible_text(window["name"]), f"direction-{window['direction']}"
            yield Steered(name, anchor, about_direction(report, window), window, *own, prompts)


def _strength(value: float) -> str:
    return f"{MULTIPLE}{numbers.value(value)}" if value else "unsteered"


MULTIPLE = "×"


def _prompt(one: Steered, number: int) -> str:
    text = visible_text(one.prompts[number]["text"]) if number in one.prompts else f"{number}"
    return text if len(text) <= NAME_LENGTH else f"{text[: NAME_LENGTH - 1]}…"


def blocks(report: ReportModel, one: Steered) -> list[Block]:
    """What a panel shows of a latent."""
    return [
        _concept(report, one),
        _facts(report, one),
        *one.about,
        _top(one),
        {"b": "grid", "blocks": [_line(one), _heatmap(one)]},
        _strengths(one),
        _first_texts(report, one),
        *(_texts(report, one, number) for number in sorted({r["prompt"] for r in one.texts})),
    ]


def _concept(report: ReportModel, one: Steered) -> Block:
    """How often the concept appears at the best strength and without steering, in sentences."""
    plain = next((row for row in one.strengths if row["strength"] == 0), one.strengths[0])
    looked_for = _looked_for(report, one)
    if not looked_for:
        return {"b": "text", "text": "No words are looked for: there is no logit lens here."}
    before = (
        f"without steering {_of(plain)}"
        if one.window["best"]
        else f"Without steering {_of(plain)}: {looked_for}"
    )
    if not one.window["best"]:
        return {"b": "text", "text": f"{before}. {_NOT_WHOLE}"}
    best = one.window["best"]
    now = next((row for row in one.strengths if row["strength"] == best), one.strengths[-1])
    low, high = _ends(now["difference_interval"])
    verdict = (
        "It steers: the interval lies above zero"
        if low > 0
        else "So it does not visibly steer: the interval reaches zero or lies below"
    )
    points = f"{_points(now['difference'])} percentage points"
    change = f"{points} more" if now["difference"] >= 0 else f"a change of {points}"
    few = "" if now["n_texts"] >= FEWEST_TEXTS else f" Fewer than {FEWEST_TEXTS} texts show little."
    return {
        "b": "text",
        "text": f"At {_strength(now['strength'])}, {_of(now)} hold {looked_for}; {before}. That is "
        f"{change} (95 % interval {_points(low)} to {_points(high)}), at "
        f"{_strength(one.window['perplexity_ratio'])} the perplexity. {verdict}.{few}",
    }


FEWEST_TEXTS = 20
"""With fewer continuations a reader is told so."""
_NOT_WHOLE = "Every positive strength that was tried breaks the text."
_MOST_LISTED = 10


def _looked_for(report: ReportModel, one: Steered) -> str:
    """The words of the concept, or the top tokens, in a sentence; empty where there are none."""
    words = [visible_text(word) for word in one.window["words"]]
    top = [report.vocabulary[token] for token in one.window["top_tokens"]]
    listed = words or top
    if not listed:
        return ""
    some = ", ".join(f"“{word}”" for word in listed[:_MOST_LISTED])
    more = f" or {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    return ("one of the words " if words else "one of its top tokens ") + some + more


def _of(row: Row) -> str:
    low, high = _ends(row["concept_interval"])
    return (
        f"{numbers.count(row['n_with_concept'])} of {numbers.count(row['n_texts'])} texts "
        f"({numbers.percent(row['share_with_concept'])}; 95 % interval {numbers.percent(low)} to "
        f"{numbers.percent(high)})"
    )


def _ends(interval: list[float]) -> tuple[float, float]:
    """Both ends; all that may be where there are no two."""
    return (interval[0], interval[1]) if len(interval) == 2 else (-1.0, 1.0)


def _points(share: float) -> str:
    text = f"{100 * share:.0f}"
    return ("0" if text == "-0" else text).replace("-", numbers.MINUS)


def _facts(report: ReportModel, one: Steered) -> Block:
    window = one.window
    first = (
        ("strength 1", numbers.value(window["max"]), "the latent's maximum on the text")
        if one.is_latent
        else ("strength 1", "×1", visible_text(window["unit"]))
    )
    sign = "more texts hold the concept" + (" or excite the latent" if one.is_latent else "")
    tried = [row["strength"] for row in one.strengths if row["strength"] > 0]
    none = f"of those up to {_strength(max(tried))}" if tried else "no positive one was tried"
    visible, broken = window["visible_from"], window["broken_from"]
    return {
        "b": "facts",
        "names": ["visible from", "broken from", first[0], "adds a vector of length"],
        "values": [
            _strength(visible) if visible else "no strength",
            _strength(broken) if broken else "no strength",
            first[1],
            numbers.value(window["norm"]),
        ],
        "notes": [
            sign if visible else none,
            "perplexity has doubled" if broken else none,
            first[2],
            "",
        ],
    }


def _where(report: ReportModel, sae: SaeView, called: str, window: Row) -> Block:
    info, latent = sae.info, int(window["latent"])
    name = latent_cell(report, info.slug, latent, called)
    hooks = ", ".join((info.hook_out or info.hook_in, *info.also_writes))
    return placed(["latent", name], hooks, window)


_STREAM = frozenset({"resid"})
"""What kinds of hook point are the residual stream itself."""


def _elsewhere(sae: SaeView) -> list[Block]:
    """That an SAE does not write into the residual stream, where it does not."""
    info = sae.info
    if info.kind_out in _STREAM:
        return []
    text = (
        f"{visible_text(info.label)} does not write into the residual stream itself: the latent's "
        "direction is the decoder row where it writes, and the model's own matrices and norms "
        "carry that on."
    )
    return [{"b": "text", "text": text}]


def _top(one: Steered) -> Block:
    top = one.window["top_tokens"]
    if not top:
        return {"b": "text", "text": "It has no logit lens here, so no top tokens are counted."}
    return {
        "b": "tokens",
        "title": "Top tokens that are looked for",
        "columns": [],
        "rows": [[token] for token in top],
        "fold": {"title": "Top tokens", "note": f"{len(top)}, by the logit lens"},
    }


def _line(one: Steered) -> Block:
    rows = one.strengths
    found = [(row["strength"], row["perplexity"]) for row in rows]
    plain = next((value for strength, value in found if strength == 0), found[0][1])
    worst = max(found, key=lambda pair: pair[1])
    prompts = sorted({row["prompt"] for row in one.texts})
    each = [
        {
            "key": f"prompt-{number}",
            "name": _prompt(one, number),
            "values": [2.0 ** one.mean(number, row["step"], "log2") for row in rows],
        }
        for number in prompts[:MOST_LINES]
    ]
    whole = {"key": "all", "name": "all texts", "values": [value for _, value in found]}
    visible, broken = one.window["visible_from"], one.window["broken_from"]
    block: Block = {
        "b": "lines",
        "title": "Perplexity over strength",
        "labels": [_strength(strength) for strength, _ in found],
        "places": [strength for strength, _ in found],
        "x": "strength",
        "y": "perplexity",
        "log": _ticks([value for line in (whole, *each) for value in line["values"]]),
        "summary": "Perplexity of the text under the unsteered model, on a logarithmic axis: "
        "{plain} without steering, {worst} at strength {at}. Above {twice} the text is broken. "
        + _window_in_words(visible, broken),
        "v": {"plain": plain, "worst": worst[1], "at": worst[0], "twice": 2 * plain},
        "told": False,
        "levels": [{"name": "broken from here: twice that without steering", "value": 2 * plain}],
        "series": [whole, *each],
    }
    if visible and (not broken or visible < broken):
        block["span"] = {"name": "window", "from": visible, "to": broken or max(found)[0]}
    return block


def _ticks(values: list[float]) -> list[float]:
    """Ticks of a logarithmic axis: 1, 2, 5 of few decades, else powers of ten that stay apart."""
    logs = [log10(max(value, 1e-30)) for value in values]
    low, high = floor(min(logs)), ceil(max(logs))
    if high - low > MOST_DECADES:
        return [10.0**power for power in range(low, high + 1, ceil((high - low) / MOST_DECADES))]
    steps = (1, 2, 5) if high - low <= 2 else (1,)
    return [step * 10.0**power for power in range(low, high + 1) for step in steps]


MOST_DECADES = 6
"""Decades of perplexity each of which has a tick."""


MOST_LINES = 6
"""Prompts that have a line of their own."""


def _window_in_words(visible: float, broken: float) -> str:
    """The window as a sentence."""
    if not visible:
        return "No strength that was tried has a visible effect, so there is no window."
    if not broken:
        return f"The window opens at {_strength(visible)}, and no strength breaks the text."
    if visible >= broken:
        return (
            f"There is no window: an effect is visible from {_strength(visible)}, where the text "
            f"is broken from {_strength(broken)}."
        )
    return f"The window: from {_strength(visible)} to below {_strength(broken)}."


def _log2(value: float) -> float:
    return log2(max(value, 1e-30))


def _heatmap(one: Steered) -> Block:
    prompts = sorted({row["prompt"] for row in one.texts})
    rows = [f"{place}. {_prompt(one, number)}" for place, number in enumerate(prompts, 1)]
    columns = [_strength(row["strength"]) for row in one.strengths]

    words = "words of the concept in a text" if one.window["words"] else "top tokens in a text"

    measured = "the latent's activation" if one.is_latent else "projection on the direction"

    def view(label: str, column: str) -> Row:
        z = [[one.mean(number, row["step"], column) for row in one.strengths] for number in prompts]
        return {"label": label, "rows": rows, "columns": columns, "z": z}

    return {
        "b": "heatmap",
        "title": "Prompt by strength",
        "choice": "what is shown",
        "summary": "Means over the texts of each prompt (rows) at each strength (columns): the "
        f"concept that is looked for, {measured} on what it made the model write, perplexity.",
        "views": [
            view(words, "n_concept"),
            view(measured, "mean_activation"),
            view("perplexity", "perplexity"),
        ],
    }


def _strengths(one: Steered) -> Block:
    measured = ("mean activation", "active on", "share") if one.is_latent else ("mean projection",)
    return {
        "b": "table",
        "title": "By strength",
        "columns": [
            *("strength", "texts", "tokens", "perplexity", "with the concept", "share"),
            *("more than unsteered", *measured),
        ],
        "rows": [
            [
                _strength(row["strength"]),
                numbers.count(row["n_texts"]),
                numbers.count(row["n_tokens"]),
                numbers.value(row["perplexity"]),
                numbers.count(row["n_with_concept"]),
                _with_interval(row["share_with_concept"], row["concept_interval"]),
                _with_interval(row["difference"], row["difference_interval"])
                if row["strength"]
                else "–",
                numbers.value(row["activation"]),
                *(
                    (numbers.count(row["n_active"]), numbers.percent(row["share_active"]))
                    if one.is_latent
                    else ()
                ),
            ]
            for row in one.strengths
        ],
    }


def _with_interval(share: float, ends: list[float]) -> Cell:
    low, high = map(_points, _ends(ends))
    return {"text": f"{_points(share)} %", "gloss": f"{low} to {high}"}


def _first_texts(report: ReportModel, one: Steered) -> Block:
    """The first sample of each prompt at each strength."""
    prompts = sorted({row["prompt"] for row in one.texts})
    first = {(row["step"], row["prompt"]): row["tokens"] for row in one.texts if row["sample"] == 0}
    return {
        "b": "table",
        "title": "The first text of each prompt",
        "columns": ["strength", *(_prompt(one, number) for number in prompts)],
        "rows": [
            [
                _strength(row["strength"]),
                *(_text(report, first.get((row["step"], number), [])) for number in prompts),
            ]
            for row in one.strengths
        ],
    }


def _text(report: ReportModel, tokens: list[int]) -> Cell:
    return {"text": report.vocabulary.line(tokens) or "–", "long": True}


def _texts(report: ReportModel, one: Steered, number: int) -> Block:
    """Every continuation of a prompt, the unsteered ones first."""
    rows = [row for row in one.texts if row["prompt"] == number]
    rows.sort(key=lambda row: (row["strength"] != 0, row["strength"], row["sample"]))
    return {
        "b": "table",
        "columns": ["strength", "sample", "text", "perplexity", "activation", "concept"],
        "rows": [
            [
                _strength(row["strength"]),
                numbers.count(row["sample"] + 1),
                _text(report, row["tokens"]),
                numbers.value(row["perplexity"]),
                numbers.value(row["mean_activation"]),
                numbers.count(row["n_concept"]),
            ]
            for row in rows
        ],
        "fold": {
            "title": f"Every text: {_prompt(one, number)}",
            "note": numbers.plural(len(rows), "text"),
        },
    }


def _items(report: ReportModel) -> Iterator[Item]:
    # A report may have one of both alone, from the beginning or as a part of another.
    told = TABLES[:1] if _has_windows(report) else DIRECTION_TABLES[:1]
    about = Panel("about", "How to read this", told, lambda _: [{"b": "text", "text": READING}])
    made = [
        Panel(
            one.anchor,
            one.name,
            TABLES[:1] if one.is_latent else DIRECTION_TABLES[:1],
            partial(_panel, one=one),
            wide=True,
        )
        for one in steered(report)
    ]
    page = PanelsPage(PAGE, "steering", KICKER, "Steering")
    yield from page.items(report, [about, *made])


def _has_windows(report: ReportModel) -> bool:
    return any(report.run.has(TABLES[0], sae.info.slug) for sae in report.saes)


def _present(report: ReportModel) -> bool:
    """Whether something is steered: prompts alone are left where a part has none of it."""
    directions = report.run.has(DIRECTION_TABLES[0])
    return report.run.has("steering_prompts") and (directions or _has_windows(report))


def _panel(report: ReportModel, one: Steered) -> list[Block]:
    return blocks(report, one)


register(
    Part(
        "steering",
        _items,
        order=33,
        kinds=(PageKind("steering"),),
        navigation=lambda report, sae: (Entry("Steering", PAGE, group="Steering"),),
        folders=frozenset({FOLDER}),
        tables=(*TABLES, *DIRECTION_TABLES),
        present=_present,
        called="steering",
    )
)
