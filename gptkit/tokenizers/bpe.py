"""Byte-level byte-pair encoding: trained here (merges.py), encoded by tiktoken.

Ids 0 to 255 are the bytes, then one id per merge in the order in which they were learned, then
end-of-text. Published encodings (published.py) are tokenizers of the same class with their own
ranks.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import tiktoken
from numpy.typing import NDArray

from gptkit.errors import DataError
from gptkit.tokenizers.base import (
    END_OF_TEXT,
    TokenArray,
    TokenIds,
    checked_ids,
    without_surrogates,
)
from gptkit.tokenizers.config import BPEConfig
from gptkit.tokenizers.counting import count_words, workers_for
from gptkit.tokenizers.merges import NUM_BYTES, learn_merges, token_strings
from gptkit.tokenizers.patterns import PATTERNS
from gptkit.tokenizers.pieces import PIECE_LIMIT, split_pieces


@dataclass(frozen=True)
class ChatFormat:
    """How conversations are written, as the tokenizer of a model that chats carries it."""

    template: str
    """Jinja text, as Hugging Face stores it."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The special tokens that the template means by bos_token and eos_token."""


class BPETokenizer:
    """Words of a split pattern, each cut into the byte strings of a ranked list.

    tokens: what each id stands for; None where it stands for no text (special tokens, ids left
    out). pattern: the name of one of PATTERNS, or a regular expression. special_tokens: name -> id.
    end_of_text: the name of the special token between documents, where it is one of them.
    chat: how conversations are written; None for a tokenizer of a model that does not chat.
    """

    kind: ClassVar[str] = "bpe"

    def __init__(
        self,
        tokens: Sequence[bytes | None],
        *,
        pattern: str,
        special_tokens: Mapping[str, int],
        encoding_name: str | None = None,
        end_of_text: str = END_OF_TEXT,
        chat: ChatFormat | None = None,
    ) -> None:
        self.chat = chat
        self.tokens = tuple(tokens)
        self.pattern = pattern
        self.special_tokens = dict(special_tokens)
        self.encoding_name = encoding_name
        self._end_of_text = end_of_text
        self._bytes = [token or b"" for token in tokens]
        for name, token in special_tokens.items():
            self._bytes[token] = name.encode()
        self._encoding = tiktoken.Encoding(
            encoding_name or "gptkit",
            pat_str=PATTERNS.get(pattern, pattern),
            mergeable_ranks={t: rank for rank, t in enumerate(tokens) if t is not None},
            special_tokens=self.special_tokens,
        )

    @property
    def vocab_size(self) -> int:
        return len(self.tokens)

    @property
    def end_of_text(self) -> int | None:
        return self.special_tokens.get(self._end_of_text)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_array(self, text: str) -> TokenArray:
        """Return (T,) uint32 ids; text longer than a piece is encoded piece by piece."""
        if len(text) <= PIECE_LIMIT:
            return self._encode_piece(text)
        return np.concatenate([self._encode_piece(piece) for piece in split_pieces([text])])

    def _encode_piece(self, piece: str) -> NDArray[np.uint32]:
        try:
            # Nothing is disallowed, so that special text is encoded as the text it is.
            return self._encoding.encode_to_numpy(piece, disallowed_special=())
        except UnicodeEncodeError:
            return self._encode_piece(without_surrogates(piece))
        except BaseException as error:
            # The Rust side panics with a BaseException where its regular expressions run out of
            # stack. Pieces are too short for the known cases.
            if type(error).__name__ != "PanicException":
                raise
            raise DataError(f"tiktoken cannot encode the text {piece[:40]!r}...: {error}") from None

    def decode(self, tokens: TokenIds) -> str:
        return self.decode_bytes(tokens).decode("utf-8", "replace")

    def decode_bytes(self, tokens: TokenIds) -> bytes:
        ids = checked_ids(tokens, self.vocab_size).tolist()
        return b"".join(map(self._bytes.__getitem__, ids))

    def token_bytes(self) -> NDArray[np.int64]:
        return np.array([len(token or b"") for token in self.tokens], dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        renamed = self._end_of_text != END_OF_TEXT
        return {
            "kind": self.kind,
            "encoding": self.encoding_name,
            "pattern": self.pattern,
            "special_tokens": self.special_tokens,
            **({"end_of_text": self._end_of_text} if renamed else {}),
            **({"chat": _chat_to_json(self.chat)} if self.chat is not None else {}),
            "tokens": [
                None if token is None else base64.b64encode(token).decode("ascii")
                for token in self.tokens
            ],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        tokens = [
            None if token is None else base64.b64decode(token, validate=True)
            for token in data["tokens"]
        ]
        ordinary = {token for token in tokens if token is not None}
        if len(ordinary) + tokens.count(None) < len(tokens):
            raise ValueError("'tokens' holds the same token twice")
        if b"" in ordinary or not all(bytes([value]) in ordinary for value in range(NUM_BYTES)):
            raise ValueError("'tokens' must hold the 256 single bytes and no empty one")
        special = data["special_tokens"]
        for name, token in special.items():
            if not isinstance(token, int) or not 0 <= token < len(tokens):
                raise ValueError(f"special token {name!r} has no id of the vocabulary: {token!r}")
            if tokens[token] is not None:
                raise ValueError(f"special token {name!r} has the id of another token")
        return cls(
            tokens,
            pattern=data["pattern"],
            special_tokens=special,
            encoding_name=data.get("encoding"),
            end_of_text=data.get("end_of_text", END_OF_TEXT),
            chat=_chat_from_json(data["chat"], special) if "chat" in data else None,
        )

    def with_chat(
        self,
        template: str,
        special_tokens: Sequence[str] = (),
        *,
        names: Mapping[str, str] | None = None,
    ) -> BPETokenizer:
        """Return this tokenizer with a chat template, and with the special tokens that it lacks.

        New ones get the ids that follow. names: what the template means by bos_token and eos_token;
        None: what it meant before, or the token between documents.
        """
        new = [name for name in dict.fromkeys(special_tokens) if name not in self.special_tokens]
        ids = {name: self.vocab_size + i for i, name in enumerate(new)}
        if names is None and self.chat is not None:
            names = self.chat.names
        elif names is None and self.end_of_text is not None:
            names = dict.fromkeys(("bos_token", "eos_token"), self._end_of_text)
        return BPETokenizer(
            [*self.tokens, *[None] * len(new)],
            pattern=self.pattern,
            special_tokens={**self.special_tokens, **ids},
            encoding_name=self.encoding_name,
            end_of_text=self._end_of_text,
            chat=ChatFormat(template, dict(names or {})),
        )

    def extends(self, other: object) -> bool:
        """Return whether the ids of `other` mean the same here, where there may be more."""
        return (
            isinstance(other, BPETokenizer)
            and self.pattern == other.pattern
            and self.tokens[: other.vocab_size] == other.tokens
            and other.special_tokens.items() <= self.special_tokens.items()
            and self.end_of_text == other.end_of_text
        )


def _chat_to_json(chat: ChatFormat) -> dict[str, Any]:
    return {"template": chat.template, "names": dict(chat.names)}


def _chat_from_json(data: Mapping[str, Any], special: Mapping[str, int]) -> ChatFormat:
    template, names = data["template"], data["names"]
    if not isinstance(template, str) or not isinstance(names, dict):
        raise ValueError("'chat' must hold a 'template' and its 'names'")
    strange = next((name for name in names.values() if name not in special), None)
    if strange is not None:
        raise ValueError(f"'chat' names {strange!r}, which is no special token")
    return ChatFormat(template, names)


def train(
    section: BPEConfig,
    texts: Callable[[], Iterable[str]],
    *,
    total_bytes: int,
    progress: Callable[[int], None],
) -> BPETokenizer:
    """Return a tokenizer whose merges were learned from `texts()`, `total_bytes` of UTF-8 in all.

    `progress` is told the bytes of each piece read, and 0 again and again while it learns: an
    exception of it ends the work. The vocabulary comes out smaller than the section asks where the
    text repeats too little to fill it.

    Raises: DataError when there is no text.
    """
    pieces = _sample(_read(texts, progress), total_bytes, section.train_bytes)
    num_workers = workers_for(min(total_bytes, section.train_bytes))
    counts = count_words(pieces, section.pattern, num_workers=num_workers)
    if not counts:
        raise DataError("the text is empty: there is nothing to learn a vocabulary from")
    num_merges = section.vocab_size - NUM_BYTES - 1
    tokens = token_strings(learn_merges(counts, num_merges, tick=lambda: progress(0)))
    return BPETokenizer(
        [*tokens, None], pattern=section.pattern, special_tokens={END_OF_TEXT: len(tokens)}
    )


def _read(texts: Callable[[], Iterable[str]], progress: Callable[[int], None]) -> Iterator[bytes]:
    for text in texts():
        for piece in split_pieces([text]):
            try:
                encoded = piece.encode()
            except UnicodeEncodeError:
                encoded = without_surrogates(piece).encode()
            yield encoded
            progress(len(encoded))


def _sample(pieces: Iterable[bytes], total_bytes: int, train_bytes: int) -> Iterator[bytes]:
    """Yield about `train_bytes` of the `total_bytes` in `pieces`, evenly spread over them."""
    read = taken = 0
    for piece in pieces:
        if taken * total_bytes <= read * train_bytes:
            taken += len(piece)
            yield piece
        read += len(piece)
