"""Sets of tokens: built in by what their text is, and those of a user's file.

A token is taken as the text that it stands for, which the vocabulary's bytes decode to. Scripts
are told by the names that Unicode gives characters, which is what Python's data of Unicode has.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from saereport.config.yaml_files import parse_yaml
from saereport.util.errors import SaereportError, shortened
from saereport.util.untrusted import MIB, json_fault

FEWEST: Final = 5
"""Tokens of a set, and tokens outside it, below which it is not tested."""
LARGEST_FILE: Final = 4 * MIB
MOST_SETS, MOST_WORDS = 200, 100_000
LONGEST_NAME, LONGEST_WORD = 60, 400

SCRIPTS: Final = {
    "latin": ("LATIN",),
    "cyrillic": ("CYRILLIC",),
    "greek": ("GREEK",),
    "arabic": ("ARABIC",),
    "hebrew": ("HEBREW",),
    "devanagari": ("DEVANAGARI",),
    "bengali": ("BENGALI",),
    "tamil": ("TAMIL",),
    "telugu": ("TELUGU",),
    "thai": ("THAI",),
    "armenian": ("ARMENIAN",),
    "georgian": ("GEORGIAN",),
    "ethiopic": ("ETHIOPIC",),
    "han": ("CJK",),
    "kana": ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
    "hangul": ("HANGUL",),
}
"""First words of the names of a script's letters, behind the width of the character."""

_WORDS: Final = {
    "pronouns": "i me my mine myself you your yours yourself yourselves he him his himself she her "
    "hers herself it its itself we us our ours ourselves they them their theirs themselves who "
    "whom whose one oneself",
    "function_words": "a an the and or but nor so yet if because although though while when where "
    "as than that this these those of in on at by for with about against between into through "
    "during before after above below to from up down out off over under again then once here "
    "there all any both each few more most other some such no not only same too very can will "
    "just should would could may might must shall is am are was were be been being have has had "
    "having do does did doing",
    "number_words": "zero one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy "
    "eighty ninety hundred thousand million billion first second third fourth fifth sixth seventh "
    "eighth ninth tenth",
    "days": "monday tuesday wednesday thursday friday saturday sunday",
    "months": "january february march april may june july august september october november "
    "december",
}
"""Lists of words that count however they are written, of small letters here."""

_NAMES: Final = {
    "given_names": "Aaron Adam Alan Albert Alex Alexander Alice Amanda Amy Andrea Andrew Angela "
    "Ann Anna Anne Anthony Arthur Barbara Ben Benjamin Betty Bill Bob Brandon Brian Bruce Carl "
    "Carlos Carol Caroline Catherine Charles Charlotte Chris Christian Christina Christine "
    "Christopher Claire Daniel David Deborah Dennis Diana Diane Donald Donna Dorothy Douglas "
    "Edward Elena Elizabeth Ellen Emily Emma Eric Ethan Evelyn Frank Fred Gary George Hannah "
    "Harold Harry Heather Helen Henry Howard Isabella Jack Jacob James Jamie Jane Janet Jason "
    "Jean Jeff Jennifer Jeremy Jerry Jessica Jim Joan Joe John Jonathan Jordan Jose Joseph Joshua "
    "Juan Judith Julia Julie Justin Karen Kate Katherine Kathleen Keith Kelly Kenneth Kevin Kim "
    "Larry Laura Lauren Lawrence Lee Leo Linda Lisa Louis Lucas Lucy Luis Luke Marco Margaret "
    "Maria Marie Mark Martha Martin Mary Matt Matthew Megan Melissa Michael Michelle Mike Mohammed "
    "Nancy Nathan Nicholas Nick Nicole Noah Oliver Olivia Oscar Pamela Patricia Patrick Paul Peter "
    "Philip Rachel Ralph Raymond Rebecca Richard Robert Roger Ronald Rose Roy Russell Ruth Ryan "
    "Samantha Samuel Sandra Sara Sarah Scott Sean Sharon Simon Sofia Sophia Stephen Steve Steven "
    "Susan Teresa Thomas Tim Timothy Tom Tony Tyler Victor Victoria Vincent Virginia Walter "
    "Wayne William Zoe",
    "countries": "Afghanistan Albania Algeria Angola Argentina Armenia Australia Austria "
    "Azerbaijan Bangladesh Belarus Belgium Bolivia Brazil Bulgaria Cambodia Cameroon Canada Chile "
    "China Colombia Croatia Cuba Cyprus Denmark Ecuador Egypt Estonia Ethiopia Finland France "
    "Germany Ghana Greece Guatemala Haiti Honduras Hungary Iceland India Indonesia Iran Iraq "
    "Ireland Israel Italy Jamaica Japan Jordan Kazakhstan Kenya Korea Kuwait Laos Latvia Lebanon "
    "Libya Lithuania Malaysia Mali Malta Mexico Mongolia Morocco Mozambique Myanmar Nepal "
    "Netherlands Nicaragua Nigeria Norway Pakistan Panama Paraguay Peru Philippines Poland "
    "Portugal Qatar Romania Russia Rwanda Senegal Serbia Singapore Slovakia Slovenia Somalia "
    "Spain Sudan Sweden Switzerland Syria Taiwan Tanzania Thailand Tunisia Turkey Uganda Ukraine "
    "Uruguay Venezuela Vietnam Yemen Zambia Zimbabwe",
}
"""Lists of words that count only as they are written here."""

