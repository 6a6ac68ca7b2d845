"""What stands in prepared tokens, and what is odd about it, before a model learns it by heart.

Everything is read off the tokens, so it holds for any source. Large splits are looked at from their
start, as far as `examined_bytes` says.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.data.dataset import Dataset
from gptkit.data.shards import Tokens

MOST_BYTES = 100_000_000
_BLOCK_TOKENS = 1 << 20
_OVERLAP_BYTES = 50
"""Text of this length that stands in two splits is no accident."""
_LONG_LINE = 40
_FEW_WINDOWS = 20
_KNOWN_CONTROLS = "\n\t\r"
# UTF-8 that was read as Latin-1 or Windows-1252 and written again: é as Ã©, ’ as â€™, 中 as ä¸­.
_DAMAGE = re.compile(
    r"[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac[\u0080-\u2122]|\u00ef\u00bb\u00bf"
)


@dataclass(frozen=True)
class SplitText:
    """One split."""

    name: str
    tokens: int
    bytes: int
    documents: int
    windows: int
    """Contexts that it gives."""
    bytes_per_token: float
    used_tokens: int
    """Ids of the vocabulary that occur."""
    repeated_documents: int
    """Documents that stood before in the same split, word for word."""
    repeated_lines: float
    """Share of its long lines that stood before."""


@dataclass(frozen=True)
class TextFacts:
    """What stands in prepared data."""

    vocab_size: int
    splits: tuple[SplitText, ...]
    overlap: dict[str, float]
    """Share of a held-out split's text that stands word for word in the training split too."""
    controls: dict[str, int]
    """Control and invisible characters by name, line ends and tabs left out."""
    replaced: int
    """U+FFFD: characters that were lost before."""
    damaged: int
    """Places that look like UTF-8 read as another encoding."""
    rare_characters: int
    """Different characters that come fewer than three times in the training split."""
    examined_bytes: int
    """Text that was looked at."""
    warnings: tuple[str, ...] = ()


def text_facts(dataset: Dataset, *, context_length: int, most_bytes: int = MOST_BYTES) -> TextFacts:
    """Read the splits of a dataset and return what they hold.

    context_length: of the model that is to learn them.
    """
    token_bytes = dataset.tokenizer.token_bytes()
    splits: list[SplitText] = []
    counts: Counter[str] = Counter()
    in_train: Counter[str] = Counter()
    damaged = examined = 0
    grams: dict[str, NDArray[np.uint64]] = {}
    for name, facts in dataset.manifest.splits.items():
        if not facts.tokens:
            continue
        tokens = dataset.split(name)
        per_token = facts.bytes / facts.tokens
        shown = _Shown(tokens, min(facts.tokens, int(most_bytes / max(per_token, 1))))
        lines = _Lines()
        for text in _texts(dataset, shown):
            counts.update(text)
            if name == "train":
                in_train.update(text)
            damaged += len(_DAMAGE.findall(text))
            examined += len(text.encode())
            lines.read(text)
        length = max(2, round(_OVERLAP_BYTES / max(per_token, 0.1)))
        grams[name] = _grams(shown.ids(), length)
        used = int(np.count_nonzero(np.bincount(shown.ids(), minlength=len(token_bytes))))
        splits.append(
            SplitText(
                name=name,
                tokens=facts.tokens,
                bytes=facts.bytes,
                documents=facts.documents,
                windows=max(0, facts.tokens - 1) // context_length,
                bytes_per_token=per_token,
                used_tokens=used,
                repeated_documents=_repeated_documents(shown),
                repeated_lines=lines.repeated,
            )
        )
    found = TextFacts(
        vocab_size=dataset.tokenizer.vocab_size,
        splits=tuple(splits),
        overlap={name: _share(grams[name], grams["train"]) for name in grams if name != "train"},
        controls=_controls(counts),
        replaced=counts["\ufffd"],
        damaged=damaged,
        rare_characters=sum(1 for count in in_train.values() if count < 3),
        examined_bytes=examined,
    )
    return _with_warnings(found)


@dataclass(frozen=True)
class _Shown:
    """The part of a split that is looked at."""

    tokens: Tokens
    length: int

    def ids(self) -> NDArray[Any]:
        return self.tokens.window(0, self.length)

    def documents(self) -> Iterator[NDArray[Any]]:
        starts = self.tokens.document_starts
        starts = starts[starts < self.length]
        for begin, end in zip(starts, (*starts[1:], self.length), strict=True):
            yield self.tokens.window(int(begin), int(end - begin))


