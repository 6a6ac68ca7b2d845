"""A row of random symbols, then the same row again: `abcd|abcd;`, over and over."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from synthetic.language import FloatArray, IntArray


class Copying:
    """Rows of `length` out of `symbols`; the two last tokens stand between and behind the rows."""

    def __init__(self, symbols: int = 16, length: int = 10) -> None:
        self.symbols, self.length = symbols, length
        self.vocab_size = symbols + 2
        self.period = 2 * length + 2

    @property
    def rate(self) -> float:
        """Entropy per token with the whole past, in nats."""
        return float(self.length * np.log(self.symbols) / self.period)

    def text(self, length: int, chance: Generator) -> IntArray:
        count = -(-length // self.period)
        rows = chance.integers(self.symbols, size=(count, self.length))
        between = np.full((count, 1), self.symbols)
        blocks = np.concatenate((rows, between, rows, between + 1), axis=1)
        return np.asarray(blocks.reshape(-1)[:length], np.int64)

    def nats(self, windows: IntArray) -> FloatArray:
        """Weigh every place in a block at which a window may begin by how well it foretold the window so far."""
        num_windows, length = windows.shape
        belief = np.full((num_windows, self.period), 1 / self.period)
        nats = np.empty((num_windows, length))
        for i in range(length):
            likelihood = np.stack(
                [
                    self._likelihood(windows, i, (start + i) % self.period)
                    for start in range(self.period)
                ],
                axis=1,
            )
            joint = belief * likelihood
            total = joint.sum(axis=1)
            nats[:, i] = -np.log(total)
            belief = joint / total[:, None]
        return nats[:, 1:]

    def _likelihood(self, windows: IntArray, i: int, place: int) -> FloatArray:
        """Return P of token i of each window if it stands at `place` of a block: (n,)."""
        token = windows[:, i]
        original = i - self.length - 1
        if place == self.length:
            found = token == self.symbols
        elif place == self.period - 1:
            found = token == self.symbols + 1
        elif place > self.length and original >= 0:
            found = token == windows[:, original]
        else:
            return np.where(token < self.symbols, 1 / self.symbols, 0.0)
        return np.asarray(found, np.float64)
