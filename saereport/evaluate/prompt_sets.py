"""Prompts with answers that are built in, and those of a user's file.

Every built-in prompt has a wrong answer of the same kind, so that a model that knows the kind of
word and not the word does not pass. They are made from lists and templates without a seed: the
same prompts in the same order on every machine. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from saereport.util.errors import SaereportError, did_you_mean, first_few, shortened
from saereport.util.untrusted import MIB, Limits, lines, parse_json

ALL: Final = "all"
"""Stands for every built-in set where sets are asked for, and for all prompts in a table."""
OWN: Final = "own"
"""The set of a file's prompts that name none."""
SET_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,47}")
"""What a set in a file may be called."""
PROMPTS_OF_A_FILE: Final = 10_000
LONGEST_TEXT: Final = 32_768
"""Characters of a prompt in a file; how many tokens a prompt may have, the model's context says."""
LIMITS: Final = Limits(file_bytes=64 * MIB, text_bytes=64 * MIB, line_bytes=MIB, depth=4, values=64)
"""How much of a file is read."""
FIELDS: Final = ("prompt", "answer", "wrong", "set")


@dataclass(frozen=True)
class AnsweredPrompt:
    """One prompt of a capability test.

    Attributes:
        set: The set that it is in.
        text: What the model reads.
        answer: What is to follow, from its first character on: ` Paris`.
        wrong: What is not to follow, likewise; empty for nothing.
        origin: Where it stands, for messages; empty for a built-in one.
    """

    set: str
    text: str
    answer: str
    wrong: str = ""
    origin: str = ""


# ---- built in

_COUNTRIES = (
    "France Paris, Germany Berlin, Italy Rome, Spain Madrid, Portugal Lisbon, Austria Vienna, "
    "Hungary Budapest, Poland Warsaw, Greece Athens, Ireland Dublin, Norway Oslo, "
    "Sweden Stockholm, Finland Helsinki, Denmark Copenhagen, Belgium Brussels, Russia Moscow, "
    "England London, Scotland Edinburgh, Turkey Ankara, Egypt Cairo, Kenya Nairobi, Iran Tehran, "
    "Iraq Baghdad, Syria Damascus, Japan Tokyo, China Beijing, Thailand Bangkok, Cuba Havana, "
    "Canada Ottawa, Peru Lima, Chile Santiago, Afghanistan Kabul"
)
_CAPITALS = dict(pair.split() for pair in _COUNTRIES.split(", "))
"""Countries and their capitals."""
_NAMES = ("Mary", "John", "Tom", "James", "Sarah", "Anna", "David", "Paul", "Kate", "Peter", "Lucy")
_GIVEN = (
    ("the store", "a bottle of milk"),
    ("the park", "a book"),
    ("the station", "a ticket"),
    ("the office", "a letter"),
    ("the school", "a present"),
    ("the restaurant", "a drink"),
)
_WORDS = (
    *("apple", "river", "stone", "music", "paper", "glass", "horse", "table", "green"),
    *("water", "light", "house", "north", "bread", "cloud", "sugar", "plant", "chair"),
)
_NOUNS = (
    *(("key", "keys"), ("dog", "dogs"), ("book", "books"), ("picture", "pictures")),
    *(("letter", "letters"), ("boy", "boys"), ("teacher", "teachers"), ("car", "cars")),
    *(("road", "roads"),),
)
_ATTRACTORS = (("cabinet", "cabinets"), ("house", "houses"), ("garden", "gardens"))
_EVENTS = ("war", "project", "expedition", "festival", "campaign", "plan", "dispute", "journey")
_DECADES = (3, 4, 5, 6)
"""Tens of the years in which something begins."""


