"""Prompts: from what was asked to token ids that circuits can be computed on.

A prompt that makes no sense (too long, too short, ids that the model does not have) is kept here
with the reason, and nothing is computed on it; a build refuses it before it reads any text. What
the user wrote is data: it never becomes a file's name unchanged, and never reaches the terminal
with its control characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from saereport.sources.models import LanguageModel
from saereport.sources.tokens import token_bytes
from saereport.util.errors import SaereportError
from saereport.util.slugs import is_prompt_slug

ARROW = "=>"
"""Stands between a prompt's text and its answer."""

NAME_LENGTH = 72
SLUG_LENGTH = 48


class PromptAsked(Protocol):
    """What is asked of one prompt; exactly one of text, tokens and repeat_random is given."""

    @property
    def name(self) -> str | None:
        """Heading."""

    @property
    def text(self) -> str | None:
        """Text, or `text => answer`."""

    @property
    def tokens(self) -> tuple[int, ...] | None:
        """Token ids."""

    @property
    def repeat_random(self) -> int | None:
        """Number of random tokens to draw and repeat."""

    @property
    def seed(self) -> int:
        """Seed of the random tokens."""

    @property
    def answer(self) -> str | None:
        """The next token to follow, as text."""


@dataclass(frozen=True)
class Note:
    """What could not be done, or only in part.

    Attributes:
        topic: What was asked for, in a word or two.
        text: The reason, as sentences.
    """

    topic: str
    text: str


@dataclass(frozen=True)
class PromptTokens:
    """One prompt as token ids.

    Attributes:
        number: Its place in the order in which prompts were asked for.
        slug: File-safe name, unique within a run.
        name: Heading, as the user gave it.
        kind: `text`, `ids` or `random`.
        tokens: Token ids; none where they are too many or not the model's.
        counted: Which of them take part.
        answer: The token that is followed, or -1.
        answer_note: Which token of a longer answer that is; empty where there is nothing to say.
        period: For repeated random tokens, their number; 0 otherwise.
        first: Position of the first of them; 0 otherwise.
        problem: Why nothing can be computed on this prompt; empty where it can.
        notes: What else there is to say.
        answered: Whether an answer was asked for, whatever became of it.
    """

    number: int
    slug: str
    name: str
    kind: str
    tokens: tuple[int, ...]
    counted: tuple[bool, ...]
    answer: int = -1
    answer_note: str = ""
    period: int = 0
    first: int = 0
    problem: str = ""
    notes: tuple[Note, ...] = ()
    answered: bool = False


def make_prompts(
    asked: Sequence[PromptAsked],
    model: LanguageModel,
    *,
    prepend_bos: bool,
    include_bos: bool,
    longest: int | None = None,
) -> list[PromptTokens]:
    """Each prompt that was asked for, in order; none is left out.

    Args:
        asked: What was asked for.
        model: The language model.
        prepend_bos: Begin text and random tokens with BOS; token ids are used as they are.
        include_bos: Let BOS and other special tokens take part.
        longest: Tokens of a prompt that anything is computed on; the model's context where None.
    """
    names = [_name(one) for one in asked]
    slugs = prompt_slugs(names)
    bos = (model.bos_id,) if prepend_bos and model.bos_id is not None else ()
    found = []
    for number, one in enumerate(asked):
        text, answer = split_answer(one.text or "", one.answer)
        made = _tokens_of(one, text, model, bos)
        counted = tuple(include_bos or token not in model.special_ids for token in made.tokens)
        problem = made.problem or _problem(made.tokens, counted, model, longest)
        if not _can_be_held(made.tokens, model, longest):
            made, counted = replace(made, tokens=()), ()
        followed = _answer_of(answer, text if made.kind == "text" else None, model)
        notes = [Note("prompt", problem)] if problem else []
        notes += [Note("answer", followed.note)] if followed.note else []
        found.append(
            PromptTokens(
                number=number,
                slug=slugs[number],
                name=names[number],
                kind=made.kind,
                tokens=made.tokens,
                counted=counted,
                answer=followed.token,
                answer_note=followed.note,
                period=made.period,
                first=made.first,
                problem=problem,
                notes=tuple(notes),
                answered=answer is not None,
            )
        )
    return found


