"""Plain text files: every file is a document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from gptkit.data.files import Paths, file_facts, find_files
from gptkit.data.sources.source import Document
from gptkit.data.utf8 import Utf8Policy, read_text
from gptkit.section import Section


class TextConfig(Section):
    """Text files, each a document."""

    name: Literal["text"] = "text"
    paths: Paths
    """Files, patterns (books/**/*.txt) or folders (every .txt and .md below)."""

    quick_to_repeat: ClassVar[bool] = True

    def files(self) -> list[Path]:
        """Return the files in the order in which they are read."""
        return find_files(self.paths, (".txt", ".md"))

    def check(self) -> None:
        """Raise a DataError for a path that names no usable file."""
        self.files()

    def identity(self) -> dict[str, Any]:
        """Return what changes when a file's content or the order of files does."""
        return {"files": [file_facts(path) for path in self.files()]}

    def num_bytes(self) -> int:
        """Return the size of all files."""
        return sum(path.stat().st_size for path in self.files())

    def documents(self, utf8: Utf8Policy) -> Iterator[Document]:
        """Yield every file, in pieces."""
        for path in self.files():
            yield read_text(path, utf8)
