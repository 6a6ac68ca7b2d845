"""JSON lines: every line is an object, one of its fields a document."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from gptkit.data.files import Paths, file_facts, find_files, open_binary
from gptkit.data.sources.source import Document
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError
from gptkit.section import Section


class JsonlConfig(Section):
    """Files of one JSON object a line, each a document."""

    name: Literal["jsonl"] = "jsonl"
    paths: Paths
    """Files, patterns or folders (every .jsonl below)."""
    text_field: Annotated[str, Field(min_length=1)] = "text"
    """The field that holds the text."""

    quick_to_repeat: ClassVar[bool] = True

    def files(self) -> list[Path]:
        """Return the files in the order in which they are read."""
        return find_files(self.paths, (".jsonl",))

    def check(self) -> None:
        """Raise a DataError for a path that names no usable file."""
        self.files()

    def identity(self) -> dict[str, Any]:
        """Return what changes when a file's content, the order of files or the field does."""
        files = [file_facts(path) for path in self.files()]
        return {"files": files, "text_field": self.text_field}

    def num_bytes(self) -> int:
        """Return the size of all files."""
        return sum(path.stat().st_size for path in self.files())

    def documents(self, utf8: Utf8Policy) -> Iterator[Document]:
        """Yield the text of every line; blank lines count for nothing.

        Raises: DataError that names file and line.
        """
        for path in self.files():
            for where, row in json_objects(path, utf8, example=f'{{"{self.text_field}": ...}}'):
                if isinstance(row, DataError):
                    raise row
                yield self._text_of(row, where, utf8)

    def _text_of(self, row: dict[str, Any], where: str, utf8: Utf8Policy) -> str:
        if self.text_field not in row:
            raise DataError(
                f"{where}: has no field '{self.text_field}', only {_listed(row)};"
                " data.source.text_field names another"
            )
        text = row[self.text_field]
        if not isinstance(text, str):
            raise DataError(
                f"{where}: field '{self.text_field}' must be a string, not {json.dumps(text)[:40]}"
            )
        return utf8.well_formed(text, f"{where}: field '{self.text_field}'")


def json_objects(
    path: Path, utf8: Utf8Policy, *, example: str = '{"messages": ...}'
) -> Iterator[tuple[str, dict[str, Any] | DataError]]:
    """Yield the object of every line that is not blank, or what is wrong with it, and its place.

    Raises: DataError for a file that cannot be read, or is not UTF-8.
    """
    offset = 0
    with open_binary(path) as file:
        for number, line in enumerate(file, start=1):
            marked = offset == 0 and line.startswith(codecs.BOM_UTF8)
            start = len(codecs.BOM_UTF8) if marked else 0
            if line[start:].strip():
                text = utf8.decode(line[start:], path, offset + start)
                where = f"{path}: line {number}"
                yield where, _object(text, where, example)
            offset += len(line)


def _object(line: str, where: str, example: str) -> dict[str, Any] | DataError:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return DataError(f"{where}: is not JSON ({error})")
    if not isinstance(row, dict):
        return DataError(f"{where}: must be a JSON object such as {example}")
    return row


def _listed(row: dict[str, Any]) -> str:
    return ", ".join(f"'{key}'" for key in list(row)[:8]) or "an empty object"
