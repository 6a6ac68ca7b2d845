"""One token per character."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gptkit.errors import DataError, PromptError
from gptkit.tokenizers.base import TokenArray, TokenIds, checked_ids, without_surrogates
from gptkit.tokenizers.config import CharConfig

_NUM_CODE_POINTS = 0x110000
_NAMED_IN_ERRORS = 10


class CharTokenizer:
    """The characters of a text, sorted by code point; an id is a place in that order."""

    kind: ClassVar[str] = "char"

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self._codes = code_points(characters)  # (V,)
        assert self._codes.size > 0
        assert (np.diff(self._codes.astype(np.int64)) > 0).all(), "sorted, each once"
        # Indexed by code point. The last entry stands for all code points above the vocabulary's.
        self._unseen = self.vocab_size
        dtype = np.uint16 if self._unseen < 2**16 else np.uint32
        self._ids: NDArray[Any] = np.full(int(self._codes[-1]) + 2, self._unseen, dtype=dtype)
        self._ids[self._codes] = np.arange(self.vocab_size, dtype=dtype)

    @property
    def vocab_size(self) -> int:
        return len(self.characters)

    @property
    def end_of_text(self) -> None:
        return None

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_array(self, text: str) -> TokenArray:
        """Return (T,) ids, one per character.

        Raises: PromptError naming the characters that are not in the vocabulary.
        """
        ids = self._ids.take(code_points(text), mode="clip")
        if (ids == self._unseen).any():
            raise PromptError(self._unseen_characters(text))
        return ids

    def _unseen_characters(self, text: str) -> str:
        unseen = sorted(set(text).difference(self.characters))
        names = ", ".join(f"{char!r} (U+{ord(char):04X})" for char in unseen[:_NAMED_IN_ERRORS])
        if len(unseen) > _NAMED_IN_ERRORS:
            names += f" and {len(unseen) - _NAMED_IN_ERRORS} more"
        known = f"the {self.vocab_size} of the char tokenizer"
        return f"the text holds characters that are not among {known}: {names}"

    def decode(self, tokens: TokenIds) -> str:
        codes = self._codes[checked_ids(tokens, self.vocab_size)]
        return codes.tobytes().decode("utf-32-le")

    def decode_bytes(self, tokens: TokenIds) -> bytes:
        return self.decode(tokens).encode()

    def token_bytes(self) -> NDArray[np.int64]:
        return np.array([len(char.encode()) for char in self.characters], dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "characters": self.characters}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        characters = data["characters"]
        if not isinstance(characters, str) or not characters:
            raise ValueError("'characters' must be a text of one character or more")
        if list(characters) != sorted(set(characters)):
            raise ValueError("'characters' must be sorted by code point, each one once")
        if without_surrogates(characters) != characters:
            raise ValueError("'characters' must not hold surrogates")
        return cls(characters)


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the (T,) code points of `text`; a lone surrogate counts as U+FFFD."""
    try:
        encoded = text.encode("utf-32-le")
    except UnicodeEncodeError:
        encoded = without_surrogates(text).encode("utf-32-le")
    return np.frombuffer(encoded, dtype="<u4")


def train(
    section: CharConfig,
    texts: Callable[[], Iterable[str]],
    *,
    total_bytes: int,
    progress: Callable[[int], None],
) -> CharTokenizer:
    """Return a tokenizer of all characters in `texts()`; `progress` is told the bytes of each.

    Raises: DataError when there is no text.
    """
    seen = np.zeros(_NUM_CODE_POINTS, dtype=bool)
    for text in texts():
        seen[code_points(text)] = True
        progress(len(text.encode("utf-8", "surrogatepass")))
    if not seen.any():
        raise DataError("the text is empty: there are no characters to make tokens of")
    return CharTokenizer(np.flatnonzero(seen).astype("<u4").tobytes().decode("utf-32-le"))
