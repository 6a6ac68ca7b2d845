"""What the scores of single tokens say together: does context help, is the model honest, where does it fail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.insight.scores import TokenScores

_BINS = 10
_FEWEST_DOCUMENTS = 20
_FEWEST_TOKENS = 16


@dataclass(frozen=True)
class AtPosition:
    """The loss of tokens that had between `first` and `last` tokens before them."""

    first: int
    last: int
    tokens: int
    loss: float
    """Nats per token."""


@dataclass(frozen=True)
class Confidence:
    """Tokens whose likeliest guess had about the same probability."""

    tokens: int
    confidence: float
    """Mean probability of the likeliest token."""
    accuracy: float
    """How often it came: the same, for a calibrated model."""


@dataclass(frozen=True)
class Passage:
    """A stretch of the text with its loss."""

    start: int
    """Its first token's place in the split."""
    tokens: int
    loss: float
    """Nats per token."""


def by_position(scores: TokenScores) -> tuple[AtPosition, ...]:
    """Return the loss by how much context a token had, in ranges that double: 1, 2, 3-4, 5-8, ...

    It falls as long as more context helps; where it is flat, a longer context would be wasted.
    """
    ranges = np.ceil(np.log2(scores.positions)).astype(np.int64)
    found = []
    for doubling in np.unique(ranges).tolist():
        here = ranges == doubling
        found.append(
            AtPosition(
                first=2 ** (doubling - 1) + 1 if doubling else 1,
                last=int(scores.positions[here].max()),
                tokens=int(here.sum()),
                loss=float(scores.nats[here].mean()),
            )
        )
    return tuple(found)


def calibration(scores: TokenScores) -> tuple[Confidence, ...]:
    """Return confidence against accuracy in ten ranges of confidence; empty ranges are left out."""
    bins = np.minimum((scores.confidence * _BINS).astype(np.int64), _BINS - 1)
    hits = scores.ranks == 0
    return tuple(
        Confidence(
            tokens=int((bins == index).sum()),
            confidence=float(scores.confidence[bins == index].mean()),
            accuracy=float(hits[bins == index].mean()),
        )
        for index in np.unique(bins).tolist()
    )


def calibration_error(bins: tuple[Confidence, ...]) -> float:
    """Return how far confidence is from accuracy, on average over tokens: 0 is perfect.

    Reference: expected calibration error, Naeini et al. 2015.
    """
    tokens = sum(bin.tokens for bin in bins)
    return sum(bin.tokens * abs(bin.confidence - bin.accuracy) for bin in bins) / tokens


def top_accuracy(scores: TokenScores, k: int) -> float:
    """Return the share of tokens that were among the k likeliest."""
    return float((scores.ranks < k).mean())


def passages(
    scores: TokenScores, document_starts: NDArray[np.int64], window: int
) -> tuple[Passage, ...]:
    """Return the documents of a split with their loss, the worst first.

    Where there are few documents, stretches of `window` tokens. Very short ones are left out: a
    single token decides them. document_starts: places in the split, whose token i has the score i - 1.
    """
    num_tokens = len(scores.nats) + 1
    starts = np.unique(np.concatenate((np.array([0]), document_starts)))
    if len(starts) < _FEWEST_DOCUMENTS:
        starts = np.arange(0, num_tokens, window)
    # The first token of a document is predicted, if at all, from another one.
    first, last = starts, np.append(starts[1:], num_tokens) - 1
    sums = np.concatenate((np.zeros(1), np.cumsum(scores.nats)))
    lengths = last - first
    losses = (sums[last] - sums[first]) / np.maximum(lengths, 1)
    usable = np.flatnonzero(lengths >= min(_FEWEST_TOKENS, int(lengths.max())))
    order = usable[np.argsort(-losses[usable], kind="stable")]
    return tuple(
        Passage(int(starts[i]), int(lengths[i]) + 1, float(losses[i])) for i in order.tolist()
    )


def bits_per_byte(nats: NDArray[np.float64], num_bytes: NDArray[Any]) -> float | None:
    """Return bits per byte of tokens with these nats and bytes; what stands for no bytes is left out."""
    total = int(num_bytes.sum())
    return float(nats[num_bytes > 0].sum()) / math.log(2) / total if total else None
