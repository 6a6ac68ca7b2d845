"""How often each word of a text occurs, counted by several processes and in bounded memory.

    pieces --> blocks of about 4 MB --> counts of each block, in the workers --> summed up in order

The result depends on the text and the pattern only, never on the number of workers: blocks are cut
and summed in the order of the text, and forgetting rare words happens between blocks.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Self
from zlib import crc32

from gptkit.tokenizers.counting_worker import WordCounts, count_block, read_counts, write_block

_BLOCK_BYTES = 4_000_000
# Bytes of distinct words, and an overhead for each. The standard library's 31 MB need 2.9 million;
# at the limit, learning from them takes up to 500 MB of memory.
_WORDS_LIMIT = 8_000_000
_WORD_OVERHEAD = 16
_MAX_WORKERS = 16
_WORKER_MODULE = "gptkit.tokenizers.counting_worker"

Block = Sequence[bytes]


def count_words(pieces: Iterable[bytes], pattern: str, *, num_workers: int) -> WordCounts:
    """Return how often each word of the UTF-8 `pieces` occurs.

    `num_workers` below 2: counted in this process. Where the distinct words outgrow the memory
    meant for them, the rarest are forgotten.
    """
    counts: WordCounts = {}
    size = 0
    for block_counts in _count_blocks(_blocks(pieces), pattern, num_workers):
        for word, count in block_counts.items():
            known = counts.get(word)
            if known is None:
                counts[word] = count
                size += len(word) + _WORD_OVERHEAD
            else:
                counts[word] = known + count
        if size > _WORDS_LIMIT:
            counts, size = _most_frequent(counts, _WORDS_LIMIT // 2)
    return counts


def workers_for(num_bytes: int) -> int:
    """Return how many workers pay for a text of this size; starting one takes about 0.1 s."""
    if not sys.executable:
        return 0
    return min(_usable_cores(), _MAX_WORKERS, num_bytes // _BLOCK_BYTES)


def _usable_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _blocks(pieces: Iterable[bytes]) -> Iterator[Block]:
    block: list[bytes] = []
    size = 0
    for piece in pieces:
        block.append(piece)
        size += len(piece)
        if size >= _BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _most_frequent(counts: WordCounts, limit: int) -> tuple[WordCounts, int]:
    """Return the most frequent words that fit into `limit`, and their size.

    Among equals the order is that of a hash: in Chinese text most words (a phrase each) occur once,
    and what is kept of them must come from all over the text.
    """
    kept: WordCounts = {}
    size = 0
    for word in sorted(counts, key=lambda word: (-counts[word], crc32(word), word)):
        size += len(word) + _WORD_OVERHEAD
        if size > limit:
            return kept, size - len(word) - _WORD_OVERHEAD
        kept[word] = counts[word]
    return kept, size


def _count_blocks(blocks: Iterable[Block], pattern: str, num_workers: int) -> Iterator[WordCounts]:
    """Yield the counts of each block, in order."""
    if num_workers < 2:
        for block in blocks:
            yield count_block(block, pattern)
        return
    idle: SimpleQueue[_Worker] = SimpleQueue()

    def count(block: Block) -> WordCounts:
        worker = idle.get()
        try:
            return worker.count(block)
        finally:
            idle.put(worker)

    with ExitStack() as stack:
        # Left in reverse order: the workers end first, so that no thread still waits for an answer.
        threads = stack.enter_context(ThreadPoolExecutor(num_workers))
        for _ in range(num_workers):
            idle.put(stack.enter_context(_Worker(pattern)))
        pending: deque[Future[WordCounts]] = deque()
        for block in blocks:
            pending.append(threads.submit(count, block))
            if len(pending) > num_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class _Worker:
    """A counting process. Where it cannot be started or dies, the block is counted here instead."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._process: subprocess.Popen[bytes] | None = None
        self._left = False

    def __enter__(self) -> Self:
        # The child finds what this process found, gptkit itself included where it is not installed.
        package_root = str(Path(__file__).resolve().parents[2])
        paths = [package_root, *(path for path in sys.path if path)]
        with suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _WORKER_MODULE, self._pattern],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        return self

    def __exit__(self, *exception: object) -> None:
        self._left = True
        self._end()

    def count(self, block: Block) -> WordCounts:
        process = self._process
        if process is None:
            return count_block(block, self._pattern)
        assert process.stdin is not None and process.stdout is not None
        try:
            write_block(process.stdin, block)
            return read_counts(process.stdout)
        except (OSError, EOFError, ValueError):
            if self._left:
                raise
            self._end()
            return count_block(block, self._pattern)

    def _end(self) -> None:
        """End the process; a thread that waits for its answer gets an EOFError."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with suppress(OSError):  # what was not written yet has nowhere to go
                stream.close()
