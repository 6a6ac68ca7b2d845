"""Counting words, and a process that does nothing else.

    python -m gptkit.tokenizers.counting_worker PATTERN

    stdin     number of pieces, then each piece's length and UTF-8 bytes; again for the next block
    stdout    for each block the number of its distinct words, their lengths, how often each occurs,
              and the words themselves, joined

Numbers are uint32, counts uint64, in the machine's byte order. The process ends when its stdin
does, so it never outlives its parent. multiprocessing would not do: where it spawns, it runs the
user's script again in every worker.

Imports nothing heavy: the process must be ready in a moment.
"""

from __future__ import annotations

import signal
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import IO

import regex  # type: ignore[import-untyped]

from gptkit.tokenizers.patterns import PATTERNS

WordCounts = dict[bytes, int]

_NUMBER = struct.Struct("=I")
_COUNT = struct.Struct("=Q")
_LONGEST_WORD = 256


def count_block(pieces: Iterable[bytes], pattern: str) -> WordCounts:
    """Return how often each word of the UTF-8 `pieces` occurs; `pattern` names the split pattern.

    Runs of spaces and texts without any break would make words as long as a piece. They count as
    several words of bounded length, which costs the learned merges nothing and keeps learning fast.
    """
    find_words = regex.compile(PATTERNS[pattern]).findall
    words: Counter[str] = Counter()
    for piece in pieces:
        words.update(find_words(piece.decode()))
    counts: Counter[bytes] = Counter()
    for word, count in words.items():
        encoded = word.encode()
        for start in range(0, len(encoded), _LONGEST_WORD):
            counts[encoded[start : start + _LONGEST_WORD]] += count
    return dict(counts)


def write_block(stream: IO[bytes], pieces: Sequence[bytes]) -> None:
    """Send a block to a worker."""
    stream.write(_NUMBER.pack(len(pieces)))
    for piece in pieces:
        stream.write(_NUMBER.pack(len(piece)))
        stream.write(piece)
    stream.flush()


def read_counts(stream: IO[bytes]) -> WordCounts:
    """Receive a worker's answer.

    Raises: EOFError when the worker has ended.
    """
    num_words = _read_number(stream)
    lengths = array("I", _read(stream, num_words * _NUMBER.size))
    counts = array("Q", _read(stream, num_words * _COUNT.size))
    words = _read(stream, sum(lengths))
    ends = accumulate(lengths)
    return {
        words[end - length : end]: count
        for end, length, count in zip(ends, lengths, counts, strict=True)
    }


def _write_counts(stream: IO[bytes], counts: WordCounts) -> None:
    stream.write(_NUMBER.pack(len(counts)))
    stream.write(array("I", map(len, counts)).tobytes())
    stream.write(array("Q", counts.values()).tobytes())
    stream.write(b"".join(counts))
    stream.flush()


def _read_number(stream: IO[bytes]) -> int:
    number: int = _NUMBER.unpack(_read(stream, _NUMBER.size))[0]
    return number


def _read(stream: IO[bytes], length: int) -> bytes:
    received = stream.read(length)
    if len(received) < length:
        raise EOFError("the other end closed the pipe")
    return received


def main() -> None:
    """Answer blocks until stdin ends."""
    # Ctrl-C reaches every process of the terminal; when to end is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pattern = sys.argv[1]
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            pieces = [
                _read(questions, _read_number(questions)) for _ in range(_read_number(questions))
            ]
        except EOFError:
            return
        _write_counts(answers, count_block(pieces, pattern))


if __name__ == "__main__":
    main()
