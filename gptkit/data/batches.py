"""Windows of tokens as batches: the same index gives the same batch, in every process, for ever.

    tokens   t0 t1 t2 t3 t4 t5 t6 t7 t8 ...         context_length T = 3
    window      [t1 t2 t3]                           input, starts at 1
    targets        [t2 t3 t4]                        what comes after each input token

Shapes: B sequences, T positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gptkit.data.order import Shuffle, mix
from gptkit.data.shards import Tokens

IGNORE_INDEX = -100
"""A target that does not count."""

EVALUATION_TOKENS = 8192
"""About so many tokens make a batch of evaluation."""


@dataclass(frozen=True)
class Batch:
    """What one forward pass sees, all (B, T) int64."""

    tokens: Tensor
    targets: Tensor
    """The token after each; IGNORE_INDEX where it does not count."""
    documents: Tensor | None = None
    """The number of each token's document; None: attention runs across documents."""

    def inputs(self) -> dict[str, Tensor | None]:
        """Return what an objective gets beside tokens and targets."""
        return {"documents": self.documents}

    def num_learned(self) -> Tensor:
        """Return how many losses the objective sums up, 0-dim."""
        return (self.targets != IGNORE_INDEX).sum()

    def to(self, device: torch.device) -> Self:
        """Return the batch on `device`; a CUDA device copies from pinned memory by itself."""
        alone = device.type == "cuda"
        return self._each(lambda tensor: tensor.to(device, non_blocking=alone))

    def pin_memory(self) -> Self:
        """Return the batch in memory from which a GPU can copy by itself."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        tensors = ((part.name, getattr(self, part.name)) for part in fields(self))
        changed: dict[str, Any] = {n: t if t is None else change(t) for n, t in tensors}
        return replace(self, **changed)


@dataclass(frozen=True)
class PairBatch(Batch):
    """Pairs of answers: row 2 i holds the chosen ones, row 2 i + 1 the rejected, and pair k is document k of both."""

    margins: Tensor = field(kw_only=True)
    """(B / 2, P) float32: ln P(chosen) - ln P(rejected) under the reference model; NaN: no pair."""

    def inputs(self) -> dict[str, Tensor | None]:
        return {"documents": self.documents, "margins": self.margins}

    def num_learned(self) -> Tensor:
        return (~self.margins.isnan()).sum()


class Batches(Protocol):
    """Batches by index."""

    def batch(self, index: int) -> Batch:
        """Return batch `index`, the same each time."""


class TrainingBatches(Batches, Protocol):
    """Micro-batches without end, in epochs."""

    num_windows: int
    """Sequences of an epoch."""
    window_tokens: int
    """Tokens of a sequence."""

    def of_size(self, micro_batch_size: int) -> Self:
        """Return the same sequences in the same order, cut into micro-batches of another size."""


class TrainingWindows:
    """Micro-batches of shuffled windows without end: each window once an epoch, in its own order.

    An epoch cuts the tokens into windows of T from a random first token on, so that the cuts fall
    elsewhere each time. Row j of micro-batch i is sequence i * micro_batch_size + j of the run,
    however many ranks or accumulation steps there are.
    """

    def __init__(
        self,
        tokens: Tokens,
        micro_batch_size: int,
        context_length: int,
        *,
        seed: int,
        documents: bool = False,
    ) -> None:
        assert len(tokens) > context_length, "prepare_dataset checks this"
        self.num_windows = (len(tokens) - 1) // context_length
        """Windows of an epoch."""
        self.window_tokens = context_length
        """Tokens of a window."""
        self._tokens = tokens
        self._micro_batch_size = micro_batch_size
        self._context_length = context_length
        self._seed = seed
        self._documents = documents
        self._orders: dict[int, Shuffle] = {}

    def of_size(self, micro_batch_size: int) -> Self:
        """Return the same sequences in the same order, cut into micro-batches of another size."""
        return type(self)(
            self._tokens,
            micro_batch_size,
            self._context_length,
            seed=self._seed,
            documents=self._documents,
        )

    def batch(self, index: int) -> Batch:
        """Return micro-batch `index`."""
        first = index * self._micro_batch_size
        starts = self.starts(np.arange(first, first + self._micro_batch_size))
        return _stack(self._tokens, starts, self._context_length, self._documents)

    def starts(self, sequences: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the first token of each of these sequences of the run."""
        starts = np.empty_like(sequences)
        epochs = sequences // self.num_windows
        for epoch in np.unique(epochs).tolist():
            rows = epochs == epoch
            windows = self._order(epoch)(sequences[rows] % self.num_windows)
            starts[rows] = self._phase(epoch) + windows * self._context_length
        # Only the last window of an epoch can reach past the end, and no other begins at 0 then.
        starts[starts + self._context_length + 1 > len(self._tokens)] = 0
        return starts

    def _phase(self, epoch: int) -> int:
        return mix(self._seed, epoch, 0) % self._context_length

    def _order(self, epoch: int) -> Shuffle:
        order = self._orders.get(epoch)
        if order is None:
            order = Shuffle(self.num_windows, mix(self._seed, epoch, 1))
            # A batch may lie on the border of two epochs; more are never needed.
            kept = sorted(self._orders.items())[-1:]
            self._orders = {**dict(kept), epoch: order}
        return order


