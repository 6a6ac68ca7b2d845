"""How much of a text stands word for word in the training text, and where.

    sample     ....the quick brown fox jumps over the lazy dog....
                   |<--- 48 bytes or more, found again --->|
    training   ......................the quick brown fox jumps over the lazy dog.........

Every stretch of 48 bytes gets a hash; those of the sample are looked up in the training text as it passes. Hits that
lie on one diagonal (the same distance between the two places) are one passage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptkit.data.shards import Tokens
from gptkit.tokenizers.base import Tokenizer

SHORTEST = 48
"""Bytes of a passage that counts: about eight English words, or sixteen Chinese characters."""
# Half a megabyte of text: its hashes take 20 MB, and this runs at the end of a run, beside the model.
_CHUNK_TOKENS = 1 << 17
_MOST_PLACES = (
    8  # of one stretch in a chunk: a line that stands there a million times is found often enough
)
_BASE = 0x9E3779B97F4A7C15  # odd, so that no power of it loses bits modulo 2 ** 64

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Passage:
    """A stretch of the sample that stands in the training text."""

    start: int
    """Its first byte in the sample."""
    length: int
    """Bytes."""
    text: str
    at_byte: int
    """Its first byte in the training text."""
    line: int
    """Of the training text, from 1."""
    document: int
    """From 1."""


@dataclass(frozen=True)
class Copies:
    """What of a sample was copied."""

    share: float
    """Of its bytes, in passages of SHORTEST bytes or more."""
    longest: Passage | None
    copied: NDArray[np.bool_]
    """(bytes of the sample,)."""


def find_copies(sample: str, train: Tokens, tokenizer: Tokenizer) -> Copies:
    """Return what of `sample` stands in the training text."""
    data = np.frombuffer(sample.encode("utf-8"), np.uint8)
    copied = np.zeros(len(data), np.bool_)
    wanted = _hashes(data)
    if not len(wanted):
        return Copies(0.0, None, copied)
    ours, theirs = [], []
    for start, stretch in _stretches(train, tokenizer):
        i, j = _hits(wanted, _hashes(stretch))
        ours.append(i)
        theirs.append(start + j)
    i, j = np.concatenate(ours), np.concatenate(theirs)
    for place in np.unique(i).tolist():
        copied[place : place + SHORTEST] = True
    if not len(i):
        return Copies(0.0, None, copied)
    begin, length, at = _longest(i, j)
    line, document = _where(at, train, tokenizer)
    passage = bytes(data[begin : begin + length]).decode("utf-8", "replace")
    return Copies(float(copied.mean()), Passage(begin, length, passage, at, line, document), copied)


def _hashes(data: NDArray[np.uint8]) -> Hashes:
    """Return the hash of every stretch of SHORTEST = 32 + 16 bytes, by doubling: (N,) -> (N - 47,)."""
    hashes, width, by_width = data.astype(np.uint64) + np.uint64(1), 1, {}
    while width < 32 and len(hashes) > width:
        hashes = hashes[:-width] * _power(width) + hashes[width:]
        width *= 2
        by_width[width] = hashes
    if 32 not in by_width or len(data) < SHORTEST:
        return np.empty(0, np.uint64)
    count = len(data) - SHORTEST + 1
    joined: Hashes = by_width[32][:count] * _power(16) + by_width[16][32 : 32 + count]
    return joined


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(_BASE, exponent, 1 << 64))


def _hits(wanted: Hashes, hashes: Hashes) -> tuple[Places, Places]:
    """Return the pairs (place in the sample, place in the text) of equal hashes."""
    order = np.argsort(wanted, kind="stable")
    keys = wanted[order]
    # A table of their last 16 bits passes over nearly everything at once.
    seen = np.zeros(1 << 16, np.bool_)
    seen[keys & np.uint64(0xFFFF)] = True
    j = np.flatnonzero(seen[hashes & np.uint64(0xFFFF)])
    first = np.searchsorted(keys, hashes[j], side="left")
    last = np.searchsorted(keys, hashes[j], side="right")
    j, first, last = j[last > first], first[last > first], last[last > first]
    kept = _first_of_each(first)
    j, first, last = j[kept], first[kept], last[kept]
    counts = last - first
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.repeat(first, counts) + within].astype(np.int64), np.repeat(j, counts)


def _first_of_each(groups: Places) -> Places:
    """Return the places of the first few members of each group."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    rank = np.arange(len(groups)) - np.searchsorted(ordered, ordered, side="left")
    return np.sort(order[rank < _MOST_PLACES])


def _longest(i: Places, j: Places) -> tuple[int, int, int]:
    """Return the longest passage: first byte in the sample, bytes, first byte in the text."""
    order = np.lexsort((i, j - i))
    i, j = i[order], j[order]
    breaks = np.flatnonzero((np.diff(j - i) != 0) | (np.diff(i) != 1)) + 1
    starts = np.concatenate((np.zeros(1, np.int64), breaks))
    lengths = np.diff(np.append(starts, len(i)))
    best = int(lengths.argmax())
    return int(i[starts[best]]), int(lengths[best]) + SHORTEST - 1, int(j[starts[best]])


def _stretches(train: Tokens, tokenizer: Tokenizer) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the text in pieces, each with its first byte's place and the end of the piece before in front."""
    before, place = np.empty(0, np.uint8), 0
    for start in range(0, len(train), _CHUNK_TOKENS):
        tokens = train.window(start, min(_CHUNK_TOKENS, len(train) - start))
        piece = np.frombuffer(tokenizer.decode_bytes(tokens), np.uint8)
        whole = np.concatenate((before, piece))
        yield place - len(before), whole
        place += len(piece)
        before = whole[-(SHORTEST - 1) :]


def _where(at_byte: int, train: Tokens, tokenizer: Tokenizer) -> tuple[int, int]:
    """Return the line and the document of a byte of the training text, both from 1."""
    lines, passed, num_bytes = 1, 0, tokenizer.token_bytes()
    for start in range(0, len(train), _CHUNK_TOKENS):
        tokens = train.window(start, min(_CHUNK_TOKENS, len(train) - start))
        ends = passed + np.cumsum(num_bytes[tokens])
        text = tokenizer.decode_bytes(tokens)
        if at_byte < int(ends[-1]):
            lines += text[: at_byte - passed].count(b"\n")
            token = start + int(np.searchsorted(ends, at_byte, side="right"))
            return lines, max(1, int(np.searchsorted(train.document_starts, token, side="right")))
        lines += text.count(b"\n")
        passed = int(ends[-1])
    raise AssertionError("the place is in the text")
