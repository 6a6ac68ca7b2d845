"""Conversations as batches: whole ones side by side in rows, each attending to itself alone.

    context_length T = 8
    tokens     u u a a a|u u a      three conversations; u: not learned, a: learned
    targets    . a a a .|. a .      what comes next, where it is the assistant's
    documents  0 0 0 0 0|1 1 1

A conversation is used up to the last token that is learned. One that is longer than a row is cut at
its end; one that has nothing to learn before the cut is left out. Both are counted. Rows are filled
one after another from a shuffled order, which the seed decides; each epoch reads them in an order
of its own.

Of pairs the chosen answers lie in one row and the rejected ones in the next, each pair in the same
places of both: pair k is document k. A pair is used where both sides have something to learn.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from gptkit.data.batches import EVALUATION_TOKENS, IGNORE_INDEX, Batch, PairBatch
from gptkit.data.order import Shuffle, mix
from gptkit.data.shards import Tokens
from gptkit.errors import DataError


class Packing:
    """Which conversations lie in which row."""

    def __init__(
        self,
        tokens: Tokens,
        is_target: NDArray[np.bool_],
        context_length: int,
        *,
        key: int | None,
        margins: NDArray[np.float64] | None = None,
    ) -> None:
        """key: decides the order of the conversations; None: the order of the data.

        margins: (pairs,) as in `PairBatch`, of conversations that are pairs; None: they are none.

        Raises: DataError where no conversation has anything to learn within `context_length`.
        """
        self._tokens = tokens
        self._is_target = is_target
        self._context_length = context_length
        self.rows_together = 1 if margins is None else 2
        """Rows of tokens that make one sequence of a batch."""
        starts = tokens.document_starts
        lengths, first_targets = _spans(starts, is_target)
        # (conversations or pairs, 1 or 2)
        starts, lengths, first_targets = (
            column.reshape(-1, self.rows_together) for column in (starts, lengths, first_targets)
        )
        usable = (first_targets <= np.minimum(lengths, context_length)).all(axis=1)
        self.num_items = len(starts)
        """Conversations or pairs, those left out included."""
        self.num_left_out = int((~usable).sum())
        self.num_cut = int((lengths[usable] > context_length).any(axis=1).sum())
        self.items = "conversations" if margins is None else "pairs"
        """What is packed, in words."""
        if not usable.any():
            raise DataError(
                f"none of {len(starts)} {self.items} has an answer that begins within {context_length}"
                " tokens: raise model.context_length"
            )
        order = np.flatnonzero(usable)
        if key is not None:
            order = order[Shuffle(len(order), key)(np.arange(len(order)))]
        self.order = order
        """(usable,) what lies in the rows, one after the other, as numbers in the data."""
        self._starts = starts[order]
        self._lengths = np.minimum(lengths[order], context_length)
        self._bounds = _fill_rows(self._lengths, context_length)
        self._margins = None if margins is None else margins[order]
        self._most = int(np.diff(self._bounds).max())
        self.num_rows = len(self._bounds) - 1
        """Sequences; of pairs each is two rows of tokens."""

    def stack(self, rows: NDArray[np.int64], num_rows: int) -> Batch:
        """Return these rows as a batch of `num_rows`, the last ones empty."""
        shape = (num_rows * self.rows_together, self._context_length)
        tokens = np.zeros(shape, np.int64)
        targets = np.full(shape, IGNORE_INDEX, np.int64)
        documents = np.zeros(shape, np.int64)
        margins = np.full((num_rows, self._most), np.nan, np.float32)
        for i, row in enumerate(rows.tolist()):
            items = range(self._bounds[row], self._bounds[row + 1])
            for side in range(self.rows_together):
                at = i * self.rows_together + side
                self._fill(items, side, tokens[at], targets[at], documents[at])
            if self._margins is not None:
                margins[i, : len(items)] = self._margins[items.start : items.stop]
        stacked = [torch.from_numpy(part) for part in (tokens, targets, documents)]
        if self._margins is None:
            return Batch(*stacked)
        return PairBatch(*stacked, margins=torch.from_numpy(margins))

    def _fill(
        self,
        items: range,
        side: int,
        tokens: NDArray[np.int64],
        targets: NDArray[np.int64],
        documents: NDArray[np.int64],
    ) -> None:
        """Write conversations into one row, (T,) each."""
        place = 0
        for number, item in enumerate(items):
            start, length = int(self._starts[item, side]), int(self._lengths[item, side])
            end = place + length
            ids = self._tokens.window(start, length + 1).astype(np.int64)
            tokens[place:end] = ids[:-1]
            learned = self._is_target[start + 1 : start + length + 1]
            targets[place:end] = np.where(learned, ids[1:], IGNORE_INDEX)
            documents[place:end] = number
            place = end
        documents[place:] = len(items)  # padding sees no conversation


class TrainingConversations:
    """Micro-batches of packed conversations without end: each row once an epoch, in its own order."""

    def __init__(
        self,
        tokens: Tokens,
        is_target: NDArray[np.bool_],
        micro_batch_size: int,
        context_length: int,
        *,
        seed: int,
        margins: NDArray[np.float64] | None = None,
    ) -> None:
        """margins: as in `Packing`."""
        self.packing = Packing(
            tokens, is_target, context_length, key=mix(seed, 0, 2), margins=margins
        )
        self.num_windows = self.packing.num_rows
        """Sequences of an epoch."""
        self.window_tokens = context_length * self.packing.rows_together
        """Tokens of a sequence."""
        self._micro_batch_size = micro_batch_size
        self._seed = seed
        self._orders: dict[int, NDArray[np.int64]] = {}

    def of_size(self, micro_batch_size: int) -> Self:
        """Return the same rows in the same order, cut into micro-batches of another size."""
        other = copy.copy(self)
        other._micro_batch_size = micro_batch_size
        return other

    def batch(self, index: int) -> Batch:
        """Return micro-batch `index`."""
        size = self._micro_batch_size
        sequences = np.arange(index * size, (index + 1) * size)
        rows = np.empty_like(sequences)
        epochs = sequences // self.num_windows
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            rows[here] = self._order(epoch)[sequences[here] % self.num_windows]
        return self.packing.stack(rows, size)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        order = self._orders.get(epoch)
        if order is None:
            shuffle = Shuffle(self.num_windows, mix(self._seed, epoch, 1))
            order = shuffle(np.arange(self.num_windows))
            # A batch may lie on the border of two epochs; more are never needed.
            kept = sorted(self._orders.items())[-1:]
            self._orders = {**dict(kept), epoch: order}
        return order


class EvaluationConversations:
    """Every conversation once, in the order of the data; batches of a fixed shape."""

    def __init__(
        self,
        tokens: Tokens,
        is_target: NDArray[np.bool_],
        context_length: int,
        *,
        margins: NDArray[np.float64] | None = None,
    ) -> None:
        """margins: as in `Packing`."""
        self.packing = Packing(tokens, is_target, context_length, key=None, margins=margins)
        rows = -(-EVALUATION_TOKENS // (context_length * self.packing.rows_together))
        self._rows = min(rows, self.packing.num_rows)

    def __len__(self) -> int:
        return -(-self.packing.num_rows // self._rows)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.batch, range(len(self)))

    def scored(self) -> NDArray[np.int64]:
        """Return (N,) the tokens that are scored, in the order of the batches."""
        targets = [batch.targets[batch.targets != IGNORE_INDEX].numpy() for batch in self]
        return np.concatenate(targets)

    def batch(self, index: int) -> Batch:
        """Return batch `index`; rows past the last one have no targets."""
        assert 0 <= index < len(self)
        first = index * self._rows
        rows = np.arange(first, min(first + self._rows, self.packing.num_rows))
        return self.packing.stack(rows, self._rows)


def _spans(
    starts: NDArray[np.int64], is_target: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many tokens lie before each conversation's last target, and before its first.

    A conversation that has none gets 0 and a number larger than any row.
    """
    places = np.flatnonzero(is_target)
    never = np.iinfo(np.int64).max
    # The first token of a conversation comes after nothing: it is never predicted.
    after_first = np.searchsorted(places, starts + 1)
    until_end = np.searchsorted(places, np.append(starts[1:], len(is_target)))
    has_any = until_end > after_first
    last, first = np.zeros_like(starts), np.full_like(starts, never)
    last[has_any] = places[until_end[has_any] - 1] - starts[has_any]
    first[has_any] = places[after_first[has_any]] - starts[has_any]
    return last, first


def _fill_rows(lengths: NDArray[np.int64], context_length: int) -> NDArray[np.int64]:
    """Return where each row begins in an order of conversations, and the end of the last.

    lengths: (N, 1 or 2); of pairs a row ends where either side is full.
    """
    ends = np.concatenate([np.zeros_like(lengths[:1]), np.cumsum(lengths, axis=0)])
    bounds = [0]
    while bounds[-1] < len(lengths):
        room = ends[bounds[-1]] + context_length
        sides = zip(ends.T, room, strict=True)
        bounds.append(min(int(np.searchsorted(e, r, side="right")) for e, r in sides) - 1)
    return np.array(bounds, np.int64)