@dataclass(frozen=True)
class _Tokens:
    """A prompt's tokens, and how they came about; the fields are those of `PromptTokens`."""

    kind: str
    tokens: tuple[int, ...]
    period: int = 0
    first: int = 0
    problem: str = ""


def _tokens_of(
    asked: PromptAsked, text: str, model: LanguageModel, bos: tuple[int, ...]
) -> _Tokens:
    if asked.tokens is not None:
        return _Tokens("ids", asked.tokens)
    if asked.repeat_random is not None:
        drawn, problem = random_tokens(model, asked.repeat_random, asked.seed)
        return _Tokens(
            "random", (*bos, *drawn, *drawn), asked.repeat_random, first=len(bos), problem=problem
        )
    return _Tokens("text", text_tokens(model, text, bos))


def _can_be_held(tokens: Sequence[int], model: LanguageModel, longest: int | None) -> bool:
    """Whether a run can hold a prompt's tokens: not too many, and all the model's."""
    fits = len(tokens) <= min(model.n_ctx, longest or model.n_ctx)
    return fits and all(0 <= token < model.d_vocab for token in tokens)


class _Answer(NamedTuple):
    """The token that is followed, or -1, and what there is to say of it."""

    token: int
    note: str


def _answer_of(answer: str | None, text: str | None, model: LanguageModel) -> _Answer:
    if answer is None:
        return _Answer(-1, "")
    token, note = answer_token(model.tokenizer, text, answer)
    if token >= model.d_vocab:
        return _Answer(-1, f"The model has no logit for the answer '{shown(answer)}'.")
    return _Answer(token, note)


def require_usable(prompts: Sequence[PromptTokens]) -> None:
    """Refuse prompts that nothing can be computed on, and answers that are no token.

    Raises:
        SaereportError: There is one; names the first.
    """
    for prompt in prompts:
        reason, hint = prompt.problem, "Change this prompt or leave it out."
        if not reason and prompt.answered and prompt.answer < 0:
            reason, hint = prompt.answer_note, "Write another answer, or none."
        if reason:
            named = f"Prompt {prompt.number + 1} ('{shown(prompt.name)}') cannot be used"
            raise SaereportError(f"{named}: {reason}", hint)


def text_tokens(model: LanguageModel, text: str, bos: tuple[int, ...]) -> tuple[int, ...]:
    """Token ids of a text, with BOS before it unless the text begins with it."""
    ids = tuple(_tokenized(model.tokenizer, text))
    return ids if ids[: len(bos)] == bos else (*bos, *ids)