PART: Final = "part_of_a_character"
BUILT_IN: Final = (
    *("leading_space", "white_space", "digits", "punctuation", "capitalised", "upper_case"),
    *_NAMES,
    *_WORDS,
    *SCRIPTS,
    PART,
)
"""Names of the built-in sets, in their order."""


@dataclass(frozen=True)
class WordSet:
    """A set of a user's file, before it is known which tokens there are.

    Attributes:
        name: What it is called.
        words: Words, and numbers of tokens.
    """

    name: str
    words: tuple[str | int, ...]


@dataclass(frozen=True)
class TokenSet:
    """A set of tokens.

    Attributes:
        name: What it is called.
        own: Whether it is the user's.
        tokens: Ids, rising.
        missing: Words of the user's that no single token is.
    """

    name: str
    own: bool
    tokens: tuple[int, ...]
    missing: tuple[str, ...] = ()

    def is_tested(self, n_ranked: int) -> bool:
        """Whether it has enough tokens, and leaves enough of those that are ranked."""
        return FEWEST <= len(self.tokens) <= n_ranked - FEWEST


# ---- built in


def built_in_sets(texts: Mapping[int, bytes]) -> list[TokenSet]:
    """The built-in sets, also those that have no token.

    Args:
        texts: What each token that is ranked stands for, by its id.
    """
    found: dict[str, list[int]] = {name: [] for name in BUILT_IN}
    for token in sorted(texts):
        for name in _sets_of(texts[token]):
            found[name].append(token)
    return [TokenSet(name, False, tuple(tokens)) for name, tokens in found.items()]


