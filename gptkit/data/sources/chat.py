"""Conversations in JSON lines: to learn the answers of, or in pairs of which one is preferred."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from gptkit.chat.conversation import Conversation, conversation_of, from_text, to_text
from gptkit.chat.preference import Pair, pair_from_text, pair_of, pair_to_text
from gptkit.data.files import Paths, file_facts, find_files
from gptkit.data.sources.jsonl import json_objects
from gptkit.data.sources.source import Document
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError
from gptkit.section import PathText, Section

_PROBLEMS_SHOWN = 10


class Lesson(NamedTuple):
    """A conversation, and the turn from which on its answers are learned."""

    conversation: Conversation
    learned_from: int


class ConversationsConfig(Section):
    """Files of one conversation, or several that belong together, a line."""

    name: str
    paths: Paths
    """Files, patterns or folders (every .jsonl below)."""
    template: PathText | None = None
    """A Jinja file that writes conversations; null: the model's own, or ChatML where it has none."""
    special_tokens: tuple[str, ...] = ()
    """What the template needs as tokens of their own, such as <|user|>; new ones are added."""

    quick_to_repeat: ClassVar[bool] = True

    def files(self) -> list[Path]:
        """Return the files in the order in which they are read."""
        return find_files(self.paths, (".jsonl",))

    def check(self) -> None:
        """Raise a DataError for a path that names no usable file, or a template that is none."""
        from gptkit.chat.template import Template

        self.files()
        if self.template is not None:
            Template(self.template_text() or "", {})

    def template_text(self) -> str | None:
        """Return the text of the template file; None where none is named.

        Raises: DataError where it cannot be read.
        """
        if self.template is None:
            return None
        try:
            return Path(self.template).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"data.source.template: '{self.template}' cannot be read: {error}"
            ) from None

    def identity(self) -> dict[str, Any]:
        """Return what changes when a file's content, their order or the template does."""
        template = self.template_text()
        return {
            "files": [file_facts(path) for path in self.files()],
            "template": None if template is None else hashlib.sha256(template.encode()).hexdigest(),
            "special_tokens": list(self.special_tokens),
        }

    def num_bytes(self) -> int:
        """Return the size of all files."""
        return sum(path.stat().st_size for path in self.files())

    def documents(self, utf8: Utf8Policy) -> Iterator[Document]:
        """Yield what each line holds as JSON text of our own; blank lines count for nothing.

        Raises: DataError that names file and line of each problem, up to ten, once all was read.
        """
        problems: list[str] = []
        for where, row in self._rows(utf8):
            if isinstance(row, DataError):
                problems.append(str(row))
            else:
                try:
                    yield self._text_of(row, where, utf8)
                except DataError as error:
                    problems.append(str(error))
            if len(problems) == _PROBLEMS_SHOWN:
                problems.append("and perhaps more: reading stopped here")
                break
        if problems:
            raise DataError("\n".join(problems))

    @abstractmethod
    def lessons(self, document: str) -> list[Lesson]:
        """Return the conversations in a text that `documents` gave."""

    @abstractmethod
    def _text_of(self, row: dict[str, Any], where: str, utf8: Utf8Policy) -> str:
        """Return the text that stands for a row."""

    def place_of(self, number: int) -> str:
        """Return how a message names line `number`, counted from 0, blank ones left out."""
        rows = self._rows(Utf8Policy("replace"))
        return next((where for where, _ in islice(rows, number, None)), str(self.paths[0]))

    def _rows(self, utf8: Utf8Policy) -> Iterator[tuple[str, Any]]:
        for path in self.files():
            yield from json_objects(path, utf8)


class ChatConfig(ConversationsConfig):
    """Conversations in JSON lines: messages, prompt and response, instruction and output, or ShareGPT's."""

    name: Literal["chat"] = "chat"

    def lessons(self, document: str) -> list[Lesson]:
        """Return the conversation, all of whose answers are learned."""
        return [Lesson(from_text(document), 0)]

    def _text_of(self, row: dict[str, Any], where: str, utf8: Utf8Policy) -> str:
        return to_text(_well_formed(conversation_of(row, where), where, utf8))


class PreferenceConfig(ConversationsConfig):
    """Pairs of answers in JSON lines: prompt, chosen and rejected, as text or as messages."""

    name: Literal["preference"] = "preference"

    def lessons(self, document: str) -> list[Lesson]:
        """Return the chosen and the rejected conversation, compared from where they part."""
        pair = pair_from_text(document)
        return [Lesson(pair.chosen, pair.shared), Lesson(pair.rejected, pair.shared)]

    def _text_of(self, row: dict[str, Any], where: str, utf8: Utf8Policy) -> str:
        pair = pair_of(row, where)
        sides = (_well_formed(side, where, utf8) for side in (pair.chosen, pair.rejected))
        return pair_to_text(Pair(*sides))


def _well_formed(conversation: Conversation, where: str, utf8: Utf8Policy) -> Conversation:
    for message in conversation:
        message["content"] = utf8.well_formed(message["content"], where)
    return conversation