def _tokenized(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def _problem(
    tokens: Sequence[int], counted: Sequence[bool], model: LanguageModel, longest: int | None
) -> str:
    """Why nothing can be computed on these tokens, or an empty string."""
    beyond = [token for token in tokens if not 0 <= token < model.d_vocab]
    if beyond:
        return (
            f"Token {beyond[0]} is not in the model's vocabulary of {model.d_vocab:,} tokens, "
            "numbered from 0."
        )
    if len(tokens) > model.n_ctx:
        return (
            f"The prompt has {len(tokens):,} tokens, and the model's context holds {model.n_ctx:,}."
        )
    if longest is not None and len(tokens) > longest:
        return (
            f"The prompt has {len(tokens):,} tokens, more than the {longest:,} that circuits are "
            "computed on; circuits.max_prompt sets another limit."
        )
    if sum(counted) < 2:
        count = "one token" if any(counted) else "no token"
        return f"The prompt has {count} that counts, and circuits need two at least."
    return ""


def split_answer(text: str, answer: str | None) -> tuple[str, str | None]:
    """A prompt's text and its answer, the answer as a continuation of the text.

    In `the city of => Paris` the space before the answer belongs to it, so the answer is ` Paris`;
    `1 + 1 =>2` has the answer `2`. An answer that is given apart continues the text after a space
    as well, unless the text ends with one.

    Args:
        text: Text, with `=>` and the answer after it where there is one.
        answer: The answer where it is given apart; the text is then taken as it is.
    """
    if answer is not None:
        bare = answer.strip()
        spaced = bare and not text[-1:].isspace()
        return text, (" " if spaced else "") + bare
    before, arrow, after = text.rpartition(ARROW)
    if not arrow:
        return text, None
    bare = after.strip()
    return before.rstrip(), (" " if bare and after[0].isspace() else "") + bare


def answer_token(tokenizer: Any, text: str | None, answer: str) -> tuple[int, str]:
    """The token of an answer that is followed, and what there is to say about it.

    Args:
        tokenizer: A Hugging Face tokeniser.
        text: The text that the answer continues; None where the prompt is not text.
        answer: The answer, with its leading space.

    Returns:
        The token, -1 for none, and a note, empty where the answer is one token.
    """
    if not answer.strip():
        return -1, "The answer is empty."
    before = text or "a"
    ids, whole = _tokenized(tokenizer, before), _tokenized(tokenizer, before + answer)
    # Alone, a text can get a space that it does not have inside another one.
    rest = whole[len(ids) :] if whole[: len(ids)] == ids else _tokenized(tokenizer, answer)
    if not rest:
        return -1, f"The answer '{shown(answer)}' has no token."
    if len(rest) == 1:
        return rest[0], ""
    first = _readable(token_bytes(tokenizer, rest[:1])[0])
    return rest[0], (
        f"The answer '{shown(answer)}' has {len(rest)} tokens; its first, '{shown(first)}' "
        f"({rest[0]}), is followed."
    ) + ("" if first.strip() else " To follow what comes after it, end the prompt with it.")


def _readable(data: bytes) -> str:
    """A token's text; a byte of a character that the token does not hold whole as `<0xE2>`."""
    halves = {0xDC00 + byte: f"<0x{byte:02X}>" for byte in range(0x80, 0x100)}
    return data.decode(errors="surrogateescape").translate(halves)


def random_tokens(model: LanguageModel, n: int, seed: int) -> tuple[tuple[int, ...], str]:
    """Distinct tokens drawn at random, seeded, and a reason where there are not enough.

    Special and added tokens, and ids that the tokeniser does not use, are never drawn.
    """
    tokenizer = model.tokenizer
    left_out = set(model.special_ids) | set(tokenizer.added_tokens_decoder)
    known = [i for i in range(min(model.d_vocab, len(tokenizer))) if i not in left_out]
    if n > len(known):
        return (), f"There are only {len(known):,} ordinary tokens to draw {n:,} different from."
    drawn = np.random.default_rng(seed).choice(len(known), size=n, replace=False)
    return tuple(known[int(i)] for i in drawn), ""


def prompt_slugs(names: Iterable[str]) -> list[str]:
    """A file-safe name for each prompt, no two the same, whatever the names hold.

    Lower-case letters, digits and single hyphens; never a name that means something to an
    operating system or is another page's: a prompt's graph is at `<slug>-graph`, so no slug ends
    like that.
    """
    taken: set[str] = set()
    slugs = []
    for name in names:
        stem = re.sub(r"[^a-z0-9]+", "-", name.lower())[:SLUG_LENGTH].strip("-")
        if not is_prompt_slug(stem):
            stem = f"{stem}-prompt".strip("-")
        slug, number = stem, 1
        while slug in taken:
            number += 1
            slug = f"{stem}-{number}"
        taken.add(slug)
        slugs.append(slug)
    return slugs


def _name(asked: PromptAsked) -> str:
    if asked.name is not None and asked.name.strip():
        return asked.name
    if asked.tokens is not None:
        return _cut("Tokens " + ", ".join(map(str, asked.tokens[:NAME_LENGTH])))
    if asked.repeat_random is not None:
        return f"{asked.repeat_random:,} random tokens, repeated (seed {asked.seed})"
    text, _ = split_answer(asked.text or "", asked.answer)
    return _cut(" ".join(text.split())) or "Empty prompt"


def _cut(text: str) -> str:
    return text if len(text) <= NAME_LENGTH else text[: NAME_LENGTH - 1] + "…"


def shown(text: str, limit: int = NAME_LENGTH) -> str:
    """Text as it may be said on a terminal: one line, nothing invisible, not too long."""
    visible = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit]
    )
    return visible + ("…" if len(text) > limit else "")
