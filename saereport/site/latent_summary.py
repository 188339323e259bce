"""The first screen of a latent: what it reads, what it writes, how often, and what to be warned of.

This part is in the HTML itself, so that a page without JavaScript tells the story. It is made for
every latent, so it is short: some 2 kB.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from saereport.site import numbers
from saereport.site.context import LatentView
from saereport.site.latent_warnings import LatentWarning, warnings
from saereport.site.sequences import KeptSequences
from saereport.site.sparklines import histogram_counts, outline, sparkline
from saereport.util.visible import SPACE, visible_text

N_TOKENS = 6
N_EXAMPLES = 3
MARGIN = 10
LEVELS = 10
ROUNDED_AWAY = 5e-6
"""The smallest density that SAEDashboard does not write as 0: it keeps five decimals."""


@dataclass(frozen=True)
class Fact:
    """A number with its name and a remark."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class TokenLine:
    """A few tokens under one heading; `reveals_text` if the latent is active on them."""

    title: str
    tokens: tuple[str, ...]
    reveals_text: bool = False


@dataclass(frozen=True)
class Snippet:
    """A short example: pieces of text with a class where the latent is active."""

    activation: str
    pieces: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class LatentSummary:
    """What the HTML says about one latent."""

    index: int
    blind: str
    label: str
    label_source: str
    dead: bool
    facts: tuple[Fact, ...]
    spark: str
    spark_note: str
    reads: tuple[TokenLine, ...]
    writes: tuple[TokenLine, ...]
    warnings: tuple[LatentWarning, ...]
    snippets: tuple[Snippet, ...]
    link: str


def story(latent: LatentView, sequences: KeptSequences) -> LatentSummary:
    """The story of one latent."""
    text, source = label(latent)
    base = latent.sae.neuronpedia
    return LatentSummary(
        index=latent.index,
        blind=latent.blind,
        label=text,
        label_source=source,
        dead=latent.dead,
        facts=tuple(_facts(latent)),
        spark=spark_path(latent),
        spark_note=_spark_note(latent),
        reads=tuple(_reads(latent)),
        writes=tuple(_writes(latent)),
        warnings=tuple(warnings(latent)),
        snippets=tuple(_snippets(latent, sequences)),
        link=f"{base}/{latent.index}" if base and latent.blind != "redacted" else "",
    )


def label(latent: LatentView) -> tuple[str, str]:
    """The first explanation and where it came from; empty where there is none."""
    rows = latent.rows("explanations")
    if not len(rows):
        return "", ""
    return visible_text(rows["text"][0]), visible_text(rows["source"][0])


def _facts(latent: LatentView) -> list[Fact]:
    rows = latent.rows("activity")
    if not len(rows):
        return []
    row = rows.first()
    unknown = latent.sae.info.left_out
    if latent.dead:
        counted = latent.sae.n_counted
        return [Fact("Active", "never", f"of {numbers.count(counted)} tokens" if counted else "")]
    facts = [
        _density(row["density"]),
        Fact("Active", numbers.count(row["n_active"]), "tokens"),
        Fact("Maximum", numbers.value(row["max"])),
        Fact("Mean active", numbers.value(row["mean_active"])),
    ]
    known = (
        row["density"] > 0 or row["n_active"] > 0,
        row["n_active"] > 0,
        row["max"] > 0,
        "activity.mean_active" not in unknown,
    )
    return [fact for fact, shown in zip(facts, known, strict=True) if shown]


def _density(density: float) -> Fact:
    """The density of a latent that is active: 0 is what other tools round a small one to."""
    if density > 0:
        return Fact("Density", numbers.percent(density), numbers.one_in(density))
    return Fact("Density", numbers.percent(ROUNDED_AWAY))


def spark_path(latent: LatentView) -> str:
    """The activation histogram as an SVG path 96 by 20, empty for a dead latent."""
    counts = histogram_counts(latent)
    return outline(sparkline(counts), 3) if counts and not latent.dead else ""


def _spark_note(latent: LatentView) -> str:
    if latent.dead:
        return ""
    given = latent.rows("given_histogram")
    centres = given["centres"][0] if len(given) else [0.0]
    highest = numbers.value(latent.rows("activity")["max"][0] or centres[-1])
    return f"histogram of activations, {numbers.value(centres[0])} to {highest}, log counts"


def _shown(latent: LatentView, tokens: list[int]) -> tuple[str, ...]:
    return tuple(latent.token(token) for token in tokens[:N_TOKENS])


def _reads(latent: LatentView) -> list[TokenLine]:
    found = latent.rows("token_statistics")
    by_share = [t for order, t in found.each("order", "token") if order == "share"]
    lines = (
        [TokenLine("active on", _shown(latent, by_share), reveals_text=True)] if by_share else []
    )
    kinds = dict(latent.rows("deembedding").each("kind", "top_tokens"))
    for kind, title in (("extended", "de-embedding"), ("raw", "de-embedding, raw")):
        if kind in kinds:
            return [*lines, TokenLine(title, _shown(latent, kinds[kind]))]
    return lines


def _writes(latent: LatentView) -> list[TokenLine]:
    rows = latent.rows("logit_lens")
    if not len(rows):
        return []
    return [
        TokenLine("raises", _shown(latent, rows["top_tokens"][0])),
        TokenLine("lowers", _shown(latent, rows["bottom_tokens"][0])),
    ]


def _snippets(latent: LatentView, sequences: KeptSequences) -> list[Snippet]:
    if latent.dead:
        return []
    maximum = latent.rows("activity")["max"][0] if len(latent.rows("activity")) else 0.0
    names = (
        "group",
        "sequence",
        "position",
        "activation",
        "start",
        "stop",
        "active_positions",
        "active_values",
    )
    result = []
    for group, sequence, position, activation, start, stop, places, values in latent.rows(
        "examples"
    ).each(*names):
        if group != "top":
            continue
        low, high = max(start, position - MARGIN), min(stop, position + MARGIN // 2 + 1)
        active = dict(zip(places, values, strict=True))
        tokens = sequences.tokens(sequence, low, high)
        pieces: list[tuple[str, str]] = []
        for first, count, shown in latent.sae.report.vocabulary.running(tokens):
            values = [active[i] for i in range(low + first, low + first + count) if i in active]
            name = f"a{level(max(values), maximum)}" if values else ""
            text = prose(shown)
            # The space before a word stays outside its colour, so that lines break cleanly.
            if name and len(text) > 1 and text.startswith(" "):
                _add(pieces, "", " ")
                text = text[1:]
            _add(pieces, name, text)
        result.append(Snippet(numbers.value(activation), tuple(pieces)))
        if len(result) == N_EXAMPLES:
            break
    return result


def _add(pieces: list[tuple[str, str]], name: str, text: str) -> None:
    if name or not pieces or pieces[-1][0]:
        pieces.append((name, text))
    else:
        pieces[-1] = ("", pieces[-1][1] + text)


def level(activation: float, maximum: float) -> int:
    """The step of the colour scale, 0 to 9, for an activation."""
    if maximum <= 0 or activation <= 0:
        return 0
    return min(LEVELS - 1, floor(LEVELS * activation / maximum))


def prose(shown: str) -> str:
    """A token inside running text: its leading space is a space again."""
    return " " + shown[1:] if shown.startswith(SPACE) else shown
