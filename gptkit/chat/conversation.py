"""Conversations, and the rows of files that hold them.

    {"messages": [{"role": "user", "content": "..."}, ...]}
    {"conversations": [{"from": "human", "value": "..."}, ...]}          ShareGPT
    {"prompt": "...", "response": "..."}                                 one question
    {"instruction": "...", "input": "...", "output": "..."}              Alpaca; input may be absent

Beside the last three, "system" may stand for what comes first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from gptkit.errors import DataError

ROLES = ("system", "user", "assistant")
_SHAREGPT_ROLES = {"human": "user", "gpt": "assistant"}


class Message(TypedDict):
    """One turn."""

    role: str
    content: str


Conversation = list[Message]


def conversation_of(row: Mapping[str, Any], where: str) -> Conversation:
    """Return the conversation in one row of a file; where: how a message names the row.

    Raises: DataError for a row that holds none, or none to learn an answer from.
    """
    if "messages" in row:
        turns = turns_in(row["messages"], f"{where}: field 'messages'", where=where)
    elif "conversations" in row:
        field = f"{where}: field 'conversations'"
        named = turns_in(row["conversations"], field, ("from", "value"), where=where)
        turns = [(place, _SHAREGPT_ROLES.get(role, role), text) for place, role, text in named]
    elif "prompt" in row or "response" in row:
        turns = _pair(row, "prompt", "response", where)
    elif "instruction" in row or "output" in row:
        turns = _pair(row, "instruction", "output", where)
    else:
        keys = ", ".join(f"'{key}'" for key in list(row)[:8]) or "nothing"
        raise DataError(
            f"{where}: holds {keys}; a conversation has 'messages', 'conversations',"
            " 'prompt' and 'response', or 'instruction' and 'output'"
        )
    if "system" in row and "messages" not in row and row["system"]:
        turns = [(f"{where}: field 'system'", "system", row["system"]), *turns]
    return checked(turns, where)


def to_text(conversation: Sequence[Message]) -> str:
    """Return the JSON text that stands for a conversation while data is prepared."""
    return json.dumps(conversation, ensure_ascii=False)


def from_text(text: str) -> Conversation:
    """Return the conversation that `to_text` wrote."""
    conversation: Conversation = json.loads(text)
    return conversation


Turn = tuple[str, Any, Any]
"""How a message names it, role, content."""


def turns_in(
    listed: Any, field: str, keys: tuple[str, str] = ("role", "content"), *, where: str
) -> list[Turn]:
    """Return the turns in a list; field, where: how a message names the list, and what holds the turns.

    Raises: DataError where it is no list of any, or one lacks a key.
    """
    example = f'[{{"{keys[0]}": ..., "{keys[1]}": ...}}, ...]'
    if not isinstance(listed, list) or not listed:
        raise DataError(f"{field} must be a list such as {example}")
    turns = []
    for number, turn in enumerate(listed, start=1):
        place = f"{where}: turn {number}"
        if not isinstance(turn, dict):
            raise DataError(f"{place}: must be an object, as in {example}")
        for key in keys:
            if key not in turn:
                raise DataError(f"{place}: has no '{key}'")
        turns.append((place, turn[keys[0]], turn[keys[1]]))
    return turns


def _pair(row: Mapping[str, Any], question: str, answer: str, where: str) -> list[Turn]:
    for key in (question, answer):
        if key not in row:
            raise DataError(f"{where}: has no field '{key}'")
    asked = row[question]
    if question == "instruction" and row.get("input"):
        if not isinstance(row["input"], str):
            raise DataError(f"{where}: field 'input': must be text, not {_shown(row['input'])}")
        asked = f"{asked}\n\n{row['input']}"
    return [
        (f"{where}: field '{question}'", "user", asked),
        (f"{where}: field '{answer}'", "assistant", row[answer]),
    ]


def checked(turns: Sequence[Turn], where: str) -> Conversation:
    """Return the conversation of these turns.

    Raises: DataError where they are none, or no turn is the assistant's.
    """
    conversation: Conversation = []
    for place, role, content in turns:
        if not isinstance(role, str) or role not in ROLES:
            raise DataError(f"{place}: the role {_shown(role)} must be one of {', '.join(ROLES)}")
        if role == "system" and conversation:
            raise DataError(f"{place}: only the first turn can be the system's")
        if not isinstance(content, str):
            raise DataError(f"{place}: the content must be text, not {_shown(content)}")
        if not content.strip():
            raise DataError(f"{place}: the content is empty")
        conversation.append(Message(role=role, content=content))
    if all(message["role"] != "assistant" for message in conversation):
        raise DataError(f"{where}: no turn is the assistant's: there is no answer to learn")
    return conversation


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}..."
