"""Token ids on disk: headerless little-endian files, written once and memory-mapped.

A split is `train-00000.bin, train-00001.bin, ...`, each with the starts of its documents beside it
in `train-00000.docs.npy`. Conversations have `train-00000.targets.bin` too, a bit a token. What the
bytes mean stands in the manifest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from gptkit.data.files import open_binary
from gptkit.data.manifest import ShardFacts
from gptkit.errors import DataError
from gptkit.tokenizers.base import TokenArray

SHARD_TOKENS = 2**27


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """Return how tokens are stored: two bytes where they suffice."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


class Tokens(Protocol):
    """A long row of token ids, cut into documents."""

    def __len__(self) -> int: ...

    @property
    def document_starts(self) -> NDArray[np.int64]:
        """(documents,) ascending places where a document begins."""

    def window(self, start: int, length: int) -> TokenArray:
        """Return (length,) the tokens from `start` on."""


class InMemoryTokens:
    """Tokens that were never written to a file."""

    def __init__(self, tokens: TokenArray, document_starts: NDArray[np.int64]) -> None:
        self._tokens = tokens
        self.document_starts = document_starts

    def __len__(self) -> int:
        return len(self._tokens)

    def window(self, start: int, length: int) -> TokenArray:
        assert start >= 0 and start + length <= len(self)
        return self._tokens[start : start + length]


