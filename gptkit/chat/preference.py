"""Pairs of answers to the same prompt, of which one is preferred, and the rows of files that hold them.

    {"prompt": "...", "chosen": "...", "rejected": "..."}
    {"prompt": [{"role": "user", ...}], "chosen": [{"role": "assistant", ...}], "rejected": [...]}
    {"chosen": [{"role": "user", ...}, {"role": "assistant", ...}], "rejected": [...]}

A list that begins with the prompt is the whole conversation, another one goes on from it; beside a
prompt that is text, one that does not begin with the assistant is whole. "system" may stand for what
comes first. Where the two sides begin to differ is where the answers begin that are compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gptkit.chat.conversation import Conversation, Turn, checked, turns_in
from gptkit.errors import DataError

SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class Pair:
    """Two conversations with the same beginning."""

    chosen: Conversation
    rejected: Conversation

    @property
    def shared(self) -> int:
        """How many turns both begin with."""
        turns = zip(self.chosen, self.rejected, strict=False)
        alike = [ours == theirs for ours, theirs in turns]
        return [*alike, False].index(False)


def pair_of(row: Mapping[str, Any], where: str) -> Pair:
    """Return the pair in one row of a file; where: how a message names the row.

    Raises: DataError for a row that holds none, or answers that cannot be compared.
    """
    for side in SIDES:
        if side not in row:
            keys = ", ".join(f"'{key}'" for key in list(row)[:8]) or "nothing"
            raise DataError(
                f"{where}: has no field '{side}', only {keys}; a pair has 'prompt', 'chosen' and"
                " 'rejected'"
            )
    chosen, rejected = (checked(_turns(row, side, where), where) for side in SIDES)
    pair = Pair(chosen, rejected)
    for side, conversation in zip(SIDES, (chosen, rejected), strict=True):
        if conversation[-1]["role"] != "assistant":
            raise DataError(f"{where}: field '{side}': the last turn must be the assistant's")
    if chosen == rejected:
        raise DataError(
            f"{where}: 'chosen' and 'rejected' are the same: there is nothing to prefer"
        )
    for side, conversation in zip(SIDES, (chosen, rejected), strict=True):
        if len(conversation) == pair.shared:
            raise DataError(f"{where}: field '{side}': the other one begins with all of it")
        if conversation[pair.shared]["role"] != "assistant":
            raise DataError(
                f"{where}: field '{side}': turn {pair.shared + 1} is not the assistant's, and is where"
                " the two begin to differ: both must answer the same prompt"
            )
    return pair


def pair_to_text(pair: Pair) -> str:
    """Return the JSON text that stands for a pair while data is prepared."""
    return json.dumps([pair.chosen, pair.rejected], ensure_ascii=False)


def pair_from_text(text: str) -> Pair:
    """Return the pair that `pair_to_text` wrote."""
    return Pair(*json.loads(text))


def _turns(row: Mapping[str, Any], side: str, where: str) -> list[Turn]:
    """Return the turns of a whole conversation, the prompt's and one side's."""
    field = f"{where}: field '{side}'"
    system: list[Turn] = []
    if row.get("system"):
        system = [(f"{where}: field 'system'", "system", row["system"])]
    prompt, answer = _prompt(row, where), row[side]
    if not isinstance(answer, list):
        if not prompt:
            raise DataError(f"{where}: has no field 'prompt' that the text of '{side}' answers")
        return [*system, *prompt, (field, "assistant", answer)]
    turns = turns_in(answer, field, where=field)
    if isinstance(row.get("prompt"), list):
        is_whole = _said(turns[: len(prompt)]) == _said(prompt)
    else:
        is_whole = turns[0][1] != "assistant"
    return [*system, *([] if is_whole else prompt), *turns]


def _prompt(row: Mapping[str, Any], where: str) -> list[Turn]:
    if "prompt" not in row:
        return []
    prompt, field = row["prompt"], f"{where}: field 'prompt'"
    if isinstance(prompt, list):
        return turns_in(prompt, field, where=field)
    return [(field, "user", prompt)]


def _said(turns: list[Turn]) -> list[tuple[Any, Any]]:
    return [(role, content) for _, role, content in turns]
