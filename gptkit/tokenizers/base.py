"""What every tokenizer does, and what the tokenizers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gptkit.errors import DataError

END_OF_TEXT = "<|endoftext|>"

TokenArray = NDArray[np.uint16] | NDArray[np.uint32]
TokenIds = Sequence[int] | NDArray[Any]


class Tokenizer(Protocol):
    """Text to token ids and back. Immutable: training and loading return a new one."""

    kind: ClassVar[str]
    """What tokenizer.json says under "kind"."""

    @property
    def vocab_size(self) -> int:
        """The number of token ids, special tokens counted."""

    @property
    def end_of_text(self) -> int | None:
        """The id that stands between documents; None where there is none."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`; the text of a special token is text like any other.

        Raises: PromptError where the tokenizer has no token for a character.
        """

    def encode_array(self, text: str) -> TokenArray:
        """Return what `encode` returns as a (T,) array; safe to call from several threads."""

    def decode(self, tokens: TokenIds) -> str:
        """Return the text of `tokens`, U+FFFD for bytes that are not UTF-8.

        Raises: DataError for an id outside the vocabulary.
        """

    def decode_bytes(self, tokens: TokenIds) -> bytes:
        """Return the bytes of `tokens`: one token may hold part of a character.

        Raises: DataError for an id outside the vocabulary.
        """

    def token_bytes(self) -> NDArray[np.int64]:
        """Return (V,) how many bytes of text each id stands for; 0 for special tokens."""

    def to_json(self) -> dict[str, Any]:
        """Return all that `from_json` needs."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the tokenizer that `to_json` described.

        Raises: KeyError, TypeError or ValueError when `data` does not describe one.
        """


def checked_ids(tokens: TokenIds, vocab_size: int) -> NDArray[np.int64]:
    """Return `tokens` as (T,) int64.

    Raises: DataError for an id outside the vocabulary.
    """
    try:
        ids = np.asarray(tokens, dtype=np.int64).reshape(-1)
    except OverflowError:
        raise DataError(_outside(max(tokens, key=abs), vocab_size)) from None
    wrong = ids[(ids < 0) | (ids >= vocab_size)]
    if wrong.size:
        raise DataError(_outside(int(wrong[0]), vocab_size))
    return ids


def _outside(token: int, vocab_size: int) -> str:
    return f"token id {token} is outside the vocabulary, which has the ids 0 to {vocab_size - 1}"


def without_surrogates(text: str) -> str:
    """Return `text` as UTF-8 can hold it: surrogate pairs joined, lone surrogates as U+FFFD.

    JSON escapes and undecodable command-line arguments put surrogates into a Python string.
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
