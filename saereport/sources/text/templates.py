"""Conversations written out by the chat template of the model's tokeniser.

A template is Jinja, which Transformers renders in a sandbox. What comes out is text like any other,
and becomes tokens as in `apply_chat_template(..., tokenize=True)`: without further special tokens.
The marks of turns are special tokens and do not count; names of roles and line breaks that a
template adds are tokens of the text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from saereport.sources.text.conversations import Chat
from saereport.sources.text.text import Placed, Text
from saereport.util.errors import SaereportError, shortened

DATE = "2024-07-26"
"""Today, for templates that write it: the day that Llama's own fall back on."""

_DATE = {
    "%Y": "2024",
    "%y": "24",
    "%m": "07",
    "%-m": "7",
    "%d": "26",
    "%-d": "26",
    "%j": "208",
    "%B": "July",
    "%b": "Jul",
    "%A": "Friday",
    "%a": "Fri",
    "%H": "00",
    "%I": "12",
    "%M": "00",
    "%S": "00",
    "%p": "AM",
}


def written_out(text: Text, tokenizer: Any, model: str) -> Text:
    """A text of conversations as one of documents.

    Args:
        text: Conversations.
        tokenizer: The model's Hugging Face tokeniser.
        model: The model's name, for messages.

    Raises:
        SaereportError: The tokeniser has no chat template.
    """
    template = _template_of(text, tokenizer, model)
    dated = "strftime_now" in template
    # The same text has to be the same tokens tomorrow.
    used = _fixed_date() + template if dated else template

    def read() -> Iterator[Placed]:
        for where, found in text.read():
            yield where, _written(found, tokenizer, used, where) if isinstance(found, Chat) else ""

    digest = hashlib.sha256(template.encode("utf-8", "surrogatepass")).hexdigest()
    applied = {"sha256": digest, **({"date": DATE} if dated else {})}
    provenance = {**text.provenance, "chat_template": applied}
    return replace(text, kind="text", read=read, provenance=provenance)


def _template_of(text: Text, tokenizer: Any, model: str) -> str:
    hint = "Give a model that has one (its version for chat), or write the conversations as text."
    if not getattr(tokenizer, "chat_template", None):
        raise SaereportError(
            f"{text.name} holds conversations, and the tokeniser of the model {model} has no chat "
            "template to write them out with.",
            hint,
        )
    try:
        return str(tokenizer.get_chat_template())
    except ValueError as error:
        raise SaereportError(
            f"{text.name} holds conversations, and the tokeniser of the model {model} has several "
            "chat templates, none of which is the default one.",
            hint,
        ) from error


def _written(
    chat: Chat, tokenizer: Any, template: str, where: str, *, answered: bool = False
) -> str:
    """A conversation as text; up to where the assistant begins if it is to be `answered`."""
    if not chat:
        return ""
    try:
        return str(
            tokenizer.apply_chat_template(
                list(chat),
                chat_template=template,
                tokenize=False,
                add_generation_prompt=answered,
            )
        )
    except MemoryError:
        raise
    except Exception as error:
        said = shortened(" ".join(str(error).split()).rstrip(".") or type(error).__name__)
        raise SaereportError(
            f"{where}: the model's chat template cannot write this conversation out: {said}.",
            "Take such rows out of the text, or write the conversations as text.",
        ) from error


def _fixed_date() -> str:
    """Jinja that stands before a template and gives it always the same day.

    Arguments are handed to templates as plain data, so that a function cannot be handed over.
    """
    replaced = "".join(f"|replace('{name}', '{value}')" for name, value in _DATE.items())
    # The line break behind the last block is no output: Transformers trims blocks.
    return "{%- macro strftime_now(format) -%}{{ format" + replaced + " }}{%- endmacro %}\n"


def user_turn(words: str, tokenizer: Any, model: str) -> str:
    """What a user says, written out by the chat template up to where the assistant begins.

    Args:
        words: What the user says.
        tokenizer: The model's Hugging Face tokeniser.
        model: The model's name, for messages.

    Raises:
        SaereportError: The tokeniser has no chat template, or that cannot write this out.
    """
    hint = "Give a model that has one (its version for chat), or leave steering.chat out."
    said = f"the tokeniser of the model {model} has"
    if not getattr(tokenizer, "chat_template", None):
        raise SaereportError(f"Prompts cannot be written as turns: {said} no chat template.", hint)
    try:
        template = str(tokenizer.get_chat_template())
    except ValueError as error:
        raise SaereportError(
            f"Prompts cannot be written as turns: {said} several chat templates, none of which is "
            "the default one.",
            hint,
        ) from error
    used = _fixed_date() + template if "strftime_now" in template else template
    where = f"The prompt '{shortened(words, 60)}'"
    chat = Chat([{"role": "user", "content": words}])
    return _written(chat, tokenizer, used, where, answered=True)


def ends_of_turn(tokenizer: Any) -> frozenset[int]:
    """The special token with which an assistant's turn ends; none where there is no such token.

    It need not be the one that ends a text: Gemma's is not.

    Args:
        tokenizer: A Hugging Face tokeniser with a chat template.
    """
    template = str(tokenizer.get_chat_template())
    used = _fixed_date() + template if "strftime_now" in template else template
    turns = (("user", "question"), ("assistant", _ANSWER))
    chat = Chat([{"role": role, "content": words} for role, words in turns])
    try:
        whole = _written(chat, tokenizer, used, "A turn")
    except SaereportError:
        return frozenset()
    _, found, behind = whole.rpartition(_ANSWER)
    if not found or not behind.strip():
        return frozenset()
    first = tokenizer.encode(behind.strip(), add_special_tokens=False)[:1]
    known = {int(i) for i in getattr(tokenizer, "added_tokens_decoder", {})}
    return frozenset({int(i) for i in first} & known)


_ANSWER = "answer"
"""What an assistant says whose turn is looked at."""