def _sets_of(data: bytes) -> Iterator[str]:
    """The built-in sets of which a token is that stands for these bytes."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        yield PART
        return
    if text.startswith(" "):
        yield "leading_space"
    word = text.strip()
    if not word:
        if text:
            yield "white_space"
        return
    yield from (name for name, consists in _CONSISTS.items() if consists(word))
    yield from (name for name, words in _listed(_NAMES).items() if word in words)
    small = word.lower()
    yield from (name for name, words in _listed(_WORDS).items() if small in words)
    scripts = {script_of(char) for char in word if unicodedata.category(char)[0] == "L"}
    if len(scripts) == 1 and (script := scripts.pop()):
        yield script


def _is_punctuation(word: str) -> bool:
    return all(unicodedata.category(char)[0] in "PS" for char in word)


def _is_capitalised(word: str) -> bool:
    return len(word) > 1 and word[0].isupper() and word[1:].isalpha() and word[1:].islower()


def _is_upper(word: str) -> bool:
    return len(word) > 1 and word.isalpha() and word.isupper()


_CONSISTS: Final[dict[str, Callable[[str], bool]]] = {
    "digits": str.isdecimal,
    "punctuation": _is_punctuation,
    "capitalised": _is_capitalised,
    "upper_case": _is_upper,
}


def _listed(lists: Mapping[str, str]) -> dict[str, frozenset[str]]:
    return {name: _split(words) for name, words in lists.items()}


@cache
def _split(words: str) -> frozenset[str]:
    return frozenset(words.split())


@cache
def script_of(char: str) -> str:
    """The script of a letter among `SCRIPTS`; empty where it is of another or of none."""
    first, *others = unicodedata.name(char, "").split() or [""]
    if first in ("FULLWIDTH", "HALFWIDTH") and others:
        first = others[0]
    return next((name for name, words in SCRIPTS.items() if first in words), "")


# ---- a user's own


def own_sets(texts: Mapping[int, bytes], asked: Sequence[WordSet], origin: str) -> list[TokenSet]:
    """The sets of a user's file as tokens.

    A word stands for the tokens that are it, with and without a space before it; one that begins
    with white space for that token alone.

    Args:
        texts: What each token that is ranked stands for, by its id.
        asked: The sets.
        origin: What the file is called.

    Raises:
        SaereportError: A set has too few or too many tokens, or one that is not ranked.
    """
    by_text: dict[bytes, list[int]] = {}
    for token, data in texts.items():
        by_text.setdefault(data, []).append(token)
    found = []
    for one in asked:
        tokens: set[int] = set()
        missing = []
        for word in one.words:
            if isinstance(word, int):
                if word not in texts:
                    raise SaereportError(
                        f"{origin}, set '{shortened(one.name, 60)}': {word} is no token that "
                        "stands for text in this model's vocabulary.",
                        "Write the word itself, in quotes if it is a number, or leave it out.",
                    )
                tokens.add(word)
                continue
            data = word.encode()
            forms = [data] if word[0].isspace() else [data, b" " + data]
            here = [token for form in forms for token in by_text.get(form, ())]
            tokens.update(here)
            if not here:
                missing.append(word)
        made = TokenSet(one.name, True, tuple(sorted(tokens)), tuple(missing))
        if not made.is_tested(len(texts)):
            raise SaereportError(_wrong_size(made, origin, len(one.words), len(texts)), _SIZE_HINT)
        found.append(made)
    return found


_SIZE_HINT = f"A set has at least {FEWEST} tokens, and leaves out at least as many."


def _wrong_size(made: TokenSet, origin: str, n_words: int, n_ranked: int) -> str:
    said = f"{origin}, set '{shortened(made.name, 60)}': "
    if len(made.tokens) >= FEWEST:
        return said + f"its {len(made.tokens):,} tokens are nearly all of {n_ranked:,}."
    said += f"only {len(made.tokens)} tokens"
    if made.missing:
        words = ", ".join(f"'{shortened(word, 30)}'" for word in made.missing[:3])
        said += f"; {len(made.missing):,} of {n_words:,} words are no single token, such as {words}"
    return said + "."


def read_token_sets(path: Path) -> list[WordSet]:
    """The sets of a file: JSON where it is named so, else YAML.

    Raises:
        SaereportError: There is no such file, it cannot be read, or something in it is not what
            it can be; says where.
    """
    path = path.expanduser()
    text = _text_of(path)
    if path.suffix.lower() == ".json":
        try:
            values = json.loads(text, object_pairs_hook=_once)
        except RecursionError:
            raise SaereportError(f"{path.name}: nested too deeply.", _HOW) from None
        except ValueError as error:
            raise SaereportError(
                f"{path.name}: {shortened(json_fault(error), 120)}.", _HOW
            ) from error
    else:
        values = parse_yaml(text, f"'{path.name}'")
    if not isinstance(values, dict) or not values:
        raise SaereportError(f"{path.name} holds no token sets.", _HOW)
    if len(values) > MOST_SETS:
        raise SaereportError(f"{path.name} holds more than {MOST_SETS} token sets.")
    return [_word_set(name, words, path.name) for name, words in values.items()]


_HOW = 'It holds a name and a list for each set: {"colours": ["red", "green", "blue", ...]}.'


def _text_of(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise SaereportError(f"'{path}' is not a file.", "Name the file of token sets itself.")
        with path.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise SaereportError(f"'{path}' is larger than {LARGEST_FILE // MIB} MiB.")
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise SaereportError(f"There is no file of token sets '{path}'.", _HOW) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SaereportError(f"'{path}', line {line}: not UTF-8.", "Save it as UTF-8.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise SaereportError(f"'{path}' cannot be read: {reason or error}.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no key stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for k, (name, _) in enumerate(pairs) if name in dict(pairs[:k]))
        raise ValueError(f"the name '{shortened(twice, 40)}' stands there twice")
    return found


def _word_set(name: Any, words: Any, origin: str) -> WordSet:
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
        raise SaereportError(
            f"{origin}: a set cannot be called '{shortened(name, 60)}'.",
            f"A name is a text of up to {LONGEST_NAME} characters; put a number into quotes.",
        )
    where = f"{origin}, set '{shortened(name, 60)}'"
    if name in BUILT_IN:
        raise SaereportError(f"{where}: that is built in.", "Give it another name.")
    _require_text(name, where)
    if not isinstance(words, list) or not words:
        raise SaereportError(f"{where}: not a list of words.", _HOW)
    if len(words) > MOST_WORDS:
        raise SaereportError(f"{where}: more than {MOST_WORDS:,} words.")
    for word in words:
        number = isinstance(word, int) and not isinstance(word, bool) and word >= 0
        if not number and (not isinstance(word, str) or not 0 < len(word) <= LONGEST_WORD):
            raise SaereportError(
                f"{where}: '{shortened(word, 60)}' is neither a word nor a token's id.",
                "Put what YAML takes for something else, such as no or 1.5, into quotes.",
            )
        if isinstance(word, str):
            _require_text(word, where)
    return WordSet(name, tuple(dict.fromkeys(words)))


def _require_text(word: str, where: str) -> None:
    """Refuse halves of characters, which JSON can name and no text holds."""
    try:
        word.encode()
    except UnicodeEncodeError as error:
        raise SaereportError(f"{where}: a word holds half a character.") from error
