"""From tokens to text while they come: whole characters only, up to a stop string.

tokens -> bytes -> incremental UTF-8 decoder -> hold back what may become a stop string -> text
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Protocol

from gptkit.errors import ConfigError


class BytesDecoder(Protocol):
    """The one thing asked of a tokenizer here."""

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Return the bytes that `ids` stand for."""


class TextStream:
    """Turns the tokens of one sample into text, a piece for each token.

    The pieces put together are the decoded bytes, with U+FFFD for those that are not UTF-8, up to
    the leftmost stop string, which is left out. A character split over tokens comes whole.
    """

    def __init__(self, tokenizer: BytesDecoder, stops: Sequence[str] = ()) -> None:
        """Raises: ConfigError, where a stop string is empty."""
        if "" in stops:
            raise ConfigError(
                "a stop string must not be empty: it would stop before the first word"
            )
        self.stopped = False
        self._tokenizer = tokenizer
        self._stops = tuple(stops)
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def push(self, token: int) -> str:
        """Return the text that `token` makes certain; nothing once a stop string came."""
        return self._certain(self._utf8.decode(self._tokenizer.decode_bytes([token])))

    def finish(self) -> str:
        """Return the text that was held back until now."""
        return self._certain(self._utf8.decode(b"", final=True), final=True)

    def _certain(self, text: str, *, final: bool = False) -> str:
        if self.stopped:
            return ""
        self._held += text
        stop = min((i for s in self._stops if (i := self._held.find(s)) >= 0), default=None)
        # An earlier place that may yet become a stop string goes first: "bc" waits for "abcd".
        end = len(self._held) if final else self._open_end()
        if stop is not None and stop <= end:
            self.stopped = True
            end = stop
        certain, self._held = self._held[:end], self._held[end:]
        return certain

    def _open_end(self) -> int:
        """Return where the longest end of the held text starts that begins some stop string."""
        longest = max(map(len, self._stops), default=0)
        for start in range(max(0, len(self._held) - longest + 1), len(self._held)):
            if any(stop.startswith(self._held[start:]) for stop in self._stops):
                return start
        return len(self._held)