class EvaluationWindows:
    """All tokens in order, each but the first scored exactly once; batches of a fixed shape.

    Windows are disjoint and each begins without memory. With a stride S < T they overlap: a window
    begins S after the one before, and only the targets that no earlier window scored count.

        T = 4, S = 2, 8 tokens     scored: 1 2 3 4 | 5 6 | 7
    """

    def __init__(
        self,
        tokens: Tokens,
        context_length: int,
        stride: int | None = None,
        *,
        documents: bool = False,
    ) -> None:
        stride = stride or context_length
        assert 1 <= stride <= context_length
        self.num_targets = len(tokens) - 1
        """Tokens that are scored."""
        self._tokens = tokens
        self._context_length = context_length
        self._stride = stride
        self._documents = documents
        later = max(0, self.num_targets - context_length)
        self.num_windows = 1 + -(-later // stride)
        # A shape that only the model decides: the figure must not depend on a batch size.
        rows = -(-EVALUATION_TOKENS // context_length)
        self._rows = min(rows, self.num_windows)

    def __len__(self) -> int:
        return -(-self.num_windows // self._rows)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.batch, range(len(self)))

    def batch(self, index: int) -> Batch:
        """Return batch `index`; rows past the last window have no targets."""
        assert 0 <= index < len(self)
        windows = range(index * self._rows, (index + 1) * self._rows)
        tokens = np.zeros((self._rows, self._context_length), np.int64)
        targets = np.full_like(tokens, IGNORE_INDEX)
        documents = np.zeros_like(tokens)
        for row, window in enumerate(windows):
            if window < self.num_windows:
                start = window * self._stride
                length = min(self._context_length, self.num_targets - start)
                scored = 0 if window == 0 else self._context_length - self._stride
                ids = self._tokens.window(start, length + 1)
                tokens[row, :length] = ids[:-1]
                targets[row, scored:length] = ids[1 + scored :]
                if self._documents:
                    documents[row] = document_numbers(self._tokens, start, self._context_length)
        return Batch(
            torch.from_numpy(tokens),
            torch.from_numpy(targets),
            torch.from_numpy(documents) if self._documents else None,
        )


def document_numbers(tokens: Tokens, start: int, length: int) -> NDArray[np.int64]:
    """Return (length,) the number of the document of each token from `start` on."""
    starts = tokens.document_starts
    # Two searches and a running sum: searching for every token would take ten times as long.
    first, last = np.searchsorted(starts, (start, start + length - 1), side="right")
    numbers = np.zeros(length, np.int64)
    numbers[0] = first - 1
    numbers[starts[first:last] - start] += 1
    return np.cumsum(numbers)


def _stack(
    tokens: Tokens, starts: NDArray[np.int64], context_length: int, documents: bool
) -> Batch:
    """Return the windows that begin at `starts`: (B,) -> (B, T)."""
    rows = np.empty((len(starts), context_length + 1), np.int64)
    for row, start in zip(rows, starts.tolist(), strict=True):
        row[:] = tokens.window(start, context_length + 1)
    numbers = None
    if documents:
        numbers = torch.from_numpy(
            np.stack([document_numbers(tokens, start, context_length) for start in starts.tolist()])
        )
    # Copied by NumPy: torch would give this thread OpenMP threads (gptkit/checkpoint/writer.py).
    inputs, targets = (np.ascontiguousarray(part) for part in (rows[:, :-1], rows[:, 1:]))
    return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), numbers)
