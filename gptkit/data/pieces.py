"""The text of a source as one stream of pieces: what every pass over a corpus reads.

source.documents -> Piece, Piece, ... -> scan       how much text there is
                                      -> splits     which split a piece belongs to
                                      -> encoding   tokens
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gptkit.data.sources.source import Document, Source
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError
from gptkit.tokenizers.pieces import split_pieces


class Piece(NamedTuple):
    """A stretch of a document, short enough to be held and encoded at once; never empty."""

    text: str
    starts_document: bool


def read_pieces(source: Source, utf8: Utf8Policy) -> Iterator[Piece]:
    """Yield all text of a source; documents without a character are left out.

    Raises: DataError for text that cannot be read.
    """
    for number, document in enumerate(source.documents(utf8)):
        chunks = _well_formed(document, utf8, f"document {number} of the source")
        starts_document = True
        for text in split_pieces(chunks):
            yield Piece(text, starts_document)
            starts_document = False


def _well_formed(document: Document, utf8: Utf8Policy, where: str) -> Iterator[str]:
    for chunk in (document,) if isinstance(document, str) else document:
        if not isinstance(chunk, str):
            raise DataError(f"{where}: must be text, not {type(chunk).__name__}")
        if chunk:
            yield chunk if chunk.isascii() else utf8.well_formed(chunk, where)


@dataclass
class TextFacts:
    """How much text went by; for one document, `sha256` is that of its UTF-8 bytes."""

    documents: int = 0
    characters: int = 0
    num_bytes: int = 0
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def count(self, piece: Piece) -> int:
        """Take a piece into account and return its UTF-8 bytes."""
        data = piece.text.encode()
        if piece.starts_document:
            if self.documents:
                self._digest.update(b"\xff")  # stands in no UTF-8 text
            self.documents += 1
        self._digest.update(data)
        self.characters += len(piece.text)
        self.num_bytes += len(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """Hash of all text and of where its documents begin."""
        return self._digest.hexdigest()


class Spool:
    """A file that repeats the pieces of a source that is slow to read again."""

    _HEADER = struct.Struct("<I")

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Write the pieces on their way through."""
        with self.path.open("wb") as file:
            for piece in pieces:
                data = piece.text.encode()
                file.write(self._HEADER.pack(len(data) << 1 | piece.starts_document))
                file.write(data)
                yield piece

    def read(self) -> Iterator[Piece]:
        """Yield the pieces again."""
        with self.path.open("rb") as file:
            while header := file.read(self._HEADER.size):
                (number,) = self._HEADER.unpack(header)
                yield Piece(file.read(number >> 1).decode(), bool(number & 1))