class TokenFile:
    """The tokens of a split, memory-mapped over all its shards."""

    def __init__(self, folder: Path, shards: Sequence[ShardFacts], dtype: np.dtype[Any]) -> None:
        """Raises: DataError where a shard is missing or has another size than the manifest says."""
        self._folder, self._facts = folder, tuple(shards)
        for shard in shards:
            _check_size(folder / shard.file, shard.tokens * dtype.itemsize)
            if shard.targets_file is not None:
                _check_size(folder / shard.targets_file, -(-shard.tokens // 8))
        self._shards = [_map(folder / shard.file, dtype) for shard in shards]
        self._ends = np.cumsum([shard.tokens for shard in shards], dtype=np.int64)
        starts = [_load_starts(folder / shard.documents_file) for shard in shards]
        self.document_starts: NDArray[np.int64] = np.concatenate([np.empty(0, np.int64), *starts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def targets(self) -> NDArray[np.bool_]:
        """Return (tokens,) whether each token of a split of conversations is learned."""
        return np.concatenate([_load_bits(self._folder, shard) for shard in self._facts])

    def window(self, start: int, length: int) -> TokenArray:
        """Return (length,) the tokens from `start` on, also where they lie in two shards."""
        assert start >= 0 and length > 0 and start + length <= len(self)
        index = int(np.searchsorted(self._ends, start, side="right"))
        parts: list[TokenArray] = []
        while length > 0:
            shard = self._shards[index]
            place = start - (int(self._ends[index]) - len(shard))
            parts.append(shard[place : place + length])
            start += len(parts[-1])
            length -= len(parts[-1])
            index += 1
        return parts[0] if len(parts) == 1 else cast(TokenArray, np.concatenate(parts))


def _check_size(path: Path, num_bytes: int) -> None:
    try:
        found = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if found != num_bytes:
        raise DataError(f"{path}: has {found} bytes, and the manifest says {num_bytes}")


def _map(path: Path, dtype: np.dtype[Any]) -> TokenArray:
    mapped: TokenArray = np.memmap(path, dtype=dtype, mode="r")
    # Slicing a memmap object costs ten times as much as slicing a plain array.
    return cast(TokenArray, mapped.view(np.ndarray))


def _load_starts(path: Path) -> NDArray[np.int64]:
    with open_binary(path) as file:
        try:
            starts: NDArray[np.int64] = np.load(file, allow_pickle=False).astype(np.int64)
        except (ValueError, EOFError) as error:
            raise DataError(f"{path}: is damaged ({error})") from error
    return starts


def _load_bits(folder: Path, shard: ShardFacts) -> NDArray[np.bool_]:
    assert shard.targets_file is not None, "a split of conversations"
    with open_binary(folder / shard.targets_file) as file:
        packed = np.frombuffer(file.read(), np.uint8)
    return np.unpackbits(packed, count=shard.tokens).astype(np.bool_)


class ShardWriter:
    """Writes the tokens of one split, a new file every `shard_tokens`."""

    def __init__(
        self, folder: Path, split: str, dtype: np.dtype[Any], shard_tokens: int = SHARD_TOKENS
    ) -> None:
        self.shards: list[ShardFacts] = []
        self.num_tokens = 0
        self.num_targets: int | None = None
        """Tokens that are learned; None: nobody said which."""
        self._folder = folder
        self._split = split
        self._dtype = dtype
        self._shard_tokens = shard_tokens
        self._file: BinaryIO | None = None
        self._starts: list[NDArray[np.int64]] = []
        self._targets: list[NDArray[np.bool_]] = []

    def append(
        self,
        tokens: TokenArray,
        document_starts: NDArray[np.int64],
        targets: NDArray[np.bool_] | None = None,
    ) -> None:
        """Write tokens; document_starts: places in `tokens`, ascending; targets: of each token, or none."""
        if targets is not None:
            self.num_targets = (self.num_targets or 0) + int(targets.sum())
        while len(tokens):
            if self._file is None:
                self._open()
            room = self._shard_tokens - self._tokens_in_shard
            here = document_starts[document_starts < room]
            self._write(tokens[:room])
            self._starts.append(self.num_tokens + here)
            if targets is not None:
                self._targets.append(targets[:room])
                targets = targets[room:]
            self.num_tokens += min(room, len(tokens))
            self._tokens_in_shard += min(room, len(tokens))
            tokens, document_starts = tokens[room:], document_starts[len(here) :] - room
            if self._tokens_in_shard == self._shard_tokens:
                self._end_shard()

    def finish(self, last: TokenArray) -> None:
        """End a split that has tokens with those of `last`; its files then survive a power cut."""
        if self.num_tokens:
            self.append(last, np.empty(0, np.int64))
        if self._file is not None:
            self._end_shard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:  # an error on the way
            self._file.close()

    def _open(self) -> None:
        self._name = f"{self._split}-{len(self.shards):05d}"
        self._file = (self._folder / f"{self._name}.bin").open("wb")
        self._digest = hashlib.sha256()
        self._tokens_in_shard = 0

    def _write(self, tokens: TokenArray) -> None:
        assert self._file is not None
        data = np.ascontiguousarray(tokens, dtype=self._dtype).data
        self._file.write(data)
        self._digest.update(data)

    def _end_shard(self) -> None:
        assert self._file is not None
        _sync_and_close(self._file)
        self._file = None
        starts = np.concatenate(self._starts)
        self._starts = []
        documents_file = f"{self._name}.docs.npy"
        with (self._folder / documents_file).open("wb") as file:
            np.save(file, starts.astype("<i8"), allow_pickle=False)
            _sync_and_close(file)
        targets_file, targets_sha256 = self._write_targets()
        self.shards.append(
            ShardFacts(
                file=f"{self._name}.bin",
                documents_file=documents_file,
                tokens=self._tokens_in_shard,
                documents=len(starts),
                sha256=self._digest.hexdigest(),
                targets_file=targets_file,
                targets_sha256=targets_sha256,
            )
        )

    def _write_targets(self) -> tuple[str, str] | tuple[None, None]:
        if not self._targets:
            return None, None
        bits = np.packbits(np.concatenate(self._targets)).tobytes()
        self._targets = []
        name = f"{self._name}.targets.bin"
        with (self._folder / name).open("wb") as file:
            file.write(bits)
            _sync_and_close(file)
        return name, hashlib.sha256(bits).hexdigest()


def _sync_and_close(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
