"""Bytes to text: strict UTF-8 in bounded memory, one policy for bytes that are something else."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gptkit.data.diagnosis import not_text
from gptkit.data.files import open_binary
from gptkit.errors import DataError

BLOCK_BYTES = 1 << 20
_REPLACEMENT = "\ufffd"
_REPLACEMENT_BYTES = _REPLACEMENT.encode()


@dataclass
class Utf8Policy:
    """What happens to bytes that are not UTF-8; `replaced` counts the U+FFFD put in their place."""

    on_error: Literal["error", "replace"] = "error"
    replaced: int = 0

    def decode(self, data: bytes, path: Path, offset: int) -> str:
        """Return the text of `data`, whole characters that stand at byte `offset` of the file.

        Raises: DataError that names file, byte and line.
        """
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            if self.on_error == "error":
                raise not_text(path, offset + error.start) from None
            text = data.decode(errors="replace")
            self.replaced += _num_replaced(text, data)
            return text

    def well_formed(self, text: str, where: str) -> str:
        r"""Return text that UTF-8 can write: JSON's "\ud800" is half a character.

        Raises: DataError that begins with `where`.
        """
        try:
            text.encode()
            return text
        except UnicodeEncodeError as error:
            if self.on_error == "error":
                raise DataError(
                    f"{where}: character {error.start} is {text[error.start]!a}, half of a"
                    " surrogate pair; mend the text or set data.on_bad_utf8: replace"
                ) from None
        mended = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        self.replaced += mended.count(_REPLACEMENT) - text.count(_REPLACEMENT)
        return mended


def read_text(path: Path, utf8: Utf8Policy) -> Iterator[str]:
    """Yield the text of a file in pieces: no byte order mark, line ends as they are.

    Raises: DataError where it is not UTF-8 or, under the policy "error", holds NUL bytes.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace" if _replaces(utf8) else "strict")
    offset = 0
    at_beginning = True
    with open_binary(path) as file:
        while True:
            block = file.read(BLOCK_BYTES)
            pending = decoder.getstate()[0]
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise not_text(path, offset - len(pending) + error.start) from None
            if _replaces(utf8):
                utf8.replaced += _num_replaced(text, pending + block)
            elif b"\0" in block:
                raise not_text(path, offset + block.index(b"\0"))
            offset += len(block)
            if text:
                yield text.removeprefix("\ufeff") if at_beginning else text
                at_beginning = False
            if not block:
                return


def _replaces(utf8: Utf8Policy) -> bool:
    return utf8.on_error == "replace"


def _num_replaced(text: str, data: bytes) -> int:
    # The bytes of a genuine U+FFFD begin with a lead byte, so they never decode to anything else.
    return text.count(_REPLACEMENT) - data.count(_REPLACEMENT_BYTES)
