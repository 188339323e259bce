"""Conversations as data sets hold them: lists of messages, in either of the usual spellings.

`{role, content}` is what chat templates read; `{from, value}` (ShareGPT) is the same in other
words. A list of messages is also stored column by column, `{role: [...], content: [...]}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from saereport.util.errors import SaereportError, shortened

CHAT_COLUMNS = ("messages", "conversations", "conversation")

_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model"), "assistant"),
    **dict.fromkeys(("function", "observation", "tool"), "tool"),
    "system": "system",
}
"""What the speakers of `{from, value}` are called in `{role, content}`."""


class Chat(list[dict[str, Any]]):
    """The messages of a conversation: each has a `role` and a `content`, both text.

    One that calls a tool and says nothing has no `content`.
    """

    def characters(self) -> int:
        """How long it is, without what a template adds."""
        return sum(len(message.get("content", "")) for message in self)


def conversation(value: Any, what: str) -> Chat | None:
    """A value as a conversation; None where it is no list of messages at all.

    Args:
        value: What a row holds.
        what: The row and the column, for messages.

    Raises:
        SaereportError: It is a list of messages of which one cannot be read.
    """
    if isinstance(value, Mapping):
        value = _by_message(value, what)
        if value == []:
            return Chat()
    if not isinstance(value, (list, tuple, np.ndarray)) or not len(value):
        return None
    if not isinstance(value[0], Mapping):
        return None
    return Chat(_message(one, f"{what}: message {n:,}") for n, one in enumerate(value, 1))


def _by_message(columns: Mapping[str, Any], what: str) -> list[dict[str, Any]] | None:
    """The messages of a list that is stored column by column; None where it is none."""
    lists = {k: v for k, v in columns.items() if isinstance(v, (list, tuple, np.ndarray))}
    sizes = {len(v) for v in lists.values()}
    if len(lists) != len(columns) or not lists or not {"role", "from"} & set(lists):
        return None
    if len(sizes) > 1:
        raise SaereportError(
            f"{what} has lists of {' and '.join(map(str, sorted(sizes)))} values, which make no "
            "messages."
        )
    return [dict(zip(lists, one, strict=True)) for one in zip(*lists.values(), strict=True)]


def _message(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise SaereportError(f"{where} is no message, but {type(value).__name__}.")
    if "role" in value:
        # What is null is absent: columns of a table have a value for every message.
        made = {str(key): item for key, item in value.items() if item is not None}
    elif "from" in value:
        made = {"role": _role(value["from"], where), "content": value.get("value")}
    else:
        keys = ", ".join(shortened(str(key), 30) for key in list(value)[:6]) or "none"
        raise SaereportError(
            f"{where} has neither a 'role' nor a 'from'; it has {keys}.",
            "Messages are {role, content} or {from, value}; name another column with "
            "--text-column.",
        )
    if not isinstance(made.get("role"), str) or not made["role"]:
        raise SaereportError(f"{where} has no role.")
    content = made.get("content")
    if not isinstance(content, str) and not (content is None and made.get("tool_calls")):
        kind = "nothing" if content is None else type(content).__name__
        raise SaereportError(
            f"{where} holds as its content {kind}, and only text is read.",
            "Take such rows out, or write the content as text.",
        )
    return made


def _role(speaker: Any, where: str) -> str:
    role = _ROLES.get(str(speaker).lower())
    if role is None:
        raise SaereportError(
            f"{where} is from '{shortened(str(speaker), 40)}', which is no role that is known.",
            f"Known are {', '.join(_ROLES)}.",
        )
    return role
