"""A loss beside what simple means reach on the same tokens."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.data.shards import Tokens
from gptkit.errors import ConfigError
from gptkit.insight.compression import xz_bytes, zstd_bytes
from gptkit.insight.ngrams import FloatArray, NgramModel
from gptkit.tokenizers.base import Tokenizer

ORDERS = (1, 2, 3, 5, 7)
_NAMES = {1: "unigram", 2: "bigram"}
# Beyond these sizes a baseline takes longer than it is worth; both are several books.
MOST_TRAIN_TOKENS = 5_000_000
MOST_COMPRESSED_BYTES = 16_000_000


@dataclass(frozen=True)
class Baseline:
    """What one simple means makes of a text."""

    name: str
    loss: float
    """Nats per token; of a compressor, its bits spread over the same tokens."""
    bits_per_byte: float | None
    """None where the tokens stand for no bytes."""


@dataclass(frozen=True)
class Scored:
    """The tokens that a figure is about: all of a split but the first."""

    tokens: NDArray[Any]
    """(N,) the whole split; the first is context only."""
    token_bytes: NDArray[np.int64]
    """(V,) bytes of each id, 0 for special tokens."""

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of the scored tokens."""
        return int(self.token_bytes[self.tokens[1:]].sum())

    def figure(self, name: str, nats: FloatArray) -> Baseline:
        """Return the figures of -ln P of each scored token, (N - 1,)."""
        stands_for = self.token_bytes[self.tokens[1:]] > 0
        num_bytes = self.num_bytes
        bits = float(nats[stands_for].sum()) / math.log(2)
        return Baseline(name, float(nats.mean()), bits / num_bytes if num_bytes else None)


def all_tokens(tokens: Tokens, most: int | None = None) -> NDArray[Any]:
    """Return (N,) the tokens of a split, `most` of them from its start."""
    length = len(tokens) if most is None else min(most, len(tokens))
    return tokens.window(0, length)


def baselines(
    train: Tokens | None,
    scored: Tokens,
    tokenizer: Tokenizer,
    *,
    note: Callable[[str], None] = lambda text: None,
) -> tuple[Baseline, ...]:
    """Return uniform, n-gram and compression baselines of `scored`, the n-grams counted on `train`.

    train: None leaves the n-grams out. note: is told what was left out or cut short.
    """
    text = Scored(all_tokens(scored), tokenizer.token_bytes())
    uniform = np.full(len(text.tokens) - 1, math.log(tokenizer.vocab_size))
    found = [text.figure("uniform", uniform)]
    if train is not None:
        if len(train) > MOST_TRAIN_TOKENS:
            note(f"n-grams are counted on the first {MOST_TRAIN_TOKENS:,} training tokens")
        found += ngram_baselines(
            all_tokens(train, MOST_TRAIN_TOKENS), text, vocab_size=tokenizer.vocab_size
        )
    return (*found, *_compressed(text, tokenizer, note))


def ngram_baselines(
    train: NDArray[Any], scored: Scored, *, vocab_size: int, orders: tuple[int, ...] = ORDERS
) -> list[Baseline]:
    """Return the figures of n-gram models of these orders, counted on `train`."""
    model = NgramModel(train, vocab_size=vocab_size, max_order=max(orders))
    by_order = dict(enumerate(model.nats(scored.tokens), start=1))
    return [
        scored.figure(_NAMES.get(order, f"{order}-gram"), by_order[order])
        for order in orders
        if order in by_order
    ]


def _compressed(
    scored: Scored, tokenizer: Tokenizer, note: Callable[[str], None]
) -> list[Baseline]:
    ids = scored.tokens[1:]
    data = tokenizer.decode_bytes(ids[scored.token_bytes[ids] > 0])  # without end-of-text
    cut = data[:MOST_COMPRESSED_BYTES]
    if len(cut) < len(data):
        note(f"xz and zstd read the first {len(cut):,} bytes")
    found: list[Baseline] = []
    for name, compress in (("xz", xz_bytes), ("zstd", zstd_bytes)):
        try:
            bits = 8 * compress(cut) / max(len(cut), 1)
        except ConfigError as error:
            note(f"{name} is left out: {error}")
            continue
        num_bytes = scored.num_bytes
        nats = bits * math.log(2) * num_bytes / (len(scored.tokens) - 1)
        found.append(Baseline(name, nats, bits if num_bytes else None))
    return found
