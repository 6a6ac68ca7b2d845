"""Conversations in JSON lines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

from gptkit.chat.conversation import conversation_of, to_text
from gptkit.data.files import Paths, file_facts, find_files
from gptkit.data.sources.jsonl import json_objects
from gptkit.data.sources.source import Document
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError
from gptkit.section import PathText, Section

_PROBLEMS_SHOWN = 10


class ChatConfig(Section):
    """Conversations in JSON lines: messages, prompt and response, instruction and output, or ShareGPT's."""

    name: Literal["chat"] = "chat"
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
        """Yield each conversation as JSON text; blank lines count for nothing.

        Raises: DataError that names file and line of each problem, up to ten, once all was read.
        """
        problems: list[str] = []
        for where, row in self._rows(utf8):
            if isinstance(row, DataError):
                problems.append(str(row))
            else:
                try:
                    conversation = conversation_of(row, where)
                    for message in conversation:
                        message["content"] = utf8.well_formed(message["content"], where)
                    yield to_text(conversation)
                except DataError as error:
                    problems.append(str(error))
            if len(problems) == _PROBLEMS_SHOWN:
                problems.append("and perhaps more: reading stopped here")
                break
        if problems:
            raise DataError("\n".join(problems))

    def place_of(self, number: int) -> str:
        """Return how a message names conversation `number`, counted from 0."""
        rows = self._rows(Utf8Policy("replace"))
        return next((where for where, _ in islice(rows, number, None)), str(self.paths[0]))

    def _rows(self, utf8: Utf8Policy) -> Iterator[tuple[str, Any]]:
        for path in self.files():
            yield from json_objects(path, utf8)