def _indirect_objects() -> Iterable[AnsweredPrompt]:
    """Who was given something: the name that was not named again."""
    for i in range(6 * len(_GIVEN)):
        one = _NAMES[i % len(_NAMES)]
        # Steps from 1 to 5 around a circle of 11 names never lead back to the same one.
        other = _NAMES[(i + 1 + i // len(_GIVEN) % 5) % len(_NAMES)]
        place, thing = _GIVEN[i % len(_GIVEN)]
        first, second = (one, other) if i % 2 else (other, one)
        text = f"When {first} and {second} went to {place}, {other} gave {thing} to"
        yield AnsweredPrompt("indirect_objects", text, f" {one}", f" {other}")


def _capitals() -> Iterable[AnsweredPrompt]:
    """The capital of a country, against that of the next one in the list."""
    capitals = list(_CAPITALS.values())
    for i, (country, capital) in enumerate(_CAPITALS.items()):
        wrong = capitals[(i + 1) % len(capitals)]
        yield AnsweredPrompt(
            "capitals", f"The capital of {country} is the city of", f" {capital}", f" {wrong}"
        )


def _induction() -> Iterable[AnsweredPrompt]:
    """Unrelated words, the same again, and their beginning once more."""
    n, size = len(_WORDS), 6
    for i in range(2 * n):
        step = 1 if i < n else 5
        words = [_WORDS[(i + step * k) % n] for k in range(size)]
        again = 1 + i % (size - 2)
        text = " ".join([*words, *words, *words[: again + 1]])
        yield AnsweredPrompt("induction", text, f" {words[again + 1]}", f" {words[again - 1]}")


def _agreement() -> Iterable[AnsweredPrompt]:
    """The verb after a subject, with a noun of the other number in between."""
    for i in range(4 * len(_NOUNS)):
        noun, between = _NOUNS[i % len(_NOUNS)], _ATTRACTORS[i % len(_ATTRACTORS)]
        plural = i // len(_NOUNS) % 2
        joint = "near" if i < 2 * len(_NOUNS) else "behind"
        text = f"The {noun[plural]} {joint} the {between[1 - plural]}"
        verbs = (" is", " are")
        yield AnsweredPrompt("agreement", text, verbs[plural], verbs[1 - plural])


def _greater_than() -> Iterable[AnsweredPrompt]:
    """The year in which something ended: not before it began.

    Answer and wrong answer lie in other decades than the beginning, so that they differ in their
    first digit where digits are tokens.
    """
    for i, event in enumerate(_EVENTS * len(_DECADES)):
        century, begun = 14 + i % 6, 10 * _DECADES[i // len(_EVENTS)] + 1 + i % 8
        text = f"The {event} lasted from the year {century}{begun} to the year {century}"
        yield AnsweredPrompt("greater_than", text, str(begun + 20), str(begun - 20))


BUILT_IN: Final[Mapping[str, Callable[[], Iterable[AnsweredPrompt]]]] = {
    "indirect_objects": _indirect_objects,
    "capitals": _capitals,
    "induction": _induction,
    "agreement": _agreement,
    "greater_than": _greater_than,
}
"""The built-in sets, in the order in which reports show them."""


def asked_prompts(sets: Sequence[str], path: Path | None) -> list[AnsweredPrompt]:
    """The prompts of some built-in sets, each once and in their order, then those of a file.

    Args:
        sets: Names of built-in sets; `all` is every one.
        path: A file of prompts, see `file_prompts`; None for none.

    Raises:
        SaereportError: There is no such set, or the file cannot be used; says why.
    """
    known = (*BUILT_IN, ALL)
    for name in sets:
        if name not in known:
            raise SaereportError(
                f"There is no set of prompts '{shortened(name, 60)}' for capability tests.",
                did_you_mean(name, known)
                or f"There are {first_few(known)}; own ones go into capability_file.",
            )
    chosen = [name for name in BUILT_IN if name in sets or ALL in sets]
    own = file_prompts(path) if path else []
    return [prompt for name in chosen for prompt in BUILT_IN[name]()] + own


# ---- a user's file


def file_prompts(path: Path) -> list[AnsweredPrompt]:
    r"""The prompts of a file of JSON lines, in the order of its sets.

    A line has `prompt` and `answer`, and may have `wrong` and `set`. An answer that does not begin
    with a space continues the prompt after one, unless the prompt ends with a space.

    Raises:
        SaereportError: The file is not there or too large, or holds no prompt, or a line is not
            such an object; names the line.
    """
    given = path.expanduser()
    if not _exists(given):
        raise SaereportError(
            f"There is no file of prompts '{path}'.",
            'It has lines such as {"prompt": "2 + 2 =", "answer": "4"}.',
        )
    found: list[AnsweredPrompt] = []
    for number, line in lines(given, LIMITS):
        if not line.strip():
            continue
        if len(found) == PROMPTS_OF_A_FILE:
            raise SaereportError(
                f"{path.name} holds more than {PROMPTS_OF_A_FILE:,} prompts, which is the limit."
            )
        found.append(_prompt_of(line, f"{path.name}, line {number:,}"))
    if not found:
        raise SaereportError(
            f"The file of prompts '{path}' is empty.",
            'It has lines such as {"prompt": "2 + 2 =", "answer": "4"}.',
        )
    order = {name: place for place, name in enumerate(dict.fromkeys(one.set for one in found))}
    return sorted(found, key=lambda one: order[one.set])


def _exists(path: Path) -> bool:
    """Whether there is such a file; what cannot be a path on this system is none."""
    try:
        return path.exists()
    except OSError:
        return False


def _prompt_of(line: bytes, where: str) -> AnsweredPrompt:
    value = parse_json(line, where, LIMITS)
    if not isinstance(value, dict):
        raise SaereportError(
            f"{where}: not an object with a prompt and an answer.",
            'Write lines such as {"prompt": "2 + 2 =", "answer": "4"}.',
        )
    for key in value:
        if key not in FIELDS:
            raise SaereportError(
                f"{where}: '{shortened(key, 60)}' is nothing that a prompt has.",
                did_you_mean(key, FIELDS) or f"It has {', '.join(FIELDS)}.",
            )
    text = _words(value, "prompt", where)
    answer = _words(value, "answer", where)
    wrong = _words(value, "wrong", where) if "wrong" in value else ""
    name = _words(value, "set", where) if "set" in value else OWN
    if not SET_NAME.fullmatch(name):
        raise SaereportError(
            f"{where}: a set cannot be called '{shortened(name, 60)}'.",
            "Up to 48 letters, digits, spaces, '.', '_' and '-', a letter or digit first.",
        )
    if name in BUILT_IN or name == ALL:
        raise SaereportError(
            f"{where}: '{name}' is the name of what is built in.", "Give the set another name."
        )
    return AnsweredPrompt(
        name, text, _following(text, answer), _following(text, wrong) if wrong else "", where
    )


def _words(value: Mapping[str, Any], key: str, where: str) -> str:
    """A text of a line, which says something.

    Raises:
        SaereportError: It is not there, is no text, is empty, too long, or no Unicode.
    """
    found = value.get(key)
    if key not in value:
        raise SaereportError(f"{where}: no '{key}'.", "Each line needs a prompt and an answer.")
    if not isinstance(found, str):
        raise SaereportError(
            f"{where}: '{key}' is {shortened(found, 40)}, which is no text.", "Put it into quotes."
        )
    if not found.strip():
        raise SaereportError(f"{where}: '{key}' is empty.", "Write something, or leave it out.")
    if len(found) > LONGEST_TEXT:
        raise SaereportError(
            f"{where}: '{key}' has {len(found):,} characters, and {LONGEST_TEXT:,} is the limit."
        )
    try:
        found.encode()
    except UnicodeEncodeError as error:
        # JSON can name halves of characters, which no text holds.
        raise SaereportError(f"{where}: '{key}' holds half a character.") from error
    return found


def _following(text: str, answer: str) -> str:
    """An answer as it continues a text: after one space, unless there is one already."""
    spaced = answer[0].isspace() or text[-1].isspace()
    return answer.rstrip() if spaced else f" {answer.rstrip()}"