class _Lines:
    """Counts lines that stood before; a line that two blocks share is left out."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._long = self._again = 0

    def read(self, text: str) -> None:
        for line in text.splitlines():
            line = line.strip()
            if len(line) >= _LONG_LINE:
                digest = hashlib.blake2b(line.encode(), digest_size=8).digest()
                self._long += 1
                self._again += digest in self._seen
                self._seen.add(digest)

    @property
    def repeated(self) -> float:
        return self._again / self._long if self._long else 0.0


def _texts(dataset: Dataset, shown: _Shown) -> Iterator[str]:
    """Yield the text in blocks; characters that two blocks share come whole."""
    token_bytes = dataset.tokenizer.token_bytes()
    rest = b""
    for start in range(0, shown.length, _BLOCK_TOKENS):
        ids = shown.tokens.window(start, min(_BLOCK_TOKENS, shown.length - start))
        data = rest + dataset.tokenizer.decode_bytes(ids[token_bytes[ids] > 0])  # no end-of-text
        cut = len(data) - _unfinished(data)
        yield data[:cut].decode("utf-8", "replace")
        rest = data[cut:]


def _unfinished(data: bytes) -> int:
    """Return how many bytes at the end begin a character that goes on."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < needed else 0
        if byte < 0x80:
            return 0
    return 0


def _repeated_documents(shown: _Shown) -> int:
    seen: set[bytes] = set()
    again = 0
    for ids in shown.documents():
        digest = hashlib.blake2b(ids.tobytes(), digest_size=16).digest()
        again += digest in seen
        seen.add(digest)
    return again


def _grams(ids: NDArray[Any], length: int) -> NDArray[np.uint64]:
    """Return a hash of every stretch of `length` tokens, (N - length + 1,)."""
    with np.errstate(over="ignore"):
        hashes = (ids.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        reach = 1
        while 2 * reach <= length and len(hashes) > reach:
            # A stretch twice as long: its first half turned, so that order counts, and its second.
            hashes = hashes[:-reach] * np.uint64(0xD6E8FEB86659FD93) + hashes[reach:]
            hashes ^= hashes >> np.uint64(29)
            reach *= 2
        rest = length - reach
        if 0 < rest < len(hashes):  # its two halves overlap
            hashes = hashes[:-rest] * np.uint64(0xD6E8FEB86659FD93) + hashes[rest:]
    return hashes


def _share(held_out: NDArray[np.uint64], train: NDArray[np.uint64]) -> float:
    return float(np.isin(held_out, train).mean()) if len(held_out) else 0.0


def _controls(counts: Counter[str]) -> dict[str, int]:
    odd = {
        char: count
        for char, count in counts.items()
        if unicodedata.category(char) in ("Cc", "Cf", "Co", "Cn") and char not in _KNOWN_CONTROLS
    }
    return {
        f"U+{ord(char):04X} {unicodedata.name(char, 'control')}": count
        for char, count in sorted(odd.items(), key=lambda item: -item[1])
    }


def _with_warnings(facts: TextFacts) -> TextFacts:
    return replace(facts, warnings=tuple(_warnings(facts)))


def _warnings(facts: TextFacts) -> Iterator[str]:
    for split in facts.splits:
        if split.name != "train" and split.windows < _FEW_WINDOWS:
            yield (
                f"{split.name}: {split.tokens:,} tokens are {split.windows} contexts, too few for a steady loss;"
                f" raise data.{split.name}_fraction"
            )
        if split.repeated_documents > 0.01 * split.documents:
            yield f"{split.name}: {split.repeated_documents:,} of {split.documents:,} documents stood before"
        if split.repeated_lines > 0.2:
            yield f"{split.name}: {split.repeated_lines:.0%} of the long lines stood before"
    for name, share in facts.overlap.items():
        if share > 0.01:
            yield (
                f"{name}: {share:.1%} of it stands word for word in the training split:"
                " its loss flatters a model that learns by heart"
            )
    if facts.controls:
        worst, count = next(iter(facts.controls.items()))
        yield (
            f"characters: {sum(facts.controls.values()):,} control or invisible ones, most often {worst}"
            f" ({count:,})"
        )
    if facts.replaced:
        yield f"encoding: {facts.replaced:,} characters were lost before (U+FFFD)"
    if facts.damaged:
        yield f"encoding: {facts.damaged:,} places look like UTF-8 that was read as another encoding"
