"""Text to tokens, on all cores: tiktoken lets go of the interpreter lock, so threads are enough.

Batches of pieces go to the threads and come back in order, so neither the number of threads nor
their luck shows in the result. At most a few batches per thread are in memory.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gptkit.data.pieces import Piece, read_pieces
from gptkit.data.progress import Progress, Silent
from gptkit.data.shards import InMemoryTokens, token_dtype
from gptkit.data.sources.jsonl import JsonlConfig
from gptkit.data.sources.source import source_bytes
from gptkit.data.sources.text import TextConfig
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError, PromptError
from gptkit.tokenizers.base import TokenArray, Tokenizer

_BATCH_CHARACTERS = 1 << 18


@dataclass(frozen=True)
class EncodedBatch:
    """Pieces of one split as tokens, each document behind an end-of-text token."""

    split: str
    tokens: TokenArray
    document_starts: NDArray[np.int64]
    """(documents,) places in `tokens`."""
    num_bytes: int
    targets: NDArray[np.bool_] | None = None
    """(tokens,) what is learned of conversations; None: everything."""


def encode_pieces(
    assigned: Iterable[tuple[str, Piece]], tokenizer: Tokenizer, num_threads: int | None = None
) -> Iterator[EncodedBatch]:
    """Yield the tokens of all pieces, in the order of the pieces within each split."""
    num_threads = num_threads or available_cores()
    pending: deque[Future[EncodedBatch]] = deque()
    with ThreadPoolExecutor(num_threads, thread_name_prefix="encode") as pool:
        try:
            for split, pieces in _batches(assigned):
                pending.append(pool.submit(_encode_batch, split, pieces, tokenizer))
                if len(pending) > 2 * num_threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _batches(assigned: Iterable[tuple[str, Piece]]) -> Iterator[tuple[str, list[Piece]]]:
    waiting: dict[str, list[Piece]] = {}
    characters: dict[str, int] = {}
    for split, piece in assigned:
        waiting.setdefault(split, []).append(piece)
        characters[split] = characters.get(split, 0) + len(piece.text)
        if characters[split] >= _BATCH_CHARACTERS:
            yield split, waiting.pop(split)
            del characters[split]
    yield from waiting.items()


def _encode_batch(split: str, pieces: list[Piece], tokenizer: Tokenizer) -> EncodedBatch:
    dtype = token_dtype(tokenizer.vocab_size)
    end_of_text = tokenizer.end_of_text
    before = np.array([] if end_of_text is None else [end_of_text], dtype=dtype)
    parts: list[NDArray[Any]] = []
    starts: list[int] = []
    num_tokens = 0
    num_bytes = 0
    for text, starts_document in pieces:
        tokens = tokenizer.encode_array(text).astype(dtype, copy=False)
        if starts_document:
            starts.append(num_tokens)
            parts.append(before)
            num_tokens += len(before)
        parts.append(tokens)
        num_tokens += len(tokens)
        num_bytes += len(text.encode())
    return EncodedBatch(split, np.concatenate(parts), np.array(starts, np.int64), num_bytes)


def last_token(tokenizer: Tokenizer) -> TokenArray:
    """Return what ends a split: (1,) an end-of-text token, or (0,) where the tokenizer has none."""
    ids = [] if tokenizer.end_of_text is None else [tokenizer.end_of_text]
    return np.array(ids, dtype=token_dtype(tokenizer.vocab_size))


def encode_file(
    path: str,
    tokenizer: Tokenizer,
    *,
    text_field: str = "text",
    on_bad_utf8: Literal["error", "replace"] = "error",
    progress: Progress | None = None,
) -> InMemoryTokens:
    """Return the tokens of text files (a file, folder or pattern) or of a .jsonl file, in memory.

    Raises: DataError for text that cannot be read, or that the tokenizer has no tokens for.
    """
    progress = progress or Silent()
    is_jsonl = Path(path).suffix.lower() == ".jsonl"
    source = (
        JsonlConfig(paths=(path,), text_field=text_field) if is_jsonl else TextConfig(paths=(path,))
    )
    parts: list[TokenArray] = []
    starts: list[NDArray[np.int64]] = []
    num_tokens = 0
    progress.start("encoding", source_bytes(source))
    pieces = (("all", piece) for piece in read_pieces(source, Utf8Policy(on_bad_utf8)))
    try:
        for batch in encode_pieces(pieces, tokenizer):
            parts.append(batch.tokens)
            starts.append(num_tokens + batch.document_starts)
            num_tokens += len(batch.tokens)
            progress.advance(batch.num_bytes)
    except PromptError as error:
        raise DataError(f"{path}: {error}") from error
    progress.finish()
    if num_tokens < 2:  # a token is scored where another stands before it
        raise DataError(
            f"{path}: holds {'one token' if num_tokens else 'no text'}, nothing to score"
        )
    return InMemoryTokens(np.concatenate([*parts, last_token(tokenizer)]), np.concatenate(starts))


def available_cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
